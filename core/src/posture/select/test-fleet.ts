/**
 * For tests only: a fleet of plain facts that answers every question by going through all of them, as simply as can be. Tags,
 * criticalities and risks are given, not worked out.
 */
import { summariseDanger } from '../../knowledge/danger.ts';
import { isEcosystem } from '../../knowledge/ecosystem.ts';
import type { QueryRecord } from '../../query/evaluate.ts';
import type { Criticality } from '../../risk/asset-risk.ts';
import { vulnerabilityScore } from '../../risk/vulnerability-score.ts';
import type { SlaRule } from '../../finding/sla.ts';
import type { TagGraph } from '../../tag/dependencies.ts';
import { AssetTable } from '../asset-table.ts';
import { assetSet, difference, union, type ReadonlyAssetSet } from '../asset-set.ts';
import type { AssetContact, AssetFacts, SoftwareFacts, VulnerabilityFacts } from '../facts.ts';
import type {
  Carrying,
  ExposedFindingStatus,
  ExposedSince,
  FindingPair,
  FleetDanger,
  FleetFinding,
  FleetReading,
  FleetSoftware,
  Truths,
} from '../reading.ts';
import { assetRecord, findingRecord } from './records.ts';
import type { Sliced } from './selection.ts';

export interface PlainFacts {
  readonly assets: readonly AssetFacts[];
  readonly contacts: readonly AssetContact[];
  readonly software: readonly SoftwareFacts[];
  readonly vulnerabilities: readonly VulnerabilityFacts[];
  /** By name who is in and who is not. */
  readonly tags: ReadonlyMap<
    string,
    { readonly holds: readonly number[]; readonly fails: readonly number[] }
  >;
  readonly levels: readonly Criticality[];
  readonly risks: readonly number[];
  /** Ids of assets on which findings of a package are accepted, by package. */
  readonly accepted: ReadonlyMap<string, readonly number[]>;
  readonly acceptedUntil: number;
  readonly slaRules: readonly SlaRule[];
}

export class PlainFleet implements FleetReading {
  readonly version = 1;
  readonly risksSettled = true;
  readonly assets = new AssetTable();
  readonly slaRules: readonly SlaRule[];
  readonly tags: TagGraph;
  readonly #facts: PlainFacts;
  readonly #pairs: FindingPair[] = [];
  readonly #dangers: FleetDanger[] = [];

  constructor(facts: PlainFacts) {
    this.#facts = facts;
    this.slaRules = facts.slaRules;
    for (const asset of facts.assets) this.assets.put(asset);
    for (const contact of facts.contacts) this.assets.contact(contact);
    const none = new Map<string, readonly string[]>();
    this.tags = {
      definitions: new Map(
        [...facts.tags.keys()].map((name) => [
          name,
          { name, description: '', parent: null, members: { kind: 'list', assets: new Set<string>() } },
        ]),
      ),
      order: [...facts.tags.keys()],
      children: none,
      needs: none,
      neededBy: none,
    };
    for (const [vulnerability, { id, scores, threats }] of facts.vulnerabilities.entries()) {
      for (const ecosystem of new Set(facts.software.map((each) => each.ecosystem))) {
        const summary = summariseDanger(scores, threats, isEcosystem(ecosystem) ? ecosystem : null);
        const danger = this.#dangers.length;
        this.#dangers.push({ vulnerability, ecosystem, summary, score: vulnerabilityScore(summary) });
        for (const name of new Set(facts.software.map((each) => each.package))) {
          const carriers = facts.software
            .filter((each) => each.ecosystem === ecosystem && each.package === name)
            .flatMap((software) =>
              software.verdicts
                .filter((verdict) => verdict.vulnerability === id)
                .map((verdict): Carrying => ({ software, verdict })),
            );
          const index = this.#pairs.length;
          this.#pairs.push({ index, vulnerability, ecosystem, package: name, danger, carriers });
        }
      }
    }
  }

