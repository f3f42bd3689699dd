/**
 * Windows matching over real data: the recorded hosts of wesng against MSRC's documents, beside wesng's own rule and data,
 * and beside what Windows Update itself offered where that was recorded. Skipped where the snapshots are not at hand.
 */
import { beforeAll, expect, test } from 'vitest';
import {
  consoleText,
  parseSystemInfo,
  parseUpdateList,
  windowsPackages,
} from '@fixpoint/core/inventory/windows.ts';
import type { StatementFact, UpdateFact } from '@fixpoint/core/knowledge/facts.ts';
import {
  numberOfKb,
  supersedenceOf,
  updateToDeploy,
  type SupersedenceGraph,
} from '@fixpoint/core/match/windows-updates.ts';
import { matchWindows } from '@fixpoint/core/match/windows.ts';
import { tarEntries } from '../archive.ts';
import { sharedFeedsMissing, sharedPath, zstdFile } from '../extract/shared-feeds.ts';
import { openInput } from '../input.ts';
import { publishedDocuments } from './mirror.ts';
import { microsoftCvrf } from './microsoft-cvrf.ts';
import { wesngMissing, wesngRows, type WesngRow } from './wesng.ts';

if (sharedFeedsMissing !== null) console.warn(`accuracy.test.ts: ${sharedFeedsMissing}`);
const testOfFullData = test.skipIf(sharedFeedsMissing !== null);

/** Every one: true; else a few of each kind. */
const everyHost = process.env['EVERY_WINDOWS_HOST'] === '1';
const someHosts = [
  '10_1803_x64_proforworkstations_en-us_A_20190305',
  '10_1809_x64_education_en-us_20190306',
  '10_21H2_x64_pro',
  '7_sp1_x64_enterprise_en-us_20190305',
  '7_sp1_x64_enterprise_fr_systeminfo_cmd',
  '7_sp1_x64_ultimaten_de',
  'srv_2012r2_u1_systeminfo2',
  'srv_2019_rtm',
  'xp_sp2_x86',
];

const claims: StatementFact[] = [];
const publishedAt = new Map<string, string>();
const recordedTexts = new Map<string, string>();
let graph: SupersedenceGraph;
let peer: Map<string, WesngRow[]>;

interface Host {
  readonly name: string;
  readonly product: string;
  readonly software: Parameters<typeof matchWindows>[0];
}
const hosts: Host[] = [];

