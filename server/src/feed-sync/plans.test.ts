/** The building blocks of feed/downloads.ts and feed/osv-downloads.ts, with a real publisher, store and import. */
import { afterEach, describe, expect, test } from 'vitest';
import { indexedDocuments, type IndexedDocument } from '../feed/downloads.ts';
import type { Feed, FeedDownload } from '../feed/feed.ts';
import { osvDownloads } from '../feed/osv-downloads.ts';
import { lineFeed, lines, syncTest, type SyncTest } from './sync-double.ts';
import { syncFeed } from './sync.ts';

const open: SyncTest[] = [];
async function oneFeed(path: string, changes: Partial<Feed>) {
  const made = await syncTest((url) => [lineFeed('epss', `${url}${path}`, changes)]);
  open.push(made);
  const [feed] = made.parts.feeds;
  if (feed === undefined) throw new Error('one feed');
  return {
    ...made,
    async sync() {
      made.clock.pass(25 * 3600);
      return await syncFeed(made.parts, feed);
    },
    /** What was asked since it was asked last. */
    asked() {
      return made.from.asked.splice(0).map((one) => one.path);
    },
  };
}
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});
const id = (n: number): string => `CVE-2026-${String(n).padStart(4, '0')}`;

describe('an index of documents', () => {
  const read = async (index: FeedDownload): Promise<IndexedDocument[]> => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of index.open()) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    return text
      .trim()
      .split('\n')
      .map((line) => {
        const [url = '', modified = ''] = line.split(',');
        return { url, modified };
      });
  };
  const source = indexedDocuments({ index: 'changes.csv', read, batch: 3, concurrency: 2 });
  const setUp = async () => {
    const t = await oneFeed('/docs/', { complete: false, downloads: source });
    const documents = new Map<number, string>();
    const publish = (n: number, modified: string, text = lines(n)): void => {
      t.from.publish(`/docs/${String(n)}`, text);
      documents.set(n, modified);
      const index = [...documents].map(([m, at]) => `${String(m)},${at}`).join('\n');
      t.from.publish('/docs/changes.csv', index);
    };
    return { ...t, publish, documents };
  };

  test('is worked through in batches, each in a transaction, and afterwards only what changed', async () => {
    const t = await setUp();
    for (let n = 1; n <= 7; n++) t.publish(n, `2026-01-0${String(n)}T00:00:00Z`);
    expect(await t.sync()).toMatchObject({ imports: [{ added: 3 }, { added: 3 }, { added: 1 }] });
    t.asked();
    expect(await t.sync()).toMatchObject({ outcome: 'not_modified', bytes: 0 });
    expect(t.asked()).toEqual(['/docs/changes.csv']);
    t.publish(2, '2026-02-01T00:00:00Z', `${id(2)} changed\n`);
    t.publish(8, '2026-02-02T00:00:00Z');
    expect(await t.sync()).toMatchObject({ imports: [{ added: 1, changed: 1, withdrawn: 0 }] });
    expect(t.asked().sort()).toEqual(['/docs/2', '/docs/8', '/docs/changes.csv']);
    expect(await t.records('epss')).toHaveLength(8);
  });

  test('that breaks off keeps what came, and goes on there', async () => {
    const t = await setUp();
    for (let n = 1; n <= 7; n++) t.publish(n, `2026-01-0${String(n)}T00:00:00Z`);
    t.from.behave('/docs/5', (_request, response) => response.writeHead(503).end());
    expect(await t.sync()).toMatchObject({ outcome: 'failed', code: 'publisher_failed' });
    expect(await t.records('epss')).toHaveLength(4);
    t.from.behave('/docs/5', null);
    t.asked();
    expect(await t.sync()).toMatchObject({ imports: [{ added: 3 }] });
    expect(t.asked()).not.toContain('/docs/4');
    expect(await t.records('epss')).toHaveLength(7);
  });

  test('passes over what it lists and the publisher does not have, and rejects what cannot be read', async () => {
    const t = await setUp();
    t.publish(1, '2026-01-01T00:00:00Z');
    t.publish(2, '2026-01-02T00:00:00Z', '! nonsense');
    t.publish(3, '2026-01-03T00:00:00Z');
    t.from.behave('/docs/1', (_request, response) => response.writeHead(404).end());
    expect(await t.sync()).toMatchObject({ imports: [{ added: 1, rejected: 1 }] });
    expect(await t.sync()).toMatchObject({ outcome: 'not_modified' });
  });
});

