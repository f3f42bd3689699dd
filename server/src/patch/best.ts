import { Worker } from 'node:worker_threads';
import type { Static } from 'typebox';
import type {
  BestPatches,
  BestPatchesQuery,
  RiskRemoved,
  RiskRemovedQuery,
} from '@fixpoint/contract/best-patches.ts';
import { parsePatchId, patchId, type PatchIdentity } from '@fixpoint/core/knowledge/patch.ts';
import {
  candidatesOf,
  patchableFleet,
  type FleetCandidate,
  type PatchableFleet,
  type PatchableLimits,
} from '@fixpoint/core/posture/patchable.ts';
import type { ServerContext } from '../app.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { readScope, type ScopeQuery } from './scope.ts';
import type { Chosen, Question, Removed, Told, Wanted } from './best-choice.ts';

/** The best next patches of a scope, and what a patch is worth there. */

/** What is looked at, weighed and waited for at most; see docs/risk.md for what was measured. */
export const bestPatchLimits = {
  assets: 100_000,
  profiles: 5_000,
  candidates: 5_000,
  solverSeconds: 10,
  /** Of the whole choice; then what there is by then is the answer. */
  seconds: 60,
  workers: 2,
};
type Limits = typeof bestPatchLimits;

/** Choices at work in this process: each takes a processor and some hundred megabytes. */
let working = 0;

const busy = (): Refusal =>
  refuse(
    429,
    'best_patches_busy',
    'as many choices of patches as this server makes at once are being made',
    'ask again in a minute',
  );

export async function bestNextPatches(
  context: ServerContext,
  query: Static<typeof BestPatchesQuery>,
  limits: Limits = bestPatchLimits,
): Promise<Answer<BestPatches>> {
  return await oneOfFew(limits, async () => {
    const profiled = await profiles(context, query, limits);
    if (!profiled.ok) return profiled;
    const fleet = profiled.value;
    const candidates = candidatesOf(fleet.requirements);
    if (candidates.length > limits.candidates) {
      return refuse(
        422,
        'too_many_patches',
        `${String(candidates.length)} patches could be chosen there, and at most ${String(limits.candidates)} can be weighed`,
        'narrow it with a tag or a query, such as os = debian',
      );
    }
    const budget = {
      ...(query.packages === undefined ? {} : { packages: query.packages }),
      ...(query.reboots === undefined ? {} : { reboots: query.reboots }),
      ...(query.minutes === undefined ? {} : { minutes: query.minutes }),
    };
    const wanted = query.wanted === undefined ? null : wantedOf(query.wanted);
    const { solverSeconds, seconds } = limits;
    const question = { kind: 'best', fleet, candidates, budget, wanted, solverSeconds } as const;
    const told = await worked(question, seconds);
    if (told?.kind !== 'best') return outOfTime(seconds);
    return answer(bestView(query, fleet, candidates, told));
  });
}

export async function riskRemovedBy(
  context: ServerContext,
  id: string,
  query: Static<typeof RiskRemovedQuery>,
  limits: Limits = bestPatchLimits,
): Promise<Answer<RiskRemoved>> {
  const others: PatchIdentity[] = [];
  for (const one of [id, ...(query.with ?? '').split(',').filter((text) => text !== '')]) {
    const patch = parsePatchId(one);
    if (patch === null)
      return refuse(
        400,
        'bad_patch_id',
        `“${one}” is not the id of a patch`,
        'an id looks like debian:12/openssl@3.0.22-1~deb12u2',
      );
    others.push(patch);
  }
  const [patch, ...rest] = others;
  if (patch === undefined) throw new Error('no patch was asked for');
  return await oneOfFew(limits, async () => {
    const profiled = await profiles(context, query, limits);
    if (!profiled.ok) return profiled;
    const fleet = profiled.value;
    const told = await worked({ kind: 'removed', fleet, patch, with: rest }, limits.seconds);
    if (told?.kind !== 'removed') return outOfTime(limits.seconds);
    return answer(removedView(fleet, patch, rest, told));
  });
}

const outOfTime = (seconds: number): Refusal =>
  refuse(
    422,
    'too_much_to_weigh',
    `the choice was not made within ${String(seconds)} seconds`,
    'narrow it with a tag or a query',
  );

async function oneOfFew<T>(limits: Limits, work: () => Promise<Answer<T>>): Promise<Answer<T>> {
  if (working >= limits.workers) return busy();
  working += 1;
  try {
    return await work();
  } finally {
    working -= 1;
  }
}

