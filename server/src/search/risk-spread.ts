import type { ReadonlyAssetSet } from '@fixpoint/core/posture/asset-set.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';

/** How risk is spread over a set of assets, in one pass without sorting, so that a million of them hold nobody up. */

export interface RiskSpread {
  readonly sum: number;
  readonly mean: number;
  /** Nearest rank, to 0.01: at least so many per cent of the assets do not exceed it. */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly most: number;
  readonly bands: { from: number; assets: number }[];
  /** Assets with a finding that is open or waits for a restart or reboot. */
  readonly withOpenFindings: number;
}

/** From 0 (nothing known against it), in steps of a fifth of the most that there can be. */
const bandsFrom = [0, 200, 400, 600, 800] as const;
const steps = 100;
const mostRisk = 1000;
const assetsInSlice = 20_000;

export function* riskSpread(fleet: FleetReading, assets: ReadonlyAssetSet): Sliced<RiskSpread> {
  const counts = new Uint32Array(mostRisk * steps + 1);
  const bands = bandsFrom.map((from) => ({ from, assets: 0 }));
  let sum = 0;
  let most = 0;
  let withOpenFindings = 0;
  let seen = 0;
  for (const asset of assets) {
    const risk = fleet.risk(asset);
    sum += risk;
    most = Math.max(most, risk);
    const step = Math.ceil(risk * steps);
    counts[step] = (counts[step] ?? 0) + 1;
    const band = bands[Math.min(bands.length - 1, Math.floor(risk / 200))];
    if (band !== undefined) band.assets += 1;
    if (fleet.openFindings(asset) > 0) withOpenFindings += 1;
    seen += 1;
    if (seen % assetsInSlice === 0) yield;
  }
  const rank = (share: number): number => {
    let left = Math.max(1, Math.ceil(share * seen));
    for (let step = 0; step < counts.length; step++) {
      left -= counts[step] ?? 0;
      if (left <= 0) return Math.min(most, step / steps);
    }
    return 0;
  };
  const [p50, p90, p99] = seen === 0 ? [0, 0, 0] : [rank(0.5), rank(0.9), rank(0.99)];
  return { sum, mean: seen === 0 ? 0 : sum / seen, p50, p90, p99, most, bands, withOpenFindings };
}
