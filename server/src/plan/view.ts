import type { PlanDetail, PlanSummary } from '@fixpoint/contract/plan.ts';
import { planText } from '@fixpoint/core/plan/seal.ts';
import type { Kysely } from 'kysely';
import type { Context } from '../context.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import type { Database } from '../database/tables.ts';
import { getJob } from '../patch-job/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { csvOfPlan } from './csv.ts';
import { findPlan, planContentOf, planPage, type PlanRow } from './store.ts';

/** A plan that is older is not started any more: too much can have changed. */
export const planGoodForHours = 24;

export function unknownPlan(id: string) {
  return refuse(404, 'plan_unknown', `there is no plan ${id}`, 'make one with: fixpoint plan make JOB');
}

function summaryOf(row: PlanRow): PlanSummary {
  const readyAt = row.ready_at?.getTime() ?? null;
  return {
    id: row.id,
    job_id: row.job_id,
    job_name: row.job_name,
    state: row.state,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    deadline_at: row.deadline_at.toISOString(),
    ready_at: row.ready_at?.toISOString() ?? null,
    expires_at: readyAt === null ? null : new Date(readyAt + planGoodForHours * 3_600_000).toISOString(),
    unanswered: row.unanswered,
    asked: row.asked,
    answered: row.answered,
    given_up: row.given_up,
    digest: row.digest,
    deployment_id: row.deployment_id,
  };
}

export async function planSummary(db: Kysely<Database>, id: string): Promise<Answer<PlanSummary>> {
  const row = await findPlan(db, id);
  return row === undefined ? unknownPlan(id) : answer(summaryOf(row));
}

export async function planDetail(db: Kysely<Database>, id: string): Promise<Answer<PlanDetail>> {
  const row = await findPlan(db, id);
  if (row === undefined) return unknownPlan(id);
  return answer({ ...summaryOf(row), plan: await planContentOf(db, id) });
}

/** Plans of a job, newest first. */
export async function listPlans(
  context: Pick<Context, 'db'>,
  jobId: string,
  query: { readonly limit?: number | undefined; readonly after?: string | undefined },
): Promise<Answer<{ items: PlanSummary[]; total: number; next: string | null }>> {
  const job = await getJob(context.db, jobId);
  if (!job.ok) return job;
  const read = readCursor(query.after);
  if (!read.ok) return read;
  const limit = query.limit ?? 100;
  const { rows, total } = await planPage(context.db, { jobId, limit: limit + 1, after: read.cursor });
  const last = rows[limit - 1];
  const next =
    rows.length > limit && last !== undefined ? writeCursor({ at: last.created_at, id: last.id }) : null;
  return answer({ items: rows.slice(0, limit).map(summaryOf), total, next });
}

export interface ExportedPlan {
  readonly fileName: string;
  readonly type: string;
  readonly text: string;
}

/** As `json` the canonical text that the digest of the plan is of: `sha256sum` of the file is the digest. */
export async function exportPlan(
  db: Kysely<Database>,
  id: string,
  format: 'json' | 'csv',
): Promise<Answer<ExportedPlan>> {
  const row = await findPlan(db, id);
  if (row === undefined) return unknownPlan(id);
  if (row.ready_at === null) {
    return refuse(
      409,
      'plan_not_ready',
      `the plan ${id} is not ready: ${String(row.asked - row.answered)} of ${String(row.asked)} assets have not answered`,
      'wait for it (fixpoint plan show ID), then export it',
    );
  }
  const plan = await planContentOf(db, id);
  const name = `plan-${id}`;
  if (format === 'csv') {
    return answer({ fileName: `${name}.csv`, type: 'text/csv; charset=utf-8', text: csvOfPlan(plan) });
  }
  return answer({
    fileName: `${name}.json`,
    type: 'application/json; charset=utf-8',
    text: planText(plan),
  });
}
