import { sql, type Kysely, type Selectable } from 'kysely';
import type { Transact } from '../context.ts';
import type { Cursor } from '../cursor.ts';
import type { Database, DeploymentTable, TaskTable } from '../database/tables.ts';
import { deploymentOf, taskOf, type DeploymentRow, type TaskOfAsset, type TaskRow } from './records.ts';

/** Questions to the tables of this room, and to the assets' as far as plans and verifications need them. Nothing is written. */

export async function findDeployment(db: Kysely<Database>, id: string): Promise<DeploymentRow | undefined> {
  const row = await db.selectFrom('deployment').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : deploymentOf(row);
}

/** Deployments about which anything could have to be decided. */
export async function liveDeployments(db: Kysely<Database>): Promise<string[]> {
  const rows = await db
    .selectFrom('deployment')
    .select('id')
    .where((e) =>
      e.or([
        e('state', 'in', ['running', 'paused']),
        e.exists(
          e
            .selectFrom('task')
            .select('task.id')
            .whereRef('task.deployment_id', '=', 'deployment.id')
            .where('task.ended_at', 'is', null),
        ),
      ]),
    )
    .orderBy('created_at')
    .execute();
  return rows.map((row) => row.id);
}

export type DeploymentListRow = Selectable<Omit<DeploymentTable, 'plan'>> & { readonly job_name: string };

export async function deploymentPage(
  db: Kysely<Database>,
  filter: { jobId: string | null; id: string | null; limit: number; after: Cursor | null },
): Promise<{ rows: DeploymentListRow[]; total: number }> {
  let query = db.selectFrom('deployment').innerJoin('patch_job', 'patch_job.id', 'deployment.job_id');
  if (filter.jobId !== null) query = query.where('deployment.job_id', '=', filter.jobId);
  if (filter.id !== null) query = query.where('deployment.id', '=', filter.id);
  const { total } = await query.select((e) => e.fn.countAll<string>().as('total')).executeTakeFirstOrThrow();
  const { after } = filter;
  if (after !== null) {
    query = query.where((e) =>
      e.or([
        e('deployment.created_at', '<', after.at),
        e.and([e('deployment.created_at', '=', after.at), e('deployment.id', '<', after.id)]),
      ]),
    );
  }
  const rows = await query
    .select([
      'deployment.id',
      'deployment.job_id',
      'deployment.state',
      'deployment.plan_digest',
      'deployment.plan_id',
      'deployment.created_by',
      'deployment.created_at',
      'deployment.started_at',
      'deployment.ended_at',
      'deployment.pause_reasons',
      'patch_job.name as job_name',
    ])
    .orderBy('deployment.created_at', 'desc')
    .orderBy('deployment.id', 'desc')
    .limit(filter.limit)
    .execute();
  return { rows, total: Number(total) };
}

/** How many tasks of each deployment are in which state. */
export async function taskCounts(
  db: Kysely<Database>,
  deploymentIds: readonly string[],
): Promise<Map<string, Record<string, number>>> {
  const counts = new Map<string, Record<string, number>>(deploymentIds.map((id) => [id, {}]));
  if (deploymentIds.length === 0) return counts;
  const rows = await db
    .selectFrom('task')
    .select((e) => ['deployment_id', 'state', e.fn.countAll<string>().as('count')])
    .where('deployment_id', 'in', deploymentIds)
    .groupBy(['deployment_id', 'state'])
    .execute();
  for (const row of rows) {
    const entry = counts.get(row.deployment_id);
    if (entry !== undefined) entry[row.state] = Number(row.count);
  }
  return counts;
}

export async function findTask(db: Kysely<Database>, id: string): Promise<TaskRow | undefined> {
  const row = await db.selectFrom('task').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : taskOf(row);
}

/** An asset's tasks that have not ended, and those that it may still have to be told to give up. Lock the asset first. */
export async function tasksOfAsset(trx: Transact, assetId: number, endedSince: Date): Promise<TaskRow[]> {
  const rows = await trx
    .selectFrom('task')
    .selectAll()
    .where('asset_id', '=', assetId)
    .where((e) =>
      e.or([
        e('ended_at', 'is', null),
        e.and([
          e('state', 'in', ['cancelled', 'expired']),
          e('ended_at', '>', endedSince),
          e('signed_order', 'is not', null),
        ]),
      ]),
    )
    .orderBy('id')
    .execute();
  return rows.map(taskOf);
}

export async function openTasksOfAsset(trx: Transact, assetId: number): Promise<TaskRow[]> {
  const rows = await trx
    .selectFrom('task')
    .selectAll()
    .where('asset_id', '=', assetId)
    .where('ended_at', 'is', null)
    .orderBy('id')
    .execute();
  return rows.map(taskOf);
}

