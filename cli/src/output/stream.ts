import { writeSync } from 'node:fs';

/**
 * Writes everything to a file descriptor before it returns. Synchronous, so that output is complete whenever the process
 * ends. False when the reader is gone (`fixpoint … | head`).
 */
export function writeAll(descriptor: number, text: string | Uint8Array): boolean {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'utf8') : text;
  let at = 0;
  while (at < bytes.length) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (error) {
      if (codeOf(error) === 'EPIPE') return false;
      // A terminal or pipe that somebody else made non-blocking, and that is full: wait for the reader.
      if (codeOf(error) !== 'EAGAIN') throw error;
      pause(2);
    }
  }
  return true;
}

/** Blocks the process; only for the two places where a descriptor says "not now". */
export function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** The `code` of a system error, such as `ENOENT`; empty for anything else. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** Lines to stdout. When the reader is gone there is nobody left to work for. */
export function print(text: string): void {
  if (!writeAll(1, text.endsWith('\n') ? text : `${text}\n`)) process.exit();
}

/** Lines to stderr. */
export function note(text: string): void {
  writeAll(2, text.endsWith('\n') ? text : `${text}\n`);
}

/** Asked for with `--json`: two-space indented, so that people and diffs can read it too. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}
