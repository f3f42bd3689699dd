import { width } from './terminal.ts';

/** Charts of text: block characters where the terminal shows UTF-8, plain ASCII elsewhere. */

/** Whether the terminal shows more than ASCII, as its locale says. A file or a program gets UTF-8. */
export function showsUtf8(environment: Readonly<Record<string, string | undefined>> = process.env): boolean {
  const locale = [environment['LC_ALL'], environment['LC_CTYPE'], environment['LANG']].find(
    (text) => text !== undefined && text !== '',
  );
  return /utf-?8/iu.test(locale ?? '') && environment['TERM'] !== 'linux';
}

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** What stands behind it. */
  readonly words: string;
}

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const mostCells = 40;

/** One line a bar, the longest as wide as there is room for. */
export function barChart(bars: readonly Bar[], utf8 = showsUtf8(), limit = width()): string {
  const most = Math.max(1, ...bars.map(({ value }) => value));
  const labels = Math.max(0, ...bars.map(({ label }) => label.length));
  const values = String(most).length;
  const words = Math.max(0, ...bars.map((bar) => bar.words.length));
  const cells = Math.max(5, Math.min(mostCells, limit - labels - values - words - 4));
  return bars
    .map(({ label, value, words: text }) => {
      const bar = utf8 ? blocks((value / most) * cells) : '#'.repeat(Math.round((value / most) * cells));
      // A value above 0 is seen to be.
      const seen = bar === '' && value > 0 ? (utf8 ? '▏' : '.') : bar;
      return `${label.padEnd(labels)} ${String(value).padStart(values)} ${seen.padEnd(cells)} ${text}`.trimEnd();
    })
    .map((line) => `${line}\n`)
    .join('');
}

function blocks(cells: number): string {
  const parts = Math.round(cells * 8);
  return '█'.repeat(Math.floor(parts / 8)) + (eighths[parts % 8] ?? '');
}

export interface Step {
  readonly at: number;
  /** 0–1, from `at` on; 1 before the first. */
  readonly share: number;
}

const levels = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const plainLevels = ['_', '.', ':', '-', '=', '+', '*', '#'];

/** A falling curve of shares in one line, from 0 to `end`, with its ends under it. Empty where there is no width. */
export function stepChart(steps: readonly Step[], end: number, utf8 = showsUtf8(), limit = width()): string {
  if (!(end > 0)) return '';
  const cells = Math.max(10, Math.min(60, limit));
  const signs = utf8 ? levels : plainLevels;
  const line = Array.from({ length: cells }, (_, index) => {
    const age = (end * (index + 0.5)) / cells;
    const share = steps.findLast(({ at }) => at <= age)?.share ?? 1;
    return share === 0 ? ' ' : (signs[Math.min(7, Math.floor(share * 8))] ?? ' ');
  }).join('');
  const last = end < 10 ? end.toFixed(1) : end.toFixed(0);
  return `${line.trimEnd()}\n0${last.padStart(cells - 1)}\n`;
}
