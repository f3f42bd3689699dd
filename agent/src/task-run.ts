import { messageOf } from './failure.ts';
import { mitigate } from './mitigation/step.ts';
import { TaskDropped, TaskFailed, type TaskContext } from './task-context.ts';
import { isStillPending, report, restart, verify } from './task-finish.ts';
import { install } from './task-install.ts';
import type { Task } from './task.ts';

/** Carries one task through its steps, from wherever its journal says it stands. */

/**
 * Works on a task until it has ended or waits for a restart or reboot. Never throws for reasons of the task; throws when the
 * agent is ending, and then the journal tells the next agent where to go on.
 */
export async function runTask(task: Task, context: TaskContext): Promise<'ended' | 'waiting'> {
  const executor = context.createExecutor(task);
  try {
    const { packages, mitigations } = task.order;
    if (packages.length > 0 && !task.isDone('install')) await install(task, executor, context);
    if (mitigations !== undefined && !task.isDone('mitigate')) await mitigate(task, mitigations, context);
    executor.cleanUp();
    if (!task.isDone('report')) await report(task, context);
    if (!task.isDone('restart')) await restart(task, context);
    if (task.state() === 'restart_pending' || task.state() === 'reboot_pending') {
      if (isStillPending(task, await context.collector.collect())) return 'waiting';
    }
    await verify(task, context);
  } catch (error) {
    if (error instanceof TaskDropped) {
      task.note('ended', 'done', { data: { dropped: true } });
      context.log('info', 'task given up, as the server asked', { task_id: task.order.task_id });
    } else if (error instanceof TaskFailed) {
      task.note('ended', 'done', {
        event: {
          state: 'failed',
          failure: error.failure,
          message: error.message.slice(0, 2_000),
          detail: error.detail,
        },
      });
      context.log('warn', 'task failed', {
        task_id: task.order.task_id,
        failure: error.failure,
        reason: error.message,
      });
    } else throw error;
    executor.cleanUp();
    context.wake();
  }
  return 'ended';
}

/** Notes that a task met an error of the agent itself, so that it does not meet it for ever. */
export function failTask(task: Task, error: unknown): void {
  task.note('ended', 'done', {
    event: { state: 'failed', failure: 'agent_error', message: messageOf(error).slice(0, 2_000) },
  });
}
