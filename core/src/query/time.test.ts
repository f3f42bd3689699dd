import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseDate, parseDuration } from './time.ts';

const iso = (milliseconds: number): string => new Date(milliseconds).toISOString();

describe('dates are periods, in UTC where no zone is said', () => {
  test.each([
    ['2026-11', '2026-11-01T00:00:00.000Z', '2026-12-01T00:00:00.000Z'],
    ['2026-12', '2026-12-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'],
    ['2028-02-29', '2028-02-29T00:00:00.000Z', '2028-03-01T00:00:00.000Z'],
    ['2026-11-01T12:30', '2026-11-01T12:30:00.000Z', '2026-11-01T12:31:00.000Z'],
    ['2026-11-01t12:30z', '2026-11-01T12:30:00.000Z', '2026-11-01T12:31:00.000Z'],
    ['2026-11-01T01:30+02:00', '2026-10-31T23:30:00.000Z', '2026-10-31T23:31:00.000Z'],
    ['2026-11-01T12:30:15-05:30', '2026-11-01T18:00:15.000Z', '2026-11-01T18:00:16.000Z'],
    ['2026-11-01T12:30:15.5', '2026-11-01T12:30:15.500Z', '2026-11-01T12:30:15.501Z'],
    ['2026-11-01T12:30:15.123456Z', '2026-11-01T12:30:15.123Z', '2026-11-01T12:30:15.124Z'],
  ])('%s', (text, from, to) => {
    const period = parseDate(text);
    expect(period && [iso(period.from), iso(period.to)]).toEqual([from, to]);
  });

  test.each([
    '',
    '2026',
    '2026-1-1',
    '2026-13',
    '2026-00',
    '2026-02-29',
    '2026-04-31',
    '2026-11-00',
    '1969-12-31',
    '0001-01-01',
    '2026-11-01T24:00',
    '2026-11-01T12:60',
    '2026-11-01T12',
    '2026-11-01Z',
    '2026-11-01T12:30+15:00',
    '2026-11-01 12:30',
  ])('none: %j', (text) => expect(parseDate(text)).toBeNull());

  test('every moment that JavaScript writes is read as itself', () => {
    const moments = fc.date({ min: new Date(0), max: new Date('9999-01-01'), noInvalidDate: true });
    fc.assert(
      fc.property(moments, (date) => {
        expect(parseDate(date.toISOString())?.from).toBe(date.getTime());
      }),
    );
  });
});

test('durations', () => {
  expect(['90min', '36h', '7D', '2w', '1y'].map(parseDuration)).toEqual([
    5_400_000, 129_600_000, 604_800_000, 1_209_600_000, 31_536_000_000,
  ]);
  for (const text of ['', '7', 'd', '7m', '7mo', '1.5d', '-7d', '7 d', '1234567d', '7constructor'])
    expect(parseDuration(text)).toBeNull();
});
