import type { Plan, PlanAsset } from './plan.ts';
import { deployedPatches, refusalOfPatches, type DeniedPattern } from './rules.ts';

/**
 * Why a plan that was frozen earlier cannot be carried out as it stands: assets on which something else is installed now, that are
 * busy or gone, and patches that have been denied since. Empty: it fits. By host name.
 */
export function misfitsOf(
  plan: Plan,
  assets: ReadonlyMap<string, PlanAsset>,
  denied: readonly DeniedPattern[],
): string[] {
  const misfits: string[] = [];
  for (const task of plan.tasks) {
    const asset = assets.get(task.asset_id);
    const tell = (why: string): void => {
      misfits.push(`${task.hostname}: ${why}`);
    };
    if (asset === undefined || asset.retired) {
      tell('the asset is gone');
      continue;
    }
    if (asset.mode === 'assess') tell('its agent only reports now');
    if (asset.taskUnderWay) tell('another deployment has a task on it that has not ended');
    // kernels of RPM stand beside each other under one name
    const there = Map.groupBy(asset.inventory?.packages ?? [], (p) => `${p.name}:${p.arch}`);
    const versionsOf = (p: { readonly name: string; readonly arch: string }): string[] =>
      (there.get(`${p.name}:${p.arch}`) ?? []).map((one) => one.version).sort();
    const now = (versions: readonly string[]): string =>
      versions.length === 0 ? 'gone' : `at ${versions.join(' and ')}`;
    for (const p of task.packages) {
      const versions = versionsOf(p);
      if (!versions.includes(p.from)) tell(`${p.name} is ${now(versions)}, and was at ${p.from}`);
      else if (versions.includes(p.to)) tell(`${p.name} is at ${p.to} already`);
    }
    for (const p of task.added ?? []) {
      const versions = versionsOf(p);
      if (versions.length > 0) tell(`${p.name} is there already, ${now(versions)}`);
    }
    for (const p of task.removed ?? []) {
      const versions = versionsOf(p);
      if (!versions.includes(p.version)) tell(`${p.name} is ${now(versions)}, and was at ${p.version}`);
    }
    const denial = refusalOfPatches(deployedPatches(task), denied);
    if (denial !== null) tell(`since the plan was made, ${denial.message}`);
  }
  return misfits;
}
