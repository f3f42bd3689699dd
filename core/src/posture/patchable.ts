/**
 * The fleet as the choice of patches wants it (risk/best-patches.ts): assets with what closes each of their findings. Assets
 * with the same criticality and the same findings, in the same statuses and closed by the same, are one that counts as often:
 * a fleet has far fewer of these profiles than assets.
 */
import { schemeOf } from '../knowledge/ecosystem.ts';
import { patchId, type PatchIdentity } from '../knowledge/patch.ts';
import { needsOf } from '../match/correlate.ts';
import type { Criticality, RiskStatus } from '../risk/asset-risk.ts';
import type { CandidatePatch } from '../risk/patch-budget.ts';
import type { PatchableAsset } from '../risk/risk-removed.ts';
import { compareVersions } from '../version/version.ts';
import type { ReadonlyAssetSet } from './asset-set.ts';
import { patchNamed } from './patches.ts';
import type { Carrying, FindingPair, FleetFinding, FleetReading } from './reading.ts';
import type { Sliced } from './select/selection.ts';

/** What closes a finding: this package at this version, or at a later one. On Windows an update, which `package` names. */
export interface Requirement extends PatchIdentity {
  /** What runs of it is replaced by a reboot only. */
  readonly reboots: boolean;
  readonly kind: 'package' | 'kernel' | 'update';
}

/**
 * Minutes of window that one asset is reckoned to need for a patch, download and installation together, without a reboot.
 * Judgements, as nothing has been measured yet: a kernel also builds its initramfs; Windows takes long over cumulative updates.
 */
export const minutesOf: Readonly<Record<Requirement['kind'], number>> = { package: 2, kernel: 5, update: 30 };

export interface ProfiledFinding {
  readonly vulnerability: string;
  readonly chance: number;
  readonly status: RiskStatus;
  /** Index of the requirement; −1: no patch is known to close it. */
  readonly needs: number;
}

export interface Profile {
  /** One of the assets that are so. */
  readonly asset: string;
  readonly criticality: Criticality;
  /** How many assets are so; of a sample how many it stands for. */
  readonly alike: number;
  readonly findings: readonly ProfiledFinding[];
}

/** Only some of the assets were looked at: every `of / assets`-th of each stratum, which stands for that many. */
export interface Sample {
  readonly assets: number;
  readonly of: number;
  readonly strata: number;
  readonly why: 'too_many_assets' | 'too_many_profiles';
}

export interface PatchableFleet {
  readonly profiles: readonly Profile[];
  readonly requirements: readonly Requirement[];
  readonly assets: number;
  /** Null: every asset was looked at. */
  readonly sample: Sample | null;
}

export interface PatchableLimits {
  /** More assets than this are not all looked at. */
  readonly assets: number;
  /** More profiles than this are not all weighed. It is the size of a sample as well. */
  readonly profiles: number;
}

/** Profiles of these assets. A sample is the same each time it is taken of the same assets. */
export function* patchableFleet(
  fleet: FleetReading,
  scope: ReadonlyAssetSet,
  limits: PatchableLimits,
): Sliced<PatchableFleet> {
  if (scope.size <= limits.assets) {
    const whole = yield* profilesOf(fleet, each(scope), limits.profiles);
    if (whole !== null) return { ...whole, assets: scope.size, sample: null };
  }
  const why = scope.size > limits.assets ? 'too_many_assets' : 'too_many_profiles';
  const { drawn, strata } = yield* stratified(fleet, scope, limits.profiles);
  const sampled = yield* profilesOf(fleet, drawn, Infinity);
  if (sampled === null) throw new Error('a sample has no limit of profiles');
  return { ...sampled, assets: scope.size, sample: { assets: drawn.length, of: scope.size, strata, why } };
}

interface Weighed {
  readonly asset: number;
  readonly alike: number;
}

function* each(scope: ReadonlyAssetSet): Generator<Weighed> {
  for (const asset of scope) yield { asset, alike: 1 };
}

/** Findings between two yields: each takes a few microseconds. An asset is reckoned as one more. */
const slice = 500;

