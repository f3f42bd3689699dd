import { sql, type Kysely } from 'kysely';
import { alertKinds, type AlertKind } from '@fixpoint/core/audit/alerts.ts';
import { stuckAfter, stuckOf, type Stuck, type StuckCode } from '@fixpoint/core/deployment/stuck.ts';
import { compareText } from '@fixpoint/core/knowledge/compare-text.ts';
import { taskStates } from '@fixpoint/core/task/states.ts';
import type { Context } from '../context.ts';
import type { Database } from '../database/tables.ts';
import { clearAlert, openAlerts, isRaised, raiseAlert } from '../notify/commands.ts';
import { transact } from '../transact.ts';
import { stateOf } from './records.ts';
import { appendTaskEvent, lockAssets } from './store.ts';

/** Finds tasks that should have gone on by now, tells of each once, and takes it back when the task goes on. */

export interface StuckTask extends Stuck {
  readonly taskId: string;
  readonly assetId: number;
  readonly deploymentId: string;
  readonly deploymentName: string;
  readonly generation: number;
  readonly state: string;
  readonly hostname: string;
}

const soonestSeconds = Math.min(...Object.values(stuckAfter).map((one) => one.seconds));
/** Told in one turn; the rest come in the next ones. */
const toldAtOnce = 200;
/** Of one deployment and one code. When it is more, one alert tells how many: nobody reads a thousand of the same. */
const toldOfDeployment = 20;
const lastOutputCharacters = 2_000;

/** Which tasks are stuck: of a deployment, or those named, or all but those in `not`. */
export async function stuckTasks(
  context: Pick<Context, 'db' | 'clock'>,
  which: {
    readonly deploymentId?: string;
    readonly taskIds?: readonly string[];
    readonly not?: readonly string[];
    readonly limit?: number;
  },
): Promise<StuckTask[]> {
  const now = context.clock.now();
  const quietSince = new Date(now.getTime() - soonestSeconds * 1000);
  const { rows } = await candidates(context.db, which, quietSince);
  return rows.flatMap((row) => {
    const stuck = stuckOf(
      {
        state: stateOf(taskStates, row.state),
        resumeState: row.resume_state === null ? null : stateOf(taskStates, row.resume_state),
        stateSince: (row.undecided_since ?? row.updated_at).getTime(),
        progressAt: Math.max(row.updated_at.getTime(), row.progress_at?.getTime() ?? 0),
        heardAt: row.last_seen_at?.getTime() ?? null,
        installTimeoutSeconds: row.install_timeout_seconds ?? 3_600,
        held: row.deployment_state !== 'running',
        lastOutput: row.last_output,
      },
      now.getTime(),
    );
    if (stuck === null) return [];
    const { id, asset_id, deployment_id, job_name, generation, state, hostname } = row;
    return [
      {
        ...stuck,
        taskId: id,
        assetId: asset_id,
        deploymentId: deployment_id,
        deploymentName: job_name,
        generation,
        state,
        hostname,
      },
    ];
  });
}

interface Candidate {
  id: string;
  asset_id: number;
  deployment_id: string;
  job_name: string;
  hostname: string;
  state: string;
  resume_state: string | null;
  generation: number;
  updated_at: Date;
  progress_at: Date | null;
  last_seen_at: Date | null;
  deployment_state: string;
  install_timeout_seconds: number | null;
  undecided_since: Date | null;
  last_output: string | null;
}

