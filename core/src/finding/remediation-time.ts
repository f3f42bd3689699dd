/**
 * How long findings take to be remediated, and how many are open day by day.
 *
 * A mean over closed findings alone is too short: those that nobody fixes are not in it. Here an open finding counts for as
 * long as it has been open (it is *right-censored*), by the product-limit estimate:
 *
 * - Kaplan & Meier, "Nonparametric estimation from incomplete observations", JASA 53 (1958) 457–481: the curve.
 * - Greenwood, "The natural duration of cancer", Reports on Public Health and Medical Subjects 33 (1926): its variance. The
 *   band is taken on the scale log(−log S) (Kalbfleisch & Prentice, 1980), which keeps it between 0 and 1.
 * - Brookmeyer & Crowley, "A confidence interval for the median survival time", Biometrics 38 (1982) 29–41.
 * - Klein & Moeschberger, "Survival Analysis" (2nd ed., 2003), section 4.5: mean up to a horizon, with its variance; section
 *   4.6: late entry.
 *
 * What is assumed: that findings which leave unremediated would have taken as long as the others. Where the easy ones are
 * withdrawn, or the hard ones accepted, the curve is off. The band takes findings as independent; one patch closes many at
 * once, so the true band is wider. A finding that was reopened is two intervals, each counted from its own opening.
 */

/** Why a finding is no longer open. */
export type ClosedHow =
  | 'fixed'
  /** The vulnerable software was removed. */
  | 'removed'
  | 'accepted'
  /** The vulnerability was withdrawn or rejected. */
  | 'withdrawn'
  /** The sources now say that this software does not have it. */
  | 'no_longer_vulnerable'
  | 'asset_retired';

/** One interval in which a finding was open. Times are milliseconds since 1970. */
export interface FindingInterval {
  readonly openedAt: number;
  readonly closed: { readonly at: number; readonly how: ClosedHow } | null;
  /** An earlier interval of the same finding was closed. */
  readonly reopened?: boolean;
  /**
   * When it came under observation, where that is later than its opening: such a finding is only known because it was still
   * open then, so it says nothing of younger ages (late entry, left truncation).
   */
  readonly observedFrom?: number;
}

export type Confidence = 0.9 | 0.95 | 0.99;

/** Two-sided quantiles of the normal distribution. */
const quantiles: Readonly<Record<Confidence, number>> = {
  0.9: 1.6448536269514722,
  0.95: 1.959963984540054,
  0.99: 2.5758293035489004,
};

export const dayMilliseconds = 86_400_000;

/** Products of fractions miss one half by rounding; nothing real lies this close to it. */
const rounding = 1e-9;

/** The curve from this age until the next point. Before the first point the share is 1. */
export interface RemediationPoint {
  readonly days: number;
  /** Findings that were open, and observed, just before this age. */
  readonly atRisk: number;
  readonly remediated: number;
  /** Share still open after this age, 0–1. */
  readonly share: number;
  /** Greenwood's standard error of the share. */
  readonly standardError: number;
  readonly low: number;
  /** Null where the share is 0: the band is not defined there. */
  readonly high: number | null;
}

/** The age by which half is remediated; `low` and `high` are null where the band does not cross one half. */
export type MedianDays =
  | {
      readonly kind: 'reached';
      readonly days: number;
      readonly low: number | null;
      readonly high: number | null;
    }
  /** More than half was open at the greatest age that was observed. */
  | { readonly kind: 'not_reached'; readonly atLeastDays: number; readonly low: number | null }
  | { readonly kind: 'no_findings' };

export interface RestrictedMean {
  /** Mean number of days open within the horizon. */
  readonly days: number;
  readonly standardError: number;
  readonly horizonDays: number;
  /** The horizon asked for lies beyond what was observed, and was shortened. */
  readonly shortened: boolean;
}

export type IntervalDefect = 'time_not_finite' | 'closed_before_opened' | 'closed_before_observed';

export interface RemediationEstimate {
  readonly curve: readonly RemediationPoint[];
  readonly confidence: Confidence;
  readonly median: MedianDays;
  /** Null without findings. */
  readonly restrictedMean: RestrictedMean | null;
  /** Of the remediated alone: shown beside the estimate, since it is what is usually reported. */
  readonly closedOnly: { readonly meanDays: number; readonly medianDays: number } | null;
  readonly counts: {
    readonly remediated: number;
    readonly open: number;
    /** Closed without remediation: counted until then. */
    readonly closedOtherwise: number;
    /** Opened, or under observation, only after `now`: left out. */
    readonly notYet: number;
    /** Errors in the data: left out, by what is wrong. */
    readonly refused: Readonly<Record<IntervalDefect, number>>;
  };
}

/** Fixing and removing remediate; the other closings only end the observation. */
export function isRemediation(how: ClosedHow): boolean {
  return how === 'fixed' || how === 'removed';
}

