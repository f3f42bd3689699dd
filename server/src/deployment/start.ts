import type { Deployment, Plan } from '@fixpoint/contract/patch-job.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { ServerContext } from '../app.ts';
import { appendAudits } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { findingsOfAssets } from '../finding/commands.ts';
import { getJob, jobToStart, targetOfDefinition } from '../patch-job/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { assetsOfTags } from '../tag/members.ts';
import { concernedBy, planJob } from './plan.ts';
import { insertDeployment, insertTasks, lockAssets } from './store.ts';
import { findingOf } from './verification.ts';
import { deploymentView } from './view.ts';

/**
 * The assets in the tags that a job is for: the read model is asked before the transaction that plans, since it needs a connection
 * of its own. The definition of a job does not change.
 */
export async function taggedByJob(
  context: Pick<ServerContext, 'db' | 'posture'>,
  jobId: string,
): Promise<Answer<number[]>> {
  const job = await getJob(context.db, jobId);
  return job.ok ? await assetsOfTags(context, job.value.definition.target.tags) : job;
}

/** The plan that a start would freeze now. Nothing is stored. */
export async function previewJob(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  jobId: string,
  tagged: readonly number[],
): Promise<Answer<Plan>> {
  const job = await getJob(trx, jobId);
  if (!job.ok) return job;
  const planned = await planJob(trx, context, job.value, tagged);
  return planned.ok ? answer(planned.value.plan) : planned;
}

/**
 * Makes a deployment of a job: freezes the plan, its tasks and the findings as they are before, in one transaction. With
 * `planDigest` only when the plan still is the one that was previewed.
 */
export async function startDeployment(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  actor: Actor,
  jobId: string,
  request: { readonly plan_digest?: string | undefined; readonly reason?: string | undefined },
  tagged: readonly number[],
): Promise<Answer<Deployment>> {
  const job = await jobToStart(trx, jobId);
  if (!job.ok) return job;
  const target = await targetOfDefinition(trx, job.value.definition, tagged);
  if (!target.ok) return target;
  // no other deployment may give one of these assets a task while the plan says that they are free
  await lockAssets(trx, target.value.assetIds);
  const planned = await planJob(trx, context, job.value, tagged);
  if (!planned.ok) return planned;
  const { plan, assetIdOf } = planned.value;
  if (request.plan_digest !== undefined && request.plan_digest !== plan.digest) {
    return refuse(
      409,
      'plan_changed',
      'what would be done now is not what was previewed: assets, repositories or knowledge have changed since',
      'preview the job again, read the new plan and start with its digest',
    );
  }
  if (plan.tasks.length === 0) {
    const reasons = Map.groupBy(plan.excluded, (one) => one.reason);
    const counts = [...reasons].map(([reason, list]) => `${reason} ${String(list.length)}`).join(', ');
    return refuse(
      409,
      'nothing_to_do',
      `no asset of the target gets anything${counts === '' ? ': the target is empty' : ` (${counts})`}`,
      'preview the job to see the reason for each asset',
    );
  }
  const id = context.random.uuid();
  const at = context.clock.now();
  await insertDeployment(trx, { id, jobId, plan, createdBy: actor.name, at });
  await insertPlannedTasks(trx, context, id, plan, assetIdOf);
  const vulnerabilities = [...new Set(plan.tasks.flatMap(concernedBy))].sort();
  const reason = request.reason ?? null;
  await appendAudits(trx, context, [
    {
      actor,
      event: 'deployment.created',
      subjectKind: 'deployment',
      subject: id,
      reason,
      after: {
        job: jobId,
        plan_digest: plan.digest,
        tasks: plan.tasks.length,
        excluded: plan.excluded.length,
        vulnerabilities,
      },
    },
    {
      actor,
      event: 'deployment.started',
      subjectKind: 'deployment',
      subject: id,
      reason,
      after: { state: 'running', job: jobId },
    },
  ]);
  return deploymentView(trx, id);
}

async function insertPlannedTasks(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  deploymentId: string,
  plan: Plan,
  assetIdOf: ReadonlyMap<string, number>,
): Promise<void> {
  const at = context.clock.now();
  const atOnce = 500;
  for (let i = 0; i < plan.tasks.length; i += atOnce) {
    const tasks = plan.tasks.slice(i, i + atOnce).map((planned) => {
      const assetId = assetIdOf.get(planned.asset_id);
      if (assetId === undefined)
        throw new Error(`the plan names an asset that it was not made of: ${planned.asset_id}`);
      return { id: context.random.uuid(), deploymentId, assetId, planned };
    });
    const findings = await findingsOfAssets(
      trx,
      tasks.map((task) => task.assetId),
      { vulnerabilities: [...new Set(tasks.flatMap((task) => concernedBy(task.planned)))] },
    );
    const withBefore = tasks.map((task) => {
      const fixes = new Set(concernedBy(task.planned));
      const before = (findings.get(task.assetId) ?? [])
        .filter((one) => fixes.has(one.vulnerability))
        .map(findingOf);
      return Object.assign(task, { before });
    });
    await insertTasks(trx, withBefore, at);
  }
}
