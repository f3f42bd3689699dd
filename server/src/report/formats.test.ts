import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { inflateSync } from 'node:zlib';
import { parse } from 'csv-parse/sync';
import { describe, expect, test } from 'vitest';
import { columnOf, defaultColumns } from '@fixpoint/core/posture/select/columns.ts';
import { csvOf } from './csv.ts';
import type { ExportedReport, ExportedRow } from './exported.ts';
import { jsonOf } from './json.ts';
import { pdfOf } from './pdf.ts';
import { chartInWords } from './pdf-chart.ts';
import { placeColumns } from './pdf-columns.ts';
import { printable, textOfCell } from './pdf-text.ts';

const column = (title: string, type: 'text' | 'number' | 'date' | 'boolean' | 'list' = 'text') => ({
  name: title.toLowerCase(),
  title,
  type,
  description: title,
});

function report(rows: readonly ExportedRow[], parts: Partial<ExportedReport> = {}): ExportedReport {
  return {
    id: '11111111-1111-4111-8111-111111111111',
    name: 'Exploited now',
    description: '',
    subject: 'finding',
    query: 'exploited',
    explanation: 'Findings where it is exploited.',
    sort: [],
    asOf: new Date('2026-03-02T10:00:00Z'),
    by: 'ada@example.org',
    columns: [
      column('Name'),
      column('Risk', 'number'),
      column('Tags', 'list'),
      column('Exploited', 'boolean'),
    ],
    total: rows.length,
    async *rows() {
      yield rows.slice(0, 1);
      yield rows.slice(1);
    },
    ...parts,
  };
}

const textOf = async (pieces: AsyncGenerator<string>): Promise<string> => {
  let text = '';
  for await (const piece of pieces) text += piece;
  return text;
};

describe('CSV', () => {
  test('has titles, and every cell as it was', async () => {
    const rows = [
      ['web-1', 99.5, ['a', 'b'], true],
      ['with "quotes", commas\nand lines', null, [], false],
    ];
    const csv = await textOf(csvOf(report(rows)));
    expect(csv.startsWith('Name,Risk,Tags,Exploited\r\nweb-1,99.5,a; b,true\r\n')).toBe(true);
    expect(parse(csv)).toEqual([
      ['Name', 'Risk', 'Tags', 'Exploited'],
      ['web-1', '99.5', 'a; b', 'true'],
      ['with "quotes", commas\nand lines', '', '', 'false'],
    ]);
  });
  test.each(['=cmd|calc!A1', '+1', '-1+1', '@SUM(A1)', '\t=1', '\r=1', '=HYPERLINK("http://x","y")'])(
    'is no formula to a spreadsheet: %j',
    async (evil) => {
      const csv = await textOf(csvOf(report([[evil, -1, [evil], null]])));
      const [, line] = parse(csv);
      expect(line?.[0]).toBe(`'${evil}`);
      expect(line?.[1]).toBe('-1');
      expect(line?.[2]).toBe(`'${evil}`);
    },
  );
});

describe('JSON', () => {
  test('says what it is of, and how much was written', async () => {
    const rows = [
      ['web-1', 99.5, ['a'], true],
      ['web-2', null, [], null],
    ];
    const json = JSON.parse(await textOf(jsonOf(report(rows, { total: 3 }))));
    expect(json).toMatchObject({ query: 'exploited', as_of: '2026-03-02T10:00:00.000Z', total: 3 });
    expect(json.items).toEqual([
      { name: 'web-1', risk: 99.5, tags: ['a'], exploited: true },
      { name: 'web-2', risk: null, tags: [], exploited: null },
    ]);
    expect(json.items_written).toBe(2);
    expect(JSON.parse(await textOf(jsonOf(report([])))).items).toEqual([]);
  });
});

/** What is drawn on the pages, in their order: the hexadecimal strings of the text operators. */
function drawn(pdf: Buffer): string[] {
  const text = pdf.toString('latin1');
  const pages: string[] = [];
  for (const match of text.matchAll(/stream\n([\s\S]*?)\nendstream/g)) {
    let content = '';
    try {
      content = inflateSync(Buffer.from(match[1] ?? '', 'latin1')).toString('latin1');
    } catch {
      continue;
    }
    if (!content.includes('BT')) continue;
    const shown = [...content.matchAll(/\[(.*?)\] TJ/g)].map(([, line = '']) =>
      [...line.matchAll(/<([0-9a-f]*)>/g)]
        .map(([, hex = '']) => Buffer.from(hex, 'hex').toString('latin1'))
        .join(''),
    );
    pages.push(shown.join('\n'));
  }
  return pages;
}

