import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';
import { DeploymentAccuracy } from '@fixpoint/contract/accuracy.ts';
import { accuracyOf, type TaskStep } from '@fixpoint/core/plan/accuracy.ts';
import { taskStates } from '@fixpoint/core/task/states.ts';
import type { Kysely } from 'kysely';
import type { Database } from '../database/tables.ts';
import { stepsOfDeployment, tasksOfDeployment } from '../deployment/reads.ts';
import { stateOf } from '../deployment/records.ts';
import { deploymentView } from '../deployment/view.ts';
import { answer, type Answer } from '../refusal.ts';

/** Of what agents report, what a prediction can be compared with; the rest of a detail is left aside. */
const Detail = Type.Object({
  versions: Type.Optional(
    Type.Array(Type.Object({ name: Type.String(), arch: Type.String(), version: Type.String() })),
  ),
  downloaded_bytes: Type.Optional(Type.Number()),
  restarted_units: Type.Optional(Type.Array(Type.String())),
  not_restarted_units: Type.Optional(Type.Array(Type.Object({ name: Type.String() }))),
});
const DetailCheck = Compile(Detail);

/** Compares what a deployment's assets predicted with what happened, as far as it has. */
export async function deploymentAccuracy(
  db: Kysely<Database>,
  id: string,
): Promise<Answer<DeploymentAccuracy>> {
  const deployment = await deploymentView(db, id);
  if (!deployment.ok) return deployment;
  const steps = Map.groupBy(await stepsOfDeployment(db, id), (one) => one.task_id);
  const tasks = (await tasksOfDeployment(db, id)).map((task) => ({
    task_id: task.id,
    asset_id: task.planned.asset_id,
    hostname: task.hostname,
    state: task.state,
    ...accuracyOf(
      task.planned,
      (steps.get(task.id) ?? []).map((one) => stepOf(one.to_state, one.detail)),
    ),
  }));
  const compared = tasks.filter((task) => task.not_compared === null);
  const differences: Record<string, number> = {};
  const download = { predicted: 0, actual: 0 };
  for (const task of compared) {
    for (const { kind } of task.differences) differences[kind] = (differences[kind] ?? 0) + 1;
    if (task.download_bytes.actual === null) continue;
    download.predicted += task.download_bytes.predicted;
    download.actual += task.download_bytes.actual;
  }
  return answer(
    Value.Parse(DeploymentAccuracy, {
      deployment_id: id,
      plan_id: deployment.value.plan_id,
      totals: {
        tasks: tasks.length,
        compared: compared.length,
        as_predicted: compared.filter((task) => task.differences.length === 0).length,
        differences,
        download_bytes: download,
      },
      tasks,
    }),
  );
}

function stepOf(to: string, detail: unknown): TaskStep {
  return { to: stateOf(taskStates, to), detail: DetailCheck.Check(detail) ? detail : {} };
}
