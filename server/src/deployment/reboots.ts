import type { SignedOrder } from '@fixpoint/contract/order.ts';
import { RebootOrder } from '@fixpoint/contract/order.ts';
import {
  backWithinDefaultSeconds,
  decideReboot,
  explainReboot,
  isRebootAhead,
} from '@fixpoint/core/deployment/reboots.ts';
import type { ReadonlyAssetSet } from '@fixpoint/core/posture/asset-set.ts';
import { Value } from 'typebox/value';
import type { ServerContext } from '../app.ts';
import type { NewAuditEvent } from '../audit/commands.ts';
import { signOrder, type ServerKeys } from '../auth/keys.ts';
import type { Context, Transact } from '../context.ts';
import { raiseAlert } from '../notify/commands.ts';
import { getJob } from '../patch-job/commands.ts';
import { transact } from '../transact.ts';
import { heldBecause } from './holds.ts';
import { deploymentActor } from './move.ts';
import { rebootOrderOf } from './order-texts.ts';
import { deploymentWithJob } from './heads.ts';
import { nextSequence, taskWithAsset } from './reads.ts';
import {
  assetsWithRebootPlace,
  isHostDone,
  jobsAwaitingReboot,
  overdueReboots,
  rebootsOfDeployment,
} from './reboot-reads.ts';
import type { TaskRow } from './records.ts';
import {
  appendTaskEvent,
  deleteRebootPlace,
  takeRebootPlace,
  tryLockRebootPlaces,
  updateTask,
} from './store.ts';
import { timesOfJob } from './times.ts';

/** Lets tasks go on to their reboots, one place at a time, and names the assets that do not come back. */

export type TagMembers = ReadonlyMap<string, ReadonlyAssetSet>;

/** A permission that came back without a time is given again after so long. */
const againSeconds = 60;

/**
 * Who is in the tags that decide whether an asset may reboot now; empty when no task of it waits for that. The read model is asked
 * before the transaction that decides, since it needs a connection of its own. A tag that there is not is left out.
 */
export async function rebootMembers(
  context: Pick<ServerContext, 'db' | 'posture'>,
  assetId: number,
): Promise<TagMembers> {
  const names = new Set<string>();
  for (const jobId of await jobsAwaitingReboot(context.db, assetId)) {
    const job = await getJob(context.db, jobId);
    if (!job.ok) throw new Error(`a deployment is of job ${jobId}, which is not there`);
    const { reboot } = job.value.definition;
    for (const tag of [...(reboot?.order ?? []), ...(reboot?.limits ?? []).map((one) => one.tag)])
      names.add(tag);
  }
  if (names.size === 0) return new Map();
  const fleet = await context.posture.fresh();
  return new Map(
    [...names].flatMap((name) => {
      const truths = fleet.tag(name);
      return truths === null ? [] : [[name, truths.holds] as const];
    }),
  );
}

export interface RebootAsker {
  readonly bootId: string;
  readonly members: TagMembers;
  /** True when another task is at work on the asset. */
  readonly busy: boolean;
  /** What the agent says that the task is; undefined when it does not say. */
  readonly reportedState: string | undefined;
}

/**
 * The permission for a task that waits as `reboot_pending` and whose asset asks: the one on its way in the same words, or a new
 * one. Never more places than the limits allow are taken: who decides about one has locked all of them, for all servers. When
 * somebody else has, the asset asks again with its next check-in.
 */
