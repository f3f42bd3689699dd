import type { Kysely, Selectable } from 'kysely';
import type { Transact } from '../context.ts';
import type { Database, JobRunTable } from '../database/tables.ts';

/** The only writer of job_run. */

export type RunRow = Selectable<JobRunTable>;
export type DueRun = Pick<RunRow, 'job_id' | 'due_at'>;

export async function insertRun(trx: Transact, jobId: string, dueAt: Date): Promise<void> {
  await trx
    .insertInto('job_run')
    .values({ job_id: jobId, due_at: dueAt, deployment_id: null })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** The longest due first. */
export async function dueRuns(db: Kysely<Database>, now: Date, limit: number): Promise<DueRun[]> {
  return await db
    .selectFrom('job_run')
    .select(['job_id', 'due_at'])
    .where('taken_at', 'is', null)
    .where('due_at', '<=', now)
    .orderBy('due_at')
    .limit(limit)
    .execute();
}

/** Locks a run for this transaction; false when it was taken, or somebody else is at it. */
export async function lockRun(trx: Transact, { job_id: jobId, due_at: dueAt }: DueRun): Promise<boolean> {
  const row = await trx
    .selectFrom('job_run')
    .select('job_id')
    .where('job_id', '=', jobId)
    .where('due_at', '=', dueAt)
    .where('taken_at', 'is', null)
    .forUpdate()
    .skipLocked()
    .executeTakeFirst();
  return row !== undefined;
}

export async function setTaken(
  trx: Transact,
  { job_id: jobId, due_at: dueAt }: DueRun,
  taken: { readonly at: Date; readonly deploymentId: string | null; readonly outcome: object | null },
): Promise<void> {
  await trx
    .updateTable('job_run')
    .set({
      taken_at: taken.at,
      deployment_id: taken.deploymentId,
      outcome: taken.outcome === null ? null : JSON.stringify(taken.outcome),
    })
    .where('job_id', '=', jobId)
    .where('due_at', '=', dueAt)
    .execute();
}

/** Newest first. */
export async function takenRuns(db: Kysely<Database>, jobId: string, limit: number): Promise<RunRow[]> {
  return await db
    .selectFrom('job_run')
    .selectAll()
    .where('job_id', '=', jobId)
    .where('taken_at', 'is not', null)
    .orderBy('due_at', 'desc')
    .limit(limit)
    .execute();
}

/** When a job runs next by its row; null when there is none. */
export async function nextRunRow(db: Kysely<Database>, jobId: string): Promise<Date | null> {
  const row = await db
    .selectFrom('job_run')
    .select('due_at')
    .where('job_id', '=', jobId)
    .where('taken_at', 'is', null)
    .orderBy('due_at')
    .executeTakeFirst();
  return row?.due_at ?? null;
}
