import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import type { FeedClient, FeedDownload } from '../feed.ts';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { noticePages } from './downloads.ts';
import { ubuntuNotices } from './ubuntu-notices.ts';

const source = (name: string, version: string) => ({ name, version, is_source: true });
const binary = (name: string, version: string, of: string, pocket: string | null) => ({
  name,
  version,
  is_source: false,
  is_visible: true,
  pocket,
  version_link: `https://launchpad.net/ubuntu/+source/${of}`,
});
const notice = (changes: object = {}) => ({
  id: 'USN-6000-1',
  title: 'curl vulnerability',
  published: '2023-04-13T12:13:14.123456',
  cves_ids: ['CVE-2023-0001'],
  release_packages: { jammy: [source('curl', '7.81.0-1ubuntu1.10')] },
  ...changes,
});
const team = (changes: object = {}) => ({
  id: 'USN-5259-3',
  title: 'Cron regression',
  timestamp: 1652228741.6660078,
  cves: ['https://launchpad.net/bugs/1971895', 'CVE-2017-9525'],
  releases: {
    bionic: {
      sources: { cron: { version: '3.0pl1-128.1ubuntu1.2', description: 'process scheduling daemon' } },
      allbinaries: { cron: { pocket: 'security', source: 'cron', version: '3.0pl1-128.1ubuntu1.2' } },
    },
    xenial: {
      sources: { cron: { version: '3.0pl1-128ubuntu2+esm2' } },
      allbinaries: { cron: { pocket: 'esm-infra', source: 'cron', version: '3.0pl1-128ubuntu2+esm2' } },
    },
  },
  ...changes,
});

async function read(value: unknown) {
  const { records, rejections } = await readFeed(ubuntuNotices, madeUpFile(JSON.stringify(value)));
  const statements = records
    .flatMap(({ facts }) => facts)
    .filter((fact): fact is StatementFact => fact.kind === 'statement');
  return { records, statements, rejections };
}
const page = (...notices: unknown[]) => ({ notices, offset: 0, limit: 20, total_results: notices.length });

test('the sample in the form of the API', async () => {
  const file = recordedFile(new URL('sample/notices.json', import.meta.url));
  const { records, rejections } = await readFeed(ubuntuNotices, file);
  expect(rejections).toEqual([]);
  expect(records.map(({ id, facts }) => [id, facts.length])).toEqual([
    ['USN-6859-1', 3],
    ['USN-6885-1', 25],
    ['USN-4478-2', 2],
  ]);
  expect(records[0]?.facts).toEqual([
    {
      kind: 'advisory',
      id: 'USN-6859-1',
      title: 'openssh vulnerabilities',
      publishedAt: '2024-07-02T00:00:00.000Z',
      withdrawnAt: null,
      vulnerabilities: ['CVE-2024-6387'],
      url: 'https://ubuntu.com/security/notices/USN-6859-1',
    },
    {
      kind: 'statement',
      vulnerability: 'CVE-2024-6387',
      ecosystem: 'ubuntu',
      release: '22.04',
      package: 'openssh',
      packageKind: 'source',
      module: null,
      channel: null,
      status: 'fixed',
      introducedVersion: null,
      fixedVersion: '1:8.9p1-3ubuntu0.10',
      updates: [],
      fixState: 'available',
      note: null,
      advisory: 'USN-6859-1',
      statedAt: '2024-07-02T00:00:00.000Z',
    },
    expect.objectContaining({ release: '24.04', fixedVersion: '1:9.6p1-3ubuntu13.3' }),
  ]);
  expect(records[2]?.facts[1]).toMatchObject({ channel: 'pro', fixedVersion: '4.0-3ubuntu0.1~esm1' });
});

test('the security team’s form: pockets by source, the CVEs among the references, and a regression noted', async () => {
  const { records, statements } = await read(team());
  expect(records[0]?.facts[0]).toMatchObject({
    id: 'USN-5259-3',
    publishedAt: '2022-05-11T00:25:41.666Z',
    vulnerabilities: ['CVE-2017-9525'],
  });
  expect(
    statements.map(({ release, channel, fixedVersion, note }) => [release, channel, fixedVersion, note]),
  ).toEqual([
    ['18.04', null, '3.0pl1-128.1ubuntu1.2', 'regression: Cron regression'],
    ['16.04', 'pro', '3.0pl1-128ubuntu2+esm2', 'regression: Cron regression'],
  ]);
});

test('the older database, whose ids are numbers', async () => {
  const database = {
    '5259-3': team({ id: '5259-3' }),
    '1-1': team({ id: '1-1', releases: {} }),
    x: { id: 'x' },
  };
  const { records, rejections } = await readFeed(
    ubuntuNotices,
    madeUpFile(gzipSync(JSON.stringify(database, null, 1))),
  );
  expect(records.map(({ id, facts }) => [id, facts.length])).toEqual(
    [
      ['USN-1-1', 1],
      ['USN-5259-3', 3],
    ].toReversed(),
  );
  expect(rejections).toMatchObject([{ position: 'member 3', code: 'record_not_notice', record: null }]);
});

