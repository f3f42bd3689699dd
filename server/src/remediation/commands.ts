import type { Static } from 'typebox';
import {
  remediationBands,
  type BurnDown,
  type BurnDownQuery,
  type Remediation,
  type RemediationBand,
  type RemediationEstimate,
  type RemediationQuery,
  type RemediationReading,
} from '@fixpoint/contract/remediation.ts';
import { BurnDownTally } from '@fixpoint/core/finding/burn-down.ts';
import {
  dayMilliseconds,
  remediationSentence,
  RemediationTally,
} from '@fixpoint/core/finding/remediation-time.ts';
import type { ServerContext } from '../app.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { dayAfter, zoneCalled, type Zone } from './day.ts';
import { asReader, visitIntervals, type IntervalReading, type IntervalScope } from './reading.ts';

/** How long findings take to be remediated, and how many are open day by day. */

const mostTags = 20;
const mostPoints = 200;
/** Days of a burn-down: three years. */
const mostDays = 1_100;
const usualDays = 30;

/** Of the same findings all together, and by severity. */
class Tallies {
  readonly all: RemediationTally;
  private readonly now: number;
  private readonly bands = new Map<RemediationBand, RemediationTally>();

  constructor(now: number) {
    this.now = now;
    this.all = new RemediationTally(now);
  }

  of(band: RemediationBand): RemediationTally {
    let tally = this.bands.get(band);
    if (tally === undefined) {
      tally = new RemediationTally(this.now);
      this.bands.set(band, tally);
    }
    return tally;
  }

  bySeverity(): Remediation['by_severity'] {
    return remediationBands.flatMap((severity) => {
      const tally = this.bands.get(severity);
      return tally === undefined ? [] : [{ severity, estimate: estimateView(tally) }];
    });
  }
}

export async function remediation(
  context: ServerContext,
  query: Static<typeof RemediationQuery>,
): Promise<Answer<Remediation>> {
  return await asReader(async (end) => await measuredRemediation(context, query, end));
}

/** All of its tags together, until `end`. */
async function measuredRemediation(
  context: ServerContext,
  query: Static<typeof RemediationQuery>,
  end: number,
): Promise<Answer<Remediation>> {
  const { tag, query: text, severity, since, by } = query;
  const tags = by === 'tag' ? [...new Set((query.tags ?? '').split(',').filter((name) => name !== ''))] : [];
  if (by === 'tag' && (tags.length === 0 || tags.length > mostTags || tag !== undefined)) {
    return refuse(
      400,
      'tags_expected',
      `with by=tag, tags must name from 1 to ${String(mostTags)} tags, and tag none`,
      'such as ?by=tag&tags=web,db',
    );
  }
  const now = context.clock.now().getTime();
  const from = since === undefined ? 0 : Date.parse(since);
  const until = query.until === undefined ? now : Math.min(now, Date.parse(query.until));
  const measured = async (scope: IntervalScope, tallies: Tallies): Promise<Answer<IntervalReading>> =>
    await visitIntervals(
      context,
      scope,
      { floor: from, reopened: false, until: end },
      ({ interval, band }) => {
        if (interval.openedAt < from) return;
        tallies.all.add(interval);
        tallies.of(band).add(interval);
      },
    );

  const scope = { tag, query: text, severity };
  const tallies = new Tallies(until);
  const read = await measured(scope, tallies);
  if (!read.ok) return read;
  const byTag: NonNullable<Remediation['by_tag']> = [];
  for (const name of tags) {
    const own = new Tallies(until);
    const ofTag = await measured({ ...scope, tag: name }, own);
    if (!ofTag.ok) return ofTag;
    byTag.push({ tag: name, assets: ofTag.value.assets, estimate: estimateView(own.all) });
  }
  return answer({
    since: since === undefined ? null : new Date(from).toISOString(),
    until: new Date(until).toISOString(),
    all: estimateView(tallies.all),
    by_severity: tallies.bySeverity(),
    by_tag: by === 'tag' ? byTag : null,
    reading: readingView(read.value, scope, by === 'tag'),
  });
}

