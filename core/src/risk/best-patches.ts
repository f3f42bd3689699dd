/**
 * The best next patches: those that remove most risk within a budget, or the fewest that remove as much as is wanted.
 *
 * Several orders of greedy choice are tried, and the best result by the true objective is taken: by the lower line per cost and
 * without cost (lazily, since the line is submodular), and, where it is small enough, by the true objective itself. Small
 * problems are then solved exactly, by branch and bound; larger ones by a mixed integer solver if one is handed in, which is
 * exact for the upper line. The answer says which, and how far from the best it can be at most: `upper_bound`.
 *
 * **Guarantee.** With no limit but packages or minutes, one of them, and one carrier per vulnerability, what is removed is at least
 * (1 − 1/e) / 2 / κ of the best (`guarantee`). The better of the two greedy orders of a monotone submodular function
 * under one additive limit has (1 − 1/e) / 2 (Leskovec et al., KDD 2007, theorem 3), here for the lower line; κ is what the line
 * loses (patch-cover.ts, which also shows why F itself has no such guarantee). Otherwise `guarantee` is null, and
 * the bound is all that is known.
 */
import { exactPatches, leastPatches, upperBound } from './exact-patches.ts';
import { covering, linesOf, type Cover, type Lines } from './patch-cover.ts';
import {
  checkBudget,
  spending,
  type CandidatePatch,
  type PatchBudget,
  type PatchCost,
} from './patch-budget.ts';
import { patchProgram, type SolveProgram } from './patch-program.ts';
import { riskOf } from './asset-risk.ts';
import { deploying, prepareFleet, removedFromFleet } from './risk-removed.ts';
import type { PatchableAsset, PreparedFleet } from './risk-removed.ts';

export interface BestPatches {
  /** In the order in which they are best deployed, each with the risk that it removes, and what it costs, after those before it. */
  readonly patches: readonly { readonly patch: string; readonly removed: number; readonly cost: PatchCost }[];
  readonly removed: number;
  /** Sum of the risks of all assets before. */
  readonly before: number;
  readonly cost: PatchCost;
  /** Whether `wanted` is reached; null when nothing was wanted. */
  readonly reached: boolean | null;
  /** No set of patches within the budget removes more than this. */
  readonly upper_bound: number;
  /** Share 0–1 of the bound that may have been missed; 0 when the answer is exact. With `wanted` reached it says nothing. */
  readonly gap: number;
  /** With `wanted`: no smaller set removes as much. Null when not even all patches do. */
  readonly least_patches: number | null;
  readonly method: 'exact' | 'solver' | 'greedy';
  /** Share of the best that the method is sure to reach, or null when there is no such share. */
  readonly guarantee: number | null;
  /** The κ of the guarantee. */
  readonly curvature: number;
}

export interface BestPatchOptions {
  /** Risk to remove, in the unit of `riskRemoved`; null: as much as the budget allows. */
  readonly wanted?: number | null;
  /** Exact search gives up after so many steps; 0 for none. */
  readonly mostNodes?: number;
  readonly solve?: SolveProgram;
  /** Patches within the budget, such as an earlier answer, to begin with instead of greedy choice. */
  readonly start?: readonly string[];
}

/** Work, in patches × assets that they touch, up to which greedy choice also runs on the true objective. */
const mostTrueWork = 3_000_000;
/** Findings that exact search may look at, over all its steps. */
const mostExactWork = 10_000_000;

