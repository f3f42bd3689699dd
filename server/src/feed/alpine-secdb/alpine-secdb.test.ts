import { expect, test } from 'vitest';
import { madeUpPublisher } from '../made-up-publisher.ts';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { readEntry } from '../secdb/secdb.ts';
import { alpineSecdb } from './alpine-secdb.ts';

const secdb = (packages: unknown, header: object = {}): string =>
  JSON.stringify({ distroversion: 'v3.18', reponame: 'community', packages, ...header });
const one = (secfixes: unknown) => [{ pkg: { name: 'a', secfixes } }];

test('the recorded sample of a release', async () => {
  const file = recordedFile(new URL('sample/v3.18-main.json', import.meta.url));
  const { records, rejections } = await readFeed(alpineSecdb, file);
  expect(rejections).toEqual([]);
  expect(records.map(({ id, facts }) => [id, facts.length])).toEqual([
    ['3.18/main/busybox', 30],
    ['3.18/main/cifs-utils', 4],
    ['3.18/main/openssl', 57],
    ['3.18/main/py3-jinja2', 9],
    ['3.18/main/xen', 15],
  ]);
  const openssl = records.find(({ id }) => id.endsWith('/openssl'));
  expect(JSON.parse(openssl?.raw ?? '')).toHaveProperty('pkg.name', 'openssl');
  expect(openssl?.facts).toContainEqual({
    kind: 'statement',
    vulnerability: 'CVE-2022-0778',
    ecosystem: 'alpine',
    release: '3.18',
    package: 'openssl',
    packageKind: 'source',
    module: null,
    channel: null,
    status: 'fixed',
    introducedVersion: null,
    fixedVersion: '3.0.2-r0',
    updates: [],
    fixState: 'available',
    note: null,
    advisory: null,
    statedAt: null,
  });
  expect(openssl?.facts).toContainEqual(
    expect.objectContaining({ vulnerability: 'CVE-2022-1292', status: 'not_affected', fixedVersion: null }),
  );
  const xen = records.find(({ id }) => id.endsWith('/xen'))?.facts ?? [];
  expect(xen).toContainEqual(
    expect.objectContaining({ vulnerability: 'CVE-2020-11741', fixedVersion: '4.13.0-r3', note: 'XSA-313' }),
  );
  expect(xen).toContainEqual(expect.objectContaining({ kind: 'vulnerability', id: 'XSA-207', aliases: [] }));
  const jinja = records.find(({ id }) => id.endsWith('/py3-jinja2'))?.facts ?? [];
  expect(jinja).toContainEqual(
    expect.objectContaining({ id: 'CVE-2024-22195', aliases: ['GHSA-h5c8-rqwp-cp95'] }),
  );
});

test('edge is a release of its own, and an id that cannot be one is refused', async () => {
  const file = recordedFile(new URL('sample/edge-main.json', import.meta.url));
  const { records, rejections } = await readFeed(alpineSecdb, file);
  expect(records.map(({ id }) => id)).toEqual(['edge/main/linux-lts', 'edge/main/openssl']);
  expect(records[0]?.facts[0]).toMatchObject({ release: 'edge' });
  expect(rejections).toMatchObject([
    { position: 'edge/main/linux-lts 6.6.13-r1', code: 'id_unknown', record: 'edge/main/linux-lts' },
  ]);
});

