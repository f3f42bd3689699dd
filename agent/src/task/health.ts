import type { TaskContext } from './context.ts';
import type { Task } from './task.ts';

/** What is well before and after: probes, and units that have failed. */

/** Notes how the host is before anything changes (step `baseline`). Does nothing when the order does not ask for it. */
export async function takeBaseline(task: Task, context: TaskContext): Promise<void> {
  if (task.order.health === undefined || task.isDone('baseline')) return;
  throw new Error(`being built: ${context.stateDir}`);
}

/**
 * Compares with the baseline (step `health`, again after a reboot); throws TaskFailed(`health_failed`) with the comparison as detail.
 */
export async function compareHealth(task: Task, context: TaskContext): Promise<void> {
  if (task.order.health === undefined) return;
  throw new Error(`being built: ${context.stateDir}`);
}
