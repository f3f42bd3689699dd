import type { Candidate, InstalledPackage } from '../inventory/inventory.ts';
import { compareText } from '../knowledge/compare-text.ts';
import { schemeOf } from '../knowledge/ecosystem.ts';
import { patchId } from '../knowledge/patch.ts';
import { imageBrought, isKernelSource } from '../match/kernel.ts';
import { lookUp } from '../match/match.ts';
import { compareVersions } from '../version/version.ts';
import type { AddedPackage, PlanAsset, PlanPatch, PlannedPackage } from './plan.ts';
import { kernelsOfPatch } from './select-kernel.ts';

/** What one patch means on one asset: packages, or the reason why there are none. */
export type PatchOnAsset =
  | {
      readonly ok: true;
      readonly packages: readonly PlannedPackage[];
      /** What is known to come newly with them: a kernel with its meta package. */
      readonly added: readonly AddedPackage[];
      /** The source version that every planned package of the patch reaches at least. */
      readonly sourceVersion: string;
      /** Ids of the patches that are really taken; a newer one than asked for where the repositories offer that. */
      readonly patchIds: readonly string[];
      readonly downloadBytes: number;
    }
  | {
      readonly ok: false;
      readonly reason: 'other_release' | 'not_installed' | 'already_fixed' | 'package_held' | 'not_offered';
      readonly message: string;
    };

type AssetInventory = NonNullable<PlanAsset['inventory']>;

/**
 * The packages that bring one patch to one asset: every installed binary package of the patch's source that is older than the
 * patch, each to the candidate that the asset's own repositories offer. All of them or none: binaries of one source depend on
 * each other's exact version, and one left behind would keep the vulnerability.
 */
export function packagesOfPatch(patch: PlanPatch, inventory: AssetInventory): PatchOnAsset {
  const { product } = inventory;
  if (product?.ecosystem !== patch.ecosystem || product.release !== patch.release) {
    const has = product === null ? 'of an unknown release' : `${product.ecosystem}:${product.release}`;
    return {
      ok: false,
      reason: 'other_release',
      message: `${patch.id} is for another release; this asset is ${has}`,
    };
  }
  const { ecosystem } = patch;
  const scheme = schemeOf(ecosystem);
  const installed = newestOfEach(
    ecosystem,
    inventory.packages.filter((p) => lookUp(ecosystem, p)?.package === patch.package),
  );
  if (installed.length === 0) {
    return { ok: false, reason: 'not_installed', message: `no package of ${patch.package} is installed` };
  }
  const older: InstalledPackage[] = [];
  for (const p of installed) {
    const order = compareVersions(scheme, versionOf(ecosystem, p), patch.version);
    if (order === 'less') older.push(p);
    else if (order === 'unparseable' || order === 'incomparable') {
      return {
        ok: false,
        reason: 'not_offered',
        message: `the version ${versionOf(ecosystem, p)} of ${p.name} cannot be compared with ${patch.version}`,
      };
    }
  }
  if (older.length === 0) {
    const versions = [...new Set(installed.map((p) => versionOf(ecosystem, p)))].join(', ');
    return {
      ok: false,
      reason: 'already_fixed',
      message: `${patch.package} is at ${versions}, which is not older than ${patch.version}`,
    };
  }
  if (isDebKernel(patch)) {
    const there = installed.find((p) => !older.includes(p));
    if (there !== undefined) {
      return {
        ok: false,
        reason: 'already_fixed',
        message: `${there.name} ${there.version} is installed, which is not older than ${patch.version}; it runs after a reboot if it does not yet`,
      };
    }
    return kernelsOfPatch(patch, older, inventory);
  }
  const held = older.filter((p) => inventory.held.includes(p.name));
  if (held.length > 0) {
    return {
      ok: false,
      reason: 'package_held',
      message: `on hold on the asset: ${names(held)} (apt-mark unhold would release it)`,
    };
  }
  return offeredPackages(patch, older, inventory.candidates);
}

/** Kernels of several ABIs stand beside each other on Debian and Ubuntu; of RPM, each is installed beside the last under one name. */
function isDebKernel(patch: PlanPatch): boolean {
  return schemeOf(patch.ecosystem) === 'dpkg' && isKernelSource(patch.package);
}

function offeredPackages(
  patch: PlanPatch,
  older: readonly InstalledPackage[],
  candidates: readonly Candidate[],
): PatchOnAsset {
  const packages: PlannedPackage[] = [];
  const missing: string[] = [];
  const reached: string[] = [];
  let downloadBytes = 0;
  for (const p of older) {
    const candidate = newestCandidate(p, patch, candidates);
    if (candidate === null) {
      missing.push(`${p.name}:${p.arch}`);
      continue;
    }
    packages.push({
      name: p.name,
      arch: p.arch,
      from: p.version,
      to: candidate.version,
      source: candidate.source,
      source_version: candidate.source_version,
    });
    reached.push(versionOf(patch.ecosystem, candidate));
    downloadBytes += candidate.download_bytes;
  }
  if (missing.length > 0) {
    return {
      ok: false,
      reason: 'not_offered',
      message: `no repository of the asset offers ${missing.sort().join(', ')} at source version ${patch.version} or newer`,
    };
  }
  packages.sort(byNameAndArch);
  const versions = [...new Set(reached)].sort();
  const lowest = versions.reduce(
    (a, b) => (compareVersions(schemeOf(patch.ecosystem), a, b) === 'greater' ? b : a),
    versions[0] ?? patch.version,
  );
  const patchIds = versions.map((version) => patchId({ ...patch, version }));
  return { ok: true, packages, added: [], sourceVersion: lowest, patchIds, downloadBytes };
}

