import { describe, expect, test } from 'vitest';
import { feedAge, knowledgeNotices, span, type FeedDates } from './staleness.ts';

const now = '2026-11-22T12:00:00.000Z';
const day = 86_400;

const debian: FeedDates = {
  feed: 'debian-osv',
  title: 'Debian advisories',
  ecosystems: ['debian'],
  publishedAt: '2026-11-22T00:00:00.000Z',
  confirmedAt: null,
  importedAt: '2026-11-22T01:00:00.000Z',
  limitSeconds: 2 * day,
  enabled: true,
};
const dates = (changes: Partial<FeedDates>): FeedDates => ({ ...debian, ...changes });

describe('the age of a feed', () => {
  test('is that of the publisher’s date, however lately the file was imported', () => {
    const age = feedAge(dates({ publishedAt: '2026-10-12T12:00:00.000Z' }), now);
    expect(age).toMatchObject({ state: 'stale', ageSeconds: 41 * day });
    expect(age.sentence).toBe('Debian advisories is 41 days old (limit 2 days).');
  });
  test('is that of the last comparison with the publisher, where there was one', () => {
    const unchanged = dates({
      publishedAt: '2026-11-12T12:00:00.000Z',
      confirmedAt: '2026-11-22T11:00:00.000Z',
    });
    expect(feedAge(unchanged, now)).toMatchObject({ state: 'current', ageSeconds: 3600, sentence: null });
  });
  test('a publisher that has given out the same for very long is told of', () => {
    const silent = dates({
      publishedAt: '2026-10-12T12:00:00.000Z',
      confirmedAt: '2026-11-22T11:00:00.000Z',
    });
    expect(feedAge(silent, now)).toMatchObject({ state: 'silent' });
    expect(feedAge(silent, now).sentence).toContain('has not changed for 41 days (limit 20 days)');
  });
  test('without any date of the publisher, the import counts', () => {
    expect(feedAge(dates({ publishedAt: null }), now)).toMatchObject({
      state: 'current',
      ageSeconds: 11 * 3600,
    });
  });
  test('exactly the limit is not yet beyond it; a time to come is no age below nothing', () => {
    expect(feedAge(dates({ publishedAt: '2026-11-20T12:00:00.000Z' }), now).state).toBe('current');
    expect(feedAge(dates({ publishedAt: '2026-11-20T11:59:59.000Z' }), now).state).toBe('stale');
    expect(feedAge(dates({ publishedAt: '2027-01-01T00:00:00.000Z' }), now).ageSeconds).toBe(0);
  });
  test('one that never came says so', () => {
    const never = dates({ publishedAt: null, importedAt: null });
    expect(feedAge(never, now)).toMatchObject({ state: 'never', asOf: null, ageSeconds: null });
    expect(feedAge(never, now).sentence).toBe('Debian advisories was never imported.');
  });
});

describe('what is told of a fleet', () => {
  const old = dates({ publishedAt: '2026-10-12T12:00:00.000Z' });
  const never = { publishedAt: null, importedAt: null } as const;
  test('nothing, when all is current', () => expect(knowledgeNotices([debian], ['debian'], now)).toEqual([]));
  test('what is stale of the systems that it has, and not of others', () => {
    const ubuntu = { ...old, feed: 'ubuntu', title: 'Ubuntu notices', ecosystems: ['ubuntu'] };
    expect(knowledgeNotices([old, ubuntu], ['debian', 'debian'], now)).toEqual([
      { feeds: ['debian-osv'], state: 'stale', sentence: 'Debian advisories is 41 days old (limit 2 days).' },
    ]);
    expect(knowledgeNotices([old, ubuntu], [], now)).toEqual([]);
  });
  test('a feed about everything is told of in any fleet', () => {
    const kev = { ...old, feed: 'cisa-kev', title: 'KEV', ecosystems: null };
    expect(knowledgeNotices([kev], ['debian'], now).map((notice) => notice.feeds)).toEqual([
      [],
      ['cisa-kev'],
    ]);
  });
  test('a system that no feed speaks of, and one whose feeds never came', () => {
    const alpine = { ...debian, ...never, feed: 'alpine', title: 'Alpine secdb', ecosystems: ['alpine'] };
    expect(knowledgeNotices([alpine], ['arch', 'alpine'], now).map((notice) => notice.sentence)).toEqual([
      'Nothing is known of alpine: Alpine secdb was never imported.',
      'Nothing is known of arch: no feed speaks of it.',
    ]);
  });
  test('a second feed that nobody uses is not missed, one that was switched on is', () => {
    const second = { ...debian, ...never, feed: 'debian-tracker', enabled: false };
    expect(knowledgeNotices([debian, second], ['debian'], now)).toEqual([]);
    expect(knowledgeNotices([debian, { ...second, enabled: true }], ['debian'], now)).toMatchObject([
      { feeds: ['debian-tracker'], state: 'never' },
    ]);
  });
});

test('spans are told as people do', () => {
  expect([45, 90, 119, 120, 3600, 7200, 172_799, 172_800].map(span)).toEqual([
    '45 seconds',
    '90 seconds',
    '119 seconds',
    '2 minutes',
    '60 minutes',
    '2 hours',
    '47 hours',
    '2 days',
  ]);
});
