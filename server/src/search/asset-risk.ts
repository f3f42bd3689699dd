import type { AssetRiskView } from '@fixpoint/contract/posture.ts';
import type { FleetFinding, FleetReading } from '@fixpoint/core/posture/reading.ts';
import { assetRisk, type RiskFinding } from '@fixpoint/core/risk/asset-risk.ts';
import type { ServerContext } from '../app.ts';
import { assetsByReference } from '../asset/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { asOf } from './posture-state.ts';

/** Vulnerabilities that are listed at most; all count. */
const mostFactors = 1_000;

/** The risk of one asset with what it is made of. */
export async function riskOfAsset(
  context: Pick<ServerContext, 'db' | 'posture'>,
  reference: string,
): Promise<Answer<AssetRiskView>> {
  const found = await assetsByReference(context.db, [reference]);
  if (!found.ok) return found;
  const [asset] = found.value;
  if (asset === undefined) throw new Error('one reference found no asset and no refusal');
  const fleet = await context.posture.fresh();
  if (!fleet.assets.live.has(asset.id)) {
    return refuse(
      409,
      'asset_retired',
      `${asset.hostname} is retired, and has no risk any more`,
      'ask for one that is managed: fixpoint asset list',
    );
  }
  return answer(view(context, fleet, asset));
}

function view(
  context: Pick<ServerContext, 'posture'>,
  fleet: FleetReading,
  { id, uid, hostname }: { readonly id: number; readonly uid: string; readonly hostname: string },
): AssetRiskView {
  const findings = fleet.findingsOf(id);
  const byVulnerability = Map.groupBy(findings, ({ pair }) => fleet.vulnerability(pair.vulnerability).id);
  const { level } = fleet.criticality(id);
  const { risk, chance, factors, accepted, undetermined } = assetRisk(
    level,
    findings.map((finding) => riskFinding(fleet, finding)),
    mostFactors,
  );
  const why = criticalityWords(fleet, id);
  return {
    id: uid,
    hostname,
    risk: Math.round(risk * 1e6) / 1e6,
    chance,
    criticality: { level, why },
    words: riskWords(
      hostname,
      risk,
      chance,
      byVulnerability.size,
      `criticality ${String(level)} of 5 (${why})`,
    ),
    factors: factors.flatMap(({ vulnerability, status, ...figures }) => {
      const of = byVulnerability.get(vulnerability) ?? [];
      const scores = of.map(({ pair }) => fleet.danger(pair.danger).score);
      const [first] = scores.toSorted((a, b) => b.score - a.score);
      if (first === undefined || status === 'fixed') return [];
      return [
        {
          vulnerability,
          packages: [...new Set(of.map(({ pair }) => pair.package))],
          status,
          score: first.score,
          ...figures,
          words: `${statusWords[status]} ${first.factors.map(({ words }) => words).join(' ')}`.trimStart(),
        },
      ];
    }),
    accepted,
    undetermined,
    as_of: asOf(context.posture),
  };
}

/** A finding as risk counts it. A mitigation counts as such only where it blocks. */
function riskFinding(fleet: FleetReading, { pair, status }: FleetFinding): RiskFinding {
  return {
    vulnerability: fleet.vulnerability(pair.vulnerability).id,
    chance: fleet.danger(pair.danger).score.chance,
    status,
    ...(status === 'mitigated' ? { effect: 'blocks' as const } : {}),
  };
}

const statusWords = {
  open: '',
  restart_pending: 'Fixed on disk, and old code still runs: it counts whole.',
  reboot_pending: 'Fixed on disk, and the old kernel still runs: it counts whole.',
  mitigated: 'A mitigation blocks it: a twentieth counts.',
  accepted: 'Accepted: nothing counts.',
  undetermined: 'It cannot be said whether it is there: half counts.',
} as const;

/** Why an asset has its criticality, for a person. */
export function criticalityWords(fleet: FleetReading, asset: number): string {
  const { by } = fleet.criticality(asset);
  if (by === 'person') return 'set by a person';
  return by === 'default' ? 'what holds where nobody says otherwise' : `by the rule ${by.rule}`;
}

function riskWords(
  hostname: string,
  risk: number,
  chance: number,
  vulnerabilities: number,
  criticality: string,
): string {
  const how = vulnerabilities === 1 ? '1 vulnerability' : `${String(vulnerabilities)} vulnerabilities`;
  return (
    `${hostname} has a risk of ${risk.toFixed(1)} of 1000: with ${how} not fixed, the chance that one is exploited to full ` +
    `effect is reckoned at ${(chance * 100).toFixed(1)} %, and it has ${criticality}.`
  );
}
