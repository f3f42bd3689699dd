import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Candidate, InstalledPackage } from '../inventory/inventory.ts';
import { compareVersions } from '../version/version.ts';
import { makePlan } from './make-plan.ts';
import type { PlanAsset, PlanPatch } from './plan.ts';

const now = Date.parse('2026-01-02T03:04:05Z');
const job = { id: 'b3a1f1de-52a5-4c8e-8f9e-3a1e1e3a1e1e' };
const product = { ecosystem: 'debian', release: '12' };
const patch = (source: string, version: string, release = '12'): PlanPatch => ({
  id: `debian:${release}/${source}@${version}`,
  ecosystem: 'debian',
  release,
  package: source,
  version,
});
const installed = (
  name: string,
  version: string,
  source = 'openssl',
  sourceVersion = version,
): InstalledPackage => ({
  name,
  arch: 'amd64',
  version,
  source,
  source_version: sourceVersion,
});
const candidate = (
  name: string,
  version: string,
  source = 'openssl',
  sourceVersion = version,
): Candidate => ({
  ...installed(name, version, source, sourceVersion),
  repository: 'bookworm-security/main',
  download_bytes: 100,
});
const asset = (
  over: Partial<PlanAsset> & {
    packages?: InstalledPackage[];
    candidates?: Candidate[];
    held?: string[];
  } = {},
): PlanAsset => {
  const { packages, candidates, held, ...rest } = over;
  return {
    uid: '11111111-1111-4111-8111-111111111111',
    hostname: 'web-1',
    mode: 'manage',
    retired: false,
    excludedByJob: null,
    taskUnderWay: false,
    lastSeenAt: new Date(now).toISOString(),
    inventory: {
      product,
      packages: packages ?? [
        installed('libssl3', '3.0.17-1~deb12u2'),
        installed('openssl', '3.0.17-1~deb12u2'),
      ],
      candidates: candidates ?? [
        candidate('libssl3', '3.0.22-1~deb12u2'),
        candidate('openssl', '3.0.22-1~deb12u2'),
      ],
      held: held ?? [],
    },
    findings: [
      { vulnerability: 'CVE-1', source: 'openssl', status: 'open', fixedVersion: '3.0.20-1~deb12u1' },
    ],
    ...rest,
  };
};
const wanted = patch('openssl', '3.0.20-1~deb12u1');
const planOf = (one: PlanAsset, patches = [wanted]) => makePlan(job, patches, [one], now);

