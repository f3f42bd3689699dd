import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { Context } from '../context.ts';
import {
  FeedFormatError,
  type Feed,
  type FeedDownload,
  type FeedFile,
  type FeedRecord,
  type FeedRejection,
} from '../feed/feed.ts';
import { importFeed, type ImportResult } from '../knowledge/import.ts';
import type { Answer } from '../refusal.ts';

export interface ImportFilesOptions {
  readonly actor: Actor;
  /** See FeedPlan. */
  readonly whole: boolean;
  readonly allowShrink: boolean;
  /** Date of what they hold; left out: the newest date that their publisher gave them. */
  readonly publishedAt?: string | null;
  readonly signal?: AbortSignal;
  readonly progress?: (records: number) => void;
}

let last: Promise<unknown> = Promise.resolve();

/** Runs one import of this process after the other: each may take a good part of its memory. */
export async function oneByOne<T>(work: () => Promise<T>): Promise<T> {
  const mine = last.then(work, work);
  last = mine.catch(() => undefined);
  return await mine;
}

/**
 * Imports the files of a plan as one, in one transaction. One that cannot be read refuses all of them where together they are
 * all of a complete feed, since records would seem withdrawn; else it is a rejection, and the rest counts.
 */
export async function importFiles(
  context: Context,
  feed: Feed,
  files: readonly FeedDownload[],
  options: ImportFilesOptions,
): Promise<Answer<ImportResult>> {
  const [only] = files;
  const single = files.length === 1 && only !== undefined;
  const together: Feed = {
    ...feed,
    // A document that is a part of the feed says everything about that part, whatever else is imported with it.
    complete: feed.complete && (options.whole || feed.partOf !== undefined),
    parse: (file) =>
      counted(single ? feed.parse(file) : each(feed, files, file, options.whole && feed.complete), options),
  };
  const publishedAt = options.publishedAt ?? newest(files.map((file) => file.publishedAt));
  const file: FeedFile = single
    ? { name: only.url ?? only.name, bytes: only.open() }
    : { name: `${feed.id} (${String(files.length)} files)`, bytes: listOf(files) };
  return await oneByOne(async () => {
    options.signal?.throwIfAborted();
    return await importFeed(context, together, file, {
      actor: options.actor,
      allowShrink: options.allowShrink,
      ...(publishedAt === null ? {} : { publishedAt: new Date(publishedAt) }),
    });
  });
}

export function newest(times: readonly (string | null)[]): string | null {
  let latest: string | null = null;
  for (const time of times) {
    if (time !== null && (latest === null || Date.parse(time) > Date.parse(latest))) latest = time;
  }
  return latest;
}

/** What stands for several files where one is expected, so that the digest of the import is one of all of them. */
async function* listOf(files: readonly FeedDownload[]): AsyncGenerator<Uint8Array> {
  for (const file of files) yield Buffer.from(`${file.sha256}  ${file.name}\n`);
}

async function* each(
  feed: Feed,
  files: readonly FeedDownload[],
  list: FeedFile,
  whole: boolean,
): AsyncGenerator<FeedRecord | FeedRejection> {
  for await (const _ of list.bytes);
  let readable = 0;
  let unreadable: FeedFormatError | null = null;
  for (const file of files) {
    try {
      for await (const item of feed.parse({ name: file.url ?? file.name, bytes: file.open() })) {
        yield item.outcome === 'record' ? item : { ...item, position: `${file.name}: ${item.position}` };
      }
      readable += 1;
    } catch (error) {
      if (whole || !(error instanceof FeedFormatError)) throw error;
      unreadable = error;
      yield {
        outcome: 'rejection',
        position: file.name,
        code: error.code,
        message: error.message,
        excerpt: '',
        record: null,
      };
    }
  }
  if (readable === 0 && unreadable !== null) throw unreadable;
}

async function* counted(
  items: AsyncIterable<FeedRecord | FeedRejection>,
  options: ImportFilesOptions,
): AsyncGenerator<FeedRecord | FeedRejection> {
  let records = 0;
  for await (const item of items) {
    options.signal?.throwIfAborted();
    if (item.outcome === 'record') options.progress?.(++records);
    yield item;
  }
}
