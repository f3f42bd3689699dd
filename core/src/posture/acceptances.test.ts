import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile, recordOf, type PlainRecord } from '../query/evaluate.ts';
import { parse } from '../query/parse.ts';
import type { Plan } from '../query/plan.ts';
import { summariseDanger } from '../knowledge/danger.ts';
import { vulnerabilityScore } from '../risk/vulnerability-score.ts';
import { readAcceptanceScope, type ScopeTags } from './acceptance-scope.ts';
import { Acceptances } from './acceptances.ts';
import { assetSet, type ReadonlyAssetSet } from './asset-set.ts';
import type { RiskAcceptance, SoftwareFacts, VulnerabilityFacts } from './facts.ts';
import type { Carrying, FindingPair, FleetReading } from './reading.ts';

const day = 86_400_000;
const start = Date.UTC(2026, 10, 22);
const tags: ScopeTags = { names: ['lab', 'prod', 'risky'], isLate: (name) => name === 'risky' };

interface MadeAsset {
  hostname: string;
  os: string;
  tag: string[];
  criticality: number;
  enrolled: number;
  role: string | null;
  retired: boolean;
}
interface MadePair {
  vulnerability: number;
  package: string;
  ecosystem: string;
  source: string;
}
/** What the tests make a fleet of: plain data, which they change. */
interface Made {
  assets: MadeAsset[];
  vulnerabilities: { id: string; title: string | null; publishedAt: number | null; exploited: boolean }[];
  pairs: MadePair[];
}

const assetRecordOf = (asset: MadeAsset): PlainRecord => ({
  hostname: asset.hostname,
  os: asset.os,
  tag: asset.tag,
  criticality: asset.criticality,
  enrolled: asset.enrolled,
  attribute: asset.role === null ? {} : { role: asset.role },
  package: [{ name: 'bash' }],
});

