import type { Insertable, Kysely, Selectable, Updateable } from 'kysely';
import type { AcceptanceState } from '@fixpoint/contract/acceptance.ts';
import type { Transact } from '../context.ts';
import type { Cursor } from '../cursor.ts';
import type { Database, RiskAcceptanceTable } from '../database/tables.ts';

/** The only writer of risk_acceptance. */

export type AcceptanceRow = Selectable<RiskAcceptanceTable>;

export async function insertAcceptance(
  trx: Transact,
  row: Insertable<RiskAcceptanceTable>,
): Promise<AcceptanceRow> {
  return await trx.insertInto('risk_acceptance').values(row).returningAll().executeTakeFirstOrThrow();
}

/** Locks it, so that it is not revoked, extended and expired at once. */
export async function lockAcceptance(trx: Transact, id: string): Promise<AcceptanceRow | null> {
  const row = await trx
    .selectFrom('risk_acceptance')
    .selectAll()
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  return row ?? null;
}

export async function updateAcceptance(
  trx: Transact,
  id: string,
  changes: Updateable<RiskAcceptanceTable>,
): Promise<AcceptanceRow> {
  return await trx
    .updateTable('risk_acceptance')
    .set(changes)
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

export async function acceptancesByIds(
  db: Kysely<Database>,
  ids: readonly string[],
): Promise<AcceptanceRow[]> {
  if (ids.length === 0) return [];
  return await db
    .selectFrom('risk_acceptance')
    .selectAll()
    .where('id', 'in', [...ids])
    .execute();
}

/** Whether any is in force at a time. */
export async function isAnyInForce(db: Kysely<Database>, now: Date): Promise<boolean> {
  const row = await inState(db, 'in_force', now).select('id').limit(1).executeTakeFirst();
  return row !== undefined;
}

function inState(db: Kysely<Database>, state: AcceptanceState | null, now: Date) {
  const all = db.selectFrom('risk_acceptance');
  if (state === null) return all;
  if (state === 'revoked') return all.where('revoked_at', 'is not', null);
  const standing = all.where('revoked_at', 'is', null);
  if (state === 'scheduled') return standing.where('starts_at', '>', now);
  if (state === 'expired') return standing.where('expires_at', '<=', now);
  return standing.where('starts_at', '<=', now).where('expires_at', '>', now);
}

/** Newest first. */
export async function acceptancePage(
  db: Kysely<Database>,
  filter: {
    readonly state: AcceptanceState | null;
    readonly now: Date;
    readonly limit: number;
    readonly after: Cursor | null;
  },
): Promise<{ rows: AcceptanceRow[]; total: number }> {
  const { state, now, limit, after } = filter;
  let query = inState(db, state, now);
  const { total } = await query.select((e) => e.fn.countAll<string>().as('total')).executeTakeFirstOrThrow();
  if (after !== null) {
    query = query.where((e) =>
      e.or([e('created_at', '<', after.at), e.and([e('created_at', '=', after.at), e('id', '<', after.id)])]),
    );
  }
  const rows = await query
    .selectAll()
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit)
    .execute();
  return { rows, total: Number(total) };
}

/** Those that have ended and of which nobody was told yet, and those that end until `warnUntil` and of which nobody was warned. */
export async function acceptancesToTell(
  db: Kysely<Database>,
  now: Date,
  warnUntil: Date,
): Promise<AcceptanceRow[]> {
  return await db
    .selectFrom('risk_acceptance')
    .selectAll()
    .where('revoked_at', 'is', null)
    .where('expired_at', 'is', null)
    .where((e) =>
      e.or([
        e('expires_at', '<=', now),
        e.and([e('warned_at', 'is', null), e('expires_at', '<=', warnUntil)]),
      ]),
    )
    .orderBy('expires_at')
    .orderBy('id')
    .limit(500)
    .execute();
}
