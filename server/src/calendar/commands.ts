import {
  calendarContentLimits,
  type Calendar as CalendarView,
  type CalendarDetail,
  type CalendarEventView,
  type CalendarReplacement,
  type CalendarRequest,
} from '@fixpoint/contract/calendar.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { eventTimes, type EventTime } from '@fixpoint/core/window/calendar-events.ts';
import { readCalendar, writeCalendar } from '@fixpoint/core/window/icalendar.ts';
import { isZone } from '@fixpoint/core/window/zone.ts';
import { createHash } from 'node:crypto';
import { appendAudit } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import { jobsOfCalendar } from '../patch-job/commands.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { calendarOf, eventsOf } from './blackouts.ts';
import {
  calendarPage,
  deleteCalendar,
  findCalendar,
  insertCalendar,
  lockCalendar,
  updateCalendar,
  type CalendarRow,
} from './store.ts';

export { blackoutsFor } from './blackouts.ts';
export { checkCalendars, lookForCalendars } from './known.ts';

type Rooms = Pick<Context, 'db' | 'clock'>;

const shownMilliseconds = 400 * 86_400_000;

const unknownCalendar = (name: string): Refusal =>
  refuse(404, 'calendar_unknown', `there is no calendar ${name}`, 'list them: fixpoint calendar list');

export async function createCalendar(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  actor: Actor,
  request: CalendarRequest,
): Promise<Answer<CalendarDetail>> {
  const content = checkedContent(request.name, request, context);
  if (!content.ok) return content;
  const at = context.clock.now();
  const row = { ...content.value, description: request.description ?? '', everywhere: request.everywhere };
  const inserted = await insertCalendar(trx, {
    id: context.random.uuid(),
    name: request.name,
    ...row,
    created_by: actor.name,
    created_at: at,
    changed_at: at,
  });
  if (!inserted) {
    return refuse(
      409,
      'calendar_name_taken',
      `there is a calendar ${request.name} already`,
      'choose another name, or replace it: fixpoint calendar import --replace',
    );
  }
  await appendAudit(trx, context, {
    actor,
    event: 'calendar.created',
    subjectKind: 'calendar',
    subject: request.name,
    after: audited(row),
  });
  return await calendarDetail({ db: trx, clock: context.clock }, request.name);
}

/** Everything of a calendar anew. Jobs that name it heed what it says from now on. */
export async function replaceCalendar(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  actor: Actor,
  name: string,
  request: CalendarReplacement,
): Promise<Answer<CalendarDetail>> {
  const content = checkedContent(name, request, context);
  if (!content.ok) return content;
  const before = await lockCalendar(trx, name);
  if (before === undefined) return unknownCalendar(name);
  const after = {
    ...content.value,
    description: request.description ?? before.description,
    everywhere: request.everywhere,
  };
  await updateCalendar(trx, before.id, { ...after, changed_at: context.clock.now() });
  await appendAudit(trx, context, {
    actor,
    event: 'calendar.changed',
    subjectKind: 'calendar',
    subject: name,
    before: audited(before),
    after: audited(after),
  });
  return await calendarDetail({ db: trx, clock: context.clock }, name);
}

/** Refused while a job names it that can still be started, or still runs. */
export async function removeCalendar(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  actor: Actor,
  name: string,
): Promise<Answer<CalendarDetail>> {
  const row = await lockCalendar(trx, name);
  if (row === undefined) return unknownCalendar(name);
  const detail = await calendarDetail({ db: trx, clock: context.clock }, name);
  if (!detail.ok) return detail;
  const { jobs } = detail.value;
  if (jobs.length > 0) {
    return refuse(
      409,
      'calendar_in_use',
      `jobs heed the calendar ${name}: ${jobs
        .slice(0, 5)
        .map((job) => job.name)
        .join(', ')}${jobs.length > 5 ? `, and ${String(jobs.length - 5)} more` : ''}`,
      'archive these jobs first, or replace the calendar by one without events',
    );
  }
  await deleteCalendar(trx, row.id);
  await appendAudit(trx, context, {
    actor,
    event: 'calendar.deleted',
    subjectKind: 'calendar',
    subject: name,
    before: audited(row),
  });
  return detail;
}

export async function calendarDetail(context: Rooms, name: string): Promise<Answer<CalendarDetail>> {
  const row = await findCalendar(context.db, name);
  if (row === undefined) return unknownCalendar(name);
  const events = nextEvents(row, context);
  return answer({
    calendar: view(row, events),
    next_events: events.slice(0, calendarContentLimits.shown_events),
    jobs: await jobsOfCalendar(context.db, name),
  });
}

