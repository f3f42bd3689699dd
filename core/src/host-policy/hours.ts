import { weekdays } from '../window/window.ts';

/**
 * Hours of a host's policy: `mon-fri 22:00-04:00`, `sat 00:00-24:00`, `sun` (the whole day), `daily 01:00-05:00`. Times are what
 * the host's clock on the wall shows. A range that ends before it begins goes on into the next day.
 */

export const minutesOfDay = 1440;
export const minutesOfWeek = 7 * minutesOfDay;

/** Minutes since Monday 00:00 on the wall; `to` is the first minute outside and may be beyond the end of the week. */
export interface OpenRange {
  readonly from: number;
  readonly to: number;
}

export type ParsedHours =
  | { readonly ok: true; readonly ranges: readonly OpenRange[] }
  | { readonly ok: false; readonly message: string };

const example = 'mon-fri 22:00-04:00';

/** Reads one line of hours. */
export function parseHours(text: string): ParsedHours {
  const bad = (message: string): ParsedHours => ({ ok: false, message });
  const match = /^(\S+)(?:\s+(\S+))?$/u.exec(text.trim().toLowerCase());
  if (match?.[1] === undefined) return bad(`${JSON.stringify(text)} is no hours such as "${example}"`);
  const days = parseDays(match[1]);
  if (!days.ok) return days;
  const times = match[2] === undefined ? { from: 0, to: minutesOfDay } : parseTimes(match[2]);
  if (times === null) {
    return bad(
      `${JSON.stringify(match[2])} is no range of times such as 22:00-04:00 (00:00-24:00 is a whole day)`,
    );
  }
  return {
    ok: true,
    ranges: days.days.map((day) => ({
      from: day * minutesOfDay + times.from,
      to: day * minutesOfDay + times.to,
    })),
  };
}

function parseDays(
  text: string,
): { readonly ok: true; readonly days: readonly number[] } | { ok: false; message: string } {
  if (text === 'daily') return { ok: true, days: weekdays.map((_, day) => day) };
  const days = new Set<number>();
  for (const part of text.split(',')) {
    const [first = '', last = first, ...more] = part.split('-');
    const from = weekdays.findIndex((day) => day === first);
    const to = weekdays.findIndex((day) => day === last);
    if (from < 0 || to < 0 || more.length > 0) {
      return {
        ok: false,
        message: `${JSON.stringify(part)} is no day: days are ${weekdays.join(', ')}, ranges such as mon-fri, or daily`,
      };
    }
    // `sat-mon` goes over the end of the week.
    for (let day = from; ; day = (day + 1) % weekdays.length) {
      days.add(day);
      if (day === to) break;
    }
  }
  return { ok: true, days: [...days].sort((a, b) => a - b) };
}

function parseTimes(text: string): OpenRange | null {
  const match = /^(\d\d):(\d\d)-(\d\d):(\d\d)$/u.exec(text);
  if (match === null) return null;
  const [fromHour, fromMinute, toHour, toMinute] = match.slice(1).map(Number);
  if (fromHour === undefined || fromMinute === undefined || toHour === undefined || toMinute === undefined)
    return null;
  const from = fromHour * 60 + fromMinute;
  const to = toHour * 60 + toMinute;
  if (fromMinute > 59 || toMinute > 59 || from >= minutesOfDay || to > minutesOfDay || from === to)
    return null;
  return { from, to: to > from ? to : to + minutesOfDay };
}

/** Whether a minute of the week is within a range, also one that goes over the end of the week. */
export function isWithin(ranges: readonly OpenRange[], minuteOfWeek: number): boolean {
  return ranges.some(
    ({ from, to }) =>
      (from <= minuteOfWeek && minuteOfWeek < to) ||
      (minuteOfWeek + minutesOfWeek < to && from < minutesOfWeek),
  );
}

/** Times in milliseconds since 1970; null: not within the next eight days, so always or never as far as anybody plans. */
export type HoursStanding =
  | { readonly kind: 'open'; readonly closesAt: number | null }
  | { readonly kind: 'closed'; readonly opensAt: number | null };

const minute = 60_000;
const lookAheadMinutes = 8 * minutesOfDay;

/**
 * How it stands with the hours now. No hours: always open. A line that cannot be read opens nothing. Each minute to come is put
 * on the host's wall clock, so that a day with 23 or 25 hours is as it really is: an hour that comes twice is open twice, one
 * that is left out is not.
 *
 * @param now milliseconds since 1970
 * @param minuteOfWeekAt minutes since Monday 00:00 that the host's clock on the wall shows at a time
 */
export function standingOfHours(
  hours: readonly string[],
  now: number,
  minuteOfWeekAt: (at: number) => number,
): HoursStanding {
  if (hours.length === 0) return { kind: 'open', closesAt: null };
  const ranges = hours.flatMap((line) => {
    const parsed = parseHours(line);
    return parsed.ok ? parsed.ranges : [];
  });
  const openAt = (at: number): boolean => isWithin(ranges, minuteOfWeekAt(at));
  const open = openAt(now);
  const start = Math.floor(now / minute) * minute;
  for (let i = 1; i <= lookAheadMinutes; i++) {
    const at = start + i * minute;
    if (openAt(at) !== open) return open ? { kind: 'open', closesAt: at } : { kind: 'closed', opensAt: at };
  }
  return open ? { kind: 'open', closesAt: null } : { kind: 'closed', opensAt: null };
}
