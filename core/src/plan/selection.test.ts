import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Candidate, InstalledPackage } from '../inventory/inventory.ts';
import { offeredVersions } from '../match/offered.ts';
import { makePlan, type PlanRules } from './make-plan.ts';
import type { Plan, PlanAsset, PlanPatch } from './plan.ts';
import { isDenialPattern } from './rules.ts';

const now = Date.parse('2026-01-02T03:04:05Z');
const product = { ecosystem: 'debian', release: '12' };
const patch = (name: string, version: string): PlanPatch => ({
  id: `debian:12/${name}@${version}`,
  ...product,
  package: name,
  version,
});
const installed = (name: string, version: string, source = name): InstalledPackage => ({
  name,
  arch: 'amd64',
  version,
  source,
  source_version: version,
});
const candidate = (name: string, version: string, source = name, requires?: string[]): Candidate => ({
  ...installed(name, version, source),
  repository: 'bookworm-security/main',
  download_bytes: 100,
  ...(requires === undefined ? {} : { requires }),
});
type AssetInventory = NonNullable<PlanAsset['inventory']>;
const asset = (inventory: Partial<AssetInventory>, findings: PlanAsset['findings'] = []): PlanAsset => ({
  uid: '11111111-1111-4111-8111-111111111111',
  hostname: 'web-1',
  mode: 'manage',
  retired: false,
  excludedByJob: null,
  taskUnderWay: false,
  lastSeenAt: new Date(now).toISOString(),
  inventory: { product, packages: [], candidates: [], held: [], ...inventory },
  findings,
});
const web = asset(
  {
    packages: [installed('libssl3', '3.0.17', 'openssl'), installed('curl', '7.1'), installed('bash', '5')],
    candidates: [candidate('libssl3', '3.0.22', 'openssl'), candidate('curl', '7.2')],
  },
  [{ vulnerability: 'CVE-1', source: 'openssl', status: 'open', fixedVersion: '3.0.20' }],
);
const openssl = patch('openssl', '3.0.20');
const plan = (one: PlanAsset, patches: readonly PlanPatch[], rules: PlanRules = {}): Plan =>
  makePlan({ id: 'job' }, patches, [one], now, undefined, rules);
const packagesOf = (made: Plan): string[] | undefined =>
  made.tasks[0]?.packages.map((p) => `${p.name} ${p.from} → ${p.to}`);
const why = (made: Plan): string => made.excluded.map((one) => one.reason).join();

describe('what a job never touches', () => {
  test('the newest that supersedes is taken, and what supersedes may itself be denied', () => {
    expect(plan(web, [openssl]).tasks[0]?.patches).toEqual(['debian:12/openssl@3.0.22']);
    const deny = (pattern: string) => plan(web, [openssl], { denied: [{ pattern, reason: 'it breaks' }] });
    expect(why(deny('debian:12/openssl@3.0.22'))).toBe('patch_denied');
    expect(deny('*/libssl*@*').excluded[0]?.message).toContain('it breaks');
    // the one that was asked for is bad, and the one that is taken is another
    expect(why(deny('debian:12/openssl@3.0.20'))).toBe('');
    expect(why(deny('debian:13/openssl@*'))).toBe('');
  });

  test.each<[string, PlanRules['touch'], string]>([
    ['by source', { exclude_packages: ['openssl'] }, 'package_excluded'],
    ['by pattern of the binary', { exclude_packages: ['libssl?'] }, 'package_excluded'],
    ['another', { exclude_packages: ['curl'] }, ''],
    ['pinned where it is', { pins: [{ package: 'libssl3', version: '3.0.17' }] }, 'pinned'],
    ['pinned between', { pins: [{ package: 'openssl', version: '3.0.21' }] }, 'pinned'],
    ['pinned to what is offered', { pins: [{ package: 'openssl', version: '3.0.22' }] }, ''],
  ])('%s', (_, touch, reason) => {
    expect(why(plan(web, [openssl], { touch: touch ?? {} }))).toBe(reason);
  });

  test('one of two patches is left out with a warning, and the other goes on', () => {
    const made = plan(web, [openssl, patch('curl', '7.2')], { touch: { exclude_packages: ['curl'] } });
    expect(packagesOf(made)).toEqual(['libssl3 3.0.17 → 3.0.22']);
    expect(made.warnings).toContain('web-1 does not get debian:12/curl@7.2: the job never touches curl');
  });

  test('what may be a pattern', () => {
    for (const good of [
      'debian:12/openssl@3.0.22-1~deb12u2',
      '*/postgresql-*@*',
      'debian:*/linux@6.1.*',
      'mitigation:sshd-login-grace-time',
    ])
      expect(isDenialPattern(good), good).toBe(true);
    for (const bad of ['openssl', 'debian:12/openssl', '/x@1', 'debian:12/a b@1', '*', 'debian:12/@1'])
      expect(isDenialPattern(bad), bad).toBe(false);
  });
});

