/**
 * Risk of one asset, 0–1000: its criticality × the chance that at least one of its findings is exploited to full effect.
 *
 *     risk = 1000 · weight(criticality) · (1 − Π(1 − p))      p = reach · chance(vulnerability) · share(status)
 *
 * over its vulnerabilities, each counted once however many packages carry it (the entry with the highest p). Monotone by
 * construction: every factor 1 − p is at most 1, so a further finding or a higher p never lowers the risk, and fixing one
 * never raises it. Computed as sums of log1p, and exact to about 12 digits for thousands of findings.
 *
 * Exploitations are taken as independent of each other. The figure compares assets; it does not forecast a break-in.
 */

/** Status of a finding as in docs/risk.md; `fixed` may be passed and counts nothing. */
export type RiskStatus =
  | 'open'
  | 'restart_pending'
  | 'reboot_pending'
  | 'mitigated'
  | 'accepted'
  | 'undetermined'
  | 'fixed';

export interface RiskFinding {
  readonly vulnerability: string;
  /** 0–1: `VulnerabilityScore.chance`. */
  readonly chance: number;
  readonly status: RiskStatus;
  /** For `mitigated`: what the mitigation does to this vulnerability. Not given counts as `reduces`. */
  readonly effect?: 'blocks' | 'reduces';
}

/** 1 (least) – 5 (most critical). */
export type Criticality = 1 | 2 | 3 | 4 | 5;

export const assetRiskConstants = {
  mostRisk: 1000,
  /** By criticality 1–5. Even steps: an asset of 5 counts as five of 1. Index 0 is not used. */
  criticalityWeight: [0, 0.2, 0.4, 0.6, 0.8, 1],
  /**
   * Chance that an attack which goes round in the world reaches this asset. Without it, one known attack would put every
   * asset near 1000, and nothing could be told apart; with it one of chance 1 counts 200 of a full weight, five 672 and twenty 988.
   */
  reach: 0.2,
  /** How much of p counts, by status; see `shareOf`. */
  shareBlocked: 0.05,
  shareReduced: 0.5,
  shareUndetermined: 0.5,
} as const;

/** One vulnerability's part in the risk of an asset. */
export interface AssetRiskFactor {
  readonly vulnerability: string;
  readonly status: RiskStatus;
  /** 0–1: the chance that it is exploited on this asset. */
  readonly probability: number;
  /** Risk that the asset would have if this were its only finding. */
  readonly alone: number;
  /** Risk that would go if only this were fixed. Does not add up: what remains still exposes the asset. */
  readonly removed_if_fixed: number;
}

export interface AssetRisk {
  /** 0–1000 */
  readonly risk: number;
  /** 0–1: the chance that at least one finding is exploited to full effect. */
  readonly chance: number;
  readonly weight: number;
  /** Vulnerabilities that count, the gravest first. */
  readonly factors: readonly AssetRiskFactor[];
  /** What has been accepted, apart: how many, and the risk if nobody had accepted it. */
  readonly accepted: { readonly vulnerabilities: number; readonly risk_with_accepted: number };
  /** What cannot be judged: how many, and the risk if they were known not to be there. */
  readonly undetermined: { readonly vulnerabilities: number; readonly risk_without: number };
}

/**
 * The share of a vulnerability's chance that its status leaves.
 *
 * - `open`, `restart_pending`, `reboot_pending`: all of it. Fixed on disk is not fixed.
 * - `mitigated`: 0.05 if the mitigation blocks it (it is verified, but it can be undone, and the flaw is still there), 0.5 if it
 *   reduces it.
 * - `undetermined`: half. It is there or it is not, and nobody knows; it does not read as zero.
 * - `accepted`: nothing, and shown apart. `fixed`: nothing.
 */
