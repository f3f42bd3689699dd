import type { Kysely, Selectable } from 'kysely';
import type { Transact } from '../context.ts';
import type { Cursor } from '../cursor.ts';
import type { Database, PatchDenialTable } from '../database/tables.ts';

export type DenialRow = Selectable<PatchDenialTable>;

/** False when such a pattern is denied already. */
export async function insertDenial(
  trx: Transact,
  one: { id: string; pattern: string; reason: string; createdBy: string; at: Date },
): Promise<boolean> {
  const { numInsertedOrUpdatedRows: rows } = await trx
    .insertInto('patch_denial')
    .values({
      id: one.id,
      pattern: one.pattern,
      reason: one.reason,
      created_by: one.createdBy,
      created_at: one.at,
      lifted_by: null,
    })
    .onConflict((on) => on.column('pattern').where('lifted_at', 'is', null).doNothing())
    .executeTakeFirstOrThrow();
  return rows === 1n;
}

export async function lockDenial(trx: Transact, id: string): Promise<DenialRow | undefined> {
  return await trx.selectFrom('patch_denial').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
}

export async function setLifted(trx: Transact, id: string, by: string, at: Date): Promise<void> {
  await trx.updateTable('patch_denial').set({ lifted_by: by, lifted_at: at }).where('id', '=', id).execute();
}

/** In the order in which they were made. */
export async function openDenials(db: Kysely<Database>): Promise<DenialRow[]> {
  return await db
    .selectFrom('patch_denial')
    .selectAll()
    .where('lifted_at', 'is', null)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
}

/** Newest first. */
export async function denialPage(
  db: Kysely<Database>,
  filter: { open: boolean; limit: number; after: Cursor | null },
): Promise<{ rows: DenialRow[]; total: number }> {
  let query = db.selectFrom('patch_denial');
  if (filter.open) query = query.where('lifted_at', 'is', null);
  const { total } = await query.select((e) => e.fn.countAll<string>().as('total')).executeTakeFirstOrThrow();
  const { after } = filter;
  if (after !== null) {
    query = query.where((e) =>
      e.or([e('created_at', '<', after.at), e.and([e('created_at', '=', after.at), e('id', '<', after.id)])]),
    );
  }
  const rows = await query
    .selectAll()
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(filter.limit)
    .execute();
  return { rows, total: Number(total) };
}
