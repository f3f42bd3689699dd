import { join } from 'node:path';
import type { TaskFailure } from '@fixpoint/core/task/states.ts';
import { reportableOutput } from '../execute/apt-output.ts';
import { hasRun, runDetached, type DetachedResult } from '../execute/detached.ts';
import { explainOnHost, thisHost } from '../execute/host-facts.ts';
import type {
  DistributionPoint,
  Executor,
  ExecutorStep,
  Judgement,
  OrderedChanges,
} from '../execute/executor.ts';
import type { EventDetail, TaskContext } from './context.ts';
import type { JournalStep } from './journal.ts';
import type { Task } from './task.ts';

/** Commands of the package manager as steps of a task: detached, and found again after a crash. */

export const attemptsMaximum = 3;
export const preparationSeconds = 900;

/** Stands in when the server cannot be reached: what has begun needs no network. */
export const noDistributionPoint: DistributionPoint = {
  url: 'http://127.0.0.1:9',
  user: 'none',
  password: 'none',
};

/** What an order asks of the package manager. */
export function changesOf(task: Task): OrderedChanges {
  const { order } = task;
  if (order.action === 'roll_back') return { packages: order.packages, added: [], removed: [] };
  return { packages: order.packages, added: order.added ?? [], removed: order.removed ?? [] };
}

function runName(command: string, attempt: number): string {
  return `${command}-${String(attempt)}`;
}

/** Whether that attempt at a command was ever begun. */
export function hasBegun(task: Task, command: ExecutorStep, attempt: number): boolean {
  return hasRun(join(task.dir, 'runs'), runName(command, attempt));
}

/** Runs a command of the package manager, or finds its earlier run of the same attempt. */
export function detached(
  task: Task,
  step: JournalStep,
  command: ExecutorStep,
  attempt: number,
  executor: Executor,
  context: TaskContext,
  changes: OrderedChanges,
  secondsMaximum = Number.POSITIVE_INFINITY,
): Promise<DetachedResult> {
  const { order } = task;
  const timeoutSeconds =
    step === 'install' || step === 'put_back'
      ? order.install_timeout_seconds
      : step === 'repair'
        ? Math.min(order.install_timeout_seconds, 600)
        : preparationSeconds;
  return runDetached(
    join(task.dir, 'runs'),
    runName(command, attempt),
    { ...executor.command(command, changes), timeoutSeconds: Math.min(timeoutSeconds, secondsMaximum) },
    context.clock,
    () => {
      context.stopAt.pass(`${step}:running`);
    },
  );
}

/** What the executor says of a command's end, with what this host adds: who holds the lock, which file system is full. */
export function judgeOnHost(
  executor: Executor,
  step: ExecutorStep,
  result: Extract<DetachedResult, { kind: 'exited' }>,
  changes: OrderedChanges,
): Judgement {
  const judged = executor.judge(step, result.exitCode, result.output, changes);
  if (judged.ok) return judged;
  const facts = explainOnHost(judged.failure, result.output, thisHost);
  return facts === null ? judged : { ...judged, message: `${judged.message} ${facts}` };
}

/** How a command ended, as it may leave the host. */
export function detailOf(result: DetachedResult | null, dp: DistributionPoint | null): EventDetail {
  if (result === null) return {};
  return {
    output: reportableOutput(
      result.output,
      dp === null ? [] : [dp.password, encodeURIComponent(dp.password)],
    ),
    ...(result.kind === 'exited' ? { exit_code: result.exitCode } : {}),
  };
}

/** What is the network's doing, where the server was out of reach meanwhile. */
export const networkFailures: ReadonlySet<TaskFailure> = new Set<TaskFailure>([
  'repository_unreachable',
  'download_failed',
]);

/** How often a step was begun again because the server had been out of reach: as often as need be, unlike what is lost. */
export function outages(task: Task, step: JournalStep): number {
  return task.entries().filter((e) => e.step === step && e.data?.['after_outage'] === true).length;
}
