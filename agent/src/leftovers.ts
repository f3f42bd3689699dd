import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Executor } from './execute/executor.ts';
import { messageOf } from './failure.ts';
import type { Log } from './log.ts';
import { simulationsDir } from './simulate.ts';
import type { Task, TaskList } from './task/task.ts';

export interface LeftoverParts {
  readonly log: Log;
  readonly tasks: Pick<TaskList, 'all'>;
  readonly taskParts: { readonly stateDir: string; createExecutor(task: Task): Pick<Executor, 'cleanUp'> };
  executorAt(dir: string, name: string): Pick<Executor, 'cleanUp'>;
}

/**
 * What an agent that was killed could not take away: downloads and credentials of tasks that have ended, and of simulations. At
 * the start, before anything else is begun.
 */
export function takeLeftoversAway(parts: LeftoverParts): void {
  const { log, tasks, taskParts } = parts;
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      log('warn', 'what an earlier agent left could not be taken away', { reason: messageOf(error) });
    }
  };
  for (const task of tasks.all()) {
    if (!task.hasEnded()) continue;
    attempt(() => {
      taskParts.createExecutor(task).cleanUp();
    });
  }
  const root = simulationsDir(taskParts.stateDir);
  for (const id of existsSync(root) ? readdirSync(root) : []) {
    attempt(() => {
      parts.executorAt(join(root, id), `simulation-${id}`).cleanUp();
      rmSync(join(root, id), { recursive: true, force: true });
    });
  }
}
