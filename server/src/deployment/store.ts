import { sql, type Kysely, type Selectable } from 'kysely';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';
import { Plan, PlannedTask } from '@fixpoint/contract/patch-job.ts';
import { SignedOrder } from '@fixpoint/contract/agent.ts';
import { deploymentStates, type DeploymentState } from '@fixpoint/core/deployment/states.ts';
import { taskStates, type TaskState } from '@fixpoint/core/task/states.ts';
import { atWorkStates, type TransitionSource } from '@fixpoint/core/task/transitions.ts';
import type { TaskReason } from '@fixpoint/core/task/reasons.ts';
import type { Transact } from '../context.ts';
import type { Cursor } from '../cursor.ts';
import type { Database, DeploymentTable, TaskTable } from '../database/tables.ts';

/**
 * The only writer of deployment, task and task_event.
 *
 * Locks, in this order, so that transactions never wait for each other in a circle:
 * 1. A deployment row is waited for only by people's actions, first thing. Everybody else skips one that is locked.
 * 2. A task row is locked only by who has locked its asset row. An agent's transactions begin with the asset row.
 * 3. The audit chain comes last.
 */

export interface DeploymentRow {
  readonly id: string;
  readonly jobId: string;
  readonly state: DeploymentState;
  readonly plan: Plan;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
}

export interface TaskRow {
  readonly id: string;
  readonly deploymentId: string;
  readonly ring: number;
  readonly assetId: number;
  readonly state: TaskState;
  readonly resumeState: TaskState | null;
  readonly reason: TaskReason | null;
  readonly generation: number;
  readonly sequence: number | null;
  readonly planned: PlannedTask;
  readonly signedOrder: SignedOrder | null;
  readonly expiresAt: Date | null;
  readonly offeredAt: Date | null;
  readonly endedAt: Date | null;
  readonly updatedAt: Date;
  readonly eventIndex: number;
  readonly evidence: unknown;
}

/** A task with what its decision needs to know of the asset. */
export interface TaskOfAsset extends TaskRow {
  readonly lastSeenAt: Date | null;
  readonly nextCheckInSeconds: number;
  readonly retiredAt: Date | null;
}

function stateOf<T extends string>(states: readonly T[], text: string): T {
  const state = states.find((one) => one === text);
  if (state === undefined) throw new Error(`the database holds a state that there is not: ${text}`);
  return state;
}

const Reason = Compile(
  Type.Object({ code: Type.String(), message: Type.String(), what_to_do: Type.String() }),
);

export function taskOf(row: Selectable<TaskTable>): TaskRow {
  return {
    id: row.id,
    deploymentId: row.deployment_id,
    ring: row.ring,
    assetId: row.asset_id,
    state: stateOf(taskStates, row.state),
    resumeState: row.resume_state === null ? null : stateOf(taskStates, row.resume_state),
    reason: row.reason === null ? null : Reason.Parse(row.reason),
    generation: row.generation,
    sequence: row.sequence === null ? null : Number(row.sequence),
    planned: Value.Parse(PlannedTask, row.planned),
    signedOrder: row.signed_order === null ? null : Value.Parse(SignedOrder, row.signed_order),
    expiresAt: row.expires_at,
    offeredAt: row.offered_at,
    endedAt: row.ended_at,
    updatedAt: row.updated_at,
    eventIndex: row.event_index,
    evidence: row.evidence,
  };
}

function deploymentOf(row: Selectable<DeploymentTable>): DeploymentRow {
  return {
    id: row.id,
    jobId: row.job_id,
    state: stateOf(deploymentStates, row.state),
    plan: Value.Parse(Plan, row.plan),
    createdBy: row.created_by,
    createdAt: row.created_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
  };
}

// deployment --------------------------------------------------------------------------------------------------------

export async function insertDeployment(
  trx: Transact,
  one: { id: string; jobId: string; plan: Plan; createdBy: string; at: Date },
): Promise<void> {
  await trx
    .insertInto('deployment')
    .values({
      id: one.id,
      job_id: one.jobId,
      state: 'running',
      plan: JSON.stringify(one.plan),
      plan_digest: one.plan.digest,
      created_by: one.createdBy,
      created_at: one.at,
      started_at: one.at,
    })
    .execute();
}

