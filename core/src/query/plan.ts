/**
 * A query as set operations over predicates, for a read model that answers each predicate with a set of records (a bitmap)
 * and then intersects, unites and subtracts.
 *
 * Negations stand at the predicates only, so three-valued logic ends there: the set of `holds: true` is the records where the
 * predicate is true, that of `holds: false` the records where it is **false**, which is not the rest: records whose fact is
 * not known are in neither. (De Morgan's laws and double negation hold in Kleene's logic, so nothing is lost.) Parts that are
 * equal have equal keys, wherever they stand.
 */
import { knownField, type Scope, type Subject } from './fields.ts';
import { printNode } from './print.ts';
import type { CompareNode, Comparison, Condition, Node, Operand, Query } from './query.ts';
import { expandWord } from './words.ts';

/** A condition that denies nothing. */
export type Assertion =
  | { readonly op: Exclude<Comparison, '!='>; readonly value: Operand }
  | { readonly op: 'in'; readonly values: readonly Operand[] }
  | { readonly op: 'range'; readonly from: Operand; readonly to: Operand }
  | { readonly op: 'is_unknown' };

/** One question about one field; what is asked is never a denial (`!=`, `not in`): see `holds`. */
export interface Predicate {
  readonly scope: Scope;
  readonly field: string;
  readonly key: string | null;
  readonly condition: Assertion;
  /** Whether the answer changes as time passes, without any fact changing: it speaks of an age. */
  readonly ageing: boolean;
}

export type Plan =
  | { readonly kind: 'all' }
  | { readonly kind: 'none' }
  | { readonly kind: 'and' | 'or'; readonly key: string; readonly parts: readonly Plan[] }
  | { readonly kind: 'leaf'; readonly key: string; readonly predicate: Predicate; readonly holds: boolean }
  /** `some`: there is a related thing that is of `where`. `every`: it is known of all that they are; also when there is none. */
  | {
      readonly kind: 'some' | 'every';
      readonly key: string;
      readonly scope: Scope;
      readonly relation: string;
      readonly where: Plan;
    };

export interface QueryPlan {
  readonly subject: Subject;
  readonly root: Plan;
}

export function plan(query: Query): QueryPlan {
  return { subject: query.subject, root: query.root === null ? { kind: 'all' } : planNode(query.root, true) };
}

/** Every predicate of a plan, along relations too: what the read model must be able to answer. */
export function predicatesOf(part: Plan): Predicate[] {
  switch (part.kind) {
    case 'all':
    case 'none':
      return [];
    case 'and':
    case 'or':
      return part.parts.flatMap(predicatesOf);
    case 'leaf':
      return [part.predicate];
    case 'some':
    case 'every':
      return predicatesOf(part.where);
    default:
      return part satisfies never;
  }
}

export function keyOf(part: Plan): string {
  return part.kind === 'all' || part.kind === 'none' ? part.kind : part.key;
}

/** `holds` false: where the node is false. */
function planNode(node: Node, holds: boolean): Plan {
  switch (node.kind) {
    case 'and':
    case 'or':
      return combine(
        (node.kind === 'and') === holds ? 'and' : 'or',
        node.parts.map((part) => planNode(part, holds)),
      );
    case 'not':
      return planNode(node.part, !holds);
    case 'word':
      return planNode(expandWord(node), holds);
    case 'has': {
      const where: Plan =
        node.where === null ? { kind: holds ? 'all' : 'none' } : planNode(node.where, holds);
      const kind = holds ? 'some' : 'every';
      const key = `${kind} ${node.scope}.${node.relation} (${keyOf(where)})`;
      return { kind, key, scope: node.scope, relation: node.relation, where };
    }
    case 'compare':
      return leaf(node, holds);
    default:
      return node satisfies never;
  }
}

function leaf(node: CompareNode, holds: boolean): Plan {
  const { scope, field, key } = node;
  const [condition, denied] = affirmative(node.condition);
  const affirmed: CompareNode = { ...node, condition };
  const stands = holds !== denied;
  return {
    kind: 'leaf',
    key: `${stands ? '' : 'not '}${scope}.${printNode(affirmed)}`,
    predicate: { scope, field: knownField(scope, field).name, key, condition, ageing: isAgeing(condition) },
    holds: stands,
  };
}

function affirmative(condition: Condition): [Assertion, boolean] {
  switch (condition.op) {
    case '!=':
      return [{ op: '=', value: condition.value }, true];
    case 'not_in':
      return [{ op: 'in', values: condition.values }, true];
    case 'is_known':
      return [{ op: 'is_unknown' }, true];
    case 'in':
    case 'range':
    case 'is_unknown':
      return [condition, false];
    default:
      return [{ op: condition.op, value: condition.value }, false];
  }
}

function isAgeing(condition: Assertion): boolean {
  if (condition.op === 'range') return condition.from.kind === 'age';
  return 'value' in condition && condition.value.kind === 'age';
}

/** Flat, without what is there twice, in the order of the keys. */
export function combine(kind: 'and' | 'or', parts: readonly Plan[]): Plan {
  const flat = parts.flatMap((part) => (part.kind === kind ? part.parts : [part]));
  const byKey = new Map(flat.map((part) => [keyOf(part), part]));
  const keys = [...byKey.keys()].toSorted();
  const distinct = keys.flatMap((key) => byKey.get(key) ?? []);
  const [only] = distinct;
  if (distinct.length === 1 && only !== undefined) return only;
  const key = keys.map((each) => `(${each})`).join(` ${kind} `);
  return { kind, key, parts: distinct };
}
