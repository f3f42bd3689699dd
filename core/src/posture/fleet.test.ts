import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseTagDefinition, type TagDefinition } from '../tag/definition.ts';
import type { AssetFacts, FleetChange, RiskAcceptance, SoftwareFacts, VulnerabilityFacts } from './facts.ts';
import { Fleet } from './fleet.ts';
import {
  assetFacts,
  readAll,
  softwareFacts,
  start,
  vulnerabilityFacts,
  vulnerabilityIds,
} from './test-fleets.ts';
import { atOnce } from './select/selection.ts';
import { exposedStatuses } from './totals.ts';

const softwareCount = 12;
const assetCount = 9;
const day = 86_400_000;

const tagSets: readonly (readonly TagDefinition[])[] = [
  [],
  [
    { name: 'web', rule: 'hostname = web-*' },
    { name: 'role-db', rule: 'attribute.role = db', parent: 'web' },
  ],
  [
    { name: 'risky', rule: 'risk > 50 or open_findings > 3' },
    { name: 'web', rule: 'hostname = web-* and package.name = openssl-*' },
    { name: 'both', rule: 'tag = web and tag = risky' },
  ],
].map((list) =>
  list.map((request) => {
    const read = parseTagDefinition(request);
    if (!read.ok) throw new Error(read.message);
    return read.definition;
  }),
);
const criticalitySets = [[], [{ name: 'db', query: 'hostname = db-*', criticality: 5 as const }]];
const acceptanceSets: readonly (readonly RiskAcceptance[])[] = [
  [],
  [
    {
      id: 'a',
      scope: 'vulnerability = CVE-2024-1',
      startsAt: start,
      expiresAt: start + 5 * day,
      revokedAt: null,
    },
  ],
  [
    {
      id: 'b',
      scope: 'package.name = curl and asset.hostname = web-*',
      startsAt: start + 2 * day,
      expiresAt: start + 9 * day,
      revokedAt: null,
    },
    { id: 'c', scope: 'cvss >= 9', startsAt: start, expiresAt: start + 3 * day, revokedAt: null },
  ],
];
const blocking = [
  { key: 'm1@d1', vulnerability: 'CVE-2024-2', ecosystem: 'debian', release: null, package: 'openssl' },
];

type Step =
  | { readonly do: 'asset'; readonly facts: AssetFacts; readonly hinted: boolean }
  | { readonly do: 'software'; readonly facts: SoftwareFacts }
  | { readonly do: 'vulnerability'; readonly facts: VulnerabilityFacts }
  | { readonly do: 'tags' | 'criticality' | 'acceptances'; readonly which: number }
  | { readonly do: 'time'; readonly days: number }
  | { readonly do: 'compact' };

const anAsset = fc.integer({ min: 1, max: assetCount }).chain((id) => assetFacts(id, softwareCount));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('asset' as const), facts: anAsset, hinted: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc
      .integer({ min: 1, max: softwareCount })
      .chain(softwareFacts)
      .map((facts) => ({ do: 'software' as const, facts })),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(...vulnerabilityIds)
      .chain(vulnerabilityFacts)
      .map((facts) => ({ do: 'vulnerability' as const, facts })),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('tags' as const, 'criticality' as const, 'acceptances' as const),
      which: fc.nat(2),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('time' as const), days: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'compact' as const }) },
);

/** Everything that there is, as the database would have it. */
class Rows {
  readonly assets = new Map<number, AssetFacts>();
  readonly software = new Map<number, SoftwareFacts>();
  readonly vulnerabilities = new Map<string, VulnerabilityFacts>();
  rules: Pick<FleetChange, 'tags' | 'criticalityRules' | 'acceptances'> = {};

  load(now: number): Fleet {
    const fleet = new Fleet();
    const assets = [...this.assets.values()].toSorted((a, b) => a.id - b.id);
    fleet.apply({ software: [...this.software.values()], mitigations: blocking }, { now, more: true });
    fleet.apply({ vulnerabilities: [...this.vulnerabilities.values()] }, { now, more: true });
    fleet.apply({ assets }, { now, more: true });
    fleet.apply(this.rules, { now });
    return fleet;
  }
}

