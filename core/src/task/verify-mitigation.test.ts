import { describe, expect, test } from 'vitest';
import type { ReportedMitigation } from '../inventory/inventory.ts';
import { verifyMitigations } from './verify-mitigation.ts';
import { verify, type VerificationInput } from './verify.ts';

const digest = 'a'.repeat(64);
const reported: ReportedMitigation = {
  id: 'module-dccp',
  digest,
  state: 'applied',
  detail: 'dccp is not loaded.',
  until_reboot: false,
};
const apply = { id: 'module-dccp', action: 'apply', digest } as const;

describe('a mitigation that was ordered', () => {
  test.each<[string, readonly ReportedMitigation[], string]>([
    ['in force', [reported], 'succeeded'],
    ['not reported', [], 'not_remediated'],
    ['another one', [{ ...reported, id: 'other' }], 'not_remediated'],
    ['another edition', [{ ...reported, digest: 'b'.repeat(64) }], 'not_remediated'],
    ['overridden', [{ ...reported, state: 'overridden' }], 'not_remediated'],
    ['after a reboot', [{ ...reported, state: 'overridden', until_reboot: true }], 'reboot_pending'],
    ['unknown', [{ ...reported, state: 'unknown' }], 'undetermined'],
  ])('%s', (_, list, outcome) => {
    expect(verifyMitigations([apply], list).outcome).toBe(outcome);
  });
  test('taken back only when nothing is reported of it', () => {
    expect(verifyMitigations([{ ...apply, action: 'undo' }], []).outcome).toBe('succeeded');
    expect(verifyMitigations([{ ...apply, action: 'undo' }], [reported]).outcome).toBe('not_remediated');
  });
});

describe('a task with packages and mitigations', () => {
  const input: VerificationInput = {
    before: [],
    expectedGone: ['CVE-1'],
    after: [
      {
        vulnerability: 'CVE-2',
        source: 'linux',
        status: 'mitigated',
        statusReason: null,
        fixedVersion: null,
      },
    ],
    installed: [],
    expectedVersions: [],
    residue: [],
    mitigations: { expected: [apply], reported: [reported], vulnerabilities: ['CVE-2'] },
    unjudged: null,
  };
  test('succeeds when both do, and keeps what the mitigation bears on', () => {
    const { outcome, evidence } = verify(input);
    expect(outcome).toBe('succeeded');
    expect(evidence.bears_on).toMatchObject([{ vulnerability: 'CVE-2', status: 'mitigated' }]);
    expect(evidence.sentence).toMatch(/CVE|expected vulnerabilities/u);
  });
  test('fails when either does', () => {
    const mitigations = { expected: [apply], reported: [], vulnerabilities: ['CVE-2'] };
    expect(verify({ ...input, mitigations }).outcome).toBe('not_remediated');
    const gone = {
      vulnerability: 'CVE-1',
      source: 'linux',
      status: 'open',
      statusReason: null,
      fixedVersion: null,
    } as const;
    expect(verify({ ...input, after: [gone] }).outcome).toBe('not_remediated');
    // a mitigated vulnerability that was promised to be gone is there all the same
    expect(verify({ ...input, after: [{ ...gone, status: 'mitigated' }] }).outcome).toBe('not_remediated');
  });
});
