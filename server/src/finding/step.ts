import type { ExposedStatus, ExposureKind } from '@fixpoint/core/finding/exposure.ts';
import type { Candidate, HostFacts, Residue } from '@fixpoint/core/inventory/inventory.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';

/** What is known of an asset that goes from one state to another. */

/** What an asset has installed: software ids and, in parallel, since when (seconds since 2020-01-01 UTC). */
export interface InstalledState {
  readonly software: readonly number[];
  readonly since: readonly number[];
}

export interface ExposureChange {
  readonly assetId: number;
  /** As people see it. */
  readonly uid: string;
  readonly actor: Actor;
  readonly os: string;
  readonly osRelease: string;
  readonly host: HostFacts | null;
  /** Null: those that are stored of the asset. */
  readonly candidates: readonly Candidate[] | null;
  readonly residue: readonly Residue[];
  readonly before: InstalledState;
  readonly after: InstalledState;
  /** Software that is in one of both only. */
  readonly differing: readonly number[];
}

export interface Counted {
  readonly software: number;
  readonly since: number;
  readonly kind: ExposureKind;
}

export interface CarriedBy {
  readonly exposures: readonly (Counted & {
    readonly openedAt: Date;
    readonly fixedVersion: string | null;
  })[];
  readonly status: ExposedStatus;
}
