import { join } from 'node:path';
import type { Context } from '../context.ts';
import { openFileCache, type FileCache } from './cache.ts';
import { DownloadError, startDownload, type Download } from './download.ts';
import type { Repository, RepositoryFile } from './repositories.ts';
import {
  findStored,
  forgetOldest,
  removeStored,
  saveStored,
  storedTotals,
  touchStored,
  type StoredFile,
} from './store.ts';
import { askUpstream, type UpstreamFailure } from './upstream.ts';

/** What the distribution point answers a request for a file with. */
export type Found =
  | { readonly kind: 'cached'; readonly file: StoredFile; readonly stale: string | null }
  | { readonly kind: 'arriving'; readonly download: Download }
  | { readonly kind: 'not_found' }
  | {
      readonly kind: 'failed';
      readonly failure: UpstreamFailure | DownloadError['code'];
      readonly message: string;
    };

export interface DistributionOptions {
  readonly dataFolder: string;
  readonly repositories: readonly Repository[];
  readonly maximumFileBytes?: number;
  readonly idleMilliseconds?: number;
}

export interface DistributionCounts {
  /** Since this process started. */
  readonly requests: number;
  readonly served_bytes: number;
  readonly fetched_bytes: number;
  readonly from_cache: number;
  readonly damaged: number;
}

export interface Distribution {
  readonly repositories: readonly Repository[];
  readonly cache: FileCache;
  find(file: RepositoryFile): Promise<Found>;
  counted(change: { requests?: number; servedBytes?: number; fromCache?: number }): void;
  status(): Promise<DistributionCounts & { readonly files: number; readonly bytes: number }>;
  /** Settles when nothing is on its way into the cache. */
  idle(): Promise<void>;
  /** Removes what was used longest ago until no more than this is kept. */
  evict(maximumBytes: number): Promise<number>;
}

const gibibyte = 1024 ** 3;
/** When a file was used last is written at most this often. */
const touchEveryMilliseconds = 60_000;

type Parts = Pick<Context, 'db' | 'clock' | 'random' | 'log'>;

/**
 * Packages and indexes for agents, fetched once and kept. It is not trusted, by design: apt on the asset checks the
 * signature of the index and by it every hash. What is kept here is checked all the same, so that damage is found early.
 */
export async function openDistribution(context: Parts, options: DistributionOptions): Promise<Distribution> {
  const cache = await openFileCache(join(options.dataFolder, 'distribution'));
  const { repositories } = options;
  const upstream = { repositories, idleMilliseconds: options.idleMilliseconds ?? 30_000 };
  const maximumBytes = options.maximumFileBytes ?? 4 * gibibyte;
  const counts = { requests: 0, served_bytes: 0, fetched_bytes: 0, from_cache: 0, damaged: 0 };
  const underWay = new Map<string, Promise<Found>>();
  const touched = new Map<string, number>();
  const saving = new Set<Promise<void>>();

  cache.onDamage((sha256) => {
    counts.damaged += 1;
    context.log.warn(
      { sha256 },
      'a file of the distribution cache was not what it should be; it is fetched again',
    );
  });

  async function touch(url: string, fetched: boolean): Promise<void> {
    const now = context.clock.now();
    if (!fetched && now.getTime() - (touched.get(url) ?? 0) < touchEveryMilliseconds) return;
    if (touched.size > 50_000) touched.clear();
    touched.set(url, now.getTime());
    await touchStored(context.db, url, now, fetched);
  }

  /** What is kept, if it really is there and undamaged. */
  async function kept(url: string): Promise<StoredFile | null> {
    const stored = await findStored(context.db, url);
    if (stored === null) return null;
    const opened = await cache.open(stored.sha256, stored.bytes);
    if (opened === null) return null;
    await opened.handle.close();
    return stored;
  }

  async function fetchFile(file: RepositoryFile): Promise<Found> {
    const url = file.url.href;
    const stored = await kept(url);
    if (stored !== null && file.immutable) {
      await touch(url, false);
      return { kind: 'cached', file: stored, stale: null };
    }
    const answer = await askUpstream(file.url, stored, upstream);
    if (answer.kind === 'not_modified' && stored !== null) {
      await touch(url, true);
      return { kind: 'cached', file: stored, stale: null };
    }
    if (answer.kind === 'not_found') {
      if (stored !== null) await removeStored(context.db, url);
      return { kind: 'not_found' };
    }
    if (answer.kind === 'failed') {
      context.log.warn(
        { url, failure: answer.failure, kept: stored !== null },
        `upstream: ${answer.message}`,
      );
      return stored === null ? answer : { kind: 'cached', file: stored, stale: answer.message };
    }
    if (answer.kind !== 'file')
      throw new Error('a repository cannot say that what was never fetched is unchanged');
    const download = await startDownload(answer, cache, {
      name: context.random.uuid(),
      maximumBytes,
      sha256: file.sha256,
      failed: () => underWay.delete(url),
    });
    const saved = save(url, download);
    saving.add(saved);
    void saved.then(() => saving.delete(saved));
    return { kind: 'arriving', download };
  }

  async function save(url: string, download: Download): Promise<void> {
    try {
      const { sha256, bytes } = await download.done;
      counts.fetched_bytes += bytes;
      const { etag, lastModified } = download;
      await saveStored(context.db, { url, sha256, bytes, etag, lastModified }, context.clock.now());
    } catch (error) {
      context.log.warn({ url, err: error }, 'a file did not arrive as it should, and is not kept');
    } finally {
      underWay.delete(url);
    }
  }

  return {
    repositories,
    cache,
    /** Everybody who asks for a file while it is on its way gets the same download. */
    find(file) {
      const url = file.url.href;
      const waiting = underWay.get(url);
      if (waiting !== undefined) return waiting;
      const found = fetchFile(file).then(
        (answer) => {
          if (answer.kind !== 'arriving') underWay.delete(url);
          return answer;
        },
        (error: unknown) => {
          underWay.delete(url);
          throw error;
        },
      );
      underWay.set(url, found);
      return found;
    },
    counted(change) {
      counts.requests += change.requests ?? 0;
      counts.served_bytes += change.servedBytes ?? 0;
      counts.from_cache += change.fromCache ?? 0;
    },
    async status() {
      return { ...counts, ...(await storedTotals(context.db)) };
    },
    async idle() {
      await Promise.all(saving);
    },
    async evict(limit) {
      const hashes = await forgetOldest(context.db, limit);
      for (const sha256 of hashes) await cache.remove(sha256);
      return hashes.length;
    },
  };
}
