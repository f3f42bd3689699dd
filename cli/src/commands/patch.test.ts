import { describe, expect, test } from 'vitest';
import type { BestPatches } from '@fixpoint/contract/best-patches.ts';
import { describeBest, pathOf } from './patch.ts';

const best: BestPatches = {
  patches: [
    {
      patch: 'debian:12/curl@7.88.1-10+deb12u15',
      ecosystem: 'debian',
      release: '12',
      package: 'curl',
      version: '7.88.1-10+deb12u15',
      removed: 285.4,
      findings: 38,
      assets: 2,
      cost: { packages: 1, reboots: 0, minutes: 2 },
    },
  ],
  scope: { assets: 4, profiles: 3, candidates: 4, sample: null },
  before: 573.4,
  after: 288,
  removed: 285.4,
  removable: 564.6,
  cost: { packages: 1, reboots: 0, minutes: 2 },
  budget: { packages: 1, reboots: null, minutes: null },
  wanted: null,
  reached: null,
  least_patches: null,
  upper_bound: 300,
  gap_percent: 4.87,
  method: 'greedy',
  solver: 'out_of_time',
  guarantee: 0.3,
  guarantee_sentence: 'It removes at least 95.1 % of what any set of patches within the budget can.',
};

describe('the best patches in the terminal', () => {
  test('the table, the total and the gap', () => {
    const text = describeBest(best);
    expect(text).toMatch(/PATCH +REMOVES +CLOSES +ASSETS +REBOOTS +MINUTES\n/u);
    expect(text).toMatch(/debian:12\/curl@7\.88\.1-10\+deb12u15 +285 +38 +2 +0 +2\n/u);
    expect(text).toMatch(/risk removed +285 of 573 \(49\.8 %\); 288 is left\n/u);
    expect(text).toMatch(/gap to the bound +4\.9 % \(at most 300 can be removed within the budget\)\n/u);
    expect(text).toContain('It removes at least 95.1 %');
    expect(text).not.toContain('estimated');
  });
  test('what was wanted, and a sample', () => {
    const sample = {
      assets: 5,
      of: 9,
      strata: 2,
      why: 'too_many_assets',
      sentence: '5 of 9 were looked at.',
    };
    const text = describeBest({
      ...best,
      wanted: 100,
      reached: true,
      scope: { ...best.scope, sample: { ...sample, why: 'too_many_assets' } },
    });
    expect(text).toMatch(/wanted +100, reached\n/u);
    expect(text).not.toContain('gap to the bound');
    expect(text).toMatch(/estimated +5 of 9 were looked at\./u);
  });
  test('why there is none', () => {
    const none = { ...best, patches: [] };
    expect(describeBest(none)).toContain('no patch fits the budget');
    expect(describeBest({ ...none, removable: 0 })).toContain('what they close is accepted');
    expect(describeBest({ ...none, scope: { ...best.scope, candidates: 0 } })).toContain('no patch is known');
  });
});

test('what is no id of a patch is said to be none, whatever is asked of it', () => {
  expect(pathOf('debian:12/libc++@1:2.0~a')).toBe('/api/v1/patches/debian%3A12/libc%2B%2B%401%3A2.0~a');
  expect(() => pathOf('nonsense')).toThrow('"nonsense" is not the id of a patch');
});
