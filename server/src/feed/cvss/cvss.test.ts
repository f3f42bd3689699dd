import { describe, expect, test } from 'vitest';
import { cvssFact } from '../cvss-vector.ts';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { cvss } from './cvss.ts';

describe('base scores', () => {
  // Scores as published by NVD and FIRST for these vectors.
  test.each([
    ['AV:N/AC:L/Au:N/C:P/I:P/A:P', '2.0', 7.5],
    ['AV:N/AC:M/Au:N/C:C/I:C/A:C', '2.0', 9.3],
    ['CVSS:3.0/AV:L/AC:L/PR:N/UI:N/S:C/C:H/I:N/A:N', '3.0', 7.1],
    ['CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H', '3.1', 10],
    ['CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:H/I:H/A:H', '3.1', 9.6],
    ['CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:P/RL:O/RC:C', '3.1', 9.8],
    ['CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N', '4.0', 9.3],
    ['CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U', '4.0', 9.3],
  ])('%s', (vector, version, baseScore) => {
    expect(cvssFact('CVE-2024-1', 'test', vector)).toMatchObject({
      ok: true,
      fact: { version, vector, baseScore },
    });
  });

  test.each([
    '',
    'junk',
    'CVSS:3.1/AV:N/AC:L',
    'CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H',
    'CVSS:4.0/AV:N',
    'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/A:N',
    'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/ZZ:N',
  ])('%j has none', (vector) => {
    expect(cvssFact('CVE-2024-1', 'test', vector).ok).toBe(false);
  });
});

test('the recorded sample', async () => {
  const file = recordedFile(new URL('sample/vulnrichment-develop.zip', import.meta.url));
  const { records, rejections } = await readFeed(cvss, file);
  expect(rejections).toEqual([]);
  expect(records).toHaveLength(9);
  const openssh = records.find(({ id }) => id === 'CVE-2024-6387')?.facts ?? [];
  expect(openssh[0]).toMatchObject({ kind: 'vulnerability', id: 'CVE-2024-6387', withdrawnAt: null });
  expect(openssh.slice(1)).toEqual([
    {
      kind: 'cvss',
      vulnerability: 'CVE-2024-6387',
      scorer: 'cna:redhat',
      version: '3.1',
      vector: 'CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H',
      baseScore: 8.1,
    },
  ]);
  const scores = records.flatMap(({ facts }) => facts.filter((fact) => fact.kind === 'cvss'));
  expect([...new Set(scores.map(({ version }) => version))].sort()).toEqual(['3.0', '3.1', '4.0']);
  expect(scores.some(({ scorer }) => scorer === 'adp:CISA-ADP')).toBe(true);
  const withdrawn = records.filter(({ facts }) =>
    facts.some((fact) => fact.kind === 'vulnerability' && fact.withdrawnAt !== null),
  );
  expect(withdrawn).toHaveLength(1);
  expect(withdrawn[0]?.facts).toHaveLength(1);
});

const record = (changes: object, metrics: unknown[] = []): string =>
  JSON.stringify({
    dataType: 'CVE_RECORD',
    cveMetadata: { cveId: 'CVE-2024-1234', state: 'PUBLISHED', datePublished: '2024-03-01T10:00:00' },
    containers: { cna: { providerMetadata: { shortName: 'example' }, metrics } },
    ...changes,
  });

test('version 2 vectors, repeated vectors, and times without a zone', async () => {
  const v2 = { cvssV2_0: { vectorString: 'AV:N/AC:L/Au:N/C:P/I:P/A:P', baseScore: 1 } };
  const { records } = await readFeed(cvss, madeUpFile(record({}, [v2, v2, { other: { type: 'ssvc' } }])));
  expect(records[0]?.facts).toMatchObject([
    { kind: 'vulnerability', publishedAt: '2024-03-01T10:00:00.000Z' },
    { kind: 'cvss', scorer: 'cna:example', version: '2.0', baseScore: 7.5 },
  ]);
});

test('a bad vector is a rejection and the record is kept; a record that is none is a rejection', async () => {
  const lines = [
    record({}, [{ cvssV3_1: { vectorString: 'CVSS:3.1/AV:N' } }, { cvssV3_1: { vectorString: 7 } }]),
    record({ cveMetadata: { cveId: 'CVE-1', state: 'PUBLISHED' } }),
    '{"id": "CVE-2024-1"}',
  ];
  const { records, rejections } = await readFeed(cvss, madeUpFile(lines.join('\n')));
  expect(records.map(({ id, facts }) => [id, facts.length])).toEqual([['CVE-2024-1234', 1]]);
  expect(rejections.map(({ position, code }) => [position, code])).toEqual([
    ['line 1', 'cvss_vector_invalid'],
    ['line 1', 'metric_invalid'],
    ['line 2', 'record_not_cve'],
    ['line 3', 'record_not_cve'],
  ]);
});

test.each([
  ['an HTML page', '<html>', 'web_page_instead_of_feed'],
  ['another JSON', '{"a": 1}', 'no_records'],
  ['an end too early', record({}).slice(0, -20), 'file_truncated'],
])('%s is refused as a whole', async (_, content, code) => {
  await expect(readFeed(cvss, madeUpFile(content))).rejects.toMatchObject({ name: 'FeedFormatError', code });
});
