/**
 * How well the order by our score finds what came to be attacked, against orders by CVSS alone and EPSS alone, over the full
 * public snapshots where those lie beside the repository: scores from data of August 2025, outcome from KEV of August 2026.
 * docs/risk.md states the figures.
 *
 * Nothing that was said after 2025-08-25 is read for the scores. Metasploit is left out of the main figure: its list here is
 * of 2026 without days, and the days of the derived table can be those on which the flaw was disclosed, before there was a module.
 */
import { createReadStream } from 'node:fs';
import { createZstdDecompress } from 'node:zlib';
import { expect, test } from 'vitest';
import type { FeedId, ThreatFact } from '@fixpoint/core/knowledge/facts.ts';
import { chosenScore, type SourcedScore } from '@fixpoint/core/knowledge/score.ts';
import { summariseThreats, type SourcedThreat } from '@fixpoint/core/knowledge/threat.ts';
import { vulnerabilityScore } from '@fixpoint/core/risk/vulnerability-score.ts';
import {
  epssFile,
  exploitDbFile,
  sharedFeedsMissing,
  sharedFile,
  sharedPath,
  zstdFile,
} from './extract/shared-feeds.ts';
import type { FeedFile } from './feed.ts';
import { feedOf } from './feeds.ts';
import { linesOf, openInput } from './input.ts';

if (sharedFeedsMissing !== null) console.warn(`risk-order.test.ts: ${sharedFeedsMissing}`);
const testOfFullData = test.skipIf(sharedFeedsMissing !== null);

const lastDay = '2025-08-25';
/** Exploit-DB's snapshot is of 2024-10; by day and not by file, so that a newer one changes nothing. */
const before = ({ threat }: SourcedThreat): boolean => threat.assertedOn <= lastDay;

class Known {
  readonly threats = new Map<string, SourcedThreat[]>();
  readonly scores = new Map<string, SourcedScore[]>();

  async read(feed: FeedId, file: FeedFile): Promise<void> {
    for await (const item of feedOf(feed).parse(file)) {
      if (item.outcome === 'rejection') continue;
      for (const fact of item.facts) {
        const record = item.id;
        if (fact.kind === 'threat') add(this.threats, fact.vulnerability, { feed, record, threat: fact });
        if (fact.kind === 'cvss') add(this.scores, fact.vulnerability, { feed, record, score: fact });
      }
    }
  }
}

function add<Item>(map: Map<string, Item[]>, key: string, item: Item): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [item]);
  else list.push(item);
}

async function* rowsOf(path: string): AsyncGenerator<readonly string[]> {
  const bytes = createReadStream(sharedPath(path)).pipe(createZstdDecompress());
  let heading = true;
  for await (const { text } of linesOf(await openInput({ name: path, bytes }))) {
    if (!heading) yield text.split('\t');
    heading = false;
  }
}

const unsaid = {
  kind: 'threat',
  probability: null,
  percentile: null,
  ransomware: null,
  ssvc: null,
  dueOn: null,
  title: null,
  reference: null,
} as const;

/** CISA's decisions, from the derived table: the originals here are a sample of 1,335. */
async function decisions(): Promise<SourcedThreat[]> {
  const found: SourcedThreat[] = [];
  for await (const [cve = '', exploitation, automatable, impact, day = ''] of rowsOf('cvss/ssvc.tsv.zst')) {
    if (exploitation !== 'none' && exploitation !== 'poc' && exploitation !== 'active') continue;
    const threat: ThreatFact = {
      ...unsaid,
      vulnerability: cve,
      threat: 'ssvc',
      ssvc: {
        exploitation,
        automatable: automatable === 'yes',
        technicalImpact: impact === 'total' || impact === 'partial' ? impact : null,
      },
      assertedOn: day,
    };
    found.push({ feed: 'vulnrichment', record: cve, threat });
  }
  return found;
}

async function modules(): Promise<SourcedThreat[]> {
  const found: SourcedThreat[] = [];
  for await (const row of rowsOf('exploit-maturity/exploit-evidence.tsv.zst')) {
    const [cve = '', , , , , weaponised, , day = ''] = row;
    if (weaponised !== '1' || day === '') continue;
    const threat: ThreatFact = {
      ...unsaid,
      vulnerability: cve,
      threat: 'exploit_weaponised',
      assertedOn: day,
    };
    found.push({ feed: 'metasploit', record: cve, threat });
  }
  return found;
}

interface Quality {
  /** Chance that one that came to be attacked stands before one that did not; equals count half. */
  readonly auc: number;
  /** Of each that came to be attacked, the share of the others that it stands before. */
  readonly places: readonly number[];
  /** Share of those found in the first 1 % and 5 %; what stands equal at the edge counts in part. */
  readonly top1: number;
  readonly top5: number;
}

function qualityOf(values: Float64Array, attacked: Uint8Array): Quality {
  const order = Uint32Array.from(values.keys()).sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0));
  const positives = attacked.reduce((sum, flag) => sum + flag, 0);
  const negatives = values.length - positives;
  const tops = [0.01 * values.length, 0.05 * values.length];
  const found = tops.map(() => 0);
  const places: number[] = [];
  let passed = 0;
  for (let start = 0; start < order.length;) {
    let end = start;
    let hits = 0;
    const value = values[order[start] ?? 0];
    for (; end < order.length && values[order[end] ?? 0] === value; end++)
      hits += attacked[order[end] ?? 0] ?? 0;
    const others = end - start - hits;
    for (let hit = 0; hit < hits; hit++) places.push((negatives - passed - others / 2) / negatives);
    for (const [index, top] of tops.entries()) {
      const share = Math.min(1, Math.max(0, (top - start) / (end - start)));
      found[index] = (found[index] ?? 0) + hits * share;
    }
    passed += others;
    start = end;
  }
  const auc = places.reduce((sum, place) => sum + place, 0) / positives;
  return { auc, places, top1: (found[0] ?? 0) / positives, top5: (found[1] ?? 0) / positives };
}

