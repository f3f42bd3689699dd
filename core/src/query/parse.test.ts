import { describe, expect, test } from 'vitest';
import { toChips } from './explain.ts';
import type { Subject } from './fields.ts';
import { parse } from './parse.ts';
import { print } from './print.ts';
import { queryLimits } from './query.ts';

/** The canonical spelling of a query, or its refusal in one line. */
function read(text: string, subject: Subject = 'finding'): string {
  const result = parse(text, subject);
  return result.ok ? print(result.query) : `${result.code} at ${result.at}+${result.length}`;
}

describe('what is written is read', () => {
  test.each<[Subject, string, string]>([
    ['finding', '', ''],
    ['finding', '  \n ', ''],
    ['finding', 'cvss>9', 'cvss > 9'],
    ['finding', 'CVSS >= 9.80 AND Exploited', 'cvss >= 9.8 and exploited'],
    ['finding', 'cvss 7..9 exploited', 'cvss 7..9 and exploited'],
    ['finding', 'cvss = 7..9', 'cvss 7..9'],
    ['finding', 'cvss in 7..9', 'cvss 7..9'],
    ['finding', 'epss > 10%', 'epss > 0.1'],
    ['finding', 'severity: HIGH', 'severity = high'],
    ['finding', 'severity medium..critical', 'severity medium..critical'],
    ['finding', 'package in (openssl,curl)', 'package in (openssl, curl)'],
    ['finding', 'package.name not in (openssl)', 'not package in (openssl)'],
    ['finding', 'package.version < 1:3.0.20-1~deb12u2', 'package.version < 1:3.0.20-1~deb12u2'],
    ['finding', 'first_seen < 7D', 'first_seen < 7d'],
    ['finding', 'first_seen 2026-01-01..2026-02-01', 'first_seen 2026-01-01..2026-02-01'],
    ['finding', 'first_seen > 2026-11-01t12:30z', 'first_seen > 2026-11-01T12:30Z'],
    ['finding', 'exploited = no or ransomware != true', 'exploited = false or ransomware != true'],
    ['finding', 'cvss is not unknown', 'cvss is known'],
    ['finding', 'cvss IS NOT KNOWN', 'cvss is unknown'],
    ['finding', 'a or b c or d', 'a or b and c or d'],
    ['finding', '((a or b)) and (c and (d))', '(a or b) and c and d'],
    ['finding', 'not not (a or b)', 'not not (a or b)'],
    ['finding', 'not a b', 'not a and b'],
    ['finding', `'it''s'`, 'it and s'],
    ['finding', `"a \\"b\\" \\\\" 'c"d'`, `"a \\"b\\" \\\\" and "c\\"d"`],
    ['finding', '"and" "cvss" "x:y" "*"', '"and" and "cvss" and "x:y" and "*"'],
    ['finding', 'CVE-2024-6387', 'CVE-2024-6387'],
    ['asset', 'hostname = web-*', 'hostname = web-*'],
    ['asset', 'hostname = "web-*"', 'hostname = "web-*"'],
    ['asset', 'address in 10.0.0.0/8', 'address in 10.0.0.0/8'],
    [
      'asset',
      'address = 10.0.0.0/8 or address:2001:DB8::1',
      'address in 10.0.0.0/8 or address = 2001:db8::1',
    ],
    ['asset', 'address not in (10.0.0.0/8, fd00::/8)', 'address not in (10.0.0.0/8, fd00::/8)'],
    ['asset', 'attribute.Role=web', 'attribute.Role = web'],
    ['asset', 'finding.cvss > 9', 'finding.cvss > 9'],
    ['asset', 'has finding (cvss > 9)', 'finding.cvss > 9'],
    ['asset', 'has finding (cvss > 9 and exploited)', 'has finding (cvss > 9 and exploited)'],
    ['asset', 'HAS finding exploited', 'has finding and exploited'],
    ['asset', 'finding.status != open', 'not finding.status = open'],
    ['asset', 'has finding (status != open)', 'has finding (status != open)'],
    ['asset', 'finding.exploited', 'finding.exploited'],
    ['asset', 'package.name = openssl', 'package = openssl'],
    [
      'asset',
      'has finding (has asset (has finding (has asset (os = debian))))',
      'has finding (asset.finding.asset.os = debian)',
    ],
    ['vulnerability', 'finding.asset.os = debian', 'finding.asset.os = debian'],
    ['patch', 'id = debian:12/openssl@3.0.22-1~deb12u2', 'id = debian:12/openssl@3.0.22-1~deb12u2'],
  ])('%s: %s', (subject, text, canonical) => expect(read(text, subject)).toBe(canonical));
});

