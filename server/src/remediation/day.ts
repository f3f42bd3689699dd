/** Days of a time zone, by the time zone data of the runtime. A day has 23 or 25 hours where clocks change. */
import type { NextDay } from '@fixpoint/core/finding/burn-down.ts';

export interface Zone {
  readonly name: string;
  /** The day that holds an instant: `2026-03-29`. */
  readonly dayOf: (at: number) => string;
  /** The first instant of a day, or of the first one after it that there is; null when there is no such date from 1970 to 2999. */
  readonly startOf: (day: string) => number | null;
  /** The first instant of the day after the one that holds `at`. */
  readonly nextDay: NextDay;
}

const hour = 3_600_000;
const dayMilliseconds = 24 * hour;

/** Null: no time zone is called so. */
export function zoneCalled(name: string): Zone | null {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-CA', {
      timeZone: name,
      calendar: 'iso8601',
      numberingSystem: 'latn',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
    });
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
  const dayOf = (at: number): string => {
    const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, value]));
    return `${(parts.get('year') ?? '').padStart(4, '0')}-${parts.get('month') ?? ''}-${parts.get('day') ?? ''}`;
  };
  /** By bisection: no zone is further than 26 hours from UTC, and days follow each other within that. */
  const begins = (day: string): number => {
    const midnight = Date.parse(`${day}T00:00:00Z`);
    let [before, from] = [midnight - 26 * hour, midnight + 26 * hour];
    while (from - before > 1) {
      const middle = Math.floor((before + from) / 2);
      if (dayOf(middle) >= day) from = middle;
      else before = middle;
    }
    return from;
  };
  return {
    name: format.resolvedOptions().timeZone,
    dayOf,
    startOf: (day) => (isDate(day) ? begins(day) : null),
    nextDay: (at) => {
      const day = dayOf(at);
      for (let after = dayAfter(day); ; after = dayAfter(after)) {
        const start = begins(after);
        // A zone that leaves out a date goes from one to the one after the next.
        if (start > at) return start;
      }
    },
  };
}

export function dayAfter(day: string, days = 1): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * dayMilliseconds).toISOString().slice(0, 10);
}

/** Beyond these there is nothing to count, and days of five-digit years are not written as others are. */
const years = { first: '1970-01-02', last: '2999-12-31' };

function isDate(day: string): boolean {
  if (day < years.first || day > years.last) return false;
  const at = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(at) && new Date(at).toISOString().slice(0, 10) === day;
}
