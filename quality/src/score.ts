import type { Case, CaseVerdict, Label } from './case.ts';
import { pairKey, type Judged } from './judge.ts';

/** How the answers of a run stand to the labels, and to what was reached before. */

export interface Wrong {
  readonly case: string;
  readonly label: Label;
  readonly answered: CaseVerdict;
  readonly kind: 'false_positive' | 'false_negative' | 'not_decided' | 'other_verdict';
  /** For a person: what was answered, what it should be, and why. */
  readonly sentence: string;
}

export interface Missing {
  readonly case: string;
  /** `CVE-… package`: spoken of by the knowledge of the case, and without a label. */
  readonly pair: string;
}

export interface Score {
  readonly cases: number;
  readonly labels: number;
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly falseNegatives: number;
  /** Answered `undetermined`, rightly or not. */
  readonly undetermined: number;
  /** Answered `undetermined` where the vendor's words decide. */
  readonly notDecided: number;
  /** Labels that the vendor's words decide. */
  readonly decidable: number;
  readonly wrong: number;
}

export const emptyScore: Score = {
  cases: 0,
  labels: 0,
  truePositives: 0,
  falsePositives: 0,
  falseNegatives: 0,
  undetermined: 0,
  notDecided: 0,
  decidable: 0,
  wrong: 0,
};

/** True positives of everything that was found; 1 when nothing was found. */
export const precision = ({ truePositives, falsePositives }: Score): number =>
  ratio(truePositives, truePositives + falsePositives);
/** True positives of everything that there is to find; 1 when there is nothing. */
export const recall = ({ truePositives, falseNegatives }: Score): number =>
  ratio(truePositives, truePositives + falseNegatives);
/** Harmonic mean of both: 2·TP ÷ (2·TP + FP + FN). */
export const f1 = ({ truePositives, falsePositives, falseNegatives }: Score): number =>
  ratio(2 * truePositives, 2 * truePositives + falsePositives + falseNegatives);
/** Answered `undetermined` of what the vendor's words decide. */
export const notDecidedShare = ({ notDecided, decidable }: Score): number =>
  decidable === 0 ? 0 : notDecided / decidable;

const ratio = (part: number, whole: number): number => (whole === 0 ? 1 : part / whole);

export function add(a: Score, b: Score): Score {
  return {
    cases: a.cases + b.cases,
    labels: a.labels + b.labels,
    truePositives: a.truePositives + b.truePositives,
    falsePositives: a.falsePositives + b.falsePositives,
    falseNegatives: a.falseNegatives + b.falseNegatives,
    undetermined: a.undetermined + b.undetermined,
    notDecided: a.notDecided + b.notDecided,
    decidable: a.decidable + b.decidable,
    wrong: a.wrong + b.wrong,
  };
}

/** Verdicts that open a finding; the others but `undetermined` say that there is none. */
const positive: ReadonlySet<CaseVerdict> = new Set(['vulnerable', 'restart_pending', 'reboot_pending']);

const nothingSaid = { verdict: 'not_listed', sentence: 'Nothing is said of it.' } as const;
const withdrawn = { verdict: 'withdrawn', sentence: 'It was withdrawn.' } as const;

export interface CaseResult {
  readonly case: string;
  readonly distribution: string;
  readonly score: Score;
  readonly wrong: readonly Wrong[];
  readonly missing: readonly Missing[];
}

