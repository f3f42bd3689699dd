import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { parentPort, workerData } from 'node:worker_threads';
import { pdfOf } from './pdf.ts';
import type { PdfWork } from './pdf-work.ts';

/** The thread of one PDF: is given all of it, and answers the bytes. */

// Only pdf-work.ts starts this thread, and with nothing else.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion
const { report, counts, querySince, rows, limit } = workerData as PdfWork;
const all = {
  ...report,
  async *rows() {
    yield await Promise.resolve(rows);
  },
};
const bytes = new Uint8Array(
  await buffer(Readable.from(await pdfOf({ report: all, counts, querySince }, limit))),
);
parentPort?.postMessage(bytes, [bytes.buffer]);
