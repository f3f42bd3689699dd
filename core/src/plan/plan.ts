import type { HostPolicy } from '../host-policy/policy.ts';
import type {
  Candidate,
  HostFacts,
  InstalledPackage,
  ReportedMitigation,
  ReportedPackageManager,
} from '../inventory/inventory.ts';
import type { MitigationAction, MitigationOrder } from '../mitigation/mitigation.ts';

/**
 * The shapes of a plan. They cross the wire and are stored, so their names are snake_case; contract/src/patch-job.ts parses
 * the same shapes (server/src/deployment/shapes.test.ts holds them equal).
 */

/** Why an asset of the target gets nothing. */
export const exclusionReasons = [
  'excluded_by_job',
  'not_installed',
  'already_fixed',
  'not_offered',
  'package_held',
  'assess_only',
  'no_inventory',
  'retired',
  'other_release',
  'task_under_way',
  'mitigation_not_supported',
  'already_mitigated',
  'not_mitigated',
  'package_excluded',
  'pinned',
  'patch_denied',
  'host_policy',
  'dependency_conflict',
  'repository_missing',
  'disk_too_small',
  'rollback_not_possible',
  'removal_not_allowed',
  'not_simulated',
  'package_manager_broken',
  'too_many_packages',
] as const;
export type ExclusionReason = (typeof exclusionReasons)[number];

/** One package of a task: exactly this version, from exactly that one. */
export interface PlannedPackage {
  readonly name: string;
  readonly arch: string;
  readonly from: string;
  readonly to: string;
  readonly source: string;
  readonly source_version: string;
}

/** One mitigation of a task: exactly these steps, under their digest. */
export interface PlannedMitigation {
  readonly action: MitigationAction;
  readonly title: string;
  /** Of `mitigation`: the edition. */
  readonly digest: string;
  readonly mitigation: MitigationOrder;
  /** Of the vulnerabilities that the asset has, those that cannot be used while it is applied. */
  readonly blocks: readonly string[];
  /** Those that it only makes harder to use; they stay open. */
  readonly reduces: readonly string[];
}

/** A package that comes newly with the upgrades, because they need it. */
export interface AddedPackage {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
}

/** A package that the upgrades take away. */
export interface RemovedPackage {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
}

/** What a package manager said would stand in the way, or what is to be known, before anything was begun. */
export const obstacleKinds = [
  'dependency_conflict',
  'package_held',
  'repository_missing',
  'version_not_available',
  'disk_too_small',
  'rollback_not_possible',
  'host_policy',
  'lock_held',
  'package_manager_broken',
  'other',
] as const;
export type ObstacleKind = (typeof obstacleKinds)[number];
export interface Obstacle {
  readonly kind: ObstacleKind;
  readonly message: string;
}

/** Whether what is there now could be put back, and for which packages not. */
export interface RollbackSupport {
  readonly possible: boolean;
  readonly reasons: readonly { readonly package: string; readonly message: string }[];
  readonly snapshots?: 'btrfs' | 'lvm';
}

/** What the solver of the asset itself said would happen, and what came of it can be compared with. */
export interface Prediction {
  /** ISO 8601 UTC. */
  readonly simulated_at: string;
  readonly download_bytes: number;
  /** More (or less, when negative) that is taken on disk afterwards, without the download itself. */
  readonly disk_bytes: number;
  readonly disk_free_bytes: number;
  /** Units that run files which would be replaced. */
  readonly restarts: readonly string[];
  readonly reboot: boolean;
  readonly rollback: RollbackSupport;
  /** What does not keep the task from being done. */
  readonly remarks: readonly Obstacle[];
}

export interface PlannedTask {
  readonly asset_id: string;
  readonly hostname: string;
  /** Patch ids that this asset really gets: of the version that its repositories offer, or `mitigation:ID`. */
  readonly patches: readonly string[];
  readonly packages: readonly PlannedPackage[];
  /** Vulnerabilities that must be gone from this asset afterwards. */
  readonly fixes: readonly string[];
  readonly download_bytes: number;
  /** Absent when there is none. */
  readonly mitigations?: readonly PlannedMitigation[];
  /** Absent when there are none, or when the asset was not asked. */
  readonly added?: readonly AddedPackage[];
  readonly removed?: readonly RemovedPackage[];
  /** Absent when the asset was not asked. */
  readonly prediction?: Prediction;
}

export interface ExcludedAsset {
  readonly asset_id: string;
  readonly hostname: string;
  readonly reason: ExclusionReason;
  readonly message: string;
}

export interface Plan {
  readonly format: 1;
  readonly job_id: string;
  /** ISO 8601 UTC. */
  readonly made_at: string;
  /** SHA-256 (hex) over the canonical JSON of the plan without made_at and digest. */
  readonly digest: string;
  readonly tasks: readonly PlannedTask[];
  readonly excluded: readonly ExcludedAsset[];
  readonly warnings: readonly string[];
}

/** A patch of the job, as the knowledge base has it. */
export interface PlanPatch {
  readonly id: string;
  readonly ecosystem: string;
  readonly release: string;
  /** Source package. */
  readonly package: string;
  readonly version: string;
}

/** One finding of an asset that is not fixed. */
export interface PlanFinding {
  readonly vulnerability: string;
  /** Source package. */
  readonly source: string;
  readonly status: string;
  readonly fixedVersion: string | null;
}

/** An asset of the target with everything that the plan depends on. */
export interface PlanAsset {
  readonly uid: string;
  readonly hostname: string;
  readonly mode: 'assess' | 'manage';
  readonly retired: boolean;
  /** Why the target leaves it out; null when it does not. */
  readonly excludedByJob: string | null;
  /** True when a task of another deployment (or of this one) is not ended on this asset. */
  readonly taskUnderWay: boolean;
  /** ISO 8601 UTC; null when it was never heard. */
  readonly lastSeenAt: string | null;
  /** Null while the asset has sent no inventory. */
  readonly inventory: {
    /** Null when the release is not one that the knowledge base knows. */
    readonly product: { readonly ecosystem: string; readonly release: string } | null;
    readonly packages: readonly InstalledPackage[];
    readonly candidates: readonly Candidate[];
    /** Names of packages on hold. */
    readonly held: readonly string[];
    /** `physical_or_virtual` when absent. */
    readonly machine?: HostFacts['machine'];
    /** As the asset reports them. */
    readonly mitigations?: readonly ReportedMitigation[];
    /** Absent: the host has none. */
    readonly policy?: HostPolicy;
    /** Absent: the agent does not say. */
    readonly packageManager?: ReportedPackageManager;
  } | null;
  readonly findings: readonly PlanFinding[];
}
