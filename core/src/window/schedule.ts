import { occurrences } from './occurrences.ts';
import type { JobSchedule } from './window.ts';

const day = 24 * 60 * 60_000;
/** One that does not run again within so many years has no run left; 29 February comes after eight at the latest. */
const yearsMaximum = 10;
const lookAheadDays = [8, 62, 400, yearsMaximum * 366] as const;

/**
 * The next `count` moments (milliseconds since 1970 UTC) after `after` at which a schedule starts its job, in order. Fewer when
 * it ends, or when nothing comes for ten years.
 */
export function nextRuns(schedule: JobSchedule, after: number, count: number): number[] {
  const runs: number[] = [];
  while (runs.length < count) {
    const next = runsAfter(schedule, runs.at(-1) ?? after);
    if (next.length === 0) break;
    runs.push(...next);
  }
  return runs.slice(0, count);
}

/** Those of the shortest look ahead that has any. */
function runsAfter({ zone, starts }: JobSchedule, after: number): number[] {
  for (const days of lookAheadDays) {
    const found = occurrences(starts, zone, after + 1, after + days * day);
    if (found.length > 0) return found;
  }
  return [];
}

/** How many runs there are in (after, upTo], and the last of them. */
export function runsUpTo(
  { zone, starts }: JobSchedule,
  after: number,
  upTo: number,
): { readonly count: number; readonly last: number | null } {
  const runs = occurrences(starts, zone, after + 1, upTo + 1);
  return { count: runs.length, last: runs.at(-1) ?? null };
}
