import { now } from '../clock.ts';

const units: readonly (readonly [seconds: number, name: string])[] = [
  [31_557_600, 'year'],
  [2_629_800, 'month'],
  [86_400, 'day'],
  [3_600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
];

/** `3 hours ago`, `in 5 minutes`, `now`; the text itself when it is no time. `-` for null. */
export function relative(time: string | null, at: Date = now()): string {
  if (time === null) return '-';
  const then = Date.parse(time);
  if (Number.isNaN(then)) return time;
  const seconds = Math.round((at.getTime() - then) / 1000);
  for (const [size, name] of units) {
    const count = Math.trunc(Math.abs(seconds) / size);
    if (count === 0) continue;
    const words = `${String(count)} ${name}${count === 1 ? '' : 's'}`;
    return seconds > 0 ? `${words} ago` : `in ${words}`;
  }
  return 'now';
}

/** Both, for showing one thing: `2026-11-22 06:31:04 UTC (3 hours ago)`. */
export function absolute(time: string | null): string | null {
  if (time === null) return null;
  const then = new Date(time);
  if (Number.isNaN(then.getTime())) return time;
  return `${then.toISOString().slice(0, 19).replace('T', ' ')} UTC (${relative(time)})`;
}

/** `850 ms`, `12.3 s`, `4 min 5 s`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${String(Math.round(milliseconds))} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  return `${String(Math.trunc(seconds / 60))} min ${String(seconds % 60)} s`;
}
