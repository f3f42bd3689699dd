import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';

/** Work in slices gives others their turn after so long. */
export const turnMilliseconds = 4;

export const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Runs work that nobody waits for, slice by slice, and gives others their turn in between. */
export async function inTurns(work: Sliced<void>, isStopped: () => boolean): Promise<void> {
  let turn = performance.now();
  while (work.next().done !== true) {
    if (performance.now() - turn < turnMilliseconds) continue;
    await nextTurn();
    turn = performance.now();
    if (isStopped()) return;
  }
}
