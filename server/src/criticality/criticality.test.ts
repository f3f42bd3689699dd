import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testAgent } from '../asset/test-agent.ts';
import { listAudit } from '../audit/commands.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';

let app: TestApp;
let headers: { authorization: string };
const uids: string[] = [];
beforeAll(async () => {
  app = await testApp(rooms);
  headers = await app.bearer('administrator', 'chief');
  for (const hostname of ['web-1', 'web-2', 'db-1'])
    uids.push((await testAgent(app, { hostname, arch: hostname === 'db-1' ? 'arm64' : 'amd64' })).uid);
}, 60_000);
afterAll(async () => await app.close());

const call = async (
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  url: string,
  payload?: object,
  as = headers,
) => {
  const answered = await app.app.inject({
    method,
    url: `/api/v1/${url}`,
    headers: as,
    ...(payload === undefined ? {} : { payload }),
  });
  return { status: answered.statusCode, body: answered.json() };
};
const level = async (hostname: string) => {
  const { body } = await call('GET', `assets/${hostname}/criticality`);
  return [body.criticality, body.rule ?? body.by];
};
const events = async (subject: string) => {
  const list = await listAudit(app.context, { subject, limit: 100 });
  return list.ok ? list.value.items : [];
};

describe('criticality', () => {
  test('comes from a person, else from the first rule that holds, else it is 3', async () => {
    expect(await level('web-1')).toEqual([3, 'default']);
    const web = await call('POST', 'criticality-rules', {
      name: 'web servers',
      query: 'hostname = web-*',
      criticality: 4,
    });
    expect(web).toMatchObject({
      status: 201,
      body: { assets: 2, words: expect.stringMatching(/^Assets where/) },
    });
    const arm = await call('POST', 'criticality-rules', {
      name: 'amd',
      query: 'arch = amd64',
      criticality: 2,
    });
    expect(arm.body.assets).toBe(0);
    expect([await level('web-1'), await level('db-1')]).toEqual([
      [4, 'web servers'],
      [3, 'default'],
    ]);
    const ordered = await call('PUT', 'criticality-rules/order', { order: [arm.body.id, web.body.id] });
    expect(ordered.body.items.map((one: { name: string }) => one.name)).toEqual(['amd', 'web servers']);
    expect(await level('web-1')).toEqual([2, 'amd']);
    const set = await call('PUT', 'assets/web-1/criticality', { criticality: 5, reason: 'the shop' });
    expect(set.body).toMatchObject({ criticality: 5, by: 'person', rule: null });
    expect(await level('web-1')).toEqual([5, 'person']);
    await call('PUT', 'assets/web-1/criticality', { criticality: null, reason: 'as the rules say' });
    expect(await level('web-1')).toEqual([2, 'amd']);
    expect(
      (await events(uids[0] ?? '')).filter(({ event }) => event === 'asset.criticality_set'),
    ).toMatchObject([
      { reason: 'the shop', before: { criticality: null }, after: { criticality: 5 } },
      { before: { criticality: 5 }, after: { criticality: null } },
    ]);
  });

  test('is previewed with all rules as they would be', async () => {
    const { body } = await call('POST', 'criticality-rules/preview', {
      rules: [{ name: 'x', query: 'hostname = db-*', criticality: 5 }],
    });
    expect(body).toMatchObject({ raised: 3, lowered: 0 });
    expect(body.changes).toEqual([
      { from: 2, to: 3, assets: 2, first: ['web-1', 'web-2'] },
      { from: 3, to: 5, assets: 1, first: ['db-1'] },
    ]);
  });

  test.each([
    ['risk > 5', 'rule_asks_judged_fact', 0, 8],
    ['os = debian and has finding (cvss > 5)', 'rule_asks_judged_fact', 33, 1],
    ['tag = gone', 'tag_unknown', 0, 10],
    ['hostnam = x', 'unknown_field', 0, 7],
    ['', 'rule_empty', 0, 0],
  ])('a rule that asks %s is refused with the place', async (query, code, at) => {
    const { status, body } = await call('POST', 'criticality-rules', { name: 'bad', query, criticality: 1 });
    expect([status, body.error.code]).toEqual([400, code]);
    expect(body.error.problems).toMatchObject([{ path: '/query' }]);
    if (code !== 'rule_asks_judged_fact') expect(body.error.problems[0].at).toBe(at);
  });

  test('rules are changed and deleted, and a name or an order that does not fit is refused', async () => {
    const rules = (await call('GET', 'criticality-rules')).body.items;
    const [first, second] = rules;
    expect((await call('PATCH', `criticality-rules/${first.id}`, { name: second.name })).status).toBe(409);
    expect((await call('PUT', 'criticality-rules/order', { order: [first.id] })).body.error.code).toBe(
      'criticality_order_incomplete',
    );
    const changed = await call('PATCH', `criticality-rules/${first.id}`, { criticality: 1 });
    expect(changed.body).toMatchObject({ criticality: 1, query: first.query, assets: 2 });
    expect((await call('DELETE', `criticality-rules/${first.id}`)).status).toBe(200);
    expect(await level('web-1')).toEqual([4, 'web servers']);
    expect((await call('DELETE', `criticality-rules/${first.id}`)).status).toBe(404);
    expect((await events(first.id)).map(({ event }) => event)).toEqual([
      'criticality_rule.created',
      'criticality_rule.changed',
      'criticality_rule.deleted',
    ]);
    const operator = await app.bearer('operator', 'op');
    const rule = { name: 'n', query: 'os = debian', criticality: 1 };
    expect((await call('POST', 'criticality-rules', rule, operator)).status).toBe(403);
  });
});

