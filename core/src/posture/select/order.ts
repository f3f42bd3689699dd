/**
 * Pages of what was selected, in order, without making all of it: a heap holds as many as the page and all before it, so pages far
 * behind cost more. What is not known comes last, whichever way round. Equals are always in the same order: assets by id,
 * findings by the risk of their asset, its id and the index of the pair.
 */
import { compareText } from '../../knowledge/compare-text.ts';
import { union, type ReadonlyAssetSet } from '../asset-set.ts';
import type { FindingPair, FleetFinding, FleetReading } from '../reading.ts';
import { Pace } from './asking.ts';
import { dueFact } from './due.ts';
import { Firsts } from './firsts.ts';
import { pairFact } from './records.ts';
import type { FindingSelection, Sliced } from './selection.ts';

export interface Page {
  readonly offset: number;
  readonly limit: number;
}

export const assetOrders = ['risk', 'open_findings', 'criticality', 'last_seen', 'hostname'] as const;
export interface AssetOrder {
  readonly by: (typeof assetOrders)[number];
  readonly descending: boolean;
}

/** Of what all findings of a pair share; `risk` is the score. */
const pairOrders = ['risk', 'cvss', 'epss', 'published'] as const;
/** Of what only the single finding has: every selected finding is looked at, which for millions takes minutes. */
const singleOrders = ['first_seen', 'due'] as const;
export const findingOrders = [
  ...pairOrders,
  ...singleOrders,
  'asset.risk',
  'asset.open_findings',
  'asset.criticality',
  'asset.last_seen',
  'asset.hostname',
] as const;
export interface FindingOrder {
  readonly by: (typeof findingOrders)[number];
  readonly descending: boolean;
}

/** Riskiest first: what there is nothing else said of. */
export const byRisk = { by: 'risk', descending: true } as const;

/** Ids of the assets of a page. */
export function* assetsInOrder(
  fleet: FleetReading,
  assets: ReadonlyAssetSet,
  order: AssetOrder,
  { offset, limit }: Page,
): Sliced<number[]> {
  const ids = assets.toUint32Array();
  if (order.by === 'risk' && order.descending) return yield* riskiest(fleet, ids, offset, limit);
  const before = yield* assetOrderOf(fleet, ids, order);
  const firsts = new Firsts<number>(offset + limit, before);
  for (let at = 0; at < ids.length; at++) {
    firsts.offer(at);
    if (at % assetsInSlice === assetsInSlice - 1) yield;
  }
  return firsts
    .inOrder()
    .slice(offset)
    .map((at) => ids[at] ?? 0);
}

const assetsInSlice = 50_000;

/** What is asked most, and of most assets: hardly any gets beyond the first comparison. */
function* riskiest(fleet: FleetReading, ids: Uint32Array, offset: number, limit: number): Sliced<number[]> {
  const { risks } = fleet;
  const before = (a: number, b: number): boolean => {
    const [one, other] = [risks[a] ?? 0, risks[b] ?? 0];
    return one > other || (one === other && a < b);
  };
  const firsts = new Firsts<number>(offset + limit, before);
  // Ids ascend, so that of equals the later one is never before what is held.
  let least = -1;
  for (let at = 0; at < ids.length; at++) {
    const id = ids[at] ?? 0;
    if ((risks[id] ?? 0) > least) {
      firsts.offer(id);
      const { last } = firsts;
      if (last !== null) least = risks[last] ?? 0;
    }
    if (at % assetsInSlice === assetsInSlice - 1) yield;
  }
  return firsts.inOrder().slice(offset);
}

type Before<Item> = (a: Item, b: Item) => boolean;

