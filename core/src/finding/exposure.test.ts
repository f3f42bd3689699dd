import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import type { HostFacts } from '../inventory/inventory.ts';
import { kernelExposure, statusOf, type ExposureKind } from './exposure.ts';

const host: HostFacts = {
  hostname: 'db1',
  os: 'debian',
  os_release: '12',
  os_title: 'Debian GNU/Linux 12 (bookworm)',
  arch: 'amd64',
  addresses: [],
  boot_id: 'a',
  booted_at: '2026-11-01T00:00:00Z',
  running_kernel: '6.1.0-25-amd64',
  kernels: [],
  machine: 'physical_or_virtual',
  reboot_required: false,
  reboot_required_by: [],
  held: [],
  units: [],
};
const image = (id: number, release: string, version: string) => ({
  id,
  name: `linux-image-${release}`,
  version,
  source: 'linux-signed-amd64',
  source_version: version.replace('-', '+'),
});
const bash = { id: 9, name: 'bash', version: '5.2', source: 'bash', source_version: '5.2' };
const old = image(1, '6.1.0-25-amd64', '6.1.106-3');
const newer = image(2, '6.1.0-9-amd64', '6.1.9-1');
const newest = image(3, '6.1.0-37-amd64', '6.1.140-1');

describe('of several kernels the running one counts', () => {
  test('the others open nothing, and the newest is what a reboot starts', () => {
    expect(kernelExposure(host, [bash, newest, newer, old], [])).toEqual({
      inert: [3, 2],
      nextKernel: 3,
      removedRunning: null,
      undetermined: [],
    });
  });
  test('the newest runs: no reboot would change anything', () => {
    expect(kernelExposure({ ...host, running_kernel: '6.1.0-37-amd64' }, [newest, old], [])).toMatchObject({
      inert: [1],
      nextKernel: null,
    });
  });
  test('a kernel from no package is undetermined, never safe', () => {
    const result = kernelExposure({ ...host, running_kernel: '6.18.44-custom' }, [old], []);
    expect(result.inert).toEqual([1]);
    expect(result.undetermined.map((u) => u.subject)).toEqual(['kernel 6.18.44-custom']);
  });
  test('a kernel that runs on after its package was removed is found among what was there', () => {
    expect(kernelExposure(host, [newest], [old])).toMatchObject({ removedRunning: 1, undetermined: [] });
  });
  test('what the host read off the kernel’s files outweighs what its name tells', () => {
    const base = { name: 'kernel-default-base', version: '6.4.0-150600.23.7.3.150600.12.2.7' };
    const source = { source: 'kernel-default-base', source_version: base.version };
    const running = '6.4.0-150600.23.7-default';
    const suse: HostFacts = {
      ...host,
      os: 'sles',
      os_release: '15.6',
      running_kernel: running,
      kernels: [{ ...base, ...source, release: running }],
    };
    expect(kernelExposure(suse, [{ id: 4, ...base, ...source }], [])).toMatchObject({
      inert: [],
      undetermined: [],
    });
  });
  test('all packages of the running kernel count: vendors name one or the other', () => {
    const rhel = (id: number, name: string, version: string) => ({
      id,
      name,
      version,
      arch: 'x86_64',
      source: 'kernel',
      source_version: version,
    });
    const all = [
      rhel(1, 'kernel', '5.14.0-427.el9'),
      rhel(2, 'kernel-core', '5.14.0-427.el9'),
      rhel(3, 'kernel', '5.14.0-503.el9'),
      rhel(4, 'kernel-core', '5.14.0-503.el9'),
    ];
    const on9 = { ...host, os: 'rhel', os_release: '9.4', running_kernel: '5.14.0-427.el9.x86_64' };
    expect(kernelExposure(on9, all, [])).toMatchObject({ inert: [3, 4], nextKernel: 4 });
    expect(kernelExposure(on9, all.toReversed(), [])).toMatchObject({ inert: [4, 3], nextKernel: 4 });
  });
  test('a container runs its host’s kernel', () => {
    expect(kernelExposure({ ...host, machine: 'container' }, [old, newest], [])).toEqual({
      inert: [1, 3],
      nextKernel: null,
      removedRunning: null,
      undetermined: [],
    });
  });
});

describe('status', () => {
  const kinds: ExposureKind[] = ['installed', 'process', 'file', 'kernel'];
  test('only a process left: restart; only a kernel: reboot; a vulnerable file or package: open', () => {
    expect(statusOf([{ kind: 'process', fixedInNextKernel: false }])).toBe('restart_pending');
    expect(statusOf([{ kind: 'kernel', fixedInNextKernel: false }])).toBe('reboot_pending');
    expect(statusOf([{ kind: 'installed', fixedInNextKernel: true }])).toBe('reboot_pending');
    expect(statusOf([{ kind: 'file', fixedInNextKernel: false }])).toBe('open');
    expect(statusOf([{ kind: 'installed', fixedInNextKernel: false }])).toBe('open');
  });
  test('mitigated only where every exposure that would be open is', () => {
    const open = { kind: 'installed', fixedInNextKernel: false } as const;
    expect(statusOf([{ ...open, mitigated: true }])).toBe('mitigated');
    expect(statusOf([{ ...open, mitigated: true }, open])).toBe('open');
    expect(statusOf([{ kind: 'process', fixedInNextKernel: false, mitigated: true }])).toBe(
      'restart_pending',
    );
  });
  test('another exposure never makes a status milder', () => {
    const rank = { restart_pending: 0, reboot_pending: 1, mitigated: 2, open: 3 };
    const exposure = fc.record({
      kind: fc.constantFrom(...kinds),
      fixedInNextKernel: fc.boolean(),
      mitigated: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(exposure, { minLength: 1 }), exposure, (list, more) => {
        expect(rank[statusOf([...list, more])]).toBeGreaterThanOrEqual(rank[statusOf(list)]);
      }),
    );
  });
});
