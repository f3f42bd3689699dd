/**
 * The union of what an ecosystem's sources say about one vulnerability in one package of one release. None of them is
 * enough alone: on Debian the tracker and OSV know what is not fixed and which fixes were embargoed, changelogs know what
 * was uploaded since the last synchronisation; on Red Hat's systems errata name fixes and VEX names what is not affected.
 *
 * The rule, in this order; the first that applies decides:
 *
 * 1. `withdrawn`. A source has withdrawn the vulnerability: nothing is left to fix.
 * 2. `not_affected`. A source says that the package was never affected in this release. Such a statement was made by a
 *    person after looking, and outranks a version that a changelog names; Microsoft's counts until it says otherwise. It does
 *    not outrank what a source says that comes before it in `authority.ts`: a conversion may be older than its tracker.
 * 3. `fixed`. A fix named by any source outranks every "not fixed yet": the source that names it knows more. Between
 *    different fixed versions that of the source that comes first in `authority.ts` is taken; within one source the record
 *    of the vulnerability goes before records of advisories; of several the lowest version, since a second revision of an
 *    advisory (`DSA-5729-2`) repairs the first, an erratum may list again what an earlier one fixed, and a changelog may
 *    name a CVE again later (a regression fix, a belated mention). Microsoft alone revises: there the newest statement.
 * 4. `affected`. What the highest source says about the chance of a fix is taken.
 * 5. `undetermined`. The only source that lists it has not looked at it yet; that is not the same as safe.
 *
 * All statements stay as evidence, and a source that names another fixed version than the one taken is a disagreement.
 *
 * Measured for Debian on the snapshots of 2025-02 (OSV) and 2026-11 (changelogs): where both name a fix they agree in 701 of
 * 718 pairs (97.6 %); of 266 pairs unfixed in OSV with a fix in a changelog, 260 fixes are younger than the OSV record and
 * the other 6 were uploads that waited for a point release. `full-data.test.ts` counts again.
 */
import { compareVersions } from '../version/version.ts';
import { rankOf } from './authority.ts';
import { compareText } from './compare-text.ts';
import { ecosystems } from './ecosystem.ts';
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

export interface Union {
  /** The rule that decided bears the same name. */
  readonly status: 'withdrawn' | StatementFact['status'];
  /** When status is `fixed`: this or `updates`. */
  readonly fixedVersion: string | null;
  readonly introducedVersion: string | null;
  /** Windows: every update that any statement with this fix names. */
  readonly updates: readonly string[];
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
  const evidence = statements.length < 2 ? statements : [...statements].sort(byAuthority);
  const withdrawal = [...withdrawals].sort(
    (a, b) => compareText(a.feed, b.feed) || compareText(a.record, b.record),
  )[0];
  if (withdrawal !== undefined) {
    return {
      status: 'withdrawn',
      fixedVersion: null,
      introducedVersion: null,
      updates: [],
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
    evidence.find(
      (one) =>
        one.statement.status === 'not_affected' &&
        !isRevised(one.statement, evidence) &&
        !isContradicted(one, evidence),
    ) ??
    evidence.find(({ statement }) => statement.status === 'fixed') ??
    evidence.find(({ statement }) => statement.status === 'affected') ??
    evidence.find(({ statement }) => statement.status === 'undetermined') ??
    evidence[0];
  if (decidedBy === undefined) return null;
  const { status, fixedVersion, introducedVersion, fixState } = decidedBy.statement;
  const fixes = evidence.filter(
    ({ statement }) => statement.status === 'fixed' && statement.fixedVersion === fixedVersion,
  );
  return {
    status,
    fixedVersion,
    introducedVersion,
    updates:
      status === 'fixed' ? [...new Set(fixes.flatMap(({ statement }) => statement.updates))].sort() : [],
    fixState,
    note:
      decidedBy.statement.note ??
      evidence.find(({ statement }) => statement.note !== null)?.statement.note ??
      null,
    advisory:
      status === 'fixed'
        ? (fixes.find(({ statement }) => statement.advisory !== null)?.statement.advisory ?? null)
        : decidedBy.statement.advisory,
    decidedBy,
    withdrawal: null,
    evidence,
    disagreements: evidence.filter(
      ({ statement }) => statement.status !== status || statement.fixedVersion !== fixedVersion,
    ),
  };
}

/** Whether a source of more authority says that the package has, or had, the flaw. Microsoft's two forms are one source. */
function isContradicted(one: SourcedStatement, evidence: readonly SourcedStatement[]): boolean {
  if (one.statement.ecosystem === 'windows') return false;
  const feedRank = ({ feed, statement }: SourcedStatement): number => Math.floor(rankOf(feed, statement) / 2);
  return evidence.some(
    (other) => feedRank(other) < feedRank(one) && ['fixed', 'affected'].includes(other.statement.status),
  );
}

function byAuthority(a: SourcedStatement, b: SourcedStatement): number {
  return (
    rankOf(a.feed, a.statement) - rankOf(b.feed, b.statement) ||
    revised(a.statement, b.statement) ||
    byVersion(a.statement, b.statement) ||
    compareText(a.record, b.record) ||
    compareText(a.feed, b.feed)
  );
}

/**
 * Microsoft revises what it said of a CVE in the document of a later month: the newest statement first. Elsewhere an earlier
 * fix is not taken back by a later mention.
 */
function revised(a: StatementFact, b: StatementFact): number {
  return a.ecosystem === 'windows' ? -compareText(a.statedAt ?? '', b.statedAt ?? '') : 0;
}

/** Whether Microsoft has said something else of a product since it called it not affected. */
function isRevised(cleared: StatementFact, evidence: readonly SourcedStatement[]): boolean {
  return evidence.some(
    ({ statement }) => statement.status !== 'not_affected' && revised(statement, cleared) < 0,
  );
}

/** Lowest version first; what is not a version comes after all that are, and no version last. */
function byVersion(left: StatementFact, right: StatementFact): number {
  const a = left.fixedVersion;
  const b = right.fixedVersion;
  if (a === b) return 0;
  if (a === null || b === null) return a === null ? 1 : -1;
  const { scheme } = ecosystems[left.ecosystem];
  const answer = compareVersions(scheme, a, b);
  if (answer === 'less') return -1;
  if (answer === 'greater') return 1;
  if (answer === 'unparseable') {
    const [fineA, fineB] = [a, b].map((version) => compareVersions(scheme, version, version) === 'equal');
    if (fineA !== fineB) return fineA === true ? -1 : 1;
  }
  return compareText(a, b);
}
