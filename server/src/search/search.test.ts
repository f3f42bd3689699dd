import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inventoryOf, installed, testAgent } from '../asset/test-agent.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';

/** Searches, dashboards, blast radius and risk over HTTP, from the read model as it follows the database. */

let app: TestApp;
let operator: { authorization: string };
const get = async (url: string, headers = {}) =>
  await app.app.inject({ url: `/api/v1/${url}`, headers: { ...operator, ...headers } });

beforeAll(async () => {
  app = await testApp(rooms, { knows: 'carried' });
  operator = await app.bearer('administrator');
  for (const [hostname, version] of [
    ['old-1', '3.0.17-1~deb12u2'],
    ['old-2', '3.0.17-1~deb12u2'],
    ['fixed-1', '3.0.22-1~deb12u2'],
  ] as const) {
    const agent = await testAgent(app);
    const inventory = inventoryOf([installed('libssl3', version, 'openssl')]);
    await agent.report({ ...inventory, host: { ...inventory.host, hostname } });
  }
  await app.app.inject({
    method: 'POST',
    url: '/api/v1/tags',
    headers: operator,
    payload: { name: 'web' },
  });
  await tag(['old-1', 'fixed-1']);
}, 120_000);
afterAll(async () => await app.close());

const tag = async (assets: string[]) =>
  await app.app.inject({
    method: 'PUT',
    url: '/api/v1/tags/web/assets',
    headers: operator,
    payload: { assets },
  });

test('the state of the read model', async () => {
  await get('posture/summary');
  const state = (await get('posture')).json();
  expect(state).toMatchObject({ assets: 3, settled: true, as_of: expect.any(String) });
  expect(state.pairs).toBeGreaterThan(0);
});

describe('the dashboard of a scope', () => {
  test('agrees with the list of findings', async () => {
    const summary = (await get('posture/summary')).json();
    const list = (await get('findings?limit=1000')).json();
    expect(summary.findings.total).toBe(list.total);
    const bySeverity = summary.findings.by_severity.reduce(
      (sum: number, one: { total: number }) => sum + one.total,
      0,
    );
    expect(bySeverity).toBe(list.total);
    const open = list.items.filter((one: { status: string }) => one.status === 'open');
    const withOpen = new Set(open.map((one: { hostname: string }) => one.hostname)).size;
    expect(summary).toMatchObject({ assets: 3, assets_with_open_findings: withOpen, words: 'All assets.' });
    expect(summary.risk.bands.reduce((sum: number, one: { assets: number }) => sum + one.assets, 0)).toBe(3);
    const [top] = summary.top_vulnerabilities;
    expect(top).toMatchObject({ assets: 2, score: expect.any(Number) });
    const [patch] = summary.top_patches;
    expect(patch).toMatchObject({ id: 'debian:12/openssl@3.0.22-1~deb12u2', assets: 2 });
    expect(patch.risk_removed).toBeGreaterThan(0);
    expect(patch.risk_removed).toBeLessThanOrEqual(summary.risk.sum);
  });

  test('of a tag and of a query; what was written is in the next one', async () => {
    const before = (await get('posture/summary?tag=web')).json();
    expect(before).toMatchObject({ assets: 2, tag: 'web' });
    const both = (
      await get(`posture/summary?tag=web&query=${encodeURIComponent('hostname = old-*')}`)
    ).json();
    expect(both).toMatchObject({ assets: 1, query: 'hostname = old-*' });
    const written = await tag(['old-2']);
    const after = await get('posture/summary?tag=web', {
      'fixpoint-at-least': String(written.headers['fixpoint-transaction']),
    });
    expect(after.json().assets).toBe(3);
    expect(after.json().findings.total).toBeGreaterThan(before.findings.total);
  });

  test('asked for by many at once, every answer is the same', async () => {
    const answers = await Promise.all(
      Array.from({ length: 5 }, async () => await get('posture/summary?tag=web')),
    );
    const [first] = answers.map((one) => one.json());
    for (const one of answers) expect(one.json()).toEqual({ ...first, as_of: one.json().as_of });
  });

  test('a tag that there is not, and a query that is wrong, with the place', async () => {
    expect((await get('posture/summary?tag=nobody')).json().error.code).toBe('tag_unknown');
    const refused = await get('posture/summary?query=hostnme%20%3D%20x');
    expect(refused.statusCode).toBe(400);
    expect(refused.json().error).toMatchObject({
      code: 'unknown_field',
      problems: [{ path: 'querystring/query', at: 0, length: 7, suggestions: ['hostname'] }],
    });
  });
});

