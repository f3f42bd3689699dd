import { schemeOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import type { PatchIdentity } from '@fixpoint/core/knowledge/patch.ts';
import type { FleetPatch, FleetPatches } from '@fixpoint/core/posture/patches.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import { compareVersions } from '@fixpoint/core/version/version.ts';

/** What patches would close, from the read model. */

export interface Closed {
  readonly assets: number;
  readonly findings: number;
}

/**
 * What stands for a patch in the read model, which knows those that verdicts name as their fix: the patch itself, or, where
 * the repositories offer one that nothing names, the newest that is not newer than it. Null: it closes nothing.
 */
export class KnownPatches {
  readonly #byPackage: ReadonlyMap<string, readonly FleetPatch[]>;

  constructor({ all }: Pick<FleetPatches, 'all'>) {
    this.#byPackage = Map.groupBy(all, keyOf);
  }

  standingFor(patch: PatchIdentity): FleetPatch | null {
    const scheme = schemeOf(patch.ecosystem);
    let best: FleetPatch | null = null;
    for (const one of this.#byPackage.get(keyOf(patch)) ?? []) {
      // An update is not one of a row of versions: what it closes is said by the finding.
      if (patch.ecosystem === 'windows') {
        if (one.version === patch.version) return one;
        continue;
      }
      const order = compareVersions(scheme, one.version, patch.version);
      if (order !== 'less' && order !== 'equal') continue;
      if (best === null || compareVersions(scheme, one.version, best.version) === 'greater') best = one;
    }
    return best;
  }
}

const keyOf = ({ ecosystem, release, package: name }: PatchIdentity): string =>
  `${ecosystem}\t${ecosystem === 'windows' ? '' : release}\t${name}`;

/** What a patch closes on one asset. */
export function closedOnAsset(patch: FleetPatch, asset: number, pairs: ReadonlySet<number>): Closed {
  let findings = 0;
  for (const pair of patch.pairs()) if (pairs.has(pair) && patch.closedOn(pair).has(asset)) findings += 1;
  return { assets: Math.min(1, findings), findings };
}

/** What it closes anywhere. */
export function* closedAnywhere(patch: FleetPatch): Sliced<Closed> {
  yield* patch.measure();
  return { assets: patch.assets().size, findings: patch.findings() };
}

/** Packages that a patch of these findings is of. */
export function packagesToPatch(patches: FleetPatches, fleet: FleetReading, asset: number | null): string[] {
  if (asset === null) return [...new Set(patches.all.map((patch) => patch.package))];
  const names = new Set<string>();
  for (const { pair } of fleet.findingsOf(asset))
    for (const patch of patches.ofPair(pair.index)) names.add(patch.package);
  return [...names];
}
