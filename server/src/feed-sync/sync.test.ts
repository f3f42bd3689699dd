import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, describe, expect, test } from 'vitest';
import type { Feed } from '../feed/feed.ts';
import { feeds } from '../feed/feeds.ts';
import { severalFiles, sourceOf } from '../feed/downloads.ts';
import { feedClient } from './client.ts';
import { allFeeds, changeSetting, dueFeeds, requestSync } from './commands.ts';
import { pruneFiles, startFeedSyncs } from './due.ts';
import { cutAfter } from './publisher-double.ts';
import { lineFeed, lines, syncTest, type SyncTest } from './sync-double.ts';
import { syncFeed } from './sync.ts';

const open: SyncTest[] = [];
async function oneFeed(changes: Partial<Feed> = {}, config = {}) {
  const made = await syncTest((url) => [lineFeed('epss', `${url}/feed`, changes)], { config });
  open.push(made);
  const [feed] = made.parts.feeds;
  if (feed === undefined) throw new Error('one feed');
  return { ...made, feed, sync: (parts = made.parts, signal?: AbortSignal) => syncFeed(parts, feed, signal) };
}
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});
const person = { kind: 'person', name: 'ada@example.org' } as const;

test('a feed comes, is found unchanged for nothing, and comes again when it is another', async () => {
  const t = await oneFeed();
  t.from.publish('/feed', lines(1, 2, 3));
  expect(await t.sync()).toMatchObject({ outcome: 'imported', imports: [{ added: 3 }] });
  expect(await t.sync()).toEqual({ outcome: 'skipped', why: 'not_due' });
  t.clock.pass(7 * 3600);
  const before = t.from.sent();
  expect(await t.sync()).toEqual({ outcome: 'not_modified', bytes: 0 });
  expect(t.from.sent()).toBe(before);
  t.clock.pass(7 * 3600);
  t.from.publish('/feed', lines(1, 2, 4));
  expect(await t.sync()).toMatchObject({ imports: [{ added: 1, withdrawn: 1, unchanged: 2 }] });
  const [status] = await allFeeds(t.parts);
  expect(status).toMatchObject({
    records: 3,
    stale: false,
    published_at: '2026-03-01T06:00:00.000Z',
    last_error: null,
    age: { state: 'current', seconds: 0 },
    sync: { possible: true, enabled: true, outcome: 'imported', failures: 0, error: null, phase: 'idle' },
  });
  expect(await t.audit('feed.imported')).toHaveLength(2);
});

describe('failures', () => {
  test('wait longer each time, are told, and end; what is held stays', async () => {
    const t = await oneFeed();
    t.from.publish('/feed', lines(1));
    await t.sync();
    t.from.behave('/feed', (_request, response) => response.writeHead(500).end());
    const waits: number[] = [];
    for (let i = 0; i < 4; i++) {
      t.clock.pass(7 * 3600);
      expect(await t.sync()).toMatchObject({ outcome: 'failed', code: 'publisher_failed' });
      const [status] = await allFeeds(t.parts);
      waits.push((Date.parse(status?.sync.next_attempt_at ?? '') - t.clock.now().getTime()) / 1000);
    }
    waits.forEach((wait, i) => {
      expect(wait).toBeGreaterThanOrEqual(30 * 2 ** i);
      expect(wait).toBeLessThanOrEqual(60 * 2 ** i);
    });
    expect((await allFeeds(t.parts))[0]).toMatchObject({
      records: 1,
      last_error: expect.stringContaining('answered 500'),
      sync: { failures: 4, error: { code: 'publisher_failed' } },
    });
    expect(await t.audit('feed.failed')).toHaveLength(1);
    t.from.behave('/feed', null);
    t.clock.pass(7 * 3600);
    expect(await t.sync()).toMatchObject({ outcome: 'not_modified' });
    expect((await allFeeds(t.parts))[0]).toMatchObject({
      last_error: null,
      sync: { failures: 0, error: null },
    });
    expect(await t.audit('feed.recovered')).toMatchObject([{ after: { failures: 4 } }]);
  });

  test('Retry-After is waited for', async () => {
    const t = await oneFeed();
    t.from.behave('/feed', (_request, response) => response.writeHead(429, { 'retry-after': '1800' }).end());
    await t.sync();
    t.clock.pass(1799);
    expect(await dueFeeds(t.parts)).toEqual([]);
    t.clock.pass(1);
    expect(await dueFeeds(t.parts)).toHaveLength(1);
  });

  test('a file that was refused is not tried again until it is another, or somebody asks', async () => {
    const t = await oneFeed();
    t.from.publish('/feed', '! nonsense');
    expect(await t.sync()).toMatchObject({ outcome: 'failed', code: 'not_this_format' });
    t.clock.pass(7 * 3600);
    expect(await t.sync()).toMatchObject({ outcome: 'failed', code: 'not_this_format' });
    expect(await t.audit('feed.failed')).toHaveLength(1);
    await requestSync(t.parts, person, 'epss', { allowShrink: false });
    await t.sync();
    expect(await t.audit('feed.failed')).toHaveLength(2);
    t.from.publish('/feed', lines(1));
    t.clock.pass(7 * 3600);
    expect(await t.sync()).toMatchObject({ outcome: 'imported' });
  });

  test('a file that lacks most of what is held is refused, and taken when somebody says so', async () => {
    const t = await oneFeed();
    t.from.publish('/feed', lines(...Array.from({ length: 100 }, (_, i) => i + 1)));
    await t.sync();
    t.clock.pass(7 * 3600);
    t.from.publish('/feed', lines(1, 2));
    expect(await t.sync()).toMatchObject({ outcome: 'failed', code: 'feed_implausible_loss' });
    expect((await t.records('epss')).length).toBe(100);
    await requestSync(t.parts, person, 'epss', { allowShrink: true });
    expect(await t.sync()).toMatchObject({ outcome: 'imported' });
    expect(await t.records('epss')).toHaveLength(2);
  });

  test('of our own are noted too, and do not stop the schedule', async () => {
    const t = await oneFeed({
      parse() {
        throw new TypeError('a fault of the parser');
      },
    });
    t.from.publish('/feed', lines(1));
    expect(await t.sync()).toMatchObject({ outcome: 'failed', code: 'sync_fault' });
    expect(await dueFeeds(t.parts)).toEqual([]);
  });
});

