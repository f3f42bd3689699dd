import { assetSet, serialise } from '@fixpoint/core/posture/asset-set.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { TagDefinition } from '@fixpoint/core/tag/definition.ts';
import { tagGraph } from '@fixpoint/core/tag/dependencies.ts';
import { definitionsAfter } from '@fixpoint/core/tag/preview.ts';
import type { Tag, TagChangeRequest, TagNeed, TagRequest } from '@fixpoint/contract/tag.ts';
import type { ServerContext } from '../app.ts';
import { assetsByReference } from '../asset/commands.ts';
import { appendAudit } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { transact } from '../transact.ts';
import { judgeTogether, neededRefusal, needsOf, readDefinition, storedDefinition } from './definitions.ts';
import { notAList, unknownTag } from './members.ts';
import { tagView, viewIn } from './reads.ts';
import {
  allTags,
  deleteMembers,
  deleteTag,
  insertMembers,
  insertTag,
  lockDefinitions,
  lockTag,
  tagUsers,
  updateTag,
  type TagDefinitionRow,
} from './store.ts';

type Rooms = Pick<ServerContext, 'db' | 'clock' | 'random' | 'posture'>;

const taken = (name: string) =>
  refuse(409, 'tag_exists', `there is a tag ${name} already`, 'change it, or take another name');

/** What stands on the trail of a tag. */
const told = ({ name, description, parent, kind, rule, ranges }: TagDefinitionRow) => ({
  name,
  description,
  parent,
  kind,
  ...(rule === null ? {} : { rule }),
  ...(ranges === null ? {} : { ranges }),
});

export async function createTag(context: Rooms, actor: Actor, request: TagRequest): Promise<Answer<Tag>> {
  const { name, description = '', parent = null, rule, ranges, assets } = request;
  const isList = rule === undefined && ranges === undefined;
  const read = readDefinition({ name, description, parent, rule, ranges, assets: isList ? [] : assets });
  if (!read.ok) return read;
  const created = await transact(context.db, async (trx): Promise<Answer<TagDefinitionRow>> => {
    await lockDefinitions(trx);
    const rows = await allTags(trx);
    if (rows.some((row) => row.name === name)) return taken(name);
    const listed = await assetsByReference(trx, assets ?? []);
    if (!listed.ok) return listed;
    const judged = await judge(trx, rows, { kind: 'save', definition: read.value.definition });
    if (!judged.ok) return judged;
    const now = context.clock.now();
    const row = await insertTag(trx, {
      id: context.random.uuid(),
      name,
      description,
      parent,
      kind: read.value.definition.members.kind,
      rule: rule ?? null,
      ranges: ranges ?? null,
      members: Buffer.from(serialise(assetSet(listed.value.map(({ id }) => id)))),
      members_at: now,
      created_by: actor.name,
      created_at: now,
      updated_at: now,
    });
    if (row === null) return taken(name);
    await appendAudit(trx, context, {
      actor,
      event: 'tag.created',
      subjectKind: 'tag',
      subject: name,
      after: {
        ...told(row),
        ...(listed.value.length === 0
          ? {}
          : { assets: listed.value.map(({ uid, hostname }) => ({ id: uid, hostname })) }),
      },
    });
    return answer(row);
  });
  return await viewed(context, created);
}

/** Changes what a tag is. What is not given stays. */
export async function changeTag(
  context: Rooms,
  actor: Actor,
  name: string,
  request: TagChangeRequest,
): Promise<Answer<Tag>> {
  const changed = await transact(context.db, async (trx): Promise<Answer<TagDefinitionRow>> => {
    await lockDefinitions(trx);
    const rows = await allTags(trx);
    const row = rows.find((each) => each.name === name);
    if (row === undefined) return unknownAmong(rows, name);
    const merged = mergedRequest(row, request);
    if (!merged.ok) return merged;
    const wanted = merged.value;
    const read = readDefinition(wanted);
    if (!read.ok) return read;
    const isRenamed = wanted.name !== name;
    if (isRenamed) {
      if (rows.some((each) => each.name === wanted.name)) return taken(wanted.name);
      const needs = await needsAmong(trx, rows, name);
      // Those nested in it follow its name.
      const naming = needs.filter(({ kind }) => kind !== 'nested_tag');
      if (naming.length > 0) return neededRefusal(name, naming, 'renamed');
    }
    const judged = await judge(trx, rows, { kind: 'save', definition: read.value.definition }, name);
    if (!judged.ok) return judged;
    const { members } = read.value.definition;
    const saved = await updateTag(trx, row.id, {
      name: wanted.name,
      description: wanted.description,
      parent: wanted.parent,
      kind: members.kind,
      rule: members.kind === 'rule' ? members.text : null,
      ranges: members.kind === 'ranges' ? (wanted.ranges ?? []) : null,
      updated_at: context.clock.now(),
    });
    await appendAudit(trx, context, {
      actor,
      event: 'tag.changed',
      subjectKind: 'tag',
      subject: wanted.name,
      before: told(row),
      after: told(saved),
    });
    return answer(saved);
  });
  return await viewed(context, changed);
}

