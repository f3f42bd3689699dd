import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { Feed, FeedDownload } from '../feed/feed.ts';
import type { ImportResult } from '../knowledge/import.ts';
import { refuse, type Answer } from '../refusal.ts';
import { transact } from '../transact.ts';
import { importFiles } from './import-files.ts';
import type { SyncParts } from './parts.ts';
import { inTurn, saveFiles, saveSync } from './store.ts';

export interface UploadOptions {
  readonly name: string;
  readonly maximumBytes: number;
  readonly allowShrink: boolean;
  /** ISO 8601; null when whoever sends it does not say. */
  readonly publishedAt: string | null;
}

/** Imports a published file that somebody sends, and keeps it, so that it can go into a bundle. */
export async function importUpload(
  parts: SyncParts,
  actor: Actor,
  feed: Feed,
  body: AsyncIterable<Uint8Array>,
  options: UploadOptions,
): Promise<Answer<ImportResult>> {
  const { context, files } = parts;
  const kept = await files.keep(`upload ${context.random.uuid()}`, body, options.maximumBytes);
  const file: FeedDownload = {
    name: options.name,
    url: null,
    ...kept,
    publishedAt: options.publishedAt,
    open: () => files.read(kept.sha256),
  };
  const whole = feed.complete && feed.partOf === undefined;
  const result = await inTurn(context.db, feed.id, async () => {
    const imported = await importFiles(context, feed, [file], {
      actor,
      whole: true,
      allowShrink: options.allowShrink,
    });
    if (!imported.ok) return imported;
    const part = await partIn(feed, file);
    const named = part === null ? file : { ...file, name: `${part}/${file.name}` };
    await transact(context.db, async (trx) => {
      await saveFiles(trx, feed.id, [named], whole);
      // it was compared with nothing, and the next sync looks at everything again
      await saveSync(trx, feed.id, { confirmed_at: null, state: null, refused_digest: null });
    });
    return imported;
  });
  if (result !== null) return result;
  return refuse(
    409,
    'feed_busy',
    `${feed.title} is being synced just now`,
    'wait until that is done (fixpoint feed status), then import the file again',
  );
}

/**
 * The part that a file is of, by its first record; null where the feed has no parts. Files of several parts are called the same
 * (`main.json`), and one must not take the place of another among those that a bundle is made of.
 */
async function partIn(feed: Feed, file: FeedDownload): Promise<string | null> {
  if (feed.partOf === undefined) return null;
  for await (const item of feed.parse({ name: file.name, bytes: file.open() })) {
    if (item.outcome === 'record') return feed.partOf(item.id);
  }
  return null;
}
