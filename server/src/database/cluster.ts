/**
 * Gets the product a PostgreSQL: the caller's own by DATABASE_URL, else one that we start on a data folder with the
 * distribution's binaries or npm's.
 *
 * Data folder:
 *
 *     server.lock            the Fixpoint server that uses the folder
 *     postgres/data/         PostgreSQL's own data
 *     postgres/password      of the role `fixpoint`, made at random
 *     postgres/socket/       where it listens; a loopback port when that path is too long for a socket
 *     postgres/postgres.log
 *     postgres/binaries/     a copy of npm's binaries where PostgreSQL's user cannot reach the original
 *
 * PostgreSQL runs in a session of its own. If this process is killed it goes on, and the next start takes it over.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { Logger } from 'pino';
import type { Random } from '../context.ts';
import { runCommand } from '../run-command.ts';
import { chooseBinaries, findBinaries, makeRunnable, OLDEST_MAJOR, postgresEnvironment } from './binaries.ts';
import type { Binaries } from './binaries.ts';
import { DatabaseError, errorCode } from './database-error.ts';
import { lockFolder } from './folder-lock.ts';
import { findOrphan, startPostmaster, stopPostmaster, type Listen, type Postmaster } from './postmaster.ts';
import { processIdentity } from './process-identity.ts';
import { postgresUser, type SystemUser } from './system-user.ts';

export interface ClusterOptions {
  /** Holds everything the server keeps on disk; made when missing. Not used with `databaseUrl`, which has no lock. */
  readonly dataFolder: string;
  /** A PostgreSQL of one's own; several servers may share it. */
  readonly databaseUrl?: string | null | undefined;
  readonly log: Logger;
  readonly random: Random;
  /** Which PostgreSQLs there are; default: what this machine has. */
  readonly found?: readonly Binaries[];
  /** PostgreSQL settings beyond its defaults. `fsync` belongs to tests only. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface Cluster {
  /** Connection URL with password: hand it to `connect`, never to a log. */
  readonly url: string;
  readonly source: 'external' | 'distribution' | 'npm';
  /** The server process that we started or took over; none for an external PostgreSQL. */
  readonly postmaster?: Postmaster;
  /** Stops PostgreSQL if it is ours, and gives the data folder back. Close every connection first. Idempotent. */
  readonly stop: () => Promise<void>;
}

/** Longest path of a Unix socket on Linux: sockaddr_un holds 108 bytes, one of which ends it (unix(7)). */
const SOCKET_PATH_BYTES = 107;
const ROLE = 'fixpoint';
const DATABASE = 'fixpoint';

/**
 * Where a server keeps its data: FIXPOINT_DATA, else /var/lib/fixpoint for root, else the user's data folder
 * (XDG Base Directory Specification).
 */
export function defaultDataFolder(
  environment: Readonly<Record<string, string | undefined>>,
  isRoot: boolean,
): string {
  const named = environment['FIXPOINT_DATA'];
  if (named !== undefined && named !== '') return resolve(named);
  if (isRoot) return '/var/lib/fixpoint';
  const xdg = environment['XDG_DATA_HOME'];
  if (xdg?.startsWith('/')) return join(xdg, 'fixpoint');
  const home = environment['HOME'];
  if (home === undefined || home === '') {
    throw new DatabaseError(
      'no_data_folder',
      'there is no home folder to keep data in',
      'set FIXPOINT_DATA to a folder for the data',
    );
  }
  return join(home, '.local/share/fixpoint');
}

/**
 * Opens the database server. Returns when it takes connections and the database `fixpoint` exists.
 *
 * @throws DatabaseError `data_folder_in_use`, `postgres_not_found`, `postgres_version_missing`,
 *   `postgres_did_not_start`, `data_folder_unreachable`, `database_unreachable`, `database_too_old`, …
 */
export async function openCluster(options: ClusterOptions): Promise<Cluster> {
  if (options.databaseUrl) {
    await checkServer(options.databaseUrl);
    return { url: options.databaseUrl, source: 'external', stop: async () => {} };
  }
  const folder = prepareFolder(options.dataFolder);
  const unlock = lockFolder(folder, options.random);
  try {
    return await openFolder(folder, options, unlock);
  } catch (error) {
    unlock();
    throw error;
  }
}

