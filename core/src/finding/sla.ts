/**
 * By when a finding is to be remediated, by rules of which the first that fits counts.
 *
 * A rule grants days. They are used up while the finding is open, and not while it is accepted: the due time moves by as long
 * as the acceptance lasted. What happens when a finding was fixed and comes back is the rule's choice:
 *
 * - `without_time_fixed` (the default): the days go on from where they were when it was fixed. A fix that does not last
 *   grants no new days, and nobody is charged for the time in which there was nothing to do.
 * - `from_first_seen`: the time in which it was fixed is used up too.
 * - `from_reopening`: all days anew. What was closed as accepted has not been fixed, so it does not come back: it was paused.
 *
 * A date of CISA's catalogue of exploited vulnerabilities (KEV) counts when the rule says so and it is earlier. It is a
 * calendar date, met until its end in UTC, and moves for no acceptance or fix. One that was over before the finding
 * was first seen is not used: nobody could have met it on this asset.
 */
import { dayMilliseconds, isRemediation, type FindingInterval } from './remediation-time.ts';

export type ReopenedRule = 'without_time_fixed' | 'from_first_seen' | 'from_reopening';

/** What is not named does not matter; what is named must all hold. */
export interface SlaCondition {
  /** Criticality of the asset from this on, 1–5. */
  readonly criticalityAtLeast?: number;
  readonly exploited?: boolean;
  /** Score 0–100 of the vulnerability: from this on. */
  readonly scoreAtLeast?: number;
  /** Score below this. */
  readonly scoreBelow?: number;
  /** The asset has at least one of these tags. */
  readonly anyTag?: readonly string[];
}

export interface SlaRule {
  readonly name: string;
  readonly when: SlaCondition;
  /** May be a fraction. */
  readonly days: number;
  readonly kevDueDate?: 'if_earlier' | 'ignored';
  readonly reopened?: ReopenedRule;
}

/** A finding with its history. Times are milliseconds since 1970; null is not known. */
export interface SlaFinding {
  /** Oldest first, not overlapping. One closed as `accepted` pauses like an acceptance. */
  readonly intervals: readonly Pick<FindingInterval, 'openedAt' | 'closed'>[];
  /** When its risk was accepted; `until` does not belong to it, and null has no end. In any order. */
  readonly accepted: readonly { readonly from: number; readonly until: number | null }[];
  readonly criticality: number | null;
  readonly exploited: boolean | null;
  readonly score: number | null;
  readonly tags: readonly string[];
  /** `YYYY-MM-DD` */
  readonly kevDueOn: string | null;
}

interface Ruled {
  readonly ok: true;
  readonly rule: string;
  readonly sentence: string;
}

export type SlaState =
  /** Open, and in time. */
  | (Ruled & { readonly state: 'due_in'; readonly dueAt: number; readonly seconds: number })
  /** Open, and late: by the clock since `dueAt`, whatever happened since. */
  | (Ruled & { readonly state: 'overdue_by'; readonly dueAt: number; readonly seconds: number })
  /** Accepted now: no due time. `secondsLeft` is negative when it was late already. */
  | (Ruled & { readonly state: 'paused'; readonly secondsLeft: number })
  /** Remediated in time. */
  | (Ruled & { readonly state: 'met'; readonly dueAt: number; readonly closedAt: number })
  /** Remediated too late, or its asset retired too late. */
  | (Ruled & { readonly state: 'breached'; readonly dueAt: number; readonly closedAt: number })
  /** There was nothing to remediate, or its asset left in time. */
  | (Ruled & { readonly state: 'not_due'; readonly closedAt: number })
  | { readonly ok: true; readonly state: 'no_rule'; readonly sentence: string }
  /** A rule asks for what is not known, so which rule fits is not known either. */
  | {
      readonly ok: true;
      readonly state: 'undetermined';
      readonly rule: string;
      readonly missing: readonly SlaUnknown[];
      readonly sentence: string;
    };

export type SlaUnknown = 'criticality' | 'exploited' | 'score';

export interface SlaRefusal {
  readonly ok: false;
  readonly code: 'sla_rule_invalid' | 'finding_history_invalid' | 'finding_not_yet_seen' | 'kev_date_invalid';
  readonly message: string;
  readonly what_to_do: string;
}

/** Which rule fits: null when none does. Rules after one that cannot be judged are not tried. */
export function ruleFor(
  rules: readonly SlaRule[],
  finding: Pick<SlaFinding, 'criticality' | 'exploited' | 'score' | 'tags'>,
): { readonly rule: SlaRule; readonly missing: readonly SlaUnknown[] } | null {
  for (const rule of rules) {
    const missing = judge(rule.when, finding);
    if (missing !== null) return { rule, missing };
  }
  return null;
}

