import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Criticality } from '../risk/asset-risk.ts';
import { parseTagDefinition, type TagDefinition, type TagDefinitionRequest } from '../tag/definition.ts';
import { tagGraph } from '../tag/dependencies.ts';
import { evaluateTags } from '../tag/membership.ts';
import { assetSet, type ReadonlyAssetSet } from './asset-set.ts';
import type { CriticalityRule } from './facts.ts';
import { ListedAssetSet } from './listed-assets.ts';
import { NaiveFleet } from './test-naive-fleet.ts';
import { ageingMilliseconds } from './rules.ts';
import { strataOf } from './strata.ts';

const start = Date.UTC(2026, 10, 22, 12);
const HOUR = 3_600_000;

function tag(request: TagDefinitionRequest): TagDefinition {
  const read = parseTagDefinition(request);
  if (!read.ok) throw new Error(read.message);
  return read.definition;
}

const ids = (set: ReadonlyAssetSet | undefined): number[] => [...(set ?? [])];

/** One change of the fleet, with what its writer says has changed. */
type Step =
  | { kind: 'fact'; asset: number; fact: 'hostname' | 'attribute' | 'address' | 'package'; value: number }
  | { kind: 'heard'; asset: number; hoursAgo: number }
  | { kind: 'danger'; asset: number; danger: number }
  | { kind: 'retire' | 'enrol'; asset: number }
  | { kind: 'person'; asset: number; criticality: Criticality | null }
  | { kind: 'tag'; which: number }
  | { kind: 'untag'; which: number }
  | { kind: 'rules'; rules: readonly number[] }
  | { kind: 'pass'; minutes: number };

/** Any subset of these is tried; those that make no graph with the ones that are there are passed over. */
const definitions: readonly TagDefinitionRequest[] = [
  { name: 'web', rule: 'hostname = web-*' },
  { name: 'web', parent: 'all', rule: 'attribute.role = web or hostname = w*' },
  { name: 'web', parent: 'all', assets: ['1', '2', '3'] },
  { name: 'lan', ranges: ['10.0.0.0/8', '192.0.2.1-192.0.2.9'] },
  { name: 'lan', parent: 'web', ranges: ['10.0.0.1'] },
  { name: 'lan', parent: 'near', ranges: ['10.0.0.0/8', '192.0.2.1-192.0.2.9'] },
  { name: 'near', rule: 'tag = lan and hostname = web*' },
  { name: 'all', assets: ['4'] },
  { name: 'all', rule: 'hostname = db*' },
  { name: 'not-web', rule: 'tag != web' },
  { name: 'wild', rule: 'tag = w* and attribute.role is known' },
  { name: 'quiet', rule: 'last_seen > 2h' },
  { name: 'quiet', parent: 'lan', rule: 'last_seen > 5h and hostname = web*' },
  { name: 'ssl', rule: 'has package (name = openssl)' },
  { name: 'ssl', rule: 'has package (name = openssl) and not tag = lan' },
  { name: 'risky', rule: 'risk > 20' },
  { name: 'risky', parent: 'all', rule: 'risk > 10 and tag = web' },
  { name: 'vital', rule: 'criticality >= 4' },
  { name: 'both', rule: 'tag in (risky, ssl) or tag = quiet' },
];
const criticalityRules: readonly CriticalityRule[] = [
  { name: 'names', query: 'hostname = db*', criticality: 5 },
  { name: 'tagged', query: 'tag = w*', criticality: 4 },
  { name: 'not lan', query: 'tag != lan and hostname is known', criticality: 1 },
  { name: 'old', query: 'last_seen > 4h', criticality: 2 },
];
const texts = {
  hostname: ['web-1', 'web-2', 'db-1', 'w', null],
  attribute: ['web', 'db', null],
  address: ['10.0.0.1', '10.2.3.4', '192.0.2.5', null],
  package: ['openssl', 'bash'],
} as const;

