import { describe, expect, test } from 'vitest';
import { facts, table, type Column } from './table.ts';
import { harmless } from './terminal.ts';
import { relative } from './time.ts';

type Row = readonly [string, string, string];
const columns: readonly Column<Row>[] = [
  { title: 'A', of: (r) => r[0] },
  { title: 'B', of: (r) => r[1], yields: 1, least: 4 },
  { title: 'C', of: (r) => r[2], yields: 2, least: 6 },
];
const rows: Row[] = [
  ['one', 'second column', 'the third column'],
  ['1', '2', '3'],
];

describe('table', () => {
  test('is as wide as its text when nothing limits it', () => {
    expect(table(columns, rows, Infinity)).toBe(
      'A    B              C\none  second column  the third column\n1    2              3\n',
    );
  });

  test.each([40, 30, 24, 20, 12])('fits into %i columns', (limit) => {
    const widest = Math.max(
      ...table(columns, rows, limit)
        .split('\n')
        .map((line) => line.length),
    );
    expect(widest).toBeLessThanOrEqual(limit);
  });

  test('cuts the most willing column, then leaves it out', () => {
    expect(table(columns, rows, 30)).toContain('one  second column  the third…');
    expect(table(columns, rows, 22)).toBe('A    B\none  second column\n1    2\n');
  });

  test('counts what a terminal draws: wide, combining', () => {
    const text = table(
      [
        { title: 'X', of: (r: string) => r },
        { title: 'Y', of: () => 'y' },
      ],
      ['日本', 'e\u0301'],
      Infinity,
    );
    expect(text).toBe('X     Y\n日本  y\ne\u0301     y\n');
  });

  test('is empty without rows', () => {
    expect(table(columns, [], 80)).toBe('');
  });
});

test('text of others cannot steer a terminal', () => {
  expect(harmless('a\u001B[31mb\nc\u202Ed')).toBe(String.raw`a\x1b[31mb\x0ac\u202ed`);
  expect(
    facts([
      ['name', '\u001B[2J'],
      ['left out', null],
    ]),
  ).toBe(`name  ${String.raw`\x1b[2J`}\n`);
});

test('long facts go on below, words stay whole, and without a limit nothing is broken', () => {
  const pairs = [['name', 'one two three 0123456789012345678901']] as const;
  expect(facts(pairs, 16)).toBe('name  one two\n      three\n      0123456789012345678901\n');
  expect(facts(pairs, Infinity)).toBe('name  one two three 0123456789012345678901\n');
});

test.each([
  ['2026-01-01T00:00:00Z', 'now'],
  ['2025-12-31T23:59:59Z', '1 second ago'],
  ['2025-12-31T22:00:00Z', '2 hours ago'],
  ['2026-01-01T00:05:00Z', 'in 5 minutes'],
  ['2024-01-01T00:00:00Z', '2 years ago'],
  ['soon', 'soon'],
  [null, '-'],
])('%s is %s', (time, words) => {
  expect(relative(time, new Date('2026-01-01T00:00:00Z'))).toBe(words);
});
