// Longer than 400 lines because all that can be read of the fleet is in it, most of it in one line each.
/**
 * The whole fleet in memory: who has what, what that is vulnerable to, who is in which tag, how great the risk is. Made from plain
 * rows (facts.ts) and from nothing else; what can be read is in reading.ts.
 *
 * Changes come in batches that belong together. What follows from them is worked out in this order, so that nothing depends
 * on itself: facts → tags that ask facts only → criticality → acceptances → findings and risk → the other tags.
 */
import type { QueryRecord } from '../query/evaluate.ts';
import type { SlaRule } from '../finding/sla.ts';
import type { TagGraph } from '../tag/dependencies.ts';
import { Acceptances } from './acceptances.ts';
import { AssetTable } from './asset-table.ts';
import { addAll, assetSet, intersection, union, type AssetSet, type ReadonlyAssetSet } from './asset-set.ts';
import { Carriers, type SoftwareEntry } from './carriers.ts';
import { Exceptions } from './exceptions.ts';
import { exposedSince } from './exposed-since.ts';
import { ExposureRows } from './exposure-rows.ts';
import type { AssetFacts, FleetChange, SoftwareFacts, VulnerabilityFacts } from './facts.ts';
import { acceptedStatusesOf, affectedByPairs, exposedTo, findingsOf } from './findings.ts';
import type {
  AssetReading,
  ExposedFindingStatus,
  ExposedSince,
  FindingPair,
  FleetDanger,
  FleetFinding,
  FleetReading,
} from './reading.ts';
import type { FleetSoftware, Truths } from './reading.ts';
import type { RuleProblem } from './readable-rules.ts';
import { RiskColumn } from './risk-column.ts';
import { Rules } from './rules.ts';
import { assetTruths } from './select/asset-truths.ts';
import { assetRecord, findingRecord } from './select/records.ts';
import { atOnce, type Sliced } from './select/selection.ts';
import { isLast } from './strata.ts';
import { SoftwarePrints } from './software-prints.ts';
import { addInstalled, carriersOf, heldBeside } from './software-lists.ts';
import { countFindings, type FleetTotals, type TotalSources } from './totals.ts';
import { Vulnerabilities } from './vulnerabilities.ts';

/** So many risks are worked out at once with the change that they come from; more wait for `settle`. */
const settledAtOnce = 2_000;
/** Rows beside the arrays, or carriers that rows are without, above which they are to be written anew. */
const compactedAbove = { rows: 50_000, loose: 64 } as const;

/** Facts of an asset, as queries name them, that follow from its findings. */
const ofFindings = ['finding', 'patch', 'risk', 'open_findings', 'criticality'];

const nothingBehind = () => ({ assets: assetSet(), fields: new Set<string>(), isBehind: false });

/** Each takes up to one bit an asset. */
const mostUnions = 128;

export interface ApplyOptions {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** By asset: software that it has no longer. Without it, everything that it could have had is looked at. */
  readonly removed?: ReadonlyMap<number, readonly number[]>;
  /** More follows at once, as when all is loaded: what depends on the assets is left for the last. */
  readonly more?: boolean;
}

