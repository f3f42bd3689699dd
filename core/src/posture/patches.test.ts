import { expect, test } from 'vitest';
import type { AssetFacts, SoftwareFacts, VerdictFacts } from './facts.ts';
import { fleetPatches } from './patches.ts';
import { assetRecord, patchRecord } from './select/records.ts';
import { atOnce } from './select/selection.ts';
import { now } from './select/test-facts.ts';
import { PlainFleet } from './select/test-fleet.ts';

const verdict = (vulnerability: string, more: Partial<VerdictFacts> = {}): VerdictFacts => ({
  vulnerability,
  verdict: 'vulnerable',
  fixState: 'available',
  fixedVersion: null,
  update: null,
  since: now,
  ...more,
});

const software = (
  id: number,
  name: string,
  verdicts: readonly VerdictFacts[],
  more: Partial<SoftwareFacts> = {},
) =>
  ({
    id,
    ecosystem: 'debian',
    release: '12',
    name,
    version: '1.0',
    arch: 'amd64',
    source: name,
    origin: 'distribution',
    vendor: null,
    package: name,
    kernel: false,
    verdicts,
    ...more,
  }) satisfies SoftwareFacts;

const asset = (id: number, installed: readonly number[]): AssetFacts => ({
  id,
  uid: `00000000-0000-4000-8000-00000000000${id}`,
  hostname: `host-${id}`,
  mode: 'manage',
  os: 'debian',
  osRelease: '12',
  arch: 'amd64',
  agentVersion: '0.1.0',
  enrolledAt: now,
  retired: false,
  criticalitySet: null,
  attributes: {},
  host: null,
  software: installed,
  since: installed.map(() => 0),
  inert: [],
  nextKernel: null,
  stale: [],
  mitigations: [],
  remediatedBefore: [],
  firstSeen: {},
});

function fleetOf(all: readonly SoftwareFacts[], assets: readonly AssetFacts[]): PlainFleet {
  return new PlainFleet({
    assets,
    contacts: [],
    software: all,
    vulnerabilities: ['CVE-1', 'CVE-2', 'CVE-3'].map((id) => ({
      id,
      aliases: [],
      title: null,
      publishedAt: null,
      withdrawn: false,
      scores: [],
      threats: [],
    })),
    tags: new Map(),
    levels: [],
    risks: [],
    accepted: new Map(),
    acceptedUntil: now,
    slaRules: [],
  });
}

const summary = (fleet: PlainFleet) =>
  atOnce(fleetPatches(fleet)).all.map((patch) => ({
    id: patch.id,
    assets: patch.assets().toArray(),
    findings: patch.findings(),
    superseded: patch.superseded,
    reboot: patch.needsReboot,
  }));

test('a version closes what itself and older ones fix, and is superseded by newer ones', () => {
  const fleet = fleetOf(
    [
      software(1, 'openssl', [
        verdict('CVE-1', { fixedVersion: '1.9' }),
        verdict('CVE-2', { fixedVersion: '1.10' }),
      ]),
      software(2, 'libssl3', [verdict('CVE-1', { fixedVersion: '1.9' })], { package: 'openssl' }),
      software(3, 'openssl', [verdict('CVE-1', { fixedVersion: '1.9' })], { release: '11' }),
      software(4, 'curl', [verdict('CVE-3', { fixState: 'none_yet' })]),
    ],
    [asset(1, [1, 2]), asset(2, [2]), asset(3, [3]), asset(4, [4])],
  );
  expect(summary(fleet)).toEqual([
    { id: 'debian:11/openssl@1.9', assets: [3], findings: 1, superseded: false, reboot: false },
    { id: 'debian:12/openssl@1.10', assets: [1, 2], findings: 3, superseded: false, reboot: false },
    { id: 'debian:12/openssl@1.9', assets: [1, 2], findings: 2, superseded: true, reboot: false },
  ]);
});

test('a finding that other software of the release also carries is not closed while that is not', () => {
  const fleet = fleetOf(
    [
      software(1, 'nodejs', [verdict('CVE-1', { fixedVersion: '18.2' })]),
      software(2, 'nodejs20', [verdict('CVE-1', { fixedVersion: '20.4' })], { package: 'nodejs' }),
    ],
    [asset(1, [1]), asset(2, [1, 2])],
  );
  expect(summary(fleet).map(({ id, assets }) => [id, assets])).toEqual([
    ['debian:12/nodejs@18.2', [1]],
    ['debian:12/nodejs@20.4', [1, 2]],
  ]);
});

test('what is not known to be vulnerable has no patch; a version that is none closes what names it', () => {
  const fleet = fleetOf(
    [
      software(1, 'a', [verdict('CVE-1', { verdict: 'undetermined', fixedVersion: '2.0' })]),
      software(2, 'b', [
        verdict('CVE-1', { fixedVersion: 'not a version' }),
        verdict('CVE-2', { fixedVersion: '2.0' }),
      ]),
    ],
    [asset(1, [1, 2])],
  );
  expect(summary(fleet).map(({ id, findings, superseded }) => [id, findings, superseded])).toEqual([
    ['debian:12/b@2.0', 1, false],
    ['debian:12/b@not a version', 1, false],
  ]);
});

test('a kernel needs a reboot, and updates of Windows are named by their id', () => {
  const update = { id: 'KB5040430', build: '10.0.17763.6054', restart: true };
  const fleet = fleetOf(
    [
      software(1, 'linux-image-6.1.0-25-amd64', [verdict('CVE-1', { fixedVersion: '6.1.2-1' })], {
        package: 'linux',
        kernel: true,
      }),
      software(2, 'Windows Server 2019', [verdict('CVE-2', { update })], {
        ecosystem: 'windows',
        release: '',
      }),
    ],
    [asset(1, [1]), asset(2, [2])],
  );
  expect(summary(fleet).map(({ id, reboot }) => [id, reboot])).toEqual([
    ['debian:12/linux@6.1.2-1', true],
    ['windows:/KB5040430@10.0.17763.6054', true],
  ]);
  const [linux] = atOnce(fleetPatches(fleet)).all;
  if (linux === undefined) throw new Error('no patch');
  const record = patchRecord(fleet, linux, now);
  expect(record.field('version', null)).toEqual({ scheme: 'dpkg', text: '6.1.2-1' });
  expect(record.field('suspect', null)).toBe(null);
  // It has not reported: there may be more.
  expect(assetRecord(fleet, 1, now).related('patch')).toEqual([expect.anything(), null]);
});
