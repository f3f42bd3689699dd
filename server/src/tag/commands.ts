import { assetSet, deserialise, serialise } from '@fixpoint/core/posture/asset-set.ts';
import type { Kysely } from 'kysely';
import type { Tag } from '@fixpoint/contract/asset.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { assetsByReference } from '../asset/commands.ts';
import { appendAudit, type NewAuditEvent } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import type { Database } from '../database/tables.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { transact } from '../transact.ts';
import {
  countTags,
  deleteMembers,
  deleteTag,
  insertMembers,
  insertTag,
  listTags,
  lockTag,
  membersOf,
  tagsNamed,
  type TagRow,
} from './store.ts';

const view = (row: TagRow, assets: number = membersOf([row]).length): Tag => ({
  name: row.name,
  description: row.description,
  assets,
  created_by: row.created_by,
  created_at: row.created_at.toISOString(),
});

const unknownTag = (names: readonly string[]) =>
  refuse(
    404,
    'tag_unknown',
    `there is no tag ${names
      .slice(0, 5)
      .map((name) => name.slice(0, 63))
      .join(', ')}`,
    'list them: fixpoint tag list; make one: fixpoint tag create NAME',
  );

export async function createTag(
  context: Context,
  actor: Actor,
  request: { readonly name: string; readonly description?: string | undefined },
): Promise<Answer<Tag>> {
  return await transact(context.db, async (trx) => {
    const row = await insertTag(trx, {
      id: context.random.uuid(),
      name: request.name,
      description: request.description ?? '',
      kind: 'list',
      members: Buffer.from(serialise(assetSet())),
      members_at: context.clock.now(),
      updated_at: context.clock.now(),
      created_by: actor.name,
      created_at: context.clock.now(),
    });
    if (row === null) {
      return refuse(
        409,
        'tag_exists',
        `there is a tag ${request.name} already`,
        'add assets to it, or take another name',
      );
    }
    await appendAudit(trx, context, {
      actor,
      event: 'tag.created',
      subjectKind: 'tag',
      subject: row.name,
      after: { description: row.description },
    });
    return answer(view(row, 0));
  });
}

export async function removeTag(context: Context, actor: Actor, name: string): Promise<Answer<Tag>> {
  return await transact(context.db, async (trx) => {
    const row = await lockTag(trx, name);
    if (row === null) return unknownTag([name]);
    const assets = membersOf([row]);
    await deleteTag(trx, row.id);
    await appendAudit(trx, context, {
      actor,
      event: 'tag.deleted',
      subjectKind: 'tag',
      subject: name,
      before: { description: row.description, assets: assets.length },
    });
    return answer(view(row, assets.length));
  });
}

/** Adds assets to a tag, or takes them out. Those that are in, or out, already are no error. */
export async function changeMembers(
  context: Context,
  actor: Actor,
  change: { readonly tag: string; readonly assets: readonly string[]; readonly action: 'add' | 'remove' },
): Promise<Answer<Tag>> {
  return await transact(context.db, async (trx) => {
    const row = await lockTag(trx, change.tag);
    if (row === null) return unknownTag([change.tag]);
    const assets = await assetsByReference(trx, change.assets);
    if (!assets.ok) return assets;
    const ids = assets.value.map((asset) => asset.id);
    const changed = new Set(await (change.action === 'add' ? insertMembers : deleteMembers)(trx, row, ids));
    if (changed.size > 0) {
      const named = assets.value
        .filter((asset) => changed.has(asset.id))
        .map(({ uid, hostname }) => ({ id: uid, hostname }));
      await appendAudit(trx, context, {
        actor,
        event: change.action === 'add' ? 'tag.assets_added' : 'tag.assets_removed',
        subjectKind: 'tag',
        subject: row.name,
        [change.action === 'add' ? 'after' : 'before']: { assets: named },
      });
    }
    const [now] = await tagsNamed(trx, [row.name]);
    return answer(view(now ?? row));
  });
}

/** Puts an asset that has just enrolled into the tags of its token; what that changed is for the caller to append. A tag that was deleted since is left out. */
export async function tagEnrolledAsset(
  trx: Transact,
  actor: Actor,
  asset: { readonly assetId: number; readonly uid: string },
  names: readonly string[],
): Promise<NewAuditEvent[]> {
  const events: NewAuditEvent[] = [];
  for (const name of names) {
    const row = await lockTag(trx, name);
    if (row === null) continue;
    if ((await insertMembers(trx, row, [asset.assetId])).length === 0) continue;
    events.push({
      actor,
      event: 'tag.assets_added',
      subjectKind: 'tag',
      subject: row.name,
      reason: 'by the enrolment token',
      after: { assets: [{ id: asset.uid }] },
    });
  }
  return events;
}

/** The assets that are in any of these tags, retired ones included. */
export async function assetsOfTags(
  db: Kysely<Database>,
  names: readonly string[],
): Promise<Answer<number[]>> {
  const known = await knownTags(db, names);
  if (!known.ok) return known;
  return answer(membersOf(known.value));
}

/** The tags of these names, or a refusal that names those that there are not. */
export async function knownTags(db: Kysely<Database>, names: readonly string[]): Promise<Answer<TagRow[]>> {
  const rows = await tagsNamed(db, names);
  const unknown = names.filter((name) => !rows.some((row) => row.name === name));
  return unknown.length > 0 ? unknownTag(unknown) : answer(rows);
}

/** Names of the tags of each of these assets, in order. */
export async function tagsOfAssets(
  db: Kysely<Database>,
  assetIds: readonly number[],
): Promise<Map<number, string[]>> {
  const tags = new Map<number, string[]>(assetIds.map((id) => [id, []]));
  for (const row of await listTags(db, null, 100_000)) {
    const members = deserialise(row.members);
    for (const [id, names] of tags) if (members.has(id)) names.push(row.name);
  }
  return tags;
}

export async function tagPage(
  context: Pick<Context, 'db'>,
  query: { readonly limit?: number | undefined; readonly after?: string | undefined },
): Promise<{ items: Tag[]; total: number; next: string | null }> {
  const limit = query.limit ?? 100;
  const rows = await listTags(context.db, query.after ?? null, limit + 1);
  const items = rows.slice(0, limit).map((row) => view(row));
  return {
    items,
    total: await countTags(context.db),
    next: rows.length > limit ? (items.at(-1)?.name ?? null) : null,
  };
}
