import { messageOf } from './failure.ts';
import type { Log } from './log.ts';
import type { TaskContext } from './task/context.ts';
import type { JournalStep } from './task/journal.ts';
import { failTask, runTask } from './task/run.ts';
import type { Task, TaskList } from './task/task.ts';
import type { Turns } from './turns.ts';

/** Works on the tasks of this host one after another, beside the check-ins. */
export interface TaskWork {
  /** Looks at every task once more, when those that are being worked on now have been. */
  start(): void;
}

export interface TaskWorkParts {
  readonly tasks: Pick<TaskList, 'active'>;
  readonly turns: Turns;
  readonly context: TaskContext;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Thrown through a task when the agent ends: the journal tells the next one where to go on. */
export class Ending extends Error {}

export function createTaskWork({ tasks, turns, context, log, signal }: TaskWorkParts): TaskWork {
  let working = false;
  let wanted = false;

  async function workOn(task: Task): Promise<void> {
    if (isForgotten(task, context)) {
      task.note('ended', 'done', { data: { forgotten: true } });
      return;
    }
    try {
      await turns.take(() => runTask(task, context));
    } catch (error) {
      if (error instanceof Ending || signal.aborted) throw error;
      log('error', 'a task met an error', { task_id: task.order.task_id, reason: messageOf(error) });
      await turns.take(() => failTask(task, error, context));
      context.wake();
    }
  }

  async function workOnAll(): Promise<void> {
    while (wanted && !signal.aborted) {
      wanted = false;
      for (const task of amidstFirst(tasks.active())) {
        if (signal.aborted) break;
        await workOn(task);
      }
    }
  }

  return {
    start() {
      wanted = true;
      if (working) return;
      working = true;
      void workOnAll()
        .catch((error: unknown) => {
          if (!(error instanceof Ending)) log('error', 'work on tasks stopped', { reason: messageOf(error) });
        })
        .finally(() => {
          working = false;
        });
    },
  };
}

/** The server has ended a task that here only waits for a restart or reboot: nothing is to be done for it any more. */
export function isForgotten(task: Task, context: Pick<TaskContext, 'isCancelled'>): boolean {
  const waits = task.isDone('restart') || task.state() === 'restart_pending';
  return waits && context.isCancelled(task);
}

const changing: readonly JournalStep[] = ['before', 'install', 'repair', 'mitigate', 'put_back'];

/**
 * Tasks that an earlier agent left in the middle of a change come first: their package manager may still be at work, and another
 * task might be about to reboot the host.
 */
export function amidstFirst(tasks: readonly Task[]): Task[] {
  const isAmidst = (task: Task): boolean =>
    !task.isDone('report') && changing.some((step) => task.attempts(step) > 0);
  return [...tasks.filter(isAmidst), ...tasks.filter((task) => !isAmidst(task))];
}
