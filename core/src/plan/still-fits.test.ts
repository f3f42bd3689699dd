import { expect, test } from 'vitest';
import type { InstalledPackage } from '../inventory/inventory.ts';
import type { PlanAsset, PlannedTask } from './plan.ts';
import { sealedPlan } from './seal.ts';
import { misfitsOf } from './still-fits.ts';

const task: PlannedTask = {
  asset_id: 'a',
  hostname: 'web-1',
  patches: ['debian:12/openssl@2'],
  packages: [{ name: 'libssl3', arch: 'amd64', from: '1', to: '2', source: 'openssl', source_version: '2' }],
  added: [{ name: 'libnew1', arch: 'amd64', version: '1' }],
  removed: [{ name: 'old', arch: 'amd64', version: '1' }],
  fixes: [],
  download_bytes: 0,
};
const plan = sealedPlan({ format: 1, job_id: 'job', tasks: [task], excluded: [], warnings: [] }, 0);
const installed = (name: string, version: string): InstalledPackage => ({
  name,
  arch: 'amd64',
  version,
  source: name,
  source_version: version,
});
const misfits = (
  changes: Partial<PlanAsset>,
  packages = [installed('libssl3', '1'), installed('old', '1')],
) => {
  const inventory = { product: null, packages, candidates: [], held: [] };
  const asset: PlanAsset = {
    uid: 'a',
    hostname: 'web-1',
    mode: 'manage',
    retired: false,
    excludedByJob: null,
    taskUnderWay: false,
    lastSeenAt: null,
    inventory,
    findings: [],
    ...changes,
  };
  return misfitsOf(plan, new Map([['a', asset]]), [{ pattern: '*/curl@*', reason: 'r' }]);
};

test('a plan fits what it was made of, and nothing else', () => {
  expect(misfits({})).toEqual([]);
  expect(misfitsOf(plan, new Map(), [])).toEqual(['web-1: the asset is gone']);
  expect(misfits({ retired: true })).toEqual(['web-1: the asset is gone']);
  expect(misfits({ mode: 'assess', taskUnderWay: true })).toHaveLength(2);
  expect(misfits({ inventory: null })).toHaveLength(2);
  expect(
    misfits({}, [installed('libssl3', '1.5'), installed('libnew1', '1'), installed('old', '2')]),
  ).toEqual([
    'web-1: libssl3 is at 1.5, and was at 1',
    'web-1: libnew1 is there already, at 1',
    'web-1: old is at 2, and was at 1',
  ]);
  const beside = [installed('libssl3', '1'), installed('libssl3', '2'), installed('old', '1')];
  expect(misfits({}, beside)).toEqual(['web-1: libssl3 is at 2 already']);
});

test('what was denied since is not started; taking a denied mitigation back is', () => {
  const denied = [{ pattern: 'debian:12/openssl@2', reason: 'it breaks' }];
  expect(misfitsOf(plan, new Map(), denied)).toEqual(['web-1: the asset is gone']);
  const asset = { retired: false, mode: 'manage', taskUnderWay: false, inventory: null } as const;
  const found = misfitsOf(
    sealedPlan({ ...plan, tasks: [{ ...task, packages: [], added: [], removed: [] }] }, 0),
    new Map([
      ['a', { ...asset, uid: 'a', hostname: '', excludedByJob: null, lastSeenAt: null, findings: [] }],
    ]),
    denied,
  );
  expect(found).toEqual(['web-1: since the plan was made, debian:12/openssl@2 is denied: it breaks']);
});