/** Of these assets, those with a task that has not ended. */
export async function assetsWithOpenTask(trx: Transact, assetIds: readonly number[]): Promise<Set<number>> {
  if (assetIds.length === 0) return new Set();
  const rows = await trx
    .selectFrom('task')
    .select('asset_id')
    .distinct()
    .where('ended_at', 'is', null)
    .where(sql<boolean>`asset_id = any(${[...assetIds]}::int[])`)
    .execute();
  return new Set(rows.map((row) => row.asset_id));
}

/** The number that the next order to this asset gets. Lock the asset first. */
export async function nextSequence(trx: Transact, assetId: number): Promise<number> {
  const row = await trx
    .selectFrom('task')
    .select((e) => e.fn.max('sequence').as('last'))
    .where('asset_id', '=', assetId)
    .executeTakeFirst();
  return Number(row?.last ?? 0) + 1;
}

/** The zones of the assets whose tasks are queued. */
export async function zonesOfQueued(db: Kysely<Database>, deploymentId: string): Promise<string[]> {
  const { rows } = await sql<{ zone: string }>`
    select distinct coalesce(asset.host ->> 'time_zone', 'UTC') as zone
    from task join asset on asset.id = task.asset_id
    where task.deployment_id = ${deploymentId} and task.state = 'queued'`.execute(db);
  return rows.map((row) => row.zone);
}

/**
 * How many tasks of a deployment are at work, which is what its concurrency limits. Asked at the check-ins of all that wait for a
 * place: in the words of the index task_at_work, so that the thousands that are not at work are not read.
 */
export async function countAtWork(db: Kysely<Database>, deploymentId: string): Promise<number> {
  const { rows } = await sql<{ count: string }>`
    select count(*) from task
    where deployment_id = ${deploymentId} and ended_at is null
      and coalesce(resume_state, state) not in ('queued', 'restart_pending', 'reboot_pending')`.execute(db);
  return Number(rows[0]?.count ?? 0);
}

/** How many tasks of a deployment have not ended; no more than `most` are counted. */
export async function countNotEnded(
  db: Kysely<Database>,
  deploymentId: string,
  most: number,
): Promise<number> {
  const { rows } = await sql<{ count: string }>`
    select count(*) from (
      select from task where deployment_id = ${deploymentId} and ended_at is null limit ${most}
    ) as open`.execute(db);
  return Number(rows[0]?.count ?? 0);
}

export function withAsset(db: Kysely<Database>) {
  return db
    .selectFrom('task')
    .innerJoin('asset', 'asset.id', 'task.asset_id')
    .leftJoin('asset_contact', 'asset_contact.asset_id', 'task.asset_id')
    .selectAll('task')
    .select(['asset_contact.last_seen_at', 'asset.retired_at'])
    .select(sql<number>`coalesce(asset_contact.next_check_in_seconds, 60)`.as('next_check_in_seconds'))
    .select(sql<string>`coalesce(asset.host ->> 'time_zone', 'UTC')`.as('time_zone'));
}

type RawWithAsset = Selectable<TaskTable> & {
  last_seen_at: Date | null;
  next_check_in_seconds: number;
  retired_at: Date | null;
  time_zone: string;
};

export function withAssetOf(row: RawWithAsset): TaskOfAsset {
  return Object.assign(taskOf(row), {
    lastSeenAt: row.last_seen_at,
    nextCheckInSeconds: row.next_check_in_seconds,
    retiredAt: row.retired_at,
    timeZone: row.time_zone,
  });
}

/** A deployment's tasks, in order of host name. */
export async function tasksOfDeployment(
  db: Kysely<Database>,
  deploymentId: string,
): Promise<(TaskOfAsset & { hostname: string })[]> {
  const rows = await withAsset(db)
    .select('asset.hostname')
    .where('task.deployment_id', '=', deploymentId)
    .orderBy('task.ring')
    .orderBy('asset.hostname')
    .orderBy('task.id')
    .execute();
  return rows.map((row) => Object.assign(withAssetOf(row), { hostname: row.hostname }));
}