export async function burnDown(
  context: ServerContext,
  query: Static<typeof BurnDownQuery>,
): Promise<Answer<BurnDown>> {
  const zone = zoneCalled(query.time_zone ?? 'UTC');
  if (zone === null) {
    return refuse(
      400,
      'time_zone_unknown',
      `there is no time zone ${(query.time_zone ?? '').slice(0, 64)}`,
      'name one as the IANA does, such as Europe/Berlin',
    );
  }
  const now = context.clock.now().getTime();
  const period = periodOf(zone, query, now);
  if (!period.ok) return period;
  const { from, to, first } = period.value;
  const tally = new BurnDownTally({ from, to }, now, zone.nextDay);
  const { tag, query: text, severity } = query;
  const scope = { tag, query: text, severity };
  const read = await asReader(
    async (until) =>
      await visitIntervals(context, scope, { floor: from, reopened: true, until }, ({ interval }) =>
        tally.add(interval),
      ),
  );
  if (!read.ok) return read;
  const { days, openBefore, refused } = tally.result();
  return answer({
    time_zone: zone.name,
    open_before: openBefore,
    days: days.map((day) => ({
      day: day.from === from ? first : zone.dayOf(day.from),
      from: new Date(day.from).toISOString(),
      to: new Date(day.to).toISOString(),
      open: day.open,
      over: day.over,
      opened: day.opened,
      reopened: day.reopened,
      remediated: day.remediated,
      closed_otherwise: day.closedOtherwise,
    })),
    refused,
    reading: readingView(read.value, scope, false),
  });
}

function periodOf(
  zone: Zone,
  query: Static<typeof BurnDownQuery>,
  now: number,
): Answer<{ readonly from: number; readonly to: number; readonly first: string }> {
  const last = query.to ?? zone.dayOf(now);
  const start = zone.startOf(last);
  const first = query.from ?? (start === null ? last : dayAfter(last, 1 - usualDays));
  const from = zone.startOf(first);
  if (start === null || from === null || first > last) {
    return refuse(
      400,
      'period_invalid',
      `${first} to ${last} is no period of days`,
      'give days such as 2026-03-01, the first one first',
    );
  }
  if ((start - from) / dayMilliseconds >= mostDays) {
    return refuse(
      400,
      'period_too_long',
      `${first} to ${last} is more than ${String(mostDays)} days`,
      'ask for a shorter period',
    );
  }
  return answer({ from, to: zone.nextDay(start), first });
}

function estimateView(tally: RemediationTally): RemediationEstimate {
  const estimate = tally.estimate();
  const { median, restrictedMean: mean, closedOnly, counts, curve, confidence } = estimate;
  const { remediated, open, closedOtherwise, refused } = counts;
  return {
    sentence: remediationSentence(estimate),
    median: {
      kind: median.kind,
      days: median.kind === 'reached' ? median.days : null,
      at_least_days: median.kind === 'not_reached' ? median.atLeastDays : null,
      low_days: median.kind === 'no_findings' ? null : median.low,
      high_days: median.kind === 'reached' ? median.high : null,
    },
    restricted_mean:
      mean === null
        ? null
        : {
            days: mean.days,
            standard_error: mean.standardError,
            horizon_days: mean.horizonDays,
            shortened: mean.shortened,
          },
    closed_only:
      closedOnly === null ? null : { mean_days: closedOnly.meanDays, median_days: closedOnly.medianDays },
    counts: {
      remediated,
      open,
      closed_otherwise: closedOtherwise,
      refused: Object.values(refused).reduce((sum, many) => sum + many, 0),
    },
    confidence,
    curve: thinned(curve).map(({ days, share, low, high, atRisk }) => ({
      days,
      share,
      low,
      high,
      at_risk: atRisk,
    })),
    curve_points: curve.length,
  };
}

/** Evenly over the points, with the first and the last one. */
export function thinned<Point>(curve: readonly Point[], most = mostPoints): Point[] {
  if (curve.length <= most) return [...curve];
  const places = Array.from({ length: most }, (_, index) =>
    Math.round((index * (curve.length - 1)) / (most - 1)),
  );
  return places.flatMap((place) => curve[place] ?? []);
}

function readingView(
  read: IntervalReading,
  { tag, query }: IntervalScope,
  byTag: boolean,
): RemediationReading {
  const notes: string[] = [];
  if (tag !== undefined || byTag)
    notes.push(
      'Tags are as they are today: what an asset had before it came into a tag counts too, and what left it counts no more.',
    );
  if (tag !== undefined || query !== undefined || byTag)
    notes.push('Retired assets are in no tag and answer no query; their findings are left out there.');
  if (read.not_judged > 0)
    notes.push(
      `${String(read.not_judged)} ended exposures are left out: their vulnerability is no longer known, so the query has no answer.`,
    );
  return { ...read, notes };
}
