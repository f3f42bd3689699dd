import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { productOf, schemeOf } from '../knowledge/ecosystem.ts';
import { compile, recordOf, type Fact, type FactValue, type QueryRecord } from '../query/evaluate.ts';
import { fieldsOf } from '../query/fields.ts';
import { parse } from '../query/parse.ts';
import { plan } from '../query/plan.ts';
import { assetSet, intersection } from './asset-set.ts';
import { AssetTable, storedFields } from './asset-table.ts';
import type { AssetContact, AssetFacts, AssetHost } from './facts.ts';

const now = Date.UTC(2026, 10, 22, 12);
const hour = 3_600_000;

/** What every field is asked for, and what hosts report. */
const pools = {
  hostname: ['web-1', 'web-2', 'Web-1', 'db', ''],
  os: ['debian', 'almalinux', 'alpine', 'windows', 'plan9'],
  os_release: ['12', '9.4', '3.20.1', ''],
  arch: ['amd64', 'arm64'],
  agent_version: ['0.1.0', '0.2.0'],
  kernel: [
    '6.1.0-25-amd64',
    '6.1.0-9-amd64',
    '5.14.0-427.el9.x86_64',
    '6.1.0~rc1',
    'not_a_version',
    '10.0.17763.1',
  ],
  address: [
    '10.0.0.1',
    '10.1.2.3',
    '192.0.2.1',
    '2001:db8::1',
    'FE80::1%eth0',
    '::ffff:10.0.0.9',
    '::1:0:0:0',
    'no address',
  ],
  unit: ['nginx.service', 'postgresql.service', 'cron.service'],
  held: ['docker-ce', 'linux-image-amd64'],
  key: ['role', 'team.name', '__proto__'],
  word: ['web', 'Web', 'db', 'eu-west-1', ''],
} as const;

const host: fc.Arbitrary<AssetHost> = fc.record({
  addresses: fc.array(fc.constantFrom(...pools.address), { maxLength: 3 }),
  bootedAt: fc.constantFrom(null, now - hour, now - 48 * hour),
  runningKernel: fc.constantFrom('', ...pools.kernel),
  machine: fc.constantFrom('physical_or_virtual', 'container'),
  rebootRequired: fc.boolean(),
  held: fc.array(fc.constantFrom(...pools.held), { maxLength: 3 }),
  activeUnits: fc.array(fc.constantFrom(...pools.unit), { maxLength: 3 }),
  failedUnits: fc.array(fc.constantFrom(...pools.unit), { maxLength: 1 }),
  cloud: fc.option(words()),
});

function words(): fc.Arbitrary<Record<string, string>> {
  return fc
    .array(fc.tuple(fc.constantFrom(...pools.key), fc.constantFrom(...pools.word)), { maxLength: 3 })
    .map((pairs) => Object.fromEntries(pairs));
}

/** All but which asset it is. */
const profile = fc.record({
  hostname: fc.constantFrom(...pools.hostname),
  mode: fc.constantFrom('assess', 'manage'),
  os: fc.constantFrom(...pools.os),
  osRelease: fc.constantFrom(...pools.os_release),
  arch: fc.constantFrom(...pools.arch),
  agentVersion: fc.constantFrom(...pools.agent_version),
  enrolledAt: fc.constantFrom(now - 100 * hour, now - 2 * hour),
  retired: fc.constantFrom(false, false, false, true),
  criticalitySet: fc.constantFrom(null, 1, 5),
  attributes: words(),
  host: fc.option(host),
});
type Profile = typeof profile extends fc.Arbitrary<infer T> ? T : never;

function uidOf(id: number): string {
  return `0192f0a1-0000-7000-8000-${id.toString(16).padStart(12, '0')}`;
}

function factsOf(id: number, of: Profile): AssetFacts {
  const nothing = { software: [], since: [], inert: [], nextKernel: null, stale: [], mitigations: [] };
  return { id, uid: uidOf(id), ...of, ...nothing, remediatedBefore: [], firstSeen: {} };
}

