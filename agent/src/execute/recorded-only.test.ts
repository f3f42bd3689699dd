import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { judgeApk, parseApkSimulation, parseUnfinished } from './apk-output.ts';
import { parseDnfTransaction } from './dnf-output.ts';
import type { OrderedChanges } from './executor.ts';
import { judgePacman, parsePacmanPrint, parsePacmanQuery } from './pacman.ts';
import { createWindowsExecutor, requestOf } from './windows.ts';
import { failureOfProgram, failureOfUpdate, judgeWindows, simulatedOfWindows } from './windows-output.ts';
import { windowsScript } from './windows-script.ts';

/** Package managers that nobody here has run; which of these are recorded, and by whom, is in recorded/README.md. */

const recorded = (name: string): string =>
  readFileSync(new URL(`recorded/${name}.txt`, import.meta.url), 'utf8');
const order = (name: string, from: string, to: string): OrderedChanges => ({
  packages: [{ name, arch: 'x86_64', from, to, source: name, source_version: to }],
  added: [],
  removed: [],
});

describe('apk', () => {
  test('a simulated upgrade is read, and held to the order', () => {
    expect(parseApkSimulation(recorded('apk-upgrade')).changed).toEqual([
      { name: 'b', arch: null, from: '1', to: '2' },
    ]);
    expect(judgeApk('simulate', 0, recorded('apk-upgrade'), order('b', '1', '2'))).toEqual({ ok: true });
    expect(judgeApk('simulate', 0, recorded('apk-upgrade'), order('b', '1', '1.5'))).toMatchObject({
      failure: 'plan_differs',
      message: 'Beyond the order, b would go to 2 instead of 1.5.',
    });
    const judged = judgeApk('simulate', 0, recorded('apk-provides-upgrade'), order('b', '1', '2'));
    expect(judged).toMatchObject({
      failure: 'plan_differs',
      message: 'Beyond the order, a would be removed.',
    });
  });

  test.each([
    ['apk-conflict', 'dependency_conflict'],
    ['apk-no-such-package', 'version_not_available'],
    ['apk-locked', 'lock_held'],
    ['apk-untrusted', 'signature_invalid'],
  ])('names why it failed: %s', (name, failure) => {
    expect(judgeApk('install', 99, recorded(name), order('b', '1', '2'))).toMatchObject({ failure });
  });

  test('a script that failed is seen, and what is broken in the database', () => {
    const text =
      '(1/1) Upgrading b (1 -> 2)\nERROR: b-2.post-upgrade: script exited with error 1\nOK: 1 MiB\n';
    expect(judgeApk('install', 0, text, order('b', '1', '2'))).toMatchObject({
      failure: 'maintainer_script_failed',
    });
    expect([...parseUnfinished('P:b\nV:2\nA:x86_64\nf:s\nF:usr\n\nP:c\nV:1\nA:x86_64\nF:usr\n')]).toEqual([
      'b:x86_64',
    ]);
  });
});

describe('pacman', () => {
  test('what it would do is read, and held to the order', () => {
    const text = 'openssl 3.3.2-1 4812345\n';
    expect(parsePacmanPrint(text)).toMatchObject({ downloadBytes: 4_812_345, changed: [{ to: '3.3.2-1' }] });
    expect(judgePacman('simulate', 0, text, order('openssl', '3.3.1-1', '3.3.2-1'))).toEqual({ ok: true });
    expect(
      judgePacman('simulate', 0, `${text}zlib 1:1.3-1 1\n`, order('openssl', '3.3.1-1', '3.3.2-1')),
    ).toMatchObject({
      failure: 'plan_differs',
    });
    expect(
      parsePacmanQuery('Name            : zlib\nVersion         : 1:1.3-1\nArchitecture    : x86_64\n'),
    ).toEqual(new Map([['zlib:x86_64', '1:1.3-1']]));
  });

  test('names why it failed, also where it ends with 0', () => {
    expect(
      judgePacman('install', 1, recorded('pacman-conflicting-files'), order('a', '1', '2')),
    ).toMatchObject({
      failure: 'dependency_conflict',
    });
    expect(
      judgePacman(
        'install',
        0,
        'upgrading a...\nerror: command failed to execute correctly\n',
        order('a', '1', '2'),
      ),
    ).toMatchObject({ failure: 'maintainer_script_failed' });
  });
});

