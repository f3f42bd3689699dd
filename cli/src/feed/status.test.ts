import { expect, test } from 'vitest';
import type { FeedStatus } from '@fixpoint/contract/feed.ts';
import { describeFeed, size, stateWords } from './status.ts';

const feed: FeedStatus = {
  id: 'epss',
  title: 'EPSS',
  publisher: 'FIRST.org',
  published_at: '2026-11-01T00:00:00.000Z',
  last_success_at: '2026-11-01T00:00:00.000Z',
  last_attempt_at: null,
  last_error: null,
  stale: true,
  records: 10,
  rejected: 0,
  age: {
    state: 'stale',
    as_of: '2026-11-01T00:00:00.000Z',
    seconds: 1_900_800,
    limit_seconds: 172_800,
    sentence: 'EPSS is 22 days old (limit 2 days).',
  },
  sync: {
    possible: true,
    enabled: true,
    url: 'https://feeds.example.org/epss',
    interval_seconds: 3600,
    next_attempt_at: null,
    last_attempt_at: null,
    last_success_at: null,
    outcome: null,
    failures: 0,
    error: null,
    bytes: 0,
    seconds: null,
    phase: 'idle',
    progress: { bytes: 0, total: null, records: 0 },
  },
};
const error = { code: 'publisher_failed', message: 'it answered 500', what_to_do: 'Wait.' };

test('the state of a feed is told in words', () => {
  expect(stateWords(feed)).toBe('stale');
  expect(stateWords({ ...feed, age: { ...feed.age, state: 'never' } })).toBe('never imported');
  expect(stateWords({ ...feed, sync: { ...feed.sync, error } })).toBe('stale, failing');
  expect(stateWords({ ...feed, sync: { ...feed.sync, error, phase: 'importing' } })).toBe('importing');
});

test('all of one feed: what is wrong and what to do', () => {
  const text = describeFeed({ ...feed, sync: { ...feed.sync, error } });
  expect(text).toContain('EPSS is 22 days old (limit 2 days).');
  expect(text).toMatch(/error +publisher_failed: it answered 500\nwhat to do +Wait\./);
  expect(text).toMatch(/by schedule +every 60 minutes/);
});

test('sizes', () => {
  expect([0, 999, 1000, 9_940, 12_345, 1_500_000_000, 5e12].map(size)).toEqual([
    '0 B',
    '999 B',
    '1.0 kB',
    '9.9 kB',
    '12 kB',
    '1.5 GB',
    '5000 GB',
  ]);
});
