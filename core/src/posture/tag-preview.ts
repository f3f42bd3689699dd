/** Who would enter and leave which tag, before a change of the tags is saved. Nothing of the fleet is changed. */
import type { FactValue, QueryRecord } from '../query/evaluate.ts';
import { parse } from '../query/parse.ts';
import type { Criticality } from '../risk/asset-risk.ts';
import { fieldsOf } from '../tag/change.ts';
import { definitionsAfter, type TagChange } from '../tag/preview.ts';
import { tagGraph, withDependents, type TagGraph, type TagGraphRefusal } from '../tag/dependencies.ts';
import { assetSet, difference, removeAll, union } from './asset-set.ts';
import type { AssetSet, ReadonlyAssetSet } from './asset-set.ts';
import { criticalities, levelsOf } from './criticality-levels.ts';
import { ruleQuestion, tagQuestion, unknownOf, type AssetTruths } from './evaluate-tag.ts';
import type { CriticalityRule } from './facts.ts';
import { delegate } from './fleet-overlay.ts';
import type { FleetReading, Truths } from './reading.ts';
import type { Sliced } from './select/selection.ts';
import { lastTags } from './strata.ts';

export interface TagDifferenceSets {
  readonly enter: ReadonlyAssetSet;
  /** Members today that would be none; those of which it could not be said any more included. */
  readonly leave: ReadonlyAssetSet;
  /** Of which it could not be said then, and can today. */
  readonly become_unknown: ReadonlyAssetSet;
  /** As it would be. */
  readonly members: ReadonlyAssetSet;
  readonly unknown: ReadonlyAssetSet;
}

export interface CriticalityDifference {
  /** To a greater criticality, and to a lesser one. */
  readonly raised: ReadonlyAssetSet;
  readonly lowered: ReadonlyAssetSet;
}

export type TagPreviewSets =
  | {
      readonly ok: true;
      readonly graph: TagGraph;
      /** The changed tag and every one that it can change, by name; those behind it in the order of evaluation. */
      readonly tags: ReadonlyMap<string, TagDifferenceSets>;
      readonly criticality: CriticalityDifference;
    }
  | TagGraphRefusal;

/**
 * What a change would come to. Tags that ask for criticality see what it would be; those that ask for risk or findings see
 * these as they are, since they are judged anew only when it is saved.
 *
 * @param rules all criticality rules, in their order
 */
export function* previewTag(
  fleet: FleetReading,
  change: TagChange,
  rules: readonly CriticalityRule[],
  now: number,
  truthsOf: AssetTruths,
): Sliced<TagPreviewSets> {
  const before = fleet.tags;
  const built = tagGraph(definitionsAfter(before.definitions.values(), change));
  if (!built.ok) return built;
  const after = built.graph;
  const changed = affectedTags(before, after, change);
  const { live } = fleet.assets;
  const judged = new Map<string, Truths>();
  let levels: ReadonlyMap<number, Criticality> = new Map();
  const seen = overlay(fleet, after, judged, (asset) => levels.get(asset) ?? null);
  const tags = new Map<string, TagDifferenceSets>();
  const judge = (name: string): void => {
    const definition = after.definitions.get(name);
    if (definition === undefined) throw new Error(`there is no tag ${name} after the change`);
    const { holds, unknown } = tagQuestion(definition, after, truthsOf).ask(seen, now, live);
    const fails = difference(live, holds);
    removeAll(fails, unknown);
    judged.set(name, { holds, fails });
    tags.set(name, differenceOf(fleet.tag(name), { holds, fails }, live));
  };
  if (change.kind === 'delete')
    tags.set(change.name, differenceOf(fleet.tag(change.name), { holds: assetSet(), fails: live }, live));
  const last = lastTags(after);
  for (const name of changed) {
    if (last.has(name)) continue;
    judge(name);
    yield;
  }
  const moved = [...tags.values()].flatMap(({ enter, leave, become_unknown }) => [
    enter,
    leave,
    become_unknown,
  ]);
  const criticality = yield* criticalityAfter(fleet, seen, union(moved), rules, now, truthsOf);
  levels = criticality.levels;
  const asking = [...after.definitions.values()].filter(
    (each) => levels.size > 0 && fieldsOf(each).has('criticality'),
  );
  const lastChanged = withDependents(after, [...changed, ...asking.map(({ name }) => name)]);
  for (const name of lastChanged) {
    if (!last.has(name)) continue;
    judge(name);
    yield;
  }
  return { ok: true, graph: after, tags, criticality };
}

