import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageKey } from '@fixpoint/core/inventory/digest.ts';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { createApkSource, kernelsOfApk, parseApkPolicy, parseApkUpgradable, parseWorldPins } from './apk.ts';
import { familyOf } from './choose-source.ts';
import {
  newerPackages,
  parseListUpgrades,
  parseRepoquery,
  parseVersionLocks,
  parseVersionLockToml,
} from './dnf.ts';
import { versionBefore } from './maps.ts';
import { majorOfDnf } from './held-to.ts';
import { ordersProblem } from './package-source.ts';
import { parseDnfLog, parseRpmFiles } from './rpm-files.ts';
import { kernelsFrom, newestOfEach } from './rpm.ts';
import { parseZypperLocks, parseZypperUpdates } from './zypper.ts';

const recorded = (name: string): string => readFileSync(new URL(`recorded/${name}`, import.meta.url), 'utf8');
const installed = (name: string, version: string, arch = 'x86_64'): InstalledPackage => ({
  name,
  arch,
  version,
  source: name,
  source_version: version,
});
const acme = installed('acme-libs', '1:1.0-1.el9');

describe('dnf', () => {
  test('repoquery: with source, size and vendor', () => {
    expect(parseRepoquery(recorded('dnf-repoquery-upgrades.txt'))).toEqual([
      {
        name: 'acme-libs',
        arch: 'x86_64',
        version: '1:1.1-2.el9',
        source: 'acme-libs',
        source_version: '1:1.1-2.el9',
        repository: 'acme',
        download_bytes: 6365,
        vendor: 'AlmaLinux',
      },
    ]);
    expect(parseRepoquery('')).toEqual([]);
  });

  test('list --upgrades, and yum’s, which breaks long lines', () => {
    const expected = { name: 'acme-libs', version: '1:1.1-2.el9', repository: 'acme', source: 'acme-libs' };
    expect(parseListUpgrades(recorded('dnf-list-upgrades.txt'), [acme])).toMatchObject([expected]);
    expect(
      parseListUpgrades('Updated Packages\nacme-libs.x86_64\n          1:1.1-2.el9   acme\n', [acme]),
    ).toMatchObject([expected]);
    expect(parseListUpgrades('a.noarch  1  b  and more\n', [installed('a', '0', 'noarch')])).toEqual([]);
  });

  test('the newest that is newer; for the distribution’s only the distribution’s', () => {
    const offer = (version: string, vendor: string | null) => ({
      ...acme,
      version,
      source_version: version,
      repository: 'r',
      download_bytes: 1,
      vendor,
    });
    const choose = (p: InstalledPackage, ...offers: ReturnType<typeof offer>[]) =>
      newerPackages(offers, [p], 'almalinux').map((one) => one.version);
    const [old, one, two] = [offer('1:0.9-1', null), offer('1:1.1-1', 'AlmaLinux'), offer('1:1.2-1', null)];
    const foreign = offer('1:9-1', 'Fedora Project');
    expect(choose(acme, one, two, old, foreign)).toEqual(['1:1.2-1']);
    expect(choose({ ...acme, origin: 'third_party' }, one, foreign)).toEqual(['1:9-1']);
    expect(choose(acme, old, foreign)).toEqual([]);
    expect(newerPackages([one], [{ ...acme, arch: 'i686' }], 'almalinux')).toEqual([]);
    expect(newerPackages([one], [acme], 'almalinux')[0]).not.toHaveProperty('vendor');
  });

  test('version locks of dnf 4, yum and dnf 5', () => {
    expect(
      parseVersionLocks('# x\nhtop-0:3.2-1.el9.*\n!no-1:1-1.*\n0:bash-5.1-1.el7.*\nkernel*\nplain\n'),
    ).toEqual(['bash', 'htop', 'plain']);
    expect(
      parseVersionLockToml(
        'version = "1.0"\n[[packages]]\nname = "bash"\n[[packages.conditions]]\nkey = "evr"\n',
      ),
    ).toEqual(['bash']);
  });

  test('its log tells what a process began with', () => {
    const upgrades = parseDnfLog(recorded('dnf.rpm.log'));
    expect(upgrades.map((one) => [one.name, one.from, one.to])).toEqual([
      ['acme-libs', '1:1.0-1.el9', '1:1.1-2.el9'],
      ['acme-libs', '1:1.1-2.el9', '1:1.0-1.el9'],
    ]);
    const [first] = upgrades;
    expect(first?.at).toBe(Date.parse('2026-11-22T09:55:30Z'));
    expect(versionBefore(upgrades, acme, (first?.at ?? 0) - 1)).toBe('1:1.0-1.el9');
    expect(versionBefore(upgrades, acme, (first?.at ?? 0) + 1)).toBe('1:1.1-2.el9');
    expect(parseDnfLog('2019-05-01T10:00:00Z SUBDEBUG Upgraded: a-1-1.noarch\n')).toMatchObject([
      { from: '1-1', to: '' },
    ]);
  });
});

