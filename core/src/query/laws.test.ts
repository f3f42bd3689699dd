// Longer than 400 lines because the laws share their generators and the naive evaluation.
/** What must hold for every query and record; queries and records are made from the table of fields. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareVersions } from '../version/version.ts';
import { complete } from './complete.ts';
import { evaluate, recordOf, type PlainRecord, type QueryRecord, type Truth } from './evaluate.ts';
import { explain, toChips } from './explain.ts';
import {
  fieldsOf,
  knownField,
  relationsOf,
  subjects,
  type Field,
  type Scope,
  type Subject,
} from './fields.ts';
import { operatorsOf, toOperand } from './operand.ts';
import { parse } from './parse.ts';
import { plan, predicatesOf, type Plan } from './plan.ts';
import { print, printOperand } from './print.ts';
import type { Comparison, Condition, Node, Operand, Query } from './query.ts';
import { expandWord } from './words.ts';

const now = Date.UTC(2026, 10, 22, 12);
const span = { at: 0, length: 0 };

const pools: Record<Field['type'], readonly string[]> = {
  text: [
    'web-1',
    'web-2',
    'Web-1',
    'db',
    '',
    'a b',
    'or',
    'x"y\\',
    '7..9',
    'a:b',
    'hostname',
    '*',
    'ÄÖ',
    '-x',
    "'",
  ],
  number: ['0', '0.5', '1', '2.25'],
  integer: ['1', '2', '3'],
  boolean: ['true', 'false'],
  date: [
    '2026-11',
    '2026-11-22',
    '2026-11-22T11:00',
    '2026-11-15T12:00:00Z',
    '2026-11-22T11:00:00.500+02:00',
  ],
  choice: [],
  address: [
    '10.0.0.1',
    '10.1.0.0/16',
    '0.0.0.0/0',
    '2001:db8::1',
    '2001:db8::/32',
    '::/0',
    '::ffff:10.0.0.1',
  ],
  version: ['1.0', '1:0.9', '3.0.11-1~deb12u2', '3.0.20', 'not_a_version', '2.0^1'],
};
const patterns = ['web-*', '?b', '*', '*o*r*', '3.0.*', 'w?b-?'];

function operandArb(field: Field): fc.Arbitrary<Operand> {
  const { min, max, type } = field;
  const texts = (field.choices ?? pools[type]).filter(
    (text) =>
      (type !== 'number' && type !== 'integer') ||
      (Number(text) >= (min ?? -1) && Number(text) <= (max ?? 9)),
  );
  const plain = fc.constantFrom(...texts).map((text) => {
    const read = toOperand(field, { text, quoted: field.type === 'text' });
    if (!read.ok) throw new Error(`${field.name}: ${read.message}`);
    return read.operand;
  });
  if (field.type !== 'text') return plain;
  return fc.oneof(
    plain,
    fc.string({ unit: 'binary', maxLength: 6 }).map((value): Operand => ({ kind: 'text', value })),
  );
}

const patternArb = fc
  .constantFrom(...patterns)
  .map((value) => ({ kind: 'pattern', value }) satisfies Operand);

function conditionArb(field: Field): fc.Arbitrary<Condition> {
  const all = operatorsOf(field);
  const value = operandArb(field);
  const ordered = (['<', '<=', '>', '>='] as const).filter((op) => all.includes(op));
  const arbs: fc.Arbitrary<Condition>[] = [
    fc.record({ op: fc.constantFrom<Comparison>('=', '!='), value }),
    fc.constantFrom<Condition>({ op: 'is_unknown' }, { op: 'is_known' }),
  ];
  if (all.includes('in')) {
    const values = fc.array(value, { minLength: 1, maxLength: 3 });
    arbs.push(fc.record({ op: fc.constant('in' as const), values }));
    arbs.push(fc.record({ op: fc.constant('not_in' as const), values }));
  }
  if (all.includes(':')) arbs.push(fc.record({ op: fc.constant<Comparison>(':'), value }));
  if (field.type === 'text' || field.type === 'version')
    arbs.push(fc.record({ op: fc.constantFrom<Comparison>('=', '!='), value: patternArb }));
  if (ordered.length > 0) {
    arbs.push(fc.record({ op: fc.constantFrom<Comparison>(...ordered), value }));
    arbs.push(
      fc.tuple(value, value).map(([a, b]): Condition => ({
        op: 'range',
        ...(rankOf(a) <= rankOf(b) ? { from: a, to: b } : { from: b, to: a }),
      })),
    );
  }
  if (field.type === 'date') {
    const age = fc.constantFrom('0d', '60min', '1h', '7d', '2w').map((text): Operand => {
      const read = toOperand(field, { text, quoted: false });
      if (!read.ok) throw new Error(text);
      return read.operand;
    });
    arbs.push(fc.record({ op: fc.constantFrom<Comparison>('<', '<=', '>', '>='), value: age }));
  }
  return fc.oneof(...arbs);
}

function rankOf(operand: Operand): number {
  if (operand.kind === 'number') return operand.value;
  if (operand.kind === 'choice') return operand.rank;
  return operand.kind === 'date' ? operand.from : 0;
}

function nodeArb(scope: Scope, depth: number): fc.Arbitrary<Node> {
  const compare = fc.constantFrom(...fieldsOf(scope)).chain((field) =>
    fc.record({
      kind: fc.constant('compare' as const),
      scope: fc.constant(scope),
      field: fc.constant(field.name),
      key: field.keyed === true ? fc.constantFrom('role', 'a.b-c') : fc.constant(null),
      condition: conditionArb(field),
      at: fc.constant(0),
      length: fc.constant(0),
    }),
  );
  const word = fc.oneof(operandArb(knownField('asset', 'hostname')), patternArb).map((value): Node => {
    if (value.kind !== 'text' && value.kind !== 'pattern') throw new Error('no text');
    return { kind: 'word', scope, value, ...span };
  });
  if (depth === 0) return fc.oneof({ weight: 5, arbitrary: compare }, { weight: 1, arbitrary: word });
  const inner = nodeArb(scope, depth - 1);
  const joined = (kind: 'and' | 'or'): fc.Arbitrary<Node> =>
    fc.array(inner, { minLength: 2, maxLength: 3 }).map((parts) => ({
      kind,
      parts: parts.flatMap((part) => (part.kind === kind ? part.parts : [part])),
      ...span,
    }));
  const arbs = [
    compare,
    word,
    joined('and'),
    joined('or'),
    inner.map((part): Node => ({ kind: 'not', part, ...span })),
  ];
  const related = relationsOf(scope);
  if (related.length > 0) {
    arbs.push(
      fc
        .constantFrom(...related)
        .chain(({ name, to }) =>
          fc
            .option(nodeArb(to, depth - 1))
            .map((where): Node => ({ kind: 'has', scope, relation: name, where, ...span })),
        ),
    );
  }
  return fc.oneof(...arbs);
}

const subjectArb = fc.constantFrom<Subject>(...subjects);
const queryArb: fc.Arbitrary<Query> = subjectArb.chain((subject) =>
  nodeArb(subject, 3).map((root) => ({ subject, root })),
);

function factArb(field: Field): fc.Arbitrary<string | number | boolean | { scheme: 'dpkg'; text: string }> {
  switch (field.type) {
    case 'number':
    case 'integer':
      return fc.constantFrom(0, 0.5, 1, 2.25, 3);
    case 'boolean':
      return fc.boolean();
    case 'date':
      return fc.constantFrom(
        now - 3_600_000,
        now - 7 * 86_400_000,
        now + 86_400_000,
        '2026-11-22T11:00:30Z',
        'no date',
      );
    case 'version':
      return fc.constantFrom(...pools.version, '3.0.21').map((text) => ({ scheme: 'dpkg', text }));
    case 'address':
      return fc.constantFrom('10.0.0.1', '10.1.2.3', '192.0.2.1', '2001:db8::1', 'fe80::1%eth0', 'none');
    case 'choice':
      return fc.constantFrom(...(field.choices ?? []), 'never heard of');
    case 'text':
      return fc.constantFrom(...pools.text);
    default:
      return field.type satisfies never;
  }
}

function plainArb(scope: Scope, depth: number): fc.Arbitrary<PlainRecord> {
  const shape: Record<string, fc.Arbitrary<PlainRecord[string]>> = {};
  for (const field of fieldsOf(scope)) {
    const one = fc.option(factArb(field), { freq: 4 });
    const value: fc.Arbitrary<PlainRecord[string]> =
      field.many === true ? fc.option(fc.array(one, { maxLength: 2 }), { freq: 4 }) : one;
    shape[field.name] =
      field.keyed === true ? fc.option(fc.dictionary(fc.constantFrom('role', 'a.b-c'), one)) : value;
  }
  if (depth > 0) {
    for (const { name, to } of relationsOf(scope))
      shape[name] = fc.option(relatedArb(to, depth - 1), { freq: 4 });
  }
  return fc.record(shape);
}

function relatedArb(to: Scope, depth: number): fc.Arbitrary<readonly (PlainRecord | null)[]> {
  return fc.array(fc.option(plainArb(to, depth), { freq: 5 }), { maxLength: 2 });
}

const caseArb = subjectArb.chain((subject) =>
  fc.record({ root: nodeArb(subject, 3), plain: plainArb(subject, 2), subject: fc.constant(subject) }),
);

/** Without positions, for comparing. */
function bare(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (key, part: unknown) => {
      if (key === 'at' || key === 'length') return undefined;
      return typeof part === 'bigint' ? part.toString() : part;
    }),
  );
}