test('a server that ends between download and import does not download again', async () => {
  const t = await oneFeed();
  t.from.publish('/feed', lines(1, 2));
  // all that a sync does up to there; a process that ends then notes nothing more
  const client = feedClient(t.parts, t.feed, `${t.from.url}/feed`, {});
  expect((await sourceOf(t.feed)?.plan(client, { state: null }))?.files).toHaveLength(1);
  const before = t.from.sent();
  expect(await t.sync(t.restarted())).toMatchObject({ outcome: 'imported', bytes: 0 });
  expect(t.from.sent()).toBe(before);
  expect(await t.records('epss')).toHaveLength(2);
});

test('a server that is stopped within a download goes on with the rest, and nothing counts as failed', async () => {
  const t = await oneFeed();
  const content = Buffer.from(lines(...Array.from({ length: 9000 }, (_, i) => i + 1)));
  t.from.publish('/feed', content, { etag: '"v1"' });
  const stop = new AbortController();
  t.from.behave('/feed', (_request, response) => {
    response.writeHead(200, { etag: '"v1"', 'content-length': String(content.length) });
    response.write(content.subarray(0, 50_000), () => setTimeout(() => stop.abort(new Error('stop')), 100));
  });
  expect(await t.sync(t.parts, stop.signal)).toEqual({ outcome: 'skipped', why: 'stopped' });
  expect((await allFeeds(t.parts))[0]?.sync).toMatchObject({ failures: 0, phase: 'waiting', error: null });
  t.from.behave('/feed', null);
  const before = t.from.sent();
  expect(await t.sync(t.restarted())).toMatchObject({ outcome: 'imported', imports: [{ added: 9000 }] });
  expect(t.from.sent() - before).toBe(content.length - 50_000);
});

test('a file that was damaged on disk is found out before it counts, and fetched again', async () => {
  const t = await oneFeed();
  t.from.publish('/feed', lines(1, 2));
  await t.sync();
  // as after a new version of the product, which reads everything again
  await t.database.db.updateTable('feed_sync').set({ state_version: 'older' }).execute();
  const folder = join(t.folder, 'feeds', 'sha256');
  const path = (await readdir(folder, { recursive: true })).find((name) => name.length > 60);
  await writeFile(join(folder, path ?? ''), lines(8, 9));
  t.clock.pass(7 * 3600);
  expect(await t.sync()).toMatchObject({ outcome: 'failed', code: 'kept_file_damaged' });
  expect(await t.records('epss')).toEqual(lines(1, 2).trim().split('\n'));
  t.clock.pass(7 * 3600);
  expect(await t.sync()).toMatchObject({ outcome: 'imported', imports: [{ unchanged: 2 }] });
});