describe('criteria', () => {
  const criteria = (patches: readonly PlanPatch[], everythingNewer = false): PlanRules => ({
    criteria: { patches, everythingNewer },
  });
  test('of several versions the newest that can be had; where that cannot, an older one', () => {
    const both = criteria([openssl, patch('openssl', '3.0.22')]);
    expect(packagesOf(plan(web, [], both))).toEqual(['libssl3 3.0.17 → 3.0.22']);
    const made = plan(web, [], criteria([openssl, patch('openssl', '3.0.99')]));
    expect(packagesOf(made)).toEqual(['libssl3 3.0.17 → 3.0.22']);
    expect(made.warnings.join()).toContain('does not get debian:12/openssl@3.0.99');
  });
  test('an asset that needs none of it says so in one sentence', () => {
    const made = plan(web, [], criteria([patch('zlib', '1'), patch('nginx', '2'), patch('bash', '4')]));
    expect(made.excluded).toMatchObject([
      { reason: 'already_fixed', message: 'no patch closes a vulnerability of the criteria on this asset' },
    ]);
    expect(made.warnings).toEqual([]);
  });
  test('everything newer: also what no vulnerability is known of, but not what is held, excluded or pinned', () => {
    expect(packagesOf(plan(web, [], criteria([openssl], true)))).toEqual([
      'curl 7.1 → 7.2',
      'libssl3 3.0.17 → 3.0.22',
    ]);
    const held = asset({ ...web.inventory, held: ['curl'] });
    expect(packagesOf(plan(held, [], criteria([], true)))).toEqual(['libssl3 3.0.17 → 3.0.22']);
    const touch = { exclude_packages: ['openssl'] };
    const made = plan(web, [], { ...criteria([], true), touch });
    expect(packagesOf(made)).toEqual(['curl 7.1 → 7.2']);
    expect(made.tasks[0]?.patches).toEqual(['debian:12/curl@7.2']);
    expect(plan(asset({}), [], criteria([], true)).excluded).toMatchObject([{ reason: 'already_fixed' }]);
  });
  test('every vulnerability that everything newer closes is promised', () => {
    expect(plan(web, [], criteria([], true)).tasks[0]?.fixes).toEqual(['CVE-1']);
  });
});

