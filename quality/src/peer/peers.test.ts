/**
 * debsecan and OpenSCAP on the same roots and the same decisions as ours. Skipped where the programs are not installed: Debian's
 * packages debsecan, openscap-scanner and rpm.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseDpkgStatus } from '@fixpoint/core/inventory/dpkg-status.ts';
import { parseOsRelease } from '@fixpoint/core/inventory/os-release.ts';
import { decideAll, type Decision } from '@fixpoint/core/knowledge/decision.ts';
import { productOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import type { MatchSoftware } from '@fixpoint/core/match/match.ts';
import { readCorpus, type Case } from '../case.ts';
import { readInstalled } from '../installed.ts';
import { readCarriedKnowledge, readKnowledge } from '../knowledge.ts';
import { onPath, runCommand } from '../run-command.ts';
import {
  agreementText,
  agreeWithDebsecan,
  agreeWithOval,
  ourWords,
  versionTests,
  type Agreement,
} from './agreement.ts';
import { debsecanData, debsecanFindings } from './debsecan-data.ts';
import { ovalDefinitions, ovalResults, type OvalFamily, type VersionTest } from './oval.ts';
import { makeDebRoot, makeRpmRoot } from './roots.ts';

const debian12 = { ecosystem: 'debian', release: '12' };
const corpus = readCorpus();
let folder: string;
let decisions: Decision[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fixpoint-peers-'));
  const { statements, withdrawn } = await readCarriedKnowledge(debian12);
  decisions = decideAll(
    statements.filter(({ statement }) => statement.release === debian12.release),
    withdrawn,
  );
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function caseOf(name: string): Case {
  const one = corpus.find((candidate) => candidate.name === name);
  if (one === undefined) throw new Error(`there is no case ${name}`);
  return one;
}

/** Debian 12 roots: those of the corpus, and this machine where it is one. */
const statusFile = '/var/lib/dpkg/status';
const thisMachine = existsSync(statusFile)
  ? parseOsRelease(readFileSync('/etc/os-release', 'utf8'))
  : { os: '', os_release: '' };
const machineRoot =
  thisMachine.os === 'debian' && thisMachine.os_release === '12' ? [{ name: 'this machine' }] : [];
const debianRoots = [
  { name: 'debian-12/web-server-2023' },
  { name: 'debian-12/web-server-upgraded' },
  { name: 'debian-12/version-traps' },
  { name: 'debian-12/three-kernels' },
  { name: 'debian-12/name-collisions' },
  ...machineRoot,
];

function statusOf(name: string): { readonly text: string; readonly packages: readonly MatchSoftware[] } {
  if (name !== 'this machine') {
    const one = caseOf(name);
    return { text: one.packageText, packages: readInstalled(one) };
  }
  const text = readFileSync(statusFile, 'utf8');
  const parsed = parseDpkgStatus(text);
  if (!parsed.ok) throw new Error(parsed.message);
  return { text, packages: parsed.status.packages };
}

function report(title: string, agreement: Agreement): void {
  console.log(agreementText(title, agreement));
  expect(agreement.unexplained, agreement.unexplained.slice(0, 20).join('\n')).toEqual([]);
  expect(agreement.compared).toBeGreaterThan(0);
}

const hasDebsecan = onPath('debsecan');
const hasOscap = onPath('oscap');
if (!hasDebsecan) console.warn('peers.test.ts: debsecan is not installed, so it is not compared with');
if (!hasOscap) console.warn('peers.test.ts: oscap is not installed, so it is not compared with');

function debsecan(name: string, given: readonly Decision[]): Set<string> {
  const data = join(folder, `debsecan-${name.replaceAll(/\W/gu, '-')}`);
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, 'bookworm'), debsecanData(given));
  writeFileSync(join(data, 'none'), '');
  const status = join(data, 'status');
  writeFileSync(status, statusOf(name).text);
  // prettier-ignore
  const run = runCommand('debsecan', ['--config', join(data, 'none'), '--whitelist', join(data, 'no-whitelist'), '--source', `file://${data}`, '--suite', 'bookworm', '--status', status]);
  if (run.exitCode !== 0) throw new Error(`debsecan: ${run.stderr}`);
  return debsecanFindings(run.stdout);
}

