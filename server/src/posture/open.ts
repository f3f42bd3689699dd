import type { Context } from '../context.ts';
import type { Posture } from './posture.ts';

/** The posture of this process. It reads nothing until it is first asked, or started. */
export function openPosture(_context: Context): Posture {
  const notYet = () => Promise.reject(new Error('the read model is being built'));
  return {
    fresh: notYet,
    atLeast: notYet,
    run: notYet,
    state: () => null,
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(),
  };
}
