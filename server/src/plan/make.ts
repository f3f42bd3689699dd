import { Value } from 'typebox/value';
import type { PlanRequest, PlanSummary } from '@fixpoint/contract/plan.ts';
import { SimulationRequest } from '@fixpoint/contract/simulation.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { ServerContext } from '../app.ts';
import { appendAudit } from '../audit/commands.ts';
import { signSimulation } from '../auth/keys.ts';
import type { Transact } from '../context.ts';
import { planJob } from '../deployment/plan.ts';
import { jobToStart } from '../patch-job/commands.ts';
import type { JobReading } from '../patch-job/target.ts';
import type { Answer } from '../refusal.ts';
import { insertPlan, insertSimulations } from './store.ts';
import { planSummary } from './view.ts';

const waitSecondsUsually = 600;

/**
 * Makes the plan of a job and asks every asset of it what would really happen there: one signed question each, sent with the answer to
 * its check-ins until it has answered or the time is over. `settlePlans` puts the answers together.
 */
export async function makePlanOfJob(
  trx: Transact,
  context: Pick<ServerContext, 'clock' | 'random' | 'keys'>,
  actor: Actor,
  jobId: string,
  request: PlanRequest,
  reading: JobReading,
): Promise<Answer<PlanSummary>> {
  const job = await jobToStart(trx, jobId);
  if (!job.ok) return job;
  const planned = await planJob(trx, context, job.value, reading, true);
  if (!planned.ok) return planned;
  const { plan, assetIdOf } = planned.value;
  const id = context.random.uuid();
  const at = context.clock.now();
  const deadlineAt = new Date(at.getTime() + (request.wait_seconds ?? waitSecondsUsually) * 1000);
  const unanswered = request.unanswered ?? 'leave_out';
  await insertPlan(trx, { id, jobId, createdBy: actor.name, at, deadlineAt, unanswered, plan });
  const isRollbackWanted = (job.value.definition.rollback?.on ?? 'off') !== 'off';
  const asked = plan.tasks.flatMap((task) => {
    const assetId = assetIdOf.get(task.asset_id);
    if (assetId === undefined)
      throw new Error(`the plan names an asset that it was not made of: ${task.asset_id}`);
    if (task.packages.length === 0) return [];
    const simulationId = context.random.uuid();
    const question = Value.Parse(SimulationRequest, {
      format: 1,
      simulation_id: simulationId,
      asset_id: task.asset_id,
      issued_at: at.toISOString(),
      expires_at: deadlineAt.toISOString(),
      packages: task.packages,
      rollback: isRollbackWanted,
    });
    return [{ id: simulationId, assetId, signed: signSimulation(context.keys, JSON.stringify(question)) }];
  });
  await insertSimulations(trx, id, asked, at);
  await appendAudit(trx, context, {
    actor,
    event: 'plan.created',
    subjectKind: 'plan',
    subject: id,
    after: { job: jobId, asked: asked.length, excluded: plan.excluded.length, unanswered },
  });
  return await planSummary(trx, id);
}
