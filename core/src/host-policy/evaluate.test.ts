import { describe, expect, test } from 'vitest';
import { refusalByPolicy } from './evaluate.ts';
import { matchesPattern } from './pattern.ts';
import type { HostPolicy } from './policy.ts';

const policy: HostPolicy = {
  digest: '0'.repeat(64),
  problem: null,
  patching: 'allow',
  forbidden_packages: ['postgresql-*', 'nginx', 'linux'],
  hours: [],
  reboot: 'allow',
  reboot_hours: [],
  rollback: 'allow',
  actions: ['drain'],
  probes: [],
  probe_targets: [],
};
const curl = { name: 'curl', source: 'curl' };

describe('what a policy says to an order', () => {
  test('nothing to one that it allows', () => {
    expect(refusalByPolicy(policy, { action: 'install', packages: [curl] })).toBeNull();
    expect(refusalByPolicy(policy, { action: 'reboot' })).toBeNull();
    expect(refusalByPolicy(policy, { action: 'roll_back', packages: [curl] })).toBeNull();
    expect(refusalByPolicy(null, { action: 'install', packages: [curl] })).toBeNull();
  });
  test.each([
    ['packages', { packages: [curl, { name: 'postgresql-15' }] }, 'postgresql-15 (postgresql-*)'],
    ['what would come', { packages: [curl], added: [{ name: 'nginx' }] }, 'touch nginx.'],
    ['what would go', { packages: [curl], removed: [{ name: 'postgresql-common' }] }, 'postgresql-common'],
    [
      'the source',
      { packages: [{ name: 'linux-image-amd64', source: 'linux' }] },
      'linux-image-amd64 (linux)',
    ],
  ] as const)('that it must not touch: %s', (_, parts, words) => {
    expect(refusalByPolicy(policy, { action: 'install', ...parts })).toContain(words);
    expect(refusalByPolicy(policy, { action: 'roll_back', ...parts })).toContain(words);
  });
  test('each kind by itself', () => {
    const ask = (change: Partial<HostPolicy>) =>
      (['install', 'reboot', 'roll_back'] as const).map(
        (action) => refusalByPolicy({ ...policy, ...change }, { action }) !== null,
      );
    expect(ask({ patching: 'forbid' })).toEqual([true, false, false]);
    expect(ask({ reboot: 'forbid' })).toEqual([false, true, false]);
    expect(ask({ rollback: 'forbid' })).toEqual([false, false, true]);
    expect(ask({ problem: 'line 3' })).toEqual([true, true, true]);
  });
  test('actions that it does not name, all at once; without a policy none', () => {
    const order = {
      action: 'install',
      packages: [curl],
      actions: { before: [{ name: 'drain' }, { name: 'stop' }], after: [{ name: 'undrain' }] },
    } as const;
    expect(refusalByPolicy(policy, order)).toContain('no action stop, undrain');
    expect(refusalByPolicy(null, order)).toContain('no policy file');
    expect(refusalByPolicy({ ...policy, actions: ['drain', 'stop', 'undrain'] }, order)).toBeNull();
  });
});

test.each([
  ['a', 'a', true],
  ['a', 'ab', false],
  ['*', '', true],
  ['a*', 'ba', false],
  ['a*a', 'a', false],
  ['a*a', 'aa', true],
  ['*-dbg', 'x-dbg', true],
  ['lib*-*-dev', 'libx-1-dev', true],
  ['lib*-*-dev', 'libx-dev', false],
  ['a.b', 'axb', false],
])('pattern %s, name %s: %s', (pattern, name, matches) => {
  expect(matchesPattern(pattern, name)).toBe(matches);
});
