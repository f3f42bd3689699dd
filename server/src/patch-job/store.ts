import { sql, type Kysely, type Selectable } from 'kysely';
import type { Transact } from '../context.ts';
import type { Cursor } from '../cursor.ts';
import type { Database, PatchJobTable } from '../database/tables.ts';

export type JobRow = Selectable<PatchJobTable> & { readonly deployments: number };

export async function insertJob(
  trx: Transact,
  job: { id: string; name: string; definition: unknown; createdBy: string; at: Date },
): Promise<void> {
  await trx
    .insertInto('patch_job')
    .values({
      id: job.id,
      name: job.name,
      definition: JSON.stringify(job.definition),
      created_by: job.createdBy,
      created_at: job.at,
    })
    .execute();
}

function jobs(db: Kysely<Database>) {
  return db
    .selectFrom('patch_job')
    .selectAll('patch_job')
    .select((e) =>
      e
        .selectFrom('deployment')
        .whereRef('deployment.job_id', '=', 'patch_job.id')
        .select((c) => c.fn.countAll<string>().as('count'))
        .as('deployment_count'),
    );
}

type RawJob = Selectable<PatchJobTable> & { deployment_count: string | null };
const counted = ({ deployment_count: count, ...row }: RawJob): JobRow => ({
  ...row,
  deployments: Number(count ?? 0),
});

export async function findJob(db: Kysely<Database>, id: string): Promise<JobRow | undefined> {
  const row = await jobs(db).where('patch_job.id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : counted(row);
}

/** Newest first, without the archived ones. */
export async function jobPage(
  db: Kysely<Database>,
  limit: number,
  after: Cursor | null,
): Promise<{ rows: JobRow[]; total: number }> {
  const { total } = await db
    .selectFrom('patch_job')
    .where('archived_at', 'is', null)
    .select((e) => e.fn.countAll<string>().as('total'))
    .executeTakeFirstOrThrow();
  let query = jobs(db).where('patch_job.archived_at', 'is', null);
  if (after !== null) {
    query = query.where((e) =>
      e.or([
        e('patch_job.created_at', '<', after.at),
        e.and([e('patch_job.created_at', '=', after.at), e('patch_job.id', '<', after.id)]),
      ]),
    );
  }
  const rows = await query
    .orderBy('patch_job.created_at', 'desc')
    .orderBy('patch_job.id', 'desc')
    .limit(limit)
    .execute();
  return { rows: rows.map(counted), total: Number(total) };
}

/** Locks a job against being archived while something is made of it. */
export async function lockJob(trx: Transact, id: string): Promise<void> {
  await trx.selectFrom('patch_job').select('id').where('id', '=', id).forUpdate().execute();
}

export async function setArchived(trx: Transact, id: string, at: Date): Promise<void> {
  await trx.updateTable('patch_job').set({ archived_at: at }).where('id', '=', id).execute();
}

/** Jobs whose definition names a calendar, and that are not archived or still have a deployment under way; by name. */
export async function jobsWithCalendar(
  db: Kysely<Database>,
  calendar: string,
): Promise<{ id: string; name: string }[]> {
  return await db
    .selectFrom('patch_job')
    .select(['id', 'name'])
    .where(sql<boolean>`definition->'calendars' ? ${calendar}`)
    .where((e) =>
      e.or([
        e('archived_at', 'is', null),
        e.exists(
          e
            .selectFrom('deployment')
            .select('deployment.id')
            .whereRef('deployment.job_id', '=', 'patch_job.id')
            .where('deployment.ended_at', 'is', null),
        ),
      ]),
    )
    .orderBy('name')
    .orderBy('id')
    .execute();
}
