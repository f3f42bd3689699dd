import type { Executor } from '../execute/executor.ts';
import { messageOf } from '../failure.ts';
import { mitigate } from '../mitigation/step.ts';
import { hasBegunActions, runActions, undoActions } from './actions.ts';
import { mayBegin, stillOpen } from './begin.ts';
import { TaskDropped, TaskFailed, type EventDetail, type TaskContext } from './context.ts';
import { isStillPending, report, restart, verify } from './finish.ts';
import { compareHealth, takeBaseline } from './health.ts';
import { install } from './install.ts';
import { keepAgain } from './keep-again.ts';
import { keep } from './keep.ts';
import { prepare } from './prepare.ts';
import { reboot } from './reboot.ts';
import { putBack } from './rollback.ts';
import { tryAgain } from './try-again.ts';
import { isInstallTask, isRollbackTask, type InstallTask, type RollbackTask, type Task } from './task.ts';

/** Carries one task through its steps, from wherever its journal says it stands. */

/** `waiting`: for its window, the server, a restart or a reboot; to be run again when something may have changed. */
type Progress = 'ended' | 'waiting';

/**
 * Works on a task until it has ended or waits. Never throws for reasons of the task; throws when the agent is ending, and then
 * the journal tells the next agent where to go on.
 */
export async function runTask(task: Task, context: TaskContext): Promise<Progress> {
  const executor = context.createExecutor(task);
  try {
    if (isInstallTask(task)) return await runInstall(task, executor, context);
    if (isRollbackTask(task)) return await runRollback(task, executor, context);
    throw new Error('there is no such kind of task');
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

async function runInstall(task: InstallTask, executor: Executor, context: TaskContext): Promise<Progress> {
  try {
    if ((await change(task, executor, context)) === 'waiting') return 'waiting';
  } catch (error) {
    const isEnd = error instanceof TaskFailed || error instanceof TaskDropped;
    if (!isEnd || !hasBegunActions(task)) throw error;
    const { results } = await undoActions(task, context);
    if (error instanceof TaskDropped || results.length === 0) throw error;
    const actions = [...(error.detail.actions ?? []), ...results];
    throw new TaskFailed(error.failure, error.message, { ...error.detail, actions });
  }
  await runActions('after', task, context);
  return await finish(task, executor, context);
}

/** Up to having everything changed that the order asks for. */
async function change(
  task: InstallTask,
  executor: Executor,
  context: TaskContext,
): Promise<'changed' | 'waiting'> {
  const { packages, mitigations } = task.order;
  if (packages.length > 0 && !task.isDone('install')) {
    if (task.attempts('install') === 0) {
      if ((await prepare(task, executor, context)) === 'waiting') return 'waiting';
      await keep(task, executor, context);
      if ((await begin(task, executor, context)) === 'waiting') return 'waiting';
    }
    await install(task, executor, context);
  }
  if (mitigations !== undefined && !task.isDone('mitigate')) {
    if (packages.length === 0 && task.attempts('mitigate') === 0) {
      if ((await begin(task, executor, context)) === 'waiting') return 'waiting';
    }
    await mitigate(task, mitigations, context);
  }
  return 'changed';
}

/** The last question, and what comes right before the change. */
async function begin(
  task: InstallTask,
  executor: Executor,
  context: TaskContext,
): Promise<'begun' | 'waiting'> {
  if ((await mayBegin(task, context)) === 'waiting') {
    if (!hasBegunActions(task)) return 'waiting';
    throw new TaskFailed(
      'action_failed',
      'The agent was interrupted between the actions before the installation and the installation, and by now it may not begin any more. Nothing was installed.',
    );
  }
  if (!hasBegunActions(task)) {
    await tryAgain(task, executor, context);
    await keepAgain(task, executor, context);
  }
  await takeBaseline(task, context);
  await runActions('before', task, context);
  if (hasBegunActions(task) && !stillOpen(task, context)) {
    throw new TaskFailed(
      'action_failed',
      'When the actions before the installation had ended, the time in which it may begin was over. Nothing was installed.',
    );
  }
  return 'begun';
}

async function runRollback(task: RollbackTask, executor: Executor, context: TaskContext): Promise<Progress> {
  if (!task.isDone('put_back')) {
    await takeBaseline(task, context);
    if ((await putBack(task, executor, context)) === 'waiting') return 'waiting';
  }
  return await finish(task, executor, context);
}

/** What follows a change of packages, whatever it was. */
async function finish(task: Task, executor: Executor, context: TaskContext): Promise<Progress> {
  executor.cleanUp();
  if (!task.isDone('report')) await report(task, context);
  if (!task.isDone('restart')) {
    if ((await restart(task, context)) === 'waiting') return 'waiting';
  }
  if (!task.isDone('health')) await compareHealth(task, context);
  const state = task.state();
  if (state === 'rebooting') {
    if ((await reboot(task, context)) === 'waiting') return 'waiting';
  } else if (state === 'restart_pending' || state === 'reboot_pending') {
    if (isStillPending(task, await context.collector.collect())) {
      if (state === 'restart_pending' || (await reboot(task, context)) === 'waiting') return 'waiting';
    }
  }
  if (state === 'rebooting' || state === 'reboot_pending') await compareHealth(task, context);
  await verify(task, context);
  return 'ended';
}

/**
 * Notes that a task met an error of the agent itself, so that it does not meet it for ever. What actions before it have stopped is
 * started again, and what it had downloaded does not stay.
 */
export async function failTask(task: Task, error: unknown, context: TaskContext): Promise<void> {
  let actions: EventDetail['actions'];
  try {
    if (isInstallTask(task) && hasBegunActions(task)) {
      actions = [...(await undoActions(task, context)).results];
    }
  } catch (undoError) {
    context.log('error', 'actions after the installation could not be run', {
      task_id: task.order.task_id,
      reason: messageOf(undoError),
    });
  }
  task.note('ended', 'done', {
    event: {
      state: 'failed',
      failure: 'agent_error',
      message: messageOf(error).slice(0, 2_000),
      ...(actions === undefined ? {} : { detail: { actions } }),
    },
  });
  try {
    context.createExecutor(task).cleanUp();
  } catch (cleanUpError) {
    context.log('warn', 'what a task had downloaded could not be taken away', {
      task_id: task.order.task_id,
      reason: messageOf(cleanUpError),
    });
  }
}
