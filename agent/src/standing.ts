import type { CheckInResponse } from '@fixpoint/contract/agent.ts';
import type { Clock } from './clock.ts';

/** What the last answer of the server said about going on. */
export interface StandingAnswer {
  /** Tasks that must not be begun now. */
  readonly held: ReadonlySet<string>;
  /** How far the server's clock is ahead of this host's; negative when it is behind. */
  readonly clockSkewSeconds: number;
}

export interface Standing {
  /**
   * An answer came; `now` by this host's clock (milliseconds since 1970).
   * @param askedAt elapsed seconds when the question was sent
   */
  heard(response: CheckInResponse, now: number, askedAt: number): void;
  /**
   * The next answer to a question that is sent from now on; null when none comes within the time. An answer that is under way
   * already may have been given before a pause. `ask` brings the next check-in about.
   */
  next(waitSeconds: number, signal: AbortSignal, ask: () => void): Promise<StandingAnswer | null>;
  /** Whether somebody waits for the next answer. */
  isAwaited(): boolean;
}

const pollSeconds = 0.05;
const askAgainSeconds = 1;

export function createStanding(clock: Clock): Standing {
  let waiting = 0;
  const seen: { answers: number; askedAt: number; last: StandingAnswer | null } = {
    answers: 0,
    askedAt: Number.NEGATIVE_INFINITY,
    last: null,
  };
  return {
    heard(response, now, askedAt) {
      seen.answers++;
      seen.askedAt = askedAt;
      seen.last = {
        held: new Set(response.held_tasks ?? []),
        clockSkewSeconds: (Date.parse(response.server_time) - now) / 1000,
      };
    },
    async next(waitSeconds, signal, ask) {
      const before = seen.answers;
      const since = clock.elapsedSeconds();
      const until = since + waitSeconds;
      const isFresh = (): boolean => seen.answers !== before && seen.askedAt >= since;
      let askedAt = since;
      waiting++;
      try {
        ask();
        while (!isFresh() && clock.elapsedSeconds() < until && !signal.aborted) {
          await clock.sleep(pollSeconds, signal);
          // A check-in that was under way has put off the next one.
          if (seen.answers === before || clock.elapsedSeconds() - askedAt < askAgainSeconds) continue;
          askedAt = clock.elapsedSeconds();
          ask();
        }
      } finally {
        waiting--;
      }
      return isFresh() ? seen.last : null;
    },
    isAwaited: () => waiting > 0,
  };
}
