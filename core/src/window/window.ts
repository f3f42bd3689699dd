/**
 * When something recurs, and when it may be done. Shapes only; they cross the wire and are stored, so their names are
 * snake_case. Local times are wall-clock times of the zone that they are for.
 */

export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof weekdays)[number];

/** `at`: local time `HH:MM`; `local`: local date and time `YYYY-MM-DDTHH:MM`. */
export type Recurrence =
  | { readonly kind: 'once'; readonly local: string }
  | { readonly kind: 'daily'; readonly at: string }
  | { readonly kind: 'weekly'; readonly days: readonly Weekday[]; readonly at: string }
  /** The nth such weekday of each month; `last` is the last. */
  | {
      readonly kind: 'monthly';
      readonly week: 1 | 2 | 3 | 4 | 5 | 'last';
      readonly day: Weekday;
      readonly at: string;
    }
  /** So many days after (or before, when negative) the second Tuesday of each month. */
  | { readonly kind: 'patch_tuesday'; readonly offset_days: number; readonly at: string }
  /** RFC 5545 recurrence rule without DTSTART (`FREQ=WEEKLY;INTERVAL=2;BYDAY=SA`), counted from `local`. */
  | { readonly kind: 'rrule'; readonly rule: string; readonly local: string };

/** One window of a job: it opens by its recurrence and stays open for a time. */
export interface PatchWindow {
  readonly name?: string;
  /** An IANA zone, or `asset`: the zone of each asset itself. */
  readonly zone: string;
  readonly opens: Recurrence;
  readonly duration_minutes: number;
  /** Nothing is begun when less than this is left of the window. */
  readonly minimum_remaining_minutes?: number;
}

/** When a scheduled job is started. Its zone is always a named one. */
export interface JobSchedule {
  readonly zone: string;
  readonly starts: Recurrence;
}

/** Milliseconds since 1970 UTC; `closesAt` is the first moment that is outside. */
export interface Interval {
  readonly opensAt: number;
  readonly closesAt: number;
}
