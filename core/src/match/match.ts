import { isBuiltIn, upstreamSeries } from '../knowledge/channel.ts';
import type { BranchFix, Decision } from '../knowledge/decision.ts';
import { isEcosystem, patchedBy, schemeOf } from '../knowledge/ecosystem.ts';
import {
  versionOrderings,
  type CheckedVersion,
  type VersionOrder,
  type VersionScheme,
} from '../version/version.ts';
import { isKernelImage, isKernelSource, kernelStatementSource } from './kernel.ts';

/**
 * Matching: one distinct software against what is decided about it. Debian, Ubuntu, Alpine and others publish per source
 * package and source version, Red Hat's family per installed package; so that is what is compared, never a product guess.
 */

/** As much of a software as matching reads. */
export interface MatchSoftware {
  readonly name: string;
  readonly version: string;
  readonly arch?: string;
  readonly source: string;
  readonly source_version: string;
  /** As in InstalledPackage. */
  readonly origin?: 'third_party' | 'unknown';
  readonly vendor?: string;
  readonly module?: string;
  readonly updates?: readonly string[];
}

export type VerdictKind = 'vulnerable' | 'fixed' | 'not_affected' | 'undetermined';

export interface Verdict {
  readonly kind: VerdictKind;
  readonly decision: Decision;
  /** How the installed version stands to the fixed one; null when there is nothing to compare. */
  readonly comparison: VersionOrder | null;
  readonly rule: MatchRule;
  /** The branch whose fix was compared with, when it was not the release's own. */
  readonly branch: BranchFix | null;
}

export type MatchRule =
  | 'older_than_fixed_version'
  | 'at_or_after_fixed_version'
  | 'older_than_introduced_version'
  | 'no_fix_published'
  | 'vendor_says_not_affected'
  | 'vendor_has_not_looked'
  | 'installed_version_unparseable'
  | 'fixed_version_unparseable'
  | 'versions_incomparable'
  | 'module_stream_unknown'
  | 'not_built_by_distribution'
  | 'origin_unknown';

/** A version of any scheme, parsed once; null when it cannot be. */
type Parsed = CheckedVersion | null;

interface ReadyBranch {
  readonly fix: BranchFix;
  readonly fixed: Parsed;
}

/** A decision whose versions have been parsed once, for all the software that it will be compared with. */
export interface ReadyDecision {
  readonly decision: Decision;
  /** Null when there is no fixed version, or when it cannot be parsed: `unparseable` tells which. */
  readonly fixed: Parsed;
  readonly unparseable: boolean;
  readonly introduced: Parsed;
  readonly branches: readonly ReadyBranch[];
}

/** The decisions of one ecosystem and release, by what they name. */
export interface DecisionIndex {
  readonly ecosystem: string;
  readonly size: number;
  ofSource(sourcePackage: string): readonly ReadyDecision[];
  ofBinary(name: string): readonly ReadyDecision[];
}

const none: readonly never[] = [];

function parsed(scheme: VersionScheme, text: string): Parsed {
  const result = versionOrderings[scheme].parse(text);
  return result.ok ? result.version : null;
}

/** Parses the versions of a decision. */
export function readyDecision(decision: Decision): ReadyDecision {
  const scheme = schemeOf(decision.ecosystem);
  const parse = (version: string | null): Parsed => (version === null ? null : parsed(scheme, version));
  const fixed = parse(decision.fixedVersion);
  return {
    decision,
    fixed,
    unparseable: decision.fixedVersion !== null && fixed === null,
    introduced: parse(decision.introducedVersion),
    branches:
      decision.branchFixes.length === 0
        ? none
        : decision.branchFixes.map((fix) => ({ fix, fixed: parse(fix.fixedVersion) })),
  };
}

