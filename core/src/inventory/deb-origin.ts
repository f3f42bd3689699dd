import type { InstalledPackage } from './inventory.ts';
import { builtByDistribution, withOrigin, type PackageOrigin } from './origin.ts';

/**
 * Who built a package that dpkg has installed. Neither dpkg nor apt write down where a package came from, so it is concluded
 * from apt's indexes. In this order, the first that applies decides:
 *
 * 0. The version is a backport's (`~bpo12+1`): made of a later release and left out of this one's security data, so that its
 *    higher version says nothing. Counted as a third party's, whoever offers it.
 * 1. An index of the distribution offers exactly this build (apt compares more than the version: dependencies, size): the
 *    distribution.
 * 2. Only indexes of others offer exactly this build: a third party, named by the index.
 * 3. The version, or else the maintainer, carries a mark of somebody else: a third party. ({@link versionMarks},
 *    {@link maintainerMarks})
 * 4. The distribution offers another build under this very version: built by somebody else, unknown by whom.
 * 5. The distribution's indexes are not there as a whole (containers, images; hosts that only know its security archive): the
 *    distribution, since there is no sign against it.
 * 6. The distribution's indexes have the name with the same maintainer, the version is of the form that the distribution
 *    writes, and not newer than all that they offer: an old build, since old builds vanish from the indexes. The distribution.
 *    (Ubuntu's ESM and FIPS builds bear their mark, and may be newer: the subscription may have ended.)
 * 7. The distribution's indexes no longer have the name, but know its source with the same maintainer: either there is a
 *    package named like the source, or one of that source is installed for which 1 or 6 holds. And the version is of that
 *    form. (Kernels of earlier ABIs, libraries of earlier sonames.) The distribution.
 * 8. Else unknown.
 */

export interface DebEvidence {
  readonly version: string;
  readonly source: string;
  /** As dpkg has it; empty when it has none. */
  readonly maintainer: string;
  /** The indexes that offer exactly this build. */
  readonly offeredBy: readonly DebIndex[];
  /** Whether an index of the distribution offers this version as another build. */
  readonly isOtherBuildOffered: boolean;
  /** Whether the distribution's indexes have the name, and only in older versions; left out where nobody looked. */
  readonly isNewerThanOffered?: boolean;
  /** Maintainers that the distribution's indexes give for this name; empty when they do not have it. */
  readonly distributionMaintainers: readonly string[];
  /** Likewise for the package that is named like the source. */
  readonly maintainersOfSource: readonly string[];
}

/** What an index says about itself in its Release file; empty where it says nothing. */
export interface DebIndex {
  readonly origin: string;
  readonly label: string;
  /** Host that it is fetched from. */
  readonly site: string;
  /** Release that it is for: `bookworm-security`; left out where nobody looked. */
  readonly codename?: string;
}

export interface DebHost {
  /** ID in os-release(5). */
  readonly os: string;
  /** VERSION_CODENAME, by which indexes of other releases (testing beside stable) are told; left out where it is not known. */
  readonly codename?: string;
  /** Whether apt has at least one index of the distribution. */
  readonly hasDistributionIndex: boolean;
  /** Whether these hold its main archive, so that a name which they do not have is none of its present names. */
  readonly hasMainArchive: boolean;
  /** Further Origins that the administrator of the host declares to be the distribution's: own mirrors, published anew. */
  readonly declaredOrigins: readonly string[];
}

/**
 * Origin fields of the distributions' Release files. Ubuntu's ESM, FIPS and real-time archives have an Origin of their own;
 * their notices are Ubuntu's.
 */
const distributionOrigins: Readonly<Record<string, RegExp>> = {
  debian: /^Debian$/u,
  ubuntu:
    /^Ubuntu(?:ESM|ESMApps|ESMInfra|FIPS|FIPSUpdates|FIPSPreview|CC|CIS|ROS|ROSUpdates|RealtimeKernel|Bluefield)?$/u,
  raspbian: /^(?:Raspbian|Raspberry Pi Foundation)$/u,
};

export function isDistributionIndex(
  host: Pick<DebHost, 'os' | 'codename' | 'declaredOrigins'>,
  index: DebIndex,
): boolean {
  if (index.origin === '') return false;
  if (host.declaredOrigins.includes(index.origin)) return true;
  if (isOfAnotherRelease(host, index)) return false;
  const known = distributionOrigins[host.os];
  if (known === undefined) return index.origin.toLowerCase() === host.os;
  // `Debian`, `Debian-Security`: another Label under Debian's Origin is somebody's collection, and backports are rule 0's.
  return known.test(index.origin) && (host.os !== 'debian' || /^Debian(?! Backports)\b/u.test(index.label));
}

