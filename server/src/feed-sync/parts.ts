import type { ServerContext } from '../app.ts';
import type { DownloadLimits, Feed } from '../feed/feed.ts';
import { feeds } from '../feed/feeds.ts';
import { feedFiles, type FeedFiles } from './files.ts';

/** What everything in this room is given. */
export interface SyncParts {
  readonly context: ServerContext;
  readonly feeds: readonly Feed[];
  readonly files: FeedFiles;
  /** Over those of every feed; for tests. */
  readonly limits?: Partial<DownloadLimits>;
}

export function syncParts(context: ServerContext, changes: Partial<SyncParts> = {}): SyncParts {
  return { context, feeds, files: feedFiles(context.config.dataFolder), ...changes };
}
