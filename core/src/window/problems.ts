import { Temporal } from 'temporal-polyfill';
import { readRule } from './rule.ts';
import { nextRuns } from './schedule.ts';
import type { JobSchedule, PatchWindow, Recurrence } from './window.ts';
import { isZone } from './zone.ts';

/** What is wrong with windows and schedules. Their shapes are already right: contract/src/window.ts. */

export interface WindowProblem {
  /** JSON pointer; begins with the one that was handed in. */
  readonly path: string;
  readonly message: string;
}

/** A `once` that is over is no problem: the window is just not open any more. */
export function windowProblems(windows: readonly PatchWindow[], path = '/windows'): WindowProblem[] {
  return windows.flatMap((window, index) => {
    const at = `${path}/${String(index)}`;
    const problems = recurrenceProblems(window.opens, `${at}/opens`);
    if (window.zone !== 'asset' && !isZone(window.zone)) problems.push(zoneProblem(window.zone, at));
    const remaining = window.minimum_remaining_minutes ?? 0;
    if (remaining >= window.duration_minutes) {
      problems.push({
        path: `${at}/minimum_remaining_minutes`,
        message: `nothing could ever be begun: ${String(remaining)} minutes must be left of a window of ${String(window.duration_minutes)}`,
      });
    }
    return problems;
  });
}

/** `now` (milliseconds since 1970 UTC): a schedule that does not run after it is a problem; null leaves that out. */
export function scheduleProblems(
  schedule: JobSchedule,
  now: number | null,
  path = '/schedule',
): WindowProblem[] {
  const problems = recurrenceProblems(schedule.starts, `${path}/starts`);
  if (!isZone(schedule.zone)) {
    problems.push(
      schedule.zone === 'asset'
        ? {
            path: `${path}/zone`,
            message: 'a job starts for all its assets at once: name a zone such as Europe/Berlin',
          }
        : zoneProblem(schedule.zone, path),
    );
  }
  if (problems.length === 0 && now !== null && nextRuns(schedule, now, 1).length === 0)
    problems.push({ path: `${path}/starts`, message: 'no run is left: it would never start' });
  return problems;
}

function zoneProblem(zone: string, path: string): WindowProblem {
  return {
    path: `${path}/zone`,
    message: `${JSON.stringify(zone)} is not a time zone such as Europe/Berlin or UTC`,
  };
}

function recurrenceProblems(recurrence: Recurrence, path: string): WindowProblem[] {
  const problems: WindowProblem[] = [];
  const { kind } = recurrence;
  if ((kind === 'once' || kind === 'rrule') && !isLocal(recurrence.local))
    problems.push({ path: `${path}/local`, message: `there is no ${recurrence.local} in the calendar` });
  if (kind === 'rrule') {
    const read = readRule(recurrence.rule);
    if (!read.ok) problems.push({ path: `${path}/rule`, message: read.message });
    else if (problems.length === 0 && !canBeFollowed(recurrence))
      problems.push({ path: `${path}/rule`, message: 'the rule cannot be followed: it never recurs' });
  }
  return problems;
}

function isLocal(text: string): boolean {
  try {
    const { year } = Temporal.PlainDateTime.from(text, { overflow: 'reject' });
    return year >= 1970 && year < 3000;
  } catch {
    return false;
  }
}

/** The library gives up on a rule that finds nothing for very long. */
function canBeFollowed(recurrence: Extract<Recurrence, { kind: 'rrule' }>): boolean {
  const { epochMilliseconds: begin } = Temporal.PlainDateTime.from(recurrence.local).toZonedDateTime('UTC');
  try {
    return nextRuns({ zone: 'UTC', starts: recurrence }, begin - 1, 1).length > 0;
  } catch {
    return false;
  }
}
