import { parseMitigationPatchId } from '../mitigation/mitigation.ts';
import type { JobSchedule, PatchWindow } from '../window/window.ts';

/**
 * What somebody wants deployed. The same shape as `PatchJobDefinition` in contract/src/patch-job.ts, which parses it. What is
 * absent has its plain meaning: any time, no reboot, no rollback, nothing run besides the installation.
 */
export interface PatchJobDefinition {
  readonly name: string;
  readonly trigger: 'manual' | 'schedule';
  /** When it is started by itself; exactly when the trigger is `schedule`. */
  readonly schedule?: JobSchedule;
  /** Patch ids: `debian:12/openssl@3.0.22-1~deb12u2`, `mitigation:sshd-login-grace-time`. Empty only with criteria. */
  readonly patches: readonly string[];
  /** Instead of a list, or beside it: what is to be patched is looked up anew for each run. */
  readonly criteria?: PatchCriteria;
  /** Names or patterns (`linux-image-*`) of source or binary packages that the job never touches. */
  readonly exclude_packages?: readonly string[];
  /** A package is taken to exactly this version or left alone, whatever newer there is. */
  readonly pins?: readonly { readonly package: string; readonly version: string }[];
  readonly target: JobTarget;
  /** Take the mitigations among the patches back instead of applying them; then there is nothing else among them. */
  readonly undo_mitigations?: boolean;
  readonly windows?: readonly PatchWindow[];
  /** Names of calendars (blackouts) that the job heeds besides those that hold for everything. */
  readonly calendars?: readonly string[];
  /** What an asset does that was not there in its window. Absent: `wait` for the next window. */
  readonly missed_window?: 'wait' | 'next_chance';
  /** Downloads begin so long before the window opens; absent: only within it. */
  readonly prestage_minutes?: number;
  readonly bandwidth_bytes_per_second?: number;
  readonly units: 'restart' | 'leave';
  readonly reboot?: RebootRule;
  readonly rollback?: RollbackRule;
  /** Absent: a plan that would remove a package is refused for that asset. */
  readonly allow_removals?: boolean;
  readonly actions?: {
    readonly before?: readonly JobAction[];
    readonly after?: readonly JobAction[];
  };
  readonly health?: HealthRule;
  readonly install_timeout_seconds: number;
  readonly expire_after_seconds: number;
  readonly concurrency: number;
}

/** Assets in any of `tags` or `ranges`, or that match `query`, or are named; of those, only what is in all of `tags_all`. */
export interface JobTarget {
  /** Any of these. */
  readonly tags: readonly string[];
  /** And all of these. Alone, they are the target. */
  readonly tags_all?: readonly string[];
  /** In the query language, over assets. */
  readonly query?: string;
  /** Addresses: `10.0.0.0/8`, `10.0.0.1-10.0.0.9`, `2001:db8::/32`. */
  readonly ranges?: readonly string[];
  /** Id or unique hostname. */
  readonly assets: readonly string[];
  /** Id or unique hostname. */
  readonly exclude: readonly string[];
  readonly exclude_tags?: readonly string[];
  readonly exclude_query?: string;
}

export interface PatchCriteria {
  /** In the query language, over vulnerabilities: every patch that closes one that matches, on assets of the target. */
  readonly query: string;
  /** Where nothing matches but a newer version is offered, that is taken too. */
  readonly everything_newer?: boolean;
}

export interface RebootRule {
  /** `suppress`: the task waits as `reboot_pending`. `force`: after a countdown. `prompt`: who is logged in may put it off. */
  readonly mode: 'suppress' | 'force' | 'prompt';
  /** Between the announcement and the reboot. */
  readonly countdown_seconds?: number;
  /** Shown on terminals with the announcement. */
  readonly message?: string;
  /** `prompt`: how often it may be put off, and for how long each time. */
  readonly deferrals_maximum?: number;
  readonly deferral_minutes?: number;
  /** `prompt` where nobody is logged in. Absent: `reboot`. */
  readonly when_nobody?: 'reboot' | 'wait';
  /** Never more than so many assets of the tag that are down for a reboot at once, over all jobs of the server. */
  readonly limits?: readonly { readonly tag: string; readonly at_once: number }[];
  /** Assets of an earlier tag reboot before those of a later one, and those before the rest. */
  readonly order?: readonly string[];
  /** An asset that is not back after so long is named in an alert, and keeps its place. */
  readonly back_within_seconds?: number;
}

/** What is put back as it was, and when. */
export interface RollbackRule {
  /** `off`: nothing is kept. `by_hand`: kept, and put back only when a person says so; the others besides by themselves. */
  readonly on: 'off' | 'by_hand' | 'verification_failure' | 'health_failure' | 'any_failure';
  /** `packages`: exact versions and configuration files kept at staging. `snapshot`: of the file system, where the host can. */
  readonly method?: 'packages' | 'snapshot';
  /** Leave assets out on which a rollback would not be possible. Absent: they are patched, and the plan says so. */
  readonly required?: boolean;
}

/** An action that the policy of the host knows by this name. */
export interface JobAction {
  readonly name: string;
  readonly timeout_seconds: number;
  readonly on_failure: 'fail' | 'continue';
}

/** What is looked at before and after. What failed before already is not held against the patch. */
export interface HealthRule {
  readonly probes: readonly HealthProbe[];
  /** Units that fail after and did not before count as a failure. Absent: true. */
  readonly failed_units?: boolean;
  /** Probes are tried again for so long before they count as failed. */
  readonly settle_seconds?: number;
}

export type HealthProbe =
  | { readonly kind: 'unit_active'; readonly unit: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly timeout_seconds: number }
  | {
      readonly kind: 'http';
      readonly url: string;
      /** Absent: any from 200 to 399. */
      readonly status?: number;
      readonly timeout_seconds: number;
    }
  /** A command that the policy of the host knows by this name. */
  | { readonly kind: 'command'; readonly name: string; readonly timeout_seconds: number };

/** The ids of the mitigations among the patches of a definition, and the rest. */
export function splitPatches(patches: readonly string[]): { mitigations: string[]; packages: string[] } {
  const mitigations: string[] = [];
  const packages: string[] = [];
  for (const id of patches) {
    const mitigation = parseMitigationPatchId(id);
    if (mitigation === null) packages.push(id);
    else mitigations.push(mitigation);
  }
  return { mitigations, packages };
}
