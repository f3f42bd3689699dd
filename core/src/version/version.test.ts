import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareDpkg, parseDpkg } from './dpkg.ts';
import { compareVersions, isVersionScheme, reverseOrder, versionSchemes } from './version.ts';

/** The notation of golden/dpkg.tsv: `\0ooo` is an octal character code, as in printf %b. Bytes are UTF-8. */
function decode(text: string): string {
  if (!text.includes('\\')) return text;
  const octal = text.replaceAll(/\\0([0-7]{3})/gu, (_, digits: string) =>
    String.fromCodePoint(Number.parseInt(digits, 8)),
  );
  return Buffer.from(octal, 'latin1').toString('utf8');
}

function goldenRows(): { a: string; b: string; answer: string; line: number }[] {
  const text = readFileSync(new URL('golden/dpkg.tsv', import.meta.url), 'utf8');
  return text.split('\n').flatMap((row, index) => {
    const [a, b, answer] = row.split('\t');
    if (row.startsWith('#') || a === undefined || b === undefined || answer === undefined) return [];
    return [{ a: decode(a), b: decode(b), answer, line: index + 1 }];
  });
}

describe('dpkg, against answers of the real dpkg', () => {
  test('every pair of the golden file, both ways round', () => {
    const rows = goldenRows();
    expect(rows.length).toBeGreaterThan(4000);
    const wrong = rows.flatMap(({ a, b, answer, line }) => {
      const forward = compareVersions('dpkg', a, b);
      const backward = reverseOrder(compareVersions('dpkg', b, a));
      return forward === answer && backward === answer ? [] : [{ line, a, b, answer, forward, backward }];
    });
    expect(wrong).toEqual([]);
  });

  test('the golden file has every kind of answer', () => {
    expect([...new Set(goldenRows().map((row) => row.answer))].sort()).toEqual([
      'equal',
      'greater',
      'less',
      'unparseable',
    ]);
  });

  const dpkgIsHere = spawnSync('dpkg', ['--version']).status === 0;
  test.skipIf(!dpkgIsHere)('300 random pairs, asked live (skipped only where there is no dpkg)', () => {
    const pairs = fc.sample(fc.tuple(anyText, anyText), { numRuns: 300 });
    const input = pairs.map(([a, b]) => `${escape(a)}\t${escape(b)}`).join('\n') + '\n';
    const script = new URL('golden/answer-dpkg.sh', import.meta.url).pathname;
    const run = spawnSync('sh', [script], { input, encoding: 'utf8', timeout: 25_000 });
    const answers = run.stdout
      .trimEnd()
      .split('\n')
      .map((row) => row.split('\t')[2]);
    expect(answers).toHaveLength(300);
    expect(pairs.map(([a, b]) => ({ a, b, answer: compareVersions('dpkg', a, b) }))).toEqual(
      pairs.map(([a, b], index) => ({ a, b, answer: answers[index] })),
    );
  });
});

/** A printf %b form of any text over the alphabet below; an empty text cannot stand in a tab-separated line for `read`. */
function escape(text: string): string {
  return text === ''
    ? String.raw`\0040`
    : text.replaceAll(' ', String.raw`\0040`).replaceAll('\n', String.raw`\0012`);
}

const characters = (alphabet: string, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...alphabet.split('')), minLength: 0, maxLength });
const upstream = fc
  .tuple(fc.constantFrom('0', '1', '2', '9'), characters('0019ab.+~', 8))
  .map((parts) => parts.join(''));
/** Only versions: epoch, an upstream version that may hold hyphens, a revision. */
const anyVersion = fc
  .tuple(
    fc.constantFrom('', '', '0:', '1:', '02:'),
    upstream,
    fc.constantFrom('', '-1', '-0', '-0~', '-1+b1', '-~-1'),
  )
  .map((parts) => parts.join(''));
/** Mostly not versions. */
const anyText = fc.oneof(anyVersion, characters('0019aZ~+.-: _\n', 9));

