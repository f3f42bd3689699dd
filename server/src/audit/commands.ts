import type { Kysely, Selectable } from 'kysely';
import type { AuditEvent, AuditVerification } from '@fixpoint/contract/audit.ts';
import { chainVerifier, hashOf, noHash } from '@fixpoint/core/audit/chain.ts';
import type { Actor, ActorKind, AuditEventName } from '@fixpoint/core/audit/events.ts';
import type { Context, Transact } from '../context.ts';
import type { AuditEventTable, Database } from '../database/tables.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { countEvents, eventsAfter, insertEvents, lastEvent, lockChain, type AuditFilter } from './store.ts';

/** What a command says about what it has done. */
export interface NewAuditEvent {
  readonly actor: Actor;
  readonly event: AuditEventName;
  readonly subjectKind: string;
  readonly subject: string;
  readonly reason?: string | null | undefined;
  /** Any JSON; null and undefined are the same. */
  readonly before?: unknown;
  readonly after?: unknown;
}

/** Appends one event to the trail, in the caller's transaction: it is there if and only if the change is. */
export async function appendAudit(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  event: NewAuditEvent,
): Promise<void> {
  await appendAudits(trx, context, [event]);
}

/**
 * Appends events in this order. From here until the transaction ends no other transaction can append, so append last, and
 * all at once, where there is the choice.
 */
export async function appendAudits(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  events: readonly NewAuditEvent[],
): Promise<void> {
  if (events.length === 0) return;
  await lockChain(trx);
  const last = await lastEvent(trx);
  let sequence = last?.sequence ?? 0;
  let previousHash = last?.hash ?? noHash;
  const at = context.clock.now();
  const rows = events.map((event) => {
    sequence += 1;
    const row = {
      sequence,
      at: at.toISOString(),
      actor_kind: event.actor.kind,
      actor: event.actor.name,
      event: event.event,
      subject_kind: event.subjectKind,
      subject: event.subject,
      reason: event.reason ?? null,
      before: asStored(event.before),
      after: asStored(event.after),
    };
    const hash = hashOf(previousHash, row);
    const stored = {
      ...row,
      before: row.before === null ? null : JSON.stringify(row.before),
      after: row.after === null ? null : JSON.stringify(row.after),
      previous_hash: previousHash,
      hash,
    };
    previousHash = hash;
    return stored;
  });
  await insertEvents(trx, rows);
}

/** The value as it will be read again: through JSON, so dates are text and undefined members are gone. */
function asStored(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  const stored: unknown = JSON.parse(JSON.stringify(value));
  return stored;
}

const actorKinds = ['person', 'token', 'agent', 'system'] as const satisfies readonly ActorKind[];

export function auditView(row: Selectable<AuditEventTable>): AuditEvent {
  return {
    sequence: Number(row.sequence),
    at: row.at.toISOString(),
    actor_kind: actorKinds.find((kind) => kind === row.actor_kind) ?? 'system',
    actor: row.actor,
    event: row.event,
    subject_kind: row.subject_kind,
    subject: row.subject,
    reason: row.reason,
    before: row.before,
    after: row.after,
    previous_hash: row.previous_hash,
    hash: row.hash,
  };
}

/** A page of the trail, oldest first. */
export async function listAudit(
  context: Pick<Context, 'db'>,
  query: AuditFilter & { readonly limit?: number | undefined; readonly after?: string | undefined },
): Promise<Answer<{ items: AuditEvent[]; total: number; next: string | null }>> {
  const after = query.after ?? '0';
  if (!/^[0-9]{1,15}$/.test(after)) {
    return refuse(
      400,
      'cursor_invalid',
      'after is not what an earlier page said',
      'pass next of the page before, or nothing',
    );
  }
  const limit = query.limit ?? 100;
  const rows = await eventsAfter(context.db, Number(after), limit + 1, query);
  const items = rows.slice(0, limit).map(auditView);
  const total = await countEvents(context.db, query);
  return answer({ items, total, next: rows.length > limit ? String(items.at(-1)?.sequence) : null });
}

const batchEvents = 2000;

/** All events, oldest first, read in batches: the whole trail is never in memory. */
export async function* everyEvent(db: Kysely<Database>): AsyncGenerator<AuditEvent> {
  let after = 0;
  for (;;) {
    const rows = await eventsAfter(db, after, batchEvents);
    for (const row of rows) {
      const event = auditView(row);
      yield event;
      after = event.sequence;
    }
    if (rows.length < batchEvents) return;
  }
}

/** All events as JSON lines: what `fixpoint audit verify FILE` reads, offline. */
export async function* exportLines(db: Kysely<Database>): AsyncGenerator<string> {
  for await (const event of everyEvent(db)) yield `${JSON.stringify(event)}\n`;
}

/**
 * Verifies the whole trail. `head` is a number and hash that the caller wrote down before: without it nobody can tell
 * whether events were taken off the end, or the whole chain was written anew.
 */
export async function verifyAudit(
  context: Pick<Context, 'db'>,
  head: { sequence: number; hash: string } | null,
): Promise<AuditVerification> {
  const verifier = chainVerifier(head);
  for await (const event of everyEvent(context.db)) if (!verifier.next(event)) break;
  const { ok, events, head: lastHash, firstBad } = verifier.end();
  return {
    ok,
    events,
    head: lastHash,
    first_bad:
      firstBad === null
        ? null
        : { sequence: firstBad.sequence, problem: `${firstBad.problem}: ${firstBad.message}` },
  };
}
