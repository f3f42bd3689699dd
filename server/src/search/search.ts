import { createHash } from 'node:crypto';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { Problem } from '@fixpoint/contract/error.ts';
import type { SearchQuery, SearchResult, SearchRow } from '@fixpoint/contract/search.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import {
  rowOf,
  wireValue,
  type Column,
  type Items,
  type Sort,
} from '@fixpoint/core/posture/select/column.ts';
import { columnOf, columnsLike, defaultColumns, defaultSort } from '@fixpoint/core/posture/select/columns.ts';
import type { Page } from '@fixpoint/core/posture/select/order.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import { explain } from '@fixpoint/core/query/explain.ts';
import type { Subject } from '@fixpoint/core/query/fields.ts';
import { print } from '@fixpoint/core/query/print.ts';
import type { Query } from '@fixpoint/core/query/query.ts';
import type { ServerContext } from '../app.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { columnView } from './fields.ts';
import { foundAssets, foundFindings, foundPatches, foundVulnerabilities, type Finds } from './ordered.ts';
import { asOf } from './posture-state.ts';
import { readQuery } from './query.ts';

const mostColumns = 50;
const mostSorts = 5;

/** A page of what a query finds, as rows of columns. */
export async function search(
  context: Pick<ServerContext, 'posture' | 'clock'>,
  subject: Subject,
  request: SearchQuery,
): Promise<Answer<SearchResult>> {
  switch (subject) {
    case 'asset':
      return await searchFor(context, 'asset', request, foundAssets, {
        keyOf: (fleet, item) => fleet.assets.uid(item),
        of: (fleet, item) => ({ asset: fleet.assets.uid(item) }),
      });
    case 'finding':
      return await searchFor(context, 'finding', request, foundFindings, {
        // Not by the place of the pair: on another server, and in a fleet that is loaded anew, it has another one.
        keyOf: (fleet, { asset, pair }) =>
          [
            fleet.assets.uid(asset),
            fleet.vulnerability(pair.vulnerability).id,
            pair.ecosystem,
            pair.package,
          ].join(' '),
        of: (fleet, { asset, pair }) => ({
          asset: fleet.assets.uid(asset),
          vulnerability: fleet.vulnerability(pair.vulnerability).id,
          package: pair.package,
        }),
      });
    case 'vulnerability':
      return await searchFor(context, 'vulnerability', request, foundVulnerabilities, {
        keyOf: (fleet, item) => fleet.vulnerability(item).id,
        of: (fleet, item) => ({ vulnerability: fleet.vulnerability(item).id }),
      });
    case 'patch':
      return await searchFor(context, 'patch', request, foundPatches, {
        keyOf: (_fleet, { id }) => id,
        of: (_fleet, { id }) => ({ patch: id }),
      });
    default:
      return subject satisfies never;
  }
}

interface Shape<Item> {
  /** The same for good: where a page ends is told by it. */
  readonly keyOf: (fleet: FleetReading, item: Item) => string;
  readonly of: (fleet: FleetReading, item: Item) => SearchRow['of'];
}

type Finder<Item> = (
  fleet: FleetReading,
  query: Query,
  sort: readonly Sort[],
  page: Page,
  now: number,
) => Finds<Item>;

async function searchFor<S extends Subject>(
  { posture, clock }: Pick<ServerContext, 'posture' | 'clock'>,
  subject: S,
  request: SearchQuery,
  find: Finder<Items[S]>,
  shape: Shape<Items[S]>,
): Promise<Answer<SearchResult>> {
  const read = readQuery(request.query ?? '', subject);
  if (!read.ok) return read;
  const { query, notes } = read.value;
  const columns = columnsAsked(subject, request.columns);
  if (!columns.ok) return columns;
  const sort = sortAsked(subject, request.sort);
  if (!sort.ok) return sort;
  const printed = print(query);
  const bound = boundTo(subject, printed, sort.value);
  const cursor = readCursor(request.after, bound);
  if (!cursor.ok) return cursor;
  const limit = request.limit ?? 100;
  const now = clock.now().getTime();
  const { offset, last } = cursor.value;
  const from = Math.max(0, offset - overlapRows);
  return await posture.run(function* (fleet): Sliced<Answer<SearchResult>> {
    const found = yield* find(fleet, query, sort.value, { offset: from, limit: limit + offset - from }, now);
    if (!found.ok) return found;
    const { total, items } = found.value;
    // What changed in between may have moved where the page before ended: it is looked for a little before.
    const at = last === null ? -1 : items.findLastIndex((item) => shape.keyOf(fleet, item) === last);
    const begin = at < 0 ? offset - from : at + 1;
    const page = items.slice(begin, begin + limit);
    const end = from + begin + page.length;
    const final = page.at(-1);
    const rows: SearchRow[] = [];
    for (const item of page) {
      rows.push({ of: shape.of(fleet, item), values: valuesOf(subject, fleet, item, columns.value, now) });
      if (rows.length % rowsInSlice === 0) yield;
    }
    return answer({
      subject,
      query: printed,
      words: explain(query),
      notes: [...notes],
      sort: found.value.sort.map(({ by, descending }) => ({ by, descending })),
      columns: columns.value.map(columnView),
      items: rows,
      total,
      next:
        final === undefined || end >= total
          ? null
          : writeCursor({ bound, offset: end, last: shape.keyOf(fleet, final) }),
      as_of: asOf(posture),
    });
  });
}

