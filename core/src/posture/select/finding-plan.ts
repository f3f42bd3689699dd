/**
 * Plans over findings: pair by pair, as sets of assets. What sets cannot answer is asked of the single findings that sets leave
 * open, asset by asset.
 */
import type { Plan } from '../../query/plan.ts';
import { addAll, addIds, assetSet, difference, intersection, union } from '../asset-set.ts';
import type { AssetSet, ReadonlyAssetSet } from '../asset-set.ts';
import type { ExposedSince, FindingPair } from '../reading.ts';
import { isLocal } from './asset-plan.ts';
import { unitsOf, type Asking, type FindingSets } from './asking.ts';
import {
  asksAssetsOnly,
  assetPlansOf,
  momentsOf,
  reduceOf,
  restHolds,
  restKey,
  type Reduce,
  type Rest,
} from './finding-rest.ts';
import { compilePlan } from './plan-truth.ts';
import { findingRecord } from './records.ts';
import type { Sliced } from './selection.ts';

/** Findings that are not fixed of which a plan is true. Sets of the fleet itself where all assets of a pair are meant. */
export function* findingsWhere(asking: Asking, part: Plan): Sliced<FindingSets> {
  const { within, fewAssets, whole } = asking;
  if (part.kind === 'none' || within.isEmpty) return new Map();
  if (asking !== whole && within.size <= fewAssets && isLocal(part)) return yield* oneByOne(asking, part);
  return yield* new PairByPair(asking).select(part);
}

function* oneByOne({ fleet, now, within, tagNames, pace }: Asking, part: Plan): Sliced<FindingSets> {
  const test = compilePlan(part, now, tagNames);
  const found = new FoundFindings();
  for (const asset of within) {
    const findings = fleet.findingsOf(asset);
    if (pace.spent(20 + 2 * findings.length)) yield;
    for (const finding of findings) {
      if (test(findingRecord(fleet, finding, now))) found.add(finding.pair.index, asset);
      if (pace.spent(1)) yield;
    }
  }
  return found.sets();
}

/** Findings that come asset by asset, as sets. */
class FoundFindings {
  readonly #sets = new Map<number, AssetSet>();
  readonly #waiting = new Map<number, number[]>();

  add(pair: number, asset: number): void {
    const waiting = this.#waiting.get(pair);
    if (waiting === undefined) {
      this.#waiting.set(pair, [asset]);
      return;
    }
    waiting.push(asset);
    if (waiting.length < 1_000) return;
    this.#flush(pair, waiting);
    waiting.length = 0;
  }

  sets(): Map<number, AssetSet> {
    for (const [pair, waiting] of this.#waiting) this.#flush(pair, waiting);
    this.#waiting.clear();
    return this.#sets;
  }

  #flush(pair: number, assets: readonly number[]): void {
    if (assets.length === 0) return;
    const set = this.#sets.get(pair);
    if (set === undefined) this.#sets.set(pair, assetSet(assets));
    else addIds(set, Uint32Array.from(assets));
  }
}

interface Since extends ExposedSince {
  readonly notEarlier: ReadonlyAssetSet;
  readonly notLater: ReadonlyAssetSet;
  readonly notKept: ReadonlyAssetSet;
}

interface Undecided {
  readonly rest: Rest;
  readonly assets: ReadonlyAssetSet;
}

class PairByPair {
  readonly #asking: Asking;
  /** Answers to plans over assets, which many pairs leave the same. */
  readonly #assets = new Map<Plan, ReadonlyAssetSet>();
  readonly #byRest = new Map<string, ReadonlyAssetSet>();
  /** By what is left: of the assets of a pair those that are meant. Pairs of one software have the very same set. */
  readonly #common = new Map<string, Map<ReadonlyAssetSet, ReadonlyAssetSet>>();

  /** By moment: what assets had before it. */
  readonly #since = new Map<number, Since>();

  constructor(asking: Asking) {
    this.#asking = asking;
  }

