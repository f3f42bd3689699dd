/**
 * Whether an asset has the same software as before, without holding what it has: which is asked of every asset of which something
 * else is new, and to look for it in the set of each software takes milliseconds an asset.
 */
import { grownNumbers } from './grown.ts';

/** 64 bits an asset, of its software in any order. */
export class SoftwarePrints {
  #first: Uint32Array<ArrayBuffer> = new Uint32Array(0);
  #second: Uint32Array<ArrayBuffer> = new Uint32Array(0);

  set(asset: number, software: ArrayLike<number>): void {
    const [first, second] = printOf(software);
    this.#first = grownNumbers(this.#first, asset + 1);
    this.#second = grownNumbers(this.#second, asset + 1);
    this.#first[asset] = first;
    this.#second[asset] = second;
  }

  isSame(asset: number, software: ArrayLike<number>): boolean {
    const [first, second] = printOf(software);
    return this.#first[asset] === first && this.#second[asset] === second;
  }
}

/** Sums of two mixes of each id: the finish of MurmurHash3, with different seeds. */
function printOf(software: ArrayLike<number>): readonly [number, number] {
  let [first, second] = [software.length, 0];
  for (let i = 0; i < software.length; i++) {
    const id = software[i] ?? 0;
    first = (first + mixed(id)) >>> 0;
    second = (second + mixed(id ^ 0x9e3779b9)) >>> 0;
  }
  return [first, second];
}

function mixed(id: number): number {
  let hash = Math.imul(id ^ (id >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
