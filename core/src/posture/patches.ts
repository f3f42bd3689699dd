/**
 * The patches of the fleet: what the verdicts of its software name as their fix. A patch is a package at a version, for one
 * release (knowledge/patch.ts), or an update of Windows. A version closes what itself and every older one fixes, in the order of
 * the package manager; updates of Windows, and versions that have no order, close only what names them.
 *
 * A finding is closed on an asset by a patch that closes all vulnerable software of that release which carries it there.
 *
 * Mitigations are patches too, for people: they are in the server's catalogue, and not here. What is said of a patch besides
 * (when it was published, whether a gate failed after it, its reliability) is not in the model of the fleet either.
 */
import { schemeOf } from '../knowledge/ecosystem.ts';
import { compareText } from '../knowledge/compare-text.ts';
import { patchId, type PatchIdentity } from '../knowledge/patch.ts';
import { needsOf } from '../match/correlate.ts';
import { versionOrderings, type CheckedVersion } from '../version/version.ts';
import { addAll, assetSet, difference, intersection, union, type ReadonlyAssetSet } from './asset-set.ts';
import type { Carrying, FindingPair, FleetReading } from './reading.ts';
import { atOnce, type Sliced } from './select/selection.ts';

/** Belongs to one state of the fleet, as its sets do. */
export interface FleetPatch extends PatchIdentity {
  /** As `patchId` says; the package of an update is its own id, and its version the build that it leads to. */
  readonly id: string;
  readonly kind: 'package' | 'update';
  /** What it replaces runs until a reboot: a kernel, or an update that says so. */
  readonly needsReboot: boolean;
  /** A newer version of the same package closes all that it does, and more. */
  readonly superseded: boolean;
  /** Indexes of the pairs of which it closes findings, ascending; also where no asset has one now. */
  pairs(): readonly number[];
  /** Whether installing it does away with the vulnerable software. */
  closes(carrying: Carrying): boolean;
  /** Assets whose finding of a pair it closes. */
  closedOn(pair: number): ReadonlyAssetSet;
  /** Assets that it closes something on, and the number of findings. Reckoned once; see `measure`. */
  assets(): ReadonlyAssetSet;
  findings(): number;
  /** Reckons what `assets` and `findings` answer, in slices: of a kernel that can take a while. */
  measure(): Sliced<void>;
}

export interface FleetPatches {
  /** By id. */
  readonly all: readonly FleetPatch[];
  called(id: string): FleetPatch | null;
  /** Patches that close findings of a pair. */
  ofPair(index: number): readonly FleetPatch[];
  /** The patch that a verdict names as its fix; null where there is none. */
  named(carrying: Carrying): FleetPatch | null;
}

/** What a verdict names as its fix, if it does. What is not known to be vulnerable is not known to be closed by anything. */
export function patchNamed({ software, verdict }: Carrying): PatchIdentity | null {
  if (verdict.verdict !== 'vulnerable') return null;
  const { ecosystem, release } = software;
  if (verdict.update !== null) {
    const { id, build } = verdict.update;
    return { ecosystem, release, package: id, version: build ?? id };
  }
  const { fixedVersion: version } = verdict;
  return version === null ? null : { ecosystem, release, package: software.package, version };
}

/** Versions of one package of one release, each with the carriers that name it. */
interface Group {
  readonly identity: PatchIdentity;
  readonly kind: FleetPatch['kind'];
  readonly versions: Map<string, Version>;
}

interface Version {
  readonly text: string;
  /** Place in the order of versions, from 0; equal versions have the same. Null: closes only what names it. */
  rank: number | null;
  readonly byPair: Map<number, Carrying[]>;
  needsReboot: boolean;
}

const carriersInSlice = 5_000;
const setsInSlice = 200;

