import { kernelImages } from '@fixpoint/core/finding/exposure.ts';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { ecosystems, isEcosystem, patchedBy } from '@fixpoint/core/knowledge/ecosystem.ts';
import { isKernelImage } from '@fixpoint/core/match/kernel.ts';
import {
  lookUp,
  matchSoftware,
  type DecisionIndex,
  type LookUp,
  type Verdict,
} from '@fixpoint/core/match/match.ts';
import type { Knowledge } from '../knowledge/read.ts';

/** An installed package, and by what its list (an SBOM) refers to it. */
export interface ScanPackage extends InstalledPackage {
  /** `bom-ref` or `SPDXID` of the SBOM it is from. */
  readonly ref?: string;
}

/** Installed packages that are judged as one: what statements name of them, and everything that counts, is the same. */
export interface PackageGroup extends LookUp {
  readonly packages: readonly [ScanPackage, ...ScanPackage[]];
  readonly isKernel: boolean;
}

/** What is known of the kernel: `unknown` for a root folder, where nothing runs. */
export type RunningKernel =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'container' }
  | { readonly kind: 'running'; readonly release: string };

/** Which of the installed kernels count. */
export interface KernelsThatCount {
  /** `all`: it is not known which one runs. */
  readonly counted: 'all' | 'running';
  readonly inert: ReadonlySet<ScanPackage>;
  /** The running kernel when no package brought it; else null. */
  readonly foreign: string | null;
}

export function kernelsThatCount(packages: readonly ScanPackage[], kernel: RunningKernel): KernelsThatCount {
  if (kernel.kind === 'unknown') return { counted: 'all', inert: new Set(), foreign: null };
  const { images, running } = kernelImages(
    kernel.kind === 'container'
      ? { machine: 'container', running_kernel: '', kernels: [] }
      : { machine: 'physical_or_virtual', running_kernel: kernel.release, kernels: [] },
    packages,
  );
  return {
    counted: 'running',
    inert: new Set(images.filter((image) => !running.includes(image))),
    foreign: kernel.kind === 'running' && running.length === 0 ? kernel.release : null,
  };
}

/** What carries no code that runs (debug symbols, kernel headers) and kernels that do not run are in no group. */
export function groupPackages(
  packages: readonly ScanPackage[],
  knowledge: Knowledge,
  inert: ReadonlySet<ScanPackage>,
): PackageGroup[] {
  const { ecosystem } = knowledge.header;
  const groups = new Map<string, LookUp & { packages: [ScanPackage, ...ScanPackage[]]; isKernel: boolean }>();
  for (const one of packages) {
    if (inert.has(one)) continue;
    const target = lookUp(ecosystem, one);
    if (target === null) continue;
    const ofBinary = patchedBy(ecosystem) === 'binary' || knowledge.knows('binary', one.name);
    const named = ofBinary
      ? `b\t${one.name}\t${one.version}`
      : `s\t${target.source}\t${target.sourceVersion}`;
    const key =
      one.origin === undefined && one.module === undefined
        ? named
        : `${named}\t${one.module ?? ''}\t${one.origin ?? ''}\t${one.vendor ?? ''}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { ...target, packages: [one], isKernel: isKernelImage(one) });
    else group.packages.push(one);
  }
  return [...groups.values()];
}

/**
 * Calls `found` for every verdict about the group.
 *
 * @param index what is known: all of it, or what concerns the group ({@link Knowledge.concerning})
 * @param everything also `fixed` and `not_affected`
 */
export function judgeGroup(
  group: PackageGroup,
  index: DecisionIndex,
  everything: boolean,
  found: (verdict: Verdict) => void,
): void {
  const [first] = group.packages;
  matchSoftware(first, index, (kind, decision, comparison, rule, branch) => {
    if (everything || kind === 'vulnerable' || kind === 'undetermined')
      found({ kind, decision, comparison, rule, branch });
  });
}

/** What a kernel of the system is called where no package names it. */
export function kernelName(ecosystem: string): string {
  return isEcosystem(ecosystem) && ecosystems[ecosystem].family === 'rpm' ? 'kernel' : 'linux';
}
