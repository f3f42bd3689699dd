import { sql, type Insertable, type Kysely, type Selectable, type Updateable } from 'kysely';
import type { Subject } from '@fixpoint/core/query/fields.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { Transact } from '../context.ts';
import type { Database, ReportCountTable, ReportTable } from '../database/tables.ts';

/** The only writer of report and report_count. */

export type ReportRow = Selectable<ReportTable>;
export type CountRow = Selectable<ReportCountTable>;

export async function insertReport(trx: Transact, report: Insertable<ReportTable>): Promise<ReportRow> {
  return await trx.insertInto('report').values(report).returningAll().executeTakeFirstOrThrow();
}

export async function findReport(db: Kysely<Database>, id: string): Promise<ReportRow | null> {
  const row = await db.selectFrom('report').selectAll().where('id', '=', id).executeTakeFirst();
  return row ?? null;
}

/** Locks the report, so that two changes come one after the other. */
export async function lockReport(trx: Transact, id: string): Promise<ReportRow | null> {
  const row = await trx.selectFrom('report').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  return row ?? null;
}

export async function updateReport(
  trx: Transact,
  id: string,
  change: Updateable<ReportTable>,
): Promise<ReportRow> {
  return await trx
    .updateTable('report')
    .set(change)
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

export interface ReportFilter {
  /** Whose own, and those that are shared; with `mine` only the own ones. */
  readonly viewer: Actor;
  readonly mine: boolean;
  readonly subject: Subject | null;
}

/** By name, without the archived ones. */
export async function reportPage(
  db: Kysely<Database>,
  { viewer, mine, subject }: ReportFilter,
  limit: number,
  offset: number,
): Promise<{ rows: ReportRow[]; total: number }> {
  let query = db.selectFrom('report').where('archived_at', 'is', null);
  query = query.where((e) => {
    const own = e.and([e('owner', '=', viewer.name), sql<boolean>`owner_kind = ${viewer.kind}`]);
    return mine ? own : e.or([own, e('shared', '=', true)]);
  });
  if (subject !== null) query = query.where('subject', '=', subject);
  const { total } = await query.select((e) => e.fn.countAll<string>().as('total')).executeTakeFirstOrThrow();
  const rows = await query
    .selectAll()
    .orderBy(sql`lower(name)`)
    .orderBy('id')
    .limit(limit)
    .offset(offset)
    .execute();
  return { rows, total: Number(total) };
}

/** All that are counted: those that are not archived. */
export async function reportsToCount(db: Kysely<Database>): Promise<ReportRow[]> {
  return await db
    .selectFrom('report')
    .selectAll()
    .where('archived_at', 'is', null)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
}

/** Which of these reports have been counted at this time. */
export async function countedAt(
  db: Kysely<Database>,
  reportIds: readonly string[],
  at: Date,
): Promise<Set<string>> {
  const rows = await db
    .selectFrom('report_count')
    .select('report_id')
    .where('at', '=', at)
    .where(sql<boolean>`report_id = any(${[...reportIds]}::uuid[])`)
    .execute();
  return new Set(rows.map((row) => row.report_id));
}

/**
 * `keep`: what another server has written for the same hour stays; `replace`: for a query that has changed since. Whether
 * anything was written: not when the report is gone, or is another one than was counted by now.
 */
export async function insertCount(
  db: Kysely<Database>,
  count: Insertable<ReportCountTable>,
  querySince: Date,
  taken: 'keep' | 'replace',
): Promise<boolean> {
  const { rows } = await sql<{ report_id: string }>`
    insert into report_count (report_id, at, items, assets, risk)
    select id, ${count.at}, ${count.items}, ${count.assets}, ${count.risk} from report
    where id = ${count.report_id} and query_since = ${querySince}
    on conflict (report_id, at) do ${
      taken === 'keep'
        ? sql`nothing`
        : sql`update set items = excluded.items, assets = excluded.assets, risk = excluded.risk`
    }
    returning report_id`.execute(db);
  return rows.length > 0;
}

export async function countsBetween(
  db: Kysely<Database>,
  reportId: string,
  from: Date,
  to: Date,
): Promise<CountRow[]> {
  return await db
    .selectFrom('report_count')
    .selectAll()
    .where('report_id', '=', reportId)
    .where('at', '>=', from)
    .where('at', '<=', to)
    .orderBy('at')
    .execute();
}

export async function lastCounts(
  db: Kysely<Database>,
  reportIds: readonly string[],
): Promise<Map<string, CountRow>> {
  const { rows } = await sql<CountRow>`
    select c.* from unnest(${[...reportIds]}::uuid[]) as wanted (id)
    cross join lateral (
      select * from report_count where report_id = wanted.id order by at desc limit 1
    ) c`.execute(db);
  return new Map(rows.map((row) => [row.report_id, row]));
}

/** Of each day in UTC before `dailyBefore` keeps the last count, and nothing from before `nothingBefore`. */
export async function thinOutCounts(
  db: Kysely<Database>,
  dailyBefore: Date,
  nothingBefore: Date,
): Promise<void> {
  await sql`delete from report_count where at < ${nothingBefore}`.execute(db);
  await sql`
    delete from report_count c
    where c.at < ${dailyBefore} and exists (
      select from report_count later
      where later.report_id = c.report_id and later.at > c.at and later.at < ${dailyBefore}
        and later.at < c.at + interval '1 day'
        and date_trunc('day', later.at, 'UTC') = date_trunc('day', c.at, 'UTC')
    )`.execute(db);
}
