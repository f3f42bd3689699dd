import { sql, type Insertable, type Kysely, type Selectable } from 'kysely';
import type { Transact } from '../context.ts';
import type { Database, DistributionFileTable, DistributionPointTable } from '../database/tables.ts';
import type { FileIndex, StoredFile } from './file-index.ts';

function fileOf(row: Selectable<DistributionFileTable> | undefined): StoredFile | null {
  if (row === undefined || row.sha256 === null) return null;
  return {
    url: row.url,
    sha256: row.sha256,
    bytes: Number(row.bytes),
    etag: row.etag,
    lastModified: row.last_modified,
  };
}

/** The index of the server's own point. */
export function databaseIndex(db: Kysely<Database>): FileIndex {
  return {
    async find(url) {
      return fileOf(
        await db.selectFrom('distribution_file').selectAll().where('url', '=', url).executeTakeFirst(),
      );
    },
    async save(file, at) {
      const values = {
        sha256: file.sha256,
        bytes: file.bytes,
        etag: file.etag,
        last_modified: file.lastModified,
        fetched_at: at,
        last_used_at: at,
      };
      await db
        .insertInto('distribution_file')
        .values({ url: file.url, ...values })
        .onConflict((conflict) => conflict.column('url').doUpdateSet(values))
        .execute();
    },
    async touch(url, at, fetched) {
      await db
        .updateTable('distribution_file')
        .set({ last_used_at: at, ...(fetched ? { fetched_at: at } : {}) })
        .where('url', '=', url)
        .execute();
    },
    async remove(url) {
      await removeStored(db, url);
    },
    async totals() {
      const { rows } = await sql<{ files: string; bytes: string }>`
        select count(*) as files, coalesce(sum(bytes), 0) as bytes
        from (select distinct on (sha256) bytes from distribution_file where sha256 is not null order by sha256) as one`.execute(
        db,
      );
      return { files: Number(rows[0]?.files ?? 0), bytes: Number(rows[0]?.bytes ?? 0) };
    },
    async forgetOldest(maximumBytes, keep) {
      return await db.transaction().execute(async (trx) => {
        const { rows } = await sql<{ sha256: string }>`
          with by_use as (
            select sha256, sum(max(bytes)) over (order by max(last_used_at) desc, sha256) as kept
            from distribution_file where sha256 is not null group by sha256
          )
          delete from distribution_file
          where sha256 in (select sha256 from by_use where kept > ${maximumBytes} and sha256 <> all (${keep}::text[]))
          returning sha256`.execute(trx);
        return [...new Set(rows.map((row) => row.sha256))];
      });
    },
    async containing(text) {
      const rows = await db
        .selectFrom('distribution_file')
        .selectAll()
        .where(sql<boolean>`position(${text} in url) > 0`)
        .execute();
      return rows.map(fileOf).filter((file) => file !== null);
    },
    async hashes() {
      const rows = await db
        .selectFrom('distribution_file')
        .select('sha256')
        .where('sha256', 'is not', null)
        .distinct()
        .execute();
      return new Set(rows.map((row) => row.sha256).filter((sha256) => sha256 !== null));
    },
  };
}

/** Drops files of this name from the index: all that a package manager may tell of one. */
export async function removeStoredNamed(db: Kysely<Database>, name: string): Promise<void> {
  await sql`delete from distribution_file where right(url, ${name.length + 1}) = ${`/${name}`}`.execute(db);
}

/** Drops a file from the index, so that it is fetched again; also in the transaction of who found it forged. */
export async function removeStored(db: Kysely<Database>, url: string): Promise<void> {
  await db.deleteFrom('distribution_file').where('url', '=', url).execute();
}

// points ---------------------------------------------------------------------------------------------------------------

export type PointRow = Selectable<DistributionPointTable>;

export async function insertPoint(
  trx: Transact,
  point: Insertable<DistributionPointTable>,
): Promise<PointRow> {
  return trx.insertInto('distribution_point').values(point).returningAll().executeTakeFirstOrThrow();
}

/** Those that are not removed. */
export async function allPoints(db: Kysely<Database>): Promise<PointRow[]> {
  return db
    .selectFrom('distribution_point')
    .selectAll()
    .where('removed_at', 'is', null)
    .orderBy('name')
    .execute();
}

