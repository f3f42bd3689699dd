import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { inventoryDigests } from '@fixpoint/core/inventory/digest.ts';
import type { Inventory } from '@fixpoint/core/inventory/inventory.ts';
import { buildApp, type App, type ServerContext } from '../app.ts';
import { connect, type Connection } from '../database/database.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { openKnownAgents } from './known-agents.ts';
import { installed, inventoryOf, testAgent, type TestAgent } from './test-agent.ts';

let test: TestApp;
/** Another server on the same database. */
let other: { readonly app: App; readonly context: ServerContext; readonly connection: Connection };
beforeAll(async () => {
  test = await testApp(rooms);
  const log = pino({ level: 'silent' });
  const connection = connect({ url: test.database.url, log, maximumConnections: 3 });
  const knownAgents = openKnownAgents({ pool: connection.pool, log });
  const context = { ...test.context, db: connection.db, knownAgents };
  other = { app: await buildApp(context, { rooms }), context, connection };
  await other.app.ready();
});
afterAll(async () => {
  await other.app.close();
  await other.connection.close();
  await test.close();
});

const held = inventoryOf([installed('openssl', '3.0.11-1~deb12u2')]);
const newer = inventoryOf([installed('openssl', '3.0.15-1~deb12u1')]);

async function checkIn(agent: TestAgent, inventory: Inventory, changes: object = {}, app: App = test.app) {
  const response = await app.inject({
    method: 'POST',
    url: '/agent/v1/check-in',
    headers: await sessionOf(agent),
    payload: {
      agent_version: '0.1.0',
      boot_id: 'b',
      digests: inventoryDigests(inventory),
      tasks: [],
      ...changes,
    },
  });
  return { status: response.statusCode, body: response.json() };
}
const sessions = new Map<TestAgent, Promise<{ authorization: string }>>();
function sessionOf(agent: TestAgent): Promise<{ authorization: string }> {
  const session = sessions.get(agent) ?? agent.session();
  sessions.set(agent, session);
  return session;
}
const idOf = async (agent: TestAgent) =>
  (
    await test.context.db
      .selectFrom('asset')
      .select('id')
      .where('uid', '=', agent.uid)
      .executeTakeFirstOrThrow()
  ).id;
const isKnown = (agent: TestAgent, id: number, at: { readonly context: ServerContext } = test) =>
  at.context.knownAgents.modeOf(id, agent.uid) !== null;

/** An agent with an inventory, that both servers know. */
async function knownAgent(): Promise<{ agent: TestAgent; id: number }> {
  const agent = await testAgent(test);
  await agent.report(held);
  const id = await idOf(agent);
  for (const server of [test, other]) {
    // What its report told may still be on its way, and makes it forgotten once more.
    await vi.waitFor(async () => {
      expect((await checkIn(agent, held, {}, server.app)).status).toBe(200);
      await sleep(30);
      expect(isKnown(agent, id, server)).toBe(true);
    });
  }
  return { agent, id };
}
const forgottenBy = async (server: { readonly context: ServerContext }, agent: TestAgent, id: number) =>
  await vi.waitFor(() => {
    expect(isKnown(agent, id, server)).toBe(false);
  });

async function openTask(assetId: number, ended = false): Promise<string> {
  const [job, deployment, task] = [1, 2, 3].map(() => test.context.random.uuid());
  if (job === undefined || deployment === undefined || task === undefined) throw new Error('three ids');
  const now = test.clock.now();
  await sql`insert into patch_job (id, name, definition, created_by, created_at) values (${job}, 'j', '{}', 't', ${now})`.execute(
    test.context.db,
  );
  await sql`insert into deployment (id, job_id, state, plan, plan_digest, created_by, created_at)
    values (${deployment}, ${job}, 'draft', '{}', '', 't', ${now})`.execute(test.context.db);
  await sql`insert into task (id, deployment_id, asset_id, state, planned, updated_at, ended_at)
    values (${task}, ${deployment}, ${assetId}, 'queued', '{}', ${now}, ${ended ? now : null})`.execute(
    test.context.db,
  );
  return task;
}

describe('an agent that has nothing new', () => {
  it('is answered as before, and without asking the database', async () => {
    const { agent } = await knownAgent();
    await test.context.db.transaction().execute(async (trx) => {
      await sql`lock table asset in access exclusive mode`.execute(trx);
      const answered = await checkIn(agent, held);
      expect(answered).toEqual({
        status: 200,
        body: {
          server_time: test.clock.now().toISOString(),
          next_check_in_seconds: 60,
          inventory: inventoryDigests(held),
          orders: [],
          cancelled_tasks: [],
        },
      });
      // Whoever says something else waits for the database.
      const waits = checkIn(agent, newer).then(() => 'answered');
      expect(await Promise.race([waits, sleep(100, 'waiting')])).toBe('waiting');
    });
  });

  it('that says something else is told what is held, also by a server that knew it otherwise', async () => {
    const { agent } = await knownAgent();
    await agent.report(newer);
    for (const server of [test, other]) {
      expect((await checkIn(agent, newer, {}, server.app)).body.inventory).toEqual(inventoryDigests(newer));
    }
  });

  it('that goes back to what it was is asked for it again', async () => {
    const { agent, id } = await knownAgent();
    await agent.report(newer);
    await forgottenBy(other, agent, id);
    for (const server of [test, other]) {
      expect((await checkIn(agent, held, {}, server.app)).body.inventory).toEqual(inventoryDigests(newer));
    }
  });

  it('has its problems and its version taken', async () => {
    const { agent, id } = await knownAgent();
    await checkIn(
      agent,
      held,
      { agent_version: '0.9.0', problems: [{ code: 'c', message: 'm' }] },
      other.app,
    );
    await forgottenBy(test, agent, id);
    const row = await test.context.db
      .selectFrom('asset')
      .select(['agent_version', 'problems'])
      .where('id', '=', id)
      .executeTakeFirst();
    expect(row).toEqual({ agent_version: '0.9.0', problems: [{ code: 'c', message: 'm' }] });
  });

  it('is not known with another uid', async () => {
    const { id } = await knownAgent();
    expect(test.context.knownAgents.modeOf(id, test.context.random.uuid())).toBeNull();
  });
});

