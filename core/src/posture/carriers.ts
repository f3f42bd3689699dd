/**
 * The software of the fleet, and what carries which vulnerability.
 *
 * Software with a verdict is a *carrier* and has a number for good. Carriers of one package with the same verdicts (the binary
 * packages of one source at one version, as a rule) are one *group*: an asset that has several of them has the same findings
 * as with one, which is what counting a million assets is made fast by. A *pair* is a vulnerability in a package of one
 * vendor's systems; with an asset it is a finding.
 */
import { assetSet, type AssetSet } from './asset-set.ts';
import type { SoftwareFacts } from './facts.ts';
import type { Carrying, FindingPair, FleetSoftware } from './reading.ts';
import { held, type Vulnerabilities } from './vulnerabilities.ts';

export interface SoftwareEntry extends FleetSoftware {
  facts: SoftwareFacts;
  readonly installed: AssetSet;
  /** Of those, where it is an installed kernel that does not run. */
  readonly inert: AssetSet;
  /** −1: no verdict ever. */
  carrier: number;
}

export interface Carrier {
  readonly entry: SoftwareEntry;
  /** Indexes of pairs, parallel to the verdicts. */
  pairs: readonly number[];
  group: number;
}

/** What an asset has by having carriers of the group. */
export interface CarrierGroup {
  /** Number of the package within its ecosystem. */
  readonly package: number;
  readonly ecosystem: string;
  readonly vulnerable: readonly number[];
  readonly undetermined: readonly number[];
}

interface MutablePair extends FindingPair {
  carriers: Carrying[];
}

export class Carriers {
  readonly #vulnerabilities: Vulnerabilities;
  /** By id of software: its place in `#entries`, from 1. */
  #places = new Uint32Array(1024);
  readonly #entries: SoftwareEntry[] = [];
  readonly #carriers: Carrier[] = [];
  readonly #pairs: MutablePair[] = [];
  readonly #pairIndexes = new Map<string, number>();
  readonly #pairsOfVulnerability: number[][] = [];
  readonly #pairsOfPackage = new Map<string, number[]>();
  readonly #groups: CarrierGroup[] = [];
  readonly #groupIndexes = new Map<string, number>();
  readonly #packages = new Map<string, number>();
  #groupOf = new Uint32Array(1024);
  /** By id of software: its carrier + 1; 0: it is none. */
  #carrierOf = new Uint32Array(1024);
  /** By package number: carriers of it. */
  readonly #carriersOfPackage: number[][] = [];

  /** For kernels, of which one has thousands of verdicts. */
  readonly #said = new WeakMap<SoftwareFacts, Set<string>>();

  constructor(vulnerabilities: Vulnerabilities) {
    this.#vulnerabilities = vulnerabilities;
  }

  get softwareCount(): number {
    return this.#entries.length;
  }

  get carrierCount(): number {
    return this.#carriers.length;
  }

  get pairCount(): number {
    return this.#pairs.length;
  }

  get groupCount(): number {
    return this.#groups.length;
  }

  get packageCount(): number {
    return this.#packages.size;
  }

  entries(from = 0): Iterable<SoftwareEntry> {
    return from === 0 ? this.#entries : this.#entries.slice(from);
  }

