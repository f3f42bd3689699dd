/**
 * Addresses of one family in their order, with whose they are, so that a range is found by two searches. What changes stands
 * beside it until it is worth sorting again; assets with such changes are passed over in the sorted part.
 *
 * An address is its 32-bit words, the highest first: one for IPv4, four for IPv6.
 */
import { addAll, assetSet, removeAll, type AssetSet } from './asset-set.ts';
import { grownNumbers } from './grown.ts';

type Words = Uint32Array<ArrayBuffer>;

/** From the first address to the last, both included. */
export interface AddressRange {
  readonly first: readonly number[];
  readonly last: readonly number[];
}

/** Changes are folded in when there are more than this, and more than one to `perChange` addresses. */
const fewestChanges = 4096;
const perChange = 8;
/** Of fewer ids the set is made by sorting them, of more by marking. */
const sortable = 4096;

export class AddressIndex {
  readonly #width: number;
  /** Word by word in columns, and the asset of each. */
  #words: Words[];
  #assets: Words = new Uint32Array(0);
  #count = 0;
  #isSorted = true;
  /** Assets with addresses in the columns. */
  readonly #inColumns = assetSet();
  /** Of these, the assets that have others now. */
  readonly #stale = assetSet();
  /** Addresses of assets that changed since, one after the other. */
  readonly #changes = new Map<number, readonly number[]>();

  constructor(width: 1 | 4) {
    this.#width = width;
    this.#words = Array.from({ length: width }, () => new Uint32Array(0));
  }

  /** Gives an asset its addresses, one after the other. */
  put(id: number, addresses: readonly number[]): void {
    if (this.#inColumns.has(id)) this.#stale.add(id);
    if (addresses.length === 0) this.#changes.delete(id);
    else this.#changes.set(id, addresses);
    const changes = this.#changes.size + this.#stale.size;
    if (changes > Math.max(fewestChanges, this.#count / perChange)) this.#fold();
  }

  /** The assets with an address in one of the ranges. A new set. */
  within(ranges: readonly AddressRange[]): AssetSet {
    this.#sort();
    const found = assetSet();
    for (const { first, last } of ranges) {
      const set = this.#assetsBetween(this.#placeOf(first, 0), this.#placeOf(last, 1));
      addAll(found, set);
      set.dispose();
    }
    removeAll(found, this.#stale);
    for (const [id, addresses] of this.#changes)
      if (ranges.some((range) => this.#isAny(addresses, range))) found.add(id);
    return found;
  }

  #isAny(addresses: readonly number[], { first, last }: AddressRange): boolean {
    for (let at = 0; at < addresses.length; at += this.#width) {
      const address = addresses.slice(at, at + this.#width);
      if (compareWords(address, first) >= 0 && compareWords(address, last) <= 0) return true;
    }
    return false;
  }

  /** How many addresses are less than this one; `orEqual` 1: less or equal. */
  #placeOf(address: readonly number[], orEqual: 0 | 1): number {
    let [low, high] = [0, this.#count];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const there = this.#words.map((column) => column[middle] ?? 0);
      if (compareWords(there, address) < orEqual) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #assetsBetween(from: number, to: number): AssetSet {
    if (to - from === this.#count) return this.#inColumns.clone();
    if (to - from <= sortable) return assetSet(this.#assets.slice(from, Math.max(from, to)).sort());
    const marks = new Uint8Array((this.#inColumns.maximum() || 0) + 1);
    for (let place = from; place < to; place++) marks[this.#assets[place] ?? 0] = 1;
    const ids = new Uint32Array(to - from);
    let count = 0;
    for (let id = 1; id < marks.length; id++) if (marks[id] === 1) ids[count++] = id;
    return assetSet(ids.subarray(0, count));
  }

  /** Takes what is stale out of the columns and puts the changes in, at the end. */
  #fold(): void {
    if (!this.#stale.isEmpty) {
      let kept = 0;
      for (let place = 0; place < this.#count; place++) {
        const id = this.#assets[place] ?? 0;
        if (this.#stale.has(id)) continue;
        for (const column of this.#words) column[kept] = column[place] ?? 0;
        this.#assets[kept++] = id;
      }
      this.#count = kept;
      removeAll(this.#inColumns, this.#stale);
      this.#stale.clear();
    }
    let end = this.#count;
    for (const addresses of this.#changes.values()) end += addresses.length / this.#width;
    this.#words = this.#words.map((column) => grownNumbers(column, end));
    this.#assets = grownNumbers(this.#assets, end);
    for (const [id, addresses] of this.#changes) {
      for (let at = 0; at < addresses.length; at += this.#width) {
        for (const [word, column] of this.#words.entries()) column[this.#count] = addresses[at + word] ?? 0;
        this.#assets[this.#count++] = id;
      }
      this.#inColumns.add(id);
      this.#isSorted = false;
    }
    this.#changes.clear();
  }

  #sort(): void {
    if (this.#isSorted) return;
    const order = orderOf(this.#words, this.#count);
    const arranged = (column: Words): Words => {
      const result = new Uint32Array(this.#count);
      for (let place = 0; place < result.length; place++) result[place] = column[order[place] ?? 0] ?? 0;
      return result;
    };
    this.#words = this.#words.map(arranged);
    this.#assets = arranged(this.#assets);
    this.#isSorted = true;
  }
}

function compareWords(a: readonly number[], b: readonly number[]): number {
  for (let word = 0; word < a.length; word++) {
    const order = (a[word] ?? 0) - (b[word] ?? 0);
    if (order !== 0) return order;
  }
  return 0;
}

/**
 * The places of the columns in ascending order: a radix sort by bytes, the lowest first. Much faster than comparing, of which
 * a million addresses need twenty million.
 */
function orderOf(words: readonly Words[], count: number): Words {
  let order = Uint32Array.from({ length: count }, (_, place) => place);
  let next = new Uint32Array(count);
  for (const column of words.toReversed())
    for (let shift = 0; shift < 32; shift += 8) {
      const starts = new Uint32Array(257);
      for (let place = 0; place < count; place++) {
        const bucket = (((column[place] ?? 0) >>> shift) & 0xff) + 1;
        starts[bucket] = (starts[bucket] ?? 0) + 1;
      }
      if (starts.includes(count)) continue;
      for (let bucket = 1; bucket < starts.length; bucket++)
        starts[bucket] = (starts[bucket] ?? 0) + (starts[bucket - 1] ?? 0);
      for (const place of order) {
        const bucket = ((column[place] ?? 0) >>> shift) & 0xff;
        const to = starts[bucket] ?? 0;
        next[to] = place;
        starts[bucket] = to + 1;
      }
      [order, next] = [next, order];
    }
  return order;
}
