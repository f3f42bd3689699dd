import {
  isMitigationId,
  type Mitigation,
  type MitigationOrder,
  type MitigationStep,
  type ModuleStep,
  type RegistryStep,
  type SettingStep,
  type SysctlStep,
} from './mitigation.ts';

/**
 * What may stand in a mitigation. Read twice: by the server for its catalogue, and by each host for what it is ordered to do,
 * since a host believes no server further than it must. Everything is an allow-list.
 */

export interface MitigationProblem {
  /** JSON pointer. */
  readonly path: string;
  readonly message: string;
}

/**
 * Kernel parameters that may be set, and to what: only to values that take something away from attackers. Not among them: what
 * names a program that the kernel would start (kernel.core_pattern, kernel.modprobe, kernel.hotplug, …), and what could cut the
 * host off or keep its services from starting.
 */
const sysctlKeys: readonly (readonly [RegExp, RegExp])[] = [
  [/^kernel\.unprivileged_userns_clone$/u, /^0$/u],
  [
    /^kernel\.(?:apparmor_restrict_unprivileged_userns|dmesg_restrict|kexec_load_disabled)$|^fs\.protected_(?:symlinks|hardlinks)$/u,
    /^1$/u,
  ],
  [
    /^kernel\.(?:unprivileged_bpf_disabled|kptr_restrict|io_uring_disabled)$|^net\.core\.bpf_jit_harden$|^fs\.protected_(?:fifos|regular)$/u,
    /^[12]$/u,
  ],
  [/^kernel\.perf_event_paranoid$/u, /^[234]$/u],
  [/^kernel\.yama\.ptrace_scope$/u, /^[123]$/u],
  [/^user\.max_user_namespaces$|^fs\.suid_dumpable$|^vm\.unprivileged_userfaultfd$/u, /^0$/u],
  [/^net\.core\.bpf_jit_enable$/u, /^[01]$/u],
  [/^net\.ipv4\.tcp_(?:sack|dsack|fack|timestamps)$/u, /^[01]$/u],
  [
    /^net\.ipv4\.(?:tcp_challenge_ack_limit|tcp_min_snd_mss|ipfrag_high_thresh|ipfrag_low_thresh|ipfrag_time)$|^net\.ipv6\.ip6frag_(?:high_thresh|low_thresh|time)$/u,
    /^[1-9]\d{0,9}$/u,
  ],
];

/**
 * Modules that may be kept from loading: protocols, file systems and devices that a host hardly starts from or is reached by.
 * A list of what may be, since what a host needs (disks, controllers, network cards of clouds) has no end.
 */
const optionalModules = new RegExp(
  `^(?:${[
    'dccp(?:_\\w+)?|sctp(?:_\\w+)?|rds(?:_\\w+)?|tipc(?:_\\w+)?|l2tp_\\w+|smc(?:_\\w+)?|rxrpc|kcm|mctp|phonet|qrtr|tls|n_hdlc|n_gsm',
    'can(?:_\\w+)?|vcan|ax25|netrom|rose|x25|appletalk|ipx|atm|decnet|llc2?|ieee802154\\w*|nfc\\w*|bluetooth|btusb|bnep|rfcomm|hidp',
    'af_alg|algif_\\w+|cls_\\w+|act_\\w+|sch_\\w+|nf_tables|nft_\\w+|ip_set\\w*|ksmbd|watch_queue',
    'cramfs|freevxfs|jffs2|hfs|hfsplus|udf|ntfs3|minix|sysv|ufs|qnx[46]|befs|affs|omfs|gfs2|ocfs2',
    'usb_storage|uas|firewire_\\w+|thunderbolt|floppy|parport\\w*|pcspkr|joydev|vivid',
  ].join('|')})$`,
  'u',
);

/** Keywords of sshd_config(5) that may not stand in a Match block, so that one value is the whole truth, with their values. */
const sshdKeywords: ReadonlyMap<string, RegExp> = new Map([
  ['LoginGraceTime', /^\d{1,4}$/u],
  ['MaxStartups', /^\d{1,4}(?::\d{1,3}:\d{1,5})?$/u],
  ['Compression', /^(?:no|delayed)$/u],
  ['Ciphers', /^-[a-z0-9*?@.,-]{1,500}$/u],
  ['MACs', /^-[a-z0-9*?@.,-]{1,500}$/u],
  ['KexAlgorithms', /^-[a-z0-9*?@.,-]{1,500}$/u],
]);
export const sshdConfigFile = '/etc/ssh/sshd_config';

