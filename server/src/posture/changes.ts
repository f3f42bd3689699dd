/** Reads the feed of changes, fleet_change. */
import type { PoolClient } from 'pg';
import type { Changed } from './load.ts';
import { parseSnapshot, type Snapshot } from './snapshot.ts';

export interface Changes {
  readonly rows: Changed[];
  readonly snapshot: Snapshot;
  /** By the clock of the database, in milliseconds since 1970. */
  readonly at: number;
}

/**
 * Rows of the feed that can be seen now and could not be seen in `since` (null: none), and what can be seen now. PostgreSQL picks them,
 * so that a transaction which stays open for hours does not make everything since then be read at each look. Rows that were
 * restored from a dump can be of transactions that this database has not come to yet; they are of no news.
 */
export async function changesSince(client: PoolClient, since: Snapshot | null): Promise<Changes> {
  const { rows } = await client.query<
    { [Column in keyof Changed]: Changed[Column] | null } & { snapshot: string; now: Date }
  >(
    `select pg_current_snapshot()::text as snapshot, clock_timestamp() as now, c.xid::text as xid, c.kind, c.ids, c.keys
     from (select 1) as once left join fleet_change c on c.xid >= $1::xid8
       and pg_visible_in_snapshot(c.xid, pg_current_snapshot()) and not pg_visible_in_snapshot(c.xid, $2::pg_snapshot)`,
    since === null ? [null, null] : [since.xmin.toString(), since.text],
  );
  return {
    rows: rows.filter((row): row is typeof row & Changed => row.xid !== null),
    snapshot: parseSnapshot(rows[0]?.snapshot ?? ''),
    at: rows[0]?.now.getTime() ?? 0,
  };
}