describe('makePlan', () => {
  test('every installed binary of the source, exact versions, the newer patch where one is offered', () => {
    const plan = planOf(asset());
    expect(plan.excluded).toEqual([]);
    expect(plan.tasks).toEqual([
      {
        asset_id: '11111111-1111-4111-8111-111111111111',
        hostname: 'web-1',
        patches: ['debian:12/openssl@3.0.22-1~deb12u2'],
        packages: ['libssl3', 'openssl'].map((name) => ({
          name,
          arch: 'amd64',
          from: '3.0.17-1~deb12u2',
          to: '3.0.22-1~deb12u2',
          source: 'openssl',
          source_version: '3.0.22-1~deb12u2',
        })),
        fixes: ['CVE-1'],
        download_bytes: 200,
      },
    ]);
    expect(plan.digest).toMatch(/^[0-9a-f]{64}$/u);
  });

  test('a package manager that was never tried is said of each asset that gets packages', () => {
    const of = (held: 'real' | 'recorded') => {
      const one = asset();
      if (one.inventory === null) throw new Error('no inventory');
      const packageManager = { name: 'dnf', held } as const;
      return planOf({ ...one, inventory: { ...one.inventory, packageManager } }).warnings;
    };
    expect(of('real')).toEqual([]);
    expect(of('recorded')).toEqual([
      'web-1: orders for its package manager (dnf) are held to recorded outputs only: they were never tried on a real one',
    ]);
  });

  test.each<[string, PlanAsset, string]>([
    ['retired', asset({ retired: true }), 'retired'],
    ['excluded by the job', asset({ excludedByJob: 'the job excludes it' }), 'excluded_by_job'],
    ['no inventory', asset({ inventory: null }), 'no_inventory'],
    ['assess only', asset({ mode: 'assess' }), 'assess_only'],
    ['busy', asset({ taskUnderWay: true }), 'task_under_way'],
    ['not installed', asset({ packages: [installed('bash', '5', 'bash')] }), 'not_installed'],
    ['fixed', asset({ packages: [installed('libssl3', '3.0.20-1~deb12u1')] }), 'already_fixed'],
    ['newer', asset({ packages: [installed('libssl3', '3.0.22-1~deb12u2')] }), 'already_fixed'],
    ['no repository has it', asset({ candidates: [] }), 'not_offered'],
    [
      'only an older one is offered',
      asset({ candidates: [candidate('libssl3', '3.0.18-1'), candidate('openssl', '3.0.18-1')] }),
      'not_offered',
    ],
    [
      'one binary of two is offered',
      asset({ candidates: [candidate('libssl3', '3.0.22-1~deb12u2')] }),
      'not_offered',
    ],
    [
      'from another source',
      asset({ candidates: [candidate('libssl3', '9', 'openssl9'), candidate('openssl', '9', 'openssl9')] }),
      'not_offered',
    ],
    ['held', asset({ held: ['libssl3'] }), 'package_held'],
    ['absurd version', asset({ packages: [installed('libssl3', 'not a version')] }), 'not_offered'],
  ])('%s', (_, one, reason) => {
    const plan = planOf(one);
    expect(plan.tasks).toEqual([]);
    expect(plan.excluded).toHaveLength(1);
    expect(plan.excluded[0]?.reason).toBe(reason);
    expect(plan.excluded[0]?.message).not.toBe('');
  });

  test('another release', () => {
    const plan = planOf(asset(), [patch('openssl', '3.5.1-1', '13')]);
    expect(plan.excluded[0]?.reason).toBe('other_release');
    const unknown = asset();
    expect(
      planOf({ ...unknown, inventory: unknown.inventory && { ...unknown.inventory, product: null } })
        .excluded[0]?.reason,
    ).toBe('other_release');
  });

  test('a binary version with an epoch or a binNMU of its own is judged by its source version', () => {
    const plan = planOf(
      asset({
        packages: [installed('libssl3', '1:9+b1', 'openssl', '3.0.17-1~deb12u2')],
        candidates: [candidate('libssl3', '1:9+b2', 'openssl', '3.0.20-1~deb12u1')],
      }),
    );
    expect(plan.tasks[0]?.packages).toEqual([
      expect.objectContaining({ from: '1:9+b1', to: '1:9+b2', source_version: '3.0.20-1~deb12u1' }),
    ]);
  });

  test('a vulnerability that stays in a package which the plan does not touch is warned about, not promised', () => {
    const plan = planOf(
      asset({
        findings: [
          { vulnerability: 'CVE-1', source: 'openssl', status: 'open', fixedVersion: '3.0.20-1~deb12u1' },
          { vulnerability: 'CVE-1', source: 'edk2', status: 'open', fixedVersion: null },
          { vulnerability: 'CVE-2', source: 'openssl', status: 'open', fixedVersion: '3.0.99-1' },
          { vulnerability: 'CVE-3', source: 'openssl', status: 'accepted', fixedVersion: '3.0.18-1' },
        ],
      }),
    );
    expect(plan.tasks[0]?.fixes).toEqual(['CVE-3']);
    expect(plan.warnings).toEqual(['web-1: CVE-1 is also in edk2, where this plan does not remove it']);
  });

  test('what one patch of several cannot do is a warning, and a patch that nobody needs too', () => {
    const plan = planOf(
      asset({
        packages: [installed('libssl3', '3.0.17-1'), installed('curl', '7.88.1-10+deb12u5', 'curl')],
        candidates: [candidate('libssl3', '3.0.22-1~deb12u2')],
      }),
      [wanted, patch('curl', '7.88.1-10+deb12u8'), patch('bash', '6')],
    );
    expect(plan.tasks).toHaveLength(1);
    expect(plan.warnings).toEqual([
      'web-1 does not get debian:12/curl@7.88.1-10+deb12u8: no repository of the asset offers curl:amd64 at source version 7.88.1-10+deb12u8 or newer',
      'no asset of the target gets debian:12/bash@6',
      'no asset of the target gets debian:12/curl@7.88.1-10+deb12u8',
    ]);
  });

  test('an asset not seen for long is planned, with a warning', () => {
    expect(planOf(asset({ lastSeenAt: null })).warnings).toEqual([
      'not seen for more than a day, and patched only when they return: web-1',
    ]);
  });
});