/** What would have to be known for the condition to hold: nothing when it holds, null when it does not in any case. */
function judge(
  when: SlaCondition,
  finding: Pick<SlaFinding, 'criticality' | 'exploited' | 'score' | 'tags'>,
): SlaUnknown[] | null {
  const { criticality, exploited, score, tags } = finding;
  const { criticalityAtLeast, scoreAtLeast, scoreBelow, anyTag } = when;
  const missing: SlaUnknown[] = [];
  if (anyTag !== undefined && !anyTag.some((tag) => tags.includes(tag))) return null;
  if (criticalityAtLeast !== undefined) {
    if (criticality === null) missing.push('criticality');
    else if (criticality < criticalityAtLeast) return null;
  }
  if (when.exploited !== undefined) {
    if (exploited === null) missing.push('exploited');
    else if (exploited !== when.exploited) return null;
  }
  if (scoreAtLeast !== undefined || scoreBelow !== undefined) {
    if (score === null) missing.push('score');
    else if (score < (scoreAtLeast ?? -Infinity) || score >= (scoreBelow ?? Infinity)) return null;
  }
  return missing;
}

/** Refuses a rule that could not mean what its author wants; null when all are sound. */
export function checkSlaRules(rules: readonly SlaRule[]): SlaRefusal | null {
  for (const { name, days, when } of rules) {
    const refuse = (message: string, whatToDo: string): SlaRefusal => ({
      ok: false,
      code: 'sla_rule_invalid',
      message: `The rule "${name}" ${message}.`,
      what_to_do: whatToDo,
    });
    if (!(days > 0 && days <= 3660))
      return refuse(`grants ${days} days`, 'Give more than 0 and at most 3660 days.');
    const { criticalityAtLeast = 1, scoreAtLeast = 0, scoreBelow = 101, anyTag } = when;
    if (!(criticalityAtLeast >= 1 && criticalityAtLeast <= 5))
      return refuse(`asks for a criticality from ${criticalityAtLeast} on`, 'Criticality is from 1 to 5.');
    if (!(scoreAtLeast >= 0 && scoreAtLeast <= 100 && scoreBelow > scoreAtLeast))
      return refuse('fits no score', 'Give a range within 0 to 100 that is not empty.');
    if (anyTag?.length === 0) return refuse('asks for one of no tags', 'Name a tag, or leave tags out.');
  }
  return null;
}

/**
 * Where a finding stands at `now` (milliseconds since 1970). What its history says of later has not happened, and an
 * acceptance that is to begin later moves nothing yet.
 */
export function slaState(rules: readonly SlaRule[], finding: SlaFinding, now: number): SlaState | SlaRefusal {
  const invalid = checkSlaRules(rules) ?? checkHistory(finding);
  if (invalid !== null) return invalid;
  const intervals = finding.intervals
    .filter((one) => one.openedAt <= now)
    .map((one) => (one.closed !== null && one.closed.at > now ? { ...one, closed: null } : one));
  const [first] = intervals;
  const current = intervals.at(-1);
  if (first === undefined || current === undefined) {
    return {
      ok: false,
      code: 'finding_not_yet_seen',
      message: 'The finding was first seen after the time that is asked for.',
      what_to_do: 'Ask for a time at which it was there, and check the clocks.',
    };
  }
  const kevEnd = finding.kevDueOn === null ? Infinity : endOfDate(finding.kevDueOn);
  if (kevEnd === null) {
    return {
      ok: false,
      code: 'kev_date_invalid',
      message: `"${finding.kevDueOn}" is no date.`,
      what_to_do: 'Give KEV’s due date as YYYY-MM-DD.',
    };
  }
  const fitting = ruleFor(rules, finding);
  if (fitting === null)
    return { ok: true, state: 'no_rule', sentence: 'No rule says by when this is to be remediated.' };
  const { rule, missing } = fitting;
  if (missing.length > 0) {
    const sentence = `Whether the rule "${rule.name}" applies is not known, since this is missing: ${missing.join(', ')}.`;
    return { ok: true, state: 'undetermined', rule: rule.name, missing, sentence };
  }

  const kev = rule.kevDueDate === 'if_earlier' && kevEnd > first.openedAt ? kevEnd : Infinity;
  const { closed } = current;
  const end = closed?.at ?? now;
  const budget = rule.days * dayMilliseconds;
  const spans = runningSpans(intervals, finding.accepted, rule.reopened ?? 'without_time_fixed', end);
  const used = spans.reduce((sum, span) => sum + span.to - span.from, 0);
  // While the days last, they end as much after `end` as is left of them.
  const dueAt = Math.min(kev, exhaustedAt(spans, budget) ?? end + budget - used);
  const answer = { ok: true, rule: rule.name } as const;
  const by = `(rule "${rule.name}"${dueAt === kev ? ', by KEV’s date' : ''})`;

  const acceptedNow = finding.accepted.some((one) => one.from <= now && now < (one.until ?? Infinity));
  if (closed?.how === 'accepted' || (closed === null && acceptedNow)) {
    const left = Math.min(budget - used, kev - now);
    const sentence =
      left < 0
        ? `Accepted; it was overdue by ${inWords(-left)} ${by}.`
        : `Accepted; ${inWords(left)} are left when that ends ${by}.`;
    return { ...answer, state: 'paused', secondsLeft: seconds(left), sentence };
  }
  if (closed === null) {
    const left = dueAt - now;
    if (left >= 0)
      return {
        ...answer,
        state: 'due_in',
        dueAt,
        seconds: seconds(left),
        sentence: `Due in ${inWords(left)} ${by}.`,
      };
    const sentence = `Overdue by ${inWords(-left)} ${by}.`;
    return { ...answer, state: 'overdue_by', dueAt, seconds: seconds(-left), sentence };
  }
  const closedAt = closed.at;
  const late = closedAt > dueAt;
  if (isRemediation(closed.how)) {
    const sentence = late
      ? `Remediated ${inWords(closedAt - dueAt)} too late ${by}.`
      : `Remediated in time, ${inWords(dueAt - closedAt)} before it was due ${by}.`;
    return { ...answer, state: late ? 'breached' : 'met', dueAt, closedAt, sentence };
  }
  if (closed.how === 'asset_retired' && late) {
    const sentence = `Its asset was retired ${inWords(closedAt - dueAt)} after it was due ${by}.`;
    return { ...answer, state: 'breached', dueAt, closedAt, sentence };
  }
  const why = closed.how === 'asset_retired' ? 'its asset was retired' : 'there was nothing to remediate';
  return { ...answer, state: 'not_due', closedAt, sentence: `No longer due: ${why}.` };
}

