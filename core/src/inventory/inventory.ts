import type { HostPolicy } from '../host-policy/policy.ts';

/**
 * What a host reports about itself. These shapes cross the wire and are stored as JSON, so their names are the same
 * (snake_case) in code, SQL and API. The schemas that parse them at the boundary are in contract/src/inventory.ts.
 */

export interface InstalledPackage {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  /** Source package and its version; equal to name and version where the package manager names none. */
  readonly source: string;
  readonly source_version: string;
  /**
   * Who built it; absent when it was the distribution. A `third_party` package is not what the distribution's data speaks
   * of, whatever its name and version; of an `unknown` one nobody can say (`origin.ts`).
   */
  readonly origin?: 'third_party' | 'unknown';
  /** Who built it, as the repository or the package says, for what the distribution did not build: `NodeSource`. */
  readonly vendor?: string;
  /** RPM module stream that it belongs to, `name:stream`. */
  readonly module?: string;
  /** Windows: ids of the updates that are installed for this product (`KB5040430`), sorted. */
  readonly updates?: readonly string[];
}

/** A newer version that the host's own package manager would install, from a repository configured on the host. */
export interface Candidate {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  readonly source: string;
  readonly source_version: string;
  /** As apt names it: `bookworm-security/main`. */
  readonly repository: string;
  readonly download_bytes: number;
  /** What it needs of other packages that is not met by what is installed: `libssl3 (>= 3.0.17)`. Absent: nothing. */
  readonly requires?: readonly string[];
}

export interface InstalledKernel {
  /** Package name: `linux-image-6.1.0-25-amd64`. */
  readonly name: string;
  readonly version: string;
  readonly source: string;
  readonly source_version: string;
  /** As `uname -r` says when it runs: `6.1.0-25-amd64`. */
  readonly release: string;
}

export interface HostFacts {
  readonly hostname: string;
  /** `debian`; from ID in os-release. */
  readonly os: string;
  /** VERSION_ID: `12`; empty for rolling releases. */
  readonly os_release: string;
  readonly os_title: string;
  readonly arch: string;
  readonly addresses: readonly string[];
  readonly boot_id: string;
  /** ISO 8601 UTC. */
  readonly booted_at: string;
  readonly running_kernel: string;
  readonly kernels: readonly InstalledKernel[];
  /** `container` when the kernel is not the host's own to patch (systemd-detect-virt --container). */
  readonly machine: 'physical_or_virtual' | 'container';
  readonly reboot_required: boolean;
  readonly reboot_required_by: readonly string[];
  /** Names of packages on hold. */
  readonly held: readonly string[];
  readonly units: readonly {
    readonly name: string;
    readonly state: 'active' | 'inactive' | 'failed' | 'other';
  }[];
  /** Mitigations that the agent has carried out here, as they stand now; absent when there is none. */
  readonly mitigations?: readonly ReportedMitigation[];
  /**
   * What the cloud says of the host, as far as it stands on the host: `provider` (`aws`, `azure`, `gcp`, `openstack`), `region`,
   * `zone`, `instance_type`, `instance_id`, `account`, `image`. Empty: it is in no cloud. Absent: the agent cannot tell.
   */
  readonly cloud?: Readonly<Record<string, string>>;
  /** IANA name of the zone that the host's clock shows; absent: it cannot be told, and UTC is taken. */
  readonly time_zone?: string;
  /** What the owner of the host allows; absent: the host has no policy file, and everything that an order may ask for is allowed. */
  readonly policy?: HostPolicy;
  /** How the root file system could be put back as a whole; absent: not at all. */
  readonly snapshots?: 'btrfs' | 'lvm';
  /** By what orders are carried out here; absent: the agent does not say, or carries out none. */
  readonly package_manager?: ReportedPackageManager;
}

export const packageManagers = ['apt', 'dnf', 'yum', 'zypper', 'apk', 'pacman', 'windows'] as const;

export interface ReportedPackageManager {
  readonly name: (typeof packageManagers)[number];
  /**
   * What the agent's part for it was tried on. `real`: the package manager itself, with its failures; `recorded`: outputs that
   * others recorded or that follow its documentation, and never the tool.
   */
  readonly held: 'real' | 'recorded';
}

/** What a mitigation comes to on a host, from what the host is now; see core/src/mitigation/judge.ts. */
export interface ReportedMitigation {
  readonly id: string;
  /** SHA-256 (hex) of what the host was asked to do: which edition it is. */
  readonly digest: string;
  readonly state: 'applied' | 'not_applied' | 'overridden' | 'unknown';
  /** A sentence for a person. */
  readonly detail: string;
  /** Everything is right but for old code that only a reboot takes out of memory. */
  readonly until_reboot: boolean;
}

/**
 * Code that the package manager says is replaced and that is there all the same: on disk or in running memory. It keeps
 * the findings of the version it came from open. `version` null means that the host could not tell which version it is.
 */
export interface Residue {
  readonly kind: 'process' | 'file';
  readonly name: string;
  readonly arch: string;
  /** The version whose code is still there. */
  readonly version: string | null;
  readonly source: string;
  readonly source_version: string | null;
  readonly path: string;
  /** For `process`. */
  readonly process: {
    readonly pid: number;
    readonly command: string;
    readonly unit: string | null;
    readonly started_at: string;
  } | null;
  /** For `file`: how it differs from what the installed version ships. */
  readonly alteration: 'digest_differs' | 'diverted' | 'missing' | null;
}

export interface Inventory {
  readonly packages: readonly InstalledPackage[];
  readonly candidates: readonly Candidate[];
  readonly host: HostFacts;
  readonly residue: readonly Residue[];
}

export type InventorySection = keyof Inventory;
export const inventorySections: readonly InventorySection[] = ['packages', 'candidates', 'host', 'residue'];

/** Lower-case hex SHA-256 of each section's canonical form. */
export type InventoryDigests = Readonly<Record<InventorySection, string>>;

/** The change of the package section from a base that both sides hold. */
export interface PackageDelta {
  readonly base: string;
  readonly set: readonly InstalledPackage[];
  /** `name:arch` of packages that are gone. */
  readonly removed: readonly string[];
}
