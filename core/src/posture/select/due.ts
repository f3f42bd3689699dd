/** When a finding is due, by the SLA rules of the fleet. */
import { ruleFor, slaState } from '../../finding/sla.ts';
import type { FactValue } from '../../query/evaluate.ts';
import type { FleetDanger, FleetFinding, FleetReading } from '../reading.ts';
import { dangerFact } from './danger-facts.ts';

/**
 * The field `due`: milliseconds since 1970. Empty: it is known not to be due, because no rule fits or because it is accepted
 * now, which stops its time. Null: which rule fits is not known.
 *
 * Its days run from `firstSeenAt`. How long it was accepted before, or fixed in between, is not in the model of the fleet, so an
 * acceptance that has ended no longer moves what is due, and one that was remediated and is back counts from its return.
 */
export function dueFact(fleet: FleetReading, finding: FleetFinding, now: number): FactValue {
  if (fleet.slaRules.length === 0 || finding.status === 'accepted') return [];
  const danger = fleet.danger(finding.pair.danger);
  const exploited = dangerFact(danger, 'exploited');
  const state = slaState(
    fleet.slaRules,
    {
      intervals: [{ openedAt: finding.firstSeenAt, closed: null }],
      accepted: [],
      criticality: fleet.criticality(finding.asset).level,
      exploited: typeof exploited === 'boolean' ? exploited : null,
      score: danger.score.score,
      tags: fleet.tagsOf(finding.asset),
      kevDueOn: danger.summary.threat.dueOn,
    },
    now,
  );
  if (!state.ok) return null;
  switch (state.state) {
    case 'due_in':
    case 'overdue_by':
      return state.dueAt;
    case 'no_rule':
      return [];
    case 'undetermined':
      return null;
    default:
      throw new Error(`a finding that is open is not ${state.state}`);
  }
}

/** Whether a finding of this danger is due under any rule, whatever asset it is on. */
export function canBeDue(fleet: FleetReading, danger: FleetDanger): boolean {
  const exploited = dangerFact(danger, 'exploited');
  const anywhere = fleet.slaRules.map((rule) => {
    const { criticalityAtLeast: _criticality, anyTag: _tags, ...when } = rule.when;
    return { ...rule, when };
  });
  const known = typeof exploited === 'boolean' ? exploited : null;
  return (
    ruleFor(anywhere, { criticality: null, exploited: known, score: danger.score.score, tags: [] }) !== null
  );
}
