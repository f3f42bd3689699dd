import type { Decision } from '../knowledge/decision.ts';
import { compareDpkg, parseDpkg, type DpkgVersion } from '../version/dpkg.ts';
import type { VersionOrder } from '../version/version.ts';

/**
 * Matching: one distinct software against what is decided about its source package. Debian publishes per source package
 * and source version, so that is what is compared, never the binary's name or a product guess.
 */

/** As much of a software as matching reads. */
export interface MatchSoftware {
  readonly name: string;
  readonly version: string;
  readonly source: string;
  readonly source_version: string;
}

export type VerdictKind = 'vulnerable' | 'fixed' | 'not_affected' | 'undetermined';

export interface Verdict {
  readonly kind: VerdictKind;
  readonly decision: Decision;
  /** How the installed source version stands to the fixed one; null when there is nothing to compare. */
  readonly comparison: VersionOrder | null;
  readonly rule: MatchRule;
}

export type MatchRule =
  | 'older_than_fixed_version'
  | 'at_or_after_fixed_version'
  | 'no_fix_published'
  | 'vendor_says_not_affected'
  | 'vendor_has_not_looked'
  | 'installed_version_unparseable'
  | 'fixed_version_unparseable';

/** A decision whose version has been parsed once, for all the software that it will be compared with. */
interface ReadyDecision {
  readonly decision: Decision;
  /** Null when there is no fixed version, or when it cannot be parsed: `unparseable` tells which. */
  readonly fixed: DpkgVersion | null;
  readonly unparseable: boolean;
}

/** The decisions of one ecosystem and release, by source package. */
export interface DecisionIndex {
  readonly size: number;
  of(sourcePackage: string): readonly ReadyDecision[];
}

const none: readonly ReadyDecision[] = [];

export function indexDecisions(decisions: Iterable<Decision>): DecisionIndex {
  const bySource = new Map<string, ReadyDecision[]>();
  let size = 0;
  for (const decision of decisions) {
    const parsed = decision.fixedVersion === null ? null : parseDpkg(decision.fixedVersion);
    const ready: ReadyDecision = {
      decision,
      fixed: parsed?.ok === true ? parsed.version : null,
      unparseable: parsed !== null && !parsed.ok,
    };
    const list = bySource.get(decision.package);
    if (list === undefined) bySource.set(decision.package, [ready]);
    else list.push(ready);
    size += 1;
  }
  return { size, of: (sourcePackage) => bySource.get(sourcePackage) ?? none };
}

/**
 * The source package and version to look up for a software.
 *
 * Kernel images are built twice on Debian: source `linux` makes unsigned images, source `linux-signed-ARCH` wraps the same
 * build with signatures and a version of its own (`6.1.106+3` for `6.1.106-3`); statements are about `linux`, so a signed
 * image is looked up there by its binary version, which is that of `linux`.
 *
 * Only an image can run: `linux-libc-dev`, `linux-headers-*` and the tools built from the same source carry no kernel code,
 * and a statement about the kernel says nothing of them. They answer null.
 */
export function lookUp(software: MatchSoftware): { source: string; version: string } | null {
  const kernel = software.source === 'linux' || software.source.startsWith('linux-signed-');
  if (!kernel) return { source: software.source, version: software.source_version };
  return isKernelImage(software) ? { source: 'linux', version: software.version } : null;
}

/** A bootable kernel of Debian: `linux-image-6.1.0-25-amd64`, not the meta package `linux-image-amd64`. */
export function isKernelImage(software: Pick<MatchSoftware, 'name'>): boolean {
  return /^linux-image-\d/.test(software.name) && !software.name.endsWith('-dbg');
}

/** The `uname -r` of an image package. */
export function kernelRelease(packageName: string): string {
  return packageName.slice('linux-image-'.length).replace(/-unsigned$/, '');
}

/**
 * Calls `found` for each decision about the software's source package. `fixed` and `not_affected` are answers too, and cost
 * no allocation unless `found` keeps them.
 */
export function matchSoftware(
  software: MatchSoftware,
  index: DecisionIndex,
  found: (kind: VerdictKind, decision: Decision, comparison: VersionOrder | null, rule: MatchRule) => void,
): void {
  const target = lookUp(software);
  if (target === null) return;
  const decisions = index.of(target.source);
  if (decisions.length === 0) return;
  const parsed = parseDpkg(target.version);
  const installed = parsed.ok ? parsed.version : null;
  for (const { decision, fixed, unparseable } of decisions) {
    if (decision.status === 'not_affected') {
      found('not_affected', decision, null, 'vendor_says_not_affected');
    } else if (decision.status === 'undetermined') {
      found('undetermined', decision, null, 'vendor_has_not_looked');
    } else if (decision.status === 'affected') {
      found('vulnerable', decision, null, 'no_fix_published');
    } else if (unparseable || fixed === null) {
      found('undetermined', decision, 'unparseable', 'fixed_version_unparseable');
    } else if (installed === null) {
      found('undetermined', decision, 'unparseable', 'installed_version_unparseable');
    } else {
      const order = compareDpkg(installed, fixed);
      if (order < 0) found('vulnerable', decision, 'less', 'older_than_fixed_version');
      else found('fixed', decision, order === 0 ? 'equal' : 'greater', 'at_or_after_fixed_version');
    }
  }
}

/** The verdicts that are not "safe": what is stored and shown. */
export function concerns(software: MatchSoftware, index: DecisionIndex): Verdict[] {
  const verdicts: Verdict[] = [];
  matchSoftware(software, index, (kind, decision, comparison, rule) => {
    if (kind === 'vulnerable' || kind === 'undetermined') verdicts.push({ kind, decision, comparison, rule });
  });
  return verdicts;
}
