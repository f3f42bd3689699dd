import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { eventTimes } from './calendar-events.ts';
import { readCalendar, writeCalendar, type Calendar } from './icalendar.ts';

const at = (text: string) => Date.parse(text);
function calendarOf(text: string, zone: string | null = null): Calendar {
  const read = readCalendar(text, zone);
  if (!read.ok) throw new Error(`line ${String(read.line)}: ${read.message}`);
  return read.calendar;
}
const sample = (name: string) => readFileSync(join(import.meta.dirname, 'samples', name), 'utf8');
function list(calendar: Calendar, from: string, until: string): string[] {
  const found = eventTimes(calendar, at(from), at(until));
  if (!found.ok) throw new Error(found.message);
  return found.events.map(
    (one) =>
      `${[one.opensAt, one.closesAt].map((t) => new Date(t).toISOString().slice(0, 16)).join(' ')} ${one.title}`,
  );
}
const event = (...lines: string[]) =>
  ['BEGIN:VCALENDAR', 'BEGIN:VEVENT', 'UID:a', ...lines, 'END:VEVENT', 'END:VCALENDAR'].join('\r\n');

describe('as programs export them', () => {
  test('Google: all day, weekly with a date left out and one moved; free and cancelled ones do not count', () => {
    const calendar = calendarOf(sample('google.ics'));
    expect(calendar).toMatchObject({
      name: 'Change freeze',
      zone: 'Europe/Berlin',
      ignored: { transparent: 1, cancelled: 1 },
    });
    expect(list(calendar, '2026-10-01', '2027-02-01')).toEqual([
      '2026-10-02T06:00 2026-10-02T10:00 Payroll',
      '2026-10-09T06:00 2026-10-09T10:00 Payroll',
      '2026-10-23T06:00 2026-10-23T10:00 Payroll',
      '2026-10-30T07:00 2026-10-30T11:00 Payroll',
      '2026-11-05T09:00 2026-11-05T12:00 Payroll (a day early)',
      '2026-11-13T07:00 2026-11-13T11:00 Payroll',
      '2026-11-20T07:00 2026-11-20T11:00 Payroll',
      '2026-11-27T07:00 2026-11-27T11:00 Payroll',
      '2026-12-20T23:00 2027-01-03T23:00 Year-end freeze',
    ]);
  });

  test('Outlook: a zone of its own, over the end of summer time', () => {
    const calendar = calendarOf(sample('outlook.ics'), 'Europe/Berlin');
    expect(list(calendar, '2026-10-01', '2027-02-01')).toEqual([
      '2026-10-25T21:00 2026-10-26T05:00 Stocktaking',
      '2026-10-26T21:00 2026-10-27T05:00 Stocktaking',
      '2026-10-27T21:00 2026-10-28T05:00 Stocktaking',
      '2026-10-30T23:00 2026-11-01T23:00 Data centre move',
    ]);
    // all-day events are those of the zone that is given; without one, of UTC
    expect(list(calendarOf(sample('outlook.ics')), '2026-10-30', '2026-11-02')).toEqual([
      '2026-10-31T00:00 2026-11-02T00:00 Data centre move',
    ]);
  });

  test('Apple: monthly by weekday, floating times by the zone of the file, or the one that is given', () => {
    const calendar = calendarOf(sample('apple.ics'));
    expect(list(calendar, '2026-10-01', '2027-01-01')).toEqual([
      '2026-11-01T02:00 2026-11-01T03:30 Backup of everything',
      '2026-11-14T14:00 2026-11-15T22:00 Fair',
      '2026-11-28T14:00 2026-11-29T22:00 Fair',
      '2026-11-29T03:00 2026-11-29T04:30 Backup of everything',
      '2026-12-27T03:00 2026-12-27T04:30 Backup of everything',
    ]);
    expect(list(calendarOf(sample('apple.ics'), 'Asia/Tokyo'), '2026-11-14', '2026-11-15')).toEqual([
      '2026-11-14T00:00 2026-11-15T08:00 Fair',
    ]);
  });
});

