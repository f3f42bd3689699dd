import {
  acceptanceLimits,
  type Acceptance,
  type AcceptanceDetail,
  type AcceptanceRequest,
  type AcceptanceState,
} from '@fixpoint/contract/acceptance.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { ServerContext } from '../app.ts';
import { appendAudit } from '../audit/commands.ts';
import type { Context } from '../context.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { storedGraph } from '../tag/definitions.ts';
import { transact } from '../transact.ts';
import { checkedScope } from './preview.ts';
import {
  acceptancePage,
  acceptancesByIds,
  insertAcceptance,
  isAnyInForce,
  lockAcceptance,
  updateAcceptance,
  type AcceptanceRow,
} from './store.ts';
import { acceptanceViews, coveredBy, stateOf } from './view.ts';

type Rooms = Pick<ServerContext, 'db' | 'clock' | 'random' | 'posture'>;

const dayMilliseconds = 86_400_000;
const firstListed = 100;

const unknownAcceptance = (id: string): Refusal =>
  refuse(404, 'acceptance_unknown', `there is no acceptance ${id}`, 'list them: fixpoint acceptance list');

/** Accepts the risk of what a scope covers, from when it starts until it expires. */
export async function createAcceptance(
  context: Rooms,
  actor: Actor,
  request: AcceptanceRequest,
): Promise<Answer<Acceptance>> {
  const now = context.clock.now();
  const starts = request.starts_at === undefined ? now : new Date(request.starts_at);
  const expires = new Date(request.expires_at);
  if (starts < now)
    return refuse(
      400,
      'acceptance_starts_in_the_past',
      'an acceptance cannot begin before now',
      'leave starts_at out to begin now',
    );
  const badEnd = checkedEnd(now, starts, expires);
  if (badEnd !== null) return badEnd;
  const created = await transact(context.db, async (trx): Promise<Answer<AcceptanceRow>> => {
    const checked = checkedScope({ tags: await storedGraph(trx) }, request.scope);
    if (!checked.ok) return checked;
    const made = await insertAcceptance(trx, {
      id: context.random.uuid(),
      scope: request.scope,
      reason: request.reason.trim(),
      owner: request.owner.trim(),
      created_by: actor.name,
      created_at: now,
      starts_at: starts,
      expires_at: expires,
      revoked_by: null,
      revoked_reason: null,
    });
    await appendAudit(trx, context, {
      actor,
      event: 'acceptance.created',
      subjectKind: 'acceptance',
      subject: made.id,
      reason: made.reason,
      after: {
        scope: made.scope,
        owner: made.owner,
        starts_at: starts.toISOString(),
        expires_at: expires.toISOString(),
      },
    });
    return answer(made);
  });
  return created.ok ? await viewed(context, created.value) : created;
}

function checkedEnd(now: Date, starts: Date, expires: Date): Refusal | null {
  const { days } = acceptanceLimits;
  if (expires <= starts || expires <= now)
    return refuse(
      400,
      'acceptance_ends_too_early',
      'an acceptance ends after it begins, and after now',
      'give a later expires_at',
    );
  if (expires.getTime() > now.getTime() + days * dayMilliseconds)
    return refuse(
      400,
      'acceptance_too_long',
      `an acceptance ends within ${String(days)} days, so that somebody thinks of it again`,
      'give an earlier expires_at; it can be extended when it is near its end',
    );
  return null;
}

async function viewed(context: Rooms, row: AcceptanceRow): Promise<Answer<Acceptance>> {
  const [view] = await acceptanceViews(context, [row]);
  if (view === undefined) throw new Error('an acceptance has no view');
  return answer(view);
}

/** Ends an acceptance before its time: what it covered is open again at once. */
export async function revokeAcceptance(
  context: Rooms,
  actor: Actor,
  id: string,
  reason: string,
): Promise<Answer<Acceptance>> {
  const now = context.clock.now();
  const revoked = await transact(context.db, async (trx): Promise<Answer<AcceptanceRow>> => {
    const row = await lockAcceptance(trx, id);
    if (row === null) return unknownAcceptance(id);
    const over = alreadyOver(row, now);
    if (over !== null) return over;
    const changed = await updateAcceptance(trx, id, {
      revoked_at: now,
      revoked_by: actor.name,
      revoked_reason: reason,
    });
    await appendAudit(trx, context, {
      actor,
      event: 'acceptance.revoked',
      subjectKind: 'acceptance',
      subject: id,
      reason,
      before: { scope: row.scope, owner: row.owner, expires_at: row.expires_at.toISOString() },
    });
    return answer(changed);
  });
  return revoked.ok ? await viewed(context, revoked.value) : revoked;
}

