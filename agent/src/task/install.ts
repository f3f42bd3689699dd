import type { InstallOrder } from '@fixpoint/contract/order.ts';
import type { TaskFailure } from '@fixpoint/core/task/states.ts';
import type { DetachedResult } from '../execute/detached.ts';
import type { Executor } from '../execute/executor.ts';
import { messageOf } from '../failure.ts';
import type { TouchedPackage, TouchedPackages } from '../file-residue.ts';
import type { Log } from '../log.ts';
import { readBootId } from '../process.ts';
import {
  attemptsMaximum,
  changesOf,
  detached,
  detailOf,
  hasBegun,
  noDistributionPoint,
  judgeOnHost,
} from './command.ts';
import { TaskDropped, TaskFailed, type TaskContext } from './context.ts';
import { lookAt } from './look.ts';
import { repair, wasInterrupted } from './repair.ts';
import type { InstallTask, Task } from './task.ts';

/**
 * The step of a task that changes packages. The package manager runs detached, so a step that a crash interrupted is
 * found, not run again; what is on the host decides what is still to do, not what was asked.
 */

/** Up to having every ordered package at its version and configured; throws TaskFailed otherwise. */
export async function install(task: InstallTask, executor: Executor, context: TaskContext): Promise<void> {
  const { order } = task;
  let resumed = task.attempts('install') > 0;
  if (!resumed) {
    const look = await lookAt(order, executor);
    if (look.wrong.length > 0) await rememberTouched(order, executor, context.touched);
    // What comes only because another one needs it goes when nobody does.
    const { versions } = await executor.state();
    const automatic = [
      ...(await executor.readAutomatic(order.packages)),
      // Somebody may have installed it meanwhile, and wants it then.
      ...(order.added ?? [])
        .filter((p) => !versions.has(`${p.name}:${p.arch}`))
        .map((p) => executor.markName?.(p) ?? p.name),
    ];
    if (context.isCancelled(task)) throw new TaskDropped();
    task.note('install', 'begin', {
      event: {
        state: 'installing',
        ...(look.wrong.length === 0 ? { message: 'Every package was already at its ordered version.' } : {}),
      },
      data: { automatic, boot_id: readBootId() },
    });
    context.wake();
    context.stopAt.pass('install');
  }
  const dp = await context.distributionPointNow(task);
  executor.prepare(dp ?? noDistributionPoint, null);
  for (;;) {
    const before = await lookAt(order, executor);
    const attempt = task.attempts('install');
    // An attempt that was begun is asked for its end, even when the versions look right: it may still be at work.
    const result =
      before.wrong.length === 0 && !hasBegun(task, 'install', attempt)
        ? null
        : await detached(task, 'install', 'install', attempt, executor, context, changesOf(task));
    const repaired =
      result !== null && (await needsRepair(result, executor))
        ? await repair(task, executor, context)
        : false;
    const after = await lookAt(order, executor);
    if (after.wrong.length === 0) {
      const scripts = repaired ? null : failedScripts(executor, result, task);
      if (scripts !== null) {
        throw new TaskFailed('maintainer_script_failed', scripts, {
          ...detailOf(result, dp),
          versions: after.versions,
        });
      }
      context.stopAt.pass('install:done');
      await restoreMarks(task, executor, context.log);
      const detail = detailOf(result, dp);
      const message = installedMessage(result, repaired, attempt);
      task.note('install', 'done', {
        event: {
          state: 'installed',
          ...(message === null ? {} : { message }),
          detail: {
            ...detail,
            versions: after.versions,
            downloaded_bytes: executor.downloadedBytes(),
            ...(resumed || (result !== null && wasInterrupted(result)) ? { resumed: true } : {}),
          },
        },
      });
      context.wake();
      return;
    }
    const detail = { ...detailOf(result, dp), versions: after.versions };
    if (result !== null && wasInterrupted(result) && attempt < attemptsMaximum) {
      resumed = true;
      task.note('install', 'begin', { data: { attempt: attempt + 1, boot_id: readBootId() } });
      context.stopAt.pass('install');
      continue;
    }
    const judged = judgeInstall(executor, result, task);
    const state = `Now ${after.wrong.slice(0, 5).join('; ')}.`;
    throw new TaskFailed(judged.failure, `${judged.message} ${state}`, detail);
  }
}

