/**
 * Assets, findings, vulnerabilities, patches and packages as the query language sees them: the one place that says what each
 * field of fields.ts is, but for what assets report of themselves (`AssetReading.fact`). Selections by sets are held to this.
 *
 * An empty list is for what is known not to be there, as with an attribute that an asset does not have: a finding that is not
 * fixed has no `fixed_at`, and `fixed_at is unknown` does not hold for it. Null is for what nobody knows.
 *
 * What is related to an asset that has not reported yet is a list with one unknown thing in it.
 */
import { schemeOf } from '../../knowledge/ecosystem.ts';
import type { FactValue, QueryRecord } from '../../query/evaluate.ts';
import { fleetPatches, patchNamed, type FleetPatch } from '../patches.ts';
import type { SoftwareFacts } from '../facts.ts';
import type { Carrying, FindingPair, FleetFinding, FleetReading } from '../reading.ts';
import { dangerFact } from './danger-facts.ts';
import { dueFact } from './due.ts';
import { atOnce } from './selection.ts';

type Related = readonly (QueryRecord | null)[] | null;

/** `now` is in milliseconds since 1970, here and below. */
export function assetRecord(fleet: FleetReading, id: number, now: number): QueryRecord {
  return {
    field: (name, key) => assetFact(fleet, id, name, key, now),
    related: (relation) => relatedToAsset(fleet, id, relation, now),
  };
}

/** It has sent no inventory yet: what it has is not known. */
export function isUnreported(fleet: FleetReading, asset: number, now: number): boolean {
  return fleet.assets.fact(asset, 'reboot_required', null, now) === null;
}

function assetFact(
  fleet: FleetReading,
  id: number,
  name: string,
  key: string | null,
  now: number,
): FactValue {
  switch (name) {
    case 'tag':
      return key === null ? allTags(fleet, id) : tagFact(fleet, id, key);
    case 'criticality':
      return fleet.criticality(id).level;
    case 'risk':
      return countOf(fleet, id, fleet.risk(id), now);
    case 'open_findings':
      return countOf(fleet, id, fleet.openFindings(id), now);
    default:
      return fleet.assets.fact(id, name, key, now);
  }
}

/** None of an asset that has not reported is no good news. */
export function countOf(fleet: FleetReading, asset: number, count: number, now: number): number | null {
  return count === 0 && isUnreported(fleet, asset, now) ? null : count;
}

/** With the name of a tag as its key, `tag` is whether the asset is in that one. */
function tagFact(fleet: FleetReading, asset: number, name: string): FactValue {
  const truths = fleet.tag(name);
  if (truths?.holds.has(asset) === true) return [name];
  return truths?.fails.has(asset) === true ? [] : null;
}

function allTags(fleet: FleetReading, asset: number): FactValue {
  const names: (string | null)[] = [];
  let unknown = false;
  for (const name of fleet.tags.definitions.keys()) {
    const fact = tagFact(fleet, asset, name);
    if (fact === null) unknown = true;
    else if (Array.isArray(fact) && fact.length > 0) names.push(name);
  }
  return unknown ? [...names, null] : names;
}

function relatedToAsset(fleet: FleetReading, id: number, relation: string, now: number): Related {
  const more = isUnreported(fleet, id, now) ? [null] : [];
  switch (relation) {
    case 'finding':
      return [...fleet.findingsOf(id).map((finding) => findingRecord(fleet, finding, now)), ...more];
    case 'package': {
      const packages: QueryRecord[] = [];
      for (const { facts, installed } of fleet.allSoftware())
        if (installed.has(id)) packages.push(packageRecord(facts));
      return [...packages, ...more];
    }
    case 'patch':
      return [...patchesOn(fleet, id).map((patch) => patchRecord(fleet, patch, now)), ...more];
    default:
      return noSuch('asset', relation);
  }
}

function patchesOn(fleet: FleetReading, asset: number): FleetPatch[] {
  const patches = atOnce(fleetPatches(fleet));
  const found = new Set<FleetPatch>();
  for (const { pair } of fleet.findingsOf(asset))
    for (const patch of patches.ofPair(pair.index))
      if (!found.has(patch) && patch.closedOn(pair.index).has(asset)) found.add(patch);
  return [...found];
}

