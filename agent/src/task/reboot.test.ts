import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { InstallOrder, RebootOrder } from '@fixpoint/contract/order.ts';
import { toIso } from '../clock.ts';
import { reboot } from './reboot.ts';
import { openTaskList, type Task, type TaskList } from './task.ts';
import { testContext, type TestContext } from './test-context.ts';

/** The whole way of a reboot, with a journal on disk and a host that only pretends. */

const start = Date.parse('2026-11-22T12:00:00Z');
const head = {
  format: 1,
  asset_id: '11111111-1111-4111-8111-111111111111',
  task_id: '22222222-2222-4222-8222-222222222222',
  deployment_id: '33333333-3333-4333-8333-333333333333',
  generation: 1,
  issued_at: '2026-11-22T11:59:00Z',
  expires_at: '2026-11-22T20:00:00Z',
} as const;
const installOrder: InstallOrder = {
  ...head,
  action: 'install',
  sequence: 1,
  packages: [{ name: 'a', arch: 'all', from: '1', to: '2', source: 'a', source_version: '2' }],
  units: 'restart',
  install_timeout_seconds: 60,
};
const rebootOrder = (changed: Partial<RebootOrder> = {}): RebootOrder => ({
  ...head,
  action: 'reboot',
  sequence: 2,
  mode: 'force',
  countdown_seconds: 30,
  message: 'Security update',
  deferrals_maximum: 1,
  deferral_minutes: 60,
  when_nobody: 'reboot',
  ...changed,
});

let dir: string;
let list: TaskList;
let task: Task;
let context: TestContext;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fixpoint-reboot-'));
  context = testContext(dir, start);
  list = openTaskList(dir, context.clock);
  task = list.accept(installOrder, JSON.stringify(installOrder));
  task.note('restart', 'done', { event: { state: 'reboot_pending' } });
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const permit = (changed: Partial<RebootOrder> = {}): void => {
  const order = rebootOrder(changed);
  list.permitReboot(task, order, JSON.stringify(order));
};
/** As if the agent had been killed and started anew. */
const startAnew = (): void => {
  task.close();
  list = openTaskList(dir, context.clock);
  const [again] = list.active();
  if (again === undefined) throw new Error('the task is lost');
  task = again;
};
const later = (seconds: number): void => {
  context.world.now += seconds * 1000;
};

