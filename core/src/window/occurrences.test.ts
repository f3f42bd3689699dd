import { describe, expect, test } from 'vitest';
import { occurrences } from './occurrences.ts';
import type { Recurrence } from './window.ts';

const at = (text: string) => Date.parse(text);
const iso = (moments: readonly number[]) => moments.map((one) => new Date(one).toISOString().slice(0, 16));
/** In UTC. */
const list = (recurrence: Recurrence, zone: string, from: string, until: string) =>
  iso(occurrences(recurrence, zone, at(from), at(until)));
const daily = (time: string): Recurrence => ({ kind: 'daily', at: time });
const rule = (text: string, local: string): Recurrence => ({ kind: 'rrule', rule: text, local });

describe('where clocks are changed', () => {
  test('Berlin: 02:30 does not exist on 29 March 2026, and exists twice on 25 October', () => {
    expect(list(daily('02:30'), 'Europe/Berlin', '2026-03-28T00:00Z', '2026-03-31T00:00Z')).toEqual([
      '2026-03-28T01:30',
      '2026-03-29T01:00',
      '2026-03-30T00:30',
    ]);
    expect(list(daily('02:30'), 'Europe/Berlin', '2026-10-24T00:00Z', '2026-10-27T00:00Z')).toEqual([
      '2026-10-24T00:30',
      '2026-10-25T00:30',
      '2026-10-26T01:30',
    ]);
  });

  test('New York: 8 March and 1 November 2026', () => {
    expect(list(daily('02:15'), 'America/New_York', '2026-03-07T12:00Z', '2026-03-10T00:00Z')).toEqual([
      '2026-03-08T07:00',
      '2026-03-09T06:15',
    ]);
    expect(list(daily('01:15'), 'America/New_York', '2026-10-31T12:00Z', '2026-11-03T00:00Z')).toEqual([
      '2026-11-01T05:15',
      '2026-11-02T06:15',
    ]);
  });

  test('Lord Howe: half an hour, on 4 October and 5 April 2026', () => {
    expect(list(daily('02:10'), 'Australia/Lord_Howe', '2026-10-03T00:00Z', '2026-10-05T00:00Z')).toEqual([
      '2026-10-03T15:30',
      '2026-10-04T15:10',
    ]);
    expect(list(daily('01:45'), 'Australia/Lord_Howe', '2026-04-03T20:00Z', '2026-04-06T00:00Z')).toEqual([
      '2026-04-04T14:45',
      '2026-04-05T15:15',
    ]);
  });

  test('Apia had no 30 December 2011: what falls on it falls away', () => {
    expect(list(daily('03:00'), 'Pacific/Apia', '2011-12-28T00:00Z', '2012-01-02T00:00Z')).toEqual([
      '2011-12-28T13:00',
      '2011-12-29T13:00',
      '2011-12-30T13:00',
      '2011-12-31T13:00',
      '2012-01-01T13:00',
    ]);
    const friday: Recurrence = { kind: 'weekly', days: ['fri'], at: '03:00' };
    expect(list(friday, 'Pacific/Apia', '2011-12-24T00:00Z', '2012-01-07T00:00Z')).toEqual([
      '2012-01-05T13:00',
    ]);
    expect(
      list({ kind: 'once', local: '2011-12-30T12:00' }, 'Pacific/Apia', '2011-01-01', '2013-01-01'),
    ).toEqual([]);
  });

  test('two local times of one gap are one moment', () => {
    const hourly = rule('FREQ=DAILY;BYHOUR=2;BYMINUTE=15,45', '2026-03-28T02:15');
    expect(list(hourly, 'Europe/Berlin', '2026-03-28T12:00Z', '2026-03-30T12:00Z')).toEqual([
      '2026-03-29T01:00',
      '2026-03-30T00:15',
      '2026-03-30T00:45',
    ]);
  });
});

