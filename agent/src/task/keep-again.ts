import type { Executor } from '../execute/executor.ts';
import { toIso } from '../clock.ts';
import { forgetSnapshot, takeSnapshot } from '../snapshot.ts';
import { TaskFailed, type TaskContext } from './context.ts';
import { gatherAround, notPackage } from './keep.ts';
import { keptDirOf, readManifest, writeManifest, type KeptManifest } from './kept.ts';
import type { InstallTask } from './task.ts';

/**
 * Packages are kept when they are downloaded, which may be a night before the change: what the owner has written since then, and a
 * snapshot of the whole system above all, must not go back to the evening. So it is looked at once more right before the change.
 * Done again after a crash, as long as nothing has begun. Throws TaskFailed when it must be kept and cannot be.
 */
export async function keepAgain(task: InstallTask, executor: Executor, context: TaskContext): Promise<void> {
  const { order } = task;
  const keptAt = task.entries().findLastIndex((e) => e.step === 'keep' && e.phase === 'done');
  const hasWaited = task.entries().findLastIndex((e) => e.step === 'window') > keptAt;
  if (order.keep === undefined || keptAt < 0 || !hasWaited) return;
  const dir = keptDirOf(context.stateDir, order);
  const manifest = readManifest(dir);
  const fresh = manifest === null ? null : await refreshed(manifest, task, executor, context, dir);
  if (order.keep.required && (fresh === null || fresh.missing.length > 0)) {
    const why = fresh?.missing[0]?.message ?? 'What was kept is not there any more.';
    throw new TaskFailed('nothing_to_roll_back_to', `${why} Nothing was installed.`);
  }
  if (fresh !== null) writeManifest(dir, fresh);
}

async function refreshed(
  manifest: KeptManifest,
  { order }: InstallTask,
  executor: Executor,
  context: TaskContext,
  dir: string,
): Promise<KeptManifest> {
  const keptAt = toIso(context.clock.now());
  const lost = manifest.missing.filter((one) => one.arch !== notPackage);
  if (manifest.method === 'packages') {
    const wanted = [...manifest.packages, ...lost];
    const around = await gatherAround(order, wanted, manifest.added, executor, dir);
    return { ...manifest, ...around, kept_at: keptAt, missing: [...lost, ...around.missing] };
  }
  const { snapshot, ...rest } = manifest;
  if (snapshot === undefined) return manifest;
  await forgetSnapshot(snapshot);
  const taken = await takeSnapshot(`${order.task_id}.${String(order.generation)}`);
  if (taken.ok) return { ...rest, kept_at: keptAt, snapshot: taken.snapshot };
  const missing = manifest.packages.map(({ name, arch, version }) => ({
    name,
    arch,
    version,
    message: taken.message,
  }));
  return { ...rest, kept_at: keptAt, packages: [], missing };
}
