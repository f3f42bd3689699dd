import { describe, expect, test } from 'vitest';
import { candidatesOf, type PatchableFleet } from '@fixpoint/core/posture/patchable.ts';
import type { Chosen, Told } from './best-choice.ts';
import { answerTo } from './best-choice.ts';

const many = 60;
/** Too many patches to try all sets of: each closes what some others do not, on assets that share. */
const fleet: PatchableFleet = {
  assets: 300,
  sample: null,
  requirements: Array.from({ length: many }, (_, index) => ({
    ecosystem: 'debian',
    release: '12',
    package: `p${String(index)}`,
    version: '1',
    reboots: index % 3 === 0,
    kind: index % 3 === 0 ? ('kernel' as const) : ('package' as const),
  })),
  profiles: Array.from({ length: 100 }, (_, row) => ({
    asset: String(row),
    criticality: 5 as const,
    alike: 3,
    findings: Array.from({ length: 8 }, (__, column) => ({
      vulnerability: `CVE-${String((row * 7 + column * 13) % 200)}`,
      chance: (((row * 31 + column * 17) % 97) + 1) / 100,
      status: 'open' as const,
      needs: (row * 7 + column * 11) % many,
    })),
  })),
};
const candidates = candidatesOf(fleet.requirements);
const ask = async (budget: object, solverSeconds: number): Promise<Chosen[]> => {
  const told: Told[] = [];
  const question = { kind: 'best', fleet, candidates, budget, wanted: null, solverSeconds } as const;
  await answerTo(question, (one) => told.push(one));
  return told.filter((one) => one.kind === 'best');
};

describe('a choice that is too large to try every set', () => {
  test('is first that of greedy choice, then as good or better, with a bound as tight or tighter', async () => {
    const [first, second, ...none] = await ask({ packages: 12, reboots: 150 }, 10);
    expect(none).toEqual([]);
    expect(first).toMatchObject({ final: false, best: { method: 'greedy' } });
    expect(second).toMatchObject({ final: true, solver: 'finished', best: { method: 'solver' } });
    if (first === undefined || second === undefined) throw new Error('two answers');
    expect(first.best.gap).toBeGreaterThan(0);
    expect(second.best.removed).toBeGreaterThanOrEqual(first.best.removed);
    expect(second.best.upper_bound).toBeLessThanOrEqual(first.best.upper_bound);
    expect(second.best.upper_bound).toBeGreaterThanOrEqual(second.best.removed);
    expect(second.best.gap).toBeLessThan(first.best.gap);
    for (const { best } of [first, second]) {
      expect(best.cost.packages).toBeLessThanOrEqual(12);
      expect(best.cost.reboots).toBeLessThanOrEqual(150);
    }
  });

  test('without time for the solver is what there is, and says so', async () => {
    const last = (await ask({ packages: 12, reboots: 150 }, 0)).at(-1);
    expect(last).toMatchObject({ final: true, solver: 'out_of_time' });
    expect(last?.best.patches.length).toBeGreaterThan(0);
    expect(last?.best.upper_bound).toBeGreaterThanOrEqual(last?.best.removed ?? Infinity);
  });
});
