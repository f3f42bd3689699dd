import { describe, expect, test } from 'vitest';
import { scheduleProblems, windowProblems } from './problems.ts';
import type { JobSchedule, PatchWindow, Recurrence } from './window.ts';

const now = Date.parse('2026-03-02T10:00Z');
const window: PatchWindow = {
  zone: 'Europe/Berlin',
  opens: { kind: 'daily', at: '22:00' },
  duration_minutes: 60,
};
const schedule = (starts: Recurrence, zone = 'UTC'): JobSchedule => ({ zone, starts });

describe('problems of windows', () => {
  test('none, also when it is over', () => {
    const windows: PatchWindow[] = [
      window,
      { ...window, zone: 'asset', minimum_remaining_minutes: 59 },
      { ...window, opens: { kind: 'once', local: '2001-01-01T00:00' } },
    ];
    expect(windowProblems(windows)).toEqual([]);
  });

  test('each with its place', () => {
    const windows: PatchWindow[] = [
      window,
      { ...window, zone: 'Europe/Berlln' },
      { ...window, zone: '+01:00' },
      { ...window, minimum_remaining_minutes: 60 },
      { ...window, opens: { kind: 'once', local: '2026-02-30T10:00' } },
      { ...window, opens: { kind: 'rrule', rule: 'FREQ=DAILY', local: '2026-13-01T10:00' } },
      { ...window, opens: { kind: 'rrule', rule: 'FREQ=DAYLY', local: '2026-01-01T10:00' } },
    ];
    expect(windowProblems(windows, '/definition/windows').map((one) => one.path)).toEqual([
      '/definition/windows/1/zone',
      '/definition/windows/2/zone',
      '/definition/windows/3/minimum_remaining_minutes',
      '/definition/windows/4/opens/local',
      '/definition/windows/5/opens/local',
      '/definition/windows/6/opens/rule',
    ]);
  });
});

describe('problems of schedules', () => {
  test('the zone of the asset is none for a job', () => {
    expect(scheduleProblems(schedule({ kind: 'daily', at: '22:00' }, 'asset'), now)).toMatchObject([
      { path: '/schedule/zone' },
    ]);
  });

  test('one without a run left', () => {
    const over = schedule({ kind: 'once', local: '2026-03-02T10:00' });
    expect(scheduleProblems(over, now)).toMatchObject([{ path: '/schedule/starts' }]);
    expect(scheduleProblems(over, now - 1)).toEqual([]);
    expect(scheduleProblems(over, null)).toEqual([]);
    const counted = schedule({ kind: 'rrule', rule: 'FREQ=DAILY;COUNT=3', local: '2026-02-01T10:00' });
    expect(scheduleProblems(counted, now)).toHaveLength(1);
  });

  test.each([
    ['FREQ=DAILY', null],
    ['freq=weekly;byday=sa', null],
    ['FREQ=MONTHLY;BYDAY=-1FR', null],
    ['FREQ=HOURLY;INTERVAL=6', null],
    ['FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=0,10,20,30,40,50', null],
    ['FREQ=DAILY;BYHOUR=1,2,3,4,5;BYMINUTE=0,10,20,30,40', 'more than 24 times a day'],
    ['FREQ=MINUTELY', 'FREQ=MINUTELY'],
    ['FREQ=DAILY;BYSECOND=0', 'BYSECOND'],
    ['BYDAY=MO', 'FREQ is missing'],
    ['hello', 'NAME=VALUE'],
    ['FREQ=DAILY;', 'NAME=VALUE'],
    ['FREQ=DAILY;FREQ=WEEKLY', 'twice'],
    ['FREQ=DAILY;FOO=1', 'FOO'],
    ['FREQ=DAILY;constructor=1', 'CONSTRUCTOR'],
    ['RSCALE=HEBREW;FREQ=DAILY', 'RSCALE'],
    ['FREQ=WEEKLY;BYDAY=', 'NAME=VALUE'],
    ['FREQ=WEEKLY;BYDAY=XX', 'XX'],
    ['FREQ=WEEKLY;BYDAY=2MO', 'nth weekday'],
    ['FREQ=DAILY;BYHOUR=25', '25'],
    ['FREQ=DAILY;INTERVAL=0', '0'],
    ['FREQ=DAILY;INTERVAL=1.5', '1.5'],
    ['FREQ=DAILY;COUNT=abc', 'ABC'],
    ['FREQ=DAILY;COUNT=1000000', '1000000'],
    ['FREQ=DAILY;COUNT=2;UNTIL=20261231', 'exclude each other'],
    ['FREQ=DAILY;UNTIL=2026', 'UNTIL=2026'],
    ['FREQ=DAILY;UNTIL=20260230', 'UNTIL=20260230'],
    ['FREQ=MONTHLY;BYSETPOS=1', 'BYSETPOS'],
    ['FREQ=MONTHLY;BYWEEKNO=1', 'BYWEEKNO'],
    ['FREQ=WEEKLY;BYMONTHDAY=1', 'BYMONTHDAY'],
    ['FREQ=DAILY\nEXDATE:20260101', 'FREQ=DAILY'],
    ['FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30', 'never recurs'],
    ['FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=3', 'never recurs'],
  ])('the rule %j: %s', (rule, message) => {
    const problems = scheduleProblems(schedule({ kind: 'rrule', rule, local: '2026-03-03T10:00' }), now);
    expect(problems.map((one) => one.path)).toEqual(message === null ? [] : ['/schedule/starts/rule']);
    if (message !== null) expect(problems[0]?.message).toContain(message);
  });
});
