import type { NewAuditEvent } from '../audit/commands.ts';
import { appendAudits } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { raiseAlert, type NewAlert } from '../notify/commands.ts';

/** What a decision leaves to be done last in the transaction: alerts, then the audit trail. */
export interface Aftermath {
  readonly audit: NewAuditEvent[];
  readonly alerts: NewAlert[];
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
