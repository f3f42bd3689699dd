/** The laws of an order for every scheme, and rpm, apk and Windows builds against their golden files (dpkg: version.test.ts). */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compareVersions,
  reverseOrder,
  schemeTitle,
  versionOrderings,
  versionSchemes,
  type VersionScheme,
} from './version.ts';

/** The notation of the golden files: `\0ooo` is an octal character code, as in printf %b. Bytes are UTF-8. */
function decode(text: string): string {
  if (!text.includes('\\')) return text;
  const octal = Buffer.from(text)
    .toString('latin1')
    .replaceAll(/\\0([0-7]{3})/gu, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8)));
  return Buffer.from(octal, 'latin1').toString('utf8');
}

/** The other direction, for texts of `alphabet`s below. */
const encode = (text: string): string =>
  text.replaceAll(' ', String.raw`\0040`).replaceAll('\n', String.raw`\0012`);

function goldenRows(scheme: VersionScheme): { a: string; b: string; answer: string; line: number }[] {
  const text = readFileSync(new URL(`golden/${scheme}.tsv`, import.meta.url), 'utf8');
  return text.split('\n').flatMap((row, index) => {
    const [a, b, answer] = row.split('\t');
    if (row.startsWith('#') || a === undefined || b === undefined || answer === undefined) return [];
    return [{ a: decode(a), b: decode(b), answer, line: index + 1 }];
  });
}

describe.each([
  ['rpm', 4500, ['equal', 'greater', 'less', 'unparseable']],
  ['apk', 3500, ['equal', 'greater', 'less', 'unparseable']],
  ['windows-build', 3500, ['equal', 'greater', 'incomparable', 'less', 'unparseable']],
] as const)('golden file of %s', (scheme, count, answers) => {
  const rows = goldenRows(scheme);

  test('every pair, both ways round', () => {
    const wrong = rows.flatMap(({ a, b, answer, line }) => {
      const forward = compareVersions(scheme, a, b);
      const backward = reverseOrder(compareVersions(scheme, b, a));
      return forward === answer && backward === answer ? [] : [{ line, a, b, answer, forward, backward }];
    });
    expect(wrong).toEqual([]);
  });

  test('it is large and has every kind of answer', () => {
    expect(rows.length).toBeGreaterThan(count);
    expect([...new Set(rows.map((row) => row.answer))].sort()).toEqual(answers);
  });
});

const characters = (alphabet: string, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...alphabet.split('')), minLength: 0, maxLength });
const joined = (...parts: fc.Arbitrary<string>[]): fc.Arbitrary<string> =>
  fc.tuple(...parts).map((texts) => texts.join(''));
const repeated = (part: fc.Arbitrary<string>, maxLength: number): fc.Arbitrary<string> =>
  fc.array(part, { maxLength }).map((texts) => texts.join(''));
const number = fc.constantFrom('0', '00', '1', '01', '10', '2', '9', '99999999999999999999999');

const rpmPart = fc.oneof(
  fc
    .tuple(fc.constantFrom('0', '1', '01', 'a', 'Z', '~', '^', '.', '_'), characters('0019abZ~^._+', 7))
    .map((texts) => texts.join('').replaceAll(/\.{2,}/gu, '.')),
  joined(number, fc.constantFrom('.el8', '.el8_4.1', '.module+el8+1', '~rc1', '^git1', '.1')),
);
const apkNumber = fc.constantFrom('0', '00', '1', '01', '10', '2', '9', '18446744073709551615');

const anyOf: Record<VersionScheme, { version: fc.Arbitrary<string>; alphabet: string }> = {
  dpkg: {
    version: joined(
      fc.constantFrom('', '', '0:', '1:', '02:'),
      number,
      characters('0019ab.+~', 8),
      fc.constantFrom('', '-1', '-0', '-0~', '-1+b1', '-~-1'),
    ),
    alphabet: '0019aZ~+.-: _\n',
  },
  rpm: {
    version: joined(
      fc.constantFrom('', '', '0:', ':', '1:', '02:'),
      rpmPart,
      fc.oneof(
        fc.constant(''),
        rpmPart.map((release) => `-${release}`),
      ),
    ),
    alphabet: '0019aZ~^+.-: _\n%{,',
  },
  apk: {
    version: joined(
      apkNumber,
      repeated(
        apkNumber.map((digits) => `.${digits}`),
        3,
      ),
      fc.constantFrom('', '', 'a', 'z'),
      repeated(
        joined(
          fc.constantFrom('_alpha', '_beta', '_pre', '_rc', '_cvs', '_svn', '_git', '_hg', '_p'),
          fc.oneof(fc.constant(''), apkNumber),
        ),
        2,
      ),
      fc.constantFrom('', '', '~0', '~00', '~abc', '~abcd'),
      fc.oneof(
        fc.constant(''),
        apkNumber.map((digits) => `-r${digits}`),
      ),
    ),
    alphabet: '0019apr_.~- AR\n',
  },
  'windows-build': {
    version: joined(
      fc.constantFrom(
        '10.0.17763.',
        '10.0.',
        '6.3.9600.',
        '4.8.',
        '16.0.',
        '16.0.5408.',
        '15.0.5',
        '1.2.',
        '',
      ),
      fc.constantFrom('4515.', '9115.', '5408.', '10374.', '3.', '17763.'),
      fc.constantFrom('0', '01', '1', '1000', '1001', '20000', '1339', '4294967295'),
    ).filter((text) => text.split('.').length <= 4),
    alphabet: '01679.. a-\n',
  },
};

