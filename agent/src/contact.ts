import type { Clock } from './clock.ts';

/**
 * Whether the server can be reached, as the check-ins find it. A download that fails while it cannot is the network's
 * failure and not the task's: packages come the same way.
 */
export interface ServerContact {
  /** A check-in was answered after so many seconds. */
  answered(seconds: number): void;
  /** A check-in was not answered, or by an error of the server's. */
  failed(): void;
  /**
   * Whether the server was out of reach at some time since `sinceSeconds` (of the clock's elapsed seconds). Waits for the
   * check-in that tells; and where it was, until it can be reached again. False when the signal is aborted.
   */
  wasOut(sinceSeconds: number, signal: AbortSignal): Promise<boolean>;
}

/** An answer that took longer is no sign that the line was whole all the time. */
const slowSeconds = 10;
const pollSeconds = 0.2;

export function createServerContact(clock: Clock): ServerContact {
  const seen = { outAt: Number.NEGATIVE_INFINITY, isOut: false, checkIns: 0 };
  const waitWhile = async (condition: () => boolean, signal: AbortSignal): Promise<void> => {
    while (condition() && !signal.aborted) await clock.sleep(pollSeconds, signal);
  };
  return {
    answered(seconds) {
      if (seen.isOut || seconds > slowSeconds) seen.outAt = clock.elapsedSeconds();
      seen.isOut = false;
      seen.checkIns++;
    },
    failed() {
      seen.outAt = clock.elapsedSeconds();
      seen.isOut = true;
      seen.checkIns++;
    },
    async wasOut(sinceSeconds, signal) {
      const before = seen.checkIns;
      await waitWhile(() => seen.outAt < sinceSeconds && seen.checkIns === before, signal);
      if (seen.outAt < sinceSeconds) return false;
      await waitWhile(() => seen.isOut, signal);
      return !signal.aborted;
    },
  };
}
