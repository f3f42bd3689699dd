import type { NewAuditEvent } from '../audit/commands.ts';
import { appendAudits } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { raiseAlert, type NewAlert } from '../notify/commands.ts';
import type { TaskRow } from './records.ts';

/** What a decision leaves to be done last in the transaction: alerts, then the audit trail. */
export interface Aftermath {
  readonly audit: NewAuditEvent[];
  readonly alerts: NewAlert[];
}

/** An alert about a task, once for each of its generations. `message` is without the host's name, which comes before it. */
export function taskAlert(
  task: TaskRow,
  alert: Pick<NewAlert, 'kind' | 'severity' | 'message' | 'whatToDo'> & { readonly detail?: object },
): NewAlert {
  return {
    ...alert,
    subjectKind: 'task',
    subject: task.id,
    message: `${task.planned.hostname}: ${alert.message}`,
    detail: { asset: task.planned.asset_id, deployment: task.deploymentId, ...alert.detail },
    deduplicationKey: `${alert.kind}:${task.id}:${String(task.generation)}`,
  };
}

/** Takes over what another decision leaves to be done. */
export function add(
  to: Aftermath,
  more: { readonly audit: readonly NewAuditEvent[]; readonly alerts: readonly NewAlert[] },
): void {
  to.audit.push(...more.audit);
  to.alerts.push(...more.alerts);
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
