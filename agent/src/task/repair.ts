import type { DetachedResult } from '../execute/detached.ts';
import type { Executor } from '../execute/executor.ts';
import { attemptsMaximum, changesOf, detached } from './command.ts';
import type { TaskContext } from './context.ts';
import type { Task } from './task.ts';

/** What a package manager that was cut off has left. */

/** Somebody, or a machine out of memory, ended it or what it had started by a signal: nothing speaks against another attempt. */
export function wasInterrupted(result: DetachedResult): boolean {
  if (result.kind !== 'exited') return result.kind === 'lost';
  // A shell tells of a signal by 128 and its number; apt by one of these words.
  return (
    result.exitCode > 128 ||
    /Sub-process \S+ (?:received signal \d+|exited unexpectedly)/u.test(result.output)
  );
}

/**
 * Brings the package manager to rest; tells whether it is. What fails by itself needs a person and is not tried twice; a repair
 * that was cut off too is.
 */
export async function repair(task: Task, executor: Executor, context: TaskContext): Promise<boolean> {
  const changes = changesOf(task);
  for (;;) {
    if (!task.isOpen('repair')) {
      task.note('repair', 'begin');
      context.stopAt.pass('repair');
    }
    const attempt = task.attempts('repair');
    const configured = await detached(task, 'repair', 'configure', attempt, executor, context, changes);
    let interrupted = wasInterrupted(configured);
    if ((await executor.state()).unfinished.size > 0) {
      const completed = await detached(task, 'repair', 'complete', attempt, executor, context, changes);
      interrupted ||= wasInterrupted(completed);
    }
    context.stopAt.pass('repair:done');
    const unfinished = [...(await executor.state()).unfinished];
    task.note('repair', 'done', { data: { unfinished: unfinished.slice(0, 50) } });
    if (!interrupted || attempt % attemptsMaximum === 0) return unfinished.length === 0;
  }
}
