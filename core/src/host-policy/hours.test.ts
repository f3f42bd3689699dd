import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isWithin, minutesOfDay, minutesOfWeek, parseHours, standingOfHours } from './hours.ts';

/** 2026-11-23 is a Monday. */
const monday = Date.parse('2026-11-23T00:00:00Z');
const inUtc = (at: number): number =>
  ((Math.floor((at - monday) / 60_000) % minutesOfWeek) + minutesOfWeek) % minutesOfWeek;
const at = (text: string): number => Date.parse(`${text}:00Z`);
const iso = (time: number | null): string | null =>
  time === null ? null : new Date(time).toISOString().slice(0, 16);

/** As a wall clock in that zone shows it, by the zones that Node carries. */
function inZone(zone: string): (time: number) => number {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  return (time) => {
    const parts = new Map(format.formatToParts(time).map(({ type, value }) => [type, value]));
    const day = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].indexOf(parts.get('weekday') ?? '');
    return day * minutesOfDay + Number(parts.get('hour')) * 60 + Number(parts.get('minute'));
  };
}

function standing(hours: readonly string[], time: string, zone?: string): string {
  const found = standingOfHours(hours, at(time), zone === undefined ? inUtc : inZone(zone));
  return found.kind === 'open'
    ? `open until ${String(iso(found.closesAt))}`
    : `closed until ${String(iso(found.opensAt))}`;
}

describe('hours', () => {
  test.each([
    ['mon-fri 22:00-04:00', '2026-11-23T21:59', 'closed until 2026-11-23T22:00'],
    ['mon-fri 22:00-04:00', '2026-11-23T22:00', 'open until 2026-11-24T04:00'],
    // Friday's goes on into Saturday; Monday's early morning is Sunday's, which is not named.
    ['mon-fri 22:00-04:00', '2026-11-28T03:59', 'open until 2026-11-28T04:00'],
    ['mon-fri 22:00-04:00', '2026-11-23T03:00', 'closed until 2026-11-23T22:00'],
    ['sun 22:00-04:00', '2026-11-23T03:00', 'open until 2026-11-23T04:00'],
    ['sat 00:00-24:00', '2026-11-28T23:59', 'open until 2026-11-29T00:00'],
    ['sat', '2026-11-28T00:00', 'open until 2026-11-29T00:00'],
    ['sat-mon 01:00-02:00', '2026-11-29T01:30', 'open until 2026-11-29T02:00'],
    ['tue,thu 01:00-02:00', '2026-11-25T01:30', 'closed until 2026-11-26T01:00'],
    ['daily 01:00-02:00', '2026-11-25T02:00', 'closed until 2026-11-26T01:00'],
    ['daily', '2026-11-25T02:00', 'open until null'],
    ['nonsense', '2026-11-25T02:00', 'closed until null'],
  ])('%s at %s: %s', (hours, time, expected) => {
    expect(standing([hours], time)).toBe(expected);
  });
  test('several lines are joined; none means always', () => {
    expect(standing(['mon 22:00-24:00', 'tue 00:00-02:00'], '2026-11-23T22:30')).toBe(
      'open until 2026-11-24T02:00',
    );
    expect(standing([], '2026-11-23T22:30')).toBe('open until null');
  });
  test('when clocks are set forward or back, the wall counts', () => {
    // Europe/Berlin, 2026-03-29: 02:00 becomes 03:00 (01:00 UTC); 2026-10-25: 03:00 becomes 02:00 (01:00 UTC).
    expect(standing(['sun 02:00-03:00'], '2026-03-29T00:30', 'Europe/Berlin')).toBe(
      'closed until 2026-04-05T00:00',
    );
    expect(standing(['sun 01:00-04:00'], '2026-03-29T00:30', 'Europe/Berlin')).toBe(
      'open until 2026-03-29T02:00',
    );
    expect(standing(['sun 01:00-04:00'], '2026-10-25T00:30', 'Europe/Berlin')).toBe(
      'open until 2026-10-25T03:00',
    );
    expect(standing(['sun 02:30-02:45'], '2026-10-25T00:50', 'Europe/Berlin')).toBe(
      'closed until 2026-10-25T01:30',
    );
  });
  test.each([
    '',
    'mon 22:00',
    'mon 22:00-22:00',
    'mon 24:00-02:00',
    'mon 10:60-11:00',
    'mon 1:00-2:00',
    'mo 01:00-02:00',
    'mon-tue-wed',
    'mon 01:00-02:00 x',
    '22:00-04:00',
    'mon, tue 01:00-02:00',
    'mon 00:00-24:01',
  ])('what is none is refused: %j', (text) => {
    expect(parseHours(text).ok).toBe(false);
  });

  const names = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
  const clock = (m: number): string =>
    `${String(Math.floor(m / 60)).padStart(2, '0')}:${String(m % 60).padStart(2, '0')}`;
  const line = fc
    .record({
      day: fc.integer({ min: 0, max: 6 }),
      from: fc.integer({ min: 0, max: 1439 }),
      length: fc.integer({ min: 1, max: 1439 }),
    })
    .map(({ day, from, length }) => {
      const end = (from + length) % minutesOfDay;
      return {
        from: day * minutesOfDay + from,
        length,
        text: `${names[day] ?? ''} ${clock(from)}-${clock(end)}`,
      };
    });

  test('a line is open for exactly the minutes that it names, each week anew', () => {
    fc.assert(
      fc.property(line, fc.integer({ min: 0, max: minutesOfWeek - 1 }), ({ from, length, text }, minute) => {
        const parsed = parseHours(text);
        if (!parsed.ok) throw new Error(parsed.message);
        const after = (minute - from + minutesOfWeek) % minutesOfWeek;
        expect(isWithin(parsed.ranges, minute)).toBe(after < length);
      }),
    );
  });
  test('what is said to come next is the first change', () => {
    fc.assert(
      fc.property(
        fc.array(line, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 0, max: 2 * minutesOfWeek }),
        (lines, offset) => {
          const hours = lines.map(({ text }) => text);
          const now = monday + offset * 60_000 + 17_000;
          const ranges = hours.flatMap((text) => {
            const parsed = parseHours(text);
            return parsed.ok ? parsed.ranges : [];
          });
          const found = standingOfHours(hours, now, inUtc);
          expect(found.kind === 'open').toBe(isWithin(ranges, inUtc(now)));
          const next = found.kind === 'open' ? found.closesAt : found.opensAt;
          if (next === null) throw new Error('these open and close within each week');
          expect(next).toBeGreaterThan(now);
          expect(isWithin(ranges, inUtc(next))).toBe(found.kind === 'closed');
          expect(isWithin(ranges, inUtc(next - 60_000))).toBe(found.kind === 'open');
        },
      ),
      { numRuns: 50 },
    );
  });
});
