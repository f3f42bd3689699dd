import { hash } from 'node:crypto';
import type { InventoryReport } from '@fixpoint/contract/inventory.ts';
import {
  digestJson,
  packageKey,
  packageLine,
  packagesText,
  sameDigests,
} from '@fixpoint/core/inventory/digest.ts';
import {
  inventorySections,
  type HostFacts,
  type InstalledPackage,
  type InventoryDigests,
  type Residue,
} from '@fixpoint/core/inventory/inventory.ts';
import type { Transact } from '../context.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { installedPackage, softwareOf } from '../software/commands.ts';

/** What a host has after a report, from what is held of it: nothing is read or written here but {@link packagesOf}. */

/** A package, with the texts by which it is compared; its software where it was held already. */
export interface ListedPackage {
  readonly key: string;
  readonly line: string;
  readonly package: InstalledPackage;
  readonly id?: number;
}

export interface Held {
  readonly packages: readonly ListedPackage[];
  readonly host: HostFacts | null;
  readonly residue: readonly Residue[];
  readonly digests: InventoryDigests | null;
}

export interface Merged {
  readonly packages: readonly ListedPackage[];
  readonly host: HostFacts;
  readonly residue: readonly Residue[];
  /** It is what is held: the answer to it got lost. */
  readonly known: boolean;
}

/** Installed packages by their software ids, as the agent reported them. */
export async function packagesOf(trx: Transact, ids: readonly number[]): Promise<InstalledPackage[]> {
  return (await softwareOf(trx, ids)).map(installedPackage);
}

const listed = (one: InstalledPackage): ListedPackage => ({
  key: packageKey(one),
  line: packageLine(one),
  package: one,
});

/** As `packagesDigest` of core, many times as fast. */
function digestOf(packages: readonly ListedPackage[]): string {
  return hash('sha256', packagesText(packages.map((one) => one.line)));
}

/** What the host has now, or why that cannot be said from this report. */
export function merge(held: Held, report: InventoryReport): Answer<Merged> {
  const sendAll = 'send every section whole';
  const unknownBase = refuse(
    409,
    'inventory_base_unknown',
    'the report builds on an inventory that this server does not hold',
    sendAll,
  );
  if (held.digests !== null && held.host !== null && sameDigests(held.digests, report.digests)) {
    // Said already, the answer got lost. What comes with it must not change what is held under the same digests.
    return answer({ packages: held.packages, host: held.host, residue: held.residue, known: true });
  }
  if (report.packages !== undefined && report.package_delta !== undefined) {
    return refuse(
      422,
      'inventory_contradicts',
      'the report has packages both whole and as a difference',
      'send one of them',
    );
  }
  const { package_delta: delta } = report;
  let packages = report.packages?.map(listed) ?? held.packages;
  if (delta !== undefined) {
    // What is held was found to have this digest when it was stored.
    if (held.digests === null || delta.base !== held.digests.packages) return unknownBase;
    const set = new Map(delta.set.map((one) => [packageKey(one), listed(one)]));
    const gone = new Set([...delta.removed, ...set.keys()]);
    packages = [...held.packages.filter((one) => !gone.has(one.key)), ...set.values()];
  }
  const host = report.host ?? held.host;
  const sections = {
    packages: report.packages !== undefined || delta !== undefined,
    candidates: report.candidates !== undefined,
    host: report.host !== undefined,
    residue: report.residue !== undefined,
  };
  for (const section of inventorySections) {
    if (!sections[section] && held.digests?.[section] !== report.digests[section]) return unknownBase;
  }
  if (host === null) return unknownBase;
  // No package, no finding: it would read as safe. There is no host without packages, only one that could not be read.
  if (packages.length === 0) {
    return refuse(
      422,
      'inventory_implausible',
      held.packages.length === 0
        ? 'the host reports no package at all'
        : `the host had ${held.packages.length} packages and now reports none`,
      'look at the package database of the host (dpkg --audit); the last good inventory, if any, is kept',
    );
  }
  const twice = report.packages === undefined ? null : repeated(packages);
  if (twice !== null) {
    return refuse(
      422,
      'inventory_contradicts',
      `the report names ${twice} twice`,
      'report each package and architecture once',
    );
  }
  const residue = report.residue ?? held.residue;
  const digests: InventoryDigests = {
    packages: sections.packages ? digestOf(packages) : report.digests.packages,
    candidates: sections.candidates ? digestJson(report.candidates) : report.digests.candidates,
    host: sections.host ? digestJson(host) : report.digests.host,
    residue: sections.residue ? digestJson(residue) : report.digests.residue,
  };
  const different = inventorySections.filter((section) => digests[section] !== report.digests[section]);
  if (different.length > 0) {
    // Should what is held ever not be what its digest says, only the whole list mends it.
    if (delta !== undefined && digestOf(held.packages) !== delta.base) return unknownBase;
    return refuse(
      422,
      'inventory_digest_mismatch',
      `what arrived is not what was sent: the digest of ${different.join(', ')} differs`,
      sendAll,
    );
  }
  return answer({ packages, host, residue, known: false });
}

function repeated(packages: readonly ListedPackage[]): string | null {
  const seen = new Set<string>();
  for (const { key } of packages) {
    if (seen.has(key)) return key;
    seen.add(key);
  }
  return null;
}
