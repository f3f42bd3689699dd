// Longer than 400 lines because every promise of the choice is held to the same definitions and the same brute force.
import { createRequire } from 'node:module';
import fc from 'fast-check';
import type { Highs } from 'highs';
import { beforeAll, describe, expect, test } from 'vitest';
import { assetRisk, type Criticality, type RiskFinding } from './asset-risk.ts';
import { bestPatches, type BestPatchOptions, type BestPatches } from './best-patches.ts';
import type { CandidatePatch, PatchBudget, PatchCost } from './patch-budget.ts';
import { lpText, type SolveProgram } from './patch-program.ts';
import { marginalRisks, riskRemoved, type PatchableAsset, type PatchableFinding } from './risk-removed.ts';

let solve: SolveProgram;
beforeAll(async () => {
  // Its types are those of the CommonJS build.
  const loadHighs: () => Promise<Highs> = createRequire(import.meta.url)('highs');
  const highs = await loadHighs();
  solve = (program) => {
    const solution = highs.solve(lpText(program));
    if (solution.Status !== 'Optimal') return null;
    const values = program.columns.map(({ name }) => solution.Columns[name]?.Primal ?? 0);
    return { values, bound: solution.ObjectiveValue };
  };
});

const names = ['p0', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6'];
const statuses = ['open', 'restart_pending', 'mitigated', 'accepted', 'undetermined'] as const;
const patchLists = fc.uniqueArray(fc.constantFrom(...names), { maxLength: 2 });

/** `carriers`: at most how many packages carry a vulnerability. */
const fleets = (carriers: number, chance = fc.double({ min: 0, max: 1, noNaN: true })) =>
  fc.array(
    fc.record<PatchableAsset>({
      asset: fc.uuid(),
      criticality: fc.constantFrom<Criticality>(1, 2, 3, 4, 5),
      findings: fc.uniqueArray(
        fc.record<PatchableFinding>({
          vulnerability: fc.nat(9).map((number) => `CVE-2024-${String(number)}`),
          chance,
          status: fc.constantFrom(...statuses),
          closed_by: fc.array(patchLists, { maxLength: carriers }),
        }),
        // Without this the same vulnerability comes several times, each with packages and a status of its own.
        { maxLength: 8, ...(carriers === 1 ? { selector: ({ vulnerability }) => vulnerability } : {}) },
      ),
    }),
    { minLength: 1, maxLength: 6 },
  );
/** Where the budget bites: everything is open, grave and can be patched, mostly by one patch. */
const dense = fc.array(
  fc.record<PatchableAsset>({
    asset: fc.uuid(),
    criticality: fc.constantFrom<Criticality>(1, 2, 3, 4, 5),
    findings: fc.uniqueArray(
      fc.record<PatchableFinding>({
        vulnerability: fc.nat(30).map((number) => `CVE-2024-${String(number)}`),
        chance: fc.double({ min: 0.2, max: 1, noNaN: true }),
        status: fc.constant('open'),
        closed_by: fc.tuple(fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 2 })),
      }),
      { minLength: 3, maxLength: 8, selector: ({ vulnerability }) => vulnerability },
    ),
  }),
  { minLength: 2, maxLength: 5 },
);
const candidates = fc.tuple(
  ...names.map((patch) =>
    fc.record<CandidatePatch>({
      patch: fc.constant(patch),
      packages: fc.integer({ min: 1, max: 4 }),
      minutes: fc.integer({ min: 0, max: 10 }),
      reboots: fc.boolean(),
    }),
  ),
);
const limit = (max: number) => fc.option(fc.nat(max), { nil: undefined });
const budgets = fc
  .record({ packages: limit(12), reboots: limit(6), minutes: limit(30) })
  .map((budget): PatchBudget => ({
    ...(budget.packages === undefined ? {} : { packages: budget.packages }),
    ...(budget.reboots === undefined ? {} : { reboots: budget.reboots }),
    ...(budget.minutes === undefined ? {} : { minutes: budget.minutes }),
  }));

