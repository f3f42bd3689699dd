/** The accuracy gate: how right the product is over the whole corpus, and that the gate itself can close. */
import { beforeAll, describe, expect, test } from 'vitest';
import { classes, readCorpus, type Case, type Label } from './case.ts';
import { judgeCase, pairKey, type Answer, type Judged } from './judge.ts';
import { readBaseline, runCorpus, tableOf } from './run.ts';
import {
  baselineOf,
  byDistribution,
  emptyScore,
  f1,
  kindOf,
  notDecidedShare,
  objections,
  precision,
  recall,
  scoreCase,
  type CaseResult,
} from './score.ts';

const corpus = readCorpus();
let results: CaseResult[];

beforeAll(async () => {
  results = await runCorpus(corpus);
  console.log(tableOf(results));
}, 120_000);

test('no verdict is worse than those that are committed, and no pair is without a label', () => {
  const against = objections(results, readBaseline());
  const wrong = results.flatMap((one) => one.wrong.map(({ sentence }) => sentence));
  expect(against, [...against, ...wrong].join('\n')).toEqual([]);
});

test('F1 is 1, and less than 2 % of what the vendors decide is left open', () => {
  const total = byDistribution(results).get('total') ?? emptyScore;
  expect(f1(total)).toBe(1);
  expect(notDecidedShare(total)).toBeLessThan(0.02);
  expect(total.wrong).toBe(0);
});

test('the corpus is of the size that its figures are quoted with, and has every class', () => {
  expect(corpus.length).toBeGreaterThanOrEqual(70);
  const labels = corpus.flatMap((one) => one.labels);
  expect(labels.length).toBeGreaterThanOrEqual(2500);
  const shown = new Set(labels.map((label) => label.class));
  expect(classes.filter((name) => !shown.has(name))).toEqual([]);
});

/** One case with what was judged of it, the judged as `change` leaves it. */
async function rejudged(
  name: string,
  change: (answers: Map<string, Answer>, one: Case) => void,
  labels: (labels: readonly Label[]) => readonly Label[] = (same) => same,
): Promise<CaseResult> {
  const one = corpus.find((candidate) => candidate.name === name);
  if (one === undefined) throw new Error(`there is no case ${name}`);
  const judged: Judged = await judgeCase(one);
  const answers = new Map(judged.answers);
  change(answers, one);
  return scoreCase({ ...one, labels: labels(one.labels) }, { ...judged, answers });
}

describe('the gate closes', () => {
  const name = 'debian-12/web-server-2023';
  const vulnerable = pairKey('CVE-2023-5363', 'libssl3');
  const same = (): void => undefined;
  const baseline = async () => baselineOf([await rejudged(name, same)]);

  test('not while nothing changes', async () => {
    expect(objections([await rejudged(name, same)], await baseline())).toEqual([]);
  });

  test('for a finding that is missed, and says what should have been answered and why', async () => {
    const result = await rejudged(name, (answers) =>
      answers.set(vulnerable, { verdict: 'fixed', sentence: 'A mistake.' }),
    );
    expect(result.wrong.map(({ kind }) => kind)).toEqual(['false_negative']);
    expect(result.wrong[0]?.sentence).toMatch(
      /^debian-12\/web-server-2023: CVE-2023-5363 in libssl3 was answered fixed \(A mistake\.\) and should be vulnerable: .*3\.0\.11-1~deb12u2.* \[OSV record CVE-2023-5363/u,
    );
    expect(objections([result], await baseline()).join('\n')).toMatch(
      /F1 fell from 1\.0000 .*\n.*1 false negatives, and there were 0/u,
    );
  });

  test('for a pair of which nothing is answered any more', async () => {
    const result = await rejudged(name, (answers) => void answers.delete(vulnerable));
    expect(result.wrong).toMatchObject([{ kind: 'false_negative', answered: 'not_listed' }]);
    expect(objections([result], await baseline())).not.toEqual([]);
  });

  test('for a finding that is none', async () => {
    const result = await rejudged('debian-12/web-server-upgraded', (answers) =>
      answers.set(vulnerable, { verdict: 'vulnerable', sentence: 'A mistake.' }),
    );
    expect(result.wrong.map(({ kind }) => kind)).toEqual(['false_positive']);
    expect(precision(result.score)).toBeLessThan(1);
  });

  test('for a label that is removed', async () => {
    const without = (labels: readonly Label[]) =>
      labels.filter((label) => pairKey(label.vulnerability, label.package) !== vulnerable);
    const result = await rejudged(name, same, without);
    expect(result.missing).toEqual([{ case: name, pair: vulnerable }]);
    const against = objections([result], await baseline()).join('\n');
    expect(against).toContain(`${name}: ${vulnerable} has no label.`);
    expect(against).toContain('labels, and there were');
  });

  test('for a distribution without its cases, and for one that is not in the baseline', async () => {
    expect(objections([], await baseline()).join('\n')).toContain('all of its cases are gone');
    expect(objections([await rejudged(name, same)], {}).join('\n')).toContain('not in baseline.json yet');
  });
});

test('not to know counts as missed, to call safe what nobody knows too, and a wrong word is no other mistake', () => {
  expect(kindOf('vulnerable', 'vulnerable')).toBeNull();
  expect(kindOf('vulnerable', 'undetermined')).toBe('false_negative');
  expect(kindOf('restart_pending', 'fixed')).toBe('false_negative');
  expect(kindOf('undetermined', 'fixed')).toBe('false_negative');
  expect(kindOf('undetermined', 'not_listed')).toBe('false_negative');
  expect(kindOf('undetermined', 'vulnerable')).toBe('false_positive');
  expect(kindOf('not_running', 'vulnerable')).toBe('false_positive');
  expect(kindOf('fixed', 'undetermined')).toBe('not_decided');
  expect(kindOf('fixed', 'not_affected')).toBe('other_verdict');
  expect(kindOf('restart_pending', 'vulnerable')).toBe('other_verdict');
});

test('precision, recall and F1 are what the books say', () => {
  const score = { ...emptyScore, truePositives: 8, falsePositives: 2, falseNegatives: 4 };
  expect(precision(score)).toBe(0.8);
  expect(recall(score)).toBeCloseTo(8 / 12);
  expect(f1(score)).toBeCloseTo(16 / 22);
  expect(f1(emptyScore)).toBe(1);
});
