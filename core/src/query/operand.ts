/** Reads values as the type of their field wants them. */
import { parseIpNetwork } from './address.ts';
import type { Field, FieldType } from './fields.ts';
import { nearest } from './nearest.ts';
import { queryLimits, type Operand, type QueryRefusalCode } from './query.ts';
import { durationUnits, parseDate, parseDuration } from './time.ts';

/** A value as written, without its quotes. In quotes nothing is a wildcard. */
export interface WrittenValue {
  readonly text: string;
  readonly quoted: boolean;
}

export interface OperandRefusal {
  readonly ok: false;
  readonly code: QueryRefusalCode;
  readonly message: string;
  readonly what_to_do: string;
  readonly expected: readonly string[];
  readonly suggestions: readonly string[];
}

export type OperandParse = { readonly ok: true; readonly operand: Operand } | OperandRefusal;

const anyOrder = ['=', '!=', '<', '<=', '>', '>=', 'in', 'not in', 'is unknown', 'is known'];
const operatorsByType: Readonly<Record<FieldType, readonly string[]>> = {
  text: ['=', '!=', ':', 'in', 'not in', 'is unknown', 'is known'],
  number: anyOrder,
  integer: anyOrder,
  date: anyOrder,
  version: anyOrder,
  boolean: ['=', '!=', 'is unknown', 'is known'],
  choice: ['=', '!=', 'in', 'not in', 'is unknown', 'is known'],
  address: ['in', 'not in', '=', '!=', 'is unknown', 'is known'],
};

/** The operators that a field takes, the most usual first. `:` on a field that is not text is read as `=`. */
export function operatorsOf(field: Field): readonly string[] {
  return field.ordered === true ? anyOrder : operatorsByType[field.type];
}

/** Whether `a..b` can be asked of a field. */
export function takesRange(field: Field): boolean {
  return field.ordered === true || ['number', 'integer', 'date', 'version', 'address'].includes(field.type);
}

/** What a value of the field looks like, for "expected": "a number from 0 to 10". */
export function expectedValue(field: Field): string[] {
  switch (field.type) {
    case 'text':
      return ['a text, also with * and ?'];
    case 'number':
    case 'integer': {
      const noun = field.type === 'number' ? 'a number' : 'a whole number';
      if (field.min === undefined) return [noun];
      return [
        field.max === undefined ? `${noun} from ${field.min}` : `${noun} from ${field.min} to ${field.max}`,
      ];
    }
    case 'boolean':
      return ['true', 'false'];
    case 'date':
      return ['a date such as 2026-11-01', 'a duration such as 7d'];
    case 'choice':
      return [...(field.choices ?? [])];
    case 'address':
      return ['an IP address or network such as 10.0.0.0/8'];
    case 'version':
      return ['a version such as 3.0.20'];
    default:
      return field.type satisfies never;
  }
}

function refuse(
  code: QueryRefusalCode,
  field: Field,
  { text }: WrittenValue,
  what_to_do: string,
  suggestions: readonly string[] = [],
): OperandRefusal {
  const expected = expectedValue(field);
  const written = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  const meant = suggestions.length === 0 ? '' : `; did you mean ${suggestions.join(' or ')}?`;
  const message = `${field.name} takes ${expected.join(' or ')}, and ${JSON.stringify(written)} is not that${meant}`;
  return { ok: false, code, message, what_to_do, expected, suggestions };
}

