import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import canonicalize from 'canonicalize';
import {
  inventorySections,
  type InstalledPackage,
  type Inventory,
  type InventoryDigests,
  type PackageDelta,
} from './inventory.ts';

/** What can change of a package while it stays the same package. */
function contentOf(p: InstalledPackage): string[] {
  return [
    p.version,
    p.source,
    p.source_version,
    p.origin ?? '',
    p.vendor ?? '',
    p.module ?? '',
    (p.updates ?? []).join(' '),
  ];
}

/** All that is said of a package, as one line. */
export function packageLine(p: InstalledPackage): string {
  return [p.name, p.arch, ...contentOf(p)].join('\t');
}

/**
 * One text for one set of packages, whatever order they were reported in and whichever side writes it: what the digest of the
 * section is of. Made of the lines of the packages.
 */
export function packagesText(packageLines: readonly string[]): string {
  // Without a comparison of its own, texts are put in the order of their code units, as compareText does.
  return packageLines.toSorted().join('\n');
}

/** SHA-256 (hex) of text in UTF-8. */
export function digestText(text: string): string {
  return bytesToHex(sha256(utf8ToBytes(text)));
}

/** SHA-256 (hex) of a value's canonical JSON (RFC 8785). */
export function digestJson(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('a value without a JSON form has no digest');
  return digestText(text);
}

/** Digests by which agent and server know, section by section, whether they hold the same inventory. */
export function inventoryDigests(inventory: Inventory): InventoryDigests {
  return {
    packages: packagesDigest(inventory.packages),
    candidates: digestJson(inventory.candidates),
    host: digestJson(inventory.host),
    residue: digestJson(inventory.residue),
  };
}

/** Digest of the package section alone, for the side that has just applied a delta. */
export function packagesDigest(packages: readonly InstalledPackage[]): string {
  return digestText(packagesText(packages.map(packageLine)));
}

export function sameDigests(a: InventoryDigests, b: InventoryDigests): boolean {
  return inventorySections.every((section) => a[section] === b[section]);
}

/** RPM's install-only packages: of a kernel and its parts several versions are installed side by side. */
const installOnly = /^kernel(?:-|$|\d)/u;

/** What a package of a host is told apart by: name and architecture, and for kernels of RPM systems the version. */
export function packageKey(p: {
  readonly name: string;
  readonly arch: string;
  readonly version?: string | null;
}): string {
  const version = installOnly.test(p.name) ? (p.version ?? '') : '';
  return version === '' ? `${p.name}:${p.arch}` : `${p.name}:${p.arch}:${version}`;
}

function samePackage(a: InstalledPackage, b: InstalledPackage): boolean {
  return contentOf(a).join('\t') === contentOf(b).join('\t');
}

/** What must be said to turn `before` into `after`. */
export function diffPackages(
  before: readonly InstalledPackage[],
  after: readonly InstalledPackage[],
): PackageDelta {
  const known = new Map(before.map((p) => [packageKey(p), p]));
  const set: InstalledPackage[] = [];
  for (const p of after) {
    const earlier = known.get(packageKey(p));
    if (earlier === undefined || !samePackage(earlier, p)) set.push(p);
    known.delete(packageKey(p));
  }
  return { base: packagesDigest(before), set, removed: [...known.keys()] };
}

/** Applies a delta; refuses one that was made from another base. */
export function applyPackageDelta(
  before: readonly InstalledPackage[],
  delta: PackageDelta,
): { ok: true; packages: InstalledPackage[] } | { ok: false; code: 'inventory_base_unknown' } {
  if (packagesDigest(before) !== delta.base) return { ok: false, code: 'inventory_base_unknown' };
  const byKey = new Map(before.map((p) => [packageKey(p), p]));
  for (const key of delta.removed) byKey.delete(key);
  for (const p of delta.set) byKey.set(packageKey(p), p);
  return { ok: true, packages: [...byKey.values()] };
}
