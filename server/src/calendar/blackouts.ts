import { eventTimes, eventTimesMaximum, type EventTime } from '@fixpoint/core/window/calendar-events.ts';
import { readCalendar, type Calendar } from '@fixpoint/core/window/icalendar.ts';
import { merged } from '@fixpoint/core/window/intervals.ts';
import type { Interval } from '@fixpoint/core/window/window.ts';
import type { Kysely } from 'kysely';
import type { Database } from '../database/tables.ts';
import { calendarsById, heededVersions, type CalendarRow } from './store.ts';

/** The times that calendars keep free, from the memory of this process where a calendar has not changed. */

interface Known {
  readonly calendar: Calendar;
  /** The times in between these moments. */
  from: number;
  until: number;
  events: readonly EventTime[];
  /** The same, merged. */
  times: readonly Interval[];
}

const knownMaximum = 200;
/** By the id and the version of a calendar; the oldest is forgotten first. */
const known = new Map<string, Known>();
/** So much more is worked out than is asked for, so that the next question finds it. */
const moreMilliseconds = 40 * 86_400_000;

/**
 * When nothing may be done in [from, until) (milliseconds since 1970 UTC) by the calendars that are heeded everywhere and those of
 * these names: in order, apart from each other, whole where they reach beyond.
 */
export async function blackoutsFor(
  db: Kysely<Database>,
  names: readonly string[],
  from: number,
  until: number,
): Promise<Interval[]> {
  const heeded = await heededVersions(db, names);
  const missing = heeded.filter((one) => !known.has(keyOf(one))).map((one) => one.id);
  for (const row of await calendarsById(db, missing)) remember(row);
  // one that was changed in between is there under its new version, and one that was deleted is not
  const current = missing.length === 0 ? heeded : await heededVersions(db, names);
  const all: Interval[] = [];
  for (const one of current) {
    const found = known.get(keyOf(one)) ?? (await readAgain(db, one.id));
    if (found !== null) all.push(...timesOf(found, from, until));
  }
  return merged(all.filter((one) => one.opensAt < until && one.closesAt > from));
}

/** A calendar as it was read when it was stored. */
export function calendarOf(row: CalendarRow): Calendar {
  return (known.get(keyOf(row)) ?? remember(row)).calendar;
}

const keyOf = ({ id, version }: { readonly id: string; readonly version: string }) => `${id}:${version}`;

async function readAgain(db: Kysely<Database>, id: string): Promise<Known | null> {
  const [row] = await calendarsById(db, [id]);
  return row === undefined ? null : remember(row);
}

function remember(row: CalendarRow): Known {
  const read = readCalendar(row.source, row.zone);
  if (!read.ok) throw new Error(`the stored calendar ${row.name} cannot be read: ${read.message}`);
  const entry: Known = { calendar: read.calendar, from: 0, until: 0, events: [], times: [] };
  known.set(keyOf(row), entry);
  for (const oldest of known.keys()) {
    if (known.size <= knownMaximum) break;
    known.delete(oldest);
  }
  return entry;
}

/** What takes place in a calendar at some time in [from, until), in order. Whoever stored it was told how much is too much. */
export function eventsOf(row: CalendarRow, from: number, until: number): EventTime[] {
  const entry = known.get(keyOf(row)) ?? remember(row);
  lookAhead(entry, from, until);
  return entry.events.filter((one) => one.opensAt < until && one.closesAt > from);
}

function timesOf(entry: Known, from: number, until: number): readonly Interval[] {
  lookAhead(entry, from, until);
  return entry.times;
}

function lookAhead(entry: Known, from: number, until: number): void {
  if (entry.from <= from && entry.until >= until) return;
  const more = { from: from - moreMilliseconds, until: until + moreMilliseconds };
  const found = eventTimes(entry.calendar, more.from, more.until, 10 * eventTimesMaximum);
  // then nothing may begin before somebody has looked at it
  if (!found.ok) throw new Error(found.message);
  Object.assign(entry, more, { events: found.events, times: merged(found.events) });
}
