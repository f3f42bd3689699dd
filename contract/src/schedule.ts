import { Type, type Static } from 'typebox';
import { CalendarName } from './calendar.ts';
import { JobSchedule, OpenInterval, PatchWindow } from './window.ts';

/** Runs of scheduled jobs, past and to come; see docs/patch-windows.md. */

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

export const shownRuns = 10;

/** GET /api/v1/jobs/:id/runs */
export const JobRunsQuery = Type.Object(
  { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 50 })) },
  closed,
);
export const JobRun = Type.Object(
  {
    due_at: time,
    taken_at: time,
    /** Null when nothing was started; then there is an outcome. */
    deployment_id: orNull(Type.String({ format: 'uuid' })),
    /** Why nothing was started: `run_missed`, or the refusal of the start, such as `nothing_to_do`. */
    outcome: orNull(
      Type.Object({ code: Type.String(), message: Type.String(), what_to_do: Type.String() }, closed),
    ),
  },
  closed,
);
export type JobRun = Static<typeof JobRun>;
export const JobRuns = Type.Object(
  {
    /** Zone of the schedule; null when the job has none. */
    zone: orNull(Type.String()),
    /** Newest first. */
    past: Type.Array(JobRun),
    /** The next ten; none when the job is archived, or its schedule has ended. */
    next: Type.Array(time),
  },
  closed,
);
export type JobRuns = Static<typeof JobRuns>;

/** POST /api/v1/schedule/preview → SchedulePreview; for a form. Nothing is stored. Wrong parts are refused with their places. */
export const SchedulePreviewRequest = Type.Object(
  {
    schedule: Type.Optional(JobSchedule),
    windows: Type.Optional(Type.Array(PatchWindow, { minItems: 1, maxItems: 50 })),
    /** Heeded besides those that hold for everything. */
    calendars: Type.Optional(Type.Array(CalendarName, { maxItems: 50 })),
    /** What `asset` is in windows; absent: UTC. */
    asset_zone: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    count: Type.Optional(Type.Integer({ minimum: 1, maximum: 50 })),
  },
  closed,
);
export type SchedulePreviewRequest = Static<typeof SchedulePreviewRequest>;
export const SchedulePreview = Type.Object(
  {
    runs: Type.Array(time),
    /** The next times that are open, within 400 days, less what calendars keep free. The first may have begun already. */
    windows: Type.Array(OpenInterval),
  },
  closed,
);
export type SchedulePreview = Static<typeof SchedulePreview>;
