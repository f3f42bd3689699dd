import { createHash } from 'node:crypto';
import type { RefusalReport } from '@fixpoint/contract/agent.ts';
import type { SignedOrder } from '@fixpoint/contract/order.ts';
import { explainRefusal, failureReason, refusalReason } from '@fixpoint/core/task/reasons.ts';
import { checkTransition, isEnded } from '@fixpoint/core/task/transitions.ts';
import type { NewAuditEvent } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { isRaised, type NewAlert } from '../notify/commands.ts';
import { answer, type Answer } from '../refusal.ts';
import { settle, type Aftermath } from './aftermath.ts';
import { moveTask } from './move.ts';
import { findTask } from './reads.ts';
import { givePlaceBack } from './reboots.ts';
import type { TaskRow } from './records.ts';
import { actorOf, resumed, timeOf, type ReportingAgent } from './report.ts';
import { rollbackFailedAlert } from './rollback-verification.ts';
import { appendTaskEvent, lockAssets, updateTask } from './store.ts';

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
  const own = found !== undefined && found.assetId === agent.assetId ? found : undefined;
  const refusesReboot = isText(own?.signedReboot, report);
  const ours = refusesReboot || isText(own?.signedOrder, report);
  let failed = false;
  let name = agent.uid;
  if (own !== undefined) name = own.planned.hostname;
  if (own !== undefined && refusesReboot) await rebootRefused(trx, context, own, report);
  else if (own !== undefined && ours && !isEnded(own.state)) {
    const task = await resumed(trx, context, own, aftermath);
    if (checkTransition(task, 'failed', 'agent').ok) {
      const moved = await moveTask(trx, context, task, {
        to: 'failed',
        source: 'agent',
        actor: actorOf(agent),
        at: timeOf(report.at, context),
        message: report.message,
        detail: { refusal: report.reason, payload_digest: report.payload_digest },
        reason:
          task.state === 'rolling_back'
            ? failureReason('rollback_failed', refusalReason(report.reason, report.message).message)
            : refusalReason(report.reason, report.message),
      });
      aftermath.audit.push(...moved.audit);
      if (task.state === 'rolling_back')
        aftermath.alerts.push(rollbackFailedAlert(task, moved.task.reason?.message ?? ''));
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
    alerts: [...(isNews ? [alert] : []), ...aftermath.alerts],
  });
  return answer({ task_failed: failed });
}

function isText(signed: SignedOrder | null | undefined, report: RefusalReport): boolean {
  if (signed === null || signed === undefined) return false;
  return createHash('sha256').update(signed.payload, 'utf8').digest('hex') === report.payload_digest;
}

/** What a host's owner forbids is asked for again, but rarely; what came at a wrong moment, soon. */
const rebootAgainHours = { host_policy: 6, other: 0.25 } as const;

/**
 * A permission to reboot was refused. The packages are installed all the same, so the task goes on waiting; the place is free for
 * others.
 */
async function rebootRefused(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  task: TaskRow,
  report: RefusalReport,
): Promise<void> {
  const now = context.clock.now();
  const hours = report.reason === 'host_policy' ? rebootAgainHours.host_policy : rebootAgainHours.other;
  const until = new Date(now.getTime() + hours * 3_600_000);
  await givePlaceBack(trx, task, until);
  if (isEnded(task.state)) return;
  const { message, what_to_do: whatToDo } = failureReason('reboot_refused', report.message);
  await updateTask(trx, task.id, { reason: { code: 'reboot_refused', message, what_to_do: whatToDo } });
  await appendTaskEvent(trx, task.id, {
    at: timeOf(report.at, context),
    from: task.state,
    to: task.state,
    source: 'agent',
    message: report.message,
    detail: { refusal: report.reason, asked_again_at: until.toISOString() },
  });
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
