import { beforeAll, expect, test } from 'vitest';
import { madeUpFile, readFeed, recordedFile, type Reading } from '../recorded.ts';
import { alpineOsv } from './alpine-osv.ts';

let sample: Reading;
beforeAll(async () => {
  sample = await readFeed(alpineOsv, recordedFile(new URL('sample/records.jsonl', import.meta.url)));
});

const factsOf = (id: string) => sample.records.find((record) => record.id === id)?.facts ?? [];

test('every record is read', () => {
  expect(sample.rejections).toEqual([]);
  expect(sample.records).toHaveLength(4);
});

test('a record: the CVE, its vector, and a statement for each release', () => {
  const [vulnerability, cvss, ...said] = factsOf('ALPINE-CVE-2018-15853').toSorted(
    (a, b) => Number(a.kind === 'statement') - Number(b.kind === 'statement'),
  );
  expect(vulnerability).toMatchObject({ id: 'CVE-2018-15853', aliases: ['ALPINE-CVE-2018-15853'] });
  expect(cvss).toMatchObject({ kind: 'cvss', scorer: 'alpine-osv', version: '3.0' });
  expect(said[0]).toMatchObject({
    ecosystem: 'alpine',
    release: '3.18',
    package: 'xkbcomp',
    packageKind: 'source',
    status: 'fixed',
    fixedVersion: '1.5.0-r0',
    advisory: null,
  });
  expect(new Set(said.map((one) => (one.kind === 'statement' ? one.release : '')))).toContain('3.19');
});

test('fixed in 0 was never affected', () => {
  const said = factsOf('ALPINE-CVE-2024-54661').filter((fact) => fact.kind === 'statement');
  expect(said.map(({ status, fixedVersion }) => [status, fixedVersion])).toEqual([
    ['not_affected', null],
    ['not_affected', null],
    ['not_affected', null],
  ]);
});

test('a withdrawn record states nothing; one without `upstream` is the CVE of its id', () => {
  expect(factsOf('ALPINE-CVE-2025-21441').filter(({ kind }) => kind === 'statement')).toEqual([]);
  expect(factsOf('ALPINE-CVE-2025-21441')[0]).toMatchObject({ withdrawnAt: '2026-01-24T21:05:16.548192Z' });
  expect(factsOf('ALPINE-CVE-2025-15468')[0]).toMatchObject({ id: 'CVE-2025-15468' });
});

test('records in the style before 2025: the id is the CVE; edge is a release', async () => {
  const entry = (ecosystem: string) => ({
    package: { ecosystem, name: 'busybox' },
    ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '1.36.1-r2' }] }],
  });
  const record = {
    id: 'CVE-2022-48174',
    modified: '2024-01-14T08:05:45Z',
    affected: [
      entry('Alpine:v3.18'),
      entry('Alpine:edge'),
      entry('Debian:12'),
      entry('Alpine'),
      { ranges: [] },
    ],
  };
  const { records, rejections } = await readFeed(alpineOsv, madeUpFile(JSON.stringify(record)));
  const facts = records.flatMap((one) => one.facts);
  expect(facts[0]).toMatchObject({ kind: 'vulnerability', id: 'CVE-2022-48174', aliases: [] });
  expect(facts.flatMap((fact) => (fact.kind === 'statement' ? [fact.release] : []))).toEqual([
    '3.18',
    'edge',
  ]);
  expect(rejections).toMatchObject([{ code: 'release_missing' }]);
});
