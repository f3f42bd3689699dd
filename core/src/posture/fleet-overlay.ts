import type { FleetReading } from './reading.ts';

/** A fleet that answers some questions in its own way, and asks another one the rest. */
export function delegate(
  fleet: FleetReading,
  own: Pick<FleetReading, 'tags' | 'tag' | 'tagsOf' | 'criticality' | 'assetRecord'>,
): FleetReading {
  return {
    version: fleet.version,
    assets: fleet.assets,
    software: (id) => fleet.software(id),
    allSoftware: (from) => fleet.allSoftware(from),
    pairs: fleet.pairs,
    pair: (index) => fleet.pair(index),
    pairsOfVulnerability: (vulnerability) => fleet.pairsOfVulnerability(vulnerability),
    pairsOfPackage: (name) => fleet.pairsOfPackage(name),
    vulnerabilities: fleet.vulnerabilities,
    vulnerability: (index) => fleet.vulnerability(index),
    vulnerabilityCalled: (id) => fleet.vulnerabilityCalled(id),
    danger: (index) => fleet.danger(index),
    dangerOf: (vulnerability) => fleet.dangerOf(vulnerability),
    affected: (pair) => fleet.affected(pair),
    affectedBy: (vulnerability) => fleet.affectedBy(vulnerability),
    byStatus: (pair) => fleet.byStatus(pair),
    findingsOf: (asset) => fleet.findingsOf(asset),
    exposedSince: (from) => fleet.exposedSince(from),
    risk: (asset) => fleet.risk(asset),
    risks: fleet.risks,
    openFindings: (asset) => fleet.openFindings(asset),
    risksSettled: fleet.risksSettled,
    slaRules: fleet.slaRules,
    acceptanceEnds: (id) => fleet.acceptanceEnds(id),
    findingRecord: (finding, now) => fleet.findingRecord(finding, now),
    ...own,
  };
}
