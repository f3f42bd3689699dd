import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { syncFolder } from './state-dir.ts';

/** SHA-256 (hex) of a file's content, read in pieces: packages are large. Throws as `openSync` does. */
export function sha256OfFile(path: string): string {
  const hash = createHash('sha256');
  const piece = Buffer.alloc(1024 * 1024);
  const file = openSync(path, 'r');
  try {
    for (;;) {
      const count = readSync(file, piece, 0, piece.length, null);
      if (count === 0) return hash.digest('hex');
      hash.update(piece.subarray(0, count));
    }
  } finally {
    closeSync(file);
  }
}

/** Copies so that the name is there only with the whole content, and durable when it returns. Both folders are root's alone. */
export function copyDurably(from: string, to: string, mode: number): void {
  if (from === to) return;
  const part = `${to}.part`;
  rmSync(part, { force: true });
  copyFileSync(from, part, constants.COPYFILE_EXCL);
  chmodSync(part, mode);
  const file = openSync(part, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(part, to);
  syncFolder(dirname(to));
}
