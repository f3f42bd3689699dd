import { sql, type Insertable, type Kysely, type Selectable, type Updateable } from 'kysely';
import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import type { Transact } from '../context.ts';
import type {
  BundleKeyTable,
  Database,
  FeedDownloadTable,
  FeedFileTable,
  FeedSettingTable,
  FeedSyncTable,
} from '../database/tables.ts';

/** The only writer of how feeds are kept current, of what was downloaded, and of the keys whose bundles are taken. */

export type SettingRow = Selectable<FeedSettingTable>;
export type SyncRow = Selectable<FeedSyncTable>;
export type DownloadRow = Selectable<FeedDownloadTable>;
export type FileRow = Selectable<FeedFileTable>;
type Db = Kysely<Database>;

/** Any number, the same for every replica; with the hash of a feed's id it names the turn to sync that feed. */
const syncTurn = 4_206_011;

/**
 * Runs work unless somebody else, in this process or another replica, is syncing the feed. The lock belongs to a connection,
 * so a process that dies gives it back.
 *
 * @returns null when somebody else is at it
 */
export async function inTurn<T>(db: Db, feed: FeedId, work: () => Promise<T>): Promise<T | null> {
  return await db.connection().execute(async (connection) => {
    const { rows } = await sql<{
      got: boolean;
    }>`select pg_try_advisory_lock(${syncTurn}, hashtext(${feed})) as got`.execute(connection);
    if (rows[0]?.got !== true) return null;
    try {
      return await work();
    } finally {
      // a connection that has ended has given the lock back by itself, and what was done is done
      await sql`select pg_advisory_unlock(${syncTurn}, hashtext(${feed}))`
        .execute(connection)
        .catch(() => undefined);
    }
  });
}

/** Feeds of these that somebody is syncing now. */
export async function feedsUnderWay(db: Db, feeds: readonly FeedId[]): Promise<Set<string>> {
  const { rows } = await sql<{ feed: string }>`
    select x.feed from unnest(${[...feeds]}::text[]) as x(feed)
    where exists (select 1 from pg_locks
      where locktype = 'advisory' and granted and classid = ${syncTurn}
        and database = (select oid from pg_database where datname = current_database())
        and objid = (hashtext(x.feed)::bigint & 4294967295)::text::oid)`.execute(db);
  return new Set(rows.map((row) => row.feed));
}

export async function settingRows(db: Db): Promise<SettingRow[]> {
  return await db.selectFrom('feed_setting').selectAll().execute();
}

export async function settingRow(db: Db, feed: FeedId): Promise<SettingRow | null> {
  const row = await db
    .selectFrom('feed_setting')
    .selectAll()
    .where('feed', '=', feed)
    .forUpdate()
    .executeTakeFirst();
  return row ?? null;
}

export async function saveSetting(trx: Transact, row: Insertable<FeedSettingTable>): Promise<void> {
  await trx
    .insertInto('feed_setting')
    .values(row)
    .onConflict((conflict) => conflict.column('feed').doUpdateSet(row))
    .execute();
}

export async function syncRows(db: Db): Promise<SyncRow[]> {
  return await db.selectFrom('feed_sync').selectAll().execute();
}

export async function syncRow(db: Db, feed: FeedId): Promise<SyncRow | null> {
  const row = await db.selectFrom('feed_sync').selectAll().where('feed', '=', feed).executeTakeFirst();
  return row ?? null;
}

export async function saveSync(
  db: Db,
  feed: FeedId,
  change: Omit<Updateable<FeedSyncTable>, 'feed'>,
): Promise<void> {
  await db
    .insertInto('feed_sync')
    .values({ feed, ...change })
    .onConflict((conflict) => conflict.column('feed').doUpdateSet(change))
    .execute();
}

export async function findDownload(db: Db, url: string): Promise<DownloadRow | null> {
  const row = await db.selectFrom('feed_download').selectAll().where('url', '=', url).executeTakeFirst();
  return row ?? null;
}

export async function saveDownload(db: Db, row: Insertable<FeedDownloadTable>): Promise<void> {
  await db
    .insertInto('feed_download')
    .values(row)
    .onConflict((conflict) => conflict.column('url').doUpdateSet(row))
    .execute();
}

export async function fileRows(db: Db, feeds?: readonly FeedId[]): Promise<FileRow[]> {
  let query = db.selectFrom('feed_file').selectAll();
  if (feeds !== undefined) query = query.where('feed', 'in', [...feeds]);
  return await query.orderBy('feed').orderBy('ordinal').orderBy('name').execute();
}

export interface HeldFile {
  readonly name: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly url: string | null;
  readonly publishedAt: string | null;
}

/** Notes what is held of a feed: these files alone, or these besides the earlier ones. */
export async function saveFiles(
  trx: Transact,
  feed: FeedId,
  files: readonly HeldFile[],
  whole: boolean,
): Promise<void> {
  if (whole) await trx.deleteFrom('feed_file').where('feed', '=', feed).execute();
  const { ordinal } = await trx
    .selectFrom('feed_file')
    .select((e) => e.fn.coalesce(e.fn.max('ordinal'), e.lit(0)).as('ordinal'))
    .where('feed', '=', feed)
    .executeTakeFirstOrThrow();
  for (const [i, file] of files.entries()) {
    // the newest is read last, so that it counts
    const row = {
      ordinal: ordinal + 1 + i,
      sha256: file.sha256,
      bytes: file.bytes,
      url: file.url,
      published_at: file.publishedAt,
    };
    await trx
      .insertInto('feed_file')
      .values({ feed, name: file.name, ...row })
      .onConflict((conflict) => conflict.columns(['feed', 'name']).doUpdateSet(row))
      .execute();
  }
}

/** Hashes of all files that something refers to. */
export async function neededHashes(db: Db): Promise<Set<string>> {
  const { rows } = await sql<{
    sha256: string;
  }>`select sha256 from feed_download union select sha256 from feed_file`.execute(db);
  return new Set(rows.map((row) => row.sha256));
}

export async function keyRows(db: Db): Promise<Selectable<BundleKeyTable>[]> {
  return await db.selectFrom('bundle_key').selectAll().orderBy('added_at').orderBy('public_key').execute();
}

export async function insertKey(trx: Transact, row: Insertable<BundleKeyTable>): Promise<boolean> {
  const inserted = await trx
    .insertInto('bundle_key')
    .values(row)
    .onConflict((conflict) => conflict.column('public_key').doNothing())
    .returning('public_key')
    .executeTakeFirst();
  return inserted !== undefined;
}

export async function removeKey(
  trx: Transact,
  publicKey: string,
): Promise<Selectable<BundleKeyTable> | null> {
  const row = await trx
    .deleteFrom('bundle_key')
    .where('public_key', '=', publicKey)
    .returningAll()
    .executeTakeFirst();
  return row ?? null;
}

/** Systems that assets report, each once; of all assets that are not retired, or of one. */
export async function systemsOfAssets(
  db: Db,
  assetId: number | null,
): Promise<{ os: string; os_release: string }[]> {
  let query = db.selectFrom('asset').select(['os', 'os_release']).distinct().where('retired_at', 'is', null);
  if (assetId !== null) query = query.where('id', '=', assetId);
  return await query.execute();
}
