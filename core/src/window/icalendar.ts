import ICAL from 'ical.js';
import { Temporal } from 'temporal-polyfill';
import { CalendarProblem, readComponents, shown, type Component, type Property } from './content-lines.ts';
import { readRule, type RecurrenceRule } from './rule.ts';
import { clockOfComponent } from './vtimezone.ts';
import { clockOf, isZone, type WallClock } from './zone.ts';

/** Calendars in iCalendar (RFC 5545), as events that can be looked up (calendar-events.ts). What ends up as a blackout, docs/patch-windows.md says. */

export const calendarLimits = {
  characters: 1024 * 1024,
  events: 5_000,
  dates: 2_000,
  duration_days: 3_660,
} as const;

/** How long an event lasts: time that passes, or days and time on the clock. */
export interface EventLength {
  readonly days: number;
  readonly milliseconds: number;
}

export interface CalendarEvent {
  readonly title: string;
  readonly start: Temporal.PlainDateTime;
  readonly clock: WallClock;
  readonly length: EventLength;
  readonly rules: readonly RecurrenceRule[];
  /** Further ones besides those of the rules; `length` where it differs. */
  readonly added: readonly { readonly at: number; readonly length: EventLength | null }[];
  /** Moments, and whole days, on which it does not take place, or is replaced by another event. */
  readonly left: { readonly moments: ReadonlySet<number>; readonly dates: ReadonlySet<string> };
}

export interface Calendar {
  /** X-WR-CALNAME; null when the file has none. */
  readonly name: string | null;
  /** For events that name none. */
  readonly zone: string;
  readonly events: readonly CalendarEvent[];
  /** Events that are no blackouts: marked as free time (TRANSP:TRANSPARENT), or cancelled. */
  readonly ignored: { readonly transparent: number; readonly cancelled: number };
}

export type CalendarAnswer =
  | { readonly ok: true; readonly calendar: Calendar }
  | { readonly ok: false; readonly line: number | null; readonly message: string };

/** Reads a calendar. `zone`: for events that name none; null: what the file says (X-WR-TIMEZONE), else UTC. */
export function readCalendar(text: string, zone: string | null): CalendarAnswer {
  try {
    return { ok: true, calendar: calendarOf(text, zone) };
  } catch (error) {
    if (!(error instanceof CalendarProblem)) throw error;
    return { ok: false, line: error.line, message: error.message };
  }
}

function calendarOf(text: string, zone: string | null): Calendar {
  if (text.length > calendarLimits.characters)
    throw new CalendarProblem(
      null,
      `the calendar has more than ${String(calendarLimits.characters)} characters`,
    );
  const calendars = readComponents(text);
  const other = calendars.find((one) => one.name !== 'VCALENDAR');
  if (other !== undefined)
    throw new CalendarProblem(other.line, `BEGIN:${shown(other.name)} is no VCALENDAR`);
  const [first] = calendars;
  if (first === undefined)
    throw new CalendarProblem(null, 'there is no BEGIN:VCALENDAR: this is no iCalendar file');
  const named = textOf(first, 'X-WR-TIMEZONE');
  const own = zone ?? (named !== null && isZone(named) ? named : 'UTC');
  const all = calendars.flatMap((one) => one.components.filter((part) => part.name === 'VEVENT'));
  if (all.length > calendarLimits.events)
    throw new CalendarProblem(null, `the calendar has more than ${String(calendarLimits.events)} events`);
  const clocks = zoneClocks(
    calendars.flatMap((one) => one.components),
    own,
  );
  const components = all.map((component) => ({
    component,
    uid: textOf(component, 'UID') ?? '',
    replaces: replaced(component, clocks),
  }));
  // what an event of the same UID replaces, the recurring one leaves out
  const replacedOf = Map.groupBy(
    components.filter((one) => one.replaces !== null && one.uid !== ''),
    (one) => one.uid,
  );
  const ignored = { transparent: 0, cancelled: 0 };
  const events: CalendarEvent[] = [];
  for (const { component, uid, replaces } of components) {
    const event = readEvent(component, clocks, replaces === null ? (replacedOf.get(uid) ?? []) : []);
    if (textOf(component, 'STATUS')?.toUpperCase() === 'CANCELLED') ignored.cancelled++;
    else if (textOf(component, 'TRANSP')?.toUpperCase() === 'TRANSPARENT') ignored.transparent++;
    else events.push(event);
  }
  return { name: textOf(first, 'X-WR-CALNAME'), zone: own, events, ignored };
}

function textOf(component: Component, name: string): string | null {
  const value = component.properties.find((one) => one.name === name)?.values[0];
  return typeof value === 'string' && value !== '' ? value : null;
}

