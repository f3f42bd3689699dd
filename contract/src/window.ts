import { Type, type Static } from 'typebox';
import { weekdays } from '@fixpoint/core/window/window.ts';
import { oneOf } from './enum.ts';

/** When jobs start and when assets may be patched. The shapes of core/src/window/window.ts, parsed. */

const closed = { additionalProperties: false } as const;
/** Local time of day, `HH:MM`. */
const at = Type.String({ pattern: '^(?:[01][0-9]|2[0-3]):[0-5][0-9]$' });
/** Local date and time, `YYYY-MM-DDTHH:MM`. */
const local = Type.String({
  pattern: '^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]$',
});
const zone = Type.String({ minLength: 1, maxLength: 64 });

export const Recurrence = Type.Union([
  Type.Object({ kind: Type.Literal('once'), local }, closed),
  Type.Object({ kind: Type.Literal('daily'), at }, closed),
  Type.Object(
    {
      kind: Type.Literal('weekly'),
      days: Type.Array(oneOf(weekdays), { minItems: 1, maxItems: 7, uniqueItems: true }),
      at,
    },
    closed,
  ),
  Type.Object(
    {
      kind: Type.Literal('monthly'),
      week: Type.Union([
        Type.Literal(1),
        Type.Literal(2),
        Type.Literal(3),
        Type.Literal(4),
        Type.Literal(5),
        Type.Literal('last'),
      ]),
      day: oneOf(weekdays),
      at,
    },
    closed,
  ),
  Type.Object(
    {
      kind: Type.Literal('patch_tuesday'),
      offset_days: Type.Integer({ minimum: -7, maximum: 27 }),
      at,
    },
    closed,
  ),
  Type.Object(
    { kind: Type.Literal('rrule'), rule: Type.String({ minLength: 6, maxLength: 500 }), local },
    closed,
  ),
]);

export const PatchWindow = Type.Object(
  {
    name: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
    zone,
    opens: Recurrence,
    duration_minutes: Type.Integer({ minimum: 5, maximum: 14 * 1440 }),
    minimum_remaining_minutes: Type.Optional(Type.Integer({ minimum: 0, maximum: 14 * 1440 })),
  },
  closed,
);

export const JobSchedule = Type.Object({ zone, starts: Recurrence }, closed);
export type JobSchedule = Static<typeof JobSchedule>;
export type PatchWindow = Static<typeof PatchWindow>;

/** A time in which something may be done: from `opens_at` up to, and without, `closes_at`. */
export const OpenInterval = Type.Object(
  {
    opens_at: Type.String({ format: 'date-time', maxLength: 40 }),
    closes_at: Type.String({ format: 'date-time', maxLength: 40 }),
  },
  closed,
);
export type OpenInterval = Static<typeof OpenInterval>;
