import { expect, test } from 'vitest';
import { defaultIntervalSeconds, secondsToNextAttempt } from './sync-schedule.ts';

const day = 86_400;
const after = (failures: number, random = 0.999_999, retryAfterSeconds: number | null = null): number =>
  secondsToNextAttempt({ failures, intervalSeconds: day, retryAfterSeconds, random });

test('after a success it is the interval, a little spread', () => {
  expect(after(0, 0)).toBe(day);
  expect(after(0)).toBe(Math.round(day * 1.1));
});
test('failures wait twice as long each time, up to six hours', () => {
  expect([1, 2, 3, 9, 50, 5000].map((failures) => after(failures))).toEqual([
    60, 120, 240, 15_360, 21_600, 21_600,
  ]);
});
test('half of the wait is left to chance', () => expect(after(3, 0)).toBe(120));
test('no wait is longer than the interval, nor shorter than a second', () => {
  const short = { failures: 9, retryAfterSeconds: null, random: 0.5 };
  expect(secondsToNextAttempt({ ...short, intervalSeconds: 300 })).toBe(225);
  expect(secondsToNextAttempt({ ...short, intervalSeconds: 0 })).toBe(1);
});
test('patience that the publisher asks for is kept, within a day', () => {
  expect(after(1, 0, 900)).toBe(900);
  expect(after(9, 0.999_999, 5)).toBe(15_360);
  expect(after(1, 0, 10_000_000)).toBe(day);
});
test('an interval of its own for each feed, from its limit', () => {
  expect([3600, 48 * 3600, 30 * day].map(defaultIntervalSeconds)).toEqual([3600, 6 * 3600, day]);
});