function run(steps: readonly Step[]): void {
  const fleet = new NaiveFleet(start);
  const tags = new Map<string, TagDefinition>();
  let rules: readonly CriticalityRule[] = [];
  for (const [index, step] of steps.entries()) {
    const facts = new Set<string>();
    const changed = assetSet('asset' in step ? [step.asset] : []);
    const asset = 'asset' in step ? fleet.table.get(step.asset) : undefined;
    if ('asset' in step && step.kind !== 'enrol' && asset === undefined) continue;
    switch (step.kind) {
      case 'enrol':
        if (asset === undefined)
          fleet.table.set(step.asset, {
            retired: false,
            criticalitySet: null,
            plain: { attribute: {} },
            danger: 1,
          });
        else asset.retired = false;
        break;
      case 'retire':
        if (asset !== undefined) asset.retired = true;
        break;
      case 'fact': {
        const value = texts[step.fact][step.value % texts[step.fact].length] ?? null;
        const plain =
          step.fact === 'attribute'
            ? { attribute: value === null ? {} : { role: value } }
            : step.fact === 'package'
              ? { package: [{ name: value ?? '' }] }
              : step.fact === 'address'
                ? { address: value === null ? null : [value] }
                : { hostname: value };
        if (asset !== undefined) asset.plain = { ...asset.plain, ...plain };
        facts.add(step.fact);
        break;
      }
      case 'heard':
        // Nobody says so: it is found out in time.
        if (asset !== undefined)
          asset.plain = { ...asset.plain, last_seen: fleet.now - step.hoursAgo * HOUR };
        fleet.now += ageingMilliseconds;
        break;
      case 'danger':
        if (asset !== undefined) asset.danger = step.danger;
        facts.add('finding').add('risk');
        break;
      case 'person':
        if (asset !== undefined) asset.criticalitySet = step.criticality;
        facts.add('criticality');
        break;
      case 'pass':
        fleet.now += Math.max(1, step.minutes) * ageingMilliseconds;
        break;
      case 'tag':
      case 'untag': {
        const request = definitions[step.which % definitions.length];
        if (request === undefined) continue;
        const next = new Map(tags);
        if (step.kind === 'untag') next.delete(request.name);
        else next.set(request.name, tag(request));
        if (!isSound([...next.values()], rules)) continue;
        if (step.kind === 'untag') tags.delete(request.name);
        else tags.set(request.name, tag(request));
        fleet.rules.setTags([...tags.values()]);
        break;
      }
      case 'rules': {
        const next = step.rules.flatMap((which) => criticalityRules[which % criticalityRules.length] ?? []);
        if (!isSound([...tags.values()], next)) continue;
        rules = next;
        fleet.rules.setCriticality(rules);
        break;
      }
    }
    fleet.rules.refreshFirst(fleet.reading, changed, facts, fleet.now);
    fleet.workOutRisks();
    fleet.rules.refreshLast(fleet.reading, changed, facts, fleet.now);
    if (index % 4 === 3 || index === steps.length - 1) compare(fleet, tags, rules);
  }
}

function isSound(all: readonly TagDefinition[], rules: readonly CriticalityRule[]): boolean {
  const built = tagGraph(all);
  if (!built.ok) return false;
  const { last } = strataOf(built.graph);
  // No criticality rule may ask for a last tag; w* does not name one.
  return !last.some((name) => (name.startsWith('w') || name === 'lan') && rules.length > 0);
}

