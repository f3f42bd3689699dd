import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import {
  parseAptPolicy,
  parseAptRecords,
  parseIndexTargets,
  repositoryOf,
  upgradable,
  type AptPolicy,
} from './apt.ts';
import { parseDeclaredOrigins } from './apt-origin.ts';
import { createDebSource } from './deb.ts';
import { parseDiversions, parseMd5sums } from './dpkg-files.ts';
import { readDpkgStatus } from './dpkg.ts';
import { machineFrom, parseBootTime, parseRebootPackages, startSeconds } from './host.ts';
import { kernelsOf } from './kernel.ts';
import { parseCgroupUnit, parseDpkgLog, parseExecutableMaps, versionBefore, withoutUsr } from './maps.ts';
import { parseUnits } from './units.ts';

const recorded = (name: string): string => readFileSync(new URL(`recorded/${name}`, import.meta.url), 'utf8');
/** Indexes as apt describes them, on the mirror of the recordings. */
const [security = '', main = ''] = recorded('apt-indextargets.txt')
  .split('\n')
  .flatMap((line) => /^Description: (http.* Packages)$/u.exec(line)?.[1] ?? []);
const mirror = new URL(main.split(' ')[0] ?? '').hostname;
const installed = (name: string, version: string, arch = 'amd64'): InstalledPackage => ({
  name,
  arch,
  version,
  source: name,
  source_version: version,
});

describe('apt', () => {
  test('policy: candidates with the repository that they come from', () => {
    const policies = new Map(parseAptPolicy(recorded('apt-policy.txt')).map((p) => [p.name, p]));
    expect(policies.get('openssl')).toEqual({
      name: 'openssl',
      arch: null,
      installed: '3.0.19-1~deb12u2',
      candidate: '3.0.22-1~deb12u2',
      versions: [
        { version: '3.0.22-1~deb12u2', isInstalled: false, priority: 500, indexes: [security] },
        { version: '3.0.20-1~deb12u2', isInstalled: false, priority: 500, indexes: [main] },
        { version: '3.0.19-1~deb12u2', isInstalled: true, priority: 100, indexes: [] },
        {
          version: '3.0.17-1~deb12u2',
          isInstalled: false,
          priority: 500,
          indexes: [main.replace('bookworm/', 'bookworm-updates/')],
        },
      ],
    });
    expect([security, main, 'file:/srv/x ./ Packages'].map(repositoryOf)).toEqual([
      'bookworm-security/main',
      'bookworm/main',
      './',
    ]);
    // Only this host's own status knows that version.
    expect(policies.get('nodejs')?.versions.find((one) => one.isInstalled)?.indexes).toEqual([]);
    expect(policies.has('doesnotexist')).toBe(false);
  });

  test('only what is newer is a candidate', () => {
    const policies = parseAptPolicy(recorded('apt-policy.txt'));
    const newer = upgradable(
      policies,
      [
        installed('openssl', '3.0.19-1~deb12u2'),
        installed('adduser', '3.134', 'all'),
        installed('curl', '99'),
      ],
      'amd64',
    );
    expect(newer.map((n) => [n.installed.name, n.version])).toEqual([['openssl', '3.0.22-1~deb12u2']]);
  });

  test('in place of what the distribution built, only what it built', () => {
    const version = (text: string, index: string, priority = 500) => ({
      version: text,
      isInstalled: false,
      priority,
      indexes: [index],
    });
    const policy: AptPolicy = {
      name: 'nodejs',
      arch: null,
      installed: '18.1-1',
      candidate: '20.2-1vendor1',
      versions: [
        version('20.2-1vendor1', 'vendor', 600),
        version('18.4-1', 'pinned away', -1),
        version('18.3-1', main),
        version('18.2-1', main),
        { ...version('18.1-1', ''), isInstalled: true, indexes: [] },
      ],
    };
    const choose = (p: InstalledPackage, change: Partial<AptPolicy> = {}) =>
      upgradable([{ ...policy, ...change }], [p], 'amd64', (index) => index !== 'vendor').map(
        (n) => n.version,
      );
    expect(choose(installed('nodejs', '18.1-1'))).toEqual(['18.3-1']);
    expect(choose({ ...installed('nodejs', '18.1-1'), origin: 'third_party' })).toEqual(['20.2-1vendor1']);
    // Where apt holds back by itself, so does this.
    expect(choose(installed('nodejs', '18.1-1'), { candidate: '18.1-1' })).toEqual([]);
    expect(choose(installed('nodejs', '18.3-1'), { versions: policy.versions.slice(0, 1) })).toEqual([]);
  });

  test('index targets: whose each index is', () => {
    const indexes = parseIndexTargets(recorded('apt-indextargets.txt'));
    expect([...indexes]).toEqual([
      [security, { origin: 'Debian', label: 'Debian-Security', site: mirror, codename: 'bookworm-security' }],
      [main, { origin: 'Debian', label: 'Debian', site: mirror, codename: 'bookworm' }],
      ['file:/srv/flat ./ Packages', { origin: '', label: '', site: '', codename: '' }],
    ]);
  });

  test('own mirrors that an administrator declares', () => {
    expect(parseDeclaredOrigins('# ours\n\n Acme mirror \nOther\n')).toEqual(['Acme mirror', 'Other']);
  });

  test('show: source, its version, size', () => {
    const records = parseAptRecords(recorded('apt-show.txt'));
    expect(records[2]?.depends).toEqual([
      'libc6 (>= 2.34), libcurl4 (= 7.88.1-10+deb12u15), zlib1g (>= 1:1.1.4)',
    ]);
    expect(records).toMatchObject([
      {
        name: 'bash',
        arch: 'amd64',
        version: '5.2.15-2+b13',
        source: 'bash',
        source_version: '5.2.15-2',
        maintainer: 'Matthias Klose <doko@debian.org>',
        download_bytes: 1_490_652,
      },
      {
        name: 'libssl3',
        arch: 'amd64',
        version: '3.0.22-1~deb12u2',
        source: 'openssl',
        source_version: '3.0.22-1~deb12u2',
        maintainer: 'Debian OpenSSL Team <pkg-openssl-devel@alioth-lists.debian.net>',
        download_bytes: 2_039_888,
      },
      {
        name: 'curl',
        arch: 'amd64',
        version: '7.88.1-10+deb12u15',
        source: 'curl',
        source_version: '7.88.1-10+deb12u15',
        maintainer: 'Alessandro Ghedini <ghedo@debian.org>',
        download_bytes: 315_764,
      },
    ]);
  });

  test('this machine, read for real', async () => {
    const { packages, candidates } = await createDebSource().collect();
    const dpkg = packages.find((p) => p.name === 'dpkg');
    expect(dpkg).toMatchObject({ source: 'dpkg' });
    // Whatever else is installed here, dpkg is Debian's.
    expect(dpkg?.origin).toBe(undefined);
    expect(packages.map((p) => p.origin === undefined).filter(Boolean).length).toBeGreaterThan(50);
    for (const c of candidates) {
      const p = packages.find((each) => each.name === c.name && each.arch === c.arch);
      expect(p?.version).not.toBe(c.version);
      expect(c.download_bytes).toBeGreaterThan(0);
    }
  });

  test('a root without dpkg is a clear error', () => {
    expect(() => readDpkgStatus('/nonexistent')).toThrow(
      expect.objectContaining({ code: 'dpkg_status_missing' }),
    );
  });
});

