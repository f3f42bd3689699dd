import type { Decision } from '@fixpoint/core/knowledge/decision.ts';
import { productTitle, schemeOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import { patchId } from '@fixpoint/core/knowledge/patch.ts';
import type { ExploitMaturity } from '@fixpoint/core/knowledge/threat.ts';
import { evidenceOf } from '@fixpoint/core/match/evidence.ts';
import type { DecisionIndex, MatchRule, Verdict } from '@fixpoint/core/match/match.ts';
import {
  compareVersions,
  schemeTitle,
  versionOrderings,
  type CheckedVersion,
} from '@fixpoint/core/version/version.ts';
import type { Knowledge } from '../knowledge/read.ts';
import {
  groupPackages,
  judgeGroup,
  kernelName,
  kernelsThatCount,
  type PackageGroup,
  type RunningKernel,
  type ScanPackage,
} from './judge.ts';

/** What a scan says of one vulnerability in one package. The names are those of the JSON output. */
export interface ScanFinding {
  readonly vulnerability: string;
  readonly title: string | null;
  /** What a patch is named by: the source package, or the installed one where the vendor's errata name those. */
  readonly package: string;
  /** Installed version of it; the oldest one where several are installed (kernels). */
  installed_version: string;
  /** Installed packages with their versions: `libssl3 3.0.17-1~deb12u2`. */
  readonly installed: string[];
  readonly fix_state: 'available' | 'none_yet' | 'will_not_fix' | 'end_of_life' | 'deferred';
  /** First version with the fix; null while there is none. */
  readonly fixed_version: string | null;
  /** Support channel that the fix comes from, in words; null when everybody gets it. */
  readonly channel: string | null;
  /** The newest known patch of the package, which holds this fix and all others: `debian:12/openssl@3.0.22-1~deb12u2`. */
  readonly patch: string | null;
  readonly patch_version: string | null;
  readonly cvss: number | null;
  /** EPSS probability 0–1. */
  readonly epss: number | null;
  readonly exploited: boolean;
  readonly exploited_since: string | null;
  readonly ransomware: boolean;
  readonly exploit_maturity: ExploitMaturity;
  readonly source: {
    readonly feed: string | null;
    readonly record: string | null;
    readonly advisory: string | null;
  };
  /** One sentence. */
  why: string;
  readonly rule: string;
  readonly note: string | null;
  readonly disagreements: readonly string[];
  /** For kernels: whether it is the running one. */
  readonly kernel: 'running' | 'not_known_to_run' | null;
}

/** Something that could not be judged, and so is neither vulnerable nor safe. */
export interface ScanUndetermined {
  readonly package: string;
  readonly installed: readonly string[];
  /** Empty when not even that is known. */
  readonly vulnerabilities: string[];
  /** snake_case, stable: the rule of the verdict, or why a package could not be placed. */
  readonly code: string;
  readonly reason: string;
  readonly what_to_do: string;
}

/** A package that the distribution did not build, or of which nobody can say who did. */
export interface ForeignPackage {
  readonly package: string;
  readonly version: string;
  readonly origin: 'third_party' | 'unknown';
  readonly vendor: string | null;
}

export interface Assessment {
  /** Exploited ones first, then by EPSS, CVSS and name. */
  readonly findings: ScanFinding[];
  readonly undetermined: ScanUndetermined[];
  /** Distinct installed packages with at least one finding. */
  readonly vulnerable_packages: number;
  /** Installed kernels that open no finding because another one runs. */
  readonly inert_kernels: readonly string[];
  /** Distinct source packages that were looked up. */
  readonly source_packages: number;
  /** Those of them about which no feed says anything: nothing is known of them, which does not mean safe. */
  readonly unknown_source_packages: readonly string[];
  readonly foreign_packages: readonly ForeignPackage[];
}

/** Which installed packages a finding, or what is undetermined, is about. */
export type AffectedPackages = ReadonlyMap<ScanFinding | ScanUndetermined, readonly ScanPackage[]>;

/** Judges the installed packages of one host by the knowledge of its release. Pure. */
export function assess(
  packages: readonly ScanPackage[],
  knowledge: Knowledge,
  kernel: RunningKernel,
): Assessment & { readonly affected: AffectedPackages } {
  const undetermined: ScanUndetermined[] = [];
  const kernels = kernelsThatCount(packages, kernel);
  if (kernels.foreign !== null) undetermined.push(foreignKernel(kernels.foreign, knowledge.header.ecosystem));
  const findings = new Map<string, ScanFinding>();
  const affected = new Map<ScanFinding | ScanUndetermined, ScanPackage[]>();
  const vulnerable = new Set<ScanPackage>();
  const groups = groupPackages(packages, knowledge, kernels.inert);
  for (const group of groups) {
    const [first] = group.packages;
    const index = knowledge.concerning(first);
    // Nearly always: it is up to date.
    if (index.size === 0) continue;
    const names = group.packages.map((one) => `${one.name} ${one.version}`);
    const unjudged = new Map<string, ScanUndetermined>();
    const patches = new Map<string, string | null>();
    judgeGroup(group, index, false, (verdict) => {
      const { kind, decision, rule } = verdict;
      if (kind === 'undetermined') {
        const known = unjudged.get(rule);
        if (known !== undefined) known.vulnerabilities.push(decision.vulnerability);
        else {
          const one = notJudged(rule, group, names, decision);
          unjudged.set(rule, one);
          affected.set(one, [...group.packages]);
        }
        return;
      }
      for (const one of group.packages) vulnerable.add(one);
      const key = `${decision.vulnerability}\t${group.package}`;
      const same = findings.get(key);
      const evidence = evidenceOf(first, verdict);
      if (same !== undefined) {
        same.installed.push(...names);
        affected.get(same)?.push(...group.packages);
        const scheme = schemeOf(decision.ecosystem);
        if (compareVersions(scheme, group.version, same.installed_version) === 'less') {
          same.installed_version = group.version;
          same.why = evidence.sentence;
        }
        return;
      }
      const danger = knowledge.dangerOf(decision);
      const notKnownToRun = group.isKernel && kernels.counted === 'all';
      const patchVersion = newestPatch(verdict, index, patches);
      const finding: ScanFinding = {
        vulnerability: decision.vulnerability,
        title: danger.title,
        package: group.package,
        installed_version: group.version,
        installed: [...names],
        fix_state: evidence.fixed_version === null ? decision.fixState : 'available',
        fixed_version: evidence.fixed_version,
        channel: evidence.channel ?? null,
        patch:
          patchVersion === null
            ? null
            : patchId({
                ecosystem: decision.ecosystem,
                release: decision.release,
                package: group.package,
                version: patchVersion,
              }),
        patch_version: patchVersion,
        cvss: danger.cvss,
        epss: danger.epss,
        exploited: danger.exploitedSince !== null,
        exploited_since: danger.exploitedSince,
        ransomware: danger.ransomware,
        exploit_maturity: danger.maturity,
        source: { feed: evidence.feed, record: evidence.record, advisory: evidence.advisory },
        why: notKnownToRun ? `${evidence.sentence} Installed, not known to run.` : evidence.sentence,
        rule,
        note: evidence.note,
        disagreements: evidence.disagreements,
        kernel: group.isKernel ? (notKnownToRun ? 'not_known_to_run' : 'running') : null,
      };
      findings.set(key, finding);
      affected.set(finding, [...group.packages]);
    });
    undetermined.push(...unjudged.values());
  }
  const known = new Map<string, boolean>();
  for (const { source, packages: built } of groups) {
    const isKnown =
      knowledge.knows('source', source) || built.some((one) => knowledge.knows('binary', one.name));
    known.set(source, isKnown || known.get(source) === true);
  }
  return {
    findings: [...findings.values()].sort(mostDangerousFirst),
    undetermined,
    vulnerable_packages: vulnerable.size,
    inert_kernels: [...kernels.inert].map(kernelLabel).sort(),
    source_packages: known.size,
    unknown_source_packages: [...known].flatMap(([source, isKnown]) => (isKnown ? [] : [source])).sort(),
    foreign_packages: packages.flatMap((one) =>
      one.origin === undefined
        ? []
        : [{ package: one.name, version: one.version, origin: one.origin, vendor: one.vendor ?? null }],
    ),
    affected,
  };
}

/** Debian's kernels bear the release in their name; RPM installs many versions under one name. */
function kernelLabel({ name, version }: ScanPackage): string {
  return /\d/u.test(name) ? name : `${name} ${version}`;
}

/**
 * The newest fix of the same package that the same hosts get: of the same module stream, and from the release's own
 * repositories or the channel that this fix is from. `memo` is of one group: a kernel has thousands of decisions.
 */
function newestPatch(
  { decision, branch }: Verdict,
  index: DecisionIndex,
  memo: Map<string, string | null>,
): string | null {
  const fixedVersion = branch === null ? decision.fixedVersion : branch.fixedVersion;
  if (fixedVersion === null) return null;
  const { packageKind, module, channel } = decision;
  const key = `${packageKind}\t${module ?? ''}\t${channel ?? ''}\t${branch?.channel ?? ''}`;
  let newest = memo.get(key);
  if (newest === undefined) {
    const list =
      packageKind === 'source' ? index.ofSource(decision.package) : index.ofBinary(decision.package);
    const { compare } = versionOrderings[schemeOf(decision.ecosystem)];
    let highest: CheckedVersion | null = null;
    for (const ready of list) {
      const other = ready.decision;
      if (other.module !== module) continue;
      const fixes =
        branch !== null
          ? ready.branches.flatMap(({ fix, fixed }) => (fix.channel === branch.channel ? [fixed] : []))
          : other.channel === null || other.channel === channel
            ? [ready.fixed]
            : [];
      for (const fixed of fixes)
        if (fixed !== null && (highest === null || compare(highest, fixed) === 'less')) highest = fixed;
    }
    newest = highest === null ? null : highest.text;
    memo.set(key, newest);
  }
  return newest ?? fixedVersion;
}

function foreignKernel(release: string, ecosystem: string): ScanUndetermined {
  return {
    package: kernelName(ecosystem),
    installed: [`kernel ${release}`],
    vulnerabilities: [],
    code: 'kernel_from_no_package',
    reason: `The running kernel ${release} comes from no installed package, so there is no vendor data to judge it by.`,
    what_to_do: 'Boot a kernel of the distribution, or track this kernel with its own vendor.',
  };
}

function notJudged(
  rule: MatchRule,
  { package: name, version, packages }: PackageGroup,
  installed: readonly string[],
  decision: Decision,
): ScanUndetermined {
  const [first] = packages;
  const where = productTitle(decision);
  const scheme = schemeTitle(schemeOf(decision.ecosystem));
  const judged = { package: name, installed, vulnerabilities: [decision.vulnerability], code: rule };
  switch (rule) {
    case 'installed_version_unparseable':
      return {
        ...judged,
        reason: `The installed version “${version}” of ${name} is not ${scheme}, so it cannot be compared.`,
        what_to_do: 'Install the package from the distribution, or ask whoever built it.',
      };
    case 'vendor_has_not_looked':
      return {
        ...judged,
        reason: `The vendor lists them for ${name} and has not said yet whether ${where} is affected.`,
        what_to_do: 'Scan again when the vendor has looked, or read what upstream says.',
      };
    case 'module_stream_unknown':
      return {
        ...judged,
        reason: `They are fixed in a module of ${where}, and the records do not say of which stream, so ${name} ${version} cannot be compared.`,
        what_to_do: 'Read the advisory for the stream that it is about.',
      };
    case 'not_built_by_distribution':
      return {
        ...judged,
        reason: `${first.name} ${first.version} was built by ${first.vendor ?? 'somebody else'}, not by ${where}, whose data says nothing about this build.`,
        what_to_do: 'Ask whoever built it, or install the package of the distribution.',
      };
    case 'origin_unknown':
      return {
        ...judged,
        reason: `Nobody can say who built ${first.name} ${first.version}, so the data of ${where} may not apply to it.`,
        what_to_do: 'Refresh the package lists of the system, or install the package of the distribution.',
      };
    case 'versions_incomparable':
      return {
        ...judged,
        reason: `${name} ${version} and the fixed version are of different branches, so neither is older than the other.`,
        what_to_do: 'Read what the vendor says about the branch that is installed.',
      };
    default:
      return {
        ...judged,
        reason: `${decision.feed} names “${decision.fixedVersion ?? ''}” as the fixed version, which is not ${scheme}.`,
        what_to_do: 'Look the vulnerability up at its source, and report the record to its publisher.',
      };
  }
}

export function mostDangerousFirst(a: ScanFinding, b: ScanFinding): number {
  if (a.exploited !== b.exploited) return a.exploited ? -1 : 1;
  if (a.epss !== b.epss) return (b.epss ?? -1) - (a.epss ?? -1);
  if (a.cvss !== b.cvss) return (b.cvss ?? -1) - (a.cvss ?? -1);
  if (a.vulnerability !== b.vulnerability) return a.vulnerability < b.vulnerability ? -1 : 1;
  return a.package < b.package ? -1 : 1;
}
