import { unmetDependencies } from '../inventory/deb-depends.ts';
import { compareText } from '../knowledge/compare-text.ts';
import { schemeOf } from '../knowledge/ecosystem.ts';
import { compareVersions } from '../version/version.ts';
import type {
  AddedPackage,
  ExcludedAsset,
  ExclusionReason,
  Plan,
  PlanAsset,
  PlanPatch,
  PlannedMitigation,
  PlannedPackage,
  PlannedTask,
} from './plan.ts';
import { mitigationPatchId, type Mitigation, type MitigationAction } from '../mitigation/mitigation.ts';
import { sealedPlan } from './seal.ts';
import {
  mitigationOnAsset,
  mitigationWarnings,
  nameOf,
  type MitigationOnAsset,
} from './select-mitigations.ts';
import {
  deniedBy,
  policyOnTask,
  refusalOfPatches,
  refusalToTouch,
  type DeniedPattern,
  type Product,
  type TouchRefusal,
  type TouchRules,
} from './rules.ts';
import { byNameAndArch, everythingNewer, packagesOfPatch, type PatchOnAsset } from './select-packages.ts';

type Taken = Extract<PatchOnAsset, { ok: true }>;
type NotTaken =
  | Pick<Extract<PatchOnAsset | MitigationOnAsset, { ok: false }>, 'reason' | 'message'>
  | TouchRefusal;

/** Of several reasons the one that a person can do most about is named first. */
const patchReasonOrder: readonly NotTaken['reason'][] = [
  'patch_denied',
  'package_excluded',
  'pinned',
  'package_held',
  'not_offered',
  'mitigation_not_supported',
  'already_fixed',
  'already_mitigated',
  'not_mitigated',
  'not_installed',
  'other_release',
];

/** An asset not seen for longer than this is warned about. */
const longUnseenMilliseconds = 24 * 3_600_000;

/** The mitigations of a job, and whether they are to be applied or taken back. */
export interface WantedMitigations {
  readonly action: MitigationAction;
  readonly mitigations: readonly Mitigation[];
}

const noMitigations: WantedMitigations = { action: 'apply', mitigations: [] };

/** What a plan goes by besides patches and assets. */
export interface PlanRules {
  /** Of the job's definition. */
  readonly touch?: TouchRules;
  readonly denied?: readonly DeniedPattern[];
  /** What the criteria of the job came to; absent: it has none. */
  readonly criteria?: { readonly patches: readonly PlanPatch[]; readonly everythingNewer: boolean };
  /** The assets will be asked what comes along: what only they can say is no warning then. */
  readonly willAsk?: boolean;
  /** Sentences about the target that stand before the warnings. */
  readonly notes?: readonly string[];
}

interface Wanted {
  /** Those named, and those by criteria. */
  readonly patches: readonly PlanPatch[];
  readonly named: ReadonlySet<string>;
  readonly mitigations: WantedMitigations;
  readonly rules: PlanRules;
}

/** More cannot stand in one order. */
const packagesMaximum = 1_000;

/**
 * The frozen plan of a job: for every asset of the target either a task with exact versions, or an exclusion with its reason.
 * Pure: same input, same digest, in whatever order patches and assets come.
 * `now`: milliseconds since 1970 UTC.
 */
