import { compareText } from '../knowledge/compare-text.ts';
import { schemeOf } from '../knowledge/ecosystem.ts';
import { patchId } from '../knowledge/patch.ts';
import { lookUp } from '../match/match.ts';
import { parseMitigationPatchId } from '../mitigation/mitigation.ts';
import { compareVersions } from '../version/version.ts';
import type {
  AddedPackage,
  ExcludedAsset,
  ExclusionReason,
  Obstacle,
  ObstacleKind,
  Plan,
  PlanAsset,
  PlannedPackage,
  PlannedTask,
  Prediction,
  RemovedPackage,
  RollbackSupport,
} from './plan.ts';
import {
  policyOnTask,
  refusalOfPatches,
  refusalToRemove,
  refusalToTouch,
  type DeniedPattern,
  type TouchRules,
} from './rules.ts';
import { sealedPlan } from './seal.ts';
import { byNameAndArch } from './select-packages.ts';

/** What the solver of an asset said would really happen; as contract/src/simulation.ts has it. */
export interface Simulation {
  /** ISO 8601 UTC. */
  readonly at: string;
  readonly upgraded: readonly {
    readonly name: string;
    readonly arch: string;
    readonly from: string;
    readonly to: string;
  }[];
  readonly added: readonly AddedPackage[];
  readonly removed: readonly RemovedPackage[];
  readonly download_bytes: number;
  readonly disk_bytes: number;
  readonly disk_free_bytes: number;
  readonly restarts: readonly string[];
  readonly reboot: boolean;
  readonly rollback: RollbackSupport;
  readonly obstacles: readonly Obstacle[];
  readonly remarks: readonly Obstacle[];
}

export interface AskedAsset {
  /** As it is when the answers are put together. */
  readonly asset: Pick<PlanAsset, 'mode' | 'retired' | 'inventory'>;
  /** Null: it has not answered in time. */
  readonly simulation: Simulation | null;
}

export interface MergeRules {
  readonly touch: TouchRules;
  readonly denied: readonly DeniedPattern[];
  /** What becomes of assets that have not answered. */
  readonly unanswered: 'leave_out' | 'keep';
}

/** What keeps a task from being done, as the reason why the asset is left out. */
const reasonOfObstacle: Readonly<Record<ObstacleKind, ExclusionReason>> = {
  host_policy: 'host_policy',
  package_held: 'package_held',
  dependency_conflict: 'dependency_conflict',
  version_not_available: 'not_offered',
  repository_missing: 'repository_missing',
  disk_too_small: 'disk_too_small',
  rollback_not_possible: 'rollback_not_possible',
  package_manager_broken: 'package_manager_broken',
  lock_held: 'not_simulated',
  other: 'not_simulated',
};

/** More cannot stand in one order. */
const packagesMaximum = 1_000;

/**
 * The plan after the assets were asked: what their own package managers would really do becomes the task, with what comes along, or
 * the asset is left out with the reason. A task without packages is as it was. Pure; same answers, same digest, whatever their order.
 *
 * @param answers by id of the asset; an asset that is missing has not answered
 * @param now milliseconds since 1970 UTC
 */
export function mergeSimulations(
  base: Plan,
  answers: ReadonlyMap<string, AskedAsset>,
  rules: MergeRules,
  now: number,
): Plan {
  const tasks: PlannedTask[] = [];
  const excluded: ExcludedAsset[] = [...base.excluded];
  const warnings = [...base.warnings];
  for (const task of base.tasks) {
    const merged = mergeTask(task, answers.get(task.asset_id), rules);
    if (merged.ok) {
      tasks.push(merged.task);
      if (merged.warning !== null) warnings.push(`${task.hostname}: ${merged.warning}`);
    } else {
      const { asset_id, hostname } = task;
      excluded.push({ asset_id, hostname, reason: merged.reason, message: merged.message.slice(0, 4_000) });
    }
  }
  excluded.sort((a, b) => compareText(a.hostname, b.hostname) || compareText(a.asset_id, b.asset_id));
  const left = new Set(tasks.flatMap((task) => task.patches));
  const before = new Set(base.tasks.flatMap((task) => task.patches));
  for (const id of [...before].sort()) {
    if (!left.has(id))
      warnings.push(`no asset of the target gets ${id}: those that would have are left out now`);
  }
  return sealedPlan({ format: 1, job_id: base.job_id, tasks, excluded, warnings }, now);
}

type Merged =
  | { readonly ok: true; readonly task: PlannedTask; readonly warning: string | null }
  | { readonly ok: false; readonly reason: ExclusionReason; readonly message: string };

const leftOut = (reason: ExclusionReason, message: string): Merged => ({ ok: false, reason, message });

