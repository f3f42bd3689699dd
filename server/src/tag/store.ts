import { deserialise, serialise, union, type AssetSet } from '@fixpoint/core/posture/asset-set.ts';
import { sql, type Insertable, type Kysely, type Selectable } from 'kysely';
import type { Transact } from '../context.ts';
import type { Database, TagTable } from '../database/tables.ts';

/** The only writer of tag. */

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

/** Which of these assets were not members before. The tag must be locked. */
export async function insertMembers(
  trx: Transact,
  tag: TagRow,
  assetIds: readonly number[],
): Promise<number[]> {
  return await changeMembers(trx, tag, (members) => assetIds.filter((id) => members.tryAdd(id)));
}

/** Which of these assets were members. The tag must be locked. */
export async function deleteMembers(
  trx: Transact,
  tag: TagRow,
  assetIds: readonly number[],
): Promise<number[]> {
  return await changeMembers(trx, tag, (members) => assetIds.filter((id) => members.delete(id)));
}

async function changeMembers(
  trx: Transact,
  tag: TagRow,
  change: (members: AssetSet) => number[],
): Promise<number[]> {
  const members = deserialise(tag.members);
  const changed = change(members);
  if (changed.length > 0) {
    await trx
      .updateTable('tag')
      .set({ members: Buffer.from(serialise(members)) })
      .where('id', '=', tag.id)
      .execute();
  }
  return changed;
}

/** Assets that are in one of these tags as it was last written down, in ascending order. */
export function membersOf(tags: readonly Pick<TagRow, 'members'>[]): number[] {
  return union(tags.map((tag) => deserialise(tag.members))).toArray();
}

export async function listTags(db: Kysely<Database>, after: string | null, limit: number): Promise<TagRow[]> {
  let query = db.selectFrom('tag').selectAll().orderBy('name').limit(limit);
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
