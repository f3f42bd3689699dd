import type { Deployment, DeploymentDetail, TaskDetail, TaskView } from '@fixpoint/contract/patch-job.ts';
import {
  explainWaiting,
  waitingReason,
  waitsUntil,
  type DeploymentView,
} from '@fixpoint/core/deployment/decide.ts';
import { deploymentStates, type DeploymentState } from '@fixpoint/core/deployment/states.ts';
import { deniedBy as patternOn, deployedPatches } from '@fixpoint/core/plan/rules.ts';
import { isEnded } from '@fixpoint/core/task/transitions.ts';
import type { Kysely } from 'kysely';
import type { Context } from '../context.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import type { Database } from '../database/tables.ts';
import { deniedPatterns } from '../patch-denial/commands.ts';
import { getJob } from '../patch-job/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { decideOptions, observationOf } from './observe.ts';
import { deploymentHead } from './heads.ts';
import {
  countAtWork,
  deploymentPage,
  findDeployment,
  taskCounts,
  taskEvents,
  tasksOfDeployment,
  taskWithAsset,
  type DeploymentListRow,
} from './reads.ts';
import type { TaskOfAsset } from './records.ts';
import { stuckTasks, type StuckTask } from './stuck.ts';
import { timesOfJob } from './times.ts';

export function unknownDeployment(id: string) {
  return refuse(
    404,
    'deployment_unknown',
    `there is no deployment ${id}`,
    'see which there are with: fixpoint deployment list',
  );
}

function view(row: DeploymentListRow, tasks: Record<string, number>): Deployment {
  const state = deploymentStates.find((one) => one === row.state);
  if (state === undefined) throw new Error(`the database holds a state that there is not: ${row.state}`);
  return {
    id: row.id,
    job_id: row.job_id,
    job_name: row.job_name,
    state,
    pause_reasons: Array.isArray(row.pause_reasons) ? row.pause_reasons.map(String) : [],
    plan_digest: row.plan_digest,
    plan_id: row.plan_id,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    started_at: row.started_at?.toISOString() ?? null,
    ended_at: row.ended_at?.toISOString() ?? null,
    tasks,
  };
}

export async function deploymentView(db: Kysely<Database>, id: string): Promise<Answer<Deployment>> {
  const { rows } = await deploymentPage(db, { jobId: null, id, limit: 1, after: null });
  const [row] = rows;
  if (row === undefined) return unknownDeployment(id);
  return answer(view(row, (await taskCounts(db, [id])).get(id) ?? {}));
}

/** A page of deployments, newest first; of one job when `job` is given. */
export async function listDeployments(
  context: Pick<Context, 'db'>,
  query: {
    readonly job?: string | undefined;
    readonly limit?: number | undefined;
    readonly after?: string | undefined;
  },
): Promise<Answer<{ items: Deployment[]; total: number; next: string | null }>> {
  const read = readCursor(query.after);
  if (!read.ok) return read;
  const limit = query.limit ?? 100;
  const { rows, total } = await deploymentPage(context.db, {
    jobId: query.job ?? null,
    id: null,
    limit: limit + 1,
    after: read.cursor,
  });
  const shown = rows.slice(0, limit);
  const counts = await taskCounts(
    context.db,
    shown.map((row) => row.id),
  );
  const last = rows[limit - 1];
  const next =
    rows.length > limit && last !== undefined ? writeCursor({ at: last.created_at, id: last.id }) : null;
  return answer({ items: shown.map((row) => view(row, counts.get(row.id) ?? {})), total, next });
}

export async function deploymentDetail(
  context: Pick<Context, 'db' | 'clock'>,
  id: string,
): Promise<Answer<DeploymentDetail>> {
  const [row, shown] = [await findDeployment(context.db, id), await deploymentView(context.db, id)];
  if (row === undefined) return unknownDeployment(id);
  if (!shown.ok) return shown;
  const tasks = await deploymentTasks(context, id);
  return tasks.ok ? answer({ deployment: shown.value, plan: row.plan, tasks: tasks.value }) : tasks;
}

