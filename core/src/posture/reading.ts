/**
 * What can be read from the model of the fleet. Everything is synchronous and in memory; what takes long is a generator that
 * yields between slices of a few milliseconds, so that whoever drives it can let others have their turn.
 *
 * Sets that are handed out belong to the fleet: they are valid until the next change, and are never written to.
 */
import type { DangerSummary } from '../knowledge/danger.ts';
import type { FactValue, QueryRecord } from '../query/evaluate.ts';
import type { Criticality, RiskStatus } from '../risk/asset-risk.ts';
import type { VulnerabilityScore } from '../risk/vulnerability-score.ts';
import type { SlaRule } from '../finding/sla.ts';
import type { TagGraph } from '../tag/dependencies.ts';
import type { ReadonlyAssetSet } from './asset-set.ts';
import type { SoftwareFacts, VerdictFacts, VulnerabilityFacts } from './facts.ts';
import type { Assertion } from '../query/plan.ts';
import type { Sliced } from './select/selection.ts';
import type { FleetTotals } from './totals.ts';

/** Where something is true, and where it is false. Assets in neither: not known. */
export interface Truths {
  readonly holds: ReadonlyAssetSet;
  readonly fails: ReadonlyAssetSet;
}

/** Assets by what they report of themselves; implemented in asset-table.ts. */
export interface AssetReading {
  /** Assets that are not retired. Whatever is counted or selected is a subset of these. */
  readonly live: ReadonlyAssetSet;
  /** Ids go from 1 to this. */
  readonly greatestId: number;
  has(id: number): boolean;
  uid(id: number): string;
  hostname(id: number): string;
  os(id: number): string;
  osRelease(id: number): string;
  idOf(uid: string): number | null;
  /** Assets of that name that are live, ascending. */
  called(hostname: string): number[];
  criticalitySet(id: number): Criticality | null;
  /** In milliseconds since 1970; null: never. */
  lastSeenAt(id: number): number | null;
  /** A stored field of fields.ts, of the scope `asset`: not `tag`, `criticality`, `risk` and `open_findings`. */
  fact(id: number, field: string, key: string | null, now: number): FactValue;
  /**
   * Where a question about a stored field is true and where it is false, of the live assets `within`. Null for fields that
   * are not stored here.
   */
  truths(
    field: string,
    key: string | null,
    condition: Assertion,
    now: number,
    within: ReadonlyAssetSet,
  ): Truths | null;
  /** For completion: values of a field that there are, the most frequent first. Empty for fields of too many values. */
  values(
    field: string,
    key: string | null,
    limit: number,
  ): { readonly value: string; readonly assets: number }[];
  /** For completion: keys of `attribute` and `cloud` that there are. */
  keys(field: string): string[];
}

/** Software of the fleet with who has it. */
export interface FleetSoftware {
  readonly facts: SoftwareFacts;
  /** Live assets that have it installed. */
  readonly installed: ReadonlyAssetSet;
}

/** What is known of a vulnerability on systems of one vendor: vendors score differently. */
export interface FleetDanger {
  /** Index of the vulnerability. */
  readonly vulnerability: number;
  readonly ecosystem: string;
  readonly summary: DangerSummary;
  readonly score: VulnerabilityScore;
}

/** A package that carries a vulnerability. */
export interface Carrying {
  readonly software: SoftwareFacts;
  readonly verdict: VerdictFacts;
}

/**
 * A vulnerability in a package of one vendor's systems, on whatever assets: with an asset it is a finding. `carriers` is what
 * of the fleet's software carries it, ascending by id; a pair without carriers is dead and is to be passed over.
 */
export interface FindingPair {
  readonly index: number;
  readonly vulnerability: number;
  readonly ecosystem: string;
  readonly package: string;
  /** Index of the danger of the vulnerability in this ecosystem. */
  readonly danger: number;
  readonly carriers: readonly Carrying[];
}

export type ExposedFindingStatus = Exclude<RiskStatus, 'fixed'>;

