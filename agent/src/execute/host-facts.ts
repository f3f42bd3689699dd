import { readFileSync, statfsSync, statSync } from 'node:fs';
import type { TaskFailure } from '@fixpoint/core/task/states.ts';
import { parseCgroupUnit } from '../collect/maps.ts';
import { readTextIfThere } from '../state-dir.ts';
import { withoutSecrets } from '../redact.ts';

/**
 * What the host itself adds to a failure of its package manager: which program holds the lock, which file system is full. What a
 * package manager writes is read first; where it does not say it, /proc does (proc(5): locks, PID/cmdline, self/mountinfo).
 */

export interface HostView {
  /** What runs under a process id; null when nothing does. */
  processOf(pid: number): { readonly command: string; readonly unit: string | null } | null;
  /** Processes that hold a lock on one of these files. */
  holdersOf(paths: readonly string[]): number[];
  /** Where a path is mounted, and what is free there; null when it cannot be told. */
  spaceOf(path: string): FileSystemSpace | null;
}

export interface FileSystemSpace {
  readonly mount: string;
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Inodes; null where the file system has no limit of them. */
  readonly freeFiles: number | null;
}

const lockFiles = [
  '/var/lib/dpkg/lock-frontend',
  '/var/lib/dpkg/lock',
  '/var/lib/apt/lists/lock',
  '/var/cache/apt/archives/lock',
  '/var/lib/rpm/.rpm.lock',
  '/usr/lib/sysimage/rpm/.rpm.lock',
  '/var/cache/dnf/metadata_lock.pid',
  '/lib/apk/db/lock',
];

/** Where package managers write. */
const writtenPaths = [
  '/',
  '/usr',
  '/var',
  '/var/cache',
  '/var/lib',
  '/var/log',
  '/boot',
  '/boot/efi',
  '/tmp',
  '/etc',
];
const littleBytes = 64 * 1024 * 1024;

/** A sentence about the failure by what the host is now; null when there is nothing to add. */
export function explainOnHost(failure: TaskFailure, output: string, host: HostView): string | null {
  if (failure === 'lock_held') return lockSentence(output, host);
  if (failure === 'disk_full') return spaceSentence(output, host);
  return null;
}

/** apt: `held by process 42 (apt)`; dpkg: `locked by another process with pid 42`; dnf: `process with pid 42`; zypper: `with pid 42`. */
export function lockHolderIn(output: string): number | null {
  const found = [...output.matchAll(/(?:held by process|with pid|by PID|process ID:?)\s+(\d+)/giu)].at(
    -1,
  )?.[1];
  return found === undefined ? null : Number(found);
}

function lockSentence(output: string, host: HostView): string | null {
  const said = lockHolderIn(output);
  const pids = said === null ? host.holdersOf(lockFiles) : [said];
  const named = [...new Set(pids)].slice(0, 3).map((pid) => {
    const running = host.processOf(pid);
    if (running === null) return `process ${String(pid)}, which is gone by now`;
    const unit = running.unit === null ? '' : ` of ${running.unit}`;
    return `process ${String(pid)}${unit}: ${running.command}`;
  });
  return named.length === 0 ? null : `The lock is held by ${named.join('; ')}.`;
}

/** Paths that the output says there is no room for. */
export function fullPathsIn(output: string): string[] {
  const patterns = [
    // apt, and dnf: `needs 12MB more space on the / filesystem`
    /enough free space in (\/\S*?)\.?$/gmu,
    /space on the (\/\S*) filesystem/gu,
    // dpkg, rpm, tar: `… to '/usr/lib/x.dpkg-new': … (No space left on device)`
    /'(\/[^'\n]+)'[^\n]*No space left on device/gu,
    /(?:write|open|mkdir|rename|unpacking)[^\n]*?(\/[\w./+-]+)[^\n]*No space left on device/gu,
  ];
  return [...new Set(patterns.flatMap((p) => [...output.matchAll(p)].flatMap((m) => m[1] ?? [])))];
}