describe('by the calendar', () => {
  const months = ['2026-01-01T00:00Z', '2026-09-01T00:00Z'] as const;

  test('the fifth Saturday is missing in most months, the last never', () => {
    expect(list({ kind: 'monthly', week: 5, day: 'sat', at: '10:00' }, 'UTC', ...months)).toEqual([
      '2026-01-31T10:00',
      '2026-05-30T10:00',
      '2026-08-29T10:00',
    ]);
    expect(list({ kind: 'monthly', week: 'last', day: 'sat', at: '10:00' }, 'UTC', ...months)).toEqual([
      '2026-01-31T10:00',
      '2026-02-28T10:00',
      '2026-03-28T10:00',
      '2026-04-25T10:00',
      '2026-05-30T10:00',
      '2026-06-27T10:00',
      '2026-07-25T10:00',
      '2026-08-29T10:00',
    ]);
  });

  test('Patch Tuesday, and days before and after it over the ends of months', () => {
    const tuesday = (offset_days: number): Recurrence => ({
      kind: 'patch_tuesday',
      offset_days,
      at: '09:00',
    });
    const some = ['2026-01-30T00:00Z', '2026-04-20T00:00Z'] as const;
    expect(list(tuesday(0), 'UTC', ...some)).toEqual([
      '2026-02-10T09:00',
      '2026-03-10T09:00',
      '2026-04-14T09:00',
    ]);
    // 21 days after 13 January, 10 February and 10 March
    expect(list(tuesday(21), 'UTC', ...some)).toEqual([
      '2026-02-03T09:00',
      '2026-03-03T09:00',
      '2026-03-31T09:00',
    ]);
    expect(list(tuesday(-7), 'UTC', ...some)).toEqual([
      '2026-02-03T09:00',
      '2026-03-03T09:00',
      '2026-04-07T09:00',
    ]);
    // 8 September 2026 is the earliest that there is, 14 July the latest
    expect(list(tuesday(27), 'UTC', '2026-07-01T00:00Z', '2026-10-06T00:00Z')).toEqual([
      '2026-07-06T09:00',
      '2026-08-10T09:00',
      '2026-09-07T09:00',
      '2026-10-05T09:00',
    ]);
  });

  test('the first and the last moment: from is in, until is out', () => {
    const some = daily('10:00');
    expect(list(some, 'UTC', '2026-01-01T10:00Z', '2026-01-02T10:00Z')).toEqual(['2026-01-01T10:00']);
    expect(list(some, 'UTC', '2026-01-01T10:01Z', '2026-01-02T10:00Z')).toEqual([]);
  });

  test('a zone nearly a day ahead', () => {
    expect(
      list({ kind: 'weekly', days: ['mon'], at: '00:30' }, 'Pacific/Kiritimati', '2026-02-01', '2026-02-09'),
    ).toEqual(['2026-02-01T10:30', '2026-02-08T10:30']);
  });
});

/** From RFC 5545, 3.8.5.3, in New York; times as printed there. */
describe('rules', () => {
  const newYork = (text: string, local: string, until: string) =>
    occurrences(rule(text, local), 'America/New_York', at('1997-01-01'), at(until)).map((one) =>
      new Date(one).toLocaleString('sv-SE', { timeZone: 'America/New_York' }).slice(0, 16),
    );

  test('INTERVAL with COUNT and a week start', () => {
    expect(
      newYork('FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO', '1997-08-05T09:00', '2000-01-01'),
    ).toEqual(['1997-08-05 09:00', '1997-08-10 09:00', '1997-08-19 09:00', '1997-08-24 09:00']);
    expect(
      newYork('FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU', '1997-08-05T09:00', '2000-01-01'),
    ).toEqual(['1997-08-05 09:00', '1997-08-17 09:00', '1997-08-19 09:00', '1997-08-31 09:00']);
  });

  test('UNTIL as a moment, as a local time and as a date', () => {
    const until = (end: string) =>
      newYork(`FREQ=WEEKLY;UNTIL=${end};WKST=SU;BYDAY=TU,TH`, '1997-09-02T09:00', '1998-01-01').length;
    expect(until('19971007T000000Z')).toBe(10);
    expect(until('19971007T130000Z')).toBe(11);
    expect(until('19971007T125959Z')).toBe(10);
    expect(until('19971007T090000')).toBe(11);
    expect(until('19971007T085959')).toBe(10);
    expect(until('19971007')).toBe(11);
  });

  test('BYSETPOS: the third of Tuesday, Wednesday, Thursday, and the last weekday but one', () => {
    expect(
      newYork('FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3', '1997-09-04T09:00', '1999-01-01'),
    ).toEqual(['1997-09-04 09:00', '1997-10-07 09:00', '1997-11-06 09:00']);
    expect(
      newYork('FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2', '1997-09-29T09:00', '1998-01-01'),
    ).toEqual(['1997-09-29 09:00', '1997-10-30 09:00', '1997-11-27 09:00', '1997-12-30 09:00']);
  });

  test('the 31st is not in every month; a start that the rule does not name is none', () => {
    expect(newYork('FREQ=MONTHLY;BYMONTHDAY=31', '1997-01-31T09:00', '1997-07-01')).toEqual([
      '1997-01-31 09:00',
      '1997-03-31 09:00',
      '1997-05-31 09:00',
    ]);
    expect(newYork('FREQ=WEEKLY;BYDAY=SA', '1997-01-01T09:00', '1997-01-12')).toEqual([
      '1997-01-04 09:00',
      '1997-01-11 09:00',
    ]);
  });
});