  software(id: number): FleetSoftware | null {
    const facts = this.#facts.software.find((each) => each.id === id);
    if (facts === undefined) return null;
    const having = this.#facts.assets.filter(
      ({ retired, software }) => !retired && Array.from(software).includes(id),
    );
    return { facts, installed: assetSet(having.map((asset) => asset.id)) };
  }

  *allSoftware(from = 0): Iterable<FleetSoftware> {
    for (const { id } of this.#facts.software.slice(from)) {
      const found = this.software(id);
      if (found !== null) yield found;
    }
  }

  get pairs(): number {
    return this.#pairs.length;
  }

  pair(index: number): FindingPair {
    return held(this.#pairs, index);
  }

  pairsOfVulnerability(vulnerability: number): readonly number[] {
    return this.#pairs.filter((pair) => pair.vulnerability === vulnerability).map(({ index }) => index);
  }

  pairsOfPackage(name: string): readonly number[] {
    return this.#pairs.filter((pair) => pair.package === name).map(({ index }) => index);
  }

  get vulnerabilities(): number {
    return this.#facts.vulnerabilities.length;
  }

  vulnerability(index: number): VulnerabilityFacts {
    return held(this.#facts.vulnerabilities, index);
  }

  vulnerabilityCalled(id: string): number | null {
    const found = this.#facts.vulnerabilities.findIndex(
      (each) => each.id === id || each.aliases.includes(id),
    );
    return found < 0 ? null : found;
  }

  danger(index: number): FleetDanger {
    return held(this.#dangers, index);
  }

  dangerOf(vulnerability: number): Omit<FleetDanger, 'ecosystem'> {
    const { scores, threats } = this.vulnerability(vulnerability);
    const summary = summariseDanger(scores, threats);
    return { vulnerability, summary, score: vulnerabilityScore(summary) };
  }

  affected(pair: number): ReadonlyAssetSet {
    return assetSet(this.#findings((finding) => finding.pair.index === pair).map(({ asset }) => asset));
  }

  affectedBy(vulnerability: number): ReadonlyAssetSet {
    const found = this.#findings((finding) => finding.pair.vulnerability === vulnerability);
    return assetSet(found.map(({ asset }) => asset));
  }

  byStatus(pair: number): ReadonlyMap<ExposedFindingStatus, ReadonlyAssetSet> {
    const found = this.#findings((finding) => finding.pair.index === pair);
    const grouped = Map.groupBy(found, ({ status }) => status);
    return new Map([...grouped].map(([status, of]) => [status, assetSet(of.map(({ asset }) => asset))]));
  }

  #findings(which: (finding: FleetFinding) => boolean): FleetFinding[] {
    return this.#facts.assets.flatMap(({ id }) => this.findingsOf(id)).filter(which);
  }

  findingsOf(asset: number): FleetFinding[] {
    const facts = this.#facts.assets.find(({ id }) => id === asset);
    if (facts === undefined || facts.retired) return [];
    return this.#pairs.flatMap((pair) => {
      const exposures = [
        ...Array.from(facts.software, (software, i) => ({
          software,
          since: facts.since[i] ?? 0,
          kind: 'installed' as const,
        })).filter(({ software }) => !facts.inert.includes(software)),
        ...facts.stale,
      ].flatMap((exposure) =>
        pair.carriers
          .filter((carrying) => carrying.software.id === exposure.software)
          .map((carrying) => ({ ...exposure, carrying })),
      );
      const [speaks] = exposures.toSorted((a, b) => voice(a.carrying) - voice(b.carrying));
      if (speaks === undefined) return [];
      const { id: vulnerability } = this.vulnerability(pair.vulnerability);
      const vulnerable = exposures.filter(({ carrying }) => carrying.verdict.verdict === 'vulnerable');
      const isAccepted = this.#facts.accepted.get(pair.package)?.includes(asset) === true;
      const isOpen = vulnerable.some(({ kind }) => kind === 'installed' || kind === 'file');
      const left = vulnerable.length === 0 ? 'undetermined' : isOpen ? 'open' : 'restart_pending';
      return [
        {
          asset,
          pair,
          status: isAccepted ? 'accepted' : left,
          spokesman: speaks.carrying,
          software: [...new Set(exposures.map(({ software }) => software))].sort((a, b) => a - b),
          firstSeenAt: Math.min(
            ...exposures.map(({ since, carrying }) =>
              Math.max((since + 1_577_836_800) * 1000, carrying.verdict.since),
            ),
            keptOf(facts, `${vulnerability}\t${pair.package}`),
          ),
          reopened: facts.remediatedBefore.includes(`${vulnerability}\t${pair.package}`),
          acceptance: isAccepted ? 'acceptance' : null,
        } satisfies FleetFinding,
      ];
    });
  }

  *exposedSince(from: number): Sliced<ExposedSince> {
    const sinceOf = ({ since, stale }: AssetFacts): number[] =>
      [...Array.from(since), ...stale.map((one) => one.since)].map((at) => (at + 1_577_836_800) * 1000);
    const where = (test: (at: number) => boolean) =>
      assetSet(
        this.#facts.assets
          .filter((asset) => !asset.retired && sinceOf(asset).every(test))
          .map(({ id }) => id),
      );
    const earlier = where((at) => at < from);
    const kept = assetSet(
      this.#facts.assets
        .filter(
          (asset) =>
            !asset.retired && Object.keys(asset.firstSeen).some((finding) => keptOf(asset, finding) < from),
        )
        .map(({ id }) => id),
    );
    yield;
    return {
      earlier,
      later: difference(
        where((at) => at >= from),
        union([earlier, kept]),
      ),
      kept,
    };
  }

  tag(name: string): Truths | null {
    const given = this.#facts.tags.get(name);
    if (given === undefined) return null;
    const live = (ids: readonly number[]) => assetSet(ids.filter((id) => this.assets.live.has(id)));
    return { holds: live(given.holds), fails: live(given.fails) };
  }

  tagsOf(asset: number): string[] {
    return this.tags.order.filter((name) => this.tag(name)?.holds.has(asset));
  }

  criticality(asset: number) {
    return { level: this.#facts.levels[asset] ?? 3, by: 'default' } as const;
  }

  get risks(): Float64Array {
    return Float64Array.from({ length: this.assets.greatestId + 1 }, (_, id) => this.risk(id));
  }

  risk(asset: number): number {
    return this.#facts.risks[asset] ?? 0;
  }

  openFindings(asset: number): number {
    const open = new Set<string>(['open', 'restart_pending', 'reboot_pending']);
    return this.findingsOf(asset).filter(({ status }) => open.has(status)).length;
  }

  acceptanceEnds(id: string): number | null {
    return id === 'acceptance' ? this.#facts.acceptedUntil : null;
  }

  assetRecord(asset: number, now: number): QueryRecord {
    return assetRecord(this, asset, now);
  }

  findingRecord(finding: FleetFinding, now: number): QueryRecord {
    return findingRecord(this, finding, now);
  }
}

function keptOf({ firstSeen }: AssetFacts, finding: string): number {
  return ((firstSeen[finding] ?? Infinity) + 1_577_836_800) * 1000;
}

/** Who speaks first: what is vulnerable, then the lowest id. */
function voice({ software, verdict }: Carrying): number {
  return (verdict.verdict === 'vulnerable' ? 0 : 1_000_000) + software.id;
}

function held<T>(list: readonly T[], index: number): T {
  const value = list[index];
  if (value === undefined) throw new Error(`there is no ${index}`);
  return value;
}