/** The definition, slowly: 0 false, ½ unknown, 1 true; and is the least, or the greatest. */
function naive(node: Node, record: QueryRecord): number {
  switch (node.kind) {
    case 'and':
      return Math.min(...node.parts.map((part) => naive(part, record)));
    case 'or':
      return Math.max(...node.parts.map((part) => naive(part, record)));
    case 'not':
      return 1 - naive(node.part, record);
    case 'word':
      return naive(expandWord(node), record);
    case 'has': {
      const { where } = node;
      const related = record.related(node.relation);
      if (related === null) return 0.5;
      return Math.max(
        0,
        ...related.map((each) => (each === null ? 0.5 : where === null ? 1 : naive(where, each))),
      );
    }
    case 'compare': {
      const field = knownField(node.scope, node.field);
      const fact = record.field(node.field, node.key);
      const list: readonly unknown[] = fact !== null && Array.isArray(fact) ? fact : [fact];
      const { condition } = node;
      if (condition.op === 'is_unknown') return Number(list.includes(null));
      if (condition.op === 'is_known') return 1 - Number(list.includes(null));
      const any = (ask: (each: unknown) => number): number =>
        Math.max(0, ...list.map((each) => (each === null ? 0.5 : ask(each))));
      if (condition.op === 'in' || condition.op === 'not_in') {
        const found = any((each) =>
          Math.max(...condition.values.map((value) => naiveTest(field, '=', value, each))),
        );
        return condition.op === 'in' ? found : 1 - found;
      }
      if (condition.op === 'range')
        return any((each) =>
          Math.min(naiveTest(field, '>=', condition.from, each), naiveTest(field, '<=', condition.to, each)),
        );
      if (condition.op === '!=') return 1 - any((each) => naiveTest(field, '=', condition.value, each));
      return any((each) => naiveTest(field, condition.op, condition.value, each));
    }
    default:
      return node satisfies never;
  }
}

