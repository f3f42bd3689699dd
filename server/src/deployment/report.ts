import { createHash } from 'node:crypto';
import type {
  RefusalReport,
  TaskEvent,
  TaskEventsRequest,
  TaskEventsResponse,
} from '@fixpoint/contract/agent.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { sameDigests } from '@fixpoint/core/inventory/digest.ts';
import { InventoryDigestsSchema } from '@fixpoint/contract/inventory.ts';
import { explainRefusal, failureReason, refusalReason } from '@fixpoint/core/task/reasons.ts';
import { checkTransition, isEnded, workingState } from '@fixpoint/core/task/transitions.ts';
import { Value } from 'typebox/value';
import { stampHeard } from '../asset/commands.ts';
import { appendAudits, type NewAuditEvent } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { isRaised, raiseAlert, type NewAlert } from '../notify/commands.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { deploymentActor, moveTask } from './move.ts';
import { assetFacts, findTask, hasTaskEvent, openTasksOfAsset } from './reads.ts';
import type { TaskRow } from './records.ts';
import { appendTaskEvent, lockAssets, updateTask } from './store.ts';
import { judgeTask, type Aftermath } from './verification.ts';

export interface ReportingAgent {
  readonly assetId: number;
  readonly uid: string;
}

const actorOf = (agent: ReportingAgent): Actor => ({ kind: 'agent', name: agent.uid });

/** When the agent says that it happened; now, when its text is no time after all (a leap second, year 0000). */
function timeOf(text: string, context: Pick<Context, 'clock'>): Date {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) || at.getUTCFullYear() < 1 ? context.clock.now() : at;
}

/** What comes last in a transaction, because it locks the audit chain. */
export async function settle(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  aftermath: Aftermath,
): Promise<void> {
  await appendAudits(trx, context, aftermath.audit);
  for (const alert of aftermath.alerts) await raiseAlert(trx, context, alert);
}

/**
 * Takes what an agent's journal says about a task. Events count from 0 in each generation; a repeat is answered and not
 * applied. An event that the table of transitions does not allow is kept in the task's history and refused; the rest of what
 * was sent is applied all the same.
 */
export async function reportTaskEvents(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  agent: ReportingAgent,
  report: TaskEventsRequest,
): Promise<Answer<TaskEventsResponse>> {
  await lockAssets(trx, [agent.assetId]);
  const found = await findTask(trx, report.task_id);
  if (found === undefined || found.assetId !== agent.assetId) {
    return refuse(404, 'task_unknown', 'this asset has no such task', 'forget the task');
  }
  if (report.generation !== found.generation) return await otherGeneration(trx, context, found, report);

  const aftermath: Aftermath = { audit: [], alerts: [] };
  let task = await resumed(trx, context, found, aftermath);
  let refusal: Refusal | null = null;
  const events = report.events.toSorted((a, b) => a.index - b.index);
  for (const event of events) {
    if (event.index <= task.eventIndex) continue;
    if (event.index > task.eventIndex + 1) {
      refusal ??= refuse(
        409,
        'event_gap',
        `event ${String(event.index)} came, but the one after ${String(task.eventIndex)} is still missing`,
        `send the events from index ${String(task.eventIndex + 1)} on`,
      );
      break;
    }
    const applied = await applyEvent(trx, context, agent, task, event, aftermath);
    task = applied.task;
    refusal ??= applied.refusal;
  }
  await settle(trx, context, aftermath);
  return refusal ?? answer({ accepted_index: task.eventIndex, ended: isEnded(task.state) });
}

