import { RRuleTemporal } from 'rrule-temporal';
import { Temporal } from 'temporal-polyfill';
import { readRule, type RecurrenceRule } from './rule.ts';
import { weekdays, type Recurrence, type Weekday } from './window.ts';
import { clockOf, type WallClock } from './zone.ts';

/** The local times of a recurrence, and the moments that they are. */

/** The second Tuesday of a month. */
const patchTuesday = { week: 2, day: 'tue' } as const;
/** A rule with COUNT is followed from its beginning; no more steps than this are taken for it. */
const stepsMaximum = 100_000;

/**
 * The moments (milliseconds since 1970 UTC) in [from, until) at which something recurs in a zone, in order and each once. The
 * recurrence must be without problems (problems.ts); one that is not throws.
 */
export function occurrences(recurrence: Recurrence, zone: string, from: number, until: number): number[] {
  const clock = clockOf(zone);
  if (recurrence.kind === 'rrule') {
    const read = readRule(recurrence.rule);
    if (!read.ok) throw new Error(`a recurrence rule that was let through: ${read.message}`);
    const begin = Temporal.PlainDateTime.from(recurrence.local);
    return ruleOccurrences(read.rule, begin, clock, from, until);
  }
  if (until <= from) return [];
  const { first, last } = datesAround(clock, from, until);
  return moments(localTimes(recurrence, first, last), clock, from, until);
}

/** The same of a rule that was read, counted from a local time, by any clock. */
export function ruleOccurrences(
  { text, until: end }: RecurrenceRule,
  begin: Temporal.PlainDateTime,
  clock: WallClock,
  from: number,
  until: number,
): number[] {
  if (until <= from) return [];
  const { first, last } = datesAround(clock, from, until);
  const locals = ruleTimes(text, begin, first, last);
  if (end === null) return moments(locals, clock, from, until);
  return end.kind === 'moment'
    ? moments(locals, clock, from, Math.min(until, end.at + 1))
    : moments(
        locals.filter((local) => Temporal.PlainDateTime.compare(local, end.at) <= 0),
        clock,
        from,
        until,
      );
}

/** A gap moves a local time on by less than a day. */
function datesAround(clock: WallClock, from: number, until: number) {
  return {
    first: clock.localAt(from).toPlainDate().subtract({ days: 1 }),
    last: clock.localAt(until).toPlainDate().add({ days: 1 }),
  };
}

function moments(
  locals: Iterable<Temporal.PlainDateTime>,
  clock: WallClock,
  from: number,
  until: number,
): number[] {
  const found = new Set<number>();
  for (const local of locals) {
    const at = clock.momentOf(local);
    if (at !== null && at >= from && at < until) found.add(at);
  }
  return [...found].sort((a, b) => a - b);
}

/** Local times on dates from `first` to `last`. */
function* localTimes(
  recurrence: Exclude<Recurrence, { kind: 'rrule' }>,
  first: Temporal.PlainDate,
  last: Temporal.PlainDate,
): Generator<Temporal.PlainDateTime> {
  if (recurrence.kind === 'once') {
    yield Temporal.PlainDateTime.from(recurrence.local);
    return;
  }
  const time = Temporal.PlainTime.from(recurrence.at);
  for (const date of dates(recurrence, first, last)) yield date.toPlainDateTime(time);
}

type ByDate = Exclude<Recurrence, { kind: 'once' | 'rrule' }>;

function* dates(
  recurrence: ByDate,
  first: Temporal.PlainDate,
  last: Temporal.PlainDate,
): Generator<Temporal.PlainDate> {
  if (recurrence.kind === 'daily' || recurrence.kind === 'weekly') {
    for (let date = first; Temporal.PlainDate.compare(date, last) <= 0; date = date.add({ days: 1 })) {
      if (recurrence.kind === 'daily' || isOn(recurrence.days, date)) yield date;
    }
    return;
  }
  const offset = { days: recurrence.kind === 'patch_tuesday' ? recurrence.offset_days : 0 };
  const { week, day } = recurrence.kind === 'patch_tuesday' ? patchTuesday : recurrence;
  const lastMonth = last.subtract(offset).toPlainYearMonth();
  for (
    let month = first.subtract(offset).toPlainYearMonth();
    Temporal.PlainYearMonth.compare(month, lastMonth) <= 0;
    month = month.add({ months: 1 })
  ) {
    const date = nthWeekday(month, week, day)?.add(offset);
    if (
      date !== undefined &&
      Temporal.PlainDate.compare(first, date) <= 0 &&
      Temporal.PlainDate.compare(date, last) <= 0
    )
      yield date;
  }
}

const isOn = (days: readonly Weekday[], date: Temporal.PlainDate) =>
  days.some((day) => weekdays.indexOf(day) + 1 === date.dayOfWeek);

/** Null when the month has no fifth. */
function nthWeekday(
  month: Temporal.PlainYearMonth,
  week: 1 | 2 | 3 | 4 | 5 | 'last',
  day: Weekday,
): Temporal.PlainDate | null {
  const begin = month.toPlainDate({ day: 1 });
  const wanted = weekdays.indexOf(day) + 1;
  const days = (wanted - begin.dayOfWeek + 7) % 7;
  const inMonth = (weeks: number): Temporal.PlainDate | null => {
    const date = begin.add({ days, weeks });
    return date.month === begin.month ? date : null;
  };
  return week === 'last' ? (inMonth(4) ?? inMonth(3)) : inMonth(week - 1);
}

/**
 * A rule is expanded in UTC, as if that were the wall clock: RFC 5545 leaves out local times that do not exist, and a window
 * must not fall away because clocks are changed.
 */
export function ruleTimes(
  text: string,
  begin: Temporal.PlainDateTime,
  first: Temporal.PlainDate,
  last: Temporal.PlainDate,
): Temporal.PlainDateTime[] {
  const expanded = new RRuleTemporal({
    rruleString: text,
    dtstart: begin.toZonedDateTime('UTC'),
    maxIterations: stepsMaximum,
    cache: false,
  });
  return expanded
    .between(first.toZonedDateTime('UTC'), last.add({ days: 1 }).toZonedDateTime('UTC'), true)
    .map((one) =>
      Temporal.Instant.fromEpochMilliseconds(one.epochMilliseconds)
        .toZonedDateTimeISO('UTC')
        .toPlainDateTime(),
    );
}
