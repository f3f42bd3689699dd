import { join } from 'node:path';
import type { Order } from '@fixpoint/contract/agent.ts';
import { taskFailures, type ReportedTaskState, type TaskFailure } from '@fixpoint/core/task/states.ts';
import { readDpkgStatus } from './collect/dpkg.ts';
import { readFileList, readMd5sums } from './collect/dpkg-files.ts';
import { reportableOutput } from './execute/apt-output.ts';
import { hasRun, runDetached, type DetachedResult } from './execute/detached.ts';
import type { DistributionPoint, Executor, ExecutorStep, Judgement } from './execute/executor.ts';
import { messageOf } from './failure.ts';
import type { TouchedPackage, TouchedPackages } from './file-residue.ts';
import type { JournalStep } from './journal.ts';
import type { Log } from './log.ts';
import { readBootId } from './process.ts';
import { TaskDropped, TaskFailed, type EventDetail, type TaskContext } from './task-context.ts';
import type { Task } from './task.ts';

/**
 * The steps of a task up to the installed versions. The package manager runs detached, so a step that a crash interrupted is
 * found, not run again; what is on the host decides what is still to do, not what was asked.
 */

const attemptsMaximum = 3;
const preparationSeconds = 900;
/** Stands in when the server cannot be reached: an installation that has begun needs no network. */
const placeholder: DistributionPoint = { url: 'http://127.0.0.1:9', user: 'none', password: 'none' };

interface Look {
  readonly versions: { name: string; arch: string; version: string }[];
  /** What is not as ordered, for a person; empty when all is. */
  readonly wrong: readonly string[];
}

/** The truth about the ordered packages, from dpkg. */
function lookAt(order: Order): Look {
  const status = readDpkgStatus('/');
  const byKey = new Map(status.packages.map((p) => [`${p.name}:${p.arch}`, p.version]));
  const unconfigured = new Set(status.unconfigured);
  const versions: Look['versions'] = [];
  const wrong: string[] = [];
  for (const { name, arch, to } of order.packages) {
    const version = byKey.get(`${name}:${arch}`);
    if (version === undefined) {
      wrong.push(`${name} is not installed`);
      continue;
    }
    versions.push({ name, arch, version });
    if (version !== to) wrong.push(`${name} is at ${version}`);
    else if (unconfigured.has(`${name}:${arch}`)) wrong.push(`${name} is at ${version} and not configured`);
  }
  return { versions, wrong };
}

/** From accepting to having every ordered package at its version and configured; throws TaskFailed otherwise. */
export async function install(task: Task, executor: Executor, context: TaskContext): Promise<void> {
  const { order } = task;
  let resumed = task.attempts('install') > 0;
  if (!resumed) {
    const look = lookAt(order);
    if (look.wrong.length > 0) {
      await refresh(task, executor, context);
      await prepareStep('simulate', task, executor, context);
      await prepareStep('download', task, executor, context);
      giveUpIfCancelled(task, context);
      mayStillBegin(order, context);
    }
    if (look.wrong.length > 0) await rememberTouched(order, executor, context.touched);
    const automatic = await executor.readAutomatic(order.packages);
    giveUpIfCancelled(task, context);
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
  const dp = await context.distributionPointNow();
  executor.prepare(dp ?? placeholder);
  for (;;) {
    const before = lookAt(order);
    const attempt = task.attempts('install');
    // An attempt that was begun is asked for its end, even when the versions look right: it may still be at work.
    const result =
      before.wrong.length === 0 && !hasBegun(task, 'install', attempt)
        ? null
        : await detached(task, 'install', 'install', attempt, executor, context);
    const repaired = result !== null && needsRepair(result) ? await repair(task, executor, context) : false;
    const after = lookAt(order);
    if (after.wrong.length === 0) {
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
            ...(resumed || result?.kind === 'lost' ? { resumed: true } : {}),
          },
        },
      });
      context.wake();
      return;
    }
    const detail = { ...detailOf(result, dp), versions: after.versions };
    if (result?.kind === 'lost' && attempt < attemptsMaximum) {
      resumed = true;
      task.note('install', 'begin', { data: { attempt: attempt + 1, boot_id: readBootId() } });
      context.stopAt.pass('install');
      continue;
    }
    const judged = judgeInstall(executor, result, order);
    const state = `Now ${after.wrong.slice(0, 5).join('; ')}.`;
    throw new TaskFailed(judged.failure, `${judged.message} ${state}`, detail);
  }
}

