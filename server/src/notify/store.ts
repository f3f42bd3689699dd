import type { Insertable, Kysely, Selectable } from 'kysely';
import type { Transact } from '../context.ts';
import type { Cursor } from '../cursor.ts';
import type { AlertTable, Database } from '../database/tables.ts';

export type AlertRow = Selectable<AlertTable>;

/** Inserts an alert unless one of the same key is there; true when it is new. */
export async function insertAlert(trx: Transact, alert: Insertable<AlertTable>): Promise<boolean> {
  const row = await trx
    .insertInto('alert')
    .values(alert)
    .onConflict((conflict) => conflict.column('deduplication_key').doNothing())
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

export async function hasAlert(trx: Transact, deduplicationKey: string): Promise<boolean> {
  const row = await trx
    .selectFrom('alert')
    .select('id')
    .where('deduplication_key', '=', deduplicationKey)
    .executeTakeFirst();
  return row !== undefined;
}

export async function openAlertsOf(db: Kysely<Database>, kinds: readonly string[]) {
  return db
    .selectFrom('alert')
    .select(['id', 'subject', 'deduplication_key'])
    .where('acknowledged_at', 'is', null)
    .where('kind', 'in', [...kinds])
    .execute();
}

export async function alertPage(
  db: Kysely<Database>,
  filter: { readonly open: boolean; readonly limit: number; readonly after: Cursor | null },
): Promise<{ rows: AlertRow[]; total: number }> {
  let query = db.selectFrom('alert');
  if (filter.open) query = query.where('acknowledged_at', 'is', null);
  const { total } = await query.select((e) => e.fn.countAll<string>().as('total')).executeTakeFirstOrThrow();
  const { after } = filter;
  if (after !== null) {
    query = query.where((e) =>
      e.or([e('raised_at', '<', after.at), e.and([e('raised_at', '=', after.at), e('id', '<', after.id)])]),
    );
  }
  const rows = await query
    .selectAll()
    .orderBy('raised_at', 'desc')
    .orderBy('id', 'desc')
    .limit(filter.limit)
    .execute();
  return { rows, total: Number(total) };
}

export async function lockAlert(trx: Transact, id: string): Promise<AlertRow | undefined> {
  return trx.selectFrom('alert').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
}

export async function markAcknowledged(trx: Transact, id: string, by: string, at: Date): Promise<AlertRow> {
  return trx
    .updateTable('alert')
    .set({ acknowledged_at: at, acknowledged_by: by })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
}