export async function findDeployment(db: Kysely<Database>, id: string): Promise<DeploymentRow | undefined> {
  const row = await db.selectFrom('deployment').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : deploymentOf(row);
}

/** State and job of a deployment without its plan, which can be large. */
export async function deploymentHead(
  db: Kysely<Database>,
  id: string,
): Promise<{ state: DeploymentState; jobId: string } | undefined> {
  const row = await db
    .selectFrom('deployment')
    .select(['state', 'job_id'])
    .where('id', '=', id)
    .executeTakeFirst();
  return row === undefined ? undefined : { state: stateOf(deploymentStates, row.state), jobId: row.job_id };
}

/** Waits for the deployment's row; for people's actions, before any other lock. */
export async function lockDeployment(
  trx: Transact,
  id: string,
): Promise<{ state: DeploymentState; jobId: string } | undefined> {
  const row = await trx
    .selectFrom('deployment')
    .select(['state', 'job_id'])
    .where('id', '=', id)
    .forNoKeyUpdate()
    .executeTakeFirst();
  return row === undefined ? undefined : { state: stateOf(deploymentStates, row.state), jobId: row.job_id };
}

/** Locks the deployment's row unless somebody else has it; undefined then. */
export async function tryLockDeployment(
  trx: Transact,
  id: string,
): Promise<{ state: DeploymentState; jobId: string } | undefined> {
  const row = await trx
    .selectFrom('deployment')
    .select(['state', 'job_id'])
    .where('id', '=', id)
    .forNoKeyUpdate()
    .skipLocked()
    .executeTakeFirst();
  return row === undefined ? undefined : { state: stateOf(deploymentStates, row.state), jobId: row.job_id };
}

export async function setDeploymentState(
  trx: Transact,
  id: string,
  change: { state: DeploymentState; endedAt: Date | null; pauseReasons: readonly string[] },
): Promise<void> {
  await trx
    .updateTable('deployment')
    .set({
      state: change.state,
      ended_at: change.endedAt,
      pause_reasons: JSON.stringify(change.pauseReasons),
    })
    .where('id', '=', id)
    .execute();
}

/** Deployments about which anything could have to be decided. */
export async function liveDeployments(db: Kysely<Database>): Promise<string[]> {
  const rows = await db
    .selectFrom('deployment')
    .select('id')
    .where((e) =>
      e.or([
        e('state', 'in', ['running', 'paused']),
        e.exists(
          e
            .selectFrom('task')
            .select('task.id')
            .whereRef('task.deployment_id', '=', 'deployment.id')
            .where('task.ended_at', 'is', null),
        ),
      ]),
    )
    .orderBy('created_at')
    .execute();
  return rows.map((row) => row.id);
}

export type DeploymentListRow = Selectable<Omit<DeploymentTable, 'plan'>> & { readonly job_name: string };

export async function deploymentPage(
  db: Kysely<Database>,
  filter: { jobId: string | null; id: string | null; limit: number; after: Cursor | null },
): Promise<{ rows: DeploymentListRow[]; total: number }> {
  let query = db.selectFrom('deployment').innerJoin('patch_job', 'patch_job.id', 'deployment.job_id');
  if (filter.jobId !== null) query = query.where('deployment.job_id', '=', filter.jobId);
  if (filter.id !== null) query = query.where('deployment.id', '=', filter.id);
  const { total } = await query.select((e) => e.fn.countAll<string>().as('total')).executeTakeFirstOrThrow();
  const { after } = filter;
  if (after !== null) {
    query = query.where((e) =>
      e.or([
        e('deployment.created_at', '<', after.at),
        e.and([e('deployment.created_at', '=', after.at), e('deployment.id', '<', after.id)]),
      ]),
    );
  }
  const rows = await query
    .select([
      'deployment.id',
      'deployment.job_id',
      'deployment.state',
      'deployment.plan_digest',
      'deployment.created_by',
      'deployment.created_at',
      'deployment.started_at',
      'deployment.ended_at',
      'deployment.pause_reasons',
      'patch_job.name as job_name',
    ])
    .orderBy('deployment.created_at', 'desc')
    .orderBy('deployment.id', 'desc')
    .limit(filter.limit)
    .execute();
  return { rows, total: Number(total) };
}

