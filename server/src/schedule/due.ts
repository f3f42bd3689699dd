import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { PatchJob } from '@fixpoint/contract/patch-job.ts';
import { nextRuns, runsUpTo } from '@fixpoint/core/window/schedule.ts';
import type { JobSchedule } from '@fixpoint/core/window/window.ts';
import type { ServerContext } from '../app.ts';
import { appendAudit } from '../audit/commands.ts';
import type { Transact } from '../context.ts';
import { startDeployment } from '../deployment/start.ts';
import { raiseAlert } from '../notify/commands.ts';
import { getJob, isArchived, readingOfJob } from '../patch-job/commands.ts';
import { transact } from '../transact.ts';
import { dueRuns, insertRun, lockRun, setTaken, type DueRun } from './store.ts';

type Rooms = Pick<ServerContext, 'db' | 'clock' | 'random' | 'log' | 'posture'>;

/** Who starts what nobody starts by hand. */
export const scheduleActor: Actor = { kind: 'system', name: 'schedule' };

/** A run after which none comes is started up to so much too late. */
const lastRunGraceMilliseconds = 24 * 3_600_000;
/** More than there are jobs that fail at once, so that these keep no other from its turn. */
const runsAtOnce = 1_000;
const lookEveryMilliseconds = 2_000;
const afterFailureMilliseconds = 30_000;

export interface Schedules {
  /** Settles when what is under way has ended. */
  stop(): Promise<void>;
}

/** Starts jobs when they are due. Any number of servers may do so: a run is a row, and who has it locked starts it. */
export function startScheduledJobs(
  context: Rooms,
  options: { readonly lookMilliseconds?: number } = {},
): Schedules {
  /** Jobs that met an outage of our own, and until when they are left alone. */
  const resting = new Map<string, number>();
  const stop = { asked: false };
  let timer: NodeJS.Timeout | null = null;
  const look = async (): Promise<void> => {
    try {
      await startDueRuns(context, {
        leaveAlone: (jobId) => stop.asked || (resting.get(jobId) ?? 0) > performance.now(),
        failed: (jobId) => resting.set(jobId, performance.now() + afterFailureMilliseconds),
      });
    } catch (error) {
      context.log.warn({ err: error }, 'it could not be seen which jobs are due; trying again');
    }
    if (stop.asked) return;
    timer = setTimeout(() => {
      looking = look();
    }, options.lookMilliseconds ?? lookEveryMilliseconds);
  };
  let looking = look();
  return {
    async stop() {
      stop.asked = true;
      if (timer !== null) clearTimeout(timer);
      await looking;
    },
  };
}

/** Takes up every run that is due now. One job's trouble does not keep the others. */
export async function startDueRuns(
  context: Rooms,
  outages: {
    readonly leaveAlone: (jobId: string) => boolean;
    readonly failed: (jobId: string) => void;
  } = { leaveAlone: () => false, failed: () => undefined },
): Promise<void> {
  const failed = new Set<string>();
  for (;;) {
    // a run that was missed makes way for a later one, which may be due as well
    const due = await dueRuns(context.db, context.clock.now(), runsAtOnce);
    const ready = due.filter((run) => !failed.has(run.job_id) && !outages.leaveAlone(run.job_id));
    const taken = [];
    for (const run of ready) {
      try {
        if (await takeUp(context, run)) taken.push(run);
      } catch (error) {
        failed.add(run.job_id);
        outages.failed(run.job_id);
        context.log.error(
          { err: error, job: run.job_id },
          'a scheduled job could not be started; trying again',
        );
      }
    }
    if (taken.length === 0) return;
  }
}

