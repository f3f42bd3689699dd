import type { Kysely } from 'kysely';
import { taskStates } from '@fixpoint/core/task/states.ts';
import type { Database } from '../database/tables.ts';
import { stateOf, type TaskRow } from './records.ts';

export type TaskHead = Pick<TaskRow, 'id' | 'assetId' | 'state' | 'resumeState' | 'changedGeneration'>;

/** A deployment's tasks without what they hold, which is large, in order of host name. */
export async function taskHeads(db: Kysely<Database>, deploymentId: string): Promise<TaskHead[]> {
  const rows = await db
    .selectFrom('task')
    .innerJoin('asset', 'asset.id', 'task.asset_id')
    .select(['task.id', 'task.asset_id', 'task.state', 'task.resume_state', 'task.changed_generation'])
    .where('task.deployment_id', '=', deploymentId)
    .orderBy('task.ring')
    .orderBy('asset.hostname')
    .orderBy('task.id')
    .execute();
  return rows.map((row) => ({
    id: row.id,
    assetId: row.asset_id,
    state: stateOf(taskStates, row.state),
    resumeState: row.resume_state === null ? null : stateOf(taskStates, row.resume_state),
    changedGeneration: row.changed_generation,
  }));
}