/** How many tasks of each deployment are in which state. */
export async function taskCounts(
  db: Kysely<Database>,
  deploymentIds: readonly string[],
): Promise<Map<string, Record<string, number>>> {
  const counts = new Map<string, Record<string, number>>(deploymentIds.map((id) => [id, {}]));
  if (deploymentIds.length === 0) return counts;
  const rows = await db
    .selectFrom('task')
    .select((e) => ['deployment_id', 'state', e.fn.countAll<string>().as('count')])
    .where('deployment_id', 'in', deploymentIds)
    .groupBy(['deployment_id', 'state'])
    .execute();
  for (const row of rows) {
    const entry = counts.get(row.deployment_id);
    if (entry !== undefined) entry[row.state] = Number(row.count);
  }
  return counts;
}

// task --------------------------------------------------------------------------------------------------------------

const rowsAtOnce = 500;

export async function insertTasks(
  trx: Transact,
  tasks: readonly {
    id: string;
    deploymentId: string;
    assetId: number;
    planned: PlannedTask;
    before: unknown;
  }[],
  at: Date,
): Promise<void> {
  for (let i = 0; i < tasks.length; i += rowsAtOnce) {
    await trx
      .insertInto('task')
      .values(
        tasks.slice(i, i + rowsAtOnce).map((task) => ({
          id: task.id,
          deployment_id: task.deploymentId,
          asset_id: task.assetId,
          state: 'queued',
          planned: JSON.stringify(task.planned),
          updated_at: at,
          evidence: JSON.stringify({ before: task.before }),
          resume_state: null,
          reason: null,
          sequence: null,
          signed_order: null,
        })),
      )
      .execute();
  }
}

/** Locks asset rows in one order for everybody, and so their tasks. */
export async function lockAssets(trx: Transact, assetIds: readonly number[]): Promise<void> {
  if (assetIds.length === 0) return;
  await sql`select id from asset where id = any(${[...assetIds]}::int[]) order by id for no key update`.execute(
    trx,
  );
}

export async function findTask(db: Kysely<Database>, id: string): Promise<TaskRow | undefined> {
  const row = await db.selectFrom('task').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : taskOf(row);
}

/** An asset's tasks that have not ended, and those that it may still have to be told to give up. Lock the asset first. */
export async function tasksOfAsset(trx: Transact, assetId: number, endedSince: Date): Promise<TaskRow[]> {
  const rows = await trx
    .selectFrom('task')
    .selectAll()
    .where('asset_id', '=', assetId)
    .where((e) =>
      e.or([
        e('ended_at', 'is', null),
        e.and([
          e('state', 'in', ['cancelled', 'expired']),
          e('ended_at', '>', endedSince),
          e('signed_order', 'is not', null),
        ]),
      ]),
    )
    .orderBy('id')
    .execute();
  return rows.map(taskOf);
}

export async function openTasksOfAsset(trx: Transact, assetId: number): Promise<TaskRow[]> {
  const rows = await trx
    .selectFrom('task')
    .selectAll()
    .where('asset_id', '=', assetId)
    .where('ended_at', 'is', null)
    .orderBy('id')
    .execute();
  return rows.map(taskOf);
}

/** Of these assets, those with a task that has not ended. */
export async function assetsWithOpenTask(trx: Transact, assetIds: readonly number[]): Promise<Set<number>> {
  if (assetIds.length === 0) return new Set();
  const rows = await trx
    .selectFrom('task')
    .select('asset_id')
    .distinct()
    .where('ended_at', 'is', null)
    .where(sql<boolean>`asset_id = any(${[...assetIds]}::int[])`)
    .execute();
  return new Set(rows.map((row) => row.asset_id));
}

/** The number that the next order to this asset gets. Lock the asset first. */
export async function nextSequence(trx: Transact, assetId: number): Promise<number> {
  const row = await trx
    .selectFrom('task')
    .select((e) => e.fn.max('sequence').as('last'))
    .where('asset_id', '=', assetId)
    .executeTakeFirst();
  return Number(row?.last ?? 0) + 1;
}

