import type { Decision } from '@fixpoint/core/knowledge/decision.ts';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { evidenceOf } from '@fixpoint/core/match/evidence.ts';
import { isKernelImage, kernelRelease, lookUp, matchSoftware } from '@fixpoint/core/match/match.ts';
import { compareVersions } from '@fixpoint/core/version/version.ts';
import type { Knowledge } from '../knowledge/read.ts';

/** What a scan says of one vulnerability in one source package. The names are those of the JSON output. */
export interface ScanFinding {
  readonly vulnerability: string;
  readonly title: string | null;
  /** Source package. */
  readonly package: string;
  /** Installed version of the source package; the oldest one where several are installed (kernels). */
  installed_version: string;
  /** Binary packages with their versions: `libssl3 3.0.17-1~deb12u2`. */
  readonly installed: string[];
  readonly fix_state: 'available' | 'none_yet' | 'will_not_fix' | 'end_of_life' | 'deferred';
  /** First version with the fix; null while there is none. */
  readonly fixed_version: string | null;
  /** The newest known patch of the package, which holds this fix and all others: `debian:12/openssl@3.0.22-1~deb12u2`. */
  readonly patch: string | null;
  readonly patch_version: string | null;
  readonly cvss: number | null;
  /** EPSS probability 0–1. */
  readonly epss: number | null;
  readonly exploited: boolean;
  readonly exploited_since: string | null;
  readonly ransomware: boolean;
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
  readonly vulnerabilities: string[];
  readonly reason: string;
  readonly what_to_do: string;
}

export interface Assessment {
  /** Exploited ones first, then by EPSS, CVSS and name. */
  readonly findings: ScanFinding[];
  readonly undetermined: ScanUndetermined[];
  /** Distinct binary packages with at least one finding. */
  readonly vulnerable_packages: number;
  /** Installed kernels that open no finding because another one runs. */
  readonly inert_kernels: readonly string[];
  /** Distinct source packages that were looked up. */
  readonly source_packages: number;
  /** Those of them about which no feed says anything: nothing is known of them, which does not mean safe. */
  readonly unknown_source_packages: readonly string[];
}

/** What is known of the kernel: `unknown` for a root folder, where nothing runs. */
export type RunningKernel =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'container' }
  | { readonly kind: 'running'; readonly release: string };

/** Judges the installed packages of one host by the knowledge of its release. Pure. */
export function assess(
  packages: readonly InstalledPackage[],
  knowledge: Knowledge,
  kernel: RunningKernel,
): Assessment {
  const undetermined: ScanUndetermined[] = [];
  const { counted, inert } = kernelsThatCount(packages, kernel, undetermined);
  const findings = new Map<string, ScanFinding>();
  const vulnerable = new Set<string>();
  const groups = groupBySource(packages, inert);
  for (const group of groups) {
    const [first] = group.software;
    if (first === undefined) continue;
    const concerning = knowledge.concerning(group.source, group.version);
    if (concerning.length === 0) continue;
    const newest = knowledge.newestFix(group.source);
    const names = group.software.map((one) => `${one.name} ${one.version}`);
    const unjudged = new Map<string, ScanUndetermined>();
    matchSoftware(
      first,
      { size: concerning.length, of: () => concerning },
      (kind, decision, comparison, rule) => {
        if (kind === 'undetermined') {
          const known = unjudged.get(rule);
          if (known !== undefined) known.vulnerabilities.push(decision.vulnerability);
          else unjudged.set(rule, notJudged(rule, group, names, decision));
          return;
        }
        if (kind !== 'vulnerable') return;
        for (const one of group.software) vulnerable.add(`${one.name}:${one.arch}`);
        const key = `${decision.vulnerability}\t${group.source}`;
        const same = findings.get(key);
        const evidence = evidenceOf(first, { kind, decision, comparison, rule });
        if (same !== undefined) {
          same.installed.push(...names);
          if (compareVersions('dpkg', group.version, same.installed_version) === 'less') {
            same.installed_version = group.version;
            same.why = evidence.sentence;
          }
          return;
        }
        const danger = knowledge.dangerOf(decision);
        const isKernel = isKernelImage(first);
        findings.set(key, {
          vulnerability: decision.vulnerability,
          title: danger.title,
          package: group.source,
          installed_version: group.version,
          installed: [...names],
          fix_state: decision.status === 'fixed' ? 'available' : decision.fixState,
          fixed_version: decision.fixedVersion,
          patch:
            decision.fixedVersion === null || newest === null
              ? null
              : `${decision.ecosystem}:${decision.release}/${group.source}@${newest}`,
          patch_version: decision.fixedVersion === null ? null : newest,
          cvss: danger.cvss,
          epss: danger.epss,
          exploited: danger.exploitedSince !== null,
          exploited_since: danger.exploitedSince,
          ransomware: danger.ransomware,
          source: { feed: evidence.feed, record: evidence.record, advisory: evidence.advisory },
          why:
            isKernel && counted === 'all'
              ? `${evidence.sentence} Installed, not known to run.`
              : evidence.sentence,
          rule,
          note: evidence.note,
          disagreements: evidence.disagreements,
          kernel: isKernel ? (counted === 'all' ? 'not_known_to_run' : 'running') : null,
        });
      },
    );
    undetermined.push(...unjudged.values());
  }
  const sources = [...new Set(groups.map((group) => group.source))];
  return {
    findings: [...findings.values()].sort(mostDangerousFirst),
    undetermined,
    vulnerable_packages: vulnerable.size,
    inert_kernels: [...inert].sort(),
    source_packages: sources.length,
    unknown_source_packages: sources.filter((source) => !knowledge.knows(source)).sort(),
  };
}