/** Keys of [Service] that only take rights away; all of them take `yes`. */
const unitKeys = new Set([
  'NoNewPrivileges',
  'PrivateTmp',
  'PrivateDevices',
  'ProtectKernelModules',
  'ProtectKernelTunables',
  'ProtectControlGroups',
  'RestrictSUIDSGID',
  'RestrictRealtime',
  'LockPersonality',
  'MemoryDenyWriteExecute',
]);
const unitName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,80}\.service$/u;

/** INI files that are edited in place, with their section, keys and values. */
const iniFiles: ReadonlyMap<string, { section: string; keys: ReadonlyMap<string, RegExp> }> = new Map([
  [
    '/etc/samba/smb.conf',
    {
      section: 'global',
      keys: new Map([
        ['nt pipe support', /^no$/u],
        ['server min protocol', /^SMB(?:2|2_02|2_10|3|3_00|3_11)$/u],
        ['server schannel', /^yes$/u],
        ['unix extensions', /^no$/u],
        ['server smb1 unix extensions', /^no$/u],
        ['allow dns updates', /^(?:disabled|secure only)$/u],
      ]),
    },
  ],
]);

const registryPath =
  /^(?:SYSTEM\\CurrentControlSet\\(?:Services|Control)|SOFTWARE\\Policies\\Microsoft|SOFTWARE\\Microsoft\\Windows(?: NT)?\\CurrentVersion)(?:\\[A-Za-z0-9 ._-]{1,64}){1,8}$/u;
const registryName = /^[A-Za-z0-9_. -]{1,64}$/u;

/** What is wrong with a step; null when nothing is. Whole-string patterns without `.`: no line break passes any of them. */
export function stepProblem(step: MitigationStep): string | null {
  switch (step.kind) {
    case 'sysctl':
      return sysctlProblem(step);
    case 'kernel_module_blacklist':
      return moduleProblem(step);
    case 'service_setting':
      return settingProblem(step);
    case 'registry_value':
      return registryProblem(step);
  }
}

function sysctlProblem({ key, value }: SysctlStep): string | null {
  const values = sysctlKeys.find(([pattern]) => pattern.test(key))?.[1];
  if (values === undefined) return `${quote(key)} is not a parameter that may be set`;
  return values.test(value) ? null : `${quote(value)} is not a value that ${key} may be set to`;
}

function moduleProblem({ module }: ModuleStep): string | null {
  return optionalModules.test(module)
    ? null
    : `${quote(module)} is not a module that may be kept from loading`;
}

function settingProblem(step: SettingStep): string | null {
  const { dialect, file, section, key, value, unit } = step;
  if (!unitName.test(unit)) return `${quote(unit)} is not the name of a service`;
  if (file !== knownFile(step)) return `${quote(file)} is not a file of the dialect ${dialect}`;
  const inSection = section === null ? 'no section' : `section ${quote(section)}`;
  let values: RegExp | undefined;
  if (dialect === 'sshd_config') {
    if (section !== null) return `${dialect} has no sections`;
    values = sshdKeywords.get(key);
  } else if (dialect === 'systemd_unit_dropin') {
    if (section !== 'Service') return `settings of a unit stand in section Service, not ${inSection}`;
    values = unitKeys.has(key) ? /^yes$/u : undefined;
  } else {
    const known = iniFiles.get(file);
    if (section !== known?.section) return `settings of ${file} do not stand in ${inSection}`;
    values = known.keys.get(key);
  }
  if (values === undefined) return `${quote(key)} is not a key of ${file} that may be set`;
  return values.test(value) ? null : `${quote(value)} is not a value that ${key} may be set to`;
}

