/** Queries as text: one spelling for each meaning of the tree, which `parse` reads back to the same tree. */
import { defaultFields, isResolved, relationOf, resolvePath } from './fields.ts';
import type { CompareNode, Condition, HasNode, Node, Operand, Query, WordNode } from './query.ts';
import { isKeyword } from './scanner.ts';

/** As many steps as a dotted path may have. */
const MAXIMUM_STEPS = 3;

/**
 * The canonical text. It can be longer than what was written (` and ` between terms), so keep the text as written beside a
 * saved query: at 10,000 characters only that is sure to be within the limit.
 */
export function print(query: Query): string {
  return query.root === null ? '' : printNode(query.root);
}

export function printNode(node: Node): string {
  switch (node.kind) {
    case 'and':
      return node.parts
        .map((part) => (part.kind === 'or' ? `(${printNode(part)})` : printNode(part)))
        .join(' and ');
    case 'or':
      return node.parts.map(printNode).join(' or ');
    case 'not':
      return `not ${isJoined(node.part) ? `(${printNode(node.part)})` : printNode(node.part)}`;
    case 'has':
      return printHas(node);
    case 'compare':
      return printCondition(printPath([], node), node.condition);
    case 'word':
      return printWord(node);
    default:
      return node satisfies never;
  }
}

function isJoined(node: Node): boolean {
  return node.kind === 'and' || node.kind === 'or';
}

/** `finding.cvss > 9` where one comparison is asked, else `has finding (…)`. */
function printHas(node: HasNode): string {
  const steps: string[] = [];
  let inside: Node | null = node;
  while (inside?.kind === 'has') {
    steps.push(inside.relation);
    inside = inside.where;
  }
  const denies =
    inside?.kind === 'compare' && (inside.condition.op === '!=' || inside.condition.op === 'not_in');
  if (inside?.kind === 'compare' && !denies && steps.length <= MAXIMUM_STEPS)
    return printCondition(printPath(steps, inside), inside.condition);
  return `has ${node.relation}${node.where === null ? '' : ` (${printNode(node.where)})`}`;
}

function printPath(steps: readonly string[], { scope, field, key }: CompareNode): string {
  if (steps.length > 0 && defaultFields[scope] === field) return steps.join('.');
  return [...steps, field, ...(key === null ? [] : [key])].join('.');
}

function printCondition(path: string, condition: Condition): string {
  switch (condition.op) {
    case 'is_unknown':
      return `${path} is unknown`;
    case 'is_known':
      return `${path} is known`;
    case 'in':
      return `${path} in (${condition.values.map(printOperand).join(', ')})`;
    case 'not_in':
      return `${path} not in (${condition.values.map(printOperand).join(', ')})`;
    case 'range':
      return `${path} ${printOperand(condition.from)}..${printOperand(condition.to)}`;
    default: {
      const { op, value } = condition;
      if (value.kind === 'boolean' && op === '=' && value.value) return path;
      if (value.kind === 'address' && value.first !== value.last)
        return `${path} ${op === '!=' ? 'not in' : 'in'} ${value.text}`;
      return `${path} ${op} ${printOperand(value)}`;
    }
  }
}

export function printOperand(operand: Operand): string {
  switch (operand.kind) {
    case 'text':
      return isBare(operand.value) ? operand.value : quote(operand.value);
    case 'number':
    case 'boolean':
      return String(operand.value);
    case 'choice':
    case 'pattern':
    case 'version':
      return operand.value;
    case 'date':
    case 'age':
    case 'address':
      return operand.text;
    default:
      return operand satisfies never;
  }
}

function printWord({ scope, value }: WordNode): string {
  if (value.kind === 'pattern') return value.value;
  const path = resolvePath(scope, value.value);
  const plain = isBare(value.value) && !value.value.includes(':') && !isResolved(path);
  return plain && relationOf(scope, value.value.toLowerCase()) === null ? value.value : quote(value.value);
}

const bare = /^[\p{L}\p{N}_][\p{L}\p{N}_.+~@/:%$#&;^-]*$/u;

function isBare(text: string): boolean {
  return bare.test(text) && !text.includes('..') && !isKeyword(text.toLowerCase());
}

function quote(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