describe('a reboot', () => {
  test('does not happen without permission', async () => {
    expect(await reboot(task, context)).toBe('waiting');
    expect(context.world.reboots).toBe(0);
  });

  test('is announced, waits for the countdown, happens once, and is known by another boot id', async () => {
    permit();
    expect(await reboot(task, context)).toBe('waiting');
    expect(context.world.said.join()).toContain('Security update');
    later(29);
    expect(await reboot(task, context)).toBe('waiting');
    expect(context.world.reboots).toBe(0);
    later(2);
    expect(await reboot(task, context)).toBe('waiting');
    expect(context.world.reboots).toBe(1);
    expect(task.state()).toBe('rebooting');
    startAnew();
    context.world.bootId = 'boot-2';
    later(20);
    expect(await reboot(task, context)).toBe('rebooted');
    expect(task.events().at(-1)?.detail?.reboot).toEqual({
      boot_id_before: 'boot-1',
      boot_id_after: 'boot-2',
      deferrals: 0,
      seconds: 20,
    });
    // An agent that died before the next step asks again, and nothing is done twice.
    startAnew();
    expect(await reboot(task, context)).toBe('rebooted');
    expect(context.world.reboots).toBe(1);
  });

  test('that an agent did not live to ask for is asked for by the next one, in the same boot only', async () => {
    permit({ countdown_seconds: 0 });
    await reboot(task, context);
    context.world.diesFirst = true;
    await expect(reboot(task, context)).rejects.toThrow('killed');
    startAnew();
    context.world.diesFirst = false;
    expect(await reboot(task, context)).toBe('waiting');
    expect(context.world.reboots).toBe(1);
  });

  test('that never comes is a failure, not a wait without end', async () => {
    permit({ countdown_seconds: 0 });
    await reboot(task, context);
    await reboot(task, context);
    later(301);
    await expect(reboot(task, context)).rejects.toMatchObject({ failure: 'reboot_failed' });
  });

  test('that something on the host blocks is given back with its name, and fails when that does not end', async () => {
    context.world.rebootFails = 'Operation inhibited by "backup" (PID 7 "borg"), reason is "copying".';
    for (const sequence of [2, 3]) {
      permit({ countdown_seconds: 0, sequence });
      await reboot(task, context);
      expect(await reboot(task, context)).toBe('waiting');
      expect(task.events().at(-1)).toMatchObject({
        state: 'reboot_pending',
        message: expect.stringContaining('borg') as unknown,
        detail: { waits_until: toIso(start + 300_000), reboot: { given_back: true } },
      });
    }
    permit({ countdown_seconds: 0, sequence: 4 });
    await reboot(task, context);
    await expect(reboot(task, context)).rejects.toMatchObject({
      failure: 'reboot_refused',
      message: expect.stringContaining('borg') as unknown,
    });
  });

  test('is not begun when the window leaves no time for it, is closed, or the server cannot be asked or holds it', async () => {
    const windows = [{ opens_at: toIso(start - 60_000), closes_at: toIso(start + 100_000) }];
    permit({ windows, countdown_seconds: 60 });
    expect(await reboot(task, context)).toBe('waiting');
    expect(task.events().at(-1)?.message).toContain('no time');
    permit({ windows, countdown_seconds: 10, sequence: 3 });
    await reboot(task, context);
    later(11);
    context.world.answer = null;
    await reboot(task, context);
    context.world.answer = { held: true, clockSkewSeconds: 0 };
    await reboot(task, context);
    expect(task.events().at(-1)?.message).toContain('holds the reboot back');
    context.world.answer = { held: false, clockSkewSeconds: 0 };
    permit({ windows, countdown_seconds: 0, sequence: 4 });
    await reboot(task, context);
    later(200);
    await reboot(task, context);
    expect(task.events().at(-1)?.message).toContain('window closed');
    expect(context.world.reboots).toBe(0);
  });

  test('is not begun against the policy of the host', async () => {
    permit({ countdown_seconds: 0 });
    context.world.forbidden = {
      message: 'The policy of the host forbids reboots now.',
      opensAt: start + 1_000,
    };
    await reboot(task, context);
    await reboot(task, context);
    expect(task.events().at(-1)).toMatchObject({
      state: 'reboot_pending',
      message: 'The policy of the host forbids reboots now.',
      detail: { waits_until: toIso(start + 1_000), reboot: { given_back: true } },
    });
    expect(context.world.reboots).toBe(0);
  });
  test('is not even announced when the policy forbids it for the time that would be told', async () => {
    permit({ countdown_seconds: 600 });
    context.world.forbidden = { message: 'Not in these hours.', opensAt: null };
    await reboot(task, context);
    expect(context.world.said).toEqual([]);
    expect(task.events().at(-1)).toMatchObject({ message: 'Not in these hours.' });
  });
  test('is not asked for again when the policy forbids it since it was', async () => {
    permit({ countdown_seconds: 0 });
    await reboot(task, context);
    await reboot(task, context);
    expect(context.world.reboots).toBe(1);
    context.world.forbidden = { message: 'Not in these hours.', opensAt: null };
    await reboot(task, context);
    expect(context.world.reboots).toBe(1);
  });
});

describe('who is logged in', () => {
  test('may put it off as often as the job allows, and no oftener', async () => {
    context.world.loggedIn = ['anna'];
    permit({ mode: 'prompt' });
    await reboot(task, context);
    expect(context.world.said.join()).toContain('fixpoint-agent reboot later');
    context.world.reply = { answer: 'later', user: 'anna' };
    await reboot(task, context);
    expect(task.events().at(-1)).toMatchObject({
      state: 'reboot_pending',
      message: expect.stringContaining('anna put the reboot off') as unknown,
      detail: { waits_until: toIso(start + 3_600_000), reboot: { deferrals: 1, given_back: true } },
    });
    startAnew();
    later(3_600);
    permit({ mode: 'prompt', sequence: 3 });
    await reboot(task, context);
    context.world.reply = { answer: 'later', user: 'anna' };
    await reboot(task, context);
    expect(context.world.reboots).toBe(0);
    later(31);
    await reboot(task, context);
    expect(context.world.reboots).toBe(1);
  });

  test('may have it at once', async () => {
    context.world.loggedIn = ['anna'];
    permit({ mode: 'prompt', countdown_seconds: 3_600 });
    await reboot(task, context);
    context.world.reply = { answer: 'now', user: 'anna' };
    await reboot(task, context);
    expect(context.world.reboots).toBe(1);
  });

  test('and where nobody is, the rule of the job counts', async () => {
    permit({ mode: 'prompt', when_nobody: 'wait' });
    await reboot(task, context);
    expect(task.events().at(-1)?.message).toContain('Nobody is logged in');
    permit({ mode: 'prompt', when_nobody: 'reboot', sequence: 3 });
    await reboot(task, context);
    later(31);
    await reboot(task, context);
    expect(context.world.reboots).toBe(1);
  });
});
