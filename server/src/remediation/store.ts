import { sinceEpochSeconds } from '@fixpoint/core/finding/exposure.ts';
import { sql, type Kysely } from 'kysely';
import type { Database } from '../database/tables.ts';
import { exposedRows, keptFirstSeen } from '../finding/derived.ts';

/** Reads when exposures began and ended. It writes nothing. Times are milliseconds since 1970. */

export interface EndedExposure {
  readonly asset_id: number;
  readonly software_id: number;
  readonly vulnerability: string;
  readonly ecosystem: string;
  readonly package: string;
  readonly opened_at: number;
  readonly closed_at: number;
  /** Null: its evidence does not say. */
  readonly reason: string | null;
}

/** Exposures of these assets that ended at `floor` or later. */
export async function endedExposures(
  db: Kysely<Database>,
  assets: readonly number[],
  floor: number,
): Promise<EndedExposure[]> {
  const { rows } = await sql<EndedExposure>`
    select h.asset_id, h.software_id, h.vulnerability, s.ecosystem, s.package,
      extract(epoch from h.opened_at)::float8 * 1000 as opened_at,
      extract(epoch from h.closed_at)::float8 * 1000 as closed_at, h.evidence ->> 'reason' as reason
    from exposure_history h join software s on s.id = h.software_id
    where h.asset_id = any(${assets}::integer[]) and h.closed_at >= to_timestamp(${floor / 1000}::float8)`.execute(
    db,
  );
  return rows;
}

/** Findings of these assets that were remediated before `floor`, each once. */
export async function remediatedBefore(
  db: Kysely<Database>,
  assets: readonly number[],
  floor: number,
  reasons: readonly string[],
): Promise<Pick<EndedExposure, 'asset_id' | 'vulnerability' | 'ecosystem' | 'package'>[]> {
  const { rows } = await sql<Pick<EndedExposure, 'asset_id' | 'vulnerability' | 'ecosystem' | 'package'>>`
    select distinct h.asset_id, h.vulnerability, s.ecosystem, s.package
    from exposure_history h join software s on s.id = h.software_id
    where h.asset_id = any(${assets}::integer[]) and h.closed_at < to_timestamp(${floor / 1000}::float8)
      and h.evidence ->> 'reason' = any(${reasons}::text[])`.execute(db);
  return rows;
}

/** Ids of assets that were retired at `floor` or later, in the order of their ids, after one of them. */
export async function retiredAssets(
  db: Kysely<Database>,
  after: number,
  floor: number,
  limit: number,
): Promise<number[]> {
  const rows = await db
    .selectFrom('asset')
    .select('id')
    .where('id', '>', after)
    .where('retired_at', '>=', new Date(floor))
    .orderBy('id')
    .limit(limit)
    .execute();
  return rows.map(({ id }) => id);
}

/** What was exposed on retired assets when they were retired: it ended then. */
export async function exposedWhenRetired(
  db: Kysely<Database>,
  assets: readonly number[],
): Promise<Omit<EndedExposure, 'reason'>[]> {
  const { rows } = await sql<Omit<EndedExposure, 'reason'>>`
    select e.asset_id, e.software_id, v.vulnerability, s.ecosystem, s.package,
      extract(epoch from least(greatest(to_timestamp(e.since + ${sinceEpochSeconds}), v.since),
        ${keptFirstSeen(sql`e.asset_id`, sql`v.vulnerability`, sql`s.package`)}))::float8 * 1000 as opened_at,
      extract(epoch from r.retired_at)::float8 * 1000 as closed_at
    from (${exposedRows(sql`a.id = any(${assets}::integer[])`)}) e
      join asset r on r.id = e.asset_id
      join software s on s.id = e.software_id
      join software_verdict v on v.software_id = e.software_id and v.verdict = 'vulnerable'
    -- What became known only later was no finding of it.
    where v.since <= r.retired_at`.execute(db);
  return rows;
}

/** When each acceptance of risk began, by its id. */
export async function acceptanceStarts(db: Kysely<Database>): Promise<Map<string, number>> {
  const rows = await db.selectFrom('risk_acceptance').select(['id', 'starts_at']).execute();
  return new Map(rows.map(({ id, starts_at: at }) => [id, at.getTime()]));
}