function compare(
  fleet: NaiveFleet,
  tags: ReadonlyMap<string, TagDefinition>,
  rules: readonly CriticalityRule[],
): void {
  const whole = new NaiveFleet(fleet.now);
  for (const [id, asset] of fleet.table) whole.table.set(id, asset);
  whole.rules.setTags([...tags.values()]);
  whole.rules.setCriticality(rules);
  whole.rules.refreshFirst(whole.reading, 'all', 'all', fleet.now);
  whole.workOutRisks();
  whole.rules.refreshLast(whole.reading, 'all', 'all', fleet.now);
  const live = [...fleet.live];
  const addressesOf = (id: number) => {
    const { address } = fleet.asset(id).plain;
    return Array.isArray(address) ? address.map(String) : null;
  };
  const evaluated = evaluateTags(
    tags.values(),
    live.map((id) => ({ id: String(id), record: whole.record(id, true), addresses: addressesOf(id) })),
    fleet.now,
  );
  if (!evaluated.ok) throw new Error(evaluated.message);
  for (const name of tags.keys()) {
    const [kept, full] = [fleet.rules.tag(name), whole.rules.tag(name)];
    expect({ name, holds: ids(kept?.holds), fails: ids(kept?.fails) }).toEqual({
      name,
      holds: ids(full?.holds),
      fails: ids(full?.fails),
    });
    const records = evaluated.tags.get(name);
    expect({ name, holds: ids(full?.holds).map(String).toSorted() }).toEqual({
      name,
      holds: records?.members,
    });
    const known = new Set([...ids(full?.holds), ...ids(full?.fails)]);
    expect(
      live
        .filter((id) => !known.has(id))
        .map(String)
        .toSorted(),
    ).toEqual(records?.unknown.assets);
  }
  for (const level of [1, 2, 3, 4, 5] as const)
    expect(ids(fleet.rules.ofCriticality(level))).toEqual(
      live.filter((id) => whole.rules.criticality(whole.reading, id).level === level),
    );
  for (const id of live) expect(fleet.rules.tagsOf(id)).toEqual(whole.rules.tagsOf(id));
}

