import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { buildApp, type App, type ServerContext } from './app.ts';
import { openKnownAgents } from './asset/known-agents.ts';
import { appendAudit } from './audit/commands.ts';
import { firstAdministrator } from './auth/person-commands.ts';
import { loadKeys } from './auth/keys.ts';
import { writeOperatorToken } from './auth/operator-token.ts';
import { startBackground } from './background/background.ts';
import { systemClock } from './clock.ts';
import { readConfig, type Config } from './config.ts';
import type { Clock, Random } from './context.ts';
import { openCluster } from './database/cluster.ts';
import { DatabaseError } from './database/database-error.ts';
import { connect } from './database/database.ts';
import { openTaskWatch } from './deployment/task-watch.ts';
import { migrate } from './database/migrate.ts';
import { loadCarriedKnowledge } from './knowledge/carried.ts';
import { makeLogger } from './log.ts';
import { openPosture } from './posture/open.ts';
import { systemRandom } from './random.ts';
import { rooms } from './rooms.ts';
import { transact } from './transact.ts';
import { version } from './version.ts';

export interface ServerOptions {
  readonly config: Config;
  readonly log?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface RunningServer {
  /** Where people, tools and agents of this machine reach it. */
  readonly url: string;
  readonly context: ServerContext;
  /** The account that was made because there was none; its password is here and nowhere else. */
  readonly administrator: { readonly email: string; readonly password: string } | null;
  /** File with a token that opens everything, for the owner of the data folder. */
  readonly operatorTokenFile: string;
  /** Ends background work, answers what has been asked, and closes the database. Idempotent. */
  stop(): Promise<void>;
}

/** Nobody can be reached at "all addresses"; this machine reaches them at its own. */
const ownAddress: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
const loopback = /^(127\.|::1$|localhost$)/;

/**
 * Starts a whole server: database, migrations, application, background work. Everything that was started is stopped
 * again when a later step fails.
 *
 * @throws DatabaseError when there is no usable database; Error with code EADDRINUSE and the like when it cannot listen
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config } = options;
  const log = options.log ?? makeLogger(config.logLevel);
  const clock = options.clock ?? systemClock;
  const random = options.random ?? systemRandom;
  const cleanups: (() => Promise<void>)[] = [];
  let stopping: Promise<void> | null = null;
  const stopAll = async () => {
    for (const cleanup of cleanups.toReversed()) {
      try {
        await cleanup();
      } catch (error) {
        log.error({ err: error }, 'a part of the server did not stop as it should');
      }
    }
  };
  const stop = () => (stopping ??= stopAll());
  try {
    const { dataFolder, databaseUrl } = config;
    const cluster = await openCluster({ dataFolder, databaseUrl, log, random });
    cleanups.push(cluster.stop);
    const connection = connect({ url: cluster.url, log });
    cleanups.push(connection.close);
    await migrate(connection.pool, { log });
    const { db } = connection;
    const keys = await loadKeys(db, { clock, random });
    const posture = openPosture({ db, clock, random, log }, connection.pool);
    cleanups.push(() => posture.stop());
    const knownAgents = openKnownAgents({ pool: connection.pool, log });
    const taskWatch = openTaskWatch({ db, pool: connection.pool, log, clock });
    const context: ServerContext = { db, clock, random, log, config, keys, posture, knownAgents, taskWatch };
    const operatorTokenFile = await writeOperatorToken(context, dataFolder);

    for (const outcome of await loadCarriedKnowledge(context)) {
      if (outcome.outcome === 'refused') log.error(outcome, 'knowledge that the product carries was refused');
      else log.info(outcome, 'knowledge that the product carries');
    }

    await posture.start();
    const app = await buildApp(context, { rooms, ...tlsOf(config) });
    cleanups.push(async () => await app.close());
    await app.listen({ host: config.host, port: config.port });
    const url = urlOf(app, config);
    if (config.tls === null && !loopback.test(config.host)) {
      log.warn(
        { url },
        'passwords and tokens cross the network unencrypted: set FIXPOINT_TLS_CERT and FIXPOINT_TLS_KEY',
      );
    }
    const background = await startBackground(context);
    cleanups.push(async () => await background.stop());
    await transact(db, async (trx) => {
      await appendAudit(trx, context, {
        actor: { kind: 'system', name: 'server' },
        event: 'server.started',
        subjectKind: 'server',
        subject: 'fixpoint',
        after: { version, database: cluster.source },
      });
    });
    // Last, so that a start which fails does not take the password with it.
    const administrator = await firstAdministrator(context);
    log.info({ url, version, database: cluster.source }, 'the server is ready');
    return { url, context, administrator, operatorTokenFile, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function tlsOf(config: Config): { tls?: { cert: string; key: string } } {
  if (config.tls === null) return {};
  return {
    tls: {
      cert: readFileSync(config.tls.certificateFile, 'utf8'),
      key: readFileSync(config.tls.keyFile, 'utf8'),
    },
  };
}

function urlOf(app: App, config: Config): string {
  const address = app.server.address();
  // Port 0 is any free port: the socket knows which.
  const port = typeof address === 'object' && address !== null ? address.port : config.port;
  const host = ownAddress[config.host] ?? config.host;
  return `${config.tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** `node server/src/main.ts`: a server by itself, until it is told to end. */
async function main(): Promise<void> {
  const read = readConfig(process.env);
  if (!read.ok) {
    for (const { variable, message } of read.problems)
      console.error(`fixpoint server: ${variable}: ${message}`);
    process.exitCode = 2;
    return;
  }
  const log = makeLogger(read.config.logLevel);
  let server: RunningServer;
  try {
    server = await startServer({ config: read.config, log });
  } catch (error) {
    const known = error instanceof DatabaseError;
    console.error(`fixpoint server: ${error instanceof Error ? error.message : String(error)}`);
    if (known) console.error(`  what to do: ${error.whatToDo}`);
    else log.error({ err: error }, 'the server did not start');
    process.exitCode = 1;
    return;
  }
  console.log(`Fixpoint ${version} answers at ${server.url}`);
  if (server.administrator !== null) {
    const { email, password } = server.administrator;
    console.log(`First account, shown only now:\n  e-mail address  ${email}\n  password        ${password}`);
  }
  const end = (signal: string) => {
    log.info({ signal }, 'stopping');
    void server.stop();
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
}

if (import.meta.main) await main();
