/**
 * How long findings take to be remediated. How many are open day by day is in burn-down.ts.
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
  /** The same finding was remediated before. */
  readonly reopened?: boolean;
  /** How many findings are so; 1 unless given. */
  readonly findings?: number;
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
  readonly findings: number;
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
    const { openedAt, observedFrom = openedAt, findings = 1 } = interval;
    if (defect !== null) {
      refused[defect] += findings;
      continue;
    }
    if (openedAt > now || observedFrom > now) {
      counts.notYet += findings;
      continue;
    }
    const closed = interval.closed !== null && interval.closed.at <= now ? interval.closed : null;
    const remediated = closed !== null && isRemediation(closed.how);
    counts[remediated ? 'remediated' : closed === null ? 'open' : 'closedOtherwise'] += findings;
    observations.push({
      entry: observedFrom > openedAt ? observedFrom - openedAt : -1,
      exit: (closed?.at ?? now) - openedAt,
      remediated,
      findings,
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
  const entries = observations.toSorted((a, b) => a.entry - b.entry);
  const exits = observations.toSorted((a, b) => a.exit - b.exit);
  const curve: RemediationPoint[] = [];
  // How far both lists are read, and how many findings that is.
  let [entered, enteredFindings, left, leftFindings] = [0, 0, 0, 0];
  let share = 1;
  let sum = 0; // Greenwood's
  while (left < exits.length) {
    const age = exits[left]?.exit ?? 0;
    for (; entered < entries.length && (entries[entered]?.entry ?? 0) < age; entered++)
      enteredFindings += entries[entered]?.findings ?? 0;
    const atRisk = enteredFindings - leftFindings;
    let remediated = 0;
    for (; left < exits.length && exits[left]?.exit === age; left++) {
      const findings = exits[left]?.findings ?? 0;
      if (exits[left]?.remediated === true) remediated += findings;
      leftFindings += findings;
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
  const remediated = observations.filter((one) => one.remediated).toSorted((a, b) => a.exit - b.exit);
  const many = remediated.reduce((sum, one) => sum + one.findings, 0);
  if (many === 0) return null;
  // Of an even number the lower one, as the curve's median is the first age by which half is remediated.
  let before = 0;
  const middle = remediated.find((one) => (before += one.findings) >= many / 2);
  return {
    meanDays: remediated.reduce((sum, one) => sum + one.exit * one.findings, 0) / many / dayMilliseconds,
    medianDays: (middle?.exit ?? 0) / dayMilliseconds,
  };
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

/** Findings by the age at which they were last observed, for more of them than there is room for: see `RemediationTally`. */
const tallyMilliseconds = 60_000;

/**
 * Findings counted one by one for one estimate: what it keeps grows with the ages that there are, in whole minutes, and not
 * with the findings.
 */
export class RemediationTally {
  private readonly now: number;
  /** By age in minutes, and whether it was remediated, is open, or closed otherwise. */
  private readonly ages = new Map<number, number>();
  private readonly others: FindingInterval[] = [];

  constructor(now: number) {
    this.now = now;
  }

  add(interval: FindingInterval): void {
    const { openedAt, observedFrom = openedAt, findings = 1 } = interval;
    if (intervalDefect(interval) !== null || openedAt > this.now || observedFrom > openedAt) {
      this.others.push(interval);
      return;
    }
    const closed = interval.closed !== null && interval.closed.at <= this.now ? interval.closed : null;
    const end = closed === null ? 0 : isRemediation(closed.how) ? 1 : 2;
    const key = Math.floor(((closed?.at ?? this.now) - openedAt) / tallyMilliseconds) * 3 + end;
    this.ages.set(key, (this.ages.get(key) ?? 0) + findings);
  }

  estimate(options: Parameters<typeof estimateRemediation>[2] = {}): RemediationEstimate {
    return estimateRemediation(this.intervals(), this.now, options);
  }

  private *intervals(): Generator<FindingInterval> {
    yield* this.others;
    for (const [key, findings] of this.ages) {
      const end = key % 3;
      const openedAt = this.now - ((key - end) / 3) * tallyMilliseconds;
      const how = end === 1 ? 'fixed' : 'withdrawn';
      yield { openedAt, closed: end === 0 ? null : { at: this.now, how }, findings };
    }
  }
}
