import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Clock } from '../context.ts';
import { createThrottle, realElapsing, type Elapsing, type Throttle } from './bucket.ts';
import { openFileCache, type FileCache } from './cache.ts';
import { DownloadError, startDownload, type Download, type UpstreamFile } from './download.ts';
import type { FileIndex, StoredFile } from './file-index.ts';
import { rangeValidator } from './range.ts';
import { findFile, type Repository, type RepositoryFile } from './repositories.ts';
import { clientPatienceMilliseconds } from './respond.ts';
import { askUpstream, type Known, type UpstreamFailure, type UpstreamProxy } from './upstream.ts';

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
  readonly repositories: () => readonly Repository[];
  /** Asked in the repositories' place; absent: they are asked themselves. */
  readonly upstream?: UpstreamProxy;
  /** Kept on disk at most; what was used longest ago goes first. */
  readonly limitBytes?: number;
  /** From upstream, in all; null: as fast as it goes. */
  readonly bytesPerSecond?: number | null;
  /** To one client, in all. */
  readonly clientBytesPerSecond?: number | null;
  /** A client that takes no byte for so long is let go of. */
  readonly clientPatienceMilliseconds?: number;
  readonly maximumFileBytes?: number;
  readonly idleMilliseconds?: number;
  /** How often in all a download that breaks off is gone on with. */
  readonly attempts?: number;
  readonly time?: Elapsing;
  /** Stands in for the cache in tests. */
  readonly openCache?: typeof openFileCache;
}

export interface DistributionCounts {
  /** Since this process started. */
  readonly requests: number;
  readonly served_bytes: number;
  readonly fetched_bytes: number;
  readonly from_cache: number;
  /** Files that were found not to be what they should be. */
  readonly damaged: number;
  readonly evicted: number;
  /** Files that were passed on and not kept, because the disk was full. */
  readonly not_kept: number;
  /** Downloads that were gone on with after they had broken off. */
  readonly resumed: number;
}

async function untilSettled(work: Promise<unknown>): Promise<void> {
  await Promise.allSettled([work]);
}

/** What came of looking again at a file that a host took for forged. */
export type Rechecked = 'unchanged' | 'replaced' | 'gone' | 'unknown';

export interface Distribution {
  readonly repositories: () => readonly Repository[];
  readonly cache: FileCache;
  readonly index: FileIndex;
  readonly clientPatienceMilliseconds: number;
  /** `low`: whoever waits for a file comes first. */
  find(file: RepositoryFile, priority?: 'low'): Promise<Found>;
  counted(change: { requests?: number; servedBytes?: number; fromCache?: number }): void;
  status(): Promise<DistributionCounts & { readonly files: number; readonly bytes: number }>;
  /** The limit of what one client gets. */
  throttleOf(client: string): Throttle;
  /** These are not removed to make room. */
  keepContents(hashes: ReadonlySet<string>): void;
  /** By what a file must be recognised, where something says so. */
  expectHash(expected: (url: string) => string | null): void;
  /** Drops a file that a host took for forged, by its address or its name alone, and fetches it again. */
  recheck(url: string): Promise<Rechecked>;
  /** Settles when nothing is on its way into the cache. */
  idle(): Promise<void>;
  /** Removes what was used longest ago until no more than this is kept. */
  evict(maximumBytes?: number): Promise<number>;
  /** Removes files that no address stands for. */
  sweep(): Promise<number>;
}

const gibibyte = 1024 ** 3;
export const defaultLimitBytes = 20 * gibibyte;
/** When a file was used last is written at most this often. */
const touchEveryMilliseconds = 60_000;
/** A file that was adopted so lately may be about to get its name. */
const sweepAfterMilliseconds = 3_600_000;
const clientsMaximum = 10_000;
const lowPriorityWaitMilliseconds = 200;

/** A file that is being asked for or on its way. */
interface Place {
  readonly url: string;
  /** Somebody waits for it. */
  urgent: boolean;
  found: Promise<Found> | null;
}

