// Longer than 400 lines because keeping and putting back are tried with the same pretended host.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { InstallOrder, RollbackOrder } from '@fixpoint/contract/order.ts';
import { systemClock } from '../clock.ts';
import type { Executor, Judgement } from '../execute/executor.ts';
import { keyOf, type OfferedFile, type PackageId } from '../execute/keeping.ts';
import { sha256Hex } from '../identity.ts';
import { TaskFailed, type TaskContext } from './context.ts';
import { keepAgain } from './keep-again.ts';
import { keep } from './keep.ts';
import { keptDir, keptDirOf, keptVersions, packageFile, readManifest } from './kept.ts';
import { putBack } from './rollback.ts';
import { rollbackSupport } from './rollback-support.ts';
import { isInstallTask, isRollbackTask, openTaskList, type InstallTask, type RollbackTask } from './task.ts';
import { testContext } from './test-context.ts';

/**
 * Keeping and putting back with a journal on disk and real processes; the package manager is a few lines of shell over a file
 * that says what is installed. With apt and dpkg: lab/src/rollback.lab.test.ts.
 */

let dir: string;
let stateDir: string;
let context: TaskContext;
let offered: Map<string, OfferedFile & { content: string }>;
let pristine: Set<string>;
let tried: Judgement;
let conf: string;

const head = {
  format: 1,
  asset_id: '11111111-1111-4111-8111-111111111111',
  task_id: '22222222-2222-4222-8222-222222222222',
  deployment_id: '33333333-3333-4333-8333-333333333333',
  issued_at: '2026-11-22T11:59:00Z',
  expires_at: '2036-11-22T20:00:00Z',
  units: 'leave',
  install_timeout_seconds: 60,
} as const;
const ordered = (name: string) => ({
  name,
  arch: 'all',
  from: '1',
  to: '2',
  source: name,
  source_version: '2',
});
const contentOf = (p: PackageId): string => `${p.name} ${p.arch} ${p.version}`;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fixpoint-rollback-'));
  stateDir = join(dir, 'state');
  mkdirSync(stateDir);
  mkdirSync(join(dir, 'fetched'));
  conf = join(dir, 'a.conf');
  writeFileSync(conf, 'as the owner wants it');
  installed('a:all 1', 'b:all 1');
  writeFileSync(join(dir, 'script'), 'exit 0');
  offered = new Map();
  for (const name of ['a', 'b']) offer({ name, arch: 'all', version: '1' });
  pristine = new Set();
  tried = { ok: true };
  context = {
    ...testContext(stateDir, 0),
    clock: systemClock,
    distributionPoint: () => Promise.resolve({ url: 'http://127.0.0.1:9', user: 'u', password: 'none' }),
  };
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

function installed(...lines: string[]): void {
  writeFileSync(join(dir, 'installed'), `${lines.join('\n')}\n`);
}
const present = (): string[] => readFileSync(join(dir, 'installed'), 'utf8').trim().split('\n');
/** What runs as the package manager when something is put back. */
const script = (text: string): void => {
  writeFileSync(join(dir, 'script'), text);
};
const putsBack = (): string => `echo ran >> ${dir}/runs; printf 'a:all 1\\nb:all 1\\n' > ${dir}/installed`;
const runs = (): number =>
  existsSync(join(dir, 'runs')) ? readFileSync(join(dir, 'runs'), 'utf8').trim().split('\n').length : 0;

function offer(p: PackageId, content = contentOf(p)): void {
  offered.set(keyOf(p), { sha256: [sha256Hex(contentOf(p))], bytes: content.length, content });
}

