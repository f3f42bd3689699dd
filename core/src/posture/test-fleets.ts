/** Small fleets for tests: facts at random, and everything that can be read of a fleet as plain data. */
import fc from 'fast-check';
import type { SourcedScore } from '../knowledge/score.ts';
import type { AssetFacts, SoftwareFacts, VerdictFacts, VulnerabilityFacts } from './facts.ts';
import type { Fleet } from './fleet.ts';
import { atOnce } from './select/selection.ts';
import { exposedStatuses } from './totals.ts';

export const start = Date.UTC(2026, 0, 1);
export const vulnerabilityIds = ['CVE-2024-1', 'CVE-2024-2', 'CVE-2024-3', 'CVE-2025-4', 'CVE-2025-5'];
const packages = ['openssl', 'curl', 'linux'] as const;

const verdict = (vulnerability: string): fc.Arbitrary<VerdictFacts> =>
  fc.record({
    vulnerability: fc.constant(vulnerability),
    verdict: fc.constantFrom('vulnerable', 'vulnerable', 'vulnerable', 'undetermined'),
    fixState: fc.constantFrom('available', 'none_yet'),
    fixedVersion: fc.constantFrom('2.0', '3.0', null),
    update: fc.constant(null),
    since: fc.integer({ min: 0, max: 400 }).map((days) => start - days * 86_400_000),
  });

/** Software with this id. Its package and release follow from the id, as they never change. */
export function softwareFacts(id: number): fc.Arbitrary<SoftwareFacts> {
  const name = packages[id % packages.length] ?? 'curl';
  return fc
    .subarray(vulnerabilityIds)
    .chain((ids) => fc.tuple(...ids.map(verdict)))
    .map((verdicts) => ({
      id,
      ecosystem: id % 5 === 0 ? 'ubuntu' : 'debian',
      release: '12',
      name: `${name}-${id % 2}`,
      version: `1.${id}`,
      arch: 'amd64',
      source: name,
      origin: 'distribution' as const,
      vendor: null,
      package: name,
      kernel: name === 'linux',
      verdicts,
    }));
}

/** An asset with this id, of software with ids from 1 to `softwareCount`. */
export function assetFacts(id: number, softwareCount: number): fc.Arbitrary<AssetFacts> {
  const all = Array.from({ length: softwareCount }, (_, index) => index + 1);
  const kernels = all.filter((one) => packages[one % packages.length] === 'linux');
  // Older than any verdict: software that is found to be vulnerable has been there before.
  const seconds = fc.integer({ min: 0, max: 150_000_000 });
  return fc
    .record({
      software: fc.subarray(all),
      hostname: fc.constantFrom('web-1', 'web-2', 'db-1'),
      retired: fc.boolean().map((yes) => yes && id % 3 === 0),
      criticalitySet: fc.constantFrom(null, null, 1, 5),
      role: fc.constantFrom('web', 'db', null),
      next: fc.option(fc.constantFrom(...kernels), { freq: 4 }),
      stale: fc.array(
        fc.record({
          software: fc.constantFrom(...all),
          since: seconds,
          kind: fc.constantFrom('process', 'file', 'kernel'),
        }),
        { maxLength: 2 },
      ),
      mitigations: fc.constantFrom([], [], ['m1@d1']),
      inert: fc.subarray(kernels, { maxLength: 1 }),
      since: seconds,
      unknown: fc.boolean(),
      firstSeen: fc.dictionary(
        fc
          .tuple(fc.constantFrom(...vulnerabilityIds), fc.constantFrom(...packages))
          .map((finding) => finding.join('\t')),
        seconds,
        { maxKeys: 2 },
      ),
    })
    .map((random) => ({
      id,
      uid: `00000000-0000-4000-8000-${String(id).padStart(12, '0')}`,
      hostname: random.hostname,
      mode: 'manage' as const,
      os: id % 2 === 0 ? 'debian' : 'ubuntu',
      osRelease: '12',
      arch: 'amd64',
      agentVersion: '0.1.0',
      enrolledAt: start,
      retired: random.retired,
      criticalitySet: random.criticalitySet as AssetFacts['criticalitySet'],
      attributes: random.role === null ? {} : { role: random.role },
      host:
        random.unknown && id % 4 === 0
          ? null
          : {
              addresses: [`10.0.0.${id}`],
              bootedAt: start,
              runningKernel: '6.1.0-1-amd64',
              machine: 'physical_or_virtual' as const,
              rebootRequired: false,
              held: [],
              activeUnits: [],
              failedUnits: [],
              cloud: null,
            },
      software: random.software,
      since: random.software.map((one) => random.since + one),
      inert: random.inert.filter((one) => random.software.includes(one)),
      nextKernel: random.next,
      stale: random.stale.filter(
        (one, index, list) => list.findIndex(({ software }) => software === one.software) === index,
      ),
      mitigations: random.mitigations,
      remediatedBefore: id % 2 === 0 ? ['CVE-2024-1\topenssl'] : [],
      firstSeen: random.firstSeen,
    }));
}