/** Findings that are not fixed. */
export function findingRecord(fleet: FleetReading, finding: FleetFinding, now: number): QueryRecord {
  const { pair, spokesman } = finding;
  return {
    field: (name) =>
      pairFields.has(name) ? pairFact(fleet, pair, name) : findingFact(fleet, finding, name, now),
    related(relation) {
      switch (relation) {
        case 'asset':
          return [assetRecord(fleet, finding.asset, now)];
        case 'vulnerability':
          return [vulnerabilityRecord(fleet, pair.vulnerability, now)];
        case 'package':
          return [packageRecord(spokesman.software, pair.package)];
        case 'patch':
          return patchOfCarrier(fleet, spokesman, now);
        default:
          return noSuch('finding', relation);
      }
    },
  };
}

/** A field that all findings of a pair have in common: one of `pairFields`. */
export function pairFact(fleet: FleetReading, pair: FindingPair, name: string): FactValue {
  const { title, publishedAt } = fleet.vulnerability(pair.vulnerability);
  if (name === 'title') return title;
  if (name === 'published') return publishedAt;
  const danger = fleet.danger(pair.danger);
  if (name === 'risk') return danger.score.score;
  const fact = dangerFact(danger, name);
  return fact === undefined ? noSuch('finding', name) : fact;
}

export const pairFields: ReadonlySet<string> = new Set(
  'title published risk cvss severity epss exploited exploited_since ransomware exploit'.split(' '),
);

/** A field that depends on the single finding. */
function findingFact(fleet: FleetReading, finding: FleetFinding, name: string, now: number): FactValue {
  switch (name) {
    case 'status':
      return finding.status;
    case 'first_seen':
      return finding.firstSeenAt;
    case 'fixed_at':
      return [];
    case 'reopened':
      return finding.reopened;
    case 'due':
      return dueFact(fleet, finding, now);
    case 'accepted_until':
      return finding.acceptance === null ? [] : fleet.acceptanceEnds(finding.acceptance);
    default:
      return carrierFact(finding.spokesman, name);
  }
}

/** A field of a finding that the software which speaks for it has: one of `carrierFields`. */
export function carrierFact(carrying: Carrying, name: string): FactValue {
  switch (name) {
    case 'fix_state':
      return carrying.verdict.fixState;
    case 'fix_available':
      return fixAvailable(carrying);
    default:
      return noSuch('finding', name);
  }
}

export const carrierFields: ReadonlySet<string> = new Set(['fix_state', 'fix_available']);

/** Whether the vendor has published a fix; null where the verdict does not say. */
export function fixAvailable({ verdict }: Carrying): boolean | null {
  const { fixState, fixedVersion, update } = verdict;
  if (fixState === 'available' || fixedVersion !== null || update !== null) return true;
  return fixState === 'unknown' || verdict.verdict === 'undetermined' ? null : false;
}

/** The patch that fixes it. Whether what is undetermined has one is not known. */
function patchOfCarrier(fleet: FleetReading, carrying: Carrying, now: number): Related {
  if (carrying.verdict.verdict === 'undetermined') return null;
  if (patchNamed(carrying) === null) return fixAvailable(carrying) === false ? [] : null;
  const patch = atOnce(fleetPatches(fleet)).named(carrying);
  if (patch === null) throw new Error(`no patch of ${carrying.verdict.vulnerability} among all patches`);
  return [patchRecord(fleet, patch, now)];
}

/** `name`: what it is called by, where that is not its own name, as in findings. */
export function packageRecord(facts: SoftwareFacts, name = facts.name): QueryRecord {
  return {
    field(field) {
      switch (field) {
        case 'name':
          return name;
        case 'version':
          return { scheme: schemeOf(facts.ecosystem), text: facts.version };
        case 'ecosystem':
          return facts.ecosystem;
        case 'source':
          return facts.source;
        case 'arch':
          return facts.arch;
        case 'origin':
          return facts.origin;
        case 'vendor':
          return facts.vendor ?? (facts.origin === 'distribution' ? [] : null);
        default:
          return noSuch('package', field);
      }
    },
    related: (relation) => noSuch('package', relation),
  };
}

