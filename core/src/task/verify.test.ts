import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { verify, type ObservedFinding, type ReportedStatus, type VerificationInput } from './verify.ts';

const statuses: readonly ReportedStatus[] = [
  'open',
  'restart_pending',
  'reboot_pending',
  'mitigated',
  'accepted',
  'undetermined',
];
const vulnerability = fc.constantFrom('CVE-1', 'CVE-2', 'CVE-3', 'CVE-4');
const finding: fc.Arbitrary<ObservedFinding> = fc.record({
  vulnerability,
  source: fc.constantFrom('openssl', 'curl'),
  status: fc.constantFrom(...statuses),
  statusReason: fc.option(fc.constant('nginx still runs it')),
  fixedVersion: fc.option(fc.constant('2')),
});
const version = fc.constantFrom('1', '2');
const installed = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('libssl3', 'openssl', 'curl'),
    arch: fc.constant('amd64'),
    version,
    source: fc.constant('openssl'),
    source_version: version,
  }),
  { selector: (p) => p.name },
);
const input: fc.Arbitrary<VerificationInput> = fc.record({
  before: fc.array(finding),
  expectedGone: fc.array(vulnerability),
  after: fc.array(finding),
  unjudged: fc.constantFrom(null, null, null, 'Nothing is known of its release.'),
  installed,
  residue: fc.array(
    fc.record({
      kind: fc.constantFrom('process' as const, 'file' as const),
      name: fc.constantFrom('libssl3', 'bash'),
      arch: fc.constant('amd64'),
      version: fc.constantFrom(null, '1'),
      source: fc.constant('openssl'),
      source_version: fc.constant(null),
      path: fc.constant('/usr/lib/libssl.so.3'),
      process: fc.constant(null),
      alteration: fc.constant(null),
    }),
    { maxLength: 1 },
  ),
  expectedVersions: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('libssl3', 'openssl', 'curl'),
      arch: fc.constant('amd64'),
      to: version,
    }),
    { selector: (p) => p.name },
  ),
});

describe('laws of verification', () => {
  test('never succeeded while an expected vulnerability is reported in any status, or a version is not the ordered one', () => {
    fc.assert(
      fc.property(input, (given) => {
        const { outcome, evidence } = verify(given);
        const reported = given.after.some((f) => given.expectedGone.includes(f.vulnerability));
        const wrong = given.expectedVersions.some(
          (e) => given.installed.find((p) => p.name === e.name && p.arch === e.arch)?.version !== e.to,
        );
        const unknown = given.residue.some(
          (r) => r.version === null && given.expectedVersions.some((e) => e.name === r.name),
        );
        expect(outcome === 'succeeded').toBe(!reported && !wrong && !unknown && given.unjudged === null);
        if (given.unjudged !== null) expect(outcome).toBe('undetermined');
        expect(evidence.wrong_versions.length > 0).toBe(wrong);
        expect(evidence.remaining.length > 0).toBe(reported);
      }),
      { numRuns: 2000 },
    );
  });

  test('what is neither expected nor ordered decides nothing', () => {
    fc.assert(
      fc.property(input, finding, (given, other) => {
        fc.pre(!given.expectedGone.includes(other.vulnerability));
        expect(verify({ ...given, after: [...given.after, other] }).outcome).toBe(verify(given).outcome);
      }),
    );
  });

  test('vulnerable code on disk is never taken for a matter of restarting', () => {
    fc.assert(
      fc.property(
        input,
        fc.constantFrom<ReportedStatus>('open', 'mitigated', 'accepted'),
        (given, status) => {
          const [first] = given.expectedGone;
          fc.pre(first !== undefined && given.unjudged === null);
          const open: ObservedFinding = {
            vulnerability: first ?? '',
            source: 'openssl',
            status,
            statusReason: null,
            fixedVersion: '2',
          };
          expect(verify({ ...given, after: [...given.after, open] }).outcome).toBe('not_remediated');
        },
      ),
    );
  });
});

const libssl = (v: string) =>
  ({ name: 'libssl3', arch: 'amd64', version: v, source: 'openssl', source_version: v }) as const;
const base: VerificationInput = {
  before: [],
  expectedGone: ['CVE-1'],
  after: [],
  installed: [libssl('2')],
  expectedVersions: [{ name: 'libssl3', arch: 'amd64', to: '2' }],
  residue: [],
  unjudged: null,
};
const still = (status: ReportedStatus): ObservedFinding => ({
  vulnerability: 'CVE-1',
  source: 'openssl',
  status,
  statusReason: 'nginx.service still runs libssl.so.3',
  fixedVersion: '2',
});

describe('outcomes', () => {
  test.each([
    [[], 'succeeded'],
    [[still('open')], 'not_remediated'],
    [[still('restart_pending')], 'restart_pending'],
    [[still('restart_pending'), still('reboot_pending')], 'reboot_pending'],
    [[still('restart_pending'), still('undetermined')], 'undetermined'],
    [[still('undetermined'), still('open')], 'not_remediated'],
  ])('%#: %j', (after, outcome) => {
    expect(verify({ ...base, after }).outcome).toBe(outcome);
  });

  test('a package that is gone or newer than ordered is not the ordered version', () => {
    for (const installedNow of [[], [libssl('3')]]) {
      const { outcome, evidence } = verify({ ...base, installed: installedNow });
      expect(outcome).toBe('not_remediated');
      expect(evidence.sentence).toContain('libssl3 is');
    }
  });

  test('a process that runs code of an unknown version must be restarted; such a file cannot be judged', () => {
    const unknown = {
      kind: 'process',
      name: 'libssl3',
      arch: 'amd64',
      version: null,
      source: 'openssl',
      source_version: null,
      path: '/usr/lib/libssl.so.3',
      process: { pid: 7, command: 'nginx', unit: 'nginx.service', started_at: '2026-01-01T00:00:00Z' },
      alteration: null,
    } as const;
    const { outcome, evidence } = verify({ ...base, residue: [unknown] });
    expect([outcome, evidence.unknown_residue]).toEqual([
      'restart_pending',
      ['/usr/lib/libssl.so.3 (nginx.service)'],
    ]);
    expect(verify({ ...base, residue: [{ ...unknown, kind: 'file', process: null }] }).outcome).toBe(
      'undetermined',
    );
  });

  test('the sentence names what remains and why', () => {
    expect(verify({ ...base, after: [still('restart_pending')] }).evidence.sentence).toBe(
      'Fixed on disk, but a running program still uses the old code: CVE-1 (nginx.service still runs libssl.so.3).',
    );
  });
});

test('a kernel that stands beside older ones under one name is at its version, in whatever order they come', () => {
  for (const versions of [
    ['1', '2'],
    ['2', '1'],
  ])
    expect(verify({ ...base, installed: versions.map(libssl) }).outcome).toBe('succeeded');
  expect(verify({ ...base, installed: [libssl('0'), libssl('1')] }).evidence.wrong_versions).toMatchObject([
    { expected: '2', installed: '1' },
  ]);
});
