/**
 * A list of texts for each asset, or none: units, packages on hold. Hosts of one image have the same list, so each distinct
 * list is stored once, as a text of the numbers of what is in it. Order and repetitions are dropped.
 */
import type { FactValue, Truth } from '../query/evaluate.ts';
import { compareText } from '../knowledge/compare-text.ts';
import type { ReadonlyAssetSet } from './asset-set.ts';
import { CodedColumn } from './coded-column.ts';
import { TextDictionary } from './text-dictionary.ts';
import type { OwnTruths } from './scan.ts';

/** PostgreSQL holds no text with it. */
const separator = '\0';
const mostRecent = 4096;

export class ListColumn {
  /** Each is used once by every list that it is in. */
  readonly #values = new TextDictionary();
  readonly #lists = new CodedColumn((list) => {
    let isValueGone = false;
    for (const number of numbersIn(list)) if (this.#values.release(number)) isValueGone = true;
    // Its number is another's soon.
    if (isValueGone) this.#recent.clear();
  });
  /** Lists as they were written lately: most hosts report one that another has reported. */
  readonly #recent = new Map<string, string>();

  /** In the order of code units; null: none. */
  valuesOf(id: number): string[] | null {
    const list = this.#lists.textOf(id);
    if (list === null) return null;
    return numbersIn(list)
      .map((number) => this.#values.text(number) ?? '')
      .toSorted(compareText);
  }

  /** Gives an asset its list; `listed`: it is, before and after. Whether that is another one. */
  put(id: number, texts: readonly string[] | null, listed: boolean): boolean {
    return this.#lists.put(id, texts === null ? null : this.#listOf(texts), listed);
  }

  list(id: number): void {
    this.#lists.list(id);
  }

  unlist(id: number): void {
    this.#lists.unlist(id);
  }

  /** How many values there are. */
  get distinct(): number {
    return this.#values.size;
  }

  /** Values with how many listed assets have them. */
  counts(): Map<string, number> {
    const found = new Map<string, number>();
    for (const [list, assets] of this.#lists.counts())
      for (const number of numbersIn(list)) {
        const text = this.#values.text(number) ?? '';
        found.set(text, (found.get(text) ?? 0) + assets);
      }
    return found;
  }

  /** Where a question is true and where false; it is asked once of each value. */
  truths(ask: (fact: FactValue) => Truth, within: ReadonlyAssetSet, known: ReadonlyAssetSet): OwnTruths {
    // By value: 0 not asked yet, then 1 true, 2 false, 3 neither.
    const answers = new Uint8Array(this.#values.end);
    const answerOf = (number: number): number => {
      const before = answers[number] ?? 0;
      if (before !== 0) return before;
      const truth = ask(this.#values.text(number) ?? '');
      const answer = truth === null ? 3 : truth ? 1 : 2;
      answers[number] = answer;
      return answer;
    };
    // What `compileFact` does of a list, with answers that are there already.
    const empty = ask([]);
    const askList = (list: string): Truth => {
      let truth: Truth = empty;
      for (let at = 0; at < list.length; at += unitsAt(list, at)) {
        const answer = answerOf(numberAt(list, at));
        if (answer === 1) return true;
        if (answer === 3) truth = null;
      }
      return truth;
    };
    return this.#lists.truths(askList, ask(null), within, known);
  }

  #listOf(texts: readonly string[]): string {
    if (texts.length === 0) return '';
    const written = texts.join(separator);
    const recent = this.#recent.get(written);
    if (recent !== undefined && this.#lists.has(recent)) return recent;
    const known = this.#packed(texts, (text) => this.#values.find(text));
    // A list with something new in it (0) is none that there is.
    const list = this.#lists.has(known)
      ? known
      : this.#packed([...new Set(texts)], (text) => this.#values.take(text));
    if (this.#recent.size === mostRecent) this.#recent.clear();
    this.#recent.set(written, list);
    return list;
  }

  /**
   * Their numbers, ascending and each once, as a text of UTF-16 units: one for a number below 2^15, else two, of which the first
   * has the high bit set. The engine stores a text whose units are all below 256 in one byte each.
   */
  #packed(texts: readonly string[], numberOf: (text: string) => number): string {
    const numbers = new Uint32Array(texts.length);
    for (let at = 0; at < numbers.length; at++) numbers[at] = numberOf(texts[at] ?? '');
    numbers.sort();
    const units: number[] = [];
    let list = '';
    for (let at = 0; at < numbers.length; at++) {
      const number = numbers[at] ?? 0;
      if (at > 0 && number === numbers[at - 1]) continue;
      if (number < 0x8000) units.push(number);
      else units.push(0x8000 | (number >>> 16), number & 0xffff);
      // As many as a function surely takes.
      if (units.length > 4000) list += String.fromCharCode(...units.splice(0));
    }
    return list + String.fromCharCode(...units);
  }
}

function unitsAt(list: string, at: number): number {
  return list.charCodeAt(at) < 0x8000 ? 1 : 2;
}

function numberAt(list: string, at: number): number {
  const unit = list.charCodeAt(at);
  return unit < 0x8000 ? unit : (unit & 0x7fff) * 0x10000 + list.charCodeAt(at + 1);
}

function numbersIn(list: string): number[] {
  const found: number[] = [];
  for (let at = 0; at < list.length; at += unitsAt(list, at)) found.push(numberAt(list, at));
  return found;
}
