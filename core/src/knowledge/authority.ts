import type { Ecosystem } from './ecosystem.ts';
import type { FeedId, StatementFact } from './facts.ts';

/**
 * Whose word counts for which ecosystem, and in which order. A vendor's own tracker goes before what others made of it: OSV
 * converts the trackers with a delay, and a conversion can lose what the tracker says. What no vendor of the ecosystem says
 * is not asked: an Alpine record says nothing about Debian.
 */
const voices: Readonly<Record<Ecosystem, readonly FeedId[]>> = {
  debian: ['debian-tracker', 'debian-osv', 'debian-changelog'],
  ubuntu: ['ubuntu-osv', 'ubuntu-notices'],
  almalinux: ['almalinux-osv'],
  rocky: ['rocky-osv'],
  redhat: ['redhat-csaf', 'redhat-osv'],
  suse: ['suse-osv'],
  opensuse: ['opensuse-osv'],
  amazon: ['amazon-alas'],
  alpine: ['alpine-secdb', 'alpine-osv'],
  wolfi: ['wolfi-secdb', 'wolfi-osv'],
  windows: ['microsoft-cvrf', 'microsoft-csaf'],
};

/** Feeds that speak about vulnerabilities as such: a CVE that they call rejected is withdrawn everywhere. */
const registries: readonly FeedId[] = ['cve-list', 'vulnrichment', 'nvd'];

/** Feeds that only tell of fixes or single notices: they alone make nothing known of a release as a whole. */
const partial: ReadonlySet<FeedId> = new Set(['debian-changelog', 'ubuntu-notices']);

/** Feeds whose statements about an ecosystem count, the most authoritative first. */
export function voicesOf(ecosystem: Ecosystem): readonly FeedId[] {
  return voices[ecosystem];
}

/** Feeds that list everything that is known of a release: without one, its packages cannot be judged. */
export function listingFeeds(ecosystem: Ecosystem): readonly FeedId[] {
  return voices[ecosystem].filter((feed) => !partial.has(feed));
}

/** Feeds that may withdraw a vulnerability for an ecosystem: its own vendors, and the registries of CVEs. */
export function withdrawers(ecosystem: Ecosystem): readonly FeedId[] {
  return [...voices[ecosystem], ...registries];
}

/**
 * How far down a statement stands in its ecosystem's order; lower speaks first. Within a feed, the record of the
 * vulnerability itself goes before records of advisories, which list all vulnerabilities of a notice for all its releases.
 */
export function rankOf(feed: FeedId, statement: StatementFact): number {
  const at = voices[statement.ecosystem].indexOf(feed);
  const rank = at < 0 ? voices[statement.ecosystem].length : at;
  return 2 * rank + (statement.advisory === null ? 0 : 1);
}
