import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { recordOf, type PlainRecord } from '../query/evaluate.ts';
import { fieldsOf, nextChange, ageComparisons, tagsAffectedBy } from './change.ts';
import { parseTagDefinition, type TagDefinition, type TagDefinitionRequest } from './definition.ts';
import { tagGraph, type TagGraph } from './dependencies.ts';
import { evaluateTags, type TaggedAsset, type TagMembership } from './membership.ts';
import { definitionsAfter, previewChange, type TagChange } from './preview.ts';
import { why } from './why.ts';

const now = Date.UTC(2026, 10, 22, 12);
const DAY = 86_400_000;

function tag(request: TagDefinitionRequest): TagDefinition {
  const read = parseTagDefinition(request);
  if (!read.ok) throw new Error(read.message);
  return read.definition;
}

function asset(id: string, plain: PlainRecord, addresses: TaggedAsset['addresses'] = []): TaggedAsset {
  return { id, record: recordOf(plain), addresses };
}

function graphOf(definitions: readonly TagDefinition[]): TagGraph {
  const built = tagGraph(definitions);
  if (!built.ok) throw new Error(built.message);
  return built.graph;
}

function evaluated(definitions: readonly TagDefinition[], assets: readonly TaggedAsset[], at = now) {
  const result = evaluateTags(definitions, assets, at);
  if (!result.ok) throw new Error(result.message);
  return result.tags;
}

const members = (tags: ReadonlyMap<string, TagMembership>, name: string) => tags.get(name)?.members;
const unknown = (tags: ReadonlyMap<string, TagMembership>, name: string) => tags.get(name)?.unknown.assets;

const web = tag({ name: 'web', parent: 'prod', rule: 'hostname = web-* or attribute.role = web' });
const lan = tag({ name: 'lan', parent: 'web', ranges: ['10.0.0.0/8', '2001:db8::1-2001:db8::f'] });
const prod = tag({ name: 'prod', assets: ['c'] });
const rest = tag({ name: 'rest', rule: 'tag != prod' });
const quiet = tag({ name: 'quiet', rule: 'tag = LA* and last_seen > 3d' });
const all = [rest, quiet, prod, lan, web];
const assets = [
  asset('b', { hostname: 'db-1', attribute: {}, last_seen: now - 5 * DAY }, ['192.0.2.1', '2001:db8::e']),
  asset('a', { hostname: 'web-1' }),
  asset('c', { hostname: 'x', attribute: {}, last_seen: now }),
  asset('d', { hostname: 'x', attribute: {} }, ['192.0.2.1']),
  asset('e', { hostname: 'x', last_seen: now - DAY }, ['10.1.1.1', null]),
  asset('f', { hostname: 'x', attribute: {}, last_seen: now - 9 * DAY }, null),
];

describe('members', () => {
  const tags = evaluated(all, assets);
  test('by rule, range and list, and from nested tags up', () => {
    expect(members(tags, 'lan')).toEqual(['b', 'e']);
    expect(members(tags, 'web')).toEqual(['a', 'b', 'e']);
    expect(members(tags, 'prod')).toEqual(['a', 'b', 'c', 'e']);
  });
  test('what cannot be said is apart, and passes on', () => {
    expect(unknown(tags, 'lan')).toEqual(['f']);
    expect(tags.get('prod')?.unknown).toEqual({ count: 1, assets: ['f'] });
    expect(members(tags, 'rest')).toEqual(['d']);
    expect(unknown(tags, 'rest')).toEqual(['f']);
  });
  test('one tag that is not known leaves a question about another answered', () => {
    const rules = [
      lan,
      web,
      prod,
      tag({ name: 'other', rule: 'tag = listed' }),
      tag({ name: 'listed', assets: ['f'] }),
    ];
    expect(members(evaluated(rules, assets), 'other')).toEqual(['f']);
    expect(unknown(evaluated(rules, assets), 'other')).toEqual([]);
  });
  test('wildcards and ages, and when time changes them', () => {
    expect(members(tags, 'quiet')).toEqual(['b']);
    expect(tags.get('quiet')?.next_change_at).toBe(now + 2 * DAY + 1);
    expect(tags.get('prod')?.next_change_at).toBeNull();
  });
  test('an asset given twice is a bug', () => {
    expect(() => evaluated(all, [...assets, ...assets])).toThrow('given twice');
  });
});

