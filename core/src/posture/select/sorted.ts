/**
 * All of a selection, sorted by any columns. It holds a few numbers or one text for each item and column, so it is for what is
 * exported and for pages of what is not too much; order.ts gives the first page of anything, in fewer orders.
 *
 * What is not known comes last, whichever way round. Text is in the order of its characters. Equals are in the order of ids.
 */
import { compareText } from '../../knowledge/compare-text.ts';
import type { Subject } from '../../query/fields.ts';
import { union, type ReadonlyAssetSet } from '../asset-set.ts';
import type { FleetPatch } from '../patches.ts';
import type { FindingPair, FleetFinding, FleetReading } from '../reading.ts';
import { Pace } from './asking.ts';
import { rowOf, shown, type Column, type ColumnValue, type Items, type Sort } from './column.ts';
import { columnOf } from './columns.ts';
import { pairFact, pairFields } from './records.ts';
import type { FindingSelection, Sliced } from './selection.ts';

/** Findings by asset and index of the pair, in parallel. */
export interface SortedFindings {
  readonly assets: Uint32Array;
  readonly pairs: Uint32Array;
}

/** Ids of assets. `now` is in milliseconds since 1970, here and below. */
export function* assetsSorted(
  fleet: FleetReading,
  assets: ReadonlyAssetSet,
  sort: readonly Sort[],
  now: number,
): Sliced<Uint32Array> {
  const ids = assets.toUint32Array();
  const order = yield* sortedPlaces('asset', fleet, ids.length, (at) => ids[at] ?? 0, sort, now);
  return order.map((at) => ids[at] ?? 0);
}

/** Indexes of vulnerabilities. */
export function* vulnerabilitiesSorted(
  fleet: FleetReading,
  indexes: readonly number[],
  sort: readonly Sort[],
  now: number,
): Sliced<number[]> {
  const itemAt = (at: number): number => indexes[at] ?? 0;
  const order = yield* sortedPlaces('vulnerability', fleet, indexes.length, itemAt, sort, now);
  return [...order].map(itemAt);
}

export function* patchesSorted(
  fleet: FleetReading,
  patches: readonly FleetPatch[],
  sort: readonly Sort[],
  now: number,
): Sliced<FleetPatch[]> {
  for (const patch of patches) yield* patch.measure();
  const itemAt = (at: number): FleetPatch => {
    const patch = patches[at];
    if (patch === undefined) throw new Error(`no patch at ${String(at)}`);
    return patch;
  };
  const order = yield* sortedPlaces('patch', fleet, patches.length, itemAt, sort, now);
  return [...order].map(itemAt);
}

function* sortedPlaces<S extends Subject>(
  subject: S,
  fleet: FleetReading,
  length: number,
  itemAt: (at: number) => Items[S],
  sort: readonly Sort[],
  now: number,
): Sliced<Uint32Array> {
  const pace = new Pace();
  const levels: Level[] = [];
  for (const { by, descending } of sort) {
    const column = knownColumn(subject, by);
    const level = new Level(column, length, descending);
    for (let at = 0; at < length; at++) {
      level.put(at, column.of(rowOf(subject, fleet, itemAt(at), now)));
      if (pace.spent(2)) yield;
    }
    levels.push(level);
  }
  return yield* inOrder(length, levels);
}

export function* findingsSorted(
  fleet: FleetReading,
  selection: FindingSelection,
  sort: readonly Sort[],
  now: number,
): Sliced<SortedFindings> {
  const pace = new Pace();
  const assets = new Uint32Array(selection.total);
  const pairs = new Uint32Array(selection.total);
  const levels = sort.map(({ by, descending }) => {
    const column = knownColumn('finding', by);
    return { level: new Level(column, selection.total, descending), read: readerOf(fleet, column, now) };
  });
  const ofSingle = levels.filter(({ read }) => read.of === 'finding');
  let at = 0;
  const put = (asset: number, pair: FindingPair): void => {
    assets[at] = asset;
    pairs[at] = pair.index;
    for (const { level, read } of levels) {
      if (read.of === 'pair') level.put(at, read.value(pair));
      else if (read.of === 'asset') level.put(at, read.value(asset));
    }
  };
  if (ofSingle.length === 0) {
    for (const [index, those] of selection.byPair) {
      const pair = fleet.pair(index);
      for (const asset of those) {
        put(asset, pair);
        at += 1;
        if (pace.spent(1)) yield;
      }
    }
  } else {
    for (const asset of union([...selection.byPair.values()])) {
      for (const finding of fleet.findingsOf(asset)) {
        if (selection.byPair.get(finding.pair.index)?.has(asset) !== true) continue;
        put(asset, finding.pair);
        for (const { level, read } of ofSingle) if (read.of === 'finding') level.put(at, read.value(finding));
        at += 1;
        if (pace.spent(4)) yield;
      }
      if (pace.spent(10)) yield;
    }
  }
  if (at !== selection.total)
    throw new Error(`${String(at)} of ${String(selection.total)} findings were found`);
  const order = yield* inOrder(
    selection.total,
    levels.map(({ level }) => level),
  );
  return { assets: order.map((each) => assets[each] ?? 0), pairs: order.map((each) => pairs[each] ?? 0) };
}

