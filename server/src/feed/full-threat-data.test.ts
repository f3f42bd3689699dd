/**
 * Feeds of scores and threats over the full public snapshots, where those lie beside the repository, and what the summaries
 * of core make of them. Prints what it counts, so that a change shows how much of the real data it moves.
 */
import { createReadStream } from 'node:fs';
import { createZstdDecompress } from 'node:zlib';
import { expect, test } from 'vitest';
import type { FeedId, ThreatFact } from '@fixpoint/core/knowledge/facts.ts';
import { chosenScore, type SourcedScore } from '@fixpoint/core/knowledge/score.ts';
import { summariseThreats, type SourcedThreat } from '@fixpoint/core/knowledge/threat.ts';
import {
  epssFile,
  exploitDbFile,
  metasploitFile,
  sharedFeedsMissing,
  sharedFile,
  sharedPath,
  zstdFile,
} from './extract/shared-feeds.ts';
import type { FeedFile } from './feed.ts';
import { feedOf } from './feeds.ts';
import { linesOf, openInput } from './input.ts';

if (sharedFeedsMissing !== null) console.warn(`full-threat-data.test.ts: ${sharedFeedsMissing}`);
const testOfFullData = test.skipIf(sharedFeedsMissing !== null);

interface Said {
  readonly threats: Map<string, SourcedThreat[]>;
  readonly scores: Map<string, SourcedScore[]>;
}

function put<Item>(map: Map<string, Item[]>, key: string, item: Item): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [item]);
  else list.push(item);
}

/** Reads a file, and prints and returns what came out of it: records, rejections by code, facts by kind. */
async function count(id: FeedId, file: FeedFile, said: Said): Promise<Record<string, number>> {
  const started = performance.now();
  const found: Record<string, number> = { records: 0 };
  const add = (what: string): void => {
    found[what] = (found[what] ?? 0) + 1;
  };
  for await (const item of feedOf(id).parse(file)) {
    if (item.outcome === 'rejection') {
      add(item.code);
      continue;
    }
    add('records');
    for (const fact of item.facts) {
      add(fact.kind === 'threat' ? fact.threat : fact.kind);
      if (fact.kind === 'threat')
        put(said.threats, fact.vulnerability, { feed: id, record: item.id, threat: fact });
      else if (fact.kind === 'cvss')
        put(said.scores, fact.vulnerability, { feed: id, record: item.id, score: fact });
    }
  }
  const milliseconds = Math.round(performance.now() - started);
  console.log(`${id} (${file.name}): ${JSON.stringify(found)} in ${String(milliseconds)} ms`);
  return found;
}

testOfFullData('threats of all sources', { timeout: 120_000 }, async () => {
  const said: Said = { threats: new Map(), scores: new Map() };
  const kev = sharedFile('cisa-kev/known_exploited_vulnerabilities.json.gz');
  expect(await count('cisa-kev', kev, said)).toEqual({ records: 1674, exploited: 1674 });
  expect(await count('epss', epssFile('2026-08-16'), said)).toEqual({
    records: 360_142,
    exploit_probability: 360_142,
  });
  const cves = zstdFile('cvss/vulnrichment-sample.tar.zst');
  expect(await count('vulnrichment', cves, said)).toEqual({
    records: 1335,
    vulnerability: 1335,
    cvss: 1218,
    ssvc: 1334,
    exploited: 19,
  });
  // Of 26,745 rows with a CVE one has a code that is none: `CVE-cve : 2023-30367`.
  expect(await count('exploit-db', exploitDbFile(), said)).toEqual({
    records: 26_744,
    exploit_public: 29_872,
    code_invalid: 1,
  });
  expect(await count('metasploit', metasploitFile(), said)).toEqual({
    records: 2750,
    exploit_weaponised: 2670,
    exploit_public: 405,
  });

  const decisions = await decisionsOfTheDerivedTable();
  for (const [cve, threats] of said.threats) {
    const { threat } = threats.find((one) => one.threat.threat === 'ssvc') ?? {};
    if (threat !== undefined) expect(`${cve} ${shown(threat)}`).toBe(`${cve} ${String(decisions.get(cve))}`);
  }

  const started = performance.now();
  const found: Record<string, number> = {};
  const add = (what: string): void => {
    found[what] = (found[what] ?? 0) + 1;
  };
  for (const threats of said.threats.values()) {
    const summary = summariseThreats(threats);
    add(summary.maturity);
    if (summary.ransomware === true) add('ransomware');
    for (const { about } of summary.disagreements) add(`disagreement on ${about}`);
  }
  const milliseconds = Math.round(performance.now() - started);
  console.log(
    `${String(said.threats.size)} summaries: ${JSON.stringify(found)} in ${String(milliseconds)} ms`,
  );
  expect(found['active']).toBeGreaterThanOrEqual(1674);
  expect(found['ransomware']).toBe(352);
});

