/** Plans over assets as sets: no asset is looked at where sets answer. */
import { keyOf, type Plan } from '../../query/plan.ts';
import type { QueryRecord } from '../../query/evaluate.ts';
import {
  addAll,
  assetSet,
  difference,
  intersection,
  keepOnly,
  overlap,
  removeAll,
  union,
} from '../asset-set.ts';
import type { AssetSet, ReadonlyAssetSet } from '../asset-set.ts';
import { fleetPatches } from '../patches.ts';
import type { FleetReading, FleetSoftware } from '../reading.ts';
import { unitsOf, type Asking } from './asking.ts';
import { compileLeaf, compilePlan, tagsOfPredicate, type LeafPlan, type RelatedPlan } from './plan-truth.ts';
import { assetRecord, countOf } from './records.ts';
import type { Sliced } from './selection.ts';

/** Those of `scope`, a subset of what is asked about, of which a plan is true. */
export function* assetsWhere(asking: Asking, part: Plan, scope: ReadonlyAssetSet): Sliced<ReadonlyAssetSet> {
  if (scope.isEmpty) return scope;
  switch (part.kind) {
    case 'all':
      return scope;
    case 'none':
      return assetSet();
    case 'and': {
      let left = scope;
      for (const each of cheapestFirst(part.parts)) left = yield* assetsWhere(asking, each, left);
      return left;
    }
    case 'or': {
      const found = assetSet();
      let left = scope;
      for (const each of cheapestFirst(part.parts)) {
        const more = yield* assetsWhere(asking, each, left);
        addAll(found, more);
        left = difference(left, more);
      }
      return found;
    }
    case 'leaf':
      return yield* leafAssets(asking, part, scope);
    case 'some':
    case 'every':
      return yield* relatedAssets(asking, part, scope);
    default:
      return part satisfies never;
  }
}

function cheapestFirst(parts: readonly Plan[]): Plan[] {
  return [...parts].sort((a, b) => costOf(a) - costOf(b));
}

function costOf(part: Plan): number {
  switch (part.kind) {
    case 'all':
    case 'none':
      return 0;
    case 'leaf':
      return judged.has(part.predicate.field) ? 2 : 1;
    case 'and':
    case 'or':
      return Math.max(...part.parts.map(costOf));
    default:
      return part.relation === 'package' ? 3 : 4;
  }
}

/** Fields that are worked out for each asset, and not stored as sets. */
const judged: ReadonlySet<string> = new Set(['criticality', 'risk', 'open_findings']);

function* leafAssets(asking: Asking, leaf: LeafPlan, scope: ReadonlyAssetSet): Sliced<ReadonlyAssetSet> {
  const { fleet, now, pace } = asking;
  const { field, key, condition } = leaf.predicate;
  if (field === 'tag') return taggedAssets(asking, leaf, scope);
  if (judged.has(field)) return yield* judgedAssets(asking, leaf, scope);
  const truths = fleet.assets.truths(field, key, condition, now, scope);
  if (truths === null) throw new Error(`the assets have no field ${field}`);
  if (pace.spent(50 + unitsOf(scope))) yield;
  return leaf.holds ? truths.holds : truths.fails;
}

function taggedAssets(
  { fleet, tagNames }: Asking,
  { predicate, holds }: LeafPlan,
  scope: ReadonlyAssetSet,
): ReadonlyAssetSet {
  const names = tagsOfPredicate(predicate, tagNames);
  if (names === null) {
    // `tag is unknown`: of some tag it cannot be said.
    let known = scope;
    for (const name of tagNames) {
      const truths = fleet.tag(name);
      known = truths === null ? assetSet() : intersection(known, union([truths.holds, truths.fails]));
    }
    return holds ? difference(scope, known) : known;
  }
  if (holds) {
    const sets = names.flatMap((name) => fleet.tag(name)?.holds ?? []);
    const [only] = sets;
    return intersection(sets.length === 1 && only !== undefined ? only : union(sets), scope);
  }
  const fails = names.map((name) => fleet.tag(name)?.fails ?? assetSet());
  return intersection(scope, ...fails);
}

