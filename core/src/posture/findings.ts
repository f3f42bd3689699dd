/**
 * Findings, derived from what assets are exposed to: for a pair as sets of assets, for an asset one by one. The two are the same
 * rule twice, and a test holds them together:
 *
 * 1. `open`: vulnerable software that is installed (a kernel: that runs, unless the next boot starts one without it), or a file
 *    of it that is still there. `mitigated` instead, where a mitigation in force blocks it.
 * 2. else `reboot_pending`: a vulnerable kernel runs, and the next boot starts one without the vulnerability.
 * 3. else `restart_pending`: a process still runs replaced code.
 * 4. else `undetermined`: there is only software of which it cannot be said.
 * 5. `accepted` instead of any of these, where a risk acceptance in force covers it.
 */
import { sinceEpochSeconds } from '../finding/exposure.ts';
import { addAll, assetSet, difference, intersection, keepOnly, removeAll, union } from './asset-set.ts';
import type { AssetSet, ReadonlyAssetSet } from './asset-set.ts';
import type { Carriers, SoftwareEntry } from './carriers.ts';
import type { Exceptions } from './exceptions.ts';
import type { ExposureRows } from './exposure-rows.ts';
import type { AssetReading, Carrying, ExposedFindingStatus, FindingPair, FleetFinding } from './reading.ts';
import type { Vulnerabilities } from './vulnerabilities.ts';

/** Who has accepted what; see acceptances.ts. */
export interface Accepting {
  covered(pair: number): ReadonlyMap<string, ReadonlyAssetSet>;
  accepts(pair: number, asset: number): string | null;
}

export interface FindingSources {
  readonly assets: AssetReading;
  readonly vulnerabilities: Vulnerabilities;
  readonly carriers: Carriers;
  readonly rows: ExposureRows;
  readonly exceptions: Exceptions;
  readonly accepting: Accepting;
  /** Whether what an asset has installed says all: nothing waits for a boot or restart, nothing is mitigated or accepted. */
  isPlain(asset: number): boolean;
  /**
   * Carriers that rows are without, with whose: their software became vulnerable when these assets had it already.
   */
  readonly loose: ReadonlyMap<number, ReadonlyAssetSet>;
}

type Statuses = Map<ExposedFindingStatus, AssetSet>;

/** Live assets on which software is installed and counts. */
export function exposedTo({ installed, inert }: SoftwareEntry): ReadonlyAssetSet {
  return inert.isEmpty ? installed : difference(installed, inert);
}

/** Live assets that have a finding of one of these pairs. */
export function affectedByPairs(sources: FindingSources, pairs: readonly FindingPair[]): ReadonlyAssetSet {
  const sets: ReadonlyAssetSet[] = [];
  for (const { carriers } of pairs) {
    for (const { software } of carriers) {
      const entry = sources.carriers.software(software.id);
      if (entry !== null && !entry.installed.isEmpty) sets.push(exposedTo(entry));
      for (const kind of ['process', 'file', 'kernel'] as const) {
        const stale = sources.exceptions.stale(software.id, kind);
        if (stale !== null) sets.push(stale);
      }
    }
  }
  const [only] = sets;
  return sets.length === 1 && only !== undefined ? only : union(sets);
}

/** Whether all findings of a pair are plainly open: nothing but vulnerable software that is installed. */
function isPlainPair({ exceptions, carriers, vulnerabilities }: FindingSources, pair: FindingPair): boolean {
  for (const { software, verdict } of pair.carriers) {
    if (verdict.verdict !== 'vulnerable' || exceptions.hasStale(software.id)) return false;
    if (software.kernel && exceptions.nextKernels.size > 0) return false;
    if (carriers.software(software.id) === null) return false;
  }
  return !exceptions.mayBeMitigated(vulnerabilities.facts(pair.vulnerability).id, pair);
}

/** The statuses of a pair before anybody accepts it. */
function statusesOf(sources: FindingSources, pair: FindingPair): Statuses {
  const { exceptions, carriers } = sources;
  const [open, reboot, restart, undetermined] = [assetSet(), assetSet(), assetSet(), assetSet()];
  for (const { software, verdict } of pair.carriers) {
    const entry = carriers.software(software.id);
    if (entry === null) continue;
    const exposed = exposedTo(entry);
    const [process, file, kernel] = (['process', 'file', 'kernel'] as const).map((kind) =>
      exceptions.stale(software.id, kind),
    );
    if (verdict.verdict === 'undetermined') {
      for (const set of [exposed, process, file, kernel])
        if (set !== null && set !== undefined) addAll(undetermined, set);
      continue;
    }
    const waiting = software.kernel ? fixedByReboot(sources, exposed, verdict.vulnerability) : null;
    if (waiting === null) addAll(open, exposed);
    else {
      addAll(open, difference(exposed, waiting));
      addAll(reboot, waiting);
    }
    if (file) addAll(open, file);
    if (kernel) addAll(reboot, kernel);
    if (process) addAll(restart, process);
  }
  removeAll(reboot, open);
  for (const set of [open, reboot]) removeAll(restart, set);
  for (const set of [open, reboot, restart]) removeAll(undetermined, set);
  const statuses: Statuses = new Map();
  const id = sources.vulnerabilities.facts(pair.vulnerability).id;
  const mitigated = exceptions.mitigated(id, pair, sources.assets);
  if (mitigated !== null) {
    keepOnly(mitigated, open);
    removeAll(open, mitigated);
    keep(statuses, 'mitigated', mitigated);
  }
  keep(statuses, 'open', open);
  keep(statuses, 'reboot_pending', reboot);
  keep(statuses, 'restart_pending', restart);
  keep(statuses, 'undetermined', undetermined);
  return statuses;
}

