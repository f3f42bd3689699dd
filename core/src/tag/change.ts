/** When the members of a tag can change: which facts it reads, and how time alone changes it. */
import { knownField } from '../query/fields.ts';
import type { QueryRecord } from '../query/evaluate.ts';
import type { Condition, Node, Operand, Query } from '../query/query.ts';
import { parseDate } from '../query/time.ts';
import { expandWord } from '../query/words.ts';
import { asksTag, comparisonsOf, type PlacedComparison, type TagDefinition } from './definition.ts';
import { withDependents, type TagGraph } from './dependencies.ts';

/**
 * The facts of an asset that decide, without those of tags that it needs: `hostname`, `attribute.role`, `finding.cvss`. A
 * relation stands for which things are related: `finding` beside `finding.cvss`. Empty for fixed lists.
 */
export function fieldsOf({ members }: TagDefinition): Set<string> {
  if (members.kind === 'list') return new Set();
  if (members.kind === 'ranges') return new Set(['address']);
  return fieldsOfQuery(members.query);
}

/** The same of a query over assets. */
export function fieldsOfQuery(query: Query): Set<string> {
  const found = new Set<string>();
  const visit = (node: Node, path: string): void => {
    if (node.kind === 'has') {
      found.add(`${path}${node.relation}`);
      if (node.where !== null) visit(node.where, `${path}${node.relation}.`);
    } else if (node.kind === 'and' || node.kind === 'or') for (const part of node.parts) visit(part, path);
    else if (node.kind === 'not') visit(node.part, path);
    else if (node.kind === 'word') visit(expandWord(node), path);
  };
  if (query.root !== null) visit(query.root, '');
  for (const { node, relations } of comparisonsOf(query)) {
    if (asksTag(node)) continue;
    found.add([...relations, node.field, ...(node.key === null ? [] : [node.key])].join('.'));
  }
  return found;
}

/**
 * The tags that can change when these facts of an asset change, in the order of evaluation. Names are those of `fieldsOf`;
 * one without its end stands for all below it: `attribute` for every attribute, `finding` for all of the findings.
 */
export function tagsAffectedBy(graph: TagGraph, changed: Iterable<string>): string[] {
  const facts = [...changed];
  const direct = [...graph.definitions.values()].filter((definition) =>
    [...fieldsOf(definition)].some((read) =>
      facts.some((fact) => read === fact || read.startsWith(`${fact}.`)),
    ),
  );
  return withDependents(
    graph,
    direct.map(({ name }) => name),
  );
}

type Order = '<' | '<=' | '>' | '>=';
interface AgeTest {
  readonly op: Order;
  readonly milliseconds: number;
}

function ageTests(condition: Condition): AgeTest[] {
  const test = (op: Order, operand: Operand): AgeTest[] =>
    operand.kind === 'age' ? [{ op, milliseconds: operand.milliseconds }] : [];
  switch (condition.op) {
    case 'range':
      return [...test('>=', condition.from), ...test('<=', condition.to)];
    case '<':
    case '<=':
    case '>':
    case '>=':
      return test(condition.op, condition.value);
    default:
      return [];
  }
}

/** Comparisons with ages, which time alone changes. Dates do not: `enrolled >= 2026-01-01` stays as it is. */
export function ageComparisons({ members }: TagDefinition): PlacedComparison[] {
  return members.kind === 'rule' ? ageComparisonsOf(members.query) : [];
}

function ageComparisonsOf(query: Query): PlacedComparison[] {
  return comparisonsOf(query).filter(({ node }) => ageTests(node.condition).length > 0);
}

/** Whether time alone changes what a query comes to: it asks for an age, or whether an agent answers in time. */
export function changesWithTime(query: Query): boolean {
  return (
    ageComparisonsOf(query).length > 0 ||
    comparisonsOf(query).some(({ node }) => node.scope === 'asset' && node.field === 'reachable')
  );
}

/**
 * The first moment after `now`, in milliseconds since 1970, at which one of the comparisons changes for this record while
 * its facts stay; null: none will. Between the two these comparisons cannot change by themselves. (`reachable` has no such moment: who
 * makes the record decides.)
 */
export function nextChange(
  comparisons: readonly PlacedComparison[],
  record: QueryRecord,
  now: number,
): number | null {
  let next: number | null = null;
  for (const { node, relations } of comparisons) {
    const ahead = knownField(node.scope, node.field).ahead === true;
    for (const { op, milliseconds } of ageTests(node.condition)) {
      // Where the age is exactly that: `<` and `>=` differ before and at it, the others at and behind it. Ahead, the
      // duration shrinks as time passes, so it is the other way round.
      const isAtOnce = (op === '<' || op === '>=') !== ahead;
      for (const fact of momentsOf(record, relations, node.field, node.key)) {
        const moment = fact + (ahead ? -milliseconds : milliseconds) + (isAtOnce ? 0 : 1);
        if (moment > now && (next === null || moment < next)) next = moment;
      }
    }
  }
  return next;
}

function momentsOf(
  record: QueryRecord,
  relations: readonly string[],
  field: string,
  key: string | null,
): number[] {
  let records: QueryRecord[] = [record];
  for (const relation of relations)
    records = records.flatMap((each) => (each.related(relation) ?? []).filter((one) => one !== null));
  return records.flatMap((each) => {
    const value = each.field(field, key);
    const facts: readonly unknown[] = Array.isArray(value) ? value : [value];
    return facts.flatMap((fact) => {
      const at = typeof fact === 'string' ? (parseDate(fact)?.from ?? null) : fact;
      return typeof at === 'number' && Number.isFinite(at) ? [at] : [];
    });
  });
}