/** What the query language sees of an asset, made from its facts without the table. */
function recordFrom(facts: AssetFacts, contact: AssetContact | undefined): QueryRecord {
  const scheme = schemeOf(productOf(facts.os, facts.osRelease).ecosystem);
  const kernel = facts.host?.runningKernel ?? '';
  const silentAfter = ((contact?.nextCheckInSeconds ?? 0) * 3 + 15) * 1000;
  const record = recordOf({
    hostname: facts.hostname,
    os: facts.os,
    os_release: facts.osRelease,
    arch: facts.arch,
    agent_version: facts.agentVersion,
    mode: facts.mode,
    enrolled: facts.enrolledAt,
    last_seen: contact?.lastSeenAt ?? null,
    reachable: !facts.retired && contact !== undefined && now - contact.lastSeenAt <= silentAfter,
    attribute: facts.attributes,
    machine: facts.host?.machine ?? null,
    reboot_required: facts.host?.rebootRequired ?? null,
    booted: facts.host?.bootedAt ?? null,
    cloud: facts.host?.cloud ?? null,
    kernel: kernel === '' ? null : { scheme, text: kernel },
    address: facts.host?.addresses ?? null,
    unit: facts.host?.activeUnits ?? null,
    failed_unit: facts.host?.failedUnits ?? null,
    held: facts.host?.held ?? null,
  });
  return record;
}

const textOperand = (values: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    fc.tuple(fc.constantFrom('=', '!=', ':'), fc.constantFrom(...values)).map(([op, v]) => `${op} "${v}"`),
    fc
      .tuple(fc.constantFrom('=', '!=', ':'), fc.constantFrom('web*', '*-?', '*', 'd*'))
      .map((pair) => pair.join(' ')),
    fc
      .subarray([...values], { minLength: 1 })
      .chain((some) =>
        fc.constantFrom('in', 'not in').map((op) => `${op} (${some.map((each) => `"${each}"`).join(', ')})`),
      ),
  );
const one = (...texts: string[]): fc.Arbitrary<string> => fc.constantFrom(...texts);
const moment = fc.oneof(
  fc.tuple(one('<', '<=', '>', '>='), one('1h', '2h', '48h', '2026-11-20')).map((pair) => pair.join(' ')),
  one('= 2026-11-22', '1h..48h', '2026-11-20..2026-11-22', '!= 2026-11-20'),
);
const version = fc.oneof(
  fc
    .tuple(one('=', '!=', '<', '<=', '>', '>='), fc.constantFrom(...pools.kernel))
    .map(([op, value]) => `${op} "${value}"`),
  one('= 6.1.*', '6.1.0-9..6.1.0-25-amd64', 'in (6.1.0-25-amd64, 10.0.17763.1)'),
);
const address = fc.oneof(
  fc
    .tuple(one('=', '!=', ':'), one('10.0.0.0/8', '0.0.0.0/0', '::/0', '10.0.0.9', '2001:db8::/32'))
    .map((pair) => pair.join(' ')),
  one(
    '10.0.0.1..10.255.0.0',
    '0::..fe80::1',
    'in ("::fffe:ffff:ffff", "::/64")',
    'in (10.0.0.0/24, fe80::/10)',
    'not in (192.0.2.1, 2001:db8::1)',
  ),
);
const conditions: Record<string, fc.Arbitrary<string>> = {
  hostname: textOperand(pools.hostname),
  os: textOperand(pools.os),
  os_release: textOperand(pools.os_release),
  arch: textOperand(pools.arch),
  agent_version: textOperand(pools.agent_version),
  mode: one('= assess', '!= manage', 'in (assess, manage)'),
  machine: one('= container', '!= container', 'not in (physical_or_virtual)'),
  reboot_required: one('= yes', '= no', '!= yes'),
  reachable: one('= yes', '= no'),
  kernel: version,
  address,
  unit: textOperand(pools.unit),
  failed_unit: textOperand(pools.unit),
  held: textOperand(pools.held),
  attribute: textOperand(pools.word),
  cloud: textOperand(pools.word),
  enrolled: moment,
  booted: moment,
  last_seen: moment,
};

const question = fc
  .constantFrom(...storedFields, 'attribute', 'cloud', 'address', 'kernel')
  .chain((field) => {
    const keyed = field === 'attribute' || field === 'cloud';
    const key = keyed
      ? fc.constantFrom<string | null>('role', 'team.name', '__proto__', 'not-there')
      : fc.constant(null);
    const condition = fc.oneof(
      { weight: 6, arbitrary: conditions[field] ?? one() },
      { weight: 1, arbitrary: one('is unknown', 'is known') },
    );
    return fc.record({ field: fc.constant(field), key, condition });
  });
type Question = typeof question extends fc.Arbitrary<infer T> ? T : never;