async function openFolder(folder: string, options: ClusterOptions, unlock: () => void): Promise<Cluster> {
  const { log, random } = options;
  const home = join(folder, 'postgres');
  const dataFolder = join(home, 'data');
  const existingMajor = readMajor(dataFolder);
  const user = postgresUser(dataFolder);
  mkdirSync(join(home, 'binaries'), { recursive: true });
  mkdirSync(join(home, 'socket'), { recursive: true });
  giveTo(user, home, 0o700);
  giveTo(user, join(home, 'socket'), 0o700);
  await checkReachable(home, user);
  const chosen = chooseBinaries(options.found ?? findBinaries(), existingMajor, dataFolder);

  let postmaster = existingMajor === undefined ? undefined : await adoptOrphan(home, log);
  if (postmaster === undefined) {
    const binaries = await makeRunnable(chosen, user, join(home, 'binaries'), random);
    if (existingMajor === undefined) {
      log.info(
        { folder: dataFolder, major: binaries.major, source: binaries.source },
        'making a new database',
      );
      await initialise(home, binaries, user, random, options.settings?.['fsync'] !== 'off');
    }
    postmaster = await startPostmaster({
      binaries,
      dataFolder,
      logFile: join(home, 'postgres.log'),
      user,
      listen: await listenOn(join(home, 'socket')),
      settings: { log_checkpoints: 'off', ...options.settings },
      log,
    });
    log.info({ pid: postmaster.pid, major: binaries.major, source: binaries.source }, 'PostgreSQL runs');
  }
  const running = postmaster;
  try {
    const password = readPassword(home);
    await createDatabase(connectionUrl(running, password, 'postgres'));
    let stopped: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      await stopPostmaster(running, log);
      unlock();
    };
    return {
      url: connectionUrl(running, password, DATABASE),
      source: chosen.source,
      postmaster: running,
      stop: () => (stopped ??= stop()),
    };
  } catch (error) {
    await stopPostmaster(running, log);
    throw error;
  }
}

/**
 * Takes over the PostgreSQL that a killed server left behind, if it answers. One killed a moment ago may still be listed,
 * and even take a connection, while the system clears it away: it counts as none when it is gone soon after.
 */
async function adoptOrphan(home: string, log: Logger): Promise<Postmaster | undefined> {
  const orphan = await findOrphan(join(home, 'data'), log);
  if (orphan === undefined) return undefined;
  try {
    await withClient(connectionUrl(orphan, readPassword(home), 'postgres'), (client) =>
      client.query('select 1'),
    );
    return orphan;
  } catch (error) {
    for (let polls = 0; polls < 100; polls++) {
      if (processIdentity(orphan.pid) !== orphan.identity) return undefined;
      await sleep(50);
    }
    throw error;
  }
}

/** Makes the data folder. Root lets others pass through it, so that PostgreSQL's user gets to its part. */
function prepareFolder(dataFolder: string): string {
  const folder = resolve(dataFolder);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o711 });
    if (process.getuid?.() === 0) chmodSync(folder, 0o711);
  } catch (error) {
    throw new DatabaseError(
      'data_folder_unusable',
      `the data folder ${folder} cannot be made: ${String(error)}`,
      'set FIXPOINT_DATA to a folder that this user may write to',
      error,
    );
  }
  return folder;
}

function giveTo(user: SystemUser | undefined, folder: string, mode: number): void {
  chmodSync(folder, mode);
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
}

/** Asks the system itself, as that user, rather than adding up mode bits. */
async function checkReachable(home: string, user: SystemUser | undefined): Promise<void> {
  const { exitCode } = await runCommand('/bin/sh', ['-c', 'test -w "$0" && test -x "$0"', home], {
    environment: postgresEnvironment,
    timeoutSeconds: 20,
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
  });
  if (exitCode === 0) return;
  throw new DatabaseError(
    'data_folder_unreachable',
    `${home} cannot be reached by ${user === undefined ? 'this user' : `${user.name}, as whom PostgreSQL runs`}`,
    'set FIXPOINT_DATA to a folder that is not inside a private one, for example /var/lib/fixpoint',
  );
}