/** In the order of evaluation. A new tag may be asked for by patterns, so others are affected by its name alone. */
function affectedTags(before: TagGraph, after: TagGraph, change: TagChange): string[] {
  const name = change.kind === 'save' ? change.definition.name : change.name;
  const named = new Set<string>(change.kind === 'save' ? [name] : []);
  for (const graph of [before, after]) {
    const parent = graph.definitions.get(name)?.parent ?? null;
    if (parent !== null && after.definitions.has(parent)) named.add(parent);
    for (const each of graph.neededBy.get(name) ?? []) if (after.definitions.has(each)) named.add(each);
  }
  return withDependents(after, named);
}

function differenceOf(before: Truths | null, after: Truths, live: ReadonlyAssetSet): TagDifferenceSets {
  // Of a tag that there is not it is known that nobody is in it.
  const [was, wasUnknown] =
    before === null ? [assetSet(), assetSet()] : [before.holds, unknownOf(before, live)];
  const unknown = unknownOf(after, live);
  return {
    enter: difference(after.holds, was),
    leave: difference(was, after.holds),
    become_unknown: difference(unknown, wasUnknown),
    members: after.holds,
    unknown,
  };
}

/** What rules would say of the assets for which a first tag would say something else. */
function* criticalityAfter(
  fleet: FleetReading,
  seen: FleetReading,
  moved: ReadonlyAssetSet,
  rules: readonly CriticalityRule[],
  now: number,
  truthsOf: AssetTruths,
): Sliced<CriticalityDifference & { readonly levels: ReadonlyMap<number, Criticality> }> {
  const [raised, lowered] = [assetSet(), assetSet()];
  const levels = new Map<number, Criticality>();
  if (moved.size === 0 || rules.length === 0) return { raised, lowered, levels };
  const answers: { level: Criticality; holds: AssetSet }[] = [];
  for (const { query, criticality } of rules) {
    const read = parse(query, 'asset');
    // The fleet passes it over, too.
    if (!read.ok) continue;
    const { holds } = ruleQuestion(read.query, seen.tags, truthsOf).ask(seen, now, moved);
    answers.push({ level: criticality, holds });
    yield;
  }
  const after = levelsOf(fleet.assets, moved, answers);
  for (const level of criticalities) {
    let count = 0;
    for (const asset of after[level].toUint32Array()) {
      const { level: was } = fleet.criticality(asset);
      if (was !== level) {
        (level > was ? raised : lowered).add(asset);
        levels.set(asset, level);
      }
      count += 1;
      if (count % 5_000 === 0) yield;
    }
  }
  return { raised, lowered, levels };
}

/** The fleet with these tags as they would be. */
function overlay(
  fleet: FleetReading,
  graph: TagGraph,
  judged: ReadonlyMap<string, Truths>,
  levelOf: (asset: number) => Criticality | null,
): FleetReading {
  const tag = (name: string): Truths | null =>
    graph.definitions.has(name) ? (judged.get(name) ?? fleet.tag(name)) : null;
  const criticality = (asset: number): ReturnType<FleetReading['criticality']> => {
    const level = levelOf(asset);
    return level === null ? fleet.criticality(asset) : { level, by: 'default' };
  };
  const tagsOf = (asset: number): string[] =>
    graph.order.filter((name) => tag(name)?.holds.has(asset) === true).toSorted();
  const assetRecord = (asset: number, now: number): QueryRecord => {
    const record = fleet.assetRecord(asset, now);
    return {
      field(name, key): FactValue {
        if (name === 'criticality') return criticality(asset).level;
        if (name !== 'tag') return record.field(name, key);
        if (key === null) return tagsOf(asset);
        const truths = tag(key);
        if (truths?.holds.has(asset) === true) return [key];
        return truths?.fails.has(asset) === true ? [] : null;
      },
      related: (relation) => record.related(relation),
    };
  };
  return delegate(fleet, { tags: graph, tag, tagsOf, criticality, assetRecord });
}
