/**
 * What the read model of the fleet is made from: plain rows, as the database has them. The model holds nothing that does not
 * follow from these, so reading them all again gives the same model. Times are milliseconds since 1970 unless they say
 * otherwise; null is not known.
 */
import type { Criticality } from '../risk/asset-risk.ts';
import type { SourcedScore } from '../knowledge/score.ts';
import type { SourcedThreat } from '../knowledge/threat.ts';
import type { SlaRule } from '../finding/sla.ts';
import type { TagDefinition } from '../tag/definition.ts';
import type { RuleProblem } from './readable-rules.ts';

/** What an asset's own report says of it; null in AssetFacts until the first inventory. */
export interface AssetHost {
  readonly addresses: readonly string[];
  readonly bootedAt: number | null;
  /** As `uname -r` says. */
  readonly runningKernel: string;
  readonly machine: 'physical_or_virtual' | 'container';
  readonly rebootRequired: boolean;
  readonly held: readonly string[];
  readonly activeUnits: readonly string[];
  readonly failedUnits: readonly string[];
  /** What the cloud says of the host: `{ provider: 'aws', region: 'eu-west-1' }`. Null: the agent does not say. */
  readonly cloud: Readonly<Record<string, string>> | null;
}

/** Replaced software whose code is still there. */
export interface StaleSoftware {
  readonly software: number;
  /** Seconds since 2020-01-01 UTC, as everywhere. */
  readonly since: number;
  readonly kind: 'process' | 'file' | 'kernel';
}

export interface AssetFacts {
  readonly id: number;
  readonly uid: string;
  readonly hostname: string;
  readonly mode: 'assess' | 'manage';
  readonly os: string;
  readonly osRelease: string;
  readonly arch: string;
  readonly agentVersion: string;
  readonly enrolledAt: number;
  readonly retired: boolean;
  /** Set by a person, before any rule. */
  readonly criticalitySet: Criticality | null;
  readonly attributes: Readonly<Record<string, string>>;
  readonly host: AssetHost | null;
  /** Ids of installed software, ascending, and in parallel since when, in seconds since 2020-01-01 UTC. */
  readonly software: ArrayLike<number>;
  readonly since: ArrayLike<number>;
  /** Installed kernels that do not run: they open no finding. */
  readonly inert: readonly number[];
  /** What a reboot would start instead of the running kernel. */
  readonly nextKernel: number | null;
  readonly stale: readonly StaleSoftware[];
  /** Mitigations in force, `ID@DIGEST`. */
  readonly mitigations: readonly string[];
  /** Findings that were remediated, `VULNERABILITY\tPACKAGE`. History is only added to: what was said before stays. */
  readonly remediatedBefore: readonly string[];
  /**
   * Findings that are older than the software that carries them now, `VULNERABILITY\tPACKAGE`: since when, in seconds since
   * 2020-01-01 UTC.
   */
  readonly firstSeen: Readonly<Record<string, number>>;
}

/** When an asset was last heard of, and when it is to come back. */
export interface AssetContact {
  readonly id: number;
  readonly lastSeenAt: number;
  readonly nextCheckInSeconds: number;
}

export interface VerdictFacts {
  readonly vulnerability: string;
  readonly verdict: 'vulnerable' | 'undetermined';
  readonly fixState: string;
  readonly fixedVersion: string | null;
  /** Windows: the update to deploy, with the build that it leads to. */
  readonly update: { readonly id: string; readonly build: string | null; readonly restart: boolean } | null;
  /** When it was first known here. */
  readonly since: number;
}

export interface SoftwareFacts {
  readonly id: number;
  readonly ecosystem: string;
  readonly release: string;
  readonly name: string;
  readonly version: string;
  readonly arch: string;
  readonly source: string;
  readonly origin: 'distribution' | 'third_party' | 'unknown';
  readonly vendor: string | null;
  /** The package that a patch of it is named by: what a finding is called by. */
  readonly package: string;
  /** A kernel that can boot. */
  readonly kernel: boolean;
  /** Sorted by vulnerability. Empty for what is clean. */
  readonly verdicts: readonly VerdictFacts[];
}

/** What is known of a vulnerability that some software of the fleet has a verdict of. */
export interface VulnerabilityFacts {
  readonly id: string;
  readonly aliases: readonly string[];
  readonly title: string | null;
  readonly publishedAt: number | null;
  readonly withdrawn: boolean;
  readonly scores: readonly SourcedScore[];
  readonly threats: readonly SourcedThreat[];
}

export interface CriticalityRule {
  readonly name: string;
  /** A query over assets, as it was written. */
  readonly query: string;
  readonly criticality: Criticality;
}

/** Risk that somebody has accepted. It holds from `startsAt` until `expiresAt`, or until it was revoked. */
export interface RiskAcceptance {
  readonly id: string;
  /** A query over findings, as it was written. */
  readonly scope: string;
  readonly startsAt: number;
  readonly expiresAt: number;
  readonly revokedAt: number | null;
}

/** A mitigation's effect, for the findings that it blocks; see server/src/finding/mitigated.ts. */
export interface BlockingMitigation {
  /** `ID@DIGEST` */
  readonly key: string;
  readonly vulnerability: string;
  readonly ecosystem: string;
  /** Null: every release. */
  readonly release: string | null;
  readonly package: string;
}

/**
 * What is to be taken into the model, as of one moment of the database. Everything in it belongs together: it is applied as a
 * whole. What is not given stays.
 */
export interface FleetChange {
  /** Known and new ones, each whole. */
  readonly assets?: readonly AssetFacts[];
  readonly contacts?: readonly AssetContact[];
  readonly software?: readonly SoftwareFacts[];
  readonly vulnerabilities?: readonly VulnerabilityFacts[];
  /** All of them. */
  readonly tags?: readonly TagDefinition[];
  /** With `tags`: further ones, whose definition cannot be read. What asks for them is passed over. */
  readonly unreadableTags?: readonly RuleProblem[];
  readonly criticalityRules?: readonly CriticalityRule[];
  readonly slaRules?: readonly SlaRule[];
  readonly acceptances?: readonly RiskAcceptance[];
  readonly mitigations?: readonly BlockingMitigation[];
}