export class Fleet implements FleetReading {
  readonly #vulnerabilities = new Vulnerabilities();
  readonly #carriers = new Carriers(this.#vulnerabilities);
  readonly #rows = new ExposureRows();
  readonly #exceptions = new Exceptions();
  /** Carriers that rows are without, with whose. */
  readonly #loose = new Map<number, AssetSet>();
  readonly #prints = new SoftwarePrints();
  readonly #table = new AssetTable();
  readonly #rules = new Rules(assetTruths);
  readonly #acceptances = new Acceptances(assetTruths, ({ tags }) => ({
    names: tags.order,
    isLate: (name) => isLast(tags, name),
  }));
  readonly #risks = new RiskColumn();
  #slaRules: readonly SlaRule[] = [];
  #version = 0;
  // Since what follows was last worked out: assets whose findings or risk may be others, those of which only other facts are
  // new, which facts these are, pairs that something else is said of, and whether there are other tags.
  #judged: AssetSet = assetSet();
  #reported: AssetSet = assetSet();
  readonly #fields = new Set<string>();
  readonly #pairs = new Set<number>();
  #tagsChanged = false;
  /** What the last tags have not been asked of yet. */
  #behind = nothingBehind();
  /** Unions that were asked for since the last change: who looks at a vulnerability asks for it again and again. */
  #unions = { version: 0, sets: new Map<number, ReadonlyAssetSet>() };
  readonly #sources: TotalSources = {
    assets: this.#table,
    vulnerabilities: this.#vulnerabilities,
    carriers: this.#carriers,
    rows: this.#rows,
    exceptions: this.#exceptions,
    accepting: this.#acceptances,
    loose: this.#loose,
    isPlain: (asset) =>
      !this.#exceptions.apart.has(asset) &&
      this.#exceptions.of(asset).mitigations.length === 0 &&
      !this.#acceptances.anywhere.has(asset),
    overlaid: () => this.#overlaid(),
  };

  /** Pairs of which sets alone say who has them in which status. */
  *#overlaid(): Generator<FindingPair> {
    const accepted = new Set(this.#acceptances.pairs());
    const { anyMitigated } = this.#exceptions;
    for (let index = 0; index < this.#carriers.pairCount; index++) {
      const pair = this.#carriers.pair(index);
      if (accepted.has(index)) yield pair;
      else if (anyMitigated) {
        const { id } = this.#vulnerabilities.facts(pair.vulnerability);
        if (this.#exceptions.mayBeMitigated(id, pair)) yield pair;
      }
    }
  }

  get version(): number {
    return this.#version;
  }

  get assets(): AssetReading {
    return this.#table;
  }

  // Changing -----------------------------------------------------------------------------------------------------------

  /** Takes a batch of changes in. */
  apply(change: FleetChange, { now, removed, more = false }: ApplyOptions): void {
    this.#version += 1;
    for (const facts of change.vulnerabilities ?? []) this.#takeVulnerability(facts);
    for (const facts of change.software ?? []) this.#takeSoftware(facts);
    if (change.mitigations !== undefined) {
      this.#exceptions.setBlocking(change.mitigations);
      addAll(this.#judged, this.#table.live);
    }
    if (change.assets !== undefined) this.#takeAssets(change.assets, removed);
    for (const contact of change.contacts ?? []) {
      this.#table.contact(contact);
      this.#reported.add(contact.id);
      for (const field of ['last_seen', 'reachable']) this.#fields.add(field);
    }
    if (change.tags !== undefined) this.#rules.setTags(change.tags, change.unreadableTags);
    if (change.criticalityRules !== undefined) this.#rules.setCriticality(change.criticalityRules);
    if (change.acceptances !== undefined) this.#acceptances.set(change.acceptances);
    if (change.slaRules !== undefined) {
      this.#slaRules = change.slaRules;
      // Due dates are no part of findings or risks: only tags that ask for them may be others.
      addAll(this.#behind.assets, this.#table.live);
      this.#behind.fields.add('finding');
    }
    this.#tagsChanged ||= change.tags !== undefined;
    // What was asked for in between is not of the whole change.
    this.#unions = { version: -1, sets: new Map() };
    if (!more) this.#follow(now);
  }

  /** What follows from all that has changed. */
  #follow(now: number): void {
    const judged = this.#judged;
    const reported = union([this.#reported, judged]);
    const fields = new Set(this.#fields);
    this.#rules.refreshFirst(this, reported, fields, now);
    const moved = this.#rules.movedAssets;
    const accepted = this.#acceptances.refresh(
      this,
      { assets: union([reported, moved]), pairs: [...this.#pairs], tags: this.#tagsChanged },
      now,
    );
    addAll(judged, moved);
    addAll(judged, accepted.assets);
    this.#risks.waitAll(judged);
    addAll(this.#behind.assets, reported);
    addAll(this.#behind.assets, judged);
    for (const field of fields) this.#behind.fields.add(field);
    // Hearing of very many assets, as happens every few seconds, says nothing of their findings.
    if (!judged.isEmpty) for (const field of ofFindings) this.#behind.fields.add(field);
    this.#behind.isBehind = true;
    this.#judged = assetSet();
    this.#reported = assetSet();
    this.#fields.clear();
    this.#pairs.clear();
    this.#tagsChanged = false;
    // Of more, whoever has made the change lets it be worked out in slices: what is asked for first is there already.
    if (this.#risks.waiting <= settledAtOnce) atOnce(this.settle(now));
  }

  /** Tags, criticality rules and acceptances that cannot be judged, and are passed over. */
  get problems(): readonly RuleProblem[] {
    const scopes = this.#acceptances.problems.map(({ id, message }) => ({ name: id, message }));
    return [...this.#rules.problems, ...scopes.map((each) => ({ kind: 'acceptance' as const, ...each }))];
  }

  readonly #levelOf = (asset: number): number => this.criticality(asset).level;

  #takeVulnerability(facts: VulnerabilityFacts): void {
    const dangers = this.#vulnerabilities.put(facts);
    const index = this.#vulnerabilities.indexOf(facts.id);
    for (const pair of this.pairsOfVulnerability(index)) this.#pairs.add(pair);
    this.#risks.forget(dangers);
    addAll(this.#judged, this.affectedBy(index));
  }

  #takeSoftware(facts: SoftwareFacts): void {
    const held = this.#carriers.software(facts.id);
    const before = held?.carrier ?? -1;
    if (before >= 0) for (const pair of this.#carriers.carrier(before).pairs) this.#pairs.add(pair);
    const entry = this.#carriers.put(facts);
    this.#risks.forgetGroups();
    if (entry.carrier < 0) return;
    for (const pair of this.#carriers.carrier(entry.carrier).pairs) this.#pairs.add(pair);
    if (before < 0 && !entry.installed.isEmpty) this.#loose.set(entry.carrier, exposedTo(entry).clone());
    addAll(this.#judged, exposedTo(entry));
    for (const kind of ['process', 'file', 'kernel'] as const) {
      const stale = this.#exceptions.stale(facts.id, kind);
      if (stale !== null) addAll(this.#judged, stale);
    }
    // What it is said of decides what a boot into it mends.
    const waiting = this.#exceptions.nextKernels.get(facts.id);
    if (waiting !== undefined) addAll(this.#judged, waiting);
  }

  #takeAssets(assets: readonly AssetFacts[], removed: ApplyOptions['removed']): void {
    const installing: AssetFacts[] = [];
    for (const facts of assets) {
      const { id, retired } = facts;
      const isNew = !this.#table.has(id);
      const wasLive = !isNew && this.#table.live.has(id);
      for (const field of this.#table.put(facts)) this.#fields.add(field);
      this.#judged.add(id);
      if (wasLive) this.#takeAway(facts, removed?.get(id));
      this.#exceptions.put(facts);
      if (retired) {
        if (!isNew) this.#setRow(id, [], []);
        continue;
      }
      installing.push(facts);
    }
    addInstalled(this.#carriers, installing);
    for (const facts of installing) {
      this.#prints.set(facts.id, facts.software);
      const { carriers, since } = carriersOf(this.#carriers, facts);
      this.#setRow(facts.id, carriers, since);
      for (const id of facts.inert) this.#carriers.software(id)?.inert.add(facts.id);
    }
    this.#fields.add('package');
  }

  #setRow(id: number, carriers: readonly number[], since: readonly number[]): void {
    this.#rows.set(id, carriers, since);
    for (const without of this.#loose.values()) without.delete(id);
  }

  /** Takes an asset out of the sets of what it has no longer. */
  #takeAway({ id, software, retired }: AssetFacts, removed: readonly number[] | undefined): void {
    for (const one of this.#exceptions.of(id).inert) this.#carriers.software(one)?.inert.delete(id);
    const gone = this.#prints.isSame(id, software)
      ? this.#entriesOf(retired ? software : [])
      : removed === undefined || retired
        ? heldBeside(this.#carriers, id, retired ? [] : software)
        : this.#entriesOf(removed);
    for (const entry of gone) entry.installed.delete(id);
  }

  #entriesOf(software: ArrayLike<number>): SoftwareEntry[] {
    return Array.from(software).flatMap((one) => this.#carriers.software(one) ?? []);
  }

  /** When time alone may change something: a tag that asks for ages, an acceptance that begins or ends. Null: never. */
  nextChange(now: number): number | null {
    const moments = [this.#rules.nextChange(now, this.isBehind), this.#acceptances.nextChange(now)];
    const ahead = moments.filter((moment) => moment !== null);
    return ahead.length === 0 ? null : Math.min(...ahead);
  }

  /** Takes in what the passing of time has changed. */
  passTime(now: number): void {
    this.apply({}, { now });
  }

  /** Whether risks wait to be worked out, or the tags that ask for them. */
  get isBehind(): boolean {
    return !this.#risks.settled || this.#behind.isBehind;
  }

  /** Works out everything that waits. */
  *settle(now: number): Sliced<void> {
    yield* this.settleRisks();
    yield* this.followLast(now);
  }

  /** Works out risks that wait. Other changes may come in between. */
  settleRisks(): Sliced<void> {
    return this.#risks.settleSlices(this.#sources, this.#levelOf);
  }

  /** The tags that ask for what follows from findings. Nothing may change until it is done. */
  *followLast(now: number): Sliced<void> {
    if (!this.#behind.isBehind) return;
    const { assets, fields } = this.#behind;
    this.#behind = nothingBehind();
    this.#version += 1;
    yield* this.#rules.refreshingLast(this, assets, fields, now);
  }

  get needsCompaction(): boolean {
    return this.#rows.changed > compactedAbove.rows || this.#loose.size > compactedAbove.loose;
  }

  /** Writes the rows anew, with everything that has come beside them. Nothing that can be read changes. */
  *compact(): Sliced<void> {
    const beside = [...this.#loose].map(([carrier, without]) => ({
      carrier,
      assets: without.toUint32Array(),
    }));
    yield* this.#rows.compact(beside);
    this.#loose.clear();
  }

  // Software and what it carries ---------------------------------------------------------------------------------------

  software(id: number): FleetSoftware | null {
    return this.#carriers.software(id);
  }

  allSoftware(from = 0): Iterable<FleetSoftware> {
    return this.#carriers.entries(from);
  }

  get softwareCount(): number {
    return this.#carriers.softwareCount;
  }

  get pairs(): number {
    return this.#carriers.pairCount;
  }

  pair(index: number): FindingPair {
    return this.#carriers.pair(index);
  }

  pairsOfVulnerability(vulnerability: number): readonly number[] {
    return this.#carriers.pairsOfVulnerability(vulnerability);
  }

  pairsOfPackage(name: string): readonly number[] {
    return this.#carriers.pairsOfPackage(name);
  }

  get vulnerabilities(): number {
    return this.#vulnerabilities.count;
  }

  vulnerability(index: number): VulnerabilityFacts {
    return this.#vulnerabilities.facts(index);
  }

  vulnerabilityCalled(id: string): number | null {
    return this.#vulnerabilities.called(id);
  }

  danger(index: number): FleetDanger {
    return this.#vulnerabilities.danger(index);
  }

  dangerOf(vulnerability: number): Omit<FleetDanger, 'ecosystem'> {
    return this.#vulnerabilities.dangerOf(vulnerability);
  }

  // Findings -----------------------------------------------------------------------------------------------------------

  affected(pair: number): ReadonlyAssetSet {
    return affectedByPairs(this.#sources, [this.pair(pair)]);
  }

  affectedBy(vulnerability: number): ReadonlyAssetSet {
    if (this.#unions.version !== this.#version || this.#unions.sets.size >= mostUnions)
      this.#unions = { version: this.#version, sets: new Map() };
    let affected = this.#unions.sets.get(vulnerability);
    if (affected === undefined) {
      const pairs = this.pairsOfVulnerability(vulnerability).map((index) => this.pair(index));
      affected = affectedByPairs(this.#sources, pairs);
      this.#unions.sets.set(vulnerability, affected);
    }
    return affected;
  }

  byStatus(pair: number): ReadonlyMap<ExposedFindingStatus, ReadonlyAssetSet> {
    return acceptedStatusesOf(this.#sources, this.pair(pair));
  }

  findingsOf(asset: number): FleetFinding[] {
    return this.#table.live.has(asset) ? findingsOf(this.#sources, asset) : [];
  }

  exposedSince(from: number): Sliced<ExposedSince> {
    return exposedSince(this.#sources, from);
  }

  /** Findings of live assets by pair and status. */
  totals(within: ReadonlyAssetSet): Sliced<FleetTotals> {
    return countFindings(this.#sources, intersection(this.#table.live, within));
  }

  // Assets, judged -----------------------------------------------------------------------------------------------------

  get tags(): TagGraph {
    return this.#rules.graph;
  }

  tag(name: string): Truths | null {
    return this.#rules.tag(name);
  }

  tagsOf(asset: number): string[] {
    return this.#rules.tagsOf(asset);
  }

  criticality(asset: number): ReturnType<FleetReading['criticality']> {
    return this.#rules.criticality(this, asset);
  }

  risk(asset: number): number {
    return this.#risks.risk(asset);
  }

  get risks(): Float64Array {
    return this.#risks.risks;
  }

  openFindings(asset: number): number {
    return this.#risks.openFindings(asset);
  }

  get risksSettled(): boolean {
    return this.#risks.settled;
  }

  get slaRules(): readonly SlaRule[] {
    return this.#slaRules;
  }

  acceptanceEnds(id: string): number | null {
    return this.#acceptances.ends(id);
  }

  assetRecord(asset: number, now: number): QueryRecord {
    return assetRecord(this, asset, now);
  }

  findingRecord(finding: FleetFinding, now: number): QueryRecord {
    return findingRecord(this, finding, now);
  }
}