/** By places in `ids`. */
function* assetOrderOf(
  fleet: FleetReading,
  ids: Uint32Array,
  { by, descending }: AssetOrder,
): Sliced<Before<number>> {
  if (by === 'hostname') {
    const names: string[] = [];
    for (const [at, id] of ids.entries()) {
      names.push(fleet.assets.hostname(id));
      if (at % assetsInSlice === assetsInSlice - 1) yield;
    }
    const sign = descending ? -1 : 1;
    return (a, b) => (sign * compareText(names[a] ?? '', names[b] ?? '') || a - b) < 0;
  }
  const keyOf = numberOf(fleet, by);
  // As numbers that ascend, with what is not known behind all.
  const keys = new Float64Array(ids.length);
  for (let at = 0; at < ids.length; at++) {
    keys[at] = ascending(keyOf(ids[at] ?? 0), descending);
    if (at % assetsInSlice === assetsInSlice - 1) yield;
  }
  return (a, b) => {
    const [one, other] = [keys[a] ?? Infinity, keys[b] ?? Infinity];
    return one < other || (one === other && a < b);
  };
}

function numberOf(
  fleet: FleetReading,
  by: Exclude<AssetOrder['by'], 'hostname'>,
): (asset: number) => number | null {
  switch (by) {
    case 'risk':
      return (asset) => fleet.risk(asset);
    case 'open_findings':
      return (asset) => fleet.openFindings(asset);
    case 'criticality':
      return (asset) => fleet.criticality(asset).level;
    case 'last_seen':
      return (asset) => fleet.assets.lastSeenAt(asset);
    default:
      return by satisfies never;
  }
}

function ascending(value: number | null, descending: boolean): number {
  if (value === null) return Infinity;
  return descending ? -value : value;
}

/** The findings of a page. `now` is in milliseconds since 1970. */
export function* findingsInOrder(
  fleet: FleetReading,
  selection: FindingSelection,
  order: FindingOrder,
  page: Page,
  now: number,
): Sliced<FleetFinding[]> {
  const { by, descending } = order;
  const pairOrder = pairOrders.find((each) => each === by);
  if (pairOrder !== undefined) {
    const keyOf = (pair: FindingPair): number =>
      ascending(numberFact(pairFact(fleet, pair, pairOrder)), descending);
    return yield* byPairs(fleet, selection, keyOf, page);
  }
  if (by === 'first_seen' || by === 'due') return yield* bySingle(fleet, selection, order, page, now);
  const assetOrder = assetOrders.find((each) => `asset.${each}` === by);
  if (assetOrder === undefined) throw new Error(`findings have no order ${by}`);
  return yield* byAssets(fleet, selection, { by: assetOrder, descending }, page);
}

function numberFact(fact: ReturnType<typeof pairFact>): number | null {
  return typeof fact === 'number' ? fact : null;
}

/** Pairs with the same key are one group; groups before the page are only counted. */
function* byPairs(
  fleet: FleetReading,
  { byPair }: FindingSelection,
  keyOf: (pair: FindingPair) => number,
  { offset, limit }: Page,
): Sliced<FleetFinding[]> {
  const pace = new Pace();
  const groups = new Map<number, { readonly pairs: number[]; findings: number }>();
  for (const [index, assets] of byPair) {
    const key = keyOf(fleet.pair(index));
    let group = groups.get(key);
    if (group === undefined) groups.set(key, (group = { pairs: [], findings: 0 }));
    group.pairs.push(index);
    group.findings += assets.size;
    if (pace.spent(1)) yield;
  }
  const page: FleetFinding[] = [];
  let skip = offset;
  for (const key of [...groups.keys()].sort((a, b) => a - b)) {
    if (page.length === limit) break;
    const group = groups.get(key);
    if (group === undefined || group.findings <= skip) {
      skip -= group?.findings ?? 0;
      continue;
    }
    const wanted = { offset: skip, limit: limit - page.length };
    page.push(...(yield* ofAssets(fleet, { byPair, pairs: group.pairs }, byRisk, wanted)));
    skip = 0;
  }
  return page;
}

interface Selected {
  readonly byPair: FindingSelection['byPair'];
  /** Those of its pairs that are meant. */
  readonly pairs: readonly number[];
}

