/**
 * Texts by small numbers, each stored once, with how often it is used. A text that nobody uses any more is forgotten and its
 * number given to another. Found by a `Map`, not by a table of our own: many of the texts come from hosts, and the hash of
 * the engine is seeded, so that nobody can choose texts that all fall into one place.
 */
import { grownNumbers } from './grown.ts';

export class TextDictionary {
  readonly #numbers = new Map<string, number>();
  /** By number; 0 is no text's number. */
  readonly #texts: (string | undefined)[] = [undefined];
  #uses: Uint32Array<ArrayBuffer> = new Uint32Array(8);
  readonly #free: number[] = [];
  #latest = 0;

  /** How many texts there are. */
  get size(): number {
    return this.#numbers.size;
  }

  /** Numbers are less than this. */
  get end(): number {
    return this.#texts.length;
  }

  /** The number of a text; 0: it is not there. */
  find(text: string): number {
    return this.#numbers.get(text) ?? 0;
  }

  /** The text of a number that is in use; null for any other. */
  text(number: number): string | null {
    return this.#texts[number] ?? null;
  }

  /** The number of a text, which is used once more now. */
  take(text: string): number {
    // Much is the same from one asset to the next, and to compare costs less than to look up.
    let number = text === this.#texts[this.#latest] ? this.#latest : this.#numbers.get(text);
    if (number === undefined) {
      number = this.#free.pop() ?? this.#texts.length;
      this.#texts[number] = text;
      this.#uses = grownNumbers(this.#uses, number + 1);
      this.#numbers.set(text, number);
    }
    this.#uses[number] = (this.#uses[number] ?? 0) + 1;
    this.#latest = number;
    return number;
  }

  /** One use less. True: that was the last one, and the number is free. */
  release(number: number): boolean {
    const text = this.#texts[number];
    const left = (this.#uses[number] ?? 0) - 1;
    if (text === undefined || left < 0) throw new Error(`the text ${number} is not in use`);
    this.#uses[number] = left;
    if (left > 0) return false;
    this.#numbers.delete(text);
    this.#texts[number] = undefined;
    this.#free.push(number);
    return true;
  }
}
