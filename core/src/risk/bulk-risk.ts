/**
 * Risk of very many assets at once, over typed arrays. The findings of one software are combined beforehand into one number
 * (`softwareLogSurvivals`); an asset's risk is then the sum over its software.
 *
 * **Approximation.** The exact definition counts a vulnerability once per asset; here it counts once per software that carries
 * it. With `group` software with the same vulnerabilities (the binary packages of one source package at one version) counts
 * once, which is what nearly all repetitions are. What is left never makes the risk too low, and at most this much too high:
 * if no vulnerability is counted more than m times on the asset, exact chance ≤ bulk chance ≤ 1 − (1 − exact chance)^m.
 *
 * **Status.** All software counts as open. What an asset has mitigated, accepted or undetermined is put right by
 * `assetLogSurvival`, one number per asset which is nearly always 0.
 */
import { assetRiskConstants, criticalityWeight } from './asset-risk.ts';

/** Rows of lists, one after the other: row i is `items[offsets[i] … offsets[i + 1])`. */
export interface CsrLists<Items = Uint16Array | Uint32Array> {
  readonly offsets: Uint32Array;
  readonly items: Items;
}

export interface AssetSoftware {
  readonly offsets: Uint32Array;
  readonly software: Uint16Array | Uint32Array;
}

export interface BulkOptions {
  /**
   * By software: a number that it shares with software of the same vulnerabilities, 0 … number of software − 1. Of one group the
   * first in an asset's row counts.
   */
  readonly group?: Uint16Array | Uint32Array;
  /** By asset, added to its sum: log(1 − p) to put back in, or minus that to take out. */
  readonly assetLogSurvival?: Float32Array | Float64Array;
}

/**
 * By software the sum of log1p(−reach · chance) over its vulnerabilities, which are open. `vulnerabilities` lists them by
 * software, without repetition; `chance` is by vulnerability, 0–1 (`VulnerabilityScore.chance`).
 */
export function softwareLogSurvivals(
  vulnerabilities: CsrLists,
  chance: Float32Array | Float64Array,
): Float64Array {
  const { offsets, items } = vulnerabilities;
  const out = new Float64Array(offsets.length - 1);
  for (let software = 0; software < out.length; software++) {
    let sum = 0;
    const end = offsets[software + 1] ?? 0;
    for (let at = offsets[software] ?? 0; at < end; at++)
      sum += Math.log1p(-assetRiskConstants.reach * (chance[items[at] ?? 0] ?? 0));
    out[software] = sum;
  }
  return out;
}

/**
 * Writes the risk 0–1000 of every asset to `out`. Float32 rounds to 0.00006 of 1000; with logs in Float32 too, the error stays
 * below 0.001. Throws on arrays whose lengths do not fit.
 */
export function assetRisks(
  { offsets, software }: AssetSoftware,
  softwareLogSurvival: Float32Array | Float64Array,
  criticality: Uint8Array,
  out: Float32Array,
  { group, assetLogSurvival }: BulkOptions = {},
): void {
  const assets = offsets.length - 1;
  if (criticality.length !== assets || out.length !== assets || offsets[assets] !== software.length)
    throw new Error('offsets, criticality and out must be of the same assets');
  if (group !== undefined && group.length !== softwareLogSurvival.length)
    throw new Error('group must be of the same software');
  if (assetLogSurvival !== undefined && assetLogSurvival.length !== assets)
    throw new Error('assetLogSurvival must be of the same assets');
  const weights = Float64Array.from([0, 1, 2, 3, 4, 5], (level) =>
    level === 0 ? Number.NaN : assetRiskConstants.mostRisk * criticalityWeight(level),
  );
  // By group the last asset (counted from 1) in which it was seen.
  const seen = group === undefined ? null : new Uint32Array(softwareLogSurvival.length);
  let at = 0;
  for (let asset = 0; asset < assets; asset++) {
    const end = offsets[asset + 1] ?? 0;
    let sum = assetLogSurvival === undefined ? 0 : (assetLogSurvival[asset] ?? 0);
    if (seen === null || group === undefined) {
      for (; at < end; at++) sum += softwareLogSurvival[software[at] ?? 0] ?? 0;
    } else {
      for (; at < end; at++) {
        const one = software[at] ?? 0;
        const of = group[one] ?? 0;
        if (seen[of] === asset + 1) continue;
        seen[of] = asset + 1;
        sum += softwareLogSurvival[one] ?? 0;
      }
    }
    // Taking out what was put in can leave a rounding error above 0.
    out[asset] = -(weights[criticality[asset] ?? 0] ?? Number.NaN) * Math.expm1(Math.min(0, sum));
  }
  if (!criticality.every((level) => level >= 1 && level <= 5))
    throw new Error('criticality must be from 1 to 5');
}

export interface FleetRisk {
  readonly assets: number;
  /** Sum of the risks: what patches lower, and what `riskRemoved` counts in. */
  readonly sum: number;
  /** 0 when there is no asset. */
  readonly mean: number;
  /** Nearest rank: the smallest risk that at least so many per cent of the assets do not exceed. 0 without assets. */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly most: number;
}

/** Risk of a set of assets, such as those of a tag; without `members` of all. `members` are rows, without repetition. */
export function fleetRisk(risks: Float32Array, members?: Uint32Array): FleetRisk {
  const sorted =
    members === undefined ? risks.slice() : Float32Array.from(members, (row) => risks[row] ?? Number.NaN);
  sorted.sort();
  let sum = 0;
  for (const risk of sorted) sum += risk;
  if (Number.isNaN(sum)) throw new Error('a member that is no asset, or a risk that is no number');
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return {
    assets: sorted.length,
    sum,
    mean: sorted.length === 0 ? 0 : sum / sorted.length,
    p50: rank(0.5),
    p90: rank(0.9),
    p99: rank(0.99),
    most: sorted.at(-1) ?? 0,
  };
}
