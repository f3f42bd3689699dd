import { Readable } from 'node:stream';
import { afterEach, expect, test } from 'vitest';
import { extractFiles } from '../feed/extract/extract.ts';
import { alpineSecdb } from '../feed/alpine-secdb/alpine-secdb.ts';
import { cisaKev } from '../feed/cisa-kev/cisa-kev.ts';
import { loadCarriedKnowledge } from '../knowledge/carried.ts';
import { lineFeed, lines, syncTest, type SyncTest } from './sync-double.ts';
import { syncFeed } from './sync.ts';
import { importUpload } from './upload.ts';

const open: SyncTest[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});
const person = { kind: 'person', name: 'ada@example.org' } as const;
const options = { name: 'by-hand', maximumBytes: 1e6, allowShrink: false, publishedAt: null };
const bytes = (text: string) => Readable.from([Buffer.from(text)]);

test('a file that is sent while the feed is synced waits for nobody: it is refused', async () => {
  const t = await syncTest((url) => [lineFeed('epss', `${url}/feed`)]);
  open.push(t);
  const [feed] = t.parts.feeds;
  if (feed === undefined) throw new Error('a feed');
  t.from.behave('/feed', (_request, response) => {
    setTimeout(() => response.end(lines(1)), 500);
  });
  const syncing = syncFeed(t.parts, feed);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(await importUpload(t.parts, person, feed, bytes(lines(2)), options)).toMatchObject({
    code: 'feed_busy',
  });
  expect(await syncing).toMatchObject({ outcome: 'imported' });
  // afterwards it is taken, and the next sync brings the publisher's again
  expect(await importUpload(t.parts, person, feed, bytes(lines(2)), options)).toMatchObject({ ok: true });
  t.from.publish('/feed', lines(1));
  t.from.behave('/feed', null);
  t.clock.pass(25 * 3600);
  expect(await syncFeed(t.parts, feed)).toMatchObject({ imports: [{ added: 1, withdrawn: 1 }] });
});

test(
  'what the product carries does not replace a newer file of the same name',
  { timeout: 120_000 },
  async () => {
    const t = await syncTest(() => [cisaKev]);
    open.push(t);
    const carried = extractFiles.find((file) => file.feed === 'cisa-kev');
    if (carried === undefined) throw new Error('it is carried');
    const entry = {
      cveID: 'CVE-2026-9999',
      vendorProject: 'x',
      product: 'x',
      vulnerabilityName: 'x',
      dateAdded: '2026-11-01',
      shortDescription: 'x',
      requiredAction: 'x',
      dueDate: '2026-11-20',
      knownRansomwareCampaignUse: 'Unknown',
    };
    const catalogue = {
      title: 'x',
      catalogVersion: '2026.11.01',
      dateReleased: '2026-11-01T00:00:00Z',
      count: 1,
      vulnerabilities: [entry],
    };
    const sent = await importUpload(t.parts, person, cisaKev, bytes(JSON.stringify(catalogue)), {
      ...options,
      name: carried.open().name,
      publishedAt: '2026-11-01T00:00:00Z',
    });
    expect(sent).toMatchObject({ ok: true, value: { added: 1 } });
    const outcomes = await loadCarriedKnowledge(t.context);
    expect(outcomes.find((one) => one.feed === 'cisa-kev')?.outcome).toBe('newer_is_there');
    expect(await t.records('cisa-kev')).toHaveLength(1);
  },
);

test('files of the same name about different parts are kept beside each other, and a newer one of a part replaces it', async () => {
  const t = await syncTest(() => [alpineSecdb]);
  open.push(t);
  const main = (distroversion: string, version: string) =>
    bytes(
      JSON.stringify({
        reponame: 'main',
        distroversion,
        packages: [{ pkg: { name: 'zlib', secfixes: { [version]: ['CVE-2026-0001'] } } }],
      }),
    );
  const send = async (distroversion: string, version: string) =>
    await importUpload(t.parts, person, alpineSecdb, main(distroversion, version), {
      ...options,
      name: 'main.json',
    });
  for (const [release, version] of [
    ['v3.18', '1.1-r0'],
    ['v3.19', '1.1-r0'],
    ['v3.18', '1.2-r0'],
  ] as const) {
    expect(await send(release, version)).toMatchObject({ ok: true });
  }
  const files = await t.database.db.selectFrom('feed_file').select('name').orderBy('ordinal').execute();
  expect(files.map(({ name }) => name)).toEqual(['3.19/main/main.json', '3.18/main/main.json']);
});