async function applyEvent(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  agent: ReportingAgent,
  given: TaskRow,
  event: TaskEvent,
  aftermath: Aftermath,
): Promise<{ task: TaskRow; refusal: Refusal | null }> {
  const at = timeOf(event.at, context);
  const message = event.message ?? null;
  const check = checkTransition(given, event.state, 'agent');
  if (!check.ok || !check.change) {
    const refused = check.ok ? {} : { refused: check.code, reported: event.state };
    await appendTaskEvent(trx, given.id, {
      at,
      from: given.state,
      to: given.state,
      source: 'agent',
      message: check.ok ? message : `${check.message}${message === null ? '' : ` — ${message}`}`,
      detail: { ...event.detail, ...refused },
    });
    await updateTask(trx, given.id, { eventIndex: event.index });
    const task = { ...given, eventIndex: event.index };
    // a host that has not heard yet how its task ended does nothing wrong
    const wrong = !check.ok && !isEnded(given.state);
    return {
      task,
      refusal: wrong
        ? refuse(409, check.code, check.message, 'the event is kept in the history of the task')
        : null,
    };
  }
  const failure = event.state === 'failed' ? (event.failure ?? 'agent_error') : null;
  const moved = await moveTask(trx, context, given, {
    to: event.state,
    source: 'agent',
    actor: actorOf(agent),
    at,
    message,
    detail: event.detail ?? null,
    reason: failure === null ? null : failureReason(failure, message ?? undefined),
    change: { eventIndex: event.index },
  });
  aftermath.audit.push(...moved.audit);
  let task = moved.task;
  if (task.state === 'verifying' && (await inventoryIsHere(trx, task, event))) {
    const judged = await judgeTask(trx, context, task);
    aftermath.audit.push(...judged.audit);
    aftermath.alerts.push(...judged.alerts);
    task = judged.task;
  }
  return { task, refusal: null };
}

/** Whether the inventory that the agent wants to be judged by is the one that is stored. */
async function inventoryIsHere(trx: Transact, task: TaskRow, event: TaskEvent): Promise<boolean> {
  if (event.digests === undefined) return false;
  const [asset] = await assetFacts(trx, [task.assetId], null);
  if (asset === undefined || !Value.Check(InventoryDigestsSchema, asset.digests)) return false;
  return sameDigests(asset.digests, event.digests);
}

/** A host that reports is reachable. */
async function resumed(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  task: TaskRow,
  aftermath: Aftermath,
): Promise<TaskRow> {
  if (task.state !== 'unreachable') return task;
  // With it, and not in the next batch of contacts: else the tick finds the asset as silent as before.
  await stampHeard(trx, task.assetId, context.clock.now());
  const moved = await moveTask(trx, context, task, {
    to: workingState(task),
    source: 'server',
    actor: deploymentActor,
    at: context.clock.now(),
    message: 'The asset answers again.',
  });
  aftermath.audit.push(...moved.audit);
  return moved.task;
}

/** Reports about an order that has been replaced (or was never given) change nothing, but they are kept. */
async function otherGeneration(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  task: TaskRow,
  report: TaskEventsRequest,
): Promise<Refusal> {
  for (const event of report.events) {
    const mark = { generation: report.generation, index: event.index };
    if (await hasTaskEvent(trx, task.id, mark)) continue;
    await appendTaskEvent(trx, task.id, {
      at: timeOf(event.at, context),
      from: task.state,
      to: task.state,
      source: 'agent',
      message: `Reported for generation ${String(report.generation)}, which is not the current one: ${event.state}`,
      detail: { ...event.detail, ...mark, reported: event.state },
    });
  }
  return report.generation < task.generation
    ? refuse(
        409,
        'generation_superseded',
        'this order was replaced by a later one',
        'forget this generation of the task',
      )
    : refuse(
        409,
        'generation_unknown',
        'no order of that generation was ever given',
        'forget this generation of the task',
      );
}

/**
 * Takes note that a host does not obey an order. Its task fails only when the refused text is the very one that was signed
 * for it: what somebody else sent to the host in our name must not end our own task.
 */
