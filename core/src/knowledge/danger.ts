import type { Ecosystem } from './ecosystem.ts';
import { chosenScore, type ChosenScore, type SourcedScore } from './score.ts';
import {
  summariseThreats,
  type ExploitMaturity,
  type SourcedThreat,
  type ThreatDisagreement,
  type ThreatSummary,
} from './threat.ts';

/** How dangerous a vulnerability is, from all sources together, with what they do not agree on in words. */

/** From harmless to known attacks. */
export const exploitMaturities: readonly ExploitMaturity[] = ['none', 'public', 'weaponised', 'active'];

export interface DangerSummary {
  readonly score: ChosenScore | null;
  readonly threat: ThreatSummary;
  /** Each a sentence: who says what, and what was taken instead. */
  readonly disagreements: readonly string[];
}

export function summariseDanger(
  scores: readonly SourcedScore[],
  threats: readonly SourcedThreat[],
  ecosystem: Ecosystem | null = null,
): DangerSummary {
  const score = chosenScore(scores, ecosystem);
  const threat = summariseThreats(threats);
  return {
    score,
    threat,
    disagreements: [
      ...(score === null ? [] : score.disagreements.map((other) => scoreSentence(score, other))),
      ...threat.disagreements.map(threatSentence),
    ],
  };
}

function scoreSentence({ chosen }: ChosenScore, other: SourcedScore): string {
  return `${other.score.scorer} scores it ${other.score.baseScore.toFixed(1)} (CVSS ${other.score.version}); ${chosen.score.scorer}’s ${chosen.score.baseScore.toFixed(1)} is taken.`;
}

const abouts = {
  exploitation: 'whether it is attacked',
  exploit: 'whether code to exploit it is public',
  ransomware: 'whether ransomware uses it',
  exploit_probability: 'how likely attacks are',
  ssvc: 'its SSVC decision points',
} as const;

function threatSentence({ about, taken, against }: ThreatDisagreement): string {
  return `${against.feed} (${against.threat.assertedOn}) and ${taken.feed} (${taken.threat.assertedOn}) disagree on ${abouts[about]}; ${taken.feed} is taken.`;
}
