/** A query as one English sentence, and its terms as chips. */
import { knownField, knownRelation, type Field, type Scope, type Subject } from './fields.ts';
import { printNode, printOperand } from './print.ts';
import type { CompareNode, Condition, HasNode, Node, Operand, Query, Span } from './query.ts';

const plural: Readonly<Record<Subject, string>> = {
  asset: 'assets',
  finding: 'findings',
  vulnerability: 'vulnerabilities',
  patch: 'patches',
};

const nouns: Readonly<Record<Scope, string>> = {
  asset: 'an asset',
  finding: 'a finding',
  vulnerability: 'a vulnerability',
  patch: 'a patch',
  package: 'a package',
};

/** What is found, in one sentence: `Assets where the hostname is like web-* and it needs a reboot.` */
export function explain(query: Query): string {
  const noun = `${plural[query.subject].charAt(0).toUpperCase()}${plural[query.subject].slice(1)}`;
  if (query.root === null) return `All ${plural[query.subject]}.`;
  return `${noun} where ${clause(query.root)}.`;
}

/** One term of a query for display, with where it stands in the text, so that it can be removed or edited there. */
export interface Chip extends Span {
  /** As it is written, in the canonical spelling. */
  readonly text: string;
  /** What it means, in words. */
  readonly meaning: string;
  /** It excludes: `not`, `!=`, `not in`. */
  readonly excludes: boolean;
}

/** The terms that must all hold; a query that is one `or` is one chip. `at` and `length` are of the text that was parsed. */
export function toChips({ root }: Query): Chip[] {
  if (root === null) return [];
  return (root.kind === 'and' ? root.parts : [root]).map((part) => ({
    text: printNode(part),
    meaning: clause(part),
    excludes:
      part.kind === 'not' ||
      (part.kind === 'compare' && (part.condition.op === '!=' || part.condition.op === 'not_in')),
    at: part.at,
    length: part.length,
  }));
}

function clause(node: Node): string {
  switch (node.kind) {
    case 'and':
    case 'or':
      return node.parts
        .map((part) => (part.kind === 'or' || part.kind === 'and' ? `(${clause(part)})` : clause(part)))
        .join(node.kind === 'and' ? ' and ' : ' or ');
    case 'not':
      return denial(node.part);
    case 'has':
      return hasClause(node, true);
    case 'compare':
      return compareClause(node);
    case 'word':
      return node.value.kind === 'pattern'
        ? `a name or title is like ${node.value.value}`
        : `a name or title contains ${JSON.stringify(node.value.value)}`;
    default:
      return node satisfies never;
  }
}

function denial(node: Node): string {
  if (node.kind === 'not') return clause(node.part);
  if (node.kind === 'has') return hasClause(node, false);
  if (node.kind === 'compare') {
    const { condition } = node;
    const field = knownField(node.scope, node.field);
    if (condition.op === '=' && field.many !== true)
      return compareClause({ ...node, condition: { op: '!=', value: condition.value } });
    if (condition.op === '=') return `no ${phrase(field, node.key)} is ${words(condition.value)}`;
  }
  return `it is not so that (${clause(node)})`;
}

function hasClause({ scope, relation: name, where }: HasNode, holds: boolean): string {
  const { many, to } = knownRelation(scope, name);
  const noun = nouns[to].replace(/^an? /, '');
  if (where !== null && !many) return `its ${noun} is ${holds ? 'one' : 'not one'} where (${clause(where)})`;
  return `it has ${holds ? nouns[to] : `no ${noun}`}${where === null ? '' : ` where (${clause(where)})`}`;
}

function phrase(field: Field, key: string | null): string {
  return key === null ? field.label : `${field.label} ${key}`;
}

