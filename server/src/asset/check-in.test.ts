import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inventoryDigests } from '@fixpoint/core/inventory/digest.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { contactOf } from './contact.ts';
import { stampContacts } from './store.ts';
import { installed, inventoryOf, testAgent, type TestAgent } from './test-agent.ts';

let test: TestApp;
beforeAll(async () => {
  test = await testApp(rooms, { config: { checkInSeconds: 60, activeCheckInSeconds: 1 } });
});
afterAll(async () => await test.close());

const inventory = inventoryOf([installed('openssl', '3.0.11-1~deb12u2')]);
const checkIn = (agent: TestAgent, changes: object = {}) =>
  agent.post('/agent/v1/check-in', {
    agent_version: '0.1.0',
    boot_id: 'b',
    digests: inventoryDigests(inventory),
    tasks: [],
    ...changes,
  });
const row = async (agent: TestAgent) =>
  await test.context.db
    .selectFrom('asset')
    .selectAll()
    .where('uid', '=', agent.uid)
    .executeTakeFirstOrThrow();
const contact = async (agent: TestAgent) =>
  await test.context.db
    .selectFrom('asset_contact')
    .select(['last_seen_at', 'next_check_in_seconds'])
    .where('asset_id', '=', (await row(agent)).id)
    .executeTakeFirst();
/** Longer than the batch of contacts waits. */
const untilWritten = async () => await sleep(400);

describe('a check-in', () => {
  it('says what the server holds, and when to come back', async () => {
    const agent = await testAgent(test);
    const first = await checkIn(agent);
    expect(first.statusCode).toBe(200);
    expect(first.json()).toEqual({
      server_time: test.clock.now().toISOString(),
      next_check_in_seconds: 60,
      inventory: null,
      orders: [],
      cancelled_tasks: [],
    });
    await agent.report(inventory);
    expect((await checkIn(agent)).json()).toMatchObject({ inventory: inventoryDigests(inventory) });
  });

  it('is written in a batch, and changes nothing else', async () => {
    const agents = await Promise.all([1, 2, 3].map((i) => testAgent(test, { hostname: `batch-${i}` })));
    const before = await Promise.all(agents.map(row));
    test.clock.pass(7);
    await Promise.all(agents.map((agent) => checkIn(agent)));
    await untilWritten();
    const after = await Promise.all(agents.map(row));
    expect(after).toEqual(before);
    for (const agent of agents) {
      expect(await contact(agent)).toEqual({ last_seen_at: test.clock.now(), next_check_in_seconds: 60 });
    }
    const listed = await test.app.inject({
      url: '/api/v1/assets?hostname=batch-1',
      headers: await test.bearer('viewer'),
    });
    expect(listed.json()).toMatchObject({
      total: 1,
      items: [{ contact: 'current', last_seen_at: test.clock.now().toISOString() }],
    });
  });

  it('never moves the time that an asset was heard back', async () => {
    const agent = await testAgent(test);
    const { id } = await row(agent);
    const now = test.clock.now();
    await stampContacts(test.context.db, [{ assetId: id, at: now, nextCheckInSeconds: 60 }]);
    await stampContacts(test.context.db, [
      { assetId: id, at: new Date(now.getTime() - 5000), nextCheckInSeconds: 1 },
    ]);
    expect(await contact(agent)).toEqual({ last_seen_at: now, next_check_in_seconds: 60 });
  });

  it('keeps and shows what the agent cannot read, until it can again', async () => {
    const agent = await testAgent(test);
    await agent.report(inventory);
    const problem = { code: 'dpkg_status_truncated', message: '/var/lib/dpkg/status ends inside a package' };
    await checkIn(agent, { problems: [problem] });
    const shown = async () =>
      (
        await test.app.inject({
          url: `/api/v1/assets/${agent.uid}`,
          headers: await test.bearer('viewer'),
        })
      ).json();
    const told = await shown();
    expect(told.asset.undetermined).toBeGreaterThan(0);
    expect(JSON.stringify(told.undetermined)).toContain('dpkg_status_truncated');
    await checkIn(agent);
    expect(JSON.stringify((await shown()).undetermined)).not.toContain('dpkg_status_truncated');
  });

  it('tells a newer agent', async () => {
    const agent = await testAgent(test);
    await checkIn(agent, { agent_version: '0.2.0' });
    expect((await row(agent)).agent_version).toBe('0.2.0');
  });

  it('with tasks that the server does not know takes them back', async () => {
    const agent = await testAgent(test);
    const task_id = '00000000-0000-4000-8000-000000000000';
    const response = await checkIn(agent, { tasks: [{ task_id, generation: 1, state: 'staged' }] });
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({ orders: [], cancelled_tasks: [task_id] });
  });

  it('of a wrong shape is refused', async () => {
    const agent = await testAgent(test);
    const response = await checkIn(agent, { digests: {}, tasks: [{ task_id: 'x' }] });
    expect(response.statusCode).toBe(400);
  });

  it('is written before the server ends', async () => {
    const fresh = await testApp(rooms);
    const agent = await testAgent(fresh);
    await agent.post('/agent/v1/check-in', {
      agent_version: '0.1.0',
      boot_id: 'b',
      digests: inventoryDigests(inventory),
      tasks: [],
    });
    await fresh.app.close();
    const [heard] = await fresh.context.db.selectFrom('asset_contact').selectAll().execute();
    expect(heard?.last_seen_at).toEqual(fresh.clock.now());
    await fresh.database.close();
  });
});

