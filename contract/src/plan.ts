import { Type, type Static } from 'typebox';
import { oneOf } from './enum.ts';
import { Plan } from './patch-job.ts';

/** Plans whose assets are asked what would really happen, before anything is started. */

const closed = { additionalProperties: false } as const;
const uuid = Type.String({ format: 'uuid' });
const time = Type.String({ format: 'date-time' });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

export const planStates = ['simulating', 'ready', 'started', 'discarded'] as const;
export type PlanState = (typeof planStates)[number];

/** POST /api/v1/jobs/:id/plans → PlanSummary. Its assets are asked; it is ready when all have answered or the wait is over. */
export const PlanRequest = Type.Object(
  {
    /** Assets that have not answered after so long are left out, or kept as `unanswered` says. Default 600. */
    wait_seconds: Type.Optional(Type.Integer({ minimum: 5, maximum: 86_400 })),
    /** `leave_out` (default): who has not answered gets nothing. `keep`: it gets what could be told without asking. */
    unanswered: Type.Optional(oneOf(['leave_out', 'keep'] as const)),
  },
  closed,
);
export type PlanRequest = Static<typeof PlanRequest>;

const summary = {
  id: uuid,
  job_id: uuid,
  job_name: Type.String(),
  state: oneOf(planStates),
  created_by: Type.String(),
  created_at: time,
  /** Until when assets may answer. */
  deadline_at: time,
  ready_at: orNull(time),
  /** After that it cannot be started any more; null while it is not ready. */
  expires_at: orNull(time),
  unanswered: oneOf(['leave_out', 'keep'] as const),
  /** How many assets were asked, and how many have answered; those that no answer is expected of any more. */
  asked: Type.Integer({ minimum: 0 }),
  answered: Type.Integer({ minimum: 0 }),
  given_up: Type.Integer({ minimum: 0 }),
  /** Of the plan once it is ready: what an approver approves. */
  digest: orNull(Type.String()),
  /** Of the deployment that was started from it. */
  deployment_id: orNull(uuid),
};
/** GET /api/v1/jobs/:id/plans → List(PlanSummary), newest first. */
export const PlanSummary = Type.Object(summary, closed);
export type PlanSummary = Static<typeof PlanSummary>;

/** GET /api/v1/plans/:id: `plan` is without the answers until the state is `ready`. */
export const PlanDetail = Type.Object({ ...summary, plan: Plan }, closed);
export type PlanDetail = Static<typeof PlanDetail>;

/** POST /api/v1/plans/:id/discard → PlanSummary */
export const DiscardRequest = Type.Object(
  { reason: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })) },
  closed,
);
