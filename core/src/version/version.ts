/**
 * Order of versions. Each package manager has its own, so every question names its scheme; the table below is the only
 * place that a new scheme (rpm, apk, windows-build) is added to.
 */
import { compareDpkg, parseDpkg } from './dpkg.ts';

/**
 * `incomparable`: both are versions, and the scheme holds neither to be older (such as Windows builds of two branches).
 * `unparseable`: at least one is not a version of the scheme; then the answer is the same both ways round.
 */
export type VersionOrder = 'less' | 'equal' | 'greater' | 'incomparable' | 'unparseable';

const compareByScheme = {
  dpkg(a: string, b: string): VersionOrder {
    const left = parseDpkg(a);
    if (!left.ok) return 'unparseable';
    const right = parseDpkg(b);
    if (!right.ok) return 'unparseable';
    const order = compareDpkg(left.version, right.version);
    if (order === 0) return 'equal';
    return order < 0 ? 'less' : 'greater';
  },
} as const satisfies Record<string, (a: string, b: string) => VersionOrder>;

export type VersionScheme = keyof typeof compareByScheme;

/** All schemes, in the order to show them. */
export const versionSchemes: readonly VersionScheme[] = ['dpkg'];

export function isVersionScheme(text: string): text is VersionScheme {
  return Object.hasOwn(compareByScheme, text);
}

/** How `a` stands to `b` in the order of `scheme`: `less` means that `a` is the older one. Never throws. */
export function compareVersions(scheme: VersionScheme, a: string, b: string): VersionOrder {
  return compareByScheme[scheme](a, b);
}

/** The same answer seen from the other side. */
export function reverseOrder(order: VersionOrder): VersionOrder {
  if (order === 'less') return 'greater';
  return order === 'greater' ? 'less' : order;
}
