import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../context.ts';
import { DatabaseError, errorCode } from './database-error.ts';
import { processIdentity } from './process-identity.ts';

interface Holder {
  readonly pid: number;
  readonly identity: string;
}

/**
 * Takes a data folder for this process alone, for as long as it lives: `server.lock` names the process by number and
 * start time, so that a holder that was killed does not lock anybody out.
 *
 * @returns the function that gives it back
 * @throws DatabaseError `data_folder_in_use`
 */
export function lockFolder(folder: string, random: Random): () => void {
  const lock = join(folder, 'server.lock');
  const own: Holder = { pid: process.pid, identity: processIdentity(process.pid) ?? 'alive' };
  const draft = `${lock}.${random.uuid()}`;
  writeFileSync(draft, JSON.stringify(own), { mode: 0o644 });
  try {
    // Three rounds: one to find a dead holder's lock, one to take it, one for losing that race to somebody dying, too.
    for (let round = 0; round < 3; round++) {
      try {
        // A link appears with its content, or not at all; nobody can read half a lock.
        linkSync(draft, lock);
        return () => {
          if (readHolder(lock)?.identity === own.identity) rmSync(lock, { force: true });
        };
      } catch (error) {
        if (errorCode(error) !== 'EEXIST') throw error;
      }
      const holder = readHolder(lock);
      if (holder !== undefined && processIdentity(holder.pid) === holder.identity)
        throw inUse(folder, holder);
      removeDead(lock, `${draft}.dead`, holder);
    }
    throw inUse(folder, readHolder(lock));
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Takes a dead holder's lock away, and puts it back if it turns out to be a newer one that came in between. */
function removeDead(lock: string, aside: string, dead: Holder | undefined): void {
  try {
    renameSync(lock, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  if (readHolder(aside)?.identity !== dead?.identity) {
    try {
      linkSync(aside, lock);
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
    }
  }
  rmSync(aside, { force: true });
}

/** What the lock says; undefined when there is none or it is not one of ours (then it counts as dead). */
function readHolder(lock: string): Holder | undefined {
  try {
    const parsed: unknown = JSON.parse(readFileSync(lock, 'utf8'));
    if (typeof parsed !== 'object' || parsed === null || !('pid' in parsed) || !('identity' in parsed))
      return undefined;
    const { pid, identity } = parsed;
    return Number.isInteger(pid) && typeof pid === 'number' && typeof identity === 'string'
      ? { pid, identity }
      : undefined;
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function inUse(folder: string, holder: Holder | undefined): DatabaseError {
  return new DatabaseError(
    'data_folder_in_use',
    `${folder} is in use by another Fixpoint server${holder === undefined ? '' : ` (process ${holder.pid})`}`,
    'stop that one first, or give this one a data folder of its own with FIXPOINT_DATA',
  );
}
