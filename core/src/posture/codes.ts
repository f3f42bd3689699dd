/**
 * A small number for each asset, 0 where there is none. As long as few assets have one they stand in a map; then in a column
 * of one, two or four bytes for each asset, as the greatest number needs.
 */
type Dense = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** The map is left when it has this many entries and they are not thinner than one in `thin`. */
const fewest = 1024;
const thin = 16;

export class Codes {
  #sparse: Map<number, number> | null = new Map();
  #dense: Dense = new Uint8Array(0);
  /** That the column can hold: 2^8 - 1, 2^16 - 1 or 2^32 - 1. */
  #greatest = 0xff;
  #greatestId = 0;

  get(id: number): number {
    return (this.#sparse === null ? this.#dense[id] : this.#sparse.get(id)) ?? 0;
  }

  set(id: number, code: number): void {
    if (this.#sparse === null) {
      this.#put(id, code);
      return;
    }
    if (code === 0) this.#sparse.delete(id);
    else this.#sparse.set(id, code);
    if (id > this.#greatestId) this.#greatestId = id;
    if (this.#sparse.size < fewest || this.#sparse.size * thin < this.#greatestId) return;
    const entries = this.#sparse;
    this.#sparse = null;
    for (const [each, theirs] of entries) this.#put(each, theirs);
  }

  #put(id: number, code: number): void {
    if (id >= this.#dense.length || code > this.#greatest) this.#grow(id, code);
    this.#dense[id] = code;
  }

  #grow(id: number, code: number): void {
    const length = id < this.#dense.length ? this.#dense.length : Math.max(id + 1, this.#dense.length * 2);
    while (code > this.#greatest) this.#greatest = (this.#greatest + 1) ** 2 - 1;
    const column =
      this.#greatest === 0xff
        ? new Uint8Array(length)
        : this.#greatest === 0xffff
          ? new Uint16Array(length)
          : new Uint32Array(length);
    column.set(this.#dense);
    this.#dense = column;
  }
}