/** What is wrong with an interval, or null. A duration of zero is no error. */
export function intervalDefect(interval: FindingInterval): IntervalDefect | null {
  const { openedAt, closed, observedFrom } = interval;
  if (![openedAt, closed?.at ?? 0, observedFrom ?? 0].every(Number.isFinite)) return 'time_not_finite';
  if (closed === null) return null;
  if (closed.at < openedAt) return 'closed_before_opened';
  if (observedFrom !== undefined && observedFrom > openedAt && closed.at <= observedFrom)
    return 'closed_before_observed';
  return null;
}

/** Ages in milliseconds. */
interface Observation {
  /** −1: observed from its opening, so at risk at age 0 already. */
  readonly entry: number;
  readonly exit: number;
  readonly remediated: boolean;
}

/**
 * Estimates the time to remediation as it was known at `now` (milliseconds since 1970): a closing after `now` has not
 * happened. Of what happens at the same age, remediations come first, as usual. With late entry few findings are at risk at
 * young ages, and a curve that falls to 0 there stays at 0: begin such a measurement with the findings opened since.
 *
 * @param options.horizonDays of the restricted mean; without it, the greatest age observed
 */
export function estimateRemediation(
  intervals: Iterable<FindingInterval>,
  now: number,
  options: { readonly confidence?: Confidence; readonly horizonDays?: number } = {},
): RemediationEstimate {
  const confidence = options.confidence ?? 0.95;
  const refused = { time_not_finite: 0, closed_before_opened: 0, closed_before_observed: 0 };
  const counts = { remediated: 0, open: 0, closedOtherwise: 0, notYet: 0, refused };
  const observations: Observation[] = [];
  for (const interval of intervals) {
    const defect = intervalDefect(interval);
    if (defect !== null) {
      refused[defect] += 1;
      continue;
    }
    const { openedAt, observedFrom = openedAt } = interval;
    if (openedAt > now || observedFrom > now) {
      counts.notYet += 1;
      continue;
    }
    const closed = interval.closed !== null && interval.closed.at <= now ? interval.closed : null;
    const remediated = closed !== null && isRemediation(closed.how);
    counts[remediated ? 'remediated' : closed === null ? 'open' : 'closedOtherwise'] += 1;
    observations.push({
      entry: observedFrom > openedAt ? observedFrom - openedAt : -1,
      exit: (closed?.at ?? now) - openedAt,
      remediated,
    });
  }
  const curve = productLimit(observations, quantiles[confidence]);
  const lastDays = observations.reduce((most, one) => Math.max(most, one.exit), 0) / dayMilliseconds;
  const some = observations.length > 0;
  return {
    curve,
    confidence,
    median: some ? medianOf(curve, lastDays) : { kind: 'no_findings' },
    restrictedMean: some ? restrictedMean(curve, lastDays, options.horizonDays ?? lastDays) : null,
    closedOnly: closedOnly(observations),
    counts,
  };
}

function productLimit(observations: readonly Observation[], quantile: number): RemediationPoint[] {
  const entries = observations.map((one) => one.entry).toSorted((a, b) => a - b);
  const exits = observations.toSorted((a, b) => a.exit - b.exit);
  const curve: RemediationPoint[] = [];
  let entered = 0;
  let left = 0;
  let share = 1;
  let sum = 0; // Greenwood's
  while (left < exits.length) {
    const age = exits[left]?.exit ?? 0;
    while (entered < entries.length && (entries[entered] ?? 0) < age) entered += 1;
    const atRisk = entered - left;
    let remediated = 0;
    while (left < exits.length && exits[left]?.exit === age) {
      if (exits[left]?.remediated === true) remediated += 1;
      left += 1;
    }
    if (remediated === 0) continue;
    if (share > 0 && remediated < atRisk) {
      share *= 1 - remediated / atRisk;
      sum += remediated / (atRisk * (atRisk - remediated));
    } else {
      share = 0;
    }
    const deviation = share === 0 ? 0 : Math.sqrt(sum);
    const spread = share === 0 ? 0 : Math.exp((quantile * deviation) / -Math.log(share));
    curve.push({
      days: age / dayMilliseconds,
      atRisk,
      remediated,
      share,
      standardError: share * deviation,
      low: share === 0 ? 0 : share ** spread,
      high: share === 0 ? null : share ** (1 / spread),
    });
  }
  return curve;
}

/** The first age at which no more than half is open. */
function medianOf(curve: readonly RemediationPoint[], lastDays: number): MedianDays {
  const half = 0.5 + rounding;
  const firstAge = (value: (point: RemediationPoint) => number | null): number | null =>
    curve.find((point) => (value(point) ?? 1) <= half)?.days ?? null;
  const days = firstAge((point) => point.share);
  const low = firstAge((point) => point.low);
  if (days === null) return { kind: 'not_reached', atLeastDays: lastDays, low };
  return { kind: 'reached', days, low, high: firstAge((point) => point.high) };
}

