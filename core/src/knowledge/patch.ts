import { compareVersions, type VersionScheme } from '../version/version.ts';
import type { Decision } from './decision.ts';
import { schemeOf } from './ecosystem.ts';

/**
 * A patch is a package at a version: a source package where the vendor publishes by source (installing its binaries at that
 * version fixes everything that the vendor fixed in that version or before), an installed one where errata name binaries
 * (`patchedBy` in `ecosystem.ts`), and a KB at the build it leads to on Windows. Its id is `ECOSYSTEM:RELEASE/PACKAGE@VERSION`.
 */
export interface PatchIdentity {
  readonly ecosystem: string;
  readonly release: string;
  readonly package: string;
  readonly version: string;
}

export function patchId(patch: PatchIdentity): string {
  return `${patch.ecosystem}:${patch.release}/${patch.package}@${patch.version}`;
}

/** The parts of a patch id, or null when it is not one. */
export function parsePatchId(id: string): PatchIdentity | null {
  const match = /^([a-z0-9]+):([^/@]*)\/([^@/]+)@(\S+)$/.exec(id);
  if (match === null) return null;
  const [, ecosystem = '', release = '', name = '', version = ''] = match;
  return { ecosystem, release, package: name, version };
}

/** Vulnerabilities that a patch fixes: those whose fixed version is not newer than the patch. */
export function fixedBy(patch: PatchIdentity, decisions: readonly Decision[]): string[] {
  return decisions
    .filter(
      (d) =>
        d.package === patch.package &&
        d.release === patch.release &&
        d.ecosystem === patch.ecosystem &&
        d.status === 'fixed' &&
        d.fixedVersion !== null &&
        isNotNewer(schemeOf(patch.ecosystem), d.fixedVersion, patch.version),
    )
    .map((d) => d.vulnerability)
    .sort();
}

function isNotNewer(scheme: VersionScheme, version: string, than: string): boolean {
  const order = compareVersions(scheme, version, than);
  return order === 'less' || order === 'equal';
}

/** Of several patches of one package those that the given one supersedes, and the newest that supersedes it. */
export function supersedence<P extends PatchIdentity>(
  patch: PatchIdentity,
  all: readonly P[],
): { supersedes: P[]; supersededBy: P | null } {
  const scheme = schemeOf(patch.ecosystem);
  const supersedes: P[] = [];
  let newest: P | null = null;
  for (const other of all) {
    const order = compareVersions(scheme, other.version, patch.version);
    if (order === 'less') supersedes.push(other);
    else if (order === 'greater') {
      if (newest === null || compareVersions(scheme, other.version, newest.version) === 'greater')
        newest = other;
    }
  }
  return { supersedes, supersededBy: newest };
}

export interface OfferedVersion {
  readonly package: string;
  readonly version: string;
  readonly repository?: string;
  /** The installed package that it replaces, and what it needs that is not met by what is installed. */
  readonly name?: string;
  readonly requires?: readonly string[];
}

export interface PatchForFinding {
  readonly id: string;
  readonly version: string;
  /** Whether a repository of the asset offers it. */
  readonly offered: boolean;
  /** The repository that offers it, as the package manager names it. */
  readonly repository: string | null;
}

/**
 * The patch that closes a finding on one asset: the newest version that its own repositories offer, if that has the fix;
 * else the fix itself, which is known and not offered there. Null when there is no fix.
 */
export function patchFor(
  product: { ecosystem: string; release: string },
  name: string,
  fixedVersion: string | null,
  offered: readonly OfferedVersion[],
): PatchForFinding | null {
  if (fixedVersion === null) return null;
  const scheme = schemeOf(product.ecosystem);
  let best: OfferedVersion | null = null;
  for (const one of offered) {
    if (one.package !== name) continue;
    if (!isNotNewer(scheme, fixedVersion, one.version)) continue;
    if (best === null || compareVersions(scheme, one.version, best.version) === 'greater') best = one;
  }
  const version = best?.version ?? fixedVersion;
  return {
    id: patchId({ ...product, package: name, version }),
    version,
    offered: best !== null,
    repository: best?.repository ?? null,
  };
}