function naiveTest(field: Field, op: string, operand: Operand, fact: unknown): number {
  const text = typeof fact === 'string' ? fact : isVersion(fact) ? fact.text : '';
  const holds = (order: number): number =>
    Number(
      (op.includes('=') && order === 0) || (op.includes('<') && order < 0) || (op.includes('>') && order > 0),
    );
  switch (operand.kind) {
    case 'text': {
      const [a, b] = [text.toLowerCase(), operand.value.toLowerCase()];
      return Number(op === ':' ? a.split(b).length > 1 || a.indexOf(b) >= 0 : a === b);
    }
    case 'pattern': {
      const escaped = operand.value.toLowerCase().replaceAll(/[.+^${}()|[\]\\]/g, '\\$&');
      const source = escaped.replaceAll('*', '[^]*').replaceAll('?', '[^]');
      return Number(new RegExp(op === ':' ? source : `^${source}$`).test(text.toLowerCase()));
    }
    case 'boolean':
      return Number(fact === operand.value);
    case 'number':
      return holds(Number(fact) - operand.value);
    case 'choice': {
      const rank = (field.choices ?? []).indexOf(text);
      return rank < 0 ? 0.5 : holds(rank - operand.rank);
    }
    case 'age':
    case 'date': {
      const at = typeof fact === 'number' ? fact : Date.parse(text);
      if (Number.isNaN(at)) return 0.5;
      if (operand.kind === 'date') return holds(at < operand.from ? -1 : at < operand.to ? 0 : 1);
      return holds((field.ahead === true ? at - now : now - at) - operand.milliseconds);
    }
    case 'address': {
      const bits = toBits(text);
      if (bits === null) return 0.5;
      const width = operand.family === 4 ? 32 : 128;
      if (bits.length !== width) return 0;
      const [first, last] = [operand.first, operand.last].map((each) =>
        each.toString(2).padStart(width, '0'),
      );
      return holds(bits < (first ?? '') ? -1 : bits > (last ?? '') ? 1 : 0);
    }
    case 'version': {
      if (op === '=' && text === operand.value) return 1;
      const order = compareVersions('dpkg', text, operand.value);
      if (order === 'unparseable' || order === 'incomparable') return 0.5;
      return holds({ less: -1, equal: 0, greater: 1 }[order]);
    }
    default:
      return operand satisfies never;
  }
}

