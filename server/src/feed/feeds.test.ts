import { expect, test } from 'vitest';
import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import { feedOf, feeds } from './feeds.ts';

/** A FeedId that is missing here does not compile. */
const every: Readonly<Record<FeedId, true>> = {
  'debian-tracker': true,
  'debian-osv': true,
  'debian-changelog': true,
  'ubuntu-osv': true,
  'almalinux-osv': true,
  'rocky-osv': true,
  'redhat-osv': true,
  'suse-osv': true,
  'opensuse-osv': true,
  'alpine-osv': true,
  'wolfi-osv': true,
  'cisa-kev': true,
  epss: true,
  'cve-list': true,
  vulnrichment: true,
  nvd: true,
  'cvss-table': true,
  'exploit-db': true,
  metasploit: true,
  'ubuntu-notices': true,
  'redhat-csaf': true,
  'amazon-alas': true,
  'alpine-secdb': true,
  'wolfi-secdb': true,
  'microsoft-cvrf': true,
  'microsoft-csaf': true,
};

test('each id has one feed', () => {
  expect(feeds.map(({ id }) => id).sort()).toEqual(Object.keys(every).sort());
  for (const feed of feeds) expect(feedOf(feed.id)).toBe(feed);
});