/** Index of the decisions of one product. */
export function indexDecisions(decisions: Iterable<Decision>): DecisionIndex {
  const bySource = new Map<string, ReadyDecision[]>();
  const byBinary = new Map<string, ReadyDecision[]>();
  let size = 0;
  let ecosystem = 'debian';
  for (const decision of decisions) {
    ({ ecosystem } = decision);
    const named = decision.packageKind === 'source' ? bySource : byBinary;
    const ready = readyDecision(decision);
    const list = named.get(decision.package);
    if (list === undefined) named.set(decision.package, [ready]);
    else list.push(ready);
    size += 1;
  }
  return {
    ecosystem,
    size,
    ofSource: (sourcePackage) => bySource.get(sourcePackage) ?? none,
    ofBinary: (name) => byBinary.get(name) ?? none,
  };
}

/** Where a software is looked up, and by which versions it is judged. */
export interface LookUp {
  /** Source package, and the version to compare with statements about it. */
  readonly source: string;
  readonly sourceVersion: string;
  /** The package and version that a patch of it is named by (`patchedBy` of the ecosystem). */
  readonly package: string;
  readonly version: string;
}

/** Debug symbols and sources of a package: nothing of them runs. */
function isDebug(name: string): boolean {
  return (
    (name.includes('-dbg') || name.includes('-debug')) &&
    /-(?:dbg|dbgsym|debuginfo|debugsource)$|-debuginfo-common(?:-|$)/u.test(name)
  );
}

/**
 * Where to look up a software; null for what carries no code that any statement is about: debug symbols, and whatever is
 * built from a kernel's source without being a kernel (`kernel.ts`).
 *
 * Kernel images are built twice on Debian and Ubuntu: source `linux` makes unsigned images, `linux-signed-ARCH` wraps the
 * same build with signatures and a version of its own (`6.1.106+3` for `6.1.106-3`); statements are about `linux`, so an
 * image is looked up there by its binary version, which is that of `linux`.
 */
export function lookUp(ecosystem: string, software: MatchSoftware): LookUp | null {
  const { name, version } = software;
  if (isDebug(name)) return null;
  let { source, source_version: sourceVersion } = software;
  if (isKernelSource(source)) {
    if (!isKernelImage(software)) return null;
    source = kernelStatementSource(source);
    sourceVersion = version;
  }
  return patchedBy(ecosystem) === 'binary'
    ? { source, sourceVersion, package: name, version }
    : { source, sourceVersion, package: source, version: sourceVersion };
}

type Found = (
  kind: VerdictKind,
  decision: Decision,
  comparison: VersionOrder | null,
  rule: MatchRule,
  branch: BranchFix | null,
) => void;

/**
 * Calls `found` for each decision about the software. `fixed` and `not_affected` are answers too, and cost no allocation
 * unless `found` keeps them. What is said of the installed package goes before what is said of its source as a whole.
 */
export function matchSoftware(software: MatchSoftware, index: DecisionIndex, found: Found): void {
  const target = lookUp(index.ecosystem, software);
  if (target === null) return;
  const binary = index.ofBinary(software.name);
  const source = index.ofSource(target.source);
  if (binary.length > 0) matchList(software, binary, software.version, index, found);
  if (source.length === 0) return;
  if (binary.length === 0) {
    matchList(software, source, target.sourceVersion, index, found);
    return;
  }
  const said = new Set<string>();
  for (const ready of binary) {
    const { decision } = ready;
    // A fix of a branch that this is no build of says nothing, and silences nobody.
    const isSilent = decision.status === 'branch_only' && branchOf(ready, software.version) === null;
    if (!isSilent && concernsModule(decision, software)) said.add(decision.vulnerability);
  }
  const rest = source.filter(({ decision }) => !said.has(decision.vulnerability));
  matchList(software, rest, target.sourceVersion, index, found);
}

/** Whether a statement about a module stream, or about no module, speaks of this software at all. */
function concernsModule(decision: Decision, software: MatchSoftware): boolean {
  if (decision.module === null) return software.module === undefined;
  if (software.module === undefined) return false;
  return decision.module === '?' || decision.module === software.module;
}