describe('an asset', () => {
  const now = new Date('2026-03-02T10:00:00Z');
  const heard = (secondsAgo: number, next = 60) => ({
    retired_at: null,
    last_seen_at: new Date(now.getTime() - secondsAgo * 1000),
    next_check_in_seconds: next,
  });
  it.each([
    [{ retired_at: null, last_seen_at: null, next_check_in_seconds: 60 }, 'never'],
    [heard(0), 'current'],
    [heard(195), 'current'],
    [heard(196), 'silent'],
    [heard(18, 1), 'current'],
    [heard(19, 1), 'silent'],
    [{ ...heard(0), retired_at: now }, 'retired'],
  ] as const)('that is %j is %s', (asset, expected) => {
    expect(contactOf(asset, now)).toBe(expected);
  });

  it('is listed by host name, page after page, each once', async () => {
    const fresh = await testApp(rooms);
    try {
      for (const hostname of ['b', 'a', 'c', 'a', 'd']) await testAgent(fresh, { hostname });
      const headers = await fresh.bearer('viewer');
      const seen: { hostname: string; id: string }[] = [];
      let after: string | null = '';
      while (after !== null) {
        const page = await fresh.app.inject({
          url: `/api/v1/assets?limit=2${after === '' ? '' : `&after=${after}`}`,
          headers,
        });
        const body: { items: { hostname: string; id: string }[]; total: number; next: string | null } =
          page.json();
        expect(body.total).toBe(5);
        seen.push(...body.items);
        after = body.next;
      }
      expect(seen.map((asset) => asset.hostname)).toEqual(['a', 'a', 'b', 'c', 'd']);
      expect(new Set(seen.map((asset) => asset.id)).size).toBe(5);
      const code = async (url: string) => {
        const response = await fresh.app.inject({ url, headers });
        return [response.statusCode, response.json().error.code];
      };
      expect(await code('/api/v1/assets?after=nonsense')).toEqual([400, 'cursor_invalid']);
      expect(await code('/api/v1/assets?tag=none')).toEqual([404, 'tag_unknown']);
      expect(await code('/api/v1/assets/a')).toEqual([409, 'asset_ambiguous']);
      expect(await code('/api/v1/assets/nobody')).toEqual([404, 'asset_unknown']);
      expect(await code('/api/v1/assets/no%00body')).toEqual([400, 'unstorable_text']);
      expect((await fresh.app.inject({ url: '/api/v1/assets/b', headers })).json().asset.hostname).toBe('b');
    } finally {
      await fresh.close();
    }
  });

  it('is retired by those who may, with a reason, once', async () => {
    const agent = await testAgent(test, { hostname: 'old' });
    const retire = async (headers: { authorization: string }, payload: object, id = agent.uid) =>
      await test.app.inject({ method: 'POST', url: `/api/v1/assets/${id}/retire`, headers, payload });
    const operator = await test.bearer('operator');
    expect((await retire(await test.bearer('viewer'), { reason: 'x' })).statusCode).toBe(403);
    expect((await retire(operator, {})).statusCode).toBe(400);
    expect((await retire(operator, { reason: 'x' }, 'nobody')).statusCode).toBe(404);
    const retired = await retire(operator, { reason: 'sold' });
    expect(retired.statusCode).toBe(200);
    test.clock.pass(5);
    expect((await retire(operator, { reason: 'again' })).json()).toEqual(retired.json());
    // Its name is free for another host.
    expect((await test.app.inject({ url: '/api/v1/assets/old', headers: operator })).statusCode).toBe(404);
  });
});
