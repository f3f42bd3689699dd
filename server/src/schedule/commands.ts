import {
  shownRuns,
  type JobRun,
  type JobRuns,
  type SchedulePreview,
  type SchedulePreviewRequest,
} from '@fixpoint/contract/schedule.ts';
import { windowIntervals } from '@fixpoint/core/window/intervals.ts';
import { scheduleProblems, windowProblems } from '@fixpoint/core/window/problems.ts';
import { nextRuns } from '@fixpoint/core/window/schedule.ts';
import type { Interval } from '@fixpoint/core/window/window.ts';
import { isZone } from '@fixpoint/core/window/zone.ts';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { blackoutsFor, lookForCalendars } from '../calendar/commands.ts';
import type { Context } from '../context.ts';
import { getJob, isArchived } from '../patch-job/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { nextRunRow, takenRuns, type RunRow } from './store.ts';

const day = 86_400_000;
/** Windows are looked for so far ahead, in steps. */
const lookAheadDays = [31, 124, 400] as const;

const Outcome = Type.Object({ code: Type.String(), message: Type.String(), what_to_do: Type.String() });

/** What came of a job's runs, and when it runs next. */
export async function jobRuns(db: Context['db'], id: string, limit: number): Promise<Answer<JobRuns>> {
  const job = await getJob(db, id);
  if (!job.ok) return job;
  const { schedule } = job.value.definition;
  if (schedule === undefined) return answer({ zone: null, past: [], next: [] });
  const past = (await takenRuns(db, id, limit)).map(runView);
  const first = (await isArchived(db, id)) ? null : await nextRunRow(db, id);
  const next = first === null ? [] : [first.getTime(), ...nextRuns(schedule, first.getTime(), shownRuns - 1)];
  return answer({ zone: schedule.zone, past, next: next.map(iso) });
}

const iso = (moment: number) => new Date(moment).toISOString();

function runView({ due_at: dueAt, taken_at: takenAt, deployment_id: deployment, outcome }: RunRow): JobRun {
  return {
    due_at: dueAt.toISOString(),
    taken_at: (takenAt ?? dueAt).toISOString(),
    deployment_id: deployment,
    outcome: outcome === null ? null : Value.Parse(Outcome, outcome),
  };
}

/** When a schedule would run and windows would be open from now on. */
export async function previewSchedule(
  context: Pick<Context, 'db' | 'clock'>,
  request: SchedulePreviewRequest,
): Promise<Answer<SchedulePreview>> {
  const { schedule, windows, calendars = [], asset_zone: assetZone = 'UTC', count = shownRuns } = request;
  const now = context.clock.now().getTime();
  const problems = [
    ...(schedule === undefined ? [] : scheduleProblems(schedule, now)),
    ...(windows === undefined ? [] : windowProblems(windows)),
    ...(isZone(assetZone) ? [] : [{ path: '/asset_zone', message: `${assetZone} is not a time zone` }]),
  ];
  if (schedule === undefined && windows === undefined)
    problems.push({ path: '', message: 'neither a schedule nor windows are given' });
  if (problems.length > 0) {
    return {
      ...refuse(
        422,
        'schedule_invalid',
        problems.map((one) => `${one.path}: ${one.message}`).join('; '),
        'correct it and ask again',
      ),
      problems,
    };
  }
  const known = await lookForCalendars(context.db, calendars);
  if (!known.ok) return known;
  const runs = schedule === undefined ? [] : nextRuns(schedule, now, count);
  let open: Interval[] = [];
  if (windows !== undefined) {
    for (const days of lookAheadDays) {
      const until = now + days * day;
      const blackouts = await blackoutsFor(context.db, calendars, now, until);
      open = windowIntervals(windows, blackouts, assetZone, now, until);
      if (open.length > count) break;
    }
  }
  return answer({
    runs: runs.map(iso),
    windows: open
      .slice(0, count)
      .map((one) => ({ opens_at: iso(one.opensAt), closes_at: iso(one.closesAt) })),
  });
}