/** `index` of the vulnerability. */
export function vulnerabilityRecord(fleet: FleetReading, index: number, now: number): QueryRecord {
  return {
    field: (name) => vulnerabilityFact(fleet, index, name),
    related(relation) {
      if (relation === 'patch')
        return patchesFixing(fleet, index).map((patch) => patchRecord(fleet, patch, now));
      if (relation !== 'finding') return noSuch('vulnerability', relation);
      return livePairs(fleet, index).flatMap((pair) =>
        findingsOn(fleet, pair.index, fleet.affected(pair.index), now),
      );
    },
  };
}

export function livePairs(fleet: FleetReading, vulnerability: number): FindingPair[] {
  return fleet
    .pairsOfVulnerability(vulnerability)
    .map((pair) => fleet.pair(pair))
    .filter(({ carriers }) => carriers.length > 0);
}

function patchesFixing(fleet: FleetReading, vulnerability: number): FleetPatch[] {
  const patches = atOnce(fleetPatches(fleet));
  return [...new Set(fleet.pairsOfVulnerability(vulnerability).flatMap((pair) => patches.ofPair(pair)))];
}

/** The findings of a pair on these assets. */
function findingsOn(fleet: FleetReading, pair: number, assets: Iterable<number>, now: number): QueryRecord[] {
  return [...assets].flatMap((asset) =>
    fleet
      .findingsOf(asset)
      .filter((finding) => finding.pair.index === pair)
      .map((finding) => findingRecord(fleet, finding, now)),
  );
}

function vulnerabilityFact(fleet: FleetReading, index: number, name: string): FactValue {
  const facts = fleet.vulnerability(index);
  switch (name) {
    case 'id':
      return facts.id;
    case 'alias':
      return facts.aliases;
    case 'title':
      return facts.title;
    case 'published':
      return facts.publishedAt;
    case 'withdrawn':
      return facts.withdrawn;
    case 'package':
      return [...new Set(livePairs(fleet, index).map((pair) => pair.package))];
    case 'affected_assets':
      return fleet.affectedBy(index).size;
    case 'fix_available': {
      const all = livePairs(fleet, index).flatMap(({ carriers }) => carriers.map(fixAvailable));
      if (all.includes(true)) return true;
      return all.length === 0 || all.includes(null) ? null : false;
    }
    default: {
      const fact = dangerFact(fleet.dangerOf(index), name);
      return fact === undefined ? noSuch('vulnerability', name) : fact;
    }
  }
}

export function patchRecord(fleet: FleetReading, patch: FleetPatch, now: number): QueryRecord {
  return {
    field: (name) => patchFact(patch, name),
    related(relation) {
      if (relation === 'vulnerability') {
        const indexes = new Set(patch.pairs().map((pair) => fleet.pair(pair).vulnerability));
        return [...indexes].map((index) => vulnerabilityRecord(fleet, index, now));
      }
      if (relation !== 'finding') return noSuch('patch', relation);
      return patch.pairs().flatMap((pair) => findingsOn(fleet, pair, patch.closedOn(pair), now));
    },
  };
}

function patchFact(patch: FleetPatch, name: string): FactValue {
  switch (name) {
    case 'id':
      return patch.id;
    case 'kind':
      return patch.kind;
    case 'package':
      return patch.package;
    case 'version':
      return { scheme: schemeOf(patch.ecosystem), text: patch.version };
    case 'ecosystem':
      return patch.ecosystem;
    case 'release':
      return patch.release;
    case 'needs_reboot':
      return patch.needsReboot;
    case 'superseded':
      return patch.superseded;
    case 'affected_assets':
      return patch.assets().size;
    // Not in the model of the fleet.
    case 'title':
    case 'published':
    case 'suspect':
    case 'reliability':
      return null;
    default:
      return noSuch('patch', name);
  }
}

function noSuch(scope: string, name: string): never {
  throw new Error(`records have no ${scope}.${name}`);
}
