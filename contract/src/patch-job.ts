import { Type, type Static } from 'typebox';
import { deploymentActions, type DeploymentAction } from '@fixpoint/core/deployment/actions.ts';
import { stuckCodes } from '@fixpoint/core/deployment/stuck.ts';
import { deploymentStates } from '@fixpoint/core/deployment/states.ts';
import { mitigationActions } from '@fixpoint/core/mitigation/mitigation.ts';
import { exclusionReasons } from '@fixpoint/core/plan/plan.ts';
import { taskActions, type TaskAction } from '@fixpoint/core/task/actions.ts';
import { taskStates } from '@fixpoint/core/task/states.ts';
import { AddedPackage, OrderedPackage, RemovedPackage } from './order.ts';
import { oneOf } from './enum.ts';
import { HealthRule, JobAction } from './job-parts.ts';
import { MitigationOrder } from './mitigation.ts';
import { Obstacle, RollbackSupport } from './simulation.ts';
import { JobSchedule, PatchWindow } from './window.ts';

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

const packageName = Type.String({ minLength: 1, maxLength: 256 });
const names = (maxItems: number, maxLength = 255) =>
  Type.Array(Type.String({ minLength: 1, maxLength }), { maxItems });

export const JobTarget = Type.Object(
  {
    tags: names(100, 63),
    tags_all: Type.Optional(names(100, 63)),
    query: Type.Optional(Type.String({ minLength: 1, maxLength: 4_000 })),
    ranges: Type.Optional(names(1_000, 100)),
    assets: names(10_000),
    exclude: names(10_000),
    exclude_tags: Type.Optional(names(100, 63)),
    exclude_query: Type.Optional(Type.String({ minLength: 1, maxLength: 4_000 })),
  },
  closed,
);

export const RebootRule = Type.Object(
  {
    mode: oneOf(['suppress', 'force', 'prompt'] as const),
    countdown_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400 })),
    message: Type.Optional(Type.String({ maxLength: 500 })),
    deferrals_maximum: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
    deferral_minutes: Type.Optional(Type.Integer({ minimum: 1, maximum: 7 * 1440 })),
    when_nobody: Type.Optional(oneOf(['reboot', 'wait'] as const)),
    limits: Type.Optional(
      Type.Array(
        Type.Object(
          {
            tag: Type.String({ minLength: 1, maxLength: 63 }),
            at_once: Type.Integer({ minimum: 1, maximum: 100_000 }),
          },
          closed,
        ),
        { maxItems: 50 },
      ),
    ),
    order: Type.Optional(names(50, 63)),
    back_within_seconds: Type.Optional(Type.Integer({ minimum: 10, maximum: 7 * 86_400 })),
  },
  closed,
);

export const RollbackRule = Type.Object(
  {
    on: oneOf(['off', 'by_hand', 'verification_failure', 'health_failure', 'any_failure'] as const),
    method: Type.Optional(oneOf(['packages', 'snapshot'] as const)),
    required: Type.Optional(Type.Boolean()),
  },
  closed,
);

