import { sql, type Kysely } from 'kysely';
import type { Database } from '../database/tables.ts';

/** Questions to the logs of tasks. Nothing is written. */

/** A place in the log of a task: after this piece. */
export interface LogPlace {
  readonly generation: number;
  readonly place: number;
}
export const beforeAll: LogPlace = { generation: 0, place: -1 };

/** How much of the log of a generation is held. */
export async function heldLog(
  db: Kysely<Database>,
  taskId: string,
  generation: number,
): Promise<{ next: number; bytes: number }> {
  const { rows } = await sql<{ next: string | null; bytes: string | null }>`
    select max(place) + 1 as next, sum(octet_length(text)) as bytes
    from task_log where task_id = ${taskId} and generation = ${generation}`.execute(db);
  return { next: Number(rows[0]?.next ?? 0), bytes: Number(rows[0]?.bytes ?? 0) };
}

/** Pieces after a place, in their order; of one generation when it is named. */
export async function logAfter(
  db: Kysely<Database>,
  taskId: string,
  filter: { readonly after: LogPlace; readonly generation: number | null; readonly limit: number },
) {
  const { after, generation, limit } = filter;
  let query = db
    .selectFrom('task_log')
    .select(['generation', 'place', 'at', 'step', 'text'])
    .where('task_id', '=', taskId)
    .where(sql<boolean>`(generation, place) > (${after.generation}, ${after.place})`);
  if (generation !== null) query = query.where('generation', '=', generation);
  return query.orderBy('generation').orderBy('place').limit(limit).execute();
}

export interface TaskHead {
  readonly assetId: number;
  readonly hostname: string;
  readonly state: string;
  readonly generation: number;
  readonly endedAt: Date | null;
  readonly progressAt: Date | null;
  readonly message: string | null;
}

/** A task without its plan, which can be large. */
export async function taskHead(db: Kysely<Database>, taskId: string): Promise<TaskHead | undefined> {
  const row = await db
    .selectFrom('task')
    .innerJoin('asset', 'asset.id', 'task.asset_id')
    .select([
      'task.asset_id',
      'asset.hostname',
      'task.state',
      'task.generation',
      'task.ended_at',
      'task.progress_at',
    ])
    .select(sql<string | null>`task.reason ->> 'message'`.as('message'))
    .where('task.id', '=', taskId)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    assetId: row.asset_id,
    hostname: row.hostname,
    state: row.state,
    generation: row.generation,
    endedAt: row.ended_at,
    progressAt: row.progress_at,
    message: row.message,
  };
}