export function makePlan(
  job: { readonly id: string },
  patches: readonly PlanPatch[],
  assets: readonly PlanAsset[],
  now: number,
  mitigations: WantedMitigations = noMitigations,
  rules: PlanRules = {},
): Plan {
  const ordered = [...patches].sort((a, b) => compareText(a.id, b.id));
  const all = new Map([...ordered, ...(rules.criteria?.patches ?? [])].map((one) => [one.id, one]));
  const wanted: Wanted = {
    patches: [...all.values()].sort((a, b) => compareText(a.id, b.id)),
    named: new Set(patches.map((one) => one.id)),
    mitigations,
    rules,
  };
  const tasks: PlannedTask[] = [];
  const excluded: ExcludedAsset[] = [];
  const warnings: string[] = [...(rules.notes ?? [])];
  const needed = new Set<string>();

  const sorted = [...assets].sort((a, b) => compareText(a.hostname, b.hostname) || compareText(a.uid, b.uid));
  for (const asset of sorted) {
    const result = planAsset(asset, wanted);
    if (!result.ok) {
      excluded.push({
        asset_id: asset.uid,
        hostname: asset.hostname,
        reason: result.reason,
        message: result.message,
      });
      continue;
    }
    tasks.push(result.task);
    for (const id of result.asked) needed.add(id);
    warnings.push(...result.warnings);
  }
  for (const patch of ordered) {
    if (!needed.has(patch.id)) warnings.push(`no asset of the target gets ${patch.id}`);
  }
  for (const name of mitigations.mitigations.map(nameOf).sort()) {
    if (!needed.has(name)) warnings.push(`no asset of the target gets ${name}`);
  }
  warnings.push(...unseenWarning(sorted, tasks, now));
  return sealedPlan({ format: 1, job_id: job.id, tasks, excluded, warnings }, now);
}

type AssetPlan =
  | { readonly ok: true; readonly task: PlannedTask; readonly asked: string[]; readonly warnings: string[] }
  | { readonly ok: false; readonly reason: ExclusionReason; readonly message: string };

type TakenSource = Pick<Taken, 'packages' | 'added' | 'sourceVersion' | 'patchIds' | 'downloadBytes'> & {
  readonly asked: readonly string[];
  readonly source: string;
};

function planAsset(asset: PlanAsset, wanted: Wanted): AssetPlan {
  const { rules, mitigations: ofJob } = wanted;
  if (asset.retired) return excludedFor('retired', 'the asset is retired');
  if (asset.excludedByJob !== null) return excludedFor('excluded_by_job', asset.excludedByJob);
  const { inventory } = asset;
  if (inventory === null) return excludedFor('no_inventory', 'the asset has not sent an inventory yet');

  const { taken, notTaken } = packagesFor(inventory, wanted);
  const mitigations: PlannedMitigation[] = [];
  for (const mitigation of ofJob.mitigations.toSorted((a, b) => compareText(a.id, b.id))) {
    const result = mitigationOnAsset(mitigation, ofJob.action, inventory, asset);
    const asked = nameOf(mitigation);
    const denial = ofJob.action === 'apply' ? deniedBy(asked, rules.denied ?? []) : null;
    if (!result.ok) notTaken.push({ ...result, asked });
    else if (denial !== null)
      notTaken.push({ reason: 'patch_denied', message: `${asked} is denied: ${denial.reason}`, asked });
    else mitigations.push(result.planned);
  }
  if (taken.length === 0 && mitigations.length === 0) return mainReason(notTaken, wanted);
  // asked last, so that an asset that needs nothing says so rather than why it could not get it
  if (asset.mode === 'assess') {
    return excludedFor(
      'assess_only',
      'the agent of this asset only reports; it was enrolled without the right to install',
    );
  }
  if (asset.taskUnderWay) {
    return excludedFor('task_under_way', 'another deployment has a task on this asset that has not ended');
  }
  const packages = taken.flatMap((one) => one.packages).sort(byNameAndArch);
  const added = taken.flatMap((one) => one.added).sort(byNameAndArch);
  if (packages.length > packagesMaximum) {
    return excludedFor(
      'too_many_packages',
      `${String(packages.length)} packages would be upgraded, and one order names at most ${String(packagesMaximum)}`,
    );
  }
  const policy = policyOnTask(inventory.policy, { packages, added }, rules.touch ?? {});
  if (policy.forbidden !== null) return excludedFor('host_policy', policy.forbidden);

  const { fixes, warnings } = fixesOf(asset, taken);
  for (const one of notTaken) {
    if (isWorthAWarning(one.reason))
      warnings.push(`${asset.hostname} does not get ${one.asked}: ${one.message}`);
  }
  for (const one of mitigations) warnings.push(...mitigationWarnings(asset.hostname, one));
  if (packages.length > 0 && inventory.packageManager?.held === 'recorded') {
    const { name } = inventory.packageManager;
    warnings.push(
      `${asset.hostname}: orders for its package manager (${name}) are held to recorded outputs only: they were never tried on a real one`,
    );
  }
  for (const one of policy.restricts) warnings.push(`${asset.hostname}: ${one}`);
  if (rules.willAsk !== true) warnings.push(...unmetWarning(asset.hostname, inventory, packages, added));
  if (taken.length > 0 && fixes.length === 0) {
    warnings.push(`${asset.hostname} is brought up to date, but no known vulnerability is closed by it`);
  }
  const task: PlannedTask = {
    asset_id: asset.uid,
    hostname: asset.hostname,
    patches: [
      ...new Set([
        ...taken.flatMap((one) => one.patchIds),
        ...mitigations.map((one) => mitigationPatchId(one.mitigation.id)),
      ]),
    ].sort(),
    packages,
    fixes,
    download_bytes: taken.reduce((sum, one) => sum + one.downloadBytes, 0),
    ...(mitigations.length === 0 ? {} : { mitigations }),
    ...(added.length === 0 ? {} : { added }),
  };
  const asked = [
    ...taken.flatMap((one) => one.asked),
    ...mitigations.map((one) => mitigationPatchId(one.mitigation.id)),
  ];
  return { ok: true, task, asked, warnings };
}

