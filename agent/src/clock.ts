/** The only place of the agent that reads a clock or waits. */
export interface Clock {
  /** Milliseconds since 1970, of the host's clock, which may jump. */
  now(): number;
  /** Seconds that only go forward; for measuring, not for dates. */
  elapsedSeconds(): number;
  /** Resolves after `seconds`, or at once when the signal is or becomes aborted. Never rejects. */
  sleep(seconds: number, signal?: AbortSignal): Promise<void>;
}

/** ISO 8601 in UTC, of milliseconds since 1970. */
export function toIso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsedSeconds: () => performance.now() / 1000,
  sleep(seconds, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(seconds * 1000, 2_000_000_000));
      signal?.addEventListener('abort', done, { once: true });
    });
  },
};
