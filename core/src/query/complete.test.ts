import { describe, expect, test } from 'vitest';
import { complete } from './complete.ts';
import { explain } from './explain.ts';
import type { Subject } from './fields.ts';
import { editDistance, nearest } from './nearest.ts';
import { parse } from './parse.ts';
import { keyOf, plan } from './plan.ts';
import { matchesWildcard } from './wildcard.ts';

/** `|` is the cursor. */
function offered(marked: string, subject: Subject): string[] {
  const cursor = marked.indexOf('|');
  return complete(marked.replace('|', ''), cursor, subject).items.map(({ text }) => text);
}

describe('completion', () => {
  test.each<[Subject, string, string[]]>([
    ['asset', 'hostn|', ['hostname']],
    ['asset', 'host|name = x', ['hostname']],
    ['asset', 'HOSTN|', ['hostname']],
    ['asset', 'hostnmae|', ['hostname']],
    ['asset', 'os = debian and reach|', ['reachable']],
    ['asset', 'has fi|', ['finding (']],
    ['asset', 'has finding (cvs|', ['cvss']],
    ['asset', 'finding.cv|', ['finding.cvss']],
    ['asset', 'finding.asset.hostn|', ['finding.asset.hostname']],
    ['asset', 'hostname |', ['=', '!=', ':', 'in', 'not in', 'is unknown', 'is known']],
    ['asset', 'hostname=|', ['web-*']],
    ['finding', 'severity in (high, cr|', ['critical']],
    ['finding', 'severity = |', ['none', 'low', 'medium', 'high', 'critical']],
    ['finding', 'severity = hgih|', ['high']],
    ['finding', 'exploited a|', ['and']],
    ['finding', 'nonsense = |', []],
    ['finding', '"cv|', []],
    ['finding', ') cv|', []],
  ])('%s: %s', (subject, marked, texts) => expect(offered(marked, subject)).toEqual(texts));

  test('between terms, and in parentheses', () => {
    expect(offered('cvss > 7 |', 'finding').slice(0, 3)).toEqual(['and', 'or', 'status']);
    expect(offered('(cvss > 7 |', 'finding').slice(0, 3)).toEqual(['and', 'or', ')']);
    expect(offered('|', 'finding')).toContain('cvss');
  });

  test('says whose value or key is typed, for whoever knows which there are', () => {
    const at = (text: string) => complete(text, text.length, 'finding');
    expect(at('asset.attribute.role = we').valueOf).toEqual({
      scope: 'asset',
      field: 'attribute',
      key: 'role',
    });
    expect(at('package in (openssl, cu').valueOf).toEqual({ scope: 'package', field: 'name', key: null });
    expect(at('asset.attribute.ro').keyOf).toEqual({
      scope: 'asset',
      field: 'attribute',
      prefix: 'asset.attribute.',
    });
    expect(at('asset.host')).toMatchObject({ valueOf: null, keyOf: null });
  });

  test('says what it replaces', () => {
    expect(complete('os = deb and x', 7, 'asset')).toMatchObject({
      from: 5,
      to: 8,
      items: [{ text: 'debian' }],
    });
    expect(complete('os', 99, 'asset').to).toBe(2);
  });
});

test.each<[Subject, string, string]>([
  ['asset', '', 'All assets.'],
  [
    'asset',
    'hostname = web-* has finding (cvss > 9 exploited)',
    'Assets where the hostname is like web-* and it has a finding where (the CVSS score is above 9 and it is exploited).',
  ],
  ['asset', 'not finding.exploited', 'Assets where it has no finding where (it is exploited).'],
  ['asset', 'tag != web not reachable', 'Assets where no tag is web and it is not reachable.'],
  ['finding', 'first_seen < 7d', 'Findings where the first sighting was less than 7 days ago.'],
  [
    'finding',
    'due < 1w or cvss is unknown',
    'Findings where the due date is less than 1 week from now or the CVSS score is not known.',
  ],
  ['finding', 'asset.os = debian', 'Findings where its asset is one where (the operating system is debian).'],
  ['patch', 'published >= 2026-11-01', 'Patches where the publication is at the earliest on 2026-11-01 UTC.'],
  ['asset', 'address in 10.0.0.0/8', 'Assets where an address is in 10.0.0.0/8.'],
])('%s: %s explained', (subject, text, sentence) => {
  const result = parse(text, subject);
  expect(result.ok && explain(result.query)).toBe(sentence);
});

describe('plans', () => {
  const planned = (text: string, subject: Subject = 'asset') => {
    const result = parse(text, subject);
    if (!result.ok) throw new Error(result.message);
    return plan(result.query).root;
  };
  test.each([
    ['', 'all'],
    ['os = a and (mode = manage and os = a)', '(asset.mode = manage) and (asset.os = a)'],
    ['not (os = a or not mode = manage)', '(asset.mode = manage) and (not asset.os = a)'],
    ['os != a', 'not asset.os = a'],
    ['os is known', 'not asset.os is unknown'],
    [
      'not has finding (cvss > 9 exploited)',
      'every asset.finding ((not finding.cvss > 9) or (not finding.exploited))',
    ],
    ['has finding', 'some asset.finding (all)'],
    ['not has finding', 'every asset.finding (none)'],
  ])('%s', (text, key) => expect(keyOf(planned(text))).toBe(key));

  test('what asks for an age is marked', () => {
    expect(planned('last_seen < 7d')).toMatchObject({ predicate: { ageing: true } });
    expect(planned('last_seen < 2026-11-01')).toMatchObject({ predicate: { ageing: false } });
  });
});

test('distances and nearest names', () => {
  expect([editDistance('', 'ab'), editDistance('hostnme', 'hostname'), editDistance('cvsS', 'cvss')]).toEqual(
    [2, 1, 1],
  );
  expect(editDistance('hgih', 'high')).toBe(1);
  expect(nearest('sever', ['severity', 'never', 'server'])).toEqual(['severity', 'never', 'server']);
  expect(nearest('', ['a'])).toEqual([]);
});

test('wildcards, also where they would be slow', () => {
  expect(matchesWildcard('*', '')).toBe(true);
  expect(matchesWildcard('?', '')).toBe(false);
  expect(matchesWildcard('a*b?c', 'a--bxc')).toBe(true);
  expect(matchesWildcard('a.b', 'axb')).toBe(false);
  expect(matchesWildcard('a*a*a*a*a*a*a*a*a*b', 'a'.repeat(20_000))).toBe(false);
});
