import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { InstallOrder } from '@fixpoint/contract/order.ts';
import { systemClock } from './clock.ts';
import { supersededTasks } from './take-order.ts';
import { amidstFirst, isForgotten } from './task-work.ts';
import { openTaskList } from './task/task.ts';

const dir = mkdtempSync(join(tmpdir(), 'fixpoint-take-'));
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

function order(taskId: string, generation: number, sequence: number): InstallOrder {
  return {
    format: 1,
    action: 'install',
    asset_id: '11111111-1111-4111-8111-111111111111',
    task_id: taskId,
    deployment_id: '33333333-3333-4333-8333-333333333333',
    generation,
    sequence,
    issued_at: '2026-11-22T11:59:00Z',
    expires_at: '2036-11-22T13:00:00Z',
    packages: [],
    units: 'restart',
    install_timeout_seconds: 60,
  };
}
const one = '22222222-2222-4222-8222-222222222222';
const two = '44444444-4444-4444-8444-444444444444';

function openWith(...orders: readonly InstallOrder[]) {
  const before = openTaskList(dir, systemClock);
  for (const given of orders) before.accept(given, JSON.stringify(given)).close();
  // As a new agent finds them.
  return openTaskList(dir, systemClock);
}

test('a new agent knows which orders a later generation has replaced', () => {
  const tasks = openWith(order(one, 1, 1), order(two, 1, 2), order(one, 2, 3));
  expect(supersededTasks(tasks).map((task) => task.order.sequence)).toEqual([1]);
});

test('what was left in the middle of a change comes before what may reboot the host', () => {
  const tasks = openWith(order(one, 1, 1), order(two, 1, 2));
  const sequences = (): number[] => amidstFirst(tasks.active()).map((task) => task.order.sequence);
  const [first, second] = tasks.active();
  first?.note('install', 'begin');
  first?.note('report', 'done');
  expect(sequences()).toEqual([1, 2]);
  second?.note('install', 'begin');
  expect(sequences()).toEqual([2, 1]);
});

test('a task that waits for the next window only to restart services ends when the server gives it up', () => {
  const [task] = openWith(order(one, 1, 1)).active();
  if (task === undefined) throw new Error('it was accepted');
  const asked = (cancelled: boolean): boolean => isForgotten(task, { isCancelled: () => cancelled });
  task.note('install', 'done', { event: { state: 'installed' } });
  expect(asked(true)).toBe(false);
  task.note('window', 'done', { event: { state: 'restart_pending' } });
  expect(asked(false)).toBe(false);
  expect(asked(true)).toBe(true);
});
