import { exportLimits, type ReportSort } from '@fixpoint/contract/report.ts';
import type { SearchRow } from '@fixpoint/contract/search.ts';
import { fleetPatches } from '@fixpoint/core/posture/patches.ts';
import type { FleetFinding, FleetReading } from '@fixpoint/core/posture/reading.ts';
import { rowOf, wireValue, type Column, type ColumnValue } from '@fixpoint/core/posture/select/column.ts';
import { columnOf } from '@fixpoint/core/posture/select/columns.ts';
import {
  assetOrders,
  assetsInOrder,
  findingOrders,
  findingsInOrder,
} from '@fixpoint/core/posture/select/order.ts';
import {
  selectAssets,
  selectFindings,
  selectPatches,
  selectVulnerabilities,
} from '@fixpoint/core/posture/select/select.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import {
  assetsSorted,
  findingsSorted,
  patchesSorted,
  vulnerabilitiesSorted,
} from '@fixpoint/core/posture/select/sorted.ts';
import type { Subject } from '@fixpoint/core/query/fields.ts';
import type { Query } from '@fixpoint/core/query/query.ts';

/**
 * The items of a report in order, as keys that stay good while the fleet goes on: a pair of findings is named, as its index is
 * another one in a fleet that was loaded anew.
 */
export type Keys =
  | { readonly subject: 'asset'; readonly ids: ArrayLike<number> }
  | {
      readonly subject: 'finding';
      readonly assets: ArrayLike<number>;
      readonly pairs: ArrayLike<number>;
      readonly names: ReadonlyMap<number, PairName>;
    }
  | { readonly subject: 'vulnerability' | 'patch'; readonly ids: readonly string[] };

interface PairName {
  readonly vulnerability: string;
  readonly ecosystem: string;
  readonly package: string;
}

export interface Found {
  /** Items selected. `keys` are those of the page, or all of them. */
  readonly total: number;
  readonly keys: Keys;
  /** As it was applied. */
  readonly sort: readonly ReportSort[];
}

/** More than this many are not sorted for a page, but put in the first of the orders that order.ts knows. */
const sortedForPage = 200_000;
/** More than this many are not sorted at all. */
const sortedAtMost = exportLimits.csv;
/** Of what is not sorted whole, a page may begin and end within this many. */
const reachOfPages = 100_000;

export interface Wanted {
  readonly query: Query;
  readonly sort: readonly ReportSort[];
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Null: all. */
  readonly page: { readonly offset: number; readonly limit: number } | null;
}

/** Null: there are too many to be put into that order. */
export function* find(
  fleet: FleetReading,
  wanted: Wanted,
  limits = { forPage: sortedForPage, atMost: sortedAtMost },
): Sliced<Found | { readonly tooMany: number }> {
  const { query, sort, now, page } = wanted;
  const most = page === null ? limits.atMost : limits.forPage;
  const from = page?.offset ?? 0;
  const to = page === null ? undefined : from + page.limit;
  const outOfReach = to === undefined || to > reachOfPages;
  switch (query.subject) {
    case 'asset': {
      const assets = yield* selectAssets(fleet, query, now);
      const total = assets.size;
      if (total <= most) {
        const ids = (yield* assetsSorted(fleet, assets, sort, now)).subarray(from, to);
        return { total, sort, keys: { subject: 'asset', ids } };
      }
      const [first] = sort;
      const by = assetOrders.find((one) => one === first?.by);
      if (page === null || outOfReach || by === undefined || first === undefined) return { tooMany: total };
      const ids = yield* assetsInOrder(fleet, assets, { by, descending: first.descending }, page);
      return { total, sort: [first], keys: { subject: 'asset', ids } };
    }
    case 'finding': {
      const selection = yield* selectFindings(fleet, query, now);
      const { total } = selection;
      if (total <= most) {
        const all = yield* findingsSorted(fleet, selection, sort, now);
        const [assets, pairs] = [all.assets.subarray(from, to), all.pairs.subarray(from, to)];
        return {
          total,
          sort,
          keys: { subject: 'finding', assets, pairs, names: yield* namesOf(fleet, pairs) },
        };
      }
      const [first] = sort;
      const by = findingOrders.find((one) => one === first?.by);
      if (page === null || outOfReach || by === undefined || first === undefined) return { tooMany: total };
      const order = { by, descending: first.descending };
      const found = yield* findingsInOrder(fleet, selection, order, page, now);
      const pairs = found.map(({ pair }) => pair.index);
      return {
        total,
        sort: [first],
        keys: {
          subject: 'finding',
          assets: found.map(({ asset }) => asset),
          pairs,
          names: yield* namesOf(fleet, pairs),
        },
      };
    }
    case 'vulnerability': {
      const all = yield* selectVulnerabilities(fleet, query, now);
      const sorted = yield* vulnerabilitiesSorted(fleet, all, sort, now);
      const ids = sorted.slice(from, to).map((index) => fleet.vulnerability(index).id);
      return { total: all.length, sort, keys: { subject: 'vulnerability', ids } };
    }
    case 'patch': {
      const all = yield* selectPatches(fleet, query, now);
      const sorted = yield* patchesSorted(fleet, all, sort, now);
      const ids = sorted.slice(from, to).map(({ id }) => id);
      return { total: all.length, sort, keys: { subject: 'patch', ids } };
    }
    default:
      return query.subject satisfies never;
  }
}