describe('systemd', () => {
  test('units of a booted host', () => {
    const units = parseUnits(recorded('list-units.json'));
    expect(units?.find((u) => u.name === 'nginx.service')).toEqual({
      name: 'nginx.service',
      state: 'active',
    });
    expect(units?.some((u) => u.name === 'missing.service')).toBe(false);
    expect(new Set(units?.map((u) => u.state))).toEqual(new Set(['active', 'inactive', 'failed', 'other']));
  });
  test('what is no list is none', () => {
    expect(parseUnits('System has not been booted with systemd')).toBe(null);
    expect(parseUnits('{}')).toBe(null);
    expect(parseUnits('[1]')).toBe(null);
  });
});

describe('kernels', () => {
  test('are the packages that hold one', () => {
    const packages = [
      'linux-image-6.1.0-25-amd64',
      'linux-image-6.1.0-26-cloud-amd64-unsigned',
      'linux-image-amd64',
      'linux-image-6.1.0-25-amd64-dbg',
      'linux-headers-6.1.0-25-amd64',
    ].map((name) => ({ ...installed(name, '6.1.106-3'), source: 'linux-signed-amd64' }));
    expect(kernelsOf(packages).map((k) => k.release)).toEqual(['6.1.0-25-amd64', '6.1.0-26-cloud-amd64']);
    const [debian] = packages;
    const ubuntu = packages.flatMap((p) =>
      p === debian ? [{ ...p, name: 'linux-image-unsigned-6.8.0-45-generic' }] : [],
    );
    expect(kernelsOf(ubuntu).map((k) => k.release)).toEqual(['6.8.0-45-generic']);
  });
});

describe('the host', () => {
  test('a container is told by systemd or by the environment of its first process', () => {
    expect(machineFrom('none', '')).toBe('physical_or_virtual');
    expect(machineFrom('', null)).toBe('physical_or_virtual');
    expect(machineFrom('systemd-nspawn', null)).toBe('container');
    expect(machineFrom(null, 'A=1\0container=lxc\0')).toBe('container');
    expect(machineFrom('none', 'A=1\0not_container=lxc\0')).toBe('physical_or_virtual');
  });
  test('times of processes', () => {
    expect(parseBootTime('cpu 1\nbtime 1763791652\n')).toBe(1_763_791_652);
    expect(parseBootTime('')).toBe(null);
    expect(startSeconds(1000, '250')).toBe(1002);
  });
  test('packages that ask for a reboot', () => {
    expect(parseRebootPackages('linux-base\nlibc6\nlibc6\n\n')).toEqual(['libc6', 'linux-base']);
  });
});

