import { isEnded } from '@fixpoint/core/task/transitions.ts';
import { deployedPatches } from '@fixpoint/core/plan/rules.ts';
import type { Transact } from '../context.ts';
import { deniedBy } from '../patch-denial/commands.ts';
import { deploymentWithJob } from './heads.ts';
import type { TaskRow } from './records.ts';
import { timesOfJob } from './times.ts';

/** What must not be begun on an asset just now, although it has been ordered. */

/** Why a task is held back now whatever its window says, or null. A rollback never is. */
export async function heldBecause(
  trx: Transact,
  task: TaskRow,
  now: Date,
): Promise<'deployment_not_running' | 'patch_denied' | 'blackout' | null> {
  if (isEnded(task.state) || task.state === 'queued' || task.action === 'roll_back') return null;
  const { state, definition } = await deploymentWithJob(trx, task.deploymentId);
  if (state !== 'running') return 'deployment_not_running';
  if (await isDenied(trx, task)) return 'patch_denied';
  const times = await timesOfJob(trx, definition, now);
  return times.isFrozen ? 'blackout' : null;
}

/** Whether a patch of the task is on the deny-list now. */
export async function isDenied(trx: Transact, task: Pick<TaskRow, 'planned'>): Promise<boolean> {
  return (await deniedBy(trx, deployedPatches(task.planned))).size > 0;
}
