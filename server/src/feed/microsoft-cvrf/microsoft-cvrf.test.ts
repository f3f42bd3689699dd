import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Fact, StatementFact, UpdateFact } from '@fixpoint/core/knowledge/facts.ts';
import { madeUpPublisher } from '../made-up-publisher.ts';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { microsoftCvrf } from './microsoft-cvrf.ts';

const sampleUrl = new URL('sample/2024-Jul.json', import.meta.url);

interface Entry {
  CVE: string;
  ProductStatuses: unknown[];
  Remediations: Record<string, unknown>[];
  [key: string]: unknown;
}
interface Document {
  ProductTree: { FullProductName: { ProductID: string; Value: string }[] };
  Vulnerability: Entry[];
  [key: string]: unknown;
}

/** The sample with one vulnerability, changed. */
function changed(change: (entry: Entry, document: Document) => void): string {
  const document: Document = JSON.parse(readFileSync(sampleUrl, 'utf8'));
  const [entry] = document.Vulnerability;
  if (entry === undefined) throw new Error('the sample is empty');
  document.Vulnerability = [entry];
  change(entry, document);
  return JSON.stringify(document);
}

const statementsOf = (facts: readonly Fact[]): StatementFact[] =>
  facts.filter((fact) => fact.kind === 'statement');
const updatesOf = (facts: readonly Fact[]): UpdateFact[] => facts.filter((fact) => fact.kind === 'update');

async function statementsOfFirst(text: string): Promise<StatementFact[]> {
  const { records } = await readFeed(microsoftCvrf, madeUpFile(text));
  return statementsOf(records[0]?.facts ?? []);
}

test('the recorded sample', async () => {
  const { records, rejections } = await readFeed(microsoftCvrf, recordedFile(sampleUrl));
  expect(rejections).toEqual([]);
  const facts = new Map(records.map((record) => [record.id, record.facts]));
  expect([...facts.keys()].filter((id) => !id.includes('/KB'))).toEqual([
    '2024-Jul/CVE-2024-38077',
    '2024-Jul/CVE-2024-38112',
    '2024-Jul/CVE-2024-38156',
    '2024-Jul/CVE-2024-39684',
    '2024-Jul/CVE-2023-2976',
  ]);
  const licensing = facts.get('2024-Jul/CVE-2024-38077') ?? [];
  expect(licensing.find(({ kind }) => kind === 'vulnerability')).toMatchObject({
    title: 'Windows Remote Desktop Licensing Service Remote Code Execution Vulnerability',
    publishedAt: '2024-07-09T07:00:00.000Z',
  });
  expect(licensing.find(({ kind }) => kind === 'cvss')).toMatchObject({
    scorer: 'microsoft',
    baseScore: 9.8,
  });
  expect(statementsOf(licensing).find((one) => one.package === 'Windows Server 2019')).toEqual({
    kind: 'statement',
    vulnerability: 'CVE-2024-38077',
    ecosystem: 'windows',
    release: '',
    package: 'Windows Server 2019',
    packageKind: 'source',
    module: null,
    channel: null,
    status: 'fixed',
    introducedVersion: null,
    fixedVersion: '10.0.17763.6054',
    updates: ['KB5040430'],
    fixState: 'available',
    note: 'Critical',
    advisory: null,
    statedAt: '2024-07-09T07:00:00.000Z',
  });
  expect(updatesOf(facts.get('2024-Jul/KB5040430') ?? [])[0]).toEqual({
    kind: 'update',
    id: 'KB5040430',
    product: 'Windows Server 2019',
    title: null,
    supersedes: ['KB5039217'],
    fixedBuild: '10.0.17763.6054',
    restart: 'required',
    type: 'Security Update',
    publishedAt: '2024-07-09T07:00:00.000Z',
    url: 'https://catalog.update.microsoft.com/v7/site/Search.aspx?q=KB5040430',
    knownIssues: true,
  });
});