describe('zypper', () => {
  test('list-updates', () => {
    expect(parseZypperUpdates(recorded('zypper-list-updates.xml'), [acme])).toEqual([
      {
        name: 'acme-libs',
        arch: 'x86_64',
        version: '1:1.1-2.el9',
        source: 'acme-libs',
        source_version: '1:1.1-2.el9',
        repository: 'acmez',
        download_bytes: 0,
      },
    ]);
    expect(parseZypperUpdates(recorded('zypper-list-updates.xml'), [])).toEqual([]);
    expect(parseZypperUpdates('<stream></stream>', [acme])).toBe(null);
    expect(
      parseZypperUpdates('<update-list><update kind="patch" name="acme-libs"></update></update-list>', [
        acme,
      ]),
    ).toEqual([]);
  });
  test('locks', () => {
    expect(parseZypperLocks(recorded('zypper-locks.txt'))).toEqual(['nodejs']);
    expect(parseZypperLocks('type: patch\nsolvable_name: x\n\nsolvable_name: lib*\n')).toEqual([]);
  });
});

describe('rpm', () => {
  test('files: digests, what may change, no folders', () => {
    const { sums, changeable } = parseRpmFiles(recorded('rpm-files.txt'));
    expect([...sums.keys()]).toEqual([
      '/etc/acme.conf',
      '/usr/lib64/libacme.so.1',
      '/lib/modules/5.14.0-427.13.1.el9_4.x86_64/vmlinuz',
      '/lib/modules/5.14.0-362.8.1.el9_3.x86_64/vmlinuz',
    ]);
    expect([...changeable]).toEqual(['/etc/acme.conf']);
    expect(parseRpmFiles(`/boot/x\t${'a'.repeat(64)}\t64\n`).sums.size).toBe(0);
  });

  const kernel = (name: string, version: string, path: string) =>
    `${name}\tx86_64\t(none)\t${version.replace('-', '\t')}\t${path}\n`;
  test.each([
    ['kernel-core', '5.14.0-362.el9', '/lib/modules/5.14.0-362.el9.x86_64/vmlinuz', '5.14.0-362.el9.x86_64'],
    ['kernel-debug-core', '5.14.0-1', '/lib/modules/5.14.0-1.x86_64+debug/vmlinuz', '5.14.0-1.x86_64+debug'],
    [
      'kernel-default',
      '5.14.21-150500.55.39.1',
      '/boot/vmlinuz-5.14.21-150500.55.39-default',
      '5.14.21-150500.55.39-default',
    ],
    [
      'kernel-default',
      '6.4.0-150600.23.7.3',
      '/usr/lib/modules/6.4.0-150600.23.7-default/vmlinuz',
      '6.4.0-150600.23.7-default',
    ],
    [
      'kernel',
      '6.1.55-75.123.amzn2023',
      '/lib/modules/6.1.55-75.123.amzn2023.aarch64/vmlinuz',
      '6.1.55-75.123.amzn2023.aarch64',
    ],
    ['kernel-default', '5.3-1', '/boot/image-5.3-1-default', '5.3-1-default'],
    ['kernel-core', '5-1', '/lib/modules/5-1.x86_64/.vmlinuz.hmac', undefined],
    ['kernel-core', '5-1', '/lib/modules/5-1.x86_64/config', undefined],
  ])('the kernel of %s %s by %s', (name, version, path, release) => {
    const kernels = kernelsFrom(kernel(name, version, path), [installed(name, version)]);
    expect(kernels[0]?.release).toBe(release);
  });

  test('of several versions of one package the newest', () => {
    const [a, b, c] = ['5.14-1', '5.14-3', '5.14-2'].map((version) => installed('kernel-core', version));
    if (a === undefined || b === undefined || c === undefined) throw new Error('three');
    expect(newestOfEach([a, b, c, acme], (p) => p.name)).toEqual([b, acme]);
    // Kernels are told one by one.
    expect(newestOfEach([a, b, c, acme], packageKey)).toEqual([a, b, c, acme]);
    expect(newestOfEach([acme, { ...acme, version: '1:1.2-1' }], packageKey)).toHaveLength(1);
  });
});