test('the measure: known answers, with equals', () => {
  const attacked = Uint8Array.of(1, 0, 1, 0);
  expect(qualityOf(Float64Array.of(4, 3, 2, 1), attacked)).toMatchObject({ auc: 0.75, places: [1, 0.5] });
  expect(qualityOf(Float64Array.of(1, 1, 1, 1), attacked)).toMatchObject({ auc: 0.5, top5: 0.05 });
  expect(qualityOf(Float64Array.of(1, 2, 0, 3), attacked).auc).toBe(0);
});

testOfFullData('what came to be attacked within a year', { timeout: 180_000 }, async () => {
  const known = new Known();
  const outcome = new Known();
  await known.read('epss', epssFile('2025-08-17'));
  await known.read('exploit-db', exploitDbFile());
  await known.read('cvss-table', zstdFile('cvss/cvss-vectors.tsv.zst'));
  for (const decision of await decisions()) add(known.threats, decision.threat.vulnerability, decision);
  const attackedBefore = new Known();
  const [old, now] = ['known_exploited_vulnerabilities-2025-08-25', 'known_exploited_vulnerabilities'];
  await attackedBefore.read('cisa-kev', sharedFile(`cisa-kev/${old}.json.gz`));
  await outcome.read('cisa-kev', sharedFile(`cisa-kev/${now}.json.gz`));
  const ready = new Map<string, SourcedThreat[]>();
  for (const module of await modules()) add(ready, module.threat.vulnerability, module);

  const cves: string[] = [];
  for (const [cve, threats] of known.threats)
    if (threats.some(({ feed }) => feed === 'epss') && !attackedBefore.threats.has(cve)) cves.push(cve);
  const attacked = Uint8Array.from(cves, (cve) => (outcome.threats.has(cve) ? 1 : 0));
  const rows = cves.map((cve) => {
    const threats = (known.threats.get(cve) ?? []).filter(before);
    const threat = summariseThreats(threats);
    const modular = summariseThreats([...threats, ...(ready.get(cve) ?? []).filter(before)]);
    const score = chosenScore(known.scores.get(cve) ?? []);
    const ours = vulnerabilityScore({ threat, score });
    return {
      ours: ours.chance,
      likelihood: ours.likelihood,
      withModules: vulnerabilityScore({ threat: modular, score }).chance,
      epss: threat.epss?.probability ?? 0,
      epssImpact: vulnerabilityScore({ threat: { ...threat, maturity: 'none', ssvc: null }, score }).chance,
      noEpss: vulnerabilityScore({ threat: { ...threat, epss: null }, score }).chance,
      cvss: score?.chosen.score.baseScore ?? -1,
    };
  });

  const measure = (what: string, at: readonly number[]): Record<string, Quality> => {
    const flags = Uint8Array.from(at, (row) => attacked[row] ?? 0);
    const found: Record<string, Quality> = {};
    console.log(`${what}: ${String(at.length)} CVEs, ${String(flags.reduce((a, b) => a + b, 0))} attacked`);
    for (const name of [
      'ours',
      'likelihood',
      'withModules',
      'epss',
      'epssImpact',
      'noEpss',
      'cvss',
    ] as const) {
      const quality = qualityOf(
        Float64Array.from(at, (row) => rows[row]?.[name] ?? 0),
        flags,
      );
      found[name] = quality;
      const share = (value: number): string => `${(value * 100).toFixed(1)} %`;
      console.log(
        `  ${name.padEnd(11)} AUC ${quality.auc.toFixed(4)} ± ${deviation(quality.places).toFixed(4)}, top 1 % ${share(quality.top1)}, top 5 % ${share(quality.top5)}`,
      );
    }
    return found;
  };
  const everything = [...rows.keys()];
  const all = measure('all', everything);
  const scored = everything.filter((row) => (rows[row]?.cvss ?? -1) >= 0);
  measure('with a CVSS vector', scored);
  const unscored = everything.filter((row) => (rows[row]?.cvss ?? -1) < 0);
  measure('without', unscored);
  measure(
    'with other facts than EPSS',
    everything.filter((row) => rows[row]?.noEpss !== rows[unscored[0] ?? 0]?.noEpss),
  );

  expect(cves.length).toBe(288_520);
  expect(attacked.reduce((a, b) => a + b, 0)).toBe(82);
  const auc = (name: string): number => all[name]?.auc ?? 0;
  expect(auc('ours')).toBeGreaterThan(auc('cvss') + 0.2);
  expect(auc('ours')).toBeGreaterThan(auc('epss') - 0.02);
});

/** Standard error of the mean place: of the AUC, since there are so few attacked that only they matter. */
function deviation(places: readonly number[]): number {
  const mean = places.reduce((sum, place) => sum + place, 0) / places.length;
  const variance = places.reduce((sum, place) => sum + (place - mean) ** 2, 0) / (places.length - 1);
  return Math.sqrt(variance / places.length);
}
