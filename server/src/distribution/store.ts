import { sql, type Kysely, type Selectable } from 'kysely';
import type { Database, DistributionFileTable } from '../database/tables.ts';

export interface StoredFile {
  readonly url: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

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

export async function findStored(db: Kysely<Database>, url: string): Promise<StoredFile | null> {
  return fileOf(
    await db.selectFrom('distribution_file').selectAll().where('url', '=', url).executeTakeFirst(),
  );
}

export async function saveStored(db: Kysely<Database>, file: StoredFile, at: Date): Promise<void> {
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
}

/** Notes that a file was used, and with `fetched` that the repository said it is still the one. */
export async function touchStored(
  db: Kysely<Database>,
  url: string,
  at: Date,
  fetched: boolean,
): Promise<void> {
  await db
    .updateTable('distribution_file')
    .set({ last_used_at: at, ...(fetched ? { fetched_at: at } : {}) })
    .where('url', '=', url)
    .execute();
}

export async function removeStored(db: Kysely<Database>, url: string): Promise<void> {
  await db.deleteFrom('distribution_file').where('url', '=', url).execute();
}

export async function storedTotals(db: Kysely<Database>): Promise<{ files: number; bytes: number }> {
  const { rows } = await sql<{ files: string; bytes: string }>`
    select count(*) as files, coalesce(sum(bytes), 0) as bytes
    from (select distinct on (sha256) bytes from distribution_file where sha256 is not null order by sha256) as one`.execute(
    db,
  );
  return { files: Number(rows[0]?.files ?? 0), bytes: Number(rows[0]?.bytes ?? 0) };
}

/** Forgets what was used longest ago until no more than `maximumBytes` are left; answers the hashes nobody names any more. */
export async function forgetOldest(db: Kysely<Database>, maximumBytes: number): Promise<string[]> {
  return db.transaction().execute(async (trx) => {
    const { rows } = await sql<{ sha256: string }>`
      with by_use as (
        select sha256, sum(max(bytes)) over (order by max(last_used_at) desc, sha256) as kept
        from distribution_file where sha256 is not null group by sha256
      )
      delete from distribution_file where sha256 in (select sha256 from by_use where kept > ${maximumBytes})
      returning sha256`.execute(trx);
    return [...new Set(rows.map((row) => row.sha256))];
  });
}
