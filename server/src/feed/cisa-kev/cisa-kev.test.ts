import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { cisaKev } from './cisa-kev.ts';

const catalogue = (vulnerabilities: unknown, changes: object = {}): string =>
  JSON.stringify({
    title: 'CISA Catalog of Known Exploited Vulnerabilities',
    catalogVersion: '2026.08.21',
    dateReleased: '2026-08-21T17:46:43.6019Z',
    count: Array.isArray(vulnerabilities) ? vulnerabilities.length : 0,
    vulnerabilities,
    ...changes,
  });
const good = { cveID: 'CVE-2021-44228', vulnerabilityName: 'Log4Shell', dateAdded: '2021-12-10' };

test('the recorded sample', async () => {
  const file = recordedFile(new URL('sample/known_exploited_vulnerabilities.json', import.meta.url));
  const { records, rejections } = await readFeed(cisaKev, file);
  expect(rejections).toEqual([]);
  expect(records.map(({ id }) => id)).toEqual([
    'CVE-2026-73570',
    'CVE-2024-1086',
    'CVE-2014-0160',
    'CVE-2021-44228',
  ]);
  const byId = new Map(records.map(({ id, facts }) => [id, facts[0]]));
  expect(byId.get('CVE-2021-44228')).toEqual({
    kind: 'threat',
    vulnerability: 'CVE-2021-44228',
    threat: 'exploited',
    probability: null,
    percentile: null,
    ransomware: true,
    ssvc: null,
    assertedOn: '2021-12-10',
    dueOn: '2021-12-24',
    title: 'Apache Log4j2 Remote Code Execution Vulnerability',
    reference: null,
  });
  expect(byId.get('CVE-2014-0160')).toMatchObject({ ransomware: null });
});

test('bad entries and a wrong count are rejections', async () => {
  const entries = [
    { ...good, cveID: 'log4shell' },
    good,
    { ...good, dateAdded: '2021-13-10' },
    { ...good, dueDate: '2023-02-29' },
    null,
  ];
  const { records, rejections } = await readFeed(
    cisaKev,
    madeUpFile(gzipSync(catalogue(entries, { count: 9 }))),
  );
  expect(records.map(({ id }) => id)).toEqual(['CVE-2021-44228']);
  expect(rejections.map(({ position, code }) => [position, code])).toEqual([
    ['count', 'count_differs'],
    ['vulnerabilities[0]', 'record_not_kev'],
    ['vulnerabilities[2]', 'day_invalid'],
    ['vulnerabilities[3]', 'day_invalid'],
    ['vulnerabilities[4]', 'record_not_kev'],
  ]);
});

test.each([
  ['an HTML page', '<!doctype html>', 'web_page_instead_of_feed'],
  ['text', 'cveID,vendorProject', 'not_this_format'],
  ['another JSON', '{"a": 1}', 'not_this_format'],
  ['an end too early', catalogue([good]).slice(0, -30), 'file_truncated'],
  ['an empty catalogue', catalogue([]), 'no_records'],
  ['a cut gzip', gzipSync(catalogue([good])).subarray(0, -9), 'file_truncated'],
])('%s is refused as a whole', async (_, content, code) => {
  await expect(readFeed(cisaKev, madeUpFile(content))).rejects.toMatchObject({
    name: 'FeedFormatError',
    code,
  });
});
