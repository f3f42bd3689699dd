/** Roots of every package manager, scanned by the real program; RPM's are built on the spot by the real rpm. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createScanFixture, dpkgStanza } from './fixture-root.ts';

const fixture = createScanFixture();
afterAll(() => fixture.remove());

const feeds = join(import.meta.dirname, '../../../server/src/feed');
const knowledge = join(fixture.folder, 'knowledge');

beforeAll(() => {
  const { stderr, status } = fixture.run([
    'knowledge',
    'make',
    '--no-extract',
    '--out',
    knowledge,
    '--feed',
    `alpine-secdb=${join(feeds, 'alpine-secdb/sample/v3.18-main.json')}`,
    '--feed',
    `almalinux-osv=${join(feeds, 'almalinux-osv/sample/records.jsonl')}`,
  ]);
  expect([status, stderr]).toEqual([0, '']);
});

test('knowledge make writes one file for each product, and scan takes the folder or one of them', () => {
  expect(readdirSync(knowledge)).toEqual(
    expect.arrayContaining(['alpine-3.18', 'almalinux-8', 'almalinux-9']),
  );
  const root = fixture.root({
    'etc/os-release': alpine,
    'lib/apk/db/installed': 'P:musl\nV:1.2.4-r2\nA:x86_64\n\n',
  });
  expect(fixture.run(['scan', '--root', root, '--knowledge', knowledge]).status).toBe(0);
  expect(fixture.run(['scan', '--root', root, '--knowledge', join(knowledge, 'alpine-3.18')]).status).toBe(0);
  const wrong = fixture.run(['scan', '--root', root, '--knowledge', join(knowledge, 'almalinux-9')]);
  expect([wrong.status, wrong.stdout]).toEqual([7, '']);
  expect(wrong.stderr).toContain('no vulnerability data for Alpine Linux 3.18');
});

test.each([
  [['--out', join(fixture.folder, 'x'), '--no-extract'], 2, 'usage'],
  [['--out', join(fixture.folder, 'x'), '--feed', 'nonsense=file'], 2, 'usage'],
  [['--out', join(fixture.folder, 'x'), '--feed', 'debian-osv=/nonexistent/file'], 7, 'feed_file_unreadable'],
  [
    ['--out', join(fixture.folder, 'x'), '--no-extract', '--feed', `cisa-kev=${join(feeds, 'feed.ts')}`],
    7,
    '',
  ],
])('knowledge make %j is refused', (args, code, name) => {
  const { status, stderr } = fixture.run(['knowledge', 'make', ...args]);
  expect(status).toBe(code);
  expect(stderr).toContain(name === '' ? 'cannot be read as cisa-kev' : `(${name})`);
});

const alpine = 'ID=alpine\nVERSION_ID=3.18.4\nPRETTY_NAME="Alpine Linux v3.18"\n';

describe('an Alpine root', () => {
  const installed = [
    'P:libcrypto3\nV:3.1.3-r0\nA:x86_64\no:openssl\n',
    'P:busybox\nV:1.36.1-r99\nA:x86_64\no:busybox\n',
    'P:cifs-utils\nV:6.13-r0\nA:x86_64\n',
    '',
  ].join('\n');
  const scan = (files: Record<string, string> = {}) =>
    fixture.scanJson([
      '--root',
      fixture.root({ 'etc/os-release': alpine, 'lib/apk/db/installed': installed, ...files }),
      '--knowledge',
      knowledge,
    ]);

  test('is judged by source package in apk’s own order', () => {
    const { findings, undetermined } = scan();
    const found = findings.map((f) => `${f.vulnerability} ${f.package} ${f.fixed_version}`);
    expect(found).toContain('CVE-2022-27239 cifs-utils 6.15-r0');
    // 6.13-r0 is not older than 6.13-r0.
    expect(found.join()).not.toContain('CVE-2021-20208');
    expect(found.join()).not.toContain('busybox');
    expect(findings.find((f) => f.package === 'openssl')).toMatchObject({
      installed: ['libcrypto3 3.1.3-r0'],
      patch: expect.stringMatching(/^alpine:3\.18\/openssl@3\.1\./u),
    });
    expect(undetermined).toEqual([]);
  });

  test('what was installed from a file is undetermined', () => {
    const { findings, undetermined } = scan({
      'etc/apk/world': 'busybox\ncifs-utils><Q1abcdefghijklmnopqrstuvwxyz1=\n',
    });
    expect(findings.map((f) => f.package)).not.toContain('cifs-utils');
    expect(undetermined).toMatchObject([{ package: 'cifs-utils', code: 'origin_unknown' }]);
  });

  test('what was asked for from a tagged repository is not judged by the release, nor what was built with it', () => {
    const mirror = 'https://mirror.example/alpine';
    const built = 'P:cifs-utils-dev\nV:6.13-r0\nA:x86_64\no:cifs-utils\n\n';
    const scanned = (tagged: string) =>
      scan({
        'lib/apk/db/installed': `${installed.trimEnd()}\n\n${built}`,
        'etc/apk/world': 'busybox@own libcrypto3\ncifs-utils@edge>6\n',
        'etc/apk/repositories': `# x\n${mirror}/v3.18/main\n@own https://acme.example/apk\n@edge ${tagged}\n`,
      }).foreign_packages.map((one) => `${one.package} ${one.origin} ${one.vendor ?? ''}`);
    expect(scanned(`${mirror}/edge/main`)).toEqual([
      'busybox unknown acme.example',
      'cifs-utils unknown Alpine edge',
      'cifs-utils-dev unknown Alpine edge',
    ]);
    // a tag may as well stand before a repository of the same release
    expect(scanned(`${mirror}/v3.18/community`)).toEqual(['busybox unknown acme.example']);
  });

  test.each([
    ['missing', undefined, 'apk_database_missing'],
    ['empty', '\n', 'apk_database_empty'],
    ['cut', installed.slice(0, -5), 'apk_database_corrupt'],
  ])('with a database that is %s is refused', (_, text, code) => {
    const root = fixture.root({
      'etc/os-release': alpine,
      ...(text === undefined ? {} : { 'lib/apk/db/installed': text }),
    });
    const { status, stdout, stderr } = fixture.run(['scan', '--root', root, '--knowledge', knowledge]);
    expect([status, stdout]).toEqual([7, '']);
    expect(stderr).toContain(`(${code})`);
  });
});

const almalinux = (release: string): string =>
  `ID="almalinux"\nVERSION_ID="${release}"\nPRETTY_NAME="AlmaLinux ${release}"\n`;

describe('an RPM root', () => {
  const hasRpm = ['rpm', 'rpmbuild'].every(
    (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0,
  );
  const ifRpm = hasRpm ? test : test.skip;
  if (!hasRpm) console.log('SKIPPED: there is no rpm or rpmbuild on this machine to build a root with');

  interface Spec {
    readonly name: string;
    readonly version: string;
    readonly release: string;
    readonly epoch?: string;
    readonly vendor: string;
    readonly module?: string;
  }

  /** Builds the packages and puts them into a database of the root, without their files. */
  function rpmRoot(release: string, specs: readonly Spec[]): string {
    const root = fixture.root({ 'etc/os-release': almalinux(release) });
    const build = join(root, 'build');
    const database = join(root, 'usr/lib/sysimage/rpm');
    mkdirSync(build);
    for (const { name, version, release: of, epoch, vendor, module } of specs) {
      const spec = join(build, `${name}-${version}-${of}.spec`);
      writeFileSync(
        spec,
        `Name: ${name}\nVersion: ${version}\nRelease: ${of}\n${epoch === undefined ? '' : `Epoch: ${epoch}\n`}` +
          `Summary: x\nLicense: MIT\nVendor: ${vendor}\nBuildArch: noarch\n` +
          `${module === undefined ? '' : `ModularityLabel: ${module}\n`}%description\nx\n%files\n`,
      );
      const built = spawnSync(
        'rpmbuild',
        ['-bb', '--define', `_topdir ${build}`, '--define', `_rpmdir ${build}/out`, spec],
        { encoding: 'utf8' },
      );
      if (built.status !== 0) throw new Error(built.stderr);
    }
    const files = readdirSync(join(build, 'out/noarch')).map((name) => join(build, 'out/noarch', name));
    mkdirSync(database, { recursive: true });
    const put = spawnSync(
      'rpm',
      ['--dbpath', database, '--justdb', '--nodeps', '--noscripts', '-i', '--force', ...files],
      {
        encoding: 'utf8',
      },
    );
    if (put.status !== 0) throw new Error(put.stderr);
    return root;
  }

  ifRpm('is judged by installed package, epoch and module stream; what others built is undetermined', () => {
    const root = rpmRoot('8.8', [
      {
        name: 'nginx',
        epoch: '1',
        version: '1.22.1',
        release: '1.module_el8.7.0+3000+aaaaaaaa',
        vendor: 'AlmaLinux',
        module: 'nginx:1.22:8070020221018:abc',
      },
      { name: 'thunderbird', version: '91.2.0', release: '1.el8_4.alma', vendor: 'AlmaLinux' },
      { name: 'mod_md', epoch: '1', version: '2.0.8', release: '7.el8', vendor: 'Somebody Else' },
      { name: 'varnish', version: '7.0.0', release: '1.el8', vendor: 'AlmaLinux' },
    ]);
    const {
      findings,
      undetermined,
      foreign_packages: foreign,
      packages,
    } = fixture.scanJson(['--root', root, '--knowledge', knowledge]);
    expect(packages).toBe(4);
    expect(findings.filter((f) => f.package === 'thunderbird').map((f) => f.vulnerability)).toContain(
      'CVE-2021-38503',
    );
    expect(findings.map((f) => f.package)).not.toContain('varnish');
    expect(foreign).toMatchObject([{ package: 'mod_md', origin: 'third_party', vendor: 'Somebody Else' }]);
    const nginx = [...findings, ...undetermined].filter((one) => one.package === 'nginx');
    expect(nginx).toHaveLength(1);
    expect(JSON.stringify(nginx)).toContain('CVE-2023-44487');
  });

  ifRpm('with a damaged database is refused, and nothing is judged', () => {
    const root = fixture.root({
      'etc/os-release': almalinux('9.4'),
      'var/lib/rpm/rpmdb.sqlite': 'this is no database',
    });
    const { status, stdout, stderr } = fixture.run(['scan', '--root', root, '--knowledge', knowledge]);
    expect([status, stdout]).toEqual([7, '']);
    expect(stderr).toContain('(rpm_database_');
  });

  test('without a database is refused, also when it has a dpkg status', () => {
    const root = fixture.root({
      'etc/os-release': almalinux('9.4'),
      'var/lib/dpkg/status': dpkgStanza('openssl', '3.0.9-1'),
    });
    const { status, stderr } = fixture.run(['scan', '--root', root, '--knowledge', knowledge]);
    expect(status).toBe(7);
    expect(stderr).toContain('(rpm_database_missing)');
  });

  test('without rpm on this machine says what to install', () => {
    const root = fixture.root({ 'etc/os-release': almalinux('9.4'), 'var/lib/rpm/rpmdb.sqlite': 'x' });
    const node = join(import.meta.dirname, '../../../node_modules/.bin');
    const { status, stderr } = fixture.run(['scan', '--root', root, '--knowledge', knowledge], {
      PATH: `${node}:/nonexistent`,
    });
    expect(status).toBe(7);
    expect(stderr).toContain('(rpm_missing)');
  });
});

