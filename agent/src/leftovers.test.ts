import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { InstallOrder } from '@fixpoint/contract/order.ts';
import { systemClock } from './clock.ts';
import { createAptExecutor } from './execute/apt.ts';
import { takeLeftoversAway } from './leftovers.ts';
import { createLog } from './log.ts';
import { openTaskList } from './task/task.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fixpoint-left-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

test('downloads and credentials of what has ended go at the start, those of a task that goes on stay', () => {
  const cache = join(dir, 'cache');
  const file = (...names: string[]): string => {
    const path = join(dir, ...names);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, 'x');
    return path;
  };
  const tasks = openTaskList(dir, systemClock);
  const paths = (['2', '4'] as const).map((digit, index) => {
    const order: InstallOrder = {
      format: 1,
      action: 'install',
      asset_id: '11111111-1111-4111-8111-111111111111',
      task_id: '00000000-0000-4000-8000-000000000000'.replaceAll('0', digit),
      deployment_id: '33333333-3333-4333-8333-333333333333',
      generation: 1,
      sequence: index + 1,
      issued_at: '2026-11-22T11:59:00Z',
      expires_at: '2036-11-22T13:00:00Z',
      packages: [],
      units: 'restart',
      install_timeout_seconds: 60,
    };
    const task = tasks.accept(order, JSON.stringify(order));
    if (index === 0) task.note('ended', 'done');
    const name = `${order.task_id}.1`;
    return [file('tasks', name, 'apt.conf'), file('cache', name, 'curl_2_amd64.deb')];
  });
  const simulation = [file('simulations', 's1', 'apt.conf'), file('cache', 'simulation-s1', 'partial', 'p')];
  const other = file('cache', 'of-another-agent', 'p');
  takeLeftoversAway({
    log: createLog(systemClock, () => undefined),
    tasks,
    taskParts: {
      stateDir: dir,
      createExecutor: (task) =>
        createAptExecutor(
          task.dir,
          join(cache, `${task.order.task_id}.${String(task.order.generation)}`),
          dir,
        ),
    },
    executorAt: (at, name) => createAptExecutor(at, join(cache, name), dir),
  });
  const [ended, active] = paths;
  expect([...(ended ?? []), ...simulation].filter((path) => existsSync(path))).toEqual([]);
  expect([...(active ?? []), other].every((path) => existsSync(path))).toBe(true);
  for (const task of tasks.all()) task.close();
});