/** A stored tag with what is to be different. A list stays one, and nothing else becomes one: who is in it would be lost. */
export function mergedRequest(
  row: Pick<TagDefinitionRow, 'name' | 'description' | 'parent' | 'kind' | 'rule' | 'ranges'>,
  request: TagChangeRequest,
): Answer<{
  name: string;
  description: string;
  parent: string | null;
  rule?: string;
  ranges?: string[];
  assets?: string[];
}> {
  const { name = row.name, description = row.description, parent = row.parent, rule, ranges } = request;
  const shared = { name, description, parent };
  const given = { ...(rule === undefined ? {} : { rule }), ...(ranges === undefined ? {} : { ranges }) };
  const isGiven = rule !== undefined || ranges !== undefined;
  if (row.kind === 'list') {
    if (isGiven)
      return refuse(
        409,
        'tag_is_a_list',
        `the tag ${row.name} is a list of assets, and a rule would put others in their place`,
        `make a tag of the rule and nest it in this one: fixpoint tag create OTHER --parent ${row.name}`,
      );
    return answer({ ...shared, assets: [] });
  }
  if (isGiven) return answer({ ...shared, ...given });
  return answer({ ...shared, ...(row.rule === null ? { ranges: row.ranges ?? [] } : { rule: row.rule }) });
}

function unknownAmong(rows: readonly { readonly name: string }[], name: string): Refusal {
  return unknownTag(
    [name],
    rows.map((each) => each.name),
  );
}

export async function removeTag(context: Rooms, actor: Actor, name: string): Promise<Answer<Tag>> {
  const before = (await context.posture.fresh()).tag(name)?.holds.size ?? 0;
  return await transact(context.db, async (trx): Promise<Answer<Tag>> => {
    await lockDefinitions(trx);
    const rows = await allTags(trx);
    const row = rows.find((each) => each.name === name);
    if (row === undefined) return unknownAmong(rows, name);
    const needs = await needsAmong(trx, rows, name);
    if (needs.length > 0) return neededRefusal(name, needs, 'deleted');
    await deleteTag(trx, row.id);
    await appendAudit(trx, context, {
      actor,
      event: 'tag.deleted',
      subjectKind: 'tag',
      subject: name,
      before: { ...told(row), assets: before },
    });
    return answer(tagView(row, before));
  });
}

/** Adds assets to a list, or takes them out. Those that are in, or out, already are no error. */
export async function changeMembers(
  context: Rooms,
  actor: Actor,
  change: { readonly tag: string; readonly assets: readonly string[]; readonly action: 'add' | 'remove' },
): Promise<Answer<Tag>> {
  const changed = await transact(context.db, async (trx): Promise<Answer<TagDefinitionRow>> => {
    const row = await lockTag(trx, change.tag);
    if (row === null) return unknownAmong(await allTags(trx), change.tag);
    if (row.kind !== 'list') return notAList(row);
    const assets = await assetsByReference(trx, change.assets);
    if (!assets.ok) return assets;
    const ids = assets.value.map((asset) => asset.id);
    const write = change.action === 'add' ? insertMembers : deleteMembers;
    const moved = new Set(await write(trx, row, ids, context.clock.now()));
    if (moved.size > 0) {
      const named = assets.value
        .filter((asset) => moved.has(asset.id))
        .map(({ uid, hostname }) => ({ id: uid, hostname }));
      await appendAudit(trx, context, {
        actor,
        event: change.action === 'add' ? 'tag.assets_added' : 'tag.assets_removed',
        subjectKind: 'tag',
        subject: row.name,
        [change.action === 'add' ? 'after' : 'before']: { assets: named },
      });
    }
    return answer(row);
  });
  return await viewed(context, changed);
}

async function viewed(
  context: Pick<Context, 'db'> & Pick<ServerContext, 'posture'>,
  row: Answer<TagDefinitionRow>,
): Promise<Answer<Tag>> {
  return row.ok ? answer(viewIn(await context.posture.fresh(), row.value)) : row;
}

/** Judges a change with all other definitions. `from`: the name that the tag has had. */
async function judge(
  trx: Transact,
  rows: readonly TagDefinitionRow[],
  change: { readonly kind: 'save'; readonly definition: TagDefinition },
  from = change.definition.name,
): Promise<Answer<unknown>> {
  const { name } = change.definition;
  const before = rows.map(storedDefinition);
  const renamed =
    name === from
      ? before
      : before
          .filter((each) => each.name !== from)
          .map((each) => (each.parent === from ? { ...each, parent: name } : each));
  return judgeTogether(before, definitionsAfter(renamed, change), name, await tagUsers(trx));
}

async function needsAmong(
  trx: Transact,
  rows: readonly TagDefinitionRow[],
  name: string,
): Promise<TagNeed[]> {
  const built = tagGraph(rows.map(storedDefinition));
  if (!built.ok) throw new Error(`the stored tags make no sense together: ${built.message}`);
  return needsOf(name, built.graph, await tagUsers(trx));
}
