import { existsSync, mkdirSync, rmSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TaskFailure } from '@fixpoint/core/task/states.ts';
import { toIso } from '../clock.ts';
import type { Executor, OrderedChanges } from '../execute/executor.ts';
import { keyOf, type Keeping, type OfferedFile, type PackageId } from '../execute/keeping.ts';
import { copyDurably, sha256OfFile } from '../file-digest.ts';
import { messageOf } from '../failure.ts';
import { forgetSnapshot, takeSnapshot } from '../snapshot.ts';
import { attemptsMaximum, detached, detailOf, judgeOnHost, networkFailures, outages } from './command.ts';
import { TaskDropped, TaskFailed, type EventDetail, type TaskContext } from './context.ts';
import { keepFile } from './kept-files.ts';
import {
  installedDir,
  keptDirOf,
  packageFile,
  pruneInstalled,
  pruneKept,
  readManifest,
  writeManifest,
  type KeptFile,
  type KeptManifest,
  type KeptPackage,
} from './kept.ts';
import { findLying, isSame, nowhere } from './rollback-support.ts';
import type { InstallTask } from './task.ts';

/** Keeps what is there before anything changes: packages, configuration files, or a snapshot of the file system. */

/** What must stay free besides what is kept: the installation itself comes after it. */
const spareBytes = 64 * 1024 * 1024;

/** Does nothing when the order does not ask for it. Throws TaskFailed when it must be kept and cannot be. */
export async function keep(task: InstallTask, executor: Executor, context: TaskContext): Promise<void> {
  const asked = task.order.keep;
  if (asked === undefined || task.isDone('keep')) return;
  if (!task.isOpen('keep')) {
    task.note('keep', 'begin');
    context.stopAt.pass('keep');
  }
  const dir = keptDirOf(context.stateDir, task.order);
  let manifest = readManifest(dir);
  if (manifest === null) {
    manifest = await gather(task, executor, context, dir);
    const [first] = manifest.missing;
    if (asked.required && first !== undefined) {
      rmSync(dir, { recursive: true, force: true });
      throw new TaskFailed(
        'nothing_to_roll_back_to',
        `${manifest.missing
          .slice(0, 5)
          .map((one) => one.message)
          .join(' ')} Nothing was installed.`,
        { kept: toldOf(manifest) },
      );
    }
    writeManifest(dir, manifest);
  }
  context.stopAt.pass('keep:done');
  const missing = manifest.missing.map((one) => one.message);
  task.note('keep', 'done', {
    event: {
      // Nothing has changed but that it is told: it is still where it was before.
      state: task.state() ?? 'staged',
      message:
        missing.length === 0
          ? 'What is there now is kept, so that it can be put back.'
          : `Not all can be put back: ${missing.slice(0, 5).join(' ')}`.slice(0, 2_000),
      detail: { kept: toldOf(manifest) },
    },
  });
  context.wake();
  try {
    if (manifest.method === 'packages') await keepComing(task, executor, context.stateDir);
    await pruneKept(context.stateDir, forgetSnapshot);
  } catch (error) {
    // Too much is kept; that is no reason to leave a host vulnerable.
    context.log('warn', 'what is kept of earlier tasks could not be taken away', {
      reason: messageOf(error),
    });
  }
}

/** Remembers the files of what is about to be installed: the next task may have to go back to them. */
async function keepComing({ order }: InstallTask, executor: Executor, stateDir: string): Promise<void> {
  const { keeping } = executor;
  if (keeping?.stagedPath === undefined) return;
  const dir = installedDir(stateDir);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const { versions } = await executor.state();
  const wanted = new Set(
    [...versions].map(([key, version]) => {
      const [name = key, arch = ''] = key.split(':');
      return keeping.fileName({ name, arch, version });
    }),
  );
  const coming = [...order.packages.map((p) => ({ ...p, version: p.to })), ...(order.added ?? [])];
  for (const p of coming) {
    const file = keeping.fileName(p);
    const staged = keeping.stagedPath(p);
    wanted.add(file);
    if (!existsSync(staged) || !hasRoom(dir, statSync(staged).size)) continue;
    copyDurably(staged, join(dir, file), 0o600);
  }
  pruneInstalled(stateDir, wanted);
}

function toldOf({ method, packages, missing }: KeptManifest): NonNullable<EventDetail['kept']> {
  return {
    method,
    packages: packages.length,
    bytes: packages.reduce((sum, p) => sum + (p.file?.bytes ?? 0), 0),
    missing: missing.map((p) => p.name).slice(0, 1_000),
  };
}

type Missing = KeptManifest['missing'][number];

