import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InstallOrder } from '@fixpoint/contract/order.ts';
import { systemClock, type Clock } from '../clock.ts';
import { policyFromText, type HostPolicyFile } from '../policy.ts';
import type { TaskContext } from './context.ts';
import { testContext } from './test-context.ts';
import { acceptTask, isInstallTask, openTask, type InstallTask } from './task.ts';

/** For tests of single steps: a real task in a folder of its own, with the real time, processes and policy. */

export interface StepTest {
  readonly dir: string;
  readonly context: TaskContext;
  readonly output: string[];
  task(): InstallTask;
  /** As a new agent finds it, after this one was killed. */
  again(): InstallTask;
  policy: HostPolicyFile;
  /** Whatever sleeps from now on never goes on, as in an agent that was killed. */
  die(): void;
}

export function createStepTest(policy: string, order: Partial<InstallOrder>): StepTest {
  const dir = mkdtempSync(join(tmpdir(), 'fixpoint-step-'));
  const state = { dead: false };
  const clock: Clock = {
    ...systemClock,
    sleep: (seconds, signal) =>
      state.dead ? Promise.reject(new Error('killed')) : systemClock.sleep(seconds, signal),
  };
  const whole: InstallOrder = {
    format: 1,
    action: 'install',
    asset_id: '11111111-1111-4111-8111-111111111111',
    task_id: '22222222-2222-4222-8222-222222222222',
    deployment_id: '33333333-3333-4333-8333-333333333333',
    generation: 1,
    sequence: 1,
    issued_at: '2026-11-22T11:59:00Z',
    expires_at: '2036-11-22T13:00:00Z',
    packages: [],
    units: 'restart',
    install_timeout_seconds: 60,
    ...order,
  };
  let task = asInstallTask(acceptTask(dir, whole, JSON.stringify(whole), clock));
  const output: string[] = [];
  const test: StepTest = {
    dir,
    output,
    policy: policyFromText(policy),
    task: () => task,
    again() {
      state.dead = false;
      task.close();
      task = asInstallTask(openTask(task.dir, clock));
      return task;
    },
    die() {
      state.dead = true;
    },
    context: {
      ...testContext(dir, systemClock.now()),
      clock,
      pause: (seconds) => clock.sleep(seconds),
      output: (_, step, text) => {
        output.push(`${step} ${text}`);
      },
      policy: () => test.policy,
    },
  };
  return test;
}

function asInstallTask(task: ReturnType<typeof openTask>): InstallTask {
  if (task === null || !isInstallTask(task)) throw new Error('the order of the test was not accepted');
  return task;
}
