import { compareText } from '@fixpoint/core/knowledge/compare-text.ts';
import { readFileSync } from 'node:fs';
import { arch as nodeArch, hostname, networkInterfaces, release } from 'node:os';
import { join } from 'node:path';
import type { HostFacts } from '@fixpoint/core/inventory/inventory.ts';
import { parseCodename, parseOsRelease, type OsRelease } from '@fixpoint/core/inventory/os-release.ts';
import { toIso } from '../clock.ts';
import { readBootId, readProcessStat } from '../process.ts';
import { runCommand } from '../run-command.ts';
import { detectSnapshots } from '../snapshot.ts';
import { readTextIfThere } from '../state-dir.ts';
import { readTimeZone } from '../wall-clock.ts';
import { collectCloud } from './cloud.ts';
import { collectUnits } from './units.ts';

/** Ticks per second in /proc; USER_HZ is 100 on every architecture of Debian. */
export const ticksPerSecond = 100;

/** Seconds since 1970 at boot, from /proc/stat. */
export function parseBootTime(text: string): number | null {
  const seconds = Number(/^btime (\d+)$/mu.exec(text)?.[1]);
  return Number.isSafeInteger(seconds) ? seconds : null;
}

/** Seconds since 1970 when a process started that started so many ticks after boot. */
export function startSeconds(bootSeconds: number, startTicks: string): number {
  return bootSeconds + Math.floor(Number(startTicks) / ticksPerSecond);
}

/** Whether a kernel of the host's own runs. A container's kernel is somebody else's to patch. */
export function machineFrom(
  virtualisation: string | null,
  environmentOfInit: string | null,
): HostFacts['machine'] {
  if (virtualisation !== null && virtualisation !== '' && virtualisation !== 'none') return 'container';
  return environmentOfInit !== null && /(?:^|\0)container=[^\0]/u.test(environmentOfInit)
    ? 'container'
    : 'physical_or_virtual';
}

/** Debian and its like write the first, SUSE's zypp the second, when something was installed that wants a reboot. */
export const rebootWishes = ['/run/reboot-required', '/run/reboot-needed'] as const;

/** Names in /run/reboot-required.pkgs, each once. */
export function parseRebootPackages(text: string): string[] {
  return [...new Set(text.split('\n').map((line) => line.trim()))]
    .filter((line) => line !== '')
    .sort(compareText);
}

export function readOsRelease(root: string): OsRelease {
  return parseOsRelease(osReleaseText(root));
}

export function readCodename(root: string): string {
  return parseCodename(osReleaseText(root));
}

function osReleaseText(root: string): string {
  return (
    readTextIfThere(join(root, 'etc/os-release')) ?? readTextIfThere(join(root, 'usr/lib/os-release')) ?? ''
  );
}

let nativeArch: string | null = null;

/** dpkg's name of this host's architecture. */
export async function readNativeArch(): Promise<string> {
  if (nativeArch === null) {
    const answer = await runCommand(['dpkg', '--print-architecture'], { timeoutSeconds: 20 });
    nativeArch = answer.ok && answer.stdout.trim() !== '' ? answer.stdout.trim() : nodeArchAsDebian();
  }
  return nativeArch;
}

function nodeArchAsDebian(): string {
  const name = nodeArch();
  return name === 'x64' ? 'amd64' : name;
}

/** A boot's time, fixed when first seen: the kernel computes it from a clock that is being adjusted. */
let boot: { readonly key: string; readonly at: string } | null = null;

function bootedAt(bootId: string): string {
  // The first process, rather than the kernel: in a container its start is the container's.
  const ticks = readProcessStat(1)?.startTicks ?? '0';
  const key = `${bootId} ${ticks}`;
  if (boot?.key !== key) {
    const seconds = parseBootTime(readFileSync('/proc/stat', 'utf8')) ?? 0;
    boot = { key, at: toIso(startSeconds(seconds, ticks) * 1000) };
  }
  return boot.at;
}

let machineKnown: HostFacts['machine'] | null = null;

/** Cannot change while this process runs. */
async function readMachine(): Promise<HostFacts['machine']> {
  machineKnown ??= await detectMachine();
  return machineKnown;
}

async function detectMachine(): Promise<HostFacts['machine']> {
  const answer = await runCommand(['systemd-detect-virt', '--container'], { timeoutSeconds: 20 });
  let environment: string | null = null;
  try {
    environment = readFileSync('/proc/1/environ', 'utf8');
  } catch {
    // Not root, or hidden: only systemd's answer counts then.
  }
  return machineFrom(answer.stdout.trim(), environment);
}

function readAddresses(): string[] {
  const addresses = Object.values(networkInterfaces())
    .flat()
    .flatMap((a) => (a === undefined || a.internal ? [] : [a.address]))
    // A link-local address says nothing of where the host is.
    .filter((address) => !address.startsWith('fe80:'));
  return [...new Set(addresses)].sort(compareText).slice(0, 256);
}

/** Everything about the host besides its packages, and what the package manager told with them. */
export async function collectHost(
  fromPackages: Pick<HostFacts, 'arch' | 'kernels' | 'held'>,
): Promise<HostFacts> {
  const bootId = readBootId();
  const required = rebootWishes.map(readTextIfThere).find((text) => text !== null) ?? null;
  const [units, machine, snapshots] = await Promise.all([collectUnits(), readMachine(), detectSnapshots()]);
  const cloud = collectCloud();
  const timeZone = readTimeZone();
  return {
    hostname: hostname().slice(0, 255),
    ...readOsRelease('/'),
    arch: fromPackages.arch,
    addresses: readAddresses(),
    boot_id: bootId,
    booted_at: bootedAt(bootId),
    running_kernel: release(),
    kernels: fromPackages.kernels.slice(0, 64),
    machine,
    reboot_required: required !== null,
    reboot_required_by:
      required === null
        ? []
        : parseRebootPackages(readTextIfThere('/run/reboot-required.pkgs') ?? '').slice(0, 512),
    held: fromPackages.held.slice(0, 10_000),
    units,
    ...(cloud === null ? {} : { cloud }),
    ...(snapshots === null ? {} : { snapshots: snapshots.kind }),
    ...(timeZone === null ? {} : { time_zone: timeZone }),
  };
}