test.each([
  [
    'prod',
    'a',
    true,
    ['prod', 'web'],
    'It is in prod, as it is in web, which is nested in it: the rule of web holds, as the hostname is like web-*.',
  ],
  ['prod', 'e', true, ['prod', 'web', 'lan'], 'its address 10.1.1.1 is in 10.0.0.0/8, a range of lan.'],
  ['prod', 'c', true, ['prod'], 'the fixed list of prod names it.'],
  [
    'prod',
    'd',
    false,
    ['prod'],
    'It is not in prod: it is not in the fixed list, and it is in none of those nested in it (web).',
  ],
  ['prod', 'f', null, ['prod', 'web', 'lan'], 'its addresses are not all known'],
  ['quiet', 'b', true, ['quiet'], 'the last check-in was more than 3 days ago'],
])('why %s has %s: %s', (name, id, truth, path, sentence) => {
  const one = assets.find((each) => each.id === id);
  if (one === undefined) throw new Error(id);
  const reason = why(graphOf(all), name, one, now);
  expect(reason).toMatchObject({ truth, path });
  expect(reason.sentence).toContain(sentence);
});

describe('what changes a tag', () => {
  test('facts', () => {
    const rule = 'web has finding (cvss > 9 and package = x) and attribute.Role = a and tag = prod';
    expect([...fieldsOf(tag({ name: 'a', rule }))].sort()).toEqual(
      [
        'attribute.Role',
        'finding',
        'finding.cvss',
        'finding.package',
        'finding.package.name',
        'hostname',
      ].sort(),
    );
    const graph = graphOf(all);
    expect(tagsAffectedBy(graph, ['address'])).toEqual(['lan', 'quiet', 'web', 'prod', 'rest']);
    expect(tagsAffectedBy(graph, ['attribute'])).toEqual(['web', 'prod', 'rest']);
    expect(tagsAffectedBy(graph, ['attribute.other', 'kernel'])).toEqual([]);
  });

  test('time: the next moment is the first at which the answer differs', () => {
    const ops = fc.constantFrom(
      'last_seen < 2d',
      'last_seen <= 2d',
      'last_seen > 2d',
      'last_seen >= 2d',
      'last_seen 1d..2d',
    );
    const ahead = fc.constantFrom(
      'finding.due < 2d',
      'finding.due <= 2d',
      'finding.due > 2d',
      'finding.due >= 2d',
    );
    fc.assert(
      fc.property(
        fc.oneof(ops, ahead),
        fc.integer({ min: -3, max: 3 }),
        fc.integer({ min: -1, max: 1 }),
        (rule, days, off) => {
          const definition = tag({ name: 'a', rule });
          const at = now + days * DAY + off;
          const one = asset('1', { last_seen: at, finding: [{ due: at }] });
          const next = nextChange(ageComparisons(definition), one.record, now);
          const is = (moment: number) => members(evaluated([definition], [one], moment), 'a')?.length;
          if (next === null) {
            expect(is(now + 9 * DAY)).toBe(is(now));
            return;
          }
          expect(next).toBeGreaterThan(now);
          expect(is(next - 1)).toBe(is(now));
          expect(is(next)).not.toBe(is(now));
        },
      ),
    );
  });
});

const names = ['t0', 't1', 't2', 't3', 't4', 't5'];
const leaves = [
  'hostname = web-*',
  'attribute.role = web',
  'not kernel is unknown',
  'address in 10.0.0.0/8',
  'last_seen > 1d',
];

/** Tags that need only those before them, so that every choice is a graph. */
const tagsArb = fc
  .tuple(...names.map((_, index) => definitionArb(index)))
  .map((requests) => requests.map(tag));

function definitionArb(index: number): fc.Arbitrary<TagDefinitionRequest> {
  const name = names[index] ?? '';
  const references = names.slice(0, index).flatMap((each) => [`tag = ${each}`, `tag != ${each}`]);
  const term = fc.constantFrom(...leaves, ...references);
  const rule = fc
    .tuple(term, fc.constantFrom('and', 'or', 'and not', 'or not'), term)
    .map(([a, join, b]): TagDefinitionRequest => ({ name, rule: `${a} ${join} (${b})` }));
  const list = fc
    .subarray(['a0', 'a1', 'a2', 'a3', 'a9'])
    .map((ids): TagDefinitionRequest => ({ name, assets: ids }));
  const ranges = fc
    .constantFrom('10.0.0.0/9', '10.0.0.1-10.0.0.2', '::/0')
    .map((each): TagDefinitionRequest => ({ name, ranges: [each] }));
  const parent =
    index === names.length - 1 ? fc.constant(null) : fc.constantFrom(null, ...names.slice(index + 1));
  return fc.tuple(fc.oneof(rule, list, ranges), parent).map(([request, up]) => ({ ...request, parent: up }));
}