test('channels by pocket, else by the version', async () => {
  const packages = [
    [source('a', '1'), binary('a-bin', '1', 'a', 'security'), binary('a-doc', '1', 'a', 'esm-apps')],
    [source('a', '1'), binary('a-bin', '1', 'a', 'esm-infra')],
    [source('a', '1'), binary('a-bin', '1', 'a', 'fips-updates')],
    [source('a', '1+esm3'), binary('a-bin', '1+esm3', 'a', null)],
    [source('a', '1.Fips.2')],
    [source('a', '1')],
  ];
  const found = await Promise.all(
    packages.map(
      async (list) =>
        (await read(page(notice({ release_packages: { jammy: list } })))).statements[0]?.channel,
    ),
  );
  expect(found).toEqual([null, 'pro', 'fips-updates', 'pro', 'fips', null]);
});

test('sources: listed ones, else those that binaries link to; other software than debs is left out', async () => {
  const meta = { ...binary('linux-image-generic', '5.15.0.105.102', 'linux-meta', 'security') };
  const image = binary('linux-image-5.15.0-105-generic', '5.15.0-105.115', 'linux', 'security');
  const { statements } = await read(
    page(
      notice({ release_packages: { jammy: [source('linux', '5.15.0-105.115'), image, meta] } }),
      notice({
        release_packages: {
          focal: [{ ...image, version_link: `${image.version_link}/5.15.0-105.115~20.04.1` }],
        },
      }),
      notice({ release_packages: { noble: [{ ...source('numpy', '1.2'), package_type: 'python' }] } }),
    ),
  );
  expect(statements.map((s) => [s.release, s.package, s.fixedVersion])).toEqual([
    ['22.04', 'linux', '5.15.0-105.115'],
    ['20.04', 'linux', '5.15.0-105.115~20.04.1'],
  ]);
});

test('a new release by the number that the notice gives; one that nobody knows is reported and keeps its name', async () => {
  const packages = { resolute: [source('a', '1')], stoic: [source('a', '1')] };
  const { statements, rejections } = await read(
    page(notice({ release_packages: packages, releases: [{ codename: 'resolute', version: '26.04' }] })),
  );
  expect(statements.map(({ release }) => release)).toEqual(['26.04', 'stoic']);
  expect(rejections).toMatchObject([{ code: 'release_unknown', record: 'USN-6000-1' }]);
});

test('Livepatch notices are advisories only, hidden ones say nothing, bad ones are refused', async () => {
  const { records, rejections } = await read(
    page(
      notice({ id: 'LSN-0100-1' }),
      notice({ id: 'USN-6000-2', is_hidden: true }),
      notice({ id: 'USN-6000-3', title: 7 }),
      notice({ id: 'DSA-1' }),
    ),
  );
  expect(records.map(({ id, facts }) => [id, facts.map(({ kind }) => kind)])).toEqual([
    ['LSN-0100-1', ['advisory']],
    ['USN-6000-2', []],
  ]);
  expect(rejections.map(({ position, code, record }) => [position, code, record])).toEqual([
    ['line 1 notices[2]', 'record_not_notice', 'USN-6000-3'],
    ['line 1 notices[3]', 'record_not_notice', null],
  ]);
});

test.each([
  ['an HTML page', '<!doctype html>', 'web_page_instead_of_feed'],
  ['another JSON', '{"a": 1}', 'no_records'],
  ['an empty page', JSON.stringify(page()), 'no_records'],
  ['a database cut short', `{"1-1": ${JSON.stringify(team({ id: '1-1' }))},`, 'file_truncated'],
])('%s is refused as a whole', async (_, content, code) => {
  await expect(readFeed(ubuntuNotices, madeUpFile(content))).rejects.toMatchObject({
    name: 'FeedFormatError',
    code,
  });
});

/** The API with so many notices; `changed` counts up what each page says. */
function api(total: () => number, changed: () => number): { client: FeedClient; asked: number[] } {
  const asked: number[] = [];
  const client: FeedClient = {
    url: 'https://ubuntu.example/security/notices.json',
    now: new Date(0),
    async fetch(url, options) {
      const offset = Number(new URL(url).searchParams.get('offset'));
      asked.push(offset);
      const notices = Array.from({ length: Math.max(0, Math.min(20, total() - offset)) }, () => ({}));
      const text = JSON.stringify({ notices, total_results: total(), changed: changed() });
      const download: FeedDownload = {
        name: options?.name ?? url,
        url,
        sha256: `${String(offset)} ${String(notices.length)} ${String(changed())}`,
        bytes: text.length,
        publishedAt: null,
        async *open() {
          yield Buffer.from(text);
        },
      };
      return download;
    },
    held: async () => null,
    keep: async () => await Promise.reject(new Error('nothing is kept')),
  };
  return { client, asked };
}

test('pages are taken in batches from the oldest, then only the newest, and nothing when nothing changed', async () => {
  let total = 530;
  let changed = 0;
  const { client, asked } = api(
    () => total,
    () => changed,
  );
  const first = await noticePages.plan(client, { state: null });
  expect([first.files.length, first.more, first.whole]).toEqual([25, true, false]);
  const second = await noticePages.plan(client, { state: first.state });
  expect(second.more).toBe(false);
  expect(second.files.map(({ name }) => name).at(-1)).toBe('notices-from-520.json');
  asked.length = 0;
  const third = await noticePages.plan(client, { state: second.state });
  expect(asked).toEqual([460, 480, 500, 520]);
  expect(await noticePages.plan(client, { state: third.state })).toMatchObject({ files: [], more: false });
  total = 541;
  expect((await noticePages.plan(client, { state: third.state })).files.map(({ name }) => name)).toContain(
    'notices-from-540.json',
  );
  total = 530;
  changed = 1;
  expect((await noticePages.plan(client, { state: third.state })).files).toHaveLength(4);
});
