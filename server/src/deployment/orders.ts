import { Value } from 'typebox/value';
import { type AgentMode } from '@fixpoint/contract/agent.ts';
import { Order, type SignedOrder } from '@fixpoint/contract/order.ts';
import type { PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import { decide } from '@fixpoint/core/deployment/decide.ts';
import { isAtWork, isEnded, workingState } from '@fixpoint/core/task/transitions.ts';
import { appendAudits, type NewAuditEvent } from '../audit/commands.ts';
import { signOrder, type ServerKeys } from '../auth/keys.ts';
import type { Context, Transact } from '../context.ts';
import { getJob } from '../patch-job/commands.ts';
import { deploymentActor, moveTask } from './move.ts';
import { decideOptions, observationOf } from './observe.ts';
import {
  deploymentHead,
  nextSequence,
  openCounts,
  openTasksOfAsset,
  tasksOfAsset,
  taskWithAsset,
} from './reads.ts';
import type { TaskRow } from './records.ts';
import { lockAssets, tryLockDeployment } from './store.ts';

export interface AskingAgent {
  readonly assetId: number;
  readonly uid: string;
  readonly mode: AgentMode;
  /** What the agent's journal holds as not ended, if it says. */
  readonly tasks?: readonly { readonly task_id: string; readonly generation: number }[] | undefined;
}

export interface OrdersForAgent {
  readonly orders: SignedOrder[];
  /** Tasks that the agent is to give up where it has not begun to install. */
  readonly cancelled: string[];
}

/** For so long an agent that does not say what it holds is told of tasks that were taken back. */
const rememberedDays = 7;

/**
 * What an asset that has just checked in is to do. A task is offered once in each generation: it gets its number and its
 * signature here, and both are committed with the state before the answer leaves. Until the agent reports on it, the very
 * same text is sent again at each check-in, so an answer that was lost on the way costs nothing; the agent knows the number.
 */
export async function ordersFor(
  trx: Transact,
  context: Pick<Context, 'clock'> & { readonly keys: ServerKeys },
  agent: AskingAgent,
): Promise<OrdersForAgent> {
  await lockAssets(trx, [agent.assetId]);
  const now = context.clock.now();
  const endedSince = new Date(now.getTime() - rememberedDays * 86_400_000);
  const tasks = await tasksOfAsset(trx, agent.assetId, endedSince);
  const orders: SignedOrder[] = [];
  const audit: NewAuditEvent[] = [];
  let busy = tasks.some((task) => !isEnded(task.state) && isAtWork(task));
  for (const task of tasks) {
    if (task.state === 'offered') {
      const again = await orderAgain(trx, task, now);
      if (again !== null) orders.push(again);
    } else if (task.state === 'queued' && !busy) {
      const offered = await offer(trx, context, task, agent, now);
      audit.push(...offered.audit);
      if (offered.order !== null) {
        orders.push(offered.order);
        busy = true;
      }
    }
  }
  await appendAudits(trx, context, audit);
  return { orders, cancelled: takenBack(tasks, agent) };
}

/** The order that the agent has not reported on yet, in the same words; not while its deployment stands still. */
async function orderAgain(trx: Transact, task: TaskRow, now: Date): Promise<SignedOrder | null> {
  if (task.expiresAt !== null && task.expiresAt <= now) return null;
  const head = await deploymentHead(trx, task.deploymentId);
  return head?.state === 'running' ? task.signedOrder : null;
}

/** Tasks that an agent may hold and that nobody wants any more. */
function takenBack(tasks: readonly TaskRow[], agent: AskingAgent): string[] {
  const ended = tasks.filter((task) => isEnded(task.state)).map((task) => task.id);
  if (agent.tasks === undefined) return ended;
  const open = new Map(
    tasks.filter((task) => !isEnded(task.state)).map((task) => [task.id, task.generation]),
  );
  // what it holds of an earlier generation, or of a task that is not open, is of no use to anybody
  const held = agent.tasks
    .filter((one) => open.get(one.task_id) !== one.generation)
    .map((one) => one.task_id);
  return [...new Set(held)];
}

async function offer(
  trx: Transact,
  context: Pick<Context, 'clock'> & { readonly keys: ServerKeys },
  task: TaskRow,
  agent: AskingAgent,
  now: Date,
): Promise<{ order: SignedOrder | null; audit: NewAuditEvent[] }> {
  // the row's lock makes the count of those at work exact; somebody else has it: come again in a moment
  const head = await tryLockDeployment(trx, task.deploymentId);
  if (head === undefined || head.state !== 'running') return { order: null, audit: [] };
  if (agent.mode !== 'manage') {
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
  const job = await getJob(trx, head.jobId);
  if (!job.ok) throw new Error(`deployment ${task.deploymentId} is of a job that is not there`);
  const { definition } = job.value;
  const observed = await taskWithAsset(trx, task.id);
  if (observed === undefined) throw new Error(`task ${task.id} is not there any more`);
  const counts = await openCounts(trx, task.deploymentId);
  const decision = decide(
    { state: head.state, concurrency: definition.concurrency, openRing: 0 },
    [observationOf(observed, null, true)],
    { atWork: counts.atWork, notEnded: counts.notEnded - 1 },
    now.getTime(),
    decideOptions,
  );
  if (!decision.commands.some((command) => command.kind === 'offer')) return { order: null, audit: [] };

  const sequence = await nextSequence(trx, task.assetId);
  const expiresAt = new Date(now.getTime() + definition.expire_after_seconds * 1000);
  const order = signOrder(
    context.keys,
    JSON.stringify(orderOf(task, definition, { sequence, now, expiresAt })),
  );
  const moved = await moveTask(trx, context, task, {
    to: 'offered',
    source: 'server',
    actor: deploymentActor,
    at: now,
    change: { sequence, signedOrder: order, expiresAt, offeredAt: now, eventIndex: -1 },
  });
  return { order, audit: moved.audit };
}

function orderOf(
  task: TaskRow,
  definition: PatchJobDefinition,
  offerOf: { readonly sequence: number; readonly now: Date; readonly expiresAt: Date },
): Order {
  return Value.Parse(Order, {
    format: 1,
    action: 'install',
    asset_id: task.planned.asset_id,
    task_id: task.id,
    deployment_id: task.deploymentId,
    generation: task.generation,
    sequence: offerOf.sequence,
    issued_at: offerOf.now.toISOString(),
    expires_at: offerOf.expiresAt.toISOString(),
    packages: task.planned.packages,
    ...(task.planned.mitigations === undefined
      ? {}
      : { mitigations: task.planned.mitigations.map(({ action, mitigation }) => ({ action, mitigation })) }),
    units: definition.units,
    install_timeout_seconds: definition.install_timeout_seconds,
  });
}

/** Whether the asset should come back soon: it is at work, was missed, or an order would be there for it. */
export async function hasActiveTask(trx: Transact, assetId: number): Promise<boolean> {
  for (const task of await openTasksOfAsset(trx, assetId)) {
    if (task.state === 'unreachable') return true;
    if (workingState(task) !== 'queued') {
      if (isAtWork(task)) return true;
      continue;
    }
    const head = await deploymentHead(trx, task.deploymentId);
    if (head?.state !== 'running') continue;
    const job = await getJob(trx, head.jobId);
    // while all places are taken, thousands of waiting assets need not ask every second
    if (job.ok && (await openCounts(trx, task.deploymentId)).atWork < job.value.definition.concurrency)
      return true;
  }
  return false;
}
