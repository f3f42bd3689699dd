import {
  includesFolder,
  isOwnFile,
  ownText,
  sameSpaces,
  withIniBlock,
  withoutAlgorithms,
  withoutIniBlock,
} from './config-text.ts';
import { sshdConfigFile } from './grammar.ts';
import { ownFile, sshdFolder, type HostState } from './host-state.ts';
import type { MitigationOrder, SettingStep, SysctlStep } from './mitigation.ts';

/** What is to be done on a host, as typed operations. Each may be done twice with the result of once. */

export type Operation =
  | { readonly kind: 'write_file'; readonly path: string; readonly text: string }
  /** As it was before the mitigation: text, mode and owner; null removes it. */
  | { readonly kind: 'restore_file'; readonly path: string }
  | { readonly kind: 'set_sysctl'; readonly key: string; readonly value: string }
  /** Where nothing uses it; one in use stays until the next boot, and is reported. */
  | { readonly kind: 'unload_module'; readonly module: string }
  | { readonly kind: 'load_module'; readonly module: string }
  /** `sshd -t`: a configuration that sshd would not start with is never left behind. */
  | { readonly kind: 'check_sshd' }
  | { readonly kind: 'reload_systemd' }
  | { readonly kind: 'restart_unit'; readonly unit: string; readonly how: 'reload' | 'restart' };

export const mitigationRefusals = [
  'not_supported_here',
  'file_not_ours',
  'file_missing',
  'no_drop_in_folder',
  'settings_unreadable',
  'nothing_left',
  'changed_since',
  'conflicts',
] as const;
export type MitigationRefusal = (typeof mitigationRefusals)[number];

export type OperationPlan =
  | { readonly ok: true; readonly operations: readonly Operation[] }
  | { readonly ok: false; readonly code: MitigationRefusal; readonly message: string };

class Refused extends Error {
  readonly code: MitigationRefusal;
  constructor(code: MitigationRefusal, message: string) {
    super(message);
    this.code = code;
  }
}

function planned(make: () => Operation[]): OperationPlan {
  try {
    return { ok: true, operations: make() };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, code: error.code, message: error.message };
    throw error;
  }
}

/** Once set, these stay until the next boot (Documentation/admin-guide/sysctl/kernel.rst, Yama.rst). */
const untilBoot: Readonly<Record<string, readonly string[]>> = {
  'kernel.unprivileged_bpf_disabled': ['1'],
  'kernel.kexec_load_disabled': ['1'],
  'kernel.yama.ptrace_scope': ['3'],
};

export function staysUntilBoot(step: Pick<SysctlStep, 'key' | 'value'>): boolean {
  return untilBoot[step.key]?.includes(step.value) === true;
}

/**
 * How to apply a mitigation to a host as it is: configuration first, then the running system, then the services.
 * @param others what is applied there already: two that want different things are refused
 */
export function planApply(
  order: MitigationOrder,
  state: HostState,
  others: readonly MitigationOrder[] = [],
): OperationPlan {
  return planned(() => {
    refuseConflicts(order, others);
    const { id, steps } = order;
    const files: Operation[] = [];
    const running: Operation[] = [];
    const sysctl = steps.filter((step) => step.kind === 'sysctl');
    if (sysctl.length > 0) {
      for (const { key, value } of sysctl) {
        const now = state.sysctl[key] ?? null;
        if (now === null)
          throw new Refused('not_supported_here', `The running kernel has no parameter ${key}.`);
        if (staysUntilBoot({ key, value: sameSpaces(now) }) && sameSpaces(now) !== value) {
          throw new Refused(
            'not_supported_here',
            `${key} is ${now}, which cannot be changed before the next boot.`,
          );
        }
        running.push({ kind: 'set_sysctl', key, value });
      }
      files.push(
        ownFileWrite(
          id,
          ownFile.sysctl(id),
          sysctl.map(({ key, value }) => `${key} = ${value}`),
          state,
        ),
      );
    }
    const modules = steps.flatMap((step) => (step.kind === 'kernel_module_blacklist' ? [step.module] : []));
    if (modules.length > 0) {
      for (const module of modules) {
        if (state.modules[module]?.builtin === true) {
          throw new Refused('not_supported_here', `${module} is built into the running kernel.`);
        }
        running.push({ kind: 'unload_module', module });
      }
      const lines = modules.flatMap((module) => [`blacklist ${module}`, `install ${module} /bin/false`]);
      files.push(ownFileWrite(id, ownFile.modprobe(id), lines, state));
    }
    files.push(...settingWrites(order, state));
    if (steps.some((step) => step.kind === 'registry_value')) {
      throw new Refused('not_supported_here', 'This host has no registry.');
    }
    return [...files, ...running, ...serviceOperations(order)];
  });
}

