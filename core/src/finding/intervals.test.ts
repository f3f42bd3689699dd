import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { closedHow, findingIntervals, type ExposedSpell } from './intervals.ts';
import { intervalDefect, isRemediation, type ClosedHow } from './remediation-time.ts';

const hows: readonly ClosedHow[] = [
  'fixed',
  'removed',
  'accepted',
  'withdrawn',
  'no_longer_vulnerable',
  'asset_retired',
];
const spell: fc.Arbitrary<ExposedSpell> = fc
  .tuple(fc.nat(40), fc.option(fc.nat(15)), fc.constantFrom(...hows))
  .map(([openedAt, length, how]) => ({
    openedAt,
    closed: length === null ? null : { at: openedAt + length, how },
  }));
const spells = fc.array(spell, { maxLength: 8 });
const ends = ({ closed }: ExposedSpell): number => closed?.at ?? Infinity;
/** Both ends belong to it: spells that touch leave no time between them. */
const isOpenAt = (list: readonly ExposedSpell[], at: number): boolean =>
  list.some((one) => one.openedAt <= at && at <= ends(one));

describe('the intervals of a finding', () => {
  test('are open exactly while any software of it is', () => {
    fc.assert(
      fc.property(spells, (list) => {
        const intervals = findingIntervals(list);
        for (let half = 0; half <= 2 * 60; half++)
          expect([half, isOpenAt(intervals, half / 2)]).toEqual([half, isOpenAt(list, half / 2)]);
      }),
    );
  });
  test('do not touch, come in the order of time, and have no defects', () => {
    fc.assert(
      fc.property(spells, (list) => {
        const intervals = findingIntervals(list);
        for (const [index, interval] of intervals.entries()) {
          expect(intervalDefect(interval)).toBeNull();
          const next = intervals[index + 1];
          if (next !== undefined) expect(next.openedAt).toBeGreaterThan(ends(interval));
        }
      }),
    );
  });
  test('end as the last of its software did, and are reopened after a remediation', () => {
    fc.assert(
      fc.property(spells, fc.boolean(), (list, before) => {
        let remediated = before;
        for (const { closed, reopened } of findingIntervals(list, before)) {
          expect(reopened === true).toBe(remediated);
          if (closed === null) continue;
          const last = list.filter((one) => one.closed?.at === closed.at).map((one) => one.closed?.how);
          expect(last).toContain(closed.how);
          // What was remediated at that time is said to be, whatever else ended then.
          expect(isRemediation(closed.how)).toBe(last.some((how) => how !== undefined && isRemediation(how)));
          remediated ||= isRemediation(closed.how);
        }
      }),
    );
  });
  test('do not depend on the order, nor on a spell that is given twice', () => {
    fc.assert(
      fc.property(spells, (list) => {
        expect(findingIntervals([...list, ...list].toReversed())).toEqual(findingIntervals(list));
      }),
    );
  });
  test('of two binary packages that are upgraded an hour apart are one', () => {
    expect(
      findingIntervals([
        { openedAt: 5, closed: { at: 100, how: 'fixed' } },
        { openedAt: 3, closed: { at: 40, how: 'fixed' } },
        { openedAt: 200, closed: null },
      ]),
    ).toEqual([
      { openedAt: 3, closed: { at: 100, how: 'fixed' } },
      { openedAt: 200, closed: null, reopened: true },
    ]);
  });
  test('what cannot be is passed on', () => {
    const skewed: ExposedSpell = { openedAt: 9, closed: { at: 4, how: 'fixed' } };
    const intervals = findingIntervals([
      { openedAt: 1, closed: null },
      skewed,
      { openedAt: NaN, closed: null },
    ]);
    expect(intervals.map(intervalDefect)).toEqual(['closed_before_opened', 'time_not_finite', null]);
  });
});

test('reasons of the history', () => {
  expect(['upgraded', 'restarted', 'rebooted', 'files_replaced'].map(closedHow)).toEqual(
    Array.from({ length: 4 }, () => 'fixed'),
  );
  expect(['removed', 'withdrawn', 'no_longer_vulnerable'].map(closedHow)).toEqual([
    'removed',
    'withdrawn',
    'no_longer_vulnerable',
  ]);
  // A reason that is not known is no remediation.
  expect([closedHow('of_another_version'), closedHow(null)]).toEqual([
    'no_longer_vulnerable',
    'no_longer_vulnerable',
  ]);
});