/** Null: there are more than `most`. */
function* profilesOf(
  fleet: FleetReading,
  assets: Iterable<Weighed>,
  most: number,
): Sliced<Pick<PatchableFleet, 'profiles' | 'requirements'> | null> {
  const needs = new Needs(fleet);
  const profiles = new Map<string, Profile & { alike: number }>();
  let work = 0;
  for (const { asset, alike } of assets) {
    const criticality = fleet.criticality(asset).level;
    const all = fleet.findingsOf(asset);
    work += 1 + all.length;
    if (work > slice) {
      work = 0;
      yield;
    }
    const findings = all
      .map((finding) => ({ finding, needs: needs.of(finding) }))
      .sort((a, b) => a.finding.pair.index - b.finding.pair.index);
    const key = `${String(criticality)};${findings.map((one) => `${String(one.finding.pair.index)} ${one.finding.status} ${String(one.needs)}`).join(';')}`;
    const same = profiles.get(key);
    if (same !== undefined) {
      same.alike += alike;
      continue;
    }
    if (profiles.size >= most) return null;
    profiles.set(key, {
      asset: fleet.assets.uid(asset),
      criticality,
      alike,
      findings: findings.map(({ finding, needs: index }) => ({
        vulnerability: fleet.vulnerability(finding.pair.vulnerability).id,
        chance: fleet.danger(finding.pair.danger).score.chance,
        status: finding.status,
        needs: index,
      })),
    });
  }
  return { profiles: [...profiles.values()], requirements: needs.requirements };
}

/** Of each system, release and criticality as large a share, evenly over the ids, and of each at least one. */
function* stratified(
  fleet: FleetReading,
  scope: ReadonlyAssetSet,
  size: number,
): Sliced<{ readonly drawn: Weighed[]; readonly strata: number }> {
  const strata = new Map<string, number[]>();
  let seen = 0;
  for (const asset of scope) {
    if (++seen % slice === 0) yield;
    const key = `${fleet.assets.os(asset)} ${fleet.assets.osRelease(asset)} ${String(fleet.criticality(asset).level)}`;
    const members = strata.get(key);
    if (members === undefined) strata.set(key, [asset]);
    else members.push(asset);
  }
  const drawn: Weighed[] = [];
  for (const members of strata.values()) {
    const many = Math.min(members.length, Math.max(1, Math.round((size * members.length) / scope.size)));
    for (let at = 0; at < many; at += 1) {
      const asset = members[Math.floor(((at + 0.5) * members.length) / many)];
      if (asset !== undefined) drawn.push({ asset, alike: members.length / many });
    }
  }
  return { drawn, strata: strata.size };
}

/** Requirements by number; what several software of one finding need is the highest of their versions. */
class Needs {
  readonly requirements: Requirement[] = [];
  private readonly fleet: FleetReading;
  private readonly byId = new Map<string, number>();
  private readonly byCarriers = new Map<string, number>();

  constructor(fleet: FleetReading) {
    this.fleet = fleet;
  }

  of({ asset, pair, software, status }: FleetFinding): number {
    // As everywhere: what is not known to be vulnerable is not known to be closed by anything.
    if (status === 'undetermined') return -1;
    // What was replaced and still runs is no patch's to replace. It goes with the restart that belongs to deploying one.
    const installed = software.filter((id) => this.fleet.software(id)?.installed.has(asset) === true);
    const key = `${String(pair.index)} ${installed.join(' ')}`;
    let found = this.byCarriers.get(key);
    if (found === undefined) {
      found = this.number(requirementOf(carriersOf(pair, installed)));
      this.byCarriers.set(key, found);
    }
    return found;
  }

  private number(requirement: Requirement | null): number {
    if (requirement === null) return -1;
    // Of the source package `linux` the kernel reboots, and the headers for building do not.
    const id = `${patchId(requirement)} ${requirement.kind}`;
    const known = this.byId.get(id);
    if (known !== undefined) return known;
    this.byId.set(id, this.requirements.length);
    this.requirements.push(requirement);
    return this.requirements.length - 1;
  }
}

function carriersOf({ carriers }: FindingPair, installed: readonly number[]): Carrying[] {
  const own = new Set(installed);
  return carriers.filter(({ software, verdict }) => own.has(software.id) && verdict.verdict === 'vulnerable');
}

/** Null: for one of them there is no fix, or their fixes cannot be put in an order, or there are none. */
export function requirementOf(carriers: readonly Carrying[]): Requirement | null {
  let highest: Requirement | null = null;
  for (const carrying of carriers) {
    const identity = patchNamed(carrying);
    if (identity === null) return null;
    const { update } = carrying.verdict;
    const kernel = update === null && needsOf([carrying.software]).reboot === 'required';
    const own: Requirement = {
      ...identity,
      reboots: update === null ? kernel : update.restart,
      kind: update !== null ? 'update' : kernel ? 'kernel' : 'package',
    };
    if (highest !== null && !closes(own, highest) && !closes(highest, own)) return null;
    const gravest: Requirement = highest?.reboots === true ? highest : own;
    const { reboots, kind } = gravest;
    highest = { ...(highest === null || closes(own, highest) ? own : highest), reboots, kind };
  }
  return highest;
}

