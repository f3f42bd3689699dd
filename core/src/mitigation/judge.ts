import type { ReportedMitigation } from '../inventory/inventory.ts';
import {
  iniValue,
  installCommand,
  refusesToLoad,
  sameSpaces,
  sysctlAssignments,
  withoutAlgorithms,
  type RegistryValue,
} from './config-text.ts';
import { sshdConfigFile } from './grammar.ts';
import { ownFile, type HostState } from './host-state.ts';
import type {
  MitigationOrder,
  MitigationStep,
  ModuleStep,
  RegistryStep,
  SettingStep,
  SysctlStep,
} from './mitigation.ts';

/** Whether a mitigation is in force, from what the host is now: not from what was done there. */

/**
 * `overridden`: its configuration is there, and something else counts instead. `unknown`: could not be found out, which
 * never reads as applied.
 */
export type MitigationState = ReportedMitigation['state'];

export interface MitigationJudgement {
  readonly state: MitigationState;
  /** A sentence for a person: what is as it should be, or which file, value or program says otherwise. */
  readonly detail: string;
  /** Only a reboot is missing: the configuration is right, and old code is still loaded. */
  readonly until_reboot: boolean;
}

const verdict = (state: MitigationState, detail: string, untilReboot = false): MitigationJudgement => ({
  state,
  detail,
  until_reboot: untilReboot,
});

/** All steps together: the first of the worst. Something that is not applied outweighs something overridden or unknown. */
export function judge(order: MitigationOrder, state: HostState): MitigationJudgement {
  const judged = order.steps.map((step) => judgeStep(order.id, step, state));
  for (const worst of ['not_applied', 'overridden', 'unknown'] as const) {
    const found = judged.filter((one) => one.state === worst);
    const first = found.find((one) => !one.until_reboot) ?? found[0];
    if (first !== undefined) return first;
  }
  return verdict('applied', judged.map((one) => one.detail).join(' '));
}

function judgeStep(id: string, step: MitigationStep, state: HostState): MitigationJudgement {
  switch (step.kind) {
    case 'sysctl':
      return judgeSysctl(id, step, state);
    case 'kernel_module_blacklist':
      return judgeModule(id, step, state);
    case 'service_setting':
      return judgeSetting(id, step, state);
    case 'registry_value':
      return verdict('unknown', 'This host has no registry.');
  }
}

function judgeSysctl(id: string, { key, value }: SysctlStep, state: HostState): MitigationJudgement {
  const runtime = state.sysctl[key] ?? null;
  const assigned = sysctlAssignments(state, key);
  const last = assigned.at(-1);
  const ours = assigned.some((one) => one.path === ownFile.sysctl(id) && one.value === value);
  if (runtime === null) return verdict('unknown', `The running kernel has no parameter ${key}.`);
  if (last?.value !== value) {
    if (!ours) {
      const now = sameSpaces(runtime) === value ? ', though it is now: the next boot would undo it' : '';
      return verdict('not_applied', `${key} is not set to ${value} by any file${now}.`);
    }
    return verdict(
      'overridden',
      `${last?.path ?? 'A later file'} sets ${key} to ${last?.value ?? 'something else'} after us.`,
    );
  }
  if (sameSpaces(runtime) !== value) {
    const detail = `${key} is ${runtime} at run time, not ${value} as ${last.path} says.`;
    return verdict(ours ? 'overridden' : 'not_applied', detail);
  }
  return verdict('applied', `${key} is ${value}, now and by ${last.path}.`);
}

function judgeModule(id: string, { module }: ModuleStep, state: HostState): MitigationJudgement {
  const { loaded, builtin } = state.modules[module] ?? { loaded: false, builtin: false };
  if (builtin)
    return verdict(
      'not_applied',
      `${module} is built into the running kernel, so it cannot be kept from loading.`,
    );
  const install = installCommand(state, module);
  const own = state.files[ownFile.modprobe(id)] ?? null;
  if (install === null || !refusesToLoad(install.value)) {
    if (own === null || install === null)
      return verdict('not_applied', `Nothing keeps ${module} from being loaded.`);
    return verdict(
      'overridden',
      `${install.path} is read first and loads ${module} by a command of its own.`,
    );
  }
  if (loaded) return verdict('overridden', `${module} is still loaded; a reboot unloads it.`, true);
  return verdict('applied', `${module} is not loaded, and ${install.path} keeps it from being loaded.`);
}

