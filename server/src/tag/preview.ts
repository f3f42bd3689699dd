import { assetSet, type ReadonlyAssetSet } from '@fixpoint/core/posture/asset-set.ts';
import type { CriticalityRule } from '@fixpoint/core/posture/facts.ts';
import { ListedAssetSet } from '@fixpoint/core/posture/listed-assets.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import { assetTruths } from '@fixpoint/core/posture/select/asset-truths.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import { previewTag, type TagPreviewSets } from '@fixpoint/core/posture/tag-preview.ts';
import { criticalities } from '@fixpoint/core/posture/criticality-levels.ts';
import type { TagDefinition } from '@fixpoint/core/tag/definition.ts';
import { definitionsAfter, type TagChange } from '@fixpoint/core/tag/preview.ts';
import type { QueryNote } from '@fixpoint/core/query/query.ts';
import type { Moving, TagPreview, TagPreviewRequest } from '@fixpoint/contract/tag.ts';
import type { ServerContext } from '../app.ts';
import { assetsByReference } from '../asset/commands.ts';
import { answer, type Answer, type Refusal } from '../refusal.ts';
import { mergedRequest } from './commands.ts';
import { graphRefused, judgeTogether, neededRefusal, needsOf, readDefinition } from './definitions.ts';
import { unknownTag } from './members.ts';
import { firstOf } from './reads.ts';
import { tagUsers } from './store.ts';

/** Who would enter and leave, before a tag is saved or deleted. It is refused what saving it would be. */
export async function previewTagChange(
  context: Pick<ServerContext, 'db' | 'clock' | 'posture'>,
  request: TagPreviewRequest,
): Promise<Answer<TagPreview>> {
  const users = await tagUsers(context.db);
  const listed = await assetsByReference(context.db, request.definition?.assets ?? []);
  if (!listed.ok) return listed;
  const ids = assetSet(listed.value.map(({ id }) => id));
  const now = context.clock.now().getTime();
  return await context.posture.run(function* (fleet): Sliced<Answer<TagPreview>> {
    const read = changeOf(fleet, request, ids);
    if (!read.ok) return inDefinition(read);
    const { change, notes } = read.value;
    const graph = fleet.tags;
    if (change.kind === 'delete') {
      const needs = needsOf(change.name, graph, users);
      if (needs.length > 0) return neededRefusal(change.name, needs, 'deleted');
    }
    const before = [...graph.definitions.values()];
    const judged = judgeTogether(before, definitionsAfter(before, change), request.tag, users);
    if (!judged.ok) return inDefinition(judged);
    const rules = users.criticality.map(({ name, query, criticality }): CriticalityRule => {
      const level = criticalities.find((each) => each === criticality);
      if (level === undefined) throw new Error(`${String(criticality)} is no criticality`);
      return { name, query, criticality: level };
    });
    const preview = yield* previewTag(fleet, change, rules, now, assetTruths);
    return preview.ok
      ? answer({ ...shown(fleet, preview, request.tag), notes: [...notes] })
      : graphRefused(preview, request.tag);
  });
}

/** What is wrong with a definition, at its place in the request. */
function inDefinition(refusal: Refusal): Refusal {
  const problems = refusal.problems?.map((problem) =>
    problem.path === '' ? problem : { ...problem, path: `/definition${problem.path}` },
  );
  return problems === undefined ? refusal : { ...refusal, problems };
}

function changeOf(
  fleet: FleetReading,
  { tag, definition }: TagPreviewRequest,
  listed: ReadonlyAssetSet,
): Answer<{ readonly change: TagChange; readonly notes: readonly QueryNote[] }> {
  const existing = fleet.tags.definitions.get(tag);
  if (definition === null)
    return existing === undefined
      ? unknownTag([tag], fleet.tags.order)
      : answer({ change: { kind: 'delete', name: tag }, notes: [] });
  if (existing === undefined) {
    const isList = definition.rule === undefined && definition.ranges === undefined;
    const assets = isList ? [] : definition.assets;
    const read = readDefinition({ ...definition, name: tag, assets }, listed);
    if (!read.ok) return read;
    return answer({ change: { kind: 'save', definition: read.value.definition }, notes: read.value.notes });
  }
  const { assets: _listed, ...changes } = definition;
  const merged = mergedRequest(storedForm(existing), changes);
  if (!merged.ok) return merged;
  const kept = existing.members.kind === 'list' ? existing.members.assets : null;
  const ids = kept instanceof ListedAssetSet ? kept.ids : listed;
  const read = readDefinition(merged.value, definition.assets === undefined ? ids : listed);
  if (!read.ok) return read;
  return answer({ change: { kind: 'save', definition: read.value.definition }, notes: read.value.notes });
}

function storedForm({ name, description, parent, members }: TagDefinition) {
  return {
    name,
    description,
    parent,
    kind: members.kind,
    rule: members.kind === 'rule' ? members.text : null,
    ranges: members.kind === 'ranges' ? members.ranges.map(({ text }) => text) : null,
  };
}

function shown(
  fleet: FleetReading,
  { tags, criticality }: Extract<TagPreviewSets, { ok: true }>,
  changed: string,
): Omit<TagPreview, 'notes'> {
  const moving = (set: ReadonlyAssetSet): Moving => ({ total: set.size, assets: firstOf(fleet, set) });
  const views = [...tags].map(([tag, { enter, leave, become_unknown, members, unknown }]) => ({
    tag,
    enter: moving(enter),
    leave: moving(leave),
    become_unknown: moving(become_unknown),
    assets: members.size,
    unknown: unknown.size,
  }));
  const isMoving = ({ enter, leave, become_unknown }: (typeof views)[number]): boolean =>
    enter.total + leave.total + become_unknown.total > 0;
  return {
    tags: [
      ...views.filter(({ tag }) => tag === changed),
      ...views.filter((view) => view.tag !== changed && isMoving(view)),
    ],
    criticality: { raised: moving(criticality.raised), lowered: moving(criticality.lowered) },
  };
}
