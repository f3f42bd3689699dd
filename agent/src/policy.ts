import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from 'node:fs';
import { dirname } from 'node:path';
import { standingOfHours } from '@fixpoint/core/host-policy/hours.ts';
import type { HostPolicy } from '@fixpoint/core/host-policy/policy.ts';
import { codeOf, messageOf } from './failure.ts';
import { sha256Hex } from './identity.ts';
import { parsePolicy, type PolicyCommandText, type PolicyContent } from './policy-file.ts';
import { minuteOfWeekIn, readTimeZone } from './wall-clock.ts';

/** The policy file of this host, `/etc/fixpoint/policy.toml`: what its owner allows, and what names of commands stand for. */

export const policyPath = '/etc/fixpoint/policy.toml';

/** A command of the owner's, run without a shell. */
export interface PolicyCommand {
  readonly argv: readonly [string, ...string[]];
  /** The user that it runs as; null: root. */
  readonly user: string | null;
  /** The longest that the owner lets it run, whatever an order asks for. */
  readonly timeoutSeconds: number;
  /** What it gets besides the plain environment; may hold secrets. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface HostPolicyFile {
  /** What is told to the server; null when there is no file. */
  readonly policy: HostPolicy | null;
  readonly actions: ReadonlyMap<string, PolicyCommand>;
  readonly probes: ReadonlyMap<string, PolicyCommand>;
}

const bytesMaximum = 64 * 1024;
const defaultTimeoutSeconds = 300;

/**
 * Reads the file anew; one that cannot be read as a whole, or that somebody else than its owner could have written, forbids
 * everything and says why.
 * @param ownerUid whose the file and its folder must be
 */
export function readHostPolicy(path = policyPath, ownerUid = 0): HostPolicyFile {
  const read = readSafely(path, ownerUid);
  if (read === null) return { policy: null, actions: new Map(), probes: new Map() };
  return read.ok ? policyFromText(read.text) : forbidEverything(sha256Hex(''), read.problem);
}

/** What the text of a policy file comes to. */
export function policyFromText(text: string): HostPolicyFile {
  const digest = sha256Hex(text);
  const parsed = parsePolicy(text);
  if (!parsed.ok) return forbidEverything(digest, parsed.problem);
  const { content } = parsed;
  const commands = (texts: Readonly<Record<string, PolicyCommandText>> = {}): Map<string, PolicyCommand> =>
    new Map(Object.entries(texts).map(([name, one]) => [name, commandOf(one)]));
  const actions = commands(content.actions);
  const probes = commands(content.probes);
  return { policy: policyOf(digest, content, [...actions.keys()], [...probes.keys()]), actions, probes };
}

function policyOf(
  digest: string,
  content: PolicyContent,
  actions: readonly string[],
  probes: readonly string[],
): HostPolicy {
  const word = (allow: boolean | undefined): 'allow' | 'forbid' => (allow === false ? 'forbid' : 'allow');
  const never = content.units?.never_restart ?? [];
  return {
    digest,
    problem: null,
    patching: word(content.patching?.allow),
    forbidden_packages: content.patching?.packages?.forbid ?? [],
    hours: content.patching?.hours ?? [],
    reboot: word(content.reboot?.allow),
    reboot_hours: content.reboot?.hours ?? [],
    rollback: word(content.rollback?.allow),
    actions,
    probes,
    probe_targets: content.targets ?? [],
    ...(never.length === 0 ? {} : { never_restart: never }),
  };
}

function commandOf(text: PolicyCommandText): PolicyCommand {
  const [program = '', ...args] = text.command;
  return {
    argv: [program, ...args],
    user: text.user ?? null,
    timeoutSeconds: text.timeout_seconds ?? defaultTimeoutSeconds,
    environment: text.environment ?? {},
  };
}

