import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextRuns } from './schedule.ts';
import { weekdays, type JobSchedule, type Recurrence } from './window.ts';

const moment = (text: string) => Date.parse(text);
const iso = (moments: readonly number[]) => moments.map((one) => new Date(one).toISOString().slice(0, 16));
const berlin = (starts: Recurrence): JobSchedule => ({ zone: 'Europe/Berlin', starts });

describe('next runs', () => {
  test('after a moment, not at it', () => {
    const daily = berlin({ kind: 'daily', at: '02:00' });
    expect(iso(nextRuns(daily, moment('2026-07-01T00:00Z'), 2))).toEqual([
      '2026-07-02T00:00',
      '2026-07-03T00:00',
    ]);
    expect(iso(nextRuns(daily, moment('2026-07-01T00:00Z') - 1, 1))).toEqual(['2026-07-01T00:00']);
  });

  test('end with COUNT, and with a single time', () => {
    const two = berlin({ kind: 'rrule', rule: 'FREQ=YEARLY;COUNT=2', local: '2026-07-01T02:00' });
    expect(iso(nextRuns(two, moment('2026-01-01'), 10))).toEqual(['2026-07-01T00:00', '2027-07-01T00:00']);
    const once = berlin({ kind: 'once', local: '2026-07-01T02:00' });
    expect(nextRuns(once, moment('2026-01-01'), 10)).toHaveLength(1);
    expect(nextRuns(once, moment('2027-01-01'), 10)).toEqual([]);
  });

  test('29 February, over the year 2100 too', () => {
    const leap = berlin({
      kind: 'rrule',
      rule: 'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29',
      local: '2024-02-29T12:00',
    });
    expect(iso(nextRuns(leap, moment('2091-01-01'), 3))).toEqual([
      '2092-02-29T11:00',
      '2096-02-29T11:00',
      '2104-02-29T11:00',
    ]);
  });

  test('on the day on which the time does not exist, after the gap; where it is there twice, once', () => {
    const early = berlin({ kind: 'daily', at: '02:30' });
    expect(iso(nextRuns(early, moment('2026-03-28T12:00Z'), 2))).toEqual([
      '2026-03-29T01:00',
      '2026-03-30T00:30',
    ]);
    expect(iso(nextRuns(early, moment('2026-10-24T12:00Z'), 2))).toEqual([
      '2026-10-25T00:30',
      '2026-10-26T01:30',
    ]);
    expect(iso(nextRuns(early, moment('2026-10-25T00:30Z'), 1))).toEqual(['2026-10-26T01:30']);
  });
});

test('runs rise, and however they are cut they are the same', () => {
  const time = fc.constantFrom('00:00', '01:45', '02:00', '02:30', '03:00', '23:59');
  const recurrence: fc.Arbitrary<Recurrence> = fc.oneof(
    time.map((at): Recurrence => ({ kind: 'daily', at })),
    fc
      .tuple(fc.uniqueArray(fc.constantFrom(...weekdays), { minLength: 1 }), time)
      .map(([days, at]): Recurrence => ({ kind: 'weekly', days, at })),
    fc
      .tuple(
        fc.constantFrom<1 | 2 | 3 | 4 | 5 | 'last'>(1, 2, 3, 4, 5, 'last'),
        fc.constantFrom(...weekdays),
        time,
      )
      .map(([week, day, at]): Recurrence => ({ kind: 'monthly', week, day, at })),
    fc
      .tuple(fc.integer({ min: -7, max: 27 }), time)
      .map(([offset_days, at]): Recurrence => ({ kind: 'patch_tuesday', offset_days, at })),
    fc
      .tuple(
        fc.constantFrom(
          'FREQ=WEEKLY;INTERVAL=3;BYDAY=SU,WE',
          'FREQ=DAILY;INTERVAL=2;COUNT=9',
          'FREQ=HOURLY;INTERVAL=5',
          'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;UNTIL=20270101',
        ),
        time,
      )
      .map(([rule, at]): Recurrence => ({ kind: 'rrule', rule, local: `2026-01-02T${at}` })),
  );
  const zone = fc.constantFrom('Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'UTC');
  fc.assert(
    fc.property(
      recurrence,
      zone,
      fc.integer({ min: 0, max: 500 }),
      fc.integer({ min: 1, max: 8 }),
      (starts, z, hours, cut) => {
        const schedule = { zone: z, starts };
        const after = moment('2026-01-01T00:00Z') + hours * 3_600_000;
        const runs = nextRuns(schedule, after, 10);
        for (const [index, run] of runs.entries()) expect(run).toBeGreaterThan(runs[index - 1] ?? after);
        const first = nextRuns(schedule, after, cut);
        expect(first).toEqual(runs.slice(0, cut));
        expect([...first, ...nextRuns(schedule, first.at(-1) ?? after, 10 - first.length)]).toEqual(runs);
        // from anywhere between two runs it is the later one that comes next
        const [one, two] = runs;
        if (one !== undefined && two !== undefined) expect(nextRuns(schedule, two - 1, 1)).toEqual([two]);
      },
    ),
    { numRuns: 120 },
  );
});