test('of two replicas, exactly one syncs', async () => {
  const t = await oneFeed();
  t.from.publish('/feed', lines(1));
  const first = lines(1);
  t.from.behave('/feed', (_request, response) => {
    setTimeout(() => response.end(first), 300);
  });
  const outcomes = await Promise.all([t.sync(), t.sync(t.restarted())]);
  expect(outcomes.map((one) => one.outcome).sort()).toEqual(['imported', 'skipped']);
  expect(t.from.asked).toHaveLength(1);
  expect(await t.audit('feed.imported')).toHaveLength(1);
});

test('several files: unchanged ones cost nothing, and a record that is in none of them is withdrawn', async () => {
  const t = await oneFeed({ downloads: severalFiles(['a', 'b', 'c'], true) });
  t.from.publish('/a', lines(1, 2));
  t.from.publish('/b', lines(3));
  t.from.publish('/c', lines(4));
  expect(await t.sync()).toMatchObject({ imports: [{ added: 4, withdrawn: 0 }] });
  t.clock.pass(7 * 3600);
  t.from.publish('/b', lines(5));
  const before = t.from.sent();
  expect(await t.sync()).toMatchObject({ imports: [{ added: 1, withdrawn: 1, unchanged: 3 }] });
  expect(t.from.sent() - before).toBe(lines(5).length);
  // one of a whole that cannot be read: nothing changes
  t.clock.pass(7 * 3600);
  t.from.publish('/c', '! nonsense');
  expect(await t.sync()).toMatchObject({ outcome: 'failed', code: 'not_this_format' });
  expect(await t.records('epss')).toHaveLength(4);
});

test('of several files that are no whole, only the changed are read, and a bad one is a rejection', async () => {
  const t = await oneFeed({ complete: false, downloads: severalFiles(['a', 'b'], false) });
  t.from.publish('/a', lines(1, 2));
  t.from.publish('/b', lines(3));
  await t.sync();
  t.clock.pass(7 * 3600);
  t.from.publish('/a', '! nonsense');
  t.from.publish('/b', lines(4));
  const outcome = await t.sync();
  expect(outcome).toMatchObject({ imports: [{ read: 1, added: 1, withdrawn: 0, rejected: 1 }] });
  expect(await t.records('epss')).toHaveLength(4);
});