/** How many tasks of a deployment are at work, and how many have not ended. */
export async function openCounts(
  db: Kysely<Database>,
  deploymentId: string,
): Promise<{ atWork: number; notEnded: number }> {
  const { rows } = await sql<{ at_work: string; not_ended: string }>`
    select count(*) filter (where case when state = 'unreachable' then resume_state else state end
                            = any(${[...atWorkStates]}::text[])) as at_work,
           count(*) as not_ended
    from task where deployment_id = ${deploymentId} and ended_at is null`.execute(db);
  return { atWork: Number(rows[0]?.at_work ?? 0), notEnded: Number(rows[0]?.not_ended ?? 0) };
}

function withAsset(db: Kysely<Database>) {
  return db
    .selectFrom('task')
    .innerJoin('asset', 'asset.id', 'task.asset_id')
    .selectAll('task')
    .select(['asset.last_seen_at', 'asset.next_check_in_seconds', 'asset.retired_at']);
}

type RawWithAsset = Selectable<TaskTable> & {
  last_seen_at: Date | null;
  next_check_in_seconds: number;
  retired_at: Date | null;
};
function withAssetOf(row: RawWithAsset): TaskOfAsset {
  return Object.assign(taskOf(row), {
    lastSeenAt: row.last_seen_at,
    nextCheckInSeconds: row.next_check_in_seconds,
    retiredAt: row.retired_at,
  });
}

/**
 * Tasks about which time may have decided something: expired, or of an asset not heard of since `silentBefore` or retired;
 * all open ones when the deployment is stopped. Locked, with their assets; what others have locked is left out.
 */
export async function tasksDue(
  trx: Transact,
  deploymentId: string,
  due: { now: Date; silentBefore: Date; stopped: boolean; limit: number },
): Promise<TaskOfAsset[]> {
  let query = withAsset(trx)
    .where('task.deployment_id', '=', deploymentId)
    .where('task.ended_at', 'is', null);
  if (!due.stopped) {
    query = query.where((e) =>
      e.or([
        e('task.expires_at', '<=', due.now),
        e('asset.retired_at', 'is not', null),
        e.and([
          e('task.state', 'not in', ['queued', 'unreachable']),
          e.or([e('asset.last_seen_at', 'is', null), e('asset.last_seen_at', '<', due.silentBefore)]),
        ]),
      ]),
    );
  }
  const rows = await query
    .orderBy('task.asset_id')
    .limit(due.limit)
    .forNoKeyUpdate(['asset', 'task'])
    .skipLocked()
    .execute();
  return rows.map(withAssetOf);
}

/** A deployment's tasks, in order of host name. */
export async function tasksOfDeployment(
  db: Kysely<Database>,
  deploymentId: string,
): Promise<(TaskOfAsset & { hostname: string })[]> {
  const rows = await withAsset(db)
    .select('asset.hostname')
    .where('task.deployment_id', '=', deploymentId)
    .orderBy('task.ring')
    .orderBy('asset.hostname')
    .orderBy('task.id')
    .execute();
  return rows.map((row) => Object.assign(withAssetOf(row), { hostname: row.hostname }));
}