beforeAll(async () => {
  if (sharedFeedsMissing !== null) return;
  const newest = new Map<string, StatementFact>();
  const updates: UpdateFact[] = [];
  const counts: Record<string, number> = {};
  const started = performance.now();
  const documents = publishedDocuments(zstdFile('microsoft/msrc-cvrf-by-cve.tar.zst'));
  for await (const item of microsoftCvrf.parse(documents)) {
    counts[item.outcome === 'record' ? 'records' : item.code] =
      (counts[item.outcome === 'record' ? 'records' : item.code] ?? 0) + 1;
    if (item.outcome === 'rejection') continue;
    for (const fact of item.facts) {
      counts[fact.kind] = (counts[fact.kind] ?? 0) + 1;
      if (fact.kind === 'update') updates.push(fact);
      else if (fact.kind === 'vulnerability') {
        const held = publishedAt.get(fact.id);
        if (fact.publishedAt !== null && (held === undefined || fact.publishedAt < held))
          publishedAt.set(fact.id, fact.publishedAt);
      } else if (fact.kind === 'statement') {
        const key = `${fact.package}\t${fact.vulnerability}`;
        const held = newest.get(key);
        if (held === undefined || (fact.statedAt ?? '') > (held.statedAt ?? '')) newest.set(key, fact);
      }
    }
  }
  for (const claim of newest.values()) claims.push(claim);
  graph = supersedenceOf(updates, claims);
  console.log(
    `microsoft-cvrf: ${JSON.stringify(counts)} in ${String(Math.round(performance.now() - started))} ms`,
  );
  expect(counts).toMatchObject({ records: 19_342, vulnerability: 14_017, update: 20_164, id_unknown: 3 });

  const input = await openInput(zstdFile('microsoft/wesng-validation-systeminfo.tar.zst'));
  for await (const entry of tarEntries(input, (name) => name.endsWith('.txt'))) {
    if (entry.outcome === 'rejection') throw new Error(entry.message);
    recordedTexts.set(entry.name.replace(/^.*\//u, ''), consoleText(entry.bytes));
  }
  for (const [file, text] of recordedTexts) {
    if (!file.includes('systeminfo') || !(everyHost || someHosts.some((one) => file.startsWith(one))))
      continue;
    const parse = parseSystemInfo(text);
    if (!parse.ok) throw new Error(`${file}: ${parse.message}`);
    const list = parseUpdateList(recordedTexts.get(file.replace(/systeminfo\d?\.txt$/u, 'qfe.txt')) ?? '');
    const [software] = windowsPackages(parse.info, null, list.ok ? list.updates : null);
    if (software === undefined) throw new Error(`${file}: no product`);
    hosts.push({ name: file, product: software.name, software });
  }
  peer = await wesngRows(
    sharedPath('microsoft/wesng-definitions.zip'),
    new Set(hosts.map(({ product }) => product)),
  );
}, 300_000);

const words = ({ vulnerability, updates }: StatementFact): string => [vulnerability, ...updates].join(' ');

const claimsOf = (product: string): StatementFact[] => claims.filter((claim) => claim.package === product);

testOfFullData('beside wesng: every disagreement is of a known class', () => {
  const total: Record<string, number> = {};
  const unexplained: string[] = [];
  for (const { name, product, software } of hosts.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const own = claimsOf(product);
    const rows = peer.get(product) ?? [];
    const { missing, all } = wesngMissing(rows, software.updates ?? []);
    const match = matchWindows(software, own, graph);
    if (!match.ok) {
      console.log(`${name}: ${match.rule} (wesng has ${String(all.size)} CVEs)`);
      continue;
    }
    const count: Record<string, number> = {};
    for (const { claim, kind, rule, sentence } of match.verdicts) {
      const key = classOf();
      count[key] = (count[key] ?? 0) + 1;
      total[key] = (total[key] ?? 0) + 1;

      function classOf(): string {
        const { vulnerability } = claim;
        if (!all.has(vulnerability)) return `only in CVRF: ${kind}`;
        const open = missing.get(vulnerability);
        if (kind === 'undetermined') return `undetermined: ${rule}`;
        if ((kind === 'vulnerable') === (open !== undefined)) return `agree: ${kind}`;
        if (kind === 'fixed' && open !== undefined) {
          // wesng reports every KB of a vulnerability that is not installed, also where another one has fixed it.
          const kbs = new Set(rows.filter((row) => row.cve === vulnerability).map(({ kb }) => kb));
          if (open.size < kbs.size) return 'fixed: another of its updates is installed, wesng asks for all';
          if (rule === 'containing_update_installed')
            return 'fixed: a later cumulative update is installed, wesng has a gap in the chain';
        }
        unexplained.push(`${name} ${vulnerability}: ${kind} (${rule}); ${sentence}`);
        return `unexplained: ${kind}`;
      }
    }
    console.log(`${name}: ${JSON.stringify(count)}`);
  }
  console.log(`all: ${JSON.stringify(total)}`);
  expect(unexplained).toEqual([]);
  expect(total['agree: vulnerable']).toBeGreaterThan(5000);
});

testOfFullData('beside Windows Update: what it did not offer is not called vulnerable', () => {
  for (const [prefix, day] of [
    ['10_1803_x64_proforworkstations_en-us_A_20190305', '2019-03-05'],
    ['10_1809_x64_education_en-us_20190306', '2019-03-06'],
    ['7_sp1_x64_enterprise_en-us_20190305', '2019-03-05'],
  ] as const) {
    const host = hosts.find(({ name }) => name.startsWith(prefix));
    const offered = new Set(recordedTexts.get(`${prefix}_updates.txt`)?.match(/^KB\d+/gmu));
    if (host === undefined || offered.size === 0) throw new Error(`${prefix} is not recorded`);
    const known = graph.of(host.product);
    const then = claimsOf(host.product).filter((claim) => (publishedAt.get(claim.vulnerability) ?? '') < day);
    const match = matchWindows(host.software, then, graph);
    if (!match.ok || known === null) throw new Error(`${host.product} is not known`);
    const count: Record<string, number> = {};
    const notOffered: StatementFact[] = [];
    for (const { kind, claim } of match.verdicts) {
      const asked = claim.updates.some((id) => [...offered].some((one) => known.contains(one, id)));
      const key = `${kind}${kind === 'vulnerable' ? (asked ? ', offered' : ', not offered') : ''}`;
      count[key] = (count[key] ?? 0) + 1;
      if (key === 'vulnerable, not offered') notOffered.push(claim);
    }
    console.log(`${prefix}: ${JSON.stringify(count)}; not offered: ${notOffered.map(words).join(', ')}`);
    // Advisories without an update, and CVEs whose record MSRC has revised since and that now name later updates.
    const newest = Math.max(...(host.software.updates ?? []).map(numberOfKb));
    for (const claim of notOffered)
      for (const id of claim.updates) expect(numberOfKb(id), words(claim)).toBeGreaterThan(newest);
  }
});

testOfFullData('the updates to deploy close every finding that an update can close', () => {
  for (const { product, software } of hosts) {
    const match = matchWindows(software, claimsOf(product), graph);
    if (!match.ok) continue;
    const plans = match.verdicts
      .filter(({ kind, claim }) => kind !== 'fixed' && claim.updates.length > 0)
      .flatMap(({ claim }) => updateToDeploy(graph, product, claim.updates) ?? []);
    const wanted = new Set(plans.map(({ update }) => update.id));
    const after = matchWindows(
      { ...software, updates: [...(software.updates ?? []), ...wanted] },
      claimsOf(product).filter(({ updates, status }) => status === 'fixed' && updates.length > 0),
      graph,
    );
    if (!after.ok) throw new Error(after.sentence);
    expect(after.verdicts.filter(({ kind }) => kind !== 'fixed').map(({ sentence }) => sentence)).toEqual([]);
  }
});
