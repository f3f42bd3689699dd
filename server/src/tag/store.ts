import { sql, type Insertable, type Kysely, type Selectable } from 'kysely';
import type { Transact } from '../context.ts';
import type { Database, TagTable } from '../database/tables.ts';

/** The only writer of tag and tag_asset. */

export type TagRow = Selectable<TagTable>;

/** Null when the name is taken. */
export async function insertTag(trx: Transact, tag: Insertable<TagTable>): Promise<TagRow | null> {
  const row = await trx
    .insertInto('tag')
    .values(tag)
    .onConflict((conflict) => conflict.column('name').doNothing())
    .returningAll()
    .executeTakeFirst();
  return row ?? null;
}

export async function deleteTag(trx: Transact, id: string): Promise<void> {
  await trx.deleteFrom('tag').where('id', '=', id).execute();
}

/** Locks the tag, so that it is not deleted while its members change. */
export async function lockTag(trx: Transact, name: string): Promise<TagRow | null> {
  const row = await trx.selectFrom('tag').selectAll().where('name', '=', name).forUpdate().executeTakeFirst();
  return row ?? null;
}

export async function tagsNamed(db: Kysely<Database>, names: readonly string[]): Promise<TagRow[]> {
  return await db
    .selectFrom('tag')
    .selectAll()
    .where(sql<boolean>`name = any(${[...names]}::text[])`)
    .orderBy('name')
    .execute();
}

/** Which of these assets were not members before. */
export async function insertMembers(
  trx: Transact,
  tagId: string,
  assetIds: readonly number[],
): Promise<number[]> {
  const rows = await sql<{ asset_id: number }>`
    insert into tag_asset (tag_id, asset_id) select ${tagId}::uuid, unnest(${[...assetIds]}::integer[])
    on conflict do nothing returning asset_id
  `.execute(trx);
  return rows.rows.map((row) => row.asset_id);
}

/** Which of these assets were members. */
export async function deleteMembers(
  trx: Transact,
  tagId: string,
  assetIds: readonly number[],
): Promise<number[]> {
  const rows = await trx
    .deleteFrom('tag_asset')
    .where('tag_id', '=', tagId)
    .where(sql<boolean>`asset_id = any(${[...assetIds]}::integer[])`)
    .returning('asset_id')
    .execute();
  return rows.map((row) => row.asset_id);
}

export async function membersOf(db: Kysely<Database>, tagIds: readonly string[]): Promise<number[]> {
  const rows = await db
    .selectFrom('tag_asset')
    .select('asset_id')
    .distinct()
    .where(sql<boolean>`tag_id = any(${[...tagIds]}::uuid[])`)
    .orderBy('asset_id')
    .execute();
  return rows.map((row) => row.asset_id);
}

export async function tagNamesOf(
  db: Kysely<Database>,
  assetIds: readonly number[],
): Promise<{ asset_id: number; name: string }[]> {
  return await db
    .selectFrom('tag_asset')
    .innerJoin('tag', 'tag.id', 'tag_asset.tag_id')
    .select(['tag_asset.asset_id', 'tag.name'])
    .where(sql<boolean>`tag_asset.asset_id = any(${[...assetIds]}::integer[])`)
    .orderBy('tag.name')
    .execute();
}

export async function listTags(
  db: Kysely<Database>,
  after: string | null,
  limit: number,
): Promise<(TagRow & { assets: number })[]> {
  let query = db
    .selectFrom('tag')
    .selectAll()
    .select(sql<number>`(select count(*)::integer from tag_asset where tag_id = tag.id)`.as('assets'))
    .orderBy('name')
    .limit(limit);
  if (after !== null) query = query.where('name', '>', after);
  return await query.execute();
}

export async function countTags(db: Kysely<Database>): Promise<number> {
  const row = await db
    .selectFrom('tag')
    .select((expression) => expression.fn.countAll<string>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}
