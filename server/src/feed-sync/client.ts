import type { FeedClient, FeedDownload, Feed, DownloadLimits, FetchOptions } from '../feed/feed.ts';
import { FeedFetchError } from '../feed/feed.ts';
import { withoutSecrets } from '../http-client.ts';
import { download, downloadKey } from './download.ts';
import { TooManyBytes } from './files.ts';
import type { SyncParts } from './parts.ts';
import { fileRows, findDownload, saveDownload } from './store.ts';

/** Unless a feed says otherwise: the largest published feed is about 1 GB. */
const usualLimits: DownloadLimits = { maximumBytes: 2 * 1024 ** 3, totalSeconds: 3600, idleSeconds: 60 };

export interface CountingClient extends FeedClient {
  /** Bytes that travelled. */
  transferred(): number;
}

/** What a feed's source is given: downloads that are conditional, resumed, checked, remembered and kept. */
export function feedClient(
  parts: SyncParts,
  feed: Feed,
  url: string,
  options: {
    readonly signal?: AbortSignal;
    readonly progress?: (bytes: number, total: number | null) => void;
  },
): CountingClient {
  const { context, files } = parts;
  const limits = { ...usualLimits, ...feed.downloadLimits, ...parts.limits };
  let transferred = 0;
  const base = new URL(url);

  async function fetchFile(address: string, wanted: FetchOptions = {}): Promise<FeedDownload> {
    const target = withCredentials(address, base);
    const shown = withoutSecrets(target);
    const key = downloadKey(target);
    const known = wanted.once === true ? null : await findDownload(context.db, key);
    const outcome = await download(
      {
        url: target,
        known:
          known === null
            ? null
            : {
                sha256: known.sha256,
                bytes: Number(known.bytes),
                etag: known.etag,
                lastModified: known.last_modified,
              },
        maximumBytes: wanted.maximumBytes,
        checksumUrl: wanted.checksumUrl,
        accept: feed.accept,
      },
      {
        files,
        limits,
        now: () => context.clock.now(),
        proxy: context.config.proxy,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
        ...(options.progress === undefined ? {} : { progress: options.progress }),
      },
    );
    transferred += outcome.transferred;
    const { file } = outcome;
    if (wanted.once !== true) {
      await saveDownload(context.db, {
        url: key,
        feed: feed.id,
        sha256: file.sha256,
        bytes: file.bytes,
        etag: file.etag,
        last_modified: file.lastModified,
        fetched_at: context.clock.now(),
      });
    }
    return {
      name: wanted.name ?? nameOf(shown),
      url: shown,
      sha256: file.sha256,
      bytes: file.bytes,
      publishedAt: instantOf(file.lastModified),
      open: () => files.read(file.sha256),
    };
  }

  return {
    url,
    now: context.clock.now(),
    fetch: fetchFile,
    transferred: () => transferred,
    async held(name) {
      const row = (await fileRows(context.db, [feed.id])).find((one) => one.name === name);
      if (row === undefined || !(await files.has(row.sha256, Number(row.bytes)))) return null;
      return {
        name,
        url: row.url,
        sha256: row.sha256,
        bytes: Number(row.bytes),
        publishedAt: row.published_at?.toISOString() ?? null,
        open: () => files.read(row.sha256),
      };
    },
    async keep(name, bytes) {
      try {
        const kept = await files.keep(`${feed.id}/${name}`, bytes, limits.maximumBytes);
        return { name, url: null, ...kept, publishedAt: null, open: () => files.read(kept.sha256) };
      } catch (error) {
        if (!(error instanceof TooManyBytes)) throw error;
        throw new FeedFetchError(
          'download_too_large',
          `${name} grows beyond ${String(limits.maximumBytes)} bytes`,
          'Import the whole feed by hand.',
        );
      }
    },
  };
}

/** The path of an address, without the slash at its beginning. */
function nameOf(url: string): string {
  const { pathname } = new URL(url);
  return pathname.slice(1) || 'index';
}

/** Credentials of the feed's own address are sent along to everything at the same origin, and to nobody else. */
function withCredentials(address: string, base: URL): string {
  const url = new URL(address, base);
  if (url.origin === base.origin && url.username === '') {
    url.username = base.username;
    url.password = base.password;
  }
  return url.href;
}

function instantOf(text: string | null): string | null {
  const time = text === null ? Number.NaN : Date.parse(text);
  return Number.isNaN(time) ? null : new Date(time).toISOString();
}
