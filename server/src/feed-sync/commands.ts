import type { FeedSettingRequest, FeedStatus, FleetHealth } from '@fixpoint/contract/feed.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { knowledgeNotices, type KnowledgeNotice } from '@fixpoint/core/knowledge/staleness.ts';
import { assetsByReference } from '../asset/commands.ts';
import { appendAudit } from '../audit/commands.ts';
import type { Transact } from '../context.ts';
import type { Feed } from '../feed/feed.ts';
import { feedStatus, productOf, type FeedStatusRow } from '../knowledge/commands.ts';
import { raiseAlert } from '../notify/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { transact } from '../transact.ts';
import { version } from '../version.ts';
import { withoutSecrets } from '../http-client.ts';
import type { SyncParts } from './parts.ts';
import { isDue, planOf } from './schedule.ts';
import {
  feedsUnderWay,
  saveSetting,
  saveSync,
  settingRow,
  settingRows,
  syncRows,
  systemsOfAssets,
  type SettingRow,
  type SyncRow,
} from './store.ts';

export function feedById(parts: SyncParts, id: string): Answer<Feed> {
  const feed = parts.feeds.find((candidate) => candidate.id === id);
  if (feed !== undefined) return answer(feed);
  return refuse(
    404,
    'feed_not_found',
    `there is no feed “${id.slice(0, 50)}”`,
    `feeds are: ${parts.feeds.map((candidate) => candidate.id).join(', ')}`,
  );
}

async function heldFeeds(trx: Transact, parts: SyncParts) {
  const settings = new Map<string, SettingRow>((await settingRows(trx)).map((row) => [row.feed, row]));
  const syncs = new Map<string, SyncRow>((await syncRows(trx)).map((row) => [row.feed, row]));
  const care = new Map(
    parts.feeds.map((feed) => [
      feed.id,
      {
        enabled: planOf(parts, feed, settings.get(feed.id) ?? null).enabled,
        confirmedAt: syncs.get(feed.id)?.confirmed_at ?? null,
      },
    ]),
  );
  return { settings, syncs, held: await feedStatus(trx, parts.context, care) };
}

/** Every feed: what is held, how old it is, and how it is kept current. */
export async function allFeeds(parts: SyncParts): Promise<FeedStatus[]> {
  const { db } = parts.context;
  const underWay = await feedsUnderWay(
    db,
    parts.feeds.map((feed) => feed.id),
  );
  const { settings, syncs, held } = await db.transaction().execute((trx) => heldFeeds(trx, parts));
  const rows = new Map<string, FeedStatusRow>(held.map((row) => [row.id, row]));
  return parts.feeds.flatMap((feed) => {
    const row = rows.get(feed.id);
    if (row === undefined) return [];
    return [
      statusView(
        parts,
        feed,
        row,
        settings.get(feed.id) ?? null,
        syncs.get(feed.id) ?? null,
        underWay.has(feed.id),
      ),
    ];
  });
}

function statusView(
  parts: SyncParts,
  feed: Feed,
  row: FeedStatusRow,
  setting: SettingRow | null,
  sync: SyncRow | null,
  underWay: boolean,
): FeedStatus {
  const plan = planOf(parts, feed, setting);
  const { dates: _, age, ...held } = row;
  const attemptedAt = sync?.attempted_at?.toISOString() ?? null;
  // a later import by hand says more than an earlier attempt to sync
  const syncIsLast = attemptedAt !== null && attemptedAt >= (held.last_attempt_at ?? '');
  const due = isDue(plan, sync, parts.context.clock.now());
  const failed = sync?.outcome === 'failed';
  return {
    ...held,
    last_attempt_at: syncIsLast ? attemptedAt : held.last_attempt_at,
    last_error: syncIsLast ? (sync?.error ?? null) : held.last_error,
    age: {
      state: age.state,
      as_of: age.asOf,
      seconds: age.ageSeconds,
      limit_seconds: age.limitSeconds,
      sentence: age.sentence,
    },
    sync: {
      possible: plan.possible,
      enabled: plan.enabled,
      url: plan.shownUrl,
      interval_seconds: plan.intervalSeconds,
      next_attempt_at: plan.enabled ? (sync?.next_attempt_at?.toISOString() ?? null) : null,
      last_attempt_at: attemptedAt,
      last_success_at: sync?.succeeded_at?.toISOString() ?? null,
      outcome: sync?.outcome ?? null,
      failures: sync?.failures ?? 0,
      error: failed
        ? { code: sync.error_code ?? '', message: sync.error ?? '', what_to_do: sync.what_to_do ?? '' }
        : null,
      bytes: Number(sync?.bytes ?? 0),
      seconds: sync?.seconds ?? null,
      phase: underWay ? (sync?.phase ?? 'idle') : due ? 'waiting' : 'idle',
      progress: {
        bytes: Number(sync?.progress_bytes ?? 0),
        total: sync?.progress_total === null || sync === null ? null : Number(sync.progress_total),
        records: sync?.progress_records ?? 0,
      },
    },
  };
}