function candidates(
  db: Kysely<Database>,
  which: Parameters<typeof stuckTasks>[1],
  quietSince: Date,
): Promise<{ rows: Candidate[] }> {
  const { deploymentId = null, taskIds = null, not = [], limit = 100_000 } = which;
  // A verification that could not be decided is judged again and again, each time anew: since when, its history knows.
  return sql<Candidate>`
    select t.id, t.asset_id, t.deployment_id, j.name as job_name, a.hostname, t.state, t.resume_state, t.generation, t.updated_at, t.progress_at,
           c.last_seen_at, d.state as deployment_state,
           (j.definition ->> 'install_timeout_seconds')::integer as install_timeout_seconds,
           case when t.state = 'verifying' and t.reason is not null then
             (select max(e.at) from task_event e
              where e.task_id = t.id and e.to_state = 'verifying' and e.from_state <> 'verifying')
           end as undecided_since,
           case when coalesce(t.resume_state, t.state) in ('downloading', 'installing', 'rolling_back') then
             (select right(l.text, ${lastOutputCharacters}::integer) from task_log l
              where l.task_id = t.id and l.generation = t.generation order by l.place desc limit 1)
           end as last_output
    from task t
    join asset a on a.id = t.asset_id
    join deployment d on d.id = t.deployment_id
    join patch_job j on j.id = d.job_id
    left join asset_contact c on c.asset_id = t.asset_id
    where t.ended_at is null and t.state <> 'queued'
      and (t.updated_at < ${quietSince} or (t.state = 'verifying' and t.reason is not null))
      and (${deploymentId}::uuid is null or t.deployment_id = ${deploymentId}::uuid)
      and (${taskIds === null ? null : [...taskIds]}::uuid[] is null or t.id = any(${taskIds === null ? null : [...taskIds]}::uuid[]))
      and not t.id = any(${[...not]}::uuid[])
    order by t.updated_at desc
    limit ${limit}`.execute(db);
}

const kindOf = (code: StuckCode): AlertKind =>
  code === 'unreachable_long' ? 'asset_unreachable' : 'task_stuck';
const keyOf = (one: { taskId: string; generation: number; code: StuckCode }): string =>
  `${kindOf(one.code)}:${one.taskId}:${String(one.generation)}:${one.code}`;

/**
 * Alerts to tasks that are stuck, once for each task, generation and code, and takes back what is so no longer. Where more than
 * `each` tasks of a deployment are stuck for the same, one alert says so for all, and again with each ten times as many. Several
 * servers may do it at once.
 */
export async function noticeStuckTasks(
  context: Pick<Context, 'db' | 'clock' | 'random' | 'log'>,
  each = toldOfDeployment,
): Promise<void> {
  const open = await openAlerts(context.db, ['task_stuck', 'asset_unreachable']);
  const told = open.filter((alert) => !alert.deduplication_key.includes(ofDeployment));
  const still = await stuckTasks(context, { taskIds: told.map((alert) => alert.subject) });
  const stillKeys = new Set(still.map(keyOf));
  for (const alert of told) {
    if (stillKeys.has(alert.deduplication_key)) continue;
    await tellThatItGoesOn(context, alert);
  }
  const fresh = await stuckTasks(context, {
    not: told.filter((alert) => stillKeys.has(alert.deduplication_key)).map((alert) => alert.subject),
  });
  const groups = Map.groupBy([...still, ...fresh], groupOf);
  for (const alert of open) {
    const [group, step] = alert.deduplication_key.split(ofDeployment);
    if (step === undefined) continue;
    const now = groups.get(group ?? '')?.length ?? 0;
    if (now > each && stepOfCount(now) <= Number(step)) continue;
    const why = now > each ? 'There are more by now.' : `${String(now)} of its tasks are still stuck.`;
    await transact(context.db, (trx) => clearAlert(trx, context, alert.id, why));
  }
  const counted = open.map((alert) => alert.deduplication_key);
  for (const [group, tasks] of groups) {
    const step = stepOfCount(tasks.length);
    const isCounted = counted.some((key) => {
      const [ofGroup, known] = key.split(ofDeployment);
      return ofGroup === group && Number(known) >= step;
    });
    if (tasks.length > each && !isCounted) await tellThatManyAreStuck(context, group, tasks);
  }
  let count = 0;
  for (const one of fresh) {
    if (count === toldAtOnce) break;
    if ((groups.get(groupOf(one))?.length ?? 0) > each) continue;
    if (await tellThatItIsStuck(context, one)) count++;
  }
}

