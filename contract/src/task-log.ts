import { Type, type Static } from 'typebox';
import { taskStates } from '@fixpoint/core/task/states.ts';
import { oneOf } from './enum.ts';

/** The log of a task for people and tools. How it comes from the host: agent.ts, TaskLogRequest. */

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });

/** `GENERATION:PLACE` of a piece: where to go on after it. */
export const taskLogPlacePattern = '^[1-9][0-9]{0,8}:[0-9]{1,9}$';
const place = Type.String({ pattern: taskLogPlacePattern });

export const TaskLogPiece = Type.Object(
  {
    generation: Type.Integer({ minimum: 1 }),
    /** Its number within the generation, from 0. */
    place: Type.Integer({ minimum: 0 }),
    at: time,
    /** Which command or step wrote it: `download`, `install`, `after`. */
    step: Type.String(),
    /** Whole lines. */
    text: Type.String(),
  },
  closed,
);
export type TaskLogPiece = Static<typeof TaskLogPiece>;

/** GET /api/v1/tasks/:id/log → TaskLogPage: pieces in their order, over all generations unless one is named. */
export const TaskLogQuery = Type.Object(
  {
    generation: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000_000 })),
    after: Type.Optional(place),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 200 })),
  },
  closed,
);
export const TaskLogPage = Type.Object(
  {
    items: Type.Array(TaskLogPiece),
    /** `after` of the next page; null when this is the last one now. */
    next: Type.Union([place, Type.Null()]),
    /** The task has ended. */
    ended: Type.Boolean(),
  },
  closed,
);
export type TaskLogPage = Static<typeof TaskLogPage>;

/**
 * GET /api/v1/tasks/:id/log/stream: server-sent events.
 * - `log`: TaskLogPiece, with `id: GENERATION:PLACE`. Sent back as `Last-Event-ID` (or `?after=`), the stream goes on after it.
 * - `state`: TaskLogState, first and at each change.
 * - `end`: TaskLogState; the task has ended and all that was written is there. The connection is closed after it.
 */
export const TaskLogStreamQuery = Type.Object({ after: Type.Optional(place) }, closed);
export const TaskLogState = Type.Object(
  {
    state: oneOf(taskStates),
    generation: Type.Integer({ minimum: 1 }),
    message: Type.Union([Type.String(), Type.Null()]),
  },
  closed,
);
export type TaskLogState = Static<typeof TaskLogState>;