async function oneFeed(parts: SyncParts, feed: Feed): Promise<FeedStatus> {
  const found = (await allFeeds(parts)).find((status) => status.id === feed.id);
  if (found === undefined) throw new Error(`no status of ${feed.id}`);
  return found;
}

const notPublished = (feed: Feed) =>
  refuse(
    409,
    'feed_not_downloadable',
    `${feed.title} is not published at an address that it could be downloaded from`,
    `import a file with fixpoint feed import ${feed.id} FILE, or a bundle`,
  );

/** Changes how a feed is kept current. */
export async function changeSetting(
  parts: SyncParts,
  actor: Actor,
  id: string,
  request: FeedSettingRequest,
): Promise<Answer<FeedStatus>> {
  const found = feedById(parts, id);
  if (!found.ok) return found;
  const feed = found.value;
  if (feed.url === null || feed.downloads === null) return notPublished(feed);
  if (typeof request.url === 'string' && !URL.canParse(request.url)) {
    return refuse(
      400,
      'url_invalid',
      'the url is not an address',
      'write it like https://mirror.example.org/file',
    );
  }
  const { context } = parts;
  await transact(context.db, async (trx) => {
    const before = await settingRow(trx, feed.id);
    const after = {
      enabled: request.enabled === undefined ? (before?.enabled ?? null) : request.enabled,
      url: request.url === undefined ? (before?.url ?? null) : request.url,
      interval_seconds:
        request.interval_seconds === undefined
          ? (before?.interval_seconds ?? null)
          : request.interval_seconds,
    };
    const now = context.clock.now();
    await saveSetting(trx, { feed: feed.id, ...after, changed_by: actor.name, changed_at: now });
    // what is wanted otherwise now is tried at once, not when the old interval is over
    await saveSync(trx, feed.id, { next_attempt_at: now });
    const shown = (
      row: { enabled: boolean | null; url: string | null; interval_seconds: number | null } | null,
    ) =>
      row === null
        ? null
        : {
            enabled: row.enabled,
            url: row.url === null ? null : withoutSecrets(row.url),
            interval_seconds: row.interval_seconds,
          };
    await appendAudit(trx, context, {
      actor,
      event: 'feed.setting_changed',
      subjectKind: 'feed',
      subject: feed.id,
      before: shown(before),
      after: shown(after),
    });
  });
  return answer(await oneFeed(parts, feed));
}

/** Notes that somebody wants a feed synced now; whichever replica looks first does it. */
export async function requestSync(
  parts: SyncParts,
  actor: Actor,
  id: string,
  options: { readonly allowShrink: boolean },
): Promise<Answer<FeedStatus>> {
  const found = feedById(parts, id);
  if (!found.ok) return found;
  const feed = found.value;
  if (feed.url === null || feed.downloads === null) return notPublished(feed);
  const { context } = parts;
  if (context.config.feedSync === 'off') {
    return refuse(
      409,
      'feed_sync_off',
      'this server downloads nothing: FIXPOINT_FEED_SYNC is off',
      'import a bundle with fixpoint feed bundle import, or change the setting and restart the server',
    );
  }
  await transact(context.db, async (trx) => {
    const { kind, name } = actor;
    await saveSync(trx, feed.id, {
      requested: JSON.stringify({
        actor: { kind: kind === 'agent' ? 'system' : kind, name },
        allow_shrink: options.allowShrink,
      }),
    });
    await appendAudit(trx, context, {
      actor,
      event: 'feed.sync_requested',
      subjectKind: 'feed',
      subject: feed.id,
      after: { allow_shrink: options.allowShrink },
    });
  });
  return answer(await oneFeed(parts, feed));
}

