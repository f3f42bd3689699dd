import { describe, expect, test } from 'vitest';
import { createThrottle, fullBucket, readByteSize, takeFrom, type Elapsing } from './bucket.ts';

/** Time that goes on only by sleeping. */
function virtualTime(): Elapsing & { now: number } {
  let waiting: { at: number; go: () => void }[] = [];
  const time = {
    now: 0,
    milliseconds: () => time.now,
    sleep: (milliseconds: number) =>
      new Promise<void>((resolve) => {
        waiting.push({ at: time.now + milliseconds, go: resolve });
        // all who are to sleep have said so before the first wakes
        setImmediate(() => {
          const next = waiting.toSorted((a, b) => a.at - b.at)[0];
          if (next === undefined) return;
          waiting = waiting.filter((one) => one !== next);
          time.now = Math.max(time.now, next.at);
          next.go();
        });
      }),
  };
  return time;
}

describe('a limit of bandwidth', () => {
  test('over any time, no more passes than the rate and one burst', async () => {
    const time = virtualTime();
    const throttle = createThrottle(1_000, time);
    const passed: { at: number; bytes: number }[] = [];
    for (let i = 0; i < 200; i++) {
      const bytes = 1 + ((i * 7919) % 4_000);
      await throttle.pass(bytes);
      passed.push({ at: time.now, bytes });
    }
    const total = passed.reduce((sum, one) => sum + one.bytes, 0);
    // all of it takes as long as the rate says, but for the burst at the beginning
    expect(time.now).toBeCloseTo(total - 1_000, 3);
    for (const from of passed) {
      const since = passed.filter((one) => one.at > from.at);
      const bytes = since.reduce((sum, one) => sum + one.bytes, 0);
      expect(bytes).toBeLessThanOrEqual(((since.at(-1)?.at ?? from.at) - from.at) * 1.0001 + 1_000);
    }
  });

  test('several who share it have the rate together', async () => {
    const time = virtualTime();
    const throttle = createThrottle(10_000, time);
    const one = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) await throttle.pass(1_000);
    };
    await Promise.all([one(), one(), one()]);
    expect(time.now).toBeCloseTo(5_000, 3);
  });

  test('a pause saves up one burst and no more; without a limit nothing waits', async () => {
    const bucket = { bytesPerSecond: 100, burstBytes: 100 };
    const spent = takeFrom(bucket, fullBucket(bucket, 0), 100, 0);
    expect(spent.waitMilliseconds).toBe(0);
    expect(takeFrom(bucket, spent.level, 150, 3_600_000).waitMilliseconds).toBe(500);
    const time = virtualTime();
    await createThrottle(null, time).pass(1e12);
    expect(time.now).toBe(0);
  });
});

test('sizes are read in powers of 1024', () => {
  expect(['20G', '512M', '64k', '1000', '1 TiB', '2KB'].map(readByteSize)).toEqual([
    20 * 1024 ** 3,
    512 * 1024 ** 2,
    65_536,
    1000,
    1024 ** 4,
    2048,
  ]);
  expect(['', '-1', '1.5G', 'G', '1X', '999999999999T'].map(readByteSize)).toEqual(Array(6).fill(null));
});
