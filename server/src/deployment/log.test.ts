import { get } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { InstallOrder } from '@fixpoint/contract/order.ts';
import type { TaskLogPiece } from '@fixpoint/contract/task-log.ts';
import { buildApp, type App } from '../app.ts';
import { transact } from '../transact.ts';
import { agentAtWork, type AtWork } from './log-double.ts';
import { testFleet, type Fleet } from './fleet-double.ts';
import { forgetTaskLogs } from './log.ts';
import { createLogStreams } from './log-stream.ts';
import { logRoutes } from './log-routes.ts';
import { openTaskWatch } from './task-watch.ts';

/** Real HTTP, real PostgreSQL; two servers on one database where that matters. */

let fleet: Fleet;
let other: App;
let urls: { here: string; there: string };
let web: AtWork;

beforeAll(async () => {
  fleet = await testFleet();
  const watch = openTaskWatch({ ...fleet.context, pool: fleet.database.pool });
  other = await buildApp({ ...fleet.context, taskWatch: watch }, { rooms: [logRoutes] });
  urls = {
    here: await fleet.app.listen({ host: '127.0.0.1', port: 0 }),
    there: await other.listen({ host: '127.0.0.1', port: 0 }),
  };
});
afterAll(async () => {
  await other.close();
  await fleet.close();
});
let number = 0;
beforeEach(async () => {
  web = await agentAtWork(fleet, `web-${String(++number)}`);
});

const text = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ step: 'install', text: `line ${String(from + i)}\n` }));

describe('pieces from the agent', () => {
  test('are kept once, in order and without gaps, and stay after the agent is told where to go on', async () => {
    expect(await web.log(0, text(0, 3))).toEqual({ next: 3, full: false, watched: false });
    expect(await web.log(0, text(0, 3)), 'again').toMatchObject({ next: 3 });
    expect(await web.log(1, text(1, 4)), 'overlapping').toMatchObject({ next: 5 });
    expect(await web.log(9, text(9, 1)), 'a gap').toMatchObject({ next: 5 });
    const { status, body } = await fleet.call('GET', `/api/v1/tasks/${web.order.task_id}/log?limit=2`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ next: '1:1', ended: false });
    const rest = await fleet.call('GET', `/api/v1/tasks/${web.order.task_id}/log?after=1:1`);
    expect(rest.body).toMatchObject({ next: null });
    const items: TaskLogPiece[] = Object(rest.body.items);
    expect(items.map((piece) => piece.text)).toEqual(['line 2\n', 'line 3\n', 'line 4\n']);
    const whole = await fleet.app.inject({
      url: `/api/v1/tasks/${web.order.task_id}/log.txt`,
      headers: fleet.operator,
    });
    expect(whole.headers['content-type']).toContain('text/plain');
    expect(whole.body).toMatch(/^# task .* on web-\d+: downloading\n# generation 1\n\S+Z install: line 0\n/u);
    expect(whole.body.trimEnd().split('\n')).toHaveLength(7);
  });

  test('are progress of the task', async () => {
    fleet.clock.pass(300);
    await web.log(0, text(0, 1));
    const row = await fleet.database.db
      .selectFrom('task')
      .select('progress_at')
      .where('id', '=', web.order.task_id)
      .executeTakeFirstOrThrow();
    expect(row.progress_at).toEqual(fleet.clock.now());
  });

  test('are bounded for each generation', async () => {
    const big = 'x'.repeat(15_999);
    let next = 0;
    let full = false;
    for (let call = 0; call < 5 && !full; call++) {
      const answer = await web.log(
        next,
        Array.from({ length: 20 }, () => ({ step: 'install', text: `${big}\n` })),
      );
      ({ next, full } = answer);
    }
    expect({ next, full }).toEqual({ next: 65, full: true });
  });

  test('of another asset, an unknown task or a generation that was never given are refused', async () => {
    const stranger = await agentAtWork(fleet, `stranger-${String(number)}`);
    const report = (changes: object) => ({
      task_id: web.order.task_id,
      generation: 1,
      first: 0,
      pieces: [{ at: fleet.clock.now().toISOString(), step: 'install', text: 'x' }],
      ...changes,
    });
    const code = async (session: string, changes: object) => {
      const { error } = await web.agent.post('/agent/v1/task-log', session, report(changes), [404, 409]);
      return String(Object(error).code);
    };
    expect(await code(stranger.agent.session, {})).toBe('task_unknown');
    expect(await code(web.agent.session, { task_id: web.order.deployment_id })).toBe('task_unknown');
    expect(await code(web.agent.session, { generation: 2 })).toBe('generation_unknown');
  });
});