describe('laws', () => {
  test('reverse flips, and unparseable is so both ways round', () => {
    fc.assert(
      fc.property(anyText, anyText, (a, b) => {
        expect(compareVersions('dpkg', b, a)).toBe(reverseOrder(compareVersions('dpkg', a, b)));
      }),
      { numRuns: 3000 },
    );
  });

  test('unparseable exactly when one of the two is not a version', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, fc.string()), anyText, (a, b) => {
        const bothParse = parseDpkg(a).ok && parseDpkg(b).ok;
        expect(compareVersions('dpkg', a, b) === 'unparseable').toBe(!bothParse);
      }),
      { numRuns: 3000 },
    );
  });

  test('a version equals itself', () => {
    fc.assert(
      fc.property(anyVersion, (a) => {
        expect(compareVersions('dpkg', a, a)).toBe('equal');
      }),
    );
  });

  test('transitive: sorting three puts every pair in order', () => {
    fc.assert(
      fc.property(anyVersion, anyVersion, anyVersion, (...texts) => {
        const sorted = texts
          .map((text) => {
            const parsed = parseDpkg(text);
            if (!parsed.ok) throw new Error(`${text}: ${parsed.code}`);
            return parsed.version;
          })
          .sort(compareDpkg);
        const [a, b, c] = sorted;
        if (a === undefined || b === undefined || c === undefined) throw new Error('three versions went in');
        const ab = compareDpkg(a, b);
        const bc = compareDpkg(b, c);
        const ac = compareDpkg(a, c);
        expect(ab).toBeLessThanOrEqual(0);
        expect(bc).toBeLessThanOrEqual(0);
        expect(Math.sign(ac)).toBe(Math.min(Math.sign(ab), Math.sign(bc)));
      }),
      { numRuns: 5000 },
    );
  });

  test('equal versions stand the same way to every other version', () => {
    fc.assert(
      fc.property(upstream, anyVersion, (text, other) => {
        expect(compareVersions('dpkg', `${text}-0`, other)).toBe(compareVersions('dpkg', `0:${text}`, other));
      }),
    );
  });
});

describe('parseDpkg', () => {
  test.each([
    ['', 'version_empty'],
    [' \t', 'version_empty'],
    ['1 2', 'embedded_space'],
    [':1', 'epoch_empty'],
    ['+:1', 'epoch_empty'],
    ['a:1', 'epoch_not_a_number'],
    ['-1:1', 'epoch_negative'],
    ['2147483648:1', 'epoch_too_big'],
    [`${'9'.repeat(400)}:1`, 'epoch_too_big'],
    ['1:', 'upstream_version_empty'],
    ['-1', 'upstream_version_empty'],
    ['1:-1', 'upstream_version_empty'],
    ['1-', 'revision_empty'],
    ['v1', 'upstream_version_must_start_with_digit'],
    ['1_2', 'upstream_version_invalid_character'],
    ['1²', 'upstream_version_invalid_character'],
    ['1\0', 'upstream_version_invalid_character'],
    ['1-a_b', 'revision_invalid_character'],
  ])('%j is refused: %s', (text, code) => {
    expect(parseDpkg(text)).toMatchObject({ ok: false, code });
  });

  test('finds the parts of a version', () => {
    const parsed = parseDpkg(' 1:9.2p1-x-2+deb12u3\t');
    if (!parsed.ok) throw new Error(parsed.code);
    const { text, epoch, upstreamStart, upstreamEnd, revisionStart, end } = parsed.version;
    expect([epoch, text.slice(upstreamStart, upstreamEnd), text.slice(revisionStart, end)]).toEqual([
      1,
      '9.2p1-x',
      '2+deb12u3',
    ]);
  });

  test('a version of a million digits takes no longer than reading it', () => {
    const long = `1.${'9'.repeat(1_000_000)}`;
    expect(compareVersions('dpkg', long, `${long}0`)).toBe('less');
  });
});

test('schemes are known by name', () => {
  expect(versionSchemes.every(isVersionScheme)).toBe(true);
  expect(['constructor', 'rpmish', ''].some(isVersionScheme)).toBe(false);
});