/** POST /api/v1/jobs → PatchJob. GET /api/v1/jobs → List(PatchJob). GET /api/v1/jobs/:id. What each part means: core/patch-job/definition.ts */
export const PatchJobDefinition = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 100 }),
    trigger: oneOf(['manual', 'schedule'] as const),
    schedule: Type.Optional(JobSchedule),
    /** Patch ids, `mitigation:ID` among them. An asset for which a repository offers a newer patch that supersedes one of these gets the newer. */
    patches: Type.Array(Type.String({ minLength: 5, maxLength: 500 }), { maxItems: 500 }),
    criteria: Type.Optional(
      Type.Object(
        {
          query: Type.String({ minLength: 1, maxLength: 4_000 }),
          everything_newer: Type.Optional(Type.Boolean()),
        },
        closed,
      ),
    ),
    exclude_packages: Type.Optional(Type.Array(packageName, { maxItems: 500 })),
    pins: Type.Optional(
      Type.Array(
        Type.Object({ package: packageName, version: Type.String({ minLength: 1, maxLength: 512 }) }, closed),
        { maxItems: 500 },
      ),
    ),
    target: JobTarget,
    /** Take the mitigations among the patches back instead of applying them. */
    undo_mitigations: Type.Optional(Type.Boolean()),
    windows: Type.Optional(Type.Array(PatchWindow, { minItems: 1, maxItems: 50 })),
    calendars: Type.Optional(names(50, 100)),
    missed_window: Type.Optional(oneOf(['wait', 'next_chance'] as const)),
    prestage_minutes: Type.Optional(Type.Integer({ minimum: 0, maximum: 14 * 1440 })),
    bandwidth_bytes_per_second: Type.Optional(Type.Integer({ minimum: 1_024, maximum: 100_000_000_000 })),
    units: oneOf(['restart', 'leave'] as const),
    reboot: Type.Optional(RebootRule),
    rollback: Type.Optional(RollbackRule),
    allow_removals: Type.Optional(Type.Boolean()),
    actions: Type.Optional(
      Type.Object(
        {
          before: Type.Optional(Type.Array(JobAction, { maxItems: 20 })),
          after: Type.Optional(Type.Array(JobAction, { maxItems: 20 })),
        },
        closed,
      ),
    ),
    health: Type.Optional(HealthRule),
    install_timeout_seconds: Type.Integer({ minimum: 10, maximum: 86_400 }),
    /** How long an offer stays good; after that the task is `expired`. */
    expire_after_seconds: Type.Integer({ minimum: 60, maximum: 30 * 86_400 }),
    /** At most so many assets at once. */
    concurrency: Type.Integer({ minimum: 1, maximum: 100_000 }),
  },
  closed,
);
export type PatchJobDefinition = Static<typeof PatchJobDefinition>;

export const PatchJob = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    definition: PatchJobDefinition,
    created_by: Type.String(),
    created_at: time,
    deployments: Type.Integer(),
  },
  closed,
);
export type PatchJob = Static<typeof PatchJob>;

export const PlannedMitigation = Type.Object(
  {
    action: oneOf(mitigationActions),
    title: Type.String(),
    /** Of `mitigation`, SHA-256 (hex). */
    digest: Type.String(),
    mitigation: MitigationOrder,
    /** Vulnerabilities of the asset that cannot be used while it is applied. */
    blocks: Type.Array(Type.String()),
    /** Those that are only harder to use; they stay open. */
    reduces: Type.Array(Type.String()),
  },
  closed,
);
export const PlannedTask = Type.Object(
  {
    asset_id: Type.String({ format: 'uuid' }),
    hostname: Type.String(),
    /** Patch ids that this asset really gets. */
    patches: Type.Array(Type.String()),
    packages: Type.Array(OrderedPackage),
    /** Vulnerabilities that must be gone from this asset afterwards. */
    fixes: Type.Array(Type.String()),
    download_bytes: Type.Integer({ minimum: 0 }),
    mitigations: Type.Optional(Type.Array(PlannedMitigation, { minItems: 1 })),
    added: Type.Optional(Type.Array(AddedPackage, { minItems: 1 })),
    removed: Type.Optional(Type.Array(RemovedPackage, { minItems: 1 })),
    prediction: Type.Optional(
      Type.Object(
        {
          simulated_at: time,
          download_bytes: Type.Integer({ minimum: 0 }),
          disk_bytes: Type.Integer(),
          disk_free_bytes: Type.Integer({ minimum: 0 }),
          restarts: Type.Array(Type.String()),
          reboot: Type.Boolean(),
          rollback: RollbackSupport,
          remarks: Type.Array(Obstacle),
        },
        closed,
      ),
    ),
  },
  closed,
);
export const ExcludedAsset = Type.Object(
  {
    asset_id: Type.String({ format: 'uuid' }),
    hostname: Type.String(),
    reason: oneOf(exclusionReasons),
    message: Type.String(),
  },
  closed,
);
/** POST /api/v1/jobs/:id/preview → Plan (nothing is stored). The same plan, frozen, is in the deployment. */
export const Plan = Type.Object(
  {
    format: Type.Literal(1),
    job_id: Type.String({ format: 'uuid' }),
    made_at: time,
    /** SHA-256 over the canonical plan without made_at and digest: what an approver approves. */
    digest: Type.String(),
    tasks: Type.Array(PlannedTask),
    excluded: Type.Array(ExcludedAsset),
    /** Things a person should know: patches that no asset needs, stale knowledge, assets not seen for long. */
    warnings: Type.Array(Type.String()),
  },
  closed,
);
export type Plan = Static<typeof Plan>;
export type PlannedTask = Static<typeof PlannedTask>;
export type ExcludedAsset = Static<typeof ExcludedAsset>;