function refuseConflicts(order: MitigationOrder, others: readonly MitigationOrder[]): void {
  for (const other of others) {
    if (other.id === order.id) continue;
    for (const step of order.steps) {
      for (const theirs of other.steps) {
        const clash =
          (step.kind === 'sysctl' &&
            theirs.kind === 'sysctl' &&
            step.key === theirs.key &&
            step.value !== theirs.value) ||
          (step.kind === 'service_setting' &&
            theirs.kind === 'service_setting' &&
            step.file === theirs.file &&
            step.key === theirs.key);
        if (clash) throw new Refused('conflicts', `${other.id} is applied here and sets ${step.key} too.`);
      }
    }
  }
}

function ownFileWrite(id: string, path: string, lines: readonly string[], state: HostState): Operation {
  const there = state.files[path] ?? null;
  if (there !== null && !isOwnFile(id, there)) {
    throw new Refused('file_not_ours', `${path} is there and was not written by this mitigation.`);
  }
  return { kind: 'write_file', path, text: ownText(id, lines) };
}

function settingWrites({ id, steps }: MitigationOrder, state: HostState): Operation[] {
  const settings = steps.filter((step) => step.kind === 'service_setting');
  const writes: Operation[] = [];
  const sshd = settings.filter((step) => step.dialect === 'sshd_config');
  if (sshd.length > 0) {
    const main = state.files[sshdConfigFile] ?? null;
    if (main === null) throw new Refused('file_missing', `There is no ${sshdConfigFile} on this host.`);
    if (!includesFolder(main, sshdFolder)) {
      throw new Refused(
        'no_drop_in_folder',
        `${sshdConfigFile} does not begin by including ${sshdFolder}/*.conf, and it is not edited.`,
      );
    }
    const lines = sshd.map((step) => `${step.key} ${sshdValue(step, state)}`);
    writes.push(ownFileWrite(id, ownFile.sshd(id), lines, state));
  }
  for (const [unit, of] of Map.groupBy(
    settings.filter((step) => step.dialect === 'systemd_unit_dropin'),
    (step) => step.unit,
  )) {
    if ((state.units[unit] ?? null) === null)
      throw new Refused('not_supported_here', `There is no ${unit} on this host.`);
    const lines = ['[Service]', ...of.map(({ key, value }) => `${key}=${value}`)];
    writes.push(ownFileWrite(id, ownFile.unit(id, unit), lines, state));
  }
  for (const [file, of] of Map.groupBy(
    settings.filter((step) => step.dialect === 'ini'),
    (step) => step.file,
  )) {
    const text = state.files[file] ?? null;
    if (text === null) throw new Refused('file_missing', `There is no ${file} on this host.`);
    writes.push({ kind: 'write_file', path: file, text: withIniBlock(text, id, of[0]?.section ?? '', of) });
  }
  return writes;
}

/**
 * A removal is written as the list that remains of the one in effect. sshd's own `-…` would take from its built-in list
 * instead, and so bring back what somebody had removed before.
 */
