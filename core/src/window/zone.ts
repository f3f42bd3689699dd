import { Temporal } from 'temporal-polyfill';

/**
 * Wall-clock time of a zone and moments. What holds where clocks are changed: a local time that does not exist is the first
 * moment after the gap; one that exists twice is the first of the two; a time on a day that a zone left out altogether
 * (Apia, 30 December 2011) is none at all.
 */

const known = new Map<string, boolean>();
/** More names than there are zones are somebody's nonsense, and not kept. */
const knownMaximum = 2_000;

/** Whether this is a time zone of the IANA database: `Europe/Berlin`, `UTC`; an offset such as `+01:00` is not. */
export function isZone(name: string): boolean {
  const before = known.get(name);
  if (before !== undefined) return before;
  const is = /^[A-Za-z]/u.test(name) && canBeUsed(name);
  if (known.size < knownMaximum) known.set(name, is);
  return is;
}

function canBeUsed(name: string): boolean {
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(name);
    return true;
  } catch {
    return false;
  }
}

/** The zone that a window's times are in: its own, or that of the asset, and UTC where the asset's cannot be told. */
export function zoneOf(zone: string, assetZone: string): string {
  if (zone !== 'asset') return zone;
  return isZone(assetZone) ? assetZone : 'UTC';
}

/** What the clocks on the walls of some place show. */
export interface WallClock {
  /** The local date and time at a moment (milliseconds since 1970 UTC). */
  localAt(moment: number): Temporal.PlainDateTime;
  /** The moment at which it is this local time; null on a day that the place left out. */
  momentOf(local: Temporal.PlainDateTime): number | null;
}

/** The clocks of an IANA zone, which must be one ({@link isZone}). */
export function clockOf(zone: string): WallClock {
  return {
    localAt: (moment) =>
      Temporal.Instant.fromEpochMilliseconds(moment).toZonedDateTimeISO(zone).toPlainDateTime(),
    momentOf: (local) => momentOf(local, zone),
  };
}

function momentOf(local: Temporal.PlainDateTime, zone: string): number | null {
  const earlier = local.toZonedDateTime(zone, { disambiguation: 'earlier' });
  if (earlier.toPlainDateTime().equals(local)) return earlier.epochMilliseconds;
  // 'earlier' goes by the offset before the gap, and so comes out before it
  const after = earlier.getTimeZoneTransition('next');
  if (after === null)
    throw new Error(`${local.toString()} is missing in ${zone}, where clocks are never changed`);
  const date = local.toPlainDate();
  return Temporal.PlainDate.compare(after.toPlainDate(), date) > 0 &&
    !date.toZonedDateTime(zone).toPlainDate().equals(date)
    ? null
    : after.epochMilliseconds;
}

/**
 * The moment (milliseconds since 1970 UTC) of a local date and time such as `2026-12-20T00:00` in an IANA zone; null when the text
 * is none, or on a day that the zone left out.
 */
export function momentOfText(text: string, zone: string): number | null {
  if (!/^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?)?$/u.test(text)) return null;
  try {
    return momentOf(Temporal.PlainDateTime.from(text, { overflow: 'reject' }), zone);
  } catch {
    return null;
  }
}
