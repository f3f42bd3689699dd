/**
 * How feeds are got from their publishers: one file, several files, or documents that an index lists. Each is a
 * {@link FeedSource}; OSV's, which is a mixture, is in osv-downloads.ts.
 */
import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import {
  FeedFetchError,
  type FeedClient,
  type FeedDownload,
  type FeedSource,
  type Feed,
  type FetchOptions,
} from './feed.ts';

/** How a feed is downloaded; null when it cannot be. */
export function sourceOf(feed: Feed): FeedSource | null {
  if (feed.url === null || feed.downloads === null) return null;
  return feed.downloads ?? oneFile;
}

const FilesState = Type.Object({ files: Type.Record(Type.String(), Type.String()) });
type FilesState = Static<typeof FilesState>;
const validFilesState = Compile(FilesState);

/** Name → SHA-256 of what was imported last; null when that is not known. */
function filesOf(state: unknown): FilesState['files'] | null {
  return validFilesState.Check(state) ? state.files : null;
}

/** The one file at the feed's address. */
export const oneFile: FeedSource = {
  async plan(client, { state }) {
    return severalPlan([await client.fetch(client.url)], state, true);
  },
};

/**
 * Several files, such as one for each release.
 *
 * @param addresses relative to the feed's address, or computed from an index that is fetched with the client
 * @param together true when only all of them make the feed: one that changed then has all of them imported, since a record
 *   that is in none of them is withdrawn. False: only those that changed are imported
 */
export function severalFiles(
  addresses: readonly string[] | ((client: FeedClient) => Promise<readonly string[]>),
  together: boolean,
): FeedSource {
  return {
    async plan(client, { state }) {
      const wanted = typeof addresses === 'function' ? await addresses(client) : addresses;
      const files = await inOrder(
        wanted.map((address) => new URL(address, client.url).href),
        (url) => client.fetch(url),
      );
      return severalPlan(files, state, together);
    },
  };
}

function severalPlan(files: readonly FeedDownload[], state: unknown, together: boolean) {
  const before = filesOf(state);
  const now = Object.fromEntries(files.map((file) => [file.name, file.sha256]));
  const changed = files.filter((file) => before?.[file.name] !== file.sha256);
  const gone = Object.keys(before ?? {}).some((name) => now[name] === undefined);
  if (together) {
    return { files: changed.length > 0 || gone ? files : [], whole: true, state: { files: now } };
  }
  return { files: changed, whole: before === null, state: { files: now } };
}

/** One entry of a publisher's index. */
export interface IndexedDocument {
  /** Relative to the feed's address, or whole. */
  readonly url: string;
  /** When the document was last changed, as the index says; compared as text, so always in the same form (ISO 8601 in UTC). */
  readonly modified: string;
}

const IndexState = Type.Object({
  /** Of the last document that was imported, in the order of time and address. */
  modified: Type.String(),
  url: Type.String(),
  /** SHA-256 of the index when everything in it was imported; null while documents are left. */
  index: Type.Union([Type.String(), Type.Null()]),
});
const validIndexState = Compile(IndexState);

export interface IndexedOptions {
  /** Relative to the feed's address. */
  readonly index: string;
  /** Reads the index. Entries that do not belong to the feed are left out; the order does not matter. */
  readonly read: (index: FeedDownload) => Promise<readonly IndexedDocument[]>;
  /** Documents a transaction. Default 500. */
  readonly batch?: number;
  /** Fetched at the same time. Default 4. */
  readonly concurrency?: number;
}

/**
 * Documents that an index lists with the time of their last change, such as MSRC's months and Red Hat's CSAF directory. They
 * are taken from the oldest change to the newest, a batch a transaction, so an interruption loses at most one batch. A
 * document that the index lists and the publisher does not have (404) is passed over: it comes back with a new time.
 */
export function indexedDocuments(options: IndexedOptions): FeedSource {
  const batchSize = options.batch ?? 500;
  return {
    async plan(client, last) {
      const before = validIndexState.Check(last.state) ? last.state : null;
      const index = await client.fetch(new URL(options.index, client.url).href, { name: 'index' });
      if (before !== null && before.index === index.sha256) {
        return { files: [], whole: false, state: before };
      }
      const entries = [...(await options.read(index))].sort(byTime);
      const left = before === null ? entries : entries.filter((entry) => byTime(entry, before) > 0);
      const batch = left.slice(0, batchSize);
      const { files, done, failure } = await fetchBatch(client, batch, options.concurrency ?? 4);
      // what came before the failure is imported first; the next plan meets the failure at its beginning
      if (failure !== null && done === 0) throw failure;
      const more = failure !== null || left.length > batch.length;
      const newest = batch[done - 1] ?? before ?? { modified: '', url: '' };
      return {
        files,
        whole: false,
        more,
        state: { modified: newest.modified, url: newest.url, index: more ? null : index.sha256 },
      };
    },
  };
}

function byTime(a: IndexedDocument, b: IndexedDocument): number {
  if (a.modified !== b.modified) return a.modified < b.modified ? -1 : 1;
  return a.url < b.url ? -1 : Number(a.url > b.url);
}

async function fetchBatch(
  client: FeedClient,
  batch: readonly IndexedDocument[],
  concurrency: number,
): Promise<{ files: FeedDownload[]; done: number; failure: FeedFetchError | null }> {
  const files: FeedDownload[] = [];
  for (let at = 0; at < batch.length; at += concurrency) {
    const few = batch.slice(at, at + concurrency);
    const results = await Promise.allSettled(
      few.map((entry) => fetchIfThere(client, new URL(entry.url, client.url).href)),
    );
    for (const [i, result] of results.entries()) {
      if (result.status === 'fulfilled') {
        if (result.value !== null) files.push(result.value);
        continue;
      }
      const reason: unknown = result.reason;
      if (!(reason instanceof FeedFetchError)) throw reason;
      return { files, done: at + i, failure: reason };
    }
  }
  return { files, done: batch.length, failure: null };
}

/** A file that an index lists; null when the publisher does not have it (any more). */
export async function fetchIfThere(
  client: FeedClient,
  url: string,
  options?: FetchOptions,
): Promise<FeedDownload | null> {
  try {
    return await client.fetch(url, options);
  } catch (error) {
    if (error instanceof FeedFetchError && error.code === 'file_not_found') return null;
    throw error;
  }
}

async function inOrder<T>(urls: readonly string[], get: (url: string) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (const url of urls) results.push(await get(url));
  return results;
}
