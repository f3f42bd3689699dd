import type { Executor, OrderedChanges } from '../execute/executor.ts';
import { messageOf } from '../failure.ts';
import { readBootId } from '../process.ts';
import { restoreAtNextBoot } from '../snapshot.ts';
import { TaskFailed, type TaskContext } from './context.ts';
import type { KeptSnapshot } from './kept.ts';
import { lookBack } from './look-back.ts';
import type { RollbackTask } from './task.ts';

/**
 * Puts back a snapshot of the file system, which the next boot completes: nobody is rebooted by a rollback, so the task waits
 * until somebody does it.
 */
export async function putBackSnapshot(
  task: RollbackTask,
  snapshot: KeptSnapshot,
  changes: OrderedChanges,
  executor: Executor,
  context: TaskContext,
): Promise<'done' | 'waiting'> {
  const prepared = task
    .entries()
    .findLast((entry) => entry.step === 'put_back' && entry.data?.['next_boot'] === true);
  if (prepared === undefined) {
    // Written first: the journal is copied into what is booted next.
    task.note('put_back', 'begin', {
      event: {
        state: 'rolling_back',
        message:
          'The snapshot is put back by the next boot: reboot the host. What is written until then is lost.',
      },
      data: { next_boot: true, boot_id: readBootId() },
    });
    context.wake();
    try {
      await restoreAtNextBoot(snapshot, context.stateDir);
    } catch (error) {
      throw new TaskFailed('rollback_failed', `The snapshot could not be put back: ${messageOf(error)}`);
    }
    return 'waiting';
  }
  if (prepared.data?.['boot_id'] === readBootId()) return 'waiting';
  const { wrong, versions } = await lookBack(executor, changes);
  if (wrong.length > 0) {
    throw new TaskFailed(
      'rollback_failed',
      `The host has booted, and not into the snapshot: ${wrong.slice(0, 5).join('; ')}.`,
      { versions },
    );
  }
  task.note('put_back', 'done', {
    event: {
      state: 'rolling_back',
      message: 'The host runs from the snapshot.',
      detail: { versions, put_back: { files: [], files_failed: [] } },
    },
  });
  context.wake();
  return 'done';
}
