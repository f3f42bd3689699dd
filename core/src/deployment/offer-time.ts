import { windowIntervals } from '../window/intervals.ts';
import type { Interval, PatchWindow } from '../window/window.ts';

/** When the order of a task may be handed out. All times are milliseconds since 1970 UTC. */

export interface OfferTimes {
  /** Undefined: at any time, but for the blackouts. */
  readonly windows: readonly PatchWindow[] | undefined;
  readonly blackouts: readonly Interval[];
  /** The IANA zone of the asset, or `UTC`. */
  readonly assetZone: string;
  /** Downloads, and so the offer, may begin so long before an opening; null: only within it. */
  readonly prestageMinutes: number | null;
  /** An opening with less than this left of it is of no use. */
  readonly minimumRemainingSeconds: number;
}

export type OfferStanding =
  /** The asset may be changed now. `use`: the time in which it may; null when nothing limits it. */
  | { readonly kind: 'open'; readonly use: Interval | null }
  /** Packages may be downloaded for `use`, which has not come yet. */
  | { readonly kind: 'staging'; readonly use: Interval }
  /** `offerAt`: when the order can be handed out; null when no time of use comes within the next 400 days. */
  | {
      readonly kind: 'closed';
      readonly because: 'window_closed' | 'blackout';
      readonly offerAt: number | null;
    };

const day = 86_400_000;
/** How far ahead a time of use is looked for, in steps, since the next one is mostly near. */
const lookAheadDays = [8, 62, 400] as const;

/** How far ahead blackouts must be known for {@link offerStanding}. */
export const offerHorizonMilliseconds = 400 * day;

/** Whether an order may be handed out now; if not, why and from when on. During a blackout it never is. */
export function offerStanding(times: OfferTimes, now: number): OfferStanding {
  const frozen = times.blackouts.some((one) => one.opensAt <= now && now < one.closesAt);
  const ahead = times.blackouts.some(
    (one) => one.closesAt > now && one.opensAt < now + offerHorizonMilliseconds,
  );
  if (times.windows === undefined && !ahead) return { kind: 'open', use: null };
  const because = frozen && isInWindow(times, now) ? 'blackout' : 'window_closed';
  const use = nextUse(times, now);
  if (use === null) return { kind: 'closed', because, offerAt: null };
  if (use.opensAt <= now) return { kind: 'open', use };
  const offerAt = use.opensAt - (times.prestageMinutes ?? 0) * 60_000;
  if (offerAt <= now && !frozen) return { kind: 'staging', use };
  return { kind: 'closed', because, offerAt: afterBlackouts(times, Math.max(offerAt, now)) };
}

function isInWindow({ windows, assetZone }: OfferTimes, now: number): boolean {
  return windows === undefined || windowIntervals(windows, [], assetZone, now, now + 1).length > 0;
}

/** The first time of use that has not passed, with enough left of it. */
function nextUse(times: OfferTimes, now: number): Interval | null {
  for (const days of lookAheadDays) {
    const until = now + days * day;
    const use = windowIntervals(times.windows, times.blackouts, times.assetZone, now, until).find(
      (one) => one.closesAt - Math.max(one.opensAt, now) >= times.minimumRemainingSeconds * 1000,
    );
    if (use !== undefined) return use;
  }
  return null;
}

/** The first moment from `at` on that is in no blackout. */
function afterBlackouts({ blackouts }: OfferTimes, at: number): number {
  let free = at;
  for (const one of blackouts.toSorted((a, b) => a.opensAt - b.opensAt)) {
    if (one.opensAt <= free && free < one.closesAt) free = one.closesAt;
  }
  return free;
}

/**
 * Whether a whole time of use went by between `since` and `now` while the asset was not heard, last at `heardAt` (null: never).
 * A time of use that had begun at `since` counts with what was left of it.
 */
export function missedUse(times: OfferTimes, since: number, heardAt: number | null, now: number): boolean {
  const from = Math.max(since, now - offerHorizonMilliseconds);
  if (times.windows === undefined || from >= now) return false;
  return windowIntervals(times.windows, times.blackouts, times.assetZone, from, now + 1).some(
    (one) => one.closesAt <= now && (heardAt === null || heardAt <= one.opensAt),
  );
}
