/**
 * What all sources say about how dangerous one vulnerability is in the world, as one summary. No source is dropped: each
 * stays with its date, and where one says the opposite of what was taken, that is listed.
 *
 * The rule:
 *
 * - **Exploited** as soon as one source says so: an entry in KEV (or CISA's note of it in a CVE record), or SSVC
 *   `exploitation: active`. A source that says nothing, or `none`, does not take it back; only the source itself does, by
 *   no longer saying it. Since when: the earliest of the days that they give.
 * - **Ransomware** when one source says so. KEV's `Unknown` is no answer.
 * - **Maturity** of exploits is the highest that any source supports: `active` when exploited; else `weaponised` when there is
 *   a ready module; else `public` when there is code that anybody can fetch, or SSVC says `poc`; else `none`, which means
 *   that no source knows of one, not that there is none.
 * - **EPSS** and **SSVC** are opinions of a day: the newest speaks, an older one is not a disagreement. Of two of the same day
 *   the more severe is taken, and the other listed.
 */
import type { FeedId, ThreatFact } from './facts.ts';
import { compareText } from './compare-text.ts';

/** A threat with where it comes from. */
export interface SourcedThreat {
  readonly feed: FeedId;
  /** The id of the feed's record. */
  readonly record: string;
  readonly threat: ThreatFact;
}

export type ExploitMaturity = 'none' | 'public' | 'weaponised' | 'active';

export interface ThreatSummary {
  /** `YYYY-MM-DD`, or null when no source knows of attacks. */
  readonly exploitedSince: string | null;
  /** KEV's due date, `YYYY-MM-DD`: the earliest that a source gives. */
  readonly dueOn: string | null;
  /** Null: no source says. */
  readonly ransomware: boolean | null;
  readonly maturity: ExploitMaturity;
  readonly epss: {
    /** 0–1 */
    readonly probability: number;
    /** 0–1 */
    readonly percentile: number | null;
    readonly assertedOn: string;
  } | null;
  readonly ssvc: (NonNullable<ThreatFact['ssvc']> & { readonly assertedOn: string }) | null;
  /** Everything that was said, the gravest kind first, within a kind the oldest first. */
  readonly sources: readonly SourcedThreat[];
  readonly disagreements: readonly ThreatDisagreement[];
}

export interface ThreatDisagreement {
  readonly about: 'exploitation' | 'exploit' | 'ransomware' | 'exploit_probability' | 'ssvc';
  readonly taken: SourcedThreat;
  readonly against: SourcedThreat;
}

/**
 * Summarises what is said about one vulnerability; the caller has put its aliases together. The result does not depend on
 * the order of the input.
 */
export function summariseThreats(threats: readonly SourcedThreat[]): ThreatSummary {
  const sources = [...threats].sort(byGravity);
  const of = (kind: ThreatFact['threat']): SourcedThreat[] =>
    sources.filter(({ threat }) => threat.threat === kind);

  const decisions = of('ssvc').sort(byDecision);
  const decision = decisions[0] ?? null;
  const ssvc = decision?.threat.ssvc ?? null;
  const scores = of('exploit_probability').sort(byScore);
  const score = scores[0] ?? null;

  const exploited = [
    ...of('exploited'),
    ...(decision !== null && ssvc?.exploitation === 'active' ? [decision] : []),
  ];
  const code = [...of('exploit_weaponised'), ...of('exploit_public')];
  const [saysRansomware, deniesRansomware] = [true, false].map((answer) =>
    sources.find(({ threat }) => threat.ransomware === answer),
  );

  return {
    exploitedSince: earliest(exploited.map(({ threat }) => threat.assertedOn)),
    dueOn: earliest(sources.flatMap(({ threat }) => threat.dueOn ?? [])),
    ransomware: (saysRansomware ?? deniesRansomware)?.threat.ransomware ?? null,
    maturity: maturityOf(exploited, code, ssvc),
    epss:
      score === null || score.threat.probability === null
        ? null
        : {
            probability: score.threat.probability,
            percentile: score.threat.percentile,
            assertedOn: score.threat.assertedOn,
          },
    ssvc: decision === null || ssvc === null ? null : { ...ssvc, assertedOn: decision.threat.assertedOn },
    sources,
    disagreements: [
      ...against('exploitation', of('exploited')[0], ssvc?.exploitation === 'active' ? null : decision),
      ...against('exploit', code[0], ssvc?.exploitation === 'none' ? decision : null),
      ...against('ransomware', saysRansomware, deniesRansomware),
      ...sameDay(scores, ({ probability }) => String(probability)).flatMap((other) =>
        against('exploit_probability', score, other),
      ),
      ...sameDay(decisions, ({ ssvc: points }) =>
        [points?.exploitation, points?.automatable, points?.technicalImpact].join(' '),
      ).flatMap((other) => against('ssvc', decision, other)),
    ],
  };
}

