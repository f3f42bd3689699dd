import { describe, expect, test } from 'vitest';
import { compile, evaluate, recordOf, type PlainRecord, type Truth } from './evaluate.ts';
import type { Subject } from './fields.ts';
import { parse } from './parse.ts';

const now = Date.UTC(2026, 10, 22, 12);
const hour = 3_600_000;

function ask(text: string, subject: Subject, plain: PlainRecord): Truth {
  const result = parse(text, subject);
  if (!result.ok) throw new Error(`${text}: ${result.message}`);
  return evaluate(result.query, recordOf(plain), now);
}

const dpkg = (text: string): PlainRecord => ({ scheme: 'dpkg', text });

const web: PlainRecord = {
  hostname: 'web-1.example.org',
  os: 'debian',
  kernel: dpkg('6.1.0-25-amd64'),
  address: ['10.1.2.3', '2001:db8::7', 'fe80::1%eth0'],
  tag: ['production', 'web'],
  attribute: { role: 'web', owner: null },
  criticality: 4,
  reachable: true,
  last_seen: now - 2 * hour,
  failed_unit: [],
  package: [
    { name: 'openssl', version: dpkg('3.0.11-1~deb12u2') },
    { name: 'curl', version: dpkg('7.88.1-10') },
    { name: 'strange', version: { scheme: 'rpm', text: '1.0-1' } },
  ],
  finding: [
    { status: 'open', cvss: 9.8, exploited: false, first_seen: '2026-11-20T00:00:00Z' },
    { status: 'reboot_pending', cvss: 5, exploited: true, first_seen: now - 40 * 24 * hour },
  ],
};

describe('an asset', () => {
  test.each<[string, Truth]>([
    ['', true],
    ['hostname = web-1.example.org', true],
    ['hostname = WEB-*', true],
    ['hostname = web-?', false],
    ['hostname : example', true],
    ['hostname : w*z', false],
    ['hostname : w*1', true],
    ['web', true],
    ['web-*', true],
    ['example*', false],
    ['os in (ubuntu, deb*)', true],
    ['os not in (ubuntu, debian)', false],
    ['kernel < 6.1.0-26-amd64', true],
    ['kernel = 6.1.*', true],
    ['kernel = 6.1.0-25-amd64', true],
    ['address in 10.0.0.0/8', true],
    ['address in 10.0.0.0/16', false],
    ['address in 2001:db8::/32', true],
    ['address = fe80::1', true],
    ['address in (192.0.2.0/24, ::/0)', true],
    ['address = ::ffff:10.1.2.3', true],
    ['address 10.1.2.0..10.1.2.9', true],
    ['tag = web', true],
    ['tag : prod', true],
    ['tag = prod', false],
    ['tag != web', false],
    ['failed_unit = x', false],
    ['failed_unit != x', true],
    ['failed_unit is unknown', false],
    ['attribute.role = web', true],
    ['attribute.owner = me', null],
    ['attribute.none = me', false],
    ['attribute.none != me', true],
    ['criticality 4..5', true],
    ['reachable', true],
    ['not reachable', false],
    ['reachable = false', false],
    ['last_seen < 3h', true],
    ['last_seen < 2h', false],
    ['last_seen <= 2h', true],
    ['last_seen > 60min', true],
    ['last_seen 1h..1d', true],
    ['last_seen = 2026-11-22', true],
    ['last_seen = 2026-11-22T10:00', true],
    ['last_seen = 2026-11-22T10:01', false],
    ['last_seen = 2026-11', true],
    ['last_seen > 2026-11-22', false],
    ['last_seen >= 2026-11-22', true],
    ['last_seen < 2026-11-22', false],
    ['last_seen <= 2026-11-22', true],
    ['last_seen > 2026-11-22T11:59+02:00', true],
    ['last_seen 2026-11-01..2026-11-22', true],
    ['package = openssl', true],
    ['package.version < 3.0.20', true],
    ['has package (name = openssl and version < 3.0.11-1~deb12u2)', false],
    ['has package (name = openssl and version <= 3.0.11-1~deb12u2)', true],
    ['has package (name = strange and version > 0.9)', true],
    ['finding.cvss > 9 and finding.exploited', true],
    ['has finding (cvss > 9 and exploited)', false],
    ['not has finding (cvss > 9 and exploited)', true],
    ['finding.status != fixed', true],
    ['finding.status != open', false],
    ['has finding (status != open)', true],
    ['finding.first_seen < 7d', true],
    ['finding.first_seen > 60d', false],
    ['has patch', null],
    ['has patch or reachable', true],
    ['has patch and not reachable', false],
  ])('%s', (text, truth) => expect(ask(text, 'asset', web)).toBe(truth));
});

