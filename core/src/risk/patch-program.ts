/**
 * The upper line (patch-cover.ts) as a mixed integer program, for a solver that the caller hands in: core does no I/O and loads no
 * WebAssembly. HiGHS (`highs` on npm) reads `lpText`; tests run it.
 */
import type { Lines } from './patch-cover.ts';
import type { CandidatePatch, PatchBudget } from './patch-budget.ts';
import type { PreparedFleet } from './risk-removed.ts';

/** Maximise Σ objective · x subject to rows Σ value · x ≤ most; `binary` columns are 0 or 1, all others 0 ≤ x ≤ 1. */
export interface PatchProgram {
  readonly columns: readonly {
    readonly name: string;
    readonly objective: number;
    readonly binary: boolean;
  }[];
  readonly rows: readonly {
    readonly name: string;
    readonly terms: readonly { readonly column: number; readonly value: number }[];
    readonly most: number;
  }[];
}

/**
 * Solves a program. `values` are those of the columns, `bound` is an upper bound of the objective (the objective itself when
 * the solution is optimal). Null: not solved in the time that the caller gives it.
 */
export type SolveProgram = (
  program: PatchProgram,
) => { readonly values: readonly number[]; readonly bound: number } | null;

/** Columns: first the patches in order, then what they cover, then the assets that may reboot. */
export function patchProgram(
  fleet: PreparedFleet,
  candidates: readonly CandidatePatch[],
  budget: PatchBudget,
  { upper }: Lines,
): PatchProgram {
  const columns: PatchProgram['columns'][number][] = candidates.map((_, patch) => ({
    name: `x${String(patch)}`,
    objective: 0,
    binary: true,
  }));
  const rows: PatchProgram['rows'][number][] = [];
  for (const [index, { weight, patches }] of upper.items.entries()) {
    // y ≤ Σ x
    rows.push({
      name: `c${String(index)}`,
      terms: [{ column: columns.length, value: 1 }, ...patches.map((column) => ({ column, value: -1 }))],
      most: 0,
    });
    columns.push({ name: `y${String(index)}`, objective: weight, binary: false });
  }
  for (const limit of ['packages', 'minutes'] as const) {
    const most = budget[limit];
    if (most !== undefined)
      rows.push({
        name: limit,
        terms: candidates.map((candidate, column) => ({ column, value: candidate[limit] })),
        most,
      });
  }
  if (budget.reboots !== undefined) {
    // Assets that the same patches reboot are one column, which counts as many times.
    const alike = new Map<string, { readonly causes: readonly number[]; assets: number }>();
    for (const { patches, alike: many } of fleet.assets) {
      const causes = patches.filter((patch) => candidates[patch]?.reboots === true);
      if (causes.length === 0) continue;
      const group = alike.get(causes.join(' '));
      if (group === undefined) alike.set(causes.join(' '), { causes, assets: many });
      else group.assets += many;
    }
    const terms: { column: number; value: number }[] = [];
    for (const { causes, assets } of alike.values()) {
      const column = columns.length;
      terms.push({ column, value: assets });
      columns.push({ name: `r${String(column)}`, objective: 0, binary: false });
      // x ≤ r
      for (const patch of causes)
        rows.push({
          name: `r${String(column)}_${String(patch)}`,
          terms: [
            { column: patch, value: 1 },
            { column, value: -1 },
          ],
          most: 0,
        });
    }
    if (terms.length > 0) rows.push({ name: 'reboots', terms, most: budget.reboots });
  }
  return { columns, rows };
}

/** A program in the CPLEX LP format, which HiGHS and most solvers read. */
export function lpText({ columns, rows }: PatchProgram): string {
  const sum = (terms: readonly { readonly column: number; readonly value: number }[]): string =>
    terms
      .filter(({ value }) => value !== 0)
      .map(
        ({ column, value }) =>
          `${value < 0 ? '-' : '+'} ${String(Math.abs(value))} ${columns[column]?.name ?? ''}`,
      )
      .join('\n ');
  const goal = sum(columns.map(({ objective }, column) => ({ column, value: objective })));
  return [
    'Maximize',
    ` obj: ${goal === '' ? `0 ${columns[0]?.name ?? 'x0'}` : goal}`,
    'Subject To',
    ...rows.flatMap(({ name, terms, most }) =>
      terms.length === 0 ? [] : [` ${name}: ${sum(terms)} <= ${String(most)}`],
    ),
    'Bounds',
    ...columns.map(({ name }) => ` 0 <= ${name} <= 1`),
    'Binary',
    ...columns.flatMap(({ name, binary }) => (binary ? [` ${name}`] : [])),
    'End',
    '',
  ].join('\n');
}