function maturityOf(
  exploited: readonly SourcedThreat[],
  code: readonly SourcedThreat[],
  ssvc: ThreatFact['ssvc'],
): ExploitMaturity {
  if (exploited.length > 0) return 'active';
  if (code.some(({ threat }) => threat.threat === 'exploit_weaponised')) return 'weaponised';
  return code.length > 0 || ssvc?.exploitation === 'poc' ? 'public' : 'none';
}

function against(
  about: ThreatDisagreement['about'],
  taken: SourcedThreat | null | undefined,
  other: SourcedThreat | null | undefined,
): ThreatDisagreement[] {
  if (taken === null || taken === undefined || other === null || other === undefined) return [];
  return [{ about, taken, against: other }];
}

/** What is said on the same day as the first, and is not the same. */
function sameDay(
  sorted: readonly SourcedThreat[],
  content: (threat: ThreatFact) => string,
): readonly SourcedThreat[] {
  const [first, ...rest] = sorted;
  if (first === undefined) return [];
  return rest.filter(
    ({ threat }) =>
      threat.assertedOn === first.threat.assertedOn && content(threat) !== content(first.threat),
  );
}

function earliest(days: readonly string[]): string | null {
  return [...days].sort(compareText)[0] ?? null;
}

const gravity: Readonly<Record<ThreatFact['threat'], number>> = {
  exploited: 0,
  exploit_weaponised: 1,
  exploit_public: 2,
  ssvc: 3,
  exploit_probability: 4,
};

const exploitationRank = { active: 0, poc: 1, none: 2 } as const;
const impactRank = { total: 0, partial: 1 } as const;

function byGravity(a: SourcedThreat, b: SourcedThreat): number {
  return (
    gravity[a.threat.threat] - gravity[b.threat.threat] ||
    compareText(a.threat.assertedOn, b.threat.assertedOn) ||
    compareText(a.feed, b.feed) ||
    compareText(a.record, b.record) ||
    compareText(JSON.stringify(a.threat), JSON.stringify(b.threat))
  );
}

/** Newest first, of one day the more severe first. */
function byDecision(a: SourcedThreat, b: SourcedThreat): number {
  return (
    compareText(b.threat.assertedOn, a.threat.assertedOn) ||
    severity(a.threat.ssvc) - severity(b.threat.ssvc) ||
    byGravity(a, b)
  );
}

function severity(ssvc: ThreatFact['ssvc']): number {
  if (ssvc === null) return 100;
  const automatable = ssvc.automatable === null ? 2 : Number(!ssvc.automatable);
  const impact = ssvc.technicalImpact === null ? 2 : impactRank[ssvc.technicalImpact];
  return exploitationRank[ssvc.exploitation] * 9 + automatable * 3 + impact;
}

function byScore(a: SourcedThreat, b: SourcedThreat): number {
  return (
    compareText(b.threat.assertedOn, a.threat.assertedOn) ||
    (b.threat.probability ?? -1) - (a.threat.probability ?? -1) ||
    byGravity(a, b)
  );
}