describe('PDF', () => {
  const columns = defaultColumns.finding.flatMap((name) => columnOf('finding', name) ?? []);
  const row = (at: number): ExportedRow => [
    `CVE-2026-${String(1000 + at)}`,
    `a-rather-long-name-of-a-host-${String(at)}.prod.example.org`,
    'openssl',
    '3.0.17-1~deb12u2',
    '3.0.22-1~deb12u2',
    'open',
    98.7,
    'critical',
    true,
    '2026-01-03T10:00:00.000Z',
    null,
  ];
  const counts = [1, 5, 3].map((items, at) => ({ at: new Date(Date.UTC(2026, 1, 1 + at)), items }));
  const made = async (parts: Partial<ExportedReport>, rows: readonly ExportedRow[]) => {
    const doc = await pdfOf(
      {
        report: report(rows, { columns, ...parts }),
        counts,
        querySince: new Date('2026-02-02T00:00:00Z'),
      },
      100,
    );
    return await buffer(Readable.from(doc));
  };

  test('is tagged, and says what it is of, when, in which zone, and what page it is', async () => {
    const pdf = await made(
      {},
      Array.from({ length: 100 }, (_, at) => row(at)),
    );
    const text = pdf.toString('latin1');
    const parts = ['/MarkInfo', '/StructTreeRoot', '/S /Table', '/S /TH', '/S /H1', '/S /Figure', '/Lang'];
    expect(parts.filter((part) => !text.includes(part))).toEqual([]);
    expect([...text.matchAll(/\((D:\d+Z)\)/g)].map((match) => match[1])).toEqual([
      'D:20260302100000Z',
      'D:20260302100000Z',
    ]);
    const pages = drawn(pdf);
    expect(pages.length).toBeGreaterThan(1);
    expect(pages[0]).toContain('Findings where it is exploited.');
    expect(pages[0]).toContain('100 findings as of 2026-03-02 10:00 UTC');
    for (const [at, page] of pages.entries()) {
      expect(page).toContain(`page ${String(at + 1)} of ${String(pages.length)}`);
      expect(page).toContain('Vulnerability');
    }
    const rows = pages.join('\n');
    for (let at = 0; at < 100; at++) expect(rows).toContain(`CVE-2026-${String(1000 + at)}`);
    expect(rows).not.toContain('are left out');
  });

  test('says what it left out: rows, columns and letters', async () => {
    const many = Array.from({ length: 40 }, (_, at) => column(`Column${String(at)}`));
    const pdf = await made(
      {
        columns: many,
        total: 180,
        name: '日本',
        async *rows() {
          for (let at = 0; at < 6; at++) yield Array.from({ length: 30 }, () => ['x', 'y']);
        },
      },
      [],
    );
    const text = drawn(pdf).join('\n');
    expect(text).toContain('This document holds the first 100 of them: 80 are left out.');
    expect(text).toContain('Columns that found no room on the page:');
    expect(text).toContain('Column39');
    expect(text).toContain('no font for are shown as');
  }, 30_000);

  test('of nothing says so', async () => {
    const [page] = drawn(await made({}, []));
    expect(page).toContain('No findings at that time.');
    expect(page).toContain('page 1 of 1');
  });

  test('text is made into letters that its fonts have', () => {
    let lost = 0;
    const safe = (text: string) => printable(text, () => (lost += 1));
    expect(safe('plain ~ text')).toBe('plain ~ text');
    expect(safe('Ünïcode – “quotes” …\n€')).toBe('Ünïcode – “quotes” … €');
    expect(lost).toBe(0);
    expect(safe('日本\u202E')).toBe('???');
    expect(lost).toBe(3);
  });

  test('cells read as people write', () => {
    expect(textOfCell({ type: 'date' }, '2026-03-02T10:00:00.000Z')).toBe('2026-03-02 10:00');
    expect(textOfCell({ type: 'date' }, '2026-03-02T00:00:00.000Z')).toBe('2026-03-02');
    expect(textOfCell({ type: 'number' }, 12345.5)).toBe('12,345.5');
    expect(textOfCell({ type: 'boolean' }, false)).toBe('no');
    expect(textOfCell({ type: 'list' }, ['a', 'b'])).toBe('a, b');
    expect(textOfCell({ type: 'text' }, null)).toBe('–');
  });

  test('columns fill the page: the widest give up width, and what finds no room is named', () => {
    const wide = [column('A'), column('B'), column('C')];
    const texts = [['x'.repeat(100), 'y'.repeat(10), 'z'.repeat(60)]];
    const { placed, leftOut } = placeColumns(wide, texts, 300, (text) => text.length * 4);
    expect(leftOut).toEqual([]);
    const [a, b, c] = placed.map(({ width }) => width);
    expect(a).toBeCloseTo(c ?? 0, 0);
    expect(b).toBeCloseTo(41, 0);
    const last = placed.at(-1);
    expect((last?.x ?? 0) + (last?.width ?? 0)).toBeCloseTo(300, 0);
    const narrow = placeColumns(wide, texts, 60, (text) => text.length * 4);
    expect(narrow.leftOut.map(({ title }) => title)).toEqual(['B', 'C']);
  });

  test('the chart is told in words', () => {
    expect(chartInWords(counts, 'findings')).toBe(
      'Number of findings from 2026-02-01 00:00 to 2026-02-03 00:00 UTC: 1 at first, 3 at last, between 1 and 5.',
    );
  });
});
