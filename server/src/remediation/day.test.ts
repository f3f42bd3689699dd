import { describe, expect, test } from 'vitest';
import { dayAfter, zoneCalled, type Zone } from './day.ts';

const zone = (name: string): Zone => {
  const found = zoneCalled(name);
  if (found === null) throw new Error(name);
  return found;
};
const hours = (name: string, day: string): number => {
  const { startOf, nextDay } = zone(name);
  const from = startOf(day) ?? Number.NaN;
  return (nextDay(from) - from) / 3_600_000;
};
const iso = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());

describe('days of a time zone', () => {
  test('begin at its midnight', () => {
    expect(iso(zone('Europe/Berlin').startOf('2026-01-15'))).toBe('2026-01-14T23:00:00.000Z');
    expect(iso(zone('Asia/Kathmandu').startOf('2026-01-15'))).toBe('2026-01-14T18:15:00.000Z');
    expect(iso(zone('Pacific/Kiritimati').startOf('2026-01-15'))).toBe('2026-01-14T10:00:00.000Z');
    expect(iso(zone('Etc/GMT+12').startOf('2026-01-15'))).toBe('2026-01-15T12:00:00.000Z');
    expect(zone('America/New_York').dayOf(Date.parse('2026-01-15T04:59:59.999Z'))).toBe('2026-01-14');
    expect(zone('America/New_York').dayOf(Date.parse('2026-01-15T05:00:00.000Z'))).toBe('2026-01-15');
  });
  test('end with the year 2999, as no day follows 9999-12-31 that is written like it', () => {
    const { startOf } = zone('UTC');
    expect(startOf('9999-12-31')).toBeNull();
    expect(startOf('3000-01-01')).toBeNull();
    expect(iso(startOf('2999-12-31'))).toBe('2999-12-31T00:00:00.000Z');
    expect(startOf('0000-01-01')).toBeNull();
    expect(startOf('1970-01-01')).toBeNull();
  });
  test('have 23 or 25 hours where clocks change, and 24 otherwise', () => {
    expect(hours('Europe/Berlin', '2026-03-29')).toBe(23);
    expect(hours('Europe/Berlin', '2026-10-25')).toBe(25);
    expect(hours('Europe/Berlin', '2026-10-26')).toBe(24);
    expect(hours('America/New_York', '2026-03-08')).toBe(23);
    expect(hours('America/New_York', '2026-11-01')).toBe(25);
    expect(hours('Australia/Lord_Howe', '2026-04-05')).toBe(24.5);
    expect(hours('UTC', '2026-03-29')).toBe(24);
  });
  test('begin later where midnight is left out, and go on where a whole date is', () => {
    // Santiago's clocks go from 23:59:59 to 01:00:00.
    expect(iso(zone('America/Santiago').startOf('2026-09-06'))).toBe('2026-09-06T04:00:00.000Z');
    expect(hours('America/Santiago', '2026-09-06')).toBe(23);
    // Samoa had no 30 December 2011.
    const { startOf, nextDay, dayOf } = zone('Pacific/Apia');
    expect(dayOf(nextDay(startOf('2011-12-29') ?? 0))).toBe('2011-12-31');
  });
  test('follow each other without a hole', () => {
    for (const name of ['Europe/London', 'America/Sao_Paulo', 'Africa/Casablanca', 'America/St_Johns']) {
      const { startOf, nextDay, dayOf } = zone(name);
      let at = startOf('2026-01-01') ?? 0;
      for (let day = '2026-01-01'; day < '2027-01-01'; day = dayAfter(day)) {
        expect([name, dayOf(at), startOf(day)]).toEqual([name, day, at]);
        expect(dayOf(at - 1) < day).toBe(true);
        at = nextDay(at + 3_600_000);
      }
    }
  });
  test('of no zone, and of no date', () => {
    expect(zoneCalled('Europe/Atlantis')).toBeNull();
    expect(zone('UTC').startOf('2026-02-30')).toBeNull();
    expect(zone('UTC').startOf('2026-13-01')).toBeNull();
  });
});
