import { defaultIntervalSeconds } from '@fixpoint/core/knowledge/sync-schedule.ts';
import type { Feed } from '../feed/feed.ts';
import { sourceOf } from '../feed/downloads.ts';
import { withoutSecrets } from '../http-client.ts';
import type { SyncParts } from './parts.ts';
import type { SettingRow, SyncRow } from './store.ts';

/** How a feed is to be kept current: what an administrator set, else what the configuration says, else what the feed says. */
export interface Plan {
  /** False: it is not published at an address, or the configuration forbids every download. */
  readonly possible: boolean;
  readonly enabled: boolean;
  /** May hold credentials; null when it is not possible at all. */
  readonly url: string | null;
  /** As it may be shown. */
  readonly shownUrl: string | null;
  readonly intervalSeconds: number;
}

export function planOf(parts: Pick<SyncParts, 'context'>, feed: Feed, setting: SettingRow | null): Plan {
  const { feedSync } = parts.context.config;
  const published = sourceOf(feed) !== null;
  const url = published ? (setting?.url ?? feed.url) : null;
  const possible = url !== null && feedSync !== 'off';
  return {
    possible,
    enabled: possible && (setting?.enabled ?? feedSync === 'on'),
    url,
    shownUrl: url === null ? null : withoutSecrets(url),
    intervalSeconds: setting?.interval_seconds ?? defaultIntervalSeconds(feed.staleAfterHours * 3600),
  };
}

/** Whether it is a feed's turn: somebody asked, or its time has come. One that was never tried has its turn at once. */
export function isDue(plan: Plan, row: SyncRow | null, now: Date): boolean {
  if (!plan.possible) return false;
  if (row !== null && row.requested !== null) return true;
  if (!plan.enabled) return false;
  return row === null || row.next_attempt_at === null || row.next_attempt_at <= now;
}
