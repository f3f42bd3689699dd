/**
 * What sets a few assets apart, so that what they have installed does not say by itself what they are exposed to: kernels that
 * wait for a boot, replaced code that still runs, mitigations in force, findings that are back or older than their software.
 */
import { productOf } from '../knowledge/ecosystem.ts';
import { assetSet, type AssetSet, type ReadonlyAssetSet } from './asset-set.ts';
import type { AssetFacts, BlockingMitigation, StaleSoftware } from './facts.ts';
import { KeptFirstSeen } from './kept-first-seen.ts';
import type { AssetReading, FindingPair } from './reading.ts';

export interface AssetExceptions {
  readonly inert: readonly number[];
  readonly nextKernel: number | null;
  readonly stale: readonly StaleSoftware[];
  readonly mitigations: readonly string[];
}

const none: AssetExceptions = {
  inert: [],
  nextKernel: null,
  stale: [],
  mitigations: [],
};

export class Exceptions {
  readonly #byAsset = new Map<number, AssetExceptions>();
  /** By software that a reboot would start: assets that wait for it. */
  readonly nextKernels = new Map<number, AssetSet>();
  /** By software and kind. */
  readonly #stale = new Map<number, Map<StaleSoftware['kind'], AssetSet>>();
  readonly #mitigated = new Map<string, AssetSet>();
  /** By finding, `VULNERABILITY\tPACKAGE`: assets on which it was remediated once. */
  readonly #remediated = new Map<string, AssetSet>();
  /** Findings that are older than the software that carries them. */
  readonly firstSeen = new KeptFirstSeen();
  #blocking = new Map<string, BlockingMitigation[]>();
  /** Assets that cannot be counted by what they have installed alone. */
  readonly apart = assetSet();

  of(asset: number): AssetExceptions {
    return this.#byAsset.get(asset) ?? none;
  }

  put(facts: AssetFacts): void {
    this.drop(facts.id);
    const { id, inert, nextKernel, stale, mitigations, remediatedBefore } = facts;
    const isPlain = nextKernel === null && stale.length === 0 && mitigations.length === 0;
    for (const key of remediatedBefore) added(this.#remediated, key, id);
    if (!facts.retired) this.firstSeen.put(id, facts.firstSeen);
    if (facts.retired || (isPlain && inert.length === 0)) return;
    this.#byAsset.set(id, {
      inert,
      nextKernel,
      stale,
      mitigations,
    });
    if (nextKernel !== null) added(this.nextKernels, nextKernel, id);
    for (const one of stale) {
      let kinds = this.#stale.get(one.software);
      if (kinds === undefined) this.#stale.set(one.software, (kinds = new Map()));
      added(kinds, one.kind, id);
    }
    for (const key of mitigations) added(this.#mitigated, key, id);
    if (nextKernel !== null || stale.length > 0) this.apart.add(id);
  }

  /** Whether a finding was remediated on the asset before. */
  isBack(asset: number, vulnerability: string, name: string): boolean {
    return (
      this.#remediated.size > 0 && this.#remediated.get(`${vulnerability}\t${name}`)?.has(asset) === true
    );
  }

  drop(asset: number): void {
    this.firstSeen.drop(asset);
    const held = this.#byAsset.get(asset);
    if (held === undefined) return;
    if (held.nextKernel !== null) this.nextKernels.get(held.nextKernel)?.delete(asset);
    for (const { software, kind } of held.stale) this.#stale.get(software)?.get(kind)?.delete(asset);
    for (const key of held.mitigations) this.#mitigated.get(key)?.delete(asset);
    this.apart.delete(asset);
    this.#byAsset.delete(asset);
  }

  /** Assets on which replaced code of this software is still there. */
  stale(software: number, kind: StaleSoftware['kind']): ReadonlyAssetSet | null {
    const set = this.#stale.get(software)?.get(kind);
    return set === undefined || set.isEmpty ? null : set;
  }

  /** Whether replaced code of this software is still there somewhere. */
  hasStale(software: number): boolean {
    return (
      this.#stale
        .get(software)
        ?.values()
        .some((set) => !set.isEmpty) === true
    );
  }

  setBlocking(list: readonly BlockingMitigation[]): void {
    this.#blocking = Map.groupBy(list, ({ vulnerability, package: name }) => `${vulnerability}\t${name}`);
  }

  get anyMitigated(): boolean {
    return this.#mitigated.values().some((set) => !set.isEmpty);
  }

  /** Whether a mitigation could bear on findings of the pair, somewhere. */
  mayBeMitigated(vulnerability: string, pair: FindingPair): boolean {
    return (this.#blocking.get(`${vulnerability}\t${pair.package}`) ?? []).some(
      ({ key }) => this.#mitigated.get(key)?.isEmpty === false,
    );
  }

  /** Assets on which a mitigation in force blocks the pair; null: none. */
  mitigated(vulnerability: string, pair: FindingPair, assets: AssetReading): AssetSet | null {
    let found: AssetSet | null = null;
    for (const { key, ecosystem, release } of this.#blocking.get(`${vulnerability}\t${pair.package}`) ?? []) {
      for (const id of this.#mitigated.get(key) ?? []) {
        const product = productOf(assets.os(id), assets.osRelease(id));
        if (product.ecosystem !== ecosystem || (release !== null && product.release !== release)) continue;
        (found ??= assetSet()).add(id);
      }
    }
    return found;
  }
}

function added<Key>(sets: Map<Key, AssetSet>, key: Key, id: number): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, assetSet([id]));
  else set.add(id);
}
