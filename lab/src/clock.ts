/** The only place in the lab that reads a clock or sleeps. */
import { setTimeout as delay } from 'node:timers/promises';

/** The wall clock. */
export function now(): Date {
  return new Date();
}

/** Seconds since an arbitrary start, never going backwards: for measuring and for deadlines. */
export function monotonicSeconds(): number {
  return performance.now() / 1000;
}

export async function sleep(seconds: number): Promise<void> {
  await delay(seconds * 1000);
}

/** Blocks the whole thread. Only for clean-up on the way out of the process, where nothing asynchronous runs any more. */
export function sleepBlocking(seconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
}

/**
 * Asks again until `probe` gives something other than `undefined`.
 * Throws after `timeoutSeconds`, with `what` in the message: everything the lab waits for is bounded.
 */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  limits: { timeoutSeconds: number; everySeconds?: number },
): Promise<T> {
  const deadline = monotonicSeconds() + limits.timeoutSeconds;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (monotonicSeconds() > deadline) {
      throw new Error(`gave up waiting for ${what} after ${limits.timeoutSeconds} s`);
    }
    await sleep(limits.everySeconds ?? 0.1);
  }
}