const asset = fc.integer({ min: 1, max: 6 });
const fact = fc.record({
  kind: fc.constant('fact' as const),
  asset,
  fact: fc.constantFrom('hostname', 'attribute', 'address', 'package'),
  value: fc.nat(10),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  fact,
  fact,
  fc.record({ kind: fc.constant('enrol' as const), asset }),
  fc.record({ kind: fc.constant('retire' as const), asset }),
  fc.record({ kind: fc.constant('heard' as const), asset, hoursAgo: fc.nat(6) }),
  fc.record({ kind: fc.constant('danger' as const), asset, danger: fc.nat(9) }),
  fc.record({
    kind: fc.constant('person' as const),
    asset,
    criticality: fc.constantFrom(null, 1 as const, 5 as const),
  }),
  fc.record({ kind: fc.constant('tag' as const), which: fc.nat(18) }),
  fc.record({ kind: fc.constant('tag' as const), which: fc.nat(18) }),
  fc.record({ kind: fc.constant('untag' as const), which: fc.nat(18) }),
  fc.record({
    kind: fc.constant('rules' as const),
    rules: fc.array(fc.nat(3), { maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant('pass' as const), minutes: fc.nat(200) }),
);
const enrolled: readonly Step[] = [1, 2, 3, 4].map((id) => ({ kind: 'enrol', asset: id }));
const defining = fc.array(fc.record({ kind: fc.constant('tag' as const), which: fc.nat(18) }), {
  minLength: 6,
  maxLength: 12,
});

describe('tags and criticality kept current', () => {
  test('come to the same as asking everything of every asset, and as records say', () => {
    fc.assert(
      fc.property(defining, fc.array(step, { minLength: 30, maxLength: 50 }), (tags, steps) =>
        run([...enrolled, ...tags, ...steps]),
      ),
      { numRuns: 40 },
    );
  });

  test('ask only what can have changed', () => {
    const fleet = new NaiveFleet(start);
    for (const id of [1, 2, 3])
      fleet.table.set(id, {
        retired: false,
        criticalitySet: null,
        plain: { hostname: `web-${id}`, attribute: {}, last_seen: start },
        danger: 1,
      });
    const asked: number[] = [];
    fleet.rules.setTags([
      tag({ name: 'web', rule: 'hostname = web-*' }),
      tag({ name: 'listed', assets: ['1'] }),
      tag({ name: 'other', rule: 'tag = web and attribute.role = db' }),
    ]);
    fleet.rules.refreshAges(fleet.reading, start);
    const { reading } = fleet;
    const watching = {
      ...reading,
      assets: {
        ...reading.assets,
        truths: (...[field, key, condition, now, within]: Parameters<typeof reading.assets.truths>) => {
          asked.push(...within);
          return reading.assets.truths(field, key, condition, now, within);
        },
      },
      assetRecord: (id: number, now: number) => {
        asked.push(id);
        return reading.assetRecord(id, now);
      },
    };
    fleet.rules.refreshFirst(watching, assetSet([2]), new Set(['hostname']), start);
    expect(asked).toEqual([2]);
    fleet.asset(3).plain = { ...fleet.asset(3).plain, hostname: 'db-3' };
    asked.length = 0;
    fleet.rules.refreshFirst(watching, assetSet([3]), new Set(['hostname']), start);
    expect(asked).toEqual([3, 3]);
    asked.length = 0;
    fleet.rules.refreshFirst(watching, assetSet([1, 2, 3]), new Set(['package']), start);
    expect(asked).toEqual([]);
    expect(fleet.rules.nextChange(start)).toBeNull();
    const assets = new ListedAssetSet(assetSet([1]));
    fleet.rules.setTags([
      { name: 'listed', description: '', parent: null, members: { kind: 'list', assets } },
    ]);
    fleet.rules.refreshFirst(watching, assetSet(), new Set(), start);
    expect(asked).toEqual([]);
    expect(fleet.rules.tag('web')).toBeNull();
  });

  test('nesting what a rule names anyway changes who is in it', () => {
    const fleet = new NaiveFleet(start);
    const plain = { hostname: 'db-1', address: ['10.0.0.1'] };
    fleet.table.set(1, { retired: false, criticalitySet: null, plain, danger: 1 });
    const near = tag({ name: 'near', rule: 'tag = lan and hostname = web*' });
    fleet.rules.setTags([near, tag({ name: 'lan', ranges: ['10.0.0.0/8'] })]);
    fleet.rules.refreshAges(fleet.reading, start);
    expect(fleet.rules.tagsOf(1)).toEqual(['lan']);
    fleet.rules.setTags([near, tag({ name: 'lan', parent: 'near', ranges: ['10.0.0.0/8'] })]);
    fleet.rules.refreshAges(fleet.reading, start);
    expect(fleet.rules.tagsOf(1)).toEqual(['lan', 'near']);
  });

  test('deleting what a criticality rule asks for by a pattern changes criticality', () => {
    const fleet = new NaiveFleet(start);
    fleet.table.set(1, { retired: false, criticalitySet: null, plain: { hostname: 'web-1' }, danger: 1 });
    fleet.rules.setTags([tag({ name: 'web', rule: 'hostname = web-*' })]);
    fleet.rules.setCriticality([{ name: 'tagged', query: 'tag = w*', criticality: 4 }]);
    fleet.rules.refreshAges(fleet.reading, start);
    expect(ids(fleet.rules.ofCriticality(4))).toEqual([1]);
    fleet.rules.setTags([]);
    expect(ids(fleet.rules.refreshAges(fleet.reading, start))).toEqual([1]);
    expect(ids(fleet.rules.ofCriticality(3))).toEqual([1]);
  });

  test('what time changes is asked again after a minute', () => {
    const fleet = new NaiveFleet(start);
    fleet.table.set(1, {
      retired: false,
      criticalitySet: null,
      plain: { last_seen: start - 2 * HOUR + 30_000 },
      danger: 1,
    });
    fleet.rules.setTags([tag({ name: 'quiet', rule: 'last_seen > 2h' })]);
    fleet.rules.setCriticality([{ name: 'silent', query: 'tag = quiet', criticality: 5 }]);
    expect(ids(fleet.rules.refreshAges(fleet.reading, start))).toEqual([1]);
    expect(fleet.rules.criticality(fleet.reading, 1)).toEqual({ level: 3, by: 'default' });
    const next = fleet.rules.nextChange(start);
    expect(next).toBe(start + ageingMilliseconds);
    expect(ids(fleet.rules.refreshAges(fleet.reading, next ?? 0))).toEqual([1]);
    expect(fleet.rules.tagsOf(1)).toEqual(['quiet']);
    expect(fleet.rules.criticality(fleet.reading, 1)).toEqual({ level: 5, by: { rule: 'silent' } });
  });
});
