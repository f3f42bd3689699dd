import { describe, expect, test } from 'vitest';
import type { InstalledPackage, ReportedMitigation } from '../inventory/inventory.ts';
import { mitigationDigest, type Mitigation, type MitigationStep } from '../mitigation/mitigation.ts';
import { makePlan } from './make-plan.ts';
import type { PlanAsset } from './plan.ts';
import { mitigationOnAsset } from './select-mitigations.ts';

const base: Mitigation = {
  id: 'module-dccp',
  title: 'Keep DCCP from being loaded',
  description: 'd',
  mitigates: [
    { vulnerability: 'CVE-2017-6074', effect: 'blocks', condition: 'c' },
    { vulnerability: 'CVE-2017-8824', effect: 'reduces', condition: 'c' },
  ],
  applies_to: [{ ecosystem: 'debian', releases: ['12'], packages: ['linux'] }],
  steps: [{ kind: 'kernel_module_blacklist', module: 'dccp' }],
  restart_units: [],
  side_effects: 's',
  reboot: false,
  sources: [],
  reviewed_by: 'r',
  reviewed_on: '2026-11-22',
};
const kernel: InstalledPackage = {
  name: 'linux-image-6.1.0-18-amd64',
  arch: 'amd64',
  version: '6.1.76-1',
  source: 'linux-signed-amd64',
  source_version: '6.1.76+1',
};
const headers = { ...kernel, name: 'linux-libc-dev', source: 'linux', source_version: '6.1.76-1' };
type Inventory = NonNullable<PlanAsset['inventory']>;
const inventory: Inventory = {
  product: { ecosystem: 'debian', release: '12' },
  packages: [kernel],
  candidates: [],
  held: [],
};
const findings = ['CVE-2017-6074', 'CVE-2017-8824', 'CVE-1'].map((vulnerability) => ({
  vulnerability,
  source: 'linux',
  status: 'open',
  fixedVersion: null,
}));
const reported = (over: Partial<ReportedMitigation> = {}): ReportedMitigation => ({
  id: base.id,
  digest: mitigationDigest(base),
  state: 'applied',
  detail: 'dccp is not loaded.',
  until_reboot: false,
  ...over,
});

describe('a mitigation on an asset', () => {
  test.each<[string, Partial<Inventory>, 'apply' | 'undo', string, Mitigation?]>([
    ['ready', {}, 'apply', 'ok'],
    ['another release', { product: { ecosystem: 'debian', release: '11' } }, 'apply', 'other_release'],
    ['an unknown release', { product: null }, 'apply', 'other_release'],
    ['headers are no kernel', { packages: [headers] }, 'apply', 'not_installed'],
    ['a container has no kernel of its own', { machine: 'container' }, 'apply', 'mitigation_not_supported'],
    ['in force', { mitigations: [reported()] }, 'apply', 'already_mitigated'],
    ['overridden: again', { mitigations: [reported({ state: 'overridden' })] }, 'apply', 'ok'],
    ['another edition: again', { mitigations: [reported({ digest: 'x' })] }, 'apply', 'ok'],
    ['nothing to undo', {}, 'undo', 'not_mitigated'],
    [
      'undone whatever the asset has become',
      { product: null, mitigations: [reported({ state: 'unknown' })] },
      'undo',
      'ok',
    ],
    [
      'network parameters are a container’s own',
      { machine: 'container' },
      'apply',
      'ok',
      {
        ...base,
        steps: [{ kind: 'sysctl', key: 'net.ipv4.tcp_sack', value: '0' }] satisfies MitigationStep[],
      },
    ],
  ])('%s', (_, over, action, expected, mitigation = base) => {
    const result = mitigationOnAsset(mitigation, action, { ...inventory, ...over }, { findings });
    expect(result.ok ? 'ok' : result.reason).toBe(expected);
  });

  test('names what it blocks and what it reduces of what the asset has, in the package it is about', () => {
    const elsewhere = findings.map((one) => ({ ...one, source: 'other' }));
    const on = mitigationOnAsset(base, 'apply', inventory, { findings });
    expect(on).toMatchObject({ planned: { blocks: ['CVE-2017-6074'], reduces: ['CVE-2017-8824'] } });
    expect(mitigationOnAsset(base, 'apply', inventory, { findings: elsewhere })).toMatchObject({
      planned: { blocks: [], reduces: [] },
    });
  });
});

test('a plan of mitigations alone: nothing to download, nothing promised to be gone, a digest of its own', () => {
  const asset: PlanAsset = {
    uid: '11111111-1111-4111-8111-111111111111',
    hostname: 'web-1',
    mode: 'manage',
    retired: false,
    excludedByJob: null,
    taskUnderWay: false,
    lastSeenAt: '2026-11-22T00:00:00Z',
    inventory,
    findings,
  };
  const now = Date.parse('2026-11-22T00:00:00Z');
  const wanted = { action: 'apply', mitigations: [base] } as const;
  const plan = makePlan({ id: 'job' }, [], [asset], now, wanted);
  expect(plan.tasks).toMatchObject([
    {
      patches: ['mitigation:module-dccp'],
      packages: [],
      fixes: [],
      download_bytes: 0,
      mitigations: [{ action: 'apply' }],
    },
  ]);
  expect(plan.warnings).toEqual([]);
  const other = { ...base, steps: [{ kind: 'kernel_module_blacklist', module: 'sctp' }] } as const;
  expect(
    makePlan({ id: 'job' }, [], [asset], now, { action: 'apply', mitigations: [other] }).digest,
  ).not.toBe(plan.digest);
  const assessed = makePlan({ id: 'job' }, [], [{ ...asset, mode: 'assess' }], now, wanted);
  expect(assessed.excluded).toMatchObject([{ reason: 'assess_only' }]);
});