function isVersion(fact: unknown): fact is { text: string } {
  return typeof fact === 'object' && fact !== null && 'text' in fact && typeof fact.text === 'string';
}

/** By a table, as there are few addresses among the facts. */
function toBits(text: string): string | null {
  const hex: Record<string, string> = {
    '10.0.0.1': '0a000001',
    '10.1.2.3': '0a010203',
    '192.0.2.1': 'c0000201',
    '2001:db8::1': '20010db8000000000000000000000001',
    'fe80::1%eth0': 'fe800000000000000000000000000001',
  };
  const found = hex[text];
  if (found === undefined) return null;
  return Array.from(found, (digit) => Number.parseInt(digit, 16).toString(2).padStart(4, '0')).join('');
}

const truth = (value: number): Truth => (value === 0.5 ? null : value === 1);

/** What a read model does with a plan, for one record. */
function member(part: Plan, record: QueryRecord): boolean {
  switch (part.kind) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'and':
      return part.parts.every((each) => member(each, record));
    case 'or':
      return part.parts.some((each) => member(each, record));
    case 'some':
      return (record.related(part.relation) ?? []).some((each) => each !== null && member(part.where, each));
    case 'every':
      return (record.related(part.relation) ?? [null]).every(
        (each) => each !== null && member(part.where, each),
      );
    case 'leaf': {
      const leaf: Node = { kind: 'compare', ...part.predicate, ...span };
      return naive(leaf, record) === (part.holds ? 1 : 0);
    }
    default:
      return part satisfies never;
  }
}

