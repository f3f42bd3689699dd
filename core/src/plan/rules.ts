import { refusalByPolicy } from '../host-policy/evaluate.ts';
import type { HostPolicy } from '../host-policy/policy.ts';
import { patchId } from '../knowledge/patch.ts';
import { isKernelSource, kernelStatementSource } from '../match/kernel.ts';
import { lookUp } from '../match/match.ts';
import { mitigationPatchId } from '../mitigation/mitigation.ts';
import type { PatchJobDefinition } from '../patch-job/definition.ts';
import { wildcardMatcher } from '../query/wildcard.ts';
import type { AddedPackage, ExclusionReason, PlannedTask, RemovedPackage } from './plan.ts';

/** What a job, the deny-list and the policy of a host keep from being touched: asked when a plan is made and when a solver has answered. */

/** Of a definition, what says which packages may be touched and what is done with them. */
export type TouchRules = Pick<
  PatchJobDefinition,
  'exclude_packages' | 'pins' | 'allow_removals' | 'reboot' | 'rollback' | 'actions' | 'health'
>;

/** A patch that nothing deploys; see {@link isDenialPattern}. */
export interface DeniedPattern {
  readonly pattern: string;
  readonly reason: string;
}

export interface Product {
  readonly ecosystem: string;
  readonly release: string;
}

/** A package as it would be afterwards. */
export interface TouchedPackage {
  readonly name: string;
  readonly version: string;
  /** Absent when it is not known. */
  readonly source?: string;
  readonly source_version?: string;
}

export interface TouchRefusal {
  readonly reason: Extract<ExclusionReason, 'package_excluded' | 'pinned' | 'patch_denied'>;
  readonly message: string;
}

/**
 * Whether a text can be a pattern of the deny-list: a patch id (`debian:12/openssl@3.0.22-1~deb12u2`, `mitigation:NAME`) in which `*` may
 * stand for any part or any piece of one.
 */
export function isDenialPattern(text: string): boolean {
  return /^(?:\*|[a-z0-9*]+:[^/@\s]*)\/[^@/\s]+@\S+$/u.test(text) || /^mitigation:[a-z0-9*-]+$/u.test(text);
}

/** Of a deny-list, the first pattern that a patch id is of. */
export function deniedBy(id: string, denied: readonly DeniedPattern[]): DeniedPattern | null {
  return denied.find(({ pattern }) => wildcardMatcher(pattern)(id)) ?? null;
}

/** Why a package may not be brought to a version, or brought at all; null when it may. */
export function refusalToTouch(
  p: TouchedPackage,
  product: Product,
  rules: TouchRules,
  denied: readonly DeniedPattern[],
): TouchRefusal | null {
  const pattern = rules.exclude_packages?.find((one) => isNamed(one, p));
  if (pattern !== undefined) {
    const by = pattern === p.name ? '' : ` (by ${pattern})`;
    return { reason: 'package_excluded', message: `the job never touches ${p.name}${by}` };
  }
  const pin = pinOf(p, rules);
  if (pin !== null && pin.version !== p.version && pin.version !== p.source_version) {
    return {
      reason: 'pinned',
      message: `the job takes ${pin.package} to ${pin.version} or leaves it alone, and ${p.name} would be at ${p.version}`,
    };
  }
  return refusalOfPatches(patchIdsOf(p, product), denied);
}

/** The first of these patches that is denied. */
export function refusalOfPatches(
  ids: readonly string[],
  denied: readonly DeniedPattern[],
): TouchRefusal | null {
  for (const id of ids) {
    const denial = deniedBy(id, denied);
    if (denial === null) continue;
    const by = denial.pattern === id ? '' : ` (${denial.pattern})`;
    return { reason: 'patch_denied', message: `${id} is denied${by}: ${denial.reason}` };
  }
  return null;
}

