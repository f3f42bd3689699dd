import { RRuleTemporal } from 'rrule-temporal';
import { Temporal } from 'temporal-polyfill';
import { readRule, type RuleEnd } from './rule.ts';
import { weekdays, type Recurrence, type Weekday } from './window.ts';
import { localAt, momentOf } from './zone.ts';

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
  if (until <= from) return [];
  // a gap moves a local time on by less than a day
  const first = localAt(from, zone).toPlainDate().subtract({ days: 1 });
  const last = localAt(until, zone).toPlainDate().add({ days: 1 });
  const moments = new Set<number>();
  const { locals, end } = localTimes(recurrence, first, last);
  for (const local of locals) {
    const at = momentOf(local, zone);
    if (at !== null && at >= from && at < until && isWithin(end, local, at)) moments.add(at);
  }
  return [...moments].sort((a, b) => a - b);
}

function isWithin(end: RuleEnd | null, local: Temporal.PlainDateTime, at: number): boolean {
  if (end === null) return true;
  return end.kind === 'moment' ? at <= end.at : Temporal.PlainDateTime.compare(local, end.at) <= 0;
}

interface LocalTimes {
  readonly locals: readonly Temporal.PlainDateTime[];
  readonly end: RuleEnd | null;
}

/** Local times on dates from `first` to `last`. */
function localTimes(recurrence: Recurrence, first: Temporal.PlainDate, last: Temporal.PlainDate): LocalTimes {
  if (recurrence.kind === 'rrule') return ruleTimes(recurrence.rule, recurrence.local, first, last);
  if (recurrence.kind === 'once') {
    const local = Temporal.PlainDateTime.from(recurrence.local);
    const date = local.toPlainDate();
    const within =
      Temporal.PlainDate.compare(first, date) <= 0 && Temporal.PlainDate.compare(date, last) <= 0;
    return { locals: within ? [local] : [], end: null };
  }
  const time = Temporal.PlainTime.from(recurrence.at);
  const locals: Temporal.PlainDateTime[] = [];
  for (const date of dates(recurrence, first, last)) locals.push(date.toPlainDateTime(time));
  return { locals, end: null };
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
function ruleTimes(
  text: string,
  local: string,
  first: Temporal.PlainDate,
  last: Temporal.PlainDate,
): LocalTimes {
  const read = readRule(text);
  if (!read.ok) throw new Error(`a recurrence rule that was let through: ${read.message}`);
  const dtstart = Temporal.PlainDateTime.from(local);
  const expanded = new RRuleTemporal({
    rruleString: read.rule.text,
    dtstart: dtstart.toZonedDateTime('UTC'),
    maxIterations: stepsMaximum,
    cache: false,
  });
  const end = read.rule.until;
  const from = first.toZonedDateTime('UTC');
  const until = last.add({ days: 1 }).toZonedDateTime('UTC');
  const locals = expanded
    .between(from, until, true)
    .map((one) =>
      Temporal.Instant.fromEpochMilliseconds(one.epochMilliseconds)
        .toZonedDateTimeISO('UTC')
        .toPlainDateTime(),
    );
  return { locals, end };
}
