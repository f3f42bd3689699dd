import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { minimumRemainingSeconds, standing, windowIntervals } from './intervals.ts';
import { weekdays, type Interval, type PatchWindow, type Recurrence } from './window.ts';

const at = (text: string) => Date.parse(text);
const minute = 60_000;
const day = 1440 * minute;
const interval = (from: string, until: string): Interval => ({ opensAt: at(from), closesAt: at(until) });
const shown = (intervals: readonly Interval[]) =>
  intervals.map((one) =>
    [one.opensAt, one.closesAt].map((t) => new Date(t).toISOString().slice(0, 16)).join(' '),
  );
const window = (opens: Recurrence, duration_minutes: number, zone = 'UTC'): PatchWindow => ({
  zone,
  opens,
  duration_minutes,
});
const nightly = window({ kind: 'daily', at: '22:00' }, 240);
const saturday = window({ kind: 'weekly', days: ['sat'], at: '01:00' }, 600);

describe('intervals of windows', () => {
  test('several that overlap or touch are one; what is cut is cut at from and until', () => {
    // 7 March 2026 is a Saturday
    expect(
      shown(
        windowIntervals([nightly, saturday], [], 'UTC', at('2026-03-05T23:00Z'), at('2026-03-08T00:00Z')),
      ),
    ).toEqual([
      '2026-03-05T23:00 2026-03-06T02:00',
      '2026-03-06T22:00 2026-03-07T11:00',
      '2026-03-07T22:00 2026-03-08T00:00',
    ]);
  });

  test('less the blackouts, which may overlap each other and come in any order', () => {
    const blackouts = [
      interval('2026-03-07T10:00Z', '2026-03-08T00:00Z'),
      interval('2026-03-06T23:00Z', '2026-03-06T23:30Z'),
      interval('2026-03-06T23:15Z', '2026-03-07T00:00Z'),
      interval('2026-03-05T00:00Z', '2026-03-05T00:00Z'),
    ];
    const from = at('2026-03-06T12:00Z');
    expect(shown(windowIntervals([nightly, saturday], blackouts, 'UTC', from, from + 2 * day))).toEqual([
      '2026-03-06T22:00 2026-03-06T23:00',
      '2026-03-07T00:00 2026-03-07T10:00',
      '2026-03-08T00:00 2026-03-08T02:00',
    ]);
    expect(shown(windowIntervals(undefined, blackouts, 'UTC', from, from + 2 * day))).toEqual([
      '2026-03-06T12:00 2026-03-06T23:00',
      '2026-03-07T00:00 2026-03-07T10:00',
      '2026-03-08T00:00 2026-03-08T12:00',
    ]);
  });

  test('in the zone of each asset, and in UTC where that is not known', () => {
    const own = window({ kind: 'daily', at: '03:00' }, 60, 'asset');
    const of = (zone: string) =>
      shown(windowIntervals([own], [], zone, at('2026-07-01T00:00Z'), at('2026-07-02T00:00Z')));
    expect(of('Asia/Tokyo')).toEqual(['2026-07-01T18:00 2026-07-01T19:00']);
    expect(of('America/Los_Angeles')).toEqual(['2026-07-01T10:00 2026-07-01T11:00']);
    expect(of('Moon/Tranquility')).toEqual(['2026-07-01T03:00 2026-07-01T04:00']);
  });

  test('a duration is time that passes: four hours from 01:00 end at 06:00 on the day an hour is missing', () => {
    const berlin = window({ kind: 'daily', at: '01:00' }, 240, 'Europe/Berlin');
    const of = (from: string) => shown(windowIntervals([berlin], [], 'UTC', at(from), at(from) + day));
    expect(of('2026-03-28T12:00Z')).toEqual(['2026-03-29T00:00 2026-03-29T04:00']);
    expect(of('2026-10-24T12:00Z')).toEqual(['2026-10-24T23:00 2026-10-25T03:00']);
  });

  test('one that began long before is still open', () => {
    const long = window({ kind: 'once', local: '2026-03-01T00:00' }, 14 * 1440);
    const from = at('2026-03-14T23:00Z');
    expect(shown(windowIntervals([long], [], 'UTC', from, from + day))).toEqual([
      '2026-03-14T23:00 2026-03-15T00:00',
    ]);
  });
});

