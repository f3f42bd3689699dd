import { statSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Fact } from '@fixpoint/core/knowledge/facts.ts';
import { decideAll } from '@fixpoint/core/knowledge/decision.ts';
import type { SourcedStatement } from '@fixpoint/core/knowledge/union.ts';
import { concerns, indexDecisions, type DecisionIndex } from '@fixpoint/core/match/match.ts';
import { feedOf } from '../feeds.ts';
import { readFeed } from '../recorded.ts';
import { extractFiles } from './extract.ts';

const counts = new Map<string, { records: number; rejected: number }>();
const facts: Fact[] = [];
let index: DecisionIndex;

beforeAll(async () => {
  const statements: SourcedStatement[] = [];
  for (const file of extractFiles) {
    const { feed } = file;
    const { records, rejections } = await readFeed(feedOf(feed), file.open());
    counts.set(feed, { records: records.length, rejected: rejections.length });
    for (const { id, facts: said } of records) {
      facts.push(...said);
      for (const fact of said)
        if (fact.kind === 'statement') statements.push({ feed, record: id, statement: fact });
    }
  }
  index = indexDecisions(decideAll(statements));
});

/** CVE → fixed version (null: none yet) of what is open for a source package at a version. */
function openFindings(source: string, version: string, name = source): Map<string, string | null> {
  const found = concerns({ name, version, source, source_version: version }, index);
  expect(found.filter(({ kind }) => kind === 'undetermined')).toEqual([]);
  return new Map(found.map(({ decision }) => [decision.vulnerability, decision.fixedVersion]));
}

describe('what the product carries along', () => {
  test('is small, complete and without a rejection', () => {
    expect(extractFiles.reduce((bytes, { path }) => bytes + statSync(path).size, 0)).toBeLessThan(3_000_000);
    expect(Object.fromEntries(counts)).toEqual({
      'debian-osv': { records: 7869, rejected: 0 },
      'debian-changelog': { records: 333, rejected: 0 },
      'cisa-kev': { records: 60, rejected: 0 },
      epss: { records: 10493, rejected: 0 },
      'cvss-table': { records: 8751, rejected: 0 },
    });
  });

  test('speaks of Debian 12 only, and of no CVE without need', () => {
    const releases = new Set(facts.flatMap((fact) => (fact.kind === 'statement' ? [fact.release] : [])));
    expect([...releases]).toEqual(['12']);
    const spokenOf = new Set(
      facts.flatMap((fact) => (fact.kind === 'statement' ? [fact.vulnerability] : [])),
    );
    const strays = facts.filter((fact) => fact.kind === 'threat' && !spokenOf.has(fact.vulnerability));
    expect(strays).toEqual([]);
  });
});

describe('a Debian 12 host today', () => {
  test('an old openssl sees the fixes up to the newest security upload', () => {
    const found = openFindings('openssl', '3.0.17-1~deb12u2', 'libssl3');
    expect(found.get('CVE-2025-9230')).toBe('3.0.17-1~deb12u3');
    expect(found.get('CVE-2026-75803')).toBe('3.0.22-1~deb12u1');
    expect(found.has('CVE-2023-5363')).toBe(false);
    expect([...found.values()].filter((fixed) => fixed !== null).length).toBeGreaterThanOrEqual(35);
  });

  test('the newest openssl has nothing that a patch would change', () => {
    expect(
      [...openFindings('openssl', '3.0.22-1~deb12u2', 'libssl3').values()].filter((fixed) => fixed !== null),
    ).toEqual([]);
  });

  test('an embargoed fix is known from its advisory, newer ones from changelogs', () => {
    const found = openFindings('openssh', '1:9.2p1-2+deb12u2', 'openssh-server');
    expect(found.get('CVE-2024-6387')).toBe('1:9.2p1-2+deb12u3');
    expect(found.get('CVE-2026-35386')).toBe('1:9.2p1-2+deb12u10');
    expect(openFindings('openssh', '1:9.2p1-2+deb12u3', 'openssh-server').has('CVE-2024-6387')).toBe(false);
  });

  test('advisories after the OSV snapshot are there, derived from another source', () => {
    const derived = facts.filter(
      (fact) => fact.kind === 'advisory' && (fact.publishedAt ?? '') > '2025-02-13',
    );
    expect(derived.length).toBeGreaterThan(20);
    // DSA-5973-1, linux: Greenbone's binaries also carry versions such as 7.1.0+6.1.147-1.
    expect(facts).toContainEqual(
      expect.objectContaining({
        kind: 'statement',
        advisory: 'DSA-5973-1',
        package: 'linux',
        fixedVersion: '6.1.147-1',
      }),
    );
  });
});
