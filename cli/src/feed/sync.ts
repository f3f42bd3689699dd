import { FeedStatus } from '@fixpoint/contract/feed.ts';
import { sleep } from '../clock.ts';
import type { Connection } from '../connection.ts';
import { exitCodes, type ExitCode } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { ask } from '../http-client.ts';
import { fetchItems } from '../list.ts';
import { note, print, printJson, writeAll } from '../output/stream.ts';
import { harmless, isTerminal, styled, width } from '../output/terminal.ts';
import { size } from './status.ts';

const pollEveryMilliseconds = 500;

export async function allFeeds(to: Connection): Promise<FeedStatus[]> {
  return (await fetchItems(to, '/api/v1/feeds', FeedStatus)).items;
}

/**
 * The feeds that a command is about: those named, all that can be downloaded with `--all`, else those that `otherwise` picks.
 *
 * @throws Failure when one does not exist, or when there is none
 */
export async function feedsMeant(
  to: Connection,
  names: readonly string[],
  all: boolean,
  otherwise: (feed: FeedStatus) => boolean,
): Promise<FeedStatus[]> {
  const feeds = await allFeeds(to);
  const unknown = names.filter((name) => !feeds.some((feed) => feed.id === name));
  if (unknown.length > 0) {
    throw new Failure(
      exitCodes.usage,
      'feed_not_found',
      `there is no feed ${unknown.join(', ')}`,
      `Feeds are: ${feeds.map((feed) => feed.id).join(', ')}.`,
    );
  }
  if (names.length > 0) return feeds.filter((feed) => names.includes(feed.id));
  const meant = feeds.filter((feed) => (all ? feed.sync.url !== null : otherwise(feed)));
  if (meant.length > 0) return meant;
  throw new Failure(
    exitCodes.usage,
    'no_feed_named',
    'no feed is named, and none is enabled',
    'Name feeds as fixpoint feed status shows them, or give --all.',
  );
}

/** Asks for feeds to be synced now, and with `wait` shows how far they are until they are done. */
export async function syncFeeds(
  to: Connection,
  feeds: readonly FeedStatus[],
  options: { readonly wait: boolean; readonly json: boolean; readonly allowShrink: boolean },
): Promise<ExitCode> {
  const ids = feeds.map((feed) => feed.id);
  const asked: FeedStatus[] = [];
  for (const id of ids) {
    const query = { allow_shrink: options.allowShrink ? true : undefined };
    asked.push(
      await ask(to, `/api/v1/feeds/${encodeURIComponent(id)}/sync`, FeedStatus, { method: 'POST', query }),
    );
  }
  if (!options.wait) {
    if (options.json) printJson(asked);
    else
      print(
        `Asked for ${ids.join(', ')}; fixpoint feed status shows what comes of it (--wait stays until then).`,
      );
    return exitCodes.ok;
  }
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort();
  process.once('SIGINT', onInterrupt);
  try {
    const done = await watch(to, ids, options.json, stop.signal);
    if (done === null) {
      note('note: no longer watching; the sync goes on');
      return exitCodes.interrupted;
    }
    if (options.json) printJson(done);
    return done.some((feed) => feed.sync.outcome === 'failed') ? exitCodes.refused : exitCodes.ok;
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}

async function watch(
  to: Connection,
  ids: readonly string[],
  quiet: boolean,
  signal: AbortSignal,
): Promise<FeedStatus[] | null> {
  const live = isTerminal && !quiet;
  const ended = new Set<string>();
  let drawn = 0;
  for (;;) {
    const feeds = (await allFeeds(to)).filter((feed) => ids.includes(feed.id));
    const newlyEnded = feeds.filter((feed) => feed.sync.phase === 'idle' && !ended.has(feed.id));
    for (const feed of newlyEnded) ended.add(feed.id);
    if (!quiet) {
      const lines = live ? feeds.filter((feed) => !ended.has(feed.id)).map(progressLine) : [];
      const up = drawn > 0 ? `\u001B[${String(drawn)}A\u001B[J` : '';
      if (up !== '') writeAll(1, up);
      for (const feed of newlyEnded) print(outcomeLine(feed));
      writeAll(1, lines.map((line) => `${line}\n`).join(''));
      drawn = lines.length;
    }
    if (ended.size >= ids.length) return feeds;
    await sleep(pollEveryMilliseconds, signal);
    if (signal.aborted) return null;
  }
}

const barCells = 20;

function progressLine(feed: FeedStatus): string {
  const { phase, progress } = feed.sync;
  let what = 'waiting for its turn';
  if (phase === 'importing') what = `importing, ${String(progress.records)} records read`;
  else if (phase === 'downloading') {
    const { bytes, total } = progress;
    what =
      total === null || total === 0
        ? `downloading, ${size(bytes)}`
        : `${'█'.repeat(Math.round((bytes / total) * barCells)).padEnd(barCells, '░')} ${size(bytes)} of ${size(total)}`;
  }
  return `${feed.id.padEnd(18)} ${what}`.slice(0, Math.min(width(), 200) - 1);
}

function outcomeLine(feed: FeedStatus): string {
  const { outcome, error, bytes, seconds } = feed.sync;
  const cost = `${size(bytes)} in ${(seconds ?? 0).toFixed(1)} s`;
  const name = feed.id.padEnd(18);
  if (error !== null) {
    return `${name} ${styled('red', 'failed')}: ${harmless(error.message)}\n${' '.repeat(19)}what to do: ${harmless(error.what_to_do)}`;
  }
  if (outcome === 'not_modified') return `${name} unchanged, ${String(feed.records)} records held (${cost})`;
  return `${name} ${styled('green', 'imported')}, ${String(feed.records)} records held, ${String(feed.rejected)} skipped (${cost})`;
}
