import type { FleetPatch } from '@fixpoint/core/posture/patches.ts';
import type { FleetFinding, FleetReading } from '@fixpoint/core/posture/reading.ts';
import type { Sort } from '@fixpoint/core/posture/select/column.ts';
import {
  assetOrders,
  assetsInOrder,
  findingOrders,
  findingsInOrder,
  type Page,
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
import type { Query } from '@fixpoint/core/query/query.ts';
import { answer, type Answer, type Refusal } from '../refusal.ts';

/** Pages of what a query finds, in any order. */

/**
 * So many assets or findings are put into any order; of more only a page is, by one of the orders that can be told without
 * putting all of it in order (`assetOrders`, `findingOrders`). Vulnerabilities and patches are always put in order whole.
 */
export const sortedWhole = 100_000;

export interface Found<Item> {
  readonly items: readonly Item[];
  readonly total: number;
  /** As it was applied: of very many only the first of what was asked for counts. */
  readonly sort: readonly Sort[];
}

/** What is found, or why it cannot be in that order. */
export type Finds<Item> = Sliced<Answer<Found<Item>>>;

/** `now` is in milliseconds since 1970, here and below. */
export function* foundAssets(
  fleet: FleetReading,
  query: Query,
  sort: readonly Sort[],
  page: Page,
  now: number,
): Finds<number> {
  const assets = yield* selectAssets(fleet, query, now);
  const total = assets.size;
  if (total <= sortedWhole) {
    const all = yield* assetsSorted(fleet, assets, sort, now);
    return answer({ items: [...partOf(all, page)], total, sort });
  }
  const [first] = sort;
  const by = assetOrders.find((each) => each === first?.by);
  if (first === undefined || by === undefined) return tooMany(total, 'assets', assetOrders);
  const items = yield* assetsInOrder(fleet, assets, { by, descending: first.descending }, page);
  return answer({ items, total, sort: [first] });
}

export function* foundFindings(
  fleet: FleetReading,
  query: Query,
  sort: readonly Sort[],
  page: Page,
  now: number,
): Finds<FleetFinding> {
  const selection = yield* selectFindings(fleet, query, now);
  const { total } = selection;
  if (total <= sortedWhole) {
    const all = yield* findingsSorted(fleet, selection, sort, now);
    const pairs = partOf(all.pairs, page);
    const items: FleetFinding[] = [];
    for (const [at, asset] of partOf(all.assets, page).entries()) {
      items.push(findingOf(fleet, asset, pairs[at] ?? -1));
      if (items.length % findingsInSlice === 0) yield;
    }
    return answer({ items, total, sort });
  }
  const [first] = sort;
  const by = findingOrders.find((each) => each === first?.by);
  if (first === undefined || by === undefined) return tooMany(total, 'findings', findingOrders);
  const items = yield* findingsInOrder(fleet, selection, { by, descending: first.descending }, page, now);
  return answer({ items, total, sort: [first] });
}

const findingsInSlice = 50;

function findingOf(fleet: FleetReading, asset: number, index: number): FleetFinding {
  const finding = fleet.findingsOf(asset).find(({ pair }) => pair.index === index);
  if (finding === undefined) throw new Error('a finding was selected that its asset does not have');
  return finding;
}

export function* foundVulnerabilities(
  fleet: FleetReading,
  query: Query,
  sort: readonly Sort[],
  page: Page,
  now: number,
): Finds<number> {
  const found = yield* selectVulnerabilities(fleet, query, now);
  const all = yield* vulnerabilitiesSorted(fleet, found, sort, now);
  return answer({ items: partOf(all, page), total: found.length, sort });
}

export function* foundPatches(
  fleet: FleetReading,
  query: Query,
  sort: readonly Sort[],
  page: Page,
  now: number,
): Finds<FleetPatch> {
  const found = yield* selectPatches(fleet, query, now);
  const all = yield* patchesSorted(fleet, found, sort, now);
  return answer({ items: partOf(all, page), total: found.length, sort });
}

function partOf<List extends { slice(from: number, to: number): List }>(
  list: List,
  { offset, limit }: Page,
): List {
  return list.slice(offset, offset + limit);
}

function tooMany(total: number, what: string, orders: readonly string[]): Refusal {
  const message = `${String(total)} ${what} cannot be put into this order; at most ${String(sortedWhole)} can`;
  return {
    ok: false,
    status: 422,
    code: 'sort_too_many',
    message,
    whatToDo: `narrow the query, or sort by one of: ${orders.join(', ')}`,
    problems: [{ path: 'querystring/sort', message }],
  };
}
