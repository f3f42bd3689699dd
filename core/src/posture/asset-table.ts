/**
 * Assets by what they report of themselves, compactly: a million in some hundreds of megabytes. Texts that repeat are stored
 * once, with the assets that have them, so that a condition is evaluated once for each text, by the evaluation of
 * core/src/query, and the answer is a union of sets.
 *
 * A retired asset keeps its facts, and is in no set: it may come back.
 */
import { compareText } from '../knowledge/compare-text.ts';
import { productOf, schemeOf } from '../knowledge/ecosystem.ts';
import { compileFact, type FactValue } from '../query/evaluate.ts';
import type { Assertion } from '../query/plan.ts';
import type { Criticality } from '../risk/asset-risk.ts';
import { isVersionScheme } from '../version/version.ts';
import { AddressColumn } from './address-column.ts';
import { assetSet, type ReadonlyAssetSet } from './asset-set.ts';
import { CodedColumn } from './coded-column.ts';
import { contactStateOf } from './contact.ts';
import type { AssetContact, AssetFacts, AssetHost } from './facts.ts';
import { grownBytes, grownFloats } from './grown.ts';
import { KeyedColumn } from './keyed-column.ts';
import { ListColumn } from './list-column.ts';
import type { AssetReading, Truths } from './reading.ts';
import { scanned } from './scan.ts';
import { UidColumn } from './uid-column.ts';

/** A field whose facts are texts, or can be written as such. Null: not known, for want of an inventory. */
interface TextReader {
  readonly read: (facts: AssetFacts) => string | null;
  readonly factOf: (text: string) => FactValue;
}

const textReaders: Readonly<Record<string, TextReader>> = {
  hostname: plain(({ hostname }) => hostname),
  os: plain(({ os }) => os),
  os_release: plain(({ osRelease }) => osRelease),
  arch: plain(({ arch }) => arch),
  agent_version: plain(({ agentVersion }) => agentVersion),
  mode: plain(({ mode }) => mode),
  machine: plain(({ host }) => host?.machine ?? null),
  reboot_required: {
    read: ({ host }) => (host === null ? null : String(host.rebootRequired)),
    factOf: (text) => text === 'true',
  },
  // The scheme is a part of it: one kernel release is in another order on another system.
  kernel: {
    read: ({ host, os, osRelease }) =>
      host === null ? null : `${schemeOf(productOf(os, osRelease).ecosystem)} ${host.runningKernel}`,
    factOf: kernelIn,
  },
};

function plain(read: TextReader['read']): TextReader {
  return { read, factOf: (text) => text };
}

/** Agents that could not read which kernel runs report an empty text. */
function kernelIn(text: string): FactValue {
  const { scheme, release } = kernelParts(text);
  if (!isVersionScheme(scheme)) throw new Error(`${text} names no scheme of versions`);
  return release === '' ? null : { scheme, text: release };
}

function kernelParts(text: string): { scheme: string; release: string } {
  const space = text.indexOf(' ');
  return { scheme: text.slice(0, space), release: text.slice(space + 1) };
}

const listReaders: Readonly<Record<string, (host: AssetHost) => readonly string[]>> = {
  unit: ({ activeUnits }) => activeUnits,
  failed_unit: ({ failedUnits }) => failedUnits,
  held: ({ held }) => held,
};

/** Null: not known. */
const keyedReaders: Readonly<Record<string, (facts: AssetFacts) => Readonly<Record<string, string>> | null>> =
  {
    attribute: ({ attributes }) => attributes,
    cloud: ({ host }) => host?.cloud ?? null,
  };

/** The fields of fields.ts that are read from the facts of one asset alone. */
export const storedFields: readonly string[] = [
  ...Object.keys(textReaders),
  ...Object.keys(listReaders),
  ...Object.keys(keyedReaders),
  'address',
  'enrolled',
  'booted',
  'last_seen',
  'reachable',
];

/** What changes when an asset comes or goes: everything, also under keys that it does not have. */
const everything: ReadonlySet<string> = new Set([...storedFields, 'criticality']);

/** More values than this are no help to somebody who types. */
const mostValues = 10_000;

const levels: readonly (Criticality | null)[] = [null, 1, 2, 3, 4, 5];