describe('what is wrong is told where it is', () => {
  test.each<[Subject, string, string]>([
    ['asset', 'hostnme = x', 'unknown_field at 0+7'],
    ['asset', 'os = debian and hostnme:x', 'unknown_field at 16+7'],
    ['asset', 'finding.cvs > 9', 'unknown_field at 8+3'],
    ['asset', 'cvss 7..9', 'unknown_field at 0+4'],
    ['asset', 'attribute = web', 'unknown_field at 0+9'],
    ['asset', 'cloud. = web', 'unknown_field at 0+6'],
    ['asset', 'has findng (x)', 'unknown_relation at 4+6'],
    ['asset', 'has', 'unknown_relation at 3+0'],
    ['asset', 'hostname', 'comparison_expected at 0+8'],
    ['asset', 'hostname web', 'comparison_expected at 0+8'],
    ['asset', 'finding > 9', 'comparison_expected at 0+7'],
    ['asset', 'hostname < web', 'operator_not_for_field at 9+1'],
    ['asset', 'hostname a..b', 'operator_not_for_field at 9+4'],
    ['asset', 'reachable in (true)', 'operator_not_for_field at 10+2'],
    ['asset', 'mode > assess', 'operator_not_for_field at 5+1'],
    ['asset', 'kernel < 6.*', 'operator_not_for_field at 9+3'],
    ['asset', 'address = 10.0.0.256', 'value_wrong_type at 10+10'],
    ['asset', 'address = 10.0.0.0/33', 'value_wrong_type at 10+11'],
    ['asset', 'address 10.0.0.1..::1', 'range_mixed at 8+13'],
    ['finding', 'cvss > high', 'value_wrong_type at 7+4'],
    ['finding', 'cvss > 1e3', 'value_wrong_type at 7+3'],
    ['finding', 'cvss > 90', 'value_out_of_range at 7+2'],
    ['finding', 'cvss 7..90', 'value_out_of_range at 8+2'],
    ['finding', 'cvss 9..7', 'range_reversed at 5+4'],
    ['finding', 'cvss > 7..9', 'operator_not_for_field at 7+4'],
    ['finding', 'cvss = 7..', 'value_expected at 7+3'],
    ['finding', 'cvss in (7, high)', 'value_wrong_type at 12+4'],
    ['finding', 'cvss in (7 8)', 'list_not_closed at 11+1'],
    ['finding', 'cvss in (7, 8', 'list_not_closed at 8+1'],
    ['finding', 'cvss in ()', 'value_expected at 9+1'],
    ['finding', 'cvss = = 7', 'value_expected at 7+1'],
    ['finding', 'cvss = and exploited', 'value_expected at 7+3'],
    ['finding', 'cvss is high', 'value_expected at 8+4'],
    ['finding', 'severity = hgh', 'value_not_a_choice at 11+3'],
    ['finding', 'exploited = maybe', 'value_wrong_type at 12+5'],
    ['finding', 'first_seen < 7', 'value_wrong_type at 13+1'],
    ['finding', 'first_seen > 2026-02-30', 'value_wrong_type at 13+10'],
    ['finding', 'first_seen = 7d', 'age_needs_order at 13+2'],
    ['finding', 'first_seen in (7d)', 'age_needs_order at 15+2'],
    ['finding', 'first_seen 7d..2026-01-01', 'range_mixed at 11+14'],
    ['finding', 'title = "abc', 'string_not_closed at 8+1'],
    ['finding', 'title = "a\\q"', 'bad_escape at 10+2'],
    ['finding', '(cvss > 7', 'parenthesis_not_closed at 0+1'],
    ['finding', 'has asset (os = debian', 'parenthesis_not_closed at 10+1'],
    ['finding', 'cvss > 7)', 'parenthesis_not_opened at 8+1'],
    ['finding', '()', 'term_expected at 1+1'],
    ['finding', 'a and', 'term_expected at 5+0'],
    ['finding', 'a or or b', 'term_expected at 5+2'],
    ['finding', 'a, b', 'term_expected at 1+1'],
    ['finding', '> 7', 'term_expected at 0+1'],
    ['finding', 'not', 'term_expected at 3+0'],
  ])('%s: %s', (subject, text, refusal) => expect(read(text, subject)).toBe(refusal));

  test.each<[Subject, string, string[]]>([
    ['asset', 'hostnme = x', ['hostname']],
    ['asset', 'cvss > 9', ['finding.cvss']],
    ['asset', 'findng.cvss > 9', ['finding']],
    ['asset', 'attribut = x', ['attribute.']],
    ['finding', 'severity = hgh', ['high']],
    ['finding', 'status = reboot', ['reboot_pending']],
    ['finding', 'due < 7', ['7d']],
    ['finding', 'cvss 9..7', ['7..9']],
    ['finding', 'zzzzz = 1', []],
  ])('%s: %s suggests', (subject, text, suggestions) => {
    const result = parse(text, subject);
    if (result.ok) throw new Error('read');
    expect(result.suggestions.slice(0, Math.max(1, suggestions.length))).toEqual(suggestions);
  });

  test('in sentences for people', () => {
    expect(parse('hostnme = x', 'asset')).toMatchObject({
      message: 'there is no field hostnme of an asset; did you mean hostname?',
      what_to_do: 'write a field of the list; to search for it as a word, write it in quotes',
    });
    expect(parse('cvss > high', 'finding')).toMatchObject({
      message: 'cvss takes a number from 0 to 10, and "high" is not that',
      expected: ['a number from 0 to 10'],
    });
  });
});

