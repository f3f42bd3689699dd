import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { HostPolicy } from '../host-policy/policy.ts';
import type { Candidate, InstalledPackage } from '../inventory/inventory.ts';
import { mergeSimulations, type AskedAsset, type MergeRules, type Simulation } from './merge-simulations.ts';
import { obstacleKinds, type Plan, type PlannedTask } from './plan.ts';
import { deniedBy, patchIdsOf } from './rules.ts';
import { sealedPlan } from './seal.ts';

const now = Date.parse('2026-01-02T03:04:05Z');
const uid = '11111111-1111-4111-8111-111111111111';
const product = { ecosystem: 'debian', release: '12' };
const planned = {
  name: 'libssl3',
  arch: 'amd64',
  from: '1',
  to: '2',
  source: 'openssl',
  source_version: '2',
};
const task: PlannedTask = {
  asset_id: uid,
  hostname: 'web-1',
  patches: ['debian:12/openssl@2'],
  packages: [planned],
  fixes: ['CVE-1'],
  download_bytes: 100,
};
const base = (tasks: readonly PlannedTask[] = [task]): Plan =>
  sealedPlan({ format: 1, job_id: 'job', tasks, excluded: [], warnings: [] }, now);
const installed = (name: string, version: string, source = name): InstalledPackage => ({
  name,
  arch: 'amd64',
  version,
  source,
  source_version: version,
});
const candidate = (name: string, version: string, source = name): Candidate => ({
  ...installed(name, version, source),
  repository: 'r',
  download_bytes: 1,
});
const simulation: Simulation = {
  at: '2026-01-02T03:04:00Z',
  upgraded: [{ name: 'libssl3', arch: 'amd64', from: '1', to: '2' }],
  added: [],
  removed: [],
  download_bytes: 250,
  disk_bytes: 10,
  disk_free_bytes: 1_000_000,
  restarts: ['nginx.service'],
  reboot: false,
  rollback: { possible: true, reasons: [] },
  obstacles: [],
  remarks: [],
};
const rules: MergeRules = { touch: {}, denied: [], unanswered: 'leave_out' };
const asked = (
  changes: Partial<Simulation> | null,
  asset: { held?: string[]; candidates?: Candidate[]; policy?: HostPolicy } = {},
): ReadonlyMap<string, AskedAsset> =>
  new Map([
    [
      uid,
      {
        asset: {
          mode: 'manage',
          retired: false,
          inventory: {
            product,
            packages: [installed('libssl3', '1', 'openssl'), installed('nginx', '1'), installed('old', '1')],
            candidates: asset.candidates ?? [
              candidate('libssl3', '2', 'openssl'),
              candidate('nginx', '2', 'nginx'),
            ],
            held: asset.held ?? [],
            ...(asset.policy === undefined ? {} : { policy: asset.policy }),
          },
        },
        simulation: changes === null ? null : { ...simulation, ...changes },
      },
    ],
  ]);
const merge = (answers: ReadonlyMap<string, AskedAsset>, changes: Partial<MergeRules> = {}) =>
  mergeSimulations(base(), answers, { ...rules, ...changes }, now);
const reasonOf = (plan: Plan): string => plan.excluded.map((one) => one.reason).join();
const along = { upgraded: [...simulation.upgraded, { name: 'nginx', arch: 'amd64', from: '1', to: '2' }] };

describe('what the solver says becomes the task', () => {
  test('as asked: the prediction, and the true download', () => {
    const plan = merge(asked({}));
    expect(plan.excluded).toEqual([]);
    expect(plan.tasks).toEqual([
      {
        ...task,
        download_bytes: 250,
        prediction: {
          simulated_at: simulation.at,
          download_bytes: 250,
          disk_bytes: 10,
          disk_free_bytes: 1_000_000,
          restarts: ['nginx.service'],
          reboot: false,
          rollback: { possible: true, reasons: [] },
          remarks: [],
        },
      },
    ]);
    expect(plan.digest).not.toBe(base().digest);
  });

  test('what is upgraded along is planned too, under its own patch; what is added is named', () => {
    const added = [{ name: 'libnew1', arch: 'amd64', version: '1' }];
    const [only] = merge(asked({ ...along, added })).tasks;
    expect(only?.packages.map((p) => `${p.name} ${p.source} ${p.source_version}`)).toEqual([
      'libssl3 openssl 2',
      'nginx nginx 2',
    ]);
    expect(only?.patches).toEqual(['debian:12/nginx@2', 'debian:12/openssl@2']);
    expect(only?.added).toEqual(added);
  });

  test('a removal only when the job allows it', () => {
    const removed = [{ name: 'old', arch: 'amd64', version: '1' }];
    expect(reasonOf(merge(asked({ removed })))).toBe('removal_not_allowed');
    const plan = merge(asked({ removed }), { touch: { allow_removals: true } });
    expect(plan.tasks[0]?.removed).toEqual(removed);
    const touch = { allow_removals: true, exclude_packages: ['o*'] };
    expect(reasonOf(merge(asked({ removed }), { touch }))).toBe('package_excluded');
    expect(reasonOf(merge(asked({ removed }, { held: ['old'] }), { touch: { allow_removals: true } }))).toBe(
      'package_held',
    );
  });

  test('what is installed beside the old one under its name, as kernels of RPM are, is what was asked for', () => {
    const plan = merge(asked({ upgraded: [], added: [{ name: 'libssl3', arch: 'amd64', version: '2' }] }));
    expect(plan.tasks[0]?.packages).toEqual([planned]);
    expect(plan.tasks[0]?.added).toBeUndefined();
  });

  test('a task without packages is not asked about', () => {
    const mitigated = { ...task, packages: [], patches: ['mitigation:x'] };
    const plan = mergeSimulations(base([mitigated]), asked(null), rules, now);
    expect(plan.tasks).toEqual([mitigated]);
  });
});

