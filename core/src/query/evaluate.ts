/**
 * Whether a record matches a query. What is not known stays so: a comparison with an unknown fact is neither true nor
 * false, and `and`, `or` and `not` follow Kleene's strong logic. Only what is true matches, so `not` of an unknown does not
 * match either, and unknown never reads as safe; `cvss is unknown` finds those.
 *
 * Of a field with many values, and of related things, a comparison is true when it is so for one; it is unknown when it is
 * true for none, and there is one (or a whole list) that is not known.
 */
import {
  isVersionScheme,
  versionOrderings,
  type CheckedVersion,
  type VersionOrder,
  type VersionScheme,
} from '../version/version.ts';
import { parseIpAddress } from './address.ts';
import { knownField, type Field, type Scope } from './fields.ts';
import type { CompareNode, Condition, Node, Operand, Query } from './query.ts';
import { parseDate } from './time.ts';
import { wildcardMatcher } from './wildcard.ts';
import { expandWord } from './words.ts';

/** Null: not known. */
export type Truth = true | false | null;

/** A version with the order that it is compared in. */
export interface VersionFact {
  readonly scheme: VersionScheme;
  readonly text: string;
}

/** Dates are milliseconds since 1970 or RFC 3339 (without a zone: UTC); addresses are text. */
export type Fact = string | number | boolean | VersionFact;
/** Null: not known; null in a list: there is one more, or may be, that is not known. */
export type FactValue = Fact | null | readonly (Fact | null)[];

/** What a query asks of a record. Names are those of fields.ts. */
export interface QueryRecord {
  field(name: string, key: string | null): FactValue;
  /** The related records; an empty list where there is none, null where that is not known. */
  related(relation: string): readonly (QueryRecord | null)[] | null;
}

export type Evaluation = (record: QueryRecord) => Truth;

/** Evaluates one query on many records: what depends on the query alone is done once. `now` is in milliseconds since 1970. */
export function compile(query: Query, now: number): Evaluation {
  return query.root === null ? () => true : compileNode(query.root, now);
}

export function evaluate(query: Query, record: QueryRecord, now: number): Truth {
  return compile(query, now)(record);
}

function compileNode(node: Node, now: number): Evaluation {
  switch (node.kind) {
    case 'and':
    case 'or': {
      const parts = node.parts.map((part) => compileNode(part, now));
      const decisive = node.kind === 'or';
      return (record) => quantify(parts, decisive, (part) => part(record));
    }
    case 'not': {
      const part = compileNode(node.part, now);
      return (record) => not(part(record));
    }
    case 'has': {
      const where = node.where === null ? () => true : compileNode(node.where, now);
      const { relation } = node;
      return (record) => {
        const related = record.related(relation);
        return related === null
          ? null
          : quantify(related, true, (each) => (each === null ? null : where(each)));
      };
    }
    case 'compare':
      return compileCompare(node, now);
    case 'word':
      return compileNode(expandWord(node), now);
    default:
      return node satisfies never;
  }
}

export function not(truth: Truth): Truth {
  return truth === null ? null : !truth;
}

/** `decisive` true: or; false: and. The first decisive answer ends it. */
function quantify<T>(items: readonly T[], decisive: boolean, ask: (item: T) => Truth): Truth {
  let result: Truth = !decisive;
  for (const item of items) {
    const truth = ask(item);
    if (truth === decisive) return decisive;
    if (truth === null) result = null;
  }
  return result;
}

function compileCompare({ scope, field, key, condition }: CompareNode, now: number): Evaluation {
  const ask = compileFact(scope, field, condition, now);
  return (record) => ask(record.field(field, key));
}

