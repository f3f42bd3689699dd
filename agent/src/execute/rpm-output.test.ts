import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { OrderedChanges } from './executor.ts';
import { judgeDnf, nevraOf, parseDnfTransaction, parseSizes } from './dnf-output.ts';
import { parseVerify } from './rpm-keeping.ts';
import { classifyRpmFailure } from './rpm-output.ts';
import { parseInstallOnly } from './rpm-packages.ts';
import { limitedConfiguration } from './zypper.ts';
import { judgeZypper, parseAutoInstalled, parseZypperOffered, parseZypperSummary } from './zypper-output.ts';

const recorded = (name: string): string =>
  readFileSync(new URL(`recorded/${name}.txt`, import.meta.url), 'utf8');

const upgrade = (name: string, from: string, to: string): OrderedChanges => ({
  packages: [{ name, arch: 'x86_64', from, to, source: name, source_version: to }],
  added: [],
  removed: [],
});
const libs = upgrade('acme-libs', '1.0-1.el9', '1.1-1.el9');
const sleep = upgrade('acme-sleep', '1:1.0-1.el9', '1:1.1-1.el9');
const both: OrderedChanges = { ...libs, packages: [...libs.packages, ...sleep.packages] };
const dependency = 'acme-new-dependency-with-a-long-name';

describe('a simulated transaction', () => {
  test.each([
    ['dnf', () => judgeDnf('simulate', 0, recorded('dnf-simulate'), both)],
    ['zypper', () => judgeZypper('simulate', 0, recorded('zypper-simulate'), both)],
  ])('of %s that does just what is ordered', (_, judged) => {
    expect(judged()).toEqual({ ok: true });
  });

  test('of dnf is read with what is installed, and long names', () => {
    expect(parseDnfTransaction(recorded('dnf-simulate-adds'))).toEqual({
      changed: [
        { name: 'acme-libs', arch: 'x86_64', from: '1.0-1.el9', to: '1.1-1.el9' },
        { name: 'acme-sleep', arch: 'x86_64', from: '1:1.0-1.el9', to: '1:1.2-1.el9' },
        { name: dependency, arch: 'x86_64', from: null, to: '2.0-3.el9' },
      ],
      removed: [],
      downloadBytes: null,
      diskBytes: null,
    });
    expect(parseDnfTransaction(recorded('dnf-simulate-removes')).removed).toEqual([
      { name: 'acme-libs', arch: 'x86_64', version: '1.0-1.el9' },
    ]);
    expect(parseDnfTransaction(recorded('dnf-simulate-kernel')).changed).toEqual([
      { name: 'kernel-core', arch: 'x86_64', from: '5.14.0-1.el9', to: '5.14.0-2.el9' },
    ]);
  });

  test('of zypper is read with its sizes', () => {
    expect(parseZypperSummary(recorded('zypper-simulate-adds'))).toEqual({
      changed: [
        { name: 'acme-sleep', arch: 'x86_64', from: '1:1.0-1.el9', to: '1:1.2-1.el9' },
        { name: dependency, arch: 'x86_64', from: null, to: '2.0-3.el9' },
      ],
      removed: [],
      downloadBytes: 44_581,
      diskBytes: 43_892,
    });
  });

  test('a name that does not fit its column goes on in the next line', () => {
    const text = `
Upgrading:
 a-package-with-a-name-that-is-longer-than-any-column-can-be
                        x86_64   0:2.1-4.el9   baseos   1.2 M
 bash                   x86_64   5.1.8-9.el9   baseos   1.7 M
Enabling module streams:
 nodejs                          18

Transaction Summary
`;
    expect(parseDnfTransaction(text).changed).toMatchObject([
      { name: 'a-package-with-a-name-that-is-longer-than-any-column-can-be', to: '2.1-4.el9' },
      { name: 'bash', to: '5.1.8-9.el9' },
    ]);
    expect(judgeDnf('simulate', 0, text, upgrade('bash', '5.1.8-6.el9', '5.1.8-9.el9'))).toMatchObject({
      ok: false,
      failure: 'plan_differs',
      message: expect.stringContaining('module streams') as unknown,
    });
  });

  test.each([
    ['dnf', 'dnf-simulate-adds', judgeDnf],
    ['zypper', 'zypper-simulate-adds', judgeZypper],
  ] as const)('of %s that would install more names it, and may when that is ordered', (_, name, judge) => {
    const order = {
      ...libs,
      packages: [...libs.packages, ...upgrade('acme-sleep', '1:1.0-1.el9', '1:1.2-1.el9').packages],
    };
    expect(judge('simulate', 0, recorded(name), order)).toEqual({
      ok: false,
      failure: 'plan_differs',
      message: `Beyond the order, ${dependency}.x86_64 2.0-3.el9 would be newly installed.`,
    });
    const added = [{ name: dependency, arch: 'x86_64', version: '2.0-3.el9' }];
    expect(judge('simulate', 0, recorded(name), { ...order, added })).toEqual({ ok: true });
  });

  test.each([
    ['dnf', 'dnf-simulate-obsoletes', judgeDnf],
    ['zypper', 'zypper-simulate-obsoletes', judgeZypper],
  ] as const)('of %s that would take away what it obsoletes names it', (_, name, judge) => {
    const order = upgrade('acme-obsoleter', '1.0-1', '1.1-1');
    const judged = judge('simulate', 0, recorded(name), order);
    expect(judged).toMatchObject({ ok: false, failure: 'plan_differs' });
    const removed = [{ name: 'acme-obsoleted', arch: 'x86_64', version: '1.0-1' }];
    expect(judge('simulate', 0, recorded(name), { ...order, removed })).toEqual({ ok: true });
  });

  test('of the same name in another architecture is beyond the order', () => {
    const judged = judgeDnf('simulate', 0, recorded('dnf-simulate').replaceAll('x86_64', 'i686'), both);
    expect(judged).toMatchObject({ ok: false, failure: 'plan_differs' });
  });

  test('of which dnf leaves out what it cannot have is not what is ordered', () => {
    const order = {
      ...both,
      packages: [...sleep.packages, ...upgrade('acme-libs', '1.0-1.el9', '1.7-1.el9').packages],
    };
    expect(judgeDnf('simulate', 0, recorded('dnf-simulate-partly-missing'), order)).toMatchObject({
      failure: 'version_not_available',
      message: expect.stringContaining('acme-libs-0:1.7-1.el9.x86_64') as unknown,
    });
  });

  test('with nothing left to do', () => {
    expect(judgeDnf('simulate', 0, recorded('dnf-already'), sleep)).toEqual({ ok: true });
    expect(judgeZypper('simulate', 0, recorded('zypper-simulate-nothing'), sleep)).toEqual({ ok: true });
  });

  test('of zypper without a summary is no answer', () => {
    expect(judgeZypper('simulate', 0, '<stream></stream>', sleep)).toMatchObject({
      failure: 'package_manager_broken',
    });
  });
});

