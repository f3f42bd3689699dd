import { sql, type Kysely } from 'kysely';
import type { TaskState } from '@fixpoint/core/task/states.ts';
import { taskStates } from '@fixpoint/core/task/states.ts';
import type { Transact } from '../context.ts';
import type { Database } from '../database/tables.ts';
import { stateOf } from './records.ts';

/** Questions about reboots. Nothing is written. */

/** Jobs whose tasks on an asset may be let go on to a reboot now. */
export async function jobsAwaitingReboot(db: Kysely<Database>, assetId: number): Promise<string[]> {
  const rows = await db
    .selectFrom('task')
    .innerJoin('deployment', 'deployment.id', 'task.deployment_id')
    .select('deployment.job_id')
    .distinct()
    .where('task.asset_id', '=', assetId)
    .where('task.ended_at', 'is', null)
    .where('task.signed_reboot', 'is', null)
    .where((e) => e.fn.coalesce('task.resume_state', 'task.state'), '=', 'reboot_pending')
    .execute();
  return rows.map((row) => row.job_id);
}

/**
 * Whether the agent has come to the end of what it was ordered last: after `verifying` it has nothing more to do for the task, and
 * refuses whatever else comes for it.
 */
export async function isHostDone(trx: Transact, taskId: string): Promise<boolean> {
  const { rows } = await sql<{ done: boolean }>`
    select exists (
      select from task_event
      where task_id = ${taskId} and source = 'agent' and to_state = 'verifying' and detail ->> 'refused' is null
        and ordinal > coalesce((select max(ordinal) from task_event where task_id = ${taskId} and to_state = 'offered'), -1)
    ) as done`.execute(trx);
  return rows[0]?.done === true;
}

/** Assets that have a place, over all deployments. */
export async function assetsWithRebootPlace(trx: Transact): Promise<number[]> {
  const rows = await trx.selectFrom('reboot_place').select('asset_id').execute();
  return rows.map((row) => row.asset_id);
}

export async function hasRebootPlace(trx: Transact, taskId: string): Promise<boolean> {
  const row = await trx
    .selectFrom('reboot_place')
    .select('task_id')
    .where('task_id', '=', taskId)
    .executeTakeFirst();
  return row !== undefined;
}

/** The open tasks of a deployment, as far as it matters which of their reboots are still ahead. */
export async function rebootsOfDeployment(
  trx: Transact,
  deploymentId: string,
): Promise<
  { assetId: number; state: TaskState; resumeState: TaskState | null; rebootPredicted: boolean | null }[]
> {
  const rows = await trx
    .selectFrom('task')
    .select(['asset_id', 'state', 'resume_state'])
    .select(sql<boolean | null>`(planned -> 'prediction' ->> 'reboot')::boolean`.as('predicted'))
    .where('deployment_id', '=', deploymentId)
    .where('ended_at', 'is', null)
    .execute();
  return rows.map((row) => ({
    assetId: row.asset_id,
    state: stateOf(taskStates, row.state),
    resumeState: row.resume_state === null ? null : stateOf(taskStates, row.resume_state),
    rebootPredicted: row.predicted,
  }));
}

/** Places of assets that should be back, and that are known to have gone down or have not been heard since. */
export async function overdueReboots(db: Kysely<Database>, now: Date, limit: number) {
  return db
    .selectFrom('reboot_place')
    .innerJoin('task', 'task.id', 'reboot_place.task_id')
    .innerJoin('asset', 'asset.id', 'reboot_place.asset_id')
    .leftJoin('asset_contact', 'asset_contact.asset_id', 'reboot_place.asset_id')
    .select(['task.id', 'task.deployment_id', 'asset.hostname', 'asset.uid'])
    .select(['reboot_place.taken_at', 'reboot_place.back_by', 'asset_contact.last_seen_at'])
    .where('reboot_place.back_at', 'is', null)
    .where('reboot_place.back_by', '<=', now)
    .where((e) =>
      e.or([
        e(e.fn.coalesce('task.resume_state', 'task.state'), '=', 'rebooting'),
        e('asset_contact.last_seen_at', 'is', null),
        e('asset_contact.last_seen_at', '<', e.ref('reboot_place.back_by')),
      ]),
    )
    .where(
      sql<boolean>`not exists (select 1 from alert where alert.deduplication_key =
        'reboot_not_back:' || task.id || ':' || task.generation || ':' || extract(epoch from reboot_place.taken_at))`,
    )
    .select(
      sql<string>`'reboot_not_back:' || task.id || ':' || task.generation || ':' || extract(epoch from reboot_place.taken_at)`.as(
        'deduplication_key',
      ),
    )
    .limit(limit)
    .execute();
}
