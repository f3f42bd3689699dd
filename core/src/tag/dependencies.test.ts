import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseTagDefinition, type TagDefinition, type TagDefinitionRequest } from './definition.ts';
import { tagGraph, withDependents } from './dependencies.ts';

function tag(request: TagDefinitionRequest): TagDefinition {
  const read = parseTagDefinition(request);
  if (!read.ok) throw new Error(read.message);
  return read.definition;
}

test('a cycle is refused with its path, through rules and parents', () => {
  const a = tag({ name: 'a', rule: 'tag in (b, x)' });
  const b = tag({ name: 'b', assets: [] });
  const c = tag({ name: 'c', parent: 'b', rule: 'os = debian or tag = a' });
  const x = tag({ name: 'x', assets: [] });
  expect(tagGraph([a, b, c, x])).toMatchObject({
    ok: false,
    code: 'tag_cycle',
    cycles: [
      {
        path: ['a', 'b', 'c', 'a'],
        message: 'a → b → c → a: the rule of a asks for b, c is nested in b, the rule of c asks for a',
      },
    ],
  });
});

test('wildcards and denials need tags too', () => {
  expect(tagGraph([tag({ name: 'web-1', rule: 'tag = web-*' })])).toMatchObject({
    code: 'tag_cycle',
    cycles: [{ path: ['web-1', 'web-1'] }],
  });
  const built = tagGraph([
    tag({ name: 'a', rule: 'tag != C and not tag : eb' }),
    tag({ name: 'c', assets: [] }),
    tag({ name: 'web', assets: [] }),
  ]);
  expect(built).toMatchObject({ ok: true, graph: { order: ['c', 'web', 'a'] } });
  if (built.ok) expect(built.graph.needs.get('a')).toEqual(['c', 'web']);
});

test('a tag that there is not', () => {
  const web = tag({ name: 'web', assets: [] });
  expect(tagGraph([web, tag({ name: 'a', rule: 'os = debian and tag not in (web, wbe)' })])).toMatchObject({
    code: 'tag_unknown',
    tag: 'a',
    unknown: 'wbe',
    at: 16,
    suggestions: ['web'],
  });
  expect(tagGraph([tag({ name: 'a', parent: 'b', assets: [] })])).toMatchObject({
    code: 'tag_unknown',
    unknown: 'b',
  });
  expect(tagGraph([web, web])).toMatchObject({ code: 'tag_defined_twice', tag: 'web' });
});

test('a chain of 3,000 tags ends, also as one cycle', () => {
  const chain = Array.from({ length: 3000 }, (_, index) =>
    tag({ name: `t${index}`, parent: index === 2999 ? null : `t${index + 1}`, assets: [] }),
  );
  const built = tagGraph(chain);
  if (!built.ok) throw new Error(built.message);
  expect(built.graph.order.at(-1)).toBe('t2999');
  expect(withDependents(built.graph, ['t2990'])).toHaveLength(10);
  const closed = tagGraph(chain.map((each) => (each.name === 't2999' ? { ...each, parent: 't0' } : each)));
  expect(closed).toMatchObject({ code: 'tag_cycle' });
});

test('on any graph: an order where everything is behind what it needs, or every tag that needs itself in a named cycle', () => {
  const size = 9;
  const node = fc.record({
    asks: fc.subarray(
      Array.from({ length: size }, (_, index) => index),
      { maxLength: 2 },
    ),
    parent: fc.option(fc.nat(size - 1), { freq: 1 }),
  });
  const outcomes = new Set<boolean>();
  fc.assert(
    fc.property(fc.array(node, { minLength: size, maxLength: size }), (nodes) => {
      const definitions = nodes.map(({ asks, parent }, index) =>
        tag({
          name: `t${index}`,
          parent: parent === null || parent === index ? null : `t${parent}`,
          rule: ['os = debian', ...asks.map((each) => `tag = t${each}`)].join(' or '),
        }),
      );
      // Written apart from the code: edges, and who reaches whom, by Warshall.
      const reach = nodes.map(({ asks }, from) =>
        nodes.map(({ parent }, to) => asks.includes(to) || (parent === from && to !== from)),
      );
      const edge = reach.map((row) => [...row]);
      for (let via = 0; via < size; via++)
        for (const row of reach)
          if (row[via] === true) for (let to = 0; to < size; to++) row[to] ||= reach[via]?.[to] === true;
      const circular = nodes.flatMap((_, index) => (reach[index]?.[index] === true ? [`t${index}`] : []));
      const built = tagGraph(definitions);
      outcomes.add(built.ok);
      expect(built.ok).toBe(circular.length === 0);
      const isEdge = (from: string, to: string) => edge[Number(from.slice(1))]?.[Number(to.slice(1))];
      if (built.ok) {
        const { order } = built.graph;
        expect([...order].sort()).toEqual(definitions.map(({ name }) => name).sort());
        for (const from of order)
          for (const to of order)
            if (isEdge(from, to) === true) expect(order.indexOf(from)).toBeGreaterThan(order.indexOf(to));
        return;
      }
      if (built.code !== 'tag_cycle') throw new Error(built.code);
      const named = new Set<string>();
      for (const { path } of built.cycles) {
        expect(path.at(0)).toBe(path.at(-1));
        expect(new Set(path).size).toBe(path.length - 1);
        for (const [index, to] of path.entries()) {
          if (index > 0) expect(isEdge(path[index - 1] ?? '', to)).toBe(true);
          named.add(to);
        }
      }
      expect([...named].sort()).toEqual(circular);
    }),
    { numRuns: 500 },
  );
  expect(outcomes.size).toBe(2);
});
