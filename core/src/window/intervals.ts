import { occurrences } from './occurrences.ts';
import type { Interval, PatchWindow } from './window.ts';
import { zoneOf } from './zone.ts';

/** The concrete times in which something may be done. All times are milliseconds since 1970 UTC. */

const minute = 60_000;
const day = 24 * 60 * minute;
/** How far ahead an opening is looked for, in steps, since the next one is mostly near. */
const lookAheadDays = [8, 62, 400] as const;

/**
 * When the windows are open in [from, until), without the blackouts: in order and apart from each other. Windows that touch or
 * overlap are one. Without windows, all the time is open. `assetZone`: for windows in the zone of the asset; what is no zone is
 * taken for UTC.
 */
export function windowIntervals(
  windows: readonly PatchWindow[] | undefined,
  blackouts: readonly Interval[],
  assetZone: string,
  from: number,
  until: number,
): Interval[] {
  if (until <= from) return [];
  return without(openings(windows, assetZone, from, until), merged(blackouts));
}

export type WindowStanding =
  /** No window and no blackout within the next 400 days. */
  | { readonly kind: 'always' }
  | { readonly kind: 'open'; readonly closesAt: number }
  /** `opensAt` is null when nothing opens within the next 400 days. */
  | { readonly kind: 'closed'; readonly opensAt: number | null; readonly because: 'window' | 'blackout' };

/** Whether something may be done now, and until when or from when on. */
export function standing(
  windows: readonly PatchWindow[] | undefined,
  blackouts: readonly Interval[],
  assetZone: string,
  now: number,
): WindowStanding {
  const ahead = blackouts.filter((one) => one.closesAt > now);
  if (windows === undefined && !ahead.some((one) => one.opensAt < now + lookAheadDays[2] * day))
    return { kind: 'always' };
  for (const days of lookAheadDays) {
    const until = now + days * day;
    const [next] = windowIntervals(windows, ahead, assetZone, now, until);
    // what still is open at the end of the look ahead closes later
    if (next === undefined || (next.closesAt === until && days !== lookAheadDays[2])) continue;
    if (next.opensAt <= now) return { kind: 'open', closesAt: next.closesAt };
    return { kind: 'closed', opensAt: next.opensAt, because: closedBecause(windows, assetZone, now) };
  }
  return { kind: 'closed', opensAt: null, because: closedBecause(windows, assetZone, now) };
}

function closedBecause(
  windows: readonly PatchWindow[] | undefined,
  assetZone: string,
  now: number,
): 'window' | 'blackout' {
  return openings(windows, assetZone, now, now + 1).length > 0 ? 'blackout' : 'window';
}

/** Of all windows the longest time that must be left when something is begun, in seconds; null when none says. */
export function minimumRemainingSeconds(windows: readonly PatchWindow[] | undefined): number | null {
  const minutes = (windows ?? []).flatMap((one) => one.minimum_remaining_minutes ?? []);
  return minutes.length === 0 ? null : Math.max(...minutes) * 60;
}

/** In order, those that touch or overlap made one, and empty ones left out. */
export function merged(intervals: readonly Interval[]): Interval[] {
  const sorted = intervals
    .filter((one) => one.closesAt > one.opensAt)
    .sort((a, b) => a.opensAt - b.opensAt || a.closesAt - b.closesAt);
  const apart: Interval[] = [];
  for (const one of sorted) {
    const last = apart.at(-1);
    if (last === undefined || one.opensAt > last.closesAt) apart.push(one);
    else if (one.closesAt > last.closesAt)
      apart[apart.length - 1] = { opensAt: last.opensAt, closesAt: one.closesAt };
  }
  return apart;
}

function openings(
  windows: readonly PatchWindow[] | undefined,
  assetZone: string,
  from: number,
  until: number,
): Interval[] {
  if (windows === undefined) return [{ opensAt: from, closesAt: until }];
  const open = windows.flatMap((window) => {
    const length = window.duration_minutes * minute;
    const zone = zoneOf(window.zone, assetZone);
    return occurrences(window.opens, zone, from - length, until).map((opensAt) => ({
      opensAt: Math.max(opensAt, from),
      closesAt: Math.min(opensAt + length, until),
    }));
  });
  return merged(open);
}

/** `blackouts` in order and apart from each other, as `open` is. */
function without(open: readonly Interval[], blackouts: readonly Interval[]): Interval[] {
  const left: Interval[] = [];
  let place = 0;
  for (const one of open) {
    let from = one.opensAt;
    while ((blackouts[place]?.closesAt ?? Infinity) <= from) place++;
    for (let i = place; from < one.closesAt; i++) {
      const next = blackouts[i];
      if (next === undefined || next.opensAt >= one.closesAt) {
        left.push({ opensAt: from, closesAt: one.closesAt });
        break;
      }
      if (next.opensAt > from) left.push({ opensAt: from, closesAt: next.opensAt });
      from = next.closesAt;
    }
  }
  return left;
}
