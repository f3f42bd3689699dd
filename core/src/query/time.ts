/**
 * Dates and durations of queries. A date without a zone is UTC, so that a saved query means the same for everybody; with
 * `Z`, `+02:00` or `-05:30` after a time it means that zone.
 */

export interface DatePeriod {
  /** Milliseconds since 1970; `to` does not belong to it. */
  readonly from: number;
  readonly to: number;
}

const DAY = 86_400_000;
const datePattern =
  /^(\d{4})-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:\d{2})?)?)?$/;

/**
 * `2026-11` (a month), `2026-11-01` (a day), `2026-11-01T12:30`, with seconds and a fraction
 * (RFC 3339), of which milliseconds count. Null: none, or before 1970.
 */
export function parseDate(text: string): DatePeriod | null {
  const match = datePattern.exec(text.toUpperCase());
  if (match === null) return null;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3] ?? 1)];
  const [hour, minute, second] = [Number(match[4] ?? 0), Number(match[5] ?? 0), Number(match[6] ?? 0)];
  const midnight = Date.UTC(year, month - 1, day);
  const check = new Date(midnight);
  if (year < 1970 || check.getUTCMonth() !== month - 1 || check.getUTCDate() !== day) return null;
  if (hour > 23 || minute > 59 || second > 59) return null;
  const zone = zoneMinutes(match[8]);
  if (zone === null) return null;
  const from =
    midnight +
    ((hour * 60 + minute - zone) * 60 + second) * 1000 +
    Number((match[7] ?? '').slice(0, 3).padEnd(3, '0'));
  if (match[3] === undefined) return { from, to: Date.UTC(year, month, 1) };
  if (match[4] === undefined) return { from, to: from + DAY };
  if (match[6] === undefined) return { from, to: from + 60_000 };
  return { from, to: from + (match[7] === undefined ? 1000 : 1) };
}

/** Minutes east of UTC. */
function zoneMinutes(zone: string | undefined): number | null {
  if (zone === undefined || zone === 'Z') return 0;
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(4, 6))];
  if (hours > 14 || minutes > 59) return null;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}

const unitMilliseconds: ReadonlyMap<string, number> = new Map([
  ['min', 60_000],
  ['h', 3_600_000],
  ['d', DAY],
  ['w', 7 * DAY],
  ['y', 365 * DAY],
]);

export const durationUnits: readonly string[] = [...unitMilliseconds.keys()];

/** `90min`, `36h`, `7d`, `2w`, `1y` (365 days) in milliseconds. Months have no length, and `m` could be either. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,6})([a-z]+)$/.exec(text.toLowerCase());
  const unit = match === null ? undefined : unitMilliseconds.get(match[2] ?? '');
  return match === null || unit === undefined ? null : Number(match[1]) * unit;
}