describe('Windows', () => {
  const kb = order('KB5040430', '10.0.17763.5936', '10.0.17763.6054');
  const answer = (more: object): string =>
    `Loading\r\nFIXPOINT ${JSON.stringify({ step: 'install', updates: [], programs: [], reboot_required: false, ...more })}\n`;
  const update = (more: object) => ({ kb: '5040430', result_code: 2, hresult: 0, found: true, ...more });

  test('what is asked goes as data, and never into the script', () => {
    const executor = createWindowsExecutor('/nowhere');
    const hostile = order(`x'; Remove-Item C:\\ -Recurse; '`, '1', '$(calc)');
    const { argv, env } = executor.command('install', hostile);
    expect(argv.at(-1)).toBe(windowsScript);
    expect(argv.join(' ')).not.toContain('Remove-Item');
    expect(JSON.parse(env['FIXPOINT_REQUEST'] ?? '')).toMatchObject({ programs: [{ version: '$(calc)' }] });
    expect(JSON.parse(requestOf('install', kb))).toMatchObject({ updates: ['5040430'], programs: [] });
  });

  test('an update is judged by its own result, never by the end of the program', () => {
    expect(judgeWindows('install', 0, answer({ updates: [update({})] }), kb)).toEqual({ ok: true });
    const failed = update({ result_code: 4, hresult: 0x80070070 | 0 });
    expect(judgeWindows('install', 0, answer({ updates: [failed] }), kb)).toMatchObject({
      failure: 'disk_full',
      message: 'Installing failed: KB5040430: 0x80070070, result 4.',
    });
    expect(judgeWindows('install', 0, '', kb)).toMatchObject({ failure: 'package_manager_broken' });
    expect(judgeWindows('install', 0, answer({}), kb)).toMatchObject({ failure: 'package_manager_broken' });
    const missing = answer({ step: 'simulate', updates: [update({ found: false, result_code: 0 })] });
    expect(judgeWindows('simulate', 0, missing, kb)).toMatchObject({ failure: 'version_not_available' });
    const licence = answer({ step: 'download', updates: [update({ licence: true, result_code: 0 })] });
    expect(judgeWindows('download', 0, licence, kb)).toMatchObject({ failure: 'plan_differs' });
  });

  test('a program is judged by the codes of winget; one that wants a reboot is installed', () => {
    const program = order('Mozilla.Firefox', '127.0', '128.0');
    const told = (code: number) =>
      judgeWindows(
        'install',
        0,
        answer({ programs: [{ id: 'Mozilla.Firefox', version: '128.0', exit_code: code }] }),
        program,
      );
    expect(told(0)).toEqual({ ok: true });
    expect(told(0x8a150109 | 0)).toEqual({ ok: true });
    expect(told(-1978335215)).toMatchObject({ failure: 'hash_mismatch' });
    expect(told(-1978335212)).toMatchObject({ failure: 'version_not_available' });
  });

  test.each([
    [0x80240016, 'lock_held'],
    [0x80072ee2, 'repository_unreachable'],
    [0x80244022, 'repository_unreachable'],
    [0x80246002, 'hash_mismatch'],
    [0x80246001, 'download_failed'],
    [0x80096010, 'signature_invalid'],
    [0x80073712, 'package_manager_broken'],
    [0x80004005, 'package_manager_broken'],
  ])('code %i is %s', (code, failure) => {
    expect(failureOfUpdate(code | 0)).toBe(failure);
  });

  test('an unknown code of winget is no success', () => {
    expect(failureOfProgram(1)).toBe('package_manager_broken');
  });

  test('a simulation names updates and programs', () => {
    expect(simulatedOfWindows(answer({ step: 'simulate', updates: [update({ bytes: 10 })] }))).toMatchObject({
      changed: [{ name: 'KB5040430' }],
      downloadBytes: 10,
    });
  });
});

test('tables of yum 3 and of dnf 5 are read like those of dnf 4', () => {
  const yum = `
================================================================================
 Package         Arch        Version              Repository               Size
================================================================================
Updating:
 openssl-libs    x86_64      1:1.0.2k-26.el7_9    updates                 1.2 M
Updating for dependencies:
 openssl         x86_64      1:1.0.2k-26.el7_9    updates                 494 k

Transaction Summary
`;
  expect(parseDnfTransaction(yum).changed.map((p) => `${p.name} ${p.to}`)).toEqual([
    'openssl-libs 1:1.0.2k-26.el7_9',
    'openssl 1:1.0.2k-26.el7_9',
  ]);
  const dnf5 = `
Package         Arch   Version       Repository      Size
Upgrading:
 openssl-libs   x86_64 1:3.2.2-3.fc41 updates      7.8 MiB
   replacing openssl-libs x86_64 1:3.2.1-1.fc41 anaconda 7.8 MiB

Transaction Summary:
`;
  expect(parseDnfTransaction(dnf5)).toMatchObject({
    changed: [{ name: 'openssl-libs', from: '1:3.2.1-1.fc41', to: '1:3.2.2-3.fc41' }],
    removed: [],
  });
});
