import { stringify } from 'csv-stringify/sync';
import type { ColumnValue } from '@fixpoint/core/posture/select/column.ts';
import type { ExportedReport } from './exported.ts';

const options = {
  // A cell that begins with = + - @, or a tab, is a formula to a spreadsheet, and hosts choose what they are called.
  escape_formulas: true,
  record_delimiter: '\r\n',
} as const;

/**
 * RFC 4180, in UTF-8, with a header of titles. Text that a spreadsheet would run as a formula has an apostrophe before it.
 * Several values of one cell are separated by `; `.
 */
export async function* csvOf(report: Pick<ExportedReport, 'columns' | 'rows'>): AsyncGenerator<string> {
  yield stringify([report.columns.map((column) => column.title)], options);
  for await (const batch of report.rows()) {
    if (batch.length > 0)
      yield stringify(
        batch.map((row) => row.map(cell)),
        options,
      );
  }
}

function cell(value: ColumnValue): string | number {
  if (value === null) return '';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  return typeof value === 'object' ? value.join('; ') : value;
}
