import type { Permission } from '@fixpoint/contract/access.ts';
import type { Report, ReportChange, ReportCounts, ReportRequest } from '@fixpoint/contract/report.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { Subject } from '@fixpoint/core/query/fields.ts';
import type { ServerContext } from '../app.ts';
import { appendAudit } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { readOffset } from '../cursor.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { transact } from '../transact.ts';
import { countNow } from './count.ts';
import { checkDefinition, explanationOf } from './definition.ts';
import { noReferrers, referencesTo, type Referrer } from './references.ts';
import {
  countsBetween,
  findReport,
  insertReport,
  lastCounts,
  lockReport,
  reportPage,
  updateReport,
  type CountRow,
  type ReportRow,
} from './store.ts';

/** Who asks, and what they may do. */
export interface Caller {
  readonly actor: Actor;
  readonly permissions: readonly Permission[];
}

type Rooms = Pick<ServerContext, 'db' | 'clock' | 'random' | 'log' | 'posture'>;

const isOwn = (row: ReportRow, { actor }: Caller): boolean =>
  row.owner === actor.name && row.owner_kind === actor.kind;
const maySee = (row: ReportRow, caller: Caller): boolean => row.shared || isOwn(row, caller);
const mayChange = (row: ReportRow, caller: Caller): boolean =>
  caller.permissions.includes('report.write') &&
  (isOwn(row, caller) || (row.shared && caller.permissions.includes('report.administer')));

function unknownReport(id: string) {
  return refuse(
    404,
    'report_unknown',
    `there is no report ${id}`,
    'list them: fixpoint report list; one that is not shared is seen by its owner only',
  );
}

/** A report that the caller sees; archived ones too. */
export async function visibleReport(
  db: Context['db'],
  caller: Caller,
  id: string,
): Promise<Answer<ReportRow>> {
  const row = await findReport(db, id);
  return row === null || !maySee(row, caller) ? unknownReport(id) : answer(row);
}

/** A report that the caller sees and that is not archived. */
export async function reportInUse(db: Context['db'], caller: Caller, id: string): Promise<Answer<ReportRow>> {
  const row = await visibleReport(db, caller, id);
  return row.ok && row.value.archived_at !== null ? archived(row.value) : row;
}

function archived(row: ReportRow) {
  return refuse(409, 'report_archived', `the report ${row.name} is archived`, 'copy it, and use the copy');
}

export async function createReport(
  context: Rooms,
  caller: Caller,
  request: ReportRequest,
): Promise<Answer<Report>> {
  const definition = checkDefinition(request);
  if (!definition.ok) return definition;
  const { subject, query, sort, columns } = definition.value;
  const row = await saveNew(context, caller, {
    name: request.name,
    description: request.description ?? '',
    subject,
    query,
    sort: JSON.stringify(sort),
    columns: [...columns],
    shared: request.shared ?? false,
  });
  return answer(await view(context, caller, row));
}

/** A report of one's own, of the same parts as one that one sees; not shared. Archived ones can be copied too. */
export async function copyReport(
  context: Rooms,
  caller: Caller,
  id: string,
  name: string | undefined,
): Promise<Answer<Report>> {
  const from = await visibleReport(context.db, caller, id);
  if (!from.ok) return from;
  const { description, subject, query, sort, columns } = from.value;
  const copy = await saveNew(
    context,
    caller,
    {
      name: name ?? `Copy of ${from.value.name}`.slice(0, 200),
      description,
      subject,
      query,
      sort: JSON.stringify(sort),
      columns,
      shared: false,
    },
    id,
  );
  return answer(await view(context, caller, copy));
}