/** The statuses of a pair. Sets may be those of the fleet itself. */
export function acceptedStatusesOf(
  sources: FindingSources,
  pair: FindingPair,
): ReadonlyMap<ExposedFindingStatus, ReadonlyAssetSet> {
  if (sources.accepting.covered(pair.index).size === 0 && isPlainPair(sources, pair)) {
    const open = affectedByPairs(sources, [pair]);
    return new Map(open.isEmpty ? [] : [['open', open]]);
  }
  const statuses = statusesOf(sources, pair);
  const covered = [...sources.accepting.covered(pair.index).values()];
  if (covered.length === 0) return statuses;
  const accepted = intersection(union(covered), union([...statuses.values()]));
  for (const [status, set] of statuses) {
    removeAll(set, accepted);
    if (set.isEmpty) statuses.delete(status);
  }
  keep(statuses, 'accepted', accepted);
  return statuses;
}

function keep(statuses: Statuses, status: ExposedFindingStatus, set: AssetSet): void {
  if (!set.isEmpty) statuses.set(status, set);
}

/** Of assets with a kernel, those whose next boot starts one without the vulnerability; null: none. */
function fixedByReboot(
  { exceptions, carriers }: FindingSources,
  exposed: ReadonlyAssetSet,
  vulnerability: string,
): AssetSet | null {
  let found: AssetSet | null = null;
  for (const [next, waiting] of exceptions.nextKernels) {
    if (waiting.isEmpty || carriers.hasVerdict(next, vulnerability)) continue;
    const both = intersection(waiting, exposed);
    if (both.isEmpty) continue;
    if (found === null) found = both;
    else addAll(found, both);
  }
  return found;
}

// Status by status from the gravest; what an asset has of a pair is the gravest of what its software has of it.
const ranks = ['open', 'reboot_pending', 'restart_pending', 'undetermined'] as const;

interface Gathered {
  readonly pair: FindingPair;
  rank: number;
  spokesman: Carrying;
  readonly software: Set<number>;
  firstSeen: number;
}

/** Calls back for each carrier that an asset is exposed to by having it installed. */
export function eachCarrier(
  { rows, loose }: FindingSources,
  asset: number,
  visit: (carrier: number, since: number) => void,
): void {
  const row = rows.row(asset);
  for (let at = row.from; at < row.to; at++) visit(row.carriers[at] ?? 0, row.since[at] ?? 0);
  // The verdict is younger than the software on the asset, so it alone says since when.
  for (const [carrier, without] of loose) if (without.has(asset)) visit(carrier, 0);
}

/** Findings of a live asset that are not fixed, by index of the pair. */
export function findingsOf(sources: FindingSources, asset: number): FleetFinding[] {
  const { carriers, exceptions, accepting, vulnerabilities, assets } = sources;
  const own = exceptions.of(asset);
  const gathered = new Map<number, Gathered>();
  const gather = (
    software: SoftwareEntry,
    since: number,
    rankOf: (vulnerability: string) => number,
  ): void => {
    if (software.carrier < 0) return;
    const { pairs } = carriers.carrier(software.carrier);
    for (const [i, verdict] of software.facts.verdicts.entries()) {
      const pair = carriers.pair(pairs[i] ?? -1);
      const rank = verdict.verdict === 'undetermined' ? 3 : rankOf(verdict.vulnerability);
      const firstSeen = Math.max((since + sinceEpochSeconds) * 1000, verdict.since);
      const carrying = { software: software.facts, verdict };
      const held = gathered.get(pair.index);
      if (held === undefined) {
        gathered.set(pair.index, {
          pair,
          rank,
          spokesman: carrying,
          software: new Set([software.facts.id]),
          firstSeen,
        });
        continue;
      }
      held.rank = Math.min(held.rank, rank);
      held.firstSeen = Math.min(held.firstSeen, firstSeen);
      held.software.add(software.facts.id);
      if (speaksBefore(carrying, held.spokesman)) held.spokesman = carrying;
    }
  };
  eachCarrier(sources, asset, (carrier, since) => {
    const { entry } = carriers.carrier(carrier);
    const next = entry.facts.kernel ? own.nextKernel : null;
    gather(entry, since, (vulnerability) =>
      next !== null && !carriers.hasVerdict(next, vulnerability) ? 1 : 0,
    );
  });
  for (const { software, since, kind } of own.stale) {
    const entry = carriers.software(software);
    if (entry !== null) gather(entry, since, () => (kind === 'file' ? 0 : kind === 'kernel' ? 1 : 2));
  }
  return [...gathered.values()]
    .sort((a, b) => a.pair.index - b.pair.index)
    .map(({ pair, rank, spokesman, software, firstSeen }) => {
      const { id } = vulnerabilities.facts(pair.vulnerability);
      const acceptance = accepting.accepts(pair.index, asset);
      let status: ExposedFindingStatus = ranks[rank] ?? 'undetermined';
      if (status === 'open' && own.mitigations.length > 0) {
        if (exceptions.mitigated(id, pair, assets)?.has(asset) === true) status = 'mitigated';
      }
      return {
        asset,
        pair,
        status: acceptance === null ? status : 'accepted',
        spokesman,
        software: [...software].sort((a, b) => a - b),
        firstSeenAt: Math.min(firstSeen, exceptions.firstSeen.of(asset, id, pair.package)),
        reopened: exceptions.isBack(asset, id, pair.package),
        acceptance,
      };
    });
}

function speaksBefore(a: Carrying, b: Carrying): boolean {
  if (a.verdict.verdict !== b.verdict.verdict) return a.verdict.verdict === 'vulnerable';
  return a.software.id < b.software.id;
}
