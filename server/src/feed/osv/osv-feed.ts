import type { Fact } from '@fixpoint/core/knowledge/facts.ts';
import { cvssFact } from '../cvss-vector.ts';
import { jsonDocuments, type JsonDocument } from '../documents.ts';
import { osvDownloads } from '../osv-downloads.ts';
import type { Feed, FeedRecord, FeedRejection } from '../feed.ts';
import { isCve, parseInstant, rejection, requireRecords, schemaComplaint } from '../record.ts';
import type { OsvDialect } from './dialect.ts';
import { idOf, validOsv, type OsvRecord } from './osv-record.ts';
import { statementsOf, type Complain } from './statements.ts';

/** What a feed says of itself, apart from how it is read; all OSV exports hold their whole ecosystem. */
export type OsvFeedTitle = Pick<Feed, 'id' | 'title' | 'publisher' | 'licence'>;

/** A feed of OSV records as osv.dev exports them for an ecosystem; README.md beside this file has the common rules. */
export function osvFeed(about: OsvFeedTitle, dialect: OsvDialect): Feed {
  return {
    ...about,
    url: `https://osv-vulnerabilities.storage.googleapis.com/${encodeURIComponent(dialect.name)}/all.zip`,
    complete: true,
    staleAfterHours: 48,
    ecosystems: [dialect.ecosystem],
    downloads: osvDownloads,
    parse(file) {
      return requireRecords(file, parseDocuments(dialect, jsonDocuments(file)));
    },
  };
}

async function* parseDocuments(
  dialect: OsvDialect,
  documents: AsyncIterable<JsonDocument | FeedRejection>,
): AsyncGenerator<FeedRecord | FeedRejection> {
  for await (const document of documents) {
    if (document.outcome === 'rejection') yield document;
    else yield* readRecord(dialect, document);
  }
}

function* readRecord(
  dialect: OsvDialect,
  { position, text, value }: JsonDocument,
): Generator<FeedRecord | FeedRejection> {
  if (!validOsv.Check(value)) {
    yield rejection(position, 'record_not_osv', schemaComplaint(validOsv.Errors(value)), text, idOf(value));
    return;
  }
  for (const time of [value.modified, value.published, value.withdrawn]) {
    if (typeof time === 'string' && parseInstant(time) === null) {
      yield rejection(
        position,
        'time_invalid',
        `${value.id}: ${time} is not a time of RFC 3339`,
        text,
        value.id,
      );
      return;
    }
  }
  const complaints: FeedRejection[] = [];
  const complain: Complain = (code, message) => {
    complaints.push(rejection(position, code, `${value.id}: ${message}`, text, value.id));
  };
  const facts = dialect.advisoryIds.test(value.id)
    ? advisoryFacts(dialect, value, complain)
    : vulnerabilityFacts(dialect, value, complain);
  if (facts.length > 0) yield { outcome: 'record', id: value.id, raw: text, facts };
  yield* complaints;
}

function vulnerabilityFacts(dialect: OsvDialect, record: OsvRecord, complain: Complain): Fact[] {
  const vulnerabilities = vulnerabilitiesOf(dialect, record);
  const [vulnerability] = vulnerabilities;
  if (vulnerability === undefined) {
    complain('id_unknown', `the id is not one that the publisher of ${dialect.name} gives`);
    return [];
  }
  const other = new Set([record.id, ...(record.aliases ?? []), ...(record.upstream ?? [])]);
  const withdrawnAt = record.withdrawn ?? rejectedAt(record);
  const isOpaque = dialect.opaqueIds?.test(record.id) === true;
  const facts: Fact[] = [];
  for (const id of vulnerabilities) {
    other.delete(id);
    facts.push({
      kind: 'vulnerability',
      id,
      // A record about two CVEs has no other name that is of the one and not of the other.
      aliases: vulnerabilities.length === 1 ? [...other] : [],
      title: record.summary ?? null,
      description: record.details ?? null,
      publishedAt: record.published ?? null,
      // Under an opaque id a publisher takes back what it said of one package; the CVE may be in others.
      withdrawnAt: isOpaque && id !== record.id ? rejectedAt(record) : withdrawnAt,
    });
  }
  const vectors = new Set<string>();
  for (const { type, score } of record.severity ?? []) {
    if (!type.startsWith('CVSS_') || vectors.has(score)) continue;
    vectors.add(score);
    if (vulnerabilities.length > 1) continue;
    const result = cvssFact(vulnerability, dialect.scorer, score);
    if (result.ok) facts.push(result.fact);
    else complain('cvss_vector_invalid', result.message);
  }
  // A withdrawn record no longer says anything about packages.
  if (withdrawnAt !== null) return facts;
  return [...facts, ...statementsOf(dialect, record, vulnerabilities, null, complain)];
}

