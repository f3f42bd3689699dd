import type { Plan } from '@fixpoint/contract/patch-job.ts';
import type { PlanSummary } from '@fixpoint/contract/plan.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { appendAudit } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { giveUpQuestions, lockPlan, setPlanState } from './store.ts';
import { planGoodForHours, planSummary, unknownPlan } from './view.ts';

/** The plan of a job that may be started as it is, locked until the transaction ends. Whether it still fits is for the caller to see. */
export async function planToStart(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  jobId: string,
  planId: string,
): Promise<Answer<Plan>> {
  const row = await lockPlan(trx, planId);
  if (row === undefined) return unknownPlan(planId);
  if (row.job_id !== jobId) {
    return refuse(
      422,
      'plan_of_other_job',
      `the plan ${planId} is of another job (${row.job_id})`,
      'start that job, or make a plan of this one: fixpoint plan make JOB',
    );
  }
  if (row.state === 'simulating') {
    return refuse(
      409,
      'plan_not_ready',
      `the plan ${planId} still waits for answers of its assets, until ${row.deadline_at.toISOString()} at the latest`,
      'wait for it: fixpoint plan show ID',
    );
  }
  if (row.state !== 'ready') {
    return refuse(
      409,
      `plan_${row.state}`,
      row.state === 'started' ? `the plan ${planId} was started already` : `the plan ${planId} was discarded`,
      'make a new one: fixpoint plan make JOB',
    );
  }
  if (row.ready_at === null) throw new Error(`the plan ${planId} is ready, and nobody knows since when`);
  if (context.clock.now().getTime() - row.ready_at.getTime() > planGoodForHours * 3_600_000) {
    return refuse(
      409,
      'plan_expired',
      `the plan ${planId} was ready at ${row.ready_at.toISOString()}, more than ${String(planGoodForHours)} hours ago`,
      'make a new one: fixpoint plan make JOB',
    );
  }
  return answer(row.plan);
}

/** That a deployment was made of a plan, which can be done once. */
export async function planWasStarted(trx: Transact, planId: string): Promise<void> {
  await setPlanState(trx, planId, 'started');
}

/** Nobody is asked any more, and it cannot be started. Discarding what is discarded changes nothing. */
export async function discardPlan(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  actor: Actor,
  planId: string,
  reason: string | null,
): Promise<Answer<PlanSummary>> {
  const row = await lockPlan(trx, planId);
  if (row === undefined) return unknownPlan(planId);
  if (row.state === 'started') {
    return refuse(
      409,
      'plan_started',
      `the plan ${planId} was started already`,
      'act on its deployment instead: fixpoint deployment list --job JOB',
    );
  }
  if (row.state !== 'discarded') {
    await setPlanState(trx, planId, 'discarded');
    await giveUpQuestions(trx, planId, { code: 'plan_discarded', message: 'The plan was discarded.' });
    await appendAudit(trx, context, {
      actor,
      event: 'plan.discarded',
      subjectKind: 'plan',
      subject: planId,
      reason,
      before: { state: row.state },
    });
  }
  return await planSummary(trx, planId);
}
