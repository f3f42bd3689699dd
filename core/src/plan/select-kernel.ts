import type { Candidate, InstalledPackage } from '../inventory/inventory.ts';
import { schemeOf } from '../knowledge/ecosystem.ts';
import { patchId } from '../knowledge/patch.ts';
import { imageBrought, isKernelMeta, kernelStatementSource } from '../match/kernel.ts';
import { lookUp } from '../match/match.ts';
import { compareVersions } from '../version/version.ts';
import type { AddedPackage, PlanAsset, PlanPatch, PlannedPackage } from './plan.ts';
import type { PatchOnAsset } from './select-packages.ts';

/**
 * A kernel of Debian that has a new ABI is a package of a new name, so nothing that is installed is upgraded to it: the meta package
 * is (`linux-image-amd64`), and brings it along. Older kernels stay; the new one runs after a reboot.
 *
 * @param older installed images, all of them older than the patch
 */
export function kernelsOfPatch(
  patch: PlanPatch,
  older: readonly InstalledPackage[],
  inventory: NonNullable<PlanAsset['inventory']>,
): PatchOnAsset {
  const metas = inventory.packages.filter(
    (p) => isKernelMeta(p) && kernelStatementSource(p.source) === patch.package,
  );
  const packages = new Map<string, PlannedPackage>();
  const added = new Map<string, AddedPackage>();
  const reached: string[] = [];
  let downloadBytes = 0;
  const take = (from: InstalledPackage, to: Candidate): void => {
    packages.set(`${from.name}:${from.arch}`, {
      name: from.name,
      arch: from.arch,
      from: from.version,
      to: to.version,
      source: to.source,
      source_version: to.source_version,
    });
    downloadBytes += to.download_bytes;
  };
  // Within one ABI the image is upgraded under its name.
  for (const p of older) {
    const candidate = newest(patch, p, inventory.candidates);
    if (candidate === null) continue;
    take(p, candidate);
    reached.push(lookUp(patch.ecosystem, candidate)?.version ?? candidate.version);
  }
  for (const p of metas) {
    const candidate = newestOf(patch.ecosystem, p, inventory.candidates);
    const image = candidate === null ? null : imageBrought(candidate);
    if (candidate === null || image === null || !isEnough(patch, image.version)) continue;
    const there = inventory.packages.some((one) => one.name === image.name);
    if (there && !packages.has(`${image.name}:${p.arch}`)) continue;
    take(p, candidate);
    reached.push(image.version);
    if (!there) added.set(image.name, { name: image.name, arch: p.arch, version: image.version });
  }
  if (packages.size === 0) return { ok: false, ...whyNone(patch, metas) };
  const held = [...packages.values()].filter((p) => inventory.held.includes(p.name));
  if (held.length > 0) {
    return {
      ok: false,
      reason: 'package_held',
      message: `on hold on the asset: ${held.map((p) => p.name).join(', ')} (apt-mark unhold would release it)`,
    };
  }
  const versions = [...new Set(reached)].sort();
  const lowest = versions.reduce((a, b) =>
    compareVersions(schemeOf(patch.ecosystem), a, b) === 'greater' ? b : a,
  );
  return {
    ok: true,
    packages: [...packages.values()],
    added: [...added.values()],
    sourceVersion: lowest,
    patchIds: versions.map((version) => patchId({ ...patch, version })),
    downloadBytes,
  };
}

function whyNone(
  patch: PlanPatch,
  metas: readonly InstalledPackage[],
): { reason: 'not_offered'; message: string } {
  const names = metas.map((p) => p.name).sort();
  return {
    reason: 'not_offered',
    message:
      names.length === 0
        ? `no meta package (such as linux-image-amd64) is installed that would bring a kernel of ${patch.package} ${patch.version}`
        : `no repository of the asset offers ${names.join(', ')} in a version that brings a kernel of ${patch.package} ${patch.version} or newer`,
  };
}

function isEnough(patch: PlanPatch, version: string): boolean {
  const order = compareVersions(schemeOf(patch.ecosystem), version, patch.version);
  return order === 'equal' || order === 'greater';
}

function newest(
  patch: PlanPatch,
  installed: InstalledPackage,
  candidates: readonly Candidate[],
): Candidate | null {
  const best = newestOf(patch.ecosystem, installed, candidates);
  const target = best === null ? null : lookUp(patch.ecosystem, best);
  return target !== null && target.package === patch.package && isEnough(patch, target.version) ? best : null;
}

function newestOf(
  ecosystem: string,
  installed: InstalledPackage,
  candidates: readonly Candidate[],
): Candidate | null {
  const scheme = schemeOf(ecosystem);
  let best: Candidate | null = null;
  for (const candidate of candidates) {
    if (candidate.name !== installed.name || candidate.arch !== installed.arch) continue;
    if (compareVersions(scheme, candidate.version, installed.version) !== 'greater') continue;
    if (best === null || compareVersions(scheme, candidate.version, best.version) === 'greater')
      best = candidate;
  }
  return best;
}