describe('kernels', () => {
  const image = (abi: number, version: string) =>
    installed(`linux-image-6.1.0-${String(abi)}-amd64`, version, 'linux-signed-amd64');
  const meta = installed('linux-image-amd64', '6.1.106-3', 'linux-signed-amd64');
  const newMeta = candidate('linux-image-amd64', '6.1.174-1', 'linux-signed-amd64', [
    'linux-image-6.1.0-49-amd64 (= 6.1.174-1)',
  ]);
  const linux = patch('linux', '6.1.170-1');
  const finding = { vulnerability: 'CVE-9', source: 'linux', status: 'open', fixedVersion: '6.1.170-1' };
  const host = (over: Partial<AssetInventory> = {}): PlanAsset =>
    asset(
      { packages: [image(25, '6.1.106-3'), image(20, '6.1.85-1'), meta], candidates: [newMeta], ...over },
      [finding],
    );
  const added = [{ name: 'linux-image-6.1.0-49-amd64', arch: 'amd64', version: '6.1.174-1' }];

  test('a new kernel comes with its meta package, under the name that its dependency says', () => {
    const made = plan(host(), [linux]);
    expect(made.excluded).toEqual([]);
    expect(made.tasks).toMatchObject([
      {
        patches: ['debian:12/linux@6.1.174-1'],
        packages: [{ name: 'linux-image-amd64', from: '6.1.106-3', to: '6.1.174-1' }],
        added,
        fixes: ['CVE-9'],
      },
    ]);
    // what the dependency asks for comes along, so that is nothing to warn of
    expect(made.warnings).toEqual([]);
  });

  test('within one ABI the image is upgraded under its name, and older kernels stay', () => {
    const same = 'linux-image-6.1.0-25-amd64';
    const one = host({
      candidates: [
        candidate(same, '6.1.170-2', 'linux-signed-amd64'),
        candidate('linux-image-amd64', '6.1.170-2', 'linux-signed-amd64', [`${same} (= 6.1.170-2)`]),
      ],
    });
    const made = plan(one, [linux]);
    expect(packagesOf(made)).toEqual([
      'linux-image-6.1.0-25-amd64 6.1.106-3 → 6.1.170-2',
      'linux-image-amd64 6.1.106-3 → 6.1.170-2',
    ]);
    expect(made.tasks[0]?.added).toBeUndefined();
  });

  test.each<[string, PlanAsset, string]>([
    [
      'the new kernel is there and does not run yet',
      host({ packages: [image(25, '6'), image(49, '6.1.174-1'), meta] }),
      'already_fixed',
    ],
    ['nothing brings it', host({ packages: [image(25, '6.1.106-3')] }), 'not_offered'],
    [
      'only an older one is offered',
      host({
        candidates: [
          candidate('linux-image-amd64', '6.1.160-1', 'linux-signed-amd64', [
            'linux-image-6.1.0-40-amd64 (= 6.1.160-1)',
          ]),
        ],
      }),
      'not_offered',
    ],
    [
      'which one is not said',
      host({ candidates: [candidate('linux-image-amd64', '6.1.174-1', 'linux-signed-amd64')] }),
      'not_offered',
    ],
    ['the meta package is on hold', host({ held: ['linux-image-amd64'] }), 'package_held'],
    ['no kernel at all', host({ packages: [installed('bash', '5')] }), 'not_installed'],
  ])('%s: %s', (_, one, reason) => {
    expect(why(plan(one, [linux]))).toBe(reason);
  });

  test('the image is denied, pinned or excluded as anything else', () => {
    const denied = [{ pattern: 'debian:12/linux@6.1.174-1', reason: 'panics' }];
    expect(why(plan(host(), [linux], { denied }))).toBe('patch_denied');
    expect(why(plan(host(), [linux], { touch: { exclude_packages: ['linux-image-*'] } }))).toBe(
      'package_excluded',
    );
  });

  test('everything newer brings it too, once', () => {
    const made = plan(host(), [], { criteria: { patches: [linux], everythingNewer: true } });
    expect(packagesOf(made)).toEqual(['linux-image-amd64 6.1.106-3 → 6.1.174-1']);
    expect(made.tasks[0]?.added).toEqual(added);
    const alone = plan(host(), [], { criteria: { patches: [], everythingNewer: true } });
    expect(alone.tasks[0]?.added).toEqual(added);
    expect(alone.tasks[0]?.patches).toEqual(['debian:12/linux@6.1.174-1']);
  });

  test('it is offered where findings are explained', () => {
    expect(offeredVersions('debian', [newMeta])).toMatchObject([
      { package: 'linux', version: '6.1.174-1', repository: 'bookworm-security/main' },
    ]);
  });
});