test.each([
  ['CVE-2018-3639   XSA-263', ['CVE-2018-3639'], [], false, 'XSA-263'],
  [
    'CVE-2017-5753 CVE-2017-5715 CVE-2017-5754 XSA-254 XPTI',
    ['CVE-2017-5753', 'CVE-2017-5715', 'CVE-2017-5754'],
    [],
    false,
    'XSA-254 XPTI',
  ],
  ['CVE-2024-56201 GHSA-gmj6-6f8f-6699', ['CVE-2024-56201'], ['GHSA-gmj6-6f8f-6699'], false, null],
  ['GHSA-fhpf-pp6p-55qc', ['GHSA-fhpf-pp6p-55qc'], [], false, null],
  ['GNUTLS-SA-2020-03-31 CVE-2020-11501', ['CVE-2020-11501'], [], false, 'GNUTLS-SA-2020-03-31'],
  ['CVE-2017-2616 (+ regression fix)', ['CVE-2017-2616'], [], false, '(+ regression fix)'],
  ['CVE-2018-16301 (was fixed in libpcap)', ['CVE-2018-16301'], [], false, '(was fixed in libpcap)'],
  [
    'CVE-2020-14342 (Not affected, requires --with-systemd)',
    ['CVE-2020-14342'],
    [],
    true,
    '(Not affected, requires --with-systemd)',
  ],
  ['CVE-2017-17434-1', ['CVE-2017-17434'], [], false, null],
  ['CVE_2019-2426', ['CVE-2019-2426'], [], false, null],
  ['CVE-2021-35940.patch', ['CVE-2021-35940'], [], false, null],
  ['CVE N/A ZBX-11023', ['ZBX-11023'], [], false, 'CVE N/A ZBX-11023'],
  ['CVE-????-????? XSA-312', ['XSA-312'], [], false, 'CVE-????-????? XSA-312'],
  ['wnpa-sec-2017-18', ['wnpa-sec-2017-18'], [], false, null],
  ['DW202402-001', ['DW202402-001'], [], false, null],
])('a text of the real data: %s', (text, vulnerabilities, aliases, notAffected, note) => {
  expect(readEntry(text)).toEqual({ vulnerabilities, aliases, notAffected, note });
});

test.each(['', 'CVE-46838', 'see upstream', 'CVE-2022-?????'])('no id in %j', (text) => {
  expect(readEntry(text)).toBeNull();
});

test('a CVE under two versions is two statements; a bad package is a rejection that names its record', async () => {
  const packages = [
    ...one({ '1.0-r0': ['CVE-2024-0001'], '1.0-r2': ['CVE-2024-0001 (+ regression fix)'] }),
    { pkg: { name: 'b', secfixes: { '1': 'CVE-2024-0001' } } },
    7,
  ];
  const { records, rejections } = await readFeed(alpineSecdb, madeUpFile(secdb(packages)));
  expect(records.map(({ id }) => id)).toEqual(['3.18/community/a']);
  expect(records[0]?.facts).toMatchObject([{ fixedVersion: '1.0-r0' }, { fixedVersion: '1.0-r2' }]);
  expect(rejections.map(({ position, code, record }) => [position, code, record])).toEqual([
    ['packages[1]', 'record_not_secdb', '3.18/community/b'],
    ['packages[2]', 'record_not_secdb', null],
  ]);
});

test('a file is complete for its repository of its release; one without a package is whole', async () => {
  expect(alpineSecdb.partOf?.('3.18/main/openssl')).toBe('3.18/main');
  expect(await readFeed(alpineSecdb, madeUpFile(secdb([])))).toEqual({ records: [], rejections: [] });
});

test.each([
  ['an HTML page', '<!doctype html>', 'web_page_instead_of_feed'],
  ['another JSON', '{"a": 1}', 'not_this_format'],
  ['a release that is none', secdb(one({}), { distroversion: '3' }), 'not_this_format'],
  ['no release', secdb(one({}), { distroversion: undefined }), 'not_this_format'],
  ['an end too early', secdb(one({})).slice(0, -9), 'file_truncated'],
  ['nothing that can be read', secdb([7]), 'no_records'],
])('%s is refused as a whole', async (_, content, code) => {
  await expect(readFeed(alpineSecdb, madeUpFile(content))).rejects.toMatchObject({
    name: 'FeedFormatError',
    code,
  });
});

test('the files of every release that the start page links to', async () => {
  const base = 'https://secdb.example/';
  const page =
    '<a href="../">..</a><a href="edge/">edge/</a><a href="v3.2/">v3.2/</a><a href="v3.18/">v3.18/</a><a href="license.txt">l</a>';
  const files = ['edge/main', 'edge/community', 'v3.2/main', 'v3.18/main', 'v3.18/community'].map(
    (name) => `${base}${name}.json`,
  );
  const { client, content } = madeUpPublisher(base, {
    [base]: page,
    ...Object.fromEntries(files.map((url) => [url, url])),
  });
  const source = alpineSecdb.downloads;
  const first = await source?.plan(client, { state: null });
  expect(first?.files.map(({ url }) => url)).toEqual(files);
  expect((await source?.plan(client, { state: first?.state }))?.files).toEqual([]);
  content.set(base, '<html>maintenance</html>');
  await expect(source?.plan(client, { state: null })).rejects.toMatchObject({ code: 'index_unusable' });
});
