import type { TaskContext } from './context.ts';
import type { InstallTask } from './task.ts';

/** Runs the actions that the order names and that the policy of the host knows: step `before` or `after` of the journal. */

/** Each once, in order; throws TaskFailed(`action_failed`) when one fails that must not. */
export async function runActions(
  when: 'before' | 'after',
  task: InstallTask,
  context: TaskContext,
): Promise<void> {
  if ((task.order.actions?.[when] ?? []).length === 0 || task.isDone(when)) return;
  throw new Error(`being built: ${context.stateDir}`);
}