/**
 * When the CVE Program rejected what the record is about; null when it did not. OSV's conversion of a distribution's tracker
 * keeps such a record as it was, with the CVE Program's word in place of the description and `modified` as its only time.
 */
function rejectedAt(record: OsvRecord): string | null {
  return /^(?:Rejected reason:|\*\* REJECT(?:ED)? \*\*)/u.test(record.details ?? '') ? record.modified : null;
}

/**
 * What a record that is not a notice is about: the CVE of its id, with or without the publisher's prefix; else every
 * `upstream` CVE of a prefixed id; else that id. Under an opaque id: every CVE that is named, else the first GHSA.
 */
function vulnerabilitiesOf(dialect: OsvDialect, record: OsvRecord): string[] {
  const { vulnerabilityPrefix: prefix, opaqueIds } = dialect;
  if (opaqueIds?.test(record.id) === true) {
    const named = [...(record.upstream ?? []), ...(record.aliases ?? [])];
    const cves = [...new Set(named.filter(isCve))];
    return cves.length > 0 ? cves : [named.find((id) => id.startsWith('GHSA-')) ?? record.id];
  }
  if (prefix === null) return [];
  const own = record.id.startsWith(prefix) ? record.id.slice(prefix.length) : record.id;
  if (isCve(own)) return [own];
  if (own === record.id) return [];
  const cves = [...new Set((record.upstream ?? []).filter(isCve))];
  return cves.length > 0 ? cves : [own];
}

function advisoryFacts(dialect: OsvDialect, record: OsvRecord, complain: Complain): Fact[] {
  const named = namedCves(dialect, record);
  if (named.size === 0) for (const cve of dialect.cvesElsewhere?.(record) ?? []) named.add(cve);
  const facts: Fact[] = [];
  // A notice that names no CVE may be the only name of what it fixes (DSA-5562-1, tor).
  if (named.size === 0 && dialect.isOwnVulnerability(record)) {
    named.add(record.id);
    facts.push({
      kind: 'vulnerability',
      id: record.id,
      aliases: [],
      title: record.summary ?? null,
      description: record.details ?? null,
      publishedAt: record.published ?? null,
      withdrawnAt: record.withdrawn ?? null,
    });
  }
  const vulnerabilities = [...named];
  facts.push({
    kind: 'advisory',
    id: record.id,
    title: record.summary ?? record.id,
    publishedAt: record.published ?? null,
    withdrawnAt: record.withdrawn ?? null,
    vulnerabilities,
    url: dialect.advisoryUrl(record),
  });
  if (typeof record.withdrawn === 'string' || dialect.statesPackages?.(record) === false) return facts;
  return [...facts, ...statementsOf(dialect, record, vulnerabilities, record.id, complain)];
}

function namedCves(dialect: OsvDialect, record: OsvRecord): Set<string> {
  const prefix = dialect.vulnerabilityPrefix ?? '';
  const named = new Set<string>();
  for (const id of [...(record.upstream ?? []), ...(record.related ?? []), ...(record.aliases ?? [])]) {
    const cve = id.startsWith(prefix) ? id.slice(prefix.length) : id;
    if (isCve(cve)) named.add(cve);
  }
  for (const affected of record.affected ?? []) {
    for (const { id } of affected.database_specific?.cves_map?.cves ?? []) if (isCve(id)) named.add(id);
  }
  return named;
}
