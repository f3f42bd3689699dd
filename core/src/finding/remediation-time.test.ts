import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import {
  dayMilliseconds as day,
  estimateRemediation,
  RemediationTally,
  remediationSentence,
  type ClosedHow,
  type FindingInterval,
} from './remediation-time.ts';

const now = Date.UTC(2026, 10, 22, 12);

/** Open for so many days until `now`, or closed after so many. */
const open = (days: number): FindingInterval => ({ openedAt: now - days * day, closed: null });
const closed = (days: number, how: ClosedHow = 'fixed'): FindingInterval => ({
  openedAt: now - 400 * day,
  closed: { at: now - (400 - days) * day, how },
});

/**
 * Freireich et al., "The effect of 6-mercaptopurine on the duration of steroid-induced remissions in acute leukemia", Blood
 * 21 (1963): weeks of remission, here taken as days. Those who were still in remission are the open ones.
 */
const treated = [
  ...[6, 6, 6, 7, 10, 13, 16, 22, 23].map((days) => closed(days)),
  ...[6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35].map(open),
];
const placebo = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23].map((days) =>
  closed(days),
);

describe('against published figures (Freireich, 6-MP)', () => {
  const estimate = estimateRemediation(treated, now);
  test('the curve, its risk sets and Greenwood’s errors', () => {
    const rows = estimate.curve.map((p) => [p.days, p.atRisk, p.remediated]);
    expect(rows).toEqual([
      [6, 21, 3],
      [7, 17, 1],
      [10, 15, 1],
      [13, 12, 1],
      [16, 11, 1],
      [22, 7, 1],
      [23, 6, 1],
    ]);
    const figures = [
      [0.857, 0.0764],
      [0.807, 0.0869],
      [0.753, 0.0963],
      [0.69, 0.1068],
      [0.627, 0.1141],
      [0.538, 0.1282],
      [0.448, 0.1346],
    ];
    for (const [index, [share = 0, error = 0]] of figures.entries()) {
      expect(Math.abs((estimate.curve[index]?.share ?? 0) - share)).toBeLessThanOrEqual(0.0005);
      expect(estimate.curve[index]?.standardError).toBeCloseTo(error, 4);
    }
  });
  test('the log-log band', () => {
    const band = estimate.curve.map((p) => [Number(p.low.toFixed(4)), Number(p.high?.toFixed(4))]);
    expect(band[0]).toEqual([0.6197, 0.9516]);
    expect(band[3]).toEqual([0.4316, 0.8491]);
    expect(band[6]).toEqual([0.1881, 0.6801]);
  });
  test('median 23, from 13 without an upper end; mean up to 35 is 23.29 ± 2.83', () => {
    expect(estimate.median).toEqual({ kind: 'reached', days: 23, low: 13, high: null });
    expect(estimate.restrictedMean?.days).toBeCloseTo(23.287, 3);
    expect(estimate.restrictedMean?.standardError).toBeCloseTo(2.827, 3);
  });
  test('closed ones alone look twice as quick', () => {
    expect(estimate.closedOnly).toEqual({ meanDays: 109 / 9, medianDays: 10 });
    expect(remediationSentence(estimate)).toBe(
      'Half of the findings are remediated within 23 days (95 % interval: from 13 days to an age not yet observed). Of the 9 remediated alone the median is 10 days, which leaves out the 12 that are open.',
    );
  });
  test('placebo: median 8, from 4 to 11', () => {
    expect(estimateRemediation(placebo, now).median).toEqual({ kind: 'reached', days: 8, low: 4, high: 11 });
  });
});

