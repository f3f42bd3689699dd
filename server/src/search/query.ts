import type { QueryCheck } from '@fixpoint/contract/search.ts';
import { explain, toChips } from '@fixpoint/core/query/explain.ts';
import type { Subject } from '@fixpoint/core/query/fields.ts';
import { parse } from '@fixpoint/core/query/parse.ts';
import { print } from '@fixpoint/core/query/print.ts';
import type { Query, QueryNote, QueryRefusal } from '@fixpoint/core/query/query.ts';
import type { Answer, Refusal } from '../refusal.ts';
import { answer } from '../refusal.ts';

/** Queries of people, read and refused the same way everywhere. */

export interface ReadQuery {
  readonly query: Query;
  readonly notes: readonly QueryNote[];
}

/** Reads a query; `path` is where it stood in the request (`querystring/query`, `/rule`), for the refusal. */
export function readQuery(text: string, subject: Subject, path = 'querystring/query'): Answer<ReadQuery> {
  const read = parse(text, subject);
  return read.ok ? answer({ query: read.query, notes: read.notes }) : queryRefused(read, path);
}

/** The language's refusal as one of the API: its own code, with the place as a problem. */
export function queryRefused(refusal: QueryRefusal, path: string): Refusal {
  const { at, length, expected, suggestions, message } = refusal;
  return {
    ok: false,
    status: 400,
    code: refusal.code,
    message,
    whatToDo: refusal.what_to_do,
    problems: [{ path, message, at, length, expected: [...expected], suggestions: [...suggestions] }],
  };
}

/** What a query means, or what is wrong with it. Both are answers. */
export function checkQuery(text: string, subject: Subject): QueryCheck {
  const read = parse(text, subject);
  if (!read.ok) return { ...read, expected: [...read.expected], suggestions: [...read.suggestions] };
  return {
    ok: true,
    printed: print(read.query),
    words: explain(read.query),
    notes: [...read.notes],
    chips: toChips(read.query),
  };
}
