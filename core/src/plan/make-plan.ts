import { digestJson } from '../inventory/digest.ts';
import { compareText } from '../knowledge/compare-text.ts';
import { schemeOf } from '../knowledge/ecosystem.ts';
import { compareVersions } from '../version/version.ts';
import type {
  ExcludedAsset,
  ExclusionReason,
  Plan,
  PlanAsset,
  PlanPatch,
  PlannedMitigation,
  PlannedTask,
} from './plan.ts';
import { mitigationPatchId, type Mitigation, type MitigationAction } from '../mitigation/mitigation.ts';
import {
  mitigationOnAsset,
  mitigationWarnings,
  nameOf,
  type MitigationOnAsset,
} from './select-mitigations.ts';
import { byNameAndArch, packagesOfPatch, type PatchOnAsset } from './select-packages.ts';

type Taken = Extract<PatchOnAsset, { ok: true }>;
type NotTaken = Extract<PatchOnAsset | MitigationOnAsset, { ok: false }>;

/** Of several reasons the one that a person can do most about is named first. */
const patchReasonOrder: readonly NotTaken['reason'][] = [
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
  wanted: WantedMitigations = noMitigations,
): Plan {
  const ordered = [...patches].sort((a, b) => compareText(a.id, b.id));
  const tasks: PlannedTask[] = [];
  const excluded: ExcludedAsset[] = [];
  const warnings: string[] = [];
  const needed = new Set<string>();

  const sorted = [...assets].sort((a, b) => compareText(a.hostname, b.hostname) || compareText(a.uid, b.uid));
  for (const asset of sorted) {
    const result = planAsset(asset, ordered, wanted);
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
  for (const name of wanted.mitigations.map(nameOf).sort()) {
    if (!needed.has(name)) warnings.push(`no asset of the target gets ${name}`);
  }
  warnings.push(...unseenWarning(sorted, tasks, now));

  const content = { format: 1, job_id: job.id, tasks, excluded, warnings } as const;
  return { ...content, made_at: new Date(now).toISOString(), digest: digestJson(content) };
}

type AssetPlan =
  | { readonly ok: true; readonly task: PlannedTask; readonly asked: string[]; readonly warnings: string[] }
  | { readonly ok: false; readonly reason: ExclusionReason; readonly message: string };

function planAsset(asset: PlanAsset, patches: readonly PlanPatch[], wanted: WantedMitigations): AssetPlan {
  if (asset.retired) return excludedFor('retired', 'the asset is retired');
  if (asset.excludedByJob) return excludedFor('excluded_by_job', 'the job excludes this asset');
  const { inventory } = asset;
  if (inventory === null) return excludedFor('no_inventory', 'the asset has not sent an inventory yet');

  const taken: (Taken & { asked: string; source: string })[] = [];
  const notTaken: (NotTaken & { asked: string })[] = [];
  for (const patch of patches) {
    const result = packagesOfPatch(patch, inventory);
    if (result.ok) taken.push({ ...result, asked: patch.id, source: patch.package });
    else notTaken.push({ ...result, asked: patch.id });
  }
  const mitigations: PlannedMitigation[] = [];
  for (const mitigation of wanted.mitigations.toSorted((a, b) => compareText(a.id, b.id))) {
    const result = mitigationOnAsset(mitigation, wanted.action, inventory, asset);
    if (result.ok) mitigations.push(result.planned);
    else notTaken.push({ ...result, asked: nameOf(mitigation) });
  }
  if (taken.length === 0 && mitigations.length === 0) return mainReason(notTaken);
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

  const { fixes, warnings } = fixesOf(asset, taken);
  for (const one of notTaken) {
    if (
      one.reason === 'package_held' ||
      one.reason === 'not_offered' ||
      one.reason === 'mitigation_not_supported'
    ) {
      warnings.push(`${asset.hostname} does not get ${one.asked}: ${one.message}`);
    }
  }
  for (const one of mitigations) warnings.push(...mitigationWarnings(asset.hostname, one));
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
    packages: taken.flatMap((one) => one.packages).sort(byNameAndArch),
    fixes,
    download_bytes: taken.reduce((sum, one) => sum + one.downloadBytes, 0),
    ...(mitigations.length === 0 ? {} : { mitigations }),
  };
  const asked = [
    ...taken.map((one) => one.asked),
    ...mitigations.map((one) => mitigationPatchId(one.mitigation.id)),
  ];
  return { ok: true, task, asked, warnings };
}

function excludedFor(reason: ExclusionReason, message: string): AssetPlan {
  return { ok: false, reason, message };
}

function mainReason(notTaken: readonly NotTaken[]): AssetPlan {
  for (const reason of patchReasonOrder) {
    const messages = notTaken.filter((one) => one.reason === reason).map((one) => one.message);
    if (messages.length > 0) return { ok: false, reason, message: [...new Set(messages)].join('; ') };
  }
  return { ok: false, reason: 'not_installed', message: 'the job names no patch' };
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