test('a transaction that has not been is waited for, and then refused', async () => {
  const refused = await get('posture/summary', { 'fixpoint-at-least': '99999999999' });
  expect(refused.statusCode).toBe(503);
  expect(refused.headers['retry-after']).toBeDefined();
  expect(refused.json().error).toMatchObject({ code: 'not_yet', what_to_do: expect.any(String) });
}, 20_000);

test('who has a vulnerability, page by page and within a scope', async () => {
  const all = (await get('vulnerabilities/CVE-2025-15467/assets')).json();
  expect(all.total).toBe(2);
  expect(all.items.map((one: { hostname: string }) => one.hostname).sort()).toEqual(['old-1', 'old-2']);
  expect(all.items[0]).toMatchObject({
    risk: expect.any(Number),
    findings: [{ package: 'openssl', status: 'open', first_seen_at: expect.any(String) }],
  });
  const first = (await get('vulnerabilities/CVE-2025-15467/assets?limit=1')).json();
  const second = (await get(`vulnerabilities/CVE-2025-15467/assets?limit=1&after=${first.next}`)).json();
  expect([...first.items, ...second.items]).toEqual(all.items);
  expect(second.next).toBeNull();
  const one = (await get('vulnerabilities/CVE-2025-15467/assets?query=hostname%20%3D%20old-2')).json();
  expect(one.total).toBe(1);
  expect((await get('vulnerabilities/CVE-1900-1/assets')).statusCode).toBe(404);
});

test('the list of assets takes a query, and is in the order of risk', async () => {
  const found = (await get('assets?query=os%20%3D%20debian&sort=risk')).json();
  expect(found.total).toBe(3);
  const risks = found.items.map((one: { risk: number }) => one.risk);
  expect(risks).toEqual(risks.toSorted((a: number, b: number) => b - a));
  expect(found.items.at(-1)).toMatchObject({
    hostname: 'fixed-1',
    criticality: 3,
    criticality_why: expect.any(String),
  });
  const [second] = (await get('assets?sort=risk&limit=1&after=1')).json().items;
  expect(second).toEqual(found.items[1]);
  expect(
    (await get('assets?query=hostname%20%3D%20old-*&tag=web'))
      .json()
      .items.map((one: { hostname: string }) => one.hostname),
  ).toEqual(['old-1', 'old-2']);
  expect((await get('assets?query=nonsense%20%3D%201')).json().error.problems[0].path).toBe(
    'querystring/query',
  );
  expect((await get('assets?sort=colour')).statusCode).toBe(400);
});

test('the risk of an asset with its factors', async () => {
  const risk = (await get('assets/old-1/risk')).json();
  expect(risk.criticality).toEqual({ level: 3, why: expect.any(String) });
  expect(risk.risk).toBeGreaterThan(0);
  expect(risk.factors.length).toBeGreaterThan(5);
  expect(risk.factors[0].probability).toBeGreaterThanOrEqual(risk.factors[1].probability);
  expect(risk.factors[0]).toMatchObject({
    packages: ['openssl'],
    status: 'open',
    words: expect.stringContaining('EPSS'),
  });
  const inAll = (await get('vulnerabilities/CVE-2025-15467/assets')).json();
  expect(inAll.items.find((one: { hostname: string }) => one.hostname === 'old-1').risk).toBeCloseTo(
    risk.risk,
    5,
  );
});

test('values that the fleet has are offered', async () => {
  const offered = async (subject: string, text: string) => {
    const url = '/api/v1/query/complete';
    const answered = await app.app.inject({
      method: 'POST',
      url,
      headers: operator,
      payload: { subject, text },
    });
    return answered.json().items.map((one: { text: string }) => one.text);
  };
  expect(await offered('asset', 'tag = w')).toEqual(['web']);
  expect(await offered('asset', 'hostname = old')).toEqual(expect.arrayContaining(['old-1', 'old-2']));
  expect(await offered('finding', 'package.name = lib')).toEqual(['libssl3']);
  expect(await offered('finding', 'vulnerability = CVE-2025-154')).toContain('CVE-2025-15467');
});