async function saveNew(
  context: Rooms,
  { actor }: Caller,
  parts: Pick<
    Parameters<typeof insertReport>[1],
    'name' | 'description' | 'subject' | 'query' | 'sort' | 'columns' | 'shared'
  >,
  copyOf?: string,
): Promise<ReportRow> {
  const at = context.clock.now();
  if (actor.kind === 'agent') throw new Error('an agent has no reports');
  const ownerKind = actor.kind;
  const row = await transact(context.db, async (trx) => {
    const saved = await insertReport(trx, {
      id: context.random.uuid(),
      ...parts,
      owner_kind: ownerKind,
      owner: actor.name,
      created_at: at,
      updated_at: at,
      updated_by: actor.name,
      query_since: at,
    });
    await appendAudit(trx, context, {
      actor,
      event: 'report.created',
      subjectKind: 'report',
      subject: saved.id,
      after: { ...audited(saved), ...(copyOf === undefined ? {} : { copy_of: copyOf }) },
    });
    return saved;
  });
  await countNow(context, row);
  return row;
}

const audited = ({ name, description, subject, query, sort, columns, shared }: ReportRow) => ({
  name,
  description,
  subject,
  query,
  sort,
  columns,
  shared,
});

/** A page by name: the caller's own reports and those that are shared, without the archived ones. */
export async function listReports(
  context: Pick<Context, 'db'>,
  caller: Caller,
  query: {
    readonly limit?: number | undefined;
    readonly after?: string | undefined;
    readonly subject?: Subject | undefined;
    readonly mine?: boolean | undefined;
  },
): Promise<Answer<{ items: Report[]; total: number; next: string | null }>> {
  const cursor = readOffset(query.after);
  if (!cursor.ok) return cursor;
  const limit = query.limit ?? 100;
  const filter = { viewer: caller.actor, mine: query.mine ?? false, subject: query.subject ?? null };
  const { rows, total } = await reportPage(context.db, filter, limit, cursor.offset);
  const counts = await lastCounts(
    context.db,
    rows.map((row) => row.id),
  );
  const end = cursor.offset + rows.length;
  return answer({
    items: rows.map((row) => viewOf(row, caller, counts.get(row.id) ?? null)),
    total,
    next: end < total ? String(end) : null,
  });
}

export async function showReport(
  context: Pick<Context, 'db'>,
  caller: Caller,
  id: string,
): Promise<Answer<Report>> {
  const row = await visibleReport(context.db, caller, id);
  return row.ok ? answer(await view(context, caller, row.value)) : row;
}

/** Changes what is named. Refused when the report is not of the version that the caller has read. */
export async function changeReport(
  context: Rooms,
  caller: Caller,
  id: string,
  { version, ...change }: ReportChange,
): Promise<Answer<Report>> {
  const done = await transact(context.db, async (trx) => {
    const row = await lockForChange(trx, caller, id, version);
    if (!row.ok) return row;
    const before = row.value;
    const definition = checkDefinition({
      subject: before.subject,
      query: change.query ?? before.query,
      sort: change.sort ?? before.sort,
      columns: change.columns ?? before.columns,
    });
    if (!definition.ok) return definition;
    const { query, sort, columns } = definition.value;
    const at = context.clock.now();
    const anotherQuery = query !== before.query;
    const after = await updateReport(trx, id, {
      name: change.name ?? before.name,
      description: change.description ?? before.description,
      query,
      sort: JSON.stringify(sort),
      columns: [...columns],
      shared: change.shared ?? before.shared,
      version: before.version + 1,
      updated_at: at,
      updated_by: caller.actor.name,
      ...(anotherQuery ? { query_since: at } : {}),
    });
    await appendAudit(trx, context, {
      actor: caller.actor,
      event: 'report.changed',
      subjectKind: 'report',
      subject: id,
      before: audited(before),
      after: audited(after),
    });
    return answer({ after, anotherQuery });
  });
  if (!done.ok) return done;
  const { after, anotherQuery } = done.value;
  if (anotherQuery) await countNow(context, after);
  return answer(await view(context, caller, after));
}

