/** Groups of carriers that an asset has side by side: two versions of one package. */
import type { CarrierGroup, Carriers } from './carriers.ts';
import { held } from './vulnerabilities.ts';

/** A group, or what several groups of one package come to on an asset that has them all. */
export type Combined = Pick<CarrierGroup, 'package' | 'ecosystem' | 'vulnerable' | 'undetermined'>;

/** What two versions side by side have together: what one of them is vulnerable to the asset is vulnerable to. */
function together(a: Combined, b: Combined): Combined {
  const vulnerable = new Set([...a.vulnerable, ...b.vulnerable]);
  const undetermined = new Set([...a.undetermined, ...b.undetermined]).difference(vulnerable);
  return { ...a, vulnerable: [...vulnerable], undetermined: [...undetermined] };
}

/** Groups, and after them those that are met together. */
export class Combinations {
  readonly #carriers: Carriers;
  readonly #combined: Combined[] = [];
  readonly #places = new Map<number, number>();

  constructor(carriers: Carriers) {
    this.#carriers = carriers;
  }

  /** Groups and combinations are counted through. */
  get count(): number {
    return this.#carriers.groupCount + this.#combined.length;
  }

  at(index: number): Combined {
    const beyond = index - this.#carriers.groupCount;
    if (beyond < 0) return this.#carriers.group(index);
    return held(this.#combined[beyond], 'combination', index);
  }

  of(first: number, second: number): number {
    const [a, b] = first < second ? [first, second] : [second, first];
    const key = a * 0x1_0000_0000 + b;
    let place = this.#places.get(key);
    if (place === undefined) {
      place = this.#carriers.groupCount + this.#combined.length;
      this.#combined.push(together(this.at(a), this.at(b)));
      this.#places.set(key, place);
    }
    return place;
  }
}