const pairsInSlice = 20_000;

function* namesOf(fleet: FleetReading, pairs: ArrayLike<number>): Sliced<Map<number, PairName>> {
  const names = new Map<number, PairName>();
  for (let at = 0; at < pairs.length; at++) {
    const index = pairs[at] ?? 0;
    if (!names.has(index)) {
      const { vulnerability, ecosystem, package: name } = fleet.pair(index);
      names.set(index, { vulnerability: fleet.vulnerability(vulnerability).id, ecosystem, package: name });
    }
    if (at % pairsInSlice === pairsInSlice - 1) yield;
  }
  return names;
}

export interface FoundRow {
  readonly of: SearchRow['of'];
  /** In the order of the columns, as they go over the wire. */
  readonly values: readonly ColumnValue[];
}

const rowsInSlice = 25;

/** Rows of keys `from` up to and without `to`, on the fleet as it is now. What is not there any more is left out. */
export function* readRows(
  fleet: FleetReading,
  keys: Keys,
  names: readonly string[],
  now: number,
  from: number,
  to: number,
): Sliced<FoundRow[]> {
  const rows: FoundRow[] = [];
  const slice = pacing();
  switch (keys.subject) {
    case 'asset': {
      const columns = columnsOf('asset', names);
      for (let at = from; at < Math.min(to, keys.ids.length); at++) {
        const id = keys.ids[at] ?? 0;
        if (!fleet.assets.live.has(id)) continue;
        rows.push({
          of: { asset: fleet.assets.uid(id) },
          values: valuesOf(columns, rowOf('asset', fleet, id, now)),
        });
        if (slice()) yield;
      }
      return rows;
    }
    case 'finding': {
      const columns = columnsOf('finding', names);
      for (let at = from; at < Math.min(to, keys.assets.length); at++) {
        const finding = findingOf(fleet, keys.assets[at] ?? 0, keys.names.get(keys.pairs[at] ?? -1));
        if (finding === null) continue;
        rows.push({
          of: {
            asset: fleet.assets.uid(finding.asset),
            vulnerability: fleet.vulnerability(finding.pair.vulnerability).id,
            package: finding.pair.package,
          },
          values: valuesOf(columns, rowOf('finding', fleet, finding, now)),
        });
        if (slice()) yield;
      }
      return rows;
    }
    case 'vulnerability': {
      const columns = columnsOf('vulnerability', names);
      for (const id of keys.ids.slice(from, to)) {
        const index = fleet.vulnerabilityCalled(id);
        if (index === null) continue;
        rows.push({
          of: { vulnerability: id },
          values: valuesOf(columns, rowOf('vulnerability', fleet, index, now)),
        });
        if (slice()) yield;
      }
      return rows;
    }
    case 'patch': {
      const columns = columnsOf('patch', names);
      const patches = yield* fleetPatches(fleet);
      for (const id of keys.ids.slice(from, to)) {
        const patch = patches.called(id);
        if (patch === null) continue;
        yield* patch.measure();
        rows.push({ of: { patch: id }, values: valuesOf(columns, rowOf('patch', fleet, patch, now)) });
        if (slice()) yield;
      }
      return rows;
    }
    default:
      return keys satisfies never;
  }
}

function pacing(): () => boolean {
  let left = rowsInSlice;
  return () => {
    left -= 1;
    if (left > 0) return false;
    left = rowsInSlice;
    return true;
  };
}

function findingOf(fleet: FleetReading, asset: number, name: PairName | undefined): FleetFinding | null {
  if (name === undefined || !fleet.assets.live.has(asset)) return null;
  const found = fleet
    .findingsOf(asset)
    .find(
      ({ pair }) =>
        pair.package === name.package &&
        pair.ecosystem === name.ecosystem &&
        fleet.vulnerability(pair.vulnerability).id === name.vulnerability,
    );
  return found ?? null;
}

type AnyColumn<Row> = Pick<Column<never>, 'type' | 'decimals'> & { readonly of: (row: Row) => ColumnValue };

function columnsOf<S extends Subject>(subject: S, names: readonly string[]) {
  return names.flatMap((name) => columnOf(subject, name) ?? []);
}

function valuesOf<Row>(columns: readonly AnyColumn<Row>[], row: Row): ColumnValue[] {
  return columns.map((column) => wireValue(column, column.of(row)));
}

export function sizeOf(keys: Keys): number {
  return keys.subject === 'finding' ? keys.assets.length : keys.ids.length;
}
