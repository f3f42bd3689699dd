/**
 * Sets of assets, by their ids (small positive integers), as roaring bitmaps.
 *
 * A set lives outside of the JavaScript heap. Sets that are dropped are freed when they are collected; whoever makes many of
 * them in a loop disposes of them, or memory grows until then.
 */
import roaring, { type RoaringBitmap32 } from 'roaring-wasm';

/** A set that its holder may change. */
export type AssetSet = RoaringBitmap32;
/** A set that belongs to somebody else: to be read, and not to be kept across a change of the fleet. */
export type ReadonlyAssetSet = Omit<
  RoaringBitmap32,
  | 'add'
  | 'addMany'
  | 'tryAdd'
  | 'addRange'
  | 'delete'
  | 'remove'
  | 'removeMany'
  | 'removeRange'
  | 'clear'
  | 'overwrite'
  | 'pop'
  | 'shift'
  | 'andInPlace'
  | 'orInPlace'
  | 'xorInPlace'
  | 'andNotInPlace'
  | 'flipRange'
  | 'dispose'
>;

const Bitmap = roaring.RoaringBitmap32;

/**
 * roaring-wasm 1.1.0 adds more than 983,040 ids in pieces, and when its memory grows meanwhile it goes on writing into the
 * memory as it was: what is typed throws, and of the rest ids are lost. So it is given no more than this at a time.
 */
const mostAtOnce = 500_000;

export function assetSet(ids?: Iterable<number>): AssetSet {
  const set = new Bitmap();
  if (ids !== undefined) addIds(set, ids instanceof Uint32Array ? ids : Uint32Array.from(ids));
  return set;
}

/** Fastest when they ascend. */
export function addIds(to: AssetSet, ids: Uint32Array): void {
  for (let from = 0; from < ids.length; from += mostAtOnce) to.addMany(ids.subarray(from, from + mostAtOnce));
}

export function union(sets: readonly ReadonlyAssetSet[]): AssetSet {
  return sets.length === 0 ? new Bitmap() : Bitmap.orMany(sets.map(asLibrarys));
}

export function intersection(first: ReadonlyAssetSet, ...others: readonly ReadonlyAssetSet[]): AssetSet {
  const result = first.clone();
  for (const other of others) result.andInPlace(asLibrarys(other));
  return result;
}

export function difference(from: ReadonlyAssetSet, taken: ReadonlyAssetSet): AssetSet {
  return Bitmap.andNot(asLibrarys(from), asLibrarys(taken));
}

/** How many are in both. */
export function overlap(a: ReadonlyAssetSet, b: ReadonlyAssetSet): number {
  return a.andCardinality(asLibrarys(b));
}

export function addAll(to: AssetSet, more: ReadonlyAssetSet): void {
  to.orInPlace(asLibrarys(more));
}

export function removeAll(from: AssetSet, those: ReadonlyAssetSet): void {
  from.andNotInPlace(asLibrarys(those));
}

export function keepOnly(of: AssetSet, those: ReadonlyAssetSet): void {
  of.andInPlace(asLibrarys(those));
}

export function sameSet(a: ReadonlyAssetSet, b: ReadonlyAssetSet): boolean {
  return a.isEqual(asLibrarys(b));
}

/** The portable format of roaringbitmap.org, the same for every implementation. */
export function serialise(set: ReadonlyAssetSet): Uint8Array {
  return set.serialize('portable');
}

/** Throws on bytes that are no set. */
export function deserialise(bytes: Uint8Array): AssetSet {
  return Bitmap.deserialize(bytes, 'portable');
}

/** The library's functions want a set that could be written to, also where they only read it. */
function asLibrarys(set: ReadonlyAssetSet): RoaringBitmap32 {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return set as RoaringBitmap32;
}
