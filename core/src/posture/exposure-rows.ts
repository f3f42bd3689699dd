/**
 * By asset its carriers, with since when: the rows that are walked to judge or count assets. Rows of the order of ids lie one
 * behind the other in typed arrays; an asset that changes later gets a row of its own beside them until they are written
 * anew. Carriers are 16-bit numbers while there are that few.
 */

import type { Sliced } from './select/selection.ts';

export interface ExposureRow {
  readonly carriers: Uint16Array | Uint32Array;
  /** Parallel: seconds since 2020-01-01 UTC. */
  readonly since: Int32Array;
  readonly from: number;
  readonly to: number;
}

const mostSmall = 65_536;
const rowsInSlice = 20_000;
const empty: ExposureRow = { carriers: new Uint16Array(0), since: new Int32Array(0), from: 0, to: 0 };

export class ExposureRows {
  #offsets = new Uint32Array(1025);
  #carriers: Uint16Array | Uint32Array = new Uint16Array(4096);
  #since = new Int32Array(4096);
  /** The greatest id that has a place in the arrays. */
  #last = 0;
  #changed = new Map<number, ExposureRow>();

  /** Rows beside the arrays. */
  get changed(): number {
    return this.#changed.size;
  }

  row(id: number): ExposureRow {
    const own = this.#changed.get(id);
    if (own !== undefined) return own;
    if (id > this.#last || id < 1) return empty;
    return {
      carriers: this.#carriers,
      since: this.#since,
      from: this.#offsets[id] ?? 0,
      to: this.#offsets[id + 1] ?? 0,
    };
  }

  /** The arrays themselves, for walking many rows; those of `changedIds` are elsewhere. */
  arrays(): {
    readonly offsets: Uint32Array;
    readonly carriers: Uint16Array | Uint32Array;
    readonly last: number;
    readonly changed: ReadonlyMap<number, ExposureRow>;
  } {
    return {
      offsets: this.#offsets,
      carriers: this.#carriers,
      last: this.#last,
      changed: this.#changed,
    };
  }

  set(id: number, carriers: readonly number[], since: readonly number[]): void {
    if (id > this.#last) this.#append(id, carriers, since);
    else {
      this.#changed.set(id, {
        carriers: Uint32Array.from(carriers),
        since: Int32Array.from(since),
        from: 0,
        to: carriers.length,
      });
    }
  }

  #append(id: number, carriers: readonly number[], since: readonly number[]): void {
    const start = this.#offsets[this.#last + 1] ?? 0;
    const end = start + carriers.length;
    if (id + 1 >= this.#offsets.length) this.#offsets = grown(this.#offsets, id + 2);
    if (this.#carriers instanceof Uint16Array && carriers.some((one) => one >= mostSmall))
      this.#carriers = Uint32Array.from(this.#carriers);
    if (end > this.#carriers.length) {
      this.#carriers = grown(this.#carriers, end);
      this.#since = grown(this.#since, end);
    }
    // Ids between, of assets that there are not, have an empty row.
    this.#offsets.fill(start, this.#last + 1, id + 1);
    this.#carriers.set(carriers, start);
    this.#since.set(since, start);
    this.#offsets[id + 1] = end;
    this.#last = id;
  }

  /**
   * Writes all rows one behind the other again, with these carriers in them of assets whose rows are without; since when they
   * are there is 0, for their verdict is younger and alone counts. Nothing may change until it is done.
   */
  *compact(more: readonly { readonly carrier: number; readonly assets: Uint32Array }[]): Sliced<void> {
    const extra = new Uint8Array(this.#last + 1);
    for (const { assets } of more) for (const id of assets) extra[id] = (extra[id] ?? 0) + 1;
    let length = this.#offsets[this.#last + 1] ?? 0;
    let isSmall = this.#carriers instanceof Uint16Array && more.every(({ carrier }) => carrier < mostSmall);
    for (const row of this.#changed.values()) {
      length += row.to - row.from;
      isSmall &&= row.carriers.every((one) => one < mostSmall);
    }
    for (const { assets } of more) length += assets.length;
    const carriers = isSmall ? new Uint16Array(length) : new Uint32Array(length);
    const since = new Int32Array(length);
    const offsets = new Uint32Array(this.#last + 2);
    let end = 0;
    for (let id = 1; id <= this.#last; id++) {
      const row = this.row(id);
      offsets[id] = end;
      for (let at = row.from; at < row.to; at++) {
        carriers[end] = row.carriers[at] ?? 0;
        since[end] = row.since[at] ?? 0;
        end += 1;
      }
      end += extra[id] ?? 0;
      if (id % rowsInSlice === 0) yield;
    }
    offsets[this.#last + 1] = end;
    for (const { carrier, assets } of more) {
      for (const id of assets) {
        const left = extra[id] ?? 0;
        carriers[(offsets[id + 1] ?? 0) - left] = carrier;
        extra[id] = left - 1;
      }
      yield;
    }
    [this.#offsets, this.#carriers, this.#since] = [offsets, carriers, since];
    this.#changed = new Map();
  }
}

function grown<Numbers extends Uint16Array | Uint32Array | Int32Array>(
  from: Numbers,
  least: number,
): Numbers {
  const length = Math.max(least, Math.ceil(from.length * 1.5));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- of the same class
  const larger = new (from.constructor as new (length: number) => Numbers)(length);
  larger.set(from);
  return larger;
}