export async function permitReboot(
  trx: Transact,
  context: Pick<Context, 'clock'> & { readonly keys: ServerKeys },
  task: TaskRow,
  asker: RebootAsker,
): Promise<{ order: SignedOrder | null; audit: NewAuditEvent[] }> {
  const now = context.clock.now();
  const nothing = { order: null, audit: [] };
  const head = await deploymentWithJob(trx, task.deploymentId);
  const { definition } = head;
  if (definition.reboot === undefined || definition.reboot.mode === 'suppress') return nothing;
  if (task.signedReboot !== null) {
    const held = await heldBecause(trx, task, now);
    if (!hasExpired(task.signedReboot, now))
      return { order: held === null ? task.signedReboot : null, audit: [] };
    // what the host has begun it says; until it has, and it is too late for it, it has not
    if (asker.reportedState !== undefined && asker.reportedState !== 'reboot_pending') return nothing;
    await givePlaceBack(trx, task, now);
    // who is in the tags was not asked for a task that had a permission
    const { order = [], limits = [] } = definition.reboot;
    if (order.length + limits.length > 0) return nothing;
  }
  const observed = await taskWithAsset(trx, task.id);
  if (observed === undefined) throw new Error(`task ${task.id} is not there any more`);
  if (!(await tryLockRebootPlaces(trx))) return nothing;
  const times = await timesOfJob(trx, definition, now);
  // all open tasks of the deployment: only for who needs them
  const inOrder = (definition.reboot.order ?? []).length > 0;
  const ahead = inOrder ? await rebootsOfDeployment(trx, task.deploymentId) : [];
  const decision = decideReboot({
    now: now.getTime(),
    deployment: head.state,
    assetId: task.assetId,
    rule: definition.reboot,
    standing: times.rebootStanding(observed.timeZone, task.missedWindowAt !== null),
    held: asker.busy ? 'another task is at work' : await heldBecause(trx, task, now),
    notBefore: task.rebootAfter?.getTime() ?? null,
    permitted: false,
    hostIsDone: await isHostDone(trx, task.id),
    members: asker.members,
    taken: await assetsWithRebootPlace(trx),
    ahead: ahead.filter(isRebootAhead).map((one) => one.assetId),
  });
  if (decision.kind === 'wait') {
    const { message, whatToDo } = explainReboot(decision);
    const says = task.reason?.code === 'reboot_refused' && decision.reason === 'reboot_put_off';
    if (!says && task.reason?.message !== message)
      await updateTask(trx, task.id, { reason: { code: decision.reason, message, what_to_do: whatToDo } });
    return nothing;
  }
  const sequence = await nextSequence(trx, task.assetId);
  const text = rebootOrderOf(task, definition, { sequence, now }, decision);
  const order = signOrder(context.keys, JSON.stringify(text));
  const backWithin = definition.reboot.back_within_seconds ?? backWithinDefaultSeconds;
  await takeRebootPlace(trx, {
    taskId: task.id,
    assetId: task.assetId,
    bootId: asker.bootId,
    takenAt: now,
    backBy: new Date(now.getTime() + (decision.countdownSeconds + backWithin) * 1000),
  });
  const permitted = explainReboot({ kind: 'wait', reason: 'reboot_permitted', until: null });
  await updateTask(trx, task.id, {
    sequence,
    signedReboot: order,
    rebootAfter: null,
    reason: { code: 'reboot_permitted', message: permitted.message, what_to_do: permitted.whatToDo },
    progressAt: now,
  });
  await appendTaskEvent(trx, task.id, {
    at: now,
    from: task.state,
    to: task.state,
    source: 'server',
    message: permitted.message,
    detail: { expires_at: text.expires_at, sequence },
  });
  const audit: NewAuditEvent = {
    actor: deploymentActor,
    event: 'task.reboot_permitted',
    subjectKind: 'task',
    subject: task.id,
    after: {
      asset: task.planned.asset_id,
      deployment: task.deploymentId,
      generation: task.generation,
      sequence,
      mode: text.mode,
      countdown_seconds: text.countdown_seconds,
      expires_at: text.expires_at,
    },
  };
  return { order, audit: [audit] };
}

function hasExpired({ payload }: SignedOrder, now: Date): boolean {
  const order = Value.Parse(RebootOrder, JSON.parse(payload));
  return Date.parse(order.expires_at) <= now.getTime();
}

/** The permission is not used: the place is free for others, and this task asks for one again from `until` on. */
export async function givePlaceBack(trx: Transact, task: TaskRow, until: Date): Promise<void> {
  await deleteRebootPlace(trx, task.id);
  await updateTask(trx, task.id, { signedReboot: null, rebootAfter: until });
}

/** When a host that gives its place back wants to be asked again, by the time that it says. */
export function askedAgainAt(waitsUntil: string | undefined, now: Date): Date {
  const soonest = now.getTime() + againSeconds * 1000;
  const wanted = waitsUntil === undefined ? soonest : Date.parse(waitsUntil);
  return new Date(Number.isNaN(wanted) ? soonest : Math.max(soonest, wanted));
}

/** The host goes down now: whether it was let or not, it has a place, and it is to be back in time from here. */
export async function hostGoesDown(
  trx: Transact,
  task: TaskRow,
  bootId: string | undefined,
  now: Date,
): Promise<void> {
  const { reboot } = (await deploymentWithJob(trx, task.deploymentId)).definition;
  const backWithin = reboot?.back_within_seconds ?? backWithinDefaultSeconds;
  await takeRebootPlace(trx, {
    taskId: task.id,
    assetId: task.assetId,
    bootId: bootId ?? 'unknown',
    takenAt: now,
    backBy: new Date(now.getTime() + backWithin * 1000),
  });
  await updateTask(trx, task.id, { signedReboot: null });
}

/** Names, once each, the assets that went down for a reboot and are not back in time. Their places stay taken. */
export async function nameMissingAfterReboot(
  context: Pick<Context, 'db' | 'clock' | 'random'>,
): Promise<void> {
  for (const one of await overdueReboots(context.db, context.clock.now(), 100)) {
    await transact(context.db, (trx) =>
      raiseAlert(trx, context, {
        kind: 'reboot_not_back',
        severity: 'critical',
        subjectKind: 'task',
        subject: one.id,
        message: `${one.hostname} was let reboot at ${one.taken_at.toISOString()} and is not back since ${one.back_by.toISOString()}.`,
        whatToDo:
          'Look at the console of the host. Its place stays taken, so that no more hosts of its tags go down, until it is back or retired.',
        detail: {
          asset: one.uid,
          deployment: one.deployment_id,
          last_seen_at: one.last_seen_at?.toISOString() ?? null,
        },
        deduplicationKey: one.deduplication_key,
      }),
    );
  }
}