const assetsArb = fc
  .array(
    fc.record({
      hostname: fc.constantFrom('web-1', 'db', null),
      attribute: fc.constantFrom<PlainRecord | null>({}, { role: 'web' }, null),
      last_seen: fc.constantFrom(now - 2 * DAY, now, null),
      address: fc.constantFrom<(string | null)[] | null>(['10.0.0.1'], ['::1', null], [], null),
    }),
    { maxLength: 5 },
  )
  .map((all_) => all_.map((plain, index) => asset(`a${index}`, plain, plain.address)));

const shuffled = <T>(list: readonly T[]) =>
  fc.shuffledSubarray([...list], { minLength: list.length, maxLength: list.length });

describe('laws', () => {
  test('the order of definitions and assets changes nothing', () => {
    fc.assert(
      fc.property(
        fc
          .tuple(tagsArb, assetsArb)
          .chain(([t, a]) => fc.tuple(fc.constant([t, a] as const), shuffled(t), shuffled(a))),
        ([[t, a], mixedTags, mixedAssets]) => {
          expect([...evaluated(mixedTags, mixedAssets)]).toEqual([...evaluated(t, a)]);
        },
      ),
    );
  });

  test('nesting: members of a child are members of the parent, and adding a child takes nobody out of it', () => {
    fc.assert(
      fc.property(tagsArb, assetsArb, fc.subarray(['a0', 'a1', 'a2']), (t, a, ids) => {
        const tags = evaluated(t, a);
        for (const { name, parent } of t) {
          if (parent !== null)
            expect(members(tags, parent)).toEqual(expect.arrayContaining([...(members(tags, name) ?? [])]));
        }
        for (const parent of names) {
          const more = evaluated([...t, tag({ name: 'z', parent, assets: ids })], a);
          expect(members(more, parent)).toEqual(expect.arrayContaining([...(members(tags, parent) ?? [])]));
        }
      }),
    );
  });

  test('no asset is in a tag and unknown to it, and the reason agrees with the evaluation', () => {
    fc.assert(
      fc.property(tagsArb, assetsArb, (t, a) => {
        const tags = evaluated(t, a);
        const graph = graphOf(t);
        for (const one of a) {
          for (const name of names) {
            const isIn = members(tags, name)?.includes(one.id);
            const isOpen = unknown(tags, name)?.includes(one.id);
            expect(isIn === true && isOpen === true).toBe(false);
            expect(why(graph, name, one, now).truth).toBe(isOpen === true ? null : isIn);
          }
        }
      }),
    );
  });

  test('a tag that tagsAffectedBy leaves out does not change with the fact', () => {
    fc.assert(
      fc.property(tagsArb, fc.constantFrom('hostname', 'attribute', 'last_seen'), (t, fact) => {
        const affected = tagsAffectedBy(graphOf(t), [fact]);
        const plain: PlainRecord = {
          hostname: 'web-1',
          attribute: { role: 'web' },
          last_seen: now - 2 * DAY,
        };
        const before = evaluated(t, [asset('a0', plain, [])]);
        const after = evaluated(t, [asset('a0', { ...plain, [fact]: null }, [])]);
        for (const name of names.filter((each) => !affected.includes(each))) {
          expect(members(after, name)).toEqual(members(before, name));
          expect(unknown(after, name)).toEqual(unknown(before, name));
        }
      }),
    );
  });

  test('the preview is the difference of two full evaluations', () => {
    let changes = 0;
    fc.assert(
      fc.property(tagsArb, tagsArb, fc.nat(5), fc.boolean(), assetsArb, (t, other, index, isDeletion, a) => {
        const definition = other[index];
        if (definition === undefined) throw new Error('no tag');
        const change: TagChange = isDeletion
          ? { kind: 'delete', name: definition.name }
          : { kind: 'save', definition };
        const preview = previewChange(t, change, a, now);
        const after = evaluateTags(definitionsAfter(t, change), a, now);
        expect(preview.ok).toBe(after.ok);
        if (!preview.ok || !after.ok) return;
        const before = evaluated(t, a);
        for (const name of names) {
          const [was, is] = [new Set(members(before, name)), new Set(members(after.tags, name))];
          const [wasOpen, isOpen] = [new Set(unknown(before, name)), new Set(unknown(after.tags, name))];
          const expected = {
            enter: [...is.difference(was)],
            leave: [...was.difference(is)],
            become_unknown: [...isOpen.difference(wasOpen)],
          };
          const found = preview.differences.get(name);
          expect(found ?? { enter: [], leave: [], become_unknown: [] }).toEqual(expected);
          if (found !== undefined) changes++;
        }
      }),
    );
    expect(changes).toBeGreaterThan(0);
  });
});
