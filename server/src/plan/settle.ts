import { Value } from 'typebox/value';
import { Plan } from '@fixpoint/contract/patch-job.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { mergeSimulations, type AskedAsset, type Simulation } from '@fixpoint/core/plan/merge-simulations.ts';
import type { PlanAsset } from '@fixpoint/core/plan/plan.ts';
import { appendAudit } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { planAssets } from '../deployment/plan.ts';
import { deniedPatterns } from '../patch-denial/commands.ts';
import { getJob } from '../patch-job/commands.ts';
import { transact } from '../transact.ts';
import { answersOf, giveUpQuestions, lockPlan, plansDue, setReady } from './store.ts';

const planActor: Actor = { kind: 'system', name: 'plan' };
const plansAtOnce = 10;
const assetsAtOnce = 500;

/** Makes ready every plan that nothing is waited for any more. Several replicas may do it at once: each takes what is free. */
export async function settlePlans(context: Pick<Context, 'db' | 'clock' | 'log'>): Promise<void> {
  for (const id of await plansDue(context.db, context.clock.now(), plansAtOnce)) {
    try {
      await transact(context.db, (trx) => settlePlan(trx, context, id));
    } catch (error) {
      // one plan's trouble must not stop the others; the next turn tries again
      context.log.error({ err: error, plan: id }, 'a plan could not be put together');
    }
  }
}

/** Of what is installed and offered only what the answer speaks of: the rest of thousands of hosts does not fit into memory. */
function askedOf({ mode, retired, inventory }: PlanAsset, simulation: Simulation | null): AskedAsset {
  if (inventory === null) return { asset: { mode, retired, inventory }, simulation };
  const names = new Set((simulation?.upgraded ?? []).map((one) => one.name));
  const isNamed = (one: { readonly name: string }) => names.has(one.name);
  const candidates = inventory.candidates.filter(isNamed);
  const packages = inventory.packages.filter(isNamed);
  return { asset: { mode, retired, inventory: { ...inventory, candidates, packages } }, simulation };
}

async function settlePlan(trx: Transact, context: Pick<Context, 'clock'>, id: string): Promise<void> {
  const row = await lockPlan(trx, id, true);
  if (row?.state !== 'simulating') return;
  const job = await getJob(trx, row.job_id);
  if (!job.ok) throw new Error(`plan ${id} is of a job that is not there`);
  const now = context.clock.now();
  await giveUpQuestions(trx, id, {
    code: 'unanswered',
    message: `The asset had not answered by ${row.deadline_at.toISOString()}.`,
  });
  const answers = await answersOf(trx, id);
  const asked = new Map<string, AskedAsset>();
  for (let i = 0; i < answers.length; i += assetsAtOnce) {
    const some = new Map(answers.slice(i, i + assetsAtOnce).map((one) => [one.assetId, one.result]));
    for (const [assetId, asset] of await planAssets(trx, [...some.keys()], new Map(), [], 'all')) {
      asked.set(asset.uid, askedOf(asset, some.get(assetId) ?? null));
    }
  }
  const merged = mergeSimulations(
    row.plan,
    asked,
    {
      touch: job.value.definition,
      denied: await deniedPatterns(trx),
      unanswered: row.unanswered,
    },
    now.getTime(),
  );
  const plan = Value.Parse(Plan, merged);
  await setReady(trx, id, plan, now);
  await appendAudit(trx, context, {
    actor: planActor,
    event: 'plan.ready',
    subjectKind: 'plan',
    subject: id,
    after: {
      job: row.job_id,
      digest: plan.digest,
      tasks: plan.tasks.length,
      excluded: plan.excluded.length,
      asked: answers.length,
      answered: answers.filter((one) => one.result !== null).length,
    },
  });
}
