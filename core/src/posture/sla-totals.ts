/** How findings stand against the SLA rules, in numbers. */
import { dayMilliseconds } from '../finding/remediation-time.ts';
import { ruleFor, slaState, type SlaRule } from '../finding/sla.ts';
import { addAll, assetSet, type ReadonlyAssetSet } from './asset-set.ts';
import type { FleetFinding, FleetReading } from './reading.ts';
import { sampleOf } from './sample.ts';
import { dangerFact } from './select/danger-facts.ts';
import type { FindingSelection, Sliced } from './select/selection.ts';

export interface SlaCounts {
  /** Due, and in time; of these those that are due within `soonDays`. */
  inTime: number;
  dueSoon: number;
  overdue: number;
  /** Accepted: no time runs. */
  paused: number;
}

export interface SlaTotals {
  findings: number;
  /** In the order of the rules. */
  readonly byRule: readonly { readonly rule: SlaRule; readonly counts: SlaCounts }[];
  noRule: number;
  undetermined: number;
  /** How many assets were looked at, when they stand for all; null: all were. */
  readonly sampled: { readonly assets: number; readonly of: number } | null;
}

/** Findings are judged one by one, some microseconds each: of more assets than these as many stand for all. */
export const mostAssets = 5_000;

export const soonDays = 7;

/**
 * Findings that are not fixed, those of `selection` or all. Their days run from when they were first seen, as the field `due`
 * has it (select/due.ts). `now` is in milliseconds since 1970.
 */
export function* slaTotals(
  fleet: FleetReading,
  selection: FindingSelection | null,
  now: number,
): Sliced<SlaTotals> {
  const rules = fleet.slaRules;
  const byRule = rules.map((rule) => ({ rule, counts: noCounts() }));
  const among = assetsOf(fleet, selection);
  const { assets, weight } = sampleOf(among, mostAssets);
  const sampled = weight === 1 ? null : { assets: mostAssets, of: among.size };
  const totals: SlaTotals = { findings: 0, byRule, noRule: 0, undetermined: 0, sampled };
  const countsOf = new Map(byRule.map(({ rule, counts }) => [rule, counts]));
  const judge = rulesByFinding(fleet);
  let looked = 0;
  for (const asset of assets) {
    for (const finding of fleet.findingsOf(asset)) {
      if (++looked % 2_000 === 0) yield;
      if (selection?.byPair.get(finding.pair.index)?.has(asset) === false) continue;
      if (selection !== null && !selection.byPair.has(finding.pair.index)) continue;
      totals.findings += 1;
      const fitting = judge(finding);
      if (fitting === null) totals.noRule += 1;
      else if (fitting === 'undetermined') totals.undetermined += 1;
      else {
        const counts = countsOf.get(fitting);
        if (counts !== undefined) count(fleet, finding, fitting, counts, now);
      }
    }
  }
  if (weight !== 1) scale(totals, weight);
  return totals;
}

function scale(totals: SlaTotals, weight: number): void {
  for (const key of ['findings', 'noRule', 'undetermined'] as const)
    totals[key] = Math.round(totals[key] * weight);
  for (const { counts } of totals.byRule)
    for (const key of ['inTime', 'dueSoon', 'overdue', 'paused'] as const)
      counts[key] = Math.round(counts[key] * weight);
}

export function noCounts(): SlaCounts {
  return { inTime: 0, dueSoon: 0, overdue: 0, paused: 0 };
}

function assetsOf(fleet: FleetReading, selection: FindingSelection | null): ReadonlyAssetSet {
  if (selection === null) return fleet.assets.live;
  const all = assetSet();
  for (const assets of selection.byPair.values()) addAll(all, assets);
  return all;
}

/** Which rule fits, looked up once for findings of the same danger on assets alike in what rules ask for. */
function rulesByFinding(fleet: FleetReading): (finding: FleetFinding) => SlaRule | 'undetermined' | null {
  const rules = fleet.slaRules;
  const asked = [...new Set(rules.flatMap(({ when }) => when.anyTag ?? []))];
  const known = new Map<string, SlaRule | 'undetermined' | null>();
  let of: { readonly asset: number; readonly level: number; readonly tags: readonly string[] } | null = null;
  return ({ asset, pair }) => {
    if (of?.asset !== asset) {
      const tags = asked.filter((name) => fleet.tag(name)?.holds.has(asset) === true);
      of = { asset, level: fleet.criticality(asset).level, tags };
    }
    const { level, tags } = of;
    const key = `${pair.danger} ${level} ${tags.join(' ')}`;
    let fitting = known.get(key);
    if (fitting === undefined) {
      const danger = fleet.danger(pair.danger);
      const exploited = dangerFact(danger, 'exploited');
      const found = ruleFor(rules, {
        criticality: level,
        exploited: typeof exploited === 'boolean' ? exploited : null,
        score: danger.score.score,
        tags,
      });
      fitting = found === null ? null : found.missing.length > 0 ? 'undetermined' : found.rule;
      known.set(key, fitting);
    }
    return fitting;
  };
}

function count(
  fleet: FleetReading,
  { firstSeenAt, status, pair }: FleetFinding,
  rule: SlaRule,
  counts: SlaCounts,
  now: number,
): void {
  if (status === 'accepted') {
    counts.paused += 1;
    return;
  }
  const state = slaState(
    [{ ...rule, when: {} }],
    {
      intervals: [{ openedAt: Math.min(firstSeenAt, now), closed: null }],
      accepted: [],
      criticality: null,
      exploited: null,
      score: null,
      tags: [],
      kevDueOn: fleet.danger(pair.danger).summary.threat.dueOn,
    },
    now,
  );
  if (state.ok && state.state === 'due_in') {
    counts.inTime += 1;
    if (state.dueAt - now <= soonDays * dayMilliseconds) counts.dueSoon += 1;
  } else if (state.ok && state.state === 'overdue_by') counts.overdue += 1;
  else throw new Error(`a finding that is open cannot be judged by the rule ${rule.name}`);
}
