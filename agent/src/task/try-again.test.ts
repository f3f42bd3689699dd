import { rmSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { createAptExecutor } from '../execute/apt.ts';
import type { Executor } from '../execute/executor.ts';
import { createStepTest, type StepTest } from './task-double.ts';
import { tryAgain } from './try-again.ts';

let t: StepTest;
afterEach(() => {
  rmSync(t.dir, { recursive: true, force: true });
});

/** apt, whose simulation says what the test wants. */
function executorThatSays(output: string): Executor {
  return {
    ...createAptExecutor(t.dir, t.dir, t.dir),
    prepare: () => undefined,
    state: () => Promise.resolve({ versions: new Map([['curl:amd64', '1']]), unfinished: new Set() }),
    command: () => ({ argv: ['/bin/echo', output], env: {} }),
  };
}
const upgrade = 'Inst curl [1] (2 Debian [amd64])';

test('what would be removed only by now is found before anything is begun, in a task that has waited', async () => {
  t = createStepTest('', {
    packages: [{ name: 'curl', arch: 'amd64', from: '1', to: '2', source: 'curl', source_version: '2' }],
  });
  const task = t.task();
  const removing = executorThatSays(`${upgrade}\nRemv mail-server [3]`);
  task.note('simulate', 'done');
  await tryAgain(task, removing, t.context);
  task.note('window', 'begin');
  await expect(tryAgain(task, removing, t.context)).rejects.toMatchObject({
    failure: 'plan_differs',
    message: expect.stringContaining('mail-server would be removed') as unknown,
  });
  await tryAgain(task, executorThatSays(upgrade), t.context);
});

test('a lock that somebody holds is waited for', async () => {
  t = createStepTest('', {
    packages: [{ name: 'curl', arch: 'amd64', from: '1', to: '2', source: 'curl', source_version: '2' }],
  });
  const task = t.task();
  task.note('simulate', 'done');
  task.note('window', 'begin');
  let asked = 0;
  const executor: Executor = {
    ...executorThatSays(upgrade),
    judge: () =>
      asked++ < 2 ? { ok: false, failure: 'lock_held', message: 'Somebody holds it.' } : { ok: true },
  };
  await tryAgain(task, executor, { ...t.context, pause: () => Promise.resolve() });
  expect(asked).toBe(3);
  asked = -100;
  await expect(
    tryAgain(task, executor, { ...t.context, pause: () => Promise.resolve() }),
  ).rejects.toMatchObject({ failure: 'lock_held' });
});

test('apt removes nothing that the order does not name, and marks packages by their architecture', () => {
  t = createStepTest('', {});
  const executor = createAptExecutor(t.dir, t.dir, t.dir);
  const gone = { name: 'old', arch: 'amd64', version: '1' };
  const argv = (removed: (typeof gone)[]) =>
    executor.command('install', { packages: [], added: [], removed }).argv;
  expect(argv([])).toContain('--no-remove');
  expect(argv([gone])).not.toContain('--no-remove');
  expect(argv([gone])).toContain('old:amd64-');
  expect(executor.markName?.({ name: 'libc6', arch: 'i386' })).toBe('libc6:i386');
  expect(executor.markName?.({ name: 'tzdata', arch: 'all' })).toBe('tzdata');
});
