import type { VersionScheme } from '../version/version.ts';

/**
 * The name spaces of packages and versions, one for each vendor whose own data we match by, and how a host that reports
 * its os-release(5) finds the one it belongs to.
 */

export type Ecosystem =
  | 'debian'
  | 'ubuntu'
  | 'almalinux'
  | 'rocky'
  | 'redhat'
  | 'suse'
  | 'opensuse'
  | 'amazon'
  | 'alpine'
  | 'wolfi'
  | 'windows';

export type PackageFamily = 'deb' | 'rpm' | 'apk' | 'windows';

export interface EcosystemTraits {
  /** As people name it: `Red Hat Enterprise Linux`. */
  readonly title: string;
  readonly family: PackageFamily;
  readonly scheme: VersionScheme;
  /**
   * What a patch is named by: the source package where the vendor's fixes are, the installed package where errata name
   * binaries, each with a version of its own (one RPM source can make binaries of many versions). The product on Windows.
   */
  readonly patchedBy: 'source' | 'binary';
  /** ID in os-release; for Windows the `os` that the agent reports. */
  readonly os: string;
  /**
   * What of VERSION_ID counts for the vendor's statements: `3.18.4` → `3.18` on Alpine, `9.4` → `9` on RHEL and its
   * rebuilds, nothing on systems that roll.
   */
  readonly releaseOf: (versionId: string) => string;
}

const whole = (versionId: string): string => versionId;
const major = (versionId: string): string => versionId.split('.')[0] ?? '';
const majorMinor = (versionId: string): string => versionId.split('.').slice(0, 2).join('.');
/** Alpine's edge calls itself `3.22.0_alpha20250108`. */
const alpineRelease = (versionId: string): string =>
  versionId.includes('_alpha') ? 'edge' : majorMinor(versionId);
const rolling = (): string => '';

export const ecosystems: Readonly<Record<Ecosystem, EcosystemTraits>> = {
  debian: {
    title: 'Debian',
    family: 'deb',
    scheme: 'dpkg',
    patchedBy: 'source',
    os: 'debian',
    releaseOf: whole,
  },
  ubuntu: {
    title: 'Ubuntu',
    family: 'deb',
    scheme: 'dpkg',
    patchedBy: 'source',
    os: 'ubuntu',
    releaseOf: whole,
  },
  almalinux: {
    title: 'AlmaLinux',
    family: 'rpm',
    scheme: 'rpm',
    patchedBy: 'binary',
    os: 'almalinux',
    releaseOf: major,
  },
  rocky: {
    title: 'Rocky Linux',
    family: 'rpm',
    scheme: 'rpm',
    patchedBy: 'source',
    os: 'rocky',
    releaseOf: major,
  },
  redhat: {
    title: 'Red Hat Enterprise Linux',
    family: 'rpm',
    scheme: 'rpm',
    patchedBy: 'binary',
    os: 'rhel',
    releaseOf: major,
  },
  suse: {
    title: 'SUSE Linux Enterprise',
    family: 'rpm',
    scheme: 'rpm',
    patchedBy: 'source',
    os: 'sles',
    releaseOf: whole,
  },
  opensuse: {
    title: 'openSUSE Leap',
    family: 'rpm',
    scheme: 'rpm',
    patchedBy: 'source',
    os: 'opensuse-leap',
    releaseOf: whole,
  },
  amazon: {
    title: 'Amazon Linux',
    family: 'rpm',
    scheme: 'rpm',
    patchedBy: 'binary',
    os: 'amzn',
    releaseOf: whole,
  },
  alpine: {
    title: 'Alpine Linux',
    family: 'apk',
    scheme: 'apk',
    patchedBy: 'source',
    os: 'alpine',
    releaseOf: alpineRelease,
  },
  wolfi: {
    title: 'Wolfi',
    family: 'apk',
    scheme: 'apk',
    patchedBy: 'source',
    os: 'wolfi',
    releaseOf: rolling,
  },
  // Windows is counted by product (`Windows Server 2019`), which is the package; there is no release beside it.
  windows: {
    title: 'Windows',
    family: 'windows',
    scheme: 'windows-build',
    patchedBy: 'source',
    os: 'windows',
    releaseOf: rolling,
  },
};

export function isEcosystem(text: string): text is Ecosystem {
  return Object.hasOwn(ecosystems, text);
}

/** A release of an ecosystem, such as Debian 12: what statements and software belong to. */
export interface Product {
  /** An {@link Ecosystem} where the system is known, else the ID that it reports. */
  readonly ecosystem: string;
  readonly release: string;
}

const byOs = new Map<string, Ecosystem>(
  Object.entries(ecosystems).flatMap(([id, traits]) => (isEcosystem(id) ? [[traits.os, id] as const] : [])),
);

/**
 * The product that a host's packages belong to. A system that no feed knows is a product too, under its own name: nothing
 * is known of it, and that is said.
 */
export function productOf(os: string, osRelease: string): Product {
  // Tumbleweed has no release; its VERSION_ID is the day of the snapshot.
  if (os === 'opensuse-tumbleweed') return { ecosystem: 'opensuse', release: '' };
  const ecosystem = byOs.get(os);
  if (ecosystem === undefined) return { ecosystem: os, release: osRelease };
  return { ecosystem, release: ecosystems[ecosystem].releaseOf(osRelease) };
}

/** The order of versions of a product; dpkg's for one that is not known, where nothing is ever compared. */
export function schemeOf(ecosystem: string): VersionScheme {
  return isEcosystem(ecosystem) ? ecosystems[ecosystem].scheme : 'dpkg';
}

/** What patches of a product are named by; the source for one that is not known. */
export function patchedBy(ecosystem: string): EcosystemTraits['patchedBy'] {
  return isEcosystem(ecosystem) ? ecosystems[ecosystem].patchedBy : 'source';
}

/** `Debian 12`, `Wolfi`. */
export function productTitle(product: Product): string {
  const title = isEcosystem(product.ecosystem) ? ecosystems[product.ecosystem].title : product.ecosystem;
  return product.release === '' ? title : `${title} ${product.release}`;
}