  *select(part: Plan): Sliced<FindingSets> {
    const { fleet, pace } = this.#asking;
    const reduce = yield* reduceOf(this.#asking, part);
    const selected = new Map<number, ReadonlyAssetSet>();
    const undecided = new Map<number, Undecided>();
    const candidates = yield* candidatePairs(this.#asking, part);
    const count = candidates?.length ?? fleet.pairs;
    for (let at = 0; at < count; at++) {
      if (pace.spent(0.5)) yield;
      const pair = fleet.pair(candidates === null ? at : (candidates[at] ?? 0));
      const rest = this.#restOf(reduce, pair);
      if (rest === null) continue;
      for (const plan of assetPlansOf(rest))
        if (!this.#assets.has(plan)) this.#assets.set(plan, yield* this.#asking.assets(plan));
      for (const from of momentsOf(rest))
        if (!this.#since.has(from)) this.#since.set(from, yield* this.#moment(from));
      const base = this.#affected(pair.index);
      if (base.isEmpty) continue;
      if (rest.kind !== 'all' && pace.spent(unitsOf(base) * costOf(rest))) yield;
      const most = this.#setOf(rest, pair, base, true);
      if (most.isEmpty) continue;
      if (!asksSingle(rest)) {
        selected.set(pair.index, most);
        continue;
      }
      const least = this.#setOf(rest, pair, base, false);
      if (!least.isEmpty) selected.set(pair.index, least);
      if (least === most) continue;
      const open = difference(most, least);
      if (!open.isEmpty) undecided.set(pair.index, { rest, assets: open });
    }
    return undecided.size === 0 ? selected : yield* this.#verify(selected, undecided);
  }

  #restOf(reduce: Reduce, pair: FindingPair): Rest | null {
    if (pair.carriers.length === 0) return null;
    const rest = reduce(pair);
    return rest.kind === 'none' ? null : rest;
  }

  #affected(pair: number): ReadonlyAssetSet {
    const { fleet, within, whole } = this.#asking;
    const affected = fleet.affected(pair);
    return this.#asking === whole ? affected : this.#commonOnce('', affected, within);
  }

  /** Of `base` those of which what is left is true; `single`: taking that for true which only the finding itself can say. */
  #setOf(rest: Rest, pair: FindingPair, base: ReadonlyAssetSet, single: boolean): ReadonlyAssetSet {
    switch (rest.kind) {
      case 'all':
        return base;
      case 'none':
        return assetSet();
      case 'assets':
        return this.#commonOnce(rest.key, base, this.#selected(rest.plan));
      case 'status':
        return this.#inStatus(pair, rest.statuses, base);
      case 'seen':
        return this.#seen(rest, base, single);
      case 'one':
        if (!single) return assetSet();
        return rest.within === null ? base : this.#inStatus(pair, [rest.within], base);
      case 'and':
      case 'or': {
        if (asksAssetsOnly(rest)) return this.#commonOnce(rest.key, base, this.#combined(rest));
        const sets = rest.parts.map((each) => this.#setOf(each, pair, base, single));
        return rest.kind === 'and' ? commonOf(base, ...sets) : union(sets);
      }
      default:
        return rest satisfies never;
    }
  }

  *#moment(from: number): Sliced<Since> {
    const { fleet } = this.#asking;
    const since = yield* fleet.exposedSince(from);
    const { live } = fleet.assets;
    return {
      ...since,
      notEarlier: difference(live, since.earlier),
      notLater: difference(live, since.later),
      notKept: difference(live, since.kept),
    };
  }

  /** Of `base` those that were first seen so or, for `most`, may have been. */
  #seen(
    { from, later, verdicts }: Extract<Rest, { kind: 'seen' }>,
    base: ReadonlyAssetSet,
    most: boolean,
  ): ReadonlyAssetSet {
    const since = this.#since.get(from);
    if (since === undefined) throw new Error('a moment was not looked at before it was needed');
    const common = (name: keyof Since): ReadonlyAssetSet =>
      this.#commonOnce(`${name} ${String(from)}`, base, since[name]);
    // Nothing is seen before its verdict, but for what is kept from software that was replaced.
    if (verdicts === 'later') {
      if (later) return most || since.kept.isEmpty ? base : common('notKept');
      return most ? common('kept') : assetSet();
    }
    // Whatever came later is seen later; what came before is seen before only if its verdict was there by then.
    if (later) {
      if (!most) return common('later');
      return verdicts === 'before' ? common('notEarlier') : base;
    }
    if (most) return common('notLater');
    return verdicts === 'before' ? common('earlier') : assetSet();
  }