  /** Place of software in the order in which it came; −1 when there is none. */
  placeOf(id: number): number {
    return (this.#places[id] ?? 0) - 1;
  }

  at(place: number): SoftwareEntry {
    return held(this.#entries[place], 'software at', place);
  }

  software(id: number): SoftwareEntry | null {
    return this.#entries[this.placeOf(id)] ?? null;
  }

  /** By carrier its group: for walking rows. Only to be read, and not to be kept across a change. */
  get groupOf(): Uint32Array {
    return this.#groupOf;
  }

  /** By id of software its carrier + 1, or 0: for walking what assets have. Only to be read. */
  get carrierOf(): Uint32Array {
    return this.#carrierOf;
  }

  /** By id of software its place + 1, or 0. Only to be read. */
  get places(): Uint32Array {
    return this.#places;
  }

  carrier(index: number): Carrier {
    return held(this.#carriers[index], 'carrier', index);
  }

  pair(index: number): FindingPair {
    return held(this.#pairs[index], 'pair', index);
  }

  group(index: number): CarrierGroup {
    return held(this.#groups[index], 'group', index);
  }

  pairsOfVulnerability(index: number): readonly number[] {
    return this.#pairsOfVulnerability[index] ?? [];
  }

  pairsOfPackage(name: string): readonly number[] {
    return this.#pairsOfPackage.get(name) ?? [];
  }

  carriersOfPackage(number: number): readonly number[] {
    return this.#carriersOfPackage[number] ?? [];
  }

  /** Whether anything is said of a vulnerability in this software. */
  hasVerdict(software: number, vulnerability: string): boolean {
    const facts = this.software(software)?.facts;
    if (facts === undefined) return false;
    let said = this.#said.get(facts);
    if (said === undefined) {
      said = new Set(facts.verdicts.map((verdict) => verdict.vulnerability));
      this.#said.set(facts, said);
    }
    return said.has(vulnerability);
  }

  /** Takes software as it is now. */
  put(facts: SoftwareFacts): SoftwareEntry {
    const known = this.software(facts.id);
    const was = known?.facts ?? null;
    const entry = known ?? this.#add(facts);
    entry.facts = facts;
    if (facts.verdicts.length > 0 || entry.carrier >= 0) this.#carry(entry, was);
    return entry;
  }

  #add(facts: SoftwareFacts): SoftwareEntry {
    if (facts.id >= this.#places.length) {
      this.#places = grownTo(this.#places, facts.id + 1);
      this.#carrierOf = grownTo(this.#carrierOf, facts.id + 1);
    }
    const entry = { facts, installed: assetSet(), inert: assetSet(), carrier: -1 };
    this.#entries.push(entry);
    this.#places[facts.id] = this.#entries.length;
    return entry;
  }

  #carry(entry: SoftwareEntry, was: SoftwareFacts | null): void {
    const { facts } = entry;
    const packageKey = `${facts.ecosystem}\t${facts.package}`;
    let number = this.#packages.get(packageKey);
    if (number === undefined) {
      number = this.#packages.size;
      this.#packages.set(packageKey, number);
      this.#carriersOfPackage.push([]);
    }
    if (entry.carrier < 0) {
      entry.carrier = this.#carriers.length;
      this.#carrierOf[facts.id] = entry.carrier + 1;
      this.#groupOf = grownTo(this.#groupOf, entry.carrier + 1);
      this.#carriers.push({ entry, pairs: [], group: 0 });
      this.#carriersOfPackage[number]?.push(entry.carrier);
    }
    const carrier = this.carrier(entry.carrier);
    if (was !== null) this.#drop(carrier, was);
    const vulnerable: number[] = [];
    const undetermined: number[] = [];
    carrier.pairs = facts.verdicts.map((verdict) => {
      const pair = this.#pairOf(facts, verdict.vulnerability);
      insertInOrder(pair.carriers, { software: facts, verdict });
      (verdict.verdict === 'vulnerable' ? vulnerable : undetermined).push(pair.index);
      return pair.index;
    });
    carrier.group = this.#groupWith(number, facts.ecosystem, vulnerable, undetermined);
    this.#groupOf[entry.carrier] = carrier.group;
  }

  #drop(carrier: Carrier, was: SoftwareFacts): void {
    for (const index of carrier.pairs) {
      const pair = held(this.#pairs[index], 'pair', index);
      pair.carriers = pair.carriers.filter(({ software }) => software.id !== was.id);
    }
  }

  #pairOf({ ecosystem, package: name }: SoftwareFacts, id: string): MutablePair {
    const vulnerability = this.#vulnerabilities.indexOf(id);
    const key = `${ecosystem}\t${name}\t${vulnerability}`;
    const known = this.#pairs[this.#pairIndexes.get(key) ?? -1];
    if (known !== undefined) return known;
    const index = this.#pairs.length;
    const danger = this.#vulnerabilities.dangerIndex(vulnerability, ecosystem);
    const pair = { index, vulnerability, ecosystem, package: name, danger, carriers: [] };
    this.#pairs.push(pair);
    this.#pairIndexes.set(key, index);
    (this.#pairsOfVulnerability[vulnerability] ??= []).push(index);
    const ofPackage = this.#pairsOfPackage.get(name);
    if (ofPackage === undefined) this.#pairsOfPackage.set(name, [index]);
    else ofPackage.push(index);
    return pair;
  }

  #groupWith(number: number, ecosystem: string, vulnerable: number[], undetermined: number[]): number {
    vulnerable.sort((a, b) => a - b);
    undetermined.sort((a, b) => a - b);
    const key = `${number}:${vulnerable.join()}:${undetermined.join()}`;
    let index = this.#groupIndexes.get(key);
    if (index === undefined) {
      index = this.#groups.length;
      this.#groups.push({ package: number, ecosystem, vulnerable, undetermined });
      this.#groupIndexes.set(key, index);
    }
    return index;
  }
}

function grownTo(numbers: Uint32Array<ArrayBuffer>, least: number): Uint32Array<ArrayBuffer> {
  if (least <= numbers.length) return numbers;
  const larger = new Uint32Array(Math.max(least, numbers.length * 2));
  larger.set(numbers);
  return larger;
}

/** Keeps the carriers of a pair in the order of their software's ids. */
function insertInOrder(carriers: Carrying[], carrying: Carrying): void {
  let at = carriers.length;
  while (at > 0 && (carriers[at - 1]?.software.id ?? 0) > carrying.software.id) at -= 1;
  carriers.splice(at, 0, carrying);
}