const tight = fc.oneof(
  fc.integer({ min: 2, max: 8 }).map((packages): PatchBudget => ({ packages })),
  fc.integer({ min: 3, max: 15 }).map((minutes): PatchBudget => ({ minutes })),
  fc.integer({ min: 1, max: 2 }).map((reboots): PatchBudget => ({ reboots, packages: 6 })),
);

/** The definition: the risk of every asset from scratch, by what remains after the patches. Shares no code with the choice. */
function removedByDefinition(assets: readonly PatchableAsset[], chosen: readonly string[]): number {
  return assets.reduce((sum, { criticality, findings }) => {
    const left = findings.flatMap(({ closed_by, ...finding }): RiskFinding[] => {
      const packages = closed_by.length === 0 ? [[]] : closed_by;
      return packages.some((clause) => !clause.some((patch) => chosen.includes(patch))) ? [finding] : [];
    });
    return sum + assetRisk(criticality, findings).risk - assetRisk(criticality, left).risk;
  }, 0);
}

function costByDefinition(
  assets: readonly PatchableAsset[],
  all: readonly CandidatePatch[],
  chosen: readonly string[],
): PatchCost {
  const used = all.filter(({ patch }) => chosen.includes(patch));
  const gets = ({ findings }: PatchableAsset, patch: string): boolean =>
    findings.some((finding) => finding.closed_by.some((clause) => clause.includes(patch)));
  return {
    packages: used.reduce((sum, { packages }) => sum + packages, 0),
    minutes: used.reduce((sum, { minutes }) => sum + minutes, 0),
    reboots: assets.filter((asset) => used.some(({ patch, reboots }) => reboots && gets(asset, patch)))
      .length,
  };
}

const fitsIn = (cost: PatchCost, budget: PatchBudget): boolean =>
  cost.packages <= (budget.packages ?? Infinity) &&
  cost.reboots <= (budget.reboots ?? Infinity) &&
  cost.minutes <= (budget.minutes ?? Infinity);

/** Every set of patches; reboots as the product counts them, checked against the definition apart. */
function bruteForce(
  assets: readonly PatchableAsset[],
  all: readonly CandidatePatch[],
  budget: PatchBudget,
  wanted: number | null,
): { most: number; fewest: number | null } {
  let [most, fewest]: [number, number | null] = [0, null];
  for (let set = 0; set < 2 ** all.length; set++) {
    const chosen = names.filter((_, index) => (set >> index) % 2 === 1);
    if (!fitsIn(costByDefinition(assets, all, chosen), budget)) continue;
    const removed = removedByDefinition(assets, chosen);
    most = Math.max(most, removed);
    if (wanted !== null && removed >= wanted && (fewest === null || chosen.length < fewest))
      fewest = chosen.length;
  }
  return { most, fewest };
}

const chosenOf = (best: BestPatches): string[] => best.patches.map(({ patch }) => patch);
const one = (vulnerability: string, chance: number, ...closed_by: string[][]): PatchableFinding => ({
  vulnerability,
  chance,
  status: 'open',
  closed_by,
});
const plain = (patch: string, more: Partial<CandidatePatch> = {}): CandidatePatch => ({
  patch,
  packages: 1,
  minutes: 1,
  reboots: false,
  ...more,
});