function parsed({ field, key, condition }: Question) {
  const text = `${key === null ? field : `${field}.${key}`} ${condition}`;
  const result = parse(text, 'asset');
  if (!result.ok) throw new Error(`${text}: ${result.message}`);
  const { root } = plan(result.query);
  if (root.kind !== 'leaf') throw new Error(`${text}: ${root.kind}`);
  return { text, ask: compile(result.query, now), predicate: root.predicate, holds: root.holds };
}

type Step = { id: number } & ({ facts: number } | { seenBefore: number; next: number });
const step = (assets: number): fc.Arbitrary<Step> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ id: fc.integer({ min: 1, max: assets }), facts: fc.nat(5) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        id: fc.integer({ min: 1, max: assets }),
        seenBefore: fc.constantFrom(0, 100_000, 2 * hour),
        next: fc.constantFrom(10, 60),
      }),
    },
  );

const history = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(300)).chain((assets) =>
  fc.record({
    assets: fc.constant(assets),
    profiles: fc.array(profile, { minLength: 6, maxLength: 6 }),
    // So many that most sets are bitmaps; small fleets begin with nobody.
    begun: fc.constant(assets > 100 ? assets : 0),
    steps: fc.array(step(assets), { maxLength: 60 }),
  }),
);
type History = typeof history extends fc.Arbitrary<infer T> ? T : never;

interface Played {
  readonly table: AssetTable;
  readonly facts: ReadonlyMap<number, AssetFacts>;
  readonly contacts: ReadonlyMap<number, AssetContact>;
}

function play({ profiles, begun, steps }: History): Played {
  const table = new AssetTable();
  const [facts, contacts] = [new Map<number, AssetFacts>(), new Map<number, AssetContact>()];
  const put = (id: number, of: number): void => {
    const found = profiles[of % profiles.length];
    if (found === undefined) throw new Error('no profile');
    const taken = factsOf(id, found);
    const changed = table.put(taken);
    expectChanges(changed, facts.get(id), taken);
    facts.set(id, taken);
  };
  for (let id = 1; id <= begun; id++) put(id, id * 7);
  for (const each of steps)
    if ('facts' in each) put(each.id, each.facts);
    else {
      const contact = { id: each.id, lastSeenAt: now - each.seenBefore, nextCheckInSeconds: each.next };
      table.contact(contact);
      contacts.set(each.id, contact);
    }
  return { table, facts, contacts };
}

/** Lists but those of addresses are kept as sets. */
function distinct(list: readonly (Fact | null)[]): readonly string[] {
  return [...new Set(list.map(String))].toSorted();
}

/** Every fact that is another has its name among the changes, and no other name is there. */
function expectChanges(
  changed: ReadonlySet<string>,
  before: AssetFacts | undefined,
  after: AssetFacts,
): void {
  if (before === undefined || before.retired !== after.retired) {
    const comes = !after.retired || before?.retired === false;
    expect(changed).toEqual(new Set(comes ? [...storedFields, 'criticality'] : []));
    return;
  }
  const expected = new Set<string>();
  const [then, since] = [recordFrom(before, undefined), recordFrom(after, undefined)];
  const sorted = (fact: FactValue, field: string): string =>
    JSON.stringify(Array.isArray(fact) && field !== 'address' ? distinct(fact) : fact);
  for (const field of storedFields)
    if (field === 'attribute' || field === 'cloud') {
      for (const key of pools.key)
        if (sorted(then.field(field, key), field) !== sorted(since.field(field, key), field))
          expected.add(`${field}.${key}`);
    } else if (sorted(then.field(field, null), field) !== sorted(since.field(field, null), field))
      expected.add(field);
  if (before.criticalitySet !== after.criticalitySet) expected.add('criticality');
  if (((before.host?.cloud ?? null) === null) !== ((after.host?.cloud ?? null) === null)) {
    for (const key of pools.key) expected.delete(`cloud.${key}`);
    expected.add('cloud');
  }
  // Without an inventory it is as little known as from an agent that could not read it; between the two it is named.
  if (changed.has('kernel') && then.field('kernel', null) === null && since.field('kernel', null) === null)
    expected.add('kernel');
  expect(changed).toEqual(after.retired ? new Set() : expected);
}

