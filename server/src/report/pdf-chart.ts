import { minute } from './pdf-text.ts';

/** The counts of a report over time as a small line chart, drawn in PDF points. */

export interface ChartPoint {
  readonly at: Date;
  readonly items: number;
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Fewer have no course. */
export const leastPoints = 2;

/** What the chart shows, in a sentence: for those who do not see it. */
export function chartInWords(points: readonly ChartPoint[], noun: string): string {
  const [first] = points;
  const last = points.at(-1);
  if (first === undefined || last === undefined) return `No ${noun} were counted yet.`;
  const items = points.map((point) => point.items);
  const [least, most] = [Math.min(...items), Math.max(...items)];
  return (
    `Number of ${noun} from ${minute(first.at.toISOString())} to ${minute(last.at.toISOString())} UTC: ` +
    `${String(first.items)} at first, ${String(last.items)} at last, between ${String(least)} and ${String(most)}.`
  );
}

/**
 * Draws the line with the greatest and the least value, the first and last day, and a broken line where the query was
 * changed. `points` are oldest first.
 */
export function drawChart(
  doc: PDFKit.PDFDocument,
  { x, y, width, height }: Box,
  points: readonly ChartPoint[],
  changedAt: Date | null,
): void {
  const [first] = points;
  const last = points.at(-1);
  if (first === undefined || last === undefined || points.length < leastPoints) return;
  const most = Math.max(1, ...points.map((point) => point.items));
  const [from, to] = [first.at.getTime(), last.at.getTime()];
  const left = x + 36;
  const bottom = y + height - 12;
  const across = (at: Date): number => left + ((at.getTime() - from) / Math.max(1, to - from)) * (width - 36);
  const up = (items: number): number => bottom - (items / most) * (bottom - y - 6);
  doc.save().lineWidth(0.5).strokeColor('#999999');
  doc
    .moveTo(left, bottom)
    .lineTo(x + width, bottom)
    .stroke();
  doc
    .moveTo(left, up(most))
    .lineTo(x + width, up(most))
    .dash(1, { space: 2 })
    .stroke()
    .undash();
  if (changedAt !== null && changedAt > first.at && changedAt < last.at) {
    const at = across(changedAt);
    doc.moveTo(at, y).lineTo(at, bottom).dash(3, { space: 2 }).strokeColor('#b45309').stroke().undash();
  }
  doc.lineWidth(1.2).strokeColor('#1d4ed8');
  for (const [index, point] of points.entries()) {
    // A step: a count holds until the next one.
    if (index === 0) doc.moveTo(across(point.at), up(point.items));
    else
      doc
        .lineTo(across(point.at), up(points[index - 1]?.items ?? 0))
        .lineTo(across(point.at), up(point.items));
  }
  doc.stroke();
  doc.font('Helvetica').fontSize(7).fillColor('#444444');
  const label = { width: 32, align: 'right', lineBreak: false } as const;
  doc.text(most.toLocaleString('en-GB'), x, up(most) - 3, label).text('0', x, bottom - 4, label);
  doc.text(first.at.toISOString().slice(0, 10), left, bottom + 3, { lineBreak: false });
  doc.text(last.at.toISOString().slice(0, 10), x + width - 60, bottom + 3, {
    width: 60,
    align: 'right',
    lineBreak: false,
  });
  doc.restore();
}
