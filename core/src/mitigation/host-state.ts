import type { MitigationOrder } from './mitigation.ts';
import { knownFile, sshdConfigFile } from './grammar.ts';

/** What must be looked at on a host to judge or change a mitigation, and what was seen. */

export interface HostNeeds {
  /** Read whole; absent is an answer. */
  readonly files: readonly string[];
  /** Folders of which every `*.conf` is read. */
  readonly folders: readonly string[];
  readonly sysctl: readonly string[];
  readonly modules: readonly string[];
  /** Whether to ask `sshd -T`. */
  readonly sshd: boolean;
  /** Units of which these properties are asked. */
  readonly units: readonly { readonly unit: string; readonly properties: readonly string[] }[];
}

export interface ModuleState {
  readonly loaded: boolean;
  /** Used by another module or a program: it cannot be unloaded. */
  readonly in_use: boolean;
  /** Part of the kernel itself. */
  readonly builtin: boolean;
}

/** As observed. Everything asked for is there: null says that the host has no such thing. */
export interface HostState {
  /** Text by path; of files in folders, those that exist. */
  readonly files: Readonly<Record<string, string | null>>;
  /** Value at run time. */
  readonly sysctl: Readonly<Record<string, string | null>>;
  readonly modules: Readonly<Record<string, ModuleState>>;
  /** Settings in effect by `sshd -T`, keys in lower case; null where there is no answer. */
  readonly sshd: Readonly<Record<string, string>> | null;
  /** Why `sshd -T` gave no answer. */
  readonly sshd_problem: string | null;
  /** Properties by unit; null when the unit does not exist. */
  readonly units: Readonly<Record<string, Readonly<Record<string, string>> | null>>;
}

/** Where systemd-sysctl looks, most important first: a file of the same name in an earlier one hides the later (sysctl.d(5)). */
export const sysctlFolders = [
  '/etc/sysctl.d',
  '/run/sysctl.d',
  '/usr/local/lib/sysctl.d',
  '/usr/lib/sysctl.d',
  '/lib/sysctl.d',
] as const;
export const sysctlMainFile = '/etc/sysctl.conf';

/** Where kmod looks, most important first (modprobe.d(5)). */
export const modprobeFolders = [
  '/etc/modprobe.d',
  '/run/modprobe.d',
  '/usr/local/lib/modprobe.d',
  '/usr/lib/modprobe.d',
  '/lib/modprobe.d',
] as const;

/**
 * The file of its own that a mitigation writes for a step; null for a step that edits a file in place or writes none. Names
 * sort so that ours counts: last among sysctl.d and drop-ins of units, first where the first value wins (kmod, sshd).
 */
export const ownFile = {
  sysctl: (id: string): string => `/etc/sysctl.d/zz-fixpoint-${id}.conf`,
  modprobe: (id: string): string => `/etc/modprobe.d/00-fixpoint-${id}.conf`,
  sshd: (id: string): string => `/etc/ssh/sshd_config.d/00-fixpoint-${id}.conf`,
  unit: (id: string, unit: string): string => `/etc/systemd/system/${unit}.d/zz-fixpoint-${id}.conf`,
} as const;

export const sshdFolder = '/etc/ssh/sshd_config.d';

export function needsOf({ id, steps }: MitigationOrder): HostNeeds {
  const files = new Set<string>();
  const folders = new Set<string>();
  const units = new Map<string, Set<string>>();
  for (const step of steps) {
    if (step.kind === 'sysctl') {
      files.add(ownFile.sysctl(id)).add(sysctlMainFile);
      for (const folder of sysctlFolders) folders.add(folder);
    } else if (step.kind === 'kernel_module_blacklist') {
      files.add(ownFile.modprobe(id));
      for (const folder of modprobeFolders) folders.add(folder);
    } else if (step.kind === 'service_setting') {
      if (step.dialect === 'sshd_config') {
        files.add(ownFile.sshd(id)).add(sshdConfigFile);
        folders.add(sshdFolder);
      } else if (step.dialect === 'systemd_unit_dropin') {
        files.add(ownFile.unit(id, step.unit));
        const properties = units.get(step.unit) ?? new Set();
        units.set(step.unit, properties.add(step.key));
      } else {
        const file = knownFile(step);
        if (file !== null) files.add(file);
      }
    }
  }
  return {
    files: [...files],
    folders: [...folders],
    sysctl: steps.flatMap((step) => (step.kind === 'sysctl' ? [step.key] : [])),
    modules: steps.flatMap((step) => (step.kind === 'kernel_module_blacklist' ? [step.module] : [])),
    sshd: steps.some((step) => step.kind === 'service_setting' && step.dialect === 'sshd_config'),
    units: [...units].map(([unit, properties]) => ({ unit, properties: [...properties] })),
  };
}
