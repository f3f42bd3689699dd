/**
 * Databases for tests: real PostgreSQL, a fresh database each, in some 80 ms.
 *
 *     const database = await testDatabase();
 *     afterAll(() => database.close());
 *
 * The first test of a run that asks starts a PostgreSQL of its own for the whole run and makes a template database with
 * every migration; each call then copies the template. `test-database-setup.ts` (vitest's globalSetup) names the folder and
 * stops the server at the end. A run that is killed is cleaned up after by the next one.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { pino } from 'pino';
import { systemRandom } from '../random.ts';
import { openCluster } from './cluster.ts';
import { connect, type Connection } from './database.ts';
import { errorCode } from './database-error.ts';
import { migrate } from './migrate.ts';
import type { Postmaster } from './postmaster.ts';

/** Names the folder of this test run, for every worker of it. */
export const DATABASES_FOLDER_VARIABLE = 'TEST_DATABASES_FOLDER';

/** What the first test wrote for the others, and for the end of the run. */
export interface TestCluster {
  readonly url: string;
  readonly postmaster: Postmaster;
}

export interface TestDatabase extends Connection {
  readonly url: string;
  /** Closes every connection and drops the database. */
  readonly close: () => Promise<void>;
}

export interface TestDatabaseOptions {
  /** False gives an empty database, without the product's tables. Default true. */
  readonly migrated?: boolean;
  /** What is in it besides. */
  readonly filling?: TestFilling;
}

/** What takes too long to be written for every test: it is written once in a run, into a template that is copied. */
export interface TestFilling {
  /** Lower-case letters. */
  readonly name: string;
  readonly fill: (connection: Connection) => Promise<void>;
}

const TEMPLATE = 'fixpoint_template';

/** A fresh database of its own for one test or one test file. */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const cluster = await sharedCluster();
  const name = `test_${systemRandom.uuid().replaceAll('-', '')}`;
  const { migrated = true, filling } = options;
  const template =
    filling === undefined
      ? migrated
        ? TEMPLATE
        : 'template1'
      : await filledTemplate(runFolder(), cluster.url, filling);
  await administer(cluster.url, `create database ${name} template ${template}`);
  const url = databaseUrl(cluster.url, name);
  const connection = connect({ url, log: pino({ level: 'silent' }), maximumConnections: 7 });
  const close = async (): Promise<void> => {
    await connection.close();
    // Whatever a test left connected must not keep its database.
    await administer(cluster.url, `drop database if exists ${name} with (force)`);
  };
  return { ...connection, url, close };
}

/**
 * A new folder inside the folder of this run, for a test that starts a PostgreSQL of its own: what is left running in it,
 * should the run be killed, is stopped by the next run.
 */
export function testFolder(): string {
  const folder = mkdtempSync(join(runFolder(), 'own-'));
  // PostgreSQL's user passes through.
  chmodSync(folder, 0o711);
  return folder;
}

function runFolder(): string {
  const folder = process.env[DATABASES_FOLDER_VARIABLE];
  if (folder !== undefined) return folder;
  throw new Error(
    `${DATABASES_FOLDER_VARIABLE} is not set: run tests with vitest and the project's vitest.config.ts`,
  );
}

/** The PostgreSQL of this run; started by whoever comes first. */
async function sharedCluster(): Promise<TestCluster> {
  const folder = runFolder();
  const file = join(folder, 'cluster.json');
  await onceInRun(file, async () => await startCluster(folder, file));
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** The name of a template with something in it; filled by whoever comes first. */
async function filledTemplate(folder: string, url: string, { name, fill }: TestFilling): Promise<string> {
  const template = `${TEMPLATE}_${name}`;
  const file = join(folder, `${template}.json`);
  await onceInRun(file, async () => {
    await administer(url, `drop database if exists ${template}`);
    await administer(url, `create database ${template} template ${TEMPLATE}`);
    const connection = connect({ url: databaseUrl(url, template), log: pino({ level: 'silent' }) });
    try {
      await fill(connection);
    } finally {
      await connection.close();
    }
    writeFileSync(file, '{}');
  });
  return template;
}

/** Makes a file, unless another test file of this run has made it or is making it. */
async function onceInRun(file: string, make: () => Promise<void>): Promise<void> {
  const starting = `${file}.starting`;
  for (let waited = 0; waited < 2400; waited++) {
    if (existsSync(file)) return;
    try {
      mkdirSync(starting);
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
      await sleep(50);
      continue;
    }
    try {
      // Between our look at the file and taking the turn, another may have finished its own.
      if (!existsSync(file)) await make();
      return;
    } finally {
      rmdirSync(starting);
    }
  }
  throw new Error(`waited two minutes for another test file to make ${file}`);
}

async function startCluster(folder: string, file: string): Promise<void> {
  const log = pino({ level: 'silent' });
  const cluster = await openCluster({
    dataFolder: folder,
    log,
    random: systemRandom,
    // These databases are thrown away; what a power cut would do to them does not matter.
    settings: { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off', max_connections: '200' },
  });
  if (cluster.postmaster === undefined) throw new Error('the test cluster is not embedded');
  await administer(cluster.url, `drop database if exists ${TEMPLATE}`);
  await administer(cluster.url, `create database ${TEMPLATE}`);
  const { pool, close } = connect({ url: databaseUrl(cluster.url, TEMPLATE), log });
  try {
    await migrate(pool, { log });
  } finally {
    await close();
  }
  const shared: TestCluster = { url: cluster.url, postmaster: cluster.postmaster };
  writeFileSync(`${file}.new`, JSON.stringify(shared));
  renameSync(`${file}.new`, file);
}

function databaseUrl(clusterUrl: string, name: string): string {
  const url = new URL(clusterUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function administer(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 15_000 });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
