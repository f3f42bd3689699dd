import { compareText } from '@fixpoint/core/knowledge/compare-text.ts';
import type { Candidate, InstalledKernel, InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { managerTraits, type Manager } from '../package-tools.ts';
import type { Diversion } from './dpkg-files.ts';
import type { LoggedUpgrade } from './maps.ts';

/** What the agent asks of a package manager about this host. One file for each family: `deb.ts`, `rpm.ts`, `apk.ts`. */
export interface PackageSource {
  readonly manager: Manager;
  /** Whether orders can be carried out here; else the host can only be assessed. */
  readonly takesOrders: boolean;
  /** Changes when packages, or what the repositories offer, may have changed. Cheap. */
  stamp(): string;
  /** Throws AgentFailure when the package database cannot be read whole. */
  collect(): Promise<CollectedPackages>;
  readonly files: PackageFiles;
}

export interface CollectedPackages {
  /** By name and architecture; each appears once, but for kernels of RPM systems (`packageKey` in core). */
  readonly packages: readonly InstalledPackage[];
  readonly candidates: readonly Candidate[];
  /** Names of packages on hold. */
  readonly held: readonly string[];
  readonly kernels: readonly InstalledKernel[];
  /** The host's architecture as its package manager names it. */
  readonly arch: string;
  /** What could not be found out, and does not keep the rest from being told. */
  readonly problems: readonly CollectProblem[];
}

export interface CollectProblem {
  readonly code: string;
  readonly message: string;
}

/** A host that may be told to install packages, says when this agent only reads its package manager, or was never tried on a real one. */
export function ordersProblem(
  source: Pick<PackageSource, 'manager' | 'takesOrders'>,
  mode: 'assess' | 'manage',
  held = managerTraits[source.manager].held,
): CollectProblem[] {
  if (mode !== 'manage') return [];
  if (source.takesOrders) {
    if (held === 'real') return [];
    return [
      {
        code: 'orders_held_to_recordings',
        message: `orders for this package manager (${source.manager}) are held to recorded outputs only: they were never tried on a real one`,
      },
    ];
  }
  return [
    {
      code: 'orders_not_supported',
      message: `orders for this package manager (${source.manager}) are not supported yet: this host is only assessed`,
    },
  ];
}

/** Files of packages: whose they are, and what they must be. */
export interface PackageFiles {
  /** Changes whenever the database of installed packages has been written. */
  stamp(): string;
  ownersOf(paths: readonly string[]): Promise<Owners>;
  shippedBy(p: PackageName): Promise<ShippedBy>;
  diversions(): Promise<ReadonlyMap<string, Diversion>>;
  /** Upgrades in the package manager's log, as far as it reaches back. */
  upgrades(): readonly LoggedUpgrade[];
}

/** Path → `name` or `name:arch`; null when no package owns it. */
export type Owners = ReadonlyMap<string, string | null>;

export type PackageName = Pick<InstalledPackage, 'name' | 'arch'>;

export interface ShippedBy {
  /** Absolute path → digest in hex: MD5, SHA-1 or SHA-256, told by its length. */
  readonly sums: ReadonlyMap<string, string>;
  /** Files that the administrator may change. */
  readonly changeable: ReadonlySet<string>;
}

/** One order whatever the package manager lists first. */
export function sortPackages(packages: readonly InstalledPackage[]): InstalledPackage[] {
  return packages.toSorted(
    (a, b) => compareText(a.name, b.name) || compareText(a.arch, b.arch) || compareText(a.version, b.version),
  );
}
