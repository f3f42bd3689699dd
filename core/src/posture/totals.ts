/**
 * Findings of a set of assets by pair and status: what severity totals, top vulnerabilities and top patches are made from.
 *
 * Nearly all assets are counted by walking their rows once: how many have each group of carriers gives the findings of all its
 * pairs. What that would count wrongly is counted apart, and exactly:
 *
 * - several groups of one package on an asset (two versions side by side, whose findings overlap), as one of their own;
 * - assets whose findings do not follow from what they have installed, finding by finding;
 * - pairs that a mitigation or an acceptance bears on, by their sets.
 */
import {
  addAll,
  assetSet,
  difference,
  intersection,
  keepOnly,
  overlap,
  removeAll,
  union,
} from './asset-set.ts';
import type { AssetSet, ReadonlyAssetSet } from './asset-set.ts';
import { acceptedStatusesOf, exposedTo, findingsOf, type FindingSources } from './findings.ts';
import type { Carriers } from './carriers.ts';
import { Combinations } from './group-combinations.ts';
import type { ExposedFindingStatus, FindingPair } from './reading.ts';
import type { Sliced } from './select/selection.ts';

export const exposedStatuses: readonly ExposedFindingStatus[] = [
  'open',
  'restart_pending',
  'reboot_pending',
  'mitigated',
  'accepted',
  'undetermined',
];

export interface FleetTotals {
  readonly assets: number;
  /** Number of findings of a pair in a status. */
  count(pair: number, status: ExposedFindingStatus): number;
  /** Number of findings of a pair in all statuses. */
  ofPair(pair: number): number;
}

/** Of the fleet's insides, what counting needs. */
export interface TotalSources extends FindingSources {
  /** Pairs that a mitigation in force or an acceptance bears on. */
  overlaid(): Iterable<FindingPair>;
}

const rowsInSlice = 20_000;
const findingsInSlice = 250;

class Counts implements FleetTotals {
  readonly assets: number;
  readonly #counts: Uint32Array;

  constructor(assets: number, pairs: number) {
    this.assets = assets;
    this.#counts = new Uint32Array(pairs * exposedStatuses.length);
  }

  add(pair: number, status: ExposedFindingStatus, findings: number): void {
    const at = pair * exposedStatuses.length + exposedStatuses.indexOf(status);
    this.#counts[at] = (this.#counts[at] ?? 0) + findings;
  }

  clear(pair: number): void {
    this.#counts.fill(0, pair * exposedStatuses.length, (pair + 1) * exposedStatuses.length);
  }

  count(pair: number, status: ExposedFindingStatus): number {
    return this.#counts[pair * exposedStatuses.length + exposedStatuses.indexOf(status)] ?? 0;
  }

  ofPair(pair: number): number {
    let sum = 0;
    for (let i = 0; i < exposedStatuses.length; i++)
      sum += this.#counts[pair * exposedStatuses.length + i] ?? 0;
    return sum;
  }
}

/** Counts the findings of the live assets `within`. */
export function* countFindings(sources: TotalSources, within: ReadonlyAssetSet): Sliced<FleetTotals> {
  const { carriers, exceptions } = sources;
  const counts = new Counts(within.size, carriers.pairCount);
  const plain = difference(within, exceptions.apart);
  const { byGroup, groups, leftOut } = yield* countGroups(sources, plain);
  const apart = union([intersection(within, exceptions.apart), leftOut]);
  for (const [index, assets] of byGroup) {
    const group = groups.at(index);
    for (const pair of group.vulnerable) counts.add(pair, 'open', assets);
    for (const pair of group.undetermined) counts.add(pair, 'undetermined', assets);
  }
  const counted = difference(within, apart);
  for (const pair of sources.overlaid()) {
    counts.clear(pair.index);
    for (const [status, set] of acceptedStatusesOf(sources, pair))
      counts.add(pair.index, status, overlap(set, counted));
    yield;
  }
  let done = 0;
  for (const asset of apart) {
    for (const { pair, status } of findingsOf(sources, asset)) counts.add(pair.index, status, 1);
    if (++done % findingsInSlice === 0) yield;
  }
  return counts;
}

