import type { ExportedReport } from './exported.ts';

/** One JSON object that says what it is of, with `items` at its end: written as they are read. */
export async function* jsonOf(report: ExportedReport): AsyncGenerator<string> {
  const { id, name, description, subject, query, explanation, sort, columns, total, by } = report;
  const head = {
    report: { id, name, description },
    subject,
    query,
    explanation,
    sort,
    as_of: report.asOf.toISOString(),
    exported_by: by,
    total,
    columns: columns.map((column) => ({
      name: column.name,
      title: column.title,
      type: column.type,
      description: column.description,
    })),
  };
  yield `${JSON.stringify(head).slice(0, -1)},"items":[`;
  let written = 0;
  for await (const batch of report.rows()) {
    const items = batch.map((row) =>
      JSON.stringify(Object.fromEntries(columns.map((column, at) => [column.name, row[at] ?? null]))),
    );
    if (items.length > 0) yield `${written === 0 ? '\n' : ',\n'}${items.join(',\n')}`;
    written += items.length;
  }
  // Fewer than the total when some have gone since they were selected.
  yield `\n],"items_written":${String(written)}}\n`;
}