describe('text and tree', () => {
  test('what is printed is read back as the same tree, and printed the same again', () => {
    fc.assert(
      fc.property(queryArb, (query) => {
        const text = print(query);
        const read = parse(text, query.subject);
        if (!read.ok) throw new Error(`${text}\n${read.at}: ${read.message}`);
        expect(bare(read.query)).toEqual(bare(query));
        expect(print(read.query)).toBe(text);
      }),
      { numRuns: 1500 },
    );
  });

  test('every term is where it says, and what stands there means the same', () => {
    fc.assert(
      fc.property(queryArb, (query) => {
        const text = `  ${print(query)} `;
        const read = parse(text, query.subject);
        if (!read.ok) throw new Error(read.message);
        for (const { at, length, text: canonical, meaning } of toChips(read.query)) {
          expect(meaning).not.toBe('');
          const again = parse(text.slice(at, at + length), query.subject);
          expect(again.ok && print(again.query)).toBe(canonical);
        }
        expect(explain(query)).toMatch(/^[A-Z][^]*\.$/);
      }),
      { numRuns: 500 },
    );
  });

  test('any text of 10,000 characters is read or refused, at a place within it; completion too', () => {
    const pieces = fc.constantFrom(
      '(',
      ')',
      'not ',
      'and ',
      'or ',
      'has finding (',
      'cvss',
      '..',
      '"',
      '\\',
      ' ',
      '=',
      '!=',
      'in (',
      ',',
      '*',
      'finding.',
      ':',
      '7d',
    );
    const texts = fc.oneof(
      fc.string({ unit: 'binary', size: 'max', maxLength: 10_050 }),
      fc.array(pieces, { size: 'max', maxLength: 3000 }).map((parts) => parts.join('')),
      pieces.map((piece) => piece.repeat(10_000 / piece.length)),
    );
    fc.assert(
      fc.property(texts, subjectArb, fc.nat(10_000), (text, subject, cursor) => {
        const read = parse(text, subject);
        if (read.ok) explain(read.query);
        else {
          expect(read.at).toBeGreaterThanOrEqual(0);
          expect(read.at + read.length).toBeLessThanOrEqual(text.length);
          expect(read.message).not.toBe('');
          expect(read.what_to_do).not.toBe('');
        }
        const { from, to } = complete(text, cursor, subject);
        expect(from).toBeLessThanOrEqual(to);
      }),
      { numRuns: 300 },
    );
  });
});

describe('evaluation', () => {
  test('is what the definition says', () => {
    const seen = new Map<Truth, number>();
    fc.assert(
      fc.property(caseArb, ({ subject, root, plain }) => {
        const record = recordOf(plain);
        const found = evaluate({ subject, root }, record, now);
        seen.set(found, (seen.get(found) ?? 0) + 1);
        expect(found).toBe(truth(naive(root, record)));
      }),
      { numRuns: 1500 },
    );
    for (const each of [true, false, null]) expect(seen.get(each)).toBeGreaterThan(100);
  });

  test('obeys the laws of De Morgan and of double negation', () => {
    fc.assert(
      fc.property(caseArb, ({ subject, root, plain }) => {
        const record = recordOf(plain);
        const ask = (node: Node): Truth => evaluate({ subject, root: node }, record, now);
        const not = (part: Node): Node => ({ kind: 'not', part, ...span });
        expect(ask(not(not(root)))).toBe(ask(root));
        if (root.kind !== 'and' && root.kind !== 'or') return;
        const other = {
          kind: root.kind === 'and' ? 'or' : 'and',
          parts: root.parts.map(not),
          ...span,
        } as const;
        expect(ask(not(root))).toBe(ask(other));
      }),
      { numRuns: 1500 },
    );
  });

  test('what is not known matches neither a comparison nor its denial', () => {
    fc.assert(
      fc.property(caseArb, ({ subject, root }) => {
        const nothing: QueryRecord = { field: () => null, related: () => null };
        const asksKnowledge =
          JSON.stringify(bare(root)).includes('_known') || JSON.stringify(bare(root)).includes('is_unknown');
        if (!asksKnowledge) expect(evaluate({ subject, root }, nothing, now)).toBe(null);
      }),
    );
  });

  test('a plan has exactly the records that match, and its predicates deny nothing', () => {
    fc.assert(
      fc.property(caseArb, ({ subject, root, plain }) => {
        const record = recordOf(plain);
        const made = plan({ subject, root });
        expect(member(made.root, record)).toBe(evaluate({ subject, root }, record, now) === true);
        for (const { condition } of predicatesOf(made.root))
          expect(['!=', 'not_in']).not.toContain(condition.op);
      }),
      { numRuns: 1500 },
    );
  });

  test('a printed operand is read as itself', () => {
    for (const field of fieldsOf('finding')) {
      fc.assert(
        fc.property(operandArb(field), (operand) => {
          if (operand.kind === 'text') return;
          expect(toOperand(field, { text: printOperand(operand), quoted: false })).toEqual({
            ok: true,
            operand,
          });
        }),
        { numRuns: 20 },
      );
    }
  });
});