interface Span {
  readonly from: number;
  readonly to: number;
}

/** When the days were being used up, until `end`; ascending, not overlapping. */
function runningSpans(
  intervals: SlaFinding['intervals'],
  accepted: SlaFinding['accepted'],
  reopened: ReopenedRule,
  end: number,
): Span[] {
  const pauses: Span[] = accepted.map((one) => ({ from: one.from, to: one.until ?? Infinity }));
  const open: Span[] = [];
  for (const [index, { openedAt, closed }] of intervals.entries()) {
    const next = intervals[index + 1];
    if (reopened === 'from_reopening' && next !== undefined && closed?.how !== 'accepted') {
      open.length = 0;
      continue;
    }
    const goesOn = reopened === 'from_first_seen' && next !== undefined && closed?.how !== 'accepted';
    open.push({ from: openedAt, to: goesOn ? next.openedAt : (closed?.at ?? end) });
  }
  let spans = open;
  for (const pause of pauses) {
    spans = spans.flatMap(({ from, to }) =>
      [
        { from, to: Math.min(to, pause.from) },
        { from: Math.max(from, pause.to), to },
      ].filter((part) => part.to > part.from),
    );
  }
  return spans;
}

/** When the days ran out within the spans; null when they did not. */
function exhaustedAt(spans: readonly Span[], budget: number): number | null {
  let left = budget;
  for (const { from, to } of spans) {
    if (to - from > left) return from + left;
    left -= to - from;
  }
  return null;
}

function checkHistory({ intervals, accepted }: SlaFinding): SlaRefusal | null {
  let before = -Infinity;
  let sound = intervals.length > 0;
  for (const { openedAt, closed } of intervals) {
    if (!Number.isFinite(openedAt) || openedAt < before || (closed !== null && !(closed.at >= openedAt)))
      sound = false;
    before = closed?.at ?? Infinity;
  }
  const acceptances = accepted.every(
    ({ from, until }) => Number.isFinite(from) && (until === null || until >= from),
  );
  if (sound && acceptances) return null;
  return {
    ok: false,
    code: 'finding_history_invalid',
    message: sound
      ? 'An acceptance ends before it begins.'
      : 'The times of the finding overlap, are out of order, or end before they begin.',
    what_to_do: 'Check the clocks of the asset and the server; the history must be oldest first.',
  };
}

/** The instant after the last of a date, in UTC; null when it is no date. */
function endOfDate(date: string): number | null {
  const at = /^\d{4}-\d{2}-\d{2}$/.test(date) ? Date.parse(`${date}T00:00:00Z`) : NaN;
  if (Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== date) return null;
  return at + dayMilliseconds;
}

const seconds = (milliseconds: number): number => Math.floor(milliseconds / 1000);

/** A length of time for people: rounded down, in the largest unit that is at least 1. */
function inWords(milliseconds: number): string {
  for (const [unit, name] of [
    [dayMilliseconds, 'day'],
    [3_600_000, 'hour'],
    [60_000, 'minute'],
  ] as const) {
    const count = Math.floor(milliseconds / unit);
    if (count >= 1) return `${count} ${name}${count === 1 ? '' : 's'}`;
  }
  return 'less than a minute';
}
