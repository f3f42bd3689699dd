import type { Kysely } from 'kysely';
import { Value } from 'typebox/value';
import { PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import { deploymentStates, type DeploymentState } from '@fixpoint/core/deployment/states.ts';
import type { Database } from '../database/tables.ts';
import { stateOf } from './records.ts';

/** What tasks are decided by of their deployment: little, and asked often. Nothing is written. */

/** State and job of a deployment without its plan, which can be large. */
export async function deploymentHead(
  db: Kysely<Database>,
  id: string,
): Promise<{ state: DeploymentState; jobId: string } | undefined> {
  const row = await db
    .selectFrom('deployment')
    .select(['state', 'job_id'])
    .where('id', '=', id)
    .executeTakeFirst();
  return row === undefined ? undefined : { state: stateOf(deploymentStates, row.state), jobId: row.job_id };
}

/** The same with what its job says, in one question. Whoever has a task knows that its deployment is there; else this throws. */
export async function deploymentWithJob(
  db: Kysely<Database>,
  id: string,
): Promise<{ state: DeploymentState; definition: PatchJobDefinition }> {
  const row = await db
    .selectFrom('deployment')
    .innerJoin('patch_job', 'patch_job.id', 'deployment.job_id')
    .select(['deployment.state', 'patch_job.definition'])
    .where('deployment.id', '=', id)
    .executeTakeFirst();
  if (row === undefined) throw new Error(`the deployment ${id}, which has tasks, is not there`);
  return {
    state: stateOf(deploymentStates, row.state),
    definition: Value.Parse(PatchJobDefinition, row.definition),
  };
}