describe('the stream', () => {
  test('goes on where it was after a cut, without loss and without repeat, at another server too', async () => {
    const { task_id: id } = web.order;
    await web.log(0, text(0, 2));
    const first = follow(urls.there, id);
    await first.until((s) => s.places.length === 2);
    expect(first.events[0]).toMatchObject({ name: 'state', data: { state: 'downloading', generation: 1 } });
    // What is told at the other server counts here at once.
    await untilWatched(id);
    expect(await web.log(2, text(2, 1))).toMatchObject({ next: 3, watched: true });
    await first.until((s) => s.places.length === 3);
    const { watched } = await web.checkIn();
    expect(watched).toEqual([id]);
    first.cut();
    await web.log(3, text(3, 4));
    const second = follow(urls.here, id, first.places.at(-1));
    await second.until((s) => s.places.length === 4);
    second.cut();
    const third = follow(urls.there, id, second.places.at(-1));
    await web.log(7, text(7, 250));
    await third.until((s) => s.places.length === 250);
    const places = [...first.places, ...second.places, ...third.places];
    expect(places).toEqual(Array.from({ length: 257 }, (_, i) => `1:${String(i)}`));
    third.cut();
  });

  test('lets go of a reader that has gone at once, and not with the next that it has to say', async () => {
    const stream = follow(urls.here, web.order.task_id);
    await stream.until((one) => one.events.length > 0);
    expect(fleet.context.taskWatch.watchers()).toBeGreaterThan(0);
    stream.cut();
    await vi.waitFor(() => expect(fleet.context.taskWatch.watchers()).toBe(0), { timeout: 3_000 });
  });

  test('is quick: what is stored is there within a second', async () => {
    const stream = follow(urls.there, web.order.task_id);
    await stream.until((s) => s.events.length > 0);
    await untilWatched(web.order.task_id);
    for (let i = 0; i < 5; i++) {
      const sent = performance.now();
      await web.log(i, text(i, 1));
      await stream.until((s) => s.places.length === i + 1);
      expect(performance.now() - sent).toBeLessThan(1_000);
    }
    stream.cut();
  });

  test('ends when the task has ended, with all that was written', async () => {
    const { task_id: id } = web.order;
    const stream = follow(urls.here, id);
    await stream.until((s) => s.events.length > 0);
    await web.log(0, text(0, 1));
    await web.agent.report(web.order, [
      { index: 1, state: 'failed', failure: 'disk_full', message: 'no room' },
    ]);
    await web.log(1, text(1, 1));
    await stream.ended;
    expect(stream.places).toEqual(['1:0', '1:1']);
    expect(stream.events.at(-1)).toMatchObject({ name: 'end', data: { state: 'failed' } });
    fleet.clock.pass(60);
    const late = follow(urls.here, id, '1:0');
    await late.ended;
    expect(
      late.events.map((e) => e.name),
      'who comes late is not kept waiting',
    ).toEqual(['state', 'log', 'end']);
  });

  test('is bounded in number, beats, and lets its server stop', async () => {
    const streams = createLogStreams(fleet.context, {
      lookMilliseconds: 5,
      heartbeatMilliseconds: 10,
      lingerMilliseconds: 20,
    });
    const opened = [];
    for (let i = 0; i < 20; i++) opened.push(await streams.open(web.order.task_id, undefined, 'person a'));
    expect(opened.every((one) => one.ok)).toBe(true);
    expect(await streams.open(web.order.task_id, undefined, 'person a')).toMatchObject({
      ok: false,
      status: 429,
      code: 'too_many_streams',
    });
    expect(await streams.open(web.order.deployment_id, undefined, 'person b')).toMatchObject({ status: 404 });
    const [one] = opened;
    let heard = '';
    if (one?.ok === true) {
      for await (const chunk of one.value) {
        heard += String(chunk);
        if (heard.includes(': still here\n\n: still here')) streams.closeAll();
      }
    }
    expect(heard).toContain('retry: 2000');
  });

  test('asks for a permission, and for a place that there can be', async () => {
    const path = `/api/v1/tasks/${web.order.task_id}/log/stream`;
    expect((await fleet.app.inject({ url: path })).statusCode).toBe(401);
    const wrong = await fleet.app.inject({
      url: path,
      headers: { ...fleet.operator, 'last-event-id': 'yesterday' },
    });
    expect(wrong.statusCode).toBe(400);
    expect(wrong.json()).toMatchObject({ error: { code: 'last_event_id_invalid' } });
    expect((await fleet.app.inject({ url: `${path}?after=x`, headers: fleet.operator })).statusCode).toBe(
      400,
    );
  });

  async function untilWatched(id: string): Promise<void> {
    for (let i = 0; i < 200 && !fleet.context.taskWatch.isWatched(id); i++)
      await new Promise((resolve) => setTimeout(resolve, 20));
    expect(fleet.context.taskWatch.isWatched(id)).toBe(true);
  }
});

