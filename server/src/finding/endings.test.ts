import { expect, test } from 'vitest';
import { sinceEpochSeconds } from '@fixpoint/core/finding/exposure.ts';
import type { SoftwareRow } from '../software/commands.ts';
import { endingsOf, maxFirstSeenKept } from './endings.ts';
import type { CarriedBy, ExposureChange } from './step.ts';
import { findingKey } from './store.ts';

const kernel = (id: number): SoftwareRow => {
  const version = `6.1.${String(id)}-1`;
  const built = { name: `linux-image-6.1.0-${String(id)}-amd64`, arch: 'amd64', version };
  const source = { source: 'linux', source_version: version, statement_source: 'linux' };
  return { ...built, ...source, id, package: 'linux', kernel: true };
};
const at = (seconds: number): Date => new Date((seconds + sinceEpochSeconds) * 1000);
const state = (software: number, since: number) => ({ software: [software], since: [since] });
const carried = (software: number, since: number): CarriedBy => ({
  exposures: [{ software, since, kind: 'installed', openedAt: at(since), fixedVersion: null }],
  status: 'open',
});
const step = (from: number, to: number): ExposureChange => ({
  assetId: 1,
  uid: 'asset',
  actor: { kind: 'system', name: 'test' },
  os: 'debian',
  osRelease: '12',
  host: null,
  candidates: [],
  residue: [],
  before: state(from, 0),
  after: state(to, 900),
  differing: [from, to],
});
/** Unfixed in every kernel; the later its number, the earlier it became known, two at a time. */
const cves = Array.from({ length: 500 }, (_, index) => `CVE-2026-${String(1000 + index)}`);
const knownAt = (index: number): number => 500 - Math.floor(index / 2);
const before = new Map(cves.map((cve, index) => [cve, carried(1, knownAt(index))]));
const after = (software: number) => new Map(cves.map((cve) => [cve, carried(software, 900)]));
const key = (cve: string): string => findingKey(cve, 'linux');

test('a kernel that leaves hundreds unfixed ends nothing, and the oldest of them are kept', () => {
  const first = endingsOf(step(1, 2), before, after(2), {}, null, kernel);
  expect(first.closed).toEqual([]);
  const kept = Object.fromEntries(
    cves.map((cve, index) => [key(cve), knownAt(index)] as const).slice(-maxFirstSeenKept),
  );
  expect(Object.keys(kept)).toHaveLength(maxFirstSeenKept);
  expect(first.firstSeen).toEqual(kept);

  const later = new Map(cves.map((cve) => [cve, carried(3, 950)]));
  // With the next kernel the same ones are kept: the rest is as old as the kernel before.
  const second = endingsOf(step(2, 3), after(2), later, first.firstSeen, null, kernel);
  expect(second.firstSeen).toEqual(kept);
});

test('of findings as old as each other the first by key are kept, with those that were not asked for', () => {
  const same = new Map(cves.toReversed().map((cve) => [cve, carried(1, 50)]));
  const asked = new Set(cves);
  const earlier = { [key('CVE-2025-1')]: 7, [key('CVE-2025-2')]: 60, [key('CVE-2026-1000')]: 5 };
  const { firstSeen } = endingsOf(step(1, 2), same, after(2), earlier, asked, kernel);
  const expected = cves.slice(1, maxFirstSeenKept - 1).map((cve) => [key(cve), 50] as const);
  expect(firstSeen).toEqual({
    [key('CVE-2026-1000')]: 5,
    [key('CVE-2025-1')]: 7,
    ...Object.fromEntries(expected),
  });
});

test('the row of its end has the first day of what was kept, and no other', () => {
  const { firstSeen } = endingsOf(step(1, 2), before, after(2), {}, null, kernel);
  const { closed } = endingsOf(step(2, 3), after(2), new Map(), firstSeen, null, kernel);
  const opened = new Map(closed.map((one) => [one.vulnerability, one.opened_at]));
  expect(opened.size).toBe(cves.length);
  expect(opened.get('CVE-2026-1499')).toEqual(at(knownAt(499)));
  expect(opened.get('CVE-2026-1000')).toEqual(at(900));
});
