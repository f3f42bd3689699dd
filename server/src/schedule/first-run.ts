import type { PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import { nextRuns } from '@fixpoint/core/window/schedule.ts';
import type { Context, Transact } from '../context.ts';
import { insertRun } from './store.ts';

/** Writes down when a new job runs first, if it has a schedule. */
export async function writeFirstRun(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  jobId: string,
  { schedule }: PatchJobDefinition,
): Promise<void> {
  if (schedule === undefined) return;
  const [first] = nextRuns(schedule, context.clock.now().getTime(), 1);
  if (first !== undefined) await insertRun(trx, jobId, new Date(first));
}
