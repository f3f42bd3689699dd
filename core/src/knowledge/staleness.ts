/** How old what is known is, feed by feed, and what of that somebody who reads findings must be told. */

/** What is known of one feed's age. Times are ISO 8601 in UTC. */
export interface FeedDates {
  readonly feed: string;
  readonly title: string;
  /** Name spaces of packages that it speaks of; null: it speaks of vulnerabilities wherever they are (KEV, EPSS). */
  readonly ecosystems: readonly string[] | null;
  /** Date that the publisher gave what is held. */
  readonly publishedAt: string | null;
  /** When what is held was last compared with what the publisher gives out, and was the newest. */
  readonly confirmedAt: string | null;
  /** When it was imported. */
  readonly importedAt: string | null;
  /** Older than this is stale. */
  readonly limitSeconds: number;
  /** Somebody wants it kept current. */
  readonly enabled: boolean;
}

/**
 * `current`; `stale`: not compared with the publisher for longer than the limit; `silent`: compared in time, but what the
 * publisher gives out has itself not changed for {@link silentFactor} times the limit; `never`: never imported.
 */
export type AgeState = 'current' | 'stale' | 'silent' | 'never';

export interface FeedAge {
  readonly feed: string;
  readonly state: AgeState;
  /** What is held is the knowledge of this time; null when nothing is. */
  readonly asOf: string | null;
  readonly ageSeconds: number | null;
  readonly limitSeconds: number;
  /** For a person; null when there is nothing to say. */
  readonly sentence: string | null;
}

/** A publisher may have nothing to say for a while. A feed that is silent for so many limits has rather broken. */
export const silentFactor = 10;

/**
 * The age of one feed. Comparing counts from when it was compared, not from the publisher's date: a catalogue that is
 * unchanged since last week and was looked at an hour ago is current. A file that somebody imported by hand was compared
 * with nothing, so there the publisher's date counts: old data imported today is still old.
 */
export function feedAge(dates: FeedDates, now: string): FeedAge {
  const { feed, title, limitSeconds } = dates;
  const asOf = dates.confirmedAt ?? dates.publishedAt ?? dates.importedAt;
  if (dates.importedAt === null || asOf === null) {
    const sentence = `${title} was never imported.`;
    return { feed, state: 'never', asOf: null, ageSeconds: null, limitSeconds, sentence };
  }
  const ageSeconds = secondsBetween(asOf, now);
  const base = { feed, asOf, ageSeconds, limitSeconds };
  if (ageSeconds > limitSeconds) {
    const sentence = `${title} is ${span(ageSeconds)} old (limit ${span(limitSeconds)}).`;
    return { ...base, state: 'stale', sentence };
  }
  const silent = dates.publishedAt === null ? 0 : secondsBetween(dates.publishedAt, now);
  if (silent > limitSeconds * silentFactor) {
    const sentence =
      `${title} was compared with its publisher ${span(ageSeconds)} ago, but what is given out there has not changed for ` +
      `${span(silent)} (limit ${span(limitSeconds * silentFactor)}).`;
    return { ...base, state: 'silent', sentence };
  }
  return { ...base, state: 'current', sentence: null };
}

export interface KnowledgeNotice {
  /** Feeds that it is about; none when no feed speaks of an ecosystem of the fleet. */
  readonly feeds: readonly string[];
  readonly state: AgeState;
  readonly sentence: string;
}

/**
 * What somebody who reads findings of a fleet must be told: that something of what speaks about it is old. Feeds of systems
 * that the fleet does not have are left out, and so is a feed that was never used while another one speaks of the same.
 */
export function knowledgeNotices(
  feeds: readonly FeedDates[],
  fleet: readonly string[],
  now: string,
): KnowledgeNotice[] {
  const notices: KnowledgeNotice[] = [];
  const speaksOf = (feed: FeedDates, ecosystem: string): boolean =>
    feed.ecosystems?.includes(ecosystem) === true;
  for (const ecosystem of [...new Set(fleet)].sort()) {
    const about = feeds.filter((feed) => speaksOf(feed, ecosystem));
    if (about.some((feed) => feed.importedAt !== null)) continue;
    notices.push({
      feeds: about.map((feed) => feed.feed),
      state: 'never',
      sentence:
        about.length === 0
          ? `Nothing is known of ${ecosystem}: no feed speaks of it.`
          : `Nothing is known of ${ecosystem}: ${about.map((feed) => feed.title).join(', ')} ${about.length === 1 ? 'was' : 'were'} never imported.`,
    });
  }
  const told = new Set(notices.flatMap((notice) => notice.feeds));
  for (const feed of feeds) {
    if (told.has(feed.feed)) continue;
    if (feed.ecosystems !== null && !fleet.some((ecosystem) => speaksOf(feed, ecosystem))) continue;
    const age = feedAge(feed, now);
    if (age.sentence === null || (age.state === 'never' && !feed.enabled)) continue;
    notices.push({ feeds: [feed.feed], state: age.state, sentence: age.sentence });
  }
  return notices;
}

function secondsBetween(from: string, to: string): number {
  return Math.max(0, Math.floor((Date.parse(to) - Date.parse(from)) / 1000));
}

const units: readonly (readonly [seconds: number, name: string])[] = [
  [86_400, 'day'],
  [3_600, 'hour'],
  [60, 'minute'],
];

/** `41 days`, `1 hour`, `20 seconds`: whole units, rounded down. From two of a unit on it is told in that unit. */
export function span(seconds: number): string {
  const [size, name] = units.find(([unit]) => seconds >= 2 * unit) ?? [1, 'second'];
  const count = Math.floor(seconds / size);
  return `${String(count)} ${name}${count === 1 ? '' : 's'}`;
}
