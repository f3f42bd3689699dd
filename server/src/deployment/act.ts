import type { Deployment } from '@fixpoint/contract/patch-job.ts';
import type { Actor, AuditEventName } from '@fixpoint/core/audit/events.ts';
import {
  checkAction,
  effectOfStop,
  mayRetry,
  type DeploymentAction,
} from '@fixpoint/core/deployment/actions.ts';
import { checkTaskAction } from '@fixpoint/core/task/actions.ts';
import { isEndedDeployment } from '@fixpoint/core/deployment/states.ts';
import { appendAudits, type NewAuditEvent } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { moveTask } from './move.ts';
import { findTask } from './reads.ts';
import type { TaskRow } from './records.ts';
import { retryTask } from './retry.ts';
import { beginRollback, rollbackObstacle } from './rollback.ts';
import { lockAssets, lockDeployment, setDeploymentState } from './store.ts';
import { taskHeads, type TaskHead } from './task-heads.ts';
import { deploymentView, unknownDeployment } from './view.ts';

const eventOf: Readonly<Record<DeploymentAction, AuditEventName>> = {
  pause: 'deployment.paused',
  resume: 'deployment.resumed',
  halt: 'deployment.halted',
  cancel: 'deployment.cancelled',
  retry_failed: 'deployment.resumed',
  roll_back: 'deployment.rolled_back',
};

/** What a person does to a deployment, with a reason. What is allowed when is core/deployment/actions.ts. */
export async function actOnDeployment(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  actor: Actor,
  id: string,
  request: { readonly action: DeploymentAction; readonly reason: string },
): Promise<Answer<Deployment>> {
  const head = await lockDeployment(trx, id);
  if (head === undefined) return unknownDeployment(id);
  const { action, reason } = request;
  const check = checkAction(head.state, action);
  if (!check.ok) {
    return refuse(
      409,
      check.code,
      `a deployment that is ${head.state} cannot do ${action}. ${check.message}`,
      check.whatToDo,
    );
  }
  const now = context.clock.now();
  const audit: NewAuditEvent[] = [];
  let touched = 0;
  let more: object = {};
  if (action === 'halt' || action === 'cancel') {
    const stopped = await stopTasks(trx, context, actor, id, { action, reason, now });
    audit.push(...stopped.audit);
    touched = stopped.count;
  } else if (action === 'retry_failed') {
    for await (const task of lockedTasks(trx, id, ({ state }) => mayRetry(state))) {
      audit.push(...(await retryTask(trx, context, actor, task, reason)));
      touched += 1;
    }
    if (touched === 0) {
      return refuse(
        409,
        'nothing_to_retry',
        'no task of the deployment has failed or expired',
        'nothing needs to be done',
      );
    }
  } else if (action === 'roll_back') {
    // all at once, since locks are taken in one order
    const concerned = (task: TaskHead) => mayGoBack(task) || effectOfStop(task) === 'cancel';
    const heads = (await taskHeads(trx, id)).filter(concerned);
    await lockAssets(
      trx,
      heads.map((task) => task.assetId),
    );
    const undone = await rollBackTasks(trx, context, actor, id, reason);
    if (!undone.ok) return undone;
    audit.push(...undone.value.audit);
    touched = undone.value.count;
    more = { not_possible: undone.value.notPossible };
    if (check.next === 'halted' && head.state !== 'halted') {
      const stopped = await stopTasks(trx, context, actor, id, { action: 'halt', reason, now });
      audit.push(...stopped.audit);
    }
  }
  if (check.next !== head.state || action === 'retry_failed') {
    await setDeploymentState(trx, id, {
      state: check.next,
      endedAt: isEndedDeployment(check.next) ? now : null,
      pauseReasons: check.next === 'paused' ? [reason] : [],
    });
  }
  await appendAudits(trx, context, [
    {
      actor,
      event: eventOf[action],
      subjectKind: 'deployment',
      subject: id,
      reason,
      before: { state: head.state },
      after: { state: check.next, action, ...(touched > 0 ? { tasks: touched } : {}), ...more },
    },
    ...audit,
  ]);
  return deploymentView(trx, id);
}

const mayGoBack = (task: TaskHead): boolean =>
  task.changedGeneration !== null && checkTaskAction(task, 'roll_back').ok;

/** Given up in the transaction of the action; what is more the tick gives up, 500 every second, and nothing of it is offered meanwhile. */
const stoppedAtOnce = 1_000;

/** Gives up what the hosts have not begun. */
async function stopTasks(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  actor: Actor,
  id: string,
  stop: { readonly action: 'halt' | 'cancel'; readonly reason: string; readonly now: Date },
): Promise<{ audit: NewAuditEvent[]; count: number }> {
  const audit: NewAuditEvent[] = [];
  const word = stop.action === 'halt' ? 'halted' : 'cancelled';
  let count = 0;
  for await (const task of lockedTasks(trx, id, (one) => effectOfStop(one) === 'cancel', stoppedAtOnce)) {
    const moved = await moveTask(trx, context, task, {
      to: 'cancelled',
      source: 'person',
      actor,
      at: stop.now,
      message: `The deployment was ${word}: ${stop.reason}`,
      reason: {
        code: `deployment_${word}`,
        message: `The deployment was ${word} before this host began to install: ${stop.reason}`,
        what_to_do: 'Start the job again when it may go on.',
      },
    });
    audit.push(...moved.audit);
    count += 1;
  }
  return { audit, count };
}

/**
 * Begins to put back what the deployment has changed, on every asset where that can be done. What is at work just now is left: it
 * goes on to its end, and can be rolled back then.
 */
async function rollBackTasks(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  actor: Actor,
  id: string,
  reason: string,
): Promise<Answer<{ audit: NewAuditEvent[]; count: number; notPossible: object[] }>> {
  const audit: NewAuditEvent[] = [];
  const notPossible: { asset: string; hostname: string; code: string; message: string }[] = [];
  let count = 0;
  for await (const task of lockedTasks(trx, id, mayGoBack)) {
    const obstacle = await rollbackObstacle(trx, task);
    if (obstacle === null) {
      const why = `Rolled back by ${actor.name}: ${reason}`;
      const begun = await beginRollback(trx, context, task, { actor, source: 'person', why });
      audit.push(...begun.audit);
      count += 1;
    } else {
      const { asset_id: asset, hostname } = task.planned;
      notPossible.push({ asset, hostname, code: obstacle.code, message: obstacle.message });
    }
  }
  if (count > 0) return answer({ audit, count, notPossible });
  const why = notPossible.slice(0, 5).map((one) => `${one.hostname}: ${one.message}`);
  return refuse(
    409,
    'nothing_to_roll_back',
    why.length === 0
      ? 'the deployment has changed nothing that could be rolled back now'
      : `nothing of the deployment can be rolled back now. ${why.join(' ')}`,
    'see its tasks: what is at work can be rolled back when it has ended',
  );
}

/**
 * Tasks that are to be changed, each read again once their assets are locked, since an agent may have reported meanwhile. One by one:
 * what a task holds is large, and there can be a hundred thousand.
 */
async function* lockedTasks(
  trx: Transact,
  deploymentId: string,
  wanted: (task: TaskHead) => boolean,
  most = Infinity,
): AsyncGenerator<TaskRow> {
  const before = (await taskHeads(trx, deploymentId)).filter(wanted).slice(0, most);
  await lockAssets(
    trx,
    before.map((task) => task.assetId),
  );
  for (const { id } of before) {
    const task = await findTask(trx, id);
    if (task !== undefined && wanted(task)) yield task;
  }
}
