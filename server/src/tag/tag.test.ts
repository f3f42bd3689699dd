import { deserialise } from '@fixpoint/core/posture/asset-set.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testAgent } from '../asset/test-agent.ts';
import { listAudit } from '../audit/commands.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { assetsOfTags, tagsOfAssets, writeDownMembers } from './members.ts';

let test: TestApp;
let headers: { authorization: string };
beforeAll(async () => {
  test = await testApp(rooms);
  headers = await test.bearer('operator', 'ops');
});
afterAll(async () => await test.close());

type Method = 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'GET';
const call = async (method: Method, url: string, payload?: object) => {
  const response = await test.app.inject({
    method,
    url: `/api/v1${url}`,
    headers,
    ...(payload === undefined ? {} : { payload }),
  });
  return { status: response.statusCode, body: response.json() };
};
const made = async (payload: object) => {
  const { status, body } = await call('POST', '/tags', payload);
  if (status !== 201) throw new Error(JSON.stringify(body));
  return body;
};
const refused = async (...request: Parameters<typeof call>) => {
  const { status, body } = await call(...request);
  return [status, body.error.code];
};
const trail = async (subject: string) => {
  const list = await listAudit(test.context, { subject, limit: 100 });
  return list.ok ? list.value.items : [];
};
const hostnames = async (tag: string): Promise<string[]> =>
  (await call('GET', `/assets?tag=${encodeURIComponent(tag)}`)).body.items.map(
    (asset: { hostname: string }) => asset.hostname,
  );

describe('a list', () => {
  it('gets assets by id or host name, loses them, and is deleted; all of it is on the trail', async () => {
    const one = await testAgent(test, { hostname: 'one' });
    const two = await testAgent(test, { hostname: 'two' });
    expect(await made({ name: 'prod/web', description: 'the shop' })).toMatchObject({
      name: 'prod/web',
      kind: 'list',
      assets: 0,
      created_by: 'ops',
    });
    const members = '/tags/prod%2Fweb/assets';
    expect(await call('PUT', members, { assets: ['one', two.uid.toUpperCase(), 'two'] })).toMatchObject({
      status: 200,
      body: { assets: 2 },
    });
    expect(await call('PUT', members, { assets: ['one'] })).toMatchObject({
      status: 200,
      body: { assets: 2 },
    });
    expect((await call('GET', '/assets?tag=prod%2Fweb')).body.items).toMatchObject([
      { hostname: 'one', tags: ['prod/web'] },
      { hostname: 'two' },
    ]);
    const ids = await assetsOfTags(test.context, ['prod/web']);
    expect(ids.ok && ids.value).toHaveLength(2);
    expect(await call('DELETE', members, { assets: ['two'] })).toMatchObject({
      status: 200,
      body: { assets: 1 },
    });
    expect(await call('DELETE', members, { assets: ['two'] })).toMatchObject({
      status: 200,
      body: { assets: 1 },
    });
    expect(await call('DELETE', '/tags/prod%2Fweb')).toMatchObject({ status: 200, body: { assets: 1 } });
    const told = { name: 'prod/web', description: 'the shop', parent: null, kind: 'list' };
    expect((await trail('prod/web')).map((event) => [event.event, event.before, event.after])).toEqual([
      ['tag.created', null, told],
      [
        'tag.assets_added',
        null,
        {
          assets: [
            { id: one.uid, hostname: 'one' },
            { id: two.uid, hostname: 'two' },
          ],
        },
      ],
      ['tag.assets_removed', { assets: [{ id: two.uid, hostname: 'two' }] }, null],
      ['tag.deleted', { ...told, assets: 1 }, null],
    ]);
  });

  it('is refused when it is there, unknown, badly named, or its assets are unknown', async () => {
    await made({ name: 'web', assets: ['one'] });
    expect(await hostnames('web')).toEqual(['one']);
    expect(await refused('POST', '/tags', { name: 'web' })).toEqual([409, 'tag_exists']);
    expect(await refused('POST', '/tags', { name: 'Web Server' })).toEqual([400, 'validation_failed']);
    expect(await refused('DELETE', '/tags/none')).toEqual([404, 'tag_unknown']);
    expect(await refused('GET', '/tags/none')).toEqual([404, 'tag_unknown']);
    expect(await refused('PUT', '/tags/none/assets', { assets: ['one'] })).toEqual([404, 'tag_unknown']);
    expect(await refused('PUT', '/tags/web/assets', { assets: ['one', 'nobody'] })).toEqual([
      404,
      'asset_unknown',
    ]);
    expect(await refused('PUT', '/tags/web/assets', { assets: [] })).toEqual([400, 'validation_failed']);
    expect(await refused('PATCH', '/tags/web', {})).toEqual([400, 'validation_failed']);
    expect(await refused('PATCH', '/tags/web', { rule: 'hostname = one' })).toEqual([409, 'tag_is_a_list']);
    const unknown = await assetsOfTags(test.context, ['web', 'wev']);
    expect(unknown).toMatchObject({
      ok: false,
      code: 'tag_unknown',
      message: expect.stringContaining('mean web'),
    });
  });

  it('is listed page after page', async () => {
    for (const name of ['p1', 'p2', 'p3']) await made({ name });
    const first = (await call('GET', '/tags?limit=2&after=p')).body;
    expect(first.items.map((tag: { name: string }) => tag.name)).toEqual(['p1', 'p2']);
    const second = (await call('GET', `/tags?limit=2&after=${first.next}`)).body;
    expect(second.items[0].name).toBe('p3');
  });
});