async function profiles(
  context: ServerContext,
  query: ScopeQuery,
  limits: PatchableLimits,
): Promise<Answer<PatchableFleet>> {
  const scope = readScope(query);
  if (!scope.ok) return scope;
  const now = context.clock.now().getTime();
  return await context.posture.run(function* (fleet) {
    const assets = yield* scope.value(fleet, now);
    return assets.ok ? answer(yield* patchableFleet(fleet, assets.value, limits)) : assets;
  });
}

function wantedOf(text: string): Wanted {
  return text.endsWith('%') ? { share: Number(text.slice(0, -1)) / 100 } : { risk: Number(text) };
}

/** The last answer that the worker gives within its time; null when there is none. It throws what the worker throws. */
export async function worked(question: Question, seconds: number): Promise<Told | null> {
  const worker = new Worker(new URL('./best-worker.ts', import.meta.url), { workerData: question });
  let last: Told | null = null;
  const ended = new Promise<void>((resolve, reject) => {
    worker.on('message', (told: Told) => {
      last = told;
    });
    worker.once('error', reject);
    worker.once('exit', () => resolve());
  });
  const timer = setTimeout(() => void worker.terminate(), seconds * 1000);
  try {
    await ended;
  } finally {
    clearTimeout(timer);
  }
  return last;
}

function scopeView({ assets, profiles: list, sample }: PatchableFleet, candidates: number) {
  const why = {
    too_many_assets: 'the scope has more assets than are looked at one by one',
    too_many_profiles: 'the assets differ too much from each other to weigh them all',
  } as const;
  return {
    assets,
    profiles: list.length,
    candidates,
    sample:
      sample === null
        ? null
        : {
            ...sample,
            sentence:
              `${String(sample.assets)} of ${String(sample.of)} assets were looked at, as ${why[sample.why]}: of each of ` +
              `${String(sample.strata)} combinations of system, release and criticality the same share. All figures are estimates from these, ` +
              'and the bound is one of the sample. A tag or a query makes the scope smaller.',
          },
  };
}

function bestView(
  query: Static<typeof BestPatchesQuery>,
  fleet: PatchableFleet,
  candidates: readonly FleetCandidate[],
  { best, closed, removable, wanted, solver, final }: Chosen,
): BestPatches {
  const byId = new Map(candidates.map((one) => [one.patch, one]));
  // Ended before the solver was: what is told is what there was without it.
  const solverState = final ? solver : 'out_of_time';
  return {
    patches: best.patches.flatMap(({ patch, removed, cost }, index) => {
      const known = byId.get(patch);
      if (known === undefined) return [];
      const { ecosystem, release, package: name, version } = known;
      const { findings, assets } = closed[index] ?? { findings: 0, assets: 0 };
      return [{ patch, ecosystem, release, package: name, version, removed, findings, assets, cost }];
    }),
    scope: scopeView(fleet, candidates.length),
    before: best.before,
    after: Math.max(0, best.before - best.removed),
    removed: best.removed,
    removable,
    cost: best.cost,
    budget: {
      packages: query.packages ?? null,
      reboots: query.reboots ?? null,
      minutes: query.minutes ?? null,
    },
    wanted,
    reached: best.reached,
    least_patches: best.least_patches,
    upper_bound: best.upper_bound,
    gap_percent: 100 * best.gap,
    method: best.method,
    solver: solverState,
    guarantee: best.guarantee,
    guarantee_sentence: guaranteeSentence(best, solverState),
  };
}

function guaranteeSentence(
  { method, gap, guarantee, reached, least_patches: least, patches }: Chosen['best'],
  solver: BestPatches['solver'],
): string {
  const late =
    solver === 'out_of_time' ? ' The solver did not end in its time; its bound so far is counted in.' : '';
  if (reached === true) {
    if (method === 'exact')
      return 'No smaller set of patches within the budget removes as much: all were weighed.';
    return `At least ${String(least ?? 0)} patches are needed for as much; these are ${String(patches.length)}.${late}`;
  }
  if (method === 'exact') return 'No set of patches within the budget removes more: all were weighed.';
  const bound =
    gap < 1e-6
      ? 'No set of patches within the budget removes more: it is as high as the bound.'
      : `It removes at least ${(100 * (1 - gap)).toFixed(1)} % of what any set of patches within the budget can.`;
  const sure =
    guarantee === null
      ? ''
      : ` The method is sure to reach ${(100 * guarantee).toFixed(0)} % of the best, whatever the fleet.`;
  return `${bound}${sure}${late}`;
}

function removedView(
  fleet: PatchableFleet,
  patch: PatchIdentity,
  others: readonly PatchIdentity[],
  { before, alone, on_top, together, findings, assets }: Removed,
): RiskRemoved {
  return {
    patch: patchId(patch),
    with: others.map(patchId),
    scope: scopeView(fleet, others.length + 1),
    before,
    alone,
    on_top,
    together,
    findings,
    assets,
  };
}