type Reader =
  | { readonly of: 'pair'; readonly value: (pair: FindingPair) => ColumnValue }
  | { readonly of: 'asset'; readonly value: (asset: number) => ColumnValue }
  | { readonly of: 'finding'; readonly value: (finding: FleetFinding) => ColumnValue };

/** What a column of findings depends on: what all findings of a pair or of an asset share is read once for each. */
function readerOf(fleet: FleetReading, column: Column<FleetFinding>, now: number): Reader {
  const { name, type } = column;
  if (name === 'vulnerability')
    return { of: 'pair', value: ({ vulnerability }) => fleet.vulnerability(vulnerability).id };
  if (name === 'package') return { of: 'pair', value: (pair) => pair.package };
  if (pairFields.has(name)) {
    const ofPair = new Map<number, ColumnValue>();
    const value = (pair: FindingPair): ColumnValue => {
      let known = ofPair.get(pair.index);
      if (known === undefined) ofPair.set(pair.index, (known = shown(pairFact(fleet, pair, name), type)));
      return known;
    };
    return { of: 'pair', value };
  }
  if (name.startsWith('asset.')) {
    const ofAsset = knownColumn('asset', name.slice('asset.'.length));
    const known = new Map<number, ColumnValue>();
    const value = (asset: number): ColumnValue => {
      let found = known.get(asset);
      if (found === undefined) known.set(asset, (found = ofAsset.of(rowOf('asset', fleet, asset, now))));
      return found;
    };
    return { of: 'asset', value };
  }
  return { of: 'finding', value: (finding) => column.of(rowOf('finding', fleet, finding, now)) };
}

function knownColumn<S extends Subject>(subject: S, name: string): Column<Items[S]> {
  const column = columnOf(subject, name);
  if (column === null) throw new Error(`${subject} has no column ${name}`);
  return column;
}

/** The values of one column, for comparing. */
class Level {
  readonly #descending: boolean;
  readonly #choices: readonly string[] | null;
  /** What is not known is infinite, either way round. */
  readonly #numbers: Float64Array | null;
  readonly #texts: (string | null)[] | null;

  constructor(
    { type, choices }: Pick<Column<never>, 'type' | 'choices'>,
    length: number,
    descending: boolean,
  ) {
    this.#descending = descending;
    this.#choices = choices ?? null;
    const isText = (type === 'text' && choices === undefined) || type === 'list';
    this.#numbers = isText ? null : new Float64Array(length);
    this.#texts = isText ? Array.from<string | null>({ length }) : null;
  }

  put(at: number, value: ColumnValue): void {
    if (this.#texts !== null) {
      this.#texts[at] = value === null ? null : typeof value === 'object' ? value.join(', ') : String(value);
      return;
    }
    if (this.#numbers === null) return;
    const number = value === null ? null : this.#numberOf(value);
    this.#numbers[at] = number === null ? Infinity : this.#descending ? -number : number;
  }

  #numberOf(value: string | number | boolean | readonly string[]): number | null {
    if (typeof value === 'string') {
      const rank = this.#choices?.indexOf(value) ?? -1;
      return rank < 0 ? null : rank;
    }
    return Number(value);
  }

  compare(a: number, b: number): number {
    if (this.#numbers !== null) {
      const [one, other] = [this.#numbers[a] ?? Infinity, this.#numbers[b] ?? Infinity];
      return one === other ? 0 : one < other ? -1 : 1;
    }
    const [one, other] = [this.#texts?.[a] ?? null, this.#texts?.[b] ?? null];
    if (one === null || other === null) return Number(one === null) - Number(other === null);
    return this.#descending ? compareText(other, one) : compareText(one, other);
  }
}

const runLength = 4_096;

/** Places 0 to `length` sorted by the levels, and equals as they were: a merge sort that can be interrupted. */
function* inOrder(length: number, levels: readonly Level[]): Sliced<Uint32Array> {
  const compare = (a: number, b: number): number => {
    for (const level of levels) {
      const order = level.compare(a, b);
      if (order !== 0) return order;
    }
    return a - b;
  };
  let from = Uint32Array.from({ length }, (_, at) => at);
  for (let start = 0; start < length; start += runLength) {
    from.subarray(start, start + runLength).sort(compare);
    yield;
  }
  let to = new Uint32Array(length);
  for (let width = runLength; width < length; width *= 2) {
    let budget = runLength;
    for (let start = 0; start < length; start += 2 * width) {
      const middle = Math.min(start + width, length);
      const end = Math.min(start + 2 * width, length);
      let left = start;
      let right = middle;
      for (let at = start; at < end; at++) {
        const [a, b] = [from[left] ?? 0, from[right] ?? 0];
        const takesLeft = left < middle && (right >= end || compare(a, b) < 0);
        to[at] = takesLeft ? a : b;
        if (takesLeft) left += 1;
        else right += 1;
        budget -= 1;
        if (budget > 0) continue;
        budget = runLength;
        yield;
      }
    }
    [from, to] = [to, from];
  }
  return from;
}