export async function lockPoint(trx: Transact, id: string): Promise<PointRow | undefined> {
  return trx
    .selectFrom('distribution_point')
    .selectAll()
    .where('id', '=', id)
    .where('removed_at', 'is', null)
    .forUpdate()
    .executeTakeFirst();
}

export async function pointByName(trx: Transact, name: string): Promise<PointRow | undefined> {
  return trx
    .selectFrom('distribution_point')
    .selectAll()
    .where('name', '=', name)
    .where('removed_at', 'is', null)
    .executeTakeFirst();
}

export async function pointBySecret(db: Kysely<Database>, digest: string): Promise<PointRow | undefined> {
  return db
    .selectFrom('distribution_point')
    .selectAll()
    .where('secret_digest', '=', digest)
    .where('removed_at', 'is', null)
    .executeTakeFirst();
}

export async function updatePoint(
  trx: Transact,
  id: string,
  change: {
    readonly url?: string;
    readonly ranges?: readonly string[];
    readonly removedAt?: Date;
    readonly seenAt?: Date;
    readonly status?: unknown;
    readonly suspects?: unknown;
  },
): Promise<PointRow> {
  return trx
    .updateTable('distribution_point')
    .set({
      ...(change.url === undefined ? {} : { url: change.url }),
      ...(change.ranges === undefined ? {} : { ranges: JSON.stringify(change.ranges) }),
      ...(change.removedAt === undefined ? {} : { removed_at: change.removedAt }),
      ...(change.seenAt === undefined ? {} : { last_seen_at: change.seenAt }),
      ...(change.status === undefined ? {} : { status: JSON.stringify(change.status) }),
      ...(change.suspects === undefined ? {} : { suspects: JSON.stringify(change.suspects) }),
    })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** The addresses that an asset reports. */
export async function addressesOf(db: Kysely<Database>, assetId: number): Promise<string[]> {
  const { rows } = await sql<{ address: string }>`
    select jsonb_array_elements_text(host->'addresses') as address from asset
    where id = ${assetId} and jsonb_typeof(host->'addresses') = 'array'`.execute(db);
  return rows.map((row) => row.address);
}

/** States in which a host may still have to load what its task installs. */
const stillToLoad = ['queued', 'offered', 'downloading', 'waiting_for_window', 'unreachable'];
const packagesMaximum = 20_000;
const assetsMaximum = 50_000;

/** What tasks of deployments that are under way are still to install, of these assets or (null) of all. */
export async function wantedPackages(
  db: Kysely<Database>,
  assetIds: readonly number[] | null,
): Promise<{ name: string; arch: string; version: string }[]> {
  const { rows } = await sql<{ name: string; arch: string; version: string }>`
    select distinct p->>'name' as name, p->>'arch' as arch, p->>'version' as version
    from task t
    join deployment d on d.id = t.deployment_id
    cross join lateral (
      select jsonb_build_object('name', o->'name', 'arch', o->'arch', 'version', o->'to') as p
      from jsonb_array_elements(t.planned->'packages') o
      union all
      select a from jsonb_array_elements(coalesce(t.planned->'added', '[]')) a
    ) as wanted
    where t.ended_at is null and d.state in ('running', 'paused') and t.state = any(${stillToLoad}::text[])
      ${assetIds === null ? sql`` : sql`and t.asset_id = any(${assetIds}::integer[])`}
    order by 1, 2, 3 limit ${packagesMaximum}`.execute(db);
  return rows;
}

/** The assets of these tasks, with the addresses that they report. */
export async function openTaskAssets(
  db: Kysely<Database>,
): Promise<{ assetId: number; addresses: string[] }[]> {
  const { rows } = await sql<{ id: number; addresses: unknown }>`
    select a.id, a.host->'addresses' as addresses from asset a
    where exists (
      select from task t join deployment d on d.id = t.deployment_id
      where t.asset_id = a.id and t.ended_at is null and d.state in ('running', 'paused')
        and t.state = any(${stillToLoad}::text[]))
    limit ${assetsMaximum}`.execute(db);
  return rows.map(({ id, addresses }) => ({
    assetId: id,
    addresses: Array.isArray(addresses) ? addresses.filter((one) => typeof one === 'string') : [],
  }));
}