function sshdValue({ key, value }: SettingStep, state: HostState): string {
  if (!value.startsWith('-')) return value;
  const now = state.sshd?.[key.toLowerCase()];
  if (now === undefined) {
    throw new Refused(
      'settings_unreadable',
      `The ${key} of sshd could not be asked: ${state.sshd_problem ?? 'no answer'}.`,
    );
  }
  const rest = withoutAlgorithms(now, value);
  if (rest.length === 0)
    throw new Refused('nothing_left', `Without ${value.slice(1)}, sshd would have no ${key} at all.`);
  return rest.join(',');
}

function serviceOperations({ steps, restart_units: units }: MitigationOrder): Operation[] {
  const settings = steps.filter((step) => step.kind === 'service_setting');
  const operations: Operation[] = [];
  if (settings.some((step) => step.dialect === 'sshd_config')) operations.push({ kind: 'check_sshd' });
  if (settings.some((step) => step.dialect === 'systemd_unit_dropin'))
    operations.push({ kind: 'reload_systemd' });
  for (const { unit, how } of units) operations.push({ kind: 'restart_unit', unit, how });
  return operations;
}

/** What a host was before a mitigation, and what the mitigation wrote there: all that undoing it needs. */
export interface BeforeApply {
  /** By path of every file written; null where there was none. */
  readonly files: Readonly<Record<string, string | null>>;
  readonly written: Readonly<Record<string, string>>;
  readonly sysctl: Readonly<Record<string, string>>;
  /** Modules that were loaded. */
  readonly modules: readonly string[];
}

/**
 * How to bring a host back to what it was before. What somebody else has changed since is not lost: a file of ours with other
 * text than we wrote is refused, and a parameter that has moved on is left alone.
 * @param others what else is applied there, and keeps what it needs
 */
export function planUndo(
  order: MitigationOrder,
  before: BeforeApply,
  state: HostState,
  others: readonly MitigationOrder[] = [],
): OperationPlan {
  return planned(() => {
    const operations: Operation[] = [];
    for (const [path, text] of Object.entries(before.files)) {
      const now = state.files[path] ?? null;
      if (now === text) continue;
      if (now === before.written[path]) operations.push({ kind: 'restore_file', path });
      else if (now !== null && withoutIniBlock(now, order.id) !== now) {
        operations.push({ kind: 'write_file', path, text: withoutIniBlock(now, order.id) });
      } else if (now !== null) {
        throw new Refused(
          'changed_since',
          `${path} has been changed by somebody else since the mitigation wrote it; take it back by hand.`,
        );
      }
    }
    const wanted = others.filter((other) => other.id !== order.id).flatMap((other) => other.steps);
    // Backwards: limits that bound each other, and modules that use each other, came in an order that worked.
    for (const step of order.steps.toReversed()) {
      if (step.kind === 'sysctl') {
        const was = before.sysctl[step.key];
        const now = state.sysctl[step.key] ?? null;
        const kept = wanted.some((other) => other.kind === 'sysctl' && other.key === step.key);
        if (was === undefined || now === null || kept || sameSpaces(now) !== step.value) continue;
        if (sameSpaces(was) === step.value || staysUntilBoot(step)) continue;
        operations.push({ kind: 'set_sysctl', key: step.key, value: was });
      } else if (step.kind === 'kernel_module_blacklist') {
        const kept = wanted.some((other) => other.kind === step.kind && other.module === step.module);
        const loaded = state.modules[step.module]?.loaded === true;
        if (before.modules.includes(step.module) && !kept && !loaded) {
          operations.push({ kind: 'load_module', module: step.module });
        }
      }
    }
    return [...operations, ...serviceOperations(order)];
  });
}

/** What of an undone mitigation only the next boot takes back; a sentence, or null. */
export function leftUntilBoot(order: MitigationOrder, before: BeforeApply): string | null {
  const keys = order.steps.flatMap((step) =>
    step.kind === 'sysctl' &&
    staysUntilBoot(step) &&
    sameSpaces(before.sysctl[step.key] ?? step.value) !== step.value
      ? [step.key]
      : [],
  );
  return keys.length === 0 ? null : `${keys.join(', ')} cannot be set back before the next boot.`;
}
