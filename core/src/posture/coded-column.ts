/** One text for each asset, or none, with the assets of each text: what is asked of a text is asked once for all its assets. */
import type { Truth } from '../query/evaluate.ts';
import { difference, intersection, keepOnly, removeAll, type ReadonlyAssetSet } from './asset-set.ts';
import { Codes } from './codes.ts';
import { Gathering, sizeOf, withMember, withoutMember, type Members } from './members.ts';
import { scanned, type OwnTruths } from './scan.ts';
import { TextDictionary } from './text-dictionary.ts';

/** So few assets are asked one by one. */
const fewAssets = 64;

export class CodedColumn {
  readonly #texts = new TextDictionary();
  readonly #codes = new Codes();
  /** By code: of the assets that are listed. */
  readonly #members: Members[] = [];
  readonly #forgotten: (text: string) => void;

  /** `forgotten` is told of each text that no asset has any more. */
  constructor(forgotten: (text: string) => void = () => {}) {
    this.#forgotten = forgotten;
  }

  /** How many texts there are, also of assets that are not listed. */
  get distinct(): number {
    return this.#texts.size;
  }

  textOf(id: number): string | null {
    return this.#texts.text(this.#codes.get(id));
  }

  has(text: string): boolean {
    return this.#texts.find(text) !== 0;
  }

  /** Gives an asset its text; `listed`: it is, before and after. Whether that is another one. */
  put(id: number, text: string | null, listed: boolean): boolean {
    const before = this.#codes.get(id);
    const former = this.#texts.text(before);
    if (former === text) return false;
    const code = text === null ? 0 : this.#texts.take(text);
    this.#codes.set(id, code);
    if (listed) {
      this.#leave(before, id);
      this.#enter(code, id);
    }
    if (former !== null && this.#texts.release(before)) this.#forgotten(former);
    return true;
  }

  /** The asset counts from now on. */
  list(id: number): void {
    this.#enter(this.#codes.get(id), id);
  }

  /** The asset keeps its text, and is not counted any more. */
  unlist(id: number): void {
    this.#leave(this.#codes.get(id), id);
  }

  /** Texts of listed assets with how many these are. */
  *counts(): Generator<readonly [text: string, assets: number]> {
    for (let code = 1; code < this.#texts.end; code++) {
      const size = sizeOf(this.#members[code] ?? 0);
      const text = this.#texts.text(code);
      if (size > 0 && text !== null) yield [text, size];
    }
  }

  /** Listed assets of exactly that text, ascending. */
  assetsOf(text: string): number[] {
    const gathered = new Gathering();
    gathered.addMembers(this.#members[this.#texts.find(text)] ?? 0);
    const found = gathered.all();
    const ids = found.toArray();
    found.dispose();
    return ids;
  }

  /** Where a question is true and where false, of the listed assets `within`. `none`: of those that have no text. */
  truths(
    ask: (text: string) => Truth,
    none: Truth,
    within: ReadonlyAssetSet,
    known: ReadonlyAssetSet,
  ): OwnTruths {
    if (within.size <= Math.max(fewAssets, this.#texts.size))
      return scanned(within, (id) => {
        const text = this.textOf(id);
        return text === null ? none : ask(text);
      });
    const [holds, open] = [new Gathering(), new Gathering()];
    for (let code = 1; code < this.#texts.end; code++) {
      const members = this.#members[code] ?? 0;
      const text = members === 0 ? null : this.#texts.text(code);
      if (text === null) continue;
      const truth = ask(text);
      if (truth === true) holds.addMembers(members);
      else if (truth === null) open.addMembers(members);
    }
    return settled(holds, open, none, within, known);
  }

  #enter(code: number, id: number): void {
    if (code !== 0) this.#members[code] = withMember(this.#members[code] ?? 0, id);
  }

  #leave(code: number, id: number): void {
    if (code !== 0) this.#members[code] = withoutMember(this.#members[code] ?? 0, id);
  }
}

/**
 * `holding`: where it is true; `open`: where neither; of the assets that have a fact (`known`) it is false for the rest, and
 * of those without the answer is `none`. All of it `within`.
 */
export function settled(
  holding: Gathering,
  open: Gathering,
  none: Truth,
  within: ReadonlyAssetSet,
  known: ReadonlyAssetSet,
): OwnTruths {
  const holds = holding.all();
  keepOnly(holds, within);
  const fails = intersection(within, known);
  removeAll(fails, holds);
  const unanswered = open.all();
  removeAll(fails, unanswered);
  unanswered.dispose();
  if (none !== null) {
    const without = difference(within, known);
    (none ? holds : fails).orInPlace(without);
    without.dispose();
  }
  return { holds, fails };
}
