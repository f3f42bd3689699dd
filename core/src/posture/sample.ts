import type { ReadonlyAssetSet } from './asset-set.ts';

export interface AssetSample {
  readonly assets: Iterable<number>;
  /** How many assets each of these stands for; 1: they are all. */
  readonly weight: number;
}

/**
 * All assets of a set, or of a larger one than `most` as many, evenly over their ids, always the same ones: for sums that take
 * too long asset by asset.
 */
export function sampleOf(set: ReadonlyAssetSet, most: number): AssetSample {
  const { size } = set;
  if (size <= most) return { assets: set, weight: 1 };
  const assets = Array.from({ length: most }, (_, index) => set.at(Math.floor((index * size) / most)) ?? 0);
  return { assets, weight: size / most };
}
