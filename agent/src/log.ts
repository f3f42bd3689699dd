import { toIso, type Clock } from './clock.ts';

export type Log = (
  level: 'info' | 'warn' | 'error',
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

/** One JSON object per line on standard output: what the journal of systemd keeps. Secrets are never given to it. */
export function createLog(clock: Clock, write: (line: string) => void): Log {
  return (level, message, fields) => {
    write(`${JSON.stringify({ at: toIso(clock.now()), level, message, ...fields })}\n`);
  };
}
