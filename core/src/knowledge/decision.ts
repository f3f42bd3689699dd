import type { Ecosystem, FeedId, StatementFact } from './facts.ts';
import { uniteStatements, type SourcedStatement } from './union.ts';

/**
 * What all sources together say of one vulnerability in one source package of one release. Made by `union.ts` from the
 * statements; the only form in which matching reads knowledge.
 */
export interface Decision {
  readonly vulnerability: string;
  readonly ecosystem: Ecosystem;
  readonly release: string;
  readonly package: string;
  readonly status: StatementFact['status'];
  readonly fixedVersion: string | null;
  readonly fixState: StatementFact['fixState'];
  readonly note: string | null;
  readonly advisory: string | null;
  /** The statement that decided. */
  readonly feed: FeedId;
  readonly record: string;
  /** Other statements that say something else, each as a sentence. */
  readonly disagreements: readonly string[];
}

const claims = {
  fixed: (s: StatementFact) => `fixed in ${s.fixedVersion}`,
  affected: (s: StatementFact) =>
    s.fixState === 'none_yet' ? 'not fixed yet' : `not fixed (${s.fixState.replaceAll('_', ' ')})`,
  not_affected: () => 'not affected',
  undetermined: () => 'not looked at yet',
} as const;

/** Decides every (vulnerability, package, release) that the statements speak of, but for withdrawn vulnerabilities. */
export function decideAll(
  statements: Iterable<SourcedStatement>,
  withdrawn: ReadonlySet<string> = new Set(),
): Decision[] {
  const groups = new Map<string, SourcedStatement[]>();
  for (const one of statements) {
    const { vulnerability, ecosystem, release, package: name } = one.statement;
    if (withdrawn.has(vulnerability)) continue;
    const key = `${ecosystem}\t${release}\t${name}\t${vulnerability}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [one]);
    else group.push(one);
  }
  const decisions: Decision[] = [];
  for (const group of groups.values()) {
    const union = uniteStatements(group);
    if (union === null || union.decidedBy === null || union.status === 'withdrawn') continue;
    const { statement, feed, record } = union.decidedBy;
    decisions.push({
      vulnerability: statement.vulnerability,
      ecosystem: statement.ecosystem,
      release: statement.release,
      package: statement.package,
      status: union.status,
      fixedVersion: union.fixedVersion,
      fixState: union.fixState,
      note: union.note,
      advisory: union.advisory,
      feed,
      record,
      disagreements: union.disagreements.map(
        (other) => `${other.feed} (${other.record}): ${claims[other.statement.status](other.statement)}`,
      ),
    });
  }
  return decisions;
}