function executor(): Executor {
  const unused = (): never => {
    throw new Error('not for this step');
  };
  return {
    manager: 'apt',
    prepare: () => undefined,
    command(step, { removed }) {
      const env = {};
      if (step === 'keep') {
        const lines = removed.map(
          (p) =>
            `printf '%s' '${offered.get(keyOf(p))?.content ?? ''}' > ${dir}/fetched/${p.name}_${p.version}`,
        );
        return { argv: ['/bin/sh', '-c', [`echo fetched >> ${dir}/fetches`, ...lines].join('\n')], env };
      }
      return { argv: ['/bin/sh', step === 'roll_back' ? join(dir, 'script') : '/dev/null'], env };
    },
    judge: (_step, exitCode, output) =>
      exitCode === 0
        ? { ok: true }
        : { ok: false, failure: 'maintainer_script_failed', message: output.trim() },
    simulated: unused,
    state: () =>
      Promise.resolve({
        versions: new Map(
          present().map((line): [string, string] => {
            const [key = '', version = ''] = line.split(' ');
            return [key, version];
          }),
        ),
        unfinished: new Set(),
      }),
    downloadedBytes: unused,
    shippedFiles: unused,
    installedFiles: () => Promise.resolve([]),
    readAutomatic: () => Promise.resolve(['a']),
    markAutomatic: (names) => {
      writeFileSync(join(dir, 'marked'), names.join(' '));
      return Promise.resolve();
    },
    keeping: {
      offered: (packages) =>
        Promise.resolve(new Map([...offered].filter(([key]) => packages.some((p) => keyOf(p) === key)))),
      fileName: (p) => `${p.name}_${p.version}`,
      fetchedDir: join(dir, 'fetched'),
      cachedPaths: () => [],
      identify(path) {
        const [name = '', arch = '', version = ''] = readFileSync(path, 'utf8').split(' ');
        return Promise.resolve(version === '' ? null : { name, arch, version });
      },
      isBuildInstalled: () => Promise.resolve(false),
      configurationFiles: () => Promise.resolve([conf, `${conf}.d`]),
      pristine: () => Promise.resolve(pristine),
      leftoverSuffixes: ['.dpkg-dist'],
      held: () => Promise.resolve([]),
      hold: () => Promise.resolve(),
      tryRollBack: () => Promise.resolve(tried),
    },
    cleanUp: () => undefined,
  };
}

function installTask(required = true, names: readonly string[] = ['a', 'b']): InstallTask {
  const order: InstallOrder = {
    ...head,
    action: 'install',
    generation: 1,
    sequence: 1,
    packages: names.map(ordered),
    keep: { method: 'packages', required },
  };
  const task = openTaskList(stateDir, systemClock).accept(order, JSON.stringify(order));
  if (!isInstallTask(task)) throw new Error('it is one');
  return task;
}

function rollbackTask(): RollbackTask {
  const order: RollbackOrder = {
    ...head,
    action: 'roll_back',
    generation: 2,
    sequence: 2,
    undoes_generation: 1,
    packages: [ordered('a'), ordered('b')],
    method: 'packages',
  };
  const task = openTaskList(stateDir, systemClock).accept(order, JSON.stringify(order));
  if (!isRollbackTask(task)) throw new Error('it is one');
  return task;
}

/** As after an installation: both packages at 2, and a configuration file that came with it. */
async function afterTask(): Promise<void> {
  await keep(installTask(), executor(), context);
  installed('a:all 2', 'b:all 2');
  writeFileSync(`${conf}.d`, 'new');
  writeFileSync(`${conf}.dpkg-dist`, 'of version 2');
}

const failureOf = async (attempt: Promise<unknown>): Promise<TaskFailed> => {
  const error = await attempt.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof TaskFailed) return error;
  throw new Error(`no failure of the task: ${String(error)}`);
};