/** All patches of the fleet as it is. Kept until the fleet changes. */
export function* fleetPatches(fleet: FleetReading): Sliced<FleetPatches> {
  const known = held.get(fleet);
  if (known !== undefined && known.version === fleet.version) return known.patches;
  const groups = new Map<string, Group>();
  let left = carriersInSlice;
  for (let index = 0; index < fleet.pairs; index++) {
    const pair = fleet.pair(index);
    for (const carrying of pair.carriers) gather(groups, index, carrying);
    left -= pair.carriers.length + 1;
    if (left > 0) continue;
    left = carriersInSlice;
    yield;
  }
  const all: FleetPatch[] = [];
  for (const group of groups.values()) {
    rank(group);
    const versions = [...group.versions.values()];
    for (const version of versions) all.push(new VersionPatch(fleet, group, version, versions));
    left -= versions.length;
    if (left > 0) continue;
    left = carriersInSlice;
    yield;
  }
  all.sort((a, b) => compareText(a.id, b.id));
  const patches = new Patches(all);
  held.set(fleet, { version: fleet.version, patches });
  return patches;
}

/** Not a copy of what may change: it is made anew with every version of the fleet. */
const held = new WeakMap<FleetReading, { readonly version: number; readonly patches: FleetPatches }>();

function gather(groups: Map<string, Group>, pair: number, carrying: Carrying): void {
  const identity = patchNamed(carrying);
  if (identity === null) return;
  const { update } = carrying.verdict;
  const key = `${identity.ecosystem}\t${identity.release}\t${identity.package}`;
  let group = groups.get(key);
  if (group === undefined) {
    group = { identity, kind: update === null ? 'package' : 'update', versions: new Map() };
    groups.set(key, group);
  }
  let version = group.versions.get(identity.version);
  if (version === undefined) {
    version = {
      text: identity.version,
      rank: null,
      byPair: new Map(),
      needsReboot: false,
    };
    group.versions.set(identity.version, version);
  }
  const ofPair = version.byPair.get(pair);
  if (ofPair === undefined) version.byPair.set(pair, [carrying]);
  else ofPair.push(carrying);
  version.needsReboot ||=
    update === null ? needsOf([carrying.software]).reboot === 'required' : update.restart;
}

/** Puts the versions into their order, once for all of them. */
function rank({ identity, versions }: Group): void {
  if (identity.ecosystem === 'windows') return;
  const { parse, compare } = versionOrderings[schemeOf(identity.ecosystem)];
  const read: { readonly of: Version; readonly checked: CheckedVersion }[] = [];
  for (const of of versions.values()) {
    const parsed = parse(of.text);
    if (parsed.ok) read.push({ of, checked: parsed.version });
  }
  const places = { less: -1, equal: 0, greater: 1, incomparable: 0 } as const;
  read.sort((a, b) => places[compare(a.checked, b.checked)]);
  let place = 0;
  for (const [i, { of, checked }] of read.entries()) {
    const before = read[i - 1];
    if (before !== undefined && compare(before.checked, checked) !== 'equal') place += 1;
    of.rank = place;
  }
}

class Patches implements FleetPatches {
  readonly all: readonly FleetPatch[];
  readonly #byId: ReadonlyMap<string, FleetPatch>;
  #byPair: Map<number, FleetPatch[]> | null = null;

  constructor(all: readonly FleetPatch[]) {
    this.all = all;
    this.#byId = new Map(all.map((patch) => [patch.id, patch]));
  }

  called(id: string): FleetPatch | null {
    return this.#byId.get(id) ?? null;
  }

  ofPair(index: number): readonly FleetPatch[] {
    if (this.#byPair === null) {
      this.#byPair = new Map();
      for (const patch of this.all) {
        for (const pair of patch.pairs()) {
          const known = this.#byPair.get(pair);
          if (known === undefined) this.#byPair.set(pair, [patch]);
          else known.push(patch);
        }
      }
    }
    return this.#byPair.get(index) ?? [];
  }

  named(carrying: Carrying): FleetPatch | null {
    const identity = patchNamed(carrying);
    return identity === null ? null : this.called(patchId(identity));
  }
}

class VersionPatch implements FleetPatch {
  readonly id: string;
  readonly ecosystem: string;
  readonly release: string;
  readonly package: string;
  readonly version: string;
  readonly kind: FleetPatch['kind'];
  readonly needsReboot: boolean;
  readonly superseded: boolean;
  readonly #fleet: FleetReading;
  /** Those that it closes: itself and what is not newer. */
  readonly #versions: readonly Version[];
  readonly #closed: ReadonlySet<string>;
  #pairs: readonly number[] | null = null;
  /** Sets of assets by the software that must be there and must not; many pairs have the same. */
  readonly #having = new Map<string, ReadonlyAssetSet>();
  #measured: { readonly assets: ReadonlyAssetSet; readonly findings: number } | null = null;

