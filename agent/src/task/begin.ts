import { refusalByPolicy } from '@fixpoint/core/host-policy/evaluate.ts';
import { mayPatchNow } from '../policy.ts';
import { TaskDropped, TaskFailed, type TaskContext } from './context.ts';
import type { InstallTask } from './task.ts';
import { standingOf } from './window.ts';

/** Whether a task may begin to change the host, asked right before it does. */

/** By more than this, the clocks of host and server are not the same. */
const skewSecondsMaximum = 300;
const answerSeconds = 15;

/**
 * `yes`, or `waiting`: the window is not open, the server holds the task back, or cannot be asked. Throws TaskDropped when the
 * server gave it up, TaskFailed when it must not be begun any more.
 */
export async function mayBegin(task: InstallTask, context: TaskContext): Promise<'yes' | 'waiting'> {
  const { order } = task;
  if (context.isCancelled(task)) throw new TaskDropped();
  obeyPolicy(task, context);
  const answer = await context.askedServer(task, answerSeconds);
  if (context.isCancelled(task)) throw new TaskDropped();
  // A pause or a freeze of the last minute counts: who cannot be asked does not begin.
  if (answer === null)
    return notYet(task, 'The server cannot be asked whether this may begin.', null, context);
  if (Math.abs(answer.clockSkewSeconds) > skewSecondsMaximum) {
    throw new TaskFailed(
      'clock_skew',
      `The clock of the host is ${String(Math.round(Math.abs(answer.clockSkewSeconds)))} s ${answer.clockSkewSeconds > 0 ? 'behind' : 'ahead of'} the server's. Nothing was installed.`,
    );
  }
  const now = context.clock.now();
  if (now >= Date.parse(order.expires_at)) {
    throw new TaskFailed(
      'order_refused',
      `The order expired at ${order.expires_at}, before the installation began.`,
    );
  }
  if (answer.held) return notYet(task, 'The server holds the deployment back for now.', null, context);
  const standing = standingOf(order, order.minimum_remaining_seconds ?? 0, now);
  if (standing.kind === 'open') {
    const wait = mayPatchNow(context.policy(), now);
    return wait === null ? 'yes' : notYet(task, wait.message, wait.opensAt, context);
  }
  return notYet(
    task,
    standing.opensAt === null
      ? 'No window of this order is left; the task waits for the server.'
      : `The window opens at ${new Date(standing.opensAt).toISOString()}.`,
    standing.opensAt,
    context,
  );
}

/** It was asked when the order came, too; the owner may have changed it since. */
function obeyPolicy({ order }: InstallTask, context: TaskContext): void {
  const refusal = refusalByPolicy(context.policy().policy, order);
  if (refusal !== null) throw new TaskFailed('host_policy', `${refusal} Nothing was installed.`);
}

/** Says once for each reason why nothing happens. */
export function notYet(
  task: InstallTask,
  message: string,
  opensAt: number | null,
  context: TaskContext,
  waitsFor: 'download' | 'change' = 'change',
): 'waiting' {
  const last = task.entries().findLast((e) => e.step === 'window');
  if (last?.event?.message === message && task.state() === 'waiting_for_window') return 'waiting';
  task.note('window', 'begin', {
    event: {
      state: 'waiting_for_window',
      message,
      ...(opensAt === null ? {} : { detail: { waits_until: new Date(opensAt).toISOString() } }),
    },
    data: { waits_for: waitsFor },
  });
  context.wake();
  return 'waiting';
}

/** Actions before may have taken hours: what they were to prepare is not begun when its time is over by then. */
export function stillOpen({ order }: InstallTask, context: TaskContext): boolean {
  const now = context.clock.now();
  return standingOf(order, 0, now).kind === 'open' && mayPatchNow(context.policy(), now) === null;
}
