import { severities, type PostureSummary } from '@fixpoint/contract/posture.ts';
import {
  addAll,
  assetSet,
  intersection,
  overlap,
  sameSet,
  type ReadonlyAssetSet,
} from '@fixpoint/core/posture/asset-set.ts';
import { fleetPatches, type FleetPatch } from '@fixpoint/core/posture/patches.ts';
import type { ExposedFindingStatus, FleetReading } from '@fixpoint/core/posture/reading.ts';
import { severityOf } from '@fixpoint/core/posture/select/severity.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import { exposedStatuses, type FleetTotals } from '@fixpoint/core/posture/totals.ts';
import { assetRiskConstants, criticalityWeight } from '@fixpoint/core/risk/asset-risk.ts';
import { riskSpread } from './risk-spread.ts';

/** The dashboard of a set of assets, from the totals of its findings. */

export type ScopeSummary = Pick<
  PostureSummary,
  'assets' | 'assets_with_open_findings' | 'risk' | 'findings' | 'top_vulnerabilities' | 'top_patches'
>;

const shown = 10;
/** So many of the best by an estimate are reckoned asset by asset; some of them may be in no asset of the scope. */
const reckoned = 15;
const weighed = 40;
const assetsInSlice = 20_000;
const reckonedAssets = 50_000;
const stillOpen: readonly ExposedFindingStatus[] = ['open', 'restart_pending', 'reboot_pending'];

export function* summarise(
  fleet: FleetReading,
  within: ReadonlyAssetSet,
  totals: FleetTotals,
): Sliced<ScopeSummary> {
  const { withOpenFindings, ...risk } = yield* riskSpread(fleet, within);
  const findings = yield* countBySeverity(fleet, totals);
  return {
    assets: within.size,
    assets_with_open_findings: withOpenFindings,
    risk,
    findings,
    top_vulnerabilities: yield* topVulnerabilities(fleet, within, totals),
    top_patches: yield* topPatches(fleet, within, totals),
  };
}

const openOf = (totals: FleetTotals, pair: number): number =>
  stillOpen.reduce((sum, status) => sum + totals.count(pair, status), 0);

const pairsInSlice = 5_000;

function* countBySeverity(fleet: FleetReading, totals: FleetTotals): Sliced<PostureSummary['findings']> {
  const counts = new Map(severities.map((severity) => [severity, new Map<ExposedFindingStatus, number>()]));
  let total = 0;
  let exploited = 0;
  for (let pair = 0; pair < fleet.pairs; pair++) {
    if (pair % pairsInSlice === pairsInSlice - 1) yield;
    const findings = totals.ofPair(pair);
    if (findings === 0) continue;
    total += findings;
    const { summary } = fleet.danger(fleet.pair(pair).danger);
    const named = severityOf(summary.score?.chosen.score.baseScore ?? null);
    const bySeverity = counts.get(severities.find((each) => each === named) ?? 'unknown');
    for (const status of exposedStatuses) {
      const count = totals.count(pair, status);
      if (count > 0) bySeverity?.set(status, (bySeverity.get(status) ?? 0) + count);
    }
    if (summary.threat.maturity === 'active') exploited += openOf(totals, pair);
  }
  const by_severity = severities.map((severity) => {
    const byStatus = counts.get(severity) ?? new Map<ExposedFindingStatus, number>();
    const by_status = [...byStatus].map(([status, findings]) => ({ status, findings }));
    return { severity, total: by_status.reduce((sum, one) => sum + one.findings, 0), by_status };
  });
  // When findings were first seen is known asset by asset only: too much to read for every look at a dashboard.
  return { total, by_severity, exploited, by_age: null };
}

/** −log of the chance that an open finding of it is not exploited on an asset. */
function weightOf(fleet: FleetReading, pair: number): number {
  return -Math.log1p(-assetRiskConstants.reach * fleet.danger(fleet.pair(pair).danger).score.chance);
}

/** Those that weigh most: how dangerous, times on how many assets they are open. */
function* topVulnerabilities(
  fleet: FleetReading,
  within: ReadonlyAssetSet,
  totals: FleetTotals,
): Sliced<PostureSummary['top_vulnerabilities']> {
  const weights = new Map<number, number>();
  for (let pair = 0; pair < fleet.pairs; pair++) {
    if (pair % pairsInSlice === pairsInSlice - 1) yield;
    const open = openOf(totals, pair);
    if (open === 0) continue;
    const { vulnerability } = fleet.pair(pair);
    weights.set(vulnerability, (weights.get(vulnerability) ?? 0) + open * weightOf(fleet, pair));
  }
  const best = [...weights].sort((a, b) => b[1] - a[1]).slice(0, shown);
  const top: PostureSummary['top_vulnerabilities'] = [];
  for (const [index] of best) {
    yield;
    const { id, title } = fleet.vulnerability(index);
    const { summary, score } = fleet.dangerOf(index);
    const open = assetSet();
    for (const pair of fleet.pairsOfVulnerability(index)) {
      yield;
      const byStatus = fleet.byStatus(pair);
      for (const status of stillOpen) {
        const assets = byStatus.get(status);
        if (assets !== undefined) addAll(open, assets);
      }
    }
    const exploited = summary.threat.maturity === 'active';
    top.push({ id, title, score: score.score, exploited, assets: overlap(open, within) });
    open.dispose();
  }
  return top;
}