function compareClause({ scope, field: name, key, condition }: CompareNode): string {
  const field = knownField(scope, name);
  if (field.type === 'boolean' && 'value' in condition && condition.value.kind === 'boolean') {
    const holds = condition.value.value === (condition.op !== '!=');
    return `it ${holds ? field.label : (field.denial ?? `is not so that it ${field.label}`)}`;
  }
  if (field.type === 'boolean')
    return `it is ${condition.op === 'is_unknown' ? 'not ' : ''}known whether it ${field.label}`;
  const subject = phrase(field, key);
  if (field.many !== true) return `the ${subject} ${predicate(field, condition)}`;
  if (condition.op === '!=') return `no ${subject} ${predicate(field, { op: '=', value: condition.value })}`;
  if (condition.op === 'not_in')
    return `no ${subject} ${predicate(field, { op: 'in', values: condition.values })}`;
  const article = /^[aeiou]/i.test(subject) ? 'an' : 'a';
  return `${article} ${subject} ${predicate(field, condition)}`;
}

const comparatives = { '<': 'below', '<=': 'at most', '>': 'above', '>=': 'at least' } as const;
const dateComparatives = {
  '<': 'before',
  '<=': 'at the latest on',
  '>': 'after',
  '>=': 'at the earliest on',
} as const;
const versionComparatives = {
  '<': 'older than',
  '<=': 'at most',
  '>': 'newer than',
  '>=': 'at least',
} as const;
const ageComparatives = { '<': 'less than', '<=': 'at most', '>': 'more than', '>=': 'at least' } as const;

function predicate(field: Field, condition: Condition): string {
  switch (condition.op) {
    case 'is_unknown':
      return 'is not known';
    case 'is_known':
      return 'is known';
    case 'in':
      return `is ${listed(condition.values)}`;
    case 'not_in':
      return `is none of ${listed(condition.values)}`;
    case 'range': {
      const { from, to } = condition;
      if (from.kind === 'age') return `${was(field)} between ${words(from)} and ${words(to)} ${away(field)}`;
      return `is from ${words(from)} to ${words(to)}`;
    }
    case ':':
      return `contains ${words(condition.value)}`;
    case '=':
    case '!=': {
      const { value } = condition;
      const isNot = condition.op === '=' ? 'is' : 'is not';
      if (value.kind === 'pattern') return `${isNot} like ${value.value}`;
      if (value.kind === 'date') return `${isNot} on ${words(value)}`;
      if (value.kind === 'address' && value.first !== value.last) return `${isNot} in ${words(value)}`;
      return `${isNot} ${words(value)}`;
    }
    default: {
      const { op, value } = condition;
      if (value.kind === 'age') return `${was(field)} ${ageComparatives[op]} ${words(value)} ${away(field)}`;
      if (value.kind === 'date') return `is ${dateComparatives[op]} ${words(value)}`;
      return `is ${(value.kind === 'version' ? versionComparatives : comparatives)[op]} ${words(value)}`;
    }
  }
}

function was({ ahead }: Field): string {
  return ahead === true ? 'is' : 'was';
}

function away({ ahead }: Field): string {
  return ahead === true ? 'from now' : 'ago';
}

const units: Readonly<Record<string, string>> = { min: 'minute', h: 'hour', d: 'day', w: 'week', y: 'year' };

function words(operand: Operand): string {
  if (operand.kind === 'age') {
    const count = Number.parseInt(operand.text, 10);
    const unit = units[operand.text.replace(/^\d+/, '')] ?? '';
    return `${count} ${unit}${count === 1 ? '' : 's'}`;
  }
  if (operand.kind === 'choice') return operand.value.replaceAll('_', ' ');
  if (operand.kind === 'date')
    return /Z|[+-]\d\d:\d\d$/.test(operand.text) ? operand.text : `${operand.text} UTC`;
  return printOperand(operand);
}

function listed(values: readonly Operand[]): string {
  const all = values.map(words);
  return all.length < 2 ? all.join('') : `${all.slice(0, -1).join(', ')} or ${all.at(-1) ?? ''}`;
}
