/**
 * Queries over the fleet as sets. What is selected is exactly that of which `compileOnRecords` of the query is true on the
 * records of records.ts; a property test holds the two together.
 */
import { plan, predicatesOf, type Plan } from '../../query/plan.ts';
import type { Subject } from '../../query/fields.ts';
import type { Query } from '../../query/query.ts';
import { intersection, type AssetSet, type ReadonlyAssetSet } from '../asset-set.ts';
import { fleetPatches, type FleetPatch } from '../patches.ts';
import type { FleetReading } from '../reading.ts';
import type { FindingSelection, Sliced } from './selection.ts';
import { Selector, type SelectOptions } from './selector.ts';

/** A query of another subject is a bug of whoever parsed it. */
function rootOf(query: Query, subject: Subject): Plan {
  if (query.subject !== subject) throw new Error(`a query over ${query.subject} cannot select of ${subject}`);
  return plan(query).root;
}

/**
 * Live assets, of those `within`. `now` is in milliseconds since 1970, here and below. The set is the caller's own.
 */
export function* selectAssets(
  fleet: FleetReading,
  query: Query,
  now: number,
  within?: ReadonlyAssetSet,
  options?: SelectOptions,
): Sliced<AssetSet> {
  const root = rootOf(query, 'asset');
  const found = yield* new Selector(fleet, now, within, options).assets(root);
  return intersection(found, fleet.assets.live);
}

/** Findings that are not fixed, on the assets `within`. Sets belong to the fleet, or are shared: they are not to be written to. */
export function* selectFindings(
  fleet: FleetReading,
  query: Query,
  now: number,
  within?: ReadonlyAssetSet,
  options?: SelectOptions,
): Sliced<FindingSelection> {
  const root = rootOf(query, 'finding');
  const byPair = yield* new Selector(fleet, now, within, options).findings(root);
  let total = 0;
  for (const assets of byPair.values()) total += assets.size;
  return { total, byPair };
}

/** Indexes of all vulnerabilities that the fleet knows of, ascending: also of those that no asset has now. */
export function* selectVulnerabilities(
  fleet: FleetReading,
  query: Query,
  now: number,
  options?: SelectOptions,
): Sliced<number[]> {
  const root = rootOf(query, 'vulnerability');
  const selector = new Selector(fleet, now, undefined, options);
  const test = yield* selector.vulnerabilityTest(root);
  const units = asksAffected(root) ? 300 : 10;
  const found: number[] = [];
  for (let index = 0; index < fleet.vulnerabilities; index++) {
    if (test(index)) found.push(index);
    if (selector.pace.spent(units)) yield;
  }
  return found;
}

/** Patches by id: all that verdicts of the fleet's software name, also where no asset needs one now. */
export function* selectPatches(
  fleet: FleetReading,
  query: Query,
  now: number,
  options?: SelectOptions,
): Sliced<FleetPatch[]> {
  const root = rootOf(query, 'patch');
  const { all } = yield* fleetPatches(fleet);
  const selector = new Selector(fleet, now, undefined, options);
  const test = yield* selector.patchTest(root);
  const measures = asksAffected(root);
  const found: FleetPatch[] = [];
  for (const patch of all) {
    if (measures) yield* patch.measure();
    if (test(patch)) found.push(patch);
    if (selector.pace.spent(2)) yield;
  }
  return found;
}

function asksAffected(root: Plan): boolean {
  return predicatesOf(root).some(({ field }) => field === 'affected_assets');
}