function registryProblem({ path, name, type, value }: RegistryStep): string | null {
  if (!registryPath.test(path)) return `${quote(path)} is not a key that may be set`;
  if (!registryName.test(name)) return `${quote(name)} is not the name of a value`;
  if (type === 'REG_DWORD') {
    return /^\d{1,10}$/u.test(value) && Number(value) <= 0xffff_ffff
      ? null
      : `${quote(value)} is not a DWORD`;
  }
  return /^[A-Za-z0-9 ._-]{0,128}$/u.test(value) ? null : `${quote(value)} is not a value that may be set`;
}

/** The only file that a setting of its dialect may name. */
export function knownFile(step: Pick<SettingStep, 'dialect' | 'file' | 'unit'>): string | null {
  switch (step.dialect) {
    case 'sshd_config':
      return sshdConfigFile;
    case 'systemd_unit_dropin':
      return unitName.test(step.unit) ? `/etc/systemd/system/${step.unit}.d` : null;
    case 'ini':
      return iniFiles.has(step.file) ? step.file : null;
  }
}

/** What is wrong with the part of a mitigation that a host would carry out; empty when nothing is. */
export function orderProblems(order: MitigationOrder): MitigationProblem[] {
  const problems: MitigationProblem[] = [];
  const add = (path: string, message: string): number => problems.push({ path, message });
  if (!isMitigationId(order.id)) add('/id', `${quote(order.id)} is not the id of a mitigation`);
  if (order.steps.length === 0) add('/steps', 'there is no step');
  const seen = new Set<string>();
  for (const [index, step] of order.steps.entries()) {
    const problem = stepProblem(step);
    if (problem !== null) add(`/steps/${String(index)}`, problem);
    const target = stepTarget(step);
    if (seen.has(target)) add(`/steps/${String(index)}`, `${target} is set twice`);
    seen.add(target);
  }
  for (const [index, { unit }] of order.restart_units.entries()) {
    if (!unitName.test(unit))
      add(`/restart_units/${String(index)}`, `${quote(unit)} is not the name of a service`);
  }
  const settings = order.steps.filter((step) => step.kind === 'service_setting');
  for (const { unit } of settings) {
    if (!order.restart_units.some((one) => one.unit === unit)) {
      add('/restart_units', `${unit} would not take up its setting: it is neither reloaded nor restarted`);
    }
  }
  return problems;
}

/** What is wrong with a mitigation of the catalogue; empty when nothing is. */
export function mitigationProblems(mitigation: Mitigation): MitigationProblem[] {
  const problems = orderProblems(mitigation);
  const vulnerabilities = mitigation.mitigates.map((one) => one.vulnerability);
  for (const [index, id] of vulnerabilities.entries()) {
    if (!/^CVE-\d{4}-\d{4,7}$/u.test(id)) {
      problems.push({ path: `/mitigates/${String(index)}`, message: `${quote(id)} is not a CVE id` });
    }
    if (vulnerabilities.indexOf(id) !== index) {
      problems.push({ path: `/mitigates/${String(index)}`, message: `${id} is named twice` });
    }
  }
  for (const [index, url] of mitigation.sources.entries()) {
    if (!/^https:\/\/[a-z0-9.-]+\/[^\s"'<>\\]*$/u.test(url)) {
      problems.push({ path: `/sources/${String(index)}`, message: `${quote(url)} is not an https address` });
    }
  }
  if (!/^\d{4}-\d{2}-\d{2}$/u.test(mitigation.reviewed_on)) {
    problems.push({ path: '/reviewed_on', message: `${quote(mitigation.reviewed_on)} is not a day` });
  }
  const windows = mitigation.steps.some((step) => step.kind === 'registry_value');
  for (const [index, scope] of mitigation.applies_to.entries()) {
    if ((scope.ecosystem === 'windows') !== windows) {
      problems.push({
        path: `/applies_to/${String(index)}`,
        message: `steps of this kind do not exist on ${scope.ecosystem}`,
      });
    }
  }
  return problems;
}

/** What a step changes, for a person and for telling whether two steps change the same. */
export function stepTarget(step: MitigationStep): string {
  switch (step.kind) {
    case 'sysctl':
      return `sysctl ${step.key}`;
    case 'kernel_module_blacklist':
      return `kernel module ${step.module}`;
    case 'service_setting':
      return `${step.key} in ${step.file}`;
    case 'registry_value':
      return `${step.hive}\\${step.path}\\${step.name}`;
  }
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
