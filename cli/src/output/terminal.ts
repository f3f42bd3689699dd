import { fstatSync } from 'node:fs';

/** What stdout is: where colour, fitting to a width and progress that rewrites its line make sense. */

export const isTerminal: boolean = isTty(1);

/** Loads what it needs only where the answer may be yes: that costs milliseconds, which a scan into a pipe can save. */
function isTty(descriptor: number): boolean {
  try {
    const file = fstatSync(descriptor);
    // Major number 1 on Linux: /dev/null and its like.
    if (!file.isCharacterDevice() || file.rdev >> 8 === 1) return false;
  } catch {
    // Closed by whoever started us.
    return false;
  }
  return process.getBuiltinModule('node:tty').isatty(descriptor);
}

/** Columns to fit into; unlimited when the output goes to a file or a program. */
export function width(): number {
  const forced = Number(process.env['COLUMNS'] ?? '');
  if (isTerminal) return process.stdout.columns > 0 ? process.stdout.columns : 80;
  return Number.isInteger(forced) && forced >= 20 ? forced : Infinity;
}

/** https://no-color.org: any value that is not empty switches colour off. */
const colourIsWanted = isTerminal && (process.env['NO_COLOR'] ?? '') === '' && process.env['TERM'] !== 'dumb';

export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green' | 'cyan';

export function styled(style: Style, text: string): string {
  if (!colourIsWanted) return text;
  return process.getBuiltinModule('node:util').styleText(style, text, { validateStream: false });
}

/**
 * Text from hosts, feeds and people, made harmless for a terminal: control characters, which could move the cursor or
 * retitle the window, become visible as `\x1b`.
 */
export function harmless(text: string): string {
  // eslint-disable-next-line no-control-regex -- they are what is looked for
  return text.replaceAll(/[\u0000-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/gu, (c) => {
    const code = c.codePointAt(0) ?? 0;
    return code > 0xff ? `\\u${code.toString(16)}` : `\\x${code.toString(16).padStart(2, '0')}`;
  });
}
