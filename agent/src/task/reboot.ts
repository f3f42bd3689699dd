import type { TaskContext } from './context.ts';
import type { Task } from './task.ts';

/** The reboot that a task waits for: only when the server has let it, within its window, and never silently. */

/**
 * Goes on with a task that is `reboot_pending` and has been permitted to reboot. Returns `rebooted` when the boot id has changed
 * since; `waiting` when there is nothing to do now (no permission, put off, outside of the window).
 */
export async function reboot(task: Task, context: TaskContext): Promise<'rebooted' | 'waiting'> {
  if (task.rebootOrder() === null) return 'waiting';
  throw new Error(`being built: ${context.stateDir}`);
}
