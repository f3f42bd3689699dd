/**
 * The UUID of each asset in 16 bytes, and the asset of each UUID: a `Map` of a million takes a hundred megabytes, this 24.
 */
import { grownNumbers } from './grown.ts';

const wordsPerUid = 4;
type Words = Uint32Array<ArrayBuffer>;

export class UidColumn {
  #words: Words = new Uint32Array(0);
  /** Ids by hash, 0: empty. The length is a power of two, at least a third of it empty. */
  #slots: Words = new Uint32Array(16);
  #count = 0;

  /** Gives a new asset its UUID, for good. That it has another one is a bug. */
  put(id: number, uid: string): void {
    const words = wordsOf(uid);
    if (words === null) throw new Error(`${uid} is no UUID`);
    const known = this.#slots[this.#slotOf(words)] ?? 0;
    if (known === id) return;
    if (known !== 0) throw new Error(`${uid} is the asset ${known}, and not ${id}`);
    this.#words = grownNumbers(this.#words, (id + 1) * wordsPerUid);
    if (this.#wordsAt(id).some((word) => word !== 0))
      throw new Error(`the asset ${id} is ${this.textOf(id)}, and not ${uid}`);
    if ((this.#count + 1) * 3 > this.#slots.length * 2) this.#widen();
    this.#words.set(words, id * wordsPerUid);
    this.#slots[this.#slotOf(words)] = id;
    this.#count++;
  }

  textOf(id: number): string {
    const hex = Array.from(this.#wordsAt(id), (word) => word.toString(16).padStart(8, '0')).join('');
    const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)];
    return parts.join('-');
  }

  /** Null: no asset has it, or it is no UUID. */
  idOf(uid: string): number | null {
    const words = wordsOf(uid);
    const id = words === null ? 0 : this.#slots[this.#slotOf(words)];
    return id === undefined || id === 0 ? null : id;
  }

  #wordsAt(id: number): Words {
    return this.#words.subarray(id * wordsPerUid, (id + 1) * wordsPerUid);
  }

  /** The slot of the asset with that UUID, or the empty one where it would be put. */
  #slotOf(words: Words): number {
    const mask = this.#slots.length - 1;
    let slot = hashOf(words) & mask;
    for (;;) {
      const id = this.#slots[slot] ?? 0;
      if (id === 0 || this.#isAt(id, words)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #isAt(id: number, words: Words): boolean {
    for (let word = 0; word < wordsPerUid; word++)
      if (words[word] !== this.#words[id * wordsPerUid + word]) return false;
    return true;
  }

  #widen(): void {
    const ids = this.#slots;
    this.#slots = new Uint32Array(ids.length * 2);
    for (const id of ids) if (id !== 0) this.#slots[this.#slotOf(this.#wordsAt(id))] = id;
  }
}

/** Null: the text is no UUID. Digit by digit, which takes a tenth of the time of a pattern and `parseInt`. */
function wordsOf(uid: string): Words | null {
  if (uid.length !== 36) return null;
  const words = new Uint32Array(wordsPerUid);
  let digits = 0;
  for (let at = 0; at < 36; at++) {
    const unit = uid.charCodeAt(at);
    if (at === 8 || at === 13 || at === 18 || at === 23) {
      if (unit !== 0x2d) return null;
      continue;
    }
    const lower = unit | 0x20;
    let digit = unit - 0x30;
    if (lower >= 0x61 && lower <= 0x66) digit = lower - 0x57;
    else if (digit < 0 || digit > 9) return null;
    words[digits >> 3] = ((words[digits >> 3] ?? 0) << 4) | digit;
    digits++;
  }
  return words;
}

/** The finish of MurmurHash3 over all words: parts of a UUID of version 7 are a clock. */
function hashOf(words: Words): number {
  let hash = 0;
  for (const word of words) {
    hash = Math.imul(hash ^ word, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash >>> 0;
}
