/** Answers what the parts of a selection ask of each other, each question once. */
import { keyOf, type Plan } from '../../query/plan.ts';
import type { ReadonlyAssetSet } from '../asset-set.ts';
import type { SoftwareFacts } from '../facts.ts';
import type { FleetPatch } from '../patches.ts';
import type { FleetReading } from '../reading.ts';
import { assetsWhere } from './asset-plan.ts';
import { Pace, type Asking, type FindingSets } from './asking.ts';
import { findingsWhere } from './finding-plan.ts';
import { packageTest, patchTest, vulnerabilityTest } from './relation-tests.ts';
import type { Sliced } from './selection.ts';

export interface SelectOptions {
  /** Up to how many assets are looked at one by one rather than by sets of the whole fleet. The answer is the same. */
  readonly fewAssets?: number;
}

/** About what it costs to go through all pairs of a large fleet, in assets. */
const fewAssetsUsually = 512;

export class Selector implements Asking {
  readonly fleet: FleetReading;
  readonly now: number;
  readonly within: ReadonlyAssetSet;
  readonly tagNames: readonly string[];
  readonly pace: Pace;
  readonly fewAssets: number;
  #whole: Selector | null;
  readonly #answers = new Map<string, unknown>();

  /** Without `within`: of all live assets. */
  constructor(
    fleet: FleetReading,
    now: number,
    within?: ReadonlyAssetSet,
    { fewAssets = fewAssetsUsually }: SelectOptions = {},
    pace = new Pace(),
  ) {
    this.fleet = fleet;
    this.now = now;
    this.within = within ?? fleet.assets.live;
    this.#whole = within === undefined || within === fleet.assets.live ? this : null;
    this.tagNames = [...fleet.tags.definitions.keys()];
    this.fewAssets = fewAssets;
    this.pace = pace;
  }

  get whole(): Selector {
    const { fleet, now, fewAssets, pace } = this;
    this.#whole ??= new Selector(fleet, now, undefined, { fewAssets }, pace);
    return this.#whole;
  }

  assets(part: Plan): Sliced<ReadonlyAssetSet> {
    return this.#once('assets', part, () => assetsWhere(this, part, this.within));
  }

  findings(part: Plan): Sliced<FindingSets> {
    return this.#once('findings', part, () => findingsWhere(this, part));
  }

  vulnerabilityTest(part: Plan): Sliced<(vulnerability: number) => boolean> {
    return this.#once('vulnerability', part, () => vulnerabilityTest(this, part));
  }

  patchTest(part: Plan): Sliced<(patch: FleetPatch) => boolean> {
    return this.#once('patch', part, () => patchTest(this, part));
  }

  packageTest(part: Plan): (software: SoftwareFacts) => boolean {
    return packageTest(this, part);
  }

  *#once<Answer>(what: string, part: Plan, ask: () => Sliced<Answer>): Sliced<Answer> {
    const key = `${what} ${keyOf(part)}`;
    if (!this.#answers.has(key)) this.#answers.set(key, yield* ask());
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each question has its own kind of answer
    return this.#answers.get(key) as Answer;
  }
}
