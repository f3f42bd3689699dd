/** What acceptances come to in findings and risk: for previews, lists and alerts. */
import { assetRisk, type RiskFinding } from '../risk/asset-risk.ts';
import { scopeTags } from './acceptance-scope.ts';
import { Acceptances } from './acceptances.ts';
import { addAll, assetSet, difference, intersection, overlap, type AssetSet } from './asset-set.ts';
import type { AssetTruths } from './evaluate-tag.ts';
import type { RiskAcceptance } from './facts.ts';
import type { FleetFinding, FleetReading } from './reading.ts';
import { sampleOf } from './sample.ts';
import type { Sliced } from './select/selection.ts';

export interface AcceptanceCoverage {
  /** Findings that are not fixed and of which the scope speaks, and how many of them nobody has accepted in the fleet. */
  findings: number;
  notAccepted: number;
  readonly assets: AssetSet;
  /** Findings whose vulnerability is known to be attacked. */
  exploited: number;
  /** By pair, the vulnerability with the highest score first, then the widest spread. */
  pairs: { readonly pair: number; readonly assets: AssetSet; readonly notAccepted: number }[];
}

/**
 * What each acceptance would cover if it were in force now, each for itself: where scopes overlap, findings are counted by
 * each. One whose scope cannot be judged covers nothing.
 */
export function* coverages(
  fleet: FleetReading,
  truths: AssetTruths,
  list: readonly Pick<RiskAcceptance, 'id' | 'scope'>[],
  now: number,
): Sliced<Map<string, AcceptanceCoverage>> {
  const asked = new Acceptances(truths, ({ tags }) => scopeTags(tags));
  asked.set(list.map(({ id, scope }) => ({ id, scope, startsAt: now, expiresAt: now + 1, revokedAt: null })));
  yield* asked.refreshing(fleet, { assets: 'all', pairs: [], tags: true }, now);
  const found = new Map(
    list.map(({ id }): [string, AcceptanceCoverage] => [
      id,
      { findings: 0, notAccepted: 0, assets: assetSet(), exploited: 0, pairs: [] },
    ]),
  );
  let looked = 0;
  for (const index of asked.pairs()) {
    if (++looked % 64 === 0) yield;
    const affected = fleet.affected(index);
    if (affected.isEmpty) continue;
    const accepted = fleet.byStatus(index).get('accepted');
    const { summary } = fleet.danger(fleet.pair(index).danger);
    for (const { id, assets } of asked.speaking(index)) {
      const covered = intersection(affected, assets);
      const coverage = found.get(id);
      if (coverage === undefined || covered.isEmpty) continue;
      const notAccepted = covered.size - (accepted === undefined ? 0 : overlap(covered, accepted));
      coverage.findings += covered.size;
      coverage.notAccepted += notAccepted;
      if (summary.threat.maturity === 'active') coverage.exploited += covered.size;
      addAll(coverage.assets, covered);
      coverage.pairs.push({ pair: index, assets: covered, notAccepted });
    }
  }
  const scoreOf = (pair: number): number => fleet.danger(fleet.pair(pair).danger).score.score;
  for (const coverage of found.values()) {
    yield;
    coverage.pairs.sort(
      (a, b) => scoreOf(b.pair) - scoreOf(a.pair) || b.assets.size - a.assets.size || a.pair - b.pair,
    );
  }
  return found;
}

/** The first findings of a coverage, the worst first; `notAccepted`: only those that nobody has accepted. */
export function firstFindings(
  fleet: FleetReading,
  { pairs }: Pick<AcceptanceCoverage, 'pairs'>,
  limit: number,
  notAccepted = false,
): FleetFinding[] {
  const found: FleetFinding[] = [];
  for (const { pair, assets } of pairs) {
    const accepted = notAccepted ? fleet.byStatus(pair).get('accepted') : undefined;
    const shown = accepted === undefined ? assets : difference(assets, accepted);
    for (const asset of shown) {
      if (found.length === limit) return found;
      const finding = fleet.findingsOf(asset).find((each) => each.pair.index === pair);
      if (finding !== undefined) found.push(finding);
    }
  }
  return found;
}

/** Sums over the assets of a coverage, 0–1000 for each: their risk as it is, and as it would be with all of it accepted. */
export interface AcceptedRisk {
  readonly now: number;
  readonly accepted: number;
  /** What would go was reckoned from this many assets; null: from all. */
  readonly sampled: number | null;
}

/** Of more assets than these as many stand for all. */
export const mostAssetsWeighed = 2_000;

export function* riskTaken(fleet: FleetReading, { assets, pairs }: AcceptanceCoverage): Sliced<AcceptedRisk> {
  const covered = new Map(pairs.map((each) => [each.pair, each.assets]));
  let [now, gone, looked] = [0, 0, 0];
  for (const asset of assets) {
    now += fleet.risk(asset);
    if (++looked % 50_000 === 0) yield;
  }
  const sample = sampleOf(assets, mostAssetsWeighed);
  for (const asset of sample.assets) {
    const { level } = fleet.criticality(asset);
    const findings = fleet.findingsOf(asset);
    const before = findings.map((one) => counted(fleet, one, one.status));
    const after = findings.map((one) =>
      counted(fleet, one, covered.get(one.pair.index)?.has(asset) === true ? 'accepted' : one.status),
    );
    gone += assetRisk(level, before, 0).risk - assetRisk(level, after, 0).risk;
    looked += findings.length;
    if (looked >= 500) {
      looked = 0;
      yield;
    }
  }
  const accepted = Math.max(0, now - gone * sample.weight);
  return { now, accepted, sampled: sample.weight === 1 ? null : mostAssetsWeighed };
}

function counted(fleet: FleetReading, { pair }: FleetFinding, status: FleetFinding['status']): RiskFinding {
  return {
    vulnerability: fleet.vulnerability(pair.vulnerability).id,
    chance: fleet.danger(pair.danger).score.chance,
    status,
    ...(status === 'mitigated' ? { effect: 'blocks' as const } : {}),
  };
}
