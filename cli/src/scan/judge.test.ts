import { describe, expect, test } from 'vitest';
import { kernelsThatCount, type ScanPackage } from './judge.ts';

function rpm(name: string, version: string): ScanPackage {
  return { name, arch: 'x86_64', version, source: 'kernel', source_version: version };
}

describe('which kernels count', () => {
  const old = rpm('kernel-core', '5.14.0-362.8.1.el9_3');
  const running = rpm('kernel-core', '5.14.0-427.13.1.el9_4');
  const tools = rpm('kernel-tools', '5.14.0-427.13.1.el9_4');
  const all = [old, running, tools];

  test('of several versions under one RPM name only the one that runs', () => {
    const release = '5.14.0-427.13.1.el9_4.x86_64';
    const { counted, inert, foreign } = kernelsThatCount(all, { kind: 'running', release });
    expect([counted, [...inert], foreign]).toEqual(['running', [old], null]);
  });

  test('every package of the kernel that runs', () => {
    const meta = rpm('kernel', '5.14.0-427.13.1.el9_4');
    const oldMeta = rpm('kernel', '5.14.0-362.8.1.el9_3');
    const { inert, foreign } = kernelsThatCount([oldMeta, meta, ...all], {
      kind: 'running',
      release: '5.14.0-427.13.1.el9_4.x86_64',
    });
    expect([[...inert], foreign]).toEqual([[oldMeta, old], null]);
  });

  test('none in a container, all of a root, and a kernel of no package is said', () => {
    expect([...kernelsThatCount(all, { kind: 'container' }).inert]).toEqual([old, running]);
    expect(kernelsThatCount(all, { kind: 'unknown' })).toEqual({
      counted: 'all',
      inert: new Set(),
      foreign: null,
    });
    const own = kernelsThatCount(all, { kind: 'running', release: '6.6.1-mine' });
    expect([own.inert.size, own.foreign]).toEqual([2, '6.6.1-mine']);
  });
});
