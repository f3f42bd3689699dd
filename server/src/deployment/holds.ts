import type { PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import { isEnded } from '@fixpoint/core/task/transitions.ts';
import { deployedPatches } from '@fixpoint/core/plan/rules.ts';
import type { Transact } from '../context.ts';
import { deniedBy } from '../patch-denial/commands.ts';
import { getJob } from '../patch-job/commands.ts';
import { deploymentHead } from './reads.ts';
import type { TaskRow } from './records.ts';
import { timesOfJob } from './times.ts';

/** What must not be begun on an asset just now, although it has been ordered. */

/** The definition of a job that is known to be there. */
export async function definitionOf(trx: Transact, jobId: string): Promise<PatchJobDefinition> {
  const job = await getJob(trx, jobId);
  if (!job.ok) throw new Error(`a deployment is of job ${jobId}, which is not there`);
  return job.value.definition;
}

/** Why a task is held back now whatever its window says, or null. A rollback never is. */
export async function heldBecause(
  trx: Transact,
  task: TaskRow,
  now: Date,
): Promise<'deployment_not_running' | 'patch_denied' | 'blackout' | null> {
  if (isEnded(task.state) || task.state === 'queued' || task.action === 'roll_back') return null;
  const head = await deploymentHead(trx, task.deploymentId);
  if (head?.state !== 'running') return 'deployment_not_running';
  if (await isDenied(trx, task)) return 'patch_denied';
  const times = await timesOfJob(trx, await definitionOf(trx, head.jobId), now);
  return times.isFrozen ? 'blackout' : null;
}

/** Whether a patch of the task is on the deny-list now. */
export async function isDenied(trx: Transact, task: Pick<TaskRow, 'planned'>): Promise<boolean> {
  return (await deniedBy(trx, deployedPatches(task.planned))).size > 0;
}