/** Up to so many pairs it takes less to look into their sets than to make all findings of an asset. */
const fewPairs = 500;

/**
 * By their asset, of one asset by `rank` and then by pair. Every finding has an asset, and every asset of these has one at
 * least: so many assets hold the page.
 */
function* ofAssets(
  fleet: FleetReading,
  { byPair, pairs }: Selected,
  order: AssetOrder,
  { offset, limit }: Page,
  rank: (pair: number) => number = () => 0,
): Sliced<FleetFinding[]> {
  const pace = new Pace();
  const page: FleetFinding[] = [];
  const members = new Set(pairs);
  const assets = union(pairs.flatMap((pair) => byPair.get(pair) ?? []));
  let skip = offset;
  for (const asset of yield* assetsInOrder(fleet, assets, order, { offset: 0, limit: offset + limit })) {
    const isMeant = (pair: number): boolean => byPair.get(pair)?.has(asset) === true;
    let findings: readonly FleetFinding[] | null = null;
    if (pairs.length > fewPairs || skip === 0) {
      findings = fleet.findingsOf(asset);
      if (pace.spent(20 + 2 * findings.length)) yield;
    } else if (pace.spent(pairs.length / 10)) yield;
    const own =
      findings === null
        ? pairs.filter(isMeant)
        : findings.map(({ pair }) => pair.index).filter((pair) => members.has(pair) && isMeant(pair));
    if (own.length <= skip) {
      skip -= own.length;
      continue;
    }
    const ranks = new Map(own.map((pair) => [pair, rank(pair)]));
    own.sort((a, b) => (ranks.get(b) ?? 0) - (ranks.get(a) ?? 0) || a - b);
    const byIndex = new Map((findings ?? fleet.findingsOf(asset)).map((each) => [each.pair.index, each]));
    for (const pair of own.slice(skip, skip + limit - page.length)) {
      const finding = byIndex.get(pair);
      if (finding !== undefined) page.push(finding);
    }
    skip = 0;
    if (page.length === limit) break;
  }
  return page;
}

/** By the asset; of one asset the gravest first. */
function* byAssets(
  fleet: FleetReading,
  { byPair }: FindingSelection,
  order: AssetOrder,
  page: Page,
): Sliced<FleetFinding[]> {
  const rank = (pair: number): number => fleet.danger(fleet.pair(pair).danger).score.score;
  return yield* ofAssets(fleet, { byPair, pairs: [...byPair.keys()] }, order, page, rank);
}

interface Keyed {
  readonly finding: FleetFinding;
  readonly key: number;
  readonly risk: number;
}

function* bySingle(
  fleet: FleetReading,
  { byPair }: FindingSelection,
  { by, descending }: FindingOrder,
  { offset, limit }: Page,
  now: number,
): Sliced<FleetFinding[]> {
  const pace = new Pace();
  const firsts = new Firsts<Keyed>(
    offset + limit,
    (a, b) =>
      (a.key === b.key ? 0 : a.key - b.key) < 0 ||
      (a.key === b.key &&
        (b.risk - a.risk ||
          a.finding.asset - b.finding.asset ||
          a.finding.pair.index - b.finding.pair.index) < 0),
  );
  for (const asset of union([...byPair.values()]).toUint32Array()) {
    const risk = fleet.risk(asset);
    const findings = fleet.findingsOf(asset);
    if (pace.spent(20 + 2 * findings.length)) yield;
    for (const finding of findings) {
      if (byPair.get(finding.pair.index)?.has(asset) !== true) continue;
      const value = by === 'due' ? numberFact(dueFact(fleet, finding, now)) : finding.firstSeenAt;
      firsts.offer({ finding, key: ascending(value, descending), risk });
      if (pace.spent(by === 'due' ? 4 : 1)) yield;
    }
  }
  return firsts
    .inOrder()
    .slice(offset)
    .map(({ finding }) => finding);
}
