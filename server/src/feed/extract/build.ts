/**
 * Builds the extract that the product carries along, from the public snapshots in ../shared/feeds. Run from the root of
 * the repository; the same snapshots give the same bytes:
 *
 *     node server/src/feed/extract/build.ts
 *
 * What is cut and what is derived is written in README.md beside this file.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import { compareDpkg, parseDpkg } from '@fixpoint/core/version/dpkg.ts';
import { debianChangelog } from '../debian-changelog/debian-changelog.ts';
import { debianOsv } from '../debian-osv/debian-osv.ts';
import type { Feed, FeedFile, FeedRecord } from '../feed.ts';
import { linesOf, openInput } from '../input.ts';
import { changelogFile, debianOsvFiles, epssFile, sharedPath, zstdFile } from './shared-feeds.ts';

const release = '12';
const ecosystem = `Debian:${release}`;
const descriptionLength = 300;
interface Osv {
  id: string;
  modified: string;
  related?: string[];
  aliases?: string[];
  upstream?: string[];
  affected?: { package?: { ecosystem?: string; name?: string }; [key: string]: unknown }[];
  [key: string]: unknown;
}

interface NotusAdvisory {
  readonly advisory: string;
  readonly created: string;
  readonly source: string;
  readonly cves: string[];
  readonly fixed: Readonly<Record<string, readonly string[]>>;
}

async function recordsOf(feed: Feed, file: FeedFile): Promise<FeedRecord[]> {
  const records: FeedRecord[] = [];
  for await (const item of feed.parse(file)) if (item.outcome === 'record') records.push(item);
  return records;
}

function save(name: string, text: string): void {
  const bytes = gzipSync(text, { level: 9 });
  writeFileSync(new URL(name, import.meta.url), bytes);
  console.log(`${name}: ${String(text.length)} bytes, ${String(bytes.length)} compressed`);
}

/** Records that say something of the release; a record of the newer snapshot replaces the older one of the same CVE. */
async function osvRecords(): Promise<Map<string, Osv>> {
  const byName = new Map<string, Osv>();
  for (const file of [...debianOsvFiles(), zstdFile('osv-mixed-2026-01/records.jsonl.zst')]) {
    for (const { raw, id } of await recordsOf(debianOsv, file)) {
      const record: Osv = JSON.parse(raw);
      const says = record.affected?.some((affected) => affected.package?.ecosystem === ecosystem) === true;
      if (says) byName.set(id.replace(/^DEBIAN-/, ''), record);
    }
  }
  return byName;
}

/** Greenbone's facts of an advisory as the OSV record that OSV.dev would make of it; null when no version is clear. */
function derivedRecord(notice: NotusAdvisory): Osv | null {
  const sources = notice.source.split(',').map((name) => name.trim());
  const affected = sources.map((name) => {
    const fixed =
      sources.length > 1 ? versionOfBinary(notice, name) : sourceVersion(Object.keys(notice.fixed));
    return fixed === null
      ? null
      : {
          package: { ecosystem, name, purl: `pkg:deb/debian/${name}?arch=source` },
          ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed }] }],
        };
  });
  if (affected.includes(null)) return null;
  return {
    schema_version: '1.6.0',
    id: notice.advisory,
    modified: `${notice.created}T00:00:00Z`,
    published: `${notice.created}T00:00:00Z`,
    related: notice.cves,
    summary: `${notice.source} - security update`,
    affected: affected.filter((entry) => entry !== null),
    database_specific: {
      derived_from: 'Greenbone Community Feed, debian_12.notus, 2025-09-26: id, day, CVEs and fixed versions',
    },
  };
}

function versionOfBinary(notice: NotusAdvisory, name: string): string | null {
  return Object.entries(notice.fixed).find(([, binaries]) => binaries.includes(name))?.[0] ?? null;
}

function bare(version: string): string {
  return version.replace(/^[0-9]+:/, '');
}

/** Binaries may carry versions of their own that hold the source's (`7.1.0+6.1.133-1`): it is the one in all others. */
function sourceVersion(versions: readonly string[]): string | null {
  const found = versions.filter((version) => versions.every((other) => bare(other).endsWith(bare(version))));
  // Of `2.38.1-5` and `1:2.38.1-5` (bsdutils, of util-linux) the one without epoch is the source's, as is the first here.
  return found.sort((a, b) => a.length - b.length)[0] ?? null;
}

function cut(record: Osv, wanted: ReadonlySet<string>): Osv | null {
  const affected = (record.affected ?? [])
    .filter(({ package: product }) => product?.ecosystem === ecosystem && wanted.has(product.name ?? ''))
    .map(({ versions: _versions, database_specific: _origin, ...rest }) => rest);
  if (affected.length === 0) return null;
  const { references: _references, _metadata: _mirror, ...kept } = record;
  // Ids of other distributions, which nothing of ours refers to.
  for (const key of ['related', 'aliases', 'upstream'] as const) {
    const own = kept[key]?.filter((id) => /^(?:CVE|DSA|DLA|DEBIAN)-/.test(id)) ?? [];
    if (own.length > 0) kept[key] = own;
    else delete kept[key];
  }
  const { details } = kept;
  if (typeof details === 'string' && details.length > descriptionLength) {
    kept['details'] = `${details.slice(0, descriptionLength).toWellFormed()}…`;
  }
  return { ...kept, affected };
}