export function shareOf({ status, effect }: Pick<RiskFinding, 'status' | 'effect'>): number {
  const { shareBlocked, shareReduced, shareUndetermined } = assetRiskConstants;
  if (status === 'mitigated') return effect === 'blocks' ? shareBlocked : shareReduced;
  if (status === 'undetermined') return shareUndetermined;
  return status === 'accepted' || status === 'fixed' ? 0 : 1;
}

/** Chance 0–1 that a finding is exploited on the asset that has it. */
export function findingProbability(finding: RiskFinding): number {
  if (!(finding.chance >= 0 && finding.chance <= 1))
    throw new Error(`${finding.vulnerability}: ${String(finding.chance)} is no probability`);
  return assetRiskConstants.reach * finding.chance * shareOf(finding);
}

export function criticalityWeight(criticality: number): number {
  const weight = assetRiskConstants.criticalityWeight[criticality];
  if (weight === undefined || criticality === 0)
    throw new Error(`${String(criticality)} is no criticality from 1 to 5`);
  return weight;
}

/** Risk 0–1000 of a weight and a sum of log1p(−p). */
export function riskOf(weight: number, logSurvival: number): number {
  return assetRiskConstants.mostRisk * weight * -Math.expm1(logSurvival);
}

/** Of each vulnerability the entry with the highest chance on this asset. */
export function countedOnce<Finding extends RiskFinding>(findings: readonly Finding[]): Finding[] {
  const gravest = new Map<string, Finding>();
  for (const finding of findings) {
    const other = gravest.get(finding.vulnerability);
    if (other === undefined || findingProbability(finding) > findingProbability(other))
      gravest.set(finding.vulnerability, finding);
  }
  return [...gravest.values()];
}

/**
 * The exact definition; the bulk form for a million assets is `assetRisks` in bulk-risk.ts. `limit` is how many factors are
 * listed; all count.
 */
export function assetRisk(criticality: Criticality, findings: readonly RiskFinding[], limit = 20): AssetRisk {
  const weight = criticalityWeight(criticality);
  const counted = countedOnce(findings);
  const logSurvival = sumOfLogs(counted);
  const risk = riskOf(weight, logSurvival);
  const accepted = findings.filter(({ status }) => status === 'accepted');
  const asOpen = accepted.map((finding): RiskFinding => ({ ...finding, status: 'open' }));
  const undetermined = counted.filter(({ status }) => status === 'undetermined');
  const factors = counted
    .map((finding) => ({ finding, probability: findingProbability(finding) }))
    .filter(({ probability }) => probability > 0)
    .sort((a, b) => b.probability - a.probability || order(a.finding, b.finding))
    .slice(0, limit)
    .map(({ finding, probability }) => ({
      vulnerability: finding.vulnerability,
      status: finding.status,
      probability,
      alone: riskOf(weight, Math.log1p(-probability)),
      // risk − risk without it, written so that nothing cancels: 1000 · w · survival · p / (1 − p).
      removed_if_fixed:
        (assetRiskConstants.mostRisk * weight * Math.exp(logSurvival) * probability) / (1 - probability),
    }));
  return {
    risk,
    chance: -Math.expm1(logSurvival),
    weight,
    factors,
    accepted: {
      vulnerabilities: new Set(accepted.map(({ vulnerability }) => vulnerability)).size,
      risk_with_accepted:
        accepted.length === 0 ? risk : riskOf(weight, sumOfLogs(countedOnce([...findings, ...asOpen]))),
    },
    undetermined: {
      vulnerabilities: undetermined.length,
      risk_without:
        undetermined.length === 0
          ? risk
          : riskOf(
              weight,
              sumOfLogs(countedOnce(findings.filter(({ status }) => status !== 'undetermined'))),
            ),
    },
  };
}

function sumOfLogs(findings: readonly RiskFinding[]): number {
  let sum = 0;
  for (const finding of findings) sum += Math.log1p(-findingProbability(finding));
  return sum;
}

function order(a: RiskFinding, b: RiskFinding): number {
  if (a.vulnerability === b.vulnerability) return 0;
  return a.vulnerability < b.vulnerability ? -1 : 1;
}
