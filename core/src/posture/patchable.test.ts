import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { patchId } from '../knowledge/patch.ts';
import { bestPatches } from '../risk/best-patches.ts';
import { riskRemoved } from '../risk/risk-removed.ts';
import type { AssetFacts, SoftwareFacts, VerdictFacts } from './facts.ts';
import { Fleet } from './fleet.ts';
import { assetFacts, softwareFacts, start, vulnerabilityFacts, vulnerabilityIds } from './test-fleets.ts';
import {
  candidatesOf,
  closedInOrder,
  closes,
  patchableBy,
  patchableFleet,
  type PatchableFleet,
  type PatchableLimits,
} from './patchable.ts';
import { fleetPatches } from './patches.ts';
import { atOnce } from './select/selection.ts';

const blocking = [
  { key: 'm1@d1', vulnerability: 'CVE-2024-2', ecosystem: 'debian', release: null, package: 'openssl' },
];
const everything: PatchableLimits = { assets: 1000, profiles: 1000 };
const profiled = (fleet: Fleet, limits = everything): PatchableFleet =>
  atOnce(patchableFleet(fleet, fleet.assets.live, limits));

const count = 9;
const fleets = fc
  .tuple(
    fc.tuple(...Array.from({ length: count }, (_, index) => softwareFacts(index + 1))),
    fc.tuple(...vulnerabilityIds.map(vulnerabilityFacts)),
    fc.tuple(...Array.from({ length: 7 }, (_, index) => assetFacts(index + 1, count))),
  )
  .map(([software, vulnerabilities, assets]) => {
    const fleet = new Fleet();
    fleet.apply({ software, vulnerabilities, mitigations: blocking }, { now: start, more: true });
    // An installed kernel that does not run opens no finding; what is installed is asked by the definition below.
    fleet.apply({ assets: assets.map((asset) => ({ ...asset, inert: [] })) }, { now: start });
    return fleet;
  });

const verdict = (vulnerability: string, fixedVersion: string | null): VerdictFacts => ({
  vulnerability,
  verdict: 'vulnerable',
  fixState: fixedVersion === null ? 'none_yet' : 'available',
  fixedVersion,
  update: null,
  since: start,
});
const software = (id: number, name: string, verdicts: readonly VerdictFacts[]): SoftwareFacts => ({
  id,
  ecosystem: 'debian',
  release: '12',
  name,
  version: `1.${String(id)}`,
  arch: 'amd64',
  source: name,
  origin: 'distribution',
  vendor: null,
  package: name.startsWith('linux') ? 'linux' : name,
  kernel: name.startsWith('linux-image'),
  verdicts,
});
const [plainAsset] = fc.sample(assetFacts(2, 6), { seed: 1, numRuns: 1 });
const asset = (id: number, ids: readonly number[], more: Partial<AssetFacts> = {}): AssetFacts => {
  if (plainAsset === undefined) throw new Error('no asset');
  return {
    ...plainAsset,
    id,
    uid: `00000000-0000-4000-8000-${String(id).padStart(12, '0')}`,
    retired: false,
    os: 'debian',
    criticalitySet: 5,
    software: ids,
    since: ids.map(() => 1),
    inert: [],
    nextKernel: null,
    stale: [],
    mitigations: [],
    remediatedBefore: [],
    firstSeen: {},
    ...more,
  };
};
const fleetOf = (all: readonly SoftwareFacts[], assets: readonly AssetFacts[]): Fleet => {
  const fleet = new Fleet();
  fleet.apply({ software: all, assets }, { now: start });
  return fleet;
};