describe('what counts as what', () => {
  test('nothing', () => {
    const estimate = estimateRemediation([], now);
    expect(estimate).toMatchObject({
      curve: [],
      median: { kind: 'no_findings' },
      restrictedMean: null,
      closedOnly: null,
    });
    expect(remediationSentence(estimate)).toBe('There are no findings to measure.');
  });
  test('half not reached: at least as long as the longest observed', () => {
    const estimate = estimateRemediation([closed(2), open(30), open(40)], now);
    expect(estimate.median).toMatchObject({ kind: 'not_reached', atLeastDays: 40 });
    expect(remediationSentence(estimate)).toContain('within 40 days, the longest observed');
  });
  test('a closing that is no remediation counts until then, and removal is one', () => {
    const withdrawn = estimateRemediation([closed(5, 'withdrawn'), closed(9)], now);
    expect(withdrawn.curve.map((p) => [p.days, p.atRisk])).toEqual([[9, 1]]);
    expect(withdrawn.counts).toMatchObject({ remediated: 1, closedOtherwise: 1, open: 0 });
    for (const how of ['accepted', 'no_longer_vulnerable', 'asset_retired'] as const)
      expect(estimateRemediation([closed(5, how)], now).curve).toEqual([]);
    expect(estimateRemediation([closed(5, 'removed')], now).counts.remediated).toBe(1);
  });
  test('clock skew is counted and left out; zero days are real', () => {
    const skewed = { openedAt: now, closed: { at: now - 1, how: 'fixed' as const } };
    const estimate = estimateRemediation([skewed, { openedAt: NaN, closed: null }, closed(0)], now);
    expect(estimate.counts.refused).toMatchObject({ closed_before_opened: 1, time_not_finite: 1 });
    expect(estimate.curve).toMatchObject([{ days: 0, atRisk: 1, share: 0, low: 0, high: null }]);
    expect(estimate.median).toMatchObject({ kind: 'reached', days: 0 });
  });
  test('as it was known at an earlier time', () => {
    const then = now - 395 * day;
    const estimate = estimateRemediation([closed(10), closed(2), open(1)], then);
    expect(estimate.counts).toMatchObject({ remediated: 1, open: 1, notYet: 1 });
  });
  test('late entry: not at risk before it was observed', () => {
    const late = { ...open(50), observedFrom: now - 20 * day }; // enters at age 30
    const estimate = estimateRemediation([closed(10), closed(40), late, open(45)], now);
    expect(estimate.curve.map((p) => [p.days, p.atRisk])).toEqual([
      [10, 3],
      [40, 3],
    ]);
    const atForty = { ...open(50), observedFrom: now - 10 * day }; // not at risk at the very age at which it enters
    expect(estimateRemediation([closed(40), open(45), atForty], now).curve).toMatchObject([{ atRisk: 2 }]);
    const gone = { ...closed(3), observedFrom: now };
    expect(estimateRemediation([gone], now).counts.refused.closed_before_observed).toBe(1);
  });
  test('a horizon cuts what is later', () => {
    const estimate = estimateRemediation([closed(2), closed(4), closed(9)], now, { horizonDays: 5 });
    expect(estimate.restrictedMean).toMatchObject({ horizonDays: 5, shortened: false });
    expect(estimate.restrictedMean?.days).toBeCloseTo((2 + 4 + 5) / 3, 9);
  });
  test('a horizon beyond the observed is shortened, unless all is closed', () => {
    const some = estimateRemediation([closed(2), open(4)], now, { horizonDays: 90 });
    expect(some.restrictedMean).toMatchObject({ days: 3, horizonDays: 4, shortened: true });
    const all = estimateRemediation([closed(2), closed(4)], now, { horizonDays: 90 });
    expect(all.restrictedMean).toMatchObject({ days: 3, horizonDays: 90, shortened: false });
  });
});

const age = fc.integer({ min: 0, max: 60 });
const anyInterval = fc.oneof(
  age.map(open),
  age.map((days) => closed(days)),
  age.map((days) => closed(days, 'withdrawn')),
);
const medianDays = (list: readonly FindingInterval[]): number => {
  const { median } = estimateRemediation(list, now);
  return median.kind === 'reached' ? median.days : Infinity;
};

