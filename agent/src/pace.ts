import { backoffSeconds, jitteredSeconds } from './backoff.ts';
import type { Clock } from './clock.ts';
import type { RandomSource } from './random.ts';

/**
 * When the next check-in is due. After failures it waits longer each time; whatever call of the agent's the server answers
 * in between (a report of a task, say) shows that it can be reached again, so then the next check-in is due at once:
 * a server that hears an agent now and then and misses its check-ins would take the host for unreachable.
 */
export interface Pace {
  isDue(): boolean;
  /** A check-in was done; the server wants the next one after so many seconds. */
  checkedIn(nextSeconds: number): void;
  /** A check-in failed. Gives the number of failures in a row and the wait before the next attempt. */
  failed(): { readonly failures: number; readonly retrySeconds: number };
  /** A call other than the check-in was answered. */
  answered(): void;
  /** The next check-in is due at once. */
  checkInNow(): void;
  /** Ends the sleep at once, the next one if nobody sleeps now. */
  wake(): void;
  /** Until the next check-in is due, or `wake`. */
  sleep(): Promise<void>;
  /** The wait of a task's call after so many failures of it in a row; ends early when the server has answered anything. */
  pause(failures: number, signal: AbortSignal): Promise<void>;
}

export function createPace(clock: Clock, random: RandomSource): Pace {
  let nextAt = clock.elapsedSeconds();
  let failures = 0;
  let awake = false;
  let sleeper = new AbortController();
  let heard = new AbortController();

  function wake(): void {
    awake = true;
    sleeper.abort();
  }

  /** Whoever waits for the server need not any more. */
  function reached(): void {
    heard.abort();
    heard = new AbortController();
  }

  return {
    isDue: () => clock.elapsedSeconds() >= nextAt,
    checkedIn(nextSeconds) {
      failures = 0;
      nextAt = clock.elapsedSeconds() + jitteredSeconds(nextSeconds, random);
      reached();
    },
    failed() {
      failures++;
      const retrySeconds = backoffSeconds(failures, random);
      nextAt = clock.elapsedSeconds() + retrySeconds;
      return { failures, retrySeconds };
    },
    answered() {
      if (failures === 0) return;
      failures = 0;
      nextAt = clock.elapsedSeconds();
      reached();
      wake();
    },
    checkInNow() {
      nextAt = Math.min(nextAt, clock.elapsedSeconds());
      wake();
    },
    wake,
    async sleep() {
      sleeper = new AbortController();
      if (!awake) await clock.sleep(Math.max(0, nextAt - clock.elapsedSeconds()), sleeper.signal);
      awake = false;
    },
    async pause(attempts, signal) {
      await clock.sleep(backoffSeconds(attempts, random), AbortSignal.any([signal, heard.signal]));
    },
  };
}