export function vulnerabilityFacts(id: string): fc.Arbitrary<VulnerabilityFacts> {
  const score = (baseScore: number, availability: string): SourcedScore => ({
    feed: 'nvd',
    record: id,
    score: {
      kind: 'cvss',
      vulnerability: id,
      scorer: 'nvd',
      version: '3.1',
      vector: `CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:${availability}`,
      baseScore,
    },
  });
  return fc.constantFrom(score(7.5, 'N'), score(9.1, 'H'), null).map((chosen) => ({
    id,
    aliases: [],
    title: `flaw ${id}`,
    publishedAt: start,
    withdrawn: false,
    scores: chosen === null ? [] : [chosen],
    threats: [],
  }));
}

/** Everything that can be read of a fleet, by names rather than by the numbers that it gives, as plain data. */
export function readAll(fleet: Fleet): unknown {
  const { live } = fleet.assets;
  const name = (pair: number): string => {
    const { vulnerability, package: of, ecosystem } = fleet.pair(pair);
    return `${ecosystem} ${of} ${fleet.vulnerability(vulnerability).id}`;
  };
  const totals = atOnce(fleet.totals(live));
  const pairs = Array.from({ length: fleet.pairs }, (_, index) => index).filter(
    (index) => fleet.pair(index).carriers.length > 0,
  );
  return {
    live: live.toArray(),
    assets: live.toArray().map((id) => ({
      id,
      risk: fleet.risk(id),
      open: fleet.openFindings(id),
      criticality: fleet.criticality(id),
      tags: fleet.tagsOf(id),
      findings: fleet
        .findingsOf(id)
        .map(({ pair, spokesman, ...rest }) => ({
          ...rest,
          pair: name(pair.index),
          spokesman: spokesman.software.id,
        }))
        .toSorted((a, b) => (a.pair < b.pair ? -1 : 1)),
    })),
    pairs: Object.fromEntries(
      pairs
        .toSorted((a, b) => (name(a) < name(b) ? -1 : 1))
        .map((pair) => [
          name(pair),
          {
            affected: fleet.affected(pair).toArray(),
            byStatus: Object.fromEntries(
              exposedStatuses.map((status) => [status, fleet.byStatus(pair).get(status)?.toArray() ?? []]),
            ),
            totals: exposedStatuses.map((status) => totals.count(pair, status)),
          },
        ]),
    ),
    software: [...fleet.allSoftware()]
      .map(({ facts, installed }) => [facts.id, installed.toArray()])
      .toSorted(([a], [b]) => Number(a) - Number(b)),
    tags: Object.fromEntries(fleet.tags.order.map((tag) => [tag, fleet.tag(tag)?.holds.toArray()])),
  };
}
