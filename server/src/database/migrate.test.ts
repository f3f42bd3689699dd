import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { migrate, readMigrations } from './migrate.ts';
import { testDatabase } from './test-database.ts';

const log = pino({ level: 'silent' });
const endings: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

const first = 'create table host (id integer primary key);';
const second = 'alter table host add column name text;';

function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'fixpoint-migrations-'));
  endings.push(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, sql] of Object.entries(files)) writeFileSync(join(folder, name), sql);
  return folder;
}

async function emptyDatabase() {
  const database = await testDatabase({ migrated: false });
  endings.push(database.close);
  return database;
}

test('applies what is missing, in order, once', async () => {
  const { pool } = await emptyDatabase();
  expect(await migrate(pool, { log, folder: folderWith({ '0001-first.sql': first }) })).toEqual([
    '0001-first',
  ]);
  const folder = folderWith({ '0001-first.sql': first, '0002-second.sql': second });
  expect(await migrate(pool, { log, folder })).toEqual(['0002-second']);
  expect(await migrate(pool, { log, folder })).toEqual([]);
  await pool.query("insert into host values (1, 'a')");
});

test('several servers at once: each migration is applied by one of them', async () => {
  const { pool } = await emptyDatabase();
  const folder = folderWith({ '0001-first.sql': first, '0002-second.sql': second });
  const applied = await Promise.all([1, 2, 3, 4].map(() => migrate(pool, { log, folder })));
  expect(applied.flat()).toEqual(['0001-first', '0002-second']);
});

test('a migration that was changed after it was applied is refused', async () => {
  const { pool } = await emptyDatabase();
  await migrate(pool, { log, folder: folderWith({ '0001-first.sql': first }) });
  const changed = folderWith({ '0001-first.sql': `${first} `, '0002-second.sql': second });
  await expect(migrate(pool, { log, folder: changed })).rejects.toMatchObject({ code: 'migration_changed' });
  const { rows } = await pool.query('select number from schema_migration');
  expect(rows, 'nothing further was applied').toHaveLength(1);
});

test('an applied migration that is gone or renamed is refused', async () => {
  const { pool } = await emptyDatabase();
  await migrate(pool, { log, folder: folderWith({ '0001-first.sql': first, '0002-second.sql': second }) });
  const renamed = folderWith({ '0001-other.sql': first, '0002-second.sql': second });
  await expect(migrate(pool, { log, folder: renamed })).rejects.toMatchObject({
    code: 'migration_missing',
    message: expect.stringContaining('0001-first'),
  });
});

test('a database newer than the code is refused', async () => {
  const { pool } = await emptyDatabase();
  await migrate(pool, { log, folder: folderWith({ '0001-first.sql': first, '0002-second.sql': second }) });
  await expect(migrate(pool, { log, folder: folderWith({ '0001-first.sql': first }) })).rejects.toMatchObject(
    {
      code: 'database_newer',
      message: expect.stringContaining('0002-second'),
    },
  );
});

test('of a failed migration nothing remains; the line is named, and a corrected one goes on from there', async () => {
  const { pool } = await emptyDatabase();
  const broken = 'create table tag (id integer);\n\nselect nonsense();';
  const folder = folderWith({ '0001-first.sql': first, '0002-second.sql': broken });
  await expect(migrate(pool, { log, folder })).rejects.toMatchObject({
    code: 'migration_failed',
    message: expect.stringMatching(/0002-second failed at line 3: .*nonsense/),
  });
  expect((await pool.query("select to_regclass('tag') as tag, to_regclass('host') as host")).rows).toEqual([
    { tag: null, host: 'host' },
  ]);
  const corrected = folderWith({ '0001-first.sql': first, '0002-second.sql': second });
  expect(await migrate(pool, { log, folder: corrected })).toEqual(['0002-second']);
});

test('a migration that ends its own transaction is refused', async () => {
  const { pool } = await emptyDatabase();
  const folder = folderWith({ '0001-first.sql': `${first} commit;` });
  await expect(migrate(pool, { log, folder })).rejects.toMatchObject({ code: 'migration_failed' });
});

test('misnamed files, gaps and doubles are refused', () => {
  for (const names of [
    ['0001-first.sql', '0003-third.sql'],
    ['0001-first.sql', '0001-other.sql'],
    ['1-first.sql'],
    ['0001-first.sql', 'notes.txt'],
  ]) {
    const folder = folderWith(Object.fromEntries(names.map((name) => [name, first])));
    expect(() => readMigrations(folder)).toThrow(expect.objectContaining({ code: 'migration_misnamed' }));
  }
});
