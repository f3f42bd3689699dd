import { patchId, type PatchIdentity } from '@fixpoint/core/knowledge/patch.ts';
import {
  closedInOrder,
  patchableBy,
  type FleetCandidate,
  type PatchableFleet,
} from '@fixpoint/core/posture/patchable.ts';
import { riskOf } from '@fixpoint/core/risk/asset-risk.ts';
import { bestPatches, type BestPatches } from '@fixpoint/core/risk/best-patches.ts';
import type { PatchBudget } from '@fixpoint/core/risk/patch-budget.ts';
import { prepareFleet, removedFromFleet } from '@fixpoint/core/risk/risk-removed.ts';
import { solver } from './solver.ts';

/** What is worked out in the worker, of plain data that can be handed over. */

export interface BestQuestion {
  readonly kind: 'best';
  readonly fleet: PatchableFleet;
  readonly candidates: readonly FleetCandidate[];
  readonly budget: PatchBudget;
  readonly wanted: Wanted | null;
  readonly solverSeconds: number;
}

/** Risk in its own unit, or a share 0–1 of what there is. */
export type Wanted = { readonly risk: number } | { readonly share: number };

export interface RemovedQuestion {
  readonly kind: 'removed';
  readonly fleet: PatchableFleet;
  readonly patch: PatchIdentity;
  readonly with: readonly PatchIdentity[];
}

export type Question = BestQuestion | RemovedQuestion;

export interface Chosen {
  readonly kind: 'best';
  /** False: the solver is at work, and may find better. */
  readonly final: boolean;
  readonly best: BestPatches;
  readonly wanted: number | null;
  readonly removable: number;
  readonly closed: ReturnType<typeof closedInOrder>;
  readonly solver: 'not_needed' | 'finished' | 'out_of_time';
}

export interface Removed {
  readonly kind: 'removed';
  readonly before: number;
  readonly alone: number;
  readonly on_top: number;
  readonly together: number;
  readonly findings: number;
  readonly assets: number;
}

export type Told = Chosen | Removed;

/** Tells the answer; for a question that needs the solver first what there is without. */
export async function answerTo(question: Question, tell: (told: Told) => void): Promise<void> {
  if (question.kind === 'removed') {
    tell(removed(question));
    return;
  }
  const { fleet, candidates, budget, solverSeconds } = question;
  const assets = patchableBy(fleet, candidates);
  const prepared = prepareFleet(
    assets,
    candidates.map(({ patch }) => patch),
  );
  const before = prepared.assets.reduce((sum, { weight, log }) => sum + riskOf(weight, log), 0);
  const removable = removedFromFleet(prepared, new Set(candidates.keys()));
  const { wanted } = question;
  const sum = wanted === null ? null : 'risk' in wanted ? wanted.risk : wanted.share * before;
  const byId = new Map(candidates.map((one) => [one.patch, one]));
  const chosen = (best: BestPatches, how: Pick<Chosen, 'final' | 'solver'>): Chosen => ({
    kind: 'best',
    best,
    wanted: sum,
    removable,
    closed: closedInOrder(
      fleet,
      best.patches.flatMap(({ patch }) => byId.get(patch) ?? []),
    ),
    ...how,
  });

  const greedy = bestPatches(assets, candidates, budget, { wanted: sum });
  const done = greedy.method === 'exact' || greedy.gap < 1e-6 || candidates.length === 0;
  tell(chosen(greedy, { final: done, solver: 'not_needed' }));
  if (done) return;
  const solve = await solver(solverSeconds);
  let finished = true;
  const solved = bestPatches(assets, candidates, budget, {
    wanted: sum,
    mostNodes: 0,
    start: greedy.patches.map(({ patch }) => patch),
    solve: (program) => {
      const result = solve(program);
      finished = result?.proven === true;
      return result;
    },
  });
  tell(chosen(better(greedy, solved), { final: true, solver: finished ? 'finished' : 'out_of_time' }));
}

/** What the solver has come to holds with the bound that is tighter; the guarantee of greedy choice holds for it as well. */
function better(greedy: BestPatches, solved: BestPatches): BestPatches {
  const bound = Math.max(Math.min(greedy.upper_bound, solved.upper_bound), solved.removed);
  return {
    ...solved,
    upper_bound: bound,
    gap: bound <= solved.removed ? 0 : 1 - solved.removed / bound,
    guarantee: greedy.guarantee,
  };
}

function removed({ fleet, patch, with: others }: RemovedQuestion): Removed {
  const ids = new Map([...others, patch].map((one) => [patchId(one), one]));
  const patches = [...ids.values()];
  const prepared = prepareFleet(patchableBy(fleet, patches), [...ids.keys()]);
  const own = [...ids.keys()].indexOf(patchId(patch));
  const all = new Set(patches.keys());
  const given = new Set(others.map((one) => [...ids.keys()].indexOf(patchId(one))));
  const together = removedFromFleet(prepared, all);
  const [closed] = closedInOrder(fleet, [patch]);
  return {
    kind: 'removed',
    before: prepared.assets.reduce((sum, { weight, log }) => sum + riskOf(weight, log), 0),
    alone: removedFromFleet(prepared, new Set([own])),
    on_top: together - removedFromFleet(prepared, given),
    together,
    findings: closed?.findings ?? 0,
    assets: closed?.assets ?? 0,
  };
}