describe('what changes is heard by every server:', () => {
  it('a new task', async () => {
    const { agent, id } = await knownAgent();
    await openTask(id);
    await forgottenBy(test, agent, id);
    await forgottenBy(other, agent, id);
    await checkIn(agent, held);
    expect(isKnown(agent, id), 'with an open task it is asked for each time').toBe(false);
  });

  it('a task that is opened again', async () => {
    const agent = await testAgent(test);
    const id = await idOf(agent);
    const task = await openTask(id, true);
    await agent.report(held);
    await vi.waitFor(async () => {
      await checkIn(agent, held);
      await sleep(30);
      expect(isKnown(agent, id)).toBe(true);
    });
    await sql`update task set ended_at = null where id = ${task}`.execute(other.context.db);
    await forgottenBy(test, agent, id);
  });

  it('that it was retired', async () => {
    const { agent, id } = await knownAgent();
    await test.app.inject({
      method: 'POST',
      url: `/api/v1/assets/${agent.uid}/retire`,
      headers: await test.bearer('operator'),
      payload: { reason: 'sold' },
    });
    await forgottenBy(other, agent, id);
    expect(await checkIn(agent, held, {}, other.app)).toMatchObject({
      status: 401,
      body: { error: { code: 'asset_retired' } },
    });
  });

  it('also of more assets than one message names', async () => {
    const { agent, id } = await knownAgent();
    await sql`update asset set attributes = '{"a":"b"}' where id in (select id from asset order by id desc)`.execute(
      test.context.db,
    );
    await sql`select note_agents_changed(array(select generate_series(1000000, 1002000)) || ${id}::int)`.execute(
      test.context.db,
    );
    await forgottenBy(other, agent, id);
  });
});

describe('what was read', () => {
  it('before a change is not remembered after it', async () => {
    const { agent, id } = await knownAgent();
    const { knownAgents } = test.context;
    const print = Buffer.alloc(16);
    const [before, after] = [knownAgents.beginReading(id), knownAgents.beginReading(id)];
    knownAgents.forget(id);
    before.remember({ uid: agent.uid, mode: 'manage', print });
    after.remember({ uid: agent.uid, mode: 'manage', print });
    expect(isKnown(agent, id)).toBe(false);
    const later = knownAgents.beginReading(id);
    later.remember({ uid: agent.uid, mode: 'assess', print });
    expect(knownAgents.modeOf(id, agent.uid)).toBe('assess');
    expect(knownAgents.isSettled(id, print)).toBe(true);
    for (const reading of [before, after, later]) reading.done();
    knownAgents.forget(id);
  });

  it('is not remembered while nothing is heard', async () => {
    const agents = openKnownAgents(null);
    const reading = agents.beginReading(1);
    reading.remember({ uid: test.context.random.uuid(), mode: 'manage', print: Buffer.alloc(16) });
    expect(agents.isSettled(1, Buffer.alloc(16))).toBe(false);
  });
});

describe('a server that cannot hear what changes', () => {
  const listeners = async () => {
    const { rows } = await sql<{ pid: number }>`select pid from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and state = 'idle'
        and query in ('listen "agents_changed"', 'select 1')`.execute(test.context.db);
    return rows.map((row) => row.pid);
  };
  const knowsAgain = async (agent: TestAgent, id: number) =>
    await vi.waitFor(
      async () => {
        await checkIn(agent, held);
        expect(isKnown(agent, id)).toBe(true);
      },
      { timeout: 5_000, interval: 100 },
    );

  it('remembers nothing, and begins again when it hears again', async () => {
    const { agent, id } = await knownAgent();
    for (const pid of await listeners())
      await sql`select pg_terminate_backend(${pid})`.execute(test.context.db);
    await forgottenBy(test, agent, id);
    await knowsAgain(agent, id);
  });

  it('notices a connection that has gone quiet', async () => {
    const { agent, id } = await knownAgent();
    const pids = await listeners();
    expect(pids.length).toBeGreaterThan(0);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    try {
      await vi.waitFor(() => expect(isKnown(agent, id)).toBe(false), { timeout: 4_000 });
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    }
    await knowsAgain(agent, id);
  });
});
