import { expect, test } from 'vitest';
import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import { feedOf, feeds } from './feeds.ts';

/** A FeedId that is missing here does not compile. */
const every: Readonly<Record<FeedId, true>> = {
  'debian-tracker': true,
  'debian-osv': true,
  'debian-changelog': true,
  'cisa-kev': true,
  epss: true,
  cvss: true,
  'cvss-table': true,
};

test('each id has one feed', () => {
  expect(feeds.map(({ id }) => id).sort()).toEqual(Object.keys(every).sort());
  for (const feed of feeds) expect(feedOf(feed.id)).toBe(feed);
});
