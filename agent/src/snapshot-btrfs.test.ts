import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runCommand } from './run-command.ts';
import {
  detectBtrfs,
  forgetBtrfs,
  namesSubvolume,
  parseBtrfsMount,
  restoreBtrfs,
  takeBtrfs,
  thisSnapshotHost,
  type SnapshotHost,
} from './snapshot-btrfs.ts';

const mounts = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
79 27 0:47 /@rootfs /mnt rw,relatime shared:3 - btrfs /dev/loop0 rw,space_cache=v2,subvolid=256,subvol=/@rootfs
80 27 0:48 / /top rw,relatime - btrfs /dev/loop1 rw,subvolid=5,subvol=/
`;

test('what is mounted is read from the kernel', () => {
  expect(parseBtrfsMount(mounts, '/mnt')).toEqual({ device: '/dev/loop0', subvolume: '@rootfs' });
  expect(parseBtrfsMount(mounts, '/top')).toEqual({ device: '/dev/loop1', subvolume: '' });
  expect(parseBtrfsMount(mounts, '/')).toBe(null);
  expect(parseBtrfsMount(mounts, '/home')).toBe(null);
});

test('which subvolume is booted is read from kernel and fstab', () => {
  expect(namesSubvolume('ro rootflags=subvol=@rootfs quiet', '@rootfs')).toBe(true);
  expect(namesSubvolume('UUID=1 / btrfs defaults,subvol=/@rootfs 0 0', '@rootfs')).toBe(true);
  expect(namesSubvolume('UUID=1 /home btrfs defaults,subvol=@home 0 0', '@rootfs')).toBe(false);
});

/** Null when this machine can mount a btrfs of its own; else why not. */
async function whyNot(): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'not root';
  if (!(await runCommand(['mkfs.btrfs', '--version'], { timeoutSeconds: 20 })).ok) return 'no btrfs-progs';
  if (!/\bbtrfs\b/u.test(readFileSync('/proc/filesystems', 'utf8'))) return 'no btrfs in this kernel';
  return existsSync('/dev/loop-control') ? null : 'no loop devices';
}
const reason = await whyNot();
if (reason !== null) process.stderr.write(`\nsnapshots of a real btrfs are not tried here: ${reason}\n`);

describe.skipIf(reason !== null)('on a real btrfs', () => {
  let dir: string;
  let root: string;
  const run = async (...argv: [string, ...string[]]): Promise<string> => {
    const answer = await runCommand(argv, { timeoutSeconds: 60 });
    if (!answer.ok) throw new Error(answer.message);
    return answer.stdout;
  };
  const hostThat = (boot: string): SnapshotHost => ({ ...thisSnapshotHost, root, boot: () => boot });
  const boots = async (options: string): Promise<void> => {
    await run('umount', root);
    await run('mount', '-o', `loop${options}`, join(dir, 'disk'), root);
  };
  const version = (): string => readFileSync(join(root, 'usr/version'), 'utf8');

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'fixpoint-snapshot-'));
    root = join(dir, 'root');
    mkdirSync(root);
    writeFileSync(join(dir, 'disk'), '');
    truncateSync(join(dir, 'disk'), 300 * 1024 * 1024);
    await run('mkfs.btrfs', '--quiet', join(dir, 'disk'));
    await run('mount', '-o', 'loop', join(dir, 'disk'), root);
    await run('btrfs', 'subvolume', 'create', join(root, '@rootfs'));
  });
  afterEach(async () => {
    await run('umount', root);
    rmSync(dir, { recursive: true });
  });

  /** A system at its first version, a snapshot of it, and the second version. */
  async function patched(host: SnapshotHost) {
    for (const path of ['usr', 'etc', 'var/lib/dpkg', 'state'])
      mkdirSync(join(root, path), { recursive: true });
    writeFileSync(join(root, 'usr/version'), '1');
    writeFileSync(join(root, 'state/journal'), 'keep begins');
    const taken = await takeBtrfs('task.1', host);
    if (!taken.ok) throw new Error(taken.message);
    // Asked again, as by an agent that died, it is the same.
    expect(await takeBtrfs('task.1', host)).toEqual(taken);
    writeFileSync(join(root, 'usr/version'), '2');
    writeFileSync(join(root, 'state/journal'), 'put back at the next boot');
    return taken.snapshot;
  }

  test.each([
    ['asked for by name', ',subvol=@rootfs', 'rootflags=subvol=@rootfs'],
    ['the default one', '', ''],
  ])(
    'a root that is %s comes back at the next boot, and the agent forgets nothing',
    async (_how, options, boot) => {
      await boots(options);
      if (options === '') {
        await run('btrfs', 'subvolume', 'set-default', join(root, '@rootfs'));
        await boots(options);
      }
      const host = hostThat(boot);
      expect(await detectBtrfs(host)).toMatchObject({ kind: 'btrfs', subvolume: '@rootfs' });
      const snapshot = await patched(host);
      await restoreBtrfs(snapshot, join(root, 'state'), '/state', host);
      // Nothing happens to the system that runs.
      expect(version()).toBe('2');
      await boots(options);
      expect(version()).toBe('1');
      expect(readFileSync(join(root, 'state/journal'), 'utf8')).toBe('put back at the next boot');
      writeFileSync(join(root, 'etc/writable'), '');
    },
  );

  test('a snapshot and what was undone are taken away when they are not needed any more', async () => {
    await boots(',subvol=@rootfs');
    const host = hostThat('subvol=@rootfs');
    const snapshot = await patched(host);
    await restoreBtrfs(snapshot, join(root, 'state'), '/state', host);
    await boots(',subvol=@rootfs');
    await forgetBtrfs(snapshot, host);
    await forgetBtrfs(snapshot, host);
    expect(version()).toBe('1');
    await boots('');
    expect(readdirSync(join(root, '.fixpoint-snapshots'))).toEqual([]);
  });

  test('none is offered where part of the system lies elsewhere, or what is booted has a number', async () => {
    await boots(',subvol=@rootfs');
    expect(await detectBtrfs(hostThat('rootflags=subvolid=256'))).toBe(null);
    const host = hostThat('subvol=@rootfs');
    expect(await detectBtrfs(host)).not.toBe(null);
    // As systemd makes one for machines: it does no harm while nothing is in it.
    mkdirSync(join(root, 'var/lib'), { recursive: true });
    await run('btrfs', 'subvolume', 'create', join(root, 'var/lib/machines'));
    expect(await detectBtrfs(host)).not.toBe(null);
    writeFileSync(join(root, 'var/lib/machines/one'), '');
    expect(await detectBtrfs(host)).toBe(null);
    rmSync(join(root, 'var/lib/machines/one'));
    await run('btrfs', 'subvolume', 'create', join(root, 'usr'));
    expect(await detectBtrfs(host)).toBe(null);
  });
});
