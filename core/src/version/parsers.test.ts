/** What each parser refuses and finds, and the answers that a reader would want to see spelled out. */
import { describe, expect, test } from 'vitest';
import { parseApk } from './apk.ts';
import { parseRpm } from './rpm.ts';
import { compareVersions } from './version.ts';
import { parseWindowsBuild } from './windows-build.ts';

describe('parseRpm', () => {
  test.each([
    ['', 'version_empty'],
    ['1:', 'version_empty'],
    ['-1', 'version_empty'],
    ['1:-1', 'version_empty'],
    ['1-', 'release_empty'],
    ['4294967296:1', 'epoch_too_big'],
    [`${'9'.repeat(400)}:1`, 'epoch_too_big'],
    ['a:1', 'version_invalid_character'],
    ['1-2-3', 'version_invalid_character'],
    [' 1', 'version_invalid_character'],
    ['1²', 'version_invalid_character'],
    ['1\0', 'version_invalid_character'],
    ['1-1,2', 'release_invalid_character'],
    ['1..2', 'version_two_dots'],
    ['1-1..2', 'release_two_dots'],
  ])('%j is refused: %s', (text, code) => {
    expect(parseRpm(text)).toMatchObject({ ok: false, code });
  });

  test('finds the parts of a version', () => {
    const parsed = parseRpm('01:9.2p1_x-2.el8_10');
    if (!parsed.ok) throw new Error(parsed.code);
    const { text, epoch, versionStart, versionEnd, releaseStart, end } = parsed.version;
    expect([epoch, text.slice(versionStart, versionEnd), text.slice(releaseStart, end)]).toEqual([
      1,
      '9.2p1_x',
      '2.el8_10',
    ]);
  });

  test.each([
    ['1.0~rc1', 'less', '1.0'],
    ['1.0^git1', 'greater', '1.0'],
    ['1.0^git1', 'less', '1.0.1'],
    ['1.0-1', 'equal', '0:1.0-1'],
    ['1.0', 'less', '1.0-0'],
    ['1.0-2.el8', 'less', '1.0-10.el8'],
    ['1.0-1.el8_4', 'greater', '1.0-1.el8'],
    ['1.0a', 'less', '1.0.1'],
  ] as const)('%s is %s: %s', (a, answer, b) => {
    expect(compareVersions('rpm', a, b)).toBe(answer);
  });
});

describe('parseApk', () => {
  test.each([
    ['', 'version_empty'],
    ['v1', 'version_must_start_with_digit'],
    ['.1', 'version_must_start_with_digit'],
    ['1..2', 'number_missing'],
    ['1.', 'number_missing'],
    ['1-r', 'number_missing'],
    ['1.18446744073709551616', 'number_too_big'],
    [`1-r${'9'.repeat(400)}`, 'number_too_big'],
    ['1_foo', 'suffix_unknown'],
    ['1_', 'suffix_unknown'],
    ['1_pé', 'character_unexpected'],
    ['1~', 'hash_empty'],
    ['1~ABC', 'hash_empty'],
    ['1~é', 'hash_empty'],
    ['1-1', 'revision_invalid'],
    ['1bc', 'character_unexpected'],
    ['1b2', 'character_unexpected'],
    ['1-r1-r2', 'character_unexpected'],
    ['1:1', 'character_unexpected'],
    [' 1', 'version_must_start_with_digit'],
    ['1 ', 'character_unexpected'],
  ])('%j is refused: %s', (text, code) => {
    expect(parseApk(text)).toMatchObject({ ok: false, code });
  });

  test.each([
    ['1.0_rc1', 'less', '1.0'],
    ['1.0', 'less', '1.0-r0'],
    ['1.0-r9', 'less', '1.0-r10'],
    ['1.0-r1', 'less', '1.0_p1'],
    ['1.0_p1', 'less', '1.0a'],
    ['1.0a', 'less', '1.0.1'],
    ['1.01', 'less', '1.1'],
    ['01.1', 'equal', '1.1'],
    ['0.1.0_alpha_pre2', 'less', '0.1.0_alpha'],
    ['1.0~abc', 'less', '1.0~abd'],
  ] as const)('%s is %s: %s', (a, answer, b) => {
    expect(compareVersions('apk', a, b)).toBe(answer);
  });
});

describe('parseWindowsBuild', () => {
  test.each([
    ['', 'build_empty'],
    ['1', 'build_number_count'],
    ['1.2.3.4.5', 'build_number_count'],
    ['1..2', 'build_number_empty'],
    ['1.', 'build_number_empty'],
    ['10.0.17763.*', 'build_invalid_character'],
    ['10.0.17763.1339 ', 'build_invalid_character'],
    ['1.4294967296', 'build_number_too_big'],
    [`1.${'9'.repeat(400)}`, 'build_number_too_big'],
  ])('%j is refused: %s', (text, code) => {
    expect(parseWindowsBuild(text)).toMatchObject({ ok: false, code });
  });

  test.each([
    ['10.0.17763.1339', '10.0.17763.*'],
    ['10.0.17763', '10.0.17763'],
    ['6.3.9600.20016', '6.3.9600.*'],
    ['6.1', '6.1'],
    ['4.8.04515.01', '4.8.3000–8999.*'],
    ['4.8.09115.01', '4.8.9000–9999.*'],
    ['16.0.5408.1000', '16.0.4000–5999.1*'],
    ['16.0.10374.20000', '16.0.10000–10999.2*'],
    ['16.0.17328.20136', '16.0.17328.*'],
    ['15.0.4316.3', '15.0.4316.*'],
    ['15.02.0792.013', '15.2.792.*'],
    ['16.11.12', '16.11.*'],
    ['6.0.16', '6.0.*'],
    ['20348.2762', '20348.*'],
  ])('%s is of branch %s', (text, branch) => {
    expect(parseWindowsBuild(text)).toMatchObject({ ok: true, version: { branch } });
  });

  test.each([
    ['10.0.17763.1339', 'less', '10.0.17763.1340'],
    ['10.0.17763.1339', 'incomparable', '10.0.19041.388'],
    ['6.1.7601.24597', 'incomparable', '6.3.9600.20016'],
    ['10.0.17763', 'incomparable', '10.0.17763.1'],
    ['10.0.17763', 'incomparable', '10.0.19041'],
    ['4.8.4494.3', 'less', '4.8.04515.01'],
    ['4.8.04775.02', 'incomparable', '4.8.09115.01'],
    ['16.0.5161.1000', 'less', '16.0.5408.1000'],
    ['16.0.5408.1000', 'incomparable', '16.0.10374.20000'],
    ['15.02.0792.013', 'equal', '15.2.792.13'],
    ['15.02.0792.013', 'incomparable', '15.02.0858.010'],
  ] as const)('%s is %s: %s', (a, answer, b) => {
    expect(compareVersions('windows-build', a, b)).toBe(answer);
  });
});

test.each(['rpm', 'apk', 'windows-build'] as const)(
  '%s: a million characters take no longer than reading',
  (scheme) => {
    const long = `1.${'0'.repeat(1_000_000)}`;
    expect(compareVersions(scheme, `${long}1`, `${long}2`)).toBe('less');
  },
);
