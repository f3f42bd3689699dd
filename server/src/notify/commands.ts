import type { Alert } from '@fixpoint/contract/audit.ts';
import type { AlertKind } from '@fixpoint/core/audit/alerts.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { appendAudit } from '../audit/commands.ts';
import type { Kysely } from 'kysely';
import type { Context, Transact } from '../context.ts';
import type { Database } from '../database/tables.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import {
  alertPage,
  hasAlert,
  insertAlert,
  lockAlert,
  markAcknowledged,
  openAlertsOf,
  type AlertRow,
} from './store.ts';

export interface NewAlert {
  readonly kind: AlertKind;
  readonly severity: 'info' | 'warning' | 'critical';
  readonly subjectKind: string;
  readonly subject: string;
  readonly message: string;
  readonly whatToDo: string;
  readonly detail?: unknown;
  /** One alert per event, however often the event is seen: `not_remediated:TASK:GENERATION`. */
  readonly deduplicationKey: string;
}

const system: Actor = { kind: 'system', name: 'notify' };

/**
 * Raises an alert, in the caller's transaction, unless one with the same key was raised before. It appends to the audit
 * trail, so call it late in the transaction (see appendAudits), and after the event that it is about.
 */
export async function raiseAlert(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  alert: NewAlert,
): Promise<void> {
  const id = context.random.uuid();
  const isNew = await insertAlert(trx, {
    id,
    kind: alert.kind,
    severity: alert.severity,
    subject_kind: alert.subjectKind,
    subject: alert.subject,
    message: alert.message,
    what_to_do: alert.whatToDo,
    detail: alert.detail === undefined ? null : JSON.stringify(alert.detail),
    raised_at: context.clock.now(),
    acknowledged_by: null,
    deduplication_key: alert.deduplicationKey,
  });
  if (!isNew) return;
  await appendAudit(trx, context, {
    actor: system,
    event: 'alert.raised',
    subjectKind: 'alert',
    subject: id,
    after: {
      kind: alert.kind,
      severity: alert.severity,
      subject_kind: alert.subjectKind,
      subject: alert.subject,
      message: alert.message,
    },
  });
}

/** Whether an alert with this key was raised before. */
export async function isRaised(trx: Transact, deduplicationKey: string): Promise<boolean> {
  return await hasAlert(trx, deduplicationKey);
}

/** Alerts of some kinds that nobody has acknowledged. */
export async function openAlerts(
  db: Kysely<Database>,
  kinds: readonly AlertKind[],
): Promise<{ id: string; subject: string; deduplication_key: string }[]> {
  return await openAlertsOf(db, kinds);
}

/** What an alert was about is over: it is acknowledged in the name of the system, and the audit trail says why. */
export async function clearAlert(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  id: string,
  why: string,
): Promise<void> {
  const row = await lockAlert(trx, id);
  if (row === undefined || row.acknowledged_at !== null) return;
  await markAcknowledged(trx, id, 'fixpoint (it is over)', context.clock.now());
  await appendAudit(trx, context, {
    actor: system,
    event: 'alert.acknowledged',
    subjectKind: 'alert',
    subject: id,
    reason: why,
    after: { kind: row.kind, subject_kind: row.subject_kind, subject: row.subject },
  });
}

/** A page of alerts, newest first; `open`: only those that nobody has acknowledged. */
export async function listAlerts(
  context: Pick<Context, 'db'>,
  query: {
    readonly open?: boolean | undefined;
    readonly limit?: number | undefined;
    readonly after?: string | undefined;
  },
): Promise<Answer<{ items: Alert[]; total: number; next: string | null }>> {
  const read = readCursor(query.after);
  if (!read.ok) return read;
  const limit = query.limit ?? 100;
  const { rows, total } = await alertPage(context.db, {
    open: query.open ?? false,
    limit: limit + 1,
    after: read.cursor,
  });
  const items = rows.slice(0, limit).map(alertView);
  const last = rows[limit - 1];
  const next =
    rows.length > limit && last !== undefined ? writeCursor({ at: last.raised_at, id: last.id }) : null;
  return answer({ items, total, next });
}

/** Notes that somebody has seen the alert; once noted, who and when stay. */
export async function acknowledgeAlert(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  actor: Actor,
  id: string,
): Promise<Answer<Alert>> {
  const row = await lockAlert(trx, id);
  if (row === undefined) {
    return refuse(404, 'alert_unknown', `there is no alert ${id}`, 'list the alerts to see their ids');
  }
  if (row.acknowledged_at !== null) return answer(alertView(row));
  const acknowledged = await markAcknowledged(trx, id, actor.name, context.clock.now());
  await appendAudit(trx, context, {
    actor,
    event: 'alert.acknowledged',
    subjectKind: 'alert',
    subject: id,
    after: { kind: row.kind, subject_kind: row.subject_kind, subject: row.subject },
  });
  return answer(alertView(acknowledged));
}

const severities = ['info', 'warning', 'critical'] as const;

function alertView(row: AlertRow): Alert {
  return {
    id: row.id,
    kind: row.kind,
    severity: severities.find((severity) => severity === row.severity) ?? 'critical',
    subject_kind: row.subject_kind,
    subject: row.subject,
    message: row.message,
    what_to_do: row.what_to_do,
    detail: row.detail,
    raised_at: row.raised_at.toISOString(),
    acknowledged_at: row.acknowledged_at?.toISOString() ?? null,
    acknowledged_by: row.acknowledged_by,
  };
}