export class AssetTable implements AssetReading {
  readonly #live = assetSet();
  /** Live assets that have sent an inventory: of the others, what a host says is not known. */
  readonly #reported = assetSet();
  #greatestId = 0;
  readonly #uids = new UidColumn();
  readonly #texts = columns(textReaders, () => new CodedColumn());
  readonly #lists = columns(listReaders, () => new ListColumn());
  readonly #keyed = columns(keyedReaders, () => new KeyedColumn());
  readonly #addresses = new AddressColumn();
  /** All that count live assets only. */
  readonly #listing = [
    ...[...this.#texts.values(), ...this.#lists.values(), ...this.#keyed.values()].map(
      ({ column }) => column,
    ),
    this.#addresses,
  ];
  // Milliseconds since 1970; NaN: not known.
  #enrolled = new Float64Array(0);
  #booted = new Float64Array(0);
  #lastSeen = new Float64Array(0);
  #nextCheckIn = new Float64Array(0);
  /** 0: no such asset; else 1 more than the criticality that a person set, of which 0 is none. */
  #levels = new Uint8Array(0);

  get live(): ReadonlyAssetSet {
    return this.#live;
  }

  get greatestId(): number {
    return this.#greatestId;
  }

  /** Retired ones too. */
  has(id: number): boolean {
    return (this.#levels[id] ?? 0) !== 0;
  }

  uid(id: number): string {
    this.#mustHave(id);
    return this.#uids.textOf(id);
  }

  hostname(id: number): string {
    return this.#text('hostname', id);
  }

  os(id: number): string {
    return this.#text('os', id);
  }

  osRelease(id: number): string {
    return this.#text('os_release', id);
  }

  idOf(uid: string): number | null {
    return this.#uids.idOf(uid);
  }

  called(hostname: string): number[] {
    return this.#texts.get('hostname')?.column.assetsOf(hostname) ?? [];
  }

  criticalitySet(id: number): Criticality | null {
    this.#mustHave(id);
    return levels[(this.#levels[id] ?? 0) - 1] ?? null;
  }

  lastSeenAt(id: number): number | null {
    return numberIn(this.#lastSeen, id);
  }

  /**
   * Takes an asset, new or known, as it is from now on. Answers which fields may have another fact than before, by the names of
   * `tagsAffectedBy` (core/src/tag/change.ts): `hostname`, `attribute.role`, and `criticality` when what a person set is
   * another. All of them for an asset that is new, retired or back; none for one that was and stays retired.
   */
  put(facts: AssetFacts): ReadonlySet<string> {
    const { id, host, retired } = facts;
    this.#reserve(id);
    if (id > this.#greatestId) this.#greatestId = id;
    this.#uids.put(id, facts.uid);
    const wasLive = this.#live.has(id);
    const stays = wasLive && !retired;
    if (wasLive && retired) for (const column of this.#listing) column.unlist(id);
    const changed = new Set<string>();
    const note = (field: string, isChanged: boolean): void => {
      if (isChanged) changed.add(field);
    };
    for (const [field, { reader, column }] of this.#texts)
      note(field, column.put(id, reader.read(facts), stays));
    for (const [field, { reader, column }] of this.#lists)
      note(field, column.put(id, host === null ? null : reader(host), stays));
    for (const [field, { reader, column }] of this.#keyed) {
      const keys = column.put(id, reader(facts), stays);
      if (keys === null) changed.add(field);
      else for (const key of keys) changed.add(`${field}.${key}`);
    }
    note('address', this.#addresses.put(id, host?.addresses ?? null, stays));
    note('enrolled', replaced(this.#enrolled, id, facts.enrolledAt));
    note('booted', replaced(this.#booted, id, host?.bootedAt ?? Number.NaN));
    note('criticality', replaced(this.#levels, id, (facts.criticalitySet ?? 0) + 1));
    if (host === null || retired) this.#reported.delete(id);
    else this.#reported.add(id);
    if (wasLive !== retired) return stays ? changed : new Set();
    if (retired) this.#live.delete(id);
    else {
      this.#live.add(id);
      for (const column of this.#listing) column.list(id);
    }
    return everything;
  }

  /** An asset was heard of: `last_seen` and `reachable` follow from it. */
  contact({ id, lastSeenAt, nextCheckInSeconds }: AssetContact): void {
    this.#reserve(id);
    this.#lastSeen[id] = lastSeenAt;
    this.#nextCheckIn[id] = nextCheckInSeconds;
  }

  fact(id: number, field: string, key: string | null, now: number): FactValue {
    this.#mustHave(id);
    const fact = this.#factsOf(field, key, now);
    if (fact === null) throw new Error(`${field} is not stored with assets`);
    return fact(id);
  }

  truths(
    field: string,
    key: string | null,
    condition: Assertion,
    now: number,
    within: ReadonlyAssetSet,
  ): Truths | null {
    const fact = this.#factsOf(field, key, now);
    if (fact === null) return null;
    const ask = compileFact('asset', field, condition, now);
    const ofText = this.#texts.get(field);
    if (ofText !== undefined) {
      const { factOf } = ofText.reader;
      return ofText.column.truths((text) => ask(factOf(text)), ask(null), within, this.#knownOf(field));
    }
    const list = this.#lists.get(field);
    if (list !== undefined) return list.column.truths(ask, within, this.#reported);
    if (key !== null) {
      const column = this.#keyed.get(field)?.column;
      if (column !== undefined) return column.truths(key, ask, within);
    }
    if (field === 'address') return this.#addresses.truths(ask, condition, within, this.#reported);
    return scanned(within, (id) => ask(fact(id)));
  }

  values(field: string, key: string | null, limit: number): { value: string; assets: number }[] {
    const counts = new Map<string, number>();
    for (const [value, assets] of this.#countsOf(field, key))
      counts.set(value, (counts.get(value) ?? 0) + assets);
    return [...counts]
      .map(([value, assets]) => ({ value, assets }))
      .toSorted((a, b) => b.assets - a.assets || compareText(a.value, b.value))
      .slice(0, limit);
  }

  keys(field: string): string[] {
    return this.#keyed.get(field)?.column.keys() ?? [];
  }

  #countsOf(field: string, key: string | null): Iterable<readonly [string, number]> {
    const list = this.#lists.get(field)?.column;
    if (list !== undefined) return list.distinct > mostValues ? [] : list.counts();
    const column = key === null ? this.#texts.get(field)?.column : this.#keyed.get(field)?.column.column(key);
    if (column === undefined || column === null || column.distinct > mostValues) return [];
    if (field !== 'kernel') return column.counts();
    return column.counts().flatMap(([text, assets]) => {
      const { release } = kernelParts(text);
      return release === '' ? [] : [[release, assets] as const];
    });
  }

  /** How a fact is read; null: the field is not stored here. */
  #factsOf(field: string, key: string | null, now: number): ((id: number) => FactValue) | null {
    const ofText = this.#texts.get(field);
    if (ofText !== undefined) {
      const { column, reader } = ofText;
      return (id) => {
        const text = column.textOf(id);
        return text === null ? null : reader.factOf(text);
      };
    }
    const list = this.#lists.get(field)?.column;
    if (list !== undefined) return (id) => list.valuesOf(id);
    const keyedColumn = this.#keyed.get(field)?.column;
    if (keyedColumn !== undefined && key !== null) return (id) => keyedColumn.textOf(id, key);
    switch (field) {
      case 'address':
        return (id) => this.#addresses.addressesOf(id);
      case 'enrolled':
        return (id) => numberIn(this.#enrolled, id);
      case 'booted':
        return (id) => numberIn(this.#booted, id);
      case 'last_seen':
        return (id) => numberIn(this.#lastSeen, id);
      case 'reachable':
        return (id) => this.#isReachable(id, now);
      default:
        return null;
    }
  }

  /** One that was never heard of does not answer. */
  #isReachable(id: number, now: number): boolean {
    const contact = {
      retired: !this.#live.has(id),
      lastSeenAt: this.lastSeenAt(id),
      nextCheckInSeconds: this.#nextCheckIn[id] ?? 0,
    };
    return contactStateOf(contact, now) === 'current';
  }

  /** Live assets of which the field is known. */
  #knownOf(field: string): ReadonlyAssetSet {
    return ['kernel', 'machine', 'reboot_required'].includes(field) ? this.#reported : this.#live;
  }

  #reserve(id: number): void {
    if (id < this.#levels.length) return;
    this.#levels = grownBytes(this.#levels, id + 1);
    this.#enrolled = grownFloats(this.#enrolled, id + 1, Number.NaN);
    this.#booted = grownFloats(this.#booted, id + 1, Number.NaN);
    this.#lastSeen = grownFloats(this.#lastSeen, id + 1, Number.NaN);
    this.#nextCheckIn = grownFloats(this.#nextCheckIn, id + 1, 0);
  }

  #text(field: string, id: number): string {
    this.#mustHave(id);
    return this.#texts.get(field)?.column.textOf(id) ?? '';
  }

  #mustHave(id: number): void {
    if (!this.has(id)) throw new Error(`there is no asset ${id}`);
  }
}

function columns<Reader, Column>(
  readers: Readonly<Record<string, Reader>>,
  empty: () => Column,
): ReadonlyMap<string, { readonly reader: Reader; readonly column: Column }> {
  return new Map(Object.entries(readers).map(([field, reader]) => [field, { reader, column: empty() }]));
}

function numberIn(column: Float64Array, id: number): number | null {
  const value = column[id];
  return value === undefined || Number.isNaN(value) ? null : value;
}

/** Whether the number was another one. */
function replaced(column: Float64Array | Uint8Array, id: number, value: number): boolean {
  const isChanged = !Object.is(column[id], value);
  column[id] = value;
  return isChanged;
}
