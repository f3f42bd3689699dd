/** The whole application on a database of its own, for tests: real PostgreSQL, real HTTP, a clock that can be moved. */
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { permissionsOfRole, type Permission, type Role } from '@fixpoint/contract/access.ts';
import { buildApp, type App, type Room, type ServerContext } from './app.ts';
import { openKnownAgents } from './asset/known-agents.ts';
import { createToken } from './auth/commands.ts';
import { loadKeys } from './auth/keys.ts';
import { defaultConfig, type Config } from './config.ts';
import type { Clock } from './context.ts';
import { testDatabase, type TestDatabase, type TestFilling } from './database/test-database.ts';
import { openTaskWatch } from './deployment/task-watch.ts';
import { loadCarriedKnowledge } from './knowledge/carried.ts';
import { openPosture } from './posture/open.ts';
import { systemRandom } from './random.ts';

export interface TestClock extends Clock {
  /** Moves the clock on. */
  pass(seconds: number): void;
}

/** A clock that stands still at a time until it is moved. */
export function testClock(start = '2026-03-02T10:00:00.000Z'): TestClock {
  let now = Date.parse(start);
  return {
    now: () => new Date(now),
    pass: (seconds) => {
      now += seconds * 1000;
    },
  };
}

export interface TestApp {
  readonly app: App;
  readonly context: ServerContext;
  readonly clock: TestClock;
  readonly database: TestDatabase;
  /** `authorization` header of a fresh token with these permissions, or with those of a role. */
  bearer(permissions: Role | readonly Permission[], name?: string): Promise<{ authorization: string }>;
  close(): Promise<void>;
}

export interface TestAppOptions {
  readonly config?: Partial<Config>;
  readonly clock?: TestClock;
  /** Default nothing. */
  readonly knows?: 'nothing' | 'carried';
}

/** The knowledge that the product carries, loaded when the clock of tests begins. */
export const carriedKnowledge: TestFilling = {
  name: 'knowledge',
  fill: async ({ db }) => {
    const log = pino({ level: 'silent' });
    for (const { feed, outcome } of await loadCarriedKnowledge({
      db,
      clock: testClock(),
      random: systemRandom,
      log,
    }))
      if (outcome !== 'loaded') throw new Error(`${feed}: ${outcome}`);
  },
};

export async function testApp(rooms: readonly Room[], options: TestAppOptions = {}): Promise<TestApp> {
  const database = await testDatabase(options.knows === 'carried' ? { filling: carriedKnowledge } : {});
  const clock = options.clock ?? testClock();
  const dataFolder = join(tmpdir(), `fixpoint-test-${systemRandom.uuid()}`);
  const base = { db: database.db, clock, random: systemRandom, log: pino({ level: 'silent' }) };
  const context: ServerContext = {
    ...base,
    keys: await loadKeys(database.db, base),
    posture: openPosture(base, database.pool),
    knownAgents: openKnownAgents({ pool: database.pool, log: base.log }),
    taskWatch: openTaskWatch({ ...base, pool: database.pool }),
    config: defaultConfig({
      dataFolder,
      signInsPerMinute: 1000,
      enrolmentsPerMinute: 10_000,
      ...options.config,
    }),
  };
  const app = await buildApp(context, { rooms, checkResponses: true });
  await app.ready();
  return {
    app,
    context,
    clock,
    database,
    async bearer(permissions, name = 'test') {
      const list = typeof permissions === 'string' ? permissionsOfRole[permissions] : permissions;
      const created = await createToken(
        context,
        { actor: { kind: 'system', name: 'test' }, permissions: list },
        { name, permissions: [...list], expires_in_days: 30 },
      );
      if (!created.ok) throw new Error(created.message);
      return { authorization: `Bearer ${created.value.secret}` };
    },
    async close() {
      await app.close();
      await context.posture.stop();
      await database.close();
      await rm(dataFolder, { recursive: true, force: true });
    },
  };
}
