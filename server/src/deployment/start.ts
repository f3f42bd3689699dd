import type { Deployment, PatchJob, Plan } from '@fixpoint/contract/patch-job.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { PlanAsset } from '@fixpoint/core/plan/plan.ts';
import { misfitsOf } from '@fixpoint/core/plan/still-fits.ts';
import { appendAudits } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { findingsOfAssets } from '../finding/commands.ts';
import { deniedPatterns } from '../patch-denial/commands.ts';
import { getJob, jobToStart } from '../patch-job/commands.ts';
import type { JobReading } from '../patch-job/target.ts';
import { planToStart, planWasStarted } from '../plan/frozen.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { concernedBy, planAssets, planJob, type PlanWithAssets } from './plan.ts';
import { assetIdsOf } from './reads.ts';
import { insertDeployment, insertTasks, lockAssets } from './store.ts';
import { findingOf } from './verification.ts';
import { deploymentView } from './view.ts';

/** The plan that a start would freeze now. Nothing is stored, and no asset is asked. `reading`: of `readingOfJob`. */
export async function previewJob(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  jobId: string,
  reading: JobReading,
): Promise<Answer<Plan>> {
  const job = await getJob(trx, jobId);
  if (!job.ok) return job;
  const planned = await planJob(trx, context, job.value, reading);
  return planned.ok ? answer(planned.value.plan) : planned;
}

export interface StartOf {
  /** Only when the plan still is the one that was previewed. */
  readonly plan_digest?: string | undefined;
  /** Exactly this plan, whose assets were asked. */
  readonly plan_id?: string | undefined;
  readonly reason?: string | undefined;
}

/**
 * Makes a deployment of a job: freezes the plan, its tasks and the findings as they are before, in one transaction. With `plan_id` it
 * is the plan that was frozen before, if it still fits what is there and its assets are still meant. `reading`: of `readingOfJob`, asked before the transaction.
 */
export async function startDeployment(
  trx: Transact,
  context: Pick<Context, 'clock' | 'random'>,
  actor: Actor,
  jobId: string,
  request: StartOf,
  reading: JobReading,
): Promise<Answer<Deployment>> {
  const job = await jobToStart(trx, jobId);
  if (!job.ok) return job;
  const planId = request.plan_id ?? null;
  const planned =
    planId === null
      ? await plannedNow(trx, context, job.value, reading)
      : await plannedBefore(trx, context, jobId, planId, reading);
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
  await insertDeployment(trx, { id, jobId, plan, planId, createdBy: actor.name, at });
  if (planId !== null) await planWasStarted(trx, planId);
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
        ...(planId === null ? {} : { plan: planId }),
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

async function plannedNow(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  job: PatchJob,
  reading: JobReading,
): Promise<Answer<PlanWithAssets>> {
  // no other deployment may give one of these assets a task while the plan says that they are free
  await lockAssets(trx, reading.assetIds);
  return await planJob(trx, context, job, reading);
}

const misfitsShown = 5;
const assetsAtOnce = 500;

/** A plan that was frozen before, with its assets locked and found to be as they were. */
async function plannedBefore(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  jobId: string,
  planId: string,
  reading: JobReading,
): Promise<Answer<PlanWithAssets>> {
  const frozen = await planToStart(trx, context, jobId, planId);
  if (!frozen.ok) return frozen;
  const plan = frozen.value;
  const assetIdOf = await assetIdsOf(
    trx,
    plan.tasks.map((task) => task.asset_id),
  );
  const ids = [...assetIdOf.values()].sort((a, b) => a - b);
  await lockAssets(trx, ids);
  const assets = new Map<string, PlanAsset>();
  for (let i = 0; i < ids.length; i += assetsAtOnce) {
    const read = await planAssets(trx, ids.slice(i, i + assetsAtOnce), new Map(), [], []);
    for (const asset of read.values()) assets.set(asset.uid, asset);
  }
  const misfits = [
    ...outOfTarget(plan, assetIdOf, reading),
    ...misfitsOf(plan, assets, await deniedPatterns(trx)),
  ];
  if (misfits.length > 0) {
    const more = misfits.length - misfitsShown;
    return refuse(
      409,
      'plan_changed',
      `the plan does not fit any more: ${misfits.slice(0, misfitsShown).join('; ')}${more > 0 ? `; and ${String(more)} more` : ''}`,
      'make a new plan (fixpoint plan make JOB), read it, and start that',
    );
  }
  return answer({ plan, assetIdOf });
}

/** Assets that have left the target since the plan was made, or are excluded now: nobody wants them changed any more. */
function outOfTarget(
  plan: Plan,
  assetIdOf: ReadonlyMap<string, number>,
  { assetIds, leftOut }: JobReading,
): string[] {
  const targeted = new Set(assetIds);
  return plan.tasks.flatMap(({ asset_id: uid, hostname }) => {
    const id = assetIdOf.get(uid);
    // one that is gone is told of with the rest
    if (id === undefined) return [];
    const why = leftOut.get(id) ?? (targeted.has(id) ? null : 'it is not in the target of the job any more');
    return why === null ? [] : [`${hostname}: ${why}`];
  });
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