describe('zones', () => {
  const summer = ['DTSTART;TZID=Central:20260329T023000', 'DURATION:PT1H', 'RRULE:FREQ=DAILY;COUNT=2'];
  const zone = (...more: string[]) =>
    [
      'BEGIN:VTIMEZONE',
      'TZID:Central',
      'BEGIN:DAYLIGHT',
      'DTSTART:19810329T020000',
      'RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU',
      'TZOFFSETFROM:+0100',
      'TZOFFSETTO:+0200',
      'END:DAYLIGHT',
      'BEGIN:STANDARD',
      'DTSTART:19961027T030000',
      'RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU',
      'TZOFFSETFROM:+0200',
      'TZOFFSETTO:+0100',
      ...more,
      'END:STANDARD',
      'END:VTIMEZONE',
    ].join('\n');
  const withZone = (lines: string[], defined = zone()) =>
    event(...lines).replace('BEGIN:VEVENT', `${defined}\nBEGIN:VEVENT`);

  test('one that the file defines goes by the same rule for missing and repeated times', () => {
    expect(list(calendarOf(withZone(summer)), '2026-01-01', '2027-01-01')).toEqual([
      '2026-03-29T01:00 2026-03-29T02:00 ',
      '2026-03-30T00:30 2026-03-30T01:30 ',
    ]);
    const autumn = ['DTSTART;TZID=Central:20261025T023000', 'DURATION:PT1H'];
    expect(list(calendarOf(withZone(autumn)), '2026-01-01', '2027-01-01')).toEqual([
      '2026-10-25T00:30 2026-10-25T01:30 ',
    ]);
  });

  test('a definition agrees with the IANA zone that it describes', () => {
    const lines = ['DTSTART;TZID=Central:19970101T023000', 'DURATION:PT1H', 'RRULE:FREQ=HOURLY;INTERVAL=7'];
    const of = (text: string) => list(calendarOf(text), '2026-01-01', '2027-01-01');
    expect(of(withZone(lines))).toEqual(of(event(...lines).replace('Central', 'Europe/Berlin')));
  });

  test('an IANA zone at the end of a path, and one that a definition names', () => {
    const path = summer.map((line) =>
      line.replace('Central', '/freeassociation.sourceforge.net/Europe/Berlin'),
    );
    expect(list(calendarOf(event(...path)), '2026-01-01', '2027-01-01')).toHaveLength(2);
    const named = withZone(
      summer,
      'BEGIN:VTIMEZONE\nTZID:Central\nX-LIC-LOCATION:America/Chicago\nEND:VTIMEZONE',
    );
    expect(list(calendarOf(named), '2026-01-01', '2027-01-01')[0]).toBe('2026-03-29T07:30 2026-03-29T08:30 ');
  });

  test('what cannot be followed is refused', () => {
    expect(readCalendar(event(...summer), null)).toMatchObject({
      ok: false,
      line: 4,
      message: 'the zone "Central" is no IANA zone, and the file has no VTIMEZONE for it',
    });
    const bad = (text: string, replacement: string) =>
      readCalendar(withZone(summer, zone().replace(text, replacement)), null);
    expect(bad('TZOFFSETFROM:+0200', 'TZOFFSETFROM:tomorrow')).toMatchObject({ ok: false, line: 13 });
    expect(bad('FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU', 'FREQ=HOURLY')).toMatchObject({ ok: false, line: 6 });
    expect(bad('DTSTART:19961027T030000\n', '')).toMatchObject({ ok: false });
  });
});

describe('recurrence', () => {
  test('an event that began long before and lasts still, and one of no length', () => {
    const long = ['DTSTART;VALUE=DATE:20260101', 'DTEND;VALUE=DATE:20270101'];
    expect(list(calendarOf(event(...long)), '2026-06-01', '2026-06-02')).toEqual([
      '2026-01-01T00:00 2027-01-01T00:00 ',
    ]);
    expect(list(calendarOf(event('DTSTART:20260601T120000Z')), '2026-06-01', '2026-06-02')).toEqual([]);
  });

  test('periods, several rules, a moved event that was found by its date', () => {
    const lines = [
      'DTSTART:20260601T100000Z',
      'DTEND:20260601T110000Z',
      'RDATE;VALUE=PERIOD:20260602T100000Z/20260602T130000Z,20260603T100000Z/PT30M',
      'RRULE:FREQ=WEEKLY;COUNT=2',
      'RRULE:FREQ=MONTHLY;COUNT=2',
    ];
    const moved =
      'END:VEVENT\nBEGIN:VEVENT\nUID:a\nRECURRENCE-ID;VALUE=DATE:20260608\nDTSTART:20260609T100000Z\nDURATION:PT1H\nTRANSP:TRANSPARENT';
    expect(list(calendarOf(event(...lines, moved)), '2026-01-01', '2027-01-01')).toEqual([
      '2026-06-01T10:00 2026-06-01T11:00 ',
      '2026-06-02T10:00 2026-06-02T13:00 ',
      '2026-06-03T10:00 2026-06-03T10:30 ',
      '2026-07-01T10:00 2026-07-01T11:00 ',
    ]);
  });

  test('days of an event are those on the clock', () => {
    const lines = ['DTSTART;TZID=Europe/Berlin:20260328T120000', 'DURATION:P1D'];
    expect(list(calendarOf(event(...lines)), '2026-01-01', '2027-01-01')).toEqual([
      '2026-03-28T11:00 2026-03-29T10:00 ',
    ]);
  });

  test('more than can be looked at is refused', () => {
    const hourly = ['DTSTART:20260101T000000Z', 'DURATION:PT1M', 'RRULE:FREQ=HOURLY'];
    const many = event(...Array<string>(2).fill(`${hourly.join('\n')}\nEND:VEVENT\nBEGIN:VEVENT`), ...hourly);
    expect(eventTimes(calendarOf(many), at('2026-01-01'), at('2027-01-01'))).toMatchObject({ ok: false });
    expect(eventTimes(calendarOf(many), at('2026-01-01'), at('2026-01-02'))).toMatchObject({ ok: true });
  });
});