function readMajor(dataFolder: string): number | undefined {
  try {
    return Number(readFileSync(join(dataFolder, 'PG_VERSION'), 'utf8').trim());
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Makes an empty PostgreSQL data folder. Until it is whole it has another name, so a kill leaves no half one behind. */
async function initialise(
  home: string,
  binaries: Binaries,
  user: SystemUser | undefined,
  random: Random,
  durable: boolean,
): Promise<void> {
  const draft = join(home, 'data.new');
  rmSync(draft, { recursive: true, force: true });
  const passwordFile = join(home, 'password');
  writeFileSync(passwordFile, `${Buffer.from(random.bytes(24)).toString('base64url')}\n`, { mode: 0o600 });
  giveTo(user, passwordFile, 0o600);
  // Byte order, not a language's: the same on every machine, and it cannot change under an index with a new C library.
  const flags = ['-D', draft, '-U', ROLE, '--encoding=UTF8', '--locale=C', '--data-checksums'];
  flags.push('--auth=scram-sha-256', `--pwfile=${passwordFile}`);
  if (!durable) flags.push('--no-sync');
  const { exitCode, output } = await runCommand(join(binaries.folder, 'bin/initdb'), flags, {
    environment: postgresEnvironment,
    timeoutSeconds: 300,
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
  });
  if (exitCode !== 0) {
    throw new DatabaseError(
      'postgres_initdb_failed',
      `initdb of PostgreSQL ${binaries.major} failed on ${draft}:\n${output.trim().slice(-2000)}`,
      'check that the disk has room and that the folder may be written',
    );
  }
  renameSync(draft, join(home, 'data'));
}

async function listenOn(socketFolder: string): Promise<Listen> {
  if (Buffer.byteLength(join(socketFolder, '.s.PGSQL.5432')) <= SOCKET_PATH_BYTES) return { socketFolder };
  const server = createServer();
  const port = await new Promise<number>((settle, reject) => {
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      settle(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
  await new Promise((settle) => server.close(settle));
  return { loopbackPort: port };
}

function readPassword(home: string): string {
  const file = join(home, 'password');
  if (!existsSync(file)) {
    throw new DatabaseError(
      'database_password_missing',
      `${file} is missing; it holds the password of the database beside it`,
      'restore it from the backup that the data came from',
    );
  }
  return readFileSync(file, 'utf8').trim();
}

function connectionUrl(postmaster: Postmaster, password: string, database: string): string {
  const url = new URL(`postgresql://${ROLE}@localhost/${database}`);
  url.password = password;
  if (postmaster.host.startsWith('/')) url.searchParams.set('host', postmaster.host);
  else url.hostname = postmaster.host;
  url.port = String(postmaster.port);
  return url.href;
}

async function createDatabase(url: string): Promise<void> {
  await withClient(url, async (client) => {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  });
}

/** Whether a PostgreSQL of the user's own can be reached and is new enough. */
async function checkServer(url: string): Promise<void> {
  const whatToDo =
    'check DATABASE_URL (postgresql://user:password@host:port/database) and that the server runs';
  let version: number;
  try {
    version = await withClient(url, async (client) => {
      const { rows } = await client.query<{ server_version_num: string }>('show server_version_num');
      return Number(rows[0]?.server_version_num);
    });
  } catch (error) {
    const message =
      error instanceof Error && error.message !== '' ? error.message : String(errorCode(error) ?? error);
    throw new DatabaseError(
      'database_unreachable',
      `DATABASE_URL cannot be used: ${message}`,
      whatToDo,
      error,
    );
  }
  if (version >= OLDEST_MAJOR * 10_000) return;
  throw new DatabaseError(
    'database_too_old',
    `the PostgreSQL at DATABASE_URL is version ${Math.floor(version / 10_000)}; ${OLDEST_MAJOR} is the oldest that works`,
    `upgrade it to PostgreSQL ${OLDEST_MAJOR} or newer, or leave DATABASE_URL away to use an embedded one`,
  );
}

async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 15_000 });
  // A connection that breaks later is reported by the query that needs it.
  client.on('error', () => {});
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