function mergeTask(task: PlannedTask, asked: AskedAsset | undefined, rules: MergeRules): Merged {
  if (asked?.asset.retired === true) return leftOut('retired', 'the asset was retired meanwhile');
  if (asked?.asset.mode === 'assess') {
    return leftOut('assess_only', 'the agent of this asset only reports since the plan was begun');
  }
  if (task.packages.length === 0) return { ok: true, task, warning: null };
  const simulation = asked?.simulation ?? null;
  if (asked === undefined || simulation === null) {
    if (rules.unanswered === 'keep')
      return { ok: true, task, warning: 'it has not answered what would really happen' };
    return leftOut('not_simulated', 'the asset has not answered in time what would really happen on it');
  }
  const obstacle = obstacleOf(simulation.obstacles);
  if (obstacle !== null) return obstacle;
  const differs = differenceOf(task, simulation);
  if (differs !== null) return differs;
  const { packages, added, removed } = changesOf(task, asked.asset, simulation);
  const refused =
    refusedChange(task, asked.asset, { packages, added, removed }, rules) ??
    notAllowed(asked.asset, { packages, added, removed }, simulation, rules);
  if (refused !== null) return refused;
  const { added: _added, removed: _removed, ...rest } = task;
  const merged: PlannedTask = {
    ...rest,
    patches: patchesAfter(task, asked.asset, packages),
    packages,
    download_bytes: simulation.download_bytes,
    ...(added.length === 0 ? {} : { added }),
    ...(removed.length === 0 ? {} : { removed }),
    prediction: predictionOf(simulation),
  };
  return { ok: true, task: merged, warning: null };
}

function obstacleOf(obstacles: readonly Obstacle[]): Merged | null {
  for (const kind of Object.keys(reasonOfObstacle)) {
    const same = obstacles.filter((one) => one.kind === kind);
    const [first] = same;
    if (first === undefined) continue;
    const messages = [...new Set(same.map((one) => one.message))].sort();
    return leftOut(reasonOfObstacle[first.kind], messages.join('; '));
  }
  return null;
}

const keyOf = (p: { readonly name: string; readonly arch: string }): string => `${p.name}:${p.arch}`;

/** Where the package manager would do something else than what was asked for. */
function differenceOf(task: PlannedTask, simulation: Simulation): Merged | null {
  const upgraded = new Map(simulation.upgraded.map((p) => [keyOf(p), p]));
  for (const p of task.packages) {
    const would = upgraded.get(keyOf(p));
    if (would === undefined && isBeside(p, simulation)) continue;
    if (would === undefined) {
      return leftOut('dependency_conflict', `its package manager would not take ${p.name} to ${p.to}`);
    }
    if (would.to !== p.to) {
      return leftOut(
        'dependency_conflict',
        `its package manager would take ${p.name} to ${would.to} and not to ${p.to}`,
      );
    }
    if (would.from !== p.from) {
      return leftOut(
        'not_simulated',
        `${p.name} is at ${would.from} now and was at ${p.from} when the plan was begun: make a new one`,
      );
    }
  }
  const added = new Map(simulation.added.map((p) => [p.name, p]));
  for (const p of task.added ?? []) {
    const would = added.get(p.name);
    if (would?.version === p.version) continue;
    return leftOut(
      'dependency_conflict',
      would === undefined
        ? `its package manager would not bring ${p.name} ${p.version} along`
        : `its package manager would bring ${p.name} ${would.version} along and not ${p.version}`,
    );
  }
  return null;
}

/** Kernels of RPM are not upgraded: the new one is installed beside the old, under the same name. */
function isBeside(p: PlannedPackage, simulation: Simulation): boolean {
  return simulation.added.some((one) => keyOf(one) === keyOf(p) && one.version === p.to);
}

interface Changes {
  readonly packages: readonly PlannedPackage[];
  readonly added: readonly AddedPackage[];
  readonly removed: readonly RemovedPackage[];
}

/** Everything that would change. What comes along has its source from what is offered, else from what is installed. */
function changesOf(task: PlannedTask, asset: AskedAsset['asset'], simulation: Simulation): Changes {
  const asked = new Set(task.packages.map(keyOf));
  const along = simulation.upgraded
    .filter((p) => !asked.has(keyOf(p)))
    .map(({ name, arch, from, to }): PlannedPackage => {
      const candidate = asset.inventory?.candidates.find(
        (one) => one.name === name && one.arch === arch && one.version === to,
      );
      const installed = asset.inventory?.packages.find((one) => one.name === name && one.arch === arch);
      const source = candidate?.source ?? installed?.source ?? name;
      return { name, arch, from, to, source, source_version: candidate?.source_version ?? to };
    });
  return {
    packages: [...task.packages, ...along].sort(byNameAndArch),
    added: simulation.added
      .filter((p) => !asked.has(keyOf(p)))
      .map(({ name, arch, version }) => ({ name, arch, version }))
      .sort(byNameAndArch),
    removed: simulation.removed
      .map(({ name, arch, version }) => ({ name, arch, version }))
      .sort(byNameAndArch),
  };
}

const noProduct = { ecosystem: '', release: '' };