function judgeInstall(
  executor: Executor,
  result: DetachedResult | null,
  order: Order,
): { readonly failure: TaskFailure; readonly message: string } {
  if (result?.kind === 'timed_out') {
    return {
      failure: 'timeout',
      message: `The installation took longer than ${String(order.install_timeout_seconds)} s and was ended.`,
    };
  }
  if (result?.kind === 'exited') {
    const judged = executor.judge('install', result.exitCode, result.output, order.packages);
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
function needsRepair(result: DetachedResult): boolean {
  return result.kind !== 'exited' || (result.exitCode !== 0 && readDpkgStatus('/').unconfigured.length > 0);
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

/** A failed refresh is not the end: what was known before may be enough. The next step tells, and names this reason. */
async function refresh(task: Task, executor: Executor, context: TaskContext): Promise<void> {
  if (task.isDone('refresh')) return;
  const judged = await stepOnce('refresh', task, executor, context, { state: 'downloading' });
  task.note('refresh', 'done', {
    data: judged.ok ? { ok: true } : { ok: false, failure: judged.failure, message: judged.message },
  });
}

async function prepareStep(
  step: 'simulate' | 'download',
  task: Task,
  executor: Executor,
  context: TaskContext,
): Promise<void> {
  if (task.isDone(step)) return;
  giveUpIfCancelled(task, context);
  const judged = await stepOnce(step, task, executor, context);
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
}

type StepJudgement =
  | { readonly ok: true }
  | (Extract<Judgement, { ok: false }> & { readonly detail: EventDetail });

/** One step that changes no package: begun again when it was lost. */
async function stepOnce(
  step: 'refresh' | 'simulate' | 'download',
  task: Task,
  executor: Executor,
  context: TaskContext,
  event?: { readonly state: ReportedTaskState },
): Promise<StepJudgement> {
  for (;;) {
    if (!task.isOpen(step)) {
      const first = task.attempts(step) === 0;
      task.note(step, 'begin', first && event !== undefined ? { event: { ...event } } : {});
      context.wake();
      context.stopAt.pass(step);
    }
    // With fresh credentials, unless it runs already.
    const dp = await context.distributionPoint();
    executor.prepare(dp);
    const attempt = task.attempts(step);
    const since = context.clock.elapsedSeconds();
    const result = await detached(task, step, step, attempt, executor, context);
    if (result.kind === 'lost' && attempt - outages(task, step) < attemptsMaximum) {
      task.note(step, 'begin', { data: { attempt: attempt + 1 } });
      continue;
    }
    context.stopAt.pass(`${step}:done`);
    const detail = detailOf(result, dp);
    if (result.kind === 'timed_out') {
      return {
        ok: false,
        failure: 'timeout',
        message: `${step} took longer than ${String(preparationSeconds)} s`,
        detail,
      };
    }
    if (result.kind === 'lost') {
      return {
        ok: false,
        failure: 'agent_error',
        message: `${step} was interrupted again and again`,
        detail,
      };
    }
    const judged = executor.judge(step, result.exitCode, result.output, task.order.packages);
    if (judged.ok) return judged;
    // Packages come by way of the server: while that is out of reach, the host is silent and its task has not failed.
    if (networkFailures.has(judged.failure) && (await context.serverWasOut(since))) {
      giveUpIfCancelled(task, context);
      mayStillBegin(task.order, context);
      task.note(step, 'begin', { data: { attempt: attempt + 1, after_outage: true } });
      continue;
    }
    return { ...judged, detail };
  }
}

const networkFailures: ReadonlySet<TaskFailure> = new Set<TaskFailure>([
  'repository_unreachable',
  'download_failed',
]);

/** How often a step was begun again because the server had been out of reach: as often as need be, unlike what is lost. */
function outages(task: Task, step: JournalStep): number {
  return task.entries().filter((e) => e.step === step && e.data?.['after_outage'] === true).length;
}

/** Brings dpkg to rest. One round, not a loop: what fails twice needs a person. Tells whether dpkg is at rest now. */
async function repair(task: Task, executor: Executor, context: TaskContext): Promise<boolean> {
  if (!task.isOpen('repair')) {
    task.note('repair', 'begin');
    context.stopAt.pass('repair');
  }
  const attempt = task.attempts('repair');
  await detached(task, 'repair', 'configure', attempt, executor, context);
  if (readDpkgStatus('/').unconfigured.length > 0) {
    await detached(task, 'repair', 'complete', attempt, executor, context);
  }
  context.stopAt.pass('repair:done');
  const { unconfigured } = readDpkgStatus('/');
  task.note('repair', 'done', { data: { unconfigured: unconfigured.slice(0, 50) } });
  return unconfigured.length === 0;
}

function runName(command: string, attempt: number): string {
  return `${command}-${String(attempt)}`;
}

function hasBegun(task: Task, command: string, attempt: number): boolean {
  return hasRun(join(task.dir, 'runs'), runName(command, attempt));
}

function detached(
  task: Task,
  step: JournalStep,
  command: ExecutorStep,
  attempt: number,
  executor: Executor,
  context: TaskContext,
): Promise<DetachedResult> {
  const { order } = task;
  const timeoutSeconds =
    step === 'install'
      ? order.install_timeout_seconds
      : step === 'repair'
        ? Math.min(order.install_timeout_seconds, 600)
        : preparationSeconds;
  return runDetached(
    join(task.dir, 'runs'),
    runName(command, attempt),
    { ...executor.command(command, order.packages), timeoutSeconds },
    context.clock,
    () => {
      context.stopAt.pass(`${step}:running`);
    },
  );
}

function giveUpIfCancelled(task: Task, context: TaskContext): void {
  if (context.isCancelled(task)) throw new TaskDropped();
}

/** An order is not begun after its end, however long the preparation took. */
function mayStillBegin(order: Order, context: TaskContext): void {
  if (context.clock.now() < Date.parse(order.expires_at)) return;
  throw new TaskFailed(
    'order_refused',
    `The order expired at ${order.expires_at}, before the installation began.`,
  );
}

/** Keeps what is needed to tell later whether the old code is really gone. Must come before dpkg changes anything. */
async function rememberTouched(order: Order, executor: Executor, touched: TouchedPackages): Promise<void> {
  const installed = new Map(readDpkgStatus('/').packages.map((p) => [`${p.name}:${p.arch}`, p]));
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
        files_before: readFileList(p),
        sums_before: Object.fromEntries(readMd5sums(p)),
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

function detailOf(result: DetachedResult | null, dp: DistributionPoint | null): EventDetail {
  if (result === null) return {};
  return {
    output: reportableOutput(
      result.output,
      dp === null ? [] : [dp.password, encodeURIComponent(dp.password)],
    ),
    ...(result.kind === 'exited' ? { exit_code: result.exitCode } : {}),
  };
}
