/** How many findings are open day by day: a burn-down. */
import { dayMilliseconds, intervalDefect, isRemediation, type FindingInterval } from './remediation-time.ts';

/** The first instant of the day after the one that holds `at`, in whatever zone the caller means. */
export type NextDay = (at: number) => number;

export const nextDayInUtc: NextDay = (at) => (Math.floor(at / dayMilliseconds) + 1) * dayMilliseconds;

export interface BurnDownDay {
  /** Milliseconds since 1970; `to` does not belong to the day. */
  readonly from: number;
  readonly to: number;
  /** At the end of the day, or at `now` when the day is not over. */
  readonly open: number;
  readonly over: boolean;
  readonly opened: number;
  readonly reopened: number;
  readonly remediated: number;
  readonly closedOtherwise: number;
}

export interface BurnDown {
  readonly days: readonly BurnDownDay[];
  /** Open just before the first day. */
  readonly openBefore: number;
  readonly refused: number;
}

const mostDays = 3660;

type Tally = Pick<BurnDownDay, 'opened' | 'reopened' | 'remediated' | 'closedOtherwise'>;
type Counted = { -readonly [What in keyof Tally]: number };

/** Intervals counted one by one: none is kept. See `burnDown`. */
export class BurnDownTally {
  private readonly from: number;
  private readonly now: number;
  private readonly ends: number[] = [];
  private readonly last: number;
  private readonly tallies: Counted[];
  private openBefore = 0;
  private refused = 0;

  constructor(period: { readonly from: number; readonly to: number }, now: number, nextDay: NextDay) {
    this.from = period.from;
    this.now = now;
    for (let at = period.from; at < period.to && at <= now;) {
      const end = nextDay(at);
      if (!(end > at) || this.ends.length === mostDays)
        throw new Error(`a day must end after it begins, and a period has at most ${mostDays} days`);
      this.ends.push(end);
      at = end;
    }
    this.last = this.ends.at(-1) ?? period.from;
    this.tallies = this.ends.map(() => ({ opened: 0, reopened: 0, remediated: 0, closedOtherwise: 0 }));
  }

  add(interval: FindingInterval): void {
    const defect = intervalDefect(interval);
    const { closed, findings = 1 } = interval;
    if (defect !== null && defect !== 'closed_before_observed') {
      this.refused += findings;
      return;
    }
    this.count(interval.openedAt, interval.reopened === true ? 'reopened' : 'opened', findings);
    if (closed !== null)
      this.count(closed.at, isRemediation(closed.how) ? 'remediated' : 'closedOtherwise', -findings);
  }

  private count(at: number, what: keyof Tally, change: number): void {
    if (at > this.now || at >= this.last) return;
    if (at < this.from) this.openBefore += change;
    const tally = at < this.from ? undefined : this.tallies[firstAfter(this.ends, at)];
    if (tally !== undefined) tally[what] += Math.abs(change);
  }

  result(): BurnDown {
    let open = this.openBefore;
    const days = this.tallies.map((tally, index): BurnDownDay => {
      const to = this.ends[index] ?? this.last;
      open += tally.opened + tally.reopened - tally.remediated - tally.closedOtherwise;
      return { from: this.ends[index - 1] ?? this.from, to, open, over: to <= this.now, ...tally };
    });
    return { days, openBefore: this.openBefore, refused: this.refused };
  }
}

/**
 * Open findings at the end of each day of a period, with what was opened and closed in it: `open` is the day before's, plus
 * opened and reopened, minus remediated and otherwise closed. What happened after `now` has not happened, and no day begins
 * after it. When a finding came under observation does not matter here.
 *
 * @param period.from start of the first day; `to` does not belong to the period. At most 3,660 days.
 * @param nextDay where days end; UTC unless given
 */
export function burnDown(
  intervals: Iterable<FindingInterval>,
  period: { readonly from: number; readonly to: number },
  now: number,
  nextDay: NextDay = nextDayInUtc,
): BurnDown {
  const tally = new BurnDownTally(period, now, nextDay);
  for (const interval of intervals) tally.add(interval);
  return tally.result();
}

/** Index of the first end after `at`; ends are ascending. */
function firstAfter(ends: readonly number[], at: number): number {
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle] ?? 0) > at) high = middle;
    else low = middle + 1;
  }
  return low;
}