describe('limits refuse', () => {
  const { characters, depth, listed_values, terms, value_characters, wildcards } = queryLimits;
  const list = (count: number): string =>
    `package in (${Array.from({ length: count }, () => 'a').join(',')})`;
  test.each<[string, string, string]>([
    ['characters', ' '.repeat(characters), ''],
    ['characters', `${' '.repeat(characters)}x`, `query_too_long at ${characters}+1`],
    ['terms', 'x '.repeat(terms), Array.from({ length: terms }, () => 'x').join(' and ')],
    ['terms', 'x '.repeat(terms + 1), `too_many_terms at ${2 * terms}+1`],
    ['depth', `${'('.repeat(depth)}x${')'.repeat(depth)}`, 'x'],
    ['depth', '('.repeat(depth + 1), `too_deep at ${depth}+1`],
    ['depth', 'not '.repeat(depth + 1), `too_deep at ${4 * depth}+3`],
    ['depth', '('.repeat(characters), `too_deep at ${depth}+1`],
    ['depth', `${'not '.repeat(depth)}package != a`, `too_deep at ${4 * depth}+12`],
    ['values', list(listed_values + 1), `too_many_values at ${12 + 2 * listed_values}+1`],
    ['value', 'x'.repeat(value_characters), 'x'.repeat(value_characters)],
    ['value', 'x'.repeat(value_characters + 1), `value_too_long at 0+${value_characters + 1}`],
    ['wildcards', `title = ${'a*'.repeat(wildcards)}`, `title = ${'a*'.repeat(wildcards)}`],
    ['wildcards', `title = ${'a*'.repeat(wildcards + 1)}`, `too_many_wildcards at 8+${2 * wildcards + 2}`],
  ])('%s', (_limit, text, expected) => expect(read(text)).toBe(expected));

  test('depth and values within them are read', () => {
    expect(parse(list(listed_values), 'finding').ok).toBe(true);
    expect(parse(`${'not '.repeat(depth)}a`, 'finding').ok).toBe(true);
  });
});

describe('notes', () => {
  const notes = (text: string, subject: Subject): number[] => {
    const result = parse(text, subject);
    if (!result.ok) throw new Error(result.message);
    return result.notes.map(({ at }) => at);
  };
  test('two conditions that different packages may meet', () => {
    expect(notes('package = openssl and package.version < 3', 'asset')).toEqual([22]);
    expect(notes('has package (name = openssl and version < 3)', 'asset')).toEqual([]);
    expect(notes('package = openssl or package.version < 3', 'asset')).toEqual([]);
    expect(notes('package = openssl and package.version < 3', 'finding')).toEqual([]);
    expect(notes('not (finding.exploited and finding.cvss > 9)', 'asset')).toEqual([27]);
  });
});

test('chips are the terms that must all hold, with their places', () => {
  const text = 'hostname = web-* and (a or b) not finding.exploited os != debian';
  const result = parse(text, 'asset');
  if (!result.ok) throw new Error(result.message);
  expect(
    toChips(result.query).map(({ at, length, excludes }) => [text.slice(at, at + length), excludes]),
  ).toEqual([
    ['hostname = web-*', false],
    ['(a or b)', false],
    ['not finding.exploited', true],
    ['os != debian', true],
  ]);
});
