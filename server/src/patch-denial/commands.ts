import type { PatchDenial, PatchDenialRequest } from '@fixpoint/contract/patch-denial.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { deniedBy as patternOn, isDenialPattern, type DeniedPattern } from '@fixpoint/core/plan/rules.ts';
import type { Kysely } from 'kysely';
import { appendAudit } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import type { Database } from '../database/tables.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { denialPage, insertDenial, lockDenial, openDenials, setLifted, type DenialRow } from './store.ts';

export async function createDenial(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  actor: Actor,
  request: PatchDenialRequest,
): Promise<Answer<PatchDenial>> {
  const { pattern, reason } = request;
  if (!isDenialPattern(pattern)) {
    const message = `${JSON.stringify(pattern)} is no patch id, and no pattern of one`;
    return {
      ...refuse(
        422,
        'pattern_invalid',
        message,
        'write ECOSYSTEM:RELEASE/PACKAGE@VERSION with * for any part or piece, such as debian:12/openssl@3.0.22-1~deb12u2 or */postgresql-*@*',
      ),
      problems: [{ path: '/pattern', message }],
    };
  }
  const row: DenialRow = {
    id: context.random.uuid(),
    pattern,
    reason,
    created_by: actor.name,
    created_at: context.clock.now(),
    lifted_by: null,
    lifted_at: null,
  };
  const inserted = await insertDenial(trx, {
    id: row.id,
    pattern,
    reason,
    createdBy: actor.name,
    at: row.created_at,
  });
  if (!inserted) {
    return refuse(
      409,
      'denial_exists',
      `${pattern} is denied already`,
      'see why with: fixpoint denial list; lift it first to give another reason',
    );
  }
  await appendAudit(trx, context, {
    actor,
    event: 'patch_denial.created',
    subjectKind: 'patch_denial',
    subject: row.id,
    reason,
    after: { pattern },
  });
  return answer(view(row));
}

/** Lifting what is lifted changes nothing. */
export async function liftDenial(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  actor: Actor,
  id: string,
  reason: string,
): Promise<Answer<PatchDenial>> {
  const row = await lockDenial(trx, id);
  if (row === undefined) {
    return refuse(404, 'denial_unknown', `there is no denial ${id}`, 'list them: fixpoint denial list');
  }
  if (row.lifted_at !== null) return answer(view(row));
  const at = context.clock.now();
  await setLifted(trx, id, actor.name, at);
  await appendAudit(trx, context, {
    actor,
    event: 'patch_denial.lifted',
    subjectKind: 'patch_denial',
    subject: id,
    reason,
    before: { pattern: row.pattern, reason: row.reason },
  });
  return answer(view({ ...row, lifted_by: actor.name, lifted_at: at }));
}

export async function listDenials(
  context: Pick<Context, 'db'>,
  query: {
    readonly open?: boolean | undefined;
    readonly limit?: number | undefined;
    readonly after?: string | undefined;
  },
): Promise<Answer<{ items: PatchDenial[]; total: number; next: string | null }>> {
  const read = readCursor(query.after);
  if (!read.ok) return read;
  const limit = query.limit ?? 100;
  const { rows, total } = await denialPage(context.db, {
    open: query.open === true,
    limit: limit + 1,
    after: read.cursor,
  });
  const last = rows[limit - 1];
  const next =
    rows.length > limit && last !== undefined ? writeCursor({ at: last.created_at, id: last.id }) : null;
  return answer({ items: rows.slice(0, limit).map(view), total, next });
}

/** The deny-list as it is in force. */
export async function deniedPatterns(db: Kysely<Database>): Promise<DeniedPattern[]> {
  return (await openDenials(db)).map(({ pattern, reason }) => ({ pattern, reason }));
}

/** Of these patches those that are denied, each with the pattern and the reason: none of them is offered to anybody. */
export async function deniedBy(
  db: Kysely<Database>,
  patchIds: readonly string[],
): Promise<Map<string, DeniedPattern>> {
  const denied = await deniedPatterns(db);
  return new Map(
    patchIds.flatMap((id) => {
      const pattern = patternOn(id, denied);
      return pattern === null ? [] : [[id, pattern] as const];
    }),
  );
}

function view(row: DenialRow): PatchDenial {
  return {
    id: row.id,
    pattern: row.pattern,
    reason: row.reason,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    lifted_by: row.lifted_by,
    lifted_at: row.lifted_at?.toISOString() ?? null,
  };
}