describe('risk removed', () => {
  test('is that of recomputing every asset', () => {
    fc.assert(
      fc.property(fleets(3), fc.subarray(names), (assets, chosen) => {
        const result = riskRemoved(assets, chosen);
        expect(result.removed).toBeCloseTo(removedByDefinition(assets, chosen), 6);
        expect(result.by_asset.reduce((sum, { removed }) => sum + removed, 0)).toBeCloseTo(result.removed, 9);
        expect(result.before - result.after).toBeCloseTo(result.removed, 6);
        // More patches never remove less.
        expect(riskRemoved(assets, names).removed).toBeGreaterThanOrEqual(result.removed - 1e-9);
      }),
    );
  });

  test('two patches for the same vulnerability count once; one vulnerability in two packages needs both', () => {
    const overlap: PatchableAsset = { asset: 'a', criticality: 5, findings: [one('x', 1, ['p0', 'p1'])] };
    expect(marginalRisks([overlap], ['p0', 'p1'])).toEqual([
      { patch: 'p0', alone: expect.closeTo(200, 9), last: 0 },
      { patch: 'p1', alone: expect.closeTo(200, 9), last: 0 },
    ]);
    expect(riskRemoved([overlap], ['p0', 'p1', 'p1']).removed).toBeCloseTo(200, 9);
    const both: PatchableAsset = { asset: 'a', criticality: 5, findings: [one('x', 1, ['p0'], ['p1'])] };
    expect(marginalRisks([both], ['p0', 'p1'])).toEqual([
      { patch: 'p0', alone: 0, last: expect.closeTo(200, 9) },
      { patch: 'p1', alone: 0, last: expect.closeTo(200, 9) },
    ]);
  });

  test('is not submodular: a patch can be worth more after another', () => {
    const asset: PatchableAsset = {
      asset: 'a',
      criticality: 5,
      findings: [one('x', 1, ['p0']), one('y', 1, ['p1'])],
    };
    expect(marginalRisks([asset], ['p0', 'p1'])[1]).toEqual({
      patch: 'p1',
      alone: expect.closeTo(160, 9),
      last: expect.closeTo(200, 9),
    });
  });
});

/** Every promise of an answer, against every possible set. */
function check(
  assets: readonly PatchableAsset[],
  all: readonly CandidatePatch[],
  budget: PatchBudget,
  options: BestPatchOptions,
): BestPatches {
  const best = bestPatches(assets, all, budget, options);
  const { most, fewest } = bruteForce(assets, all, budget, options.wanted ?? null);
  expect(fitsIn(best.cost, budget)).toBe(true);
  expect(best.cost).toEqual(costByDefinition(assets, all, chosenOf(best)));
  expect(best.removed).toBeCloseTo(removedByDefinition(assets, chosenOf(best)), 6);
  expect(best.upper_bound).toBeGreaterThanOrEqual(most - 1e-6);
  if (best.guarantee !== null && best.reached !== true)
    expect(best.removed).toBeGreaterThanOrEqual(best.guarantee * most - 1e-6);
  if (best.method === 'exact') {
    if (fewest === null) expect(best.removed).toBeCloseTo(most, 6);
    else expect(best.patches.length).toBe(fewest);
  }
  if (fewest !== null) expect(fewest).toBeGreaterThanOrEqual(best.least_patches ?? Infinity);
  return best;
}