describe('attributes', () => {
  test('are set and removed, asked for by queries, and on the trail', async () => {
    const set = await call('PUT', 'assets/db-1/attributes', { set: { role: 'db', 'site.room': '12' } });
    expect(set.body.attributes).toEqual({ role: 'db', 'site.room': '12' });
    const changed = await call('PUT', 'assets/db-1/attributes', {
      set: { role: 'store' },
      remove: ['site.room'],
    });
    expect(changed.body.attributes).toEqual({ role: 'store' });
    // What changes nothing is no event.
    await call('PUT', 'assets/db-1/attributes', { set: { role: 'store' } });
    expect(
      (await events(uids[2] ?? '')).filter(({ event }) => event === 'asset.attributes_changed'),
    ).toMatchObject([
      { before: { attributes: {} }, after: { attributes: { role: 'db' } } },
      { before: { attributes: { role: 'db', 'site.room': '12' } }, after: { attributes: { role: 'store' } } },
    ]);
    const found = await call('POST', 'assets/attributes', {
      query: 'attribute.role = store',
      set: { a: 'b' },
    });
    expect(found.body).toEqual({ assets: 1, changed: 0, applied: false });
  });

  test('of many assets only when they are as many as expected', async () => {
    const change = { query: 'hostname = web-*', set: { role: 'web' } };
    const refused = await call('POST', 'assets/attributes', { ...change, expected_assets: 3 });
    expect([refused.status, refused.body.error.code]).toEqual([409, 'expected_differs']);
    const done = await call('POST', 'assets/attributes', { ...change, expected_assets: 2 });
    expect(done.body).toEqual({ assets: 2, changed: 2, applied: true });
    expect((await call('GET', 'assets/web-2/attributes')).body.attributes).toEqual({ role: 'web' });
    expect(await events('by query')).toMatchObject([{ after: { query: 'hostname = web-*', changed: 2 } }]);
  });

  test.each([
    [{ set: { 'a b': 'x' } }, 'validation_failed'],
    [{ set: { a: 'x'.repeat(256) } }, 'validation_failed'],
    [{ set: { a: '1' }, remove: ['a'] }, 'attributes_unclear'],
    [{}, 'attributes_unclear'],
  ])('%j is refused', async (change, code) => {
    const { status, body } = await call('PUT', 'assets/db-1/attributes', change);
    expect([status, body.error.code]).toEqual([400, code]);
  });

  test('are not more than 64', async () => {
    const many = (from: number) =>
      Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${String(from + i)}`, 'v']));
    expect((await call('PUT', 'assets/web-2/attributes', { set: many(0) })).status).toBe(200);
    const { status, body } = await call('PUT', 'assets/web-2/attributes', { set: many(100) });
    expect([status, body.error.code]).toEqual([409, 'attributes_too_many']);
  });
});
