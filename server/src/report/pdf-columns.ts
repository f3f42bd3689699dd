import type { ExportedColumn, ExportedRow } from './exported.ts';

/** How wide the columns of a table on paper are, in PDF points. */

export interface PlacedColumn {
  /** Its place among the columns of the report. */
  readonly at: number;
  readonly x: number;
  readonly width: number;
}

export interface Placement {
  readonly placed: readonly PlacedColumn[];
  /** Columns that the page had no room for. */
  readonly leftOut: readonly ExportedColumn[];
}

const least = 34;
const most = 190;
/** A word up to this is not broken, if there is room. */
const mostOfWord = 100;
export const gap = 9;

/**
 * Each column gets what most of its texts and all of its shorter words need; when that is too much, the widest give up most. Columns that would get less
 * than a few letters are left out, the last first. `measure` gives the width of a text.
 */
export function placeColumns(
  columns: readonly ExportedColumn[],
  texts: readonly (readonly string[])[],
  room: number,
  measure: (text: string) => number,
): Placement {
  const fitting = Math.max(1, Math.min(columns.length, Math.floor((room + gap) / (least + gap))));
  const wanted = columns.slice(0, fitting).map((column, at) => {
    const words = column.title.split(' ').map(measure);
    const widths = texts.map((row) => measure(row[at] ?? '')).sort((a, b) => a - b);
    const usual = widths[Math.floor(widths.length * 0.95)] ?? 0;
    let longest = 0;
    for (const row of texts) {
      for (const word of (row[at] ?? '').split(/(?<=[\s-])/))
        longest = Math.max(longest, measure(word.trim()));
    }
    return Math.min(most, Math.max(least, ...words, usual, Math.min(mostOfWord, longest)) + 1);
  });
  const widths = narrowed(wanted, room - gap * (fitting - 1));
  let x = 0;
  const placed = widths.map((width, at) => {
    const column = { at, x, width };
    x += width + gap;
    return column;
  });
  return { placed, leftOut: columns.slice(fitting) };
}

/** Widths that fill the room: the widest are cut to one width when there is too little, all grow alike when there is more. */
function narrowed(wanted: readonly number[], room: number): number[] {
  const sum = wanted.reduce((total, width) => total + width, 0);
  if (sum <= room) return wanted.map((width) => (width * room) / sum);
  let low = least;
  let high = Math.max(...wanted);
  // The width that the widest are cut to, to a tenth of a point.
  while (high - low > 0.1) {
    const middle = (low + high) / 2;
    const total = wanted.reduce((all, width) => all + Math.min(width, middle), 0);
    if (total > room) high = middle;
    else low = middle;
  }
  return wanted.map((width) => Math.min(width, low));
}

/** A sample of rows for finding widths: the first, and others evenly from the rest. */
export function sampleOf(rows: readonly ExportedRow[], size = 400): readonly ExportedRow[] {
  if (rows.length <= size) return rows;
  const step = rows.length / size;
  return Array.from({ length: size }, (_, index) => rows[Math.floor(index * step)] ?? []);
}