/** Compares the answers of one case with its labels. A pair without an answer was answered `not_listed`. */
export function scoreCase(one: Case, judged: Judged): CaseResult {
  const wrong: Wrong[] = [];
  let score: Score = { ...emptyScore, cases: 1 };
  const labelled = new Set<string>();
  for (const label of one.labels) {
    const pair = pairKey(label.vulnerability, label.package);
    if (labelled.has(pair)) throw new Error(`${one.name} labels ${pair} twice`);
    labelled.add(pair);
    const answer =
      judged.answers.get(pair) ?? (judged.withdrawn.has(label.vulnerability) ? withdrawn : nothingSaid);
    const kind = kindOf(label.verdict, answer.verdict);
    const decidable = label.verdict !== 'undetermined';
    const undetermined = answer.verdict === 'undetermined';
    score = add(score, {
      cases: 0,
      labels: 1,
      truePositives: positive.has(label.verdict) && positive.has(answer.verdict) ? 1 : 0,
      falsePositives: kind === 'false_positive' ? 1 : 0,
      falseNegatives: kind === 'false_negative' ? 1 : 0,
      undetermined: undetermined ? 1 : 0,
      notDecided: undetermined && decidable ? 1 : 0,
      decidable: decidable ? 1 : 0,
      wrong: kind === null ? 0 : 1,
    });
    if (kind !== null) {
      const sentence =
        `${one.name}: ${label.vulnerability} in ${label.package} was answered ${answer.verdict} (${answer.sentence}) ` +
        `and should be ${label.verdict}: ${label.reason} [${label.source}]`;
      wrong.push({ case: one.name, label, answered: answer.verdict, kind, sentence });
    }
  }
  const spoken = new Set([...judged.pairs, ...judged.answers.keys()]);
  const missing = [...spoken].filter((pair) => !labelled.has(pair)).map((pair) => ({ case: one.name, pair }));
  return { case: one.name, distribution: one.distribution, score, wrong, missing };
}

/**
 * What kind of mistake an answer is; null for none. Not to know counts against recall where there is something to find, and
 * calling safe what nobody can know counts as not having found it: unknown must never read as safe.
 */
export function kindOf(expected: CaseVerdict, answered: CaseVerdict): Wrong['kind'] | null {
  if (expected === answered) return null;
  if (positive.has(answered)) return positive.has(expected) ? 'other_verdict' : 'false_positive';
  if (positive.has(expected) || expected === 'undetermined') return 'false_negative';
  return answered === 'undetermined' ? 'not_decided' : 'other_verdict';
}

/** What was reached and is committed (`baseline.json`): no run may fall behind it. */
export interface Baseline {
  /** By distribution, and `total`. */
  readonly [distribution: string]: {
    readonly cases: number;
    readonly labels: number;
    readonly f1: number;
    readonly false_positives: number;
    readonly false_negatives: number;
    readonly not_decided: number;
    readonly wrong: number;
  };
}

export function byDistribution(results: readonly CaseResult[]): ReadonlyMap<string, Score> {
  const scores = new Map<string, Score>();
  let total = emptyScore;
  for (const { distribution, score } of results) {
    scores.set(distribution, add(scores.get(distribution) ?? emptyScore, score));
    total = add(total, score);
  }
  return scores.set('total', total);
}

export function baselineOf(results: readonly CaseResult[]): Baseline {
  return Object.fromEntries(
    [...byDistribution(results)].map(([name, score]) => [
      name,
      {
        cases: score.cases,
        labels: score.labels,
        f1: f1(score),
        false_positives: score.falsePositives,
        false_negatives: score.falseNegatives,
        not_decided: score.notDecided,
        wrong: score.wrong,
      },
    ]),
  );
}

/** Everything for which the gate is closed, each as a sentence; none when it is open. */
export function objections(results: readonly CaseResult[], baseline: Baseline): string[] {
  const now = baselineOf(results);
  const found = results.flatMap(({ missing }) =>
    missing.map((one) => `${one.case}: ${one.pair} has no label.`),
  );
  for (const [name, before] of Object.entries(baseline)) {
    const after = now[name];
    if (after === undefined) {
      found.push(`${name}: all of its cases are gone.`);
      continue;
    }
    const fewer = (what: 'cases' | 'labels'): void => {
      if (after[what] < before[what])
        found.push(`${name}: ${String(after[what])} ${what}, and there were ${String(before[what])}.`);
    };
    const more = (
      what: 'false_positives' | 'false_negatives' | 'not_decided' | 'wrong',
      words: string,
    ): void => {
      if (after[what] > before[what])
        found.push(`${name}: ${String(after[what])} ${words}, and there were ${String(before[what])}.`);
    };
    fewer('cases');
    fewer('labels');
    if (after.f1 < before.f1)
      found.push(`${name}: F1 fell from ${before.f1.toFixed(4)} to ${after.f1.toFixed(4)}.`);
    more('false_negatives', 'false negatives');
    more('false_positives', 'false positives');
    more('not_decided', 'undetermined that the vendor decides');
    more('wrong', 'wrong verdicts');
  }
  for (const name of Object.keys(now))
    if (baseline[name] === undefined) found.push(`${name}: it is not in baseline.json yet.`);
  return found;
}