function spaceSentence(output: string, host: HostView): string | null {
  const said = fullPathsIn(output);
  const spaces = new Map<string, FileSystemSpace>();
  for (const path of said.length > 0 ? said : writtenPaths) {
    const space = host.spaceOf(path);
    if (space === null) continue;
    const isFull = space.freeBytes < littleBytes || space.freeFiles === 0;
    if (said.length > 0 || isFull) spaces.set(space.mount, space);
  }
  if (spaces.size === 0) return null;
  const each = [...spaces.values()].map(
    ({ mount, freeBytes, totalBytes, freeFiles }) =>
      `${mount} (${size(freeBytes)} of ${size(totalBytes)} free${freeFiles === 0 ? ', and no inode' : ''})`,
  );
  return `File system: ${each.join(', ')}.`;
}

function size(bytes: number): string {
  return bytes < 10_000_000_000
    ? `${String(Math.floor(bytes / 1_000_000))} MB`
    : `${String(Math.floor(bytes / 1_000_000_000))} GB`;
}

/** Process ids of /proc/locks that hold a lock on a file: `1: POSIX  ADVISORY  WRITE 42 fd:01:1234 0 EOF`; waiting ones have `->`. */
export function parseLocks(text: string, device: { major: number; minor: number; inode: bigint }): number[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\d+: +\S+ +\S+ +\S+ +(\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) /u.exec(line);
    if (match === null) return [];
    const [, pid, major, minor, inode] = match;
    const isIt =
      Number.parseInt(major ?? '', 16) === device.major &&
      Number.parseInt(minor ?? '', 16) === device.minor &&
      BigInt(inode ?? 0) === device.inode;
    return isIt && Number(pid) > 0 ? [Number(pid)] : [];
  });
}

/** The mount point of a path, by /proc/self/mountinfo. */
export function mountOf(path: string, mountinfo: string): string | null {
  let longest: string | null = null;
  for (const line of mountinfo.split('\n')) {
    // Spaces and backslashes in it are written in octal.
    const point = line
      .split(' ')[4]
      ?.replaceAll(/\\([0-7]{3})/gu, (_, octal: string) => String.fromCodePoint(Number.parseInt(octal, 8)));
    if (point === undefined) continue;
    const holds = point === '/' || path === point || path.startsWith(`${point}/`);
    if (holds && point.length >= (longest?.length ?? 0)) longest = point;
  }
  return longest;
}

export const thisHost: HostView = {
  processOf(pid) {
    try {
      const command = readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8')
        .replaceAll('\0', ' ')
        .trim();
      const cgroup = readTextIfThere(`/proc/${String(pid)}/cgroup`);
      return {
        command: withoutSecrets(command === '' ? 'a kernel thread' : command, []).slice(0, 200),
        unit: cgroup === null ? null : parseCgroupUnit(cgroup),
      };
    } catch {
      return null;
    }
  },
  holdersOf(paths) {
    const locks = readTextIfThere('/proc/locks') ?? '';
    return paths.flatMap((path) => {
      const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
      if (stat === undefined) return [];
      // makedev(3) of glibc
      const major = Number(((stat.dev >> 8n) & 0xfffn) | ((stat.dev >> 32n) & ~0xfffn));
      const minor = Number((stat.dev & 0xffn) | ((stat.dev >> 12n) & ~0xffn & 0xffffffffn));
      return parseLocks(locks, { major, minor, inode: stat.ino });
    });
  },
  spaceOf(path) {
    for (let existing = path; ; existing = existing.slice(0, existing.lastIndexOf('/'))) {
      try {
        const { bavail, bsize, blocks, files, ffree } = statfsSync(existing === '' ? '/' : existing);
        const mount = mountOf(
          existing === '' ? '/' : existing,
          readTextIfThere('/proc/self/mountinfo') ?? '',
        );
        return {
          mount: mount ?? '/',
          freeBytes: bavail * bsize,
          totalBytes: blocks * bsize,
          freeFiles: files === 0 ? null : ffree,
        };
      } catch {
        // A file that could not be made: its folder.
        if (existing === '' || existing === '/') return null;
      }
    }
  },
};