/** How many of the assets have each group or combination; assets that rows do not suffice for are left out and named. */
function* countGroups(
  sources: FindingSources,
  assets: AssetSet,
): Sliced<{ byGroup: ReadonlyMap<number, number>; groups: Combinations; leftOut: AssetSet }> {
  const { carriers, rows } = sources;
  const groups = new Combinations(carriers);
  const counts = new Float64Array(carriers.groupCount);
  const combinedCounts = new Map<number, number>();
  const metGroup = new Uint32Array(carriers.groupCount);
  const metPackage = new Uint32Array(carriers.packageCount);
  /** By package: where in `found` its group is. */
  const foundAt = new Uint32Array(carriers.packageCount);
  const { groupOf } = carriers;
  const packageOf = new Uint32Array(carriers.groupCount);
  for (let i = 0; i < packageOf.length; i++) {
    const group = carriers.group(i);
    // What carries nothing any more is no group: it is met by nothing.
    packageOf[i] = group.vulnerable.length + group.undetermined.length === 0 ? nowhere : group.package;
  }
  const leftOut = looseMixed(sources, assets);
  const walked = leftOut.isEmpty ? assets : difference(assets, leftOut);
  const ids = walked.toUint32Array();
  const { offsets, carriers: items, last, changed } = rows.arrays();
  // One of each package at most.
  const found = new Float64Array(carriers.packageCount);
  let walk = 0;
  for (let start = 0; start < ids.length; start += rowsInSlice) {
    const end = Math.min(ids.length, start + rowsInSlice);
    for (let i = start; i < end; i++) {
      const id = ids[i] ?? 0;
      const own = changed.size === 0 ? undefined : changed.get(id);
      const list = own?.carriers ?? items;
      const from = own?.from ?? (id > last ? 0 : (offsets[id] ?? 0));
      const to = own?.to ?? (id > last ? 0 : (offsets[id + 1] ?? 0));
      walk += 1;
      let length = 0;
      for (let at = from; at < to; at++) {
        const group = groupOf[list[at] ?? 0] ?? 0;
        if (metGroup[group] === walk) continue;
        metGroup[group] = walk;
        const number = packageOf[group] ?? nowhere;
        if (number === nowhere) continue;
        if (metPackage[number] === walk) {
          const place = foundAt[number] ?? 0;
          found[place] = groups.of(found[place] ?? 0, group);
          continue;
        }
        metPackage[number] = walk;
        foundAt[number] = length;
        found[length] = group;
        length += 1;
      }
      for (let at = 0; at < length; at++) {
        const group = found[at] ?? 0;
        if (group < counts.length) counts[group] = (counts[group] ?? 0) + 1;
        else combinedCounts.set(group, (combinedCounts.get(group) ?? 0) + 1);
      }
    }
    yield;
  }
  for (const [group, set] of looseGroups(sources))
    counts[group] = (counts[group] ?? 0) + overlap(set, walked);
  for (const [group, assetsOfIt] of counts.entries())
    if (assetsOfIt > 0) combinedCounts.set(group, assetsOfIt);
  return { byGroup: combinedCounts, groups, leftOut };
}

const nowhere = 0xffff_ffff;

/** By group the assets that have it by carriers that their rows are without, and by none that they are with. */
function looseGroups({ carriers, loose }: FindingSources): Map<number, AssetSet> {
  const byGroup = new Map<number, ReadonlyAssetSet[]>();
  for (const [carrier, without] of loose) {
    const { group } = carriers.carrier(carrier);
    byGroup.set(group, [...(byGroup.get(group) ?? []), without]);
  }
  const sets = new Map<number, AssetSet>();
  for (const [group, list] of byGroup) {
    const all = union(list);
    for (const other of carriers.carriersOfPackage(carriers.group(group).package))
      if (carriers.carrier(other).group === group) removeAll(all, inRows(carriers, loose, other));
    sets.set(group, all);
  }
  return sets;
}

/** Assets whose rows are with a carrier. */
function inRows(carriers: Carriers, loose: FindingSources['loose'], carrier: number): ReadonlyAssetSet {
  const exposed = exposedTo(carriers.carrier(carrier).entry);
  const without = loose.get(carrier);
  return without === undefined ? exposed : difference(exposed, without);
}

/** Assets that have a carrier which their rows are without, and another group of the same package. */
function looseMixed({ carriers, loose }: FindingSources, assets: AssetSet): AssetSet {
  const mixed = assetSet();
  for (const [carrier, without] of loose) {
    const { group } = carriers.carrier(carrier);
    const others = carriers.carriersOfPackage(carriers.group(group).package).filter((other) => {
      const its = carriers.carrier(other);
      return its.group !== group && its.pairs.length > 0;
    });
    if (others.length === 0 || carriers.carrier(carrier).pairs.length === 0) continue;
    addAll(
      mixed,
      intersection(without, union(others.map((other) => exposedTo(carriers.carrier(other).entry)))),
    );
  }
  keepOnly(mixed, assets);
  return mixed;
}