describe.skipIf(!hasDebsecan)('debsecan', () => {
  test.each(debianRoots)('$name: every difference has a reason', ({ name }) => {
    const found = debsecan(name, decisions);
    report(`debsecan, ${name}`, agreeWithDebsecan(statusOf(name).packages, decisions, found));
  });

  test('a decision that debsecan has and we have not is a difference without a reason', () => {
    const name = 'debian-12/web-server-2023';
    const more = decisions.map((decision) =>
      decision.package === 'openssl' && decision.vulnerability === 'CVE-2023-5363'
        ? { ...decision, fixedVersion: '2.0-1' }
        : decision,
    );
    const agreement = agreeWithDebsecan(statusOf(name).packages, decisions, debsecan(name, more));
    expect(agreement.unexplained).toEqual([
      'CVE-2023-5363 libssl3: vulnerable here, not for debsecan (installed 3.0.9-1, fixed 3.0.11-1~deb12u2)',
    ]);
  });
});

function oscap(
  family: OvalFamily,
  tests: readonly VersionTest[],
  environment: Readonly<Record<string, string>>,
  at: string,
): Map<number, string> {
  const file = join(at, 'oval.xml');
  writeFileSync(file, ovalDefinitions(family, tests));
  const run = runCommand('oscap', ['oval', 'eval', file], environment);
  if (run.exitCode !== 0 || run.stderr !== '') throw new Error(`oscap: ${run.stdout}${run.stderr}`);
  return ovalResults(run.stdout);
}

describe.skipIf(!hasOscap)('OpenSCAP', () => {
  test.each(debianRoots)(
    '$name, by dpkg: every difference has a reason',
    { timeout: 300_000 },
    ({ name }) => {
      const { text, packages } = statusOf(name);
      const at = mkdtempSync(join(folder, 'deb-'));
      const words = ourWords(packages, decisions);
      const tests = versionTests(words);
      report(
        `oscap, ${name} (${String(tests.length)} definitions)`,
        agreeWithOval(words, tests, oscap('deb', tests, makeDebRoot(at, text), at)),
      );
    },
  );

  const rpmCases = [
    'almalinux-8/nodejs-18',
    'almalinux-8/nodejs-nodesource',
    'almalinux-8/postgresql-streams',
    'almalinux-9/server-9.2',
    'almalinux-9/server-upgraded',
    'rocky-8/server',
    'rocky-9/server',
    'rhel-9/eus-9.2-behind',
    'rhel-9/eus-9.4-current',
    'rhel-9/server-9.5',
  ];
  test.skipIf(!onPath('rpmbuild')).each(rpmCases)(
    '%s, by rpm: every difference has a reason',
    async (name) => {
      const one = caseOf(name);
      const product = productOf(one.system.os, one.system.os_release);
      const { statements, withdrawn } = await readKnowledge(one.knowledge, product);
      const ofRelease = statements.filter(({ statement }) => statement.release === product.release);
      const packages = readInstalled(one);
      const words = ourWords(packages, decideAll(ofRelease, withdrawn));
      const tests = versionTests(words);
      const at = mkdtempSync(join(folder, 'rpm-'));
      report(
        `oscap, ${name} (${String(tests.length)} definitions)`,
        agreeWithOval(words, tests, oscap('rpm', tests, makeRpmRoot(at, packages), at)),
      );
    },
  );

  test('a fixed version that OpenSCAP is given and we are not is a difference without a reason', () => {
    const { text, packages } = statusOf('debian-12/web-server-2023');
    const at = mkdtempSync(join(folder, 'deb-'));
    const words = ourWords(packages, decisions).filter(
      ({ decision }) => decision.vulnerability === 'CVE-2023-5363',
    );
    const tests = versionTests(words);
    const altered = tests.map((one) => ({ ...one, fixedVersion: '2.0-1' }));
    const agreement = agreeWithOval(words, tests, oscap('deb', altered, makeDebRoot(at, text), at));
    expect(agreement.unexplained).toEqual([
      'CVE-2023-5363 in libssl3 3.0.9-1: vulnerable here, false for OpenSCAP (fixed 3.0.11-1~deb12u2)',
    ]);
  });
});
