import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Type } from 'typebox';
import { Parse } from 'typebox/value';
import { readCorpus, type Case } from './case.ts';
import { judgeCase } from './judge.ts';
import {
  byDistribution,
  f1,
  notDecidedShare,
  precision,
  recall,
  scoreCase,
  type Baseline,
  type CaseResult,
  type Score,
} from './score.ts';

/** Judges every case and compares it with its labels. */
export async function runCorpus(corpus: readonly Case[] = readCorpus()): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const one of corpus) results.push(scoreCase(one, await judgeCase(one)));
  return results;
}

export const baselineFile = resolve(import.meta.dirname, '../baseline.json');

const count = Type.Integer({ minimum: 0 });
const BaselineFile = Type.Record(
  Type.String(),
  Type.Object(
    {
      cases: count,
      labels: count,
      f1: Type.Number({ minimum: 0, maximum: 1 }),
      false_positives: count,
      false_negatives: count,
      not_decided: count,
      wrong: count,
    },
    { additionalProperties: false },
  ),
);

export function readBaseline(): Baseline {
  return Parse(BaselineFile, JSON.parse(readFileSync(baselineFile, 'utf8')));
}

/** The figures of a run as a table for a terminal. */
export function tableOf(results: readonly CaseResult[]): string {
  const rows = [
    ['distribution', 'cases', 'labels', 'precision', 'recall', 'F1', 'undetermined', 'of decidable', 'wrong'],
    ...[...byDistribution(results)].map(([name, score]) => row(name, score)),
  ];
  const widths = rows[0]?.map((_, at) => Math.max(...rows.map((cells) => cells[at]?.length ?? 0))) ?? [];
  return rows
    .map((cells) =>
      cells
        .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function row(name: string, score: Score): string[] {
  return [
    name,
    String(score.cases),
    String(score.labels),
    precision(score).toFixed(4),
    recall(score).toFixed(4),
    f1(score).toFixed(4),
    percent(score.labels === 0 ? 0 : score.undetermined / score.labels),
    percent(notDecidedShare(score)),
    String(score.wrong),
  ];
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

/** How many labels and wrong verdicts each class has, as lines for a terminal. */
export function classesOf(corpus: readonly Case[], results: readonly CaseResult[]): string {
  const wrong = results.flatMap((result) => result.wrong.map(({ label }) => label.class));
  const counts = new Map<string, number>();
  for (const { labels } of corpus)
    for (const label of labels) counts.set(label.class, (counts.get(label.class) ?? 0) + 1);
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(
      ([name, n]) =>
        `${name.padEnd(26)} ${String(n).padStart(5)}  ${String(wrong.filter((one) => one === name).length).padStart(3)} wrong`,
    )
    .join('\n');
}
