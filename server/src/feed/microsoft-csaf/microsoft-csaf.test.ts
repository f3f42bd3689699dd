import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Fact, StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import { madeUpPublisher } from '../made-up-publisher.ts';
import { microsoftCvrf } from '../microsoft-cvrf/microsoft-cvrf.ts';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { microsoftCsaf } from './microsoft-csaf.ts';

const sharePoint = new URL('sample/msrc_cve-2025-49704.json', import.meta.url);
const licensing = new URL('sample/msrc_cve-2024-38077.json', import.meta.url);

const statementsOf = (facts: readonly Fact[]): StatementFact[] =>
  facts.filter((fact) => fact.kind === 'statement');

async function factsOf(text: string): Promise<readonly Fact[]> {
  const { records } = await readFeed(microsoftCsaf, madeUpFile(text));
  return records[0]?.facts ?? [];
}

test('a real document', async () => {
  const { records, rejections } = await readFeed(microsoftCsaf, recordedFile(sharePoint));
  expect(rejections).toEqual([]);
  expect(records.map(({ id }) => id)).toEqual(['msrc_CVE-2025-49704']);
  const facts = records[0]?.facts ?? [];
  expect(facts.map(({ kind }) => kind)).toEqual([
    'vulnerability',
    'cvss',
    'statement',
    'update',
    'statement',
    'update',
  ]);
  expect(facts[1]).toMatchObject({ scorer: 'microsoft', version: '3.1', baseScore: 8.8 });
  expect(
    statementsOf(facts).map((one) => [one.package, one.status, one.fixedVersion, one.updates, one.note]),
  ).toEqual([
    ['Microsoft SharePoint Server 2019', 'fixed', '16.0.10417.20027', ['KB5002741'], 'Critical'],
    ['Microsoft SharePoint Enterprise Server 2016', 'fixed', '16.0.5508.1000', ['KB5002744'], 'Critical'],
  ]);
  expect(facts[3]).toMatchObject({
    id: 'KB5002741',
    product: 'Microsoft SharePoint Server 2019',
    supersedes: [],
    fixedBuild: '16.0.10417.20027',
    type: 'Security Update',
    url: 'https://support.microsoft.com/help/5002741',
  });
});

test('Windows, in a document of our own: the same statements as in CVRF', async () => {
  const csaf = await readFeed(microsoftCsaf, recordedFile(licensing));
  expect(csaf.rejections).toEqual([]);
  const url = new URL('../microsoft-cvrf/sample/2024-Jul.json', import.meta.url);
  const cvrf = await readFeed(microsoftCvrf, recordedFile(url));
  const there = statementsOf(cvrf.records.find(({ id }) => id === '2024-Jul/CVE-2024-38077')?.facts ?? []);
  const here = statementsOf(csaf.records[0]?.facts ?? []);
  expect(here).toHaveLength(3);
  for (const statement of here) {
    expect(statement).toEqual(there.find((one) => one.package === statement.package));
  }
});

test.each([
  [
    'exploited',
    /Exploited:No/u,
    'Exploited:Yes',
    { kind: 'threat', threat: 'exploited', assertedOn: '2024-07-09' },
  ],
  [
    'not affected',
    /"known_affected"/u,
    '"known_not_affected"',
    { package: 'Windows Server 2019', status: 'not_affected' },
  ],
  ['under investigation', /"known_affected"/u, '"under_investigation"', { status: 'undetermined' }],
  [
    'without a remediation, the range names the build',
    /"remediations": \[[^]*?\n {3}\],/u,
    '',
    { package: 'Windows Server 2019', status: 'fixed', fixedVersion: '10.0.17763.6054', updates: [] },
  ],
])('%s', async (_, pattern, replacement, expected) => {
  const text = readFileSync(licensing, 'utf8');
  const facts = await factsOf(text.replace(pattern, replacement));
  expect(facts).toContainEqual(expect.objectContaining(expected));
});

test('Linux products are left out, and none that can be read is a rejection', async () => {
  const text = readFileSync(licensing, 'utf8').replaceAll(
    'Windows Server 2019',
    'azl3 kernel 6.6.35.1-5 on Azure Linux 3.0',
  );
  expect(statementsOf(await factsOf(text)).map((one) => one.package)).toEqual([
    'Windows Server 2022',
    'Windows Server 2012 R2',
  ]);
  const other = readFileSync(licensing, 'utf8').replace('msrc_CVE-2024-38077', 'RHSA-2024:0001');
  const lines = [other, readFileSync(licensing, 'utf8')]
    .map((one) => JSON.stringify(JSON.parse(one)))
    .join('\n');
  const { records, rejections } = await readFeed(microsoftCsaf, madeUpFile(lines));
  expect(records).toHaveLength(1);
  expect(rejections).toMatchObject([{ code: 'record_not_msrc', record: 'RHSA-2024:0001' }]);
});

test('a file that is no CSAF is refused as a whole', async () => {
  await expect(readFeed(microsoftCsaf, madeUpFile('{"a": 1}'))).rejects.toMatchObject({ code: 'no_records' });
});

test('the documents of changes.csv are downloaded, oldest change first, and nothing outside the directory', async () => {
  const base = microsoftCsaf.url ?? '';
  const { client, content } = madeUpPublisher(base, {
    [`${base}changes.csv`]:
      '"2024/msrc_cve-2024-38077.json","2024-12-10T08:00:00Z"\n2025/msrc_cve-2025-49704.json,2024-07-08T07:00:00.000Z\n"../evil.json","2025-01-01T00:00:00Z"\n',
    [`${base}2024/msrc_cve-2024-38077.json`]: '{}',
    [`${base}2025/msrc_cve-2025-49704.json`]: '{}',
  });
  const plan = await microsoftCsaf.downloads?.plan(client, { state: null });
  expect(plan?.files.map(({ url }) => url)).toEqual([
    `${base}2025/msrc_cve-2025-49704.json`,
    `${base}2024/msrc_cve-2024-38077.json`,
  ]);
  content.set(`${base}changes.csv`, 'moved\n');
  await expect(microsoftCsaf.downloads?.plan(client, { state: null })).rejects.toMatchObject({
    code: 'index_unusable',
  });
});

test('a document whose flaw has become unreadable replaces nothing', async () => {
  const bad = JSON.parse(readFileSync(licensing, 'utf8'));
  bad.vulnerabilities[0].title = 7;
  const other = readFileSync(sharePoint, 'utf8');
  const lines = [JSON.stringify(JSON.parse(other)), JSON.stringify(bad)].join('\n');
  const { records, rejections } = await readFeed(microsoftCsaf, madeUpFile(lines));
  expect(records.map(({ id }) => id)).toEqual(['msrc_CVE-2025-49704']);
  expect(rejections).toMatchObject([{ code: 'vulnerability_invalid', record: 'msrc_CVE-2024-38077' }]);
});
