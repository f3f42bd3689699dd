import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomically } from './state-dir.ts';

/**
 * For fault tests only: `FIXPOINT_AGENT_STOP_AT` makes the agent kill itself (SIGKILL), once in the life of its state folder.
 * - `STEP`: right after the journal says that the step begins, before it is done;
 * - `STEP:running`: as soon as the step's process runs (steps of the package manager: refresh, simulate, download, install,
 *   repair);
 * - `STEP:done`: right after it was done, before the journal says so.
 * Steps are those of journal.ts. `accepted` and `ended` are written and not done: the place is right after the writing.
 */
export interface StopAt {
  /** Does not return if this is the place. */
  pass(place: string): void;
}

export function createStopAt(place: string | undefined, stateDir: string): StopAt {
  if (place === undefined || place === '') return { pass: () => undefined };
  const marker = join(stateDir, 'stopped-once');
  return {
    pass(here) {
      if (here !== place || existsSync(marker)) return;
      writeFileAtomically(marker, `${here}\n`);
      process.kill(process.pid, 'SIGKILL');
      // The signal is on its way; nothing more may happen.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000);
    },
  };
}
