import Pdf from 'pdfkit';
import { exportLimits } from '@fixpoint/contract/report.ts';
import type { Subject } from '@fixpoint/core/query/fields.ts';
import type { ExportedReport, ExportedRow } from './exported.ts';
import { chartInWords, drawChart, leastPoints, type ChartPoint } from './pdf-chart.ts';
import { gap, placeColumns, sampleOf, type Placement } from './pdf-columns.ts';
import { minute, printable, textOfCell } from './pdf-text.ts';

/**
 * A report on paper: what it is, the query in words, its course over time, and a table. It is a tagged PDF (headings,
 * paragraphs, figure and table are marked as such for screen readers). Page numbers and repeated headings are artifacts.
 */

const margin = 36;
const size = 7.5;
const ink = '#111111';
const faint = '#555555';
/** A cell that would be longer is cut, with an ellipsis. */
const mostLines = 8;

const nouns: Readonly<Record<Subject, string>> = {
  asset: 'assets',
  finding: 'findings',
  vulnerability: 'vulnerabilities',
  patch: 'patches',
};

export interface PdfReport {
  readonly report: ExportedReport;
  /** Oldest first. */
  readonly counts: readonly ChartPoint[];
  /** When the query was changed last. */
  readonly querySince: Date;
}

/** Lays the document out, without letting anybody else have a turn; what is returned can be read to its end at once. */
export async function pdfOf(
  { report, counts, querySince }: PdfReport,
  limit: number = exportLimits.pdf,
): Promise<PDFKit.PDFDocument> {
  const { rows, more } = await firstRows(report, limit);
  const doc = new Pdf({
    size: 'A4',
    layout: 'landscape',
    margins: { top: margin, bottom: margin + 14, left: margin, right: margin },
    pdfVersion: '1.7',
    tagged: true,
    lang: 'en',
    displayTitle: true,
    bufferPages: true,
    info: {
      Title: report.name,
      Author: report.by,
      Creator: 'Fixpoint',
      CreationDate: report.asOf,
      ModDate: report.asOf,
    },
  });
  const page = new Page(doc);
  const width = doc.page.width - 2 * margin;
  const root = doc.struct('Document');
  doc.addStructure(root);
  const paragraph = (
    tag: 'H1' | 'H2' | 'P',
    text: string,
    style: { size: number; bold?: true; color?: string },
  ) => {
    root.add(
      doc.struct(tag, {}, () => {
        doc
          .font(style.bold === true ? 'Helvetica-Bold' : 'Helvetica')
          .fontSize(style.size)
          .fillColor(style.color ?? ink)
          .text(page.safe(text), margin, doc.y, { width })
          .moveDown(0.3);
      }),
    );
  };

  paragraph('H1', report.name, { size: 17, bold: true });
  if (report.description.trim() !== '') paragraph('P', report.description, { size: 9 });
  paragraph('P', report.explanation, { size: 10 });
  paragraph('P', `Query: ${report.query.trim() === '' ? '(everything)' : report.query}`, {
    size: 8,
    color: faint,
  });
  const noun = nouns[report.subject];
  const gone = report.total - rows.length;
  const whole = `${report.total.toLocaleString('en-GB')} ${noun} as of ${minute(report.asOf.toISOString())} UTC, exported by ${report.by}. All times are UTC.`;
  paragraph('P', whole, { size: 8, color: faint });
  if (more) {
    paragraph(
      'P',
      `This document holds the first ${rows.length.toLocaleString('en-GB')} of them: ${gone.toLocaleString('en-GB')} are left out. CSV and JSON hold them all.`,
      { size: 9, bold: true },
    );
  }
  doc.moveDown(0.4);
  if (counts.length >= leastPoints) {
    const box = { x: margin, y: doc.y, width: Math.min(width, 420), height: 92 };
    root.add(
      doc.struct('Figure', { alt: chartInWords(counts, noun) }, () => {
        drawChart(doc, box, counts, querySince);
      }),
    );
    doc.x = margin;
    doc.y = box.y + box.height + 10;
  }
  if (rows.length === 0) paragraph('P', `No ${noun} at that time.`, { size: 10 });
  else {
    const table = new Table(page, report, rows, width);
    const element = doc.struct('Table');
    root.add(element);
    table.head(element);
    for (const row of rows) table.row(element, row);
    element.end();
    if (table.leftOut.length > 0) {
      doc.moveDown(0.8);
      const titles = table.leftOut.map((column) => column.title).join(', ');
      paragraph('P', `Columns that found no room on the page: ${titles}. CSV and JSON hold them.`, {
        size: 8,
      });
    }
  }
  if (page.lost)
    paragraph('P', 'Letters that this document has no font for are shown as “?”. CSV and JSON hold them.', {
      size: 8,
    });
  root.end();
  page.number(`${report.name} · as of ${minute(report.asOf.toISOString())} UTC`);
  doc.end();
  return doc;
}

/** Rows up to the limit, and whether there are more. */
async function firstRows(
  report: ExportedReport,
  limit: number,
): Promise<{ rows: ExportedRow[]; more: boolean }> {
  const rows: ExportedRow[] = [];
  for await (const batch of report.rows()) {
    const room = limit - rows.length;
    rows.push(...batch.slice(0, room));
    if (rows.length === limit) return { rows, more: report.total > limit };
  }
  return { rows, more: false };
}

