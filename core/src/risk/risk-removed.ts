/**
 * Risk that patches remove from assets, by recomputing the risk of every asset they touch. Nothing is counted twice: a
 * vulnerability that two patches fix goes once, and one that two packages carry goes only when both are patched.
 */
import { criticalityWeight, findingProbability, riskOf } from './asset-risk.ts';
import type { Criticality, RiskFinding } from './asset-risk.ts';

export interface PatchableFinding extends RiskFinding {
  /**
   * One entry per package that carries the vulnerability: the patches of which any one is enough for that package. Closed when
   * every package has one of its patches; an empty entry is a package without a patch, and keeps the finding open.
   */
  readonly closed_by: readonly (readonly string[])[];
}

export interface PatchableAsset {
  readonly asset: string;
  readonly criticality: Criticality;
  readonly findings: readonly PatchableFinding[];
  /** How many assets are exactly so, this one included; risks and reboots count as often. 1 unless given. */
  readonly alike?: number;
}

export interface RiskRemoved {
  /** Sum of the risks (0–1000 each) of all assets, before and after; `removed` is the difference. Those that are alike add up. */
  readonly before: number;
  readonly after: number;
  readonly removed: number;
  /** Only assets whose risk changes, in the order given. */
  readonly by_asset: readonly {
    readonly asset: string;
    readonly before: number;
    readonly after: number;
    readonly removed: number;
  }[];
}

/** One package that carries a vulnerability on an asset: log1p(−p), below 0, and the patches that close it, by index. */
export interface Carrier {
  readonly log: number;
  readonly patches: readonly number[];
}

/** A vulnerability on an asset by its carriers, the gravest first: what counts is the first that is not patched. */
export type PreparedFinding = readonly Carrier[];

export interface PreparedAsset {
  readonly asset: string;
  /** Weight of the criticality, times how many are alike: risks are linear in it. */
  readonly weight: number;
  readonly alike: number;
  /** Sum of all logs: with no patch. */
  readonly log: number;
  readonly findings: readonly PreparedFinding[];
  /** Patches that this asset gets, if they are deployed: those that any of its findings names. In increasing order. */
  readonly patches: readonly number[];
}

/** Assets with patches as numbers; what closes nothing and what has no chance is only kept in the sum. */
export interface PreparedFleet {
  readonly patches: readonly string[];
  readonly assets: readonly PreparedAsset[];
  /** By patch the rows of `assets` that get it. */
  readonly assetsOf: readonly (readonly number[])[];
  /** By patch the findings that it closes or helps to, by asset. */
  readonly touches: readonly (readonly {
    readonly row: number;
    readonly findings: readonly PreparedFinding[];
  }[])[];
}

/** Prepares a fleet once for many questions. Patches that are in no finding's `closed_by` are known and remove nothing. */
export function prepareFleet(assets: readonly PatchableAsset[], patches: readonly string[]): PreparedFleet {
  const numbers = new Map(patches.map((patch, index) => [patch, index]));
  if (numbers.size !== patches.length) throw new Error('a patch is given twice');
  const assetsOf: number[][] = patches.map(() => []);
  const touches: { row: number; findings: PreparedFinding[] }[][] = patches.map(() => []);
  const prepared = assets.map(({ asset, criticality, findings, alike = 1 }, row): PreparedAsset => {
    if (!(alike > 0 && alike < Infinity)) throw new Error(`${asset}: alike must be above 0`);
    const closable: PreparedFinding[] = [];
    const touched = new Set<number>();
    let log = 0;
    const carriersOf = new Map<string, Carrier[]>();
    for (const finding of findings) {
      const own = Math.log1p(-findingProbability(finding));
      if (finding.status !== 'fixed')
        for (const patch of finding.closed_by.flat()) touched.add(numbers.get(patch) ?? -1);
      if (own === 0) continue;
      const packages = finding.closed_by.length === 0 ? [[]] : finding.closed_by;
      const carriers = packages.map((clause) => ({
        log: own,
        patches: [...new Set(clause.flatMap((patch) => numbers.get(patch) ?? []))],
      }));
      const list = carriersOf.get(finding.vulnerability);
      if (list === undefined) carriersOf.set(finding.vulnerability, carriers);
      else list.push(...carriers);
    }
    for (const carriers of carriersOf.values()) {
      // Of equally grave ones first what cannot be patched: then nothing of it can go.
      carriers.sort((a, b) => a.log - b.log || Number(a.patches.length > 0) - Number(b.patches.length > 0));
      log += carriers[0]?.log ?? 0;
      if (carriers[0]?.patches.length === 0) continue;
      closable.push(carriers);
      for (const patch of new Set(carriers.flatMap((carrier) => carrier.patches))) {
        const last = touches[patch]?.at(-1);
        if (last?.row === row) last.findings.push(carriers);
        else touches[patch]?.push({ row, findings: [carriers] });
      }
    }
    touched.delete(-1);
    for (const patch of touched) assetsOf[patch]?.push(row);
    return {
      asset,
      weight: criticalityWeight(criticality) * alike,
      alike,
      log,
      findings: closable,
      patches: [...touched].sort((a, b) => a - b),
    };
  });
  return { patches, assets: prepared, assetsOf, touches };
}

