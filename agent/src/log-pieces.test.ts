import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cutPieces, noCarry, pieceCharacters, type Carry } from './log-pieces.ts';

/** Reads a text in portions of so many bytes, as it grows; answers what is shown. */
function readInPortions(text: string, portions: readonly number[], secrets: readonly string[] = []): string {
  const bytes = Buffer.from(text);
  let shown = '';
  let taken = 0;
  let carry: Carry = noCarry;
  let there = 0;
  for (const portion of [...portions, bytes.length]) {
    there = Math.min(bytes.length, there + portion);
    const cut = cutPieces(bytes.subarray(taken, there), carry, there === bytes.length, secrets);
    for (const piece of cut.pieces) {
      expect(piece.text.length).toBeLessThanOrEqual(pieceCharacters);
      shown += piece.text;
    }
    taken += cut.taken;
    carry = cut.carry;
  }
  expect(taken).toBe(bytes.length);
  return shown;
}

const at = (text: string) => readInPortions(text, []);

describe('pieces of an output', () => {
  const line = fc.oneof(
    fc.string({ maxLength: 40, unit: 'grapheme' }),
    fc.constantFrom(
      'Reading database ... 5%\rReading database ... 100%',
      'Get:1 http://asset:s3cr3tpass@10.0.0.1/debian bookworm InRelease',
      '-----BEGIN RSA PRIVATE KEY-----',
      'MIIEpAIBAAKCAQEA7yKzT0pSecretSecret',
      '-----END RSA PRIVATE KEY-----',
      '',
    ),
    fc.integer({ min: 1, max: 200_000 }).map((count) => 'ab '.repeat(Math.ceil(count / 3))),
  );

  test('the same text is shown however it came, and no character is cut in two', () => {
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 30 }),
        fc.boolean(),
        fc.array(fc.integer({ min: 1, max: 5_000 }), { maxLength: 60 }),
        (lines, ends, portions) => {
          const text = lines.map((one) => one.replaceAll('\n', ' ')).join('\n') + (ends ? '\n' : '');
          expect(readInPortions(text, portions)).toBe(at(text));
          expect(at(text).isWellFormed()).toBe(true);
          expect(at(text)).not.toContain('s3cr3tpass');
        },
      ),
      { numRuns: 150 },
    );
  });

  test('a secret is not shown, wherever the output was when it was read', () => {
    const secret = 'correct-horse-battery';
    const token = `fxs.12.${'a'.repeat(36)}.k3j2.nonce.${'b'.repeat(43)}`;
    const text = [
      `proxy http://asset:${secret}@10.0.0.1:80/`,
      `PGPASSWORD=${secret} psql`,
      `{"api_key": "${secret} and more", "x": 1}`,
      `said ${secret} aloud`,
      `session ${token}`,
      '-----BEGIN OPENSSH PRIVATE KEY-----',
      'b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE',
      '-----END OPENSSH PRIVATE KEY-----',
      'after the key',
    ].join('\n');
    for (let portion = 1; portion < 90; portion++) {
      const shown = readInPortions(text, Array<number>(200).fill(portion), [secret]);
      expect(shown).not.toContain(secret);
      expect(shown).not.toContain(token.slice(0, 20));
      expect(shown).not.toContain('b3BlbnNzaC1rZXk');
      expect(shown).toContain('after the key\n');
    }
  });

  test('a line without end is shown in part, without what may be half a secret', () => {
    const long = `${'x '.repeat(33_000)}password: ${'y'.repeat(200_000)}\nnext line\n`;
    const shown = readInPortions(long, Array<number>(100).fill(3_000));
    expect(shown).toMatch(/^x x x .*…the rest of a long line is left out\]\nnext line\n$/u);
    expect(shown).not.toContain('y');
    expect(at(`${'z'.repeat(100_000)}\nnext\n`)).toBe(' […the rest of a long line is left out]\nnext\n');
  });

  test('what is written over again on one line is shown once', () => {
    expect(at('(Reading database ... 5%\r(Reading database ... 10% \rdone\r\nnext\n')).toBe('done\nnext\n');
  });
});
