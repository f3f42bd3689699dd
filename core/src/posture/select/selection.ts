/** What a selection from the fleet comes to. */
import type { ReadonlyAssetSet } from '../asset-set.ts';

/**
 * Yields between slices of a few milliseconds of work. The fleet does not change while it runs: whoever drives it (the server
 * does so in posture.ts) sees to that, or drops it and starts again.
 */
export type Sliced<Result> = Generator<undefined, Result, undefined>;

export interface FindingSelection {
  /** Number of findings. */
  readonly total: number;
  /** By index of the pair: the assets whose finding of it is selected. Pairs without any are left out. */
  readonly byPair: ReadonlyMap<number, ReadonlyAssetSet>;
}

/** Runs a sliced computation to its end at once: for tests, benchmarks and what is known to be small. */
export function atOnce<Result>(work: Sliced<Result>): Result {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