type AssetInventory = NonNullable<PlanAsset['inventory']>;

/** The packages of all patches that an asset can get, each package once. */
function packagesFor(
  inventory: AssetInventory,
  wanted: Wanted,
): { taken: TakenSource[]; notTaken: (NotTaken & { asked: string })[] } {
  const { rules } = wanted;
  const { product } = inventory;
  const taken: TakenSource[] = [];
  const notTaken: (NotTaken & { asked: string })[] = [];
  const groups = Map.groupBy(wanted.patches, (one) => `${one.ecosystem}:${one.release}/${one.package}`);
  for (const group of groups.values()) {
    // what the newest one closes, the older ones do too: those are only tried where it cannot be had
    const scheme = schemeOf(group[0]?.ecosystem ?? '');
    const newestFirst = group.toSorted((a, b) =>
      compareVersions(scheme, a.version, b.version) === 'less' ? 1 : -1,
    );
    for (const [place, patch] of newestFirst.entries()) {
      const result = packagesOfPatch(patch, inventory);
      const refused = result.ok && product !== null ? refusedPackage(result, product, rules) : null;
      if (result.ok && refused === null) {
        const asked = newestFirst.slice(place).map((one) => one.id);
        taken.push({ ...result, asked, source: patch.package });
        break;
      }
      if (refused !== null) notTaken.push({ ...refused, asked: patch.id });
      else if (!result.ok) notTaken.push({ ...result, asked: patch.id });
    }
  }
  if (rules.criteria?.everythingNewer === true && product !== null) {
    for (const newer of everythingNewer(inventory)) {
      if (taken.some((one) => one.source === newer.package)) continue;
      const refused = refusedPackage(newer, product, rules);
      if (refused === null) taken.push({ ...newer, asked: [], source: newer.package });
      else notTaken.push({ ...refused, asked: newer.patchIds[0] ?? newer.package });
    }
  }
  return { taken, notTaken };
}

function refusedPackage(
  { packages, added, patchIds }: Pick<TakenSource, 'packages' | 'added' | 'patchIds'>,
  product: Product,
  { touch = {}, denied = [] }: PlanRules,
): TouchRefusal | null {
  for (const p of [...packages.map((one) => ({ ...one, version: one.to })), ...added]) {
    const refused = refusalToTouch(p, product, touch, denied);
    if (refused !== null) return refused;
  }
  return refusalOfPatches(patchIds, denied);
}

const noWarning: ReadonlySet<NotTaken['reason']> = new Set([
  'already_fixed',
  'already_mitigated',
  'not_mitigated',
  'not_installed',
  'other_release',
]);
const isWorthAWarning = (reason: NotTaken['reason']): boolean => !noWarning.has(reason);