const version = fc.constantFrom('1.0-1', '1.0-2', '1.1-1~deb12u1', '1.1-1', '2:0.1-1', 'absurd version');
const source = fc.constantFrom('openssl', 'curl');
const anyPackage = fc.record({
  name: fc.constantFrom('libssl3', 'openssl', 'curl', 'libcurl4'),
  arch: fc.constantFrom('amd64', 'i386'),
  version,
  source,
  source_version: version,
});
const anyAsset: fc.Arbitrary<PlanAsset> = fc.record({
  uid: fc.uuid(),
  hostname: fc.constantFrom('a', 'b', 'c'),
  mode: fc.constantFrom('assess' as const, 'manage' as const, 'manage' as const),
  retired: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  excludedByJob: fc.integer({ min: 0, max: 9 }).map((n) => (n === 0 ? 'excluded' : null)),
  taskUnderWay: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  lastSeenAt: fc.constantFrom(null, '2026-01-02T03:00:00Z'),
  inventory: fc.option(
    fc.record({
      product: fc.constantFrom(product, product, { ecosystem: 'debian', release: '11' }),
      packages: fc.uniqueArray(anyPackage, { selector: (p) => `${p.name}:${p.arch}` }),
      candidates: fc.array(
        anyPackage.map((p) => Object.assign(p, { repository: 'r', download_bytes: 7 })),
        { maxLength: 12 },
      ),
      held: fc.subarray(['curl', 'openssl']),
    }),
    { freq: 9 },
  ),
  findings: fc.array(
    fc.record({
      vulnerability: fc.constantFrom('CVE-1', 'CVE-2', 'CVE-3'),
      source,
      status: fc.constantFrom('open', 'restart_pending', 'accepted'),
      fixedVersion: fc.option(version),
    }),
    { maxLength: 6 },
  ),
});
const anyPatches = fc
  .tuple(version, version)
  .map(([openssl, curl]) => [patch('openssl', openssl), patch('curl', curl)]);

describe('laws of plans', () => {
  test('every asset is planned or excluded, once; planned packages are upgrades to what is offered, held ones never', () => {
    fc.assert(
      fc.property(
        anyPatches,
        fc.uniqueArray(anyAsset, { selector: (a) => a.uid, maxLength: 6 }),
        (patches, assets) => {
          const plan = makePlan(job, patches, assets, now);
          const seen = [...plan.tasks, ...plan.excluded].map((one) => one.asset_id).sort();
          expect(seen).toEqual(assets.map((a) => a.uid).sort());
          for (const one of plan.tasks) {
            const of = assets.find((a) => a.uid === one.asset_id);
            expect(of?.mode).toBe('manage');
            expect(one.packages.length).toBeGreaterThan(0);
            for (const p of one.packages) {
              expect(compareVersions('dpkg', p.from, p.to)).toBe('less');
              expect(of?.inventory?.held).not.toContain(p.name);
              expect(
                of?.inventory?.candidates.some(
                  (c) => c.name === p.name && c.arch === p.arch && c.version === p.to,
                ),
              ).toBe(true);
              expect(
                of?.inventory?.packages.some(
                  (c) => c.name === p.name && c.arch === p.arch && c.version === p.from,
                ),
              ).toBe(true);
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test('same input in another order, same digest; the time of making is not part of it', () => {
    fc.assert(
      fc.property(
        anyPatches,
        fc.uniqueArray(anyAsset, { selector: (a) => a.uid, maxLength: 6 }),
        (patches, assets) => {
          const one = makePlan(job, patches, assets, now);
          const other = makePlan(job, patches.toReversed(), assets.toReversed(), now + 1000);
          expect(other.digest).toBe(one.digest);
          expect(makePlan({ id: 'other' }, patches, assets, now).digest).not.toBe(one.digest);
        },
      ),
      { numRuns: 300 },
    );
  });
});
