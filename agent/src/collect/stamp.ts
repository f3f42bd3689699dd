import { compareText } from '@fixpoint/core/knowledge/compare-text.ts';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Cheap signs that files have changed. */

/** Changes when the file or folder is written or replaced; empty when there is none. */
export function stampOf(path: string): string {
  try {
    const { mtimeMs, ino, size } = statSync(path);
    return `${String(mtimeMs)} ${String(ino)} ${String(size)}`;
  } catch {
    return '';
  }
}

/** Stamps of the entries of a folder whose names are wanted, by name. */
export function stampsIn(folder: string, isWanted: (name: string) => boolean = () => true): string[] {
  try {
    return readdirSync(folder)
      .filter(isWanted)
      .sort(compareText)
      .map((name) => `${name} ${stampOf(join(folder, name))}`);
  } catch {
    return [];
  }
}
