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
  /** An answer came; `now` by this host's clock (milliseconds since 1970). */
  heard(response: CheckInResponse, now: number): void;
  /** The next answer from now on; null when none comes within the time. `ask` brings the next check-in about. */
  next(waitSeconds: number, signal: AbortSignal, ask: () => void): Promise<StandingAnswer | null>;
  /** Whether somebody waits for the next answer. */
  isAwaited(): boolean;
}

const pollSeconds = 0.05;

export function createStanding(clock: Clock): Standing {
  let waiting = 0;
  const seen: { answers: number; last: StandingAnswer | null } = { answers: 0, last: null };
  return {
    heard(response, now) {
      seen.answers++;
      seen.last = {
        held: new Set(response.held_tasks ?? []),
        clockSkewSeconds: (Date.parse(response.server_time) - now) / 1000,
      };
    },
    async next(waitSeconds, signal, ask) {
      const before = seen.answers;
      const until = clock.elapsedSeconds() + waitSeconds;
      waiting++;
      try {
        ask();
        while (seen.answers === before && clock.elapsedSeconds() < until && !signal.aborted) {
          await clock.sleep(pollSeconds, signal);
        }
      } finally {
        waiting--;
      }
      return seen.answers === before ? null : seen.last;
    },
    isAwaited: () => waiting > 0,
  };
}