describe('a rule', () => {
  it('has who is of it, as it is changed, as hosts come, and in every list of assets', async () => {
    await testAgent(test, { hostname: 'shop-1' });
    const tag = await made({ name: 'shop', rule: 'hostname = shop-*' });
    expect(tag).toMatchObject({ kind: 'rule', rule: 'hostname = shop-*', assets: 1, unknown: 0 });
    const two = await testAgent(test, { hostname: 'shop-2' });
    expect(await hostnames('shop')).toEqual(['shop-1', 'shop-2']);
    await made({ name: 'all', description: 'above' });
    expect(
      await call('PATCH', '/tags/shop', { parent: 'all', description: 'hosts of the shop' }),
    ).toMatchObject({
      status: 200,
      body: { parent: 'all', rule: 'hostname = shop-*', assets: 2 },
    });
    expect(await hostnames('all')).toEqual(['shop-1', 'shop-2']);
    await call('PUT', '/tags/all/assets', { assets: ['one'] });
    expect(await hostnames('all')).toEqual(['one', 'shop-1', 'shop-2']);
    expect((await call('PATCH', '/tags/shop', { rule: 'hostname = shop-2' })).body).toMatchObject({
      assets: 1,
    });
    const ids = await assetsOfTags(test.context, ['shop']);
    if (!ids.ok) throw new Error(ids.message);
    expect(await tagsOfAssets(test.context, ids.value)).toEqual(new Map([[ids.value[0], ['all', 'shop']]]));
    expect((await call('GET', `/assets/${two.uid}`)).body.asset.tags).toEqual(['all', 'shop']);
    expect((await call('GET', '/tags/shop')).body).toMatchObject({
      words: 'Assets where the hostname is shop-2.',
      nested: [],
      asks_for: [],
      needed_by: [],
      depends_on: 'facts',
      depends_because: null,
    });
    expect((await call('GET', '/tags/all')).body).toMatchObject({ nested: ['shop'], tag: { assets: 2 } });
    expect((await trail('shop')).at(-1)).toMatchObject({
      event: 'tag.changed',
      before: { rule: 'hostname = shop-*' },
      after: { rule: 'hostname = shop-2' },
    });
  });

  it('takes no assets by hand, neither from people nor by a token for enrolment', async () => {
    await made({ name: 'by-rule', rule: 'os = debian' });
    expect(await refused('PUT', '/tags/by-rule/assets', { assets: ['one'] })).toEqual([
      409,
      'tag_not_a_list',
    ]);
    const enrolment = { name: 'rack', uses: 1, expires_in_minutes: 60, tags: ['by-rule'] };
    const response = await test.app.inject({
      method: 'POST',
      url: '/api/v1/enrolment-tokens',
      headers: await test.bearer('administrator', 'admin'),
      payload: enrolment,
    });
    expect([response.statusCode, response.json().error.code]).toEqual([409, 'tag_not_a_list']);
  });

  it('is refused with the place: what cannot be read, unknown tags, cycles', async () => {
    const problem = async (...request: Parameters<typeof call>) => {
      const { status, body } = await call(...request);
      return { status, code: body.error.code, problem: body.error.problems[0] };
    };
    expect(await problem('POST', '/tags', { name: 'r', rule: 'os = debian and hostnam = x' })).toMatchObject({
      status: 400,
      code: 'unknown_field',
      problem: { path: '/rule', at: 16, length: 7, suggestions: ['hostname'] },
    });
    expect(await problem('POST', '/tags', { name: 'r', rule: ' ' })).toMatchObject({
      code: 'tag_rule_empty',
    });
    expect(await problem('POST', '/tags', { name: 'r', rule: 'os = x and tag = shopp' })).toMatchObject({
      status: 400,
      code: 'tag_unknown',
      problem: { path: '/rule', at: 11, length: 11, suggestions: ['shop'] },
    });
    expect(await problem('POST', '/tags', { name: 'r', ranges: ['10.0.0.0/8', 'x'] })).toMatchObject({
      code: 'tag_range_invalid',
      problem: { path: '/ranges/1' },
    });
    expect(await problem('POST', '/tags', { name: 'r', rule: 'os = x', ranges: ['::/0'] })).toMatchObject({
      code: 'tag_members_ambiguous',
    });
    expect(await problem('PATCH', '/tags/shop', { parent: 'alll' })).toMatchObject({
      code: 'tag_unknown',
      problem: { path: '/parent', suggestions: ['all'] },
    });
    await made({ name: 'a', rule: 'os = x' });
    await made({ name: 'b', rule: 'tag = a' });
    expect(await problem('PATCH', '/tags/a', { rule: 'tag = b' })).toMatchObject({
      status: 409,
      code: 'tag_cycle',
      problem: { message: expect.stringContaining('a → b → a') },
    });
  });

  it('makes no cycle when two people save at once', async () => {
    await made({ name: 'x', rule: 'os = x' });
    await made({ name: 'y', rule: 'os = x' });
    const saved = await Promise.all([
      call('PATCH', '/tags/x', { rule: 'tag = y' }),
      call('PATCH', '/tags/y', { rule: 'tag = x' }),
    ]);
    expect(new Set(saved.map(({ status }) => status))).toEqual(new Set([200, 409]));
  });

  it('does not come to depend on a criticality rule that is saved at the same time and asks for it', async () => {
    await made({ name: 'racing', rule: 'os = x' });
    const administrator = await test.bearer('administrator', 'admin');
    const saved = await Promise.all([
      call('PATCH', '/tags/racing', { rule: 'criticality > 3' }),
      test.app.inject({
        method: 'POST',
        url: '/api/v1/criticality-rules',
        headers: administrator,
        payload: { name: 'racer', query: 'tag = racing', criticality: 5 },
      }),
    ]);
    const codes = saved.map((each) => ('status' in each ? each.status : each.statusCode));
    expect(codes.filter((code) => code < 300)).toHaveLength(1);
    await test.database.db.deleteFrom('criticality_rule').execute();
  });

  it('cannot be deleted or renamed while something names it, which is told', async () => {
    await made({ name: 'base', rule: 'os = debian' });
    await made({ name: 'inner', parent: 'base', rule: 'hostname = inner' });
    await made({ name: 'asks', rule: 'tag in (base, x)' });
    const now = test.clock.now();
    await test.database.db
      .insertInto('criticality_rule')
      .values({
        id: test.context.random.uuid(),
        name: 'important',
        position: 1,
        query: 'tag = base',
        criticality: 5,
        created_by: 'ops',
        created_at: now,
        updated_at: now,
      })
      .execute();
    expect((await call('GET', '/tags/base')).body.needed_by).toEqual([
      { kind: 'nested_tag', name: 'inner' },
      { kind: 'tag_rule', name: 'asks' },
      { kind: 'criticality_rule', name: 'important' },
    ]);
    expect(await refused('DELETE', '/tags/base')).toEqual([409, 'tag_needed']);
    expect(await refused('PATCH', '/tags/base', { name: 'ground' })).toEqual([409, 'tag_needed']);
    // A criticality rule asks for it, so it may not ask for what follows from criticality, itself or by another tag.
    expect(await refused('PATCH', '/tags/base', { rule: 'criticality > 3' })).toEqual([
      409,
      'tag_depends_on_its_users',
    ]);
    expect(await refused('PATCH', '/tags/inner', { rule: 'risk > 3' })).toEqual([
      409,
      'tag_depends_on_its_users',
    ]);
    await test.database.db.deleteFrom('criticality_rule').execute();
    await call('PATCH', '/tags/asks', { rule: 'criticality = 5' });
    expect((await call('GET', '/tags/asks')).body).toMatchObject({
      depends_on: 'findings',
      depends_because: 'it asks for criticality',
    });
    expect((await call('PATCH', '/tags/base', { name: 'ground' })).body).toMatchObject({ name: 'ground' });
    expect((await call('GET', '/tags/inner')).body.tag.parent).toBe('ground');
    await call('PATCH', '/tags/inner', { parent: null });
    expect((await call('DELETE', '/tags/ground')).status).toBe(200);
  });
});

