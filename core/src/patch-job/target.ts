import { assetSet, addAll, difference, intersection, keepOnly, removeAll } from '../posture/asset-set.ts';
import type { AssetSet, ReadonlyAssetSet } from '../posture/asset-set.ts';
import { patchNamed } from '../posture/patches.ts';
import type { FleetReading } from '../posture/reading.ts';
import { denial } from '../posture/select/plan-truth.ts';
import { selectVulnerabilities } from '../posture/select/select.ts';
import type { Sliced } from '../posture/select/selection.ts';
import { Selector } from '../posture/select/selector.ts';
import { patchId, type PatchIdentity } from '../knowledge/patch.ts';
import { plan, type Plan } from '../query/plan.ts';
import type { Query } from '../query/query.ts';
import type { AddressRange } from '../tag/definition.ts';

/** Who a job is for and which patches its criteria come to, on the fleet as it is. Pure; the fleet is handed in. */

/** A target whose texts have been read and whose assets have been found. */
export interface ReadTarget {
  readonly tags: readonly string[];
  readonly tagsAll: readonly string[];
  readonly query: Query | null;
  readonly ranges: readonly AddressRange[];
  /** Ids of assets that are named, and of those that are excluded by name. */
  readonly named: readonly number[];
  readonly excluded: readonly number[];
  readonly excludeTags: readonly string[];
  readonly excludeQuery: Query | null;
}

export interface EvaluatedTarget {
  /** Ids of everything that the plan has to speak of, ascending: also of what is left out. */
  readonly assetIds: readonly number[];
  /** Why an asset is left out although the target holds it. */
  readonly leftOut: ReadonlyMap<number, string>;
  /** What a person should know: assets of which it cannot be said whether they are in the target. */
  readonly notes: readonly string[];
}

/** The tags that are spoken of must exist; which do not is answered instead. `now`: milliseconds since 1970 UTC. */
export function* evaluateTarget(
  fleet: FleetReading,
  target: ReadTarget,
  now: number,
): Sliced<EvaluatedTarget | { readonly unknownTags: readonly string[] }> {
  const unknownTags = [...target.tags, ...target.tagsAll, ...target.excludeTags].filter(
    (name) => fleet.tag(name) === null,
  );
  if (unknownTags.length > 0) return { unknownTags: [...new Set(unknownTags)] };
  const { live } = fleet.assets;
  const members = assetSet(target.named);
  const open = assetSet();
  const any = target.tags.map((name) => truthsOfTag(fleet, name));
  if (target.query !== null) any.push(yield* truthsOfQuery(fleet, plan(target.query).root, live, now));
  if (target.ranges.length > 0) any.push(yield* truthsOfQuery(fleet, rangesPlan(target.ranges), live, now));
  for (const { holds, unknown } of any) {
    addAll(members, holds);
    addAll(open, unknown);
  }
  if (any.length === 0 && target.named.length === 0) addAll(members, live);
  const leftOut = new Map<number, string>();
  const named = assetSet(target.named);
  for (const name of target.tagsAll) {
    const { holds, unknown } = truthsOfTag(fleet, name);
    for (const id of difference(intersection(members, named), holds)) {
      if (!leftOut.has(id))
        leftOut.set(id, `the job is for assets in the tag ${name}, and this one is not known to be in it`);
    }
    addAll(open, intersection(members, unknown));
    keepOnly(members, holds);
    keepOnly(open, union2(holds, unknown));
  }
  removeAll(open, members);
  const leave = (assets: ReadonlyAssetSet, message: string): void => {
    for (const id of assets) if (!leftOut.has(id)) leftOut.set(id, message);
  };
  leave(intersection(members, assetSet(target.excluded)), 'the job excludes this asset');
  for (const name of target.excludeTags) {
    const { holds, unknown } = truthsOfTag(fleet, name);
    leave(intersection(members, holds), `the job excludes the tag ${name}, which it is in`);
    leave(
      intersection(members, unknown),
      `the job excludes the tag ${name}, and whether it is in that cannot be said`,
    );
  }
  if (target.excludeQuery !== null) {
    const root = plan(target.excludeQuery).root;
    const { holds, unknown } = yield* truthsOfQuery(fleet, root, intersection(members, live), now);
    leave(holds, 'the job excludes it by its query (exclude_query)');
    leave(unknown, 'the job excludes by a query (exclude_query), and whether it matches cannot be said');
  }
  addAll(members, assetSet(leftOut.keys()));
  removeAll(open, members);
  return { assetIds: members.toArray(), leftOut, notes: openNote(fleet, open) };
}

