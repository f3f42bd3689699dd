import { ticks } from '../clock.ts';
import { note, writeAll } from './stream.ts';
import { styled } from './terminal.ts';

const redrawEvery = 80;
const barWidth = 30;

/**
 * How far long work is: a bar that redraws itself where stderr is a terminal, else one line at the beginning and at each
 * quarter. Goes to stderr, so that output stays output.
 */
export class Progress {
  private readonly title: string;
  private readonly total: number;
  private drawnAt = -Infinity;
  private quarter = 0;
  private drawn = false;

  constructor(title: string, total: number) {
    this.title = title;
    this.total = total;
    if (!process.stderr.isTTY) note(`${title} …`);
  }

  at(done: number): void {
    const share = this.total === 0 ? 1 : Math.min(1, done / this.total);
    if (!process.stderr.isTTY) {
      const quarter = Math.floor(share * 4);
      if (quarter > this.quarter && quarter < 4) note(`${this.title}: ${String(quarter * 25)} %`);
      this.quarter = Math.max(quarter, this.quarter);
      return;
    }
    if (ticks() - this.drawnAt < redrawEvery && share < 1) return;
    this.drawnAt = ticks();
    this.drawn = true;
    const full = Math.round(share * barWidth);
    const bar = styled('cyan', '█'.repeat(full)) + styled('dim', '░'.repeat(barWidth - full));
    writeAll(2, `\r\u001B[K${this.title} ${bar} ${String(Math.floor(share * 100)).padStart(3)} %`);
  }

  /** A step without a measure. */
  say(text: string): void {
    if (process.stderr.isTTY) {
      this.drawn = true;
      writeAll(2, `\r\u001B[K${this.title}: ${text}`);
    } else note(`${this.title}: ${text}`);
  }

  /** Clears the line, so that what follows stands alone. */
  end(): void {
    if (this.drawn) writeAll(2, '\r\u001B[K');
    this.drawn = false;
  }
}
