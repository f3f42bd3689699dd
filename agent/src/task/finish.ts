import { packageKey } from '@fixpoint/core/inventory/digest.ts';
import type { Residue } from '@fixpoint/core/inventory/inventory.ts';
import { countSessions, reasonNotToRestart, reexecSystemd, restartUnit } from '../execute/units.ts';
import type { CollectedInventory } from '../inventory.ts';
import { mayPatchNow, type HostPolicyFile } from '../policy.ts';
import { readBootId } from '../process.ts';
import { TaskFailed, type EventDetail, type TaskContext } from './context.ts';
import { isInstallTask, isRollbackTask, type Task } from './task.ts';
import { standingOf } from './window.ts';

/** What follows an installation: telling the server before anything restarts, restarting what runs old code, and the last report. */

const reportWaitSeconds = 30;
const settleRounds = 10;
const settleSeconds = 0.5;

/** The server is to see what is on disk and what still runs. If it cannot be reached now, the restarts do not wait for it. */
export async function report(task: Task, context: TaskContext): Promise<void> {
  if (!task.isOpen('report')) {
    task.note('report', 'begin');
    context.stopAt.pass('report');
  }
  await context.collector.collect('everything');
  await context.tryReport(reportWaitSeconds);
  context.stopAt.pass('report:done');
  task.note('report', 'done');
}

interface Restarts {
  readonly restarted: string[];
  readonly notRestarted: { name: string; reason: string }[];
  readonly failed: string[];
}

/** Restarts the services that still run files of the ordered packages, as far as the order and good sense allow. */
export async function restart(task: Task, context: TaskContext): Promise<'done' | 'waiting'> {
  const before = oldProcesses(task, await context.collector.collect('now'));
  if (
    !task.isOpen('restart') &&
    before.length > 0 &&
    isOutsideWindow(task, context.policy(), context.clock.now())
  ) {
    return waitForNextWindow(task, before, context);
  }
  if (!task.isOpen('restart')) {
    task.note('restart', 'begin', { data: { units: unitsOf(before) } });
    context.stopAt.pass('restart');
  }
  const restarts: Restarts =
    task.order.units === 'restart'
      ? await restartAll(before, context)
      : {
          restarted: [],
          notRestarted: describe(before, 'the order says to leave services alone'),
          failed: [],
        };
  let collected = await context.collector.collect('now');
  let remaining = oldProcesses(task, collected);
  // Processes that were told to end need a moment.
  for (let i = 0; i < settleRounds && remaining.some((r) => wasRestarted(r, restarts)); i++) {
    await context.clock.sleep(settleSeconds);
    collected = await context.collector.collect('now');
    remaining = oldProcesses(task, collected);
  }
  const detail: EventDetail = {
    restarted_units: restarts.restarted.slice(0, 1_000),
    not_restarted_units: restarts.notRestarted.slice(0, 1_000),
  };
  context.stopAt.pass('restart:done');
  if (restarts.failed.length > 0) {
    await context.tryReport(reportWaitSeconds);
    throw new TaskFailed(
      'restart_failed',
      `Not up again after the restart: ${restarts.failed.join('; ')}`,
      detail,
    );
  }
  // A rollback is judged by what is installed; what still runs is in the inventory as residue.
  const state = isRollbackTask(task)
    ? null
    : needsReboot(task, collected)
      ? 'reboot_pending'
      : remaining.length > 0
        ? 'restart_pending'
        : null;
  task.note('restart', 'done', {
    ...(state === null ? {} : { event: { state, message: pendingMessage(state, remaining), detail } }),
    data: { ...detail },
  });
  context.wake();
  if (
    state === 'restart_pending' &&
    task.order.units === 'restart' &&
    includesOwn(remaining, context.ownUnit)
  ) {
    await context.tryReport(reportWaitSeconds);
    context.restartAgent();
  }
  return 'done';
}

/** Said once: the packages are there, and services are not disturbed before the next window. */
function waitForNextWindow(task: Task, old: readonly Residue[], context: TaskContext): 'waiting' {
  if (task.state() === 'restart_pending') return 'waiting';
  const names = describe(old, '').map((one) => one.name);
  task.note('window', 'done', {
    event: {
      state: 'restart_pending',
      message: `Installed; the window closed before ${names.slice(0, 10).join(', ')} could be restarted${
        hasLaterWindow(task, context.clock.now())
          ? ', which is done in the next one.'
          : '. The order names no other: restart them by hand.'
      }`,
    },
  });
  context.wake();
  return 'waiting';
}

/** Whether the windows of the order are not over yet; an order without windows is bound by the hours of the host only. */
function hasLaterWindow({ order }: Task, now: number): boolean {
  const last = order.action === 'install' ? order.windows?.at(-1) : undefined;
  return last === undefined || Date.parse(last.closes_at) > now;
}

/** The window closed while the packages were being installed: services are not disturbed before the next one. */
function isOutsideWindow(task: Task, policy: HostPolicyFile, now: number): boolean {
  if (!isInstallTask(task) || task.order.units !== 'restart') return false;
  if (mayPatchNow(policy, now) !== null) return true;
  const { windows = [] } = task.order;
  const last = windows.at(-1);
  // the order has been taken up: until when it could be does not matter any more
  return last !== undefined && standingOf({ windows, expires_at: last.closes_at }, 0, now).kind === 'closed';
}

