/**
 * Which CVSS vector speaks for a vulnerability when several scorers give one. Risk is computed from its metrics, so exactly one
 * must be taken; the others stay as evidence.
 *
 * The rule, in this order:
 *
 * 1. A vector of CVSS 2.0 speaks only where nobody gives 3.x or 4.0: the scale is another one.
 * 2. Who scored: the **vendor** of the system that the package is on (it knows how it is built), the **CNA** that assigned the
 *    CVE, **NVD**, an **ADP** such as CISA (which scores where the CNA did not), **others**. AlmaLinux and Rocky rebuild Red
 *    Hat's sources, so Red Hat is their vendor here. Debian, Alpine and Wolfi do not score.
 * 3. Of one scorer the newest version of CVSS: 4.0, 3.1, 3.0.
 * 4. The same scorer's vector by way of several feeds: the feed nearest to the scorer, since the others hold copies of some
 *    day. What is left: the higher score.
 *
 * A disagreement is another scorer whose score is 1.0 or more away. 2.0 is only compared with 2.0; 3.x and 4.0 share their
 * scale and are compared with each other, but where a scorer gives both, the one of the chosen version is.
 */
import type { Ecosystem } from './ecosystem.ts';
import type { CvssFact, FeedId } from './facts.ts';
import { compareText } from './compare-text.ts';

/** A vector with where it comes from. */
export interface SourcedScore {
  readonly feed: FeedId;
  /** The id of the feed's record. */
  readonly record: string;
  readonly score: CvssFact;
}

export type ScoreRule = 'vendor' | 'cna' | 'nvd' | 'adp' | 'other';

export interface ChosenScore {
  readonly chosen: SourcedScore;
  /** As whom its scorer spoke. */
  readonly rule: ScoreRule;
  /** One of each other scorer that is 1.0 or more away, the furthest first. */
  readonly disagreements: readonly SourcedScore[];
  /** All vectors, the one that speaks first. */
  readonly evidence: readonly SourcedScore[];
}

/** Scorers as feeds name them, in lower case: a vendor's own feed, and the vendor as CNA. */
const vendors: Readonly<Record<Ecosystem, readonly string[]>> = {
  debian: [],
  ubuntu: ['ubuntu', 'cna:canonical'],
  almalinux: ['redhat', 'cna:redhat'],
  rocky: ['redhat', 'cna:redhat'],
  redhat: ['redhat', 'cna:redhat'],
  suse: ['suse', 'cna:suse'],
  opensuse: ['suse', 'cna:suse'],
  amazon: ['amazon', 'cna:amzn'],
  alpine: [],
  wolfi: [],
  windows: ['msrc', 'microsoft', 'cna:microsoft'],
};

const ruleOrder: readonly ScoreRule[] = ['vendor', 'cna', 'nvd', 'adp', 'other'];
const versionOrder: readonly CvssFact['version'][] = ['4.0', '3.1', '3.0', '2.0'];

/** Feeds that pass on what others scored; any other feed speaks for itself. */
const relays: readonly FeedId[] = ['cve-list', 'vulnrichment', 'nvd', 'cvss-table'];

/** Difference of two base scores from which on they are said to disagree. */
export const scoreDisagreement = 1;

/**
 * Chooses between the vectors of one vulnerability; `ecosystem` is that of the package in question, or null when the
 * vulnerability is looked at by itself. Null when there is no vector. The order of the input does not matter.
 */
export function chosenScore(
  scores: readonly SourcedScore[],
  ecosystem: Ecosystem | null = null,
): ChosenScore | null {
  const evidence = [...scores].sort(
    (a, b) =>
      scale(a) - scale(b) ||
      ruleOrder.indexOf(ruleOf(a, ecosystem)) - ruleOrder.indexOf(ruleOf(b, ecosystem)) ||
      byVersionAndFeed(a, b),
  );
  const [chosen] = evidence;
  if (chosen === undefined) return null;
  const comparable = evidence.filter(
    (said) => scorerOf(said) !== scorerOf(chosen) && scale(said) === scale(chosen),
  );
  // Of each other scorer its first vector of the chosen generation, else its first.
  const others = new Map<string, SourcedScore>();
  for (const said of [...comparable.filter((one) => generation(one) === generation(chosen)), ...comparable])
    if (!others.has(scorerOf(said))) others.set(scorerOf(said), said);
  const distance = (said: SourcedScore): number =>
    // In tenths: 9.8 - 8.8 is not 1 in binary.
    Math.abs(Math.round(said.score.baseScore * 10) - Math.round(chosen.score.baseScore * 10));
  return {
    chosen,
    rule: ruleOf(chosen, ecosystem),
    disagreements: [...others.values()]
      .filter((said) => distance(said) >= scoreDisagreement * 10)
      .sort((a, b) => distance(b) - distance(a) || compareText(scorerOf(a), scorerOf(b))),
    evidence,
  };
}

/** NVD's vectors come by way of others too (`nvd-via-osv`): it is one scorer. */
function scorerOf({ score }: SourcedScore): string {
  const scorer = score.scorer.toLowerCase();
  return scorer.startsWith('nvd-via-') ? 'nvd' : scorer;
}

function ruleOf(said: SourcedScore, ecosystem: Ecosystem | null): ScoreRule {
  const scorer = scorerOf(said);
  if (ecosystem !== null && vendors[ecosystem].includes(scorer)) return 'vendor';
  if (scorer.startsWith('cna:')) return 'cna';
  if (scorer === 'nvd') return 'nvd';
  return scorer.startsWith('adp:') ? 'adp' : 'other';
}

function scale({ score }: SourcedScore): number {
  return score.version === '2.0' ? 1 : 0;
}

function generation({ score }: SourcedScore): string {
  return score.version.slice(0, 1);
}

/** How far the feed is from who scored: 0 is the scorer's own. */
function distanceOfFeed({ feed, score }: SourcedScore): number {
  const scorer = score.scorer.toLowerCase();
  if (feed === 'nvd' && scorer === 'nvd') return 0;
  if (feed === 'vulnrichment' && scorer === 'adp:cisa-adp') return 0;
  if (scorer.startsWith('nvd-via-')) return relays.length + 1;
  return relays.indexOf(feed) + 1;
}

function byVersionAndFeed(a: SourcedScore, b: SourcedScore): number {
  return (
    versionOrder.indexOf(a.score.version) - versionOrder.indexOf(b.score.version) ||
    distanceOfFeed(a) - distanceOfFeed(b) ||
    b.score.baseScore - a.score.baseScore ||
    compareText(scorerOf(a), scorerOf(b)) ||
    compareText(a.score.scorer, b.score.scorer) ||
    compareText(a.score.vector, b.score.vector) ||
    compareText(a.feed, b.feed) ||
    compareText(a.record, b.record)
  );
}