function judgeSetting(id: string, step: SettingStep, state: HostState): MitigationJudgement {
  switch (step.dialect) {
    case 'sshd_config':
      return judgeSshd(id, step, state);
    case 'systemd_unit_dropin':
      return judgeDropIn(id, step, state);
    case 'ini':
      return judgeIni(step, state);
  }
}

function judgeSshd(id: string, { key, value }: SettingStep, state: HostState): MitigationJudgement {
  if (state.sshd === null) {
    return verdict(
      'unknown',
      `The settings of sshd could not be asked: ${state.sshd_problem ?? 'no answer'}.`,
    );
  }
  const now = state.sshd[key.toLowerCase()];
  if (now === undefined) return verdict('unknown', `sshd does not tell its ${key}.`);
  const right = value.startsWith('-')
    ? withoutAlgorithms(now, value).length === now.split(',').filter((name) => name.trim() !== '').length
    : now.toLowerCase() === value.toLowerCase();
  if (right) return verdict('applied', `sshd has ${key} ${now}.`);
  const own = ownFile.sshd(id);
  const is = value.startsWith('-')
    ? `still offers what ${value} takes out of ${key}`
    : `has ${key} ${now}, not ${value}`;
  if ((state.files[own] ?? null) === null) return verdict('not_applied', `sshd ${is}.`);
  return verdict(
    'overridden',
    `sshd ${is}: ${sshdConfigFile} or an earlier file of its folder says so before ${own}.`,
  );
}

function judgeDropIn(id: string, { unit, key, value }: SettingStep, state: HostState): MitigationJudgement {
  const properties = state.units[unit] ?? null;
  if (properties === null) return verdict('unknown', `There is no ${unit} on this host.`);
  const now = properties[key];
  if (now === undefined || now === '') return verdict('unknown', `systemd does not tell ${key} of ${unit}.`);
  if (now === value) return verdict('applied', `${unit} has ${key}=${value}.`);
  const own = ownFile.unit(id, unit);
  if ((state.files[own] ?? null) === null) return verdict('not_applied', `${unit} has ${key}=${now}.`);
  return verdict('overridden', `${unit} has ${key}=${now}: a later drop-in than ${own} says so.`);
}

function judgeIni({ file, section, key, value }: SettingStep, state: HostState): MitigationJudgement {
  const text = state.files[file] ?? null;
  if (text === null) return verdict('unknown', `There is no ${file} on this host.`);
  const now = iniValue(text, section ?? '', key);
  if (now === null) return verdict('not_applied', `${file} does not set ${key}.`);
  if (!sameIniValue(now.value, value)) {
    const ours = text.includes(`${key} = ${value}`);
    return verdict(ours ? 'overridden' : 'not_applied', `${file} sets ${key} to ${now.value}.`);
  }
  if (now.followed_by_include) {
    return verdict(
      'unknown',
      `${file} reads another file after it sets ${key}; that one may say something else.`,
    );
  }
  return verdict('applied', `${file} sets ${key} to ${now.value}.`);
}

function sameIniValue(a: string, b: string): boolean {
  const plain = (text: string): string => {
    const lower = sameSpaces(text).toLowerCase();
    if (lower === 'false' || lower === '0') return 'no';
    return lower === 'true' || lower === '1' ? 'yes' : lower;
  };
  return plain(a) === plain(b);
}

/** A registry value as `reg query` printed it; null when there is none. For Windows hosts, whose agent is still to come. */
export function judgeRegistry(step: RegistryStep, observed: RegistryValue | null): MitigationJudgement {
  const name = `${step.hive}\\${step.path}\\${step.name}`;
  if (observed === null) return verdict('not_applied', `${name} is not there.`);
  if (observed.type !== step.type)
    return verdict('not_applied', `${name} is a ${observed.type}, not a ${step.type}.`);
  return observed.value === step.value
    ? verdict('applied', `${name} is ${step.value}.`)
    : verdict('not_applied', `${name} is ${observed.value}, not ${step.value}.`);
}