describe('who is left out, with the reason', () => {
  test.each(obstacleKinds)('%s', (kind) => {
    const plan = merge(asked({ obstacles: [{ kind, message: 'why' }] }));
    expect(plan.tasks).toEqual([]);
    expect(plan.excluded[0]?.message).toBe('why');
    const expected: Partial<Record<string, string>> = {
      version_not_available: 'not_offered',
      lock_held: 'not_simulated',
      other: 'not_simulated',
    };
    expect(plan.excluded[0]?.reason).toBe(expected[kind] ?? kind);
    expect(plan.warnings.join()).toContain('no asset of the target gets debian:12/openssl@2');
  });

  const forbids: HostPolicy = {
    digest: 'd',
    problem: null,
    patching: 'allow',
    forbidden_packages: ['nginx'],
    hours: [],
    reboot: 'allow',
    reboot_hours: [],
    rollback: 'allow',
    actions: [],
    probes: [],
    probe_targets: [],
  };
  test.each<[string, ReadonlyMap<string, AskedAsset>, Partial<MergeRules>, string]>([
    ['no answer', asked(null), {}, 'not_simulated'],
    ['not even asked', new Map(), {}, 'not_simulated'],
    ['excluded by name', asked(along), { touch: { exclude_packages: ['nginx'] } }, 'package_excluded'],
    ['excluded by source', asked({}), { touch: { exclude_packages: ['openssl'] } }, 'package_excluded'],
    ['pinned', asked(along), { touch: { pins: [{ package: 'nginx', version: '1.5' }] } }, 'pinned'],
    ['denied', asked(along), { denied: [{ pattern: '*/nginx@2', reason: 'bad' }] }, 'patch_denied'],
    [
      'denied, new package',
      asked({ added: [{ name: 'libnew1', arch: 'amd64', version: '1' }] }),
      { denied: [{ pattern: '*/libnew*@*', reason: 'bad' }] },
      'patch_denied',
    ],
    ['held', asked(along, { held: ['nginx'] }), {}, 'package_held'],
    ['policy', asked(along, { policy: forbids }), {}, 'host_policy'],
    [
      'no rollback',
      asked({ rollback: { possible: false, reasons: [{ package: 'libssl3', message: 'gone' }] } }),
      { touch: { rollback: { on: 'any_failure', required: true } } },
      'rollback_not_possible',
    ],
    [
      'no snapshot',
      asked({ rollback: { possible: true, reasons: [] } }),
      { touch: { rollback: { on: 'by_hand', method: 'snapshot', required: true } } },
      'rollback_not_possible',
    ],
    ['would not', asked({ upgraded: [] }), {}, 'dependency_conflict'],
    [
      'another version',
      asked({ upgraded: [{ name: 'libssl3', arch: 'amd64', from: '1', to: '3' }] }),
      {},
      'dependency_conflict',
    ],
    [
      'changed since',
      asked({ upgraded: [{ name: 'libssl3', arch: 'amd64', from: '1.5', to: '2' }] }),
      {},
      'not_simulated',
    ],
    [
      'a downgrade comes along',
      asked({
        upgraded: [...simulation.upgraded, { name: 'nginx', arch: 'amd64', from: '2', to: '1' }],
      }),
      {},
      'dependency_conflict',
    ],
  ])('%s', (_, answers, changes, reason) => {
    const plan = merge(answers, changes);
    expect(plan.tasks).toEqual([]);
    expect(reasonOf(plan)).toBe(reason);
  });

  test('who did not answer is kept when that is wanted, and said', () => {
    const plan = merge(asked(null), { unanswered: 'keep' });
    expect(plan.tasks).toEqual([task]);
    expect(plan.warnings).toEqual(['web-1: it has not answered what would really happen']);
  });

  test('a pin to the very version, and a rollback that is possible, keep nobody out', () => {
    const touch = {
      pins: [{ package: 'nginx', version: '2' }],
      rollback: { on: 'any_failure', required: true },
    } as const;
    expect(merge(asked(along), { touch }).excluded).toEqual([]);
  });
});

