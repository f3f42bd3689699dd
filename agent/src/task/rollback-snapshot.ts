import type { TaskContext } from './context.ts';
import { TaskFailed } from './context.ts';
import type { KeptSnapshot } from './kept.ts';
import type { RollbackTask } from './task.ts';

/** Puts back a snapshot of the file system; the next boot completes it. */
export function putBackSnapshot(
  task: RollbackTask,
  snapshot: KeptSnapshot,
  context: TaskContext,
): Promise<void> {
  context.log('warn', 'a snapshot cannot be put back yet', { task_id: task.order.task_id });
  return Promise.reject(
    new TaskFailed('rollback_failed', `A ${snapshot.kind} snapshot cannot be put back yet.`),
  );
}
