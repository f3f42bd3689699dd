import { expect, test } from 'vitest';
import { madeUpPublisher } from '../made-up-publisher.ts';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { amazonAlas } from './amazon-alas.ts';

test('the sample in the published form: core and extras of both systems', async () => {
  const file = recordedFile(new URL('sample/updateinfo.xml', import.meta.url));
  const { records, rejections } = await readFeed(amazonAlas, file);
  expect(rejections).toEqual([]);
  expect(records.map(({ id }) => id)).toEqual([
    '2023/core/ALAS2023-2024-649',
    '2/core/ALAS2-2018-951',
    '2/kernel-5.10/ALASKERNEL-5.10-2022-002',
  ]);
  expect(records[0]?.facts).toEqual([
    {
      kind: 'advisory',
      id: 'ALAS2023-2024-649',
      title: 'Amazon Linux 2023 - ALAS2023-2024-649: Important priority package update for openssh',
      publishedAt: '2024-07-01T20:41:00.000Z',
      withdrawnAt: null,
      vulnerabilities: ['CVE-2024-6387'],
      url: 'https://alas.aws.amazon.com/AL2023/ALAS2023-2024-649.html',
    },
    {
      kind: 'statement',
      vulnerability: 'CVE-2024-6387',
      ecosystem: 'amazon',
      release: '2023',
      package: 'openssh-server',
      packageKind: 'binary',
      module: null,
      channel: null,
      status: 'fixed',
      introducedVersion: null,
      fixedVersion: '8.7p1-8.amzn2023.0.11',
      updates: [],
      fixState: 'available',
      note: 'Important',
      advisory: 'ALAS2023-2024-649',
      statedAt: '2024-07-02T23:22:00.000Z',
    },
  ]);
  expect(records[1]?.facts.filter(({ kind }) => kind === 'statement')).toHaveLength(4);
  expect(records[2]?.facts[1]).toMatchObject({
    release: '2',
    package: 'kernel',
    channel: 'extra:kernel-5.10',
  });
  expect(records[0]?.raw).toContain('<severity>Important</severity>');
});

const update = (id: string, release: string): string =>
  `<updates><update type="security"><id>${id}</id><references><reference type="cve" id="CVE-2018-1000005"/></references>
  <pkglist><collection short="amazon-linux"><package arch="x86_64" epoch="0" name="curl" version="7" release="${release}"/></collection></pkglist></update></updates>`;

test.each([
  ['ALAS-2018-951', '9.amzn2.0.1', '2/core/ALAS-2018-951'],
  ['ALAS-2018-951', '9.amzn1', '2018.03/core/ALAS-2018-951'],
  ['ALAS2DOCKER-2024-040', '1.amzn2', '2/docker/ALAS2DOCKER-2024-040'],
  ['ALASPOSTGRESQL12-2023-002', '1.amzn2', '2/postgresql12/ALASPOSTGRESQL12-2023-002'],
  ['ALAS2023LIVEPATCH-2024-007', '1.amzn2023', '2023/livepatch/ALAS2023LIVEPATCH-2024-007'],
  ['ALAS2023-2024-702', '3', '2023/core/ALAS2023-2024-702'],
])('%s with builds of %s is the record %s', async (id, release, record) => {
  const { records } = await readFeed(amazonAlas, madeUpFile(update(id, release)));
  expect(records.map((item) => item.id)).toEqual([record]);
  expect(amazonAlas.partOf?.(record)).toBe(record.slice(0, record.lastIndexOf('/')));
});

test.each([
  ['ALAS-2018-951', '9.el9'],
  ['RHSA-2024:1', '9.amzn2'],
])('%s with builds of %s belongs to no Amazon Linux', async (id, release) => {
  await expect(readFeed(amazonAlas, madeUpFile(update(id, release)))).rejects.toMatchObject({
    code: 'no_records',
    message: expect.stringContaining('which Amazon Linux'),
  });
});

test('the updateinfo that the repositories of both systems name', async () => {
  const base = 'https://cdn.example/';
  const repomd = (name: string): string =>
    `<repomd><data type="primary"><location href="repodata/p.xml.gz"/></data>
     <data type="updateinfo"><checksum type="sha256">0</checksum><location href="repodata/${name}"/></data></repomd>`;
  const two = 'https://cdn.example/2/core/2.0/x86_64/abc/';
  const other = 'https://mirror.example/al2023/core/guids/def/x86_64/';
  const { client, content } = madeUpPublisher(base, {
    [`${base}2/core/latest/x86_64/mirror.list`]: 'https://cdn.example/2/core/2.0/$basearch/abc\n',
    [`${base}al2023/core/mirrors/latest/x86_64/mirror.list`]: `${other}\nhttps://second.example/\n`,
    [`${two}repodata/repomd.xml`]: repomd('updateinfo.xml.gz'),
    [`${other}repodata/repomd.xml`]: repomd('0123-updateinfo.xml.gz'),
    [`${two}repodata/updateinfo.xml.gz`]: 'of 2',
    [`${other}repodata/0123-updateinfo.xml.gz`]: 'of 2023',
  });
  const source = amazonAlas.downloads;
  const first = await source?.plan(client, { state: null });
  expect(first?.files.map(({ url }) => url)).toEqual([
    `${two}repodata/updateinfo.xml.gz`,
    `${other}repodata/0123-updateinfo.xml.gz`,
  ]);
  expect(first?.whole).toBe(true);
  expect((await source?.plan(client, { state: first?.state }))?.files).toEqual([]);
  content.set(`${two}repodata/repomd.xml`, repomd('../../../etc/passwd'));
  await expect(source?.plan(client, { state: null })).rejects.toMatchObject({ code: 'index_unusable' });
});
