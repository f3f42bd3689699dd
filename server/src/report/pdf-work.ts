import { Worker } from 'node:worker_threads';
import { exportLimits } from '@fixpoint/contract/report.ts';
import type { ExportedReport, ExportedRow } from './exported.ts';
import type { ChartPoint } from './pdf-chart.ts';

/** What the thread is given: plain data. */
export interface PdfWork {
  readonly report: Omit<ExportedReport, 'rows'>;
  readonly rows: readonly ExportedRow[];
  readonly counts: readonly ChartPoint[];
  readonly querySince: Date;
  readonly limit: number;
}

const mostMebibytes = 1024;

/**
 * Lays a PDF out in a thread of its own: 5,000 rows take seconds of a processor and hundreds of megabytes, which other
 * requests neither wait for nor keep.
 */
export async function pdfInThread(
  { rows: read, ...report }: ExportedReport,
  counts: readonly ChartPoint[],
  querySince: Date,
): Promise<Uint8Array> {
  const limit = exportLimits.pdf;
  const rows: ExportedRow[] = [];
  for await (const batch of read()) {
    rows.push(...batch.slice(0, limit - rows.length));
    if (rows.length === limit) break;
  }
  const work: PdfWork = {
    report: {
      ...report,
      columns: report.columns.map(({ name, title, type, description }) => ({
        name,
        title,
        type,
        description,
      })),
    },
    rows,
    counts: counts.map(({ at, items }) => ({ at, items })),
    querySince,
    limit,
  };
  return await new Promise<Uint8Array>((resolve, reject) => {
    const worker = new Worker(new URL('pdf-worker.ts', import.meta.url), {
      workerData: work,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: mostMebibytes },
    });
    worker.once('message', (bytes: Uint8Array) => {
      resolve(bytes);
      void worker.terminate();
    });
    worker.once('error', reject);
    worker.once('exit', (code) => {
      reject(new Error(`the thread of a PDF ended with ${String(code)} before it had one`));
    });
  });
}