function* topPatches(
  fleet: FleetReading,
  within: ReadonlyAssetSet,
  totals: FleetTotals,
): Sliced<PostureSummary['top_patches']> {
  const patches = yield* fleetPatches(fleet);
  const estimates: { patch: FleetPatch; weight: number }[] = [];
  let seen = 0;
  for (const patch of patches.all) {
    if (patch.superseded) continue;
    let weight = 0;
    for (const pair of patch.pairs()) {
      weight += openOf(totals, pair) * weightOf(fleet, pair);
      if (++seen % pairsInSlice === 0) yield;
    }
    if (weight > 0) estimates.push({ patch, weight });
  }
  const best = estimates.sort((a, b) => b.weight - a.weight).slice(0, weighed);
  const top: PostureSummary['top_patches'] = [];
  const weights = new Float64Array(fleet.assets.greatestId + 1);
  for (const { patch } of best) {
    const worth = yield* patchWorth(fleet, patch, within, weights);
    if (worth.findings > 0) top.push({ id: patch.id, package: patch.package, ...worth });
    // What follows is estimated at less than all of these.
    if (top.length >= reckoned) break;
  }
  return top.sort((a, b) => b.risk_removed - a.risk_removed).slice(0, shown);
}

/**
 * What a patch would close on these assets, and how much risk that would remove: as if all of it were open, and no other
 * package of an asset had the same vulnerabilities. So it can be too much, and never too little; exact for one patch is
 * GET /api/v1/patches/…/risk-removed.
 */
export function* patchWorth(
  fleet: FleetReading,
  patch: FleetPatch,
  within: ReadonlyAssetSet,
  /** By id of the asset; all 0, and so again afterwards: one is enough for many patches. */
  weights = new Float64Array(fleet.assets.greatestId + 1),
): Sliced<{ assets: number; findings: number; risk_removed: number }> {
  // Most pairs are closed on the same assets: what is summed up is by set, not by pair.
  const bySet = new Map<string, { readonly closed: ReadonlyAssetSet; weight: number; pairs: number }[]>();
  let steps = 0;
  for (const pair of patch.pairs()) {
    const closed = patch.closedOn(pair);
    // The sets of one pair can take a millisecond.
    yield;
    if (closed.isEmpty) continue;
    const key = `${String(closed.size)} ${String(closed.minimum())} ${String(closed.maximum())} ${fleet
      .pair(pair)
      .carriers.map(({ software }) => software.id)
      .join()}`;
    const weight = weightOf(fleet, pair);
    const known = (bySet.get(key) ?? []).find((one) => sameSet(one.closed, closed));
    if (known === undefined) bySet.set(key, [...(bySet.get(key) ?? []), { closed, weight, pairs: 1 }]);
    else {
      known.weight += weight;
      known.pairs += 1;
    }
  }
  let findings = 0;
  const touched = assetSet();
  const sets = [...bySet.values()].flat();
  // Of very many assets every so many-th stands for those beside it: it is an estimate anyhow.
  const most = Math.min(within.size, Math.max(0, ...sets.map(({ closed }) => closed.size)));
  const step = Math.max(1, Math.floor(most / reckonedAssets));
  for (const { closed, weight, pairs } of sets) {
    const both = intersection(closed, within);
    findings += both.size * pairs;
    addAll(touched, both);
    for (const asset of both.toUint32Array()) {
      if (asset % step !== 0) continue;
      weights[asset] = (weights[asset] ?? 0) + weight;
      if (++steps % assetsInSlice === 0) yield;
    }
    both.dispose();
  }
  let removed = 0;
  const assets = touched.size;
  for (const asset of touched.toUint32Array()) {
    if (asset % step !== 0) continue;
    const greatest = assetRiskConstants.mostRisk * criticalityWeight(fleet.criticality(asset).level);
    const risk = fleet.risk(asset);
    // 1000 · w · survival · (e^weight − 1), and no more than there is.
    removed += Math.min(risk, (greatest - risk) * Math.expm1(weights[asset] ?? 0)) * step;
    weights[asset] = 0;
    if (++steps % assetsInSlice === 0) yield;
  }
  touched.dispose();
  return { assets, findings, risk_removed: removed };
}
