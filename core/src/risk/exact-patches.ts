import { covering, fractionalKnapsack, type Lines } from './patch-cover.ts';
import { leastCosts, spending, type CandidatePatch, type PatchBudget } from './patch-budget.ts';
import { removedFromFleet, type PreparedFleet } from './risk-removed.ts';

/**
 * The best set of patches for the true objective by branch and bound, or null when it is not found within `mostNodes`: for about
 * 20 patches, more where bounds bite. With `wanted` the smallest set that removes as much, of those the one that removes
 * most; where none does, or without `wanted`, the set that removes most. `start` is a set that fits, to beat.
 */
export function exactPatches(
  fleet: PreparedFleet,
  candidates: readonly CandidatePatch[],
  budget: PatchBudget,
  lines: Lines,
  wanted: number | null,
  start: readonly number[],
  mostNodes: number,
): readonly number[] | null {
  const nothing = covering(lines.upper);
  const order = candidates
    .map((_, patch) => patch)
    .filter((patch) => (fleet.assetsOf[patch] ?? []).length > 0)
    .sort((a, b) => nothing.gain(b) - nothing.gain(a) || a - b);
  let best = [...start];
  let bestRemoved = removedFromFleet(fleet, new Set(start));
  const reaches = (removed: number): boolean => wanted !== null && removed >= wanted;
  const better = (size: number, removed: number): boolean => {
    if (reaches(bestRemoved))
      return reaches(removed) && (size < best.length || (size === best.length && removed > bestRemoved));
    return reaches(removed) || removed > bestRemoved;
  };
  let nodes = 0;
  const visit = (at: number, chosen: readonly number[]): boolean => {
    if (++nodes > mostNodes) return false;
    const removed = removedFromFleet(fleet, new Set(chosen));
    if (better(chosen.length, removed)) [best, bestRemoved] = [[...chosen], removed];
    const patch = order[at];
    if (patch === undefined || reaches(removed)) return true;
    const covered = covering(lines.upper);
    const spent = spending(fleet, candidates, budget);
    for (const one of chosen) {
      covered.choose(one);
      spent.choose(one);
    }
    const gains = order
      .slice(at)
      .filter((one) => spent.fits(one))
      .map((one) => covered.gain(one));
    // The upper line bounds what any more patches can bring; with a wanted sum, so does how many there may still be.
    const room = reaches(bestRemoved) ? best.length - chosen.length : gains.length;
    const most = fractionalKnapsack(
      gains.map((gain) => ({ gain, cost: 1 })),
      room,
    );
    const hope = (covered.value() + most) * (1 + 1e-9);
    if (room <= 0 || (reaches(bestRemoved) ? hope < (wanted ?? 0) : hope <= bestRemoved)) return true;
    if (spent.fits(patch) && !visit(at + 1, [...chosen, patch])) return false;
    return visit(at + 1, chosen);
  };
  return visit(0, []) ? best : null;
}

/**
 * An upper bound of what any set within the budget can remove. For any set S and the best set B, F(B) ≤ H(B) ≤ H(S) + Σ of the
 * gains of H at S over B, since H is monotone and submodular; the sum is bounded by a knapsack filled in part, for each limit by
 * itself. The least over S = ∅ and every prefix of `sets`.
 */
export function upperBound(
  fleet: PreparedFleet,
  candidates: readonly CandidatePatch[],
  budget: PatchBudget,
  lines: Lines,
  sets: readonly (readonly number[])[],
): number {
  const costs = leastCosts(fleet, candidates, budget);
  let least = removedFromFleet(fleet, new Set(candidates.keys()));
  for (const set of sets) {
    const covered = covering(lines.upper);
    // Bounds at a few prefixes are enough; each takes a pass over all patches.
    const every = Math.max(1, Math.ceil(set.length / 8));
    for (let size = 0; size <= set.length; size++) {
      if (size > 0) covered.choose(set[size - 1] ?? 0);
      if (size % every !== 0 && size !== set.length) continue;
      const gains = candidates.map((_, patch) => covered.gain(patch));
      for (const { limit, costs: of } of costs) {
        const options = gains.map((gain, patch) => ({ gain, cost: of[patch] ?? 0 }));
        least = Math.min(least, covered.value() + fractionalKnapsack(options, limit * (1 + 1e-9)));
      }
    }
  }
  return least;
}

/** No smaller set of patches can remove `wanted`, whatever the budget; null when even all of them do not. */
export function leastPatches(lines: Lines, patches: number, wanted: number): number | null {
  const covered = covering(lines.upper);
  const gains = Array.from({ length: patches }, (_, patch) => covered.gain(patch)).sort((a, b) => b - a);
  let sum = 0;
  if (wanted <= 0) return 0;
  for (const [index, gain] of gains.entries()) {
    sum += gain;
    if (sum * (1 + 1e-9) >= wanted) return index + 1;
  }
  return null;
}
