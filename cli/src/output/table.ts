import { harmless, styled, width, type Style } from './terminal.ts';

/**
 * Tables fitted to the terminal. Our own because cli-table3 takes 240 ms to lay out 600 rows (measured), more than a whole
 * scan may take; this takes 2.
 */

export interface Column<Row> {
  readonly title: string;
  readonly of: (row: Row) => string;
  readonly align?: 'right';
  readonly style?: (row: Row) => Style | undefined;
  /** Columns with a higher number give up width first. 0 (the default) never. */
  readonly yields?: number;
  /** Characters below which a column that yields is left out instead. */
  readonly least?: number;
}

const gap = 2;

/** A header and one line a row, each ending in a line feed. Empty when there are no rows. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], limit = width()): string {
  if (rows.length === 0) return '';
  const raw = rows.map((row) => columns.map((column) => column.of(row)));
  // Nearly always all of it is printable ASCII, which one look at all of it tells: then nothing is to be made harmless, and
  // a character is a terminal cell.
  const plain = printableAscii.test(raw.map((line) => line.join('')).join(''));
  const lines = plain ? raw : raw.map((line) => line.map(harmless));
  const cellsOf = plain ? (text: string): number => text.length : columnsOf;
  const widths = columns.map((column, c) => {
    let widest = column.title.length;
    for (const line of lines) widest = Math.max(widest, cellsOf(line[c] ?? ''));
    return widest;
  });
  fit(columns, widths, limit);
  const shown = columns.map((_, c) => c).filter((c) => (widths[c] ?? 0) > 0);
  const write = (line: readonly string[], style: (c: number) => Style | undefined): string => {
    const parts = shown.map((c) => {
      const room = widths[c] ?? 0;
      const whole = line[c] ?? '';
      const text = cellsOf(whole) > room ? cut(whole, room) : whole;
      const fill = ' '.repeat(Math.max(0, room - cellsOf(text)));
      const wanted = style(c);
      const ink = wanted === undefined ? text : styled(wanted, text);
      return columns[c]?.align === 'right' ? fill + ink : ink + fill;
    });
    return `${parts.join('  ').trimEnd()}\n`;
  };
  const body = rows.map((row, r) => write(lines[r] ?? [], (c) => columns[c]?.style?.(row)));
  return (
    write(
      columns.map((column) => column.title),
      () => 'bold',
    ) + body.join('')
  );
}

const printableAscii = /^[\u0020-\u007E]*$/u;

/** Takes width from the columns that yield, most willing first: shrunk when that is enough, else left out. */
function fit<Row>(columns: readonly Column<Row>[], widths: number[], limit: number): void {
  const excess = (): number => {
    const shown = widths.filter((w) => w > 0);
    return shown.reduce((sum, w) => sum + w, 0) + gap * Math.max(0, shown.length - 1) - limit;
  };
  const willing = columns
    .map((column, c) => ({ c, yields: column.yields ?? 0, least: column.least ?? 8 }))
    .filter((column) => column.yields > 0)
    .sort((a, b) => b.yields - a.yields);
  for (const { c, least } of willing) {
    const over = excess();
    if (over <= 0) return;
    const left = (widths[c] ?? 0) - over;
    widths[c] = left >= least ? left : 0;
  }
}

// Characters that a terminal draws over two cells: CJK, Hangul, full-width forms, emoji.
const wide =
  /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\u{1F300}-\u{1FAFF}]/u;
const combining = /\p{Mark}/u;

/** Terminal cells that a text takes. */
function columnsOf(text: string): number {
  if (printableAscii.test(text)) return text.length;
  let cells = 0;
  for (const c of text) cells += combining.test(c) ? 0 : wide.test(c) ? 2 : 1;
  return cells;
}

/** As much of the text as fits beside an ellipsis. */
function cut(text: string, room: number): string {
  let kept = '';
  let used = 0;
  for (const c of text) {
    const size = columnsOf(c);
    if (used + size > room - 1) break;
    kept += c;
    used += size;
  }
  return `${kept}…`;
}

/** `name  value` lines with the names in one column, for showing one thing; long values go on below. A null value is left out. */
export function facts(
  pairs: readonly (readonly [name: string, value: string | null])[],
  limit = width(),
): string {
  const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== null);
  const widest = Math.max(0, ...shown.map(([name]) => name.length));
  const below = `\n${' '.repeat(widest + gap)}`;
  return shown
    .map(([name, value]) => {
      const lines = wrapped(harmless(value), limit - widest - gap);
      return `${styled('dim', name.padEnd(widest))}  ${lines.join(below)}\n`;
    })
    .join('');
}

/** Lines broken at spaces. A word that is longer than the room stays whole, so that it can be copied. */
function wrapped(text: string, room: number): string[] {
  if (columnsOf(text) <= room) return [text];
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && columnsOf(longer) > room) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}
