import type { Actor } from '@fixpoint/core/audit/events.ts';
import { checkAction } from '@fixpoint/core/deployment/actions.ts';
import { checkTaskAction, type TaskAction } from '@fixpoint/core/task/actions.ts';
import type { NewAuditEvent } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { settle, type Aftermath } from './aftermath.ts';
import { moveTask } from './move.ts';
import { findTask } from './reads.ts';
import type { TaskRow } from './records.ts';
import { retryTask } from './retry.ts';
import { beginRollback, rollbackObstacle } from './rollback.ts';
import { lockAssets, lockDeployment, setDeploymentState } from './store.ts';

function unknownTask(id: string): Refusal {
  return refuse(
    404,
    'task_unknown',
    `there is no task ${id}`,
    'see the tasks with: fixpoint deployment show ID',
  );
}

/** What a person does to one task, with a reason. What is allowed when is core/task/actions.ts. */
export async function actOnTask(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  actor: Actor,
  id: string,
  request: { readonly action: TaskAction; readonly reason: string },
): Promise<Answer<null>> {
  const found = await findTask(trx, id);
  if (found === undefined) return unknownTask(id);
  const head = await lockDeployment(trx, found.deploymentId);
  await lockAssets(trx, [found.assetId]);
  const task = await findTask(trx, id);
  if (task === undefined || head === undefined) return unknownTask(id);
  const { action, reason } = request;
  const check = checkTaskAction(task, action);
  if (!check.ok) {
    return refuse(
      409,
      check.code,
      `a task that is ${task.state} cannot do ${action}. ${check.message}`,
      check.whatToDo,
    );
  }
  const aftermath: Aftermath = { audit: [], alerts: [] };
  if (action === 'cancel') aftermath.audit.push(...(await cancelTask(trx, context, actor, task, reason)));
  else if (action === 'retry') {
    const allowed = checkAction(head.state, 'retry_failed');
    if (!allowed.ok) {
      return refuse(
        409,
        allowed.code,
        `a task of a deployment that is ${head.state} cannot be retried. ${allowed.message}`,
        allowed.whatToDo,
      );
    }
    if (allowed.next !== head.state) {
      const change = { state: allowed.next, endedAt: null, pauseReasons: [] };
      await setDeploymentState(trx, task.deploymentId, change);
      aftermath.audit.push({
        actor,
        event: 'deployment.resumed',
        subjectKind: 'deployment',
        subject: task.deploymentId,
        reason,
        before: { state: head.state },
        after: { state: allowed.next, action, task: id },
      });
    }
    aftermath.audit.push(...(await retryTask(trx, context, actor, task, reason)));
  } else {
    const obstacle = await rollbackObstacle(trx, task);
    if (obstacle !== null) return refuse(409, obstacle.code, obstacle.message, obstacle.whatToDo);
    const why = `Rolled back by ${actor.name}: ${reason}`;
    const begun = await beginRollback(trx, context, task, { actor, source: 'person', why });
    aftermath.audit.push(...begun.audit);
  }
  await settle(trx, context, aftermath);
  return answer(null);
}

async function cancelTask(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  actor: Actor,
  task: TaskRow,
  reason: string,
): Promise<NewAuditEvent[]> {
  const moved = await moveTask(trx, context, task, {
    to: 'cancelled',
    source: 'person',
    actor,
    at: context.clock.now(),
    message: `Cancelled: ${reason}`,
    reason: {
      code: 'task_cancelled',
      message: `The task was cancelled before its host began to install: ${reason}`,
      what_to_do: 'Start the job again when it may go on.',
    },
  });
  const cancelled: NewAuditEvent = {
    actor,
    event: 'task.cancelled',
    subjectKind: 'task',
    subject: task.id,
    reason,
    before: { state: task.state },
    after: { state: 'cancelled', asset: task.planned.asset_id, deployment: task.deploymentId },
  };
  return [cancelled, ...moved.audit];
}
