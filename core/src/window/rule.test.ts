import ICAL from 'ical.js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { occurrences } from './occurrences.ts';
import { readRule } from './rule.ts';

/** The same rules expanded by another library. */
function byOther(rule: string, local: string, until: number): string[] {
  const iterator = ICAL.Recur.fromString(rule).iterator(ICAL.Time.fromDateTimeString(`${local}:00Z`));
  const found: string[] = [];
  for (let i = 0; i < 2_000; i++) {
    // the types promise a time always
    const next: ICAL.Time | null = iterator.next();
    if (next === null || next.toUnixTime() * 1000 >= until) break;
    found.push(next.toString().slice(0, 16));
  }
  return found;
}

// Without BYSETPOS and fifth weekdays: there the other takes a first one that the rule does not name, or misses it (occurrences.test.ts).
test('rules recur as another library has it', () => {
  const days = fc.uniqueArray(fc.constantFrom('MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'), {
    minLength: 1,
    maxLength: 4,
  });
  const end = fc.constantFrom('', ';COUNT=7', ';UNTIL=20270301T000000Z');
  const interval = fc.integer({ min: 1, max: 4 });
  const rule = fc.oneof(
    fc.tuple(interval, end).map(([i, e]) => `FREQ=DAILY;INTERVAL=${String(i)}${e}`),
    fc
      .tuple(interval, days, end)
      .map(([i, d, e]) => `FREQ=WEEKLY;INTERVAL=${String(i)};BYDAY=${d.join(',')}${e}`),
    fc
      .tuple(interval, fc.constantFrom(1, 2, 3, 4, -1, -2), days, end)
      .map(
        ([i, n, d, e]) =>
          `FREQ=MONTHLY;INTERVAL=${String(i)};BYDAY=${d.map((one) => `${String(n)}${one}`).join(',')}${e}`,
      ),
    fc
      .tuple(fc.uniqueArray(fc.integer({ min: 1, max: 31 }), { minLength: 1, maxLength: 3 }), end)
      .map(([d, e]) => `FREQ=MONTHLY;BYMONTHDAY=${d.join(',')}${e}`),
    fc
      .tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom(1, 2, -1), end)
      .map(([m, n, e]) => `FREQ=YEARLY;BYMONTH=${String(m)};BYDAY=${String(n)}SU${e}`),
  );
  const until = Date.parse('2028-01-01');
  fc.assert(
    fc.property(rule, fc.integer({ min: 1, max: 28 }), (text, day) => {
      const local = `2026-01-${String(day).padStart(2, '0')}T09:00`;
      const ours = occurrences({ kind: 'rrule', rule: text, local }, 'UTC', Date.parse(`${local}Z`), until);
      expect(ours.map((one) => new Date(one).toISOString().slice(0, 16))).toEqual(
        byOther(text, local, until),
      );
    }),
    { numRuns: 200 },
  );
});

test('what was read is written as it was, but for its end', () => {
  expect(readRule('freq=weekly;until=20261231;byday=SA')).toMatchObject({
    ok: true,
    rule: { text: 'FREQ=WEEKLY;BYDAY=SA', until: { kind: 'local' } },
  });
});