test('exploited, a fix without a KB, and Linux products', async () => {
  const { records } = await readFeed(microsoftCvrf, recordedFile(sampleUrl));
  const facts = new Map(records.map((record) => [record.id, record.facts]));
  expect(facts.get('2024-Jul/CVE-2024-38112')?.find(({ kind }) => kind === 'threat')).toMatchObject({
    threat: 'exploited',
    // The day of the newest revision, which said it.
    assertedOn: '2024-07-12',
    reference: 'https://msrc.microsoft.com/update-guide/vulnerability/CVE-2024-38112',
  });
  expect(facts.get('2024-Jul/CVE-2024-38077')?.some(({ kind }) => kind === 'threat')).toBe(false);
  expect(statementsOf(facts.get('2024-Jul/CVE-2024-38156') ?? [])).toMatchObject([
    { package: 'Microsoft Edge (Chromium-based)', status: 'fixed', updates: [] },
  ]);
  expect(facts.get('2024-Jul/CVE-2023-2976')?.map(({ kind }) => kind)).toEqual(['vulnerability', 'cvss']);
});

test('a browser update beside "Security Only": the latter alone is not the fix', async () => {
  const { records } = await readFeed(microsoftCvrf, recordedFile(sampleUrl));
  const mshtml = records.find(({ id }) => id === '2024-Jul/CVE-2024-38112');
  const server = statementsOf(mshtml?.facts ?? []).find((one) => one.package === 'Windows Server 2012 R2');
  expect(server).toMatchObject({ status: 'fixed', updates: ['KB5040426', 'KB5040456'] });
});

const serverFix = {
  Type: 2,
  SubType: 'Security Update',
  Description: { Value: '5040430' },
  Supercedence: '5039217',
  FixedBuild: '10.0.17763.6054',
  ProductID: ['11571'],
};

test.each([
  ['a known issue', { ...serverFix, Type: 6 }, { status: 'affected', fixState: 'none_yet' }],
  ['release notes', { ...serverFix, Type: 3 }, { status: 'affected', fixState: 'none_yet' }],
  ['a workaround', { ...serverFix, Type: 0 }, { status: 'affected', fixState: 'none_yet' }],
  ['will not fix', { ...serverFix, Type: 4 }, { status: 'affected', fixState: 'will_not_fix' }],
  [
    'words for a KB, an address for a build',
    {
      ...serverFix,
      Description: { Value: 'Release Notes' },
      FixedBuild: 'https://aka.ms/OfficeSecurityReleases',
    },
    { status: 'affected', fixState: 'available', updates: [] },
  ],
  [
    'an array printed as text',
    { ...serverFix, Description: { Value: 'System.Object[]' }, FixedBuild: 'System.Object[]' },
    { status: 'affected', fixState: 'available', updates: [] },
  ],
  [
    'no build',
    { ...serverFix, FixedBuild: '' },
    { status: 'fixed', fixedVersion: null, updates: ['KB5040430'] },
  ],
  ['the browser’s build', { ...serverFix, FixedBuild: '1.001' }, { status: 'fixed', fixedVersion: null }],
  [
    'no KB',
    { ...serverFix, Description: {} },
    { status: 'fixed', fixedVersion: '10.0.17763.6054', updates: [] },
  ],
  ['no text', { ...serverFix, Description: 5040430 }, { status: 'undetermined' }],
])('a remediation that is %s', async (_, remediation, expected) => {
  const text = changed((entry) => {
    entry.Remediations = [remediation];
  });
  const server = (await statementsOfFirst(text)).find((one) => one.package === 'Windows Server 2019');
  expect(server).toMatchObject(expected);
});

test('several fixes of one product: alternatives by type, parts within a type, hotpatches by KB only', async () => {
  const fixes = async (...remediations: Record<string, unknown>[]): Promise<StatementFact | undefined> => {
    const text = changed((entry) => {
      entry.Remediations = remediations.map((one) => ({ ...serverFix, ...one }));
    });
    return (await statementsOfFirst(text)).find((one) => one.package === 'Windows Server 2019');
  };
  const other = { Description: { Value: '5040999' }, Supercedence: '' };
  expect(
    await fixes({}, { ...other, SubType: 'SecurityHotpatchUpdate', FixedBuild: '10.0.17763.6000' }),
  ).toMatchObject({ updates: ['KB5040430', 'KB5040999'], fixedVersion: '10.0.17763.6054' });
  expect(await fixes({ FixedBuild: '' }, { ...other, FixedBuild: '' })).toMatchObject({
    status: 'undetermined',
    updates: [],
    note: 'Critical; fixed by KB5040430, KB5040999 together; the record does not say whether all are needed',
  });
  expect(await fixes({}, { ...other, FixedBuild: '10.0.17763.6060' })).toMatchObject({
    status: 'fixed',
    updates: [],
    fixedVersion: '10.0.17763.6060',
  });
  expect(await fixes({}, { ...other, FixedBuild: '', Supercedence: '5040430' })).toMatchObject({
    updates: ['KB5040430', 'KB5040999'],
  });
  expect(await fixes({}, { ...other, SubType: 'Servicing Stack Update' })).toMatchObject({
    updates: ['KB5040430'],
  });
});

