import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { hasBegunActions, runActions, undoActions } from './actions.ts';
import { TaskFailed } from './context.ts';
import { createStepTest, type StepTest } from './task-double.ts';

/** Real commands, real journals, run as the agent runs them. */

const steps: StepTest[] = [];
afterEach(() => {
  for (const step of steps.splice(0)) rmSync(step.dir, { recursive: true, force: true });
});

/** Actions by name: what `/bin/sh` runs for each. `$D` is the folder of the test. */
function begin(
  scripts: Readonly<Record<string, string>>,
  when: 'before' | 'after',
  more: {
    readonly settings?: Readonly<Record<string, string>>;
    readonly after?: readonly string[];
    readonly on_failure?: 'fail' | 'continue';
    readonly timeout_seconds?: number;
  } = {},
): StepTest {
  const names = Object.keys(scripts);
  const action = (name: string) => ({
    name,
    timeout_seconds: more.timeout_seconds ?? 20,
    on_failure: more.on_failure ?? 'fail',
  });
  const made = createStepTest('', {
    actions: {
      [when]: names.filter((name) => more.after?.includes(name) !== true).map(action),
      ...(more.after === undefined ? {} : { after: more.after.map(action) }),
    },
  });
  steps.push(made);
  made.policy = {
    policy: null,
    probes: new Map(),
    actions: new Map(
      names.map((name) => {
        const script = scripts[name] ?? '';
        return [
          name,
          {
            argv: ['/bin/sh', '-c', script],
            user: more.settings?.['user'] ?? null,
            timeoutSeconds: 30,
            environment: {
              D: made.dir,
              ...(more.settings?.['secret'] === undefined ? {} : { API_TOKEN: more.settings['secret'] }),
            },
          },
        ] as const;
      }),
    ),
  };
  return made;
}