/** Brings everything together in the folder; only the manifest is still to be written. */
async function gather(
  task: InstallTask,
  executor: Executor,
  context: TaskContext,
  dir: string,
): Promise<KeptManifest> {
  const { order } = task;
  const { versions } = await executor.state();
  const present = (p: Omit<PackageId, 'version'>, version: string): PackageId => ({
    name: p.name,
    arch: p.arch,
    version,
  });
  const ordered = order.packages.flatMap((p): PackageId[] => {
    const version = versions.get(keyOf(p));
    // What is at its version already is not changed by this task, and so not by its rollback.
    return version === undefined || version === p.to ? [] : [present(p, version)];
  });
  const removed = (order.removed ?? []).flatMap((p): PackageId[] => {
    const version = versions.get(keyOf(p));
    return version === undefined ? [] : [present(p, version)];
  });
  const added = (order.added ?? []).filter((p) => !versions.has(keyOf(p)));
  const wanted = [...ordered, ...removed];
  mkdirSync(join(dir, 'packages'), { recursive: true, mode: 0o700 });
  mkdirSync(join(dir, 'files'), { recursive: true, mode: 0o700 });
  const { keeping } = executor;
  const method = order.keep?.method ?? 'packages';
  const head = {
    format: 1,
    task_id: order.task_id,
    generation: order.generation,
    kept_at: toIso(context.clock.now()),
    method,
    added,
    removed,
  } as const;
  if (method === 'snapshot') {
    const taken = await takeSnapshot(`${order.task_id}.${String(order.generation)}`);
    if (!taken.ok && order.keep?.required === true) {
      throw new TaskFailed('snapshot_failed', `${taken.message} Nothing was installed.`);
    }
    return {
      ...head,
      packages: taken.ok ? wanted.map((p) => ({ ...p, file: null, checked: 'index' })) : [],
      missing: taken.ok ? [] : wanted.map((p) => ({ ...p, message: taken.message })),
      files: [],
      leftovers: [],
      automatic: [],
      held: [],
      ...(taken.ok ? { snapshot: taken.snapshot } : {}),
    };
  }
  const { packages, missing } =
    keeping === undefined
      ? {
          packages: [],
          missing: wanted.map((p) => ({ ...p, message: `${executor.manager} cannot keep packages here.` })),
        }
      : await gatherPackages(wanted, { task, executor, keeping, context, dir });
  const around = await gatherAround(order, wanted, added, executor, dir);
  return { ...head, packages, ...around, missing: [...missing, ...around.missing] };
}

/**
 * What the owner of the host may change at any time: configuration files, and marks of packages.
 * @param wanted packages that are there and are to be changed; @param added what is to come newly
 */
export async function gatherAround(
  order: InstallTask['order'],
  wanted: readonly PackageId[],
  added: readonly PackageId[],
  { keeping, readAutomatic }: Pick<Executor, 'keeping' | 'readAutomatic'>,
  dir: string,
): Promise<Pick<KeptManifest, 'files' | 'leftovers' | 'automatic' | 'held' | 'missing'>> {
  const files = keeping === undefined ? [] : await keeping.configurationFiles([...wanted, ...added]);
  const kept: KeptFile[] = [];
  const missing: Missing[] = [];
  for (const path of files) {
    const file = keepFile(path, join(dir, 'files'));
    if (file !== null) kept.push(file);
    else if (existsSync(path)) {
      missing.push({
        name: path.slice(0, 256),
        arch: notPackage,
        version: notPackage,
        message: `${path} is no file that can be kept.`,
      });
    }
  }
  const isWanted = (p: Omit<PackageId, 'version'>): boolean => wanted.some((one) => keyOf(one) === keyOf(p));
  return {
    missing,
    files: kept,
    leftovers: (keeping?.leftoverSuffixes ?? [])
      .flatMap((suffix) => files.map((path) => `${path}${suffix}`))
      .filter((path) => existsSync(path)),
    automatic: await readAutomatic([
      ...order.packages.filter(isWanted),
      ...(order.removed ?? []).filter(isWanted).map((p) => ({
        ...p,
        from: p.version,
        to: p.version,
        source: p.name,
        source_version: p.version,
      })),
    ]),
    held: [...((await keeping?.held()) ?? [])].filter((name) => wanted.some((p) => p.name === name)),
  };
}

/** Stands for the architecture and version of a configuration file among what is missing. */
export const notPackage = '-';

interface Parts {
  readonly task: InstallTask;
  readonly executor: Executor;
  readonly keeping: Keeping;
  readonly context: TaskContext;
  readonly dir: string;
}

