/** The agent on systems of rpm: real rpm, dnf and zypper, packages built on the spot (`rpm-root.ts`). */
import { beforeAll, describe, expect, test } from 'vitest';
import { Candidate, HostFacts, InstalledPackage, Residue } from '@fixpoint/contract/inventory.ts';
import { parseShape } from '@fixpoint/contract/parse.ts';
import { Type, type Static } from '@fixpoint/contract/schema.ts';
import { describeMissing, prerequisites } from './prerequisites.ts';
import { agentBinary } from './product.ts';
import { hasRpmTools, rpmPackages, runInRpmRoot, type RpmPackage } from './rpm-root.ts';

const missing =
  describeMissing(await prerequisites()) ??
  ((await hasRpmTools())
    ? undefined
    : `THE TESTS OF RPM HOSTS ARE SKIPPED: apt-get install ${rpmPackages.join(' ')}`);
if (missing !== undefined) process.stderr.write(`\n${missing}\n\n`);

const Report = Type.Object({
  packages: Type.Array(InstalledPackage),
  candidates: Type.Array(Candidate),
  host: HostFacts,
  residue: Type.Array(Residue),
});
type Report = Static<typeof Report>;

function read(out: ReadonlyMap<string, string>, name: string): Report {
  const parsed = parseShape(Report, JSON.parse(out.get(name) ?? 'null'));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.value;
}

const agent = '/usr/local/bin/fixpoint-agent';
const program = '/usr/libexec/acme-sleep';

/** Both versions of a package whose file may be mapped. */
const sleepers = (vendor: string): RpmPackage[] =>
  ['1.0', '1.1'].map((version) => ({
    name: 'acme-sleep',
    epoch: '1',
    version,
    release: '1.el9',
    vendor,
    files: { [program]: { program: true }, '/etc/acme.conf': 'a=1' },
    configuration: ['/etc/acme.conf'],
  }));

describe.skipIf(missing !== undefined)('a host of dnf', () => {
  let out: ReadonlyMap<string, string>;
  let before: Report;
  let after: Report;
  const vendor = 'AlmaLinux';
  const release = ['362.8.1.el9_3', '427.13.1.el9_4'];

  beforeAll(async () => {
    const binary = await agentBinary(() => undefined);
    const done = await runInRpmRoot({
      programs: { [agent]: binary },
      files: {
        '/etc/os-release':
          'NAME="AlmaLinux"\nID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\nPRETTY_NAME="AlmaLinux 9.4 (Seafoam Ocelot)"\n',
        '/etc/dnf/dnf.conf': '[main]\ngpgcheck=0\nplugins=0\ninstallonly_limit=3\n',
        '/etc/dnf/plugins/versionlock.list': '# Added\nhtop-0:3.2-1.el9.*\n!acme-sleep-1:1.2-1.*\n',
        '/etc/yum.repos.d/lab.repo': '[lab]\nname=lab\nbaseurl=file:///srv/repository\n',
      },
      packages: [
        ...sleepers(vendor),
        // The same name from somebody else, and newer.
        { name: 'acme-sleep', epoch: '1', version: '9', release: '1', vendor: 'Fedora Project', files: {} },
        {
          name: 'nodejs',
          version: '18.20.2',
          release: '1.module_el9+1234',
          vendor,
          module: 'nodejs:18:9040020240423:rhel9',
          files: { '/usr/bin/lab-node': 'n' },
        },
        { name: 'htop', version: '3.2', release: '1.el9', vendor: 'Fedora Project', files: {} },
        { name: 'handmade', version: '1', release: '1', files: {} },
        ...release.map((one) => ({
          name: 'kernel-core',
          version: '5.14.0',
          release: one,
          vendor,
          head: ['Provides: installonlypkg(kernel)'],
          files: {
            [`/lib/modules/5.14.0-${one}.x86_64/vmlinuz`]: 'k',
            [`/lib/modules/5.14.0-${one}.x86_64/config`]: 'c',
          },
        })),
      ],
      script: `
# Both are there on this machine; a host of Red Hat's family has no zypper.
rm -f /usr/bin/zypper
dnf --assumeyes --quiet install acme-sleep-1:1.0 htop handmade kernel-core-5.14.0-${release[0] ?? ''} >&2
dnf --assumeyes --quiet install kernel-core-5.14.0-${release[1] ?? ''} >&2
rpm --install --nodeps /srv/repository/nodejs-*.rpm >&2
rpm -V acme-sleep >&2
${agent} inventory > /srv/out/before
${program} 300 &
sleep 1
dnf --assumeyes --quiet upgrade acme-sleep-1:1.1 >&2
${agent} inventory > /srv/out/after
rm -rf /var/lib/rpm
${agent} inventory > /dev/null 2> /srv/out/broken || echo "exit $?" >> /srv/out/broken
`,
    });
    if (done.result.exitCode !== 0) throw new Error(done.result.stderr);
    ({ out } = done);
    before = read(out, 'before');
    after = read(out, 'after');
  });

  test('is read by rpm, not by the dpkg that is there as well', () => {
    expect(before.host).toMatchObject({ os: 'almalinux', os_release: '9.4' });
    expect(before.packages).toEqual([
      {
        name: 'acme-sleep',
        arch: 'x86_64',
        version: '1:1.0-1.el9',
        source: 'acme-sleep',
        source_version: '1:1.0-1.el9',
      },
      {
        name: 'handmade',
        arch: 'x86_64',
        version: '1-1',
        source: 'handmade',
        source_version: '1-1',
        origin: 'unknown',
      },
      {
        name: 'htop',
        arch: 'x86_64',
        version: '3.2-1.el9',
        source: 'htop',
        source_version: '3.2-1.el9',
        origin: 'third_party',
        vendor: 'Fedora Project',
      },
      ...release.map((one) => ({
        name: 'kernel-core',
        arch: 'x86_64',
        version: `5.14.0-${one}`,
        source: 'kernel-core',
        source_version: `5.14.0-${one}`,
      })),
      {
        name: 'nodejs',
        arch: 'x86_64',
        version: '18.20.2-1.module_el9+1234',
        source: 'nodejs',
        source_version: '18.20.2-1.module_el9+1234',
        module: 'nodejs:18',
      },
    ]);
  });

  test('tells all its kernels, as uname says', () => {
    expect(before.host.kernels.map((one) => one.release).sort()).toEqual(
      release.map((one) => `5.14.0-${one}.x86_64`),
    );
    expect(before.host.held).toEqual(['htop']);
    expect(before.host.arch).toBe('x86_64');
  });

  test('knows its updates, and no third party’s in place of the distribution’s', () => {
    expect(before.candidates).toMatchObject([
      { name: 'acme-sleep', version: '1:1.1-1.el9', source: 'acme-sleep', repository: 'lab' },
    ]);
    expect(before.candidates[0]?.download_bytes).toBeGreaterThan(1000);
    expect(after.candidates).toEqual([]);
  });

  test('a process that still runs the replaced file is told, with its version from dnf’s log', () => {
    expect(before.residue.filter((one) => one.name === 'acme-sleep')).toEqual([]);
    expect(after.packages.find((p) => p.name === 'acme-sleep')?.version).toBe('1:1.1-1.el9');
    expect(after.residue.filter((one) => one.name === 'acme-sleep')).toMatchObject([
      { kind: 'process', version: '1:1.0-1.el9', path: program, process: { command: program } },
    ]);
  });

  test('without its database it is unreadable, and not empty', () => {
    expect(out.get('broken')).toMatch(/code: rpm_database_empty/);
    expect(out.get('broken')).toMatch(/exit 7/);
  });
});