describe('search', () => {
  const search = async (subject: string, parts: Record<string, string> = {}) =>
    await get(`search/${subject}?${new URLSearchParams(parts).toString()}`);

  test('assets, as the usual columns in the usual order', async () => {
    const found = (await search('asset', { query: 'hostname=old-*' })).json();
    expect(found).toMatchObject({
      query: 'hostname = old-*',
      words: 'Assets where the hostname is like old-*.',
      total: 2,
      next: null,
      sort: [
        { by: 'risk', descending: true },
        { by: 'hostname', descending: false },
      ],
    });
    expect(found.columns.map((one: { name: string }) => one.name)).toContain('risk');
    expect(found.items.map((one: { values: { hostname: string } }) => one.values.hostname)).toEqual([
      'old-1',
      'old-2',
    ]);
    expect(found.items[0].of.asset).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('columns and order as they are asked for', async () => {
    const found = (
      await search('finding', {
        query: 'asset.hostname = old-1',
        columns: 'cvss,vulnerability',
        sort: '-cvss,vulnerability',
      })
    ).json();
    const rows: { cvss: number | null; vulnerability: string }[] = found.items.map(
      (one: { values: { cvss: number | null; vulnerability: string } }) => one.values,
    );
    expect(rows.length).toBeGreaterThan(10);
    expect(Object.keys(rows[0] ?? {})).toEqual(['cvss', 'vulnerability']);
    const known = rows.flatMap(({ cvss }) => cvss ?? []);
    expect(known).toEqual(known.toSorted((a, b) => b - a));
    expect(rows.slice(known.length).every(({ cvss }) => cvss === null)).toBe(true);
  });

  test('page after page gives all of it once; the cursor is of this query and order', async () => {
    const seen: string[] = [];
    let after = '';
    let total = 0;
    do {
      const page = (
        await search('finding', { limit: '17', columns: 'title', ...(after === '' ? {} : { after }) })
      ).json();
      for (const { of } of page.items) seen.push(`${of.asset} ${of.vulnerability} ${of.package}`);
      ({ total } = page);
      after = page.next ?? '';
    } while (after !== '');
    expect(new Set(seen).size).toBe(total);
    expect(seen).toHaveLength(total);
    const first = (await search('finding', { limit: '5' })).json();
    const other = await search('finding', { limit: '5', after: first.next, sort: 'vulnerability' });
    expect(other.json().error.code).toBe('cursor_invalid');
    // Where a page ends is told by what every server calls it, not by a place in the memory of this one.
    const { last } = JSON.parse(Buffer.from(first.next, 'base64url').toString('utf8'));
    const { of } = first.items.at(-1);
    expect(last).toMatch(new RegExp(`^${of.asset} ${of.vulnerability} debian ${of.package}$`));
    expect((await search('finding', { after: 'x' })).json().error.code).toBe('cursor_invalid');
  });

  test('vulnerabilities and patches', async () => {
    const vulnerabilities = (
      await search('vulnerability', { query: 'affected_assets >= 2 and package = openssl' })
    ).json();
    expect(vulnerabilities.total).toBeGreaterThan(5);
    const scores = vulnerabilities.items.map((one: { values: { score: number } }) => one.values.score);
    expect(scores).toEqual(scores.toSorted((a: number, b: number) => b - a));
    const patches = (await search('patch', { query: 'package = openssl and not superseded' })).json();
    expect(patches.items.map((one: { of: { patch: string } }) => one.of.patch)).toEqual([
      'debian:12/openssl@3.0.22-1~deb12u2',
    ]);
    expect(patches.items[0].values).toMatchObject({ affected_assets: 2 });
  });

  test.each([
    [{ query: 'hostnme = x' }, 'unknown_field', { path: 'querystring/query', at: 0, length: 7 }],
    [
      { columns: 'hostname,rsik' },
      'column_unknown',
      { path: 'querystring/columns', at: 9, suggestions: ['risk'] },
    ],
    [{ sort: 'hostname, -rsik' }, 'column_unknown', { path: 'querystring/sort', at: 11 }],
  ])('%o is refused with its place', async (parts, code, problem) => {
    const refused = await search('asset', parts);
    expect(refused.statusCode).toBe(400);
    expect(refused.json().error).toMatchObject({ code, problems: [problem] });
  });
});
