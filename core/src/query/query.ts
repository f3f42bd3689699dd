/** The tree of a parsed query, its refusals and its limits. */
import type { Scope, Subject } from './fields.ts';

export const queryLimits = {
  /** UTF-16 units of the text. */
  characters: 10_000,
  /** Conditions and words. */
  terms: 200,
  /** Values in all lists together. */
  listed_values: 1_000,
  /** Parentheses, `not` and `has` inside each other. */
  depth: 50,
  /** UTF-16 units of one value. */
  value_characters: 500,
  /** `*` in one value. */
  wildcards: 10,
} as const;

/** Where a part of the query stands in its text, in UTF-16 units. */
export interface Span {
  readonly at: number;
  readonly length: number;
}

/** A value as the type of its field reads it. All are plain data. */
export type Operand =
  | { readonly kind: 'text'; readonly value: string }
  /** `*` is any run of characters, `?` is one. */
  | { readonly kind: 'pattern'; readonly value: string }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'boolean'; readonly value: boolean }
  /** `rank`: its place among the field's choices. */
  | { readonly kind: 'choice'; readonly value: string; readonly rank: number }
  /** A day, minute or moment: `from` up to and without `to`, in milliseconds since 1970. */
  | { readonly kind: 'date'; readonly from: number; readonly to: number; readonly text: string }
  /** Time since, or until for fields that lie ahead. */
  | { readonly kind: 'age'; readonly milliseconds: number; readonly text: string }
  /** One address or a network, first and last address as numbers. */
  | {
      readonly kind: 'address';
      readonly family: 4 | 6;
      readonly first: bigint;
      readonly last: bigint;
      readonly text: string;
    }
  /** Compared in the order of the version that a record holds. */
  | { readonly kind: 'version'; readonly value: string };

export type Comparison = '=' | '!=' | '<' | '<=' | '>' | '>=' | ':';

export type Condition =
  | { readonly op: Comparison; readonly value: Operand }
  | { readonly op: 'in'; readonly values: readonly Operand[] }
  | { readonly op: 'not_in'; readonly values: readonly Operand[] }
  /** Both ends belong to it. */
  | { readonly op: 'range'; readonly from: Operand; readonly to: Operand }
  | { readonly op: 'is_unknown' }
  | { readonly op: 'is_known' };

export type CompareNode = Span & {
  readonly kind: 'compare';
  readonly scope: Scope;
  readonly field: string;
  readonly key: string | null;
  readonly condition: Condition;
};

export type HasNode = Span & {
  readonly kind: 'has';
  readonly scope: Scope;
  readonly relation: string;
  /** Null: any at all. Its fields are those of what the relation leads to. */
  readonly where: Node | null;
};

export type WordNode = Span & {
  readonly kind: 'word';
  readonly scope: Scope;
  readonly value: Extract<Operand, { kind: 'text' | 'pattern' }>;
};

export type Node =
  | (Span & { readonly kind: 'and' | 'or'; readonly parts: readonly Node[] })
  | (Span & { readonly kind: 'not'; readonly part: Node })
  | HasNode
  | CompareNode
  | WordNode;

/** A query over one subject. `root` null: no condition, everything matches. */
export interface Query {
  readonly subject: Subject;
  readonly root: Node | null;
}

export type QueryRefusalCode =
  | 'query_too_long'
  | 'too_many_terms'
  | 'too_many_values'
  | 'too_deep'
  | 'unknown_field'
  | 'unknown_relation'
  | 'comparison_expected'
  | 'operator_not_for_field'
  | 'value_expected'
  | 'value_wrong_type'
  | 'value_out_of_range'
  | 'value_not_a_choice'
  | 'value_too_long'
  | 'too_many_wildcards'
  | 'age_needs_order'
  | 'range_mixed'
  | 'range_reversed'
  | 'list_not_closed'
  | 'string_not_closed'
  | 'bad_escape'
  | 'parenthesis_not_closed'
  | 'parenthesis_not_opened'
  | 'term_expected';

export interface QueryRefusal extends Span {
  readonly ok: false;
  readonly code: QueryRefusalCode;
  /** For a person; says also which field or value may have been meant. */
  readonly message: string;
  readonly what_to_do: string;
  /** What could stand there, in words or as it would be written. */
  readonly expected: readonly string[];
  /** Fields or values near to what was written, the nearest first. */
  readonly suggestions: readonly string[];
}

/** Something legal that may not be what was meant. */
export interface QueryNote extends Span {
  readonly code: 'separate_related';
  readonly message: string;
}

export type QueryParse =
  | { readonly ok: true; readonly query: Query; readonly notes: readonly QueryNote[] }
  | QueryRefusal;