describe.skipIf(missing !== undefined)('a host of zypper', () => {
  let report: Report;

  beforeAll(async () => {
    const binary = await agentBinary(() => undefined);
    const kernel = ['150500.55.39.1', '150500.55.49.1'];
    const done = await runInRpmRoot({
      programs: { [agent]: binary },
      files: {
        '/etc/os-release':
          'ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.5"\nPRETTY_NAME="openSUSE Leap 15.5"\n',
        '/etc/zypp/repos.d/lab.repo':
          '[lab]\nname=lab\nenabled=1\nautorefresh=0\nbaseurl=dir:///srv/repository\ngpgcheck=0\n',
      },
      packages: [
        ...sleepers('SUSE LLC <https://www.suse.com/>'),
        {
          name: 'tool',
          version: '1',
          release: '1',
          vendor: 'obs://build.opensuse.org/home:somebody',
          files: {},
        },
        ...kernel.map((one) => ({
          name: 'kernel-default',
          version: '5.14.21',
          release: one,
          vendor: 'SUSE LLC <https://www.suse.com/>',
          head: ['Provides: multiversion(kernel)'],
          files: { [`/boot/vmlinuz-5.14.21-${one.replace(/\.1$/, '')}-default`]: 'k' },
        })),
      ],
      script: `
zypper --non-interactive --no-gpg-checks refresh >&2
zypper --non-interactive --no-gpg-checks install --no-recommends acme-sleep=1:1.0 tool kernel-default=5.14.21-150500.55.39.1 >&2
zypper --non-interactive addlock tool >&2
${agent} inventory > /srv/out/report
`,
    });
    if (done.result.exitCode !== 0) throw new Error(done.result.stderr + done.result.stdout);
    report = read(done.out, 'report');
  });

  test('is read with its updates, locks and kernels', () => {
    expect(report.host).toMatchObject({ os: 'opensuse-leap', os_release: '15.5', held: ['tool'] });
    expect(
      report.packages.map((p) => [p.name, p.version, p.origin ?? 'distribution', p.vendor ?? '']),
    ).toEqual([
      ['acme-sleep', '1:1.0-1.el9', 'distribution', ''],
      ['kernel-default', '5.14.21-150500.55.39.1', 'distribution', ''],
      ['tool', '1-1', 'third_party', 'obs://build.opensuse.org/home:somebody'],
    ]);
    expect(report.host.kernels).toMatchObject([{ release: '5.14.21-150500.55.39-default' }]);
    expect(report.candidates.find((one) => one.name === 'acme-sleep')).toMatchObject({
      version: '1:1.1-1.el9',
      source_version: '1:1.1-1.el9',
      repository: 'lab',
    });
  });
});
