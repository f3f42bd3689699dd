import { spawn } from 'node:child_process';
import {
  accessSync,
  constants,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { systemClock } from './clock.ts';
import type { PackageFiles } from './collect/package-source.ts';
import { createFileDigests, judgeFile, openTouchedPackages, type TouchedPackage } from './file-residue.ts';
import { createProcessResidueCollector } from './runtime.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fixpoint-residue-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

describe('a file of a package that a task installed', () => {
  const old = 'a'.repeat(32);
  const fixed = 'b'.repeat(32);
  const other = 'c'.repeat(32);
  const base = {
    path: '/usr/lib/x.so',
    expected: [fixed, fixed],
    before: old,
    actual: fixed,
    diversion: undefined,
    isConffile: false,
  };
  test.each([
    ['as shipped', {}, null],
    ['the old one put back', { actual: old }, 'digest_differs'],
    ['something else', { actual: other }, 'digest_differs'],
    ['as a script made dpkg believe', { actual: old, expected: [old, fixed] }, 'digest_differs'],
    ['a configuration file', { actual: other, isConffile: true }, null],
    ['missing code', { actual: null }, 'missing'],
    ['missing documentation', { actual: null, path: '/usr/share/doc/x' }, null],
    [
      'diverted by hand, the old one in its place',
      { actual: old, diversion: { to: '/y', by: null } },
      'diverted',
    ],
    [
      'diverted by hand to something unknown',
      { actual: other, diversion: { to: '/y', by: null } },
      'diverted',
    ],
    ['diverted, nothing in its place', { actual: null, diversion: { to: '/y', by: null } }, null],
    ['diverted by another package', { actual: other, diversion: { to: '/y', by: 'dash' } }, null],
    ['left from the earlier version', { expected: [undefined, undefined], actual: old }, 'digest_differs'],
    ['not shipped any more and changed since', { expected: [undefined, undefined], actual: other }, null],
  ] as const)('%s', (_, change, alteration) => {
    expect(judgeFile({ ...base, ...change })).toBe(alteration);
  });

  test('is read again only when it has changed', async () => {
    const path = join(dir, 'x');
    writeFileSync(path, 'one');
    const digests = createFileDigests();
    const one = await digests.digest(path, 'md5');
    expect(one).toBe('f97c5d29941bfb1b2fdab0874906ab82');
    writeFileSync(path, 'two');
    utimesSync(path, 1, 1);
    expect(await digests.digest(path, 'md5')).toBe('b8a9f715dbb64fd5c56e7783c6820a61');
    rmSync(path);
    expect(await digests.digest(path, 'md5')).toBe(null);
    expect(await digests.digest(dir, 'md5')).toBe(null);
  });

  test('is remembered over restarts, with what it was before the first attempt', () => {
    const p: TouchedPackage = {
      name: 'x',
      arch: 'all',
      source: 'x',
      from: '1',
      from_source_version: '1',
      to: '2',
      files_before: ['/a'],
      sums_before: { '/a': old },
      sums_shipped: {},
    };
    openTouchedPackages(dir).add([p]);
    openTouchedPackages(dir).add([{ ...p, sums_before: {} }]);
    expect(openTouchedPackages(dir).list()).toEqual([p]);
    openTouchedPackages(dir).add([{ ...p, from: '2', to: '3' }]);
    expect(
      openTouchedPackages(dir)
        .list()
        .map((t) => t.to),
    ).toEqual(['3']);
  });
});

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

describe('a process that maps a replaced file', () => {
  const p: InstalledPackage = {
    name: 'lab-sleep',
    arch: 'amd64',
    version: '2-1',
    source: 'lab',
    source_version: '2-1',
  };
  /** Not below /tmp and the like, whose files no package owns: there nothing is looked for (collect/maps.ts). */
  const place = [homedir(), import.meta.dirname, '/var/lib'].find(
    (folder) => !/^\/(?:tmp|var\/tmp|run)\//u.test(folder) && isWritable(folder),
  );
  const program = (): string => join(place ?? '', `.fixpoint-test-${String(process.pid)}`, 'sleep');
  const owners: Pick<PackageFiles, 'stamp' | 'ownersOf' | 'upgrades'> = {
    stamp: () => '',
    ownersOf: (paths) =>
      Promise.resolve(new Map(paths.map((path) => [path, path === program() ? 'lab-sleep' : null]))),
    upgrades: () => [],
  };

  test.skipIf(place === undefined)(
    'is found by the kernel’s word, with the version that it began with',
    async () => {
      mkdirSync(join(program(), '..'), { recursive: true });
      copyFileSync('/bin/sleep', program());
      const child = spawn(program(), ['60'], { stdio: 'ignore' });
      try {
        // Until it is that program: on a busy machine a new process may not have begun to run it yet.
        while (readlinkSync(`/proc/${String(child.pid)}/exe`) !== program()) await systemClock.sleep(0.02);
        const before = createProcessResidueCollector(dir, owners);
        const mine = (residue: readonly { process: { pid: number } | null }[]) =>
          residue.filter((r) => r.process?.pid === child.pid);
        const old = { ...p, version: '1-1', source_version: '1-0', origin: 'unknown', vendor: 'x' } as const;
        expect(mine(await before.collect([old], []))).toEqual([]);
        // As dpkg does: a new file takes the name.
        copyFileSync('/bin/sleep', `${program()}.dpkg-new`);
        renameSync(`${program()}.dpkg-new`, program());
        // A later agent on the same state still knows.
        const after = createProcessResidueCollector(dir, owners);
        expect(mine(await after.collect([p], []))).toMatchObject(
          [
            {
              kind: 'process',
              name: 'lab-sleep',
              version: '1-1',
              source: 'lab-sleep',
              source_version: '1-0',
              path: program(),
              process: { pid: child.pid, command: program() },
              alteration: null,
            },
          ].map((r) => ({ ...r, source: 'lab' })),
        );
        expect(Object.keys(mine(await after.collect([p], []))[0] ?? {}).sort()).toEqual([
          'alteration',
          'arch',
          'kind',
          'name',
          'path',
          'process',
          'source',
          'source_version',
          'version',
        ]);
        // One that never saw the old file says that it does not know the version, and that the process is there.
        const stranger = createProcessResidueCollector(null, owners);
        expect(mine(await stranger.collect([p], []))).toMatchObject([
          { version: null, source_version: null },
        ]);
        // Unless a task of its own replaced it.
        const touched: TouchedPackage = {
          name: p.name,
          arch: p.arch,
          source: p.source,
          from: '1-1',
          from_source_version: '1-0',
          to: p.version,
          files_before: [],
          sums_before: {},
          sums_shipped: {},
        };
        expect(mine(await createProcessResidueCollector(null, owners).collect([p], [touched]))).toMatchObject(
          [{ version: '1-1', source_version: '1-0' }],
        );
      } finally {
        child.kill('SIGKILL');
        rmSync(join(program(), '..'), { recursive: true });
      }
    },
  );
});