const lines = (t: StepTest, name: string): string[] => {
  const path = join(t.dir, name);
  return existsSync(path)
    ? readFileSync(path, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
    : [];
};
async function failureOf(work: Promise<unknown>): Promise<TaskFailed> {
  try {
    await work;
  } catch (error) {
    if (error instanceof TaskFailed) return error;
    throw error;
  }
  throw new Error('it did not fail');
}
const results = (t: StepTest) => t.task().events().at(-1)?.detail?.actions;

describe('actions', () => {
  test('run in order, once, and tell how they ended', async () => {
    const t = begin({ one: 'echo one >> $D/ran', two: 'echo two >> $D/ran; echo said something' }, 'before');
    await runActions('before', t.task(), t.context);
    await runActions('before', t.task(), t.context);
    await runActions('before', t.again(), t.context);
    expect(lines(t, 'ran')).toEqual(['one', 'two']);
    expect(t.task().events()).toHaveLength(1);
    expect(results(t)).toMatchObject([
      { name: 'one', when: 'before', ok: true, message: '' },
      { name: 'two', when: 'before', ok: true, message: 'said something' },
    ]);
    expect(t.output.join('')).toContain('before two:\nsaid something');
  });

  test('get a clean environment, no shell of ours, and the root folder', async () => {
    process.env['FIXPOINT_TEST_LEAK'] = 'leak';
    const t = begin({ look: 'env | sort > $D/env; pwd > $D/pwd; cat > $D/stdin' }, 'after');
    await runActions('after', t.task(), t.context);
    delete process.env['FIXPOINT_TEST_LEAK'];
    const names = lines(t, 'env').map((line) => line.split('=')[0]);
    expect(names.filter((name) => !['PWD', 'OLDPWD', '_', 'SHLVL'].includes(name ?? ''))).toEqual([
      'D',
      'FIXPOINT_ACTION',
      'FIXPOINT_DEPLOYMENT_ID',
      'FIXPOINT_PHASE',
      'FIXPOINT_TASK_ID',
      'HOME',
      'LANG',
      'LANGUAGE',
      'LC_ALL',
      'PATH',
      'USER',
    ]);
    expect(lines(t, 'env')).toContain('FIXPOINT_PHASE=after');
    expect(lines(t, 'pwd')).toEqual(['/']);
    expect(lines(t, 'stdin')).toEqual([]);
  });

  test('one that fails stops what follows before, and fails the task each time it is asked', async () => {
    const t = begin({ bad: 'echo no >&2; exit 3', next: 'echo next >> $D/ran' }, 'before');
    const failure = await failureOf(runActions('before', t.task(), t.context));
    expect(failure.failure).toBe('action_failed');
    expect(failure.message).toContain(
      'bad before the installation failed: It exited with 3. Its last line: no',
    );
    expect(failure.detail.actions).toMatchObject([{ name: 'bad', ok: false }]);
    expect((await failureOf(runActions('before', t.again(), t.context))).message).toBe(failure.message);
    expect(lines(t, 'ran')).toEqual([]);
  });
  test('one that may fail stops nothing', async () => {
    const t = begin({ bad: 'exit 3', next: 'echo next >> $D/ran' }, 'before', { on_failure: 'continue' });
    await runActions('before', t.task(), t.context);
    expect(lines(t, 'ran')).toEqual(['next']);
    expect(results(t)).toMatchObject([{ ok: false }, { ok: true }]);
  });
  test('of those after, one that fails leaves no other out', async () => {
    const t = begin({ bad: 'exit 3', next: 'echo next >> $D/ran' }, 'after');
    expect((await failureOf(runActions('after', t.task(), t.context))).detail.actions).toHaveLength(2);
    expect(lines(t, 'ran')).toEqual(['next']);
  });
  test('what takes too long is ended with all that it started', async () => {
    const t = begin({ slow: 'sleep 60 & echo $! > $D/child; wait' }, 'before', { timeout_seconds: 1 });
    const failure = await failureOf(runActions('before', t.task(), t.context));
    expect(failure.message).toContain('longer than 1 s');
    const stat = `/proc/${String(lines(t, 'child')[0])}/stat`;
    // Ended; where nobody takes its end note of it, it stays as a zombie.
    expect(existsSync(stat) ? readFileSync(stat, 'utf8').split(') ')[1]?.[0] : 'Z').toBe('Z');
  });
  test('one that the policy does not know, or whose user is not there, is not run', async () => {
    const t = begin({ one: 'echo one >> $D/ran' }, 'before', { settings: { user: 'no-such-user' } });
    expect((await failureOf(runActions('before', t.task(), t.context))).message).toContain(
      'no user no-such-user',
    );
    const other = begin({ one: 'echo one >> $D/ran' }, 'before');
    other.policy = { policy: null, actions: new Map(), probes: new Map() };
    expect((await failureOf(runActions('before', other.task(), other.context))).message).toContain(
      'does not know',
    );
  });
  test.runIf(process.getuid?.() === 0)('run as the user that the policy names', async () => {
    const t = begin({ who: 'id -un; id -gn; echo $HOME' }, 'before', { settings: { user: 'nobody' } });
    await runActions('before', t.task(), t.context);
    expect(t.output.join('')).toMatch(/nobody\nnogroup\n\/nonexistent/u);
  });
  test('what they write leaves the host bounded and without secrets', async () => {
    const secret = 'hunter2-hunter2';
    const t = begin(
      { leak: 'echo "token=abc"; echo http://u:p@h/; yes x | head -c 100000; echo; echo got $API_TOKEN' },
      'before',
      { settings: { secret } },
    );
    await runActions('before', t.task(), t.context);
    const told = `${t.output.join('')}${JSON.stringify(t.task().entries())}`;
    expect(told).not.toContain(secret);
    expect(told).not.toContain('u:p@');
    expect(told.length).toBeLessThan(60_000);
    expect(results(t)?.[0]?.message).toBe('got [redacted]');
  });
});

describe('after a crash', () => {
  test('one that was under way is found again, and not begun again', async () => {
    const t = begin({ slow: 'echo begun >> $D/ran; sleep 2; echo ended >> $D/ran' }, 'before');
    const work = runActions('before', t.task(), t.context);
    while (lines(t, 'ran').length === 0) await sleep(20);
    t.die();
    await expect(work).rejects.toThrow('killed');
    await runActions('before', t.again(), t.context);
    expect(lines(t, 'ran')).toEqual(['begun', 'ended']);
    expect(results(t)).toMatchObject([{ ok: true }]);
  });
  test('one that was ended with the agent is lost, has failed, and is not begun again', async () => {
    const t = begin({ slow: 'echo $$ >> $D/ran; sleep 60' }, 'before');
    const work = runActions('before', t.task(), t.context);
    while (lines(t, 'ran').length === 0) await sleep(20);
    t.die();
    await expect(work).rejects.toThrow('killed');
    const pid = Number(lines(t, 'ran')[0]);
    const leader = Number(readFileSync(join(t.task().dir, 'actions', 'before-0.run'), 'utf8').split(' ')[0]);
    process.kill(leader, 'SIGKILL');
    process.kill(-leader, 'SIGKILL');
    const failure = await failureOf(runActions('before', t.again(), t.context));
    expect(failure.message).toContain('not run again');
    expect(lines(t, 'ran')).toEqual([String(pid)]);
  });
  test('one that was begun before the host went down is lost, even without a trace of it', async () => {
    const t = begin({ one: 'echo one >> $D/ran' }, 'before');
    t.task().note('before', 'begin', { data: { action: 0, name: 'one', boot_id: 'another' } });
    expect((await failureOf(runActions('before', t.again(), t.context))).message).toContain('interrupted');
    expect(lines(t, 'ran')).toEqual([]);
  });
  test('one that was only noted is run', async () => {
    const t = begin({ one: 'echo one >> $D/ran' }, 'before');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    t.task().note('before', 'begin', { data: { action: 0, name: 'one', boot_id: boot } });
    await runActions('before', t.again(), t.context);
    expect(lines(t, 'ran')).toEqual(['one']);
  });
});

test('what actions before have begun is undone by those after, and only then', async () => {
  const t = begin({ stop: 'echo stop >> $D/ran; exit 1', start: 'echo start >> $D/ran' }, 'before', {
    after: ['start'],
  });
  expect(hasBegunActions(t.task())).toBe(false);
  expect((await undoActions(t.task(), t.context)).results).toEqual([]);
  await failureOf(runActions('before', t.task(), t.context));
  expect((await undoActions(t.task(), t.context)).results).toMatchObject([{ name: 'start', ok: true }]);
  expect((await undoActions(t.again(), t.context)).results).toHaveLength(1);
  expect(lines(t, 'ran')).toEqual(['stop', 'start']);
});