/** As much of a fleet as acceptances ask for. Asset ids are indexes plus one. */
function fleetOf(made: Made): FleetReading {
  const facts = made.vulnerabilities.map(({ id, title, publishedAt, exploited }): VulnerabilityFacts => ({
    id,
    aliases: [`GHSA-${id.toLowerCase()}`],
    title,
    publishedAt,
    withdrawn: false,
    scores: [],
    threats: exploited
      ? [
          {
            feed: 'cisa-kev',
            record: id,
            threat: {
              kind: 'threat',
              threat: 'exploited',
              vulnerability: id,
              probability: null,
              percentile: null,
              ransomware: null,
              assertedOn: '2026-01-01',
              dueOn: null,
              title: null,
              reference: null,
              ssvc: null,
            },
          },
        ]
      : [],
  }));
  const danger = (index: number) => {
    const summary = summariseDanger([], facts[index]?.threats ?? []);
    return { vulnerability: index, ecosystem: 'debian', summary, score: vulnerabilityScore(summary) };
  };
  const pair = (index: number): FindingPair => {
    const one = made.pairs[index];
    if (one === undefined) throw new Error(`no pair ${index}`);
    const software: Partial<SoftwareFacts> = { id: index, source: one.source };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as much as acceptances ask for
    return { index, ...one, danger: one.vulnerability, carriers: [{ software } as Carrying] };
  };
  const live = assetSet(made.assets.flatMap(({ retired }, index) => (retired ? [] : [index + 1])));
  const fleet = {
    assets: { live },
    pairs: made.pairs.length,
    pair,
    vulnerability: (index: number) => facts[index],
    vulnerabilityCalled: (id: string) => {
      const index = facts.findIndex((each) => each.id.toUpperCase() === id.toUpperCase());
      return index < 0 ? null : index;
    },
    pairsOfVulnerability: (index: number) =>
      made.pairs.flatMap(({ vulnerability }, each) => (vulnerability === index ? [each] : [])),
    danger,
    dangerOf: danger,
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
  return fleet as unknown as FleetReading;
}

/** A plan asked of each asset by itself. */
const truthsOf =
  (made: Made) => (_fleet: FleetReading, plan: Plan, now: number, within: ReadonlyAssetSet) => {
    const holdsFor = (part: Plan, record: ReturnType<typeof recordOf>): boolean => {
      switch (part.kind) {
        case 'all':
          return true;
        case 'none':
          return false;
        case 'and':
          return part.parts.every((each) => holdsFor(each, record));
        case 'or':
          return part.parts.some((each) => holdsFor(each, record));
        case 'leaf': {
          const { scope, field, key, condition } = part.predicate;
          const node = { kind: 'compare', scope, field, key, condition, at: 0, length: 0 } as const;
          return compile({ subject: 'asset', root: node }, now)(record) === part.holds;
        }
        case 'some':
        case 'every': {
          const related = (record.related(part.relation) ?? []).filter((each) => each !== null);
          return part.kind === 'some'
            ? related.some((each) => holdsFor(part.where, each))
            : related.every((each) => holdsFor(part.where, each));
        }
        default:
          return part satisfies never;
      }
    };
    const ids = [...within].filter((id) => {
      const asset = made.assets[id - 1];
      return asset !== undefined && holdsFor(plan, recordOf(assetRecordOf(asset)));
    });
    return { holds: assetSet(ids), fails: assetSet() };
  };

const acceptanceOf = (id: string, scope: string, change: Partial<RiskAcceptance> = {}): RiskAcceptance => ({
  id,
  scope,
  startsAt: start,
  expiresAt: start + 30 * day,
  revokedAt: null,
  ...change,
});

/** Which acceptance counts for each finding, by the records of the findings. */
function expected(made: Made, list: readonly RiskAcceptance[], now: number): string[] {
  const inForce = list
    .filter((each) => each.revokedAt === null && each.startsAt <= now && now < each.expiresAt)
    .filter((each) => readAcceptanceScope(each.scope, tags).ok)
    .toSorted((a, b) => b.expiresAt - a.expiresAt || a.startsAt - b.startsAt || (a.id < b.id ? -1 : 1));
  const asks = inForce.map(({ id, scope }) => {
    const read = parse(scope, 'finding');
    if (!read.ok) throw new Error(read.message);
    return { id, ask: compile(read.query, now) };
  });
  const found: string[] = [];
  for (const [index, pair] of made.pairs.entries()) {
    const vulnerability = made.vulnerabilities[pair.vulnerability];
    for (const [asset, facts] of made.assets.entries()) {
      if (facts.retired || vulnerability === undefined) continue;
      const shared = {
        title: vulnerability.title,
        published: vulnerability.publishedAt,
        // Where nobody says anything of it, it is not known.
        exploited: vulnerability.exploited || null,
      };
      const record = recordOf({
        ...shared,
        status: 'open',
        vulnerability: {
          ...shared,
          id: vulnerability.id,
          alias: [`GHSA-${vulnerability.id.toLowerCase()}`],
        },
        package: { name: pair.package, ecosystem: pair.ecosystem, source: pair.source },
        asset: assetRecordOf(facts),
      });
      const by = asks.find(({ ask }) => ask(record) === true);
      if (by !== undefined) found.push(`${index} ${asset + 1} ${by.id}`);
    }
  }
  return found.toSorted();
}

function actual(acceptances: Acceptances, made: Made): string[] {
  const found: string[] = [];
  for (const index of made.pairs.keys()) {
    for (const [id, assets] of acceptances.covered(index))
      for (const asset of assets) found.push(`${index} ${asset} ${id}`);
    // The two ways to ask say the same.
    for (const asset of made.assets.keys()) {
      const id = acceptances.accepts(index, asset + 1);
      const among =
        acceptances
          .covered(index)
          .get(id ?? '')
          ?.has(asset + 1) ?? false;
      if (among !== (id !== null)) throw new Error(`covered and accepts differ on ${index} ${asset + 1}`);
      if (id !== null && !acceptances.anywhere.has(asset + 1)) throw new Error('anywhere is too small');
    }
  }
  return found.toSorted();
}

const scopes = [
  'vulnerability = CVE-1',
  'vulnerability in (cve-1, CVE-3) and asset.tag = lab',
  'vulnerability.alias = GHSA-cve-2',
  'package = OpenSSL and not asset.tag = prod',
  'package = openssl and asset.attribute.role = web',
  'package.source = src-b',
  'exploited and asset.criticality <= 2',
  'not exploited',
  'asset.tag = lab',
  'asset.enrolled < 7d or vulnerability = CVE-2',
  'published < 20d and asset.os = debian',
  'remote',
  'title is unknown or asset.package = bash',
  'not (vulnerability = CVE-1 and asset.os = debian)',
  'asset.attribute.role != web and package.ecosystem = debian',
  'asset.tag = risky',
  'status = open',
];

const assetArb = fc.record<MadeAsset>({
  hostname: fc.constantFrom('web-1', 'db-1', 'remote-1'),
  os: fc.constantFrom('debian', 'ubuntu'),
  tag: fc.subarray(['lab', 'prod', 'risky']),
  criticality: fc.integer({ min: 1, max: 5 }),
  enrolled: fc.integer({ min: 0, max: 20 }).map((days) => start - days * day),
  role: fc.constantFrom('web', 'db', null),
  retired: fc.boolean(),
});
const vulnerabilityArb = fc.record({
  title: fc.constantFrom('Remote code', 'Local read', null),
  publishedAt: fc.option(fc.integer({ min: 0, max: 40 }).map((days) => start - days * day)),
  exploited: fc.boolean(),
});
const pairArb = fc.record<MadePair>({
  vulnerability: fc.integer({ min: 0, max: 2 }),
  package: fc.constantFrom('openssl', 'curl', 'OpenSSL'),
  ecosystem: fc.constantFrom('debian', 'ubuntu'),
  source: fc.constantFrom('src-a', 'src-b'),
});
const acceptanceArb = fc.record({
  scope: fc.constantFrom(...scopes),
  startsAt: fc.integer({ min: -5, max: 5 }).map((days) => start + days * day),
  length: fc.integer({ min: 1, max: 10 }),
  revoked: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});

type Step =
  | { kind: 'asset'; index: number; asset: MadeAsset }
  | { kind: 'vulnerability'; index: number; facts: Omit<Made['vulnerabilities'][number], 'id'> }
  | { kind: 'pair'; pair: MadePair }
  | { kind: 'acceptances'; list: { scope: string; startsAt: number; length: number; revoked: boolean }[] }
  | { kind: 'time'; hours: number };
const stepArb: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('asset' as const), index: fc.nat(5), asset: assetArb }),
  fc.record({ kind: fc.constant('vulnerability' as const), index: fc.nat(2), facts: vulnerabilityArb }),
  fc.record({ kind: fc.constant('pair' as const), pair: pairArb }),
  fc.record({ kind: fc.constant('acceptances' as const), list: fc.array(acceptanceArb, { maxLength: 5 }) }),
  fc.record({ kind: fc.constant('time' as const), hours: fc.integer({ min: 1, max: 100 }) }),
);

