/** Texts by keys of their own for each asset, or none at all: attributes, what the cloud says. */
import type { FactValue, Truth } from '../query/evaluate.ts';
import { assetSet, difference, intersection, type AssetSet, type ReadonlyAssetSet } from './asset-set.ts';
import { CodedColumn } from './coded-column.ts';
import type { OwnTruths } from './scan.ts';

interface Key {
  readonly column: CodedColumn;
  /** Listed assets that have the key. */
  readonly assets: AssetSet;
}

/** PostgreSQL holds no text with it. */
const separator = '\0';

export class KeyedColumn {
  readonly #keys = new Map<string, Key>();
  /** Which keys an asset has: few sets of keys are different. */
  readonly #keySets = new CodedColumn();
  /** Listed assets of which it is known what they have. */
  readonly #known = assetSet();

  /** Empty: the asset has nothing by that key. Null: what it has is not known. */
  textOf(id: number, key: string): FactValue {
    return this.#keys.get(key)?.column.textOf(id) ?? (this.#keySets.textOf(id) === null ? null : []);
  }

  /**
   * Gives an asset its texts; `listed`: it is, before and after. The keys whose text changed; null for all of them, when it was
   * not known what the asset has, or is not any more.
   */
  put(id: number, texts: Readonly<Record<string, string>> | null, listed: boolean): readonly string[] | null {
    const before = this.#keySets.textOf(id);
    const now = texts === null ? null : setOfKeys(Object.keys(texts));
    const changed: string[] = [];
    for (const key of keysIn(before))
      if (texts === null || !Object.hasOwn(texts, key)) {
        this.#put(id, key, null, listed);
        changed.push(key);
      }
    if (texts !== null)
      for (const [key, text] of Object.entries(texts))
        if (this.#put(id, key, text, listed)) changed.push(key);
    if (before === now) return changed;
    this.#keySets.put(id, now, listed);
    if (listed) this.#setKnown(id, now !== null);
    return before === null || now === null ? null : changed;
  }

  list(id: number): void {
    this.#keySets.list(id);
    for (const { column, assets } of this.#keysOf(id)) {
      column.list(id);
      assets.add(id);
    }
    this.#setKnown(id, this.#keySets.textOf(id) !== null);
  }

  unlist(id: number): void {
    this.#keySets.unlist(id);
    for (const { column, assets } of this.#keysOf(id)) {
      column.unlist(id);
      assets.delete(id);
    }
    this.#setKnown(id, false);
  }

  /** Keys that listed assets have, in the order of code units. */
  keys(): string[] {
    return [...this.#keys]
      .filter(([, { assets }]) => !assets.isEmpty)
      .map(([key]) => key)
      .toSorted();
  }

  /** The texts by one key. */
  column(key: string): CodedColumn | null {
    return this.#keys.get(key)?.column ?? null;
  }

  truths(key: string, ask: (fact: FactValue) => Truth, within: ReadonlyAssetSet): OwnTruths {
    const found = this.#keys.get(key);
    const [absent, unknown] = [ask([]), ask(null)];
    const asked = found?.column ?? new CodedColumn();
    const { holds, fails } = asked.truths(ask, null, within, found?.assets ?? assetSet());
    const others = found === undefined ? within.clone() : difference(within, found.assets);
    for (const [truth, those] of [
      [absent, intersection(others, this.#known)],
      [unknown, difference(others, this.#known)],
    ] as const) {
      if (truth !== null) (truth ? holds : fails).orInPlace(those);
      those.dispose();
    }
    others.dispose();
    return { holds, fails };
  }

  #put(id: number, key: string, text: string | null, listed: boolean): boolean {
    let entry = this.#keys.get(key);
    if (entry === undefined) {
      entry = { column: new CodedColumn(), assets: assetSet() };
      this.#keys.set(key, entry);
    }
    const changed = entry.column.put(id, text, listed);
    if (listed && text !== null) entry.assets.add(id);
    else entry.assets.delete(id);
    if (entry.column.distinct === 0) {
      entry.assets.dispose();
      this.#keys.delete(key);
    }
    return changed;
  }

  *#keysOf(id: number): Generator<Key> {
    for (const key of keysIn(this.#keySets.textOf(id))) {
      const entry = this.#keys.get(key);
      if (entry !== undefined) yield entry;
    }
  }

  #setKnown(id: number, isKnown: boolean): void {
    if (isKnown) this.#known.add(id);
    else this.#known.delete(id);
  }
}

/** Each key with the separator behind it, so that no key and one empty key are two things. */
function setOfKeys(keys: readonly string[]): string {
  return keys.length === 0 ? '' : keys.join(separator) + separator;
}

function keysIn(set: string | null): string[] {
  return set === null || set === '' ? [] : set.slice(0, -1).split(separator);
}