describe('what is not known', () => {
  const bare: PlainRecord = {
    cvss: null,
    severity: 'never heard of',
    first_seen: 'no date',
    exploited: null,
  };
  test.each<[string, Truth]>([
    ['cvss < 7', null],
    ['not cvss < 7', null],
    ['cvss != 7', null],
    ['cvss is unknown', true],
    ['cvss is known', false],
    ['not cvss is unknown', false],
    ['cvss < 7 or cvss is unknown', true],
    ['cvss < 7 and cvss is known', false],
    ['not exploited', null],
    ['exploited = false', null],
    ['severity >= low', null],
    ['first_seen < 7d', null],
    ['asset.os = debian', null],
    ['asset.os != debian', null],
  ])('%s', (text, truth) => expect(ask(text, 'finding', bare)).toBe(truth));

  test('one unknown value of many hides no other, and is no denial', () => {
    const asset: PlainRecord = { tag: ['web', null], finding: [{ exploited: null }, null] };
    expect(ask('tag = web', 'asset', asset)).toBe(true);
    expect(ask('tag = db', 'asset', asset)).toBe(null);
    expect(ask('tag != db', 'asset', asset)).toBe(null);
    expect(ask('tag is unknown', 'asset', asset)).toBe(true);
    expect(ask('has finding', 'asset', asset)).toBe(true);
    expect(ask('not finding.exploited', 'asset', asset)).toBe(null);
    expect(ask('not finding.exploited', 'asset', { finding: [] })).toBe(true);
  });

  test('versions that stand in no order', () => {
    const version = (text: string): PlainRecord => ({ version: dpkg(text) });
    expect(ask('version < 3', 'patch', version('not a version'))).toBe(null);
    expect(ask('version < a_b', 'patch', version('1.0'))).toBe(null);
    expect(ask('version = a_b', 'patch', version('a_b'))).toBe(true);
    expect(ask('version = 0:1.0', 'patch', version('1.0'))).toBe(true);
  });
});

test('dates that lie ahead: a duration is the time until then', () => {
  const due = (days: number): PlainRecord => ({ due: now + days * 24 * hour });
  expect(ask('due < 7d', 'finding', due(6))).toBe(true);
  expect(ask('due < 7d', 'finding', due(8))).toBe(false);
  expect(ask('due < 0d', 'finding', due(-1))).toBe(true);
  expect(ask('due < 0d', 'finding', due(1))).toBe(false);
  expect(ask('due < 2026-12-01', 'finding', due(6))).toBe(true);
});

test('a fact of another type than the table says is a bug', () => {
  expect(() => ask('cvss > 7', 'finding', { cvss: 'high' })).toThrow('cvss');
  expect(() => ask('exploited', 'finding', { exploited: 'yes' })).toThrow('exploited');
});

test('names of the language do not reach into objects', () => {
  expect(ask('attribute.constructor = x', 'asset', { attribute: {} })).toBe(false);
  expect(recordOf({}).field('constructor', null)).toBe(null);
  expect(recordOf({}).related('toString')).toBe(null);
});

test('a compiled query answers for many records', () => {
  const result = parse('cvss > 7', 'finding');
  if (!result.ok) throw new Error(result.message);
  const asked = compile(result.query, now);
  expect([6, 8, null].map((cvss) => asked(recordOf({ cvss })))).toEqual([false, true, null]);
});
