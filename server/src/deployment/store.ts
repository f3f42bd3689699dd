import { sql } from 'kysely';
import type { SignedOrder } from '@fixpoint/contract/order.ts';
import type { Plan, PlannedTask } from '@fixpoint/contract/patch-job.ts';
import { deploymentStates, type DeploymentState } from '@fixpoint/core/deployment/states.ts';
import type { TaskReason } from '@fixpoint/core/task/reasons.ts';
import type { TaskState } from '@fixpoint/core/task/states.ts';
import { notBegunStates, type TransitionSource } from '@fixpoint/core/task/transitions.ts';
import type { Transact } from '../context.ts';
import { withAsset, withAssetOf } from './reads.ts';
import { stateOf, type TaskOfAsset } from './records.ts';

/**
 * The only writer of deployment, task, task_event and reboot_place.
 *
 * Locks, in this order, so that transactions never wait for each other in a circle:
 * 1. A deployment row is waited for only by people's actions, first thing. Everybody else skips one that is locked.
 * 2. A task row is locked only by who has locked its asset row. An agent's transactions begin with the asset row.
 * 3. Places for reboots are taken under one lock for all servers, which nobody waits for.
 * 4. The audit chain comes last.
 */

export async function insertDeployment(
  trx: Transact,
  one: { id: string; jobId: string; plan: Plan; planId: string | null; createdBy: string; at: Date },
): Promise<void> {
  await trx
    .insertInto('deployment')
    .values({
      id: one.id,
      job_id: one.jobId,
      state: 'running',
      plan: JSON.stringify(one.plan),
      plan_digest: one.plan.digest,
      plan_id: one.planId,
      created_by: one.createdBy,
      created_at: one.at,
      started_at: one.at,
    })
    .execute();
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

/**
 * Tasks about which time decides something now: not begun and expired, or of an asset that is silent or retired; those that are not
 * begun when the deployment is stopped. Locked, with their assets; what others have locked is left out. Nothing is answered
 * about which nothing is to be done: it would take the places of what comes after it.
 */
export async function tasksDue(
  trx: Transact,
  deploymentId: string,
  due: {
    now: Date;
    /** As `DecideOptions` has it. */
    silentAfterSeconds: number;
    stopped: boolean;
    /** Zones of assets for which no window of the job opens any more. */
    zonesWithoutWindow: readonly string[];
    limit: number;
  },
): Promise<TaskOfAsset[]> {
  const { now, silentAfterSeconds, zonesWithoutWindow } = due;
  const query = withAsset(trx)
    .where('task.deployment_id', '=', deploymentId)
    .where('task.ended_at', 'is', null)
    .where((e) => {
      const notBegun = e(e.fn.coalesce('task.resume_state', 'task.state'), 'in', notBegunStates);
      return e.or([
        due.stopped ? notBegun : e.and([notBegun, e('task.expires_at', '<=', now)]),
        e('asset.retired_at', 'is not', null),
        // the facts of a host are large, and are not looked at without need
        ...(zonesWithoutWindow.length === 0
          ? []
          : [
              e.and([
                e('task.state', '=', 'queued'),
                sql<boolean>`coalesce(asset.host ->> 'time_zone', 'UTC') = any(${[...zonesWithoutWindow]}::text[])`,
              ]),
            ]),
        e.and([
          e('task.state', 'not in', ['queued', 'unreachable']),
          e.or([
            e('asset_contact.last_seen_at', 'is', null),
            sql<boolean>`asset_contact.last_seen_at < ${now}::timestamptz - make_interval(secs =>
              greatest(3 * coalesce(asset_contact.next_check_in_seconds, 60), ${silentAfterSeconds}::integer))`,
          ]),
        ]),
      ]);
    });
  const rows = await query
    .orderBy('task.asset_id')
    .limit(due.limit)
    .forNoKeyUpdate(['asset', 'task'])
    .skipLocked()
    .execute();
  // Who reports locks the asset and not when it was heard: only what is read now, after the locks, is what they wrote.
  const ids = rows.map((row) => row.asset_id);
  const heard = await trx
    .selectFrom('asset_contact')
    .select(['asset_id', 'last_seen_at'])
    .where(sql<boolean>`asset_id = any(${ids}::int[])`)
    .execute();
  const lastSeen = new Map(heard.map((row) => [row.asset_id, row.last_seen_at]));
  return rows.map((row) => ({ ...withAssetOf(row), lastSeenAt: lastSeen.get(row.asset_id) ?? null }));
}

export interface TaskChange {
  readonly state?: TaskState;
  readonly resumeState?: TaskState | null;
  readonly reason?: TaskReason | null;
  readonly generation?: number;
  readonly action?: 'install' | 'roll_back';
  readonly undoesGeneration?: number | null;
  readonly changedGeneration?: number | null;
  readonly signedReboot?: SignedOrder | null;
  readonly rebootAfter?: Date | null;
  readonly missedWindowAt?: Date | null;
  readonly progressAt?: Date;
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
      ...(change.action === undefined ? {} : { action: change.action }),
      ...(change.undoesGeneration === undefined ? {} : { undoes_generation: change.undoesGeneration }),
      ...(change.changedGeneration === undefined ? {} : { changed_generation: change.changedGeneration }),
      ...(change.signedReboot === undefined ? {} : { signed_reboot: json(change.signedReboot) }),
      ...(change.rebootAfter === undefined ? {} : { reboot_after: change.rebootAfter }),
      ...(change.missedWindowAt === undefined ? {} : { missed_window_at: change.missedWindowAt }),
      ...(change.sequence === undefined ? {} : { sequence: change.sequence }),
      ...(change.signedOrder === undefined ? {} : { signed_order: json(change.signedOrder) }),
      ...(change.expiresAt === undefined ? {} : { expires_at: change.expiresAt }),
      ...(change.offeredAt === undefined ? {} : { offered_at: change.offeredAt }),
      ...(change.endedAt === undefined ? {} : { ended_at: change.endedAt }),
      ...(change.updatedAt === undefined ? {} : { updated_at: change.updatedAt }),
      ...(change.eventIndex === undefined ? {} : { event_index: change.eventIndex }),
      ...(change.evidence === undefined ? {} : { evidence: json(change.evidence) }),
      ...(change.progressAt === undefined ? {} : { progress_at: change.progressAt }),
    })
    .where('id', '=', id)
    .execute();
}

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

