import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentFailure } from './failure.ts';
import { runCommand } from './run-command.ts';
import { readTextIfThere, syncFolder } from './state-dir.ts';
import type { Taken } from './snapshot.ts';
import type { KeptBtrfsSnapshot } from './task/kept.ts';

/**
 * Snapshots of the root file system on btrfs: btrfs-subvolume(8). They lie beside the subvolume that is the root, in the top
 * level of the file system, which is mounted only while it is worked with.
 */

export interface BtrfsPlace {
  readonly kind: 'btrfs';
  readonly device: string;
  /** Path of the root's subvolume from the top level, without a slash at its beginning: `@rootfs`; empty for the top level. */
  readonly subvolume: string;
}

/** The host's own root; a test hands another mounted file system. */
export interface SnapshotHost {
  readonly root: string;
  readonly mounts: () => string;
  /** What says which subvolume is booted: the command line of the kernel, and fstab. Neither naming one, it is the default one. */
  readonly boot: () => string;
}

const folder = '.fixpoint-snapshots';
/** What must be within the snapshot for it to be one of the system. */
const within = ['usr', 'etc', 'var/lib/dpkg', 'var/lib/rpm'] as const;

export const thisSnapshotHost: SnapshotHost = {
  root: '/',
  mounts: () => readFileSync('/proc/self/mountinfo', 'utf8'),
  boot: () => `${readTextIfThere('/proc/cmdline') ?? ''} ${readTextIfThere('/etc/fstab') ?? ''}`,
};