describe('laws', () => {
  test('one more open finding never shortens the median', () => {
    fc.assert(
      fc.property(fc.array(anyInterval, { minLength: 1 }), age, (list, days) => {
        expect(medianDays([...list, open(days)])).toBeGreaterThanOrEqual(medianDays(list));
      }),
    );
  });
  test('order does not matter', () => {
    const shuffled = fc
      .array(anyInterval)
      .chain((list) =>
        fc.tuple(
          fc.constant(list),
          fc.shuffledSubarray(list, { minLength: list.length, maxLength: list.length }),
        ),
      );
    fc.assert(
      fc.property(shuffled, ([list, other]) => {
        const [one, two] = [estimateRemediation(list, now), estimateRemediation(other, now)];
        expect({ ...two, closedOnly: null }).toEqual({ ...one, closedOnly: null });
      }),
    );
  });
  test('with all closed, the curve, mean and median are those of the closed', () => {
    fc.assert(
      fc.property(fc.array(age, { minLength: 1 }), (ages) => {
        const estimate = estimateRemediation(
          ages.map((days) => closed(days)),
          now,
        );
        for (const { days, share } of estimate.curve)
          expect(share).toBeCloseTo(ages.filter((a) => a > days).length / ages.length, 9);
        expect(estimate.restrictedMean?.days).toBeCloseTo(estimate.closedOnly?.meanDays ?? NaN, 9);
        expect(estimate.median).toMatchObject({ kind: 'reached', days: estimate.closedOnly?.medianDays });
      }),
    );
  });
  test('the share falls and stays inside its band', () => {
    fc.assert(
      fc.property(fc.array(anyInterval), (list) => {
        let before = 1;
        for (const { share, low, high } of estimateRemediation(list, now).curve) {
          expect(share).toBeLessThan(before);
          expect(low).toBeLessThanOrEqual(share);
          expect(high ?? 1).toBeGreaterThanOrEqual(share);
          before = share;
        }
      }),
    );
  });
});

describe('many findings', () => {
  test('those that are alike, given once, are the same as each given by itself', () => {
    const one = fc.record({ interval: anyInterval, findings: fc.integer({ min: 1, max: 5 }) });
    fc.assert(
      fc.property(fc.array(one), (list) => {
        const each = list.flatMap(({ interval, findings }) =>
          Array.from({ length: findings }, () => interval),
        );
        const once = list.map(({ interval, findings }) => ({ ...interval, findings }));
        const [alike, apart] = [estimateRemediation(once, now), estimateRemediation(each, now)];
        expect({ ...alike, closedOnly: null }).toEqual({ ...apart, closedOnly: null });
        expect(alike.closedOnly?.medianDays).toBe(apart.closedOnly?.medianDays);
        expect(alike.closedOnly?.meanDays ?? 0).toBeCloseTo(apart.closedOnly?.meanDays ?? 0, 9);
      }),
    );
  });
  test('counted one by one, in whole minutes, they give the same', () => {
    fc.assert(
      fc.property(fc.array(anyInterval), (list) => {
        const tally = new RemediationTally(now);
        for (const interval of list) tally.add(interval);
        const [counted, known] = [tally.estimate(), estimateRemediation(list, now)];
        expect({ ...counted, closedOnly: null }).toEqual({ ...known, closedOnly: null });
        expect(counted.closedOnly?.meanDays ?? 0).toBeCloseTo(known.closedOnly?.meanDays ?? 0, 9);
      }),
    );
    const tally = new RemediationTally(now);
    const bad: FindingInterval = { openedAt: now, closed: { at: now - 1, how: 'fixed' } };
    const later: FindingInterval = { openedAt: now + 1, closed: null };
    for (const interval of [bad, later, { ...open(50), observedFrom: now - 20 * day }]) tally.add(interval);
    expect(tally.estimate().counts).toMatchObject({
      open: 1,
      notYet: 1,
      refused: { closed_before_opened: 1 },
    });
  });
});
