import { spawn } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Client } from 'pg';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { systemRandom } from '../random.ts';
import { findBinaries, restoreLinks } from './binaries.ts';
import { defaultDataFolder, openCluster, type Cluster, type ClusterOptions } from './cluster.ts';
import { connect } from './database.ts';
import { processIdentity } from './process-identity.ts';
import { testFolder } from './test-database.ts';

const log = pino({ level: 'silent' });
const isRoot = process.getuid?.() === 0;
const found = findBinaries();
const endings: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

/** One cluster for the tests that leave it as it is: making one takes a second of syncing. */
const sharedFolder = testFolder();
let shared: Cluster;
beforeAll(async () => {
  shared = await openCluster({ dataFolder: sharedFolder, log, random: systemRandom });
});
afterAll(async () => {
  await shared.stop();
  rmSync(sharedFolder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = testFolder();
  endings.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function open(dataFolder: string, options: Partial<ClusterOptions> = {}): Promise<Cluster> {
  const cluster = await openCluster({ dataFolder, log, random: systemRandom, ...options });
  endings.push(() => cluster.stop());
  return cluster;
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql);
    return rows;
  } finally {
    await client.end();
  }
}

test('PostgreSQL is found here: npm brings one where the distribution does not', () => {
  expect(found.length).toBeGreaterThan(0);
});

describe.each(found)('PostgreSQL $major ($source)', (binaries) => {
  test('starts on a new folder, keeps rows over a stop, and runs neither as root nor without fsync', async () => {
    const folder = newFolder();
    const first = await open(folder, { found: [binaries] });
    expect(first.source).toBe(binaries.source);
    expect(await query(first.url, 'show fsync')).toEqual([{ fsync: 'on' }]);
    expect(await query(first.url, 'show server_version_num')).toEqual([
      { server_version_num: expect.stringMatching(new RegExp(`^${binaries.major}`)) },
    ]);
    await query(first.url, 'create table kept as select 7 as id');
    if (isRoot) expect(statSync(`/proc/${first.postmaster?.pid}`).uid).not.toBe(0);
    await first.stop();
    await first.stop();
    expect(processIdentity(first.postmaster?.pid ?? 0)).toBeUndefined();
    expect(existsSync(join(folder, 'server.lock'))).toBe(false);

    const second = await open(folder, { found: [binaries] });
    expect(await query(second.url, 'select id from kept')).toEqual([{ id: 7 }]);
  });
});

test('a path too long for a socket: a loopback port with a password', async () => {
  const folder = join(newFolder(), 'a-folder-with-a-long-name-'.repeat(4));
  const { url } = await open(folder);
  expect(new URL(url).hostname).toBe('127.0.0.1');
  expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }]);
  const wrong = new URL(url);
  wrong.password = 'guess';
  await expect(query(wrong.href, 'select 1')).rejects.toMatchObject({ code: '28P01' });
});

test.runIf(isRoot)('binaries that only root can read are copied next to the data', async () => {
  const hidden = newFolder();
  const binaries = found.find(({ source }) => source === 'npm');
  if (binaries === undefined) throw new Error('npm install did not bring PostgreSQL');
  cpSync(binaries.folder, join(hidden, 'native'), { recursive: true, verbatimSymlinks: true });
  chmodSync(hidden, 0o700);
  const folder = newFolder();
  const { url } = await open(folder, { found: [{ ...binaries, folder: join(hidden, 'native') }] });
  expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }]);
  expect(existsSync(join(folder, 'postgres/binaries', `npm-${binaries.version}`, 'bin/postgres'))).toBe(true);
});

test.runIf(isRoot)("a folder that PostgreSQL's user cannot reach is refused, with a way out", async () => {
  const hidden = newFolder();
  chmodSync(hidden, 0o700);
  await expect(open(join(hidden, 'data'))).rejects.toMatchObject({
    code: 'data_folder_unreachable',
    whatToDo: expect.stringContaining('FIXPOINT_DATA'),
  });
});

