import type { HostPolicy } from './policy.ts';

/** What a policy restricts or names, a clause each, for people; the first is enough where there is room for one. Never empty. */
export function policyWords(policy: HostPolicy): string[] {
  if (policy.problem !== null) return [`forbids everything, because it cannot be read: ${policy.problem}`];
  const words: string[] = [];
  const list = (what: string, names: readonly string[]): void => {
    if (names.length > 0) words.push(`${what} ${names.join(', ')}`);
  };
  if (policy.patching === 'forbid') words.push('no patching');
  else list('packages are changed only', policy.hours);
  list('never touched:', policy.forbidden_packages);
  if (policy.reboot === 'forbid') words.push('no reboots');
  else list('reboots only', policy.reboot_hours);
  if (policy.rollback === 'forbid') words.push('no rollbacks');
  list('never restarted:', policy.never_restart ?? []);
  list('actions:', policy.actions);
  list('probes:', policy.probes);
  list('probes may reach', policy.probe_targets);
  return words.length === 0 ? ['restricts nothing'] : words;
}
