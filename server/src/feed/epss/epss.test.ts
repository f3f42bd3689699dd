import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { epss } from './epss.ts';

const start = '#model_version:v2025.03.14,score_date:2026-08-16T00:00:00+0000\ncve,epss,percentile\n';

test('the recorded sample', async () => {
  const file = recordedFile(new URL('sample/epss_scores-2026-08-16.csv.gz', import.meta.url));
  const { records, rejections } = await readFeed(epss, file);
  expect(rejections).toEqual([]);
  expect(records).toHaveLength(6);
  expect(records.find(({ id }) => id === 'CVE-2024-6387')).toEqual({
    outcome: 'record',
    id: 'CVE-2024-6387',
    raw: 'CVE-2024-6387,0.995060000,0.999420000',
    facts: [
      {
        kind: 'threat',
        vulnerability: 'CVE-2024-6387',
        threat: 'exploit_probability',
        probability: 0.99506,
        percentile: 0.99942,
        ransomware: null,
        ssvc: null,
        assertedOn: '2026-08-16',
        dueOn: null,
        title: null,
        reference: null,
      },
    ],
  });
});

test('Windows line ends and numbers in exponents are read; bad lines are rejections', async () => {
  const lines = [
    'CVE-2024-0001,1e-05,0.5',
    'CVE-2024-0002,1.5,0.5',
    'CVE-2024-0003,,0.5',
    'x,0.1,0.1',
    'CVE-2024-0004,0,1',
    '',
  ];
  const { records, rejections } = await readFeed(
    epss,
    madeUpFile((start + lines.join('\n')).replaceAll('\n', '\r\n')),
  );
  expect(records.map(({ id }) => id)).toEqual(['CVE-2024-0001', 'CVE-2024-0004']);
  expect(records[0]?.facts).toMatchObject([{ probability: 0.00001 }]);
  expect(rejections.map(({ position }) => position)).toEqual(['line 4', 'line 5', 'line 6']);
});

test.each([
  ['an HTML page', '<html>', 'web_page_instead_of_feed'],
  ['no model line', 'cve,epss,percentile\nCVE-2024-0001,0.1,0.1\n', 'not_this_format'],
  ['a day that is none', start.replace('08-16', '13-16'), 'not_this_format'],
  ['a wrong header', start.replace('cve,epss', 'id,epss'), 'not_this_format'],
  ['no scores', start, 'no_records'],
  ['an end inside a line', `${start}CVE-2024-0001,0.1,0.1\nCVE-2024-00`, 'file_truncated'],
  ['a cut gzip', gzipSync(`${start}CVE-2024-0001,0.1,0.1\n`).subarray(0, -5), 'file_truncated'],
])('%s is refused as a whole', async (_, content, code) => {
  await expect(readFeed(epss, madeUpFile(content))).rejects.toMatchObject({ name: 'FeedFormatError', code });
});
