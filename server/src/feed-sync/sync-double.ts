/** For tests only: a server with two feeds of a made-up format, and a publisher for them on loopback. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import type { Room } from '../app.ts';
import type { Config } from '../config.ts';
import { FeedFormatError, type Feed } from '../feed/feed.ts';
import { linesOf, openInput } from '../feed/input.ts';
import { rejection } from '../feed/record.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { feedFiles } from './files.ts';
import { syncParts, type SyncParts } from './parts.ts';
import { publisher, type Publisher } from './publisher-double.ts';

/** Lines `CVE-… title`; `title` is `withdrawn` for a withdrawn one. A file that begins with `!` is not of the format. */
export function lineFeed(id: FeedId, url: string | null, changes: Partial<Feed> = {}): Feed {
  return {
    id,
    title: `Feed ${id}`,
    publisher: 'nobody',
    licence: 'none',
    url,
    complete: true,
    staleAfterHours: 48,
    async *parse(file) {
      const input = await openInput(file);
      for await (const { text, number } of linesOf(input)) {
        if (text.startsWith('!'))
          throw new FeedFormatError('not_this_format', 'it is not lines', 'look at it');
        const [, cve, title] = /^(?:\{"id":")?(CVE-\d+-\d+)(?:"\})? ?(.*)$/.exec(text) ?? [];
        if (cve === undefined) {
          yield rejection(`line ${String(number)}`, 'line_invalid', 'it is no CVE', text);
          continue;
        }
        const withdrawnAt = title === 'withdrawn' ? '2026-01-01T00:00:00Z' : null;
        const vulnerability = {
          aliases: [],
          title: title ?? null,
          description: null,
          publishedAt: null,
          withdrawnAt,
        };
        yield {
          outcome: 'record',
          id: cve,
          raw: text,
          facts: [{ kind: 'vulnerability', id: cve, ...vulnerability }],
        };
      }
    },
    ...changes,
  };
}

export const lines = (...numbers: number[]): string =>
  numbers.map((n) => `CVE-2026-${String(n).padStart(4, '0')} number ${String(n)}\n`).join('');

export interface SyncTest extends TestApp {
  readonly from: Publisher;
  readonly parts: SyncParts;
  readonly folder: string;
  /** The parts of another process on the same data folder. */
  restarted(changes?: Partial<SyncParts>): SyncParts;
  records(feed: FeedId): Promise<string[]>;
  audit(event: string): Promise<unknown[]>;
}

export async function syncTest(
  makeFeeds: (url: string) => Feed[],
  options: { readonly rooms?: readonly Room[]; readonly config?: Partial<Config> } = {},
): Promise<SyncTest> {
  const folder = await mkdtemp(join(tmpdir(), 'fixpoint-sync-'));
  const from = await publisher();
  const test = await testApp(options.rooms ?? [], {
    config: { dataFolder: folder, feedSync: 'on', ...options.config },
  });
  const made = makeFeeds(from.url);
  const limits = { idleSeconds: 2, totalSeconds: 20 };
  const parts = syncParts(test.context, { feeds: made, limits });
  return {
    ...test,
    from,
    folder,
    parts,
    restarted: (changes = {}) =>
      syncParts(test.context, { feeds: made, limits, files: feedFiles(folder), ...changes }),
    async records(feed) {
      const rows = await test.database.db
        .selectFrom('feed_record')
        .select('raw')
        .where('feed', '=', feed)
        .orderBy('record')
        .execute();
      return rows.map((row) => row.raw);
    },
    async audit(event) {
      const rows = await test.database.db
        .selectFrom('audit_event')
        .select(['subject', 'after'])
        .where('event', '=', event)
        .orderBy('sequence')
        .execute();
      return rows;
    },
    async close() {
      await test.close();
      await from.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