test('logs of tasks that ended long ago are forgotten, and no others', async () => {
  await web.log(0, text(0, 1));
  const open = await agentAtWork(fleet, `open-${String(number)}`);
  await open.log(0, text(0, 1));
  await web.agent.report(web.order, [{ index: 1, state: 'failed', failure: 'disk_full' }]);
  const count = async (order: InstallOrder) => {
    const { body } = await fleet.call('GET', `/api/v1/tasks/${order.task_id}/log`);
    return Number(Object(body.items).length);
  };
  const forget = () => forgetTaskLogs(fleet.context, (work) => transact(fleet.context.db, work));
  fleet.clock.pass(89 * 86_400);
  const operator = await fleet.bearer('operator', 'later');
  Object.assign(fleet.operator, operator);
  await forget();
  expect(await count(web.order)).toBe(1);
  fleet.clock.pass(2 * 86_400);
  Object.assign(fleet.operator, await fleet.bearer('operator', 'much later'));
  await forget();
  expect([await count(web.order), await count(open.order)]).toEqual([0, 1]);
});

interface Followed {
  readonly events: { name: string; data: unknown; id: string | null }[];
  readonly places: string[];
  readonly ended: Promise<void>;
  until(condition: (stream: Followed) => boolean): Promise<void>;
  cut(): void;
}

/** Reads server-sent events as browsers do: https://html.spec.whatwg.org/multipage/server-sent-events.html */
function follow(url: string, taskId: string, lastEventId?: string): Followed {
  const ended = Promise.withResolvers<void>();
  const stream: Followed = {
    events: [],
    places: [],
    ended: ended.promise,
    async until(condition) {
      for (let i = 0; i < 1_000 && !condition(stream); i++)
        await new Promise((resolve) => setTimeout(resolve, 10));
      expect(condition(stream), JSON.stringify(stream.events.at(-1))).toBe(true);
    },
    cut: () => request.destroy(),
  };
  const request = get(
    `${url}/api/v1/tasks/${taskId}/log/stream`,
    {
      headers: { ...fleet.operator, ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }) },
    },
    (response) => {
      expect(response.headers['content-type']).toContain('text/event-stream');
      let buffer = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        buffer += chunk;
        for (;;) {
          const end = buffer.indexOf('\n\n');
          if (end < 0) return;
          take(buffer.slice(0, end));
          buffer = buffer.slice(end + 2);
        }
      });
      response.on('close', () => {
        ended.resolve();
      });
    },
  );
  request.on('error', () => undefined);
  const take = (block: string): void => {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'mu').exec(block)?.[1] ?? null;
    const name = field('event');
    if (name === null) return;
    const id = field('id');
    const data: unknown = JSON.parse(field('data') ?? 'null');
    stream.events.push({ name, data, id });
    if (id !== null) stream.places.push(id);
  };
  return stream;
}