/** Feeds whose turn it is, those that waited longest first. */
export async function dueFeeds(parts: SyncParts): Promise<Feed[]> {
  const { db, clock } = parts.context;
  const settings = new Map<string, SettingRow>((await settingRows(db)).map((row) => [row.feed, row]));
  const syncs = new Map<string, SyncRow>((await syncRows(db)).map((row) => [row.feed, row]));
  const waitedSince = (feed: Feed): number => syncs.get(feed.id)?.attempted_at?.getTime() ?? 0;
  return parts.feeds
    .filter((feed) => {
      const plan = planOf(parts, feed, settings.get(feed.id) ?? null);
      return isDue(plan, syncs.get(feed.id) ?? null, clock.now());
    })
    .sort((a, b) => waitedSince(a) - waitedSince(b));
}

/** What somebody who reads findings must be told of what they rest on; of the whole fleet, or of one asset. */
export async function staleKnowledge(
  parts: SyncParts,
  assetId: number | null = null,
): Promise<KnowledgeNotice[]> {
  const { db, clock } = parts.context;
  const systems = await systemsOfAssets(db, assetId);
  const { held } = await db.transaction().execute((trx) => heldFeeds(trx, parts));
  return knowledgeNotices(
    held.map((row) => row.dates),
    systems.map((system) => productOf(system.os, system.os_release).ecosystem),
    clock.now().toISOString(),
  );
}

export async function fleetHealth(parts: SyncParts, asset: string | undefined): Promise<Answer<FleetHealth>> {
  let assetId: number | null = null;
  if (asset !== undefined) {
    const found = await assetsByReference(parts.context.db, [asset]);
    if (!found.ok) return found;
    assetId = found.value[0]?.id ?? null;
  }
  const notices = await staleKnowledge(parts, assetId);
  return answer({
    status: notices.length === 0 ? 'ok' : 'stale_knowledge',
    version,
    knowledge: notices.map(({ feeds, state, sentence }) => ({ feeds: [...feeds], state, sentence })),
  });
}

/**
 * Old data finds nothing new, and nobody notices: so it is said. Once for each time that a feed goes stale; one that nobody
 * ever used or enabled is not missed.
 */
export async function alertOfStaleFeeds(parts: SyncParts): Promise<void> {
  const { context } = parts;
  await transact(context.db, async (trx) => {
    const { held, syncs } = await heldFeeds(trx, parts);
    for (const { id, age, dates, title, published_at, last_success_at } of held) {
      if (age.state === 'current') continue;
      const sync = syncs.get(id);
      if (age.state === 'never') {
        // enabled, tried, and in vain for as long as it may be old
        const since = sync?.attempted_at ?? null;
        if (!dates.enabled || since === null || (sync?.failures ?? 0) < 3) continue;
      }
      const since = age.state === 'silent' ? published_at : age.asOf;
      await raiseAlert(trx, context, {
        kind: 'feed_stale',
        severity: 'warning',
        subjectKind: 'feed',
        subject: id,
        message: `${age.sentence ?? title} What was published since then is not known here.`,
        whatToDo: sync?.outcome === 'failed' ? (sync.what_to_do ?? '') : advice(dates.enabled, id),
        detail: { state: age.state, published_at, last_success_at, error: sync?.error ?? null },
        deduplicationKey: `feed_stale:${id}:${since ?? 'never'}`,
      });
    }
  });
}

function advice(enabled: boolean, id: string): string {
  return enabled
    ? 'Look at fixpoint feed status; import a file or a bundle if the publisher cannot be reached.'
    : `Enable the feed with fixpoint feed enable ${id}, or import its current file or a bundle.`;
}