/** What a comparison says of a fact: for whoever holds facts, not records. Of a keyed field, the fact behind the key. */
export function compileFact(
  scope: Scope,
  name: string,
  condition: Condition,
  now: number,
): (fact: FactValue) => Truth {
  const field = knownField(scope, name);
  if (condition.op === 'is_unknown' || condition.op === 'is_known') {
    const wanted = condition.op === 'is_unknown';
    return (fact) => (fact === null || (isList(fact) && fact.includes(null))) === wanted;
  }
  const denied = condition.op === '!=' || condition.op === 'not_in';
  const ask = compileCondition(field, condition, now);
  return (fact) => {
    let truth: Truth;
    if (fact === null) truth = null;
    else if (isList(fact)) truth = quantify(fact, true, (each) => (each === null ? null : ask(each)));
    else truth = ask(fact);
    return denied ? not(truth) : truth;
  };
}

function isList(fact: FactValue): fact is readonly (Fact | null)[] {
  return Array.isArray(fact);
}

type Ask = (fact: Fact) => Truth;

/** The affirmative of `!=` and `not in`; the caller denies it. */
function compileCondition(
  field: Field,
  condition: Exclude<Condition, { readonly op: 'is_unknown' | 'is_known' }>,
  now: number,
): Ask {
  if (condition.op === 'in' || condition.op === 'not_in') {
    const asks = condition.values.map((value) => compileOperand(field, '=', value, now));
    return (fact) => quantify(asks, true, (ask) => ask(fact));
  }
  if (condition.op === 'range') {
    const { from, to } = condition;
    const asks = [compileOperand(field, '>=', from, now), compileOperand(field, '<=', to, now)];
    return (fact) => quantify(asks, false, (ask) => ask(fact));
  }
  return compileOperand(field, condition.op === '!=' ? '=' : condition.op, condition.value, now);
}

type Order = '=' | '<' | '<=' | '>' | '>=';

function compileOperand(field: Field, op: Order | ':', operand: Operand, now: number): Ask {
  switch (operand.kind) {
    case 'text': {
      const wanted = operand.value.toLowerCase();
      return op === ':'
        ? (fact) => textOf(field, fact).toLowerCase().includes(wanted)
        : (fact) => textOf(field, fact).toLowerCase() === wanted;
    }
    case 'pattern': {
      const pattern = operand.value.toLowerCase();
      const matches = wildcardMatcher(op === ':' ? `*${pattern}*` : pattern);
      return (fact) => matches(textOf(field, fact).toLowerCase());
    }
    case 'boolean':
      return (fact) => (typeof fact === 'boolean' ? fact === operand.value : wrongFact(field, fact));
    case 'number':
      return (fact) => inOrder(op, numberOf(field, fact) - operand.value);
    case 'choice': {
      const choices = field.choices ?? [];
      return (fact) => {
        const rank = choices.indexOf(textOf(field, fact));
        return rank < 0 ? null : inOrder(op, rank - operand.rank);
      };
    }
    case 'date':
      return compileDate(field, op, operand);
    case 'age': {
      const sign = field.ahead === true ? 1 : -1;
      return (fact) => {
        const at = momentOf(field, fact);
        return at === null ? null : inOrder(op, sign * (at - now) - operand.milliseconds);
      };
    }
    case 'address':
      return compileAddress(field, op, operand);
    case 'version':
      return compileVersion(field, op, operand.value);
    default:
      return operand satisfies never;
  }
}

/** `order`: negative when the fact is less than the operand. NaN is in no order. */
function inOrder(op: Order | ':', order: number): Truth {
  if (Number.isNaN(order)) return null;
  switch (op) {
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
    case '=':
    case ':':
      return order === 0;
    default:
      return op satisfies never;
  }
}

/** A day, minute or moment is a period: equal is what lies in it, less before it, greater behind it. */
function compileDate(field: Field, op: Order | ':', { from, to }: Extract<Operand, { kind: 'date' }>): Ask {
  return (fact) => {
    const at = momentOf(field, fact);
    if (at === null) return null;
    return inOrder(op, at < from ? -1 : Number(at >= to));
  };
}