/** Lets an acceptance end later. Its scope stays: for another, revoke it and make one anew. */
export async function extendAcceptance(
  context: Rooms,
  actor: Actor,
  id: string,
  request: { readonly expires_at: string; readonly reason: string },
): Promise<Answer<Acceptance>> {
  const now = context.clock.now();
  const expires = new Date(request.expires_at);
  const extended = await transact(context.db, async (trx): Promise<Answer<AcceptanceRow>> => {
    const row = await lockAcceptance(trx, id);
    if (row === null) return unknownAcceptance(id);
    const over = alreadyOver(row, now);
    if (over !== null) return over;
    if (expires <= row.expires_at)
      return refuse(
        400,
        'acceptance_not_longer',
        `it ends at ${row.expires_at.toISOString()} already`,
        'give a later expires_at; to end it earlier, revoke it',
      );
    const badEnd = checkedEnd(now, row.starts_at, expires);
    if (badEnd !== null) return badEnd;
    const changed = await updateAcceptance(trx, id, { expires_at: expires, warned_at: null });
    await appendAudit(trx, context, {
      actor,
      event: 'acceptance.extended',
      subjectKind: 'acceptance',
      subject: id,
      reason: request.reason,
      before: { expires_at: row.expires_at.toISOString() },
      after: { expires_at: expires.toISOString(), scope: row.scope, owner: row.owner },
    });
    return answer(changed);
  });
  return extended.ok ? await viewed(context, extended.value) : extended;
}

function alreadyOver(row: AcceptanceRow, now: Date): Refusal | null {
  const state = stateOf(row, now);
  if (state !== 'expired' && state !== 'revoked') return null;
  return refuse(
    409,
    'acceptance_over',
    state === 'revoked'
      ? `it was revoked by ${row.revoked_by ?? 'somebody'} already`
      : `it ended at ${row.expires_at.toISOString()}`,
    'make a new one where the risk is to be accepted again',
  );
}

export async function listAcceptances(
  context: Rooms,
  query: {
    readonly state?: AcceptanceState | undefined;
    readonly limit?: number | undefined;
    readonly after?: string | undefined;
  },
): Promise<Answer<{ items: Acceptance[]; total: number; next: string | null }>> {
  const read = readCursor(query.after);
  if (!read.ok) return read;
  const limit = query.limit ?? 100;
  const { rows, total } = await acceptancePage(context.db, {
    state: query.state ?? null,
    now: context.clock.now(),
    limit: limit + 1,
    after: read.cursor,
  });
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const next =
    rows.length > limit && last !== undefined ? writeCursor({ at: last.created_at, id: last.id }) : null;
  return answer({ items: await acceptanceViews(context, page), total, next });
}

export async function acceptanceDetail(context: Rooms, id: string): Promise<Answer<AcceptanceDetail>> {
  const [row] = await acceptancesByIds(context.db, [id]);
  if (row === undefined) return unknownAcceptance(id);
  const [acceptance] = await acceptanceViews(context, [row]);
  if (acceptance === undefined) throw new Error('an acceptance has no view');
  if (acceptance.state !== 'in_force') return answer({ acceptance, first: [] });
  const covered = (await coveredBy(context, [row], firstListed, () => false)).get(row.id);
  return answer({ acceptance, first: [...(covered?.first ?? [])] });
}

/** Who has accepted what, as it is said of a finding. */
export interface AcceptedBy {
  readonly id: string;
  readonly owner: string;
  readonly reason: string;
  readonly expiresAt: Date;
  /** `Accepted by OWNER until DATE: REASON` */
  readonly sentence: string;
}

/** Acceptances by id, for whoever shows findings. */
export async function acceptedBy(
  context: Pick<Context, 'db'>,
  ids: readonly string[],
): Promise<Map<string, AcceptedBy>> {
  const rows = await acceptancesByIds(context.db, ids);
  return new Map(
    rows.map((row) => [
      row.id,
      {
        id: row.id,
        owner: row.owner,
        reason: row.reason,
        expiresAt: row.expires_at,
        sentence: `Accepted by ${row.owner} until ${row.expires_at.toISOString().slice(0, 10)}: ${row.reason}`,
      },
    ]),
  );
}

/** Whether anything at all is accepted now. */
export async function isAnythingAccepted(context: Pick<Context, 'db' | 'clock'>): Promise<boolean> {
  return await isAnyInForce(context.db, context.clock.now());
}