export function bestPatches(
  assets: readonly PatchableAsset[],
  candidates: readonly CandidatePatch[],
  budget: PatchBudget,
  { wanted = null, mostNodes = 20_000, solve, start: given }: BestPatchOptions = {},
): BestPatches {
  checkBudget(candidates, budget);
  const fleet = prepareFleet(
    assets,
    candidates.map(({ patch }) => patch),
  );
  const lines = linesOf(fleet);
  const all = [...candidates.keys()];
  // More patches never remove less: where all of them fit, nothing is to be chosen.
  const allFit = wanted === null && fitting(fleet, candidates, budget, all).length === all.length;
  const found = allFit
    ? [all]
    : given === undefined
      ? greedySets(fleet, candidates, budget, lines)
      : [fitting(fleet, candidates, budget, numbersOf(fleet, given))];
  let bound = upperBound(fleet, candidates, budget, lines, found);
  const solved = allFit ? null : (solve?.(patchProgram(fleet, candidates, budget, lines)) ?? null);
  if (solved !== null) {
    bound = Math.min(bound, solved.bound * (1 + 1e-6));
    const chosen = candidates.flatMap((_, patch) => ((solved.values[patch] ?? 0) < 0.5 ? [] : [patch]));
    found.push(fitting(fleet, candidates, budget, chosen));
  }
  const ranked = found.map((set) => {
    const chosen = upTo(fleet, set, wanted);
    return { chosen, removed: removedFromFleet(fleet, new Set(chosen)) };
  });
  const reaches = ({ removed }: { readonly removed: number }): boolean =>
    wanted !== null && removed >= wanted;
  ranked.sort(
    (a, b) =>
      Number(reaches(b)) - Number(reaches(a)) ||
      (reaches(a) ? a.chosen.length - b.chosen.length : 0) ||
      b.removed - a.removed ||
      a.chosen.length - b.chosen.length,
  );
  const start = ranked[0]?.chosen ?? [];
  // A step looks at every finding: a large fleet gets fewer of them.
  const findings = fleet.assets.reduce((sum, asset) => sum + asset.findings.length, 1);
  const nodes = Math.min(mostNodes, Math.ceil(mostExactWork / findings));
  const searched =
    allFit || mostNodes === 0 ? null : exactPatches(fleet, candidates, budget, lines, wanted, start, nodes);
  const exact = allFit ? start : searched;
  const steps = stepsOf(fleet, exact ?? start);
  const removed = steps.reduce((sum, step) => sum + step.removed, 0);
  const reached = wanted === null ? null : removed >= wanted * (1 - 1e-12);
  // The best for a wanted sum is the smallest set, which need not remove most: then the bound stays as it is.
  if (exact !== null && reached !== true) bound = removed;
  const spent = spending(fleet, candidates, budget);
  const patches = steps.map(({ index, removed: step }) => {
    const cost = spent.costOf(index);
    spent.choose(index);
    return { patch: fleet.patches[index] ?? '', removed: step, cost };
  });
  const additive = [budget.packages, budget.minutes].filter((limit) => limit !== undefined).length === 1;
  let guarantee = exact === null ? null : 1;
  if (exact === null && additive && budget.reboots === undefined && lines.oneCarrier && reached !== true)
    guarantee = (1 - Math.exp(-1)) / 2 / lines.curvature;
  return {
    patches,
    removed,
    before: fleet.assets.reduce((sum, { weight, log }) => sum + riskOf(weight, log), 0),
    cost: spent.cost(),
    reached,
    upper_bound: Math.max(bound, removed),
    gap: bound <= removed ? 0 : 1 - removed / bound,
    least_patches: wanted === null ? null : leastPatches(lines, candidates.length, wanted),
    method: exact !== null ? 'exact' : solved !== null ? 'solver' : 'greedy',
    guarantee,
    curvature: lines.curvature,
  };
}

type Order = 'per_cost' | 'most';

/** What the several orders of greedy choice come to. */
function greedySets(
  fleet: PreparedFleet,
  candidates: readonly CandidatePatch[],
  budget: PatchBudget,
  { lower }: Lines,
): (readonly number[])[] {
  const orders: readonly Order[] = ['per_cost', 'most'];
  const sets = orders.map((by) => greedy(fleet, candidates, budget, lower, by));
  const touched = fleet.assetsOf.reduce((sum, rows) => sum + rows.length, 0);
  if (touched * candidates.length <= mostTrueWork)
    for (const by of orders) sets.push(trueGreedy(fleet, candidates, budget, by));
  return sets;
}

