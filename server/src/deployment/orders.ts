import { type AgentMode } from '@fixpoint/contract/agent.ts';
import { RollbackOrder, type SignedOrder } from '@fixpoint/contract/order.ts';
import type { RebootWait } from '@fixpoint/core/deployment/reboots.ts';
import { isAtWork, isEnded, workingState } from '@fixpoint/core/task/transitions.ts';
import { Value } from 'typebox/value';
import { appendAudits, type NewAuditEvent } from '../audit/commands.ts';
import { signOrder, type ServerKeys } from '../auth/keys.ts';
import type { Context, Transact } from '../context.ts';
import { heldBecause } from './holds.ts';
import { offer } from './offer.ts';
import { rollbackOrderOf } from './order-texts.ts';
import { deploymentHead, deploymentWithJob } from './heads.ts';
import { countAtWork, nextSequence, openTasksOfAsset, tasksOfAsset, taskWithAsset } from './reads.ts';
import { permitReboot, type TagMembers } from './reboots.ts';
import type { TaskRow } from './records.ts';
import { appendTaskEvent, freeRebootPlaces, lockAssets, noteBoot, updateTask } from './store.ts';
import { timesOfJob } from './times.ts';

export interface AskingAgent {
  readonly assetId: number;
  readonly uid: string;
  readonly mode: AgentMode;
  readonly bootId: string;
  /** Who is in the tags that its reboots depend on; see `rebootMembers`. */
  readonly members: TagMembers;
  /** What the agent's journal holds as not ended, if it says. */
  readonly tasks?:
    | readonly { readonly task_id: string; readonly generation: number; readonly state: string }[]
    | undefined;
}

export interface OrdersForAgent {
  readonly orders: SignedOrder[];
  /** Tasks that the agent is to give up where it has not begun to install. */
  readonly cancelled: string[];
  /** Tasks that it must not begin, or reboot for, until it is answered without them. */
  readonly held: string[];
}

/** For so long an agent that does not say what it holds is told of tasks that were taken back. */
const rememberedDays = 7;

/**
 * What an asset that has just checked in is to do. A task is offered once in each generation: it gets its number and its
 * signature here, and both are committed with the state before the answer leaves. Until the agent reports on it, the very
 * same text is sent again at each check-in, so an answer that was lost on the way costs nothing; the agent knows the number.
 * The same holds for permissions to reboot and for rollbacks.
 */
export async function ordersFor(
  trx: Transact,
  context: Pick<Context, 'clock'> & { readonly keys: ServerKeys },
  agent: AskingAgent,
): Promise<OrdersForAgent> {
  await lockAssets(trx, [agent.assetId]);
  const now = context.clock.now();
  await noteBoot(trx, agent.assetId, agent.bootId, now);
  await freeRebootPlaces(trx, agent.assetId);
  const endedSince = new Date(now.getTime() - rememberedDays * 86_400_000);
  const tasks = await tasksOfAsset(trx, agent.assetId, endedSince);
  const orders: SignedOrder[] = [];
  const held: string[] = [];
  const audit: NewAuditEvent[] = [];
  const open = tasks.filter((task) => !isEnded(task.state));
  const isBusyBesides = (given: TaskRow) => open.some((task) => task.id !== given.id && isAtWork(task));
  let busy = open.some(isAtWork);
  for (const task of open) {
    if ((await heldBecause(trx, task, now)) !== null) held.push(task.id);
    let order: SignedOrder | null = null;
    if (task.state === 'offered') order = await orderAgain(trx, task, now);
    else if (task.state === 'rolling_back') order = await rollbackOrder(trx, context, task, agent, now);
    else if (task.state === 'queued' && !busy) {
      const offered = await offer(trx, context, task, agent, now);
      audit.push(...offered.audit);
      order = offered.order;
      busy ||= order !== null;
    } else if (task.state === 'reboot_pending') {
      const permitted = await permitReboot(trx, context, task, {
        bootId: agent.bootId,
        members: agent.members,
        busy: isBusyBesides(task),
        reportedState: reported(agent, task)?.state,
      });
      audit.push(...permitted.audit);
      order = permitted.order;
    }
    if (order !== null) orders.push(order);
  }
  await appendAudits(trx, context, audit);
  return { orders, cancelled: takenBack(tasks, agent), held };
}

function reported(agent: AskingAgent, task: TaskRow) {
  return agent.tasks?.find((one) => one.task_id === task.id && one.generation === task.generation);
}

/** The order that the agent has not reported on yet, in the same words; not while its deployment stands still. */
async function orderAgain(trx: Transact, task: TaskRow, now: Date): Promise<SignedOrder | null> {
  if (task.expiresAt !== null && task.expiresAt <= now) return null;
  const head = await deploymentHead(trx, task.deploymentId);
  return head?.state === 'running' ? task.signedOrder : null;
}

