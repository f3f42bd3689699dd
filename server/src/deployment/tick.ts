import type { PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import { decide, type DeploymentCommand, type TaskObservation } from '@fixpoint/core/deployment/decide.ts';
import type { OfferStanding } from '@fixpoint/core/deployment/offer-time.ts';
import type { DeploymentState } from '@fixpoint/core/deployment/states.ts';
import { isEndedDeployment } from '@fixpoint/core/deployment/states.ts';
import type { Context, Transact } from '../context.ts';
import { transact } from '../transact.ts';
import { add, settle, type Aftermath } from './aftermath.ts';
import { deploymentActor, moveTask } from './move.ts';
import { decideOptions, observationOf } from './observe.ts';
import { expireWithoutWindow } from './offer.ts';
import { deploymentWithJob } from './heads.ts';
import { countNotEnded, findTask, liveDeployments, overdueVerifications, zonesOfQueued } from './reads.ts';
import { nameMissingAfterReboot } from './reboots.ts';
import type { TaskOfAsset } from './records.ts';
import { isRollbackReported, judgeRollback } from './rollback-verification.ts';
import { lockAssets, setDeploymentState, tasksDue, tryLockDeployment } from './store.ts';
import { timesOfJob } from './times.ts';
import { judgeTask } from './verification.ts';

/** Tasks dealt with in one transaction. */
const tasksAtOnce = 500;
/**
 * A verification that is still due so long after it was asked for, while the asset checked in again, is judged by the
 * inventory that is there: had the asset a newer one, it would have sent it with that check-in.
 */
const overdueSeconds = 60;
/** What could not be decided is judged again so often: data may have come, or the agent may read its host again. */
const undecidedSeconds = 600;

/**
 * Carries out what time alone decides: silence, expiry, completion. Everything it goes by is in the tables, so it goes on
 * after a restart, and several replicas may run it at once: what one has locked, the others leave alone.
 *
 * `listeningSince`: since when assets could reach this server; they are not blamed for silence before that.
 */
export async function tick(
  context: Pick<Context, 'db' | 'clock' | 'random' | 'log'>,
  listeningSince: Date,
): Promise<void> {
  for (const id of await liveDeployments(context.db)) {
    try {
      await transact(context.db, (trx) => tickDeployment(trx, context, id, listeningSince));
    } catch (error) {
      // one deployment's trouble must not stop the others; the next tick tries again
      context.log.error({ err: error, deployment: id }, 'a deployment could not be carried on');
    }
  }
  const ago = (seconds: number) => new Date(context.clock.now().getTime() - seconds * 1000);
  const overdue = await overdueVerifications(context.db, ago(overdueSeconds), ago(undecidedSeconds), 100);
  for (const one of overdue) {
    try {
      await transact(context.db, (trx) => judgeOverdue(trx, context, one));
    } catch (error) {
      // nor one task's the other tasks
      context.log.error({ err: error, task: one.id }, 'a task could not be judged');
    }
  }
  await nameMissingAfterReboot(context);
}

async function judgeOverdue(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  one: { readonly id: string; readonly asset_id: number },
): Promise<void> {
  await lockAssets(trx, [one.asset_id]);
  const task = await findTask(trx, one.id);
  if (task?.state === 'verifying') await settle(trx, context, await judgeTask(trx, context, task));
  else if (task !== undefined && isRollbackReported(task))
    await settle(trx, context, await judgeRollback(trx, context, task));
}

async function tickDeployment(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  id: string,
  listeningSince: Date,
): Promise<void> {
  const head = await tryLockDeployment(trx, id);
  if (head === undefined) return;
  const { definition } = await deploymentWithJob(trx, id);
  const now = context.clock.now();
  const standing = await standingByZone(trx, id, definition, now);
  const due = await tasksDue(trx, id, {
    now,
    silentAfterSeconds: decideOptions.silentAfterSeconds,
    stopped: isEndedDeployment(head.state),
    zonesWithoutWindow: [...standing].flatMap(([zone, one]) => (isWithoutWindow(one) ? [zone] : [])),
    limit: tasksAtOnce,
  });
  const open = await countNotEnded(trx, id, due.length + 1);
  const observed = due.map((task): TaskObservation => {
    const zone = standing.get(task.timeZone);
    const base = observationOf(task, listeningSince);
    return zone === undefined ? base : { ...base, standing: zone, withoutWindow: 'expire' };
  });
  const decision = decide(
    { state: head.state, concurrency: definition.concurrency, openRing: 0 },
    observed,
    // only what ends the deployment is decided here; offers are made when an asset asks
    { atWork: 0, notEnded: open - due.length },
    now.getTime(),
    decideOptions,
  );
  const aftermath: Aftermath = { audit: [], alerts: [] };
  const byId = new Map(due.map((task) => [task.id, task]));
  for (const command of decision.commands) {
    if (command.kind === 'complete') await complete(trx, context, id, head.state, aftermath);
    else if (command.kind !== 'offer') {
      const task = byId.get(command.taskId);
      if (task === undefined)
        throw new Error(`a command for a task that was not observed: ${command.taskId}`);
      if (command.kind === 'expire' && command.because === 'no_window_left')
        aftermath.audit.push(...(await expireWithoutWindow(trx, context, task)));
      else add(aftermath, { ...(await carryOut(trx, context, task, command)), alerts: [] });
    }
  }
  await settle(trx, context, aftermath);
}

/**
 * Whether windows are open, for each zone in which assets wait for one; nothing where it does not matter, or where an asset that
 * was away may come late, whatever windows there are.
 */
async function standingByZone(
  trx: Transact,
  id: string,
  definition: PatchJobDefinition,
  now: Date,
): Promise<Map<string, OfferStanding>> {
  if (definition.windows === undefined || definition.missed_window === 'next_chance') return new Map();
  const times = await timesOfJob(trx, definition, now);
  // which zones there are is in the facts of thousands of hosts: not to be read every second while windows are still to come
  if (outermostZones.every((zone) => !isWithoutWindow(times.standing(zone, false)))) return new Map();
  const zones = await zonesOfQueued(trx, id);
  return new Map(zones.map((zone) => [zone, times.standing(zone, false)]));
}

/** Where every local time comes first and last; what is still to come in both is still to come in all. */
const outermostZones = ['Etc/GMT-14', 'Etc/GMT+12'] as const;

function isWithoutWindow(standing: OfferStanding): boolean {
  return standing.kind === 'closed' && standing.offerAt === null;
}

async function carryOut(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  task: TaskOfAsset,
  command: Exclude<DeploymentCommand, { kind: 'offer' | 'complete' }>,
) {
  const at = context.clock.now();
  const move = { source: 'server', actor: deploymentActor, at } as const;
  if (command.kind === 'mark_unreachable') {
    const last = task.lastSeenAt === null ? 'never' : task.lastSeenAt.toISOString();
    return moveTask(trx, context, task, {
      ...move,
      to: 'unreachable',
      message: `The asset stopped answering; last seen: ${last}.`,
    });
  }
  if (command.kind === 'expire') {
    return moveTask(trx, context, task, {
      ...move,
      to: 'expired',
      reason: {
        code: 'offer_expired',
        message: 'The offer expired before the host began to install.',
        what_to_do: 'Check that the host and its agent are up, then retry the failed tasks.',
      },
    });
  }
  const retired = command.reason === 'asset_retired';
  return moveTask(trx, context, task, {
    ...move,
    to: 'cancelled',
    reason: {
      code: command.reason,
      message: retired
        ? 'The asset was retired.'
        : 'The deployment was stopped before this host began to install.',
      what_to_do: retired ? 'Nothing needs to be done.' : 'Start the job again when it may go on.',
    },
  });
}

async function complete(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  id: string,
  from: DeploymentState,
  aftermath: Aftermath,
): Promise<void> {
  await setDeploymentState(trx, id, { state: 'completed', endedAt: context.clock.now(), pauseReasons: [] });
  aftermath.audit.push({
    actor: deploymentActor,
    event: 'deployment.completed',
    subjectKind: 'deployment',
    subject: id,
    before: { state: from },
    after: { state: 'completed' },
  });
}
