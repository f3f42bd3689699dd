import { Type, type Static } from 'typebox';
import { ListQuery } from './list.ts';

/** Calendars: times in which nothing is done, whatever the windows of a job say; see docs/patch-windows.md. */

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time', maxLength: 40 });
const count = Type.Integer({ minimum: 0 });

export const calendarContentLimits = { ics_characters: 1024 * 1024, entries: 500, shown_events: 50 } as const;

/** Also what jobs name: letters, digits, spaces, dots, dashes and underscores. */
export const CalendarName = Type.String({ pattern: '^[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,98}[A-Za-z0-9])?$' });

export const CalendarEntryRequest = Type.Object(
  { from: time, until: time, title: Type.String({ maxLength: 200 }) },
  closed,
);
export type CalendarEntryRequest = Static<typeof CalendarEntryRequest>;

const content = {
  description: Type.Optional(Type.String({ maxLength: 1_000 })),
  /** Heeded by every job; false: by those that name the calendar. */
  everywhere: Type.Boolean(),
  /** IANA zone of events that name none, such as those of whole days. Absent: what the file says, else UTC. */
  zone: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  /** An iCalendar file; exactly one of `ics` and `entries`. */
  ics: Type.Optional(Type.String({ minLength: 1, maxLength: calendarContentLimits.ics_characters })),
  entries: Type.Optional(Type.Array(CalendarEntryRequest, { maxItems: calendarContentLimits.entries })),
};

/** POST /api/v1/calendars → CalendarDetail */
export const CalendarRequest = Type.Object({ name: CalendarName, ...content }, closed);
export type CalendarRequest = Static<typeof CalendarRequest>;

/** PUT /api/v1/calendars/:name: everything anew, but the name. */
export const CalendarReplacement = Type.Object(content, closed);
export type CalendarReplacement = Static<typeof CalendarReplacement>;

export const CalendarEventView = Type.Object({ from: time, until: time, title: Type.String() }, closed);
export type CalendarEventView = Static<typeof CalendarEventView>;

/** GET /api/v1/calendars → List(Calendar) */
export const CalendarListQuery = Type.Object(ListQuery, closed);
export const Calendar = Type.Object(
  {
    name: Type.String(),
    description: Type.String(),
    everywhere: Type.Boolean(),
    zone: Type.String(),
    /** Events in the file that count; a recurring one is one. */
    events: count,
    /** Those that do not: marked as free time, or cancelled. */
    ignored: Type.Object({ transparent: count, cancelled: count }, closed),
    /** The one that is now, else the next within 400 days. */
    next: Type.Union([CalendarEventView, Type.Null()]),
    created_by: Type.String(),
    created_at: time,
    changed_at: time,
  },
  closed,
);
export type Calendar = Static<typeof Calendar>;

/** GET /api/v1/calendars/:name. The file itself: GET /api/v1/calendars/:name/export.ics */
export const CalendarDetail = Type.Object(
  {
    calendar: Calendar,
    /** Those that are now and within the next 400 days, at most 50. */
    next_events: Type.Array(CalendarEventView),
    /** Jobs that name it and can still be started, or still run. */
    jobs: Type.Array(Type.Object({ id: Type.String(), name: Type.String() }, closed)),
  },
  closed,
);
export type CalendarDetail = Static<typeof CalendarDetail>;