/** Newest first. */
export async function listCalendars(
  context: Rooms,
  query: { readonly limit?: number | undefined; readonly after?: string | undefined },
): Promise<Answer<{ items: CalendarView[]; total: number; next: string | null }>> {
  const read = readCursor(query.after);
  if (!read.ok) return read;
  const limit = query.limit ?? 100;
  const { rows, total } = await calendarPage(context.db, limit + 1, read.cursor);
  const last = rows[limit - 1];
  const next =
    rows.length > limit && last !== undefined ? writeCursor({ at: last.created_at, id: last.id }) : null;
  return answer({
    items: rows.slice(0, limit).map((row) => view(row, nextEvents(row, context))),
    total,
    next,
  });
}

/** The iCalendar file as it was stored. */
export async function calendarFile(db: Context['db'], name: string): Promise<Answer<string>> {
  const row = await findCalendar(db, name);
  return row === undefined ? unknownCalendar(name) : answer(row.source);
}

function nextEvents(row: CalendarRow, context: Pick<Context, 'clock'>): CalendarEventView[] {
  const now = context.clock.now().getTime();
  return eventsOf(row, now, now + shownMilliseconds).map(eventView);
}

const eventView = ({ opensAt, closesAt, title }: EventTime): CalendarEventView => ({
  from: new Date(opensAt).toISOString(),
  until: new Date(closesAt).toISOString(),
  title,
});

function view(row: CalendarRow, next: readonly CalendarEventView[]): CalendarView {
  const { events, ignored } = calendarOf(row);
  return {
    name: row.name,
    description: row.description,
    everywhere: row.everywhere,
    zone: row.zone,
    events: events.length,
    ignored,
    next: next[0] ?? null,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    changed_at: row.changed_at.toISOString(),
  };
}

interface Content {
  readonly source: string;
  readonly zone: string;
}

function checkedContent(
  name: string,
  request: CalendarReplacement,
  context: Pick<Context, 'clock' | 'random'>,
): Answer<Content> {
  const { ics, entries, zone } = request;
  if (zone !== undefined && !isZone(zone)) {
    const message = `${zone} is not a time zone such as Europe/Berlin or UTC`;
    return invalid([{ path: '/zone', message }], message);
  }
  if ((ics === undefined) === (entries === undefined)) {
    return invalid(
      [],
      'exactly one of ics and entries is to be given: a file of iCalendar, or a list of times',
    );
  }
  const now = context.clock.now().getTime();
  const source = ics ?? sourceOf(name, entries ?? [], context);
  if (typeof source !== 'string') return source;
  const read = readCalendar(source, zone ?? null);
  if (!read.ok) {
    const place = read.line === null ? '' : `line ${String(read.line)}: `;
    return invalid(
      [{ path: '/ics', message: `${place}${read.message}` }],
      `the file cannot be read as iCalendar: ${place}${read.message}`,
    );
  }
  const { calendar } = read;
  const times = eventTimes(calendar, now, now + shownMilliseconds);
  if (!times.ok) return invalid([{ path: '/ics', message: times.message }], times.message);
  return answer({ source, zone: calendar.zone });
}

function sourceOf(
  name: string,
  entries: readonly { readonly from: string; readonly until: string; readonly title: string }[],
  context: Pick<Context, 'clock' | 'random'>,
): string | Refusal {
  const problems = entries.flatMap(({ from, until }, index) =>
    Date.parse(until) > Date.parse(from)
      ? []
      : [{ path: `/entries/${String(index)}/until`, message: 'it ends before it begins' }],
  );
  if (problems.length > 0) return invalid(problems, 'an entry ends before it begins');
  const written = entries.map(({ from, until, title }) => ({
    uid: context.random.uuid(),
    opensAt: Date.parse(from),
    closesAt: Date.parse(until),
    title,
  }));
  return writeCalendar(name, written, context.clock.now().getTime());
}

function invalid(problems: NonNullable<Refusal['problems']>, message: string): Refusal {
  return {
    ...refuse(422, 'calendar_invalid', message, 'correct it and send it again'),
    ...(problems.length === 0 ? {} : { problems }),
  };
}

/** The text itself is too long for the trail; its digest tells one from another. */
function audited(row: Content & { readonly description: string; readonly everywhere: boolean }) {
  const { description, everywhere, zone, source } = row;
  return { description, everywhere, zone, source_sha256: createHash('sha256').update(source).digest('hex') };
}
