import { expect, test } from 'vitest';
import type { HostPolicy } from './policy.ts';
import { policyWords } from './words.ts';

const open: HostPolicy = {
  digest: '0'.repeat(64),
  problem: null,
  patching: 'allow',
  forbidden_packages: [],
  hours: [],
  reboot: 'allow',
  reboot_hours: [],
  rollback: 'allow',
  actions: [],
  probes: [],
  probe_targets: [],
};

test.each<[Partial<HostPolicy>, string[]]>([
  [{}, ['restricts nothing']],
  [
    { problem: 'Line 2: what?', patching: 'forbid' },
    ['forbids everything, because it cannot be read: Line 2: what?'],
  ],
  [
    { patching: 'forbid', hours: ['sat'], reboot: 'forbid', rollback: 'forbid' },
    ['no patching', 'no reboots', 'no rollbacks'],
  ],
  [
    { hours: ['sat', 'sun'], forbidden_packages: ['x*'], actions: ['drain'], never_restart: ['y'] },
    ['packages are changed only sat, sun', 'never touched: x*', 'never restarted: y', 'actions: drain'],
  ],
])('%j', (policy, words) => {
  expect(policyWords({ ...open, ...policy })).toEqual(words);
});
