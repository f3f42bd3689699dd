import { sql, type Kysely } from 'kysely';
import type { Transact } from '../context.ts';
import type { Database, ServerKeyTable, TokenTable } from '../database/tables.ts';
import type { Insertable, Selectable } from 'kysely';

/** Writes token and server_key, and removes people and sessions, which the library behind people.ts writes. */

export type TokenRow = Selectable<TokenTable>;

/** Any number; the same in every replica. */
const keysLock = 4_206_001;

export async function lockKeys(trx: Transact): Promise<void> {
  await sql`select pg_advisory_xact_lock(${keysLock})`.execute(trx);
}

export async function currentKeys(trx: Transact): Promise<Selectable<ServerKeyTable>[]> {
  return await trx
    .selectFrom('server_key')
    .selectAll()
    .where('retired_at', 'is', null)
    .orderBy('created_at')
    .execute();
}

export async function insertKeys(trx: Transact, keys: Insertable<ServerKeyTable>[]): Promise<void> {
  await trx.insertInto('server_key').values(keys).execute();
}

export async function insertToken(trx: Transact, token: Insertable<TokenTable>): Promise<TokenRow> {
  return await trx.insertInto('token').values(token).returningAll().executeTakeFirstOrThrow();
}

export async function tokenByHash(
  db: Kysely<Database>,
  kind: string,
  sha256: string,
): Promise<TokenRow | null> {
  const row = await db
    .selectFrom('token')
    .selectAll()
    .where('secret_sha256', '=', sha256)
    .where('kind', '=', kind)
    .executeTakeFirst();
  return row ?? null;
}

/** Locks the token, so that two hosts cannot both take its last use. */
export async function lockEnrolmentToken(trx: Transact, sha256: string): Promise<TokenRow | null> {
  const row = await trx
    .selectFrom('token')
    .selectAll()
    .where('secret_sha256', '=', sha256)
    .where('kind', '=', 'enrolment')
    .forUpdate()
    .executeTakeFirst();
  return row ?? null;
}

export async function takeUse(trx: Transact, id: string, now: Date): Promise<void> {
  await trx
    .updateTable('token')
    .set((expression) => ({ uses_left: expression('uses_left', '-', 1), last_used_at: now }))
    .where('id', '=', id)
    .execute();
}

export async function markUsed(db: Kysely<Database>, id: string, now: Date): Promise<void> {
  await db.updateTable('token').set({ last_used_at: now }).where('id', '=', id).execute();
}

export async function markRevoked(trx: Transact, id: string, now: Date): Promise<TokenRow | null> {
  const row = await trx
    .updateTable('token')
    .set({ revoked_at: now })
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
  return row ?? null;
}

export async function tokenById(db: Kysely<Database>, id: string): Promise<TokenRow | null> {
  const row = await db.selectFrom('token').selectAll().where('id', '=', id).executeTakeFirst();
  return row ?? null;
}

export async function allTokens(db: Kysely<Database>): Promise<TokenRow[]> {
  return await db.selectFrom('token').selectAll().orderBy('created_at').orderBy('id').execute();
}

/** Waits for whoever else changes who the people are, so that two administrators cannot remove each other at once. */
export async function lockPeople(trx: Transact): Promise<void> {
  await sql`lock table "user" in share row exclusive mode`.execute(trx);
}

/** With the person go their sessions and credentials. */
export async function deletePerson(trx: Transact, id: string): Promise<void> {
  await trx.deleteFrom('user').where('id', '=', id).execute();
}

/** Ends every session of a person but one. */
export async function deleteOtherSessions(trx: Transact, email: string, keptToken: string): Promise<void> {
  await trx
    .deleteFrom('session')
    .where('token', '!=', keptToken)
    .where('userId', 'in', (query) => query.selectFrom('user').select('id').where('email', '=', email))
    .execute();
}

export async function allPeople(
  db: Kysely<Database>,
): Promise<{ id: string; email: string; name: string; role: string | null; createdAt: Date }[]> {
  return await db
    .selectFrom('user')
    .select(['id', 'email', 'name', 'role', 'createdAt'])
    .orderBy('createdAt')
    .execute();
}