describe('how it stands now', () => {
  const of = (windows: PatchWindow[] | undefined, blackouts: Interval[], now: string) => {
    const one = standing(windows, blackouts, 'UTC', at(now));
    const time = one.kind === 'open' ? one.closesAt : one.kind === 'closed' ? one.opensAt : null;
    const because = one.kind === 'closed' ? ` ${one.because}` : '';
    return `${one.kind}${because}${time === null ? '' : ` ${new Date(time).toISOString().slice(0, 16)}`}`;
  };
  const freeze = [interval('2026-03-06T00:00Z', '2026-03-09T00:00Z')];

  test('without windows', () => {
    expect(of(undefined, [], '2026-03-05T12:00Z')).toBe('always');
    expect(of(undefined, freeze, '2026-03-05T12:00Z')).toBe('open 2026-03-06T00:00');
    expect(of(undefined, freeze, '2026-03-06T00:00Z')).toBe('closed blackout 2026-03-09T00:00');
    expect(of(undefined, freeze, '2026-03-09T00:00Z')).toBe('always');
    expect(of(undefined, [interval('2026-03-01', '2030-01-01')], '2026-03-05T12:00Z')).toBe(
      'closed blackout',
    );
  });

  test('with windows', () => {
    expect(of([nightly], [], '2026-03-05T21:59Z')).toBe('closed window 2026-03-05T22:00');
    expect(of([nightly], [], '2026-03-05T22:00Z')).toBe('open 2026-03-06T02:00');
    expect(of([nightly], [], '2026-03-06T02:00Z')).toBe('closed window 2026-03-06T22:00');
    expect(of([nightly], freeze, '2026-03-05T23:00Z')).toBe('open 2026-03-06T00:00');
    expect(of([nightly], freeze, '2026-03-06T01:00Z')).toBe('closed blackout 2026-03-09T00:00');
    expect(of([nightly], freeze, '2026-03-07T12:00Z')).toBe('closed window 2026-03-09T00:00');
  });

  test('windows that follow on each other for longer than the first look ahead', () => {
    const all = window({ kind: 'daily', at: '00:00' }, 1440);
    expect(of([all], [interval('2026-05-01', '2026-05-02')], '2026-03-05T12:00Z')).toBe(
      'open 2026-05-01T00:00',
    );
    // nothing closes it within 400 days
    expect(of([all], [], '2026-03-05T12:00Z')).toBe('open 2027-04-09T12:00');
  });

  test('one that is over, and one that comes only in years', () => {
    expect(of([window({ kind: 'once', local: '2026-03-01T00:00' }, 60)], [], '2026-03-05T12:00Z')).toBe(
      'closed window',
    );
    expect(of([window({ kind: 'once', local: '2029-03-01T00:00' }, 60)], [], '2026-03-05T12:00Z')).toBe(
      'closed window',
    );
    expect(of([window({ kind: 'once', local: '2027-03-01T00:00' }, 60)], [], '2026-03-05T12:00Z')).toBe(
      'closed window 2027-03-01T00:00',
    );
  });
});

test('of several windows the longest remaining time counts', () => {
  expect(minimumRemainingSeconds(undefined)).toBeNull();
  expect(minimumRemainingSeconds([nightly])).toBeNull();
  const two = [
    { ...nightly, minimum_remaining_minutes: 30 },
    { ...saturday, minimum_remaining_minutes: 45 },
  ];
  expect(minimumRemainingSeconds(two)).toBe(2700);
});

/** A clock on the wall, written apart from Temporal: what each minute of some days shows in a zone. */
function wallClock(zone: string, from: number, until: number) {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    weekday: 'short',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const minutes: { at: number; date: string; weekday: string; time: string }[] = [];
  for (let t = from; t < until; t += minute) {
    const parts = Object.fromEntries(format.formatToParts(t).map((part) => [part.type, part.value]));
    minutes.push({
      at: t,
      date: `${parts.year ?? ''}-${parts.month ?? ''}-${parts.day ?? ''}`,
      weekday: (parts.weekday ?? '').toLowerCase(),
      time: `${parts.hour ?? ''}:${parts.minute ?? ''}`,
    });
  }
  return minutes;
}

/** When the clock first shows a time on each date that it shows; where it jumps over it, the minute it jumps to. */
function firstShown(clock: ReturnType<typeof wallClock>, time: string, days: readonly string[]): number[] {
  const found = new Map<string, number>();
  for (const [index, now] of clock.entries()) {
    const before = clock[index - 1];
    if (before === undefined || found.has(now.date)) continue;
    const reached = now.time >= time && (before.date !== now.date || before.time < time);
    // what the day does not begin with, and the clock has passed
    if (reached && (now.time === time || before.date === now.date || now.time > '00:00'))
      found.set(now.date, now.at);
  }
  return [...found].flatMap(([date, t]) => {
    const weekday = clock.find((one) => one.date === date)?.weekday ?? '';
    return days.includes(weekday) ? [t] : [];
  });
}

const timeOfDay = fc
  .tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 59 }))
  .map(([h, m]) => `${String(h).padStart(2, '0')}:${String(m).padStart(2, '0')}`);
