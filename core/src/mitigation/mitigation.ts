import { digestJson } from '../inventory/digest.ts';

/**
 * A configuration change that keeps a vulnerability from being used while there is no patch, or before it is installed.
 * Typed data that people have reviewed: what a host is asked to do is a short list of known steps, never a command.
 * The shapes cross the wire and are stored, so their names are snake_case; contract/src/mitigation.ts parses the same ones.
 */

/** A kernel parameter, kept over reboots and set at once. */
export interface SysctlStep {
  readonly kind: 'sysctl';
  /** `kernel.unprivileged_userns_clone` */
  readonly key: string;
  readonly value: string;
}

/** A kernel module that is never loaded, neither by itself nor by name, and is unloaded where nothing uses it. */
export interface ModuleStep {
  readonly kind: 'kernel_module_blacklist';
  readonly module: string;
}

export const settingDialects = ['sshd_config', 'systemd_unit_dropin', 'ini'] as const;
export type SettingDialect = (typeof settingDialects)[number];

/** One key of a configuration file whose grammar is known. */
export interface SettingStep {
  readonly kind: 'service_setting';
  /** The service that reads it: `ssh.service`. */
  readonly unit: string;
  readonly dialect: SettingDialect;
  /** The file that belongs to the dialect; see `knownFile` in grammar.ts. Drop-ins are written beside it. */
  readonly file: string;
  /** Null in dialects without sections. */
  readonly section: string | null;
  readonly key: string;
  /** For lists of sshd_config, `-PATTERN,…` takes what matches out of the list in effect. */
  readonly value: string;
}

/** A value of the Windows registry. No agent of today carries it out; see docs/mitigations.md. */
export interface RegistryStep {
  readonly kind: 'registry_value';
  readonly hive: 'HKLM';
  /** Below the hive, with backslashes: `SYSTEM\CurrentControlSet\Services\LanmanServer\Parameters`. */
  readonly path: string;
  readonly name: string;
  readonly type: 'REG_DWORD' | 'REG_SZ';
  /** Decimal for REG_DWORD. */
  readonly value: string;
}

export type MitigationStep = SysctlStep | ModuleStep | SettingStep | RegistryStep;

export const mitigationEffects = ['blocks', 'reduces'] as const;
/** `blocks`: while it is applied, the vulnerability cannot be used on the host. `reduces`: it is harder or does less. */
export type MitigationEffect = (typeof mitigationEffects)[number];

export interface MitigatedVulnerability {
  readonly vulnerability: string;
  readonly effect: MitigationEffect;
  /** Under which condition, or why only so far; a sentence for a person. */
  readonly condition: string;
}

/** The software of one vendor to which it applies. */
export interface MitigationScope {
  readonly ecosystem: string;
  /** Releases as in inventories (`12`); empty for every release. */
  readonly releases: readonly string[];
  /** Packages, as findings name them, in which it mitigates the vulnerabilities; a finding in another one is not touched. */
  readonly packages: readonly string[];
}

export interface RestartedUnit {
  readonly unit: string;
  readonly how: 'reload' | 'restart';
}

/** What a host needs of a mitigation: the part that an order carries and that the host remembers. */
export interface MitigationOrder {
  readonly id: string;
  readonly steps: readonly MitigationStep[];
  readonly restart_units: readonly RestartedUnit[];
}

export interface Mitigation extends MitigationOrder {
  readonly title: string;
  readonly description: string;
  readonly mitigates: readonly MitigatedVulnerability[];
  readonly applies_to: readonly MitigationScope[];
  /** What stops working, for whom. */
  readonly side_effects: string;
  /** Whether applying it needs a reboot in any case. */
  readonly reboot: boolean;
  /** Where the vendor says so. */
  readonly sources: readonly string[];
  readonly reviewed_by: string;
  /** `2026-11-22` */
  readonly reviewed_on: string;
}

export const mitigationActions = ['apply', 'undo'] as const;
export type MitigationAction = (typeof mitigationActions)[number];

const patchPrefix = 'mitigation:';
const idPattern = /^[a-z0-9][a-z0-9-]{1,62}$/u;

export function isMitigationId(text: string): boolean {
  return idPattern.test(text);
}

/** The id of a mitigation where patches are named: `mitigation:sysctl-unprivileged-userns`. */
export function mitigationPatchId(id: string): string {
  return `${patchPrefix}${id}`;
}

/** The mitigation that a patch id names; null when it names none. */
export function parseMitigationPatchId(text: string): string | null {
  if (!text.startsWith(patchPrefix)) return null;
  const id = text.slice(patchPrefix.length);
  return isMitigationId(id) ? id : null;
}

/**
 * Names what a host is asked to do, exactly (SHA-256, hex): a host that has an earlier edition of a mitigation applied has
 * not applied this one.
 */
export function mitigationDigest({ id, steps, restart_units: units }: MitigationOrder): string {
  return digestJson({ id, steps, restart_units: units });
}

/** The part of a mitigation that goes to a host. */
export function orderOfMitigation({ id, steps, restart_units: units }: MitigationOrder): MitigationOrder {
  return { id, steps, restart_units: units };
}
