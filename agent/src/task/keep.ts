import type { Executor } from '../execute/executor.ts';
import type { TaskContext } from './context.ts';
import type { InstallTask } from './task.ts';

/** Keeps what is there before anything changes: packages, configuration files, or a snapshot of the file system. */

/** Does nothing when the order does not ask for it. Throws TaskFailed when it must be kept and cannot be. */
export async function keep(task: InstallTask, executor: Executor, context: TaskContext): Promise<void> {
  if (task.order.keep === undefined || task.isDone('keep')) return;
  throw new Error(`being built: ${executor.manager} ${context.stateDir}`);
}
