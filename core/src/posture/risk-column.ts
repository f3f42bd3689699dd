/**
 * The risk of every asset, and how many open findings it has, kept as columns. Exactly `assetRisk` of core/src/risk: each
 * vulnerability counts once per asset however many packages carry it, by the share that its gravest status leaves. Assets
 * that nothing sets apart are worked out from their rows alone, without making findings of them.
 */
import { criticalityWeight, findingProbability, riskOf, shareOf } from '../risk/asset-risk.ts';
import { assetRiskConstants } from '../risk/asset-risk.ts';
import { assetSet, type ReadonlyAssetSet } from './asset-set.ts';
import { eachCarrier, findingsOf, type FindingSources } from './findings.ts';
import { Combinations, type Combined } from './group-combinations.ts';
import type { ExposedFindingStatus, FleetFinding } from './reading.ts';
import type { Sliced } from './select/selection.ts';

const counted: ReadonlySet<ExposedFindingStatus> = new Set(['open', 'restart_pending', 'reboot_pending']);
/** Walks are counted in 32 bits. */
const mostWalks = 4_294_967_290;
/** Assets in one slice. */
const slice = 2_000;
const shareUndetermined = shareOf({ status: 'undetermined' });

interface GroupAdds {
  /** To the sum of log1p(−p). */
  readonly log: number;
  readonly open: number;
  readonly package: number;
  readonly ecosystem: string;
}

export class RiskColumn {
  #risk = new Float64Array(1024);
  #open = new Uint32Array(1024);
  /** Assets whose risk is not as it should be. */
  readonly #waiting = assetSet();
  /** By vulnerability: the last walk in which it was met, and the logarithm that counted there. */
  #metVulnerability = new Uint32Array(0);
  #counted = new Float64Array(0);
  #metPair = new Uint32Array(0);
  #walk = 0;
  /** By danger: log1p(−p) of an open finding, and of one that is undetermined. NaN: not worked out. */
  #openLogs = new Float64Array(0);
  #undeterminedLogs = new Float64Array(0);
  /**
   * By group, or combination of groups, what it adds; null where another package of its ecosystem can have one of its
   * vulnerabilities, so that it cannot be said of the group alone.
   */
  #groupAdds: (GroupAdds | null)[] = [];
  #groups: Combinations | null = null;
  #metGroup = new Uint32Array(0);
  #metPackage = new Uint32Array(0);
  /** By package the group, or combination, that was met. */
  #foundGroup = new Float64Array(0);

  /** How many are not as they should be. */
  get waiting(): number {
    return this.#waiting.size;
  }

  get settled(): boolean {
    return this.#waiting.isEmpty;
  }

  risk(asset: number): number {
    return this.#risk[asset] ?? 0;
  }

  openFindings(asset: number): number {
    return this.#open[asset] ?? 0;
  }

  /** To be read only: by id. */
  get risks(): Float64Array {
    return this.#risk;
  }

  /** There are other pairs, or other software carries them. */
  forgetGroups(): void {
    this.#groupAdds = [];
    this.#groups = null;
  }

  /** The chance of these dangers is another. */
  forget(dangers: Iterable<number>): void {
    this.forgetGroups();
    for (const danger of dangers) {
      this.#openLogs[danger] = Number.NaN;
      this.#undeterminedLogs[danger] = Number.NaN;
    }
  }

  waitAll(assets: ReadonlyAssetSet): void {
    this.#waiting.addMany(assets);
  }

  /** Works out what waits, or as much of it as `most` assets. */
  settle(sources: FindingSources, criticality: (asset: number) => number, most = Infinity): number {
    const ids = this.#waiting.toArray(Math.min(most, this.#waiting.size));
    for (const id of ids) this.#workOut(sources, id, criticality);
    this.#waiting.removeMany(ids);
    return ids.length;
  }

  *settleSlices(sources: FindingSources, criticality: (asset: number) => number): Sliced<void> {
    while (this.settle(sources, criticality, slice) > 0) yield;
  }

