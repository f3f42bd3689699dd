import { expect, test } from 'vitest';
import type { Clock } from './clock.ts';
import { createPace } from './pace.ts';

/** A clock on which time passes only by sleeping to the end; a sleep that is ended early takes no time. */
function sleeping(): Clock {
  let seconds = 100;
  return {
    now: () => seconds * 1000,
    elapsedSeconds: () => seconds,
    async sleep(forSeconds, signal) {
      await new Promise((resolve) => setImmediate(resolve));
      if (signal?.aborted !== true) seconds += forSeconds;
    },
  };
}
const highest = { fraction: () => 1 };
const signal = new AbortController().signal;

test('waits as long as the server says, and longer with each failure', async () => {
  const clock = sleeping();
  const pace = createPace(clock, highest);
  expect(pace.isDue()).toBe(true);
  pace.checkedIn(10);
  expect(pace.isDue()).toBe(false);
  await pace.sleep();
  expect(pace.isDue()).toBe(true);
  expect(clock.elapsedSeconds()).toBeCloseTo(111);
  expect([pace.failed(), pace.failed(), pace.failed()]).toEqual([
    { failures: 1, retrySeconds: 2 },
    { failures: 2, retrySeconds: 4 },
    { failures: 3, retrySeconds: 8 },
  ]);
  await pace.sleep();
  expect(clock.elapsedSeconds()).toBeCloseTo(119);
  pace.checkedIn(10);
  expect(pace.failed().failures).toBe(1);
});

test('an answer to any call ends the back-off and makes the next check-in due', async () => {
  const clock = sleeping();
  const pace = createPace(clock, highest);
  for (let i = 0; i < 8; i++) pace.failed();
  const slept = pace.sleep();
  const paused = pace.pause(8, signal);
  pace.answered();
  await Promise.all([slept, paused]);
  expect(pace.isDue()).toBe(true);
  expect(clock.elapsedSeconds()).toBe(100);
  expect(pace.failed().failures).toBe(1);
});

test('an answer while nothing fails changes no plan', async () => {
  const clock = sleeping();
  const pace = createPace(clock, highest);
  pace.checkedIn(10);
  pace.answered();
  expect(pace.isDue()).toBe(false);
  await pace.sleep();
  expect(clock.elapsedSeconds()).toBeCloseTo(111);
});

test('a check-in that is answered ends the wait of a task', async () => {
  const clock = sleeping();
  const pace = createPace(clock, highest);
  const paused = pace.pause(8, signal);
  pace.checkedIn(10);
  await paused;
  expect(clock.elapsedSeconds()).toBe(100);
  await pace.pause(2, signal);
  expect(clock.elapsedSeconds()).toBe(104);
});

test('a wake ends this sleep, or the next one', async () => {
  const clock = sleeping();
  const pace = createPace(clock, highest);
  pace.checkedIn(10);
  pace.wake();
  await pace.sleep();
  expect(clock.elapsedSeconds()).toBe(100);
  const slept = pace.sleep();
  pace.wake();
  await slept;
  expect(clock.elapsedSeconds()).toBe(100);
  await pace.sleep();
  expect(clock.elapsedSeconds()).toBeCloseTo(111);
});
