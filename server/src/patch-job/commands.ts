import { PatchJobDefinition, type PatchJob } from '@fixpoint/contract/patch-job.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { mitigationPatchId } from '@fixpoint/core/mitigation/mitigation.ts';
import { splitPatches } from '@fixpoint/core/patch-job/definition.ts';
import { definitionProblems } from '@fixpoint/core/patch-job/problems.ts';
import { Value } from 'typebox/value';
import type { ServerContext } from '../app.ts';
import { appendAudit } from '../audit/commands.ts';
import { checkCalendars } from '../calendar/known.ts';
import type { Context, Transact } from '../context.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import { mitigationsById } from '../mitigation/commands.ts';
import { patchFacts } from '../patch/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { writeFirstRun } from '../schedule/first-run.ts';
import { findJob, insertJob, jobPage, jobsWithCalendar, lockJob, setArchived, type JobRow } from './store.ts';
import { checkSelection, readForJob, type JobReading } from './target.ts';

/** Stores a patch job after checking everything that it refers to. */
export async function createJob(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  actor: Actor,
  definition: PatchJobDefinition,
): Promise<Answer<PatchJob>> {
  const problems = definitionProblems(definition, context.clock.now().getTime());
  if (problems.length > 0) {
    return {
      ...refuse(
        422,
        'job_invalid',
        problems.map((problem) => `${problem.path}: ${problem.message}`).join('; '),
        'correct the definition and send it again',
      ),
      problems,
    };
  }
  const wanted = splitPatches(definition.patches);
  const known = new Set((await patchFacts(trx, { ids: wanted.packages })).map((patch) => patch.id));
  const mitigations = mitigationsById(wanted.mitigations);
  const unknown = [
    ...wanted.packages.filter((id) => !known.has(id)),
    ...wanted.mitigations.filter((id) => !mitigations.some((one) => one.id === id)).map(mitigationPatchId),
  ];
  if (unknown.length > 0) {
    return refuse(
      422,
      'patch_unknown',
      `no such patch is known: ${unknown.join(', ')}`,
      'see which there are with: fixpoint patch list --package NAME, fixpoint mitigation list',
    );
  }
  const restarting = mitigations.filter((one) => one.restart_units.length > 0);
  if (definition.units === 'leave' && restarting.length > 0) {
    return refuse(
      422,
      'job_invalid',
      `/units: the services are to be left alone, and without a reload these take no effect: ${restarting.map((one) => one.id).join(', ')}`,
      'create the job with units: restart',
    );
  }
  const selection = await checkSelection(trx, definition);
  if (!selection.ok) return selection;
  const calendars = await checkCalendars(trx, definition.calendars ?? []);
  if (!calendars.ok) return calendars;
  const id = context.random.uuid();
  const at = context.clock.now();
  await insertJob(trx, { id, name: definition.name, definition, createdBy: actor.name, at });
  await writeFirstRun(trx, context, id, definition);
  await appendAudit(trx, context, {
    actor,
    event: 'job.created',
    subjectKind: 'job',
    subject: id,
    after: definition,
  });
  return answer({ id, definition, created_by: actor.name, created_at: at.toISOString(), deployments: 0 });
}

/** A page of jobs, newest first, without the archived ones. */
export async function listJobs(
  context: Pick<Context, 'db'>,
  query: { readonly limit?: number | undefined; readonly after?: string | undefined },
): Promise<Answer<{ items: PatchJob[]; total: number; next: string | null }>> {
  const read = readCursor(query.after);
  if (!read.ok) return read;
  const limit = query.limit ?? 100;
  const { rows, total } = await jobPage(context.db, limit + 1, read.cursor);
  const last = rows[limit - 1];
  const next =
    rows.length > limit && last !== undefined ? writeCursor({ at: last.created_at, id: last.id }) : null;
  return answer({ items: rows.slice(0, limit).map(jobView), total, next });
}

export async function getJob(db: Context['db'], id: string): Promise<Answer<PatchJob>> {
  const row = await findJob(db, id);
  return row === undefined ? unknownJob(id) : answer(jobView(row));
}

/** What the read model says to a job now; to be asked before the transaction that plans it. The definition of a job does not change. */
export async function readingOfJob(
  context: Pick<ServerContext, 'db' | 'clock' | 'posture'>,
  id: string,
): Promise<Answer<JobReading>> {
  const job = await getJob(context.db, id);
  return job.ok ? await readForJob(context, job.value.definition) : job;
}

/** A job that a deployment may be made of, kept from being archived until the transaction ends. */
export async function jobToStart(trx: Transact, id: string): Promise<Answer<PatchJob>> {
  await lockJob(trx, id);
  const row = await findJob(trx, id);
  if (row === undefined) return unknownJob(id);
  if (row.archived_at !== null) {
    return refuse(
      409,
      'job_archived',
      `the job ${row.name} is archived`,
      'create a new job of the same definition',
    );
  }
  return answer(jobView(row));
}

/** Takes a job out of the lists; it cannot be started any more. Its deployments go on. */
export async function archiveJob(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  actor: Actor,
  id: string,
): Promise<Answer<PatchJob>> {
  await lockJob(trx, id);
  const row = await findJob(trx, id);
  if (row === undefined) return unknownJob(id);
  if (row.archived_at === null) {
    await setArchived(trx, id, context.clock.now());
    await appendAudit(trx, context, { actor, event: 'job.archived', subjectKind: 'job', subject: id });
  }
  return answer(jobView(row));
}

/** False also when there is no such job. */
export async function isArchived(db: Context['db'], id: string): Promise<boolean> {
  const row = await findJob(db, id);
  return row !== undefined && row.archived_at !== null;
}

/** Jobs that name a calendar and can still be started, or still run. */
export async function jobsOfCalendar(
  db: Context['db'],
  calendar: string,
): Promise<{ id: string; name: string }[]> {
  return await jobsWithCalendar(db, calendar);
}

function unknownJob(id: string) {
  return refuse(
    404,
    'job_unknown',
    `there is no patch job ${id}`,
    'see which there are with: fixpoint job list',
  );
}

function jobView(row: JobRow): PatchJob {
  return {
    id: row.id,
    definition: Value.Parse(PatchJobDefinition, row.definition),
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    deployments: row.deployments,
  };
}
