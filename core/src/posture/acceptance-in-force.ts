/** A risk acceptance that is in force: its scope, taken apart and indexed. */
import { predicatesOf, type Plan } from '../query/plan.ts';
import { namesIn, questionsOf, type PairQuestion } from './acceptance-plan.ts';
import type { AssetSet } from './asset-set.ts';
import type { RiskAcceptance } from './facts.ts';
import type { FleetReading } from './reading.ts';

/** A question about assets that is left of scopes, with its answer. */
export interface Rest {
  readonly key: string;
  readonly plan: Plan;
  readonly ageing: boolean;
  assets: AssetSet;
}

/** A scope that can be judged, of an acceptance that is in force. */
export interface Scope {
  readonly acceptance: RiskAcceptance;
  readonly root: Plan;
  /** In lower case, the ids of vulnerabilities and names of packages that it could be about; null: any. */
  readonly vulnerabilities: ReadonlySet<string> | null;
  readonly packages: ReadonlySet<string> | null;
  /** Its questions about pairs, and what is left of it by their answers. */
  questions: readonly PairQuestion[];
  readonly rests: Map<string, Rest | null>;
  readonly ageing: boolean;
  readonly pairs: Set<number>;
}

/** Which of two acceptances counts where both cover a finding: below 0 for the first. */
export function byPrecedence(
  a: Pick<RiskAcceptance, 'id' | 'startsAt' | 'expiresAt'>,
  b: Pick<RiskAcceptance, 'id' | 'startsAt' | 'expiresAt'>,
): number {
  return b.expiresAt - a.expiresAt || a.startsAt - b.startsAt || (a.id < b.id ? -1 : Number(a.id > b.id));
}

export function scopeOf(acceptance: RiskAcceptance, root: Plan, now: number): Scope {
  return {
    acceptance,
    root,
    vulnerabilities: namesIn(root, 'vulnerability', 'id'),
    packages: namesIn(root, 'package', 'name'),
    questions: questionsOf(root, now),
    rests: new Map(),
    ageing: isAgeing(root),
    pairs: new Set(),
  };
}

/** Speaks of durations, or of contact, of which nobody is told each time. */
export function isAgeing(part: Plan): boolean {
  return predicatesOf(part).some(
    ({ ageing, scope, field }) =>
      ageing || (scope === 'asset' && (field === 'last_seen' || field === 'reachable')),
  );
}

/** Pairs that a scope could be about. */
export function* candidates(fleet: FleetReading, { vulnerabilities, packages }: Scope): Iterable<number> {
  if (vulnerabilities !== null) {
    for (const id of vulnerabilities) {
      const vulnerability = fleet.vulnerabilityCalled(id);
      if (vulnerability !== null) yield* fleet.pairsOfVulnerability(vulnerability);
    }
    return;
  }
  // Packages are looked up as they are written, and compared in any case: going through all is right whatever the case.
  for (let pair = 0; pair < fleet.pairs; pair++)
    if (packages === null || packages.has(fleet.pair(pair).package.toLowerCase())) yield pair;
}