export interface DistributionParts {
  readonly index: FileIndex;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Packages and indexes for agents, fetched once and kept. It is not trusted, by design: the package manager on the asset
 * checks the signature of the index and by it every hash. What is kept here is checked all the same, so that damage is found
 * early.
 */
export async function openDistribution(
  { index, clock, log }: DistributionParts,
  options: DistributionOptions,
): Promise<Distribution> {
  const folder = join(options.dataFolder, 'distribution');
  const cache = await (options.openCache ?? openFileCache)(folder, clock.now());
  const { repositories } = options;
  const time = options.time ?? realElapsing;
  const idleMilliseconds = options.idleMilliseconds ?? 30_000;
  const upstream = { repositories, idleMilliseconds, proxy: options.upstream ?? null };
  const limitBytes = options.limitBytes ?? defaultLimitBytes;
  const fetching = createThrottle(options.bytesPerSecond ?? null, time);
  const clients = new Map<string, Throttle>();
  const counts = {
    requests: 0,
    served_bytes: 0,
    fetched_bytes: 0,
    from_cache: 0,
    damaged: 0,
    evicted: 0,
    not_kept: 0,
    resumed: 0,
  };
  const underWay = new Map<string, Place>();
  const touched = new Map<string, number>();
  const saving = new Set<Promise<void>>();
  let kept: ReadonlySet<string> = new Set();
  let expected: (url: string) => string | null = () => null;
  let urgentDownloads = 0;
  let evicting: Promise<number> | null = null;

  cache.onDamage((sha256) => {
    counts.damaged += 1;
    log.warn({ sha256 }, 'a file of the distribution cache was not what it should be; it is fetched again');
  });

  async function touch(url: string, fetched: boolean): Promise<void> {
    const now = clock.now();
    if (!fetched && now.getTime() - (touched.get(url) ?? 0) < touchEveryMilliseconds) return;
    if (touched.size > 50_000) touched.clear();
    touched.set(url, now.getTime());
    await index.touch(url, now, fetched);
  }

  /** What is kept, if it really is there, undamaged, and what it is expected to be. */
  async function held(file: RepositoryFile): Promise<StoredFile | null> {
    const stored = await index.find(file.url.href);
    if (stored === null) return null;
    const promised = file.sha256 ?? expected(stored.url);
    if (promised !== null && promised !== stored.sha256) {
      counts.damaged += 1;
      log.warn({ url: stored.url, sha256: stored.sha256, promised }, 'a kept file is not the one promised');
      return null;
    }
    const opened = await cache.open(stored.sha256, stored.bytes);
    if (opened === null) return null;
    await opened.close();
    return stored;
  }

  async function fetchFile(file: RepositoryFile, place: Place): Promise<Found> {
    const url = file.url.href;
    const stored = await held(file);
    if (stored !== null && file.immutable) {
      await touch(url, false);
      return { kind: 'cached', file: stored, stale: null };
    }
    const name = createHash('sha256').update(url).digest('hex');
    const partial = stored === null ? await cache.unfinished(name) : null;
    const known = stored === null ? beginningOf(url, partial) : { ...stored, beginning: null };
    const answer = await askUpstream(file.url, known, upstream);
    if (answer.kind === 'not_modified' && stored !== null) {
      await touch(url, true);
      return { kind: 'cached', file: stored, stale: null };
    }
    if (answer.kind === 'not_found') {
      if (stored !== null) await index.remove(url);
      return { kind: 'not_found' };
    }
    if (answer.kind === 'failed') {
      log.warn({ url, failure: answer.failure, kept: stored !== null }, `upstream: ${answer.message}`);
      return stored === null ? answer : { kind: 'cached', file: stored, stale: answer.message };
    }
    if (answer.kind !== 'file')
      throw new Error('a repository cannot say that what was never fetched is unchanged');
    const download = await beginDownload(file, name, answer, place);
    const saved = save(place, download);
    saving.add(saved);
    void saved.then(() => saving.delete(saved));
    return { kind: 'arriving', download };
  }

  function beginningOf(url: string, partial: Awaited<ReturnType<FileCache['unfinished']>>): Known | null {
    if (partial === null || partial.note.url !== url || partial.bytes === 0) return null;
    const { etag, last_modified: lastModified } = partial.note;
    if (rangeValidator({ etag, lastModified }) === null) return null;
    return { etag, lastModified, beginning: partial.bytes };
  }

  async function beginDownload(
    file: RepositoryFile,
    name: string,
    answer: UpstreamFile,
    place: Place,
  ): Promise<Download> {
    const url = file.url.href;
    const counted = { urgent: false };
    const count = (): void => {
      if (counted.urgent || !place.urgent) return;
      counted.urgent = true;
      urgentDownloads += 1;
    };
    count();
    const { etag, lastModified } = answer;
    const download = await startDownload(answer, cache, {
      url,
      name,
      maximumBytes: options.maximumFileBytes ?? 4 * gibibyte,
      // not what a list of packages says: that may itself be forged, and a host judges by its own
      sha256: file.sha256,
      idleMilliseconds,
      attempts: options.attempts ?? 4,
      time,
      async pass(bytes) {
        // somebody may have begun to wait for what was fetched ahead
        count();
        while (isBehind(place)) await time.sleep(lowPriorityWaitMilliseconds);
        await fetching.pass(bytes);
      },
      again: (beginning) => askUpstream(file.url, { etag, lastModified, beginning }, upstream),
      fetched: (bytes) => (counts.fetched_bytes += bytes),
      resumed: () => (counts.resumed += 1),
      full() {
        counts.not_kept += 1;
        log.error({ url }, 'the disk is full: a file is passed on without being kept');
        leave(place);
      },
      failed() {
        leave(place);
      },
    });
    void untilSettled(download.done).then(() => (urgentDownloads -= counted.urgent ? 1 : 0));
    return download;
  }

  /** Nobody waits for it, and somebody waits for another. */
  function isBehind(place: Place): boolean {
    return !place.urgent && urgentDownloads > 0;
  }

  async function save(place: Place, download: Download): Promise<void> {
    const { url } = place;
    try {
      const { sha256, bytes } = await download.done;
      const { etag, lastModified } = download;
      await index.save({ url, sha256, bytes, etag, lastModified }, clock.now());
      leave(place);
      await evict();
    } catch (error) {
      log.warn({ url, err: error }, 'a file did not arrive as it should, and is not kept');
    } finally {
      leave(place);
    }
  }

  function leave(place: Place): void {
    if (underWay.get(place.url) === place) underWay.delete(place.url);
  }

  function find(file: RepositoryFile, priority?: 'low'): Promise<Found> {
    const url = file.url.href;
    const waiting = underWay.get(url);
    if (waiting !== undefined && waiting.found !== null) {
      if (priority !== 'low') waiting.urgent = true;
      return waiting.found;
    }
    const place: Place = { url, urgent: priority !== 'low', found: null };
    underWay.set(url, place);
    place.found = fetchFile(file, place).then(
      (answer) => {
        if (answer.kind !== 'arriving') leave(place);
        return answer;
      },
      (error: unknown) => {
        leave(place);
        throw error;
      },
    );
    return place.found;
  }

  /** One at a time: whoever asks while it runs gets what that run answers. */
  function evict(maximumBytes = limitBytes): Promise<number> {
    evicting ??= (async () => {
      if ((await index.totals()).bytes <= maximumBytes) return 0;
      const hashes = await index.forgetOldest(maximumBytes, [...new Set([...cache.inUse(), ...kept])]);
      for (const sha256 of hashes) await cache.remove(sha256);
      counts.evicted += hashes.length;
      return hashes.length;
    })().finally(() => {
      evicting = null;
    });
    return evicting;
  }

  return {
    repositories,
    cache,
    index,
    clientPatienceMilliseconds: options.clientPatienceMilliseconds ?? clientPatienceMilliseconds,
    find,
    evict,
    counted(change) {
      counts.requests += change.requests ?? 0;
      counts.served_bytes += change.servedBytes ?? 0;
      counts.from_cache += change.fromCache ?? 0;
    },
    async status() {
      return { ...counts, ...(await index.totals()) };
    },
    throttleOf(client) {
      const known = clients.get(client);
      if (known !== undefined) return known;
      if (clients.size >= clientsMaximum) clients.clear();
      const throttle = createThrottle(options.clientBytesPerSecond ?? null, time);
      clients.set(client, throttle);
      return throttle;
    },
    keepContents(hashes) {
      kept = hashes;
    },
    expectHash(rule) {
      expected = rule;
    },
    async recheck(url) {
      const stored = url.includes('/') ? [] : await index.containing(`/${url}`);
      const named = stored.find((one) => one.url.endsWith(`/${url}`))?.url ?? url;
      const file = findFile(repositories(), named);
      if (file === null || file.repository.folder !== null) return 'unknown';
      const before = await index.find(file.url.href);
      await index.remove(file.url.href);
      if (before !== null) await cache.remove(before.sha256);
      const found = await find(file);
      if (found.kind === 'not_found') return 'gone';
      if (found.kind !== 'arriving') return 'unknown';
      const after = await found.download.done.catch(() => null);
      if (after === null || before === null) return 'unknown';
      return after.sha256 === before.sha256 ? 'unchanged' : 'replaced';
    },
    async idle() {
      await Promise.all(saving);
    },
    async sweep() {
      const named = await index.hashes();
      const before = new Date(clock.now().getTime() - sweepAfterMilliseconds);
      return cache.sweep((sha256) => named.has(sha256), before);
    },
  };
}
