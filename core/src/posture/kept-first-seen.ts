/**
 * When findings were first seen that are older than the software that carries them now: it took the place of software that had
 * the same vulnerability. Few assets have such findings, and at most a hundred are kept of each (`server/src/finding/endings.ts`).
 */
import { sinceEpochSeconds } from '../finding/exposure.ts';

interface Kept {
  /** Numbers of findings, ascending. */
  readonly findings: Int32Array;
  /** Parallel: seconds since 2020-01-01 UTC. */
  readonly seconds: Int32Array;
  readonly earliest: number;
}

export class KeptFirstSeen {
  /** By `VULNERABILITY\tPACKAGE`. */
  readonly #numbers = new Map<string, number>();
  readonly #byAsset = new Map<number, Kept>();

  /** Takes what is known of an asset, instead of what was; see AssetFacts. */
  put(asset: number, firstSeen: Readonly<Record<string, number>>): void {
    const entries = Object.entries(firstSeen)
      .map(([finding, seconds]) => [this.#numberOf(finding), seconds] as const)
      .sort(([a], [b]) => a - b);
    if (entries.length === 0) {
      this.#byAsset.delete(asset);
      return;
    }
    this.#byAsset.set(asset, {
      findings: Int32Array.from(entries, ([finding]) => finding),
      seconds: Int32Array.from(entries, ([, seconds]) => seconds),
      earliest: entries.reduce((least, [, seconds]) => Math.min(least, seconds), Infinity),
    });
  }

  drop(asset: number): void {
    this.#byAsset.delete(asset);
  }

  has(asset: number): boolean {
    return this.#byAsset.has(asset);
  }

  /** In milliseconds since 1970; Infinity where nothing is kept of the finding. */
  of(asset: number, vulnerability: string, name: string): number {
    const kept = this.#byAsset.get(asset);
    const number = kept === undefined ? undefined : this.#numbers.get(`${vulnerability}\t${name}`);
    if (kept === undefined || number === undefined) return Infinity;
    const { findings, seconds } = kept;
    let [from, to] = [0, findings.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((findings[middle] ?? 0) < number) from = middle + 1;
      else to = middle;
    }
    return findings[from] === number ? milliseconds(seconds[from] ?? 0) : Infinity;
  }

  /** Assets that have a finding which was first seen before a moment, and has been kept. */
  before(moment: number): number[] {
    const assets: number[] = [];
    for (const [asset, { earliest }] of this.#byAsset)
      if (milliseconds(earliest) < moment) assets.push(asset);
    return assets;
  }

  #numberOf(finding: string): number {
    let number = this.#numbers.get(finding);
    if (number === undefined) this.#numbers.set(finding, (number = this.#numbers.size));
    return number;
  }
}

const milliseconds = (seconds: number): number => (seconds + sinceEpochSeconds) * 1000;
