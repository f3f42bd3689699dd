/** Reads what is asked of a field: operators, values, ranges and lists. Part of the parser. */
import {
  fieldOf,
  fieldsOf,
  isResolved,
  relationOf,
  relationsOf,
  type Field,
  type ResolvedPath,
  type Scope,
  type UnresolvedPath,
} from './fields.ts';
import { nearest } from './nearest.ts';
import {
  expectedValue,
  isReversed,
  operatorsOf,
  takesRange,
  toOperand,
  type WrittenValue,
} from './operand.ts';
import type { Place } from './place.ts';
import { queryLimits, type Condition, type Operand } from './query.ts';
import { isKeyword, type Scanner, type WrittenAt } from './scanner.ts';

export class ConditionReader {
  private readonly scan: Scanner;
  /** Told of every place that completion may ask for. */
  private readonly arrive: (place: Place) => void;
  private listedValues = 0;

  constructor(scan: Scanner, arrive: (place: Place) => void) {
    this.scan = scan;
    this.arrive = arrive;
  }

  /** What stands behind a field; null: nothing that asks something of it. An unknown field is told by the caller first. */
  read(path: ResolvedPath | UnresolvedPath, at: number, word: string): Condition | null {
    const { scan } = this;
    const operatorAt = (scan.skipSpace(), scan.at);
    const operator = scan.takeOperator();
    const negated = operator === null && scan.takeNotIn();
    const listed = negated || (operator === null && scan.takeKeyword('in'));
    const stated = operator === null && !listed && scan.takeKeyword('is');
    const ranged =
      operator === null && !listed && !stated && !scan.atQuote() && /[^.]\.\.[^.]/.test(scan.peekWord(true));
    if (operator === null && !listed && !stated && !ranged) return null;
    if (!isResolved(path)) return this.unknownField(path, at);
    const { field } = path;
    if (stated) return this.knowledge(field);
    const symbol = operator ?? (negated ? 'not in' : 'in');
    const allowed = operatorsOf(field);
    const asEquals = operator === ':' && !allowed.includes(':');
    if (ranged ? !takesRange(field) : !asEquals && !allowed.includes(symbol)) {
      scan.refuse(operatorAt, ranged ? scan.peekWord(true).length : scan.at - operatorAt, {
        code: 'operator_not_for_field',
        message: ranged ? `${word} takes no range` : `${symbol} cannot be asked of ${word}`,
        what_to_do: `use ${allowed.join(', ')}`,
        expected: allowed,
      });
    }
    this.arrive({ at: 'value', field, scope: path.scope, key: path.key });
    if (listed && scan.peek() === '(') {
      const values = this.list(path);
      return { op: negated ? 'not_in' : 'in', values };
    }
    const written = this.value(path);
    const op = listed ? (negated ? '!=' : '=') : asEquals || operator === null ? '=' : operator;
    if (!written.quoted && takesRange(field) && written.text.includes('..')) {
      if (op !== '=') {
        scan.refuse(written.at, written.length, {
          code: 'operator_not_for_field',
          message: `a range cannot stand behind ${symbol}`,
          what_to_do: `write not ${word} ${written.text}, or compare with one value`,
          expected: expectedValue(field),
        });
      }
      return this.range(field, written);
    }
    const value = this.operand(field, written, written.at, written.length);
    this.checkOrder(field, op, value, written);
    return { op, value };
  }

  /** Ages have no equals, and patterns no order. */
  private checkOrder(field: Field, op: string, value: Operand, { at, length }: WrittenAt): void {
    const orders = ['<', '<=', '>', '>='];
    if (value.kind === 'age' && !orders.includes(op)) {
      this.scan.refuse(at, length, {
        code: 'age_needs_order',
        message: `${value.text} is a duration, and no moment is exactly that long ago`,
        what_to_do: `write ${field.name} < ${value.text}, ${field.name} > ${value.text} or a range such as 1d..${value.text}`,
        expected: orders,
      });
    }
    if (value.kind === 'pattern' && orders.includes(op)) {
      this.scan.refuse(at, length, {
        code: 'operator_not_for_field',
        message: `${value.value} has wildcards, and nothing is less or greater than a pattern`,
        what_to_do: `write ${field.name} = ${value.value}`,
        expected: ['=', '!='],
      });
    }
  }

  private knowledge(field: Field): Condition {
    const denied = this.scan.takeKeyword('not');
    const at = (this.scan.skipSpace(), this.scan.at);
    const word = this.scan.takeWord();
    const known = word.toLowerCase() === 'known';
    if (!known && word.toLowerCase() !== 'unknown') {
      this.scan.refuse(at, word.length, {
        code: 'value_expected',
        message: `behind is stands unknown or known, not ${word === '' ? 'nothing' : word}`,
        what_to_do: `write ${field.name} = ${word === '' ? '…' : word} to compare`,
        expected: ['unknown', 'known'],
        suggestions: nearest(word, ['unknown', 'known']),
      });
    }
    return { op: known === denied ? 'is_unknown' : 'is_known' };
  }

  private value({ field, scope, key }: ResolvedPath): WrittenAt {
    this.arrive({ at: 'value', field, scope, key });
    if (this.scan.atQuote()) return this.scan.takeString();
    const at = (this.scan.skipSpace(), this.scan.at);
    const text = this.scan.takeWord(true);
    if (text === '' || isKeyword(text.toLowerCase())) {
      const found = text === '' ? this.scan.peek() : text;
      this.scan.refuse(at, found.length, {
        code: 'value_expected',
        message: `${field.name} is compared with nothing; ${expectedValue(field).join(' or ')} is expected`,
        what_to_do:
          found === '' ? 'write a value' : `write a value; to compare with it as a text, write "${found}"`,
        expected: expectedValue(field),
      });
    }
    return { text, quoted: false, at, length: text.length };
  }