/** An entry with its CVE lines only, or null when it names none. */
function cutEntry(record: FeedRecord): string | null {
  if (record.facts.length === 0) return null;
  const lines = record.raw.split('\n');
  const named = lines.slice(1, -1).filter((line) => /CVE-[0-9]{4}-[0-9]{4,}/i.test(line));
  return [lines[0] ?? '', '', ...named, '', lines.at(-1) ?? ''].join('\n');
}

const osv = await osvRecords();
const changelog = await recordsOf(debianChangelog, changelogFile());
const notus = gunzipSync(readFileSync(sharedPath('debian12-notus/debian12-dsa.jsonl.gz'))).toString('utf8');
for (const line of notus.trimEnd().split('\n')) {
  const notice: NotusAdvisory = JSON.parse(line);
  if (osv.has(notice.advisory)) continue;
  const record = derivedRecord(notice);
  if (record === null)
    console.log(`${notice.advisory} (${notice.source}): no clear source version, left out`);
  else osv.set(notice.advisory, record);
}

// Every source package: one that is left out would read as safe on a host that has it.
const wanted = new Set([
  ...[...osv.values()].flatMap(({ affected }) =>
    (affected ?? []).flatMap(({ package: product }) =>
      product?.ecosystem === ecosystem && product.name !== undefined ? [product.name] : [],
    ),
  ),
  ...changelog.map(({ id }) => id.slice(0, id.indexOf('/'))),
]);
console.log(`${String(wanted.size)} source packages`);

const records = [...osv.values()].flatMap((record) => cut(record, wanted) ?? []);
records.sort((a, b) => (a.id < b.id ? -1 : 1));
save('debian-osv.jsonl.gz', `${records.map((record) => JSON.stringify(record)).join('\n')}\n`);

const entries = changelog.filter(({ id }) => wanted.has(id.slice(0, id.indexOf('/'))));
entries.sort((a, b) => {
  const [sourceA = '', versionA = ''] = a.id.split('/');
  const [sourceB = '', versionB = ''] = b.id.split('/');
  if (sourceA !== sourceB) return sourceA < sourceB ? -1 : 1;
  const left = parseDpkg(versionA);
  const right = parseDpkg(versionB);
  return left.ok && right.ok ? compareDpkg(left.version, right.version) : 0;
});
save('debian-changelog.txt.gz', `${entries.flatMap((entry) => cutEntry(entry) ?? []).join('\n\n')}\n`);

/** Every CVE that the Debian parts of the extract speak of. */
const cves = new Set<string>();
for (const { id, related = [], upstream = [] } of records) {
  for (const name of [id, ...related, ...upstream]) cves.add(name.replace(/^DEBIAN-/, ''));
}
for (const { facts } of entries)
  for (const fact of facts) if (fact.kind === 'statement') cves.add(fact.vulnerability);
console.log(`${String(cves.size)} vulnerabilities`);

const kevText = gunzipSync(
  readFileSync(sharedPath('cisa-kev/known_exploited_vulnerabilities.json.gz')),
).toString('utf8');
const kev: { vulnerabilities: { cveID: string }[] } = JSON.parse(kevText);
const exploited = kev.vulnerabilities.filter(({ cveID }) => cves.has(cveID));
save(
  'known_exploited_vulnerabilities.json.gz',
  JSON.stringify({ ...kev, count: exploited.length, vulnerabilities: exploited }, null, 1),
);

const scores: string[] = [];
for await (const line of linesOf(await openInput(epssFile('2026-08-16')))) {
  if (line.number <= 2 || cves.has(line.text.slice(0, line.text.indexOf(',')))) scores.push(line.text);
}
save('epss_scores-2026-08-16.csv.gz', `${scores.join('\n')}\n`);

const carriedVectors = new Set(
  records.flatMap(({ id, severity }) =>
    Array.isArray(severity)
      ? severity.map((one: { score: string }) => `${id.replace(/^DEBIAN-/, '')} ${one.score}`)
      : [],
  ),
);
const vectors: string[] = [];
for await (const line of linesOf(await openInput(zstdFile('cvss/cvss-vectors.tsv.zst')))) {
  const [cve = '', source = '', vector = ''] = line.text.split('\t');
  const repeated = source === 'nvd-via-osv' && carriedVectors.has(`${cve} ${vector}`);
  if (line.number === 1 || (cves.has(cve) && !repeated)) vectors.push(line.text);
}
save('cvss-table.tsv.gz', `${vectors.join('\n')}\n`);