function notJudged(
  rule: string,
  { source, version }: SourceGroup,
  installed: readonly string[],
  decision: Decision,
): ScanUndetermined {
  const judged = { package: source, installed, vulnerabilities: [decision.vulnerability] };
  switch (rule) {
    case 'installed_version_unparseable':
      return {
        ...judged,
        reason: `The installed version “${version}” of ${source} is not a Debian version, so it cannot be compared.`,
        what_to_do: 'Install the package from the distribution, or ask whoever built it.',
      };
    case 'vendor_has_not_looked':
      return {
        ...judged,
        reason: `The vendor lists them for ${source} and has not said yet whether ${decision.ecosystem} ${decision.release} is affected.`,
        what_to_do: 'Scan again when the vendor has looked, or read what upstream says.',
      };
    default:
      return {
        ...judged,
        reason: `${decision.feed} names “${decision.fixedVersion ?? ''}” as the fixed version, which is not a Debian version.`,
        what_to_do: 'Look the vulnerability up at its source, and report the record to its publisher.',
      };
  }
}

function mostDangerousFirst(a: ScanFinding, b: ScanFinding): number {
  if (a.exploited !== b.exploited) return a.exploited ? -1 : 1;
  if (a.epss !== b.epss) return (b.epss ?? -1) - (a.epss ?? -1);
  if (a.cvss !== b.cvss) return (b.cvss ?? -1) - (a.cvss ?? -1);
  if (a.vulnerability !== b.vulnerability) return a.vulnerability < b.vulnerability ? -1 : 1;
  return a.package < b.package ? -1 : 1;
}

interface SourceGroup {
  readonly source: string;
  readonly version: string;
  readonly software: InstalledPackage[];
}

/** What is compared is the source package at a version, so binaries built from the same one are judged once. */
function groupBySource(packages: readonly InstalledPackage[], inert: ReadonlySet<string>): SourceGroup[] {
  const groups = new Map<string, SourceGroup>();
  for (const one of packages) {
    if (inert.has(one.name)) continue;
    const target = lookUp(one);
    if (target === null) continue;
    const key = `${target.source}\t${target.version}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { ...target, software: [one] });
    else group.software.push(one);
  }
  return [...groups.values()];
}

function kernelsThatCount(
  packages: readonly InstalledPackage[],
  kernel: RunningKernel,
  undetermined: ScanUndetermined[],
): { counted: 'all' | 'running'; inert: ReadonlySet<string> } {
  if (kernel.kind === 'unknown') return { counted: 'all', inert: new Set() };
  const images = packages.filter(isKernelImage);
  // A container runs its host's kernel; an image on its disk is never booted.
  if (kernel.kind === 'container')
    return { counted: 'running', inert: new Set(images.map((image) => image.name)) };
  const running = images.find((image) => kernelRelease(image.name) === kernel.release);
  if (running === undefined) {
    undetermined.push({
      package: 'linux',
      installed: [`kernel ${kernel.release}`],
      vulnerabilities: [],
      reason: `The running kernel ${kernel.release} comes from no installed package, so there is no vendor data to judge it by.`,
      what_to_do: 'Boot a kernel of the distribution, or track this kernel with its own vendor.',
    });
  }
  return {
    counted: 'running',
    inert: new Set(images.filter((image) => image !== running).map((image) => image.name)),
  };
}
