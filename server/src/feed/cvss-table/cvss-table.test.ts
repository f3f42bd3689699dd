import { expect, test } from 'vitest';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { cvssTable } from './cvss-table.ts';

const header = 'cve\tsource\tvector\tbase_score\n';
const vector = 'CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H';

test('the recorded sample; a stated score that is wrong is not taken', async () => {
  const file = recordedFile(new URL('sample/cvss-table.tsv', import.meta.url));
  const { records, rejections } = await readFeed(cvssTable, file);
  expect(rejections).toEqual([]);
  expect(records).toHaveLength(10);
  expect(records.find(({ id }) => id.startsWith('CVE-2023-36825'))?.facts).toEqual([
    {
      kind: 'cvss',
      vulnerability: 'CVE-2023-36825',
      scorer: 'cna:GitHub_M',
      version: '3.1',
      vector: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:H/I:H/A:H',
      baseScore: 9.6,
    },
  ]);
});

test('bad rows are rejections', async () => {
  const rows = [
    `CVE-2024-1\tx\t${vector}\t8.1`,
    `CVE-2024-2\tx\t${vector}`,
    `\tx\t${vector}\t`,
    'CVE-2024-3\tx\tjunk\t',
    `CVE-2024-4\tx\t${vector}\thigh`,
    '',
  ];
  const { records, rejections } = await readFeed(cvssTable, madeUpFile(header + rows.join('\n')));
  expect(records.map(({ id }) => id)).toEqual([`CVE-2024-1/x/${vector}`]);
  expect(rejections.map(({ position, code }) => [position, code])).toEqual([
    ['line 3', 'line_invalid'],
    ['line 4', 'line_invalid'],
    ['line 5', 'cvss_vector_invalid'],
    ['line 6', 'line_invalid'],
  ]);
});

test.each([
  ['another header', `cve,source\n`, 'not_this_format'],
  ['no rows', header, 'no_records'],
  ['an end inside a row', `${header}CVE-2024-1\tx\t${vector}\t8.1\nCVE-2024-2\tx\tCVSS`, 'file_truncated'],
])('%s is refused as a whole', async (_, content, code) => {
  await expect(readFeed(cvssTable, madeUpFile(content))).rejects.toMatchObject({
    name: 'FeedFormatError',
    code,
  });
});