/** The area under the curve up to the horizon. Beyond what was observed there is no curve, unless it has reached 0. */
function restrictedMean(
  curve: readonly RemediationPoint[],
  lastDays: number,
  askedDays: number,
): RestrictedMean {
  if (!(askedDays >= 0 && askedDays < Infinity)) throw new Error('horizonDays must be a number from 0 on');
  const shortened = askedDays > lastDays && curve.at(-1)?.share !== 0;
  const horizonDays = shortened ? lastDays : askedDays;
  let area = 0;
  let variance = 0;
  let right = horizonDays;
  for (const point of curve.toReversed()) {
    if (point.days > horizonDays) continue;
    area += point.share * (right - point.days);
    right = point.days;
    const { atRisk, remediated } = point;
    // Where all are remediated, no area is left and the term is 0.
    if (remediated < atRisk) variance += (area * area * remediated) / (atRisk * (atRisk - remediated));
  }
  return { days: area + right, standardError: Math.sqrt(variance), horizonDays, shortened };
}

function closedOnly(observations: readonly Observation[]): RemediationEstimate['closedOnly'] {
  const ages = observations.flatMap((one) => (one.remediated ? [one.exit / dayMilliseconds] : []));
  // Of an even number the lower one, as the curve's median is the first age by which half is remediated.
  const middle = ages.toSorted((a, b) => a - b)[Math.ceil(ages.length / 2) - 1];
  if (middle === undefined) return null;
  return { meanDays: ages.reduce((sum, age) => sum + age, 0) / ages.length, medianDays: middle };
}

const rounded = (days: number): string =>
  `${days < 10 ? Math.round(days * 10) / 10 : Math.round(days)} ${days === 1 ? 'day' : 'days'}`;

/** The median in one sentence, with the figure of closed findings beside it. */
export function remediationSentence(estimate: RemediationEstimate): string {
  const { median, closedOnly: closed, counts } = estimate;
  if (median.kind === 'no_findings') return 'There are no findings to measure.';
  const beside =
    closed === null
      ? 'None has been remediated yet.'
      : `Of the ${counts.remediated} remediated alone the median is ${rounded(closed.medianDays)}, which leaves out the ${counts.open} that are open.`;
  if (median.kind === 'not_reached')
    return `Fewer than half of the findings are remediated within ${rounded(median.atLeastDays)}, the longest observed: the median is more than that. ${beside}`;
  const percent = Math.round(estimate.confidence * 100);
  const from = median.low === null ? 'an unknown age' : rounded(median.low);
  const to = median.high === null ? 'an age not yet observed' : rounded(median.high);
  return `Half of the findings are remediated within ${rounded(median.days)} (${percent} % interval: from ${from} to ${to}). ${beside}`;
}

// ---------------------------------------------------------------------------------------------------------------------

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
  const ends: number[] = [];
  for (let at = period.from; at < period.to && at <= now;) {
    const end = nextDay(at);
    if (!(end > at) || ends.length === mostDays)
      throw new Error(`a day must end after it begins, and a period has at most ${mostDays} days`);
    ends.push(end);
    at = end;
  }
  const tallies = ends.map(() => ({ opened: 0, reopened: 0, remediated: 0, closedOtherwise: 0 }));
  const last = ends.at(-1) ?? period.from;
  let openBefore = 0;
  let refused = 0;
  const count = (at: number, what: keyof BurnDownTally, step: 1 | -1): void => {
    if (at > now || at >= last) return;
    if (at < period.from) openBefore += step;
    const tally = at < period.from ? undefined : tallies[firstAfter(ends, at)];
    if (tally !== undefined) tally[what] += 1;
  };
  for (const interval of intervals) {
    const defect = intervalDefect(interval);
    if (defect !== null && defect !== 'closed_before_observed') {
      refused += 1;
      continue;
    }
    const { closed } = interval;
    count(interval.openedAt, interval.reopened === true ? 'reopened' : 'opened', 1);
    if (closed !== null) count(closed.at, isRemediation(closed.how) ? 'remediated' : 'closedOtherwise', -1);
  }
  let open = openBefore;
  const days = tallies.map((tally, index): BurnDownDay => {
    const to = ends[index] ?? last;
    open += tally.opened + tally.reopened - tally.remediated - tally.closedOtherwise;
    return { from: ends[index - 1] ?? period.from, to, open, over: to <= now, ...tally };
  });
  return { days, openBefore, refused };
}

type BurnDownTally = Pick<BurnDownDay, 'opened' | 'reopened' | 'remediated' | 'closedOtherwise'>;

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