describe('OSV', () => {
  const json = (n: number, title = ''): string => `{"id":"${id(n)}"}${title === '' ? '' : ` ${title}`}`;
  const setUp = async () => {
    const t = await oneFeed('/Debian/all.zip', { downloads: osvDownloads });
    const zip = (numbers: number[], at: string): void =>
      t.from.publish('/Debian/all.zip', lines(...numbers), { lastModified: at });
    const list = (...rows: (readonly [at: string, n: number | string])[]): void =>
      t.from.publish(
        '/Debian/modified_id.csv',
        rows.map(([at, n]) => `${at},${typeof n === 'number' ? id(n) : n}\n`).join(''),
      );
    const record = (n: number, text = json(n)): void => t.from.publish(`/Debian/${id(n)}.json`, text);
    return { ...t, zip, list, record };
  };
  const whole = Array.from({ length: 30 }, (_, i) => i + 1);

  test('everything first, then only the records that the list names, until a week is over', async () => {
    const t = await setUp();
    t.zip(whole, 'Mon, 02 Mar 2026 10:00:00 GMT');
    t.list(['2026-03-02T05:00:00Z', 1], ['2026-03-01T05:00:00Z', 2]);
    expect(await t.sync()).toMatchObject({ imports: [{ added: 30 }] });
    expect(t.asked()).toEqual(['/Debian/modified_id.csv', '/Debian/all.zip']);
    expect(await t.sync()).toMatchObject({ outcome: 'not_modified', bytes: 0 });
    expect(t.asked()).toEqual(['/Debian/modified_id.csv']);

    t.record(31);
    t.record(1, '{"id":"CVE-2026-0001"}');
    t.list(
      ['2026-03-04T05:00:00Z', 31],
      ['2026-03-03T06:00:00Z', 'Debian/CVE-2026-0001'],
      ['2026-03-01T05:00:00Z', 2],
    );
    expect(await t.sync()).toMatchObject({ imports: [{ read: 2, added: 1, changed: 1, withdrawn: 0 }] });
    expect(t.asked().sort()).toEqual([
      '/Debian/CVE-2026-0001.json',
      '/Debian/CVE-2026-0031.json',
      '/Debian/modified_id.csv',
    ]);
    t.record(32);
    t.list(['2026-03-05T05:00:00Z', 32], ['2026-03-04T05:00:00Z', 31], ['2026-03-03T06:00:00Z', 1]);
    // the changes since the zip are one file, so that a bundle has them all
    expect(await t.sync()).toMatchObject({ imports: [{ read: 3, added: 1, unchanged: 2 }] });
    const held = await t.database.db.selectFrom('feed_file').select('name').orderBy('ordinal').execute();
    expect(held.map((row) => row.name)).toEqual(['Debian/all.zip', 'changes-since-all.jsonl']);

    t.clock.pass(7 * 86_400);
    // two were withdrawn in the meantime, which no list of changes tells
    t.zip([...whole.slice(2), 31, 32], 'Thu, 12 Mar 2026 10:00:00 GMT');
    expect(await t.sync()).toMatchObject({ imports: [{ withdrawn: 2 }] });
    expect(await t.records('epss')).toHaveLength(30);
  });

  test('records that are newer than the zip come with it', async () => {
    const t = await setUp();
    t.zip(whole, 'Mon, 02 Mar 2026 10:00:00 GMT');
    t.record(40);
    t.list(['2026-03-02T09:30:00Z', 40], ['2026-03-02T01:00:00Z', 1]);
    expect(await t.sync()).toMatchObject({ imports: [{ added: 31 }] });
    expect(t.asked()).not.toContain('/Debian/CVE-2026-0001.json');
  });

  test('many changes: the zip instead', async () => {
    const t = await setUp();
    t.zip(whole, 'Mon, 02 Mar 2026 10:00:00 GMT');
    t.list(['2026-03-02T05:00:00Z', 1]);
    await t.sync();
    t.asked();
    const many = Array.from({ length: 1001 }, (_, i) => ['2026-03-04T05:00:00Z', 5000 + i] as const);
    t.list(...many);
    t.zip([...whole, 50], 'Tue, 03 Mar 2026 10:00:00 GMT');
    expect(await t.sync()).toMatchObject({ imports: [{ added: 1 }] });
    expect(t.asked().slice(0, 2)).toEqual(['/Debian/modified_id.csv', '/Debian/all.zip']);
  });

  test('a record that is gone is left to the next zip; a list that is none is refused', async () => {
    const t = await setUp();
    t.zip(whole, 'Mon, 02 Mar 2026 10:00:00 GMT');
    t.list(['2026-03-02T05:00:00Z', 1]);
    await t.sync();
    t.list(['2026-03-04T05:00:00Z', 77]);
    expect((await t.sync()).outcome).not.toBe('failed');
    expect(await t.records('epss')).toHaveLength(30);
    for (const row of [
      ['2026-03-05T05:00:00Z', '../../etc/passwd?'],
      ['yesterday', 1],
    ] as const) {
      t.list(row);
      expect(await t.sync()).toMatchObject({ outcome: 'failed', code: 'index_unusable' });
    }
    expect(t.from.asked.some((one) => one.path.includes('passwd'))).toBe(false);
  });

  test('without a list it is one file', async () => {
    const t = await setUp();
    t.zip(whole, 'Mon, 02 Mar 2026 10:00:00 GMT');
    expect(await t.sync()).toMatchObject({ imports: [{ added: 30 }] });
    expect(await t.sync()).toMatchObject({ outcome: 'not_modified' });
  });

  test('whose changes are no longer on this disk begins anew', async () => {
    const t = await setUp();
    t.zip(whole, 'Mon, 02 Mar 2026 10:00:00 GMT');
    t.list(['2026-03-02T05:00:00Z', 1]);
    await t.sync();
    t.record(31);
    t.list(['2026-03-04T05:00:00Z', 31]);
    await t.sync();
    t.asked();
    await t.database.db.deleteFrom('feed_file').where('name', '=', 'changes-since-all.jsonl').execute();
    t.record(32);
    t.zip([...whole, 31, 32], 'Wed, 04 Mar 2026 10:00:00 GMT');
    t.list(['2026-03-04T06:00:00Z', 32], ['2026-03-04T05:00:00Z', 31]);
    expect(await t.sync()).toMatchObject({ outcome: 'imported' });
    expect(t.asked()).toContain('/Debian/all.zip');
    expect(await t.records('epss')).toHaveLength(32);
  });
});
