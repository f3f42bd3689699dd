/** What could be typed next, for the search box and the command line; from the same table as everything else. */
import {
  fieldOf,
  fieldsOf,
  relationOf,
  relationsOf,
  type Field,
  type Scope,
  type Subject,
} from './fields.ts';
import { nearest } from './nearest.ts';
import { operatorsOf, takesRange } from './operand.ts';
import { placeAfter } from './parse.ts';
import type { Place } from './place.ts';

export interface Completion {
  /** What to put in place of the text from `from` to `to`. */
  readonly text: string;
  readonly kind: 'field' | 'relation' | 'keyword' | 'operator' | 'value';
  /** What it is, for people. */
  readonly detail: string;
}

export interface Completions {
  /** The part of the text, around the cursor, that a choice replaces; in UTF-16 units. */
  readonly from: number;
  readonly to: number;
  readonly items: readonly Completion[];
  /** The field whose value is typed here, for whoever knows which values there are; null: no value. */
  readonly valueOf: { readonly scope: Scope; readonly field: string; readonly key: string | null } | null;
  /** The keyed field whose key is typed here, with what stands before the key (`asset.attribute.`); null: none. */
  readonly keyOf: { readonly scope: Scope; readonly field: string; readonly prefix: string } | null;
}

const MAXIMUM_ITEMS = 20;
const wordPart = /[^\s(),"=<>!:]/;

/** At most 20, the best first. Empty where the text before the cursor is wrong already, or inside a quoted text. */
export function complete(text: string, cursor: number, subject: Subject): Completions {
  const at = Math.max(0, Math.min(cursor, text.length));
  let from = at;
  while (from > 0 && wordPart.test(text.charAt(from - 1))) from--;
  let to = at;
  while (to < text.length && wordPart.test(text.charAt(to))) to++;
  const place = placeAfter(text.slice(0, from), subject);
  const begun = text.slice(from, at);
  const items = place === null ? [] : ranked(candidates(place, begun), begun);
  return {
    from,
    to,
    items: items.slice(0, MAXIMUM_ITEMS),
    valueOf: place?.at === 'value' ? { scope: place.scope, field: place.field.name, key: place.key } : null,
    keyOf: place?.at === 'term' ? keyedField(place.scope, begun) : null,
  };
}

/** `attribute.ro` and `asset.attribute.` are on the way to a key. */
function keyedField(from: Scope, begun: string): Completions['keyOf'] {
  let scope = from;
  let prefix = '';
  for (const step of begun.split('.').slice(0, -1)) {
    prefix += `${step}.`;
    const name = step.toLowerCase();
    if (fieldOf(scope, name)?.keyed === true) return { scope, field: name, prefix };
    const relation = relationOf(scope, name);
    if (relation === null) return null;
    scope = relation.to;
  }
  return null;
}

function candidates(place: Place, begun: string): Completion[] {
  switch (place.at) {
    case 'term':
      return [...joining(place), ...terms(place.scope, begun)];
    case 'relation':
      return relationsOf(place.scope).map(({ name, description }) => ({
        text: `${name} (`,
        kind: 'relation',
        detail: description,
      }));
    case 'operator':
      return operators(place.field);
    case 'value':
      return values(place.field);
    default:
      return place satisfies never;
  }
}

function keyword(text: string, detail: string): Completion {
  return { text, kind: 'keyword', detail };
}

function joining({ after, open }: Extract<Place, { at: 'term' }>): Completion[] {
  if (after === 'nothing') return [];
  const joins = [keyword('and', 'both must hold'), keyword('or', 'one of both must hold')];
  return open ? [...joins, keyword(')', 'ends what the parenthesis opened')] : joins;
}

/** Fields, along relations as far as their names are typed already: `finding.` offers the fields of findings. */
function terms(from: Scope, begun: string): Completion[] {
  let scope = from;
  let prefix = '';
  for (const step of begun.split('.').slice(0, -1)) {
    const relation = relationOf(scope, step.toLowerCase());
    if (relation === null) return [];
    scope = relation.to;
    prefix += `${relation.name}.`;
  }
  const offered: Completion[] = fieldsOf(scope).map((field) => ({
    text: `${prefix}${field.name}${field.keyed === true ? '.' : ''}`,
    kind: 'field',
    detail: field.description,
  }));
  for (const { name, description } of relationsOf(scope))
    offered.push({ text: `${prefix}${name}.`, kind: 'relation', detail: description });
  if (prefix !== '') return offered;
  return [
    ...offered,
    keyword('not', 'must not hold'),
    keyword('has', 'one related thing must meet all of …'),
  ];
}

const operatorDetails: Readonly<Record<string, string>> = {
  '=': 'is',
  '!=': 'is not',
  ':': 'contains',
  '<': 'less than; of dates before, or less than that long ago',
  '<=': 'at most',
  '>': 'more than; of dates after, or more than that long ago',
  '>=': 'at least',
  in: 'one of a list, or in a network',
  'not in': 'none of a list',
  'is unknown': 'nobody knows',
  'is known': 'somebody knows',
};

function operators(field: Field): Completion[] {
  const all: Completion[] = operatorsOf(field).map((text) => ({
    text,
    kind: 'operator',
    detail: operatorDetails[text] ?? text,
  }));
  const range = field.examples
    .find((example) => example.includes('..'))
    ?.split(' ')
    .at(-1);
  if (takesRange(field) && range !== undefined)
    all.push({ text: range, kind: 'value', detail: 'from one to the other, both included' });
  const joins = [keyword('and', 'both must hold'), keyword('or', 'one of both must hold')];
  return field.type === 'boolean' ? [...joins, ...all] : all;
}

function values(field: Field): Completion[] {
  if (field.type === 'boolean')
    return ['true', 'false'].map((text) => ({ text, kind: 'value', detail: field.label }));
  const listed = field.choices ?? field.usual ?? [];
  if (listed.length > 0) return listed.map((text) => ({ text, kind: 'value', detail: field.label }));
  const samples = field.examples.flatMap((example) => /[=<>:] ([^ ()]+)$/.exec(example)?.[1] ?? []);
  return samples.map((text) => ({ text, kind: 'value', detail: `for example; ${field.description}` }));
}

/** Those that begin with what is typed, then those that contain it, then those near to it. */
function ranked(all: readonly Completion[], begun: string): Completion[] {
  const typed = begun.toLowerCase();
  if (typed === '') return [...all];
  const first = all.filter(({ text }) => text.startsWith(typed));
  const second = all.filter(({ text }) => text.includes(typed) && !first.some((item) => item.text === text));
  if (first.length + second.length > 0) return [...first, ...second];
  const near = nearest(
    typed,
    all.map(({ text }) => text),
  );
  return near.flatMap((text) => all.find((item) => item.text === text) ?? []);
}
