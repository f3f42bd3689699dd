import type { Deployment } from '@fixpoint/contract/patch-job.ts';
import type { Actor, AuditEventName } from '@fixpoint/core/audit/events.ts';
import {
  checkAction,
  effectOfStop,
  mayRetry,
  type DeploymentAction,
} from '@fixpoint/core/deployment/actions.ts';
import { isEndedDeployment } from '@fixpoint/core/deployment/states.ts';
import { appendAudits, type NewAuditEvent } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { refuse, type Answer } from '../refusal.ts';
import { moveTask } from './move.ts';
import { tasksOfDeployment } from './reads.ts';
import type { TaskOfAsset } from './records.ts';
import { lockAssets, lockDeployment, setDeploymentState } from './store.ts';
import { deploymentView, unknownDeployment } from './view.ts';

const eventOf: Readonly<Record<DeploymentAction, AuditEventName>> = {
  pause: 'deployment.paused',
  resume: 'deployment.resumed',
  halt: 'deployment.halted',
  cancel: 'deployment.cancelled',
  retry_failed: 'deployment.resumed',
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
  if (action === 'halt' || action === 'cancel') {
    const tasks = await lockedTasks(trx, id, (task) => effectOfStop(task) === 'cancel');
    const word = action === 'halt' ? 'halted' : 'cancelled';
    for (const task of tasks) {
      const moved = await moveTask(trx, context, task, {
        to: 'cancelled',
        source: 'person',
        actor,
        at: now,
        message: `The deployment was ${word}: ${reason}`,
        reason: {
          code: `deployment_${word}`,
          message: `The deployment was ${word} before this host began to install: ${reason}`,
          what_to_do: 'Start the job again when it may go on.',
        },
      });
      audit.push(...moved.audit);
    }
    touched = tasks.length;
  } else if (action === 'retry_failed') {
    const tasks = await lockedTasks(trx, id, (task) => mayRetry(task.state));
    if (tasks.length === 0) {
      return refuse(
        409,
        'nothing_to_retry',
        'no task of the deployment has failed or expired',
        'nothing needs to be done',
      );
    }
    for (const task of tasks) {
      const generation = task.generation + 1;
      const moved = await moveTask(trx, context, task, {
        to: 'queued',
        source: 'person',
        actor,
        at: now,
        message: `Retried: ${reason}`,
        change: { generation, signedOrder: null, expiresAt: null, offeredAt: null, eventIndex: -1 },
      });
      audit.push(...moved.audit);
    }
    touched = tasks.length;
  }
  await setDeploymentState(trx, id, {
    state: check.next,
    endedAt: isEndedDeployment(check.next) ? now : null,
    pauseReasons: check.next === 'paused' ? [reason] : [],
  });
  await appendAudits(trx, context, [
    {
      actor,
      event: eventOf[action],
      subjectKind: 'deployment',
      subject: id,
      reason,
      before: { state: head.state },
      after: { state: check.next, action, ...(touched > 0 ? { tasks: touched } : {}) },
    },
    ...audit,
  ]);
  return deploymentView(trx, id);
}

/** Tasks that are to be changed, read again once their assets are locked: an agent may have reported meanwhile. */
async function lockedTasks(
  trx: Transact,
  deploymentId: string,
  wanted: (task: TaskOfAsset) => boolean,
): Promise<TaskOfAsset[]> {
  const before = await tasksOfDeployment(trx, deploymentId);
  await lockAssets(
    trx,
    before.map((task) => task.assetId),
  );
  return (await tasksOfDeployment(trx, deploymentId)).filter(wanted);
}
