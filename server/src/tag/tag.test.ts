import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testAgent } from '../asset/test-agent.ts';
import { listAudit } from '../audit/commands.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { assetsOfTags } from './commands.ts';

let test: TestApp;
let headers: { authorization: string };
beforeAll(async () => {
  test = await testApp(rooms);
  headers = await test.bearer('operator', 'ops');
});
afterAll(async () => await test.close());

const call = async (method: 'POST' | 'PUT' | 'DELETE' | 'GET', url: string, payload?: object) => {
  const response = await test.app.inject({
    method,
    url,
    headers,
    ...(payload === undefined ? {} : { payload }),
  });
  return { status: response.statusCode, body: response.json() };
};
const trail = async (subject: string) => {
  const list = await listAudit(test.context, { subject, limit: 100 });
  return list.ok ? list.value.items : [];
};

describe('a tag', () => {
  it('gets assets by id or host name, loses them, and is deleted; all of it is on the trail', async () => {
    const one = await testAgent(test, { hostname: 'one' });
    const two = await testAgent(test, { hostname: 'two' });
    expect(await call('POST', '/api/v1/tags', { name: 'prod/web', description: 'the shop' })).toMatchObject({
      status: 201,
      body: { name: 'prod/web', assets: 0, created_by: 'ops' },
    });
    const members = '/api/v1/tags/prod%2Fweb/assets';
    expect(await call('PUT', members, { assets: ['one', two.uid.toUpperCase(), 'two'] })).toMatchObject({
      status: 200,
      body: { assets: 2 },
    });
    expect(await call('PUT', members, { assets: ['one'] })).toMatchObject({
      status: 200,
      body: { assets: 2 },
    });
    expect((await call('GET', '/api/v1/assets?tag=prod%2Fweb')).body.items).toMatchObject([
      { hostname: 'one', tags: ['prod/web'] },
      { hostname: 'two' },
    ]);
    const ids = await assetsOfTags(test.context.db, ['prod/web']);
    expect(ids.ok && ids.value).toHaveLength(2);
    expect(await call('DELETE', members, { assets: ['two'] })).toMatchObject({
      status: 200,
      body: { assets: 1 },
    });
    expect(await call('DELETE', members, { assets: ['two'] })).toMatchObject({
      status: 200,
      body: { assets: 1 },
    });
    expect(await call('DELETE', '/api/v1/tags/prod%2Fweb')).toMatchObject({
      status: 200,
      body: { assets: 1 },
    });
    expect((await trail('prod/web')).map((event) => [event.event, event.before, event.after])).toEqual([
      ['tag.created', null, { description: 'the shop' }],
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
      ['tag.deleted', { description: 'the shop', assets: 1 }, null],
    ]);
  });

  it('is refused when it is there, unknown, badly named, or its assets are unknown', async () => {
    await call('POST', '/api/v1/tags', { name: 'web' });
    const code = async (...request: Parameters<typeof call>) => {
      const { status, body } = await call(...request);
      return [status, body.error.code];
    };
    expect(await code('POST', '/api/v1/tags', { name: 'web' })).toEqual([409, 'tag_exists']);
    expect(await code('POST', '/api/v1/tags', { name: 'Web Server' })).toEqual([400, 'validation_failed']);
    expect(await code('DELETE', '/api/v1/tags/none')).toEqual([404, 'tag_unknown']);
    expect(await code('PUT', '/api/v1/tags/none/assets', { assets: ['one'] })).toEqual([404, 'tag_unknown']);
    expect(await code('PUT', '/api/v1/tags/web/assets', { assets: ['one', 'nobody'] })).toEqual([
      404,
      'asset_unknown',
    ]);
    expect(await code('PUT', '/api/v1/tags/web/assets', { assets: [] })).toEqual([400, 'validation_failed']);
    expect((await call('GET', '/api/v1/assets?tag=web')).body.items).toEqual([]);
    const unknown = await assetsOfTags(test.context.db, ['web', 'none']);
    expect(unknown).toMatchObject({ ok: false, code: 'tag_unknown', message: 'there is no tag none' });
  });

  it('is listed page after page', async () => {
    for (const name of ['p1', 'p2', 'p3']) await call('POST', '/api/v1/tags', { name });
    const first = (await call('GET', '/api/v1/tags?limit=2&after=p')).body;
    expect(first.items.map((tag: { name: string }) => tag.name)).toEqual(['p1', 'p2']);
    const second = (await call('GET', `/api/v1/tags?limit=2&after=${first.next}`)).body;
    expect(second.items[0].name).toBe('p3');
  });
});
