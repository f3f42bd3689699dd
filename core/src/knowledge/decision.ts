import { channelKind, channelTitle } from './channel.ts';
import type { Ecosystem } from './ecosystem.ts';
import type { FeedId, StatementFact } from './facts.ts';
import { uniteStatements, type SourcedStatement, type Union } from './union.ts';

/** A fix that is published only in a branch (`channel.ts`): it counts for builds of that branch and for no other. */
export interface BranchFix {
  readonly channel: string;
  readonly fixedVersion: string;
  readonly advisory: string | null;
  readonly feed: FeedId;
  readonly record: string;
}

/**
 * What all sources together say of one vulnerability in one package of one release. Made by `union.ts` from the
 * statements; the only form in which matching reads knowledge.
 */
export interface Decision {
  readonly vulnerability: string;
  readonly ecosystem: Ecosystem;
  readonly release: string;
  readonly package: string;
  readonly packageKind: StatementFact['packageKind'];
  readonly module: string | null;
  /** `branch_only`: only branches say something, so it is said of their builds alone. */
  readonly status: StatementFact['status'] | 'branch_only';
  readonly introducedVersion: string | null;
  readonly fixedVersion: string | null;
  /** Windows: updates any of which brings the fix. */
  readonly updates: readonly string[];
  /** Successor channel that the fix is published in; null when everybody gets it. */
  readonly channel: string | null;
  readonly branchFixes: readonly BranchFix[];
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
  fixed: (s: StatementFact) =>
    `fixed ${s.fixedVersion === null ? `by ${s.updates.join(' or ')}` : `in ${s.fixedVersion}`}`,
  affected: (s: StatementFact) =>
    s.fixState === 'none_yet' ? 'not fixed yet' : `not fixed (${s.fixState.replaceAll('_', ' ')})`,
  not_affected: () => 'not affected',
  undetermined: () => 'not looked at yet',
} as const;

/** A statement in words: `debian-osv (CVE-2023-5363): fixed in 3.0.11-1~deb12u2`. */
export function claimOf({ feed, record, statement }: SourcedStatement): string {
  const where = statement.channel === null ? '' : ` for ${channelTitle(statement.channel)}`;
  return `${feed} (${record}): ${claims[statement.status](statement)}${where}`;
}

/** Decides every (vulnerability, package, release) that the statements speak of, but for withdrawn vulnerabilities. */
export function decideAll(
  statements: Iterable<SourcedStatement>,
  withdrawn: ReadonlySet<string> = new Set(),
): Decision[] {
  const groups = new Map<string, SourcedStatement[]>();
  for (const one of statements) {
    const { vulnerability, ecosystem, release, package: name, packageKind, module } = one.statement;
    if (withdrawn.has(vulnerability)) continue;
    const key = `${ecosystem}\t${release}\t${name}\t${packageKind}\t${module ?? ''}\t${vulnerability}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [one]);
    else group.push(one);
  }
  const decisions: Decision[] = [];
  for (const group of groups.values()) {
    const decision = decide(group);
    if (decision !== null) decisions.push(decision);
  }
  return decisions;
}

const channelOf = ({ statement }: SourcedStatement) =>
  statement.channel === null ? 'own' : channelKind(statement.channel);

/**
 * Decides one group. The release's own statements go first; where they name no fix and do not rule it out, a successor
 * channel's fix is taken, and the channel is said. Branches stand beside.
 */
function decide(group: readonly SourcedStatement[]): Decision | null {
  if (group.every(({ statement }) => statement.channel === null))
    return decisionOf(uniteStatements(group), []);
  const own = uniteStatements(group.filter((one) => channelOf(one) === 'own'));
  const successor = uniteStatements(group.filter((one) => channelOf(one) === 'successor'));
  const branches = branchFixes(group.filter((one) => channelOf(one) === 'branch'));
  const settled = own?.status === 'fixed' || own?.status === 'not_affected';
  const main =
    settled || successor === null ? own : successor.status === 'fixed' ? successor : (own ?? successor);
  if (main !== null) return decisionOf(main, branches);
  const [first] = group;
  const [branch] = branches;
  if (first === undefined || branch === undefined) return null;
  const { statement } = first;
  return {
    vulnerability: statement.vulnerability,
    ecosystem: statement.ecosystem,
    release: statement.release,
    package: statement.package,
    packageKind: statement.packageKind,
    module: statement.module,
    status: 'branch_only',
    introducedVersion: null,
    fixedVersion: null,
    updates: [],
    channel: null,
    branchFixes: branches,
    fixState: 'available',
    note: null,
    advisory: null,
    feed: branch.feed,
    record: branch.record,
    disagreements: [],
  };
}

/** One fix for each branch, by the same rule as for the release itself. */
function branchFixes(group: readonly SourcedStatement[]): BranchFix[] {
  const fixes: BranchFix[] = [];
  for (const [channel, list] of Map.groupBy(group, ({ statement }) => statement.channel ?? '')) {
    const union = uniteStatements(list);
    if (union?.status !== 'fixed' || union.fixedVersion === null || union.decidedBy === null) continue;
    const { feed, record } = union.decidedBy;
    fixes.push({ channel, fixedVersion: union.fixedVersion, advisory: union.advisory, feed, record });
  }
  return fixes.sort((a, b) => (a.channel < b.channel ? -1 : 1));
}

function decisionOf(union: Union | null, branches: readonly BranchFix[]): Decision | null {
  if (union === null || union.decidedBy === null || union.status === 'withdrawn') return null;
  const { statement, feed, record } = union.decidedBy;
  return {
    vulnerability: statement.vulnerability,
    ecosystem: statement.ecosystem,
    release: statement.release,
    package: statement.package,
    packageKind: statement.packageKind,
    module: statement.module,
    status: union.status,
    introducedVersion: union.introducedVersion,
    fixedVersion: union.fixedVersion,
    updates: union.updates,
    channel: statement.channel,
    branchFixes: branches,
    fixState: union.fixState,
    note: union.note,
    advisory: union.advisory,
    feed,
    record,
    disagreements: union.disagreements.map(claimOf),
  };
}