  private operand(field: Field, written: WrittenValue, at: number, length: number): Operand {
    const read = toOperand(field, written);
    if (!read.ok) {
      const { code, message, what_to_do, expected, suggestions } = read;
      return this.scan.refuse(at, length, { code, message, what_to_do, expected, suggestions });
    }
    return read.operand;
  }

  private range(field: Field, written: WrittenAt): Condition {
    const { text, at, length } = written;
    const dots = text.indexOf('..');
    const ends = [text.slice(0, dots), text.slice(dots + 2)] as const;
    if (ends[0] === '' || ends[1] === '') {
      this.scan.refuse(at, length, {
        code: 'value_expected',
        message: 'a range has a value on both sides of ..',
        what_to_do: `write ${field.name} ${ends[0] === '' ? `<= ${ends[1]}` : `>= ${ends[0]}`}`,
        expected: expectedValue(field),
      });
    }
    const from = this.operand(field, { text: ends[0], quoted: false }, at, ends[0].length);
    const to = this.operand(field, { text: ends[1], quoted: false }, at + dots + 2, ends[1].length);
    this.checkOrder(field, '<', from, written);
    this.checkOrder(field, '<', to, written);
    const mixed =
      from.kind !== to.kind ||
      (from.kind === 'address' && to.kind === 'address' && from.family !== to.family);
    if (mixed || isReversed(from, to)) {
      this.scan.refuse(at, length, {
        code: mixed ? 'range_mixed' : 'range_reversed',
        message: mixed
          ? 'the two ends of this range are of different kinds'
          : 'this range ends before it begins',
        what_to_do: mixed ? 'write both in the same way' : `write ${ends[1]}..${ends[0]}`,
        suggestions: mixed ? [] : [`${ends[1]}..${ends[0]}`],
      });
    }
    return { op: 'range', from, to };
  }

  private list(path: ResolvedPath): Operand[] {
    const { field } = path;
    const open = this.scan.at;
    this.scan.take('(');
    const values: Operand[] = [];
    do {
      const written = this.value(path);
      const value = this.operand(field, written, written.at, written.length);
      this.checkOrder(field, 'in', value, written);
      values.push(value);
      if (++this.listedValues > queryLimits.listed_values) {
        this.scan.refuse(written.at, written.length, {
          code: 'too_many_values',
          message: `the lists of a query have at most ${queryLimits.listed_values} values`,
          what_to_do: 'use wildcards, or a tag',
        });
      }
    } while (this.scan.take(','));
    if (!this.scan.take(')')) {
      this.scan.refuse(this.scan.peek() === '' ? open : this.scan.at, 1, {
        code: 'list_not_closed',
        message: 'values of a list are separated by commas, and the list ends with )',
        what_to_do: 'write a comma between values, and ) at the end',
        expected: [',', ')'],
      });
    }
    return values;
  }

  comparisonExpected(field: Field, at: number, word: string): never {
    return this.scan.refuse(at, word.length, {
      code: 'comparison_expected',
      message: `${word} is a field, and nothing is asked of it`,
      what_to_do: `compare it, such as ${field.examples[0] ?? `${word} is known`}; to search for the word, write "${word}"`,
      expected: operatorsOf(field),
    });
  }

  unknownField(path: UnresolvedPath, at: number): never {
    const leading = relationOf(path.scope, path.part.toLowerCase());
    if (leading !== null) {
      return this.scan.refuse(at + path.offset, path.part.length, {
        code: 'comparison_expected',
        message: `${leading.name} is no value, but ${leading.description}`,
        what_to_do: `write has ${leading.name} (…), or ${leading.name}. and one of its fields; to search for the word, write "${leading.name}"`,
        expected: fieldsOf(leading.to).map((field) => `${leading.name}.${field.name}`),
      });
    }
    const names = fieldsOf(path.scope).map((field) => (field.keyed === true ? `${field.name}.` : field.name));
    const related = relationsOf(path.scope).map((each) => each.name);
    const elsewhere = relationsOf(path.scope)
      .filter(({ to }) => fieldOf(to, path.part.toLowerCase()) !== null)
      .map(({ name }) => `${name}.${path.part.toLowerCase()}`);
    const near = nearest(path.part, [...names, ...related]);
    const suggestions = [...elsewhere, ...near].slice(0, 3);
    return this.scan.refuse(at + path.offset, path.part.length, {
      code: 'unknown_field',
      message: `there is no field ${path.part || '(nothing)'} of ${describe(path.scope)}${meant(suggestions)}`,
      what_to_do: 'write a field of the list; to search for it as a word, write it in quotes',
      expected: [...names, ...related.map((name) => `${name}.`)],
      suggestions,
    });
  }
}

const titles: Readonly<Record<Scope, string>> = {
  asset: 'an asset',
  finding: 'a finding',
  vulnerability: 'a vulnerability',
  patch: 'a patch',
  package: 'a package',
};

export function describe(scope: Scope): string {
  return titles[scope];
}

export function meant(suggestions: readonly string[]): string {
  return suggestions.length === 0 ? '' : `; did you mean ${suggestions.join(' or ')}?`;
}
