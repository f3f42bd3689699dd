import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { systemRandom } from '../random.ts';
import { findBinaries } from './binaries.ts';
import { openCluster } from './cluster.ts';
import { describeSchema } from './schema.ts';
import { testDatabase, testFolder } from './test-database.ts';

async function schemaOf(url: string): Promise<string> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await describeSchema(client);
  } finally {
    await client.end();
  }
}

/** One of everything that a migration of ours may make. */
const everything = `
  create type mode as enum ('assess', 'manage');
  create domain percent as integer not null check (value between 0 and 100);
  create sequence ticket start 5;
  create table "Asset" (
    id integer generated always as identity primary key,
    name text not null default 'x' unique,
    mode mode,
    score percent,
    doubled integer generated always as (length(name) * 2) stored,
    folded text collate "C",
    constraint short check (length(name) < 9)
  );
  create index asset_mode on "Asset" (mode) where mode is not null;
  create table change (at date not null, asset_id integer references "Asset" (id) on delete cascade) partition by range (at);
  create index change_at on change (at);
  create table change_2026 partition of change for values from ('2026-01-01') to ('2027-01-01');
  create function touch() returns trigger language plpgsql as 'begin return new; end';
  create trigger touched before insert on change for each row execute function touch();
  create view named as select name from "Asset";
  comment on table "Asset" is 'one host';
  comment on column "Asset".name is 'it''s name';`;

test('everything that a migration may make is described, and every PostgreSQL here says it alike', async () => {
  const texts: string[] = [];
  for (const binaries of findBinaries()) {
    const dataFolder = testFolder();
    const log = pino({ level: 'silent' });
    const cluster = await openCluster({ dataFolder, log, random: systemRandom, found: [binaries] });
    try {
      const client = new Client({ connectionString: cluster.url });
      await client.connect();
      await client.query(everything);
      await client.end();
      texts.push(await schemaOf(cluster.url));
    } finally {
      await cluster.stop();
    }
  }
  const [text = ''] = texts;
  for (const other of texts) expect(other).toBe(text);
  await expect(text).toMatchFileSnapshot('golden/schema-of-everything.sql');
});

test('schema.sql is up to date; if not, run: npm run schema', async () => {
  const { url, close } = await testDatabase();
  try {
    expect(readFileSync(join(import.meta.dirname, 'schema.sql'), 'utf8')).toBe(await schemaOf(url));
  } finally {
    await close();
  }
});

test('each test database is a fresh one of its own', async () => {
  const [one, other] = await Promise.all([testDatabase(), testDatabase()]);
  try {
    await one.pool.query("insert into feed (id) values ('debian')");
    expect((await other.pool.query('select id from feed')).rows).toEqual([]);
    expect(one.url).not.toBe(other.url);
  } finally {
    await Promise.all([one.close(), other.close()]);
  }
});