/**
 * The order to put back what a task changed, until the agent reports on it. Neither a halted deployment nor a closed window holds
 * it back: it makes good what was done wrong. One that was not taken up in time is given anew.
 */
async function rollbackOrder(
  trx: Transact,
  context: Pick<Context, 'clock'> & { readonly keys: ServerKeys },
  task: TaskRow,
  agent: AskingAgent,
  now: Date,
): Promise<SignedOrder | null> {
  if (task.eventIndex >= 0 || reported(agent, task) !== undefined) return null;
  if (task.signedOrder !== null && isGood(task.signedOrder, now)) return task.signedOrder;
  const { definition } = await deploymentWithJob(trx, task.deploymentId);
  const sequence = await nextSequence(trx, task.assetId);
  const text = rollbackOrderOf(task, definition, { sequence, now });
  const order = signOrder(context.keys, JSON.stringify(text));
  await updateTask(trx, task.id, { sequence, signedOrder: order, offeredAt: now, progressAt: now });
  await appendTaskEvent(trx, task.id, {
    at: now,
    from: task.state,
    to: task.state,
    source: 'server',
    message: 'The host is ordered to put back what was there before.',
    detail: { sequence, generation: task.generation, undoes_generation: task.undoesGeneration },
  });
  return order;
}

function isGood({ payload }: SignedOrder, now: Date): boolean {
  const order = Value.Parse(RollbackOrder, JSON.parse(payload));
  return Date.parse(order.expires_at) > now.getTime();
}

/** Tasks that an agent may hold and that nobody wants any more. */
function takenBack(tasks: readonly TaskRow[], agent: AskingAgent): string[] {
  const ended = tasks.filter((task) => isEnded(task.state)).map((task) => task.id);
  if (agent.tasks === undefined) return ended;
  const open = new Map(
    tasks.filter((task) => !isEnded(task.state)).map((task) => [task.id, task.generation]),
  );
  const isWanted = (one: { readonly task_id: string; readonly generation: number }) =>
    open.get(one.task_id) === one.generation;
  // What it holds of an earlier generation, or of a task that is not open, is of no use to anybody. But tasks are given up by
  // their id: one that it holds in its present generation too is seen to its end.
  const wanted = new Set(agent.tasks.filter(isWanted).map((one) => one.task_id));
  const held = agent.tasks.filter((one) => !wanted.has(one.task_id)).map((one) => one.task_id);
  return [...new Set(held)];
}

/** Whether the asset should come back soon: it is at work, was missed, or an order would be there for it. */
export async function hasActiveTask(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  assetId: number,
): Promise<boolean> {
  for (const task of await openTasksOfAsset(trx, assetId)) {
    if (task.state === 'unreachable') return true;
    if (await isActive(trx, task, context.clock.now())) return true;
  }
  return false;
}

/** Whether a task is at work on the asset, or about to be. One whose asset does not answer any more is not. */
export async function isWorkUnderWay(trx: Transact, assetId: number): Promise<boolean> {
  for (const task of await openTasksOfAsset(trx, assetId)) {
    if (task.state === 'unreachable') continue;
    if (isAtWork(task)) return true;
    if (task.state === 'queued' && (await deploymentHead(trx, task.deploymentId))?.state === 'running')
      return true;
  }
  return false;
}

const waitsForOthers: ReadonlySet<string> = new Set<RebootWait>([
  'reboot_not_awaited',
  'reboot_held',
  'reboot_tag_unknown',
  'reboot_order',
  'reboot_limit_reached',
]);

async function isActive(trx: Transact, task: TaskRow, now: Date): Promise<boolean> {
  const state = workingState(task);
  const waits = state === 'queued' || state === 'waiting_for_window' || state === 'reboot_pending';
  if (!waits) return isAtWork(task);
  const head = await deploymentWithJob(trx, task.deploymentId);
  if (head.state !== 'running') return false;
  const { definition } = head;
  const asset = await taskWithAsset(trx, task.id);
  if (asset === undefined) throw new Error(`task ${task.id} is not there any more`);
  const times = await timesOfJob(trx, definition, now);
  const missed = task.missedWindowAt !== null;
  if (state === 'reboot_pending') {
    // who waits for others is one of thousands, and need not ask every second
    if (waitsForOthers.has(task.reason?.code ?? '')) return false;
    const byServer = definition.reboot !== undefined && definition.reboot.mode !== 'suppress';
    const isPutOff = task.rebootAfter !== null && task.rebootAfter > now;
    return byServer && !isPutOff && times.rebootStanding(asset.timeZone, missed).kind === 'open';
  }
  const standing = times.standing(asset.timeZone, missed).kind;
  if (state === 'waiting_for_window') return standing === 'open';
  // while all places are taken, thousands of waiting assets need not ask every second
  return standing !== 'closed' && (await countAtWork(trx, task.deploymentId)) < definition.concurrency;
}