describe('best patches', () => {
  test('exact on small cases: no set within the budget removes more, and none smaller removes as much', () => {
    fc.assert(
      fc.property(
        fleets(2),
        candidates,
        budgets,
        fc.option(fc.integer({ min: 1, max: 600 })),
        (assets, all, budget, wanted) => {
          expect(check(assets, all, budget, { wanted }).method).toBe('exact');
        },
      ),
      { numRuns: 150 },
    );
    fc.assert(
      fc.property(dense, candidates, tight, (assets, all, budget) => {
        expect(check(assets, all, budget, {}).method).toBe('exact');
      }),
      { numRuns: 150 },
    );
  });

  test('greedy keeps its guarantee and its bound', () => {
    let guaranteed = 0;
    fc.assert(
      fc.property(dense, candidates, tight, (assets, all, budget) => {
        check(assets, all, budget, { mostNodes: 0 });
      }),
      { numRuns: 150 },
    );
    fc.assert(
      fc.property(fleets(1), candidates, fc.nat(12), (assets, all, packages) => {
        if (check(assets, all, { packages }, { mostNodes: 0 }).guarantee !== null) guaranteed++;
      }),
      { numRuns: 150 },
    );
    expect(guaranteed).toBe(150);
    fc.assert(
      fc.property(fleets(3), candidates, budgets, (assets, all, budget) => {
        check(assets, all, budget, { mostNodes: 0 });
      }),
      { numRuns: 150 },
    );
  });

  test('a solver keeps the budget and gives a bound', () => {
    let solvedRuns = 0;
    fc.assert(
      fc.property(fleets(2), candidates, budgets, (assets, all, budget) => {
        const { method } = check(assets, all, budget, { mostNodes: 0, solve });
        // Where all patches fit, there is nothing to solve.
        expect(method).not.toBe('greedy');
        if (method === 'solver') solvedRuns++;
      }),
      { numRuns: 80 },
    );
    expect(solvedRuns).toBeGreaterThan(30);
  });

  test('what a solver says is checked: one that exceeds the budget does not', () => {
    const assets: PatchableAsset[] = [
      { asset: 'a', criticality: 5, findings: names.map((p) => one(p, 1, [p])) },
    ];
    const greedy: SolveProgram = ({ columns }) => ({ values: columns.map(() => 1), bound: 1e9 });
    const best = bestPatches(
      assets,
      names.map((p) => plain(p)),
      { packages: 2 },
      { mostNodes: 0, solve: greedy },
    );
    expect(best.cost.packages).toBe(2);
  });

  test('one large patch is not lost behind a small one with a better ratio', () => {
    const assets: PatchableAsset[] = [
      { asset: 'a', criticality: 1, findings: [one('x', 0.5, ['p0'])] },
      { asset: 'b', criticality: 5, findings: [one('y', 1, ['p1'])] },
    ];
    const all = [plain('p0'), plain('p1', { packages: 10, minutes: 10 })];
    expect(chosenOf(bestPatches(assets, all, { minutes: 10 }, { mostNodes: 0 }))).toEqual(['p1']);
    expect(chosenOf(bestPatches(assets, all, { minutes: 11 }))).toEqual(['p1', 'p0']);
  });

  test('nor where there is too much for greedy choice on the true objective', () => {
    const assets: PatchableAsset[] = Array.from({ length: 10_000 }, (_, index) => ({
      asset: String(index),
      criticality: 1,
      findings: [one('x', 0.000_125, ['p0'])],
    }));
    assets.push({ asset: 'b', criticality: 5, findings: [one('y', 1, ['p1'])] });
    const others = Array.from({ length: 1000 }, (_, index) => plain(`other${String(index)}`));
    const all = [plain('p0'), plain('p1', { minutes: 10 }), ...others];
    expect(chosenOf(bestPatches(assets, all, { minutes: 10 }, { mostNodes: 0 }))).toEqual(['p1']);
  });

  test('a solver counts every reboot, and its bound leaves no gap where the upper line is exact', () => {
    const assets: PatchableAsset[] = ['p0', 'p0', 'p1'].map((patch, index) => ({
      asset: String(index),
      criticality: 5,
      findings: [one('x', 1, [patch])],
    }));
    const all = ['p0', 'p1'].map((patch) => plain(patch, { reboots: true }));
    let text = '';
    const best = bestPatches(
      assets,
      all,
      { reboots: 1 },
      {
        mostNodes: 0,
        solve: (program) => {
          text = lpText(program);
          return solve(program);
        },
      },
    );
    // Two assets that the same patch reboots are one column, which counts twice.
    expect(text).toMatch(/reboots: \+ 2 r\d+\n \+ 1 r\d+ <= 1/u);
    expect(chosenOf(best)).toEqual(['p1']);
    expect(best.gap).toBeLessThan(1e-5);
  });

  test('assets that are alike, given once, are the same as each given by itself', () => {
    fc.assert(
      fc.property(
        fleets(2),
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 6, maxLength: 6 }),
        candidates,
        budgets,
        fc.boolean(),
        (profiles, counts, all, budget, small) => {
          const grouped = profiles.map((asset, index) => ({ ...asset, alike: counts[index] ?? 1 }));
          const each = grouped.flatMap(({ alike, ...asset }) =>
            Array.from({ length: alike }, (_, copy) => ({
              ...asset,
              asset: `${asset.asset} ${String(copy)}`,
            })),
          );
          const options: BestPatchOptions = small ? { solve } : { solve, mostNodes: 0 };
          const [grouping, many] = [
            bestPatches(grouped, all, budget, options),
            bestPatches(each, all, budget, options),
          ];
          expect(fitsIn(grouping.cost, budget)).toBe(true);
          expect(grouping.cost).toEqual(costByDefinition(each, all, chosenOf(grouping)));
          expect(grouping.removed).toBeCloseTo(removedByDefinition(each, chosenOf(grouping)), 6);
          for (const figure of ['before', 'upper_bound', 'curvature'] as const)
            expect(grouping[figure]).toBeCloseTo(many[figure], 3);
          if (small) expect(grouping.removed).toBeCloseTo(many.removed, 6);
        },
      ),
      { numRuns: 60 },
    );
    const bad = { asset: 'a', criticality: 5, findings: [], alike: 0 } as const;
    expect(() => bestPatches([bad], [], {})).toThrow('alike');
  });

  test('where all patches fit, all that remove something are chosen, and none is missed', () => {
    const many = Array.from({ length: 400 }, (_, index) => `p${String(index)}`);
    const assets: PatchableAsset[] = many.slice(1).map((patch, index) => ({
      asset: patch,
      criticality: 5,
      findings: [one('x', (index + 1) / 400, [patch, many[index] ?? ''])],
    }));
    const all = many.map((patch) => plain(patch));
    const best = bestPatches(assets, all, { packages: 400 });
    expect(best).toMatchObject({ method: 'exact', gap: 0, guarantee: 1 });
    expect(best.removed).toBeCloseTo(best.before, 6);
    // Each finding is closed by either of two: half of them do.
    expect(best.patches.length).toBeLessThanOrEqual(200);
    expect(bestPatches(assets, all, { packages: 30 }).method).not.toBe('exact');
  });

  test('an asset reboots once for several patches', () => {
    const assets: PatchableAsset[] = [
      { asset: 'a', criticality: 5, findings: [one('x', 1, ['p0']), one('y', 1, ['p1'])] },
      { asset: 'b', criticality: 5, findings: [one('z', 1, ['p2'])] },
    ];
    const all = ['p0', 'p1', 'p2'].map((patch) => plain(patch, { reboots: true }));
    const best = bestPatches(assets, all, { reboots: 1 });
    expect(chosenOf(best).toSorted()).toEqual(['p0', 'p1']);
    expect(best).toMatchObject({ method: 'exact', gap: 0, guarantee: 1 });
    expect(best.cost.reboots).toBe(1);
  });

  test('as few as are needed for what is wanted, and says when it cannot be had', () => {
    const assets: PatchableAsset[] = names.map((patch, index) => ({
      asset: patch,
      criticality: 5,
      findings: [one('x', (index + 1) / 10, [patch])],
    }));
    const all = names.map((patch) => plain(patch));
    expect(bestPatches(assets, all, {}, { wanted: 250 })).toMatchObject({ reached: true, least_patches: 2 });
    expect(chosenOf(bestPatches(assets, all, {}, { wanted: 250 }))).toEqual(['p6', 'p5']);
    expect(bestPatches(assets, all, { packages: 1 }, { wanted: 250 })).toMatchObject({ reached: false });
    expect(bestPatches(assets, all, {}, { wanted: 1e6 })).toMatchObject({
      reached: false,
      least_patches: null,
    });
  });

  test('nothing to do, and costs that are none', () => {
    expect(bestPatches([], [], {})).toMatchObject({ patches: [], removed: 0, gap: 0 });
    expect(bestPatches([], [plain('p0')], { packages: 0 })).toMatchObject({ patches: [], upper_bound: 0 });
    expect(() => bestPatches([], [plain('p0', { packages: 0 })], {})).toThrow('packages at least 1');
    expect(() => bestPatches([], [plain('p0'), plain('p0')], {})).toThrow('twice');
  });
});
