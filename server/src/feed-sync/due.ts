import type { SyncParts } from './parts.ts';
import { dueFeeds } from './commands.ts';
import { syncFeed } from './sync.ts';
import { neededHashes } from './store.ts';

/** How often it is looked whose turn it is. */
const lookEveryMilliseconds = 2_000;
/** At the same time in one process; each holds a connection to the database. Imports go one after the other. */
const mostAtOnce = 4;
const afterFailureMilliseconds = 30_000;
const pruneEveryMilliseconds = 3_600_000;

export interface FeedSyncs {
  /** Cuts what is under way short, which goes on at the next start, and settles when it has ended. */
  stop(): Promise<void>;
}

/**
 * Syncs feeds when it is their turn. Each runs by itself: one that hangs or fails keeps no other from its turn, as long as
 * not all places are taken by such ones, which the limits of time on downloads see to.
 */
export function startFeedSyncs(
  parts: SyncParts,
  options: { readonly lookMilliseconds?: number } = {},
): FeedSyncs {
  const { context } = parts;
  const stopping = new AbortController();
  const underWay = new Map<string, Promise<void>>();
  /** Feeds that met an outage of our own, and until when they are left alone. */
  const resting = new Map<string, number>();
  let timer: NodeJS.Timeout | null = null;
  let prunedAt = performance.now();
  let looking = Promise.resolve();

  const run = async (feed: SyncParts['feeds'][number]): Promise<void> => {
    try {
      await syncFeed(parts, feed, stopping.signal);
      resting.delete(feed.id);
    } catch (error) {
      resting.set(feed.id, performance.now() + afterFailureMilliseconds);
      context.log.error({ err: error, feed: feed.id }, 'a feed could not be synced; trying again');
    } finally {
      underWay.delete(feed.id);
    }
  };
  const look = async (): Promise<void> => {
    try {
      for (const feed of await dueFeeds(parts)) {
        if (underWay.size >= mostAtOnce || stopping.signal.aborted) break;
        if (underWay.has(feed.id) || (resting.get(feed.id) ?? 0) > performance.now()) continue;
        underWay.set(feed.id, run(feed));
      }
      if (performance.now() - prunedAt > pruneEveryMilliseconds) {
        prunedAt = performance.now();
        await pruneFiles(parts);
      }
    } catch (error) {
      context.log.warn({ err: error }, 'it could not be seen which feeds are due; trying again');
    }
    if (stopping.signal.aborted) return;
    timer = setTimeout(() => {
      looking = look();
    }, options.lookMilliseconds ?? lookEveryMilliseconds);
  };
  looking = look();
  return {
    async stop() {
      stopping.abort(new Error('the server is stopping'));
      if (timer !== null) clearTimeout(timer);
      await looking;
      await Promise.all(underWay.values());
    },
  };
}

const keptUnneededMilliseconds = 24 * 3_600_000;

/** Removes files that nothing refers to, and parts of downloads that nobody went on with. */
export async function pruneFiles(parts: SyncParts): Promise<number> {
  const { context, files } = parts;
  const since = new Date(context.clock.now().getTime() - keptUnneededMilliseconds);
  return await files.prune(await neededHashes(context.db), since);
}