type Clocks = (property: Property, tzid: string | undefined) => WallClock;

/** The clocks that a TZID means: an IANA zone, also at the end of a path; else what the file defines. */
function zoneClocks(components: readonly Component[], own: string): Clocks {
  const defined = new Map<string, Component>();
  for (const one of components) {
    const name = one.name === 'VTIMEZONE' ? textOf(one, 'TZID') : null;
    if (name !== null) defined.set(name, one);
  }
  const found = new Map<string, WallClock>();
  const find = (property: Property, tzid: string): WallClock => {
    const path = tzid.split('/');
    const definition = defined.get(tzid);
    const location = definition === undefined ? null : textOf(definition, 'X-LIC-LOCATION');
    const zone =
      [tzid, path.slice(-3).join('/'), path.slice(-2).join('/'), location].find(
        (name) => name !== null && isZone(name),
      ) ?? null;
    if (zone !== null) return clockOf(zone);
    if (definition !== undefined) return clockOfComponent(definition);
    throw new CalendarProblem(
      property.line,
      `the zone ${shown(tzid)} is no IANA zone, and the file has no VTIMEZONE for it`,
    );
  };
  return (property, tzid = own) => {
    const clock = found.get(tzid) ?? find(property, tzid);
    found.set(tzid, clock);
    return clock;
  };
}

interface Stamp {
  readonly local: Temporal.PlainDateTime;
  readonly clock: WallClock;
  /** A date without a time. */
  readonly allDay: boolean;
}

/** jCal: `2026-01-31`, `2026-01-31T09:00:00` or with a Z; ical.js writes `2026-01-31T::` for a date that is not marked as one. */
function stampOf(property: Property, value: string, clocks: Clocks): Stamp {
  const text = value.replace(/T::$/u, '');
  const allDay = /^\d{4}-\d{2}-\d{2}$/u.test(text);
  const utc = text.endsWith('Z');
  try {
    return {
      local: Temporal.PlainDateTime.from(utc ? text.slice(0, -1) : text, { overflow: 'reject' }),
      clock: utc ? clockOf('UTC') : clocks(property, allDay ? undefined : property.parameters.tzid),
      allDay,
    };
  } catch (error) {
    if (error instanceof CalendarProblem) throw error;
    throw new CalendarProblem(property.line, `${property.name} is no date or time: ${shown(property.raw)}`);
  }
}

function onlyStamp(property: Property, clocks: Clocks): Stamp {
  const [value] = property.values;
  if (typeof value !== 'string' || property.values.length !== 1)
    throw new CalendarProblem(property.line, `${property.name} is no date or time: ${shown(property.raw)}`);
  return stampOf(property, value, clocks);
}

/** Days that a place left out are where the next one begins. */
function momentOf({ local, clock }: Pick<Stamp, 'local' | 'clock'>): number {
  const at = clock.momentOf(local);
  return at ?? momentOf({ local: local.add({ days: 1 }).withPlainTime(), clock });
}

interface Replaced {
  readonly moment: number;
  /** When it is told by its date alone. */
  readonly date: string | null;
}

function replaced(component: Component, clocks: Clocks): Replaced | null {
  const property = component.properties.find((one) => one.name === 'RECURRENCE-ID');
  if (property === undefined) return null;
  if (property.parameters.range !== undefined)
    throw new CalendarProblem(property.line, 'RECURRENCE-ID with RANGE cannot be read here');
  const stamp = onlyStamp(property, clocks);
  return { moment: momentOf(stamp), date: stamp.allDay ? stamp.local.toPlainDate().toString() : null };
}

function readEvent(
  component: Component,
  clocks: Clocks,
  replacements: readonly { readonly replaces: Replaced | null }[],
): CalendarEvent {
  const of = (name: string) => component.properties.filter((one) => one.name === name);
  const [start] = of('DTSTART');
  if (start === undefined) throw new CalendarProblem(component.line, 'the VEVENT has no DTSTART');
  const [exrule] = of('EXRULE');
  if (exrule !== undefined) throw new CalendarProblem(exrule.line, 'EXRULE cannot be read here');
  const begin = onlyStamp(start, clocks);
  const added = of('RDATE').flatMap((property) =>
    property.values.map((value) => addedOf(property, value, clocks)),
  );
  const moments = new Set<number>();
  const dates = new Set<string>();
  for (const property of of('EXDATE')) {
    for (const value of property.values) {
      const stamp = stampOf(property, String(value), clocks);
      if (stamp.allDay) dates.add(stamp.local.toPlainDate().toString());
      else moments.add(momentOf(stamp));
    }
  }
  for (const { replaces } of replacements) {
    if (replaces === null) continue;
    if (replaces.date === null) moments.add(replaces.moment);
    else dates.add(replaces.date);
  }
  if (added.length > calendarLimits.dates || moments.size + dates.size > calendarLimits.dates)
    throw new CalendarProblem(
      component.line,
      `the event names more than ${String(calendarLimits.dates)} dates`,
    );
  return {
    title: textOf(component, 'SUMMARY') ?? '',
    start: begin.local,
    clock: begin.clock,
    length: lengthOf(component, begin, clocks),
    rules: of('RRULE').map((property) => {
      const rule = readRule(property.raw.replace(/;$/u, ''));
      if (rule.ok) return rule.rule;
      throw new CalendarProblem(property.line, `RRULE: ${rule.message}`);
    }),
    added,
    left: { moments, dates },
  };
}