/** Between a group and how many are in it, in the key of an alert to many tasks. */
const ofDeployment = ':in_deployment:';
const groupOf = (one: StuckTask): string => `${kindOf(one.code)}:${one.deploymentId}:${one.code}`;
/** 1, 10, 100 …: the greatest that is not above it. */
const stepOfCount = (count: number): number => 10 ** (String(count).length - 1);

async function tellThatManyAreStuck(
  context: Pick<Context, 'db' | 'clock' | 'random'>,
  group: string,
  tasks: readonly StuckTask[],
): Promise<void> {
  const [one] = tasks;
  if (one === undefined) return;
  const kind = kindOf(one.code);
  const hostnames = tasks.map((task) => task.hostname).toSorted(compareText);
  await transact(context.db, (trx) =>
    raiseAlert(trx, context, {
      kind,
      severity: alertKinds[kind].severity,
      subjectKind: 'deployment',
      subject: one.deploymentId,
      message: `${one.deploymentName}: ${String(tasks.length)} tasks, of ${hostnames.slice(0, 3).join(', ')} and others: ${one.message}`,
      whatToDo: `${one.whatToDo} See which they are: fixpoint deployment show ${one.deploymentId}`,
      detail: { code: one.code, tasks: tasks.length, hostnames: hostnames.slice(0, 100) },
      deduplicationKey: `${group}${ofDeployment}${String(stepOfCount(tasks.length))}`,
    }),
  );
}

async function tellThatItIsStuck(
  context: Pick<Context, 'db' | 'clock' | 'random'>,
  one: StuckTask,
): Promise<boolean> {
  return transact(context.db, async (trx) => {
    if (await isRaised(trx, keyOf(one))) return false;
    await lockAssets(trx, [one.assetId]);
    // Raised meanwhile by another server, or the task went on.
    if (await isRaised(trx, keyOf(one))) return false;
    const [now] = await stuckTasks({ db: trx, clock: context.clock }, { taskIds: [one.taskId] });
    if (now === undefined || keyOf(now) !== keyOf(one)) return false;
    await note(trx, context, now, `Stuck: ${now.message}`);
    const kind = kindOf(now.code);
    await raiseAlert(trx, context, {
      kind,
      severity: alertKinds[kind].severity,
      subjectKind: 'task',
      subject: now.taskId,
      message: `${now.hostname}: ${now.message} Nothing has happened since ${new Date(now.since).toISOString()}.`,
      whatToDo: now.whatToDo,
      detail: {
        code: now.code,
        state: now.state,
        generation: now.generation,
        since: new Date(now.since).toISOString(),
      },
      deduplicationKey: keyOf(now),
    });
    return true;
  });
}

async function tellThatItGoesOn(
  context: Pick<Context, 'db' | 'clock' | 'random'>,
  alert: { readonly id: string; readonly subject: string },
): Promise<void> {
  await transact(context.db, async (trx) => {
    const task = await trx
      .selectFrom('task')
      .select(['asset_id', 'state', 'ended_at'])
      .where('id', '=', alert.subject)
      .executeTakeFirst();
    if (task === undefined) return;
    await lockAssets(trx, [task.asset_id]);
    const message =
      task.ended_at === null
        ? `The task goes on; it is ${task.state}.`
        : `The task has ended: ${task.state}.`;
    if (task.ended_at === null) {
      await note(trx, context, { taskId: alert.subject, state: task.state }, 'The task goes on.');
    }
    await clearAlert(trx, context, alert.id, message);
  });
}

/** A line in the history of a task that changes nothing. Its asset is locked. */
async function note(
  trx: Parameters<typeof appendTaskEvent>[0],
  context: Pick<Context, 'clock'>,
  task: { readonly taskId: string; readonly state: string; readonly code?: StuckCode },
  message: string,
): Promise<void> {
  const state = stateOf(taskStates, task.state);
  await appendTaskEvent(trx, task.taskId, {
    at: context.clock.now(),
    from: state,
    to: state,
    source: 'server',
    message,
    detail: task.code === undefined ? null : { stuck: task.code },
  });
}