/** Releases of Debian and Ubuntu. A codename that is none of them is an own mirror's, and says nothing. */
const codenames =
  /^(?:sid|experimental|rc-buggy|buster|bullseye|bookworm|trixie|forky|duke|xenial|bionic|focal|jammy|kinetic|lunar|mantic|noble|oracular|plucky|questing|resolute)$/u;

/** `sid` or `trixie` on bookworm: what such an index offers, this release's data does not speak of. */
function isOfAnotherRelease(host: Pick<DebHost, 'codename'>, index: DebIndex): boolean {
  const codename = index.codename?.split(/[-/]/u)[0] ?? '';
  return Boolean(host.codename) && codename !== host.codename && codenames.test(codename);
}

/** Rule 0. */
const backportMark = /~bpo\d/u;

/** Who puts such a text into versions, and who that is. `unless`: the ID of the distribution whose own mark it is. */
export const versionMarks: readonly {
  readonly pattern: RegExp;
  readonly vendor: string | null;
  readonly unless?: string;
}[] = [
  { pattern: backportMark, vendor: 'Backports' },
  { pattern: /nodesource/u, vendor: 'NodeSource' },
  // apt.postgresql.org: 15.3-1.pgdg120+1
  { pattern: /[.+~]pgdg\d/u, vendor: 'PostgreSQL Global Development Group' },
  // packages.sury.org: 8.2.7-1+0~20230616.8+debian12~1.gbp1234ab; his PPA: 8.2.7-1+ubuntu22.04.1+deb.sury.org+1
  { pattern: /\+0~\d{8}\.\d+\+(?:debian|ubuntu)|deb\.sury\.org/u, vendor: 'Ondřej Surý' },
  // download.docker.com: 5:24.0.7-1~debian.12~bookworm
  { pattern: /~(?:debian|ubuntu)\.\d[\d.]*~[a-z]+$/u, vendor: 'Docker' },
  // Ubuntu Cloud Archive: 3:27.1.0-0ubuntu1~cloud0
  { pattern: /~cloud\d/u, vendor: 'Ubuntu Cloud Archive' },
  // mariadb.org: 1:10.11.6+maria~deb12
  { pattern: /\+maria~/u, vendor: 'MariaDB' },
  // repo.mysql.com: 8.0.36-1debian12, 8.0.36-1ubuntu22.04
  { pattern: /-1(?:debian\d\d|ubuntu\d\d\.\d\d)$/u, vendor: 'MySQL' },
  // repo.percona.com: 8.0.35-27-1.bookworm
  { pattern: /-\d+\.(?:buster|bullseye|bookworm|trixie|bionic|focal|jammy|noble)$/u, vendor: 'Percona' },
  { pattern: /ppa\d|~ppa|\+ppa/u, vendor: 'Launchpad PPA' },
  { pattern: /\+rp[ti]\d/u, vendor: 'Raspberry Pi', unless: 'raspbian' },
  { pattern: /kali\d/u, vendor: 'Kali', unless: 'kali' },
  { pattern: /\bmx\d\d/u, vendor: 'MX Linux', unless: 'mx' },
  { pattern: /[-+~]p[vm][ex]\d|-pve\b/u, vendor: 'Proxmox' },
  { pattern: /tuxcare/u, vendor: 'TuxCare' },
  // packages.redis.io: 6:7.4.0-1rl1~bookworm1
  { pattern: /-\d+rl\d+~/u, vendor: 'Redis' },
  { pattern: /\.el\d|\.fc\d\d/u, vendor: null },
  { pattern: /[-+~.]local\d*/u, vendor: null },
  { pattern: /ubuntu\d/u, vendor: 'Ubuntu', unless: 'ubuntu' },
];

/** Addresses that vendors give as Maintainer and that no package of Debian 12 has. */
export const maintainerMarks: readonly { readonly pattern: RegExp; readonly vendor: string }[] = [
  { pattern: /@nodesource\.com>/u, vendor: 'NodeSource' },
  { pattern: /@docker\.com>/u, vendor: 'Docker' },
  { pattern: /@hashicorp\.com>/u, vendor: 'HashiCorp' },
  { pattern: /@elastic\.co>/u, vendor: 'Elastic' },
  { pattern: /@grafana\.com>/u, vendor: 'Grafana' },
  { pattern: /@gitlab\.com>/u, vendor: 'GitLab' },
  { pattern: /@microsoft\.com>/u, vendor: 'Microsoft' },
  { pattern: /@(?:nginx|f5)\.com>/u, vendor: 'NGINX' },
  { pattern: /@mongodb\.com>/u, vendor: 'MongoDB' },
  { pattern: /@(?:oss\.)?oracle\.com>/u, vendor: 'Oracle' },
  { pattern: /@percona\.com>/u, vendor: 'Percona' },
  { pattern: /@mariadb\.(?:org|com)>/u, vendor: 'MariaDB' },
  { pattern: /@datadoghq\.com>/u, vendor: 'Datadog' },
  { pattern: /@proxmox\.com>/u, vendor: 'Proxmox' },
  { pattern: /chromium-dev@chromium\.org>/u, vendor: 'Google' },
  { pattern: /code\.google\.com\/p\/google-cloud-sdk/u, vendor: 'Google' },
];