describe('what cannot be read is refused with its line', () => {
  test.each(
    (
      [
        ['', null, 'no BEGIN:VCALENDAR'],
        ['hello', 1, 'not a line of iCalendar'],
        ['SUMMARY:x', 1, 'outside of BEGIN:VCALENDAR'],
        ['BEGIN:VCARD\nEND:VCARD', 1, 'is no VCALENDAR'],
        ['BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR', 3, 'ends nothing'],
        ['BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101T000000Z', 2, 'cut off'],
        [event('SUMMARY:x'), 2, 'no DTSTART'],
        [event('DTSTART:tomorrow'), 4, 'no date or time'],
        [event('DTSTART:20260230T000000Z'), 4, 'no date or time'],
        [event('DTSTART;VALUE=DATE:20261301'), 4, 'no date or time'],
        [event('DTSTART:20260101T000000Z', 'DTEND:20251231T000000Z'), 5, 'ends before it begins'],
        [event('DTSTART:20260101T000000Z', 'DURATION:soon'), 5, 'no duration'],
        [event('DTSTART:20260101T000000Z', 'DURATION:-PT5M'), 5, 'ends before it begins'],
        [event('DTSTART:20260101T000000Z', 'DURATION:P90000D'), 5, 'lasts longer'],
        [event('DTSTART:20260101T000000Z', 'RRULE:FREQ=MINUTELY'), 5, 'FREQ=MINUTELY'],
        [event('DTSTART:20260101T000000Z', 'RRULE:FREQ=DAILY;BYDAY=XX'), 5, 'XX'],
        [event('DTSTART:20260101T000000Z', 'EXRULE:FREQ=DAILY'), 5, 'EXRULE'],
        [event('DTSTART:20260101T000000Z', 'RECURRENCE-ID;RANGE=THISANDFUTURE:20260101T000000Z'), 5, 'RANGE'],
        [event('DTSTART:20260101T000000Z', 'RDATE:x'), 5, 'no date or time'],
        [event('DTSTART;TZID="open:20260101T000000'), 4, 'cannot be read'],
        [`BEGIN:VCALENDAR\nX:${'x'.repeat(1_100_000)}`, null, 'more than'],
        ['BEGIN:A\n'.repeat(20), 11, 'too deep'],
      ] as const
    ).map(([text, line, message]) => [text.slice(0, 100), text, line, message] as const),
  )('%j', (_name, text, line, message) => {
    const read = readCalendar(text, 'UTC');
    expect(read).toMatchObject({ ok: false, line });
    expect(read.ok ? '' : read.message).toContain(message);
  });

  test('lines that nothing here heeds may be as they are', () => {
    const odd = event('DTSTART:20260101T000000Z', 'X-ODD;;=;:', 'CONSTRUCTOR:1', 'DESCRIPTION:a:b;c\\');
    expect(readCalendar(`\uFEFF\n${odd}\n\n`, null).ok).toBe(true);
  });
});

test('what is written is read as the same', () => {
  const entries = [
    {
      uid: 'a',
      opensAt: at('2026-06-01T10:00Z'),
      closesAt: at('2026-06-03T10:00Z'),
      title: 'Fair, and; more\nEND:VEVENT',
    },
    { uid: 'b', opensAt: at('2026-07-01T10:00Z'), closesAt: at('2026-07-01T10:30Z'), title: 'ö'.repeat(100) },
  ];
  const text = writeCalendar('Freeze', entries, at('2026-05-01T00:00Z'));
  const calendar = calendarOf(text);
  expect(calendar.name).toBe('Freeze');
  expect(eventTimes(calendar, at('2026-01-01'), at('2027-01-01'))).toEqual({
    ok: true,
    events: entries.map(({ uid: _uid, ...entry }) => entry),
  });
  for (const line of text.split('\r\n')) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(75);
});