describe('after any history of assets and contacts', () => {
  test('every question has the answer of the evaluation of records', () => {
    fc.assert(
      fc.property(
        history,
        fc.array(question, { minLength: 12, maxLength: 12 }),
        fc.nat(3),
        (past, questions, part) => {
          const { table, facts, contacts } = play(past);
          const some = assetSet([...facts.keys()].filter((id) => part === 0 || id % 4 === part));
          const within = part === 0 ? table.live : intersection(table.live, some);
          for (const each of questions) {
            const { text, ask, predicate, holds } = parsed(each);
            const truths = table.truths(predicate.field, predicate.key, predicate.condition, now, within);
            if (truths === null) throw new Error(`${text} is not stored`);
            const expected = { isTrue: [] as number[], isFalse: [] as number[] };
            for (const id of within) {
              const of = facts.get(id);
              if (of === undefined) throw new Error(`${id} is live`);
              const truth = ask(recordFrom(of, contacts.get(id)));
              if (truth !== null) expected[truth ? 'isTrue' : 'isFalse'].push(id);
            }
            const [isTrue, isFalse] = holds ? [truths.holds, truths.fails] : [truths.fails, truths.holds];
            expect({ text, isTrue: isTrue.toArray(), isFalse: isFalse.toArray() }).toEqual({
              text,
              ...expected,
            });
          }
        },
      ),
      { numRuns: 80 },
    );
  });

  test('assets are found, and their facts and values told', () => {
    fc.assert(
      fc.property(history, (past) => {
        const { table, facts, contacts } = play(past);
        const all = [...facts.values()].toSorted((a, b) => a.id - b.id);
        const live = all.filter(({ retired }) => !retired);
        expect(table.live.toArray()).toEqual(live.map(({ id }) => id));
        expect(table.greatestId).toBe(all.at(-1)?.id ?? 0);
        for (const name of [...pools.hostname, 'web'])
          expect(table.called(name)).toEqual(
            live.filter(({ hostname }) => hostname === name).map(({ id }) => id),
          );
        for (const each of all) {
          const { id, uid, hostname, os, osRelease, criticalitySet } = each;
          expect(table.idOf(uid.toUpperCase())).toBe(id);
          expect([table.uid(id), table.hostname(id), table.os(id), table.osRelease(id)]).toEqual([
            uid,
            hostname,
            os,
            osRelease,
          ]);
          expect([table.has(id), table.criticalitySet(id)]).toEqual([true, criticalitySet]);
          expect(table.lastSeenAt(id)).toBe(contacts.get(id)?.lastSeenAt ?? null);
          const record = recordFrom(each, contacts.get(id));
          const [told, expected]: [FactValue[], FactValue[]] = [[], []];
          for (const field of storedFields)
            for (const key of field === 'attribute' || field === 'cloud' ? pools.key : [null]) {
              const fact = record.field(field, key);
              const isSet = Array.isArray(fact) && field !== 'address';
              told.push(table.fact(id, field, key, now));
              expected.push(isSet ? distinct(fact) : fact);
            }
          expect(told).toEqual(expected);
        }
        const counted = (
          of: (facts: AssetFacts) => readonly string[],
        ): { value: string; assets: number }[] => {
          const counts = new Map<string, number>();
          for (const each of live)
            for (const value of new Set(of(each))) counts.set(value, (counts.get(value) ?? 0) + 1);
          return [...counts]
            .map(([value, assets]) => ({ value, assets }))
            .toSorted((a, b) => b.assets - a.assets || (a.value < b.value ? -1 : 1))
            .slice(0, 3);
        };
        expect(table.values('os', null, 3)).toEqual(counted(({ os }) => [os]));
        expect(table.values('unit', null, 3)).toEqual(counted((each) => each.host?.activeUnits ?? []));
        expect(table.values('kernel', null, 3)).toEqual(
          counted((each) =>
            each.host === null || each.host.runningKernel === '' ? [] : [each.host.runningKernel],
          ),
        );
        expect(table.values('attribute', 'role', 3)).toEqual(
          counted(({ attributes }) => (Object.hasOwn(attributes, 'role') ? [attributes['role'] ?? ''] : [])),
        );
        expect(table.keys('cloud')).toEqual(
          [...new Set(live.flatMap((each) => Object.keys(each.host?.cloud ?? {})))].toSorted(),
        );
      }),
      { numRuns: 25 },
    );
  });
});

test('every field of assets is stored, but for those that follow from others', () => {
  const derived = ['tag', 'criticality', 'risk', 'open_findings'];
  const expected = fieldsOf('asset')
    .map(({ name }) => name)
    .filter((name) => !derived.includes(name));
  expect(storedFields.toSorted()).toEqual(expected.toSorted());
  const table = new AssetTable();
  for (const field of derived)
    expect(table.truths(field, null, { op: 'is_unknown' }, now, table.live)).toBeNull();
});