/** From here to the end of the transaction nobody else takes places for reboots; false when somebody does now. */
export async function tryLockRebootPlaces(trx: Transact): Promise<boolean> {
  const { rows } = await sql<{ locked: boolean }>`
    select pg_try_advisory_xact_lock(hashtext('fixpoint reboot_place')) as locked`.execute(trx);
  return rows[0]?.locked === true;
}

/** Writes down that an asset is let go on to its reboot, or goes on to it; `backBy` is renewed. */
export async function takeRebootPlace(
  trx: Transact,
  place: { taskId: string; assetId: number; bootId: string; takenAt: Date; backBy: Date },
): Promise<void> {
  await trx
    .insertInto('reboot_place')
    .values({
      task_id: place.taskId,
      asset_id: place.assetId,
      boot_id: place.bootId,
      taken_at: place.takenAt,
      back_by: place.backBy,
    })
    .onConflict((on) => on.column('task_id').doUpdateSet({ back_by: place.backBy }))
    .execute();
}

export async function deleteRebootPlace(trx: Transact, taskId: string): Promise<void> {
  await trx.deleteFrom('reboot_place').where('task_id', '=', taskId).execute();
}

/** The asset has checked in: where it runs another boot than the one that its place was taken in, it is back. */
export async function noteBoot(trx: Transact, assetId: number, bootId: string, at: Date): Promise<void> {
  await trx
    .updateTable('reboot_place')
    .set({ back_at: at })
    .where('asset_id', '=', assetId)
    .where('boot_id', '<>', bootId)
    .where('back_at', 'is', null)
    .execute();
}

/** Frees the places of an asset whose tasks have ended, or that is back and whose tasks have gone on. */
export async function freeRebootPlaces(trx: Transact, assetId: number): Promise<void> {
  await sql`
    delete from reboot_place p using task t
    where p.asset_id = ${assetId} and t.id = p.task_id
      and (t.ended_at is not null
           or (p.back_at is not null and coalesce(t.resume_state, t.state) not in ('reboot_pending', 'rebooting')))
  `.execute(trx);
}

/** Adds pieces to the log of a task; a piece whose place is taken stays as it is. */
export async function insertTaskLog(
  trx: Transact,
  log: {
    readonly taskId: string;
    readonly generation: number;
    readonly pieces: readonly { place: number; at: string; step: string; text: string }[];
  },
): Promise<void> {
  await trx
    .insertInto('task_log')
    .values(log.pieces.map((piece) => ({ ...piece, task_id: log.taskId, generation: log.generation })))
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Deletes the logs of some tasks that ended before a time; tells of how many. */
export async function deleteTaskLogs(trx: Transact, endedBefore: Date, limit: number): Promise<number> {
  const { rows } = await sql<{ id: string }>`
    select id from task
    where ended_at < ${endedBefore} and exists (select from task_log where task_id = task.id)
    limit ${limit}`.execute(trx);
  if (rows.length > 0) {
    await trx
      .deleteFrom('task_log')
      .where(
        'task_id',
        'in',
        rows.map((row) => row.id),
      )
      .execute();
  }
  return rows.length;
}
