/** Selections by sets against the query language on the record of everything there is, one by one. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from '../../query/parse.ts';
import { fieldsOf, relationsOf, scopes, type Scope, type Subject } from '../../query/fields.ts';
import { plan } from '../../query/plan.ts';
import type { Query } from '../../query/query.ts';
import { parseTagDefinition } from '../../tag/definition.ts';
import { assetSet } from '../asset-set.ts';
import { Fleet } from '../fleet.ts';
import { fleetPatches } from '../patches.ts';
import type { FleetReading } from '../reading.ts';
import { assetTruths } from './asset-truths.ts';
import { day, factsArb, now } from './test-facts.ts';
import { PlainFleet, type PlainFacts } from './test-fleet.ts';
import { compileOnRecords } from './plan-truth.ts';
import { assetRecord, findingRecord, patchRecord, vulnerabilityRecord } from './records.ts';
import { selectAssets, selectFindings, selectPatches, selectVulnerabilities } from './select.ts';
import { atOnce } from './selection.ts';

/** What is asked, of every field of every scope. */
const asked: Readonly<Record<Scope, readonly string[]>> = {
  asset: [
    'hostname = web-*',
    'os = debian',
    'os_release in (11, 12)',
    'arch = amd64',
    'kernel < 6.1.0-25',
    'address in 10.0.0.0/8',
    'tag = web',
    'tag = *',
    'tag != db',
    'tag is unknown',
    'attribute.role = web',
    'attribute.role is unknown',
    'cloud.region = eu-*',
    'unit = nginx.service',
    'failed_unit : x',
    'held = curl',
    'mode = manage',
    'machine = container',
    'criticality >= 4',
    'risk > 100',
    'risk is unknown',
    'open_findings = 0',
    'open_findings 1..3',
    'reboot_required',
    'reachable',
    'last_seen < 2d',
    'enrolled >= 2026-01-01',
    'booted > 5d',
    'agent_version = 0.1.*',
    'web',
  ],
  finding: [
    'status = open',
    'status in (accepted, undetermined)',
    'status != fixed',
    'risk >= 70',
    'first_seen < 7d',
    'first_seen > 20d',
    'first_seen >= 2026-11-01',
    'first_seen 5d..35d',
    'first_seen = 2026-11-20',
    'first_seen in (2026-11-20, 2026-10)',
    'fixed_at < 30d',
    'fixed_at is unknown',
    'reopened',
    'due < 7d',
    'due is unknown',
    'due > 20d',
    'accepted_until < 14d',
    'accepted_until is unknown',
    'fix_available',
    'fix_available is unknown',
    'fix_state in (none_yet, will_not_fix)',
    'title : flaw',
    'cvss >= 9',
    'cvss is unknown',
    'severity >= high',
    'epss > 0.1',
    'exploited',
    'exploited_since < 300d',
    'exploited_since is unknown',
    'ransomware',
    'exploit >= public',
    'published < 30d',
    'published is unknown',
    'openssl',
  ],
  vulnerability: [
    'id = CVE-2024-1',
    'id = CVE-2024-*',
    'alias = GHSA-*',
    'title : flaw',
    'cvss >= 9',
    'severity < high',
    'epss > 0.1',
    'exploited',
    'exploited_since < 300d',
    'ransomware',
    'exploit = active',
    'published < 30d',
    'fix_available',
    'package = openssl',
    'affected_assets >= 2',
    'affected_assets = 0',
    'withdrawn',
    'CVE',
  ],
  patch: [
    'id : openssl',
    'title : x',
    'kind = update',
    'package = openssl',
    'version < 3.0',
    'version = 2.*',
    'ecosystem = debian',
    'release = 12',
    'needs_reboot',
    'superseded',
    'suspect',
    'reliability < 80',
    'published < 30d',
    'affected_assets >= 2',
  ],
  package: [
    'name = openssl',
    'name = lib*',
    'version < 2.0',
    'version is unknown',
    'ecosystem = almalinux',
    'source = openssl',
    'arch = amd64',
    'origin = third_party',
    'vendor = NodeSource',
    'vendor is unknown',
  ],
};

function textArb(scope: Scope, depth: number): fc.Arbitrary<string> {
  const leaf = fc.constantFrom(...asked[scope]);
  if (depth === 0) return leaf;
  const inner = textArb(scope, depth - 1);
  const related = relationsOf(scope).map(({ name, to }) =>
    textArb(to, depth - 1).map((where) => `has ${name} (${where})`),
  );
  return fc.oneof(
    { weight: 2, arbitrary: leaf },
    { weight: 1, arbitrary: inner.map((part) => `not (${part})`) },
    { weight: 2, arbitrary: fc.tuple(inner, inner).map(([a, b]) => `(${a}) and (${b})`) },
    { weight: 2, arbitrary: fc.tuple(inner, inner).map(([a, b]) => `(${a}) or (${b})`) },
    ...related.map((arbitrary) => ({ weight: 1, arbitrary })),
    ...relationsOf(scope).map(({ name }) => ({ weight: 1, arbitrary: fc.constant(`has ${name}`) })),
  );
}

function queryOf(text: string, subject: Subject): Query {
  const read = parse(text, subject);
  if (!read.ok) throw new Error(`${text}: ${read.message}`);
  return read.query;
}

