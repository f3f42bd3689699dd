import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { burnDown } from './burn-down.ts';
import { dayMilliseconds as day, type ClosedHow, type FindingInterval } from './remediation-time.ts';

const now = Date.UTC(2026, 10, 22, 12);

describe('burn-down', () => {
  const first = Date.UTC(2026, 10, 20);
  const period = { from: first, to: first + 10 * day };
  const spell = (from: number, to: number | null, how: ClosedHow = 'fixed'): FindingInterval => ({
    openedAt: first + from * day,
    closed: to === null ? null : { at: first + to * day, how },
  });
  test('open at the end of each day, with what changed; none begins after now', () => {
    const list = [
      spell(-5, 0.5),
      spell(-5, null),
      spell(0.2, 0.3, 'withdrawn'),
      { ...spell(1, null), reopened: true },
      spell(0.1, 9), // after now
      spell(3, null),
      spell(2, 1),
    ];
    const { days, openBefore, refused } = burnDown(list, period, now);
    expect([openBefore, refused]).toEqual([2, 1]);
    expect(days.map((d) => [d.open, d.opened, d.reopened, d.remediated, d.closedOtherwise, d.over])).toEqual([
      [2, 2, 0, 1, 1, true],
      [3, 0, 1, 0, 0, true],
      [3, 0, 0, 0, 0, false],
    ]);
  });
  test('days end where the caller says', () => {
    const berlin = (at: number) => (Math.floor((at + day / 24) / day) + 1) * day - day / 24;
    const list = [spell(23.5 / 24, null)];
    const from = first - day / 24;
    expect(burnDown(list, { from, to: from + 2 * day }, now, berlin).days.map((d) => d.opened)).toEqual([
      0, 1,
    ]);
    expect(() => burnDown(list, period, now, (at) => at)).toThrow('a day must end');
  });
  test('agrees with counting each day anew', () => {
    const at = fc.integer({ min: -40, max: 60 }).map((quarter) => quarter / 4);
    const one = fc
      .tuple(at, fc.option(fc.integer({ min: 0, max: 40 })))
      .map(([from, length]) => spell(from, length === null ? null : from + length / 4));
    fc.assert(
      fc.property(fc.array(one), (list) => {
        for (const { to, open: counted } of burnDown(list, period, now).days) {
          const end = Math.min(to - 1, now);
          const there = list.filter((i) => i.openedAt <= end && (i.closed === null || i.closed.at > end));
          expect(counted).toBe(there.length);
        }
      }),
    );
  });
  test('findings that are alike count as often', () => {
    const { days } = burnDown([{ ...spell(0.5, 1.5), findings: 3 }], period, now);
    expect(days.map((d) => [d.opened, d.remediated, d.open])).toEqual([
      [3, 0, 3],
      [0, 3, 0],
      [0, 0, 0],
    ]);
  });
});
