import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import {
  explainOnHost,
  fullPathsIn,
  lockHolderIn,
  mountOf,
  parseLocks,
  thisHost,
  type HostView,
} from './host-facts.ts';

const recorded = (name: string): string =>
  readFileSync(new URL(`recorded/${name}.txt`, import.meta.url), 'utf8');

const host: HostView = {
  processOf: (pid) =>
    pid === 1
      ? null
      : { command: '/usr/bin/python3 /usr/bin/unattended-upgrade', unit: 'apt-daily-upgrade.service' },
  holdersOf: () => [77],
  spaceOf: (path) => ({
    mount: path.startsWith('/boot') ? '/boot' : '/',
    freeBytes: path.startsWith('/boot') ? 3_400_000 : 50_000_000_000,
    totalBytes: path.startsWith('/boot') ? 488_000_000 : 80_000_000_000,
    freeFiles: 1000,
  }),
};

describe('a lock that another program holds', () => {
  test.each([
    ['lock-held', 29_503],
    ['lock-held-dpkg', 29_503],
    ['lock-lists', 29_805],
  ])('%s names its process', (name, pid) => {
    expect(lockHolderIn(recorded(name))).toBe(pid);
    expect(explainOnHost('lock_held', recorded(name), host)).toBe(
      `The lock is held by process ${String(pid)} of apt-daily-upgrade.service: /usr/bin/python3 /usr/bin/unattended-upgrade.`,
    );
  });

  test('is found in /proc/locks where the output does not say it', () => {
    const silent = 'E: Unable to lock directory /var/lib/apt/lists/';
    expect(explainOnHost('lock_held', silent, host)).toContain('process 77 of');
    expect(explainOnHost('lock_held', 'held by process 1 (x)', host)).toContain('which is gone by now');
    expect(explainOnHost('lock_held', silent, { ...host, holdersOf: () => [] })).toBeNull();
  });

  test('is read from a real one', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'fixpoint-lock-'));
    const path = join(dir, 'lock-frontend');
    writeFileSync(path, '');
    const child = spawn('flock', [path, 'sleep', '30'], { stdio: 'ignore' });
    try {
      let held: number[] = [];
      for (let i = 0; i < 100 && held.length === 0; i++) {
        await systemClock.sleep(0.05);
        held = thisHost.holdersOf([path, join(dir, 'not-there')]);
      }
      expect(held).toContain(child.pid);
      expect(thisHost.processOf(child.pid ?? 0)?.command).toBe(`flock ${path} sleep 30`);
    } finally {
      child.kill('SIGKILL');
      rmSync(dir, { recursive: true, force: true });
    }
    expect(thisHost.processOf(4_194_305)).toBeNull();
  });

  test('a program that waits for a lock does not hold it', () => {
    const locks =
      '1: POSIX  ADVISORY  WRITE 42 fd:01:1234 0 EOF\n1: -> POSIX  ADVISORY  WRITE 43 fd:01:1234 0 EOF\n2: FLOCK  ADVISORY  WRITE 44 fd:01:99 0 EOF\n';
    expect(parseLocks(locks, { major: 0xfd, minor: 1, inode: 1234n })).toEqual([42]);
  });
});

describe('a disk that is full', () => {
  test.each([
    ['download-disk-full', ['/tmp/small/']],
    ['unpack-disk-full', ['/usr/share/lab/filler.dpkg-new']],
  ])('%s names the place', (name, paths) => {
    expect(fullPathsIn(recorded(name))).toEqual(paths);
  });

  test('the file system is named, by the path or by how little is left', () => {
    const unpack =
      "cannot copy extracted data for './boot/vmlinuz' to '/boot/vmlinuz.dpkg-new': failed to write (No space left on device)";
    expect(explainOnHost('disk_full', unpack, host)).toBe('File system: /boot (3 MB of 488 MB free).');
    expect(explainOnHost('disk_full', 'No space left on device', host)).toBe(
      'File system: /boot (3 MB of 488 MB free).',
    );
  });

  test('and read from this host', () => {
    expect(thisHost.spaceOf('/tmp/not/there/at/all')?.totalBytes).toBeGreaterThan(0);
    expect(thisHost.spaceOf('/')).toMatchObject({ mount: '/' });
    const mounts =
      '22 1 0:20 / / rw - overlay o rw\n30 22 0:31 / /srv/a\\040b rw - tmpfs t rw\n31 22 0:31 / /srv rw - tmpfs t rw\n';
    expect(mountOf('/srv/a b/file', mounts)).toBe('/srv/a b');
    expect(mountOf('/srv/other', mounts)).toBe('/srv');
    expect(mountOf('/srvother', mounts)).toBe('/');
  });
});

test('other failures need nothing from the host', () => {
  expect(explainOnHost('hash_mismatch', recorded('hash-mismatch'), host)).toBeNull();
});
