import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { InstallOrder } from '@fixpoint/contract/order.ts';
import { systemClock } from '../clock.ts';
import {
  keptBytesMaximum,
  keptDir,
  keptVersions,
  listKept,
  packageFile,
  pruneKept,
  readManifest,
  writeManifest,
  type KeptManifest,
  type KeptSnapshot,
} from './kept.ts';
import { openTaskList, type TaskList } from './task.ts';

let stateDir: string;
let list: TaskList;
let sequence = 0;

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'fixpoint-kept-'));
  list = openTaskList(stateDir, systemClock);
});
afterEach(() => {
  rmSync(stateDir, { recursive: true, force: true });
});

function accepted(taskId: string, generation = 1): ReturnType<TaskList['accept']> {
  const order: InstallOrder = {
    format: 1,
    action: 'install',
    asset_id: randomUUID(),
    task_id: taskId,
    deployment_id: randomUUID(),
    generation,
    sequence: ++sequence,
    issued_at: '2026-11-22T12:00:00Z',
    expires_at: '2026-11-23T12:00:00Z',
    packages: [{ name: 'a', arch: 'all', from: '1', to: '2', source: 'a', source_version: '2' }],
    units: 'leave',
    install_timeout_seconds: 60,
  };
  return list.accept(order, JSON.stringify(order));
}

function keepSomething(minute: number, changed: Partial<KeptManifest> = {}): KeptManifest {
  const manifest: KeptManifest = {
    format: 1,
    task_id: randomUUID(),
    generation: 1,
    kept_at: `2026-11-22T12:${String(minute).padStart(2, '0')}:00.000Z`,
    method: 'packages',
    packages: [
      {
        name: 'a',
        arch: 'all',
        version: '1',
        file: { name: 'a_1_all.deb', bytes: 1, sha256: '0'.repeat(64) },
        checked: 'index',
      },
    ],
    missing: [],
    files: [{ path: '/etc/a.conf', kind: 'absent' }],
    leftovers: [],
    automatic: [],
    held: [],
    added: [],
    removed: [],
    ...changed,
  };
  const dir = keptDir(stateDir, manifest.task_id, manifest.generation);
  mkdirSync(join(dir, 'packages'), { recursive: true });
  writeManifest(dir, manifest);
  return manifest;
}

const dirOf = (m: KeptManifest): string => keptDir(stateDir, m.task_id, m.generation);
const nothing = (): Promise<void> => Promise.resolve();

describe('what is kept', () => {
  test('counts with a whole manifest only', () => {
    const manifest = keepSomething(1);
    const dir = dirOf(manifest);
    expect(readManifest(dir)).toEqual(manifest);
    expect(keptVersions(stateDir, manifest.task_id, 1)).toEqual(new Map([['a:all', '1']]));
    expect(keptVersions(stateDir, manifest.task_id, 2)).toBe(null);
    expect(keptVersions(stateDir, randomUUID(), 1)).toBe(null);

    const whole = readFileSync(join(dir, 'manifest'), 'utf8');
    for (let length = 0; length < whole.length; length += 9) {
      writeFileSync(join(dir, 'manifest'), whole);
      truncateSync(join(dir, 'manifest'), length);
      expect(readManifest(dir)).toBe(null);
    }
    writeFileSync(join(dir, 'manifest'), whole.replace('"version":"1"', '"version":"9"'));
    expect(keptVersions(stateDir, manifest.task_id, 1)).toBe(null);
  });

  test('of another task, moved here by hand, is not of this one', () => {
    const manifest = keepSomething(1);
    const other = randomUUID();
    mkdirSync(keptDir(stateDir, other, 1));
    writeFileSync(
      join(keptDir(stateDir, other, 1), 'manifest'),
      readFileSync(join(dirOf(manifest), 'manifest')),
    );
    expect(keptVersions(stateDir, other, 1)).toBe(null);
  });

  test('is forgotten beyond the three newest tasks', async () => {
    const kept = [4, 1, 3, 2, 5].map((minute) => keepSomething(minute));
    await pruneKept(stateDir, nothing);
    expect(kept.map((m) => existsSync(dirOf(m)))).toEqual([true, false, true, false, true]);
  });

  test('is never forgotten while the task has not ended, nor while its rollback has not', async () => {
    const oldest = keepSomething(0);
    const install = accepted(oldest.task_id);
    for (const minute of [1, 2, 3]) keepSomething(minute);
    await pruneKept(stateDir, nothing);
    expect(existsSync(dirOf(oldest))).toBe(true);
    install.note('ended', 'done');
    const again = accepted(oldest.task_id, 2);
    await pruneKept(stateDir, nothing);
    expect(existsSync(dirOf(oldest))).toBe(true);
    again.note('ended', 'done');
    await pruneKept(stateDir, nothing);
    expect(existsSync(dirOf(oldest))).toBe(false);
  });

  test('is forgotten beyond a size, the oldest first, and so is what was never whole', async () => {
    const [older, newer] = [keepSomething(1), keepSomething(2)];
    const torn = keptDir(stateDir, randomUUID(), 1);
    mkdirSync(torn);
    writeFileSync(packageFile(dirOf(older), 'a_1_all.deb'), '');
    truncateSync(packageFile(dirOf(older), 'a_1_all.deb'), keptBytesMaximum);
    await pruneKept(stateDir, nothing);
    expect([older, newer].map((m) => existsSync(dirOf(m)))).toEqual([false, true]);
    expect(existsSync(torn)).toBe(false);
    expect(listKept(stateDir)).toHaveLength(1);
  });

  test('has its snapshot taken away first, and stays when that fails', async () => {
    const snapshot: KeptSnapshot = { kind: 'btrfs', path: '/s', subvolume: '@rootfs' };
    const oldest = keepSomething(0, { method: 'snapshot', snapshot });
    for (const minute of [1, 2, 3]) keepSomething(minute);
    await expect(pruneKept(stateDir, () => Promise.reject(new Error('in use')))).rejects.toThrow('in use');
    expect(existsSync(dirOf(oldest))).toBe(true);
    const forgotten: KeptSnapshot[] = [];
    await pruneKept(stateDir, (one) => {
      forgotten.push(one);
      return Promise.resolve();
    });
    expect(forgotten).toEqual([snapshot]);
    expect(existsSync(dirOf(oldest))).toBe(false);
  });
});