/** What the job, its pins and the deny-list keep from being touched, and what apt-mark holds. */
function refusedChange(
  task: PlannedTask,
  { inventory }: AskedAsset['asset'],
  { packages, added, removed }: Changes,
  { touch, denied }: MergeRules,
): Merged | null {
  const product = inventory?.product ?? noProduct;
  const asked = new Set(task.packages.map(keyOf));
  const scheme = schemeOf(product.ecosystem);
  // mitigations are not what the solver was asked about; whether one is denied was seen when the plan was begun
  const patches = task.patches.filter((id) => parseMitigationPatchId(id) === null);
  const ofPatch = refusalOfPatches(patches, denied);
  if (ofPatch !== null) return leftOut(ofPatch.reason, ofPatch.message);
  for (const p of packages) {
    const refused = refusalToTouch({ ...p, version: p.to }, product, touch, denied);
    if (refused !== null) return leftOut(refused.reason, alongWith(p, asked, refused.message));
    if (asked.has(keyOf(p))) continue;
    if (inventory?.held.includes(p.name) === true)
      return leftOut('package_held', `${p.name} would change along, and is on hold on the asset`);
    if (compareVersions(scheme, p.from, p.to) === 'greater')
      return leftOut('dependency_conflict', `${p.name} would go back from ${p.from} to ${p.to}`);
  }
  for (const p of added) {
    const refused = refusalToTouch(p, product, touch, denied);
    if (refused !== null) return leftOut(refused.reason, `${p.name} would come along: ${refused.message}`);
  }
  for (const p of removed) {
    if (inventory?.held.includes(p.name) === true)
      return leftOut('package_held', `${p.name} would be removed, and is on hold on the asset`);
    const refused = refusalToRemove(p, touch);
    if (refused !== null) return leftOut(refused.reason, refused.message);
  }
  return null;
}

const alongWith = (p: PlannedPackage, asked: ReadonlySet<string>, message: string): string =>
  asked.has(keyOf(p)) ? message : `${p.name} would change along: ${message}`;

/** What the host's policy, the size of an order, and a rollback that has to be possible say. */
function notAllowed(
  { inventory }: AskedAsset['asset'],
  changes: Changes,
  { rollback }: Simulation,
  { touch }: MergeRules,
): Merged | null {
  const { forbidden } = policyOnTask(inventory?.policy, changes, touch);
  if (forbidden !== null) return leftOut('host_policy', forbidden);
  if (changes.packages.length > packagesMaximum) {
    return leftOut(
      'too_many_packages',
      `${String(changes.packages.length)} packages would be upgraded, and one order names at most ${String(packagesMaximum)}`,
    );
  }
  const wish = touch.rollback;
  const bySnapshot = wish?.method === 'snapshot';
  const isPossible = bySnapshot ? rollback.snapshots !== undefined : rollback.possible;
  if (wish?.required === true && wish.on !== 'off' && !isPossible) {
    const why = bySnapshot
      ? ['the host can make no snapshot of its root file system']
      : rollback.reasons.map((one) => `${one.package}: ${one.message}`).sort();
    return leftOut(
      'rollback_not_possible',
      `the job wants a rollback to be possible, and it is not${why.length === 0 ? '' : `: ${why.slice(0, 5).join('; ')}`}`,
    );
  }
  return null;
}

function patchesAfter(
  task: PlannedTask,
  { inventory }: AskedAsset['asset'],
  packages: readonly PlannedPackage[],
): string[] {
  const product = inventory?.product ?? null;
  if (product === null) return [...task.patches];
  const asked = new Set(task.packages.map(keyOf));
  const along = packages.flatMap((p) => {
    if (asked.has(keyOf(p))) return [];
    const { name, to: version, source, source_version } = p;
    const target = lookUp(product.ecosystem, { name, version, source, source_version });
    return target === null ? [] : [patchId({ ...product, package: target.package, version: target.version })];
  });
  return [...new Set([...task.patches, ...along])].sort();
}

function predictionOf(simulation: Simulation): Prediction {
  const { rollback } = simulation;
  const byText = (a: Obstacle, b: Obstacle): number =>
    compareText(`${a.kind} ${a.message}`, `${b.kind} ${b.message}`);
  return {
    simulated_at: simulation.at,
    download_bytes: simulation.download_bytes,
    disk_bytes: simulation.disk_bytes,
    disk_free_bytes: simulation.disk_free_bytes,
    restarts: [...new Set(simulation.restarts)].sort(),
    reboot: simulation.reboot,
    rollback: {
      possible: rollback.possible,
      reasons: rollback.reasons.toSorted((a, b) =>
        compareText(`${a.package} ${a.message}`, `${b.package} ${b.message}`),
      ),
      ...(rollback.snapshots === undefined ? {} : { snapshots: rollback.snapshots }),
    },
    remarks: simulation.remarks.toSorted(byText),
  };
}