/** Whether a subvolume is booted because its name is asked for. Pure. */
export function namesSubvolume(boot: string, subvolume: string): boolean {
  return [...boot.matchAll(/\bsubvol=([^\s,]+)/gu)].some(
    ([, name]) => name?.replace(/^\//u, '') === subvolume,
  );
}

/** The file system that is mounted at a path, by /proc/PID/mountinfo (proc(5)); null when it is no btrfs. Pure. */
export function parseBtrfsMount(mountinfo: string, mountPoint: string): Omit<BtrfsPlace, 'kind'> | null {
  const fields = mountinfo
    .split('\n')
    .map((line) => line.split(' '))
    .findLast((one) => one[4] === mountPoint);
  const dash = fields?.indexOf('-') ?? -1;
  const [type, device] = fields?.slice(dash + 1) ?? [];
  const subvolume = fields?.[3];
  if (dash < 0 || type !== 'btrfs' || device === undefined || subvolume === undefined) return null;
  return { device, subvolume: subvolume.replace(/^\//u, '') };
}

/** Of which kind a snapshot of the root file system could be made now; null when it could not. */
export async function detectBtrfs(host: SnapshotHost = thisSnapshotHost): Promise<BtrfsPlace | null> {
  const mount = parseBtrfsMount(host.mounts(), host.root);
  if (mount === null) return null;
  const { dev } = statSync(host.root);
  for (const path of within) {
    const at = join(host.root, path);
    if (existsSync(at) && statSync(at).dev !== dev) return null;
  }
  // What is asked for by its number cannot be exchanged.
  if (/\bsubvolid=/u.test(host.boot())) return null;
  const listed = await runCommand(['btrfs', 'subvolume', 'list', '-o', host.root], { timeoutSeconds: 60 });
  if (!listed.ok) return null;
  for (const path of parseNested(listed.stdout, mount.subvolume)) {
    const at = join(host.root, path);
    if (!path.startsWith(folder) && !path.startsWith('tmp') && !path.startsWith('var/tmp') && isFilled(at))
      return null;
  }
  return { kind: 'btrfs', ...mount };
}

/** Subvolumes right within one, by `btrfs subvolume list -o`; paths from its own beginning. A snapshot has empty folders there. */
export function parseNested(listed: string, subvolume: string): string[] {
  const prefix = subvolume === '' ? '' : `${subvolume}/`;
  return listed.split('\n').flatMap((line) => {
    const path = /^ID \d+ gen \d+ top level \d+ path (.+)$/u.exec(line)?.[1];
    return path?.startsWith(prefix) === true ? [path.slice(prefix.length)] : [];
  });
}

function isFilled(path: string): boolean {
  try {
    return readdirSync(path).length > 0;
  } catch {
    // Something else is mounted over it, or it lies elsewhere than it says: it cannot be told.
    return true;
  }
}

/** @param name of the task, unique among snapshots; one of that name that is there already is it */
export async function takeBtrfs(
  name: string,
  host: SnapshotHost = thisSnapshotHost,
): Promise<Taken<KeptBtrfsSnapshot>> {
  const place = await detectBtrfs(host);
  if (place === null) {
    return { ok: false, message: 'This host can make no snapshot of its root file system.' };
  }
  try {
    return await withTopLevel(place.device, async (top) => {
      const at = join(top, folder, name);
      mkdirSync(join(top, folder), { recursive: true, mode: 0o700 });
      if (!existsSync(at)) {
        await btrfs(['subvolume', 'snapshot', '-r', join(top, place.subvolume), at]);
        await btrfs(['filesystem', 'sync', top]);
      }
      const shown = await btrfs(['property', 'get', '-ts', at, 'ro']);
      if (shown.trim() !== 'ro=true') return { ok: false, message: 'The snapshot is not what it should be.' };
      return {
        ok: true,
        snapshot: { kind: 'btrfs', path: `/${folder}/${name}`, subvolume: place.subvolume },
      };
    });
  } catch (error) {
    if (!(error instanceof AgentFailure)) throw error;
    return { ok: false, message: error.message };
  }
}

/** Takes a snapshot away; one that is not there any more is no problem. */
export async function forgetBtrfs(
  snapshot: KeptBtrfsSnapshot,
  host: SnapshotHost = thisSnapshotHost,
): Promise<void> {
  const mount = parseBtrfsMount(host.mounts(), host.root);
  if (mount === null) return;
  await withTopLevel(mount.device, async (top) => {
    for (const path of [snapshot.path, `${snapshot.path}.undone`, `${snapshot.path}.root`]) {
      const at = join(top, path);
      // A root that was put back and is the default one runs under this name from then on.
      if (!existsSync(at) || path === `/${mount.subvolume}`) continue;
      await btrfs(['subvolume', 'delete', '--commit-after', at]);
    }
  });
}

/**
 * Makes a writable copy of the snapshot what is mounted as the root at the next boot. What is written from now on to that boot
 * is not in it but for `stateDir`, which is copied as it is now: the agent must not forget what it has obeyed.
 * @param stateDirThen its path from the root that is booted; the same but in a test
 */
export async function restoreBtrfs(
  snapshot: KeptBtrfsSnapshot,
  stateDir: string,
  stateDirThen = stateDir,
  host: SnapshotHost = thisSnapshotHost,
): Promise<void> {
  const mount = parseBtrfsMount(host.mounts(), host.root);
  if (mount === null) {
    throw new AgentFailure('snapshot_gone', 'the root is not on btrfs any more', 'Restore the host by hand.');
  }
  await withTopLevel(mount.device, async (top) => {
    const coming = join(top, `${snapshot.path}.root`);
    if (existsSync(coming)) await btrfs(['subvolume', 'delete', coming]);
    await btrfs(['subvolume', 'snapshot', join(top, snapshot.path), coming]);
    const state = join(coming, stateDirThen);
    rmSync(state, { recursive: true, force: true });
    mkdirSync(join(state, '..'), { recursive: true, mode: 0o755 });
    await command(['cp', '--archive', '--reflink=auto', stateDir, state]);
    await btrfs(['filesystem', 'sync', top]);
    if (snapshot.subvolume !== '' && namesSubvolume(host.boot(), snapshot.subvolume)) {
      // Both in the same transaction of the file system, right after the one that was just ended.
      const before = join(top, `${snapshot.path}.undone`);
      renameSync(join(top, snapshot.subvolume), before);
      renameSync(coming, join(top, snapshot.subvolume));
      await btrfs(['filesystem', 'sync', top]);
      return;
    }
    const shown = await btrfs(['subvolume', 'show', coming]);
    const id = /Subvolume ID:\s+(\d+)/u.exec(shown)?.[1];
    if (id === undefined) throw new AgentFailure('btrfs_failed', `no id in ${shown}`, 'Report it as a bug.');
    await btrfs(['subvolume', 'set-default', id, top]);
    syncFolder(top);
  });
}

async function withTopLevel<T>(device: string, work: (top: string) => Promise<T>): Promise<T> {
  const top = mkdtempSync(join(tmpdir(), 'fixpoint-btrfs-'));
  try {
    await command(['mount', '-t', 'btrfs', '-o', 'subvolid=5', device, top]);
    try {
      return await work(top);
    } finally {
      await command(['umount', top]);
    }
  } finally {
    rmdirSync(top);
  }
}

function btrfs(args: readonly string[]): Promise<string> {
  return command(['btrfs', ...args]);
}

async function command(argv: readonly [string, ...string[]]): Promise<string> {
  const answer = await runCommand(argv, { timeoutSeconds: 300 });
  if (answer.ok) return answer.stdout;
  throw new AgentFailure(
    'btrfs_failed',
    answer.message,
    'Look at the file system (btrfs filesystem usage /).',
  );
}