describe('the end of a command', () => {
  test.each([
    ['simulate', 'dnf-simulate-conflict', 1, 'dependency_conflict'],
    ['simulate', 'dnf-simulate-nothing-provides', 1, 'dependency_conflict'],
    ['simulate', 'dnf-simulate-missing-version', 1, 'version_not_available'],
    ['simulate', 'dnf-simulate-not-installed', 1, 'plan_differs'],
    ['simulate', 'dnf-no-cache', 1, 'repository_unreachable'],
    ['download', 'dnf-download-corrupted', 1, 'hash_mismatch'],
    ['download', 'dnf-download-truncated', 1, 'hash_mismatch'],
    ['download', 'dnf-download-bad-digest', 1, 'hash_mismatch'],
    ['download', 'dnf-download-404', 1, 'version_not_available'],
    ['download', 'dnf-download-unsigned', 1, 'signature_invalid'],
    ['download', 'dnf-download-other-key', 1, 'signature_invalid'],
    ['download', 'dnf-download-disk-full', 1, 'disk_full'],
    ['download', 'dnf-test-disk-full', 1, 'disk_full'],
    ['keep', 'dnf-keep-missing', 0, 'version_not_available'],
    ['install', 'dnf-install-not-downloaded', 1, 'download_failed'],
    ['install', 'dnf-install-corrupted', 1, 'hash_mismatch'],
    ['install', 'dnf-install-post-fails', 0, 'maintainer_script_failed'],
    ['install', 'dnf-install-pre-fails', 1, 'maintainer_script_failed'],
    ['install', 'dnf-lock-held', 200, 'lock_held'],
    ['roll_back', 'rpm-lock-held', 1, 'lock_held'],
    ['refresh', 'dnf-refresh-404', 1, 'repository_unreachable'],
    ['refresh', 'dnf-refresh-unreachable', 1, 'repository_unreachable'],
    ['refresh', 'dnf-refresh-unresolved', 1, 'repository_unreachable'],
  ] as const)('of dnf: %s, %s', (step, name, exitCode, failure) => {
    expect(judgeDnf(step, exitCode, recorded(name), libs)).toMatchObject({ ok: false, failure });
  });

  test.each([
    ['simulate', 'zypper-simulate-conflict', 4, 'dependency_conflict'],
    ['simulate', 'zypper-simulate-nothing-provides', 4, 'dependency_conflict'],
    ['simulate', 'zypper-simulate-missing-version', 104, 'version_not_available'],
    ['simulate', 'zypper-simulate-locked', 4, 'plan_differs'],
    ['download', 'zypper-download-404', 8, 'version_not_available'],
    ['download', 'zypper-download-corrupted', 8, 'hash_mismatch'],
    ['download', 'zypper-download-unsigned', 8, 'signature_invalid'],
    ['download', 'zypper-download-other-key', 8, 'signature_invalid'],
    ['download', 'zypper-download-disk-full', 8, 'disk_full'],
    ['keep', 'zypper-keep-missing', 0, 'version_not_available'],
    ['install', 'zypper-install-disk-full', 8, 'disk_full'],
    ['install', 'zypper-install-post-fails', 107, 'maintainer_script_failed'],
    ['install', 'zypper-install-pre-fails', 8, 'maintainer_script_failed'],
    ['install', 'zypper-lock-held', 7, 'lock_held'],
    ['refresh', 'zypper-refresh-404', 4, 'repository_unreachable'],
    ['refresh', 'zypper-refresh-unreachable', 4, 'repository_unreachable'],
    ['refresh', 'zypper-refresh-corrupted', 4, 'hash_mismatch'],
  ] as const)('of zypper: %s, %s', (step, name, exitCode, failure) => {
    expect(judgeZypper(step, exitCode, recorded(name), libs)).toMatchObject({ ok: false, failure });
  });

  test('that went well', () => {
    expect(judgeDnf('install', 0, recorded('dnf-install'), sleep)).toEqual({ ok: true });
    expect(judgeDnf('download', 0, recorded('dnf-download'), both)).toEqual({ ok: true });
    expect(judgeZypper('install', 0, recorded('zypper-install'), both)).toEqual({ ok: true });
    expect(judgeZypper('install', 102, recorded('zypper-install'), both)).toEqual({ ok: true });
    expect(judgeZypper('roll_back', 0, recorded('rpm-roll-back'), both)).toEqual({ ok: true });
  });

  test('names the line that tells why, and something even of nothing', () => {
    expect(classifyRpmFailure(recorded('zypper-simulate-conflict')).line).toBe(
      'Problem: acme-conflict-1.1-1.x86_64 conflicts with acme-libs provided by acme-libs-1.0-1.el9.x86_64',
    );
    expect(classifyRpmFailure('')).toEqual({ failure: 'package_manager_broken', line: 'it wrote nothing' });
  });
});