describe('before a task', () => {
  test('what is installed is kept, and told', async () => {
    const task = installTask();
    await keep(task, executor(), context);
    expect(task.events()).toMatchObject([
      { state: 'staged', detail: { kept: { method: 'packages', packages: 2, missing: [] } } },
    ]);
    expect(keptVersions(stateDir, head.task_id, 1)).toEqual(
      new Map([
        ['a:all', '1'],
        ['b:all', '1'],
      ]),
    );
    const manifest = readManifest(keptDirOf(stateDir, task.order));
    expect(manifest?.packages.map((p) => p.checked)).toEqual(['index', 'index']);
    expect(manifest?.files.map((file) => file.kind)).toEqual(['file', 'absent']);
    // Done once, whatever is asked again.
    await keep(task, executor(), context);
    expect(task.events()).toHaveLength(1);
  });

  test('what cannot be kept ends it, where it must be kept', async () => {
    offered.delete('b:all');
    expect(await rollbackSupport([ordered('a'), ordered('b')], executor(), stateDir)).toEqual({
      possible: false,
      reasons: [
        {
          package: 'b',
          message: 'b 1 is offered by no repository any more and lies nowhere on this host.',
        },
      ],
    });
    const task = installTask();
    const failure = await failureOf(keep(task, executor(), context));
    expect(failure).toMatchObject({
      failure: 'nothing_to_roll_back_to',
      detail: { kept: { missing: ['b'] } },
    });
    expect(keptVersions(stateDir, head.task_id, 1)).toBe(null);
  });

  test('what cannot be kept is told, where it need not be', async () => {
    offered.delete('b:all');
    const task = installTask(false);
    await keep(task, executor(), context);
    expect(task.events()).toMatchObject([{ detail: { kept: { packages: 1, missing: ['b'] } } }]);
    expect([...(keptVersions(stateDir, head.task_id, 1) ?? [])]).toEqual([['a:all', '1']]);
  });

  test('a file that is not as the index names it is not kept', async () => {
    offer({ name: 'b', arch: 'all', version: '1' }, 'b all 1 with something else in it');
    const failure = await failureOf(keep(installTask(), executor(), context));
    expect(failure.message).toContain('not what the index of the repository names');
  });

  test('what the owner wrote while the task waited for its window is kept as it is then', async () => {
    const task = installTask();
    await keep(task, executor(), context);
    writeFileSync(conf, 'changed in the evening');
    await keepAgain(task, executor(), context);
    const read = () => readManifest(keptDirOf(stateDir, task.order));
    const sums = () => read()?.files.map((file) => (file.kind === 'file' ? file.sha256 : file.kind));
    expect(sums()).toEqual([sha256Hex('as the owner wants it'), 'absent']);
    task.note('window', 'begin');
    await keepAgain(task, executor(), context);
    expect(sums()).toEqual([sha256Hex('changed in the evening'), 'absent']);
    expect(read()?.packages).toHaveLength(2);
    rmSync(keptDirOf(stateDir, task.order), { recursive: true });
    expect(await failureOf(keepAgain(task, executor(), context))).toMatchObject({
      failure: 'nothing_to_roll_back_to',
    });
  });

  test('what is at its version already is not kept, for the task does not change it', async () => {
    installed('a:all 1', 'b:all 2');
    offered.delete('b:all');
    await keep(installTask(), executor(), context);
    expect([...(keptVersions(stateDir, head.task_id, 1) ?? [])]).toEqual([['a:all', '1']]);
  });

  test('what an earlier task kept is taken from there', async () => {
    await keep(installTask(), executor(), context);
    rmSync(join(dir, 'fetches'));
    offered.clear();
    const order: InstallOrder = {
      ...head,
      task_id: '44444444-4444-4444-8444-444444444444',
      action: 'install',
      generation: 1,
      sequence: 5,
      packages: [ordered('a')],
      keep: { method: 'packages', required: true },
    };
    const task = openTaskList(stateDir, systemClock).accept(order, JSON.stringify(order));
    if (!isInstallTask(task)) throw new Error('it is one');
    await keep(task, executor(), context);
    expect(existsSync(join(dir, 'fetches'))).toBe(false);
    expect(readManifest(keptDirOf(stateDir, order))?.packages.map((p) => p.checked)).toEqual(['name']);
  });

  test('an agent that died goes on with what lies there', async () => {
    const task = installTask();
    task.note('keep', 'begin');
    mkdirSync(join(keptDirOf(stateDir, task.order), 'packages'), { recursive: true });
    writeFileSync(packageFile(keptDirOf(stateDir, task.order), 'a_1'), 'a all 1');
    writeFileSync(packageFile(keptDirOf(stateDir, task.order), 'b_1'), 'b all');
    await keep(task, executor(), context);
    expect(task.attempts('keep')).toBe(1);
    expect(keptVersions(stateDir, head.task_id, 1)?.size).toBe(2);
    expect(readFileSync(packageFile(keptDirOf(stateDir, task.order), 'b_1'), 'utf8')).toBe('b all 1');
  });
});