/** Whether what a task waits for is still to come, by what the host is now. */
export function isStillPending(task: Task, collected: CollectedInventory): boolean {
  return needsReboot(task, collected) || oldProcesses(task, collected).length > 0;
}

/** The last step: the server holds what the host is now, and is told to judge by it. */
export async function verify(task: Task, context: TaskContext): Promise<void> {
  if (!task.isOpen('verify')) {
    task.note('verify', 'begin');
    context.stopAt.pass('verify');
  }
  const digests = await context.reportInventory();
  context.stopAt.pass('verify:done');
  const data = task.entries().findLast((e) => e.step === 'restart' && e.phase === 'done')?.data;
  const wasTold = task.entries().some((e) => e.step === 'restart' && e.event !== undefined);
  task.note('ended', 'done', {
    event: {
      state: isRollbackTask(task) ? 'rolling_back' : 'verifying',
      digests,
      ...(data === undefined || wasTold ? {} : { detail: data }),
    },
  });
  context.stopAt.pass('ended');
  context.wake();
}

async function restartAll(old: readonly Residue[], context: TaskContext): Promise<Restarts> {
  const restarts: Restarts = { restarted: [], notRestarted: [], failed: [] };
  if (old.some((r) => r.process?.pid === 1)) {
    const result = await reexecSystemd();
    if (result.ok) restarts.restarted.push('systemd');
    else restarts.notRestarted.push({ name: 'systemd', reason: result.message });
  }
  const sessions = countSessions();
  const never = context.policy().policy?.never_restart ?? [];
  for (const unit of unitsOf(old)) {
    const reason = reasonNotToRestart(unit, context.ownUnit, sessions, never);
    if (reason !== null) {
      restarts.notRestarted.push({ name: unit, reason });
      continue;
    }
    context.log('info', 'restarting', { unit });
    const result = await restartUnit(unit);
    if (result.ok) restarts.restarted.push(unit);
    else restarts.failed.push(`${unit}: ${result.message}`);
  }
  const outside = old.filter((r) => r.process !== null && r.process.unit === null && r.process.pid !== 1);
  restarts.notRestarted.push(...describe(outside, 'it runs outside of any service'));
  return restarts;
}

function describe(old: readonly Residue[], reason: string): { name: string; reason: string }[] {
  const names = old.flatMap(({ process }) =>
    process === null
      ? []
      : [process.unit ?? `${process.command} (process ${String(process.pid)})`.slice(0, 256)],
  );
  return [...new Set(names)].map((name) => ({ name, reason }));
}

/** Processes that run earlier files of the ordered packages. */
function oldProcesses(task: Task, collected: CollectedInventory): Residue[] {
  const ordered = new Set(task.order.packages.map(packageKey));
  return collected.inventory.residue.filter((r) => r.kind === 'process' && ordered.has(packageKey(r)));
}

function unitsOf(old: readonly Residue[]): string[] {
  return [...new Set(old.flatMap((r) => r.process?.unit ?? []))];
}

function wasRestarted(r: Residue, restarts: Restarts): boolean {
  const name = r.process?.pid === 1 ? 'systemd' : r.process?.unit;
  return name !== null && name !== undefined && restarts.restarted.includes(name);
}

/** This agent runs old code itself: when all else is done, it starts anew. */
function includesOwn(old: readonly Residue[], ownUnit: string | null): boolean {
  return ownUnit !== null && old.some((r) => r.process?.unit === ownUnit);
}

/** Of Debian and Ubuntu, of Red Hat's family and SUSE, of Alpine. */
const kernelPackage =
  /^(?:linux-image-(?:unsigned-)?\d|kernel(?:-core|-rt-core|-default|-azure)?$|linux-(?:lts|virt)$)/u;

/** A kernel that was replaced under the running one, or a package of the order that asks for a reboot; until it happened. */
function needsReboot(task: Task, { inventory: { host } }: CollectedInventory): boolean {
  const mitigations = isInstallTask(task) ? task.order.mitigations : undefined;
  const ids = new Set(mitigations?.map(({ mitigation }) => mitigation.id));
  if (host.mitigations?.some((one) => one.until_reboot && ids.has(one.id)) === true) return true;
  const begun = task
    .entries()
    .find((e) => (e.step === 'install' || e.step === 'put_back') && e.phase === 'begin')?.data?.['boot_id'];
  if (begun !== readBootId()) return false;
  const added = isInstallTask(task) ? (task.order.added ?? []) : [];
  const names = new Set([...task.order.packages, ...added].map((p) => p.name));
  const kernel = host.machine !== 'container' && [...names].some((name) => kernelPackage.test(name));
  return kernel || (host.reboot_required && host.reboot_required_by.some((name) => names.has(name)));
}

function pendingMessage(state: 'reboot_pending' | 'restart_pending', remaining: readonly Residue[]): string {
  if (state === 'reboot_pending') return 'Installed; the old code runs until the host is rebooted.';
  const names = describe(remaining, '').map((d) => d.name);
  const more = names.length > 10 ? ` and ${String(names.length - 10)} more` : '';
  return `Installed; the old code still runs in ${names.slice(0, 10).join(', ')}${more}.`;
}
