import { readFileSync, statSync } from 'node:fs';
import type { HostPolicy } from '@fixpoint/core/host-policy/policy.ts';
import { AgentFailure, codeOf, messageOf } from './failure.ts';
import {
  mayPatchNow,
  mayRebootNow,
  policyFromText,
  policyPath,
  readHostPolicy,
  type HostPolicyFile,
  type PolicyCommand,
} from './policy.ts';
import { readTimeZone } from './wall-clock.ts';

/** `fixpoint-agent policy`: what a policy file comes to, in words. */

/**
 * Without a path, the file of this host, read as the agent reads it. With one, a draft: only its text is looked at, not whose it
 * is. Throws AgentFailure `policy_invalid` for a file that would forbid everything.
 * @param now milliseconds since 1970
 */
export function describePolicyFile(path: string | null, asJson: boolean, now: number): string {
  const file = path === null ? readHostPolicy() : policyFromText(readDraft(path));
  const { policy } = file;
  if (policy !== null && policy.problem !== null) {
    throw new AgentFailure(
      'policy_invalid',
      `${path ?? policyPath} forbids everything, because it cannot be read: ${policy.problem}`,
      'Correct the file and run this command again. docs/host-policy.md says what may stand there.',
    );
  }
  if (asJson)
    return `${JSON.stringify({ path: path ?? policyPath, policy, warnings: warningsOf(file) }, null, 2)}\n`;
  if (policy === null) return `There is no ${policyPath}.\n${withoutPolicy}`;
  return `${path ?? policyPath} is in order.\n${lines(file, policy, now).join('\n')}\n`;
}

const withoutPolicy = `packages   may be changed at any time
reboots    allowed at any time
rollbacks  allowed
actions    none may be run
probes     units, and TCP and HTTP to this host itself
`;

function readDraft(path: string): string {
  try {
    return readFileSync(path, 'utf8').slice(0, 64 * 1024);
  } catch (error) {
    throw new AgentFailure(
      'policy_invalid',
      codeOf(error) === 'ENOENT' ? `there is no ${path}` : messageOf(error),
      'Give the path of a policy file, or none for that of this host.',
    );
  }
}

function lines(file: HostPolicyFile, policy: HostPolicy, now: number): string[] {
  const zone = readTimeZone();
  const within = (hours: readonly string[], wait: { readonly message: string } | null): string => {
    if (hours.length === 0) return 'at any time';
    const when = `${hours.join(' and ')} by the clock of this host (${zone ?? 'UTC'})`;
    return `${when}: ${wait === null ? 'now' : `not now; ${/(?:begin again at .*)$/u.exec(wait.message)?.[0] ?? ''}`}`;
  };
  const list = (names: readonly string[]): string => (names.length === 0 ? 'none' : names.join(', '));
  const words = [
    `packages   ${policy.patching === 'forbid' ? 'must not be changed' : `may be changed ${within(policy.hours, mayPatchNow(file, now, zone))}`}`,
    `untouched  ${list(policy.forbidden_packages)}`,
    `reboots    ${policy.reboot === 'forbid' ? 'forbidden' : `allowed ${within(policy.reboot_hours, mayRebootNow(file, now, zone))}`}`,
    `rollbacks  ${policy.rollback === 'forbid' ? 'forbidden' : 'allowed'}`,
    `units      never restarted by the policy: ${list(policy.never_restart ?? [])}`,
  ];
  for (const [kind, commands] of [
    ['action', file.actions],
    ['probe', file.probes],
  ] as const) {
    if (commands.size === 0) words.push(`${kind}s${' '.repeat(10 - kind.length)}none`);
    for (const [name, command] of commands) words.push(`${kind.padEnd(11)}${name}: ${commandWords(command)}`);
  }
  words.push(
    `targets    this host itself${policy.probe_targets.length === 0 ? '' : `, ${policy.probe_targets.join(', ')}`}`,
  );
  return [...words, ...warningsOf(file).map((warning) => `warning    ${warning}`)];
}

/** Without the values of its variables, which may be secrets. */
function commandWords({ argv, user, timeoutSeconds, environment }: PolicyCommand): string {
  const names = Object.keys(environment);
  const given = names.length === 0 ? '' : `, with ${names.join(', ')}`;
  return `${argv.join(' ')}, as ${user ?? 'root'}, at most ${String(timeoutSeconds)} s${given}`;
}

/** What is in order as a text and may still not be what is meant. */
function warningsOf(file: HostPolicyFile): string[] {
  return [...file.actions, ...file.probes].flatMap(
    ([
      name,
      {
        argv: [program],
        user,
      },
    ]) => {
      try {
        const stat = statSync(program);
        if (!stat.isFile() || (stat.mode & 0o111) === 0) return [`${name}: ${program} is no program`];
        const isOthers = (stat.mode & 0o022) !== 0 || stat.uid !== 0;
        return isOthers && (user === null || user === 'root')
          ? [`${name}: ${program} runs as root, and others than root can change it`]
          : [];
      } catch {
        return [`${name}: ${program} is not on this host`];
      }
    },
  );
}