/** Why a package may not be taken away. */
export function refusalToRemove(
  p: RemovedPackage,
  rules: TouchRules,
): (Omit<TouchRefusal, 'reason'> & { readonly reason: ExclusionReason }) | null {
  const touched = { name: p.name, version: p.version };
  const pattern = rules.exclude_packages?.find((one) => isNamed(one, touched));
  if (pattern !== undefined) {
    return {
      reason: 'package_excluded',
      message: `${p.name} would be removed, and the job never touches ${pattern}`,
    };
  }
  const pin = pinOf(touched, rules);
  if (pin !== null) {
    return { reason: 'pinned', message: `${p.name} would be removed, and the job pins it to ${pin.version}` };
  }
  if (rules.allow_removals === true) return null;
  return {
    reason: 'removal_not_allowed',
    message: `${p.name} ${p.version} would be removed, and the job does not allow removals`,
  };
}

/** The ids that a package can be meant by: of what it is built from as patches name it, and of itself. */
export function patchIdsOf(p: TouchedPackage, product: Product): string[] {
  const { ecosystem } = product;
  const { name, version, source = name, source_version = version } = p;
  const target = lookUp(ecosystem, { name, version, source, source_version });
  const of = target ?? { package: source, version: source_version };
  return [
    ...new Set([
      patchId({ ...product, package: of.package, version: of.version }),
      patchId({ ...product, package: name, version }),
    ]),
  ];
}

function isNamed(pattern: string, { name, source }: TouchedPackage): boolean {
  const matches = wildcardMatcher(pattern);
  return [name, source, kernelOf(source)].some((one) => one !== undefined && matches(one));
}

/** `linux` for what is built from `linux-signed-amd64`: the name that people and patches know. */
const kernelOf = (source: string | undefined): string | undefined =>
  source !== undefined && isKernelSource(source) ? kernelStatementSource(source) : undefined;

function pinOf(p: TouchedPackage, { pins = [] }: TouchRules) {
  return pins.find((pin) => [p.name, p.source, kernelOf(p.source)].includes(pin.package)) ?? null;
}

/** Of a task, the patches that it deploys: without the mitigations that it takes back, which may be done with a denied one too. */
export function deployedPatches({
  patches,
  mitigations = [],
}: Pick<PlannedTask, 'patches' | 'mitigations'>): string[] {
  const undone = new Set(
    mitigations.flatMap((one) => (one.action === 'undo' ? [mitigationPatchId(one.mitigation.id)] : [])),
  );
  return patches.filter((id) => !undone.has(id));
}

/** What a task would do on a host, as far as its policy is asked. */
export interface PolicedTask {
  readonly packages: readonly { readonly name: string }[];
  readonly added?: readonly AddedPackage[];
  readonly removed?: readonly RemovedPackage[];
}

/**
 * Why the policy of the host forbids it, and what of the job it only restricts.
 * @param policy undefined: the host has no policy file, and then it runs no command that a file would have to name
 */
export function policyOnTask(
  policy: HostPolicy | undefined,
  task: PolicedTask,
  rules: TouchRules,
): { readonly forbidden: string | null; readonly restricts: readonly string[] } {
  const { packages, added, removed } = task;
  const { actions } = rules;
  const forbidden = refusalByPolicy(policy ?? null, {
    action: 'install',
    packages,
    added,
    removed,
    actions,
  });
  if (forbidden !== null) return { forbidden, restricts: [] };
  const restricts: string[] = [];
  const probes = (rules.health?.probes ?? []).flatMap((probe) =>
    probe.kind === 'command' && policy?.probes.includes(probe.name) !== true ? [probe.name] : [],
  );
  if (probes.length > 0) restricts.push(`its policy does not know the probe ${probes.join(', ')}`);
  if (policy === undefined) return { forbidden, restricts };
  if (policy.hours.length > 0) {
    restricts.push(`its policy lets packages be changed only ${policy.hours.join(', ')} (local time)`);
  }
  if ((rules.reboot?.mode ?? 'suppress') !== 'suppress') {
    if (policy.reboot === 'forbid') restricts.push('its policy forbids reboots: it waits for one by hand');
    else if (policy.reboot_hours.length > 0) {
      restricts.push(`its policy lets it be rebooted only ${policy.reboot_hours.join(', ')} (local time)`);
    }
  }
  if ((rules.rollback?.on ?? 'off') !== 'off' && policy.rollback === 'forbid') {
    restricts.push('its policy forbids rollbacks');
  }
  return { forbidden, restricts };
}
