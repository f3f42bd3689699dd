/** Questions in the query language, and what the read model answers; see docs/search.md. */
import { Type, type Static } from 'typebox';
import { queryLimits } from '@fixpoint/core/query/query.ts';
import { scopes, subjects, type FieldType } from '@fixpoint/core/query/fields.ts';
import { oneOf } from './enum.ts';
import { ListQuery } from './list.ts';

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const count = Type.Integer({ minimum: 0 });

/** The text of a query. How long it may be is said by the language, with the place. */
export const QueryText = Type.String({ maxLength: queryLimits.characters * 2 });
export const SubjectName = oneOf(subjects);
const Span = { at: count, length: count };

export const QueryNote = Type.Object({ ...Span, code: Type.String(), message: Type.String() }, closed);
export type QueryNote = Static<typeof QueryNote>;

// GET /api/v1/search/:subject --------------------------------------------------------------------------------------------

export const SearchQuery = Type.Object(
  {
    ...ListQuery,
    /** Bound to the query and its order. */
    after: Type.Optional(Type.String({ maxLength: 4096 })),
    query: Type.Optional(QueryText),
    /** Names of columns, separated by commas, a minus before it for descending: `-risk,hostname`. */
    sort: Type.Optional(Type.String({ maxLength: 1000 })),
    /** Names of columns, separated by commas. */
    columns: Type.Optional(Type.String({ maxLength: 4000 })),
  },
  closed,
);
export type SearchQuery = Static<typeof SearchQuery>;

export const SearchColumn = Type.Object(
  {
    name: Type.String(),
    title: Type.String(),
    type: oneOf(['text', 'number', 'date', 'boolean', 'list'] as const),
    description: Type.String(),
    /** Of numbers: decimals that mean something. */
    decimals: Type.Optional(count),
    /** Of text with values in an order of their own: from the least to the greatest. */
    choices: Type.Optional(Type.Array(Type.String())),
  },
  closed,
);
export type SearchColumn = Static<typeof SearchColumn>;

/** Dates as RFC 3339; null is not known, or that there is none. */
export const CellValue = Type.Union([
  Type.String(),
  Type.Number(),
  Type.Boolean(),
  Type.Null(),
  Type.Array(Type.String()),
]);
export type CellValue = Static<typeof CellValue>;

export const SearchRow = Type.Object(
  {
    /** What the row is of, to link to it: an asset's id, a vulnerability's, a patch's; of a finding its three parts. */
    of: Type.Object(
      {
        asset: Type.Optional(Type.String()),
        vulnerability: Type.Optional(Type.String()),
        package: Type.Optional(Type.String()),
        patch: Type.Optional(Type.String()),
      },
      closed,
    ),
    /** By name of the column. */
    values: Type.Record(Type.String(), CellValue),
  },
  closed,
);
export type SearchRow = Static<typeof SearchRow>;

export const SearchResult = Type.Object(
  {
    subject: SubjectName,
    /** As Fixpoint writes it. */
    query: Type.String(),
    words: Type.String(),
    notes: Type.Array(QueryNote),
    /** As it was applied, down to what makes the order of equals the same every time. */
    sort: Type.Array(Type.Object({ by: Type.String(), descending: Type.Boolean() }, closed)),
    columns: Type.Array(SearchColumn),
    items: Type.Array(SearchRow),
    total: count,
    next: orNull(Type.String()),
    /** When the read model was last found to be as the database is. */
    as_of: time,
  },
  closed,
);
export type SearchResult = Static<typeof SearchResult>;

// /api/v1/query ----------------------------------------------------------------------------------------------------------

export const QueryCheckRequest = Type.Object({ subject: SubjectName, text: QueryText }, closed);
export const QueryCheck = Type.Union([
  Type.Object(
    {
      ok: Type.Literal(true),
      /** As Fixpoint writes it. */
      printed: Type.String(),
      /** What it finds, in one sentence. */
      words: Type.String(),
      notes: Type.Array(QueryNote),
      /** Its terms, with where they stand in the text as it was given. */
      chips: Type.Array(
        Type.Object(
          { ...Span, text: Type.String(), meaning: Type.String(), excludes: Type.Boolean() },
          closed,
        ),
      ),
    },
    closed,
  ),
  Type.Object(
    {
      ok: Type.Literal(false),
      ...Span,
      code: Type.String(),
      message: Type.String(),
      what_to_do: Type.String(),
      expected: Type.Array(Type.String()),
      suggestions: Type.Array(Type.String()),
    },
    closed,
  ),
]);
export type QueryCheck = Static<typeof QueryCheck>;

export const QueryCompleteRequest = Type.Object(
  {
    subject: SubjectName,
    text: QueryText,
    /** Where the cursor is, in UTF-16 units; without it at the end. */
    at: Type.Optional(Type.Integer({ minimum: 0, maximum: queryLimits.characters * 2 })),
  },
  closed,
);
export const QueryCompletions = Type.Object(
  {
    /** The part of the text that a choice replaces. */
    from: count,
    to: count,
    items: Type.Array(
      Type.Object(
        {
          text: Type.String(),
          kind: oneOf(['field', 'relation', 'keyword', 'operator', 'value'] as const),
          detail: Type.String(),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type QueryCompletions = Static<typeof QueryCompletions>;

const fieldTypes: readonly FieldType[] = [
  'text',
  'number',
  'integer',
  'boolean',
  'date',
  'choice',
  'address',
  'version',
];

export const QueryField = Type.Object(
  {
    scope: oneOf(scopes),
    name: Type.String(),
    type: oneOf(fieldTypes),
    label: Type.String(),
    description: Type.String(),
    examples: Type.Array(Type.String()),
    operators: Type.Array(Type.String()),
    /** It has any number of values. */
    many: Type.Boolean(),
    /** It has a name of its own behind a dot. */
    keyed: Type.Boolean(),
    ordered: Type.Boolean(),
    min: orNull(Type.Number()),
    max: orNull(Type.Number()),
    choices: orNull(Type.Array(Type.String())),
  },
  closed,
);
export type QueryField = Static<typeof QueryField>;

export const QueryFieldsQuery = Type.Object({ subject: Type.Optional(SubjectName) }, closed);
export const QueryFields = Type.Object(
  {
    fields: Type.Array(QueryField),
    relations: Type.Array(
      Type.Object(
        {
          from: oneOf(scopes),
          name: Type.String(),
          to: oneOf(scopes),
          many: Type.Boolean(),
          description: Type.String(),
        },
        closed,
      ),
    ),
    /** What can be shown of each subject, and sorted by; of assets also `attribute.NAME` and `cloud.NAME`. */
    columns: Type.Array(
      Type.Object({ subject: SubjectName, shown_by_default: Type.Boolean(), column: SearchColumn }, closed),
    ),
  },
  closed,
);
export type QueryFields = Static<typeof QueryFields>;