  #workOut(sources: FindingSources, id: number, criticality: (asset: number) => number): void {
    if (id >= this.#risk.length) {
      const length = Math.max(id + 1, Math.ceil(this.#risk.length * 1.5));
      const [risk, open] = [new Float64Array(length), new Uint32Array(length)];
      risk.set(this.#risk);
      open.set(this.#open);
      [this.#risk, this.#open] = [risk, open];
    }
    if (!sources.assets.live.has(id)) {
      this.#risk[id] = 0;
      this.#open[id] = 0;
      return;
    }
    const { logSurvival, open } = sources.isPlain(id)
      ? (this.#fromGroups(sources, id) ?? this.#fromRow(sources, id))
      : fromFindings(sources, findingsOf(sources, id));
    // Sums depend on the order of their terms in the last digits, which nobody is to see.
    this.#risk[id] = Math.round(riskOf(criticalityWeight(criticality(id)), logSurvival) * 1e6) / 1e6;
    this.#open[id] = open;
  }

  /** From what each of its groups adds; null where one of them cannot be reckoned by itself. */
  #fromGroups(sources: FindingSources, id: number): { logSurvival: number; open: number } | null {
    const { carriers } = sources;
    this.#widenGroups(carriers.groupCount, carriers.packageCount);
    const groups = (this.#groups ??= new Combinations(carriers));
    const { groupOf } = carriers;
    const walk = ++this.#walk;
    let logSurvival = 0;
    let open = 0;
    let ecosystem: string | null = null;
    let isPlain = true;
    eachCarrier(sources, id, (carrier) => {
      let index = groupOf[carrier] ?? 0;
      if (!isPlain || this.#metGroup[index] === walk) return;
      this.#metGroup[index] = walk;
      let adds = this.#added(sources, groups, index);
      if (adds?.log === 0) return;
      isPlain = adds !== null && (ecosystem === null || ecosystem === adds.ecosystem);
      if (adds === null || !isPlain) return;
      ecosystem = adds.ecosystem;
      if (this.#metPackage[adds.package] === walk) {
        // Two versions side by side: instead of what the first adds, what they add together.
        const first = this.#foundGroup[adds.package] ?? 0;
        const before = this.#added(sources, groups, first);
        index = groups.of(first, index);
        adds = this.#added(sources, groups, index);
        isPlain = adds !== null && before !== null;
        if (adds === null || before === null) return;
        logSurvival -= before.log;
        open -= before.open;
      }
      this.#metPackage[adds.package] = walk;
      this.#foundGroup[adds.package] = index;
      logSurvival += adds.log;
      open += adds.open;
    });
    return isPlain ? { logSurvival, open } : null;
  }

  #added(sources: FindingSources, groups: Combinations, index: number): GroupAdds | null {
    let adds = this.#groupAdds[index];
    if (adds === undefined) {
      const { vulnerable, package: number, ecosystem } = groups.at(index);
      const log = this.#groupLog(sources, groups.at(index));
      adds = log === null ? null : { log, open: vulnerable.length, package: number, ecosystem };
      this.#groupAdds[index] = adds;
    }
    return adds;
  }

  #groupLog(sources: FindingSources, { vulnerable, undetermined }: Combined): number | null {
    this.#widen(sources.vulnerabilities.count, sources.carriers.pairCount, sources.vulnerabilities.dangers);
    let sum = 0;
    for (const [pairs, isOpen] of [
      [vulnerable, true],
      [undetermined, false],
    ] as const) {
      for (const pair of pairs) {
        const { vulnerability, danger } = sources.carriers.pair(pair);
        if (isElsewhere(sources, pair, vulnerability)) return null;
        const log = this.#log(sources, danger, isOpen);
        // What adds nothing to the risk is a finding all the same.
        if (log === 0) return null;
        sum += log;
      }
    }
    return sum;
  }

  #widenGroups(groups: number, packages: number): void {
    if (this.#metGroup.length >= groups && this.#metPackage.length >= packages && this.#walk < mostWalks)
      return;
    this.#metGroup = new Uint32Array(groups * 2);
    this.#metPackage = new Uint32Array(packages * 2);
    this.#foundGroup = new Float64Array(packages * 2);
    if (this.#walk < mostWalks) return;
    this.#metVulnerability.fill(0);
    this.#metPair.fill(0);
    this.#walk = 0;
  }

  #fromRow(sources: FindingSources, id: number): { logSurvival: number; open: number } {
    const { carriers, vulnerabilities } = sources;
    this.#widen(vulnerabilities.count, carriers.pairCount, vulnerabilities.dangers);
    const walk = ++this.#walk;
    let logSurvival = 0;
    let open = 0;
    const count = (pairs: readonly number[], isOpen: boolean): void => {
      for (const index of pairs) {
        const pair = carriers.pair(index);
        if (isOpen && this.#metPair[index] !== walk) {
          this.#metPair[index] = walk;
          open += 1;
        }
        const log = this.#log(sources, pair.danger, isOpen);
        if (this.#metVulnerability[pair.vulnerability] !== walk) {
          this.#metVulnerability[pair.vulnerability] = walk;
          this.#counted[pair.vulnerability] = log;
          logSurvival += log;
        } else {
          const before = this.#counted[pair.vulnerability] ?? 0;
          if (log >= before) continue;
          this.#counted[pair.vulnerability] = log;
          logSurvival += log - before;
        }
      }
    };
    eachCarrier(sources, id, (carrier) => {
      const group = carriers.group(carriers.carrier(carrier).group);
      count(group.vulnerable, true);
      count(group.undetermined, false);
    });
    return { logSurvival, open };
  }

  #log({ vulnerabilities }: FindingSources, danger: number, isOpen: boolean): number {
    const logs = isOpen ? this.#openLogs : this.#undeterminedLogs;
    const known = logs[danger] ?? Number.NaN;
    if (!Number.isNaN(known)) return known;
    const { chance } = vulnerabilities.danger(danger).score;
    const share = isOpen ? 1 : shareUndetermined;
    return (logs[danger] = Math.log1p(-assetRiskConstants.reach * chance * share));
  }

  #widen(vulnerabilities: number, pairs: number, dangers: number): void {
    if (this.#metVulnerability.length < vulnerabilities || this.#metPair.length < pairs) {
      this.#metVulnerability = new Uint32Array(vulnerabilities * 2);
      this.#counted = new Float64Array(vulnerabilities * 2);
      this.#metPair = new Uint32Array(pairs * 2);
    }
    if (this.#openLogs.length < dangers) {
      this.#openLogs = new Float64Array(dangers * 2).fill(Number.NaN);
      this.#undeterminedLogs = new Float64Array(dangers * 2).fill(Number.NaN);
    }
  }
}

/** Whether another package of the same ecosystem has the vulnerability. */
function isElsewhere({ carriers }: FindingSources, index: number, vulnerability: number): boolean {
  const { ecosystem } = carriers.pair(index);
  return carriers.pairsOfVulnerability(vulnerability).some((other) => {
    const pair = carriers.pair(other);
    return other !== index && pair.ecosystem === ecosystem && pair.carriers.length > 0;
  });
}

function fromFindings(
  { vulnerabilities }: FindingSources,
  findings: readonly FleetFinding[],
): { logSurvival: number; open: number } {
  const greatest = new Map<number, number>();
  let open = 0;
  for (const { pair, status } of findings) {
    if (counted.has(status)) open += 1;
    const { chance } = vulnerabilities.danger(pair.danger).score;
    // A mitigation counts as such only where it blocks.
    const effect = status === 'mitigated' ? { effect: 'blocks' as const } : {};
    const probability = findingProbability({ vulnerability: '', chance, status, ...effect });
    greatest.set(pair.vulnerability, Math.max(probability, greatest.get(pair.vulnerability) ?? 0));
  }
  let logSurvival = 0;
  for (const probability of greatest.values()) logSurvival += Math.log1p(-probability);
  return { logSurvival, open };
}
