import type { RandomSource } from './random.ts';

/** Longest wait after failures. */
export const backoffMaximumSeconds = 300;
const firstSeconds = 1;

/**
 * Seconds to wait after `failures` failures in a row (1 or more): exponential with full jitter, so that a fleet whose
 * server comes back does not return all at once. See Brooker, "Exponential Backoff And Jitter" (AWS, 2015).
 */
export function backoffSeconds(failures: number, random: RandomSource): number {
  const ceiling = Math.min(backoffMaximumSeconds, firstSeconds * 2 ** Math.min(failures, 30));
  // Never nothing at all: a server that refuses at once must not be asked in a busy loop.
  return Math.max(0.1, random.fraction() * ceiling);
}

/** The wait that the server asked for, 10 % more or less. */
export function jitteredSeconds(seconds: number, random: RandomSource): number {
  return seconds * (0.9 + 0.2 * random.fraction());
}
