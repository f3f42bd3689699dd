/** How dangerous a vulnerability is, as fields of the query language: of a finding in its ecosystem, of a vulnerability at large. */
import type { FactValue } from '../../query/evaluate.ts';
import { parseDate } from '../../query/time.ts';
import type { FleetDanger } from '../reading.ts';
import { severityOf } from './severity.ts';

/**
 * A field of findings and vulnerabilities that follows from the danger; undefined where the name is of another. Where nobody
 * says anything of attacks or exploits, nothing is known of them: no source that names none stands against it. A vulnerability
 * that is known not to be attacked has no day of a first attack, and no ransomware that uses it.
 */
export function dangerFact(
  { summary: { score, threat } }: Pick<FleetDanger, 'summary'>,
  name: string,
): FactValue | undefined {
  const baseScore = score?.chosen.score.baseScore ?? null;
  const isAttacked = threat.maturity === 'active';
  const isLookedAt = threat.sources.length > 0;
  switch (name) {
    case 'cvss':
      return baseScore;
    case 'severity':
      return severityOf(baseScore);
    case 'epss':
      return threat.epss?.probability ?? null;
    case 'exploited':
      return isLookedAt ? isAttacked : null;
    case 'exploited_since':
      if (isLookedAt && !isAttacked) return [];
      return threat.exploitedSince === null ? null : (parseDate(threat.exploitedSince)?.from ?? null);
    case 'ransomware':
      return threat.ransomware ?? (isLookedAt && !isAttacked ? false : null);
    case 'exploit':
      return isLookedAt ? threat.maturity : null;
    default:
      return undefined;
  }
}
