/**
 * Choosing patches as a problem of coverage, which can be bounded; the true objective cannot be so directly.
 *
 * **The true objective is not submodular.** Let F(S) be the risk that the patches S remove. On one asset with survival s = e^L
 * closing findings with logs that add up to −c takes off 1000·w·e^L·(e^c − 1), which is *convex* in c. Two findings of p = 0.5,
 * each with its own patch, weight 1: the first patch removes 750 − 500 = 250, the second 500. The second is worth more after
 * the first, so F is not submodular, and greedy choice on F has no constant guarantee. With disjoint patches F is even
 * supermodular; where two patches fix the same finding, it is neither. A vulnerability carried by two packages adds to that: neither
 * patch alone removes anything.
 *
 * **What is bounded is a linear form between two lines.** With C the most that can be closed on an asset, and 0 ≤ c ≤ C,
 *
 *     c  ≤  e^c − 1  ≤  c · (e^C − 1) / C
 *
 * - *Lower line*: G = Σ 1000·w·e^L·c, where each of the k packages that carry a vulnerability counts 1/k of its log. It is
 *   a weighted coverage function: monotone and submodular. G ≤ F where every vulnerability has one carrier.
 * - *Upper line*: H = Σ 1000·w·e^L·(e^C − 1)/C·c, where one carrier (the gravest) stands for all. Weighted coverage too, and
 *   F ≤ H always, so any upper bound of H bounds F.
 *
 * With one carrier each, H = κ·G per asset with κ = (e^C − 1)/C, so an α-approximation of the best G is one of α/κ of the
 * best F. κ is 1.05 when C = 0.1, 1.3 when C = 0.5, 1.7 when C = 1.
 */
import { assetRiskConstants } from './asset-risk.ts';
import type { PreparedFleet } from './risk-removed.ts';

/** Something worth `weight`, had as soon as one of `patches` is chosen. */
export interface CoverItem {
  readonly weight: number;
  readonly patches: readonly number[];
}

export interface Cover {
  readonly items: readonly CoverItem[];
  /** By patch the items that it covers. */
  readonly itemsOf: readonly (readonly number[])[];
}

export interface Lines {
  readonly lower: Cover;
  readonly upper: Cover;
  /** The largest (e^C − 1)/C of any asset, at least 1. */
  readonly curvature: number;
  /** Whether every closable vulnerability has one carrier, so that G ≤ F. */
  readonly oneCarrier: boolean;
}

export function linesOf(fleet: PreparedFleet): Lines {
  const lower = new Map<string, { weight: number; patches: readonly number[] }>();
  const upper = new Map<string, { weight: number; patches: readonly number[] }>();
  const add = (to: typeof lower, patches: readonly number[], weight: number): void => {
    const sorted = [...patches].sort((a, b) => a - b);
    // Assets that need the same patches become one item: the problem grows with the patches, not with the fleet.
    const key = sorted.join(' ');
    const item = to.get(key);
    if (item === undefined) to.set(key, { weight, patches: sorted });
    else item.weight += weight;
  };
  let [curvature, oneCarrier] = [1, true];
  for (const { weight, log, findings } of fleet.assets) {
    const closable = findings.map((carriers) => {
      const stays = carriers.findIndex(({ patches }) => patches.length === 0);
      const carried = stays === -1 ? carriers : carriers.slice(0, stays);
      return {
        carried,
        gain: (carriers[stays]?.log ?? 0) - (carriers[0]?.log ?? 0),
        many: carriers.length > 1,
      };
    });
    const most = closable.reduce((sum, { gain }) => sum + gain, 0);
    if (most <= 0) continue;
    const steepness = Math.expm1(most) / most;
    curvature = Math.max(curvature, steepness);
    const slope = assetRiskConstants.mostRisk * weight * Math.exp(log);
    for (const { carried, gain, many } of closable) {
      if (many) oneCarrier = false;
      add(upper, carried[0]?.patches ?? [], slope * steepness * gain);
      for (const carrier of carried) add(lower, carrier.patches, (slope * gain) / carried.length);
    }
  }
  const cover = (items: typeof lower): Cover => {
    const list = [...items.values()];
    const itemsOf: number[][] = fleet.patches.map(() => []);
    list.forEach(({ patches }, index) => patches.forEach((patch) => itemsOf[patch]?.push(index)));
    return { items: list, itemsOf };
  };
  return { lower: cover(lower), upper: cover(upper), curvature, oneCarrier };
}

/** What a set of patches covers, and what another would add. */
export interface Covered {
  readonly value: () => number;
  readonly gain: (patch: number) => number;
  readonly choose: (patch: number) => void;
}

export function covering({ items, itemsOf }: Cover): Covered {
  const covered = new Uint8Array(items.length);
  let value = 0;
  const gain = (patch: number): number => {
    let sum = 0;
    for (const item of itemsOf[patch] ?? []) if (covered[item] === 0) sum += items[item]?.weight ?? 0;
    return sum;
  };
  return {
    value: () => value,
    gain,
    choose: (patch) => {
      value += gain(patch);
      for (const item of itemsOf[patch] ?? []) covered[item] = 1;
    },
  };
}

/** The most that additive gains can reach within an additive budget when patches may be taken in part. */
export function fractionalKnapsack(
  options: readonly { readonly gain: number; readonly cost: number }[],
  budget: number,
): number {
  let [left, sum] = [budget, 0];
  for (const { gain, cost } of options) if (cost === 0) sum += gain;
  const priced = options.filter(({ cost }) => cost > 0);
  for (const { gain, cost } of priced.sort((a, b) => b.gain / b.cost - a.gain / a.cost)) {
    const part = Math.min(1, left / cost);
    sum += gain * part;
    left -= cost * part;
    if (left <= 0) break;
  }
  return sum;
}