describe('apk, to its documentation', () => {
  const main = 'https://mirror.example/alpine/v3.18/main';
  const policy = `busybox policy:
  1.36.1-r5:
    ${main}
  1.36.1-r2:
    lib/apk/db/installed
acme policy:
  1.0-r0:
    lib/apk/db/installed
    @acme https://acme.example/apk
nginx policy:
  1.24.0-r6:
    lib/apk/db/installed
    ${main}
`;
  const upgradable = `busybox-1.36.1-r5 x86_64 {busybox} (GPL-2.0-only) [upgradable from: busybox-1.36.1-r2]
ssl_client-1.36.1-r5 x86_64 {busybox} (GPL-2.0-only) [upgradable from: ssl_client-1.36.1-r2]
nginx-1.24.0-r6 x86_64 {nginx} (BSD-2-Clause) [installed]
`;
  test('policy', () => {
    const policies = parseApkPolicy(policy);
    expect(policies.get('busybox')).toEqual([
      { version: '1.36.1-r5', repositories: [main] },
      { version: '1.36.1-r2', repositories: [] },
    ]);
    expect(policies.get('acme')?.[0]?.repositories).toEqual(['https://acme.example/apk']);
  });
  test('upgradable', () => {
    const packages = [installed('busybox', '1.36.1-r2'), installed('ssl_client', '1.36.1-r2')];
    expect(parseApkUpgradable(upgradable, packages, parseApkPolicy(policy))).toMatchObject([
      { name: 'busybox', version: '1.36.1-r5', source: 'busybox', repository: main },
      { name: 'ssl_client', version: '1.36.1-r5', source: 'busybox', repository: '' },
    ]);
  });
  test('pins', () => {
    expect(
      parseWorldPins('alpine-base\nnginx=1.24.0-r6\nphp~8.1\nx@edge\nlocal><Q1abc=\n!gone\ny<2\n'),
    ).toEqual(['nginx', 'php', 'y']);
  });
  test('kernels', () => {
    const lts = installed('linux-lts', '6.1.55-r0');
    const files = new Map([
      ['linux-lts:x86_64', new Map([['/boot/vmlinuz-lts', '']])],
      ['linux-firmware:x86_64', new Map([['/lib/firmware/x', '']])],
    ]);
    expect(kernelsOfApk([lts, installed('linux-firmware', '1-r0')], files)).toMatchObject([
      { name: 'linux-lts', release: '6.1.55-0-lts' },
    ]);
  });
  test('files of a real folder, owners and digests', async () => {
    const root = mkdtempSync(join(tmpdir(), 'fixpoint-apk-'));
    try {
      mkdirSync(join(root, 'lib/apk/db'), { recursive: true });
      const sum = createHash('sha1').update('x').digest();
      writeFileSync(
        join(root, 'lib/apk/db/installed'),
        `P:a\nV:1-r0\nA:x86_64\nF:usr/lib\nR:a.so\nZ:Q1${sum.toString('base64')}\nF:etc\nR:a.conf\n\n`,
      );
      const { files } = createApkSource(root);
      const owners = await files.ownersOf(['/lib/a.so', '/usr/lib/b.so']);
      expect([...owners.values()]).toEqual(['a:x86_64', null]);
      const shipped = await files.shippedBy({ name: 'a', arch: 'x86_64' });
      expect([...shipped.sums]).toEqual([['/usr/lib/a.so', sum.toString('hex')]]);
      expect([...shipped.changeable]).toEqual(['/etc/a.conf']);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});

describe('the family of a host', () => {
  const only =
    (...there: string[]) =>
    (family: string): boolean =>
      there.includes(family);
  test.each([
    ['ID=debian', ['deb', 'rpm'], 'deb'],
    ['ID=linuxmint\nID_LIKE="ubuntu debian"', ['deb'], 'deb'],
    ['ID="rocky"\nID_LIKE="rhel centos fedora"', ['deb', 'rpm'], 'rpm'],
    ['ID="opensuse-leap"\nID_LIKE="suse opensuse"', ['rpm'], 'rpm'],
    ['ID="amzn"\nID_LIKE="centos rhel fedora"', ['rpm'], 'rpm'],
    ['ID=alpine', ['apk'], 'apk'],
    // Its own database is missing: that is to be said, and not another's read in its place.
    ['ID=almalinux', ['deb'], 'rpm'],
    ['ID=somelinux', ['apk'], 'apk'],
    ['', [], null],
  ])('%j with %j is %s', (osRelease, there, family) => {
    expect(familyOf(osRelease, only(...there))).toBe(family);
  });

  test('where orders cannot be carried out, a host that is to be managed says so', () => {
    const dnf = { manager: 'dnf', takesOrders: false } as const;
    expect(ordersProblem(dnf, 'manage')).toMatchObject([{ code: 'orders_not_supported' }]);
    expect(ordersProblem(dnf, 'assess')).toEqual([]);
    expect(ordersProblem({ manager: 'apt', takesOrders: true }, 'manage')).toEqual([]);
    expect(ordersProblem({ manager: 'dnf', takesOrders: true }, 'manage')).toEqual([]);
    const yum = { manager: 'yum', takesOrders: true } as const;
    expect(ordersProblem(yum, 'manage')).toMatchObject([{ code: 'orders_held_to_recordings' }]);
    expect(ordersProblem(yum, 'assess')).toEqual([]);
    const dnf5 = { manager: 'dnf', takesOrders: true } as const;
    expect(ordersProblem(dnf5, 'manage', 'recorded')).toMatchObject([{ code: 'orders_held_to_recordings' }]);
  });

  test.each([
    ['4.14.0\n  Installed: dnf-0:4.14.0-8.el9.noarch at Mon Jan  1 00:00:00 2024\n', 4],
    ['dnf5 version 5.2.6.2\ndnf5 plugin API version 2.0\nlibdnf5 version 5.2.6.2\n', 5],
    ['5.1.17\n', 5],
    ['', null],
    ['bash: dnf: command not found\n', null],
  ])('%j is dnf %j', (text, major) => {
    expect(majorOfDnf(text)).toBe(major);
  });
});
