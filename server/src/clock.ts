import type { Clock } from './context.ts';

/** The machine's clock: the only place of the server that reads it. */
export const systemClock: Clock = { now: () => new Date() };
