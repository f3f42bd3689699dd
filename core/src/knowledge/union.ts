/**
 * The union of what Debian's sources say about one vulnerability in one source package of one release. None of them is
 * enough alone: the tracker and OSV know what is not fixed and which fixes were embargoed, changelogs know what was
 * uploaded since the last synchronisation.
 *
 * The rule, in this order; the first that applies decides:
 *
 * 1. `withdrawn`. A source has withdrawn the vulnerability: nothing is left to fix.
 * 2. `not_affected`. The tracker, else OSV, says that the package was never affected in this release. Such a statement
 *    was made by a person after looking, and outranks a version that a changelog names.
 * 3. `fixed`. A fix named by any source outranks every "not fixed yet": the source that names it knows more. Between
 *    different fixed versions the tracker's is taken, then OSV's, then the lowest of the changelogs, since an entry may
 *    name a CVE again later (a regression fix, a belated mention). In OSV the record of the CVE itself goes before the
 *    records of advisories, which list all CVEs of a notice for all its releases; of several the lowest is taken, since
 *    a second revision of an advisory (`DSA-5729-2`) repairs the first.
 * 4. `affected`. What the highest source says about the chance of a fix is taken.
 * 5. `undetermined`. The only source that lists it has not looked at it yet; that is not the same as safe.
 *
 * All statements stay as evidence, and a source that names another fixed version than the one taken is a disagreement.
 *
 * Measured on the snapshots of 2025-02 (OSV) and 2026-11 (changelogs): where both name a fix they agree in 701 of 718
 * pairs (97.6 %); of 266 pairs unfixed in OSV with a fix in a changelog, 260 fixes are younger than the OSV record and
 * the other 6 were uploads that waited for a point release. `union.test.ts` counts again.
 */
import { compareDpkg, parseDpkg } from '../version/dpkg.ts';
import type { FeedId, StatementFact } from './facts.ts';

/** A statement with where it comes from. */
export interface SourcedStatement {
  readonly feed: FeedId;
  /** The id of the feed's record. */
  readonly record: string;
  readonly statement: StatementFact;
}

/** A source's word that the vulnerability as a whole is withdrawn or rejected. */
export interface Withdrawal {
  readonly feed: FeedId;
  readonly record: string;
  readonly withdrawnAt: string;
}

export type UnionRule =
  | 'withdrawn'
  | 'not_affected'
  | 'fixed_by_tracker'
  | 'fixed_by_osv'
  | 'fixed_by_osv_advisory'
  | 'fixed_by_changelog'
  | 'affected'
  | 'undetermined';

export interface Union {
  readonly status: 'withdrawn' | StatementFact['status'];
  readonly rule: UnionRule;
  /** Set exactly when status is `fixed`. */
  readonly fixedVersion: string | null;
  readonly fixState: StatementFact['fixState'];
  /** The vendor's urgency or reason, of the source that decided, else of the highest source that gives one. */
  readonly note: string | null;
  /** The advisory that carried exactly this fix, when a source names one. */
  readonly advisory: string | null;
  /** The statement that decided; null when a withdrawal did. */
  readonly decidedBy: SourcedStatement | null;
  readonly withdrawal: Withdrawal | null;
  /** All statements, the most authoritative first. */
  readonly evidence: readonly SourcedStatement[];
  /** Statements that contradict the decision: another fixed version, or another status. */
  readonly disagreements: readonly SourcedStatement[];
}

/**
 * Decides between statements about the same (vulnerability, package, release); the caller groups them. Null when there
 * is neither a statement nor a withdrawal. The result does not depend on the order of the input.
 */
export function uniteStatements(
  statements: readonly SourcedStatement[],
  withdrawals: readonly Withdrawal[] = [],
): Union | null {
  const evidence = [...statements].sort(byAuthority);
  const withdrawal = [...withdrawals].sort(
    (a, b) => rankOfFeed(a.feed) - rankOfFeed(b.feed) || order(a.record, b.record),
  )[0];
  if (withdrawal !== undefined) {
    return {
      status: 'withdrawn',
      rule: 'withdrawn',
      fixedVersion: null,
      fixState: 'available',
      note: null,
      advisory: null,
      decidedBy: null,
      withdrawal,
      evidence,
      disagreements: [],
    };
  }
  const decidedBy =
    evidence.find(({ statement }) => statement.status === 'not_affected') ??
    evidence.find(({ statement }) => statement.status === 'fixed') ??
    evidence.find(({ statement }) => statement.status === 'affected') ??
    evidence[0];
  if (decidedBy === undefined) return null;
  const { status, fixedVersion, fixState } = decidedBy.statement;
  return {
    status,
    rule: status === 'fixed' ? (fixRules[rankOf(decidedBy)] ?? 'fixed_by_changelog') : status,
    fixedVersion,
    fixState,
    note:
      decidedBy.statement.note ??
      evidence.find(({ statement }) => statement.note !== null)?.statement.note ??
      null,
    advisory:
      status === 'fixed'
        ? (evidence.find(
            ({ statement }) => statement.advisory !== null && statement.fixedVersion === fixedVersion,
          )?.statement.advisory ?? null)
        : decidedBy.statement.advisory,
    decidedBy,
    withdrawal: null,
    evidence,
    disagreements: evidence.filter(
      ({ statement }) => statement.status !== status || statement.fixedVersion !== fixedVersion,
    ),
  };
}

const fixRules: readonly UnionRule[] = [
  'fixed_by_tracker',
  'fixed_by_osv',
  'fixed_by_osv_advisory',
  'fixed_by_changelog',
];

function rankOfFeed(feed: FeedId): number {
  if (feed === 'debian-tracker') return 0;
  return feed === 'debian-osv' ? 1 : 3;
}

function rankOf({ feed, statement }: SourcedStatement): number {
  return feed === 'debian-osv' && statement.advisory !== null ? 2 : rankOfFeed(feed);
}

function byAuthority(a: SourcedStatement, b: SourcedStatement): number {
  return (
    rankOf(a) - rankOf(b) ||
    byVersion(a.statement.fixedVersion, b.statement.fixedVersion) ||
    order(a.record, b.record) ||
    order(a.feed, b.feed)
  );
}

/** Lowest version first; what is not a version comes after all that are, and no version last. */
function byVersion(a: string | null, b: string | null): number {
  if (a === b) return 0;
  if (a === null || b === null) return a === null ? 1 : -1;
  const left = parseDpkg(a);
  const right = parseDpkg(b);
  if (left.ok && right.ok) return compareDpkg(left.version, right.version) || order(a, b);
  if (left.ok !== right.ok) return left.ok ? -1 : 1;
  return order(a, b);
}

/** Plain code-unit order, so that the result is the same everywhere. */
function order(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