describe('acceptances', () => {
  test('after any changes cover what the record of each finding says, and name all assets that it changed for', () => {
    fc.assert(
      fc.property(
        fc.array(assetArb, { minLength: 1, maxLength: 6 }),
        fc.array(pairArb, { minLength: 1, maxLength: 6 }),
        fc.array(vulnerabilityArb, { minLength: 3, maxLength: 3 }),
        fc.array(stepArb, { maxLength: 12 }),
        (assets, pairs, vulnerabilities, steps) => {
          const made: Made = {
            assets: [...assets],
            pairs: [...pairs],
            vulnerabilities: vulnerabilities.map((each, index) => ({ ...each, id: `CVE-${index + 1}` })),
          };
          const acceptances = new Acceptances(
            (...args) => truthsOf(made)(...args),
            () => tags,
          );
          let list: RiskAcceptance[] = scopes
            .slice(0, 6)
            .map((scope, index) => acceptanceOf(`a${index}`, scope));
          acceptances.set(list);
          let now = start;
          acceptances.refresh(fleetOf(made), { assets: 'all', pairs: [], tags: true }, now);
          let before = actual(acceptances, made);
          expect(before).toEqual(expected(made, list, now));
          for (const step of steps) {
            const changed = assetSet();
            let changedPairs: number[] = [];
            if (step.kind === 'asset') {
              const index = Math.min(step.index, made.assets.length);
              made.assets[index] = step.asset;
              changed.add(index + 1);
            } else if (step.kind === 'vulnerability') {
              made.vulnerabilities[step.index] = { ...step.facts, id: `CVE-${step.index + 1}` };
              changedPairs = made.pairs.flatMap((each, at) =>
                each.vulnerability === step.index ? [at] : [],
              );
            } else if (step.kind === 'pair') made.pairs.push(step.pair);
            else if (step.kind === 'time') now += step.hours * 3_600_000;
            else {
              list = step.list.map(({ scope, startsAt, length, revoked }, index) =>
                acceptanceOf(`b${index}`, scope, {
                  startsAt,
                  expiresAt: startsAt + length * day,
                  revokedAt: revoked ? startsAt : null,
                }),
              );
              acceptances.set(list);
            }
            const effect = acceptances.refresh(
              fleetOf(made),
              { assets: changed, pairs: changedPairs, tags: false },
              now,
            );
            const after = actual(acceptances, made);
            expect(after).toEqual(expected(made, list, now));
            const both = new Set(before).intersection(new Set(after));
            for (const each of [...before, ...after])
              if (!both.has(each)) expect(effect.assets.has(Number(each.split(' ')[1]))).toBe(true);
            before = after;
          }
        },
      ),
      { numRuns: 120 },
    );
  });

  const plain = { os: 'debian', tag: [], criticality: 3, enrolled: start, role: null, retired: false };
  const made: Made = {
    assets: [
      { ...plain, hostname: 'web-1', tag: ['lab'] },
      { ...plain, hostname: 'db-1' },
    ],
    vulnerabilities: [{ id: 'CVE-1', title: null, publishedAt: null, exploited: false }],
    pairs: [{ vulnerability: 0, package: 'openssl', ecosystem: 'debian', source: 'openssl' }],
  };
  const refreshed = (list: readonly RiskAcceptance[], now = start) => {
    const acceptances = new Acceptances(truthsOf(made), () => tags);
    acceptances.set(list);
    acceptances.refresh(fleetOf(made), { assets: 'all', pairs: [], tags: true }, now);
    return acceptances;
  };

  test('of several the one that ends last counts, and where it does not reach the next', () => {
    const acceptances = refreshed([
      acceptanceOf('short', 'vulnerability = CVE-1'),
      acceptanceOf('long', 'asset.tag = lab', { expiresAt: start + 90 * day }),
    ]);
    expect([acceptances.accepts(0, 1), acceptances.accepts(0, 2)]).toEqual(['long', 'short']);
    expect([...acceptances.covered(0)].map(([id, assets]) => [id, assets.toArray()])).toEqual([
      ['long', [1]],
      ['short', [2]],
    ]);
  });

  test('it holds from its first moment on, and no longer at its last, and says when to look again', () => {
    const one = acceptanceOf('one', 'vulnerability = CVE-1', { startsAt: start + 5, expiresAt: start + 9 });
    const at = (now: number) => refreshed([one], now).accepts(0, 1);
    expect([4, 5, 8, 9].map((past) => at(start + past))).toEqual([null, 'one', 'one', null]);
    const next = [0, 5, 9].map((past) => refreshed([one], start + past).nextChange(start + past));
    expect(next).toEqual([start + 5, start + 9, null]);
    const acceptances = refreshed([one]);
    // Nobody has looked since: that it begins is still to be taken in.
    expect(acceptances.nextChange(start + 7)).toBe(start + 5);
    expect(acceptances.ends('one')).toBe(start + 9);
    expect(acceptances.ends('two')).toBeNull();
  });

  test('one whose scope cannot be judged covers nothing, and is named', () => {
    const acceptances = refreshed([acceptanceOf('odd', 'asset.tag = gone'), acceptanceOf('none', '')]);
    expect([...acceptances.pairs()]).toEqual([]);
    expect(acceptances.problems.map(({ id }) => id).toSorted()).toEqual(['none', 'odd']);
  });
});