const bookworm = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n';

describe('who built a package of a dpkg root', () => {
  const release = (origin: string, label: string, codename = 'x'): string =>
    `Origin: ${origin}\nLabel: ${label}\nCodename: ${codename}\n`;
  const offer = (name: string, version: string, size: string, maintainer: string): string =>
    `Package: ${name}\nArchitecture: amd64\nVersion: ${version}\nInstalled-Size: ${size}\nMaintainer: ${maintainer}\n\n`;
  const debian = 'Debian OpenSSL Team <pkg-openssl-devel@alioth-lists.debian.net>';
  const lists = {
    'var/lib/apt/lists/mirror.example_debian_dists_bookworm_InRelease': release('Debian', 'Debian'),
    'var/lib/apt/lists/mirror.example_debian_dists_bookworm_main_binary-amd64_Packages':
      offer('base-files', '12.4+deb12u5', '340', 'Santiago Vila <sanvila@debian.org>') +
      offer('openssl', '3.0.9-1', '2000', debian) +
      offer('libssl3', '3.0.17-1~deb12u2', '6000', debian),
    'var/lib/apt/lists/acme.example_apt_dists_stable_Release': release('Acme', 'Acme'),
    'var/lib/apt/lists/acme.example_apt_dists_stable_main_binary-amd64_Packages': offer(
      'curl',
      '9:8.0-1',
      '500',
      'Acme <x@acme.example>',
    ),
  };
  const status =
    dpkgStanza('base-files', '12.4+deb12u5', { 'Installed-Size': '340' }) +
    dpkgStanza('openssl', '3.0.9-1', { 'Installed-Size': '2000', Maintainer: debian }) +
    dpkgStanza('libssl3', '3.0.9-1', { Source: 'openssl', 'Installed-Size': '5999', Maintainer: debian }) +
    dpkgStanza('curl', '9:8.0-1', { 'Installed-Size': '500', Maintainer: 'Acme <x@acme.example>' }) +
    dpkgStanza('zlib1g', '1:99-1', {
      Source: 'zlib',
      'Installed-Size': '1',
      Maintainer: 'Me <me@example.org>',
    });

  test('by the lists of its apt, and the same again from the cache', () => {
    const root = fixture.root({ 'etc/os-release': bookworm, 'var/lib/dpkg/status': status, ...lists });
    const first = fixture.scanJson(['--root', root]);
    expect(first.foreign_packages).toEqual([
      { package: 'curl', version: '9:8.0-1', origin: 'third_party', vendor: 'Acme' },
      { package: 'zlib1g', version: '1:99-1', origin: 'unknown', vendor: null },
    ]);
    expect(first.undetermined.map((one) => `${one.package} ${one.code}`)).toEqual([
      'curl not_built_by_distribution',
      'zlib origin_unknown',
    ]);
    // A newer version that is not the distribution's settles nothing: every vulnerability of curl is there.
    expect(first.undetermined[0]?.vulnerabilities.length).toBeGreaterThan(5);
    expect(first.findings.find((f) => f.vulnerability === 'CVE-2023-5363')?.installed).toEqual([
      'openssl 3.0.9-1',
      'libssl3 3.0.9-1',
    ]);
    const { scanned_at: _, ...again } = { scanned_at: '', ...fixture.scanJson(['--root', root]) };
    expect({ ...again, scanned_at: '' }).toEqual({ ...first, scanned_at: '' });
  });

  test('another build under the distribution’s version is unknown, and a changed list is read anew', () => {
    const root = fixture.root({ 'etc/os-release': bookworm, 'var/lib/dpkg/status': status, ...lists });
    fixture.scanJson(['--root', root]);
    writeFileSync(
      join(root, 'var/lib/apt/lists/mirror.example_debian_dists_bookworm_main_binary-amd64_Packages'),
      offer('base-files', '12.4+deb12u5', '340', debian) + offer('openssl', '3.0.9-1', '2001', debian),
    );
    const { foreign_packages: foreign } = fixture.scanJson(['--root', root]);
    expect(foreign.map((one) => one.package)).toContain('openssl');
  });

  test('what only another release offers, or is newer than all that is offered, is not settled by this one', () => {
    const folder = 'var/lib/apt/lists/mirror.example_debian_dists_';
    const own = (name: string, version: string, size: string): string =>
      dpkgStanza(name, version, { Source: 'openssl', 'Installed-Size': size, Maintainer: debian });
    const files = {
      'etc/os-release': `${bookworm}VERSION_CODENAME=bookworm\n`,
      'var/lib/dpkg/status':
        dpkgStanza('base-files', '12.4+deb12u5', { 'Installed-Size': '340' }) +
        // from testing; from a PPA that is disabled; an old build, which the archive no longer has
        own('openssl', '3.5.1-1', '2100') +
        own('libssl3', '3.0.99-1', '7000') +
        own('libssl-dev', '3.0.9-1', '100'),
      ...lists,
      [`${folder}bookworm_InRelease`]: release('Debian', 'Debian', 'bookworm'),
      [`${folder}bookworm_main_binary-amd64_Packages`]:
        lists['var/lib/apt/lists/mirror.example_debian_dists_bookworm_main_binary-amd64_Packages'] +
        offer('libssl-dev', '3.0.17-1~deb12u2', '110', debian),
      [`${folder}trixie_InRelease`]: release('Debian', 'Debian', 'trixie'),
      [`${folder}trixie_main_binary-amd64_Packages`]: offer('openssl', '3.5.1-1', '2100', debian),
    };
    const root = fixture.root(files);
    expect(fixture.scanJson(['--root', root]).foreign_packages).toEqual([
      { package: 'openssl', version: '3.5.1-1', origin: 'third_party', vendor: 'Debian trixie' },
      { package: 'libssl3', version: '3.0.99-1', origin: 'unknown', vendor: null },
    ]);
    // The same lists under another release, which the cache may not answer for.
    writeFileSync(join(root, 'etc/os-release'), `${bookworm}VERSION_CODENAME=trixie\n`);
    const names = fixture.scanJson(['--root', root]).foreign_packages.map((one) => one.package);
    expect(names).not.toContain('openssl');
  });

  test('without lists by the marks that others leave', () => {
    const root = fixture.root({
      'etc/os-release': bookworm,
      'var/lib/dpkg/status': status + dpkgStanza('nodejs', '20.1.0-1nodesource1'),
    });
    expect(fixture.scanJson(['--root', root]).foreign_packages).toEqual([
      { package: 'nodejs', version: '20.1.0-1nodesource1', origin: 'third_party', vendor: 'NodeSource' },
    ]);
  });

  test('a distroless image has one file for each package', () => {
    const root = fixture.root({
      'etc/os-release': bookworm,
      'var/lib/dpkg/status.d/openssl': 'Package: openssl\nVersion: 3.0.9-1\nArchitecture: amd64\n',
      'var/lib/dpkg/status.d/openssl.md5sums': 'abc usr/bin/openssl\n',
    });
    const { findings, packages } = fixture.scanJson(['--root', root]);
    expect(packages).toBe(1);
    expect(findings.map((f) => f.vulnerability)).toContain('CVE-2023-5363');
  });
});