export async function taskWithAsset(
  db: Kysely<Database>,
  id: string,
): Promise<(TaskOfAsset & { hostname: string }) | undefined> {
  const row = await withAsset(db).select('asset.hostname').where('task.id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : Object.assign(withAssetOf(row), { hostname: row.hostname });
}

/** Tasks that wait for their verification since before `since` although the asset has checked in after. */
export async function overdueVerifications(db: Kysely<Database>, since: Date, limit: number) {
  return db
    .selectFrom('task')
    .innerJoin('asset', 'asset.id', 'task.asset_id')
    .select(['task.id', 'task.asset_id'])
    .where('task.state', '=', 'verifying')
    .where('task.reason', 'is', null)
    .where('task.updated_at', '<', since)
    .whereRef('asset.last_seen_at', '>', 'task.updated_at')
    .limit(limit)
    .execute();
}

export interface TaskChange {
  readonly state?: TaskState;
  readonly resumeState?: TaskState | null;
  readonly reason?: TaskReason | null;
  readonly generation?: number;
  readonly sequence?: number | null;
  readonly signedOrder?: SignedOrder | null;
  readonly expiresAt?: Date | null;
  readonly offeredAt?: Date | null;
  readonly endedAt?: Date | null;
  readonly updatedAt?: Date;
  readonly eventIndex?: number;
  readonly evidence?: unknown;
}

function json(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}

export async function updateTask(trx: Transact, id: string, change: TaskChange): Promise<void> {
  await trx
    .updateTable('task')
    .set({
      ...(change.state === undefined ? {} : { state: change.state }),
      ...(change.resumeState === undefined ? {} : { resume_state: change.resumeState }),
      ...(change.reason === undefined ? {} : { reason: json(change.reason) }),
      ...(change.generation === undefined ? {} : { generation: change.generation }),
      ...(change.sequence === undefined ? {} : { sequence: change.sequence }),
      ...(change.signedOrder === undefined ? {} : { signed_order: json(change.signedOrder) }),
      ...(change.expiresAt === undefined ? {} : { expires_at: change.expiresAt }),
      ...(change.offeredAt === undefined ? {} : { offered_at: change.offeredAt }),
      ...(change.endedAt === undefined ? {} : { ended_at: change.endedAt }),
      ...(change.updatedAt === undefined ? {} : { updated_at: change.updatedAt }),
      ...(change.eventIndex === undefined ? {} : { event_index: change.eventIndex }),
      ...(change.evidence === undefined ? {} : { evidence: json(change.evidence) }),
    })
    .where('id', '=', id)
    .execute();
}

// task_event --------------------------------------------------------------------------------------------------------

export interface NewTaskEvent {
  readonly at: Date;
  readonly from: TaskState;
  readonly to: TaskState;
  readonly source: TransitionSource;
  readonly message: string | null;
  readonly detail: unknown;
}

/** Appends to the history of a task whose asset is locked. */
export async function appendTaskEvent(trx: Transact, taskId: string, event: NewTaskEvent): Promise<void> {
  await sql`
    insert into task_event (task_id, ordinal, at, from_state, to_state, source, message, detail)
    select ${taskId}, coalesce(max(ordinal) + 1, 0), ${event.at}, ${event.from}, ${event.to}, ${event.source},
           ${event.message}, ${json(event.detail)}::jsonb
    from task_event where task_id = ${taskId}`.execute(trx);
}

/** Whether an event with this detail is in the history already. */
export async function hasTaskEvent(trx: Transact, taskId: string, detail: unknown): Promise<boolean> {
  const row = await trx
    .selectFrom('task_event')
    .select('ordinal')
    .where('task_id', '=', taskId)
    .where(sql<boolean>`detail @> ${JSON.stringify(detail)}::jsonb`)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

export async function taskEvents(db: Kysely<Database>, taskId: string) {
  return db.selectFrom('task_event').selectAll().where('task_id', '=', taskId).orderBy('ordinal').execute();
}

// what other rooms keep, as far as plans and verifications read it --------------------------------------------------

/** Everything of an asset that a plan or a verification reads. Candidates: only those of the named source packages. */
export async function assetFacts(
  trx: Transact,
  assetIds: readonly number[],
  sources: readonly string[] | null,
) {
  return trx
    .selectFrom('asset')
    .select([
      'id',
      'uid',
      'hostname',
      'mode',
      'os',
      'os_release',
      'retired_at',
      'last_seen_at',
      'inventory_at',
      'digests',
      'software',
      'residue',
    ])
    .select(sql`host -> 'held'`.as('held'))
    .select(
      (sources === null
        ? sql`'[]'::jsonb`
        : sql`(select coalesce(jsonb_agg(c), '[]'::jsonb) from jsonb_array_elements(candidates) c
            where c ->> 'source' = any(${[...sources]}::text[]) or c ->> 'source' like 'linux-signed-%')`
      ).as('offered'),
    )
    .where(sql<boolean>`id = any(${[...assetIds]}::int[])`)
    .orderBy('id')
    .execute();
}