/** Equal is what lies in the network. Addresses of the other family are not in it, and are in no order with it. */
function compileAddress(
  field: Field,
  op: Order | ':',
  { family, first, last }: Extract<Operand, { kind: 'address' }>,
): Ask {
  return (fact) => {
    const address = parseIpAddress(textOf(field, fact));
    if (address === null) return null;
    if (address.family !== family) return false;
    return inOrder(op, address.value < first ? -1 : Number(address.value > last));
  };
}

/**
 * In the order of the scheme that the fact names. Versions that the scheme holds in no order are not equal, and nothing is
 * known of which is less; a text that is no version of the scheme is equal to the same text only.
 */
function compileVersion(field: Field, op: Order | ':', wanted: string): Ask {
  const parsed = new Map<VersionScheme, CheckedVersion | null>();
  return (fact) => {
    if (typeof fact !== 'object' || !isVersionScheme(fact.scheme)) return wrongFact(field, fact);
    if (op === '=' && fact.text === wanted) return true;
    let operand = parsed.get(fact.scheme);
    if (operand === undefined) {
      const read = versionOrderings[fact.scheme].parse(wanted);
      operand = read.ok ? read.version : null;
      parsed.set(fact.scheme, operand);
    }
    if (operand === null) return null;
    const read = versionOrderings[fact.scheme].parse(fact.text);
    const order: VersionOrder = read.ok
      ? versionOrderings[fact.scheme].compare(read.version, operand)
      : 'unparseable';
    if (order === 'incomparable') return op === '=' ? false : null;
    if (order === 'unparseable') return null;
    return inOrder(op, { less: -1, equal: 0, greater: 1 }[order]);
  };
}

/** A record that gives a fact of another type than the table says is a bug of whoever made the record. */
function wrongFact(field: Field, fact: Fact): never {
  throw new Error(`the fact ${JSON.stringify(fact)} is no ${field.type}, which ${field.name} is`);
}

function textOf(field: Field, fact: Fact): string {
  if (typeof fact === 'string') return fact;
  return typeof fact === 'object' ? fact.text : wrongFact(field, fact);
}

function numberOf(field: Field, fact: Fact): number {
  return typeof fact === 'number' ? fact : wrongFact(field, fact);
}

/** Milliseconds since 1970, null when the text is no date. Not `Date.parse`, which reads a time without a zone as local. */
function momentOf(field: Field, fact: Fact): number | null {
  if (typeof fact === 'string') return parseDate(fact)?.from ?? null;
  const at = numberOf(field, fact);
  return Number.isNaN(at) ? null : at;
}

/** Plain facts by name, and related ones as plain facts again: what `recordOf` reads. Absent is not known. */
export interface PlainRecord {
  readonly [name: string]:
    | Fact
    | null
    | readonly (Fact | null)[]
    | PlainRecord
    | readonly (PlainRecord | null)[]
    | undefined;
}

/**
 * A record of plain data. Keyed facts are an object (`attribute: { role: 'web' }`; a key that is not in it has no value),
 * related things are an object, or a list of objects.
 */
export function recordOf(plain: PlainRecord): QueryRecord {
  const own = (name: string): PlainRecord[string] => (Object.hasOwn(plain, name) ? plain[name] : undefined);
  return {
    field(name, key) {
      const value = own(name) ?? null;
      if (key === null) return factValue(value);
      if (!isPlain(value)) return null;
      return Object.hasOwn(value, key) ? factValue(value[key] ?? null) : [];
    },
    related(relation) {
      const value = own(relation) ?? null;
      if (value === null) return null;
      const list: readonly unknown[] = Array.isArray(value) ? value : [value];
      return list.map((each) => (isPlain(each) ? recordOf(each) : null));
    },
  };
}

function isPlain(value: unknown): value is PlainRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isFact(value: unknown): value is Fact {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return true;
  return isPlain(value) && typeof value['scheme'] === 'string' && typeof value['text'] === 'string';
}

function factValue(value: unknown): FactValue {
  if (Array.isArray(value)) return value.map((each: unknown) => (isFact(each) ? each : null));
  return isFact(value) ? value : null;
}
