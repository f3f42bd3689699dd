import type { Truth } from '../query/evaluate.ts';
import { assetSet, type AssetSet, type ReadonlyAssetSet } from './asset-set.ts';

/** Truths whose sets belong to who asked. */
export interface OwnTruths {
  readonly holds: AssetSet;
  readonly fails: AssetSet;
}

/** Asks of each asset `within`. */
export function scanned(within: ReadonlyAssetSet, ask: (id: number) => Truth): OwnTruths {
  const ids = within.toUint32Array();
  const [holding, failing] = [new Uint32Array(ids.length), new Uint32Array(ids.length)];
  let [held, failed] = [0, 0];
  for (const id of ids) {
    const truth = ask(id);
    if (truth === true) holding[held++] = id;
    else if (truth === false) failing[failed++] = id;
  }
  return { holds: assetSet(holding.subarray(0, held)), fails: assetSet(failing.subarray(0, failed)) };
}
