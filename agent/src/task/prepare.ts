import { taskFailures, type ReportedTaskState } from '@fixpoint/core/task/states.ts';
import { avoidedBy, blame, blameMessage } from '../distribution.ts';
import type { Executor, Judgement } from '../execute/executor.ts';
import { mayBegin, notYet } from './begin.ts';
import {
  attemptsMaximum,
  changesOf,
  detached,
  detailOf,
  preparationSeconds,
  judgeOnHost,
  networkFailures,
  outages,
} from './command.ts';
import { TaskDropped, TaskFailed, type EventDetail, type TaskContext } from './context.ts';
import { lookAt } from './look.ts';
import { repair, wasInterrupted } from './repair.ts';
import type { InstallTask, Task } from './task.ts';
import { standingOf } from './window.ts';

/** The steps of a task that change no package: reading the repositories, trying the installation, downloading. */

type Going = 'on' | 'waiting';

/**
 * Up to having every package that is still to be installed on the host. `waiting`: it is not yet time to download. Throws
 * TaskFailed when it cannot be done, TaskDropped when the server gave it up.
 */
export async function prepare(
  task: InstallTask,
  executor: Executor,
  context: TaskContext,
): Promise<'staged' | 'waiting'> {
  if (task.isDone('download')) return 'staged';
  if ((await lookAt(task.order, executor)).wrong.length === 0) return 'staged';
  giveUpIfCancelled(task, context);
  const now = context.clock.now();
  if (stagingSeconds(task, now) <= 0) {
    const { opensAt } = whenToStage(task, now);
    return notYet(
      task,
      opensAt === null
        ? 'No window of this order is left; the task waits for the server.'
        : `Downloads begin at ${new Date(opensAt).toISOString()}.`,
      opensAt,
      context,
      'download',
    );
  }
  // Said when it had waited for that: one that waits to repair what it found would say it with each check-in.
  const waitedFor = task.entries().findLast((e) => e.step === 'window')?.data?.['waits_for'];
  if (task.state() === 'waiting_for_window' && waitedFor === 'download') {
    task.note('window', 'done', { event: { state: 'downloading', message: 'It is time to download.' } });
    context.wake();
  }
  if ((await refresh(task, executor, context)) === 'waiting') return 'waiting';
  if ((await prepareStep('simulate', task, executor, context)) === 'waiting') return 'waiting';
  if ((await prepareStep('download', task, executor, context)) === 'waiting') return 'waiting';
  giveUpIfCancelled(task, context);
  return 'staged';
}

function whenToStage({ order }: InstallTask, now: number): { seconds: number; opensAt: number | null } {
  const from = order.stage_from === undefined ? null : Date.parse(order.stage_from);
  const expires = Date.parse(order.expires_at);
  if (order.windows === undefined || (from !== null && from <= now)) {
    return { seconds: (expires - now) / 1000, opensAt: null };
  }
  const standing = standingOf(order, 0, now);
  if (standing.kind === 'open') return { seconds: (standing.closesAt - now) / 1000, opensAt: null };
  const times = [from, standing.opensAt].filter((one) => one !== null);
  return { seconds: 0, opensAt: times.length === 0 ? null : Math.min(...times) };
}

/** For how long packages may be downloaded from now on; 0 when not now. */
function stagingSeconds(task: InstallTask, now: number): number {
  return Math.max(0, whenToStage(task, now).seconds);
}

/** A failed refresh is not the end: what was known before may be enough. The next step tells, and names this reason. */
async function refresh(task: InstallTask, executor: Executor, context: TaskContext): Promise<Going> {
  if (task.isDone('refresh')) return 'on';
  const judged = await stepOnce('refresh', task, executor, context, { state: 'downloading' });
  if (judged === 'window_closed') return 'waiting';
  task.note('refresh', 'done', {
    data: judged.ok ? { ok: true } : { ok: false, failure: judged.failure, message: judged.message },
  });
  return 'on';
}