test("npm's links are made again when they are missing", () => {
  const folder = newFolder();
  mkdirSync(join(folder, 'native/lib'), { recursive: true });
  writeFileSync(join(folder, 'native/lib/libpq.so.5.18'), 'library');
  const links = [{ source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' }];
  writeFileSync(join(folder, 'native/pg-symlinks.json'), JSON.stringify(links));
  restoreLinks(folder);
  restoreLinks(folder);
  expect(readFileSync(join(folder, 'native/lib/libpq.so.5'), 'utf8')).toBe('library');
});

test('an initdb that was killed half way is begun again', async () => {
  const folder = newFolder();
  mkdirSync(join(folder, 'postgres/data.new/base'), { recursive: true });
  writeFileSync(join(folder, 'postgres/data.new/PG_VERSION'), '15\n');
  const { url } = await open(folder);
  expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('data of another major version is refused and left alone', async () => {
  const folder = newFolder();
  mkdirSync(join(folder, 'postgres/data'), { recursive: true });
  writeFileSync(join(folder, 'postgres/data/PG_VERSION'), '14\n');
  await expect(open(folder)).rejects.toMatchObject({
    code: 'postgres_version_missing',
    message: expect.stringContaining('made by PostgreSQL 14'),
  });
  expect(existsSync(join(folder, 'server.lock'))).toBe(false);
});

test('no PostgreSQL at all is said so', async () => {
  await expect(open(newFolder(), { found: [] })).rejects.toMatchObject({ code: 'postgres_not_found' });
});

test('PostgreSQL that does not come up is refused with the end of its log', async () => {
  await expect(open(newFolder(), { settings: { shared_buffers: 'much' } })).rejects.toMatchObject({
    code: 'postgres_did_not_start',
    message: expect.stringContaining('shared_buffers'),
  });
});

/** Runs killed-owner.ts until it has committed some rows, and kills it. */
async function runAndKill(folder: string): Promise<{ postgres: number; kept: number }> {
  const owner = spawn(process.execPath, [join(import.meta.dirname, 'killed-owner.ts'), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((settle) => owner.on('exit', settle));
  let postgres = 0;
  let kept = 0;
  for await (const line of createInterface(owner.stdout)) {
    const [word, number] = line.split(' ');
    if (word === 'postgres') postgres = Number(number);
    if (word === 'kept') kept = Number(number);
    if (kept % 50 === 49) owner.kill('SIGKILL');
  }
  await ended;
  return { postgres, kept };
}

describe('after kill -9 of the server', () => {
  test('the PostgreSQL left behind is taken over, with every committed row', async () => {
    const folder = newFolder();
    const before = await runAndKill(folder);
    expect(processIdentity(before.postgres), 'PostgreSQL goes on').toBeDefined();
    const cluster = await open(folder);
    expect(cluster.postmaster?.pid).toBe(before.postgres);
    const [row] = await query(cluster.url, 'select max(id) as kept, count(*)::int as rows from kept');
    expect(row?.['kept']).toBeGreaterThanOrEqual(before.kept);
    expect(row?.['rows']).toBe(row?.['kept']);
    await cluster.stop();
    expect(processIdentity(before.postgres)).toBeUndefined();
  });

  test('and of PostgreSQL, too: the rows are still there', async () => {
    const folder = newFolder();
    for (let round = 0; round < 2; round++) {
      const { postgres, kept } = await runAndKill(folder);
      process.kill(postgres, 'SIGKILL');
      const cluster = await open(folder);
      expect(cluster.postmaster?.pid).not.toBe(postgres);
      const [row] = await query(cluster.url, 'select max(id) as kept, count(*)::int as rows from kept');
      expect(row?.['kept']).toBeGreaterThanOrEqual(kept);
      expect(row?.['rows']).toBe(row?.['kept']);
      await cluster.stop();
    }
  });

  test('a lock whose process number now belongs to somebody else locks nobody out', async () => {
    const folder = newFolder();
    writeFileSync(
      join(folder, 'server.lock'),
      JSON.stringify({ pid: process.pid, identity: 'another start' }),
    );
    const { url } = await open(folder);
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }]);
  });
});

test('a second server on one data folder is refused, and the first goes on', async () => {
  const folder = sharedFolder;
  await expect(open(folder)).rejects.toMatchObject({
    code: 'data_folder_in_use',
    message: expect.stringContaining(`process ${process.pid}`),
  });
  const other = spawn(process.execPath, [join(import.meta.dirname, 'killed-owner.ts'), folder], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  other.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  expect(await new Promise((settle) => other.on('close', settle))).not.toBe(0);
  expect(errors).toContain('data_folder_in_use');
  expect(await query(shared.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

describe('DATABASE_URL', () => {
  test('is used as it is, by several servers, and nothing is started, locked or stopped', async () => {
    const { url } = shared;
    const unused = join(newFolder(), 'unused');
    const first = await openCluster({ dataFolder: unused, databaseUrl: url, log, random: systemRandom });
    const second = await openCluster({ dataFolder: unused, databaseUrl: url, log, random: systemRandom });
    expect(second).toMatchObject({ source: 'external', url });
    expect(existsSync(unused)).toBe(false);
    await first.stop();
    expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  test('that leads nowhere is refused without showing its password', async () => {
    const databaseUrl = 'postgresql://somebody:hunter2@127.0.0.1:1/fixpoint';
    const refused = openCluster({ dataFolder: newFolder(), databaseUrl, log, random: systemRandom });
    await expect(refused).rejects.toMatchObject({
      code: 'database_unreachable',
      message: expect.not.stringContaining('hunter2'),
    });
  });
});

test('connections that PostgreSQL ends do not end us, and are made anew', async () => {
  const { url } = shared;
  const { pool, close } = connect({ url, log });
  endings.push(close);
  await pool.query('select 1');
  await query(
    url,
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'fixpoint'",
  );
  await expect.poll(() => pool.totalCount).toBe(0);
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
});

test('where the data lies', () => {
  expect(defaultDataFolder({ FIXPOINT_DATA: '/data', HOME: '/h' }, true)).toBe('/data');
  expect(defaultDataFolder({ HOME: '/h' }, true)).toBe('/var/lib/fixpoint');
  expect(defaultDataFolder({ HOME: '/h', XDG_DATA_HOME: '/x' }, false)).toBe('/x/fixpoint');
  expect(defaultDataFolder({ HOME: '/h', XDG_DATA_HOME: 'relative' }, false)).toBe(
    '/h/.local/share/fixpoint',
  );
  expect(() => defaultDataFolder({}, false)).toThrow(expect.objectContaining({ code: 'no_data_folder' }));
});