export async function taskWithAsset(
  db: Kysely<Database>,
  id: string,
): Promise<(TaskOfAsset & { hostname: string }) | undefined> {
  const row = await withAsset(db).select('asset.hostname').where('task.id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : Object.assign(withAssetOf(row), { hostname: row.hostname });
}

/**
 * Tasks that wait for their verification since before `since` although the asset has checked in after, and those that could
 * not be decided when they were judged last, before `undecidedSince`.
 */
export async function overdueVerifications(
  db: Kysely<Database>,
  since: Date,
  undecidedSince: Date,
  limit: number,
) {
  return db
    .selectFrom('task')
    .leftJoin('asset_contact', 'asset_contact.asset_id', 'task.asset_id')
    .select(['task.id', 'task.asset_id'])
    .where((e) =>
      e.or([
        e('task.state', '=', 'verifying'),
        // a rollback that the host says is done
        e.and([
          e('task.state', '=', 'rolling_back'),
          sql<boolean>`task.evidence -> 'rollback' -> 'generation' = to_jsonb(task.generation)`,
        ]),
      ]),
    )
    .where((e) =>
      e.or([
        e.and([
          e.or([e('task.reason', 'is', null), sql<boolean>`task.reason ->> 'code' = 'rolling_back'`]),
          e('task.updated_at', '<', since),
          e('asset_contact.last_seen_at', '>', e.ref('task.updated_at')),
        ]),
        e.and([e('task.reason', 'is not', null), e('task.updated_at', '<', undecidedSince)]),
      ]),
    )
    .limit(limit)
    .execute();
}

/** Whether an event with this detail is in the history already. */
export async function hasTaskEvent(trx: Transact, taskId: string, detail: unknown): Promise<boolean> {
  const row = await trx
    .selectFrom('task_event')
    .select('ordinal')
    .where('task_id', '=', taskId)
    .where(sql<boolean>`detail @> ${JSON.stringify(detail)}::jsonb`)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** What the host said that it kept before a generation of a task, as it was reported; null when it said nothing. */
export async function keptOfTask(trx: Transact, taskId: string, generation: number): Promise<unknown> {
  const row = await trx
    .selectFrom('task_event')
    .select(sql`detail -> 'kept'`.as('kept'))
    .where('task_id', '=', taskId)
    .where('source', '=', 'agent')
    .where(sql<boolean>`detail -> 'generation' = to_jsonb(${generation}::int) and detail ? 'kept'`)
    .orderBy('ordinal', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.kept ?? null;
}

export async function taskEvents(db: Kysely<Database>, taskId: string) {
  return db.selectFrom('task_event').selectAll().where('task_id', '=', taskId).orderBy('ordinal').execute();
}

/** The histories of all tasks of a deployment, each oldest first. */
export async function stepsOfDeployment(db: Kysely<Database>, deploymentId: string) {
  return db
    .selectFrom('task_event')
    .innerJoin('task', 'task.id', 'task_event.task_id')
    .select(['task_event.task_id', 'task_event.to_state', 'task_event.detail'])
    .where('task.deployment_id', '=', deploymentId)
    .orderBy('task_event.task_id')
    .orderBy('task_event.ordinal')
    .execute();
}

/** Numbers of assets by their ids; those that there are not are missing. */
export async function assetIdsOf(trx: Transact, uids: readonly string[]): Promise<Map<string, number>> {
  if (uids.length === 0) return new Map();
  const rows = await trx
    .selectFrom('asset')
    .select(['id', 'uid'])
    .where(sql<boolean>`uid = any(${[...uids]}::uuid[])`)
    .execute();
  return new Map(rows.map((row) => [row.uid, row.id]));
}

/** Everything of an asset that a plan or a verification reads. Candidates: only those of the named source packages, and kernels. */
export async function assetFacts(
  trx: Transact,
  assetIds: readonly number[],
  sources: readonly string[] | 'all' | null,
) {
  return trx
    .selectFrom('asset')
    .leftJoin('asset_contact', 'asset_contact.asset_id', 'asset.id')
    .select([
      'id',
      'uid',
      'hostname',
      'mode',
      'os',
      'os_release',
      'retired_at',
      'last_seen_at',
      'inventory_at',
      'digests',
      'software',
      'residue',
      'problems',
    ])
    .select(sql`host -> 'held'`.as('held'))
    .select(sql`host -> 'mitigations'`.as('mitigations'))
    .select(sql`host -> 'policy'`.as('policy'))
    .select(sql`host -> 'package_manager'`.as('package_manager'))
    .select(sql`host -> 'reboot_required_by'`.as('reboot_required_by'))
    .select(sql<string | null>`host ->> 'machine'`.as('machine'))
    .select(
      (sources === null
        ? sql`'[]'::jsonb`
        : sources === 'all'
          ? sql`coalesce(candidates, '[]'::jsonb)`
          : sql`(select coalesce(jsonb_agg(c), '[]'::jsonb) from jsonb_array_elements(candidates) c
            where c ->> 'source' = any(${[...sources]}::text[]) or c ->> 'name' = any(${[...sources]}::text[])
              or c ->> 'source' like 'linux-signed%')`
      ).as('offered'),
    )
    .where(sql<boolean>`id = any(${[...assetIds]}::int[])`)
    .orderBy('id')
    .execute();
}
