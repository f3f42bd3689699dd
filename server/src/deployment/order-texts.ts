import { Value } from 'typebox/value';
import { InstallOrder, RebootOrder, RollbackOrder } from '@fixpoint/contract/order.ts';
import type { PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import type { OpenInterval } from '@fixpoint/contract/window.ts';
import {
  offerHorizonMilliseconds,
  type OfferStanding,
  type OfferTimes,
} from '@fixpoint/core/deployment/offer-time.ts';
import { windowIntervals } from '@fixpoint/core/window/intervals.ts';
import type { Interval } from '@fixpoint/core/window/window.ts';
import type { TaskRow } from './records.ts';

/** What stands in the orders of a task. Nothing is decided here, and nothing stored. */

const hour = 3_600_000;
/** An order is good for longer than the window that it is for, so that both sides agree that it was the window that ended. */
const beyondWindowMilliseconds = 60_000;
const intervalsMaximum = 200;
/** A host whose clock is behind takes a window that opened just now for one that is still to come: it is told of its beginning. */
export const lookBackMilliseconds = 300_000;
/** A permission that did not reach its host in time is given anew. */
const rebootGoodForMilliseconds = hour / 2;
/** As for the offer of an installation, but never less. */
const rollbackGoodForMilliseconds = 24 * hour;

export interface OrderNumber {
  readonly sequence: number;
  readonly now: Date;
}

export type OfferableStanding = Exclude<OfferStanding, { kind: 'closed' }>;

function headOf(task: TaskRow, number: OrderNumber, expiresAt: Date) {
  return {
    format: 1,
    asset_id: task.planned.asset_id,
    task_id: task.id,
    deployment_id: task.deploymentId,
    generation: task.generation,
    sequence: number.sequence,
    issued_at: number.now.toISOString(),
    expires_at: expiresAt.toISOString(),
  };
}

/** How a host keeps what is there before, or null where the job does not ask for it. */
export function keepOf({
  rollback,
}: PatchJobDefinition): { method: 'packages' | 'snapshot'; required: boolean } | null {
  if (rollback === undefined || rollback.on === 'off') return null;
  return { method: rollback.method ?? 'packages', required: rollback.required ?? false };
}

/**
 * The order to install. It is good for as long as the job says, counted from now or from the opening that it is for, and in any
 * case beyond the end of that.
 */
export function installOrderOf(
  task: TaskRow,
  definition: PatchJobDefinition,
  number: OrderNumber,
  times: OfferTimes,
  standing: OfferableStanding,
): { order: InstallOrder; expiresAt: Date } {
  const now = number.now.getTime();
  const { use } = standing;
  const counted = Math.max(now, use?.opensAt ?? now) + definition.expire_after_seconds * 1000;
  const expiresAt = new Date(
    times.windows === undefined || use === null
      ? counted
      : Math.max(counted, use.closesAt + beyondWindowMilliseconds),
  );
  const windows = use === null ? null : intervalsOf(times, use, now, expiresAt.getTime());
  const { planned } = task;
  const keep = planned.packages.length === 0 ? null : keepOf(definition);
  const order = Value.Parse(InstallOrder, {
    ...headOf(task, number, expiresAt),
    action: 'install',
    packages: planned.packages,
    ...(planned.added === undefined ? {} : { added: planned.added }),
    ...(planned.removed === undefined ? {} : { removed: planned.removed }),
    ...(planned.mitigations === undefined
      ? {}
      : { mitigations: planned.mitigations.map(({ action, mitigation }) => ({ action, mitigation })) }),
    ...(windows === null ? {} : { windows }),
    ...(windows === null || times.minimumRemainingSeconds === 0
      ? {}
      : { minimum_remaining_seconds: times.minimumRemainingSeconds }),
    ...(windows === null || use === null || times.prestageMinutes === null
      ? {}
      : { stage_from: new Date(use.opensAt - times.prestageMinutes * 60_000).toISOString() }),
    ...(definition.bandwidth_bytes_per_second === undefined
      ? {}
      : { bandwidth_bytes_per_second: definition.bandwidth_bytes_per_second }),
    units: definition.units,
    ...(keep === null ? {} : { keep }),
    ...(definition.actions === undefined ? {} : { actions: definition.actions }),
    ...healthOf(definition),
    install_timeout_seconds: definition.install_timeout_seconds,
  });
  return { order, expiresAt };
}

/**
 * The times in which the host may be changed, from the present one on, up to the end of the order; null when nothing limits them
 * that long. The one after `use` is always among them: what could not be restarted in the one is restarted in the next.
 */
function intervalsOf(
  times: OfferTimes,
  use: Interval,
  now: number,
  expiresAt: number,
): OpenInterval[] | null {
  const from = now - lookBackMilliseconds;
  const { windows, blackouts, assetZone } = times;
  const until = windows === undefined ? expiresAt : Math.max(expiresAt, endAfter(times, use));
  const all = windowIntervals(windows, blackouts, assetZone, from, until).filter((one) => one.closesAt > now);
  const [first] = all;
  if (windows === undefined && first?.opensAt === from && first.closesAt === until) return null;
  return all.slice(0, intervalsMaximum).map(wireOf);
}

function endAfter({ windows, blackouts, assetZone }: OfferTimes, use: Interval): number {
  for (const days of [8, 62, 400]) {
    const until = Math.min(use.closesAt + days * 24 * hour, use.opensAt + offerHorizonMilliseconds);
    const [next] = windowIntervals(windows, blackouts, assetZone, use.closesAt, until);
    if (next !== undefined && next.closesAt < until) return next.closesAt;
  }
  return use.closesAt;
}

const wireOf = (one: Interval): OpenInterval => ({
  opens_at: new Date(one.opensAt).toISOString(),
  closes_at: new Date(one.closesAt).toISOString(),
});

/** Around a reboot of the job's own, services are compared even when nobody asked for it. */
function healthOf({ health, reboot }: PatchJobDefinition): Pick<InstallOrder, 'health'> {
  if (health !== undefined) return { health };
  return reboot === undefined || reboot.mode === 'suppress' ? {} : { health: { probes: [] } };
}

/** The permission to reboot. `closesAt`: the end of the present window, or null. */
export function rebootOrderOf(
  task: TaskRow,
  definition: PatchJobDefinition,
  number: OrderNumber,
  grant: { readonly countdownSeconds: number; readonly closesAt: number | null },
): RebootOrder {
  const { reboot } = definition;
  if (reboot === undefined || reboot.mode === 'suppress')
    throw new Error('a job without reboots permits none');
  const now = number.now.getTime();
  const expiresAt = now + grant.countdownSeconds * 1000 + rebootGoodForMilliseconds;
  const closesAt = Math.min(expiresAt, grant.closesAt ?? expiresAt);
  return Value.Parse(RebootOrder, {
    ...headOf(task, number, new Date(closesAt)),
    action: 'reboot',
    mode: reboot.mode,
    countdown_seconds: grant.countdownSeconds,
    message: reboot.message ?? '',
    deferrals_maximum: reboot.deferrals_maximum ?? (reboot.mode === 'prompt' ? 3 : 0),
    deferral_minutes: reboot.deferral_minutes ?? 60,
    when_nobody: reboot.when_nobody ?? 'reboot',
    ...(grant.closesAt === null
      ? {}
      : { windows: [wireOf({ opensAt: now - lookBackMilliseconds, closesAt })] }),
  });
}

/** The order to put back what was there before. No window holds it back. */
export function rollbackOrderOf(
  task: TaskRow,
  definition: PatchJobDefinition,
  number: OrderNumber,
): RollbackOrder {
  if (task.undoesGeneration === null) throw new Error(`task ${task.id} undoes nothing`);
  const goodFor = Math.max(definition.expire_after_seconds * 1000, rollbackGoodForMilliseconds);
  return Value.Parse(RollbackOrder, {
    ...headOf(task, number, new Date(number.now.getTime() + goodFor)),
    action: 'roll_back',
    undoes_generation: task.undoesGeneration,
    packages: task.planned.packages,
    method: keepOf(definition)?.method ?? 'packages',
    units: definition.units,
    ...healthOf(definition),
    install_timeout_seconds: definition.install_timeout_seconds,
  });
}