describe('the policy of a host', () => {
  const policy = {
    digest: 'd',
    problem: null,
    patching: 'allow',
    forbidden_packages: [],
    hours: ['mon-fri 22:00-04:00'],
    reboot: 'forbid',
    reboot_hours: [],
    rollback: 'forbid',
    actions: [],
    probes: [],
    probe_targets: [],
  } as const;
  const policed = (over: object): PlanAsset =>
    asset({ ...web.inventory, policy: { ...policy, ...over } }, web.findings);

  test('what it forbids is left out before anybody is asked, and what it restricts is said', () => {
    for (const over of [
      { forbidden_packages: ['libssl*'] },
      { patching: 'forbid' },
      { problem: 'line 3 is not TOML' },
    ])
      expect(why(plan(policed(over), [openssl]))).toBe('host_policy');
    const touch = { reboot: { mode: 'force' }, rollback: { on: 'any_failure' } } as const;
    expect(plan(policed({}), [openssl], { touch }).warnings).toEqual([
      'web-1: its policy lets packages be changed only mon-fri 22:00-04:00 (local time)',
      'web-1: its policy forbids reboots: it waits for one by hand',
      'web-1: its policy forbids rollbacks',
    ]);
    const actions = { before: [{ name: 'drain', timeout_seconds: 1, on_failure: 'fail' }] } as const;
    expect(why(plan(policed({}), [openssl], { touch: { actions } }))).toBe('host_policy');
  });

  test('a host without a policy file runs no command that such a file would have to name', () => {
    const actions = { before: [{ name: 'drain', timeout_seconds: 1, on_failure: 'fail' }] } as const;
    expect(why(plan(web, [openssl], { touch: { actions } }))).toBe('host_policy');
    const probes = [{ kind: 'command', name: 'queue-empty', timeout_seconds: 1 }] as const;
    expect(plan(web, [openssl], { touch: { health: { probes } } }).warnings).toEqual([
      'web-1: its policy does not know the probe queue-empty',
    ]);
  });
});

test('what comes along without being named is said, unless the host is asked', () => {
  const one = asset({
    packages: [installed('app', '1')],
    candidates: [candidate('app', '2', 'app', ['libfresh (>= 2)'])],
  });
  expect(plan(one, [patch('app', '2')]).warnings[0]).toContain('libfresh (>= 2)');
  expect(plan(one, [patch('app', '2')], { willAsk: true }).warnings.join()).not.toContain('libfresh');
});

const anyName = fc.constantFrom('openssl', 'curl', 'bash', 'nginx');
const anyVersion = fc.constantFrom('1', '2', '3');
test('law: nothing that is excluded, denied or pinned elsewhere is planned, whatever is asked for', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.record({ name: anyName, from: anyVersion, to: anyVersion }), {
        selector: (p) => p.name,
      }),
      fc.uniqueArray(fc.record({ name: anyName, version: anyVersion }), { selector: (p) => p.name }),
      fc.record({
        excluded: fc.subarray(['curl', 'b*']),
        pins: fc.subarray([{ package: 'nginx', version: '2' }]),
        denied: fc.subarray([{ pattern: '*/openssl@3', reason: 'r' }]),
        everythingNewer: fc.boolean(),
        byCriteria: fc.boolean(),
      }),
      (software, wanted, { excluded, pins, denied, everythingNewer, byCriteria }) => {
        const one = asset({
          packages: software.map((p) => installed(p.name, p.from)),
          candidates: software.map((p) => candidate(p.name, p.to)),
        });
        const patches = wanted.map((p) => patch(p.name, p.version));
        const made = plan(one, byCriteria ? [] : patches, {
          touch: { exclude_packages: excluded, pins },
          denied,
          criteria: { patches: byCriteria ? patches : [], everythingNewer },
        });
        expect(made.tasks.length + made.excluded.length).toBe(1);
        const planned = made.tasks.flatMap((task) => task.packages);
        expect(new Set(planned.map((p) => p.name)).size).toBe(planned.length);
        for (const p of planned) {
          if (excluded.includes('curl')) expect(p.name).not.toBe('curl');
          if (excluded.includes('b*')) expect(p.name).not.toBe('bash');
          if (pins.length > 0 && p.name === 'nginx') expect(p.to).toBe('2');
          if (denied.length > 0 && p.name === 'openssl') expect(p.to).not.toBe('3');
        }
      },
    ),
    { numRuns: 300 },
  );
});
