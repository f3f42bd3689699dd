import type { AgentMode } from '@fixpoint/contract/agent.ts';
import type { SignedOrder } from '@fixpoint/contract/order.ts';
import { decide } from '@fixpoint/core/deployment/decide.ts';
import type { NewAuditEvent } from '../audit/commands.ts';
import { signOrder, type ServerKeys } from '../auth/keys.ts';
import type { Context, Transact } from '../context.ts';
import { isDenied } from './holds.ts';
import { deploymentActor, moveTask } from './move.ts';
import { decideOptions, observationOf } from './observe.ts';
import { installOrderOf } from './order-texts.ts';
import { deploymentWithJob } from './heads.ts';
import { countAtWork, nextSequence, taskWithAsset } from './reads.ts';
import type { TaskRow } from './records.ts';
import { tryLockDeployment, updateTask } from './store.ts';
import { hasMissedWindow, timesOfJob } from './times.ts';

/** Hands out the order of a queued task to the asset that asks, if it may have it now. */

export interface Offered {
  readonly order: SignedOrder | null;
  readonly audit: NewAuditEvent[];
}
const nothing: Offered = { order: null, audit: [] };

/** The task is locked, with its asset. Nothing is offered to others meanwhile, so that concurrency is held exactly. */
export async function offer(
  trx: Transact,
  context: Pick<Context, 'clock'> & { readonly keys: ServerKeys },
  task: TaskRow,
  agent: { readonly mode: AgentMode },
  now: Date,
): Promise<Offered> {
  const before = await deploymentWithJob(trx, task.deploymentId);
  const { definition } = before;
  const observed = await taskWithAsset(trx, task.id);
  if (observed === undefined) throw new Error(`task ${task.id} is not there any more`);
  // before anything that can fail: with the next check-in the asset is one that was heard of
  let missed = task.missedWindowAt !== null;
  if (!missed && (await hasMissedWindow(trx, definition, observed, task.updatedAt, now))) {
    await updateTask(trx, task.id, { missedWindowAt: now });
    missed = true;
  }
  if (before.state !== 'running') return nothing;
  const times = await timesOfJob(trx, definition, now);
  const standing = times.standing(observed.timeZone, missed);
  // who has to wait anyway does not lock the deployment, which others need for their offers, and the tick
  const hasToWait =
    standing.kind === 'closed'
      ? standing.offerAt !== null
      : (await countAtWork(trx, task.deploymentId)) >= definition.concurrency;
  if (hasToWait && agent.mode === 'manage') return nothing;

  // the row's lock makes the count of those at work exact; somebody else has it: come again in a moment
  const head = await tryLockDeployment(trx, task.deploymentId);
  if (head === undefined || head.state !== 'running') return nothing;
  if (agent.mode !== 'manage') return await skipAssessOnly(trx, context, task, now);
  const decision = decide(
    { state: head.state, concurrency: definition.concurrency, openRing: 0 },
    [
      {
        ...observationOf(observed, null, true),
        standing,
        withoutWindow: 'expire',
        denied: await isDenied(trx, task),
      },
    ],
    // when the deployment is complete the tick decides
    { atWork: await countAtWork(trx, task.deploymentId), notEnded: 1 },
    now.getTime(),
    decideOptions,
  );
  if (decision.commands.some((command) => command.kind === 'expire')) {
    return { order: null, audit: await expireWithoutWindow(trx, context, task) };
  }
  const isOffer = decision.commands.some((command) => command.kind === 'offer');
  if (!isOffer || standing.kind === 'closed') return nothing;

  const sequence = await nextSequence(trx, task.assetId);
  const made = installOrderOf(
    task,
    definition,
    { sequence, now },
    times.of(observed.timeZone, missed),
    standing,
  );
  const signedOrder = signOrder(context.keys, JSON.stringify(made.order));
  const moved = await moveTask(trx, context, task, {
    to: 'offered',
    source: 'server',
    actor: deploymentActor,
    at: now,
    change: { sequence, signedOrder, expiresAt: made.expiresAt, offeredAt: now, eventIndex: -1 },
  });
  return { order: signedOrder, audit: moved.audit };
}

async function skipAssessOnly(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  task: TaskRow,
  now: Date,
): Promise<Offered> {
  const skipped = await moveTask(trx, context, task, {
    to: 'skipped',
    source: 'server',
    actor: deploymentActor,
    at: now,
    reason: {
      code: 'assess_only',
      message: 'The agent of this asset only reports since the plan was made.',
      what_to_do: 'Enrol it in manage mode on the host itself, then start the job again.',
    },
  });
  return { order: null, audit: skipped.audit };
}

/** Ends a queued task whose job has no window any more. */
export async function expireWithoutWindow(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  task: TaskRow,
): Promise<NewAuditEvent[]> {
  const moved = await moveTask(trx, context, task, {
    to: 'expired',
    source: 'server',
    actor: deploymentActor,
    at: context.clock.now(),
    reason: {
      code: 'no_window_left',
      message: 'No window of the job opens for this asset within the next 400 days.',
      what_to_do: 'Create a job with windows that are still to come, and start it.',
    },
  });
  return moved.audit;
}
