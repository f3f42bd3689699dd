import { readFileSync, statSync } from 'node:fs';

/**
 * The fast start of `scan` and `compare`: both as one file, run by Bun, whose start takes half of Node's time. It lies in
 * the user's cache and is made by the first slow scan. Beside it stands of which state of which files it was made; when
 * one of them is no longer so, the slow start runs and makes it anew.
 */
export interface FastState {
  readonly format: number;
  /** The project folder that it was made from, without links. */
  readonly root: string;
  /** Folder of the knowledge that belongs to these files. */
  readonly knowledge: string;
  /** Size and time of each file and folder that anything here depends on. */
  readonly files: readonly (readonly [path: string, size: number, changedMs: number])[];
}

export const fastFormat = 1;
export const stateName = 'state.json';

/** The state written there; null when there is none or it is not ours. */
export function readFastState(path: string): FastState | null {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isFastState(value) ? value : null;
  } catch {
    return null;
  }
}

function isFastState(value: unknown): value is FastState {
  return (
    typeof value === 'object' &&
    value !== null &&
    'format' in value &&
    value.format === fastFormat &&
    'root' in value &&
    typeof value.root === 'string' &&
    'knowledge' in value &&
    typeof value.knowledge === 'string' &&
    'files' in value &&
    Array.isArray(value.files)
  );
}

export function isCurrent(state: FastState): boolean {
  for (const [path, size, changedMs] of state.files) {
    const now = statSync(path, { throwIfNoEntry: false });
    if (now === undefined || now.size !== size || now.mtimeMs !== changedMs) return false;
  }
  return true;
}