/** One finding that is not fixed. */
export interface FleetFinding {
  readonly asset: number;
  readonly pair: FindingPair;
  readonly status: ExposedFindingStatus;
  /** The verdict that speaks for it: a vulnerable one before an undetermined one, then the lowest id of software. */
  readonly spokesman: Carrying;
  /** Ids of all software of the asset that carries it, ascending. */
  readonly software: readonly number[];
  readonly firstSeenAt: number;
  /** It was remediated once, and is back. */
  readonly reopened: boolean;
  /** Id of the acceptance that covers it, when its status is `accepted`. */
  readonly acceptance: string | null;
}

/** No asset is in both of the first two; those in neither have to be looked at. */
export interface ExposedSince {
  /** Live assets on which all that can open a finding came before the moment. */
  readonly earlier: ReadonlyAssetSet;
  /** Those on which all of it came at the moment or later, and which no finding is kept of from before. */
  readonly later: ReadonlyAssetSet;
  /** Those with a finding from before the moment that is older than the software, or verdict, that carries it now. */
  readonly kept: ReadonlyAssetSet;
}

export interface FleetReading {
  /** Raised with every change. */
  readonly version: number;
  readonly assets: AssetReading;

  // Software and what it carries ---------------------------------------------------------------------------------------
  software(id: number): FleetSoftware | null;
  /** In the order in which it became known, so that what is behind `from` is what has come since so many were read. */
  allSoftware(from?: number): Iterable<FleetSoftware>;
  /** Number of pairs; indexes go from 0. */
  readonly pairs: number;
  pair(index: number): FindingPair;
  /** Indexes of the pairs of a vulnerability, and of a package (of any ecosystem). */
  pairsOfVulnerability(vulnerability: number): readonly number[];
  pairsOfPackage(name: string): readonly number[];
  /** Number of vulnerabilities; indexes go from 0, and one keeps its index for good. */
  readonly vulnerabilities: number;
  vulnerability(index: number): VulnerabilityFacts;
  /** By id or alias. */
  vulnerabilityCalled(id: string): number | null;
  danger(index: number): FleetDanger;
  /** What is known of a vulnerability without a system in mind. */
  dangerOf(vulnerability: number): Omit<FleetDanger, 'ecosystem'>;

  // Findings -----------------------------------------------------------------------------------------------------------
  /** Live assets that have a finding of the pair which is not fixed, in whatever status: the blast radius. */
  affected(pair: number): ReadonlyAssetSet;
  /** The same of all pairs of a vulnerability. */
  affectedBy(vulnerability: number): ReadonlyAssetSet;
  /** The same by status; statuses without assets are left out. Together they are `affected`, and no two overlap. */
  byStatus(pair: number): ReadonlyMap<ExposedFindingStatus, ReadonlyAssetSet>;
  /** All findings of an asset that are not fixed, by pair index. Empty for one that is retired. */
  findingsOf(asset: number): FleetFinding[];
  /** When software that assets are exposed to came there, before a moment or later (milliseconds since 1970). */
  exposedSince(from: number): Sliced<ExposedSince>;

  // Assets, judged -----------------------------------------------------------------------------------------------------
  readonly tags: TagGraph;
  /** Null: no such tag. */
  tag(name: string): Truths | null;
  tagsOf(asset: number): string[];
  criticality(asset: number): {
    readonly level: Criticality;
    readonly by: 'person' | 'default' | { readonly rule: string };
  };
  /** 0–1000 */
  risk(asset: number): number;
  /** The same of all, by id; only to be read. */
  readonly risks: Float64Array;
  /** Findings in the statuses open, restart_pending and reboot_pending. */
  openFindings(asset: number): number;
  /** False while risks are being worked out anew after much has changed; until then some are as they were before. */
  readonly risksSettled: boolean;
  readonly slaRules: readonly SlaRule[];
  /** When an acceptance ends, in milliseconds since 1970. */
  acceptanceEnds(id: string): number | null;

  // Records, for whatever cannot be answered by sets -------------------------------------------------------------------
  assetRecord(asset: number, now: number): QueryRecord;
  findingRecord(finding: FleetFinding, now: number): QueryRecord;
}

/** A fleet that counts its findings in bulk. */
export interface CountableFleet extends FleetReading {
  /** How many findings there are on these assets, of those that are live, by pair and status. */
  totals(within: ReadonlyAssetSet): Sliced<FleetTotals>;
}