/**
 * POST /api/v1/jobs/:id/start { plan_digest? } → Deployment. With plan_digest the start is refused (`plan_changed`) when the
 * plan is no longer the one that was previewed.
 */
export const StartRequest = Type.Object(
  {
    plan_digest: Type.Optional(Type.String({ maxLength: 64 })),
    /** Exactly this plan, whose assets were asked, is deployed: refused when it is not ready, too old, or no longer fits. */
    plan_id: Type.Optional(Type.String({ format: 'uuid' })),
    reason: Type.Optional(Type.String({ maxLength: 500 })),
  },
  closed,
);

export const TaskView = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    asset_id: Type.String({ format: 'uuid' }),
    hostname: Type.String(),
    ring: Type.Integer(),
    state: oneOf(taskStates),
    /** `{ code, message, what_to_do }` of a failure, a skip, a wait. */
    reason: orNull(
      Type.Object({ code: Type.String(), message: Type.String(), what_to_do: Type.String() }, closed),
    ),
    /** It should have gone on by now; what is wrong as far as can be told, and what to do. */
    stuck: Type.Optional(
      Type.Object(
        { code: oneOf(stuckCodes), since: time, message: Type.String(), what_to_do: Type.String() },
        closed,
      ),
    ),
    packages: Type.Array(OrderedPackage),
    mitigations: Type.Optional(Type.Array(PlannedMitigation)),
    fixes: Type.Array(Type.String()),
    offered_at: orNull(time),
    updated_at: time,
    ended_at: orNull(time),
  },
  closed,
);
export type TaskView = Static<typeof TaskView>;

/** GET /api/v1/tasks/:id */
export const TaskDetail = Type.Object(
  {
    task: TaskView,
    deployment_id: Type.String({ format: 'uuid' }),
    events: Type.Array(
      Type.Object(
        {
          at: time,
          from: Type.String(),
          to: Type.String(),
          source: oneOf(['server', 'agent', 'person'] as const),
          message: orNull(Type.String()),
          detail: Type.Unknown(),
        },
        closed,
      ),
    ),
    /** Verification: what was found before, expected, and found after. */
    evidence: Type.Unknown(),
  },
  closed,
);
export type TaskDetail = Static<typeof TaskDetail>;

/** GET /api/v1/deployments → List(Deployment); GET /api/v1/deployments/:id → DeploymentDetail */
export const Deployment = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    job_id: Type.String({ format: 'uuid' }),
    job_name: Type.String(),
    state: oneOf(deploymentStates),
    pause_reasons: Type.Array(Type.String()),
    plan_digest: Type.String(),
    /** The plan whose assets were asked; null when it was started without. */
    plan_id: orNull(Type.String({ format: 'uuid' })),
    created_by: Type.String(),
    created_at: time,
    started_at: orNull(time),
    ended_at: orNull(time),
    /** Number of tasks in each state that occurs. */
    tasks: Type.Record(Type.String(), Type.Integer()),
  },
  closed,
);
export type Deployment = Static<typeof Deployment>;
export const DeploymentDetail = Type.Object(
  { deployment: Deployment, plan: Plan, tasks: Type.Array(TaskView) },
  closed,
);
export type DeploymentDetail = Static<typeof DeploymentDetail>;

export type { DeploymentAction };
/** POST /api/v1/deployments/:id/actions. Which is allowed when is one table: core/deployment/actions.ts */
export const DeploymentActionRequest = Type.Object(
  { action: oneOf(deploymentActions), reason: Type.String({ minLength: 1, maxLength: 500 }) },
  closed,
);

export type { TaskAction };
/** POST /api/v1/tasks/:id/actions → TaskDetail. Which is allowed when is one table: core/task/actions.ts */
export const TaskActionRequest = Type.Object(
  { action: oneOf(taskActions), reason: Type.String({ minLength: 1, maxLength: 500 }) },
  closed,
);
