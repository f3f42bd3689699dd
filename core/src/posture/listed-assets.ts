/** Fixed lists of assets as the model holds them: as sets of numbers, not of texts. */
import type { ListedAssets } from '../tag/definition.ts';
import { assetSet, type AssetSet, type ReadonlyAssetSet } from './asset-set.ts';

/** The assets of a fixed list. Their ids as texts are the numbers written out. */
export class ListedAssetSet implements ListedAssets {
  readonly ids: ReadonlyAssetSet;
  constructor(ids: ReadonlyAssetSet) {
    this.ids = ids;
  }
  get size(): number {
    return this.ids.size;
  }
  has(id: string): boolean {
    return this.ids.has(Number(id));
  }
  *[Symbol.iterator](): Iterator<string> {
    for (const id of this.ids) yield String(id);
  }
}

/** Ids of a list as a set; a text that is no id of an asset is a bug of whoever made the list. */
export function idsOf(listed: ListedAssets): ReadonlyAssetSet {
  if (listed instanceof ListedAssetSet) return listed.ids;
  const ids: AssetSet = assetSet();
  for (const text of listed) {
    const id = Number(text);
    if (!Number.isSafeInteger(id) || id < 1) throw new Error(`${text} is no id of an asset`);
    ids.add(id);
  }
  return ids;
}
