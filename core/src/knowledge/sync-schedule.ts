/** When a feed is asked for next. Pure: the dice are handed in. */

/** The wait after the first failure; doubled with each further one. */
const firstWaitSeconds = 60;
const longestWaitSeconds = 6 * 3600;
/** A publisher may ask for more patience than this, but not for so much that a feed is forgotten. */
const longestRetryAfterSeconds = 24 * 3600;
/** Share of the interval by which a turn may come later, so that not everybody asks at the full hour. */
const spread = 0.1;

/** How often a feed is asked for when nobody has said: eight times within its limit, at least hourly, at most daily. */
export function defaultIntervalSeconds(staleAfterSeconds: number): number {
  return Math.min(86_400, Math.max(3600, Math.round(staleAfterSeconds / 8)));
}

/**
 * Seconds until the next attempt.
 *
 * After a success the interval, spread a little. After failures 1, 2, 4, … minutes, of which a random half is kept, so that
 * many servers that failed together do not come back together; never longer than the interval unless the publisher asked
 * for patience (Retry-After).
 *
 * @param state.failures in a row; 0 after a success
 * @param state.random from 0 up to, not including, 1
 */
export function secondsToNextAttempt(state: {
  readonly failures: number;
  readonly intervalSeconds: number;
  readonly retryAfterSeconds: number | null;
  readonly random: number;
}): number {
  const { failures, intervalSeconds, random } = state;
  if (failures === 0) return Math.round(intervalSeconds * (1 + spread * random));
  const doubled = firstWaitSeconds * 2 ** Math.min(failures - 1, 20);
  const wait = Math.min(doubled, longestWaitSeconds, intervalSeconds) * (0.5 + random / 2);
  const asked = Math.min(state.retryAfterSeconds ?? 0, longestRetryAfterSeconds);
  return Math.max(1, Math.round(Math.max(wait, asked)));
}