describe('a rollback', () => {
  test('puts versions, configuration and marks back', async () => {
    await afterTask();
    script(putsBack());
    const task = rollbackTask();
    await putBack(task, executor(), context);
    expect(present()).toEqual(['a:all 1', 'b:all 1']);
    expect(readFileSync(conf, 'utf8')).toBe('as the owner wants it');
    expect(existsSync(`${conf}.d`)).toBe(false);
    expect(existsSync(`${conf}.dpkg-dist`)).toBe(false);
    expect(readFileSync(join(dir, 'marked'), 'utf8')).toBe('a');
    expect(task.events().map((event) => event.state)).toEqual(['rolling_back', 'rolling_back']);
    expect(task.events().at(-1)?.detail).toMatchObject({
      exit_code: 0,
      put_back: { files: [conf, `${conf}.d`], files_failed: [] },
      versions: [
        { name: 'a', version: '1' },
        { name: 'b', version: '1' },
      ],
    });
  });

  test('saves beside what somebody wrote since, and only that', async () => {
    await afterTask();
    writeFileSync(conf, 'changed by hand after the task');
    pristine = new Set([`${conf}.d`]);
    script(putsBack());
    await putBack(rollbackTask(), executor(), context);
    expect(readFileSync(conf, 'utf8')).toBe('as the owner wants it');
    expect(readFileSync(`${conf}.fixpoint-new`, 'utf8')).toBe('changed by hand after the task');
    expect(existsSync(`${conf}.d.fixpoint-new`)).toBe(false);
  });

  test('that died anywhere goes on, and the package manager runs once', async () => {
    await afterTask();
    // Long enough to be seen running.
    script(`sleep 0.5; ${putsBack()}`);
    for (const place of ['put_back', 'put_back:running', 'put_back:done']) {
      const dying: TaskContext = {
        ...context,
        stopAt: {
          pass(here) {
            if (here === place) throw new Error(`died at ${place}`);
          },
        },
      };
      const list = openTaskList(stateDir, systemClock);
      const task = list.find(head.task_id).find(isRollbackTask) ?? rollbackTask();
      await expect(putBack(task, executor(), dying)).rejects.toThrow('died at');
      task.close();
    }
    const task = openTaskList(stateDir, systemClock).find(head.task_id).find(isRollbackTask);
    if (task === undefined) throw new Error('the task is lost');
    await putBack(task, executor(), context);
    expect(runs()).toBe(1);
    expect(task.attempts('put_back')).toBe(1);
    expect(present()).toEqual(['a:all 1', 'b:all 1']);
  });

  test('tries once more when the package manager was in the way, and then tells', async () => {
    await afterTask();
    script(`echo ran >> ${dir}/runs; [ -e ${dir}/again ] || { touch ${dir}/again; exit 1; }\n${putsBack()}`);
    const task = rollbackTask();
    await putBack(task, executor(), context);
    expect(task.attempts('put_back')).toBe(2);
    expect(task.attempts('repair')).toBe(1);
    expect(present()).toEqual(['a:all 1', 'b:all 1']);
  });

  test('that does not succeed says what is left', async () => {
    await afterTask();
    script(`printf 'a:all 1\\nb:all 2\\n' > ${dir}/installed; echo 'script of b failed'; exit 1`);
    const failure = await failureOf(putBack(rollbackTask(), executor(), context));
    expect(failure.failure).toBe('rollback_failed');
    expect(failure.message).toBe('script of b failed Now b is at 2.');
  });

  test.each([
    [
      'more would have to change',
      (): void => {
        tried = { ok: false, failure: 'plan_differs', message: 'c would be removed.' };
      },
      'c would be removed. Nothing was changed.',
    ],
    [
      'somebody has installed another version since',
      (): void => {
        installed('a:all 3', 'b:all 2');
      },
      'a is at 3, which the task did not install. Nothing was changed.',
    ],
    [
      'what was kept is damaged',
      (): void => {
        writeFileSync(packageFile(keptDir(stateDir, head.task_id, 1), 'b_1'), 'b all 1 and more');
      },
      'What was kept of b 1 is damaged. Nothing was changed.',
    ],
  ])('is refused when %s', async (_what, spoil, message) => {
    await afterTask();
    spoil();
    script(putsBack());
    const before = present();
    const failure = await failureOf(putBack(rollbackTask(), executor(), context));
    expect([failure.failure, failure.message]).toEqual(['rollback_failed', message]);
    expect(present()).toEqual(before);
    expect(runs()).toBe(0);
    expect(existsSync(`${conf}.d`)).toBe(true);
  });

  test('has nothing to do where the task changed nothing', async () => {
    await keep(installTask(), executor(), context);
    const task = rollbackTask();
    await putBack(task, executor(), context);
    expect(runs()).toBe(0);
    expect(task.isDone('put_back')).toBe(true);
  });
});
