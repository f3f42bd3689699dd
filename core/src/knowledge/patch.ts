import { compareVersions } from '../version/version.ts';
import type { Decision } from './decision.ts';

/**
 * A patch on Debian is a source package at a version: installing its binaries at that version fixes everything that the
 * vendor fixed in that version or before. Its id is `ECOSYSTEM:RELEASE/PACKAGE@VERSION`.
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
        isNotNewer(d.fixedVersion, patch.version),
    )
    .map((d) => d.vulnerability)
    .sort();
}

function isNotNewer(version: string, than: string): boolean {
  const order = compareVersions('dpkg', version, than);
  return order === 'less' || order === 'equal';
}

/** Of several patches of one package those that the given one supersedes, and the newest that supersedes it. */
export function supersedence<P extends PatchIdentity>(
  patch: PatchIdentity,
  all: readonly P[],
): { supersedes: P[]; supersededBy: P | null } {
  const supersedes: P[] = [];
  let newest: P | null = null;
  for (const other of all) {
    const order = compareVersions('dpkg', other.version, patch.version);
    if (order === 'less') supersedes.push(other);
    else if (order === 'greater') {
      if (newest === null || compareVersions('dpkg', other.version, newest.version) === 'greater')
        newest = other;
    }
  }
  return { supersedes, supersededBy: newest };
}

export interface OfferedVersion {
  readonly source: string;
  readonly source_version: string;
}

/**
 * The patch that closes a finding on one asset: the newest version that its own repositories offer, if that has the fix;
 * else the fix itself, which is known and not offered there. Null when there is no fix.
 */
export function patchFor(
  product: { ecosystem: string; release: string },
  source: string,
  fixedVersion: string | null,
  offered: readonly OfferedVersion[],
): { id: string; version: string; offered: boolean } | null {
  if (fixedVersion === null) return null;
  let best: string | null = null;
  for (const one of offered) {
    if (one.source !== source) continue;
    if (compareVersions('dpkg', one.source_version, fixedVersion) === 'less') continue;
    if (best === null || compareVersions('dpkg', one.source_version, best) === 'greater')
      best = one.source_version;
  }
  const version = best ?? fixedVersion;
  return { id: patchId({ ...product, package: source, version }), version, offered: best !== null };
}