function forbidEverything(digest: string, problem: string): HostPolicyFile {
  return {
    policy: {
      digest,
      problem: problem.slice(0, 1_000),
      patching: 'forbid',
      forbidden_packages: ['*'],
      hours: [],
      reboot: 'forbid',
      reboot_hours: [],
      rollback: 'forbid',
      actions: [],
      probes: [],
      probe_targets: [],
      never_restart: ['*'],
    },
    actions: new Map(),
    probes: new Map(),
  };
}

type SafeText =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly problem: string };

/** Null when there is no such file. What is checked is what is read: the file is opened once, and no link is followed. */
function readSafely(path: string, ownerUid: number): SafeText | null {
  const bad = (problem: string): SafeText => ({ ok: false, problem });
  let file: number;
  try {
    const folder = lstatSync(dirname(path));
    // Who may write there can take the file away, and with it what it forbids.
    const problem = problemOf(folder, ownerUid);
    if (problem !== null) return bad(`The folder ${dirname(path)} ${problem}.`);
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    if (codeOf(error) === 'ELOOP') return bad('It is a symbolic link; it must be the file itself.');
    return bad(`It cannot be read: ${messageOf(error)}.`);
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) return bad('It is not a regular file.');
    const problem = problemOf(stat, ownerUid);
    if (problem !== null) return bad(`It ${problem}.`);
    const bytes = Buffer.alloc(bytesMaximum + 1);
    let count = 0;
    for (let more = -1; more !== 0 && count < bytes.length; count += more) {
      more = readSync(file, bytes, count, bytes.length - count, null);
    }
    if (count > bytesMaximum) return bad(`It is larger than ${String(bytesMaximum / 1024)} KiB.`);
    return { ok: true, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, count)) };
  } catch (error) {
    return bad(
      error instanceof TypeError ? 'It is not text in UTF-8.' : `It cannot be read: ${messageOf(error)}.`,
    );
  } finally {
    closeSync(file);
  }
}

function problemOf(stat: { readonly uid: number; readonly mode: number }, ownerUid: number): string | null {
  if (stat.uid !== ownerUid) return `belongs to user ${String(stat.uid)}; it must belong to root`;
  return (stat.mode & 0o022) === 0
    ? null
    : `can be written by others than its owner (mode ${(stat.mode & 0o777).toString(8)}); chmod go-w`;
}

/** Why something must wait, and from when on it may (milliseconds since 1970; null: nobody can tell). */
export interface PolicyWait {
  readonly message: string;
  readonly opensAt: number | null;
}

/** Why packages and services must not be changed now by the hours of the policy; null when they may. */
export function mayPatchNow(
  { policy }: HostPolicyFile,
  now: number,
  zone = readTimeZone(),
): PolicyWait | null {
  return waitOf(policy?.hours ?? [], 'The hours in which the policy of the host allows changes', now, zone);
}

/** Why this host must not be rebooted now, and from when on it may; null when it may. */
export function mayRebootNow(
  { policy }: HostPolicyFile,
  now: number,
  zone = readTimeZone(),
): PolicyWait | null {
  if (policy?.reboot === 'forbid') {
    const why = policy.problem === null ? '' : ` Its file cannot be read: ${policy.problem}`;
    return { message: `The policy of the host forbids reboots.${why}`, opensAt: null };
  }
  return waitOf(
    policy?.reboot_hours ?? [],
    'The hours in which the policy of the host allows reboots',
    now,
    zone,
  );
}

function waitOf(hours: readonly string[], what: string, now: number, zone: string | null): PolicyWait | null {
  if (hours.length === 0) return null;
  const standing = standingOfHours(hours, now, minuteOfWeekIn(zone));
  if (standing.kind === 'open') return null;
  const next = standing.opensAt === null ? 'never' : new Date(standing.opensAt).toISOString();
  return {
    message: `${what} (${hours.join(', ')}, by its own clock) begin again at ${next}.`.slice(0, 1_500),
    opensAt: standing.opensAt,
  };
}