/** Of one source package, everything for which something newer is offered. */
export interface NewerOfSource {
  /** As patches name it; what no patch is named by has its own source. */
  readonly package: string;
  readonly packages: readonly PlannedPackage[];
  readonly added: readonly AddedPackage[];
  readonly sourceVersion: string;
  readonly patchIds: readonly string[];
  readonly downloadBytes: number;
}

/** Every newer version that the asset's repositories offer, but of what is on hold. By source package, in order. */
export function everythingNewer(inventory: AssetInventory): NewerOfSource[] {
  const { product, held, candidates } = inventory;
  if (product === null) return [];
  const { ecosystem } = product;
  const scheme = schemeOf(ecosystem);
  const byKey = Map.groupBy(candidates, (one) => `${one.name}:${one.arch}`);
  const groups = new Map<
    string,
    { packages: PlannedPackage[]; added: AddedPackage[]; versions: Set<string>; bytes: number }
  >();
  for (const p of newestOfEach(ecosystem, inventory.packages)) {
    if (held.includes(p.name)) continue;
    let best: Candidate | null = null;
    for (const candidate of byKey.get(`${p.name}:${p.arch}`) ?? []) {
      if (compareVersions(scheme, candidate.version, p.version) !== 'greater') continue;
      if (best === null || compareVersions(scheme, candidate.version, best.version) === 'greater')
        best = candidate;
    }
    if (best === null) continue;
    const image = imageBrought(best);
    const target =
      image === null ? lookUp(ecosystem, best) : { package: image.source, version: image.version };
    const name = target?.package ?? best.source;
    const group = groups.get(name) ?? { packages: [], added: [], versions: new Set(), bytes: 0 };
    groups.set(name, group);
    const { version: to, source, source_version } = best;
    group.packages.push({ name: p.name, arch: p.arch, from: p.version, to, source, source_version });
    if (image !== null && !inventory.packages.some((one) => one.name === image.name)) {
      group.added.push({ name: image.name, arch: p.arch, version: image.version });
    }
    if (target !== null) group.versions.add(target.version);
    group.bytes += best.download_bytes;
  }
  return [...groups]
    .sort(([a], [b]) => compareText(a, b))
    .map(([name, { packages, added, versions: reached, bytes }]) => {
      const versions = [...reached].sort();
      const lowest = versions.reduce(
        (a, b) => (compareVersions(scheme, a, b) === 'greater' ? b : a),
        versions[0] ?? '',
      );
      return {
        package: name,
        packages: packages.sort(byNameAndArch),
        added,
        sourceVersion: lowest,
        patchIds: versions.map((version) => patchId({ ...product, package: name, version })),
        downloadBytes: bytes,
      };
    });
}

/** Kernels of RPM stand beside each other under one name: a new one comes beside the newest, once. */
function newestOfEach(ecosystem: string, packages: readonly InstalledPackage[]): readonly InstalledPackage[] {
  const scheme = schemeOf(ecosystem);
  if (scheme !== 'rpm') return packages;
  const newest = new Map<string, InstalledPackage>();
  for (const p of packages) {
    const other = newest.get(`${p.name}:${p.arch}`);
    if (other === undefined || compareVersions(scheme, p.version, other.version) === 'greater') {
      newest.set(`${p.name}:${p.arch}`, p);
    }
  }
  return [...newest.values()];
}

/** The version that vulnerabilities are judged by: the source's, but for kernels, whose signed source counts otherwise. */
function versionOf(ecosystem: string, p: InstalledPackage | Candidate): string {
  return lookUp(ecosystem, p)?.version ?? p.source_version;
}

/** The newest version that the asset's repositories offer for a package and that carries the patch. */
function newestCandidate(
  installed: InstalledPackage,
  patch: PlanPatch,
  candidates: readonly Candidate[],
): Candidate | null {
  const scheme = schemeOf(patch.ecosystem);
  let best: Candidate | null = null;
  for (const candidate of candidates) {
    if (candidate.name !== installed.name || candidate.arch !== installed.arch) continue;
    // a binary package can move to another source, whose versions do not compare with the patch's
    if (lookUp(patch.ecosystem, candidate)?.package !== patch.package) continue;
    const order = compareVersions(scheme, versionOf(patch.ecosystem, candidate), patch.version);
    if (order !== 'greater' && order !== 'equal') continue;
    if (compareVersions(scheme, candidate.version, installed.version) !== 'greater') continue;
    if (best === null || compareVersions(scheme, candidate.version, best.version) === 'greater')
      best = candidate;
  }
  return best;
}

function names(packages: readonly InstalledPackage[]): string {
  return packages
    .map((p) => p.name)
    .sort()
    .join(', ');
}

/** A fixed order, so that the same plan has the same digest. */
export function byNameAndArch(a: { name: string; arch: string }, b: { name: string; arch: string }): number {
  const left = `${a.name}:${a.arch}`;
  const right = `${b.name}:${b.arch}`;
  return left < right ? -1 : left > right ? 1 : 0;
}
