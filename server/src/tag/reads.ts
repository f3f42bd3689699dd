import type { ReadonlyAssetSet } from '@fixpoint/core/posture/asset-set.ts';
import { unknownOf } from '@fixpoint/core/posture/evaluate-tag.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import { isLast, whyLast } from '@fixpoint/core/posture/strata.ts';
import { explain } from '@fixpoint/core/query/explain.ts';
import { why } from '@fixpoint/core/tag/why.ts';
import type { Tag, TagDetail, TaggedAsset, TagWhy } from '@fixpoint/contract/tag.ts';
import type { ServerContext } from '../app.ts';
import { assetsByReference } from '../asset/commands.ts';
import { answer, type Answer } from '../refusal.ts';
import { needsOf } from './definitions.ts';
import { unknownTag } from './members.ts';
import { countTags, listTags, tagsNamed, tagUsers, type TagDefinitionRow } from './store.ts';

type Rooms = Pick<ServerContext, 'db' | 'clock' | 'posture'>;

const firstListed = 100;

export function tagView(row: TagDefinitionRow, assets: number, unknown = 0): Tag {
  return {
    name: row.name,
    kind: row.kind,
    description: row.description,
    parent: row.parent,
    rule: row.rule,
    ranges: row.ranges,
    assets,
    unknown,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

/** A tag as the read model has it now. */
export function viewIn(fleet: FleetReading, row: TagDefinitionRow): Tag {
  const truths = fleet.tag(row.name);
  // Null: it is gone already.
  if (truths === null) return tagView(row, 0);
  const { holds, fails } = truths;
  return tagView(row, holds.size, fleet.assets.live.size - holds.size - fails.size);
}

export async function tagPage(
  context: Rooms,
  query: { readonly limit?: number | undefined; readonly after?: string | undefined },
): Promise<{ items: Tag[]; total: number; next: string | null }> {
  const limit = query.limit ?? 100;
  const rows = await listTags(context.db, query.after ?? null, limit + 1);
  const total = await countTags(context.db);
  const fleet = await context.posture.fresh();
  const items = rows.slice(0, limit).map((row) => viewIn(fleet, row));
  return { items, total, next: rows.length > limit ? (items.at(-1)?.name ?? null) : null };
}

export async function tagDetail(context: Rooms, name: string): Promise<Answer<TagDetail>> {
  const [row] = await tagsNamed(context.db, [name]);
  const users = await tagUsers(context.db);
  const fleet = await context.posture.fresh();
  const graph = fleet.tags;
  const definition = graph.definitions.get(name);
  if (row === undefined || definition === undefined) return unknownTag([name], graph.order);
  const { members } = definition;
  const nested = graph.children.get(name) ?? [];
  const truths = fleet.tag(name);
  const last = isLast(graph, name);
  return answer({
    tag: viewIn(fleet, row),
    words: members.kind === 'rule' ? explain(members.query) : null,
    nested: [...nested],
    asks_for: (graph.needs.get(name) ?? []).filter((each) => !nested.includes(each)),
    needed_by: needsOf(name, graph, users),
    depends_on: last ? 'findings' : 'facts',
    depends_because: last ? whyLast(graph, name) : null,
    unknown_assets: truths === null ? [] : firstOf(fleet, unknownOf(truths, fleet.assets.live)),
  });
}

/** The first of a set, by when they were enrolled. */
export function firstOf({ assets }: FleetReading, set: ReadonlyAssetSet): TaggedAsset[] {
  const found: TaggedAsset[] = [];
  for (const id of set) {
    if (found.length === firstListed) break;
    found.push({ id: assets.uid(id), hostname: assets.hostname(id) });
  }
  return found;
}

/** Why an asset is in a tag, or is not. */
export async function tagWhy(context: Rooms, name: string, reference: string): Promise<Answer<TagWhy>> {
  const found = await assetsByReference(context.db, [reference]);
  if (!found.ok) return found;
  const [asset] = found.value;
  if (asset === undefined) throw new Error('one reference found no asset and no refusal');
  const fleet = await context.posture.fresh();
  if (!fleet.tags.definitions.has(name)) return unknownTag([name], fleet.tags.order);
  const now = context.clock.now().getTime();
  const addresses = fleet.assets.fact(asset.id, 'address', null, now);
  const reason = why(
    fleet.tags,
    name,
    {
      id: String(asset.id),
      record: fleet.assetRecord(asset.id, now),
      addresses: Array.isArray(addresses)
        ? addresses.map((each) => (each === null ? null : String(each)))
        : null,
    },
    now,
  );
  return answer({
    tag: name,
    asset: { id: asset.uid, hostname: asset.hostname },
    is_member: reason.truth,
    by: reason.by,
    path: [...reason.path],
    sentence: reason.sentence,
  });
}