test('packages are named exactly', () => {
  expect(nevraOf({ name: 'python3.11', arch: 'x86_64', version: '3.11.7-1.el9' })).toBe(
    'python3.11-0:3.11.7-1.el9.x86_64',
  );
  expect(nevraOf({ name: 'acme', arch: 'noarch', version: '2:1-1' })).toBe('acme-2:1-1.noarch');
});

test('sizes, offers and marks are read', () => {
  expect(parseSizes('bash\tx86_64\t0\t5.1.8\t9.el9\t1776640\t7740228\n')).toEqual([
    { nevra: 'bash-0:5.1.8-9.el9.x86_64', downloadBytes: 1_776_640, installedBytes: 7_740_228 },
  ]);
  expect([
    ...parseZypperOffered(
      '<solvable status="other-version" name="acme" kind="package" edition="1.0-1" arch="x86_64" repository="lab"/>\n<solvable status="installed" name="acme" kind="package" edition="0.9-1" arch="x86_64" repository="(System Packages)"/>',
    ),
  ]).toEqual(['acme:x86_64:1.0-1']);
  expect(parseAutoInstalled('# AutoInstalled generated\n#\nbash\nkernel-core\n')).toEqual([
    'bash',
    'kernel-core',
  ]);
  expect([...parseInstallOnly('kernel-core:x86_64\tinstallonlypkg(kernel)\nbash:x86_64\tbash\n')]).toEqual([
    'kernel-core:x86_64',
  ]);
  expect([
    ...parseVerify(
      'S.5....T.  c /etc/a.conf\n.......T.  c /etc/b.conf\nmissing   c /etc/c.conf\n..5......    /usr/bin/d\n',
    ),
  ]).toEqual(['/etc/a.conf', '/etc/c.conf', '/usr/bin/d']);
});

test('the limit of a download stands in the host’s own configuration', () => {
  expect(
    limitedConfiguration('## zypp\n[main]\nmultiversion = a\n  download.max_download_speed = 0\n', 4096),
  ).toBe('## zypp\n[main]\ndownload.max_download_speed = 4096\nmultiversion = a\n');
  expect(limitedConfiguration('', 4096)).toBe('[main]\ndownload.max_download_speed = 4096\n');
});