async function prepareStep(
  step: 'simulate' | 'download',
  task: InstallTask,
  executor: Executor,
  context: TaskContext,
): Promise<Going> {
  if (task.isDone(step)) return 'on';
  giveUpIfCancelled(task, context);
  let judged = await stepOnce(step, task, executor, context);
  if (judged !== 'window_closed' && !judged.ok && judged.failure === 'package_manager_broken') {
    // Something was cut off before this task. To put that right changes the host, so it waits for the same leave as a change.
    if (!task.isDone('repair')) {
      if ((await mayBegin(task, context)) === 'waiting') return 'waiting';
      await repair(task, executor, context);
      task.note(step, 'begin', { data: { attempt: task.attempts(step) + 1, after_outage: true } });
      judged = await stepOnce(step, task, executor, context);
    }
  }
  if (judged === 'window_closed') return 'waiting';
  if (!judged.ok) {
    // A version that is not known because the repositories could not be read is their failure.
    const refreshed = task.entries().findLast((e) => e.step === 'refresh' && e.phase === 'done')?.data;
    const cause = taskFailures.find((failure) => failure === refreshed?.['failure']);
    if (cause === undefined || judged.failure !== 'version_not_available') {
      throw new TaskFailed(judged.failure, judged.message, judged.detail);
    }
    throw new TaskFailed(
      cause,
      `${judged.message} Before that: ${String(refreshed?.['message'])}`,
      judged.detail,
    );
  }
  if (step === 'simulate') task.note(step, 'done');
  else {
    task.note(step, 'done', {
      event: { state: 'staged', detail: { downloaded_bytes: executor.downloadedBytes() } },
    });
    context.wake();
  }
  return 'on';
}

type StepJudgement =
  | { readonly ok: true }
  | (Extract<Judgement, { ok: false }> & { readonly detail: EventDetail });

/** One step that changes no package: begun again when it was lost. */
async function stepOnce(
  step: 'refresh' | 'simulate' | 'download',
  task: InstallTask,
  executor: Executor,
  context: TaskContext,
  event?: { readonly state: ReportedTaskState },
): Promise<StepJudgement | 'window_closed'> {
  for (;;) {
    if (!task.isOpen(step)) {
      const first = task.attempts(step) === 0;
      task.note(step, 'begin', first && event !== undefined ? { event: { ...event } } : {});
      context.wake();
      context.stopAt.pass(step);
    }
    const secondsToGo = stagingSeconds(task, context.clock.now());
    // With fresh credentials, unless it runs already.
    const dp = await context.distributionPoint(task);
    executor.prepare(dp, task.order.bandwidth_bytes_per_second ?? null);
    const attempt = task.attempts(step);
    const since = context.clock.elapsedSeconds();
    const result = await detached(task, step, step, attempt, executor, context, changesOf(task), secondsToGo);
    if (wasInterrupted(result) && attempt - outages(task, step) < attemptsMaximum) {
      task.note(step, 'begin', { data: { attempt: attempt + 1 } });
      continue;
    }
    context.stopAt.pass(`${step}:done`);
    const detail = detailOf(result, dp);
    if (result.kind === 'timed_out' && secondsToGo < preparationSeconds) {
      task.note(step, 'begin', { data: { attempt: attempt + 1, after_outage: true } });
      return 'window_closed';
    }
    if (result.kind === 'lost') {
      return {
        ok: false,
        failure: 'agent_error',
        message: `${step} was interrupted again and again`,
        detail,
      };
    }
    const judged: Judgement =
      result.kind === 'timed_out'
        ? {
            ok: false,
            failure: 'timeout',
            message: `${step} took longer than ${String(preparationSeconds)} s`,
          }
        : judgeOnHost(executor, step, result, changesOf(task));
    if (judged.ok) return judged;
    // Another point is tried once (a simulation loads nothing); what came through none of them is a failure of the task.
    const told = step === 'simulate' ? null : blame(dp, judged.failure, result.output);
    if (told !== null && !avoidedBy(task.entries()).has(told.point)) {
      giveUpIfCancelled(task, context);
      const message = blameMessage(told);
      context.log('warn', message, { task_id: task.order.task_id, files: told.files });
      task.note(step, 'begin', {
        event: { state: 'downloading', message, detail: { ...detail, distribution: told } },
        data: { attempt: attempt + 1, after_outage: true },
      });
      context.wake();
      context.stopAt.pass(step);
      continue;
    }
    // Packages come by way of the server: while that is out of reach, the host is silent and its task has not failed.
    if (networkFailures.has(judged.failure) && (await context.serverWasOut(since))) {
      giveUpIfCancelled(task, context);
      task.note(step, 'begin', { data: { attempt: attempt + 1, after_outage: true } });
      continue;
    }
    return { ...judged, detail };
  }
}

function giveUpIfCancelled(task: Task, context: TaskContext): void {
  if (context.isCancelled(task)) throw new TaskDropped();
}
