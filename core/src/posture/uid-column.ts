/**
 * The UUID of each asset in 16 bytes, and the asset of each UUID: a `Map` of a million takes a hundred megabytes, this 24.
 */
import { grownNumbers } from './grown.ts';

const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const wordsPerUid = 4;

export class UidColumn {
  #words: Uint32Array<ArrayBuffer> = new Uint32Array(0);
  /** Ids by hash, 0: empty. The length is a power of two, at least a third of it empty. */
  #slots: Uint32Array<ArrayBuffer> = new Uint32Array(16);
  #count = 0;

  /** Gives a new asset its UUID, for good. That it has another one is a bug. */
  put(id: number, uid: string): void {
    const words = wordsOf(uid);
    if (words === null) throw new Error(`${uid} is no UUID`);
    const known = this.#slots[this.#slotOf(words)] ?? 0;
    if (known === id) return;
    if (known !== 0) throw new Error(`${uid} is the asset ${known}, and not ${id}`);
    if (this.#wordsAt(id).some((word) => word !== 0))
      throw new Error(`the asset ${id} is ${this.textOf(id)}, and not ${uid}`);
    if ((this.#count + 1) * 3 > this.#slots.length * 2) this.#widen();
    this.#words = grownNumbers(this.#words, (id + 1) * wordsPerUid);
    this.#words.set(words, id * wordsPerUid);
    this.#slots[this.#slotOf(words)] = id;
    this.#count++;
  }

  textOf(id: number): string {
    const hex = this.#wordsAt(id)
      .map((word) => word.toString(16).padStart(8, '0'))
      .join('');
    const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)];
    return parts.join('-');
  }

  /** Null: no asset has it, or it is no UUID. */
  idOf(uid: string): number | null {
    const words = wordsOf(uid);
    const id = words === null ? 0 : this.#slots[this.#slotOf(words)];
    return id === undefined || id === 0 ? null : id;
  }

  #wordsAt(id: number): number[] {
    return Array.from({ length: wordsPerUid }, (_, word) => this.#words[id * wordsPerUid + word] ?? 0);
  }

  /** The slot of the asset with that UUID, or the empty one where it would be put. */
  #slotOf(words: readonly number[]): number {
    const mask = this.#slots.length - 1;
    let slot = hashOf(words) & mask;
    for (;;) {
      const at = (this.#slots[slot] ?? 0) * wordsPerUid;
      if (at === 0 || words.every((word, index) => word === this.#words[at + index])) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #widen(): void {
    const ids = this.#slots;
    this.#slots = new Uint32Array(ids.length * 2);
    for (const id of ids) if (id !== 0) this.#slots[this.#slotOf(this.#wordsAt(id))] = id;
  }
}

function wordsOf(uid: string): number[] | null {
  if (!pattern.test(uid)) return null;
  const hex = uid.replaceAll('-', '');
  return [0, 8, 16, 24].map((at) => Number.parseInt(hex.slice(at, at + 8), 16));
}

/** The finish of MurmurHash3 over all words: parts of a UUID of version 7 are a clock. */
function hashOf(words: readonly number[]): number {
  let hash = 0;
  for (const word of words) {
    hash = Math.imul(hash ^ word, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash >>> 0;
}