/** What the new versions need that neither is there nor comes with them, as far as it is known. */
function unmetWarning(
  hostname: string,
  inventory: AssetInventory,
  packages: readonly PlannedPackage[],
  added: readonly AddedPackage[],
): string[] {
  const after = new Map(inventory.packages.map((p) => [p.name, p.version]));
  for (const p of packages) after.set(p.name, p.to);
  for (const p of added) after.set(p.name, p.version);
  const needs = packages.flatMap(
    (p) =>
      inventory.candidates.find((c) => c.name === p.name && c.arch === p.arch && c.version === p.to)
        ?.requires ?? [],
  );
  const unmet = unmetDependencies(needs, after);
  if (unmet.length === 0) return [];
  return [
    `${hostname}: more comes along than is named here, for ${unmet.join(', ')}: a plan that asks the host names it`,
  ];
}

function excludedFor(reason: ExclusionReason, message: string): AssetPlan {
  return { ok: false, reason, message };
}

const messagesShown = 3;

function mainReason(notTaken: readonly (NotTaken & { asked: string })[], wanted: Wanted): AssetPlan {
  // of what only the criteria name, most is for other assets of the target
  const told = notTaken.filter(
    (one) =>
      isWorthAWarning(one.reason) || wanted.named.has(one.asked) || one.asked.startsWith('mitigation:'),
  );
  for (const reason of patchReasonOrder) {
    const messages = [...new Set(told.filter((one) => one.reason === reason).map((one) => one.message))];
    if (messages.length === 0) continue;
    const more = messages.length - messagesShown;
    const rest = more > 0 ? `; and ${String(more)} more` : '';
    return { ok: false, reason, message: messages.slice(0, messagesShown).join('; ') + rest };
  }
  const { criteria } = wanted.rules;
  if (criteria === undefined)
    return { ok: false, reason: 'not_installed', message: 'the job names no patch' };
  return {
    ok: false,
    reason: 'already_fixed',
    message: criteria.everythingNewer
      ? 'its repositories offer nothing newer than what is installed'
      : 'no patch closes a vulnerability of the criteria on this asset',
  };
}

/**
 * The vulnerabilities that must be gone afterwards: those that the plan removes from every place of the asset where they are
 * reported. One that stays in a package which this plan does not touch is warned about instead, so that a task is never
 * blamed for what it was not asked to do.
 */
function fixesOf(
  asset: PlanAsset,
  taken: readonly { readonly source: string; readonly sourceVersion: string }[],
): { fixes: string[]; warnings: string[] } {
  const scheme = schemeOf(asset.inventory?.product?.ecosystem ?? '');
  const reached = new Map(taken.map((one) => [one.source, one.sourceVersion]));
  const removed = new Set<string>();
  const staying = new Map<string, string>();
  for (const finding of asset.findings) {
    const version = reached.get(finding.source);
    if (version !== undefined && finding.fixedVersion !== null) {
      const order = compareVersions(scheme, finding.fixedVersion, version);
      if (order === 'less' || order === 'equal') {
        removed.add(finding.vulnerability);
        continue;
      }
    }
    staying.set(finding.vulnerability, finding.source);
  }
  const warnings: string[] = [];
  for (const [vulnerability, source] of [...staying].sort(([a], [b]) => compareText(a, b))) {
    if (removed.delete(vulnerability)) {
      warnings.push(
        `${asset.hostname}: ${vulnerability} is also in ${source}, where this plan does not remove it`,
      );
    }
  }
  return { fixes: [...removed].sort(), warnings };
}

function unseenWarning(assets: readonly PlanAsset[], tasks: readonly PlannedTask[], now: number): string[] {
  const planned = new Set(tasks.map((task) => task.asset_id));
  const unseen = assets.filter(
    (asset) =>
      planned.has(asset.uid) &&
      (asset.lastSeenAt === null || now - Date.parse(asset.lastSeenAt) > longUnseenMilliseconds),
  );
  if (unseen.length === 0) return [];
  const shown = unseen.slice(0, 10).map((asset) => asset.hostname);
  const more = unseen.length > 10 ? ` and ${String(unseen.length - 10)} more` : '';
  return [`not seen for more than a day, and patched only when they return: ${shown.join(', ')}${more}`];
}