describe.each(versionSchemes)('laws of %s', (scheme) => {
  const { version, alphabet } = anyOf[scheme];
  const anyText = fc.oneof(version, characters(alphabet, 9));
  const ordering = versionOrderings[scheme];
  const checked = (text: string) => {
    const parsed = ordering.parse(text);
    if (!parsed.ok) throw new Error(`${JSON.stringify(text)}: ${parsed.code}`);
    return parsed.version;
  };

  test('a version equals itself', () => {
    fc.assert(
      fc.property(version, (a) => {
        expect(compareVersions(scheme, a, a)).toBe('equal');
      }),
    );
  });

  test('reverse flips, and unparseable is so both ways round', () => {
    fc.assert(
      fc.property(anyText, anyText, (a, b) => {
        expect(compareVersions(scheme, b, a)).toBe(reverseOrder(compareVersions(scheme, a, b)));
      }),
      { numRuns: 3000 },
    );
  });

  test('unparseable exactly when one of the two is not a version', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, fc.string()), anyText, (a, b) => {
        const bothParse = ordering.parse(a).ok && ordering.parse(b).ok;
        expect(compareVersions(scheme, a, b) === 'unparseable').toBe(!bothParse);
      }),
      { numRuns: 3000 },
    );
  });

  test('transitive, and incomparable divides all versions into groups', () => {
    fc.assert(
      fc.property(version, version, version, (...texts) => {
        const [a, b, c] = texts.map(checked);
        if (a === undefined || b === undefined || c === undefined) throw new Error('three versions went in');
        const ab = ordering.compare(a, b);
        const bc = ordering.compare(b, c);
        const ac = ordering.compare(a, c);
        // What two steps in one direction come to; two steps in opposite directions say nothing.
        if (ab === 'equal') expect(ac).toBe(bc);
        else if (bc === 'equal' || ab === bc) {
          if (ab !== 'incomparable' || bc === 'equal') expect(ac).toBe(ab);
        } else if (ab === 'incomparable' || bc === 'incomparable') expect(ac).toBe('incomparable');
        else expect(ac).not.toBe('incomparable');
      }),
      { numRuns: 5000 },
    );
  });

  test('equal versions stand the same way to every other version', () => {
    const spellings: Record<VersionScheme, (text: string) => string> = {
      dpkg: (text) => (/^\d+:/u.test(text) ? `0${text}` : `0:${text}`),
      rpm: (text) => (/^\d*:/u.test(text) ? `0${text}` : `0:${text}`),
      apk: (text) => `0${text}`,
      'windows-build': (text) => text.replaceAll(/\d+/gu, '0$&'),
    };
    fc.assert(
      fc.property(version, version, (a, other) => {
        const same = spellings[scheme](a);
        expect(compareVersions(scheme, a, same)).toBe('equal');
        expect(compareVersions(scheme, same, other)).toBe(compareVersions(scheme, a, other));
      }),
      { numRuns: 1000 },
    );
  });
});

const rpmIsHere =
  spawnSync('rpmlua', ['--version']).error === undefined && spawnSync('rpmspec', ['--version']).status === 0;
test.skipIf(!rpmIsHere)(
  'rpm: 150 random pairs, asked live (skipped only where there is no rpm: apt-get install rpm)',
  () => {
    const { version, alphabet } = anyOf.rpm;
    const anyText = fc.oneof(
      { weight: 3, arbitrary: version },
      { weight: 1, arbitrary: characters(alphabet, 9).map((text) => text || ' ') },
    );
    const pairs = fc.sample(fc.tuple(anyText, anyText), { numRuns: 150 });
    const input = pairs.map(([a, b]) => `${encode(a)}\t${encode(b)}\n`).join('');
    const script = new URL('golden/answer-rpm.lua', import.meta.url).pathname;
    const run = spawnSync('rpmlua', [script], { input, encoding: 'utf8', timeout: 25_000 });
    const answers = run.stdout
      .trimEnd()
      .split('\n')
      .map((row) => row.split('\t')[2]);
    expect(answers).toHaveLength(150);
    expect(pairs.map(([a, b]) => ({ a, b, answer: compareVersions('rpm', a, b) }))).toEqual(
      pairs.map(([a, b], index) => ({ a, b, answer: answers[index] })),
    );
  },
);

test('versions of two schemes are never compared with each other', () => {
  const debian = versionOrderings.dpkg.parse('1.0-1');
  const rpm = versionOrderings.rpm.parse('1.0-1');
  if (!debian.ok || !rpm.ok) throw new Error('both parse');
  expect(() => versionOrderings.rpm.compare(rpm.version, debian.version)).toThrow(
    'not parsed as an RPM version',
  );
});

test('every scheme has its title', () => {
  expect(versionSchemes.map(schemeTitle)).toEqual([
    'a Debian version',
    'an RPM version',
    'an Alpine version',
    'a Windows build',
  ]);
  expect(versionSchemes.map((scheme) => versionOrderings[scheme].scheme)).toEqual(versionSchemes);
});