describe('mapped files', () => {
  test('only executable mappings of files that packages can own', () => {
    const files = parseExecutableMaps(
      [
        '55d0-55d1 r--p 00000000 fe:00 11 /usr/sbin/nginx',
        '55d1-55d2 r-xp 00001000 fe:00 11 /usr/sbin/nginx',
        '7f00-7f01 r-xp 00000000 fe:00 22                         /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)',
        '7f01-7f02 r-xp 00000000 fe:00 23 /usr/lib/libz.so.1.dpkg-tmp (deleted)',
        '7f02-7f03 r-xp 00000000 00:01 5 /memfd:doublemapper (deleted)',
        '7f03-7f04 rwxs 00000000 00:01 6 /dev/zero (deleted)',
        '7f04-7f05 rwxs 00000000 00:01 7 /SYSV00000000 (deleted)',
        '7f05-7f06 r-xp 00000000 fe:00 8 /tmp/x.so (deleted)',
        '7f06-7f07 r-xp 00000000 00:00 0 [vdso]',
        '7f07-7f08 r-xp 00000000 00:00 0 ',
        '7f08-7f09 r-xp 00000000 fe:00 9 /usr/lib/with space.so',
      ].join('\n'),
    );
    expect(files.map((f) => [f.path, f.deleted, f.inode])).toEqual([
      ['/usr/sbin/nginx', false, '11'],
      ['/usr/lib/x86_64-linux-gnu/libssl.so.3', true, '22'],
      ['/usr/lib/libz.so.1', true, '23'],
      ['/usr/lib/with space.so', false, '9'],
    ]);
  });

  test.each([
    ['0::/system.slice/nginx.service\n', 'nginx.service'],
    ['0::/machine.slice/a.service/payload/system.slice/cron.service/x', 'cron.service'],
    ['0::/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service\n', 'user@1000.service'],
    ['0::/user.slice/user-0.slice/session-3.scope\n', null],
    ['0::/init.scope\n', null],
    ['12:pids:/x\n1:name=systemd:/system.slice/ssh.service\n0::/\n', 'ssh.service'],
    ['', null],
  ])('the unit of %j is %s', (text, unit) => {
    expect(parseCgroupUnit(text)).toBe(unit);
  });

  test('a path has one name with and without /usr', () => {
    expect(withoutUsr('/usr/lib/x/libc.so.6')).toBe('/lib/x/libc.so.6');
    expect(withoutUsr('/lib/x/libc.so.6')).toBe('/lib/x/libc.so.6');
    expect(withoutUsr('/usr/share/x')).toBe('/usr/share/x');
    expect(withoutUsr('/usr/libexec/x')).toBe('/usr/libexec/x');
  });
});

describe('the log of dpkg', () => {
  const upgrades = parseDpkgLog(recorded('dpkg.log'));
  const at = (text: string): number => Date.parse(text);

  test('only upgrades count', () => {
    expect(upgrades.map((u) => `${u.name}:${u.arch} ${u.from} ${u.to}`)).toContain(
      'libssl3:amd64 3.0.17-1~deb12u2 3.0.22-1~deb12u2',
    );
    expect(upgrades.every((u) => u.from !== u.to && u.from !== '<none>')).toBe(true);
  });

  test('the first upgrade since a process started tells what it began with', () => {
    const p = { name: 'libssl3', arch: 'amd64' };
    const [first, second] = upgrades.filter((u) => u.name === 'libssl3');
    if (first === undefined || second === undefined) throw new Error('two were recorded');
    expect(versionBefore(upgrades, p, first.at - 1)).toBe(first.from);
    expect(versionBefore(upgrades, p, first.at)).toBe(first.from);
    expect(versionBefore(upgrades, p, first.at + 1)).toBe(second.from);
    expect(versionBefore(upgrades, p, at('2099-01-01T00:00:00Z'))).toBe(null);
    expect(versionBefore(upgrades, { name: 'libssl3', arch: 'i386' }, 0)).toBe(null);
  });

  test('its times are local', () => {
    const zone = process.env['TZ'];
    process.env['TZ'] = 'America/New_York';
    try {
      const [upgrade] = parseDpkgLog('2026-07-01 12:00:00 upgrade a:all 1 2\n');
      expect(upgrade?.at).toBe(at('2026-07-01T16:00:00Z'));
    } finally {
      if (zone === undefined) delete process.env['TZ'];
      else process.env['TZ'] = zone;
    }
  });
});

describe('files of packages', () => {
  test('digests', () => {
    const text = `${'a'.repeat(32)}  usr/bin/x\n${'b'.repeat(32)}  usr/share/a b\nnonsense\n`;
    expect([...parseMd5sums(text)]).toEqual([
      ['/usr/bin/x', 'a'.repeat(32)],
      ['/usr/share/a b', 'b'.repeat(32)],
    ]);
  });
  test('diversions', () => {
    const diversions = parseDiversions(
      'diversion of /bin/sh to /bin/sh.distrib by dash\nlocal diversion of /usr/lib/x.so to /usr/lib/x.so.distrib\n',
    );
    expect(diversions.get('/bin/sh')).toEqual({ to: '/bin/sh.distrib', by: 'dash' });
    expect(diversions.get('/usr/lib/x.so')).toEqual({ to: '/usr/lib/x.so.distrib', by: null });
  });
});