const names = fc.constantFrom('libssl3', 'nginx', 'old', 'libnew1', 'curl');
const versions = fc.constantFrom('1', '2', '3');
const anySimulation: fc.Arbitrary<Simulation> = fc.record({
  at: fc.constant(simulation.at),
  upgraded: fc
    .uniqueArray(fc.record({ name: names, arch: fc.constant('amd64'), from: versions, to: versions }), {
      selector: (p) => p.name,
    })
    .map((more) => [...simulation.upgraded, ...more.filter((p) => p.name !== 'libssl3')]),
  added: fc.uniqueArray(fc.record({ name: names, arch: fc.constant('amd64'), version: versions }), {
    selector: (p) => p.name,
    maxLength: 2,
  }),
  removed: fc.uniqueArray(fc.record({ name: names, arch: fc.constant('amd64'), version: versions }), {
    selector: (p) => p.name,
    maxLength: 1,
  }),
  download_bytes: fc.nat(),
  disk_bytes: fc.integer(),
  disk_free_bytes: fc.nat(),
  restarts: fc.array(fc.constantFrom('a.service', 'b.service'), { maxLength: 3 }),
  reboot: fc.boolean(),
  rollback: fc.record({
    possible: fc.boolean(),
    reasons: fc.array(fc.record({ package: names, message: fc.constantFrom('x', 'y') }), { maxLength: 2 }),
  }),
  obstacles: fc.array(
    fc.record({ kind: fc.constantFrom(...obstacleKinds), message: fc.constantFrom('x', 'y') }),
    { maxLength: 1 },
  ),
  remarks: fc.array(
    fc.record({ kind: fc.constantFrom(...obstacleKinds), message: fc.constantFrom('x', 'y') }),
    { maxLength: 3 },
  ),
});
const anyRules: fc.Arbitrary<MergeRules> = fc.record({
  touch: fc.record({
    allow_removals: fc.boolean(),
    exclude_packages: fc.subarray(['nginx', 'old*', 'lib*new?']),
    pins: fc.subarray([{ package: 'curl', version: '2' }]),
  }),
  denied: fc.subarray([
    { pattern: 'debian:12/nginx@3', reason: 'r' },
    { pattern: '*/curl@*', reason: 'r' },
  ]),
  unanswered: fc.constantFrom('leave_out', 'keep'),
});
const five = ['a', 'b', 'c', 'd', 'e'];
const anyAnswers = fc.array(fc.option(anySimulation), { minLength: 5, maxLength: 5 });

function fleetOf(answers: readonly (Simulation | null)[]): {
  plan: Plan;
  answers: [string, AskedAsset][];
} {
  const inventory = [...asked({}).values()][0]?.asset;
  if (inventory === undefined) throw new Error('there is one');
  return {
    plan: base(five.map((hostname) => ({ ...task, asset_id: hostname, hostname }))),
    answers: five.map((id, i) => [id, { asset: inventory, simulation: answers[i] ?? null }]),
  };
}

describe('laws of merging', () => {
  test('nothing excluded, pinned elsewhere or denied is ever planned; removals only as allowed; every asset once', () => {
    fc.assert(
      fc.property(anyAnswers, anyRules, (given, merging) => {
        const { plan, answers } = fleetOf(given);
        const merged = mergeSimulations(plan, new Map(answers), merging, now);
        expect([...merged.tasks, ...merged.excluded].map((one) => one.asset_id).sort()).toEqual(five);
        for (const one of merged.tasks) {
          if (merging.touch.allow_removals !== true) expect(one.removed).toBeUndefined();
          const touched = [...one.packages.map((p) => ({ ...p, version: p.to })), ...(one.added ?? [])];
          for (const p of touched) {
            expect(p.name === 'nginx' && merging.touch.exclude_packages?.includes('nginx')).not.toBe(true);
            expect(p.name === 'old' && merging.touch.exclude_packages?.includes('old*')).not.toBe(true);
            if (p.name === 'curl' && (merging.touch.pins ?? []).length > 0) expect(p.version).toBe('2');
            for (const id of patchIdsOf(p, product)) expect(deniedBy(id, merging.denied)).toBeNull();
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test('same answers in another order, same digest', () => {
    fc.assert(
      fc.property(anyAnswers, anyRules, (given, merging) => {
        const { plan, answers } = fleetOf(given);
        const turned = answers.toReversed().map(([id, one]): [string, AskedAsset] => [
          id,
          one.simulation === null
            ? one
            : {
                ...one,
                simulation: {
                  ...one.simulation,
                  upgraded: one.simulation.upgraded.toReversed(),
                  added: one.simulation.added.toReversed(),
                  removed: one.simulation.removed.toReversed(),
                  restarts: one.simulation.restarts.toReversed(),
                  remarks: one.simulation.remarks.toReversed(),
                  rollback: {
                    ...one.simulation.rollback,
                    reasons: one.simulation.rollback.reasons.toReversed(),
                  },
                },
              },
        ]);
        const a = mergeSimulations(plan, new Map(answers), merging, now);
        const b = mergeSimulations(plan, new Map(turned), merging, now + 1000);
        expect(b.tasks).toEqual(a.tasks);
        expect(b.digest).toBe(a.digest);
      }),
      { numRuns: 300 },
    );
  });
});
