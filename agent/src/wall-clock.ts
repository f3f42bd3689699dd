import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { minutesOfDay } from '@fixpoint/core/host-policy/hours.ts';
import { weekdays } from '@fixpoint/core/window/window.ts';
import { readTextIfThere } from './state-dir.ts';

/** The clock on the wall of this host: in the zone that the host is set to now, not the one when this process started. */

/** IANA name of the zone that the host is set to (`Europe/Berlin`); null when it cannot be told. */
export function readTimeZone(root = '/'): string | null {
  // a link may lead to a copy without a name, and a copy says nothing of where it came from
  const told = readTextIfThere(join(root, 'etc/timezone'))
    ?.split('\n')
    .map((line) => line.replace(/#.*$/u, '').trim())
    .find((line) => line !== '');
  const names = [fromLink(join(root, 'etc/localtime')), told];
  return names.find((name) => typeof name === 'string' && isTimeZone(name)) ?? null;
}

function fromLink(path: string): string | null {
  try {
    return /\/zoneinfo\/(?:posix\/|right\/)?(.+)$/u.exec(readlinkSync(path))?.[1] ?? null;
  } catch {
    return null;
  }
}

function isTimeZone(name: string): boolean {
  // an offset such as +01:00 is known to Intl as well
  if (name.length > 64 || !/^[A-Za-z]/u.test(name)) return false;
  try {
    return new Intl.DateTimeFormat('en-GB', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/** Zones differ from each other, and change, by whole quarters of an hour. */
const quarter = 15 * 60_000;

/**
 * Minutes since Monday 00:00 that the wall clock of a zone shows at a time (milliseconds since 1970).
 * @param zone null: UTC
 */
export function minuteOfWeekIn(zone: string | null): (at: number) => number {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone ?? 'UTC',
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const known = new Map<number, number>();
  return (at) => {
    const start = Math.floor(at / quarter) * quarter;
    let minute = known.get(start);
    if (minute === undefined) {
      const parts = new Map(format.formatToParts(start).map(({ type, value }) => [type, value]));
      const name = (parts.get('weekday') ?? '').toLowerCase();
      const day = weekdays.findIndex((one) => one === name);
      minute = day * minutesOfDay + Number(parts.get('hour')) * 60 + Number(parts.get('minute'));
      known.set(start, minute);
    }
    return minute + Math.floor((at - start) / 60_000);
  };
}