function addedOf(property: Property, value: Property['values'][number], clocks: Clocks) {
  if (typeof value === 'string') return { at: momentOf(stampOf(property, value, clocks)), length: null };
  const [from = '', until = ''] = value;
  const stamp = stampOf(property, from, clocks);
  const length = /^[+-]?P/u.test(until)
    ? durationOf(property, until)
    : between(property, stamp, stampOf(property, until, clocks));
  return { at: momentOf(stamp), length };
}

function lengthOf(component: Component, begin: Stamp, clocks: Clocks): EventLength {
  const end = component.properties.find((one) => one.name === 'DTEND');
  if (end !== undefined) return between(end, begin, onlyStamp(end, clocks));
  const duration = component.properties.find((one) => one.name === 'DURATION');
  if (duration !== undefined) return durationOf(duration, duration.raw);
  return { days: begin.allDay ? 1 : 0, milliseconds: 0 };
}

/** Between dates it is days, on which an hour may be missing; between times it is time that passes. */
function between(property: Property, from: Stamp, until: Stamp): EventLength {
  const length =
    from.allDay && until.allDay
      ? { days: from.local.until(until.local, { largestUnit: 'days' }).days, milliseconds: 0 }
      : { days: 0, milliseconds: momentOf(until) - momentOf(from) };
  return bounded(property, length);
}

function durationOf(property: Property, text: string): EventLength {
  let read: Temporal.Duration;
  try {
    read = Temporal.Duration.from(text);
  } catch {
    throw new CalendarProblem(property.line, `no duration: ${shown(text)}`);
  }
  const { years, months, weeks, days } = read;
  if (years !== 0 || months !== 0) throw new CalendarProblem(property.line, `no duration: ${shown(text)}`);
  const time = read.with({ weeks: 0, days: 0 });
  return bounded(property, {
    days: Temporal.Duration.from({ weeks, days }).total({ unit: 'days', relativeTo: '2000-01-01' }),
    milliseconds: time.total('milliseconds'),
  });
}

function bounded(property: Property, length: EventLength): EventLength {
  if (length.days < 0 || length.milliseconds < 0)
    throw new CalendarProblem(property.line, 'the event ends before it begins');
  const longest = Temporal.Duration.from({ days: calendarLimits.duration_days }).total('milliseconds');
  if (length.days > calendarLimits.duration_days || length.milliseconds > longest)
    throw new CalendarProblem(
      property.line,
      `the event lasts longer than ${String(calendarLimits.duration_days)} days`,
    );
  return length;
}

export interface CalendarEntry {
  readonly uid: string;
  readonly opensAt: number;
  readonly closesAt: number;
  readonly title: string;
}

/** Simple entries as iCalendar; `at` is when it was written. All times are milliseconds since 1970 UTC. */
export function writeCalendar(name: string, entries: readonly CalendarEntry[], at: number): string {
  const calendar = new ICAL.Component('vcalendar');
  calendar.addPropertyWithValue('version', '2.0');
  calendar.addPropertyWithValue('prodid', '-//Fixpoint//Fixpoint//EN');
  calendar.addPropertyWithValue('x-wr-calname', name);
  const time = (moment: number) =>
    ICAL.Time.fromDateTimeString(Temporal.Instant.fromEpochMilliseconds(moment).round('second').toString());
  for (const entry of entries) {
    const event = new ICAL.Component('vevent');
    event.addPropertyWithValue('uid', entry.uid);
    event.addPropertyWithValue('dtstamp', time(at));
    event.addPropertyWithValue('dtstart', time(entry.opensAt));
    event.addPropertyWithValue('dtend', time(entry.closesAt));
    event.addPropertyWithValue('summary', entry.title);
    calendar.addSubcomponent(event);
  }
  return `${calendar.toString()}\r\n`;
}