/** All tasks of a deployment with, for each that has not ended, why it is where it is. */
export async function deploymentTasks(
  context: Pick<Context, 'db' | 'clock'>,
  id: string,
): Promise<Answer<TaskView[]>> {
  const head = await deploymentHead(context.db, id);
  if (head === undefined) return unknownDeployment(id);
  const explain = await explainer(context, id, head);
  const tasks = await tasksOfDeployment(context.db, id);
  const stuck = new Map((await stuckTasks(context, { deploymentId: id })).map((one) => [one.taskId, one]));
  return answer(tasks.map((task) => taskView(task, explain, stuck.get(task.id))));
}

export async function taskDetail(
  context: Pick<Context, 'db' | 'clock'>,
  id: string,
): Promise<Answer<TaskDetail>> {
  const task = await taskWithAsset(context.db, id);
  const head = task === undefined ? undefined : await deploymentHead(context.db, task.deploymentId);
  if (task === undefined || head === undefined) {
    return refuse(
      404,
      'task_unknown',
      `there is no task ${id}`,
      'see the tasks with: fixpoint deployment show ID',
    );
  }
  const explain = await explainer(context, task.deploymentId, head);
  const events = await taskEvents(context.db, id);
  return answer({
    task: taskView(task, explain, (await stuckTasks(context, { taskIds: [id] }))[0]),
    deployment_id: task.deploymentId,
    events: events.map((event) => ({
      at: event.at.toISOString(),
      from: event.from_state,
      to: event.to_state,
      source: (['server', 'agent', 'person'] as const).find((source) => source === event.source) ?? 'server',
      message: event.message,
      detail: event.detail,
    })),
    evidence: task.evidence,
  });
}

type Explain = (task: TaskOfAsset) => TaskView['reason'];

/** Why an open task waits, by the same function that decides what happens to it. */
async function explainer(
  context: Pick<Context, 'db' | 'clock'>,
  deploymentId: string,
  head: { readonly state: DeploymentState; readonly jobId: string },
): Promise<Explain> {
  const job = await getJob(context.db, head.jobId);
  if (!job.ok) throw new Error(`deployment ${deploymentId} is of a job that is not there`);
  const { definition } = job.value;
  const deployment: DeploymentView = {
    state: head.state,
    concurrency: definition.concurrency,
    openRing: 0,
  };
  const atWork = await countAtWork(context.db, deploymentId);
  const at = context.clock.now();
  const times = await timesOfJob(context.db, definition, at);
  const denied = await deniedPatterns(context.db);
  const isDenied = (task: TaskOfAsset) =>
    deployedPatches(task.planned).some((id) => patternOn(id, denied) !== null);
  return (task) => {
    if (task.reason !== null) return task.reason;
    if (isEnded(task.state)) return null;
    const observed = {
      ...observationOf(task, null),
      standing: times.standing(task.timeZone, task.missedWindowAt !== null),
      denied: isDenied(task),
    };
    const reason = waitingReason(deployment, observed, atWork, at.getTime(), decideOptions);
    if (reason === null) return null;
    const { message, whatToDo } = explainWaiting(reason, waitsUntil(observed, reason));
    return { code: reason, message, what_to_do: whatToDo };
  };
}

function taskView(
  task: TaskOfAsset & { hostname: string },
  explain: Explain,
  stuck: StuckTask | undefined,
): TaskView {
  return {
    id: task.id,
    asset_id: task.planned.asset_id,
    hostname: task.hostname,
    ring: task.ring,
    state: task.state,
    reason: explain(task),
    ...(stuck === undefined
      ? {}
      : {
          stuck: {
            code: stuck.code,
            since: new Date(stuck.since).toISOString(),
            message: stuck.message,
            what_to_do: stuck.whatToDo,
          },
        }),
    packages: task.planned.packages,
    ...(task.planned.mitigations === undefined ? {} : { mitigations: task.planned.mitigations }),
    fixes: task.planned.fixes,
    offered_at: task.offeredAt?.toISOString() ?? null,
    updated_at: task.updatedAt.toISOString(),
    ended_at: task.endedAt?.toISOString() ?? null,
  };
}