/**
 * The last part of a version (after the last `-`) as Debian and Ubuntu write it: numbers and their own words. Of the 21,030
 * versions with such a part in bookworm's indexes (November 2026) 11 are not of this form, of the 6,295 in Ubuntu's notices 3.
 */
const revisionForm =
  /^\d(?:\d|\.(?=\d))*(?:[+~.]?(?:ubuntu|build|deb\d+u|b|nmu|esm|[Ff]ips|cvm|really|cross|exp|dfsg|ds)(?:\d|\.(?=\d))*|[+~]\d(?:\d|\.(?=\d))*)*$/u;
/** A version without such a part is of a package that the distribution wrote itself: `12.4+deb12u11`. */
const nativeForm = /^(?:\d+:)?\d[\w.+~]*$/u;

/** Whether the distribution could have given this version. */
export function isVersionOfDistribution(version: string): boolean {
  const at = version.lastIndexOf('-');
  return at < 0 ? nativeForm.test(version) : revisionForm.test(version.slice(at + 1));
}

/** Answers for all packages of a host at once, in their order: rule 7 needs the others. */
export function originsOfDebs(packages: readonly DebEvidence[], host: DebHost): PackageOrigin[] {
  const first = packages.map((p) => firstRules(p, host));
  const sources = new Set(packages.flatMap((p, i) => (first[i] === builtByDistribution ? [family(p)] : [])));
  return packages.map((p, i) => {
    const known = first[i] ?? null;
    if (known !== null) return known;
    const isOfKnownSource =
      p.distributionMaintainers.length === 0 &&
      p.maintainer !== '' &&
      (sources.has(family(p)) || includes(p.maintainersOfSource, p.maintainer)) &&
      isVersionOfDistribution(p.version);
    return isOfKnownSource ? builtByDistribution : { origin: 'unknown', vendor: null };
  });
}

/**
 * Where nothing is known but dpkg's own database (an image, a root without apt's lists): only marks tell.
 * @param maintainers `name:arch` → Maintainer
 */
export function withOriginsByMarks(
  os: string,
  installed: readonly InstalledPackage[],
  maintainers: ReadonlyMap<string, string>,
): InstalledPackage[] {
  return installed.map((p) => {
    const mark = markOf({ version: p.version, maintainer: maintainers.get(`${p.name}:${p.arch}`) ?? '' }, os);
    return withOrigin(
      p,
      mark === null ? builtByDistribution : { origin: 'third_party', vendor: mark.vendor },
    );
  });
}

function family(p: DebEvidence): string {
  return `${p.source}\n${normal(p.maintainer)}`;
}

/** Rules 0 to 6; null when none applies. */
function firstRules(p: DebEvidence, host: DebHost): PackageOrigin | null {
  if (backportMark.test(p.version)) return { origin: 'third_party', vendor: 'Backports' };
  if (p.offeredBy.some((index) => isDistributionIndex(host, index))) return builtByDistribution;
  const [index] = p.offeredBy;
  if (index !== undefined) {
    const release = isOfAnotherRelease(host, index) ? ` ${index.codename ?? ''}` : '';
    const vendor = `${index.origin || index.label || index.site}${release}` || null;
    // Without any index of the distribution, this may well be its own packages, published anew under another name.
    return { origin: host.hasDistributionIndex ? 'third_party' : 'unknown', vendor };
  }
  const mark = markOf(p, host.os);
  if (mark !== null) return { origin: 'third_party', vendor: mark.vendor };
  if (p.isOtherBuildOffered) return { origin: 'unknown', vendor: null };
  if (!host.hasMainArchive) return builtByDistribution;
  const isOldBuild =
    p.maintainer !== '' &&
    includes(p.distributionMaintainers, p.maintainer) &&
    (p.isNewerThanOffered !== true || /esm|fips/iu.test(p.version)) &&
    isVersionOfDistribution(p.version);
  return isOldBuild ? builtByDistribution : null;
}

/** Rule 3: who put a mark of their own on the package; null when nobody did. */
export function markOf(
  p: Pick<DebEvidence, 'version' | 'maintainer'>,
  os: string,
): { readonly vendor: string | null } | null {
  return (
    versionMarks.find((one) => one.unless !== os && one.pattern.test(p.version)) ??
    maintainerMarks.find((one) => one.pattern.test(p.maintainer)) ??
    null
  );
}

function includes(maintainers: readonly string[], maintainer: string): boolean {
  return maintainers.some((one) => normal(one) === normal(maintainer));
}

function normal(maintainer: string): string {
  return maintainer.replaceAll(/\s+/gu, ' ').trim();
}
