import type { TaskEvent, TaskEventsRequest, TaskEventsResponse } from '@fixpoint/contract/agent.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { failureReason } from '@fixpoint/core/task/reasons.ts';
import { checkTransition, isEnded, workingState } from '@fixpoint/core/task/transitions.ts';
import { stampHeard } from '../asset/commands.ts';
import type { Context, Transact } from '../context.ts';
import { notePoisoned } from '../distribution/poisoned.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { add, settle, type Aftermath } from './aftermath.ts';
import { deploymentActor, moveTask } from './move.ts';
import { findTask, hasTaskEvent, openTasksOfAsset } from './reads.ts';
import { askedAgainAt, givePlaceBack, hostGoesDown } from './reboots.ts';
import type { TaskRow } from './records.ts';
import { rollBackAfterFailure } from './rollback.ts';
import {
  isInventoryHere,
  isRollbackReported,
  judgeRollback,
  rollbackFailedAlert,
  rollbackReported,
} from './rollback-verification.ts';
import { appendTaskEvent, freeRebootPlaces, lockAssets, noteBoot, updateTask } from './store.ts';
import { judgeTask } from './verification.ts';

export interface ReportingAgent {
  readonly assetId: number;
  readonly uid: string;
}

export const actorOf = (agent: ReportingAgent): Actor => ({ kind: 'agent', name: agent.uid });

/** When the agent says that it happened; now, when its text is no time after all (a leap second, year 0000). */
export function timeOf(text: string, context: Pick<Context, 'clock'>): Date {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) || at.getUTCFullYear() < 1 ? context.clock.now() : at;
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
  let accepted = task.eventIndex;
  const events = report.events.toSorted((a, b) => a.index - b.index);
  for (const [place, event] of events.entries()) {
    if (task.generation !== report.generation) {
      // What came before has led to a rollback, which is a generation of its own.
      await keepOtherGeneration(trx, context, task, { ...report, events: events.slice(place) });
      accepted = events.at(-1)?.index ?? accepted;
      break;
    }
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
    accepted = event.index;
    refusal ??= applied.refusal;
  }
  await freeRebootPlaces(trx, agent.assetId);
  await settle(trx, context, aftermath);
  return refusal ?? answer({ accepted_index: accepted, ended: isEnded(task.state) });
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
  if (event.detail?.distribution !== undefined) {
    const { planned, id: taskId, generation } = given;
    const reporter = { uid: agent.uid, hostname: planned.hostname, taskId, generation };
    const poisoned = await notePoisoned(trx, context, reporter, event);
    add(aftermath, poisoned);
  }
  if (given.state === 'rolling_back')
    return { task: await applyRollbackEvent(trx, context, agent, given, event, aftermath), refusal: null };
  const check = checkTransition(given, event.state, 'agent');
  const detail = eventDetail(given, event);
  if (!check.ok || !check.change) {
    const refused = check.ok ? {} : { refused: check.code, reported: event.state };
    await appendTaskEvent(trx, given.id, {
      at,
      from: given.state,
      to: given.state,
      source: 'agent',
      message: check.ok ? message : `${check.message}${message === null ? '' : ` — ${message}`}`,
      detail: { ...detail, ...refused },
    });
    await updateTask(trx, given.id, { eventIndex: event.index, progressAt: context.clock.now() });
    if (check.ok) await applyReboot(trx, context, given, event);
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
    detail,
    reason: failure === null ? null : failureReason(failure, message ?? undefined),
    change: { eventIndex: event.index },
  });
  aftermath.audit.push(...moved.audit);
  let task = moved.task;
  await applyReboot(trx, context, given, event);
  if (task.state === 'failed') {
    const undone = await rollBackAfterFailure(trx, context, task);
    add(aftermath, undone);
    task = undone.task;
  }
  if (task.state === 'verifying' && (await isInventoryHere(trx, task.assetId, event.digests))) {
    const judged = await judgeTask(trx, context, task);
    add(aftermath, judged);
    task = judged.task;
  }
  return { task, refusal: null };
}

/** What an event says besides its state, as it is kept. What was kept is looked up by its generation later. */
function eventDetail(task: TaskRow, event: TaskEvent): object | null {
  if (event.detail?.kept === undefined) return event.detail ?? null;
  return { ...event.detail, generation: task.generation };
}

/** What an event says of the reboot of its host; `given`: the task as it was before. */
async function applyReboot(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  given: TaskRow,
  event: TaskEvent,
): Promise<void> {
  const reboot = event.detail?.reboot;
  const now = context.clock.now();
  if (event.state === 'rebooting' && given.state !== 'rebooting')
    await hostGoesDown(trx, given, reboot?.boot_id_before, now);
  if (event.state === 'rebooting' && reboot?.boot_id_after !== undefined)
    await noteBoot(trx, given.assetId, reboot.boot_id_after, now);
  if (event.state === 'reboot_pending' && (reboot?.given_back === true || given.state === 'rebooting'))
    await givePlaceBack(trx, given, askedAgainAt(event.detail?.waits_until, now));
}

/**
 * An event of a rollback. It says how far the host is; what came of it the inventory says, which the last event names. So it goes
 * on by steps of the same words as an installation, and none of them moves the task.
 */
async function applyRollbackEvent(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  agent: ReportingAgent,
  given: TaskRow,
  event: TaskEvent,
  aftermath: Aftermath,
): Promise<TaskRow> {
  const at = timeOf(event.at, context);
  const message = event.message ?? null;
  if (event.state === 'failed') {
    const why = `${message ?? ''} (${event.failure ?? 'agent_error'})`.trim();
    const moved = await moveTask(trx, context, given, {
      to: 'failed',
      source: 'agent',
      actor: actorOf(agent),
      at,
      message,
      detail: event.detail ?? null,
      reason: failureReason('rollback_failed', why),
      change: { eventIndex: event.index },
    });
    add(aftermath, { audit: moved.audit, alerts: [rollbackFailedAlert(given, why)] });
    return moved.task;
  }
  await appendTaskEvent(trx, given.id, {
    at,
    from: given.state,
    to: given.state,
    source: 'agent',
    message,
    detail: { ...event.detail, ...(event.state === given.state ? {} : { reported: event.state }) },
  });
  const now = context.clock.now();
  await updateTask(trx, given.id, { eventIndex: event.index, progressAt: now });
  const task = { ...given, eventIndex: event.index };
  const pending = event.state === 'restart_pending' || event.state === 'reboot_pending' ? event.state : null;
  const digests = event.digests ?? null;
  if (digests === null && pending === null) return task;
  const reported = await rollbackReported(trx, task, { digests, pending }, now);
  if (!(await isInventoryHere(trx, task.assetId, event.digests))) return reported;
  const judged = await judgeRollback(trx, context, reported);
  add(aftermath, judged);
  return judged.task;
}

/** A host that reports is reachable. */
export async function resumed(
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
  await keepOtherGeneration(trx, context, task, report);
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

async function keepOtherGeneration(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  task: TaskRow,
  report: TaskEventsRequest,
): Promise<void> {
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
    if (isRollbackReported(task)) add(aftermath, await judgeRollback(trx, context, task));
    else if (['verifying', 'restart_pending', 'reboot_pending'].includes(task.state))
      add(aftermath, await judgeTask(trx, context, task));
  }
  await freeRebootPlaces(trx, assetId);
  await settle(trx, context, aftermath);
}
