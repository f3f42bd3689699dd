import type { InstalledPackage } from './inventory.ts';

/**
 * Who built an installed package. A distribution's data speaks only of what the distribution built: the same name and a higher
 * version from somebody else say nothing about whether a flaw is fixed in it. So the rules below say `distribution` only on
 * evidence, and `unknown` where there is none.
 *
 * One rule for each package manager: `deb-origin.ts`, {@link originOfRpm}, {@link originOfApk}.
 */
export type PackageOrigin =
  | { readonly origin: 'distribution' }
  | { readonly origin: 'third_party'; readonly vendor: string | null }
  /** `vendor`: who may have built it, when something at least says so. */
  | { readonly origin: 'unknown'; readonly vendor: string | null };

export const builtByDistribution: PackageOrigin = { origin: 'distribution' };

/** Writes the answer into the package as it is reported: nothing for what the distribution built. */
export function withOrigin(p: InstalledPackage, built: PackageOrigin): InstalledPackage {
  const { origin: _, vendor: __, ...bare } = p;
  if (built.origin === 'distribution') return bare;
  const vendor = built.vendor?.replaceAll(/\s+/gu, ' ').trim().slice(0, 256) ?? '';
  return { ...bare, origin: built.origin, ...(vendor === '' ? {} : { vendor }) };
}

/**
 * What distributions write into the Vendor tag of what they build, by ID in os-release(5). AlmaLinux, Rocky (`Rocky` is 8's)
 * and Amazon: output of `rpm -qi` in public bug reports and tutorials; the others: by their documentation, seen on no host of
 * ours. What is written otherwise is a third party's, so that a gap here shows as undetermined and not as fixed.
 */
const rpmVendors: Readonly<Record<string, RegExp>> = {
  rhel: /^Red Hat, Inc\.$/u,
  centos: /^(?:CentOS|Red Hat, Inc\.)$/u,
  almalinux: /^AlmaLinux(?: OS Foundation)?$/u,
  rocky: /^(?:Rocky|Rocky Enterprise Software Foundation|Rocky Linux)$/u,
  ol: /^Oracle America$/u,
  fedora: /^Fedora Project$/u,
  amzn: /^(?:Amazon Linux|Amazon\.com(?:, Inc\.)?)$/u,
  // Leap takes most of its packages from SUSE Linux Enterprise as they are.
  sles: /^SUSE (?:LLC|Linux Products GmbH|LINUX Products GmbH)\b/u,
  sles_sap: /^SUSE (?:LLC|Linux Products GmbH|LINUX Products GmbH)\b/u,
  'opensuse-leap': /^(?:openSUSE$|SUSE (?:LLC|Linux Products GmbH)\b)/u,
  'opensuse-tumbleweed': /^openSUSE$/u,
};

/**
 * By the Vendor tag of the package. EPEL is `Fedora Project`, which on Red Hat's and its rebuilds is a third party. A package
 * without the tag was built by hand, and on a system that the table does not have nobody can say.
 * @param os ID in os-release(5)
 * @param vendor as rpm prints it, `(none)` or empty when there is none
 */
export function originOfRpm(os: string, vendor: string): PackageOrigin {
  const said = vendor.trim() === '(none)' ? '' : vendor.trim();
  if (said === '') return { origin: 'unknown', vendor: null };
  const own = rpmVendors[os];
  if (own === undefined) return { origin: 'unknown', vendor: said };
  return own.test(said) ? builtByDistribution : { origin: 'third_party', vendor: said };
}

/** What a package manager of Alpine knows about where an installed version can come from. */
export interface ApkEvidence {
  /** Repositories that offer exactly the installed version. */
  readonly offeredBy: readonly string[];
  /** Whether any of the distribution's repositories has a package of this name. */
  readonly isNameOfDistribution: boolean;
  /** In /etc/apk/world with the digest of one file: installed from that file and not from a repository. */
  readonly isPinnedToFile: boolean;
}

/** Paths below which Alpine and Wolfi publish, on whatever mirror. */
const apkRepositories: Readonly<Record<string, RegExp>> = {
  alpine: /\/(?:v\d+\.\d+|edge|latest-stable)\/(?:main|community|testing)\/?$/u,
  wolfi: /\bpackages\.wolfi\.dev\/os\/?$/u,
};

export function isApkRepositoryOfDistribution(os: string, repository: string): boolean {
  return apkRepositories[os]?.test(repository) ?? false;
}

/**
 * By the repositories that offer it. Repositories keep only the newest version of a release, so one that nobody offers any
 * more is the distribution's when the name is one of its names. One that only another release of Alpine offers (`@edge`) is not
 * what this release's data speaks of.
 * @param osRelease VERSION_ID; where it is not told, every release of Alpine is taken for the host's own
 */
export function originOfApk(os: string, evidence: ApkEvidence, osRelease = ''): PackageOrigin {
  const { offeredBy } = evidence;
  const own = offeredBy.filter((repository) => isApkRepositoryOfDistribution(os, repository));
  if (own.length > 0) {
    const branches = own.map((repository) => /\/(v\d+\.\d+|edge)\/\w+\/?$/u.exec(repository)?.[1] ?? '');
    const isOwn = (branch: string): boolean =>
      branch === '' ||
      osRelease === '' ||
      (osRelease.includes('_alpha') ? branch === 'edge' : `v${osRelease}.`.startsWith(`${branch}.`));
    if (os !== 'alpine' || branches.some(isOwn)) return builtByDistribution;
    return { origin: 'unknown', vendor: `Alpine ${branches[0] ?? ''}` };
  }
  const [repository] = offeredBy;
  if (repository !== undefined) return { origin: 'third_party', vendor: hostOf(repository) };
  return evidence.isNameOfDistribution && !evidence.isPinnedToFile
    ? builtByDistribution
    : { origin: 'unknown', vendor: null };
}

function hostOf(repository: string): string {
  return /^[a-z+]+:\/\/(?:[^/@]*@)?([^/:]+)/u.exec(repository)?.[1] ?? repository;
}
