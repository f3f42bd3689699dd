import type { FeedRejection, FeedStatus } from '@fixpoint/contract/feed.ts';
import { span } from '@fixpoint/core/knowledge/staleness.ts';
import { styled } from '../output/terminal.ts';
import { facts, type Column } from '../output/table.ts';
import { relative } from '../output/time.ts';

export const columns: readonly Column<FeedStatus>[] = [
  { title: 'FEED', of: (f) => f.id },
  {
    title: 'STATE',
    of: stateWords,
    style: (f) =>
      f.sync.error !== null || f.last_error !== null
        ? 'red'
        : f.age.state === 'current'
          ? undefined
          : 'yellow',
  },
  { title: 'AGE', of: (f) => (f.age.seconds === null ? '-' : span(f.age.seconds)), yields: 1, least: 8 },
  { title: 'RECORDS', of: (f) => String(f.records), align: 'right' },
  { title: 'SKIPPED', of: (f) => String(f.rejected), align: 'right', yields: 4, least: 7 },
  { title: 'SYNC', of: syncWords, yields: 2, least: 9 },
  { title: 'IMPORTED', of: (f) => relative(f.last_success_at), yields: 3, least: 11 },
  { title: 'ERROR', of: errorWords, yields: 6, least: 20 },
  { title: 'TITLE', of: (f) => f.title, style: () => 'dim', yields: 7, least: 16 },
];

export const rejectionColumns: readonly Column<FeedRejection>[] = [
  { title: 'WHERE', of: (r) => r.position },
  { title: 'CODE', of: (r) => r.code },
  { title: 'MESSAGE', of: (r) => r.message, yields: 1, least: 30 },
  { title: 'TEXT', of: (r) => r.excerpt, style: () => 'dim', yields: 2, least: 20 },
];

export function stateWords(f: FeedStatus): string {
  if (f.sync.phase === 'downloading' || f.sync.phase === 'importing') return f.sync.phase;
  const failed = f.sync.error !== null || f.last_error !== null;
  const age = f.age.state === 'never' ? 'never imported' : f.age.state;
  return failed ? `${age}, failing` : age;
}

function syncWords(f: FeedStatus): string {
  const { sync } = f;
  if (!sync.possible) return sync.url === null ? 'by file only' : 'off';
  if (sync.phase === 'waiting') return 'due now';
  if (!sync.enabled) return 'by hand';
  return sync.next_attempt_at === null ? 'due now' : relative(sync.next_attempt_at);
}

function errorWords(f: FeedStatus): string {
  const { error, failures } = f.sync;
  if (error === null) return f.last_error ?? '';
  return `${failures > 1 ? `${String(failures)} times ` : ''}${error.code}: ${error.message}`;
}

/** Everything about one feed. */
export function describeFeed(f: FeedStatus): string {
  const { age, sync } = f;
  return `${styled('bold', f.title)}: ${age.sentence ?? 'current.'}\n\n${facts([
    ['id', f.id],
    ['publisher', f.publisher],
    ['records', `${String(f.records)}, and ${String(f.rejected)} that could not be read`],
    ['published', relative(f.published_at)],
    ['knowledge of', relative(age.as_of)],
    ['stale after', span(age.limit_seconds)],
    ['imported', relative(f.last_success_at)],
    ['from', sync.url],
    [
      'by schedule',
      !sync.possible ? 'no' : sync.enabled ? `every ${span(sync.interval_seconds)}` : 'no, only by hand',
    ],
    [
      'last attempt',
      sync.last_attempt_at === null ? null : `${relative(sync.last_attempt_at)}: ${lastWords(f)}`,
    ],
    ['next attempt', sync.next_attempt_at === null ? null : relative(sync.next_attempt_at)],
    ['error', sync.error === null ? f.last_error : `${sync.error.code}: ${sync.error.message}`],
    ['what to do', sync.error?.what_to_do ?? null],
  ])}`;
}

function lastWords(f: FeedStatus): string {
  const { outcome, bytes, seconds } = f.sync;
  const words = outcome === null ? 'under way' : outcome.replace('_', ' ');
  return `${words}, ${size(bytes)} in ${(seconds ?? 0).toFixed(1)} s`;
}

const units = ['B', 'kB', 'MB', 'GB'] as const;

/** `0 B`, `12 kB`, `1.5 GB`: decimal, as publishers count. */
export function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 10 || unit === 0 ? String(Math.round(value)) : value.toFixed(1)} ${units[unit] ?? ''}`;
}
