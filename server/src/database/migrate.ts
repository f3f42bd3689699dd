/**
 * Brings a database to the schema of this code: plain SQL files `migrations/0001-name.sql`, applied in order, each in a
 * transaction of its own, one server at a time. A file that has been applied somewhere is never edited: write a new one.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pool, PoolClient } from 'pg';
import type { Logger } from 'pino';
import { DatabaseError } from './database-error.ts';

export interface Migration {
  readonly number: number;
  /** File name without `.sql`. */
  readonly name: string;
  readonly sha256: string;
  readonly sql: string;
}

interface Applied {
  readonly number: number;
  readonly name: string;
  readonly sha256: string;
}

export const MIGRATIONS_FOLDER = join(import.meta.dirname, 'migrations');

/** Any number that nothing else takes as an advisory lock in this database: "fixpoint" in ASCII, cut to 31 bits. */
const ADVISORY_LOCK = 0x66697870;

/**
 * Reads the migrations of a folder in order.
 *
 * @throws DatabaseError `migration_misnamed` when a name is not `0001-some-name.sql`, or the numbers are not 1, 2, 3, …
 */
export function readMigrations(folder: string = MIGRATIONS_FOLDER): Migration[] {
  return readdirSync(folder)
    .sort()
    .map((file, index) => {
      const match = /^(\d{4})-[a-z0-9-]+\.sql$/.exec(file);
      const number = Number(match?.[1]);
      if (match === null || number !== index + 1) {
        throw new DatabaseError(
          'migration_misnamed',
          `${join(folder, file)} should be number ${index + 1} and be called like 0001-some-name.sql`,
          'number the files without gaps or doubles; when two branches both added one, renumber the later',
        );
      }
      const sql = readFileSync(join(folder, file), 'utf8');
      return { number, name: file.slice(0, -4), sha256: createHash('sha256').update(sql).digest('hex'), sql };
    });
}

/**
 * Applies what is missing. Several servers may do this at once: one works, the others wait for it.
 *
 * @returns names of the migrations applied now
 * @throws DatabaseError `migration_changed`, `migration_missing`, `database_newer`, `migration_failed`; nothing of a
 *   failed migration remains, those before it do
 */
export async function migrate(
  pool: Pool,
  options: { readonly log: Logger; readonly folder?: string },
): Promise<string[]> {
  const migrations = readMigrations(options.folder);
  const client = await pool.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [ADVISORY_LOCK]);
    await client.query(`
      create table if not exists schema_migration (
        number integer primary key,
        name text not null,
        sha256 text not null,
        applied_at timestamptz not null default current_timestamp
      )`);
    const { rows } = await client.query<Applied>(
      'select number, name, sha256 from schema_migration order by number',
    );
    const pending = comparePending(migrations, rows);
    for (const migration of pending) {
      await apply(client, migration);
      options.log.info({ migration: migration.name }, 'migrated the database');
    }
    return pending.map(({ name }) => name);
  } finally {
    // A session that may still hold the lock or a transaction is not given back to the pool.
    client.release(true);
  }
}

/** What is still to be applied; throws when the database does not descend from these files. */
export function comparePending(migrations: readonly Migration[], applied: readonly Applied[]): Migration[] {
  for (const [index, row] of applied.entries()) {
    const migration = migrations[index];
    if (migration === undefined && row.number > migrations.length) {
      throw new DatabaseError(
        'database_newer',
        `the database is newer than this Fixpoint: it has had migration ${row.name}, which this one does not know`,
        'start the newer version of Fixpoint again, or restore a backup from before the upgrade',
      );
    }
    if (migration?.number !== row.number || migration.name !== row.name) {
      throw new DatabaseError(
        'migration_missing',
        `the database has had migration ${row.name}, and this Fixpoint has ${migration?.name ?? 'none'} in its place`,
        'bring the file back; a migration that has been applied is never removed, renamed or reordered',
      );
    }
    if (migration.sha256 !== row.sha256) {
      throw new DatabaseError(
        'migration_changed',
        `migration ${row.name} was changed after the database had it (SHA-256 then ${row.sha256}, now ${migration.sha256})`,
        'put the file back as it was and write a new migration for the change; a developer may drop the database instead',
      );
    }
  }
  return migrations.slice(applied.length);
}

async function apply(client: PoolClient, migration: Migration): Promise<void> {
  try {
    await client.query('begin');
    const before = await transactionId(client);
    await client.query(migration.sql);
    if ((await transactionId(client)) !== before)
      throw new Error('it must not contain "commit" or "rollback"');
    await client.query('insert into schema_migration (number, name, sha256) values ($1, $2, $3)', [
      migration.number,
      migration.name,
      migration.sha256,
    ]);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => {});
    const position =
      typeof error === 'object' && error !== null && 'position' in error ? Number(error.position) : 0;
    const line = position > 0 ? ` at line ${migration.sql.slice(0, position).split('\n').length}` : '';
    throw new DatabaseError(
      'migration_failed',
      `migration ${migration.name} failed${line}: ${error instanceof Error ? error.message : String(error)}`,
      'nothing of it was kept; correct the cause and start again',
      error,
    );
  }
}

async function transactionId(client: PoolClient): Promise<string | undefined> {
  const { rows } = await client.query<{ id: string }>('select pg_current_xact_id()::text as id');
  return rows[0]?.id;
}
