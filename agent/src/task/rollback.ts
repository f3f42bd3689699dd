import { existsSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { collectUnits } from '../collect/units.ts';
import type { Executor, OrderedChanges } from '../execute/executor.ts';
import { keyOf } from '../execute/keeping.ts';
import type { DetachedResult } from '../execute/detached.ts';
import { startFailedUnit } from '../execute/units.ts';
import { messageOf } from '../failure.ts';
import { readBootId } from '../process.ts';
import {
  attemptsMaximum,
  detached,
  detailOf,
  hasBegun,
  noDistributionPoint,
  judgeOnHost,
} from './command.ts';
import { TaskFailed, type EventDetail, type TaskContext } from './context.ts';
import { repair } from './repair.ts';
import { isAsKept, putFileBack, saveBeside } from './kept-files.ts';
import { lookBack } from './look-back.ts';
import { isWhole, keptDirOf, readManifest, type KeptManifest } from './kept.ts';
import { putBackSnapshot } from './rollback-snapshot.ts';
import type { RollbackTask } from './task.ts';

/**
 * Puts back what an earlier generation of the same task kept: the packages from the kept files only, with the real package
 * manager; and the configuration files, before it (so that scripts of the earlier version meet the earlier configuration)
 * and once more after it. What is on the host decides what is still to do.
 */

/**
 * Up to having every version and configuration file as it was; throws TaskFailed otherwise. `waiting`: for the boot that
 * completes it.
 */
export async function putBack(
  task: RollbackTask,
  executor: Executor,
  context: TaskContext,
): Promise<'done' | 'waiting'> {
  const dir = keptDirOf(context.stateDir, task.order);
  const manifest = readManifest(dir);
  if (manifest === null) {
    throw new TaskFailed('rollback_failed', 'What this host kept before the task is not there any more.');
  }
  const changes = changesBack(task, manifest);
  executor.prepare(noDistributionPoint, null);
  if (task.attempts('put_back') === 0) {
    await refuse(task, executor, manifest, changes, dir);
    task.note('put_back', 'begin', {
      event: { state: 'rolling_back', message: 'What was there before the task is put back.' },
      data: { boot_id: readBootId() },
    });
    context.wake();
    context.stopAt.pass('put_back');
  }
  if (manifest.snapshot !== undefined) {
    return await putBackSnapshot(task, manifest.snapshot, changes, executor, context);
  }
  if (!hasBegun(task, 'roll_back', 1)) await saveChanged(executor, manifest);
  const files = manifest.files.map((file) => file.path);
  putFilesBack(manifest, dir);
  const result = await putPackagesBack(task, executor, context, changes);
  const failed = putFilesBack(manifest, dir);
  takeLeftoversAway(executor, manifest);
  await restoreMarks(executor, manifest, context, task);
  const look = await lookBack(executor, changes);
  const detail: EventDetail = {
    ...detailOf(result, null),
    ...(task.order.units === 'restart' ? await startWhatFailed(executor, changes, context) : {}),
    versions: look.versions,
    put_back: {
      files: files.filter((path) => !failed.has(path)).slice(0, 2_000),
      files_failed: [...failed.keys()].slice(0, 2_000),
    },
  };
  context.stopAt.pass('put_back:done');
  const [first] = failed;
  if (first !== undefined) {
    throw new TaskFailed(
      'rollback_failed',
      `The packages are as before, but ${String(failed.size)} configuration files are not: ${first[0]}: ${first[1]}.`,
      detail,
    );
  }
  task.note('put_back', 'done', {
    event: { state: 'rolling_back', message: 'Every version and configuration file is as before.', detail },
    data: { ...detail },
  });
  context.wake();
  return 'done';
}

/**
 * Services of these packages that have failed with the version that is gone: nothing of theirs runs, so that no later step would
 * take them for running old code, and not every package starts its own again.
 */
async function startWhatFailed(
  executor: Executor,
  { packages }: OrderedChanges,
  context: TaskContext,
): Promise<Pick<EventDetail, 'restarted_units' | 'not_restarted_units'>> {
  const failed = (await collectUnits()).filter((unit) => unit.state === 'failed').map((unit) => unit.name);
  if (failed.length === 0) return {};
  const own = new Set(
    (await executor.installedFiles(packages)).flatMap((p) => p.files.map((file) => basename(file))),
  );
  const restarted: string[] = [];
  const not: { name: string; reason: string }[] = [];
  for (const unit of failed.filter((name) => own.has(name))) {
    context.log('info', 'starting what failed with the later version', { unit });
    const started = await startFailedUnit(unit);
    if (started.ok) restarted.push(unit);
    else not.push({ name: unit, reason: started.message });
  }
  return { restarted_units: restarted, not_restarted_units: not };
}

/** What is to be changed so that all is as before. */
function changesBack(task: RollbackTask, manifest: KeptManifest): OrderedChanges {
  const kept = new Set(manifest.packages.map(keyOf));
  return {
    packages: task.order.packages.filter((p) => kept.has(keyOf(p))),
    added: manifest.added,
    removed: manifest.removed.filter((p) => kept.has(keyOf(p))),
  };
}

/** Throws TaskFailed, before anything is changed, when it cannot be put back or more would have to change than came by the task. */
async function refuse(
  task: RollbackTask,
  executor: Executor,
  manifest: KeptManifest,
  changes: OrderedChanges,
  dir: string,
): Promise<void> {
  const fail = (message: string): never => {
    throw new TaskFailed('rollback_failed', `${message} Nothing was changed.`);
  };
  const { versions } = await executor.state();
  for (const p of changes.packages) {
    const version = versions.get(keyOf(p));
    // What somebody has done since is not undone with it.
    if (version !== undefined && version !== p.from && version !== p.to) {
      fail(`${p.name} is at ${version}, which the task did not install.`);
    }
  }
  if (task.order.method !== manifest.method) fail(`Kept were ${manifest.method}, not ${task.order.method}.`);
  if (manifest.method === 'snapshot') return;
  if (executor.keeping === undefined) fail(`${executor.manager} cannot put packages back here.`);
  for (const { name, version, file } of manifest.packages) {
    if (file === null || !isWhole(dir, file)) fail(`What was kept of ${name} ${version} is damaged.`);
  }
  if ((await lookBack(executor, changes)).wrong.length === 0) return;
  const tried = (await executor.keeping?.tryRollBack(changes)) ?? { ok: true };
  if (!tried.ok) fail(tried.message);
}

/** The package manager runs detached, so that an attempt which a crash interrupted is found, not run again. */
async function putPackagesBack(
  task: RollbackTask,
  executor: Executor,
  context: TaskContext,
  changes: OrderedChanges,
): Promise<DetachedResult | null> {
  for (;;) {
    const before = await lookBack(executor, changes);
    const attempt = task.attempts('put_back');
    const result =
      before.wrong.length === 0 && !hasBegun(task, 'roll_back', attempt)
        ? null
        : await detached(task, 'put_back', 'roll_back', attempt, executor, context, changes);
    const ended = result === null || (result.kind === 'exited' && result.exitCode === 0);
    const look = await lookBack(executor, changes);
    if (look.wrong.length === 0) {
      // What it stopped in the middle of may be another package: one that waits for a trigger.
      if (!ended && (await executor.state()).unfinished.size > 0) await repair(task, executor, context);
      return result;
    }
    // What came by the task may be what cannot be configured: the package manager is brought to rest only where that is in
    // the way, and then it is tried once more.
    if (result?.kind !== 'timed_out' && !ended && attempt < attemptsMaximum) {
      if (result.kind === 'exited') await repair(task, executor, context);
      task.note('put_back', 'begin', { data: { attempt: attempt + 1, boot_id: readBootId() } });
      context.stopAt.pass('put_back');
      continue;
    }
    throw new TaskFailed(
      'rollback_failed',
      `${reasonOf(result, executor, task, changes)} Now ${look.wrong.slice(0, 5).join('; ')}.`,
      { ...detailOf(result, null), versions: look.versions },
    );
  }
}

function reasonOf(
  result: DetachedResult | null,
  executor: Executor,
  task: RollbackTask,
  changes: OrderedChanges,
): string {
  if (result?.kind === 'timed_out') {
    return `Putting back took longer than ${String(task.order.install_timeout_seconds)} s and was ended.`;
  }
  if (result?.kind === 'exited') {
    const judged = judgeOnHost(executor, 'roll_back', result, changes);
    return judged.ok
      ? 'The package manager reported success without putting the earlier versions back.'
      : judged.message;
  }
  return `Putting back was interrupted ${String(attemptsMaximum)} times.`;
}

/** What somebody has written since the task, and neither was there before nor came with the packages, is kept beside. */
async function saveChanged(executor: Executor, manifest: KeptManifest): Promise<void> {
  const changed = manifest.files.filter((file) => !isAsKept(file)).map((file) => file.path);
  if (changed.length === 0) return;
  const packages = [...manifest.packages, ...manifest.added];
  const pristine = (await executor.keeping?.pristine(packages, changed)) ?? new Set<string>();
  for (const path of changed) if (!pristine.has(path)) saveBeside(path);
}

/** Path → why it could not be made what it was. */
function putFilesBack(manifest: KeptManifest, dir: string): Map<string, string> {
  const failed = new Map<string, string>();
  for (const file of manifest.files) {
    try {
      putFileBack(file, join(dir, 'files'));
    } catch (error) {
      failed.set(file.path, messageOf(error));
    }
  }
  return failed;
}

/** What the package manager wrote beside configuration files, there and back. */
function takeLeftoversAway(executor: Executor, manifest: KeptManifest): void {
  const before = new Set(manifest.leftovers);
  for (const { path } of manifest.files) {
    for (const suffix of executor.keeping?.leftoverSuffixes ?? []) {
      const leftover = `${path}${suffix}`;
      if (!before.has(leftover) && existsSync(leftover)) rmSync(leftover, { force: true });
    }
  }
}

/** A package that is named when it is installed is taken for one that somebody wants. */
async function restoreMarks(
  executor: Executor,
  manifest: KeptManifest,
  context: TaskContext,
  task: RollbackTask,
): Promise<void> {
  try {
    await executor.markAutomatic(manifest.automatic);
    const held = new Set(await executor.keeping?.held());
    await executor.keeping?.hold(manifest.held.filter((name) => !held.has(name)));
  } catch (error) {
    context.log('warn', messageOf(error), { task_id: task.order.task_id });
  }
}