describe('schedule', () => {
  const until = async (what: () => Promise<boolean>): Promise<void> => {
    for (let i = 0; i < 200; i++) {
      if (await what()) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error('it did not come to that');
  };
  test('a feed that hangs or fails keeps no other from its turn', { timeout: 30_000 }, async () => {
    const t = await syncTest((url) => [
      lineFeed('epss', `${url}/hangs`),
      lineFeed('cisa-kev', `${url}/fails`),
      lineFeed('debian-osv', `${url}/works`),
    ]);
    open.push(t);
    t.from.behave('/hangs', () => undefined);
    t.from.behave('/fails', cutAfter(Buffer.alloc(9), 3, {}));
    t.from.publish('/works', lines(1));
    const syncs = startFeedSyncs(t.parts, { lookMilliseconds: 20 });
    try {
      await until(async () => (await t.records('debian-osv')).length === 1);
      const states = await allFeeds(t.parts);
      expect(states.find((one) => one.id === 'epss')?.sync).toMatchObject({ phase: 'downloading' });
      await until(
        async () => (await allFeeds(t.parts)).filter((one) => one.sync.failures === 1).length === 2,
      );
    } finally {
      await syncs.stop();
    }
  });
  test('what was asked for is done by whoever runs, though nothing is enabled', async () => {
    const t = await oneFeed({}, { feedSync: 'enabled' });
    t.from.publish('/feed', lines(1));
    expect(await dueFeeds(t.parts)).toEqual([]);
    expect(await requestSync(t.parts, person, 'epss', { allowShrink: false })).toMatchObject({
      ok: true,
      value: { sync: { enabled: false, phase: 'waiting' } },
    });
    const syncs = startFeedSyncs(t.restarted(), { lookMilliseconds: 20 });
    try {
      await until(async () => (await t.records('epss')).length === 1);
      await until(async () => (await dueFeeds(t.parts)).length === 0);
    } finally {
      await syncs.stop();
    }
    expect(await t.audit('feed.sync_requested')).toHaveLength(1);
  });
  test('settings: enabled, a mirror, an interval; each change is in the trail without its password', async () => {
    const t = await oneFeed({}, { feedSync: 'enabled' });
    t.from.publish('/mirror', lines(7));
    const url = `${t.from.url.replace('//', '//user:secret@')}/mirror`;
    const set = await changeSetting(t.parts, person, 'epss', { enabled: true, url, interval_seconds: 600 });
    expect(set).toMatchObject({
      value: { sync: { enabled: true, url: `${t.from.url}/mirror`, interval_seconds: 600 } },
    });
    expect(await t.sync()).toMatchObject({ outcome: 'imported' });
    t.clock.pass(661);
    expect(await dueFeeds(t.parts)).toHaveLength(1);
    await changeSetting(t.parts, person, 'epss', { enabled: false });
    expect(await dueFeeds(t.parts)).toEqual([]);
    const trail = JSON.stringify(await t.audit('feed.setting_changed'));
    expect(trail).toContain('/mirror');
    expect(trail).not.toContain('secret');
    expect(
      JSON.stringify(await t.database.db.selectFrom('feed_download').selectAll().execute()),
    ).not.toContain('secret');
  });
  test('off is off, whoever asks; a feed without an address cannot be asked for', async () => {
    const t = await oneFeed({}, { feedSync: 'off' });
    expect(await requestSync(t.parts, person, 'epss', { allowShrink: false })).toMatchObject({
      code: 'feed_sync_off',
    });
    const byHand = {
      ...t.parts,
      feeds: [lineFeed('epss', null), lineFeed('cisa-kev', 'https://x.invalid/', { downloads: null })],
    };
    for (const id of ['epss', 'cisa-kev']) {
      expect(await requestSync(byHand, person, id, { allowShrink: false })).toMatchObject({
        code: 'feed_not_downloadable',
      });
    }
    expect(await requestSync(t.parts, person, 'nothing', { allowShrink: false })).toMatchObject({
      code: 'feed_not_found',
    });
  });
});

test('files that nothing refers to any more are removed', async () => {
  const t = await oneFeed();
  t.from.publish('/feed', lines(1));
  await t.sync();
  t.clock.pass(7 * 3600);
  t.from.publish('/feed', lines(2));
  await t.sync();
  const years = {
    ...t.parts,
    context: { ...t.context, clock: { now: () => new Date('2099-01-01T00:00:00Z') } },
  };
  expect(await pruneFiles(t.parts)).toBe(0);
  expect(await pruneFiles(years)).toBe(1);
  t.clock.pass(7 * 3600);
  expect(await t.sync()).toMatchObject({ outcome: 'not_modified' });
});

test('every feed that can be downloaded is asked for over https, and in the form that it reads', async () => {
  for (const feed of feeds) if (sourceOf(feed) !== null) expect(feed.url, feed.id).toMatch(/^https:/);
  const t = await oneFeed({ accept: 'application/json' });
  t.from.publish('/feed', lines(1));
  await t.sync();
  expect(t.from.asked[0]?.headers.accept).toBe('application/json');
});

test('a database that ends the connection which holds the turn ends neither the sync nor the server', async () => {
  const t = await oneFeed();
  const content = lines(1);
  t.from.behave('/feed', (_request, response) => {
    setTimeout(() => response.end(content), 400);
  });
  const syncing = t.sync().then(
    (outcome) => outcome.outcome,
    () => 'thrown',
  );
  await new Promise((resolve) => setTimeout(resolve, 200));
  const { rows } = await sql<{ ended: boolean }>`
    select pg_terminate_backend(pid) as ended from pg_locks
    where locktype = 'advisory' and classid = 4206011
      and database = (select oid from pg_database where datname = current_database())`.execute(t.database.db);
  expect(rows).toEqual([{ ended: true }]);
  expect(await syncing).toBe('imported');
  expect(await t.records('epss')).toHaveLength(1);
});

test('pages of one address that differ in their query alone are files of their own', async () => {
  const t = await oneFeed();
  t.from.behave('/pages', (request, response) => {
    const date = 'Sun, 01 Mar 2026 06:00:00 GMT';
    if (request.headers['if-modified-since'] === date) response.writeHead(304).end();
    else response.writeHead(200, { 'last-modified': date }).end(request.url);
  });
  const client = feedClient(t.parts, t.feed, `${t.from.url}/pages`, {});
  const page = async (query: string) => {
    const file = await client.fetch(`${t.from.url}/pages?${query}`);
    const chunks: Uint8Array[] = [];
    for await (const chunk of file.open()) chunks.push(chunk);
    return { url: file.url, text: Buffer.concat(chunks).toString() };
  };
  const url = `${t.from.url}/pages`;
  expect(await page('token=secret&offset=0')).toEqual({ url, text: '/pages?token=secret&offset=0' });
  expect(await page('token=secret&offset=20')).toEqual({ url, text: '/pages?token=secret&offset=20' });
  const before = t.from.sent();
  expect(await page('token=secret&offset=0')).toEqual({ url, text: '/pages?token=secret&offset=0' });
  expect(t.from.sent()).toBe(before);
  const rows = await t.database.db.selectFrom('feed_download').select('url').execute();
  expect(JSON.stringify(rows)).not.toContain('secret');
});
