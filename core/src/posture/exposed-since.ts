/** Since when assets are exposed to what they are exposed to: for questions by when findings were first seen. */
import { sinceEpochSeconds } from '../finding/exposure.ts';
import { assetSet, removeAll, union } from './asset-set.ts';
import type { FindingSources } from './findings.ts';
import type { ExposedSince } from './reading.ts';
import type { Sliced } from './select/selection.ts';

const assetsInSlice = 20_000;

/** `from`: milliseconds since 1970. */
export function* exposedSince(
  { assets, rows, exceptions, loose }: FindingSources,
  from: number,
): Sliced<ExposedSince> {
  const seconds = from / 1000 - sinceEpochSeconds;
  const ids = assets.live.toUint32Array();
  const [earlier, later] = [new Uint32Array(ids.length), new Uint32Array(ids.length)];
  let [earlierOnes, laterOnes] = [0, 0];
  for (const [at, id] of ids.entries()) {
    const { since, from: first, to } = rows.row(id);
    let [isEarlier, isLater] = [true, true];
    for (let i = first; i < to; i++) {
      if ((since[i] ?? 0) >= seconds) isEarlier = false;
      else isLater = false;
    }
    if (exceptions.apart.has(id)) {
      for (const one of exceptions.of(id).stale) {
        if (one.since >= seconds) isEarlier = false;
        else isLater = false;
      }
    }
    if (isEarlier) earlier[earlierOnes++] = id;
    else if (isLater) later[laterOnes++] = id;
    if (at % assetsInSlice === assetsInSlice - 1) yield;
  }
  const kept = assetSet(exceptions.firstSeen.before(from));
  const result = {
    earlier: assetSet(earlier.subarray(0, earlierOnes)),
    later: assetSet(later.subarray(0, laterOnes)),
    kept,
  };
  // Software that became vulnerable when assets had it already is in no row of theirs; it came before its verdict.
  removeAll(result.later, union([...loose.values(), kept]));
  return result;
}
