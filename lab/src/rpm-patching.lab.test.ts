/**
 * The executors of dnf and zypper on the real programs: packages built and signed on the spot (`rpm-root.ts`), repositories
 * that can only be reached through a proxy that wants credentials, as a distribution point does.
 */
import { resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { describeMissing, prerequisites } from './prerequisites.ts';
import { dependency, drives, packages, proxy } from './rpm-drives.ts';
import { hasRpmTools, rpmPackages, runInRpmRoot } from './rpm-root.ts';

const missing =
  describeMissing(await prerequisites()) ??
  ((await hasRpmTools())
    ? undefined
    : `THE TESTS OF RPM HOSTS ARE SKIPPED: apt-get install ${rpmPackages.join(' ')}`);
if (missing !== undefined) process.stderr.write(`\n${missing}\n\n`);

const repository = resolve(import.meta.dirname, '../..');

const Said = Type.Object({
  step: Type.String(),
  exit: Type.Optional(Type.Number()),
  judged: Type.Optional(
    Type.Object({
      ok: Type.Boolean(),
      failure: Type.Optional(Type.String()),
      message: Type.Optional(Type.String()),
    }),
  ),
  output: Type.Optional(Type.String()),
  simulated: Type.Optional(Type.Unknown()),
  sizes: Type.Optional(Type.Object({ downloadBytes: Type.Number(), diskBytes: Type.Number() })),
  files: Type.Optional(Type.Array(Type.String())),
  offered: Type.Optional(Type.Array(Type.String())),
  configuration: Type.Optional(Type.Array(Type.String())),
  try: Type.Optional(Type.Object({ ok: Type.Boolean() })),
  versions: Type.Record(Type.String(), Type.String()),
  unfinished: Type.Array(Type.String()),
  downloaded_bytes: Type.Number(),
  shipped: Type.Array(Type.Unknown()),
});
type Said = Static<typeof Said>;

function read(out: ReadonlyMap<string, string>, name: string): Said[] {
  return (out.get(name) ?? '')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => Value.Parse(Said, JSON.parse(line)));
}

const node = process.execPath;
const drive = (name: string): string =>
  `${node} ${repository}/agent/drive-executor.ts /srv/drives/${name} > /srv/out/${name} 2> /srv/out/${name}.err || { cat /srv/out/${name}.err >&2; exit 1; }`;

interface Host {
  readonly manager: 'dnf' | 'zypper';
  readonly files: Readonly<Record<string, string>>;
  readonly prepare: string;
  /** The process that is killed in the middle, as `pgrep -f` finds it. */
  readonly process: string;
}

const hosts: readonly Host[] = [
  {
    manager: 'dnf',
    process: 'dnf.*upgrade.*acme-slow',
    prepare: 'rm -f /usr/bin/zypper',
    files: {
      '/etc/os-release':
        'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\nPRETTY_NAME="Rocky Linux 9.4"\n',
      '/etc/dnf/dnf.conf': '[main]\ngpgcheck=1\nplugins=0\ninstallonly_limit=2\n',
      '/etc/dnf/vars/releasever': '9.4',
      '/etc/yum.repos.d/lab.repo':
        '[lab]\nname=lab\nbaseurl=http://repo.lab/lab\ngpgkey=file:///srv/lab.asc\n',
    },
  },
  {
    manager: 'zypper',
    process: 'zypper.*install.*acme-slow',
    prepare: 'rpm --import /srv/lab.asc',
    files: {
      '/etc/os-release':
        'ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.5"\nPRETTY_NAME="openSUSE Leap 15.5"\n',
      '/etc/zypp/zypp.conf': '[main]\nmultiversion = provides:multiversion(kernel)\n',
      '/etc/zypp/repos.d/lab.repo':
        '[lab]\nname=lab\nenabled=1\nautorefresh=0\nbaseurl=http://repo.lab/lab\nrepo_gpgcheck=0\npkg_gpgcheck=1\ngpgkey=file:///srv/lab.asc\n',
    },
  },
];