/** Each with the days around a change of its clocks. */
const changes = [
  ['Europe/Berlin', '2026-03-27T00:00Z'],
  ['Europe/Berlin', '2026-10-23T00:00Z'],
  ['America/New_York', '2026-03-06T00:00Z'],
  ['America/New_York', '2026-10-30T00:00Z'],
  ['Australia/Lord_Howe', '2026-04-03T00:00Z'],
  ['Australia/Lord_Howe', '2026-10-02T00:00Z'],
  ['Pacific/Apia', '2011-12-28T00:00Z'],
  ['UTC', '2026-03-27T00:00Z'],
] as const;

describe('laws', () => {
  const someDay = fc.uniqueArray(fc.constantFrom(...weekdays), { minLength: 1, maxLength: 7 });
  const anyWindow = fc.record({
    opens: fc.oneof(
      timeOfDay.map((time): Recurrence => ({ kind: 'daily', at: time })),
      fc.tuple(someDay, timeOfDay).map(([days, time]): Recurrence => ({ kind: 'weekly', days, at: time })),
    ),
    duration_minutes: fc.integer({ min: 5, max: 2000 }),
  });
  const anyBlackout = fc
    .tuple(fc.integer({ min: -1000, max: 7000 }), fc.integer({ min: 0, max: 1500 }))
    .map(([from, length]) => [from, from + length] as const);

  test.each(changes)('%s from %s: open exactly where a window is and no blackout', (zone, begin) => {
    const start = at(begin);
    const end = start + 4 * day;
    const clock = wallClock(zone, start - 3 * day, end);
    fc.assert(
      fc.property(
        fc.array(anyWindow, { minLength: 1, maxLength: 3 }),
        fc.array(anyBlackout, { maxLength: 4 }),
        fc.integer({ min: 0, max: 2000 }),
        (windows, times, skip) => {
          const from = start + skip * minute;
          const blackouts = times.map(([a, b]) => ({
            opensAt: start + a * minute,
            closesAt: start + b * minute,
          }));
          const intervals = windowIntervals(
            windows.map((one) => ({ ...one, zone: 'asset' })),
            blackouts,
            zone,
            from,
            end,
          );
          for (const [index, one] of intervals.entries()) {
            expect(one.closesAt).toBeGreaterThan(one.opensAt);
            expect(one.opensAt).toBeGreaterThan(intervals[index - 1]?.closesAt ?? from - 1);
          }
          const open = windows.flatMap(({ opens, duration_minutes: length }) =>
            firstShown(
              clock,
              'at' in opens ? opens.at : '',
              opens.kind === 'weekly' ? opens.days : weekdays,
            ).map((t) => [t, t + length * minute] as const),
          );
          const within = (t: number, list: readonly (readonly [number, number])[]) =>
            list.some(([a, b]) => a <= t && t < b);
          const black = blackouts.map((one) => [one.opensAt, one.closesAt] as const);
          const found = intervals.map((one) => [one.opensAt, one.closesAt] as const);
          for (let t = from; t < end; t += minute) {
            const expected = within(t, open) && !within(t, black);
            if (within(t, found) !== expected)
              throw new Error(`${new Date(t).toISOString()} is ${expected ? 'not ' : ''}open`);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  test('however it is cut, the pieces are the same', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...changes),
        fc.array(anyWindow, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 8000 }),
        ([zone, begin], parts, cut) => {
          const windows = parts.map((one) => ({ ...one, zone }));
          const from = at(begin);
          const until = from + 6 * day;
          const middle = from + cut * minute;
          const whole = windowIntervals(windows, [], 'UTC', from, until);
          const pieces = [
            ...windowIntervals(windows, [], 'UTC', from, middle),
            ...windowIntervals(windows, [], 'UTC', middle, until),
          ];
          const length = (list: readonly Interval[]) =>
            list.reduce((sum, one) => sum + one.closesAt - one.opensAt, 0);
          expect(length(pieces)).toBe(length(whole));
          for (const piece of pieces)
            expect(whole.some((one) => one.opensAt <= piece.opensAt && piece.closesAt <= one.closesAt)).toBe(
              true,
            );
        },
      ),
      { numRuns: 60 },
    );
  });

  test('the standing is that of the intervals', () => {
    fc.assert(
      fc.property(
        fc.array(anyWindow, { minLength: 1, maxLength: 2 }),
        fc.integer({ min: 0, max: 4000 }),
        (parts, skip) => {
          const windows = parts.map((one) => ({ ...one, zone: 'Europe/Berlin' }));
          const now = at('2026-03-27T00:00Z') + skip * minute;
          const [first] = windowIntervals(windows, [], 'UTC', now, now + 400 * day);
          const stands = standing(windows, [], 'UTC', now);
          expect(stands).toEqual(
            first === undefined || first.opensAt > now
              ? { kind: 'closed', opensAt: first?.opensAt ?? null, because: 'window' }
              : { kind: 'open', closesAt: first.closesAt },
          );
        },
      ),
      { numRuns: 25 },
    );
  });
});