/** rpm goes on after scripts that fail: every version is right then, and the package is not as it should be. */
function failedScripts(executor: Executor, result: DetachedResult | null, task: InstallTask): string | null {
  if (result?.kind !== 'exited') return null;
  const judged = judgeOnHost(executor, 'install', result, changesOf(task));
  return !judged.ok && judged.failure === 'maintainer_script_failed' ? judged.message : null;
}

function judgeInstall(
  executor: Executor,
  result: DetachedResult | null,
  task: InstallTask,
): { readonly failure: TaskFailure; readonly message: string } {
  if (result?.kind === 'timed_out') {
    return {
      failure: 'timeout',
      message: `The installation took longer than ${String(task.order.install_timeout_seconds)} s and was ended.`,
    };
  }
  if (result?.kind === 'exited') {
    const judged = judgeOnHost(executor, 'install', result, changesOf(task));
    if (!judged.ok) return judged;
    return {
      failure: 'package_manager_broken',
      message: 'The package manager reported success without installing the ordered versions.',
    };
  }
  return {
    failure: 'package_manager_broken',
    message: `The installation was interrupted ${String(attemptsMaximum)} times.`,
  };
}

/** Ended by itself with success: nothing is half done. Otherwise dpkg may have stopped anywhere. */
async function needsRepair(result: DetachedResult, executor: Executor): Promise<boolean> {
  if (result.kind !== 'exited') return true;
  return result.exitCode !== 0 && (await executor.state()).unfinished.size > 0;
}

function installedMessage(result: DetachedResult | null, repaired: boolean, attempt: number): string | null {
  if (result === null || (result.kind === 'exited' && result.exitCode === 0)) {
    return attempt < 2
      ? null
      : `The installation was interrupted and begun again; attempt ${String(attempt)} succeeded.`;
  }
  if (result.kind === 'exited') {
    return `The package manager exited with ${String(result.exitCode)}${repaired ? ' and was repaired' : ''}; every ordered package is at its version and configured.`;
  }
  return 'The installation was interrupted; the host was repaired, and every ordered package is at its version.';
}

/** Keeps what is needed to tell later whether the old code is really gone. Must come before anything changes. */
async function rememberTouched(
  order: InstallOrder,
  executor: Executor,
  touched: TouchedPackages,
): Promise<void> {
  const installed = new Map(
    (await executor.installedFiles(order.packages)).map((p) => [`${p.name}:${p.arch}`, p]),
  );
  const shipped = new Map<string, ReadonlyMap<string, string>>(
    (await executor.shippedFiles(order.packages)).map((s) => [`${s.name}:${s.arch}`, s.sums]),
  );
  const packages = order.packages.flatMap((p): TouchedPackage[] => {
    const key = `${p.name}:${p.arch}`;
    const now = installed.get(key);
    if (now === undefined || now.version !== p.from) return [];
    return [
      {
        name: p.name,
        arch: p.arch,
        source: now.source,
        from: now.version,
        from_source_version: now.source_version,
        to: p.to,
        files_before: [...now.files],
        sums_before: Object.fromEntries(now.sums),
        sums_shipped: Object.fromEntries(shipped.get(key) ?? []),
      },
    ];
  });
  touched.add(packages);
}

/** apt takes a package that it is told to install for one that somebody wants; what others need is to stay so. */
async function restoreMarks(task: Task, executor: Executor, log: Log): Promise<void> {
  const names = task.entries().find((e) => e.step === 'install' && e.phase === 'begin')?.data?.['automatic'];
  if (!Array.isArray(names)) return;
  try {
    await executor.markAutomatic(names.filter((name) => typeof name === 'string'));
  } catch (error) {
    log('warn', messageOf(error), { task_id: task.order.task_id });
  }
}