export async function reportRefusal(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  agent: ReportingAgent,
  report: RefusalReport,
): Promise<Answer<{ task_failed: boolean }>> {
  await lockAssets(trx, [agent.assetId]);
  const aftermath: Aftermath = { audit: [], alerts: [] };
  const found = report.task_id === null ? undefined : await findTask(trx, report.task_id);
  const ours =
    found !== undefined &&
    found.assetId === agent.assetId &&
    found.signedOrder !== null &&
    createHash('sha256').update(found.signedOrder.payload, 'utf8').digest('hex') === report.payload_digest;
  let failed = false;
  let name = agent.uid;
  if (found !== undefined && found.assetId === agent.assetId) name = found.planned.hostname;
  if (found !== undefined && ours && !isEnded(found.state)) {
    const task = await resumed(trx, context, found, aftermath);
    if (checkTransition(task, 'failed', 'agent').ok) {
      const moved = await moveTask(trx, context, task, {
        to: 'failed',
        source: 'agent',
        actor: actorOf(agent),
        at: timeOf(report.at, context),
        message: report.message,
        detail: { refusal: report.reason, payload_digest: report.payload_digest },
        reason: refusalReason(report.reason, report.message),
      });
      aftermath.audit.push(...moved.audit);
      failed = true;
    }
  }
  const alert = refusalAlert(agent, name, report, ours);
  // The asset is locked, and the key names it: nobody else raises this alert meanwhile.
  const isNews = failed || !(await isRaised(trx, alert.deduplicationKey));
  const refused: NewAuditEvent = {
    actor: actorOf(agent),
    event: 'asset.order_refused',
    subjectKind: 'asset',
    subject: agent.uid,
    reason: report.message,
    after: {
      refusal: report.reason,
      task: report.task_id,
      payload_digest: report.payload_digest,
      issued_by_this_server: ours,
    },
  };
  await settle(trx, context, {
    audit: [...(isNews ? [refused] : []), ...aftermath.audit],
    alerts: isNews ? [alert] : [],
  });
  return answer({ task_failed: failed });
}

function refusalAlert(agent: ReportingAgent, name: string, report: RefusalReport, ours: boolean): NewAlert {
  const explanation = explainRefusal(report.reason);
  // Our own text under a signature or key that is not ours was changed on its way as surely as a text of somebody else's.
  const tampered = !ours || report.reason === 'signature_invalid' || report.reason === 'key_unknown';
  return {
    kind: 'order_refused',
    severity: tampered ? 'critical' : 'warning',
    subjectKind: 'asset',
    subject: agent.uid,
    message: ours
      ? `${name} refused an order (${report.reason}): ${explanation.message}`
      : `${name} refused an order that this server did not issue (${report.reason}): ${explanation.message}`,
    whatToDo: !tampered
      ? explanation.whatToDo
      : 'Somebody or something between server and host sends orders or changes them. Find out who.',
    detail: { message: report.message, task: report.task_id, payload_digest: report.payload_digest },
    deduplicationKey: `order_refused:${agent.uid}:${report.reason}:${report.payload_digest}`,
  };
}

/** An asset was heard: what waited for it goes on. */
export async function assetHeard(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  assetId: number,
): Promise<void> {
  const unreachable = (await openTasksOfAsset(trx, assetId)).some((task) => task.state === 'unreachable');
  if (!unreachable) return;
  await lockAssets(trx, [assetId]);
  const aftermath: Aftermath = { audit: [], alerts: [] };
  for (const task of await openTasksOfAsset(trx, assetId)) await resumed(trx, context, task, aftermath);
  await settle(trx, context, aftermath);
}

/** A new inventory is stored: tasks that wait for their verification are judged by it. */
export async function afterInventory(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  assetId: number,
): Promise<void> {
  await lockAssets(trx, [assetId]);
  const aftermath: Aftermath = { audit: [], alerts: [] };
  for (const open of await openTasksOfAsset(trx, assetId)) {
    const task = await resumed(trx, context, open, aftermath);
    if (!['verifying', 'restart_pending', 'reboot_pending'].includes(task.state)) continue;
    const judged = await judgeTask(trx, context, task);
    aftermath.audit.push(...judged.audit);
    aftermath.alerts.push(...judged.alerts);
  }
  await settle(trx, context, aftermath);
}
