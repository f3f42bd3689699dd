import { sql, type Insertable, type Kysely, type Selectable, type Updateable } from 'kysely';
import type { Transact } from '../context.ts';
import type { Cursor } from '../cursor.ts';
import type { CalendarTable, Database } from '../database/tables.ts';

/** The only writer of calendar. */

/** `version` is another one after each change. */
export type CalendarRow = Selectable<CalendarTable> & { readonly version: string };

const version = sql<string>`calendar.xmin::text`.as('version');

/** False when there is one of this name already. */
export async function insertCalendar(trx: Transact, row: Insertable<CalendarTable>): Promise<boolean> {
  const inserted = await trx
    .insertInto('calendar')
    .values(row)
    .onConflict((conflict) => conflict.column('name').doNothing())
    .returning('id')
    .executeTakeFirst();
  return inserted !== undefined;
}

export async function updateCalendar(
  trx: Transact,
  id: string,
  change: Updateable<CalendarTable>,
): Promise<void> {
  await trx.updateTable('calendar').set(change).where('id', '=', id).execute();
}

export async function deleteCalendar(trx: Transact, id: string): Promise<void> {
  await trx.deleteFrom('calendar').where('id', '=', id).execute();
}

export async function findCalendar(db: Kysely<Database>, name: string): Promise<CalendarRow | undefined> {
  return await db
    .selectFrom('calendar')
    .selectAll()
    .select(version)
    .where('name', '=', name)
    .executeTakeFirst();
}

/** The same, kept from being changed, deleted or named by a new job until the transaction ends. */
export async function lockCalendar(trx: Transact, name: string): Promise<CalendarRow | undefined> {
  return await trx
    .selectFrom('calendar')
    .selectAll()
    .select(version)
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst();
}

/** Those of these names that there are, kept from being deleted until the transaction ends. */
export async function keepCalendars(trx: Transact, names: readonly string[]): Promise<string[]> {
  const rows = await trx
    .selectFrom('calendar')
    .select('name')
    .where('name', 'in', [...names])
    .orderBy('name')
    .forKeyShare()
    .execute();
  return rows.map((row) => row.name);
}

export async function calendarNames(db: Kysely<Database>, names: readonly string[]): Promise<string[]> {
  const rows = await db
    .selectFrom('calendar')
    .select('name')
    .where('name', 'in', [...names])
    .execute();
  return rows.map((row) => row.name);
}

/** Newest first. */
export async function calendarPage(
  db: Kysely<Database>,
  limit: number,
  after: Cursor | null,
): Promise<{ rows: CalendarRow[]; total: number }> {
  const { total } = await db
    .selectFrom('calendar')
    .select((e) => e.fn.countAll<string>().as('total'))
    .executeTakeFirstOrThrow();
  let query = db.selectFrom('calendar').selectAll().select(version);
  if (after !== null) {
    query = query.where((e) =>
      e.or([e('created_at', '<', after.at), e.and([e('created_at', '=', after.at), e('id', '<', after.id)])]),
    );
  }
  const rows = await query.orderBy('created_at', 'desc').orderBy('id', 'desc').limit(limit).execute();
  return { rows, total: Number(total) };
}

/** Which calendars a job heeds that names these, without their text. */
export async function heededVersions(
  db: Kysely<Database>,
  names: readonly string[],
): Promise<{ id: string; version: string }[]> {
  return await db
    .selectFrom('calendar')
    .select('id')
    .select(version)
    .where((e) =>
      names.length === 0
        ? e('everywhere', '=', true)
        : e.or([e('everywhere', '=', true), e('name', 'in', [...names])]),
    )
    .execute();
}

export async function calendarsById(db: Kysely<Database>, ids: readonly string[]): Promise<CalendarRow[]> {
  if (ids.length === 0) return [];
  return await db
    .selectFrom('calendar')
    .selectAll()
    .select(version)
    .where('id', 'in', [...ids])
    .execute();
}
