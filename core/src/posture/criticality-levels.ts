/** Live assets by their criticality. */
import type { Criticality } from '../risk/asset-risk.ts';
import { addAll, addIds, assetSet, difference, intersection, removeAll, type AssetSet } from './asset-set.ts';
import type { ReadonlyAssetSet } from './asset-set.ts';
import type { AssetReading } from './reading.ts';

export const criticalities: readonly Criticality[] = [1, 2, 3, 4, 5];
export const defaultCriticality: Criticality = 3;

/** What the rules say, in their order: the first that holds counts. */
export interface LevelRule {
  readonly level: Criticality;
  readonly holds: ReadonlyAssetSet;
}

type Levels = Readonly<Record<Criticality, AssetSet>>;
const noLevels = (): Levels => ({
  1: assetSet(),
  2: assetSet(),
  3: assetSet(),
  4: assetSet(),
  5: assetSet(),
});

export class CriticalityLevels {
  private readonly levels = noLevels();

  of(level: Criticality): ReadonlyAssetSet {
    return this.levels[level];
  }

  /** Judges these assets anew. Answers those of which it is another one than before. */
  judge(assets: AssetReading, which: ReadonlyAssetSet, rules: readonly LevelRule[]): AssetSet {
    const fresh = levelsOf(assets, which, rules);
    const changed = assetSet();
    for (const level of criticalities) {
      const kept = this.levels[level];
      addAll(changed, difference(fresh[level], kept));
      removeAll(kept, which);
      addAll(kept, fresh[level]);
    }
    return changed;
  }

  remove(gone: ReadonlyAssetSet): void {
    for (const level of criticalities) removeAll(this.levels[level], gone);
  }
}

/** What a person has set comes first, then the rules, then the default. */
export function levelsOf(
  assets: Pick<AssetReading, 'criticalitySet'>,
  which: ReadonlyAssetSet,
  rules: readonly LevelRule[],
): Levels {
  const levels = noLevels();
  const byPerson: Record<Criticality, number[]> = { 1: [], 2: [], 3: [], 4: [], 5: [] };
  for (const id of which.toUint32Array()) {
    const set = assets.criticalitySet(id);
    if (set !== null) byPerson[set].push(id);
  }
  const rest = which.clone();
  for (const level of criticalities) {
    if (byPerson[level].length === 0) continue;
    addIds(levels[level], Uint32Array.from(byPerson[level]));
    removeAll(rest, levels[level]);
  }
  for (const { level, holds } of rules) {
    const found = intersection(rest, holds);
    addAll(levels[level], found);
    removeAll(rest, found);
  }
  addAll(levels[defaultCriticality], rest);
  return levels;
}