class Page {
  readonly doc: PDFKit.PDFDocument;
  /** Some letter could not be shown. */
  lost = false;

  constructor(doc: PDFKit.PDFDocument) {
    this.doc = doc;
  }

  safe(text: string): string {
    return printable(text, () => {
      this.lost = true;
    });
  }

  get bottom(): number {
    return this.doc.page.height - this.doc.page.margins.bottom;
  }

  /** What is there for the eye only. */
  artifact(draw: () => void): void {
    this.doc.markContent('Artifact', { type: 'Pagination' });
    draw();
    this.doc.endMarkedContent();
  }

  /** `page n of m` at the foot of every page. */
  number(text: string): void {
    const { doc } = this;
    const { start, count } = doc.bufferedPageRange();
    for (let index = 0; index < count; index++) {
      doc.switchToPage(start + index);
      // Below the margin; otherwise it would be moved to a page of its own.
      doc.page.margins.bottom = 0;
      const y = doc.page.height - margin;
      const width = doc.page.width - 2 * margin;
      this.artifact(() => {
        doc.font('Helvetica').fontSize(7).fillColor(faint);
        doc.text(this.safe(text), margin, y, {
          width: width - 90,
          height: 9,
          ellipsis: true,
          lineBreak: true,
        });
        doc.text(`page ${String(index + 1)} of ${String(count)}`, margin, y, {
          width,
          align: 'right',
          lineBreak: false,
        });
      });
    }
  }
}

class Table {
  private readonly page: Page;
  private readonly report: ExportedReport;
  private readonly placement: Placement;
  private readonly lineHeight: number;

  constructor(page: Page, report: ExportedReport, rows: readonly ExportedRow[], width: number) {
    this.page = page;
    this.report = report;
    const { doc } = page;
    doc.font('Helvetica').fontSize(size);
    this.lineHeight = doc.currentLineHeight(true);
    const texts = sampleOf(rows).map((row) => this.texts(row));
    this.placement = placeColumns(report.columns, texts, width, (text) => doc.widthOfString(text));
  }

  get leftOut() {
    return this.placement.leftOut;
  }

  private texts(row: ExportedRow): string[] {
    return this.report.columns.map((column, at) => this.page.safe(textOfCell(column, row[at] ?? null)));
  }

  private font(bold: boolean): PDFKit.PDFDocument {
    return this.page.doc
      .font(bold ? 'Helvetica-Bold' : 'Helvetica')
      .fontSize(size)
      .fillColor(ink);
  }

  /** The header as part of the table; on further pages it is repeated by `row`, for the eye only. */
  head(element: PDFKit.PDFStructureElement): void {
    if (this.page.doc.y + this.headHeight() + 3 * this.lineHeight > this.page.bottom) this.page.doc.addPage();
    const { doc } = this.page;
    const y = doc.y;
    const cells = this.placement.placed.map(({ at }) => doc.struct('TH', {}, () => this.title(at, y)));
    element.add(doc.struct('TR', {}, cells));
    this.below(y + this.headHeight());
  }

  private headHeight(): number {
    const doc = this.font(true);
    const heights = this.placement.placed.map(({ at, width }) =>
      doc.heightOfString(this.report.columns[at]?.title ?? '', { width }),
    );
    return Math.max(...heights) + 3;
  }

  private title(at: number, y: number): void {
    const placed = this.placement.placed[at];
    const column = this.report.columns[at];
    if (placed === undefined || column === undefined) return;
    const align = column.type === 'number' ? 'right' : 'left';
    this.font(true).text(this.page.safe(column.title), margin + placed.x, y, { width: placed.width, align });
  }

  row(element: PDFKit.PDFStructureElement, row: ExportedRow): void {
    const { doc } = this.page;
    const texts = this.texts(row);
    this.font(false);
    const cut = mostLines * this.lineHeight;
    let height = this.lineHeight;
    for (const { at, width } of this.placement.placed) {
      const text = texts[at] ?? '';
      // Most texts fit on a line, and to see that is much cheaper than to break lines.
      if (doc.widthOfString(text) > width)
        height = Math.max(height, Math.min(cut, doc.heightOfString(text, { width })));
    }
    if (doc.y + height > this.page.bottom) this.turn();
    const y = doc.y;
    const cells = this.placement.placed.map(({ at, x, width }) =>
      doc.struct('TD', {}, () => {
        const align = this.report.columns[at]?.type === 'number' ? 'right' : 'left';
        this.font(false).text(texts[at] ?? '', margin + x, y, {
          width,
          height: cut,
          align,
          ellipsis: true,
        });
      }),
    );
    element.add(doc.struct('TR', {}, cells));
    this.below(y + height + 2);
  }

  private turn(): void {
    this.page.doc.addPage();
    const y = this.page.doc.y;
    this.page.artifact(() => {
      for (const { at } of this.placement.placed) this.title(at, y);
    });
    this.below(y + this.headHeight());
  }

  /** Ends a row with a thin line, and goes on below it. */
  private below(y: number): void {
    const { doc } = this.page;
    const last = this.placement.placed.at(-1);
    this.page.artifact(() => {
      doc
        .moveTo(margin, y)
        .lineTo(margin + (last === undefined ? 0 : last.x + last.width + gap / 2), y)
        .lineWidth(0.25)
        .strokeColor('#bbbbbb')
        .stroke();
    });
    doc.x = margin;
    doc.y = y + 2;
  }
}