function* judgedAssets(asking: Asking, leaf: LeafPlan, scope: ReadonlyAssetSet): Sliced<AssetSet> {
  const { fleet, now, tagNames, pace } = asking;
  const { field } = leaf.predicate;
  const test = compileLeaf(leaf, now, tagNames);
  let value: number | null = null;
  const record: QueryRecord = { field: () => value, related: () => null };
  // Numbers repeat, so that hardly any is asked twice; of risks only few of a million are the same.
  const answers = new Map<number, boolean>();
  const isOf = numberTest(leaf);
  const ask = (number: number): boolean => {
    if (isOf !== null) return isOf(number);
    let answer = answers.get(number);
    if (answer === undefined) {
      value = number;
      answer = test(record);
      if (answers.size < mostAnswers) answers.set(number, answer);
    }
    return answer;
  };
  const numberOf =
    field === 'criticality'
      ? (id: number) => fleet.criticality(id).level
      : field === 'risk'
        ? (id: number) => fleet.risk(id)
        : (id: number) => fleet.openFindings(id);
  // None of an asset that has not reported is not known; one that has can be asked without looking at it.
  const unreported = field === 'criticality' ? assetSet() : unreportedOf(asking, scope);
  const ids = (unreported.isEmpty ? scope : difference(scope, unreported)).toUint32Array();
  let found = 0;
  for (const id of ids) {
    // What is found is written over what has been read.
    if (ask(numberOf(id))) ids[found++] = id;
    if (pace.spent(0.03)) yield;
  }
  const hits = assetSet(ids.subarray(0, found));
  for (const id of unreported) {
    value = countOf(fleet, id, numberOf(id), now);
    if (test(record)) hits.add(id);
    if (pace.spent(0.3)) yield;
  }
  return hits;
}

const mostAnswers = 10_000;

/** A comparison of numbers that are known, without a record; null for what is no plain comparison. */
function numberTest({ predicate: { condition }, holds }: LeafPlan): ((value: number) => boolean) | null {
  if (!('value' in condition) || condition.value.kind !== 'number') return null;
  const wanted = condition.value.value;
  switch (condition.op) {
    case '<':
      return (value) => value < wanted === holds;
    case '<=':
      return (value) => value <= wanted === holds;
    case '>':
      return (value) => value > wanted === holds;
    case '>=':
      return (value) => value >= wanted === holds;
    default:
      return null;
  }
}

function* relatedAssets(
  asking: Asking,
  part: RelatedPlan,
  scope: ReadonlyAssetSet,
): Sliced<ReadonlyAssetSet> {
  const isSome = part.kind === 'some';
  if (!isSome) {
    const unreported = unreportedOf(asking, scope);
    if (!unreported.isEmpty) return yield* relatedAssets(asking, part, difference(scope, unreported));
  }
  if (scope.isEmpty) return scope;
  switch (part.relation) {
    case 'package':
      return yield* havingPackages(asking, part, scope);
    case 'finding':
    case 'patch': {
      if (scope.size <= asking.fewAssets && isLocal(part.where)) return yield* oneByOne(asking, part, scope);
      const sets = yield* part.relation === 'finding'
        ? findingAssets(asking, part)
        : patchAssets(asking, part);
      const found = union(sets);
      return isSome ? intersection(found, scope) : difference(scope, found);
    }
    default:
      throw new Error(`assets have no ${part.relation}`);
  }
}

/** Assets of which nothing has been reported: what they have is not known. */
function unreportedOf({ fleet, now }: Asking, scope: ReadonlyAssetSet): ReadonlyAssetSet {
  const truths = fleet.assets.truths('reboot_required', null, { op: 'is_unknown' }, now, scope);
  if (truths === null) throw new Error('the assets have no field reboot_required');
  return truths.holds;
}

/** Whether a plan leads to nothing beyond the findings of an asset: no other asset can matter to it. */
export function isLocal(part: Plan): boolean {
  switch (part.kind) {
    case 'all':
    case 'none':
      return true;
    case 'leaf':
      return part.predicate.field !== 'affected_assets';
    case 'and':
    case 'or':
      return part.parts.every(isLocal);
    default:
      return part.scope !== 'vulnerability' && part.scope !== 'patch' && isLocal(part.where);
  }
}