/** Greedy choice on a line until nothing more fits. Lazy: a gain can only fall, so an old one is an upper bound of the new one. */
function greedy(
  fleet: PreparedFleet,
  candidates: readonly CandidatePatch[],
  budget: PatchBudget,
  cover: Cover,
  by: Order,
): readonly number[] {
  const covered = covering(cover);
  const spent = spending(fleet, candidates, budget);
  const keyOf = (patch: number): number =>
    covered.gain(patch) / (by === 'most' ? 1 : Math.max(spent.price(patch), Number.MIN_VALUE));
  let queue = candidates.map((_, patch) => ({ patch, key: keyOf(patch) }));
  const chosen: number[] = [];
  for (;;) {
    // A shared reboot makes a patch cheaper than it was: then old keys bound nothing, and all are computed anew.
    if (budget.reboots !== undefined) for (const entry of queue) entry.key = keyOf(entry.patch);
    queue = queue.filter(({ key }) => key > 0).sort((a, b) => b.key - a.key || a.patch - b.patch);
    let best: { patch: number; key: number } | null = null;
    for (const entry of queue) {
      if (best !== null && entry.key <= best.key) break;
      if (!spent.fits(entry.patch)) continue;
      entry.key = keyOf(entry.patch);
      if (entry.key > (best?.key ?? 0)) best = entry;
    }
    if (best === null) return chosen;
    covered.choose(best.patch);
    spent.choose(best.patch);
    chosen.push(best.patch);
    const { patch } = best;
    queue = queue.filter((entry) => entry.patch !== patch);
  }
}

/** Greedy choice by what is truly removed; every gain is computed anew, since it can rise. */
function trueGreedy(
  fleet: PreparedFleet,
  candidates: readonly CandidatePatch[],
  budget: PatchBudget,
  by: Order,
): readonly number[] {
  const spent = spending(fleet, candidates, budget);
  const deployed = deploying(fleet);
  const chosen = new Set<number>();
  for (;;) {
    let best: { readonly patch: number; readonly key: number } | null = null;
    for (const patch of candidates.keys()) {
      if (chosen.has(patch) || !spent.fits(patch)) continue;
      const price = by === 'most' ? 1 : Math.max(spent.price(patch), Number.MIN_VALUE);
      const key = deployed.gain(patch) / price;
      if (key > (best?.key ?? 0)) best = { patch, key };
    }
    if (best === null) return [...chosen];
    chosen.add(best.patch);
    deployed.set(best.patch, true);
    spent.choose(best.patch);
  }
}

function numbersOf(fleet: PreparedFleet, patches: readonly string[]): number[] {
  const numbers = new Map(fleet.patches.map((patch, index) => [patch, index]));
  return patches.flatMap((patch) => numbers.get(patch) ?? []);
}

/** Patches that somebody else has chosen, as far as they really fit; solvers compute in floating point. */
function fitting(
  fleet: PreparedFleet,
  candidates: readonly CandidatePatch[],
  budget: PatchBudget,
  patches: readonly number[],
): readonly number[] {
  const spent = spending(fleet, candidates, budget);
  const chosen: number[] = [];
  for (const patch of patches) {
    if (!spent.fits(patch)) continue;
    spent.choose(patch);
    chosen.push(patch);
  }
  return chosen;
}

/** As much of a set, in its order, as removes what is wanted, without what is not needed for that (or removes nothing). */
function upTo(fleet: PreparedFleet, set: readonly number[], wanted: number | null): readonly number[] {
  const deployed = deploying(fleet);
  const chosen = new Set<number>();
  let removed = 0;
  for (const patch of set) {
    if (wanted !== null && removed >= wanted) break;
    removed += deployed.set(patch, true);
    chosen.add(patch);
  }
  for (const patch of [...chosen].toReversed()) {
    const back = deployed.set(patch, false);
    if (back === 0 || (wanted !== null && removed + back >= wanted)) {
      removed += back;
      chosen.delete(patch);
    } else deployed.set(patch, true);
  }
  return set.filter((patch) => chosen.has(patch));
}

/** A set in an order that removes most first (a very large one in its own), with what each removes after those before it. */
function stepsOf(
  fleet: PreparedFleet,
  set: readonly number[],
): { readonly index: number; readonly removed: number }[] {
  const left = new Set(set);
  const deployed = deploying(fleet);
  const steps: { index: number; removed: number }[] = [];
  const touched = set.reduce((sum, patch) => sum + (fleet.touches[patch]?.length ?? 0), 0);
  while (left.size > 0) {
    let best: { index: number; removed: number } | null = null;
    for (const index of left) {
      const removed = deployed.gain(index);
      if (best === null || removed > best.removed) best = { index, removed };
      if (touched * set.length > mostTrueWork) break;
    }
    if (best === null) break;
    left.delete(best.index);
    deployed.set(best.index, true);
    steps.push(best);
  }
  return steps;
}
