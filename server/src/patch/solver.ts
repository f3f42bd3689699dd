import { createRequire } from 'node:module';
import type { Highs, ModelData } from 'highs';
import type { PatchProgram } from '@fixpoint/core/risk/patch-program.ts';

/** `proven`: the time was enough, and there is no better solution. */
export interface Solved {
  readonly values: readonly number[];
  readonly bound: number;
  readonly proven: boolean;
}

/**
 * Programs solved by HiGHS (WebAssembly). Solving holds up the thread until it ends, so this is for a worker. What is not
 * proven when the time is over still has a bound, and often a solution.
 */
export async function solver(seconds: number): Promise<(program: PatchProgram) => Solved | null> {
  // The package's types are those of its CommonJS build.
  const loadHighs: () => Promise<Highs> = createRequire(import.meta.url)('highs');
  const highs = await loadHighs();
  return (program) =>
    highs.withModel((model) => {
      model.options.set({ output_flag: false, time_limit: seconds });
      model.passModel(modelOf(highs, program));
      model.run();
      const bound = Number(model.info.get('mip_dual_bound'));
      if (!Number.isFinite(bound)) return null;
      const { modelStatus, solutionStatus } = highs.constants;
      const solved = Number(model.info.get('primal_solution_status')) === solutionStatus.feasible;
      return {
        bound,
        values: solved ? [...model.getSolution().colValue] : [],
        proven: model.getModelStatus() === modelStatus.optimal,
      };
    });
}

function modelOf(highs: Highs, { columns, rows }: PatchProgram): ModelData {
  const starts = [0];
  for (const { terms } of rows) starts.push((starts.at(-1) ?? 0) + terms.length);
  return {
    numCols: columns.length,
    numRows: rows.length,
    sense: highs.constants.objectiveSense.maximize,
    colCost: columns.map(({ objective }) => objective),
    colLower: columns.map(() => 0),
    colUpper: columns.map(() => 1),
    rowLower: rows.map(() => -highs.infinity),
    rowUpper: rows.map(({ most }) => most),
    integrality: columns.map(({ binary }) => (binary ? 1 : 0)),
    matrix: {
      format: 'csr',
      numRows: rows.length,
      numCols: columns.length,
      starts,
      indices: rows.flatMap(({ terms }) => terms.map(({ column }) => column)),
      values: rows.flatMap(({ terms }) => terms.map(({ value }) => value)),
    },
  };
}