function carryOut(fleet: Fleet, rows: Rows, one: Step, now: number): void {
  switch (one.do) {
    case 'asset': {
      const before = rows.assets.get(one.facts.id);
      rows.assets.set(one.facts.id, one.facts);
      const removed = new Map<number, number[]>();
      if (one.hinted && before !== undefined && !before.retired)
        removed.set(
          one.facts.id,
          Array.from(before.software).filter((id) => !Array.from(one.facts.software).includes(id)),
        );
      fleet.apply({ assets: [one.facts] }, { now, removed });
      return;
    }
    case 'software':
      rows.software.set(one.facts.id, one.facts);
      fleet.apply({ software: [one.facts] }, { now });
      return;
    case 'vulnerability':
      rows.vulnerabilities.set(one.facts.id, one.facts);
      fleet.apply({ vulnerabilities: [one.facts] }, { now });
      return;
    case 'tags': {
      const tags = tagSets[one.which] ?? [];
      rows.rules = { ...rows.rules, tags };
      fleet.apply({ tags }, { now });
      return;
    }
    case 'criticality': {
      const criticalityRules = criticalitySets[one.which] ?? [];
      rows.rules = { ...rows.rules, criticalityRules };
      fleet.apply({ criticalityRules }, { now });
      return;
    }
    case 'acceptances': {
      const acceptances = acceptanceSets[one.which] ?? [];
      rows.rules = { ...rows.rules, acceptances };
      fleet.apply({ acceptances }, { now });
      return;
    }
    case 'time':
      fleet.passTime(now);
      return;
    case 'compact':
      atOnce(fleet.compact());
      return;
    default:
      one satisfies never;
  }
}

const universe = fc.record({
  software: fc.tuple(...Array.from({ length: softwareCount }, (_, index) => softwareFacts(index + 1))),
  vulnerabilities: fc.tuple(...vulnerabilityIds.map(vulnerabilityFacts)),
  steps: fc.array(step, { minLength: 1, maxLength: 14 }),
});

describe('a fleet', () => {
  test('after any sequence of changes is what loading everything anew makes of it', () => {
    fc.assert(
      fc.property(universe, ({ software, vulnerabilities, steps }) => {
        const rows = new Rows();
        for (const facts of software) rows.software.set(facts.id, facts);
        for (const facts of vulnerabilities) rows.vulnerabilities.set(facts.id, facts);
        let now = start;
        const fleet = rows.load(now);
        for (const one of steps) {
          if (one.do === 'time') now += one.days * day;
          carryOut(fleet, rows, one, now);
        }
        expect(readAll(fleet)).toEqual(readAll(rows.load(now)));
      }),
      { numRuns: 300 },
    );
  });

  test('says the same of findings by pair, by asset and in total', () => {
    fc.assert(
      fc.property(universe, ({ software, vulnerabilities, steps }) => {
        const rows = new Rows();
        for (const facts of software) rows.software.set(facts.id, facts);
        for (const facts of vulnerabilities) rows.vulnerabilities.set(facts.id, facts);
        const fleet = rows.load(start);
        for (const one of steps) carryOut(fleet, rows, one, start);
        const within = fleet.assets.live;
        const totals = atOnce(fleet.totals(within));
        const findings = within.toArray().flatMap((id) => fleet.findingsOf(id));
        for (let pair = 0; pair < fleet.pairs; pair++) {
          const own = findings.filter((finding) => finding.pair.index === pair);
          expect(fleet.affected(pair).toArray()).toEqual(own.map(({ asset }) => asset));
          for (const status of exposedStatuses) {
            const inStatus = own.filter((finding) => finding.status === status).map(({ asset }) => asset);
            expect(fleet.byStatus(pair).get(status)?.toArray() ?? []).toEqual(inStatus);
            expect(totals.count(pair, status)).toBe(inStatus.length);
          }
        }
      }),
      { numRuns: 150 },
    );
  });
});
