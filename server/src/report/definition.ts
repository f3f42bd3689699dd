import { reportLimits, type ReportSort } from '@fixpoint/contract/report.ts';
import { columnOf, columnsLike, defaultColumns, defaultSort } from '@fixpoint/core/posture/select/columns.ts';
import { explain } from '@fixpoint/core/query/explain.ts';
import type { Subject } from '@fixpoint/core/query/fields.ts';
import { parse } from '@fixpoint/core/query/parse.ts';
import type { Query } from '@fixpoint/core/query/query.ts';
import { answer, type Answer, type Refusal } from '../refusal.ts';
import { readQuery } from '../search/query.ts';

/** What a report is made of, as somebody wants it. */
export interface WantedDefinition {
  readonly subject: Subject;
  readonly query: string;
  readonly sort?: readonly ReportSort[] | undefined;
  readonly columns?: readonly string[] | undefined;
}

export interface Definition {
  readonly subject: Subject;
  readonly query: string;
  readonly sort: readonly ReportSort[];
  readonly columns: readonly string[];
}

/** Checks that the query can be read and that there are such columns; what is not chosen is as usual for the subject. */
export function checkDefinition(wanted: WantedDefinition): Answer<Definition> {
  const { subject, query } = wanted;
  const read = readQuery(query, subject, '/query');
  if (!read.ok) return read;
  const sort = wanted.sort ?? defaultSort[subject];
  const columns = wanted.columns ?? defaultColumns[subject];
  for (const [at, { by }] of sort.entries()) {
    if (columnOf(subject, by) === null) return unknownColumn(subject, by, `/sort/${String(at)}/by`);
  }
  for (const [at, name] of columns.entries()) {
    if (columnOf(subject, name) === null) return unknownColumn(subject, name, `/columns/${String(at)}`);
  }
  return answer({ subject, query, sort, columns });
}

function unknownColumn(subject: Subject, name: string, path: string): Refusal {
  const like = columnsLike(subject, name);
  const message = `${JSON.stringify(name.slice(0, 100))} is no column of ${subject}${like.length === 0 ? '' : `; ${like.join(' or ')} may be meant`}`;
  return {
    ok: false,
    status: 400,
    code: 'column_unknown',
    message,
    whatToDo: `GET /api/v1/query/fields?subject=${subject} lists what there is; at most ${String(reportLimits.columns)} can be chosen`,
    problems: [{ path, message }],
  };
}

/** The query as a sentence; null when it cannot be read any more: it was saved by a server of another version. */
export function explanationOf({ query, subject }: Pick<Definition, 'query' | 'subject'>): string | null {
  const read = parse(query, subject);
  return read.ok ? explain(read.query) : null;
}

/** The query of a saved report. */
export function savedQuery({ query, subject }: Pick<Definition, 'query' | 'subject'>): Answer<Query> {
  const read = readQuery(query, subject, '/query');
  if (read.ok) return answer(read.value.query);
  return {
    ...read,
    status: 409,
    code: 'report_not_readable',
    message: `the query of this report cannot be read: ${read.message}`,
    whatToDo: 'change the report to a query that this version of the server knows',
  };
}