/** The files of these packages: what lies on this host already, and the rest from the repositories. */
async function gatherPackages(
  wanted: readonly PackageId[],
  parts: Parts,
): Promise<{ packages: KeptPackage[]; missing: Missing[] }> {
  const { keeping, context, dir } = parts;
  const offered = await keeping.offered(wanted);
  const packages: KeptPackage[] = [];
  const missing: Missing[] = [];
  const toFetch: PackageId[] = [];
  const take = async (p: PackageId, from: string): Promise<boolean> => {
    // Looked at where only root can write: what is checked is what is kept.
    const to = packageFile(dir, keeping.fileName(p));
    copyDurably(from, to, 0o600);
    const kept = await examine(p, to, offered.get(keyOf(p)), keeping);
    if (kept === null) rmSync(to, { force: true });
    else packages.push(kept);
    return kept !== null;
  };
  for (const p of wanted) {
    const own = packageFile(dir, keeping.fileName(p));
    const lying = existsSync(own) ? own : await findLying(p, keeping, context.stateDir);
    if (lying !== null && hasRoom(dir, statSync(lying).size) && (await take(p, lying))) continue;
    if (offered.has(keyOf(p))) toFetch.push(p);
    else missing.push({ ...p, message: nowhere(p) });
  }
  const bytes = toFetch.reduce((sum, p) => sum + (offered.get(keyOf(p))?.bytes ?? 0), 0);
  const room = hasRoom(dir, bytes) && hasRoom(dirname(keeping.fetchedDir), bytes);
  const problem =
    toFetch.length === 0
      ? null
      : room
        ? await loadEarlier(toFetch, parts)
        : ({ failure: 'disk_full', message: 'There is too little disk to keep it.' } as const);
  for (const p of toFetch) {
    const fetched = join(keeping.fetchedDir, keeping.fileName(p));
    if (existsSync(fetched) && (await take(p, fetched))) rmSync(fetched, { force: true });
    else {
      const why = problem?.message ?? 'What was fetched is not what the index of the repository names.';
      missing.push({ ...p, message: `${p.name} ${p.version}: ${why}` });
    }
  }
  if (problem !== null && parts.task.order.keep?.required === true && missing.length > 0) {
    throw new TaskFailed(problem.failure, `${problem.message} Nothing was installed.`, problem.detail);
  }
  return { packages, missing };
}

function hasRoom(dir: string, bytes: number): boolean {
  const there = existsSync(dir) ? dir : dirname(dir);
  const { bavail, bsize } = statfsSync(there);
  return bavail * bsize >= bytes + spareBytes;
}

/** Whether a file is that package; null when it is not. What a repository names must be just as it names it. */
async function examine(
  p: PackageId,
  path: string,
  offered: OfferedFile | undefined,
  keeping: Keeping,
): Promise<KeptPackage | null> {
  if (!isSame(p, await keeping.identify(path))) return null;
  const sha256 = sha256OfFile(path);
  const file = { name: keeping.fileName(p), bytes: statSync(path).size, sha256 };
  if (offered !== undefined && offered.sha256.length > 0) {
    return offered.sha256.includes(sha256) ? { ...p, file, checked: 'index' } : null;
  }
  return { ...p, file, checked: (await keeping.isBuildInstalled(p, path)) ? 'build' : 'name' };
}

interface FetchProblem {
  readonly failure: TaskFailure;
  readonly message: string;
  readonly detail?: EventDetail;
}

/** Lets the host's own package manager load them, with the checks that it always makes. Null when it says that it did. */
async function loadEarlier(
  toFetch: readonly PackageId[],
  { task, executor, context }: Parts,
): Promise<FetchProblem | null> {
  const changes: OrderedChanges = {
    packages: [],
    added: [],
    removed: toFetch,
  };
  for (;;) {
    if (context.isCancelled(task)) throw new TaskDropped();
    const dp = await context.distributionPoint(task);
    executor.prepare(dp, task.order.bandwidth_bytes_per_second ?? null);
    const attempt = task.attempts('keep');
    const since = context.clock.elapsedSeconds();
    const result = await detached(task, 'keep', 'keep', attempt, executor, context, changes);
    if (result.kind === 'lost' && attempt - outages(task, 'keep') < attemptsMaximum) {
      task.note('keep', 'begin', { data: { attempt: attempt + 1 } });
      continue;
    }
    const detail = detailOf(result, dp);
    if (result.kind !== 'exited') {
      return {
        failure: result.kind === 'timed_out' ? 'timeout' : 'agent_error',
        message: `Fetching what is installed now ${result.kind === 'timed_out' ? 'took too long' : 'was interrupted again and again'}.`,
        detail,
      };
    }
    const judged = judgeOnHost(executor, 'keep', result, changes);
    if (judged.ok) return null;
    if (networkFailures.has(judged.failure) && (await context.serverWasOut(since))) {
      task.note('keep', 'begin', { data: { attempt: attempt + 1, after_outage: true } });
      continue;
    }
    return { ...judged, detail };
  }
}