/** CVE → decision, as another reader of the same records took it down (`cvss/ssvc.tsv.zst`). */
async function decisionsOfTheDerivedTable(): Promise<Map<string, string>> {
  const bytes = createReadStream(sharedPath('cvss/ssvc.tsv.zst')).pipe(createZstdDecompress());
  const found = new Map<string, string>();
  for await (const { text } of linesOf(await openInput({ name: 'ssvc.tsv', bytes }))) {
    const [cve = '', ...points] = text.split('\t');
    found.set(cve, points.join(' ').toLowerCase());
  }
  return found;
}

function shown({ ssvc, assertedOn }: ThreatFact): string {
  const automatable = ssvc?.automatable === true ? 'yes' : 'no';
  return `${String(ssvc?.exploitation)} ${automatable} ${String(ssvc?.technicalImpact)} ${assertedOn}`;
}

testOfFullData('KEV a year later: what was added, and what has changed', async () => {
  const entries = async (name: string): Promise<Map<string, ThreatFact>> => {
    const said: Said = { threats: new Map(), scores: new Map() };
    await count('cisa-kev', sharedFile(`cisa-kev/${name}.json.gz`), said);
    return new Map([...said.threats].flatMap(([id, [one]]) => (one === undefined ? [] : [[id, one.threat]])));
  };
  const before = await entries('known_exploited_vulnerabilities-2025-08-25');
  const after = await entries('known_exploited_vulnerabilities');
  const kept = [...before].flatMap(([id, old]) => {
    const now = after.get(id);
    return now === undefined ? [] : [{ old, now }];
  });
  const changes = {
    added: after.size - kept.length,
    removed: before.size - kept.length,
    ransomware: kept.filter(({ old, now }) => old.ransomware !== now.ransomware).length,
    dueOn: kept.filter(({ old, now }) => old.dueOn !== now.dueOn).length,
    assertedOn: kept.filter(({ old, now }) => old.assertedOn !== now.assertedOn).length,
  };
  expect(changes).toEqual({ added: 270, removed: 0, ransomware: 30, dueOn: 15, assertedOn: 0 });
});

testOfFullData('which vector speaks, of 101,756', { timeout: 120_000 }, async () => {
  const said: Said = { threats: new Map(), scores: new Map() };
  const vectors = await count('cvss-table', zstdFile('cvss/cvss-vectors.tsv.zst'), said);
  expect(vectors).toEqual({ records: 101_756, cvss: 101_756 });
  const started = performance.now();
  const found: Record<string, number> = {};
  const add = (what: string): void => {
    found[what] = (found[what] ?? 0) + 1;
  };
  for (const scores of said.scores.values()) {
    for (const ecosystem of [null, 'redhat'] as const) {
      const result = chosenScore(scores, ecosystem);
      if (result === null) throw new Error('there is a vector');
      const on = ecosystem ?? 'any';
      add(`${on}: ${result.rule}`);
      if (new Set(scores.map(({ score }) => score.scorer)).size > 1) add(`${on}: several scorers`);
      if (result.disagreements.length > 0) add(`${on}: disagreement of 1.0`);
    }
  }
  const milliseconds = Math.round(performance.now() - started);
  console.log(
    `${String(said.scores.size)} CVEs, twice: ${JSON.stringify(found)} in ${String(milliseconds)} ms`,
  );
  expect(found['any: disagreement of 1.0']).toBeGreaterThan(0);
});