/** Whether a patch closes what needs this: the same package of the same release, not older. Updates have no order. */
export function closes(patch: PatchIdentity, needed: Requirement | PatchIdentity): boolean {
  if (
    patch.package !== needed.package ||
    patch.ecosystem !== needed.ecosystem ||
    patch.release !== needed.release
  )
    return false;
  if (patch.version === needed.version) return true;
  if (patch.ecosystem === 'windows') return false;
  const order = compareVersions(schemeOf(patch.ecosystem), needed.version, patch.version);
  return order === 'less' || order === 'equal';
}

export interface FleetCandidate extends CandidatePatch, PatchIdentity {}

/**
 * Patches worth choosing between: each version that something needs. Of a package whose patches need no reboot only the
 * newest, as the others cost the same and close less; where assets reboot for it an older one may reboot fewer, and stays.
 */
export function candidatesOf(requirements: readonly Requirement[]): FleetCandidate[] {
  const groups = Map.groupBy(requirements, (one) => `${one.ecosystem}:${one.release}/${one.package}`);
  const candidates: FleetCandidate[] = [];
  for (const group of groups.values()) {
    const rebooting = group.some(({ reboots }) => reboots);
    const minutes = Math.max(...group.map(({ kind }) => minutesOf[kind]));
    const versions = new Map(group.map((one) => [one.version, one]));
    for (const { ecosystem, release, package: name, version } of versions.values()) {
      const identity = { ecosystem, release, package: name, version };
      const superseded = group.some((other) => other.version !== version && closes(other, identity));
      if (superseded && !rebooting) continue;
      candidates.push({
        ...identity,
        patch: patchId(identity),
        packages: 1,
        minutes,
        reboots: rebooting,
      });
    }
  }
  return candidates.sort((a, b) => (a.patch < b.patch ? -1 : 1));
}

/** The profiles with the patches of a list that close each finding. */
export function patchableBy(
  { profiles, requirements }: PatchableFleet,
  patches: readonly PatchIdentity[],
): PatchableAsset[] {
  const byPackage = Map.groupBy(patches, (one) => one.package);
  const closedBy = requirements.map((needed) =>
    (byPackage.get(needed.package) ?? []).filter((patch) => closes(patch, needed)).map(patchId),
  );
  return profiles.map(({ asset, criticality, alike, findings }) => ({
    asset,
    criticality,
    alike,
    findings: findings.map(({ vulnerability, chance, status, needs }) => ({
      vulnerability,
      chance,
      status,
      ...(status === 'mitigated' ? { effect: 'blocks' as const } : {}),
      closed_by: [closedBy[needs] ?? []],
    })),
  }));
}

/**
 * What each of these patches, deployed in this order, closes that none before it has closed. Counted by finding: one
 * vulnerability in two packages is two. A finding that is accepted is closed too, and removes no risk.
 */
export function closedInOrder(
  { profiles, requirements }: PatchableFleet,
  patches: readonly PatchIdentity[],
): { readonly findings: number; readonly assets: number; readonly needing: number }[] {
  const byPackage = Map.groupBy(
    patches.map((patch, index) => ({ ...patch, index })),
    (one) => one.package,
  );
  const first = requirements.map(
    (needed) => (byPackage.get(needed.package) ?? []).find((patch) => closes(patch, needed))?.index ?? -1,
  );
  const all = requirements.map((needed) =>
    (byPackage.get(needed.package) ?? []).flatMap((patch) => (closes(patch, needed) ? [patch.index] : [])),
  );
  const closed = patches.map(() => ({ findings: 0, assets: 0, needing: 0 }));
  for (const { findings, alike } of profiles) {
    const touched = new Set<number>();
    const needing = new Set<number>();
    for (const { needs } of findings) {
      for (const index of all[needs] ?? []) needing.add(index);
      const at = first[needs] ?? -1;
      const tally = closed[at];
      if (tally === undefined) continue;
      tally.findings += alike;
      touched.add(at);
    }
    for (const at of touched) (closed[at] ?? { assets: 0 }).assets += alike;
    for (const at of needing) (closed[at] ?? { needing: 0 }).needing += alike;
  }
  return closed;
}
