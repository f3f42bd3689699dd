import {
  isDistributionIndex,
  markOf,
  originsOfDebs,
  type DebEvidence,
  type DebHost,
  type DebIndex,
} from '@fixpoint/core/inventory/deb-origin.ts';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { withOrigin } from '@fixpoint/core/inventory/origin.ts';
import { compareVersions } from '@fixpoint/core/version/version.ts';
import { readTextIfThere } from '../state-dir.ts';
import { readCodename } from './host.ts';
import {
  readPolicies,
  readRecords,
  reference,
  type AptIndexes,
  type AptPolicy,
  type AptRecord,
} from './apt.ts';

/**
 * Who built each installed package, by apt's indexes: the evidence for core/src/inventory/deb-origin.ts. On an up-to-date host
 * one command more than the candidates need; `apt-cache show` only where an installed build is in no index any more.
 */

export interface DebOrigins {
  /** With origin and vendor. */
  readonly packages: InstalledPackage[];
  readonly isOfDistribution: (index: string) => boolean;
  /** Records that were read on the way. */
  readonly records: readonly AptRecord[];
}

/** Where an administrator declares Origins of own mirrors, one in a line; `#` begins a comment. */
export const declaredOriginsPath = '/etc/fixpoint-agent/distribution-origins';

export function parseDeclaredOrigins(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/**
 * @param maintainers `name:arch` → Maintainer, as dpkg has it
 * @param alsoWanted what else to read the records of, in the same command
 */
export async function collectDebOrigins(
  os: string,
  installed: readonly InstalledPackage[],
  maintainers: ReadonlyMap<string, string>,
  policies: readonly AptPolicy[],
  indexes: AptIndexes,
  nativeArch: string,
  alsoWanted: readonly string[],
): Promise<DebOrigins> {
  const codename = readCodename('/');
  const declaredOrigins = parseDeclaredOrigins(readTextIfThere(declaredOriginsPath) ?? '');
  const isOfDistribution = (index: string): boolean =>
    isDistributionIndex({ os, codename, declaredOrigins }, indexOf(indexes, index));
  const policyOf = indexPolicies(policies, nativeArch);
  const offered = (policy: AptPolicy | undefined): string[] =>
    (policy?.versions ?? []).filter((one) => one.indexes.some(isOfDistribution)).map((one) => one.version);

  const maintainerOf = (p: InstalledPackage): string => maintainers.get(`${p.name}:${p.arch}`) ?? '';
  /** What its maintainer would tell nothing more about. */
  const settled = (p: InstalledPackage): boolean =>
    (installedEntry(policyOf(p), p)?.indexes.length ?? 0) > 0 ||
    markOf({ version: p.version, maintainer: maintainerOf(p) }, os) !== null;
  const unsettled = installed.filter((p) => !settled(p));
  const hasDistributionIndex = [...indexes.keys()].some(isOfDistribution);

  // A name that is in no index of the distribution's may be one of its former names: then its source is looked for.
  const sources = hasDistributionIndex
    ? [...new Set(unsettled.flatMap((p) => (offered(policyOf(p)).length === 0 ? [p.source] : [])))]
    : [];
  const ofSources = new Map(
    ((await readPolicies(sources)) ?? []).map((policy) => [policy.name, offered(policy)]),
  );
  const references = new Set([
    ...unsettled.flatMap((p) => offered(policyOf(p)).map((version) => reference(p, version, nativeArch))),
    ...[...ofSources].flatMap(([name, versions]) => versions.map((version) => `${name}=${version}`)),
    ...alsoWanted,
  ]);
  const records = await readRecords([...references]);
  const maintainersOf = Map.groupBy(records, (record) => record.name);

  const evidence = installed.map((p): DebEvidence => {
    const policy = policyOf(p);
    const entry = installedEntry(policy, p);
    const of = (name: string, versions: readonly string[]): string[] =>
      (maintainersOf.get(name) ?? [])
        .filter((record) => versions.includes(record.version))
        .map((record) => record.maintainer);
    return {
      version: p.version,
      source: p.source,
      maintainer: maintainerOf(p),
      offeredBy: (entry?.indexes ?? []).map((index) => indexOf(indexes, index)),
      isOtherBuildOffered: (policy?.versions ?? []).some(
        (one) => one !== entry && one.version === p.version && one.indexes.some(isOfDistribution),
      ),
      isNewerThanOffered:
        offered(policy).length > 0 &&
        offered(policy).every((version) => compareVersions('dpkg', p.version, version) === 'greater'),
      distributionMaintainers: of(p.name, offered(policy)),
      maintainersOfSource: of(p.source, ofSources.get(p.source) ?? []),
    };
  });
  // It is in every installation and in every main archive, and seldom in any other.
  const baseFiles = installed.find((p) => p.name === 'base-files');
  const hasMainArchive = baseFiles !== undefined && offered(policyOf(baseFiles)).length > 0;
  const host: DebHost = { os, codename, hasDistributionIndex, hasMainArchive, declaredOrigins };
  const origins = originsOfDebs(evidence, host);
  return {
    packages: installed.map((p, i) => {
      const built = origins[i];
      return built === undefined ? p : withOrigin(p, built);
    }),
    // Without its indexes, whatever the host is offered is all there is.
    isOfDistribution: hasDistributionIndex ? isOfDistribution : () => true,
    records,
  };
}

/** An index that apt names in a table and does not list is nobody's that we know. */
function indexOf(indexes: AptIndexes, index: string): DebIndex {
  return indexes.get(index) ?? { origin: '', label: '', site: '' };
}

function indexPolicies(
  policies: readonly AptPolicy[],
  nativeArch: string,
): (p: InstalledPackage) => AptPolicy | undefined {
  const byKey = new Map(policies.map((policy) => [`${policy.name}:${policy.arch ?? nativeArch}`, policy]));
  return (p) => byKey.get(`${p.name}:${p.arch === 'all' ? nativeArch : p.arch}`);
}

/** The entry of what is installed. Apt marks none that is only half installed: then the first of that version. */
function installedEntry(policy: AptPolicy | undefined, p: InstalledPackage) {
  const same = (policy?.versions ?? []).filter((one) => one.version === p.version);
  return same.find((one) => one.isInstalled) ?? same[0];
}
