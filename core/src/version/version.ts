/**
 * Order of versions. Each package manager has its own, so every question names its scheme; the table `versionOrderings` is
 * the only place that a scheme is added to.
 */
import { compareApk, parseApk, type ApkVersion } from './apk.ts';
import { compareDpkg, parseDpkg, type DpkgVersion } from './dpkg.ts';
import { compareRpm, parseRpm, type RpmVersion } from './rpm.ts';
import { compareWindowsBuild, parseWindowsBuild, type WindowsBuild } from './windows-build.ts';

/** How a version that has been checked stands to another; `less` means that the first is the older one. */
export type CheckedOrder = 'less' | 'equal' | 'greater' | 'incomparable';

/**
 * `incomparable`: both are versions, and the scheme holds neither to be older (such as Windows builds of two branches).
 * `unparseable`: at least one is not a version of the scheme; then the answer is the same both ways round.
 */
export type VersionOrder = CheckedOrder | 'unparseable';

export type VersionScheme = 'dpkg' | 'rpm' | 'apk' | 'windows-build';

/** A version that a scheme's `parse` has checked. What is in it besides its text is that scheme's own business. */
export type CheckedVersion = DpkgVersion | RpmVersion | ApkVersion | WindowsBuild;

export interface VersionRefusal {
  readonly ok: false;
  /** snake_case; the codes are listed in each scheme's own file. */
  readonly code: string;
  readonly message: string;
}

export type VersionParse = { readonly ok: true; readonly version: CheckedVersion } | VersionRefusal;

/** One scheme's order, for who parses once and compares often: `const ordering = versionOrderings[scheme]`. */
export interface VersionOrdering {
  readonly scheme: VersionScheme;
  /** For sentences, with its article: "… is not an RPM version". */
  readonly title: string;
  readonly parse: (text: string) => VersionParse;
  /** Both come from this scheme's `parse`; throws where one is another scheme's, which is a bug. */
  readonly compare: (a: CheckedVersion, b: CheckedVersion) => CheckedOrder;
}

/** `isOwn` tells the scheme's own versions from those of others, so that mixing them up is an error, not an answer. */
function ordering<Version extends CheckedVersion>(
  scheme: VersionScheme,
  title: string,
  parse: (text: string) => { readonly ok: true; readonly version: Version } | VersionRefusal,
  isOwn: (version: CheckedVersion) => version is Version,
  compare: (a: Version, b: Version) => number | 'incomparable',
): VersionOrdering {
  return {
    scheme,
    title,
    parse,
    compare(a, b) {
      if (!isOwn(a) || !isOwn(b)) throw new Error(`not parsed as ${title}: ${a.text} or ${b.text}`);
      const order = compare(a, b);
      if (order === 'incomparable') return order;
      if (order === 0) return 'equal';
      return order < 0 ? 'less' : 'greater';
    },
  };
}

export const versionOrderings: Readonly<Record<VersionScheme, VersionOrdering>> = {
  dpkg: ordering(
    'dpkg',
    'a Debian version',
    parseDpkg,
    (version): version is DpkgVersion => 'upstreamStart' in version,
    compareDpkg,
  ),
  rpm: ordering(
    'rpm',
    'an RPM version',
    parseRpm,
    (version): version is RpmVersion => 'releaseStart' in version,
    compareRpm,
  ),
  apk: ordering(
    'apk',
    'an Alpine version',
    parseApk,
    (version): version is ApkVersion => 'tokens' in version,
    compareApk,
  ),
  'windows-build': ordering(
    'windows-build',
    'a Windows build',
    parseWindowsBuild,
    (version): version is WindowsBuild => 'branch' in version,
    compareWindowsBuild,
  ),
};

/** All schemes, in the order to show them. */
export const versionSchemes: readonly VersionScheme[] = ['dpkg', 'rpm', 'apk', 'windows-build'];

export function isVersionScheme(text: string): text is VersionScheme {
  return Object.hasOwn(versionOrderings, text);
}

/** What a version of the scheme is called in a sentence: "a Debian version". */
export function schemeTitle(scheme: VersionScheme): string {
  return versionOrderings[scheme].title;
}

/** How `a` stands to `b` in the order of `scheme`: `less` means that `a` is the older one. Never throws. */
export function compareVersions(scheme: VersionScheme, a: string, b: string): VersionOrder {
  const { parse, compare } = versionOrderings[scheme];
  const left = parse(a);
  if (!left.ok) return 'unparseable';
  const right = parse(b);
  return right.ok ? compare(left.version, right.version) : 'unparseable';
}

/** The same answer seen from the other side. */
export function reverseOrder(order: VersionOrder): VersionOrder {
  if (order === 'less') return 'greater';
  return order === 'greater' ? 'less' : order;
}
