/** What a set of patches costs, and how much it may. */
import type { PreparedFleet } from './risk-removed.ts';

export interface CandidatePatch {
  readonly patch: string;
  /** Packages (or updates) that it installs: at least 1. */
  readonly packages: number;
  /** Minutes of window that an asset needs for it, without a reboot. */
  readonly minutes: number;
  /** Whether every asset that gets it must reboot. */
  readonly reboots: boolean;
}

/** What is not given is not limited. */
export interface PatchBudget {
  readonly packages?: number;
  /** Reboots of assets: one that gets several such patches reboots once. */
  readonly reboots?: number;
  /**
   * Minutes of one window in which assets patch side by side: the sum over all chosen patches, as for an asset that needs
   * them all. No asset takes longer.
   */
  readonly minutes?: number;
}

export interface PatchCost {
  readonly packages: number;
  readonly reboots: number;
  readonly minutes: number;
}

const limits = ['packages', 'reboots', 'minutes'] as const;

/** The costs of choosing patches one by one. */
export interface Spending {
  readonly cost: () => PatchCost;
  readonly costOf: (patch: number) => PatchCost;
  readonly fits: (patch: number) => boolean;
  /** Share of the limits that a patch would take, summed over them; 1 per patch where nothing is limited. */
  readonly price: (patch: number) => number;
  readonly choose: (patch: number) => void;
}

export function spending(
  fleet: PreparedFleet,
  candidates: readonly CandidatePatch[],
  budget: PatchBudget,
): Spending {
  const rebooting = new Uint8Array(fleet.assets.length);
  const cost = { packages: 0, reboots: 0, minutes: 0 };
  const costOf = (patch: number): PatchCost => {
    const candidate = candidates[patch];
    if (candidate === undefined) throw new Error('no such patch');
    let reboots = 0;
    if (candidate.reboots)
      for (const row of fleet.assetsOf[patch] ?? [])
        if (rebooting[row] === 0) reboots += fleet.assets[row]?.alike ?? 0;
    return { packages: candidate.packages, reboots, minutes: candidate.minutes };
  };
  return {
    cost: () => ({ ...cost }),
    costOf,
    fits: (patch) => {
      const more = costOf(patch);
      return limits.every((limit) => cost[limit] + more[limit] <= (budget[limit] ?? Infinity));
    },
    price: (patch) => {
      const more = costOf(patch);
      const shares = limits.flatMap((limit) => {
        const most = budget[limit];
        return most === undefined ? [] : [more[limit] === 0 ? 0 : more[limit] / most];
      });
      return shares.length === 0 ? 1 : shares.reduce((sum, share) => sum + share, 0);
    },
    choose: (patch) => {
      const more = costOf(patch);
      for (const limit of limits) cost[limit] += more[limit];
      if (candidates[patch]?.reboots === true)
        for (const row of fleet.assetsOf[patch] ?? []) rebooting[row] = 1;
    },
  };
}

/**
 * By limit what each patch costs at least, whatever else is chosen; these add up. A reboot is shared between all patches that
 * could cause it, so the sum over a set is never more than its reboots.
 */
export function leastCosts(
  fleet: PreparedFleet,
  candidates: readonly CandidatePatch[],
  budget: PatchBudget,
): { readonly limit: number; readonly costs: readonly number[] }[] {
  const found: { limit: number; costs: number[] }[] = [];
  if (budget.packages !== undefined)
    found.push({ limit: budget.packages, costs: candidates.map(({ packages }) => packages) });
  if (budget.minutes !== undefined)
    found.push({ limit: budget.minutes, costs: candidates.map(({ minutes }) => minutes) });
  if (budget.reboots !== undefined) {
    const costs = candidates.map(() => 0);
    for (const { patches, alike } of fleet.assets) {
      const causes = patches.filter((patch) => candidates[patch]?.reboots === true);
      for (const patch of causes) costs[patch] = (costs[patch] ?? 0) + alike / causes.length;
    }
    found.push({ limit: budget.reboots, costs });
  }
  return found;
}

export function checkBudget(candidates: readonly CandidatePatch[], budget: PatchBudget): void {
  for (const { patch, packages, minutes } of candidates)
    if (!(packages >= 1 && minutes >= 0 && Number.isFinite(packages + minutes)))
      throw new Error(`${patch}: costs must be finite, packages at least 1, minutes at least 0`);
  for (const limit of limits)
    if (budget[limit] !== undefined && !(budget[limit] >= 0)) throw new Error(`${limit} must be at least 0`);
}
