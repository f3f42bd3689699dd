import { sql, type Insertable, type Kysely, type RawBuilder, type Selectable } from 'kysely';
import type { Transact } from '../context.ts';
import type { AuditEventTable, Database } from '../database/tables.ts';

/** The only writer of audit_event. */

/** Any number; the same in every replica. */
const appendLock = 4_206_002;

/**
 * Waits until nobody else appends, and stays alone until the transaction ends. What is read after this is the end of the
 * chain (each statement of a READ COMMITTED transaction sees what was committed before it began).
 */
export async function lockChain(trx: Transact): Promise<void> {
  await sql`select pg_advisory_xact_lock(${appendLock})`.execute(trx);
}

export async function lastEvent(db: Kysely<Database>): Promise<{ sequence: number; hash: string } | null> {
  const row = await db
    .selectFrom('audit_event')
    .select(['sequence', 'hash'])
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? null : { sequence: Number(row.sequence), hash: row.hash };
}

export async function insertEvents(trx: Transact, events: Insertable<AuditEventTable>[]): Promise<void> {
  // 12 columns a row, and PostgreSQL takes 65,535 parameters a statement.
  for (let from = 0; from < events.length; from += 1000) {
    await trx
      .insertInto('audit_event')
      .values(events.slice(from, from + 1000))
      .execute();
  }
}

export interface AuditFilter {
  readonly subject?: string | undefined;
  readonly event?: string | undefined;
  readonly vulnerability?: string | undefined;
}

/**
 * The numbers of all events that tell of a vulnerability: those that name it, and all that happened to the jobs,
 * deployments and tasks among them, with the alerts about these.
 */
function storyOf(vulnerability: string): RawBuilder<unknown> {
  // As a whole word: CVE-2024-1 is not part of the story of CVE-2024-12.
  const escaped = vulnerability.replaceAll(/[!-/:-@[-`{-~ ]/g, '\\$&');
  const word = `(^|[^A-Za-z0-9-])${escaped}($|[^A-Za-z0-9-])`;
  // Plain search first: it is many times faster than an expression, and few events hold the text at all.
  const names = (text: RawBuilder<unknown>) =>
    sql`(strpos(${text}, ${vulnerability}) > 0 and ${text} ~ ${word})`;
  return sql`
    with told as materialized (
      select sequence, subject_kind, subject, after from audit_event
      where ${names(sql`subject`)} or ${names(sql`before::text`)} or ${names(sql`after::text`)}
    ), work as materialized (
      select subject from told where subject_kind in ('job', 'deployment', 'task')
      union select after ->> 'job' from told where subject_kind = 'deployment'
      union select after ->> 'deployment' from told where subject_kind = 'task'
    )
    select sequence from told
    union select sequence from audit_event where subject in (select subject from work)
    union select sequence from audit_event
      where subject_kind = 'alert' and after ->> 'subject' in (select subject from work)`;
}

function filtered(db: Kysely<Database>, filter: AuditFilter) {
  let query = db.selectFrom('audit_event');
  if (filter.subject !== undefined) query = query.where('subject', '=', filter.subject);
  if (filter.event !== undefined) query = query.where('event', '=', filter.event);
  if (filter.vulnerability !== undefined) {
    query = query.where(sql<boolean>`sequence in (${storyOf(filter.vulnerability)})`);
  }
  return query;
}

export async function countEvents(db: Kysely<Database>, filter: AuditFilter): Promise<number> {
  const row = await filtered(db, filter)
    .select((expression) => expression.fn.countAll<string>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** Events after a number, oldest first. */
export async function eventsAfter(
  db: Kysely<Database>,
  after: number,
  limit: number,
  filter: AuditFilter = {},
): Promise<Selectable<AuditEventTable>[]> {
  return await filtered(db, filter)
    .selectAll()
    .where('sequence', '>', String(after))
    .orderBy('sequence')
    .limit(limit)
    .execute();
}
