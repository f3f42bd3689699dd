import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely';
import { generateKeyPairSync } from 'node:crypto';
import { Pool } from 'pg';
import { pino } from 'pino';
import { buildApp, type ServerContext } from './app.ts';
import { openKnownAgents } from './asset/known-agents.ts';
import { openTaskWatch } from './deployment/task-watch.ts';
import { systemClock } from './clock.ts';
import { defaultConfig } from './config.ts';
import type { Database } from './database/tables.ts';
import { openPosture } from './posture/open.ts';
import { systemRandom } from './random.ts';
import { rooms } from './rooms.ts';
import { runCommand } from './run-command.ts';

/** The description of the API, at the root of the source. */
export const openapiFile = join(import.meta.dirname, '../../openapi.json');

/** Describes every route of the application. No database is needed: nothing is asked of it. */
export async function describeApi(): Promise<unknown> {
  const nothing = Buffer.alloc(32);
  const { privateKey } = generateKeyPairSync('ed25519');
  const key = { id: '', privateKey, publicKey: '', fingerprint: '' };
  const base = {
    db: new Kysely<Database>({
      dialect: {
        createAdapter: () => new PostgresAdapter(),
        createDriver: () => new DummyDriver(),
        createIntrospector: (db) => new PostgresIntrospector(db),
        createQueryCompiler: () => new PostgresQueryCompiler(),
      },
    }),
    clock: systemClock,
    random: systemRandom,
    log: pino({ level: 'silent' }),
  };
  const context: ServerContext = {
    ...base,
    posture: openPosture(base, new Pool()),
    knownAgents: openKnownAgents(null),
    taskWatch: openTaskWatch(null),
    config: defaultConfig(),
    keys: {
      order: key,
      bundle: key,
      agentSessionSecret: nothing,
      challengeSecret: nothing,
      peopleSecret: nothing.toString('base64url'),
    },
  };
  const app = await buildApp(context, { rooms });
  await app.ready();
  try {
    return JSON.parse(JSON.stringify(app.swagger()));
  } finally {
    await app.close();
  }
}

if (import.meta.main) {
  writeFileSync(openapiFile, `${JSON.stringify(await describeApi(), null, 2)}\n`);
  const formatter = join(import.meta.dirname, '../../node_modules/oxfmt/bin/oxfmt');
  const formatted = await runCommand(process.execPath, [formatter, openapiFile], {
    environment: { PATH: process.env['PATH'] ?? '' },
    timeoutSeconds: 60,
  });
  if (formatted.exitCode !== 0) throw new Error(`oxfmt: ${formatted.output}`);
  console.log(`wrote ${openapiFile}`);
}