interface Known {
  readonly holds: ReadonlyAssetSet;
  readonly unknown: ReadonlyAssetSet;
}

function truthsOfTag(fleet: FleetReading, name: string): Known {
  const truths = fleet.tag(name);
  if (truths === null) throw new Error(`there is no tag ${name}, which was looked for before`);
  return { holds: truths.holds, unknown: rest(fleet.assets.live, truths.holds, truths.fails) };
}

function* truthsOfQuery(
  fleet: FleetReading,
  root: Plan,
  within: ReadonlyAssetSet,
  now: number,
): Sliced<Known> {
  const selector = new Selector(fleet, now, within);
  const holds = intersection(yield* selector.assets(root), within);
  const fails = yield* selector.assets(denial(root));
  return { holds, unknown: rest(within, holds, fails) };
}

function rest(of: ReadonlyAssetSet, a: ReadonlyAssetSet, b: ReadonlyAssetSet): AssetSet {
  const left = difference(of, a);
  removeAll(left, b);
  return left;
}

function union2(a: ReadonlyAssetSet, b: ReadonlyAssetSet): AssetSet {
  const both = a.clone();
  addAll(both, b);
  return both;
}

/** What lies between the first address of a range and its last. */
function rangesPlan(ranges: readonly AddressRange[]): Plan {
  const values = ranges.map((range) => ({ kind: 'address' as const, ...range }));
  return {
    kind: 'leaf',
    key: `asset.address in (${values.map(({ text }) => text).join(', ')})`,
    predicate: {
      scope: 'asset',
      field: 'address',
      key: null,
      condition: { op: 'in', values },
      ageing: false,
    },
    holds: true,
  };
}

const shownOpen = 10;

function openNote(fleet: FleetReading, open: ReadonlyAssetSet): string[] {
  if (open.isEmpty) return [];
  const names: string[] = [];
  for (const id of open) {
    if (names.length === shownOpen) break;
    names.push(fleet.assets.hostname(id));
  }
  const more = open.size > names.length ? ` and ${String(open.size - names.length)} more` : '';
  return [
    `whether they are in the target cannot be said, so they are not: ${names.sort().join(', ')}${more}`,
  ];
}

const stepsInSlice = 50;

/** Every patch that closes a vulnerability of the query in software that is installed on one of the assets, by id. */
export function* patchesByCriteria(
  fleet: FleetReading,
  query: Query,
  assetIds: readonly number[],
  now: number,
): Sliced<PatchIdentity[]> {
  const assets = assetSet(assetIds);
  const found = new Map<string, PatchIdentity>();
  /** Software on an asset of the target, or not. */
  const there = new Map<number, boolean>();
  const isThere = (id: number): boolean => {
    let known = there.get(id);
    if (known === undefined) {
      const installed = fleet.software(id)?.installed;
      known = installed !== undefined && !intersection(assets, installed).isEmpty;
      there.set(id, known);
    }
    return known;
  };
  const vulnerabilities = yield* selectVulnerabilities(fleet, query, now);
  for (const [step, index] of vulnerabilities.entries()) {
    for (const pair of fleet.pairsOfVulnerability(index)) {
      for (const carrying of fleet.pair(pair).carriers) {
        const patch = patchNamed(carrying);
        if (patch !== null && isThere(carrying.software.id)) found.set(patchId(patch), patch);
      }
    }
    if (step % stepsInSlice === stepsInSlice - 1) yield;
  }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { ecosystem, release, package: name, version }]) => ({
      ecosystem,
      release,
      package: name,
      version,
    }));
}
