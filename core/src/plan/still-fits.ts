import type { Plan, PlanAsset } from './plan.ts';
import { deniedBy, type DeniedPattern } from './rules.ts';

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
    const there = new Map((asset.inventory?.packages ?? []).map((p) => [`${p.name}:${p.arch}`, p.version]));
    for (const p of task.packages) {
      const version = there.get(`${p.name}:${p.arch}`);
      if (version !== p.from)
        tell(`${p.name} is ${version === undefined ? 'gone' : `at ${version}`}, and was at ${p.from}`);
    }
    for (const p of task.added ?? []) {
      const version = there.get(`${p.name}:${p.arch}`);
      if (version !== undefined) tell(`${p.name} is there already, at ${version}`);
    }
    for (const p of task.removed ?? []) {
      const version = there.get(`${p.name}:${p.arch}`);
      if (version !== p.version)
        tell(`${p.name} is ${version === undefined ? 'gone' : `at ${version}`}, and was at ${p.version}`);
    }
    for (const id of task.patches) {
      const undone = task.mitigations?.some(
        (one) => one.action === 'undo' && id === `mitigation:${one.mitigation.id}`,
      );
      const denial = undone === true ? null : deniedBy(id, denied);
      if (denial !== null) tell(`${id} is denied since: ${denial.reason}`);
    }
  }
  return misfits;
}
