import { deserialise, serialise, type AssetSet } from '@fixpoint/core/posture/asset-set.ts';
import { sql, type Insertable, type Kysely, type Selectable, type Updateable } from 'kysely';
import type { Transact } from '../context.ts';
import type { Database, TagTable } from '../database/tables.ts';

/** The only writer of tag. */

export type TagRow = Selectable<TagTable>;
/** What a tag is, without who is in it. */
export type TagDefinitionRow = Omit<TagRow, 'members' | 'members_at'>;

/** Any number; the same in every replica. */
const definitionsLock = 4_206_004;

const definition = [
  'id',
  'name',
  'description',
  'parent',
  'kind',
  'rule',
  'ranges',
  'created_by',
  'created_at',
  'updated_at',
] as const;

/**
 * Held until the transaction ends by whoever changes what tags, or rules that name tags, are: together they must make sense,
 * whatever two people save at once.
 */
export async function lockDefinitions(trx: Transact): Promise<void> {
  await sql`select pg_advisory_xact_lock(${definitionsLock})`.execute(trx);
}

/** Null when the name is taken. */
export async function insertTag(trx: Transact, tag: Insertable<TagTable>): Promise<TagDefinitionRow | null> {
  const row = await trx
    .insertInto('tag')
    .values(tag)
    .onConflict((conflict) => conflict.column('name').doNothing())
    .returning(definition)
    .executeTakeFirst();
  return row ?? null;
}

/** Tags that are nested in it follow its name. */
export async function updateTag(
  trx: Transact,
  id: string,
  changes: Updateable<TagTable>,
): Promise<TagDefinitionRow> {
  return await trx
    .updateTable('tag')
    .set(changes)
    .where('id', '=', id)
    .returning(definition)
    .executeTakeFirstOrThrow();
}

export async function deleteTag(trx: Transact, id: string): Promise<void> {
  await trx.deleteFrom('tag').where('id', '=', id).execute();
}

/** Locks the tag, so that it is not deleted while its members change. */
export async function lockTag(trx: Transact, name: string): Promise<TagRow | null> {
  const row = await trx.selectFrom('tag').selectAll().where('name', '=', name).forUpdate().executeTakeFirst();
  return row ?? null;
}

export async function tagsNamed(db: Kysely<Database>, names: readonly string[]): Promise<TagDefinitionRow[]> {
  return await db
    .selectFrom('tag')
    .select(definition)
    .where(sql<boolean>`name = any(${[...names]}::text[])`)
    .orderBy('name')
    .execute();
}

export async function allTags(db: Kysely<Database>): Promise<TagDefinitionRow[]> {
  return await db.selectFrom('tag').select(definition).orderBy('name').execute();
}

export async function listTags(
  db: Kysely<Database>,
  after: string | null,
  limit: number,
): Promise<TagDefinitionRow[]> {
  let query = db.selectFrom('tag').select(definition).orderBy('name').limit(limit);
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

/** Which of these assets were not in the list before. The tag must be locked. */
export async function insertMembers(
  trx: Transact,
  tag: TagRow,
  assetIds: readonly number[],
  at: Date,
): Promise<number[]> {
  return await changeMembers(trx, tag, at, (members) => assetIds.filter((id) => members.tryAdd(id)));
}

/** Which of these assets were in the list. The tag must be locked. */
export async function deleteMembers(
  trx: Transact,
  tag: TagRow,
  assetIds: readonly number[],
  at: Date,
): Promise<number[]> {
  return await changeMembers(trx, tag, at, (members) => assetIds.filter((id) => members.delete(id)));
}

async function changeMembers(
  trx: Transact,
  tag: TagRow,
  at: Date,
  change: (members: AssetSet) => number[],
): Promise<number[]> {
  const members = deserialise(tag.members);
  const changed = change(members);
  if (changed.length > 0) {
    await trx
      .updateTable('tag')
      .set({ members: Buffer.from(serialise(members)), members_at: at })
      .where('id', '=', tag.id)
      .execute();
  }
  return changed;
}

/** Members of rules and ranges as they were last written down. */
export async function writtenMembers(
  db: Kysely<Database>,
): Promise<Pick<TagRow, 'id' | 'name' | 'members'>[]> {
  return await db
    .selectFrom('tag')
    .select(['id', 'name', 'members'])
    .where('kind', '!=', 'list')
    .orderBy('name')
    .execute();
}

/** Writes down who is in tags by rule or range. Lists are left as they are, also one that was none a moment ago. */
export async function writeMembers(
  db: Kysely<Database>,
  tags: readonly { readonly id: string; readonly members: Uint8Array }[],
  at: Date,
): Promise<void> {
  const ids = tags.map(({ id }) => id);
  const members = tags.map((tag) => Buffer.from(tag.members).toString('hex'));
  await sql`
    update tag set members = decode(news.members, 'hex'), members_at = ${at}
    from unnest(${ids}::uuid[], ${members}::text[]) as news (id, members)
    where tag.id = news.id and tag.kind <> 'list'`.execute(db);
}

/** What else names tags, as it is written. */
export interface TagUsers {
  readonly criticality: readonly {
    readonly name: string;
    readonly query: string;
    readonly criticality: number;
  }[];
  readonly sla: readonly { readonly name: string; readonly tags: readonly string[] }[];
  /** Those that have neither ended nor been revoked. */
  readonly acceptances: readonly { readonly id: string; readonly scope: string }[];
  readonly jobs: readonly { readonly name: string; readonly tags: readonly string[] }[];
}

export async function tagUsers(db: Kysely<Database>): Promise<TagUsers> {
  const criticality = await db
    .selectFrom('criticality_rule')
    .select(['name', 'query', 'criticality'])
    .orderBy('position')
    .execute();
  const sla = await sql<{ name: string; tags: string[] }>`
    select name, array(select jsonb_array_elements_text(coalesce(definition -> 'when' -> 'anyTag', '[]'))) as tags
    from sla_rule order by position`.execute(db);
  const acceptances = await db
    .selectFrom('risk_acceptance')
    .select(['id', 'scope'])
    .where('expired_at', 'is', null)
    .where('revoked_at', 'is', null)
    .orderBy('created_at')
    .execute();
  const jobs = await sql<{ name: string; tags: string[] }>`
    select name, array(select jsonb_array_elements_text(coalesce(definition -> 'target' -> 'tags', '[]'))) as tags
    from patch_job where archived_at is null order by created_at`.execute(db);
  return { criticality, sla: sla.rows, acceptances, jobs: jobs.rows };
}
