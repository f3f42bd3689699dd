import { reportableOutput } from '../execute/apt-output.ts';
import type { Executor } from '../execute/executor.ts';
import { runCommand } from '../run-command.ts';
import { changesOf, judgeOnHost, noDistributionPoint, preparationSeconds } from './command.ts';
import { TaskFailed, type TaskContext } from './context.ts';
import { lookAt } from './look.ts';
import type { InstallTask } from './task.ts';

const lockRounds = 12;
const lockSeconds = 5;

/**
 * Between the downloads and the window, hours may have passed in which somebody else changed packages of the host: what was tried
 * then says nothing about what would be removed now. Changes nothing, so that it may be done again after a crash. Throws TaskFailed
 * when more than the order, or less, would be done.
 */
export async function tryAgain(task: InstallTask, executor: Executor, context: TaskContext): Promise<void> {
  const hasWaited = task.entries().some((e) => e.step === 'window');
  if (!hasWaited || !task.isDone('simulate')) return;
  if ((await lookAt(task.order, executor)).wrong.length === 0) return;
  executor.prepare((await context.distributionPointNow(task)) ?? noDistributionPoint, null);
  const changes = changesOf(task);
  const { argv, env } = executor.command('simulate', changes);
  for (let round = 1; ; round++) {
    const answer = await runCommand(argv, { timeoutSeconds: preparationSeconds, env });
    const output = `${answer.stdout}\n${answer.stderr}`;
    const exitCode = answer.ok ? 0 : (answer.exitCode ?? 255);
    const judged = judgeOnHost(executor, 'simulate', { kind: 'exited', exitCode, output }, changes);
    if (judged.ok) return;
    // Somebody else is at work: the installation itself would wait for a minute, too.
    if (judged.failure === 'lock_held' && round < lockRounds) {
      await context.pause(lockSeconds);
      continue;
    }
    throw new TaskFailed(
      judged.failure,
      `Tried once more after the task had waited: ${judged.message} Nothing was installed.`,
      { output: reportableOutput(output, []), exit_code: exitCode },
    );
  }
}