/** Starts a run, or writes down why not. False when another server is at it, or was. */
async function takeUp(context: Rooms, run: DueRun): Promise<boolean> {
  const job = await getJob(context.db, run.job_id);
  if (!job.ok) throw new Error(`a run is of a job that is not there: ${run.job_id}`);
  const { schedule } = job.value.definition;
  if (schedule === undefined) throw new Error(`a run is of a job without a schedule: ${run.job_id}`);
  if (await isArchived(context.db, run.job_id)) return await close(context, run);
  const missed = missedRun(schedule, run.due_at, context.clock.now());
  if (missed !== null) return await passOver(context, run, job.value, missed);
  const reading = await readingOfJob(context, run.job_id);
  return await transact(context.db, async (trx) => {
    if (!(await lockRun(trx, run))) return false;
    const started = reading.ok
      ? await startDeployment(
          trx,
          context,
          scheduleActor,
          run.job_id,
          { reason: `the run of ${run.due_at.toISOString()}` },
          reading.value,
        )
      : reading;
    if (started.ok) {
      await setTaken(trx, run, { at: context.clock.now(), deploymentId: started.value.id, outcome: null });
    } else {
      const { code, message, whatToDo } = started;
      const outcome = { code, message, what_to_do: whatToDo };
      await skip(trx, context, run, job.value, outcome);
      if (code !== 'nothing_to_do') await alertOf(trx, context, run, job.value, outcome);
    }
    const [next] = nextRuns(schedule, run.due_at.getTime(), 1);
    if (next !== undefined) await insertRun(trx, run.job_id, new Date(next));
    return true;
  });
}

/** An archived job runs no more, and nothing needs to be said about it. */
async function close(context: Rooms, run: DueRun): Promise<boolean> {
  return await transact(context.db, async (trx) => {
    if (!(await lockRun(trx, run))) return false;
    const outcome = {
      code: 'job_archived',
      message: 'the job was archived before',
      what_to_do: 'Nothing needs to be done.',
    };
    await setTaken(trx, run, { at: context.clock.now(), deploymentId: null, outcome });
    return true;
  });
}

interface MissedRun {
  /** It and those after it that were missed too. */
  readonly count: number;
  /** The one that is to be looked at next; null when there is none. */
  readonly next: number | null;
}

/**
 * A run is missed when the next one is due as well: then that one is started instead. One after which none comes is missed a day
 * later. Null: it is to be started.
 */
function missedRun(schedule: JobSchedule, dueAt: Date, now: Date): MissedRun | null {
  const due = dueAt.getTime();
  const since = runsUpTo(schedule, due, now.getTime());
  if (since.last !== null) return { count: since.count, next: since.last };
  const hasNext = nextRuns(schedule, due, 1).length > 0;
  return hasNext || now.getTime() - due <= lastRunGraceMilliseconds ? null : { count: 1, next: null };
}

async function passOver(context: Rooms, run: DueRun, job: PatchJob, missed: MissedRun): Promise<boolean> {
  return await transact(context.db, async (trx) => {
    if (!(await lockRun(trx, run))) return false;
    const others = missed.count > 1 ? `, and so did ${String(missed.count - 1)} after it` : '';
    const outcome = {
      code: 'run_missed',
      message: `the run of ${run.due_at.toISOString()} passed while no server could start it${others}`,
      what_to_do:
        missed.next === null
          ? 'start the job by hand if it is still wanted'
          : 'nothing: the latest run is started instead',
    };
    await skip(trx, context, run, job, outcome);
    if (missed.next === null) await alertOf(trx, context, run, job, outcome);
    if (missed.next !== null) await insertRun(trx, run.job_id, new Date(missed.next));
    return true;
  });
}

interface Outcome {
  readonly code: string;
  readonly message: string;
  readonly what_to_do: string;
}

/** A person has to know: nobody looks at what runs by itself. */
async function alertOf(
  trx: Transact,
  context: Rooms,
  run: DueRun,
  job: PatchJob,
  outcome: Outcome,
): Promise<void> {
  const due = run.due_at.toISOString();
  await raiseAlert(trx, context, {
    kind: 'run_not_started',
    severity: 'warning',
    subjectKind: 'job',
    subject: run.job_id,
    message: `The scheduled job ${job.definition.name} did not start at ${due}: ${outcome.message}.`,
    whatToDo: outcome.what_to_do,
    detail: { due_at: due, outcome },
    deduplicationKey: `run_not_started:${run.job_id}:${due}`,
  });
}

async function skip(
  trx: Transact,
  context: Rooms,
  run: DueRun,
  job: PatchJob,
  outcome: Outcome,
): Promise<void> {
  await setTaken(trx, run, { at: context.clock.now(), deploymentId: null, outcome });
  await appendAudit(trx, context, {
    actor: scheduleActor,
    event: 'job.run_skipped',
    subjectKind: 'job',
    subject: run.job_id,
    reason: outcome.message,
    after: { job: job.definition.name, due_at: run.due_at.toISOString(), outcome },
  });
}