const numberPattern = /^-?\d{1,9}(?:\.\d{1,6})?$/;
const percentPattern = /^(\d{1,3}(?:\.\d{1,4})?)%$/;
const versionPattern = /^[^\s"(),=<>!]+$/;

/** A text or, where it is not quoted and has `*` or `?`, a pattern. */
export function textOperand(written: WrittenValue): Extract<Operand, { kind: 'text' | 'pattern' }> {
  const isPattern = !written.quoted && /[*?]/.test(written.text);
  return { kind: isPattern ? 'pattern' : 'text', value: written.text };
}

export function toOperand(field: Field, written: WrittenValue): OperandParse {
  const tooBig = sizeProblem(written);
  if (tooBig !== null) return tooBig;
  switch (field.type) {
    case 'text':
      return { ok: true, operand: textOperand(written) };
    case 'version':
      return versionOperand(field, written);
    case 'number':
    case 'integer':
      return numberOperand(field, written);
    case 'boolean':
      return booleanOperand(field, written);
    case 'choice':
      return choiceOperand(field, written);
    case 'date':
      return dateOperand(field, written);
    case 'address':
      return addressOperand(field, written);
    default:
      return field.type satisfies never;
  }
}

/** What is too long or has too many wildcards to be compared. */
export function sizeProblem({ text, quoted }: WrittenValue): OperandRefusal | null {
  const wildcards = quoted ? 0 : text.split('*').length - 1;
  if (text.length > queryLimits.value_characters) {
    return {
      ok: false,
      code: 'value_too_long',
      message: `a value has at most ${queryLimits.value_characters} characters, and this one has ${text.length}`,
      what_to_do: 'write a shorter one',
      expected: [],
      suggestions: [],
    };
  }
  if (wildcards <= queryLimits.wildcards) return null;
  return {
    ok: false,
    code: 'too_many_wildcards',
    message: `a value has at most ${queryLimits.wildcards} stars, and this one has ${wildcards}`,
    what_to_do: 'write fewer; in quotes a star is an ordinary character',
    expected: [],
    suggestions: [],
  };
}

function versionOperand(field: Field, written: WrittenValue): OperandParse {
  if (!versionPattern.test(written.text) || written.text.includes('..'))
    return refuse('value_wrong_type', field, written, 'write a version without spaces');
  const operand = textOperand(written);
  if (operand.kind === 'pattern') return { ok: true, operand };
  if (/[*?']/.test(written.text)) return refuse('value_wrong_type', field, written, 'leave the quotes away');
  return { ok: true, operand: { kind: 'version', value: written.text } };
}

function numberOperand(field: Field, written: WrittenValue): OperandParse {
  const percent = field.max === 1 ? percentPattern.exec(written.text) : null;
  if (percent === null && !numberPattern.test(written.text))
    return refuse('value_wrong_type', field, written, 'write a number, with a point for decimals');
  // Rounded to six decimals, which are as many as can be written.
  const read = percent === null ? Number(written.text) : Math.round(Number(percent[1]) * 10_000) / 1_000_000;
  // Not -0, which is written the same as 0.
  const value = read === 0 ? 0 : read;
  if (field.type === 'integer' && !Number.isInteger(value))
    return refuse('value_wrong_type', field, written, 'write a whole number');
  if ((field.min !== undefined && value < field.min) || (field.max !== undefined && value > field.max))
    return refuse('value_out_of_range', field, written, 'write a value that there can be');
  return { ok: true, operand: { kind: 'number', value } };
}

const truths: Readonly<Record<string, boolean>> = { true: true, yes: true, false: false, no: false };

function booleanOperand(field: Field, written: WrittenValue): OperandParse {
  const text = written.text.toLowerCase();
  const value = Object.hasOwn(truths, text) ? truths[text] : undefined;
  if (value !== undefined) return { ok: true, operand: { kind: 'boolean', value } };
  const advice = `write ${field.name} or not ${field.name}`;
  return refuse('value_wrong_type', field, written, advice, nearest(text, ['true', 'false']));
}

function choiceOperand(field: Field, written: WrittenValue): OperandParse {
  const choices = field.choices ?? [];
  const value = written.text.toLowerCase();
  const rank = choices.indexOf(value);
  if (rank >= 0) return { ok: true, operand: { kind: 'choice', value, rank } };
  return refuse('value_not_a_choice', field, written, 'write one of them', nearest(value, choices));
}

function dateOperand(field: Field, written: WrittenValue): OperandParse {
  const text = written.text;
  const milliseconds = parseDuration(text);
  if (milliseconds !== null)
    return { ok: true, operand: { kind: 'age', milliseconds, text: text.toLowerCase() } };
  const period = parseDate(text);
  if (period !== null) return { ok: true, operand: { kind: 'date', ...period, text: text.toUpperCase() } };
  const number = /^\d{1,6}/.exec(text)?.[0];
  const suggestions =
    number !== undefined && /^\d+[a-z]*$/i.test(text) ? [`${number}${/m/i.test(text) ? 'min' : 'd'}`] : [];
  const advice = `write a date, which is in UTC (2026-11-01, 2026-11-01T12:30, 2026-11-01T12:30+02:00), or a duration in ${durationUnits.join(', ')}`;
  return refuse('value_wrong_type', field, written, advice, suggestions);
}

function addressOperand(field: Field, written: WrittenValue): OperandParse {
  const network = parseIpNetwork(written.text);
  if (network === null)
    return refuse(
      'value_wrong_type',
      field,
      written,
      'write 192.0.2.1, 10.0.0.0/8, 2001:db8::1 or 2001:db8::/32',
    );
  return { ok: true, operand: { kind: 'address', ...network, text: written.text.toLowerCase() } };
}

/** Whether `a..b` has an end before its beginning; versions are not known to, without a record. */
export function isReversed(from: Operand, to: Operand): boolean {
  if (from.kind === 'number' && to.kind === 'number') return from.value > to.value;
  if (from.kind === 'choice' && to.kind === 'choice') return from.rank > to.rank;
  if (from.kind === 'age' && to.kind === 'age') return from.milliseconds > to.milliseconds;
  if (from.kind === 'date' && to.kind === 'date') return from.from >= to.to;
  if (from.kind === 'address' && to.kind === 'address') return from.first > to.last;
  return false;
}
