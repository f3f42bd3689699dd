import type { ReportedMitigation } from '../inventory/inventory.ts';

/** Whether the mitigations of a task came to what was ordered, by what the host reports now. */

export interface ExpectedMitigation {
  readonly id: string;
  readonly action: 'apply' | 'undo';
  readonly digest: string;
}

export interface MitigationEvidence {
  readonly id: string;
  readonly action: 'apply' | 'undo';
  /** `absent`: the host reports none of this id. */
  readonly state: ReportedMitigation['state'] | 'absent' | 'other_edition';
  readonly detail: string;
}

export type MitigationOutcome = 'succeeded' | 'not_remediated' | 'reboot_pending' | 'undetermined';

export interface MitigationVerification {
  readonly outcome: MitigationOutcome;
  readonly evidence: readonly MitigationEvidence[];
  /** One for each mitigation. */
  readonly sentences: readonly string[];
}

const worstFirst: readonly MitigationOutcome[] = [
  'not_remediated',
  'undetermined',
  'reboot_pending',
  'succeeded',
];

/** An applied one must be in force, in the very edition that was ordered; an undone one must be gone. */
export function verifyMitigations(
  expected: readonly ExpectedMitigation[],
  reported: readonly ReportedMitigation[],
): MitigationVerification {
  const judged = expected.map((one) =>
    judgeOne(
      one,
      reported.find((now) => now.id === one.id),
    ),
  );
  return {
    outcome: worstFirst.find((outcome) => judged.some((one) => one.outcome === outcome)) ?? 'succeeded',
    evidence: judged.map((one) => one.evidence),
    sentences: judged.map((one) => one.sentence),
  };
}

interface Judged {
  readonly outcome: MitigationOutcome;
  readonly evidence: MitigationEvidence;
  readonly sentence: string;
}

function judgeOne({ id, action, digest }: ExpectedMitigation, now: ReportedMitigation | undefined): Judged {
  const judged = (
    outcome: MitigationOutcome,
    state: MitigationEvidence['state'],
    detail: string,
    sentence: string,
  ): Judged => ({ outcome, evidence: { id, action, state, detail }, sentence });
  if (action === 'undo') {
    return now === undefined
      ? judged('succeeded', 'absent', '', `${id} is taken back.`)
      : judged('not_remediated', now.state, now.detail, `${id} is still on the host: ${now.detail}`);
  }
  if (now === undefined) {
    return judged('not_remediated', 'absent', '', `The host does not report ${id}.`);
  }
  if (now.digest !== digest) {
    return judged('not_remediated', 'other_edition', now.detail, `The host has another edition of ${id}.`);
  }
  if (now.state === 'applied') {
    return judged('succeeded', now.state, now.detail, `${id} is in force: ${now.detail}`);
  }
  if (now.until_reboot) {
    return judged('reboot_pending', now.state, now.detail, `${id} is in force after a reboot: ${now.detail}`);
  }
  return now.state === 'unknown'
    ? judged('undetermined', now.state, now.detail, `Whether ${id} is in force is not known: ${now.detail}`)
    : judged('not_remediated', now.state, now.detail, `${id} is not in force: ${now.detail}`);
}
