import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { InstallOrder } from '@fixpoint/contract/order.ts';
import { weekdays } from '@fixpoint/core/window/window.ts';
import { policyFromText } from '../policy.ts';
import { mayBegin } from './begin.ts';
import type { TaskContext } from './context.ts';
import { failTask, runTask } from './run.ts';
import { createStepTest, type StepTest } from './task-double.ts';

let step: StepTest | null = null;
afterEach(() => {
  if (step !== null) rmSync(step.dir, { recursive: true, force: true });
});
function begin(policy: string, order: Partial<InstallOrder> = {}): StepTest {
  step = createStepTest(policy, order);
  return step;
}

describe('whether a task may begin', () => {
  test('the hours of the host delay it, and it says until when', async () => {
    // The day after tomorrow, wherever the clock of this machine stands.
    const day = weekdays[(new Date().getDay() + 1) % 7] ?? 'mon';
    const t = begin(`[patching]\nhours = ["${day} 01:00-02:00"]`);
    expect(await mayBegin(t.task(), t.context)).toBe('waiting');
    expect(await mayBegin(t.again(), t.context)).toBe('waiting');
    const events = t.task().events();
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ state: 'waiting_for_window' });
    expect(events[0]?.message).toContain(`(${day} 01:00-02:00, by its own clock)`);
    expect(Date.parse(events[0]?.detail?.waits_until ?? '')).toBeGreaterThan(Date.now());
    t.policy = policyFromText('');
    expect(await mayBegin(t.task(), t.context)).toBe('yes');
  });
  test('what the owner has forbidden since the order came is not begun', async () => {
    const t = begin('', {
      packages: [{ name: 'curl', arch: 'amd64', from: '1', to: '2', source: 'curl', source_version: '2' }],
    });
    expect(await mayBegin(t.task(), t.context)).toBe('yes');
    t.policy = policyFromText('[patching]\npackages.forbid = ["curl"]');
    await expect(mayBegin(t.task(), t.context)).rejects.toMatchObject({ failure: 'host_policy' });
    t.policy = policyFromText('[patch]');
    await expect(mayBegin(t.task(), t.context)).rejects.toThrow('did you mean patching?');
  });
  test('actions that the policy does not name are told all at once, before anything is changed', async () => {
    const named = (name: string) => ({ name, timeout_seconds: 5, on_failure: 'continue' as const });
    const t = begin('[actions.one]\ncommand = ["/bin/true"]', {
      actions: { before: [named('one'), named('two')], after: [named('three')] },
    });
    await expect(mayBegin(t.task(), t.context)).rejects.toThrow(
      'knows no action two, three. Nothing was installed.',
    );
  });
});

describe('what actions before have stopped is started again', () => {
  /** A change that fails before it does anything: a mitigation that needs a restart that the order forbids. */
  function failing(): StepTest {
    const t = begin('', {
      units: 'leave',
      mitigations: [
        {
          action: 'apply',
          mitigation: {
            id: 'module-dccp',
            steps: [{ kind: 'kernel_module_blacklist', module: 'dccp' }],
            restart_units: [{ unit: 'ssh.service', how: 'restart' }],
          },
        },
      ],
      actions: {
        before: [{ name: 'stop', timeout_seconds: 20, on_failure: 'fail' }],
        after: [{ name: 'start', timeout_seconds: 20, on_failure: 'fail' }],
      },
    });
    t.policy = policyFromText(
      ['stop', 'start']
        .map((name) => `[actions.${name}]\ncommand = ["/bin/sh", "-c", "echo ${name} >> ${t.dir}/ran"]\n`)
        .join(''),
    );
    return t;
  }
  const ran = (t: StepTest): string =>
    existsSync(join(t.dir, 'ran')) ? readFileSync(join(t.dir, 'ran'), 'utf8') : '';
  const withExecutor = (t: StepTest, more: Partial<TaskContext> = {}): TaskContext => ({
    ...t.context,
    // Of the executor, nothing is asked but to clean up.
    // oxlint-disable-next-line no-unsafe-type-assertion
    createExecutor: () => ({ cleanUp: () => undefined }) as ReturnType<TaskContext['createExecutor']>,
    policy: () => t.policy,
    ...more,
  });

  test('when the change fails', async () => {
    const t = failing();
    expect(await runTask(t.task(), withExecutor(t))).toBe('ended');
    expect(ran(t)).toBe('stop\nstart\n');
    expect(t.task().events().at(-1)).toMatchObject({
      state: 'failed',
      failure: 'mitigation_failed',
      detail: { actions: [{ name: 'start', when: 'after', ok: true }] },
    });
  });
  test('when the server gives the task up meanwhile', async () => {
    const t = failing();
    expect(await runTask(t.task(), withExecutor(t, { isCancelled: () => ran(t) !== '' }))).toBe('ended');
    expect(ran(t)).toBe('stop\nstart\n');
    expect(t.task().entries().at(-1)).toMatchObject({ step: 'ended', data: { dropped: true } });
  });
  test('when the agent itself meets an error', async () => {
    const t = failing();
    let cleaned = 0;
    const context = withExecutor(t, {
      isCancelled() {
        if (ran(t) !== '') throw new Error('no such file');
        return false;
      },
      createExecutor: (task) => ({
        ...withExecutor(t).createExecutor(task),
        cleanUp() {
          cleaned++;
        },
      }),
    });
    await expect(runTask(t.task(), context)).rejects.toThrow('no such file');
    await failTask(t.task(), new Error('no such file'), context);
    expect(ran(t)).toBe('stop\nstart\n');
    expect(t.task().events().at(-1)).toMatchObject({
      state: 'failed',
      failure: 'agent_error',
      detail: { actions: [{ name: 'start', when: 'after', ok: true }] },
    });
    expect(t.task().hasEnded()).toBe(true);
    expect(cleaned).toBe(1);
  });
  test('when the agent was interrupted and may not go on by now', async () => {
    const t = failing();
    const context = withExecutor(t, { stopAt: { pass: (place) => place === 'before:done' && dies() } });
    const dies = (): never => {
      throw new Error('killed');
    };
    await expect(runTask(t.task(), context)).rejects.toThrow('killed');
    expect(ran(t)).toBe('stop\n');
    const held = withExecutor(t, { askedServer: () => Promise.resolve({ held: true, clockSkewSeconds: 0 }) });
    expect(await runTask(t.again(), held)).toBe('ended');
    expect(ran(t)).toBe('stop\nstart\n');
    expect(t.task().events().at(-1)?.message).toContain('may not begin any more');
  });
  test('when the window has closed while they ran', async () => {
    const t = failing();
    const closesAt = Date.now() + 3_600_000;
    const order = { ...t.task().order, expires_at: new Date(closesAt).toISOString() };
    const later = {
      ...t.context.clock,
      now: () => (ran(t) === '' ? closesAt - 1_000 : closesAt + 1_000),
    };
    expect(await runTask({ ...t.task(), order }, withExecutor(t, { clock: later }))).toBe('ended');
    expect(ran(t)).toBe('stop\nstart\n');
    expect(t.task().events().at(-1)).toMatchObject({ state: 'failed', failure: 'action_failed' });
    expect(t.task().attempts('mitigate')).toBe(0);
  });
  test('and a task that has begun nothing only waits', async () => {
    const t = failing();
    const held = withExecutor(t, { askedServer: () => Promise.resolve({ held: true, clockSkewSeconds: 0 }) });
    expect(await runTask(t.task(), held)).toBe('waiting');
    expect(ran(t)).toBe('');
  });
});