describe('profiles of the fleet', () => {
  test('have the risk of its assets, and close what each patch says that it closes', () => {
    fc.assert(
      fc.property(fleets, (fleet) => {
        const all = profiled(fleet);
        expect(all.profiles.reduce((sum, { alike }) => sum + alike, 0)).toBe(fleet.assets.live.size);
        const patches = atOnce(fleetPatches(fleet)).all;
        const assets = patchableBy(all, patches);
        let risk = 0;
        for (const one of fleet.assets.live) risk += fleet.risk(one);
        const { before, after } = riskRemoved(
          assets,
          patches.map(({ id }) => id),
        );
        expect(before).toBeCloseTo(risk, 0);
        expect(after).toBeGreaterThanOrEqual(-1e-9);
        // Each patch first in the order closes all that it closes.
        for (const patch of patches) {
          const [closed] = closedInOrder(all, [patch]);
          expect([patch.id, closed?.findings, closed?.assets]).toEqual([
            patch.id,
            patch.findings(),
            patch.assets().size,
          ]);
        }
        // In any order nothing is closed twice.
        const once = closedInOrder(all, patches).reduce((sum, { findings }) => sum + findings, 0);
        const again = closedInOrder(all, patches.toReversed()).reduce((sum, one) => sum + one.findings, 0);
        expect(once).toBe(again);
      }),
      { numRuns: 60 },
    );
  });

  test('candidates close all that any patch closes', () => {
    fc.assert(
      fc.property(fleets, (fleet) => {
        const all = profiled(fleet);
        const candidates = candidatesOf(all.requirements);
        expect(new Set(candidates.map(({ patch }) => patch)).size).toBe(candidates.length);
        for (const needed of all.requirements)
          expect(candidates.some((patch) => closes(patch, needed))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('assets that are alike are one, those of another criticality or status are not', () => {
    const openssl = software(1, 'openssl', [verdict('CVE-1', '2.0')]);
    const fleet = fleetOf(
      [openssl],
      [asset(1, [1]), asset(2, [1]), asset(3, [1], { criticalitySet: 1 }), asset(4, [])],
    );
    const { profiles, requirements, sample } = profiled(fleet);
    expect(profiles.map(({ alike, criticality, findings }) => [alike, criticality, findings.length])).toEqual(
      [
        [2, 5, 1],
        [1, 1, 1],
        [1, 5, 0],
      ],
    );
    expect(requirements.map(patchId)).toEqual(['debian:12/openssl@2.0']);
    expect(sample).toBeNull();
  });
});

describe('what a finding needs', () => {
  test('the newest fix of all packages that carry it, and nothing where one has no fix', () => {
    const fleet = fleetOf(
      [
        software(1, 'openssl', [verdict('CVE-1', '2.0'), verdict('CVE-2', '2.0')]),
        { ...software(2, 'openssl', [verdict('CVE-1', '10.0'), verdict('CVE-2', null)]), name: 'libssl' },
      ],
      [asset(1, [1, 2])],
    );
    const { profiles, requirements } = profiled(fleet);
    expect(profiles[0]?.findings.map(({ vulnerability, needs }) => [vulnerability, needs])).toEqual([
      ['CVE-1', 0],
      ['CVE-2', -1],
    ]);
    expect(requirements).toMatchObject([{ package: 'openssl', version: '10.0', reboots: false }]);
  });

  test('what still runs of replaced software is closed by a restart, not by a patch', () => {
    const fleet = fleetOf(
      [software(1, 'openssl', [verdict('CVE-1', '2.0')])],
      [asset(1, [], { stale: [{ software: 1, since: 1, kind: 'process' }] })],
    );
    const { profiles, requirements } = profiled(fleet);
    expect(profiles[0]?.findings).toMatchObject([{ status: 'restart_pending', needs: -1 }]);
    expect(requirements).toEqual([]);
  });

  test('of packages only the newest version is chosen from; of kernels each, since it reboots other assets', () => {
    const kernel = (id: number, fixed: string) =>
      software(id, `linux-image-6.1.0-${String(id)}-amd64`, [verdict(`CVE-${String(id)}`, fixed)]);
    const fleet = fleetOf(
      [
        software(1, 'curl', [verdict('CVE-1', '8.1')]),
        software(2, 'curl', [verdict('CVE-1', '8.1'), verdict('CVE-2', '8.2')]),
        kernel(3, '6.1.3'),
        kernel(4, '6.1.4'),
        // Of the same source as the kernel, and of the same fix.
        software(5, 'linux-libc-dev', [verdict('CVE-5', '6.1.4')]),
      ],
      [asset(1, [1, 3]), asset(2, [2, 4]), asset(3, [5])],
    );
    expect(candidatesOf(profiled(fleet).requirements)).toMatchObject([
      { patch: 'debian:12/curl@8.2', reboots: false, minutes: 2 },
      { patch: 'debian:12/linux@6.1.3', reboots: true, minutes: 5 },
      { patch: 'debian:12/linux@6.1.4', reboots: true, minutes: 5 },
    ]);
  });

  test('an update of Windows closes what names it, and reboots when it says so', () => {
    const update = (id: string, restart: boolean): VerdictFacts => ({
      ...verdict(`CVE-${id}`, '10.0.1'),
      update: { id, build: '10.0.2', restart },
    });
    const windows: SoftwareFacts = {
      ...software(1, 'Windows 11', [update('5000001', true), update('5000002', false)]),
      ecosystem: 'windows',
      release: '',
    };
    const fleet = fleetOf([windows], [asset(1, [1], { os: 'windows' })]);
    expect(candidatesOf(profiled(fleet).requirements)).toMatchObject([
      { patch: 'windows:/5000001@10.0.2', reboots: true, minutes: 30 },
      { patch: 'windows:/5000002@10.0.2', reboots: false, minutes: 30 },
    ]);
  });
});

describe('a fleet of too many kinds', () => {
  const names = Array.from({ length: 200 }, (_, index) => `p${String(index)}`);
  const all = names.map((name, index) => software(index + 1, name, [verdict('CVE-1', '9')]));
  const assets = names.flatMap((_, index) => [
    asset(2 * index + 1, [index + 1], { criticalitySet: index % 10 === 0 ? 5 : 2 }),
    asset(2 * index + 2, [index + 1], { criticalitySet: 2, osRelease: '13' }),
  ]);
  const fleet = fleetOf(all, assets);
  test('is sampled evenly by system, release and criticality, and says so', () => {
    for (const [limits, why] of [
      [{ assets: 1000, profiles: 50 }, 'too_many_profiles'],
      [{ assets: 100, profiles: 50 }, 'too_many_assets'],
    ] as const) {
      const { profiles, sample } = profiled(fleet, limits);
      expect(sample).toEqual({ assets: 51, of: 400, strata: 3, why });
      expect(profiles.reduce((sum, { alike }) => sum + alike, 0)).toBeCloseTo(400, 6);
      const critical = profiles.filter(({ criticality }) => criticality === 5);
      expect(critical.reduce((sum, { alike }) => sum + alike, 0)).toBeCloseTo(20, 6);
    }
    expect(profiled(fleet, { assets: 100, profiles: 50 })).toEqual(
      profiled(fleet, { assets: 100, profiles: 50 }),
    );
  });
  test('is not where it fits', () => {
    expect(profiled(fleet, { assets: 400, profiles: 400 })).toMatchObject({ sample: null, assets: 400 });
  });
});

test('overlapping fixes are not counted twice on the way from the fleet to the choice', () => {
  const both = [verdict('CVE-1', '2')];
  const fleet = fleetOf([software(1, 'a', both), software(2, 'b', both)], [asset(1, [1, 2]), asset(2, [1])]);
  const all = profiled(fleet);
  const candidates = candidatesOf(all.requirements);
  const best = bestPatches(patchableBy(all, candidates), candidates, { packages: 2 });
  expect(best.removed).toBeCloseTo(best.before, 9);
  expect(best.patches.map(({ patch }) => patch)).toEqual(['debian:12/a@2', 'debian:12/b@2']);
  // One vulnerability that two packages carry is there until both are patched: half of the risk goes with the second.
  expect(best.patches[0]?.removed).toBeCloseTo(best.before / 2, 9);
  expect(closedInOrder(all, candidates)).toMatchObject([{ findings: 2 }, { findings: 1 }]);
});
