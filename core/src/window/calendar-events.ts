import { Temporal } from 'temporal-polyfill';
import type { Calendar, CalendarEvent, EventLength } from './icalendar.ts';
import { ruleOccurrences } from './occurrences.ts';
import type { Interval } from './window.ts';

/** When the events of a calendar take place. */

export interface EventTime extends Interval {
  readonly title: string;
}

export type EventsAnswer =
  | { readonly ok: true; readonly events: EventTime[] }
  | { readonly ok: false; readonly message: string };

const day = Temporal.Duration.from({ days: 1 }).total('milliseconds');
/** In one answer. */
export const eventTimesMaximum = 20_000;

/**
 * Everything that takes place at some time in [from, until), in order, whole even where it reaches beyond; refused when there are
 * more than `maximum`. All times are milliseconds since 1970 UTC.
 */
export function eventTimes(
  calendar: Calendar,
  from: number,
  until: number,
  maximum: number = eventTimesMaximum,
): EventsAnswer {
  const found: EventTime[] = [];
  for (const event of calendar.events) {
    for (const one of timesOf(event, from, until)) {
      found.push(one);
      if (found.length > maximum) {
        return {
          ok: false,
          message: `the calendar has more than ${String(maximum)} events in this time`,
        };
      }
    }
  }
  return { ok: true, events: found.sort((a, b) => a.opensAt - b.opensAt || a.closesAt - b.closesAt) };
}

function* timesOf(event: CalendarEvent, from: number, until: number): Generator<EventTime> {
  const { clock, start, title } = event;
  // a day on the clock may have up to 25 hours, and the zone may change
  const longest = event.length.milliseconds + (event.length.days + 1) * day;
  const first = clock.momentOf(start);
  const starts = new Map<number, EventLength>();
  if (first !== null) starts.set(first, event.length);
  for (const rule of event.rules) {
    for (const at of ruleOccurrences(rule, start, clock, from - longest, until)) starts.set(at, event.length);
  }
  for (const { at, length } of event.added) starts.set(at, length ?? event.length);
  for (const [opensAt, length] of starts) {
    const closesAt = endOf(event, opensAt, length);
    const wanted = opensAt < until && closesAt > from && closesAt > opensAt;
    if (wanted && !isLeftOut(event, opensAt)) yield { opensAt, closesAt, title };
  }
}

function isLeftOut({ left, clock }: CalendarEvent, at: number): boolean {
  if (left.moments.has(at)) return true;
  return left.dates.size > 0 && left.dates.has(clock.localAt(at).toPlainDate().toString());
}

function endOf({ clock }: CalendarEvent, opensAt: number, { days, milliseconds }: EventLength): number {
  if (days === 0) return opensAt + milliseconds;
  const local = clock.localAt(opensAt);
  const end = clock.momentOf(local.add({ days })) ?? clock.momentOf(local.add({ days: days + 1 }));
  return (end ?? opensAt + days * day) + milliseconds;
}