describe.skipIf(missing !== undefined).each(hosts)('the executor of $manager', (host) => {
  let out: ReadonlyMap<string, string>;

  beforeAll(async () => {
    const at = (name: string): string => `/srv/drives/${name}`;
    const done = await runInRpmRoot({
      packages,
      programs: {},
      mounts: [repository, resolve(node, '..')],
      files: {
        ...host.files,
        '/srv/proxy.mjs': proxy,
        ...Object.fromEntries(
          Object.entries(drives).map(([name, steps]) => [
            at(name),
            JSON.stringify({
              manager: host.manager,
              // What has been loaded is still there when its process was killed.
              dir: `/srv/state/${name.replace(/^.*kill.*$/u, 'kill')}`,
              distributionPoint: { url: 'http://127.0.0.1:7799', user: 'asset', password: 's/e:cret' },
              steps: steps.map(([step, changes]) => ({ step, changes })),
            }),
          ]),
        ),
      },
      script: `
export GNUPGHOME=/srv/gnupg
mkdir -m 700 $GNUPGHOME
cp /srv/repository/acme-unsigned-1.1*.rpm /srv/unsigned.rpm
gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-gen-key 'Lab <lab@lab.invalid>' rsa2048 sign never 2>/dev/null
gpg --armor --export > /srv/lab.asc
rpmsign --define '_gpg_name Lab' --define '__gpg /usr/bin/gpg' --addsign /srv/repository/*.rpm > /dev/null 2>&1
cp /srv/unsigned.rpm /srv/repository/$(basename /srv/repository/acme-unsigned-1.1*.rpm)
createrepo_c --quiet /srv/repository
rpm --install /srv/repository/bash-*.rpm /srv/repository/acme-*-1.0-*.rpm /srv/repository/acme-old-*.rpm /srv/repository/kernel-core-*-1.el9.*.rpm 2>/dev/null
rm /srv/repository/acme-gone-1.1*.rpm
${host.prepare}
${node} /srv/proxy.mjs & proxy=$!
sleep 0.5
${['plain', 'dependency', 'obsoletes', 'refused', 'scripts', 'kernel', 'before-kill'].map(drive).join('\n')}
rm -f /srv/slow
${node} ${repository}/agent/drive-executor.ts /srv/drives/killed > /srv/out/killed 2>&1 &
for i in $(seq 100); do [ -e /srv/slow ] && break; sleep 0.1; done
kill -9 $(pgrep -f '${host.process}') || true
kill -9 $(pgrep -x rpm) 2>/dev/null || true
sleep 3
kill $proxy
: > /srv/slow
${drive('after-kill')}
cp /srv/slow /srv/requests /srv/out/
rpm -qa --queryformat '%{NAME}-%{VERSION}-%{RELEASE}\\n' | sort > /srv/out/installed
`,
    });
    ({ out } = done);
    if (done.result.exitCode !== 0) throw new Error(done.result.stderr + done.result.stdout);
  }, 120_000);

  test('tries, loads through the distribution point, keeps, installs and puts back', () => {
    const said = read(out, 'plain');
    const [refresh, simulate, download, keep, kept, install, rollBack] = said;
    for (const one of [refresh, simulate, download, keep, install, rollBack]) {
      expect(one?.judged, one?.output).toEqual({ ok: true });
    }
    expect(simulate?.simulated).toMatchObject({
      changed: [
        { name: 'acme-libs', arch: 'x86_64', from: '1.0-1.el9', to: '1.1-1.el9' },
        { name: 'acme-sleep', arch: 'x86_64', from: '1:1.0-1.el9', to: '1:1.1-1.el9' },
      ],
      removed: [],
    });
    expect(simulate?.downloaded_bytes).toBe(0);
    expect(download?.downloaded_bytes).toBeGreaterThan(20_000);
    expect(download?.versions['acme-sleep:x86_64']).toBe('1:1.0-1.el9');
    expect(download?.shipped).toEqual([
      ['acme-sleep', 2],
      ['acme-libs', 1],
    ]);
    expect(kept).toMatchObject({
      files: ['acme-libs-1.0-1.el9.x86_64.rpm', 'acme-sleep-1%3a1.0-1.el9.x86_64.rpm'],
      try: { ok: true },
      configuration: ['/etc/acme.conf'],
    });
    expect(kept?.offered?.toSorted()).toEqual(['acme-libs:x86_64', 'acme-sleep:x86_64']);
    expect(install?.versions).toMatchObject({
      'acme-sleep:x86_64': '1:1.1-1.el9',
      'acme-libs:x86_64': '1.1-1.el9',
    });
    expect(rollBack?.versions).toMatchObject({
      'acme-sleep:x86_64': '1:1.0-1.el9',
      'acme-libs:x86_64': '1.0-1.el9',
    });
    expect(said.every((one) => one.unfinished.length === 0)).toBe(true);
    expect(out.get('requests')).toMatch(/^http:\/\/repo\.lab\/lab\/repodata\/repomd\.xml$/mu);
    expect(out.get('requests')).toMatch(/acme-sleep-1\.1-1\.el9\.x86_64\.rpm/u);
  });

  test('a package that would come newly is seen, comes when it is ordered, and goes again', () => {
    const [alone, simulate, , , , install, rollBack] = read(out, 'dependency');
    expect(alone?.judged).toMatchObject({ ok: false, failure: 'plan_differs' });
    expect(alone?.judged?.message).toContain(`${dependency}.x86_64 2.0-3.el9 would be newly installed`);
    expect(alone?.exit).toBe(0);
    expect(simulate?.judged, simulate?.output).toEqual({ ok: true });
    expect(install?.judged, install?.output).toEqual({ ok: true });
    expect(install?.versions).toMatchObject({
      'acme-sleep:x86_64': '1:1.2-1.el9',
      [`${dependency}:x86_64`]: '2.0-3.el9',
    });
    expect(rollBack?.judged, rollBack?.output).toEqual({ ok: true });
    expect(rollBack?.versions['acme-sleep:x86_64']).toBe('1:1.0-1.el9');
    expect(rollBack?.versions[`${dependency}:x86_64`]).toBeUndefined();
  });

  test('what a package obsoletes goes only when it is ordered, and comes again', () => {
    const [alone, simulate, , , , install, rollBack] = read(out, 'obsoletes');
    expect(alone?.judged).toMatchObject({ ok: false, failure: 'plan_differs' });
    expect(alone?.judged?.message).toContain('acme-old.x86_64 would be removed');
    expect(simulate?.judged, simulate?.output).toEqual({ ok: true });
    expect(install?.judged, install?.output).toEqual({ ok: true });
    expect(install?.versions['acme-old:x86_64']).toBeUndefined();
    expect(rollBack?.judged, rollBack?.output).toEqual({ ok: true });
    expect(rollBack?.versions).toMatchObject({
      'acme-old:x86_64': '1-1',
      'acme-obsoleter:x86_64': '1.0-1.el9',
    });
  });

  test('names why it cannot be done', () => {
    const said = read(out, 'refused');
    expect(said.map((one) => [one.step, one.judged?.failure])).toEqual([
      ['simulate', 'dependency_conflict'],
      ['simulate', 'version_not_available'],
      ['download', 'hash_mismatch'],
      ['download', 'version_not_available'],
      ['download', 'signature_invalid'],
      ['keep', 'version_not_available'],
    ]);
  });

  test('scripts that fail are seen, also where rpm goes on after them', () => {
    const [, post, pre, configured] = read(out, 'scripts');
    expect(post?.judged).toMatchObject({ ok: false, failure: 'maintainer_script_failed' });
    expect(post?.judged?.message).toContain('%post(acme-post-1.1-1.el9.x86_64)');
    expect(post?.versions['acme-post:x86_64']).toBe('1.1-1.el9');
    expect(pre?.judged).toMatchObject({ ok: false, failure: 'maintainer_script_failed' });
    expect(pre?.versions['acme-pre:x86_64']).toBe('1.0-1.el9');
    expect(configured?.versions['acme-pre:x86_64']).toBe('1.0-1.el9');
  });

  test('a kernel comes beside the earlier one, and goes again', () => {
    const [simulate, , , , install, rollBack] = read(out, 'kernel');
    expect(simulate?.judged, simulate?.output).toEqual({ ok: true });
    expect(install?.judged, install?.output).toEqual({ ok: true });
    expect(install?.versions['kernel-core:x86_64']).toBe('5.14.0-2.el9');
    expect(install?.unfinished).toEqual([]);
    expect(rollBack?.judged, rollBack?.output).toEqual({ ok: true });
    expect(rollBack?.versions['kernel-core:x86_64']).toBe('5.14.0-1.el9');
  });

  test('a transaction that was killed is seen and brought to its end without network', () => {
    const [state, configured, completed] = read(out, 'after-kill');
    expect(state?.unfinished).toEqual(['acme-slow:x86_64']);
    expect(configured?.unfinished, configured?.output).toEqual([]);
    expect(completed?.versions, completed?.output).toMatchObject({
      'acme-slow:x86_64': '1.1-1.el9',
      'acme-libs:x86_64': '1.1-1.el9',
    });
    // The script that was cut off ran again, to its end.
    expect(out.get('slow')).toContain('done');
    const installed = (out.get('installed') ?? '').split('\n').filter((line) => line.startsWith('acme-'));
    expect(new Set(installed.map((line) => line.replace(/-[^-]+-[^-]+$/u, ''))).size).toBe(installed.length);
  });
});
