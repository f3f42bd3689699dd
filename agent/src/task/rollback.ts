import type { Executor } from '../execute/executor.ts';
import type { TaskContext } from './context.ts';
import type { RollbackTask } from './task.ts';

/** Puts back what an earlier generation of the same task kept. */

/** Up to having every version and configuration file as it was; throws TaskFailed otherwise. */
export async function putBack(task: RollbackTask, executor: Executor, context: TaskContext): Promise<void> {
  throw new Error(`being built: ${task.dir} ${executor.manager} ${context.stateDir}`);
}
