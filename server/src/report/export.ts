import { Readable } from 'node:stream';
import { exportFileName, exportLimits, type ExportFormat } from '@fixpoint/contract/report.ts';
import type { SearchResult } from '@fixpoint/contract/search.ts';
import { columnOf } from '@fixpoint/core/posture/select/columns.ts';
import { explain } from '@fixpoint/core/query/explain.ts';
import { assetOrders, findingOrders } from '@fixpoint/core/posture/select/order.ts';
import { separateRelated } from '@fixpoint/core/query/notes.ts';
import type { Subject } from '@fixpoint/core/query/fields.ts';
import type { ServerContext } from '../app.ts';
import { appendAudit } from '../audit/commands.ts';
import { readOffset } from '../cursor.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { columnView } from '../search/fields.ts';
import { transact } from '../transact.ts';
import { reportInUse, type Caller } from './commands.ts';
import { csvOf } from './csv.ts';
import { savedQuery } from './definition.ts';
import type { ExportedReport, ExportedRow } from './exported.ts';
import { find, readRows, sizeOf, type Found, type Keys } from './items.ts';
import { jsonOf } from './json.ts';
import { pdfInThread } from './pdf-work.ts';
import { countsBetween, type ReportRow } from './store.ts';

type Parts = Pick<ServerContext, 'db' | 'clock' | 'random' | 'log' | 'posture'>;

/** A page of what a report finds now. */
export async function reportItems(
  context: Parts,
  caller: Caller,
  id: string,
  page: { readonly limit?: number | undefined; readonly after?: string | undefined },
): Promise<Answer<SearchResult>> {
  const cursor = readOffset(page.after);
  if (!cursor.ok) return cursor;
  const row = await reportInUse(context.db, caller, id);
  if (!row.ok) return row;
  const report = row.value;
  const query = savedQuery(report);
  if (!query.ok) return query;
  const limit = page.limit ?? 100;
  const asOf = context.clock.now();
  const wanted = {
    query: query.value,
    sort: report.sort,
    now: asOf.getTime(),
    page: { offset: cursor.offset, limit },
  };
  const result = await context.posture.run(function* (fleet) {
    const found = yield* find(fleet, wanted);
    if ('tooMany' in found) return found;
    const rows = yield* readRows(fleet, found.keys, report.columns, wanted.now, 0, limit);
    return { found, rows };
  });
  if ('tooMany' in result) return tooManyToSort(report, result.tooMany);
  const { found, rows } = result;
  const columns = exportedColumns(report);
  const end = cursor.offset + sizeOf(found.keys);
  return answer({
    subject: report.subject,
    query: report.query,
    words: explain(query.value),
    notes: query.value.root === null ? [] : [...separateRelated(query.value.root)],
    sort: found.sort.map((each) => ({ ...each })),
    columns: columns.map((column) => columnView(column)),
    items: rows.map(({ of, values }) => ({
      of,
      values: Object.fromEntries(columns.map(({ name }, at) => [name, wire(values[at])])),
    })),
    total: found.total,
    next: end < found.total && sizeOf(found.keys) > 0 ? String(end) : null,
    as_of: asOf.toISOString(),
  });
}

const wire = (value: ExportedRow[number] | undefined) =>
  typeof value === 'object' && value !== null ? [...value] : (value ?? null);

/** Columns that there are not any more, in a server of another version, are left out. */
function exportedColumns({ subject, columns }: Pick<ReportRow, 'subject' | 'columns'>) {
  return columns.flatMap((name) => columnOf(subject, name) ?? []);
}

function tooManyToSort({ subject }: ReportRow, total: number): Refusal {
  const orders: Readonly<Record<Subject, readonly string[]>> = {
    asset: assetOrders,
    finding: findingOrders,
    vulnerability: [],
    patch: [],
  };
  return refuse(
    422,
    'too_many_to_sort',
    `${String(total)} items are too many to be put into this order, or to be paged through so far`,
    `narrow the query, or sort first by one of: ${orders[subject].join(', ')}`,
  );
}

export interface Export {
  readonly body: Readable;
  readonly contentType: string;
  readonly fileName: string;
}

const contentTypes: Readonly<Record<ExportFormat, string>> = {
  csv: 'text/csv; charset=utf-8; header=present',
  json: 'application/json; charset=utf-8',
  pdf: 'application/pdf',
};

/** Rows that are read on one state of the fleet; the next ones are read on what it is by then. */
const rowsAtOnce = 500;
/** How far back the chart of a PDF goes. */
const chartDays = 90;

/**
 * What a report finds now, as a file that is written while it is read. Which rows, and their order, is settled before the
 * first byte goes out, and so is the audit event: whoever breaks off has still exported.
 */
export async function exportReport(
  context: Parts,
  caller: Caller,
  id: string,
  format: ExportFormat,
): Promise<Answer<Export>> {
  const row = await reportInUse(context.db, caller, id);
  if (!row.ok) return row;
  const report = row.value;
  const query = savedQuery(report);
  if (!query.ok) return query;
  const asOf = context.clock.now();
  const found = await context.posture.run((fleet) =>
    find(fleet, {
      query: query.value,
      sort: report.sort,
      now: asOf.getTime(),
      page: format === 'pdf' ? { offset: 0, limit: exportLimits.pdf } : null,
    }),
  );
  if ('tooMany' in found) {
    if (format === 'pdf') return tooManyToSort(report, found.tooMany);
    return refuse(
      422,
      'export_too_large',
      `the report finds ${String(found.tooMany)} items; an export holds ${String(exportLimits[format])} at the most`,
      'narrow the query, or export parts of it: by operating system, by tag, by severity',
    );
  }
  await transact(context.db, async (trx) => {
    await appendAudit(trx, context, {
      actor: caller.actor,
      event: 'report.exported',
      subjectKind: 'report',
      subject: id,
      after: { name: report.name, format, rows: sizeOf(found.keys), query: report.query },
    });
  });
  const exported = exportOf(context, caller, report, explain(query.value), found, asOf);
  const named = {
    contentType: contentTypes[format],
    fileName: exportFileName(report.name, asOf, format),
  };
  if (format === 'csv') return answer({ ...named, body: Readable.from(csvOf(exported)) });
  if (format === 'json') return answer({ ...named, body: Readable.from(jsonOf(exported)) });
  const counts = await countsBetween(context.db, id, new Date(asOf.getTime() - chartDays * 86_400_000), asOf);
  const pdf = await pdfInThread(exported, counts, report.query_since);
  return answer({ ...named, body: Readable.from([pdf]) });
}

function exportOf(
  context: Parts,
  { actor }: Caller,
  report: ReportRow,
  explanation: string,
  { total, sort, keys }: Found,
  asOf: Date,
): ExportedReport {
  const columns = exportedColumns(report);
  return {
    id: report.id,
    name: report.name,
    description: report.description,
    subject: report.subject,
    query: report.query,
    explanation,
    sort,
    asOf,
    by: actor.name,
    columns,
    total,
    rows: () =>
      batches(
        context,
        keys,
        columns.map(({ name }) => name),
        asOf.getTime(),
      ),
  };
}

async function* batches(
  context: Parts,
  keys: Keys,
  columns: readonly string[],
  now: number,
): AsyncGenerator<ExportedRow[]> {
  const size = sizeOf(keys);
  for (let from = 0; from < size; from += rowsAtOnce) {
    const to = Math.min(size, from + rowsAtOnce);
    const rows = await context.posture.run((fleet) => readRows(fleet, keys, columns, now, from, to));
    yield rows.map(({ values }) => values);
  }
}