/** Risk that a set of patches takes off one asset: 0–1000, times how many are alike. */
export function removedFromAsset(
  { weight, log, findings }: PreparedAsset,
  chosen: (patch: number) => boolean,
): number {
  let closed = 0;
  for (const finding of findings) {
    const left = finding.find(({ patches }) => !patches.some(chosen));
    closed += (finding[0]?.log ?? 0) - (left?.log ?? 0);
  }
  // risk(log) − risk(log − closed) = 1000·w·e^log·(e^−closed − 1): no two near numbers are subtracted.
  return closed === 0 ? 0 : -riskOf(weight, -closed) * Math.exp(log);
}

/** Risk that a set of patches removes from all assets together. */
export function removedFromFleet(fleet: PreparedFleet, chosen: ReadonlySet<number>): number {
  const rows = new Set([...chosen].flatMap((patch) => fleet.assetsOf[patch] ?? []));
  let sum = 0;
  for (const row of [...rows].sort((a, b) => a - b)) {
    const asset = fleet.assets[row];
    if (asset !== undefined) sum += removedFromAsset(asset, (patch) => chosen.has(patch));
  }
  return sum;
}

/** A set of patches that grows and shrinks. */
export interface Deploying {
  /** What a patch that is not in the set would remove in addition. */
  readonly gain: (patch: number) => number;
  /** Puts a patch into the set and returns what it removes; or takes it out and returns, below 0, what comes back. */
  readonly set: (patch: number, chosen: boolean) => number;
}

/** As `removedFromFleet`, patch by patch: each looks only at the findings that it is about. */
export function deploying({ assets, patches, touches }: PreparedFleet): Deploying {
  const chosen = new Uint8Array(patches.length);
  /** By asset the logs that are closed, above 0. */
  const closed = new Float64Array(assets.length);
  const sumClosed = (findings: readonly PreparedFinding[]): number => {
    let sum = 0;
    for (const finding of findings) {
      const left = finding.find((carrier) => !carrier.patches.some((patch) => chosen[patch] === 1));
      sum += (left?.log ?? 0) - (finding[0]?.log ?? 0);
    }
    return sum;
  };
  const change = (patch: number, to: number, keep: boolean): number => {
    const from = chosen[patch] ?? 0;
    let removed = 0;
    for (const { row, findings } of touches[patch] ?? []) {
      const asset = assets[row];
      if (asset === undefined) continue;
      chosen[patch] = from;
      const before = sumClosed(findings);
      chosen[patch] = to;
      const more = sumClosed(findings) - before;
      removed -= riskOf(asset.weight, more) * Math.exp(asset.log + (closed[row] ?? 0));
      if (keep) closed[row] = (closed[row] ?? 0) + more;
    }
    chosen[patch] = keep ? to : from;
    return removed;
  };
  return {
    gain: (patch) => change(patch, 1, false),
    set: (patch, into) => change(patch, into ? 1 : 0, true),
  };
}

/** What a set of patches removes if all of them are deployed to all assets that need them. */
export function riskRemoved(assets: readonly PatchableAsset[], patches: readonly string[]): RiskRemoved {
  const fleet = prepareFleet(assets, [...new Set(patches)]);
  let [before, removed] = [0, 0];
  const byAsset: RiskRemoved['by_asset'][number][] = [];
  for (const asset of fleet.assets) {
    const risk = riskOf(asset.weight, asset.log);
    const less = removedFromAsset(asset, () => true);
    before += risk;
    removed += less;
    if (less > 0) byAsset.push({ asset: asset.asset, before: risk, after: risk - less, removed: less });
  }
  return { before, after: before - removed, removed, by_asset: byAsset };
}

export interface MarginalRisk {
  readonly patch: string;
  /** Risk removed by this patch alone. */
  readonly alone: number;
  /** Risk that would come back if all patches but this one were deployed. */
  readonly last: number;
}

/** What each patch is worth, deployed first and deployed last; neither adds up to the whole, see docs/risk.md. */
export function marginalRisks(assets: readonly PatchableAsset[], patches: readonly string[]): MarginalRisk[] {
  const fleet = prepareFleet(assets, patches);
  return patches.map((patch, index) => {
    let [alone, last] = [0, 0];
    for (const row of fleet.assetsOf[index] ?? []) {
      const asset = fleet.assets[row];
      if (asset === undefined) continue;
      alone += removedFromAsset(asset, (other) => other === index);
      last += removedFromAsset(asset, () => true) - removedFromAsset(asset, (other) => other !== index);
    }
    return { patch, alone, last };
  });
}