describe('before saving', () => {
  it('is told who would enter and leave, with what changes along', async () => {
    for (const hostname of ['m-1', 'm-2']) await testAgent(test, { hostname });
    await made({ name: 'm', rule: 'hostname = m-*' });
    await made({ name: 'not-m', rule: 'hostname = m-* and tag != m' });
    const preview = (
      await call('POST', '/tags/preview', { tag: 'm', definition: { rule: 'hostname = m-1' } })
    ).body;
    expect(preview).toMatchObject({
      tags: [
        { tag: 'm', enter: { total: 0 }, leave: { total: 1, assets: [{ hostname: 'm-2' }] }, assets: 1 },
        { tag: 'not-m', enter: { total: 1, assets: [{ hostname: 'm-2' }] }, assets: 1 },
      ],
      criticality: { raised: { total: 0 } },
    });
    expect(await hostnames('m')).toEqual(['m-1', 'm-2']);
    expect(
      (await call('POST', '/tags/preview', { tag: 'new', definition: { assets: ['m-1'] } })).body.tags,
    ).toMatchObject([{ tag: 'new', enter: { total: 1 } }]);
    const noted = { tag: 'n', definition: { rule: 'package = openssl and package.version < 3' } };
    expect((await call('POST', '/tags/preview', noted)).body.notes).toMatchObject([
      { code: 'separate_related' },
    ]);
    expect(await refused('POST', '/tags/preview', { tag: 'm', definition: { rule: 'tag = not-m' } })).toEqual(
      [409, 'tag_cycle'],
    );
    const wrong = { tag: 'new', definition: { rule: 'tag = mm' } };
    expect((await call('POST', '/tags/preview', wrong)).body.error.problems).toMatchObject([
      { path: '/definition/rule', at: 0, length: 8, suggestions: ['m'] },
    ]);
    expect(await refused('POST', '/tags/preview', { tag: 'm', definition: null })).toEqual([
      409,
      'tag_needed',
    ]);
    const gone = (await call('POST', '/tags/preview', { tag: 'not-m', definition: null })).body;
    expect(gone.tags).toMatchObject([{ tag: 'not-m', leave: { total: 0 }, assets: 0 }]);
  });

  it('says why an asset is in a tag, and whose membership is not known', async () => {
    await made({ name: 'lan', ranges: ['10.0.0.0/8'] });
    expect((await call('GET', '/tags/lan/why?asset=m-1')).body).toMatchObject({
      is_member: null,
      tag: 'lan',
    });
    expect((await call('GET', '/tags/lan')).body.tag.unknown).toBeGreaterThan(0);
    expect((await call('GET', '/tags/lan')).body.unknown_assets[0]).toMatchObject({ hostname: 'one' });
    expect((await call('GET', '/tags/m/why?asset=m-1')).body).toMatchObject({
      is_member: true,
      by: 'rule',
      path: ['m'],
      sentence: 'It is in m: the rule of m holds, as the hostname is like m-*.',
    });
    expect(await refused('GET', '/tags/m/why?asset=nobody')).toEqual([404, 'asset_unknown']);
  });
});

it('who is in tags by rule is written down when it changes', async () => {
  await writeDownMembers(test.context);
  expect(await writeDownMembers(test.context)).toBe(0);
  await testAgent(test, { hostname: 'm-3' });
  // m, and that of all that run debian
  expect(await writeDownMembers(test.context)).toBe(2);
  const row = await test.database.db
    .selectFrom('tag')
    .select('members')
    .where('name', '=', 'm')
    .executeTakeFirstOrThrow();
  expect(deserialise(row.members).size).toBe(3);
});