function* oneByOne(
  { fleet, now, tagNames, pace }: Asking,
  part: RelatedPlan,
  scope: ReadonlyAssetSet,
): Sliced<AssetSet> {
  // A patch is made of the whole fleet; made here, so that it is made in slices.
  if (part.relation === 'patch') yield* fleetPatches(fleet);
  const test = compilePlan(part, now, tagNames);
  const found: number[] = [];
  for (const id of scope) {
    if (test(assetRecord(fleet, id, now))) found.push(id);
    if (pace.spent(60)) yield;
  }
  return assetSet(found);
}

/** By software: the union of who has what is asked for, or what is left without those who have anything else. */
function* havingPackages(asking: Asking, part: RelatedPlan, scope: ReadonlyAssetSet): Sliced<AssetSet> {
  const { fleet, pace } = asking;
  const { asked, others } = yield* softwareBy(asking, part.where);
  if (part.kind === 'some') {
    const found = assetSet();
    for (const { installed } of asked) {
      if (isDisjoint(installed, scope)) continue;
      addAll(found, installed);
      if (pace.spent(unitsOf(installed))) yield;
    }
    keepOnly(found, scope);
    return found;
  }
  const left = scope.clone();
  for (const place of others) {
    const installed = fleet.software(place)?.installed;
    if (installed === undefined || installed.isEmpty) continue;
    removeAll(left, installed);
    if (pace.spent(unitsOf(installed))) yield;
    if (left.isEmpty) break;
  }
  return left;
}

/** Software by whether a plan is true of it. Names and versions never change, so what was asked once is not asked again. */
interface AskedSoftware {
  /** How much of the fleet's software has been asked. */
  count: number;
  readonly asked: FleetSoftware[];
  /** Ids of the others. */
  readonly others: number[];
}

const askedSoftware = new WeakMap<FleetReading, Map<string, AskedSoftware>>();
const mostPlansKept = 1_000;

function* softwareBy(asking: Asking, plan: Plan): Sliced<AskedSoftware> {
  const { fleet, pace } = asking;
  let kept = askedSoftware.get(fleet);
  if (kept === undefined || kept.size >= mostPlansKept) askedSoftware.set(fleet, (kept = new Map()));
  let known = kept.get(keyOf(plan));
  if (known === undefined) kept.set(keyOf(plan), (known = { count: 0, asked: [], others: [] }));
  const test = asking.packageTest(plan);
  for (const software of fleet.allSoftware(known.count)) {
    if (test(software.facts)) known.asked.push(software);
    else known.others.push(software.facts.id);
    known.count += 1;
    if (pace.spent(0.3)) yield;
  }
  return known;
}

/** Assets with a finding of which the plan is true or, for `every`, with one of which it is not. */
function* findingAssets(asking: Asking, part: RelatedPlan): Sliced<ReadonlyAssetSet[]> {
  const { fleet, whole, pace } = asking;
  const selected = yield* whole.findings(part.where);
  if (part.kind === 'some') return [...selected.values()];
  const others: ReadonlyAssetSet[] = [];
  for (let index = 0; index < fleet.pairs; index++) {
    if (pace.spent(1)) yield;
    if (fleet.pair(index).carriers.length === 0) continue;
    const affected = fleet.affected(index);
    const own = selected.get(index);
    if (own === undefined) others.push(affected);
    else if (own !== affected && own.size < affected.size) others.push(difference(affected, own));
  }
  return others;
}

/** The same of patches that would close something on it. */
function* patchAssets(asking: Asking, part: RelatedPlan): Sliced<ReadonlyAssetSet[]> {
  const { whole, fleet, pace } = asking;
  const { all } = yield* fleetPatches(fleet);
  const test = yield* whole.patchTest(part.where);
  const sets: ReadonlyAssetSet[] = [];
  for (const patch of all) {
    if (pace.spent(1)) yield;
    if (test(patch) !== (part.kind === 'some')) continue;
    yield* patch.measure();
    sets.push(patch.assets());
  }
  return sets;
}

/** Whether a set has nothing of another. */
export function isDisjoint(a: ReadonlyAssetSet, b: ReadonlyAssetSet): boolean {
  return overlap(a, b) === 0;
}