  #commonOnce(key: string, base: ReadonlyAssetSet, assets: ReadonlyAssetSet): ReadonlyAssetSet {
    let byBase = this.#common.get(key);
    if (byBase === undefined) this.#common.set(key, (byBase = new Map()));
    let common = byBase.get(base);
    if (common === undefined) byBase.set(base, (common = commonOf(base, assets)));
    return common;
  }

  /** The assets of what asks for assets only, whatever the pair. */
  #combined(rest: Rest): ReadonlyAssetSet {
    const key = restKey(rest);
    let set = this.#byRest.get(key);
    if (set === undefined) {
      set = this.#combine(rest);
      this.#byRest.set(key, set);
    }
    return set;
  }

  #combine(rest: Rest): ReadonlyAssetSet {
    switch (rest.kind) {
      case 'all':
        return this.#asking.within;
      case 'assets':
        return this.#selected(rest.plan);
      case 'and': {
        return intersection(this.#asking.within, ...rest.parts.map((each) => this.#combined(each)));
      }
      case 'or':
        return union(rest.parts.map((each) => this.#combined(each)));
      default:
        return assetSet();
    }
  }

  #selected(plan: Plan): ReadonlyAssetSet {
    const set = this.#assets.get(plan);
    if (set === undefined) throw new Error('a plan over assets was not answered before it was needed');
    return set;
  }

  #inStatus({ index }: FindingPair, statuses: readonly string[], base: ReadonlyAssetSet): ReadonlyAssetSet {
    const { fleet, whole } = this.#asking;
    const sets: ReadonlyAssetSet[] = [];
    for (const [status, assets] of fleet.byStatus(index)) if (statuses.includes(status)) sets.push(assets);
    const [only] = sets;
    const set = sets.length === 1 && only !== undefined ? only : union(sets);
    return this.#asking === whole ? set : intersection(set, base);
  }

  /** Asks the findings that sets left open, each asset once. */
  *#verify(
    selected: Map<number, ReadonlyAssetSet>,
    undecided: ReadonlyMap<number, Undecided>,
  ): Sliced<FindingSets> {
    const { fleet, pace } = this.#asking;
    const isIn = (plan: Plan, asset: number): boolean => this.#selected(plan).has(asset);
    const found = new FoundFindings();
    const assets = union([...undecided.values()].map((each) => each.assets));
    for (const asset of assets.toUint32Array()) {
      const findings = fleet.findingsOf(asset);
      if (pace.spent(20 + 2 * findings.length)) yield;
      for (const finding of findings) {
        const { index } = finding.pair;
        const open = undecided.get(index);
        if (open === undefined || !open.assets.has(asset)) continue;
        if (restHolds(open.rest, finding, isIn)) found.add(index, asset);
        if (pace.spent(1)) yield;
      }
    }
    for (const [pair, more] of found.sets()) {
      const least = selected.get(pair);
      if (least !== undefined) addAll(more, least);
      selected.set(pair, more);
    }
    return selected;
  }
}

/** What all sets have; `base` itself where that is all of it, so that nothing is held twice. */
function commonOf(base: ReadonlyAssetSet, ...sets: readonly ReadonlyAssetSet[]): ReadonlyAssetSet {
  const both = intersection(base, ...sets);
  if (both.size !== base.size) return both;
  both.dispose();
  return base;
}

/** In set operations. */
function costOf(rest: Rest): number {
  if (asksAssetsOnly(rest)) return 1;
  if (rest.kind === 'and' || rest.kind === 'or')
    return rest.parts.reduce((sum, each) => sum + costOf(each), 0);
  return rest.kind === 'status' ? 5 : 1;
}

function asksSingle(rest: Rest): boolean {
  if (rest.kind === 'and' || rest.kind === 'or') return rest.parts.some(asksSingle);
  return rest.kind === 'one' || rest.kind === 'seen';
}

/** Of a plan that asks for the vulnerability beside other things, only its pairs come into question. Null: any. */
function* candidatePairs(asking: Asking, part: Plan): Sliced<readonly number[] | null> {
  const parts = part.kind === 'and' ? part.parts : [part];
  const { fleet, whole, pace } = asking;
  for (const each of parts) {
    if (each.kind !== 'some' || each.relation !== 'vulnerability') continue;
    const test = yield* whole.vulnerabilityTest(each.where);
    const pairs: number[] = [];
    for (let index = 0; index < fleet.vulnerabilities; index++) {
      if (test(index)) pairs.push(...fleet.pairsOfVulnerability(index));
      if (pace.spent(0.5)) yield;
    }
    return pairs.sort((a, b) => a - b);
  }
  return null;
}