const rowsInSlice = 50;

function valuesOf<S extends Subject>(
  subject: S,
  fleet: FleetReading,
  item: Items[S],
  columns: readonly Column<Items[S]>[],
  now: number,
): SearchRow['values'] {
  const row = rowOf(subject, fleet, item, now);
  return Object.fromEntries(
    columns.map((column) => {
      const value = wireValue(column, column.of(row));
      return [column.name, typeof value === 'object' && value !== null ? [...value] : value];
    }),
  );
}

interface Named {
  readonly name: string;
  readonly at: number;
}

/** Names between commas, with where they stand. */
function namesOf(text: string): Named[] {
  let at = 0;
  return text.split(',').map((part) => {
    const named = { name: part.trim(), at: at + part.length - part.trimStart().length };
    at += part.length + 1;
    return named;
  });
}

function columnsAsked<S extends Subject>(subject: S, text: string | undefined): Answer<Column<Items[S]>[]> {
  const wanted =
    text === undefined ? defaultColumns[subject].map((name) => ({ name, at: 0 })) : namesOf(text);
  if (wanted.length > mostColumns) return tooManyNames('columns', mostColumns);
  const found: Column<Items[S]>[] = [];
  for (const { name, at } of wanted) {
    const column = columnOf(subject, name);
    if (column === null) return unknownColumn(subject, name, 'querystring/columns', at);
    if (!found.some((each) => each.name === column.name)) found.push(column);
  }
  return answer(found);
}

function sortAsked(subject: Subject, text: string | undefined): Answer<readonly Sort[]> {
  if (text === undefined) return answer(defaultSort[subject]);
  const wanted = namesOf(text);
  if (wanted.length > mostSorts) return tooManyNames('sort', mostSorts);
  const sort: Sort[] = [];
  for (const { name, at } of wanted) {
    const descending = name.startsWith('-');
    const by = descending ? name.slice(1) : name;
    if (columnOf(subject, by) === null)
      return unknownColumn(subject, by, 'querystring/sort', descending ? at + 1 : at);
    sort.push({ by, descending });
  }
  return answer(sort);
}

function tooManyNames(what: string, most: number): Refusal {
  return refuse(400, 'too_many_columns', `${what} names more than ${String(most)} columns`, 'name fewer');
}

function unknownColumn(subject: Subject, name: string, path: string, at: number): Refusal {
  const suggestions = columnsLike(subject, name);
  const meant = suggestions.length === 0 ? '' : `; did you mean ${suggestions.join(' or ')}?`;
  const message = `there is no column ${name === '' ? '(nothing)' : name.slice(0, 100)} of ${subject}${meant}`;
  const problem: Problem = { path, message, at, length: name.length, suggestions };
  return {
    ok: false,
    status: 400,
    code: 'column_unknown',
    message,
    whatToDo: `GET /api/v1/query/fields?subject=${subject} lists them, and so does fixpoint query fields --columns`,
    problems: [problem],
  };
}

// Cursors -----------------------------------------------------------------------------------------------------------------

/** How far before its place the end of the page before is looked for. */
const overlapRows = 50;

const Cursor = Type.Object(
  {
    /** What it belongs to. */
    bound: Type.String({ maxLength: 64 }),
    /** Rows before the page. */
    offset: Type.Integer({ minimum: 0, maximum: 2_147_483_647 }),
    /** Key of the last one before it. */
    last: Type.String({ maxLength: 2000 }),
  },
  { additionalProperties: false },
);

function boundTo(subject: Subject, printed: string, sort: readonly Sort[]): string {
  return createHash('sha256')
    .update(JSON.stringify([subject, printed, sort.map(({ by, descending }) => [by, descending])]))
    .digest('base64url')
    .slice(0, 16);
}

function writeCursor(cursor: { bound: string; offset: number; last: string }): string {
  return Buffer.from(JSON.stringify(cursor), 'utf8').toString('base64url');
}

function readCursor(
  text: string | undefined,
  bound: string,
): Answer<{ readonly offset: number; readonly last: string | null }> {
  if (text === undefined) return answer({ offset: 0, last: null });
  let value: unknown = null;
  try {
    value = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch {
    // Refused below.
  }
  if (Value.Check(Cursor, value) && value.bound === bound) return answer(value);
  return refuse(
    400,
    'cursor_invalid',
    'after is not what an earlier page of this query in this order said',
    'pass next of the page before with the same query and sort, or leave after away',
  );
}