  constructor(fleet: FleetReading, { identity, kind }: Group, own: Version, all: readonly Version[]) {
    const { ecosystem, release, package: name } = identity;
    this.id = patchId({ ecosystem, release, package: name, version: own.text });
    this.ecosystem = ecosystem;
    this.release = release;
    this.package = name;
    this.version = own.text;
    this.kind = kind;
    this.#fleet = fleet;
    this.#versions = all.filter(
      ({ text, rank: other }) =>
        text === own.text || (own.rank !== null && other !== null && other <= own.rank),
    );
    this.#closed = new Set(this.#versions.map(({ text }) => text));
    this.needsReboot = this.#versions.some((version) => version.needsReboot);
    this.superseded = all.some(({ rank: other }) => own.rank !== null && other !== null && other > own.rank);
  }

  pairs(): readonly number[] {
    const [only] = this.#versions;
    this.#pairs ??= (
      this.#versions.length === 1 && only !== undefined
        ? [...only.byPair.keys()]
        : [...new Set(this.#versions.flatMap(({ byPair }) => [...byPair.keys()]))]
    ).sort((a, b) => a - b);
    return this.#pairs;
  }

  closes(carrying: Carrying): boolean {
    const named = patchNamed(carrying);
    return (
      named !== null &&
      named.package === this.package &&
      named.release === this.release &&
      named.ecosystem === this.ecosystem &&
      this.#closed.has(named.version)
    );
  }

  closedOn(index: number): ReadonlyAssetSet {
    const pair = this.#fleet.pair(index);
    const having = this.#assetsHaving(pair);
    if (having.isEmpty) return having;
    const affected = this.#fleet.affected(index);
    if (having === affected) return having;
    const both = intersection(having, affected);
    if (both.size !== having.size) return both;
    both.dispose();
    return having;
  }

  /** Assets that have vulnerable software of the pair which it closes, and none which it does not. */
  #assetsHaving({ carriers }: FindingPair): ReadonlyAssetSet {
    const closed: number[] = [];
    const left: number[] = [];
    for (const carrying of carriers) {
      const { software, verdict } = carrying;
      if (verdict.verdict !== 'vulnerable' || software.release !== this.release) continue;
      (this.closes(carrying) ? closed : left).push(software.id);
    }
    const key = `${closed.join()}-${left.join()}`;
    let set = this.#having.get(key);
    if (set === undefined) {
      const installed = this.#installed(closed);
      const [only] = installed;
      const all = installed.length === 1 && only !== undefined ? only : union(installed);
      set = left.length === 0 ? all : difference(all, union(this.#installed(left)));
      this.#having.set(key, set);
    }
    return set;
  }

  #installed(software: readonly number[]): ReadonlyAssetSet[] {
    return software.flatMap((id) => this.#fleet.software(id)?.installed ?? []);
  }

  assets(): ReadonlyAssetSet {
    return this.#reckoned().assets;
  }

  findings(): number {
    return this.#reckoned().findings;
  }

  *measure(): Sliced<void> {
    if (this.#measured !== null) return;
    const assets = assetSet();
    const seen = new Set<ReadonlyAssetSet>();
    let findings = 0;
    let left = setsInSlice;
    for (const pair of this.pairs()) {
      const closed = this.closedOn(pair);
      left -= seen.has(closed) ? 0.1 : 1;
      findings += closed.size;
      if (!seen.has(closed)) addAll(assets, closed);
      seen.add(closed);
      if (left > 0) continue;
      left = setsInSlice;
      yield;
    }
    this.#measured = { assets, findings };
  }

  #reckoned(): { readonly assets: ReadonlyAssetSet; readonly findings: number } {
    atOnce(this.measure());
    if (this.#measured === null) throw new Error('measured, and nothing came of it');
    return this.#measured;
  }
}
