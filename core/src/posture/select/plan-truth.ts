/**
 * Plans (query/plan.ts) on single records, and their denial. In a plan negations stand at the predicates only, so asking where
 * a plan is true is asking where its parts are; where it is false is asking the same of its denial.
 */
import { compile, type Evaluation, type QueryRecord, type Truth } from '../../query/evaluate.ts';
import { keyOf, type Plan, type Predicate } from '../../query/plan.ts';
import type { CompareNode, Node, Query } from '../../query/query.ts';
import { asksTag } from '../../tag/definition.ts';
import { tagsAsked } from '../../tag/dependencies.ts';

export type LeafPlan = Extract<Plan, { kind: 'leaf' }>;
export type RelatedPlan = Extract<Plan, { kind: 'some' | 'every' }>;
type JoinedPlan = Extract<Plan, { kind: 'and' | 'or' }>;

/** The plan that is true where this one is false. */
export function denial(part: Plan): Plan {
  switch (part.kind) {
    case 'all':
      return { kind: 'none' };
    case 'none':
      return { kind: 'all' };
    case 'and':
    case 'or': {
      const kind: JoinedPlan['kind'] = part.kind === 'and' ? 'or' : 'and';
      const parts = part.parts.map(denial);
      return { kind, key: parts.map((each) => `(${keyOf(each)})`).join(` ${kind} `), parts };
    }
    case 'leaf': {
      const asked = part.holds ? part.key : part.key.slice('not '.length);
      return { ...part, key: part.holds ? `not ${asked}` : asked, holds: !part.holds };
    }
    case 'some':
    case 'every': {
      const kind = part.kind === 'some' ? 'every' : 'some';
      const where = denial(part.where);
      return { ...part, kind, key: `${kind} ${part.scope}.${part.relation} (${keyOf(where)})`, where };
    }
    default:
      return part satisfies never;
  }
}

const nowhere = { at: 0, length: 0 } as const;

export function comparisonOf(predicate: Predicate): CompareNode {
  const { scope, field, key, condition } = predicate;
  return { kind: 'compare', scope, field, key, condition, ...nowhere };
}

/**
 * The tags that a predicate speaks of: a comparison of `tag` is one question for each of them, since a tag of which it cannot
 * be said whether the asset is in it makes no other unknown. Null where it is no such comparison (`tag is unknown` asks of
 * all tags together).
 */
export function tagsOfPredicate(predicate: Predicate, names: Iterable<string>): string[] | null {
  const node = comparisonOf(predicate);
  return asksTag(node) && predicate.condition.op !== 'is_unknown' ? tagsAsked(node, names) : null;
}

/** Whether a predicate is true of a record. `names`: of all tags. */
export function compilePredicate(predicate: Predicate, now: number, names: Iterable<string>): Evaluation {
  const tags = tagsOfPredicate(predicate, names);
  if (tags !== null) return (record) => anyTag(record, tags);
  return compile({ subject: 'asset', root: comparisonOf(predicate) }, now);
}

function anyTag(record: QueryRecord, tags: readonly string[]): Truth {
  let truth: Truth = false;
  for (const tag of tags) {
    const fact = record.field('tag', tag);
    if (fact === null) truth = null;
    else if (Array.isArray(fact) && fact.length > 0) return true;
  }
  return truth;
}

/** Whether a leaf has the record: it is known to be so. */
export function compileLeaf(
  { predicate, holds }: LeafPlan,
  now: number,
  names: Iterable<string>,
): (record: QueryRecord) => boolean {
  const ask = compilePredicate(predicate, now, names);
  return (record) => ask(record) === holds;
}

/** Whether a plan has a record. */
export function compilePlan(
  part: Plan,
  now: number,
  names: Iterable<string>,
): (record: QueryRecord) => boolean {
  switch (part.kind) {
    case 'all':
      return () => true;
    case 'none':
      return () => false;
    case 'and':
    case 'or': {
      const tests = part.parts.map((each) => compilePlan(each, now, names));
      return part.kind === 'and'
        ? (record) => tests.every((test) => test(record))
        : (record) => tests.some((test) => test(record));
    }
    case 'leaf':
      return compileLeaf(part, now, names);
    case 'some': {
      const where = compilePlan(part.where, now, names);
      return (record) => record.related(part.relation)?.some((each) => each !== null && where(each)) === true;
    }
    case 'every': {
      const where = compilePlan(part.where, now, names);
      return (record) =>
        record.related(part.relation)?.every((each) => each !== null && where(each)) === true;
    }
    default:
      return part satisfies never;
  }
}

/**
 * Evaluates a query on records of records.ts: as `compile` of query/evaluate.ts, with comparisons of `tag` as one question for
 * each tag that they speak of. What selections answer with sets is defined by this.
 */
export function compileOnRecords(query: Query, now: number, names: readonly string[]): Evaluation {
  return compile({ ...query, root: query.root === null ? null : splitTagsDeep(query.root, names) }, now);
}

function splitTagsDeep(node: Node, names: readonly string[]): Node {
  switch (node.kind) {
    case 'and':
    case 'or':
      return { ...node, parts: node.parts.map((part) => splitTagsDeep(part, names)) };
    case 'not':
      return { ...node, part: splitTagsDeep(node.part, names) };
    case 'has':
      return { ...node, where: node.where === null ? null : splitTagsDeep(node.where, names) };
    case 'compare': {
      const { op } = node.condition;
      if (!asksTag(node) || op === 'is_unknown' || op === 'is_known') return node;
      const parts = tagsAsked(node, names).map((name): Node => ({
        ...node,
        key: name,
        condition: { op: '=', value: { kind: 'text', value: name } },
      }));
      const some: Node = { kind: 'or', parts, ...nowhere };
      return op === '!=' || op === 'not_in' ? { kind: 'not', part: some, ...nowhere } : some;
    }
    case 'word':
      return node;
    default:
      return node satisfies never;
  }
}