function matchList(
  software: MatchSoftware,
  decisions: readonly ReadyDecision[],
  version: string,
  index: DecisionIndex,
  found: Found,
): void {
  const foreign =
    software.origin === undefined
      ? null
      : software.origin === 'third_party'
        ? 'not_built_by_distribution'
        : 'origin_unknown';
  const scheme = schemeOf(index.ecosystem);
  const ordering = versionOrderings[scheme];
  const installed = parsed(scheme, version);
  /** Of a foreign package: what has been answered, since statements about several streams come to one answer. */
  const answered = foreign === null ? null : new Set<string>();
  for (const ready of decisions) {
    const { decision, fixed } = ready;
    if (answered?.has(decision.vulnerability) === true) continue;
    if ((decision.module !== null || software.module !== undefined) && !concernsModule(decision, software)) {
      // Of the distribution's own packages another stream's statement says nothing. But somebody else's build of what the
      // distribution has in modules is not safe because it is in none of them.
      if (answered === null || software.module !== undefined) continue;
    }
    const branch = ready.branches.length === 0 ? null : branchOf(ready, version);
    if (decision.status === 'branch_only' && branch === null) continue;
    if (foreign !== null) {
      // Not even "not affected" holds for what the vendor did not build.
      answered?.add(decision.vulnerability);
      found('undetermined', decision, null, foreign, null);
    } else if (decision.status === 'not_affected') {
      found('not_affected', decision, null, 'vendor_says_not_affected', null);
    } else if (decision.module === '?') {
      found('undetermined', decision, null, 'module_stream_unknown', null);
    } else if (decision.status === 'undetermined') {
      found('undetermined', decision, null, 'vendor_has_not_looked', null);
    } else if (decision.status === 'affected' && branch === null) {
      if (
        installed !== null &&
        ready.introduced !== null &&
        ordering.compare(installed, ready.introduced) === 'less'
      ) {
        found('not_affected', decision, 'less', 'older_than_introduced_version', null);
      } else found('vulnerable', decision, null, 'no_fix_published', null);
    } else {
      const against = branch === null ? fixed : branch.fixed;
      const fix = branch === null ? null : branch.fix;
      if (against === null) {
        found('undetermined', decision, 'unparseable', 'fixed_version_unparseable', fix);
      } else if (installed === null) {
        found('undetermined', decision, 'unparseable', 'installed_version_unparseable', fix);
      } else {
        const order = ordering.compare(installed, against);
        if (branch === null && isAnotherKernelSeries(software, decision)) {
          found('undetermined', decision, 'incomparable', 'versions_incomparable', fix);
        } else if (order === 'less') {
          if (ready.introduced !== null && ordering.compare(installed, ready.introduced) === 'less') {
            found('not_affected', decision, 'less', 'older_than_introduced_version', null);
          } else found('vulnerable', decision, 'less', 'older_than_fixed_version', fix);
        } else if (order === 'equal' || order === 'greater') {
          found('fixed', decision, order, 'at_or_after_fixed_version', fix);
        } else found('undetermined', decision, order, 'versions_incomparable', fix);
      }
    }
  }
}

/**
 * Amazon Linux has kernels of several upstream series under one package name: the fix of one says nothing about another.
 */
function isAnotherKernelSeries(software: MatchSoftware, decision: Decision): boolean {
  return (
    decision.ecosystem === 'amazon' &&
    decision.fixedVersion !== null &&
    isKernelImage(software) &&
    upstreamSeries(software.version) !== upstreamSeries(decision.fixedVersion)
  );
}

/** The branch that the installed version was built in, when a fix is published there. */
function branchOf(ready: ReadyDecision, installed: string): ReadyBranch | null {
  for (const branch of ready.branches) {
    if (isBuiltIn(branch.fix.channel, installed, branch.fix.fixedVersion)) return branch;
  }
  return null;
}

/** The verdicts that are not "safe": what is stored and shown. */
export function concerns(software: MatchSoftware, index: DecisionIndex): Verdict[] {
  const verdicts: Verdict[] = [];
  matchSoftware(software, index, (kind, decision, comparison, rule, branch) => {
    if (kind === 'vulnerable' || kind === 'undetermined') {
      verdicts.push({ kind, decision, comparison, rule, branch });
    }
  });
  return verdicts;
}

/** Whether packages of the system can be matched at all. */
export function isMatchable(ecosystem: string): boolean {
  return isEcosystem(ecosystem);
}