/** Takes a report out of the lists. Refused while something refers to it. */
export async function archiveReport(
  context: Pick<Context, 'db' | 'clock'>,
  caller: Caller,
  id: string,
  version: number | undefined,
  referrers: readonly Referrer[] = noReferrers,
): Promise<Answer<Report>> {
  const done = await transact(context.db, async (trx) => {
    const row = await lockForChange(trx, caller, id, version);
    if (!row.ok) return row;
    const references = await referencesTo(trx, id, referrers);
    if (references.length > 0) {
      const named = references.slice(0, 5).map((one) => `${one.kind} ${one.name}`);
      const more = references.length > 5 ? ` and ${String(references.length - 5)} more` : '';
      return refuse(
        409,
        'report_in_use',
        `the report ${row.value.name} is used by ${named.join(', ')}${more}`,
        'archive these first, or let them use another report',
      );
    }
    const at = context.clock.now();
    const after = await updateReport(trx, id, {
      version: row.value.version + 1,
      updated_at: at,
      updated_by: caller.actor.name,
      archived_at: at,
    });
    await appendAudit(trx, context, {
      actor: caller.actor,
      event: 'report.archived',
      subjectKind: 'report',
      subject: id,
      before: audited(after),
    });
    return answer(after);
  });
  return done.ok ? answer(await view(context, caller, done.value)) : done;
}

async function lockForChange(
  trx: Transact,
  caller: Caller,
  id: string,
  version: number | undefined,
): Promise<Answer<ReportRow>> {
  const row = await lockReport(trx, id);
  if (row === null || !maySee(row, caller)) return unknownReport(id);
  if (!mayChange(row, caller)) {
    return refuse(
      403,
      'forbidden',
      `the report ${row.name} is ${row.owner}’s: only they and administrators change it`,
      'copy it, and change the copy',
    );
  }
  if (row.archived_at !== null) return archived(row);
  if (version !== undefined && version !== row.version) {
    return refuse(
      409,
      'report_changed',
      `${row.updated_by} changed the report ${row.name} at ${row.updated_at.toISOString()}: it is of version ${String(row.version)} now, not ${String(version)}`,
      'read it again, and make the change on what it is now',
    );
  }
  return answer(row);
}

const daysShown = 30;

/** What the report came to over time, oldest first. */
export async function reportCounts(
  context: Pick<Context, 'db' | 'clock'>,
  caller: Caller,
  id: string,
  query: { readonly from?: string | undefined; readonly to?: string | undefined },
): Promise<Answer<ReportCounts>> {
  const row = await visibleReport(context.db, caller, id);
  if (!row.ok) return row;
  const to = query.to === undefined ? context.clock.now() : new Date(query.to);
  const from =
    query.from === undefined ? new Date(to.getTime() - daysShown * 86_400_000) : new Date(query.from);
  if (from > to) {
    return refuse(400, 'range_reversed', 'from is later than to', 'give the earlier time as from');
  }
  const rows = await countsBetween(context.db, id, from, to);
  return answer({ items: rows.map(countView), query_since: row.value.query_since.toISOString() });
}

export const countView = ({ at, items, assets, risk }: CountRow) => ({
  at: at.toISOString(),
  items,
  assets,
  risk: risk === null ? null : Math.round(risk * 10) / 10,
});

async function view(context: Pick<Context, 'db'>, caller: Caller, row: ReportRow): Promise<Report> {
  const counts = await lastCounts(context.db, [row.id]);
  return viewOf(row, caller, counts.get(row.id) ?? null);
}

function viewOf(row: ReportRow, caller: Caller, count: CountRow | null): Report {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    subject: row.subject,
    query: row.query,
    explanation: explanationOf(row),
    sort: row.sort,
    columns: row.columns,
    owner: row.owner,
    owner_kind: row.owner_kind,
    shared: row.shared,
    version: row.version,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
    updated_by: row.updated_by,
    query_since: row.query_since.toISOString(),
    archived_at: row.archived_at?.toISOString() ?? null,
    may_change: row.archived_at === null && mayChange(row, caller),
    last_count: count === null ? null : countView(count),
  };
}
