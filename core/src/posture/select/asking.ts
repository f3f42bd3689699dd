/** What the parts of a selection ask of each other; selector.ts answers. Answers are kept for as long as one selection takes. */
import type { Plan } from '../../query/plan.ts';
import type { ReadonlyAssetSet } from '../asset-set.ts';
import type { SoftwareFacts } from '../facts.ts';
import type { FleetPatch } from '../patches.ts';
import type { FleetReading } from '../reading.ts';
import type { Sliced } from './selection.ts';

/** By index of the pair the assets whose finding of it is meant; pairs without any are left out. */
export type FindingSets = ReadonlyMap<number, ReadonlyAssetSet>;

export interface Asking {
  readonly fleet: FleetReading;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Live assets that it is about. */
  readonly within: ReadonlyAssetSet;
  /** The same questions of all live assets; itself where that is what it is about. */
  readonly whole: Asking;
  readonly tagNames: readonly string[];
  readonly pace: Pace;
  /** Up to how many assets are looked at one by one, where the alternative is to go through all pairs. */
  readonly fewAssets: number;
  /** Those of `within` of which a plan is true. */
  assets(part: Plan): Sliced<ReadonlyAssetSet>;
  /** Findings on `within` of which a plan is true. */
  findings(part: Plan): Sliced<FindingSets>;
  /** Tests by index of the vulnerability, by patch and by software: whether a plan is true of it. */
  vulnerabilityTest(part: Plan): Sliced<(vulnerability: number) => boolean>;
  patchTest(part: Plan): Sliced<(patch: FleetPatch) => boolean>;
  packageTest(part: Plan): (software: SoftwareFacts) => boolean;
}

/** Units of work, each about a microsecond; a slice of a few milliseconds holds so many. */
const unitsInSlice = 3_000;

/** Counts work, as there is no clock: `if (pace.spent(20)) yield;` */
export class Pace {
  #left = unitsInSlice;

  /** Whether the slice is at its end. */
  spent(units: number): boolean {
    this.#left -= units;
    if (this.#left > 0) return false;
    this.#left = unitsInSlice;
    return true;
  }
}

/** What a set operation costs, in units: something for itself, and something for each container of 65,536 ids that it may have. */
export function unitsOf(set: ReadonlyAssetSet): number {
  return 10 + set.size / 5_000;
}