function definition(fleet: FleetReading, query: Query) {
  const ask = compileOnRecords(query, now, [...fleet.tags.definitions.keys()]);
  return {
    assets: (of: Iterable<number>) => [...of].filter((id) => ask(assetRecord(fleet, id, now)) === true),
    fails: (of: Iterable<number>) => [...of].filter((id) => ask(assetRecord(fleet, id, now)) === false),
    findings: (of: Iterable<number>) =>
      [...of].flatMap((id) =>
        fleet
          .findingsOf(id)
          .filter((finding) => ask(findingRecord(fleet, finding, now)) === true)
          .map(({ pair }) => `${pair.index} ${id}`),
      ),
    vulnerabilities: () =>
      Array.from({ length: fleet.vulnerabilities }, (_, index) => index).filter(
        (index) => ask(vulnerabilityRecord(fleet, index, now)) === true,
      ),
    patches: () =>
      atOnce(fleetPatches(fleet)).all.filter((patch) => ask(patchRecord(fleet, patch, now)) === true),
  };
}

/** The fleet of the server, with the same facts; tags, criticality and acceptances by rules. */
function realFleet({
  assets,
  contacts,
  software,
  vulnerabilities,
  slaRules,
  acceptedUntil,
}: PlainFacts): Fleet {
  const fleet = new Fleet();
  const tags = [
    { name: 'web', rule: 'hostname = web-*' },
    { name: 'db', rule: 'attribute.role = db and cloud.region = eu-*' },
    { name: 'risky', rule: 'risk > 50 or has finding (exploited)' },
  ].map((request) => {
    const read = parseTagDefinition(request);
    if (!read.ok) throw new Error(read.message);
    return read.definition;
  });
  fleet.apply(
    {
      assets,
      contacts,
      software,
      vulnerabilities,
      slaRules,
      tags,
      criticalityRules: [{ name: 'db', query: 'tag = db', criticality: 5 }],
      acceptances: [
        {
          id: 'a',
          scope: 'package = openssl and asset.tag = web',
          startsAt: now - day,
          expiresAt: acceptedUntil,
          revokedAt: null,
        },
      ],
    },
    { now },
  );
  return fleet;
}

const fleetArb: fc.Arbitrary<FleetReading> = fc.oneof(
  factsArb.map((facts) => new PlainFleet(facts)),
  factsArb.map(realFleet),
);
const runs = { numRuns: 150 };
const someArb = fc.subarray([1, 2, 3, 4, 5]);
const seen = { asset: 0, finding: 0, vulnerability: 0, patch: 0 };

describe('selections by sets are what the query says of each record', () => {
  test('every field and relation is asked for', () => {
    for (const scope of scopes) {
      for (const { name } of fieldsOf(scope))
        expect(
          asked[scope].some((text) => text.startsWith(name)),
          `${scope}.${name}`,
        ).toBe(true);
    }
  });

  test('assets, and where a query over them is false', () => {
    fc.assert(
      fc.property(fleetArb, textArb('asset', 3), someArb, (fleet, text, some) => {
        const query = queryOf(text, 'asset');
        const expected = definition(fleet, query);
        const { live } = fleet.assets;
        expect(atOnce(selectAssets(fleet, query, now)).toArray()).toEqual(expected.assets(live));
        const within = assetSet(some.filter((id) => live.has(id)));
        for (const fewAssets of [0, 100]) {
          const truths = assetTruths(fleet, plan(query).root, now, within, { fewAssets });
          expect([...truths.holds]).toEqual(expected.assets(within));
          expect([...truths.fails]).toEqual(expected.fails(within));
          seen.asset += truths.holds.size;
        }
      }),
      runs,
    );
  });

  test('findings', () => {
    fc.assert(
      fc.property(fleetArb, textArb('finding', 3), someArb, (fleet, text, some) => {
        const query = queryOf(text, 'finding');
        const expected = definition(fleet, query);
        const { live } = fleet.assets;
        const flat = (found: { byPair: ReadonlyMap<number, Iterable<number>> }): string[] =>
          [...found.byPair].flatMap(([pair, assets]) => [...assets].map((id) => `${pair} ${id}`)).sort();
        const all = atOnce(selectFindings(fleet, query, now));
        expect(flat(all)).toEqual(expected.findings(live).sort());
        expect(all.total).toBe(flat(all).length);
        seen.finding += all.total;
        const within = assetSet(some.filter((id) => live.has(id)));
        for (const fewAssets of [0, 100]) {
          const found = atOnce(selectFindings(fleet, query, now, within, { fewAssets }));
          expect(flat(found)).toEqual(expected.findings(within).sort());
        }
      }),
      runs,
    );
  });

  test('vulnerabilities and patches', () => {
    fc.assert(
      fc.property(fleetArb, textArb('vulnerability', 3), textArb('patch', 3), (fleet, text, ofPatch) => {
        const query = queryOf(text, 'vulnerability');
        const found = atOnce(selectVulnerabilities(fleet, query, now));
        expect(found).toEqual(definition(fleet, query).vulnerabilities());
        const other = queryOf(ofPatch, 'patch');
        const patches = atOnce(selectPatches(fleet, other, now));
        expect(patches).toEqual(definition(fleet, other).patches());
        seen.vulnerability += found.length;
        seen.patch += patches.length;
      }),
      runs,
    );
  });

  test('that was not for nothing', () => {
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(80);
  });
});