test('states of products, names with two blanks, and products that the tree does not have', async () => {
  const text = changed((entry, { ProductTree }) => {
    entry.ProductStatuses = [
      { ProductID: ['11571'], Type: 4 },
      { ProductID: ['11572'], Type: 7 },
      { ProductID: ['11923'] },
      { ProductID: ['99999'], Type: 3 },
    ];
    for (const product of ProductTree.FullProductName) product.Value = product.Value.replace(' (', '  (');
  });
  const { records, rejections } = await readFeed(microsoftCvrf, madeUpFile(text));
  expect(statementsOf(records[0]?.facts ?? []).map((one) => [one.package, one.status])).toEqual([
    ['Windows Server 2019', 'not_affected'],
    ['Windows Server 2019 (Server Core installation)', 'undetermined'],
    ['Windows Server 2022', 'fixed'],
  ]);
  expect(rejections).toMatchObject([{ code: 'product_undefined', record: '2024-Jul/CVE-2024-38077' }]);
});

test.each([
  ['an entry that is none', (entry: Entry) => Reflect.deleteProperty(entry, 'CVE'), 'record_not_cvrf', null],
  [
    'an id of nobody',
    (entry: Entry) => (entry.CVE = 'CVE-2022-2601-M'),
    'id_unknown',
    '2024-Jul/CVE-2022-2601-M',
  ],
])('%s is a rejection', async (_, change, code, record) => {
  const text = changed((entry, document) => {
    document.Vulnerability = [structuredClone(entry), entry];
    change(entry);
  });
  const { records, rejections } = await readFeed(microsoftCvrf, madeUpFile(text));
  expect(rejections).toMatchObject([{ code, record }]);
  expect(records.length).toBeGreaterThan(1);
});

test.each([
  [
    'XML, which the address answers without Accept',
    '<?xml version="1.0"?><cvrf:cvrfdoc/>',
    'web_page_instead_of_feed',
  ],
  ['another JSON', '{"a": 1}', 'no_records'],
  ['an end too early', changed(() => undefined).slice(0, -40), 'file_truncated'],
])('%s is refused as a whole', async (_, content, code) => {
  await expect(readFeed(microsoftCvrf, madeUpFile(content))).rejects.toMatchObject({
    name: 'FeedFormatError',
    code,
  });
});

test('only revised months are downloaded; a list without any is refused', async () => {
  const base = microsoftCvrf.url ?? '';
  const list = (august: string) =>
    JSON.stringify({
      '@odata.context': 'https://api.msrc.microsoft.com/cvrf/v3.0/$metadata#Updates',
      value: [
        { ID: '2024-Jul', CurrentReleaseDate: '2024-12-10T08:00:00Z', CvrfUrl: `${base}cvrf/2024-Jul` },
        { ID: '2024-Aug', CurrentReleaseDate: august },
        { ID: '../../elsewhere', CurrentReleaseDate: '2024-12-10T08:00:00Z' },
      ],
    });
  const { client, content } = madeUpPublisher(base, {
    [`${base}updates`]: list('2024-11-12T08:00:00Z'),
    [`${base}cvrf/2024-Jul`]: '{}',
    [`${base}cvrf/2024-Aug`]: '{}',
  });
  const source = microsoftCvrf.downloads;
  const first = await source?.plan(client, { state: null });
  expect(first?.files.map(({ url }) => url)).toEqual([`${base}cvrf/2024-Aug`, `${base}cvrf/2024-Jul`]);
  content.set(`${base}updates`, list('2025-01-14T08:00:00Z'));
  const second = await source?.plan(client, { state: first?.state });
  expect(second?.files.map(({ url }) => url)).toEqual([`${base}cvrf/2024-Aug`]);
  for (const bad of ['<!doctype html>', '{"value": []}', '{"error": "busy"}']) {
    content.set(`${base}updates`, bad);
    await expect(source?.plan(client, { state: null })).rejects.toMatchObject({ code: 'index_unusable' });
  }
});
