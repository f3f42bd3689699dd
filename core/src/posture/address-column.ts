/** The addresses of each asset, as it reports them, and an index by range. */
import { parseIpAddress } from '../query/address.ts';
import type { FactValue, Truth } from '../query/evaluate.ts';
import type { Assertion } from '../query/plan.ts';
import type { Operand } from '../query/query.ts';
import { AddressIndex, type AddressRange } from './address-index.ts';
import { assetSet, type AssetSet, type ReadonlyAssetSet } from './asset-set.ts';
import { settled } from './coded-column.ts';
import { Gathering } from './members.ts';
import { scanned, type OwnTruths } from './scan.ts';

/** So few assets are asked one by one. */
const fewAssets = 64;
/** PostgreSQL holds no text with it. */
const separator = '\0';

type Family = 4 | 6;

export class AddressColumn {
  /** By id; one text each, which takes a third of the memory of a list. Each address has the separator behind it. */
  readonly #texts: (string | undefined)[] = [];
  readonly #indexes = { 4: new AddressIndex(1), 6: new AddressIndex(4) } as const;
  /** Listed assets that report something that is no address. */
  readonly #unreadable = assetSet();

  addressesOf(id: number): string[] | null {
    const text = this.#texts[id];
    if (text === undefined) return null;
    return text === '' ? [] : text.slice(0, -1).split(separator);
  }

  /** Gives an asset its addresses; `listed`: it is, before and after. Whether they are others. */
  put(id: number, addresses: readonly string[] | null, listed: boolean): boolean {
    const text = addresses?.map((each) => `${each}${separator}`).join('');
    if (text === this.#texts[id]) return false;
    // Not a hole behind the end: an array with many is kept as a slow table.
    while (this.#texts.length < id) this.#texts.push(undefined);
    this.#texts[id] = text;
    if (listed) this.list(id);
    return true;
  }

  list(id: number): void {
    const words: Record<Family, number[]> = { 4: [], 6: [] };
    let isReadable = true;
    for (const text of this.addressesOf(id) ?? []) {
      const address = parseIpAddress(text);
      if (address === null) isReadable = false;
      else words[address.family].push(...wordsOf(address.family, address.value));
    }
    this.#index(id, words);
    if (isReadable) this.#unreadable.delete(id);
    else this.#unreadable.add(id);
  }

  unlist(id: number): void {
    this.#index(id, { 4: [], 6: [] });
    this.#unreadable.delete(id);
  }

  truths(
    ask: (fact: FactValue) => Truth,
    condition: Assertion,
    within: ReadonlyAssetSet,
    known: ReadonlyAssetSet,
  ): OwnTruths {
    if (within.size <= fewAssets) return scanned(within, (id) => ask(this.addressesOf(id)));
    const [holds, open] = [new Gathering(), new Gathering()];
    const own: AssetSet[] = [];
    // Lists of addresses are known as a whole, readable or not, so none is unknown.
    if (condition.op !== 'is_unknown') {
      open.addMembers(this.#unreadable);
      for (const family of [4, 6] as const) {
        const ranges = rangesOf(family, ask, condition);
        for (const [gathering, of] of [
          [holds, ranges.holding],
          [open, ranges.open],
        ] as const) {
          const set = this.#indexes[family].within(of);
          gathering.addMembers(set);
          own.push(set);
        }
      }
    }
    const truths = settled(holds, open, ask(null), within, known);
    for (const set of own) set.dispose();
    return truths;
  }

  #index(id: number, words: Record<Family, readonly number[]>): void {
    for (const family of [4, 6] as const) this.#indexes[family].put(id, words[family]);
  }
}

/**
 * Where a condition holds and where it is open: its operands divide the addresses of a family into ranges in each of which
 * the answer is the same, so it is asked of one address of each.
 */
function rangesOf(
  family: Family,
  ask: (fact: FactValue) => Truth,
  condition: Assertion,
): { holding: AddressRange[]; open: AddressRange[] } {
  const starts = new Set([0n]);
  // These are read as IPv4 addresses, so none of them may stand for others; the index holds none of them.
  if (family === 6) for (const bound of [mapped, mappedEnd]) starts.add(bound);
  for (const operand of operandsOf(condition)) {
    if (operand.kind !== 'address' || operand.family !== family) continue;
    starts.add(operand.first);
    starts.add(operand.last + 1n);
  }
  const end = 1n << (family === 4 ? 32n : 128n);
  const sorted = [...starts].filter((start) => start < end).toSorted((a, b) => (a < b ? -1 : Number(a > b)));
  const result: { holding: AddressRange[]; open: AddressRange[] } = { holding: [], open: [] };
  for (const [index, start] of sorted.entries()) {
    const truth = ask(textOf(family, start));
    if (truth === false) continue;
    const last = (sorted[index + 1] ?? end) - 1n;
    const range = { first: wordsOf(family, start), last: wordsOf(family, last) };
    (truth === true ? result.holding : result.open).push(range);
  }
  return result;
}

/** `::ffff:0.0.0.0` to `::ffff:255.255.255.255`. */
const mapped = 0xffffn << 32n;
const mappedEnd = 0x10000n << 32n;

function operandsOf(condition: Assertion): readonly Operand[] {
  switch (condition.op) {
    case 'is_unknown':
      return [];
    case 'in':
      return condition.values;
    case 'range':
      return [condition.from, condition.to];
    default:
      return [condition.value];
  }
}

function wordsOf(family: Family, value: bigint): number[] {
  if (family === 4) return [Number(value)];
  return [96n, 64n, 32n, 0n].map((shift) => Number((value >> shift) & 0xffffffffn));
}

function textOf(family: Family, value: bigint): string {
  const parts = (bits: bigint, count: number, radix: number): string[] =>
    Array.from({ length: count }, (_, index) =>
      ((value >> (bits * BigInt(count - 1 - index))) & ((1n << bits) - 1n)).toString(radix),
    );
  return family === 4 ? parts(8n, 4, 10).join('.') : parts(16n, 8, 16).join(':');
}
