/**
 * The importers over the full public snapshots, where those lie beside the repository. Prints what it counts, so that a
 * change of an importer shows how much of the real data it moves.
 */
import { expect, test } from 'vitest';
import { decideAll } from '@fixpoint/core/knowledge/decision.ts';
import { uniteStatements, type SourcedStatement } from '@fixpoint/core/knowledge/union.ts';
import { changelogFile, debianOsvFiles, sharedFeedsMissing, zstdFile } from './extract/shared-feeds.ts';
import { feedOf } from './feeds.ts';
import type { Feed, FeedFile } from './feed.ts';

if (sharedFeedsMissing !== null) console.warn(`full-data.test.ts: ${sharedFeedsMissing}`);
const testOfFullData = test.skipIf(sharedFeedsMissing !== null);

/** Reads a file without keeping records, and prints what came out of it. */
async function count(feed: Feed, file: FeedFile, statements: SourcedStatement[] = []) {
  const started = performance.now();
  const found = {
    records: 0,
    facts: 0,
    rejected: 0,
    fixed: 0,
    affected: 0,
    not_affected: 0,
    undetermined: 0,
  };
  for await (const item of feed.parse(file)) {
    if (item.outcome === 'rejection') {
      found.rejected++;
      continue;
    }
    found.records++;
    found.facts += item.facts.length;
    for (const fact of item.facts) {
      if (fact.kind !== 'statement') continue;
      found[fact.status]++;
      statements.push({ feed: feed.id, record: item.id, statement: fact });
    }
  }
  const milliseconds = Math.round(performance.now() - started);
  console.log(`${feed.id} (${file.name}): ${JSON.stringify(found)} in ${String(milliseconds)} ms`);
  return found;
}

testOfFullData(
  'Debian: advisories, CVE records and changelogs, and how far they agree',
  { timeout: 120_000 },
  async () => {
    const statements: SourcedStatement[] = [];
    const [advisories, cves] = debianOsvFiles();
    if (advisories === undefined || cves === undefined) throw new Error('two files of OSV records');
    expect(await count(feedOf('debian-osv'), advisories, statements)).toMatchObject({
      records: 10_337,
      rejected: 0,
    });
    expect(await count(feedOf('debian-osv'), cves, statements)).toMatchObject({ records: 7287, rejected: 0 });
    const fixes = await count(feedOf('debian-changelog'), changelogFile(), statements);
    // The derived table of the same text has 5,078 rows; four of them name a CVE for its regression.
    expect(fixes).toMatchObject({ records: 508, fixed: 5074, rejected: 0 });

    const groups = new Map<string, SourcedStatement[]>();
    for (const said of statements.filter(({ statement }) => statement.release === '12')) {
      const key = `${said.statement.vulnerability} ${said.statement.package}`;
      groups.set(key, [...(groups.get(key) ?? []), said]);
    }
    const overlap = { bothNameAFix: 0, agree: 0, unfixedInOsv: 0, fixYoungerThanOsv: 0 };
    for (const group of groups.values()) {
      const osv = group.find(({ feed, statement }) => feed === 'debian-osv' && statement.advisory === null);
      const changelog = uniteStatements(group.filter(({ feed }) => feed === 'debian-changelog'));
      if (osv === undefined || changelog === null) continue;
      const united = uniteStatements(group);
      if (osv.statement.status === 'fixed') {
        overlap.bothNameAFix++;
        if (osv.statement.fixedVersion === changelog.fixedVersion) overlap.agree++;
        expect(united).toMatchObject({
          status: 'fixed',
          decidedBy: { feed: 'debian-osv' },
          fixedVersion: osv.statement.fixedVersion,
        });
      } else {
        overlap.unfixedInOsv++;
        const uploadedAt = changelog.decidedBy?.statement.statedAt ?? '';
        if (uploadedAt > (osv.statement.statedAt ?? '')) overlap.fixYoungerThanOsv++;
        expect(united).toMatchObject({ status: 'fixed', fixedVersion: changelog.fixedVersion });
      }
    }
    const share = ((100 * overlap.agree) / overlap.bothNameAFix).toFixed(1);
    console.log(`OSV and changelogs for Debian 12: ${JSON.stringify(overlap)}, agreeing in ${share} %`);
    expect(overlap.agree / overlap.bothNameAFix).toBeGreaterThan(0.97);

    const started = performance.now();
    const decisions = decideAll(statements);
    const disputed = decisions.filter(({ disagreements }) => disagreements.length > 0).length;
    const milliseconds = Math.round(performance.now() - started);
    console.log(
      `${String(decisions.length)} decisions of ${String(statements.length)} statements (${String(disputed)} with a disagreement) in ${String(milliseconds)} ms`,
    );
  },
);

testOfFullData(
  'current OSV records of all distributions: Debian’s are read, the others refused one by one',
  async () => {
    const found = await count(feedOf('debian-osv'), zstdFile('osv-mixed-2026-01/records.jsonl.zst'));
    expect(found).toMatchObject({ records: 120, rejected: 565 });
  },
);
