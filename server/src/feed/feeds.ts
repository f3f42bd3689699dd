import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import { cisaKev } from './cisa-kev/cisa-kev.ts';
import { cvssTable } from './cvss-table/cvss-table.ts';
import { cvss } from './cvss/cvss.ts';
import { debianChangelog } from './debian-changelog/debian-changelog.ts';
import { debianOsv } from './debian-osv/debian-osv.ts';
import { debianTracker } from './debian-tracker/debian-tracker.ts';
import { epss } from './epss/epss.ts';
import type { Feed } from './feed.ts';

/** Every feed there is, in the order to show and to import them. */
export const feeds: readonly Feed[] = [
  debianTracker,
  debianOsv,
  debianChangelog,
  cisaKev,
  epss,
  cvss,
  cvssTable,
];

/** The feed of an id. The list above holds one for each FeedId; its test sees to that. */
export function feedOf(id: FeedId): Feed {
  const feed = feeds.find((candidate) => candidate.id === id);
  if (feed === undefined) throw new Error(`no feed ${id} in feeds.ts`);
  return feed;
}
