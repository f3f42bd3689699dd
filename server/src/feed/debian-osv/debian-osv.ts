import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Fact, StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import { cvssFact } from '../cvss-vector.ts';
import { jsonDocuments, type JsonDocument } from '../documents.ts';
import type { Feed, FeedRecord, FeedRejection } from '../feed.ts';
import { isCve, parseInstant, rejection, requireRecords, schemaComplaint } from '../record.ts';

const texts = Type.Optional(Type.Array(Type.String()));

const Affected = Type.Object({
  // Git ranges of the upstream come with an empty package.
  package: Type.Optional(
    Type.Object({
      ecosystem: Type.Optional(Type.String()),
      name: Type.Optional(Type.String({ minLength: 1 })),
    }),
  ),
  ranges: Type.Optional(
    Type.Array(
      Type.Object({ type: Type.String(), events: Type.Array(Type.Record(Type.String(), Type.String())) }),
    ),
  ),
  ecosystem_specific: Type.Optional(
    Type.Union([Type.Null(), Type.Object({ urgency: Type.Optional(Type.String()) })]),
  ),
});
type Affected = Static<typeof Affected>;

/** The parts of OSV 1.x (https://ossf.github.io/osv-schema/) that are read; everything else may be there. */
const OsvRecord = Type.Object({
  id: Type.String({ minLength: 1 }),
  modified: Type.String(),
  published: Type.Optional(Type.String()),
  withdrawn: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  aliases: texts,
  related: texts,
  upstream: texts,
  summary: Type.Optional(Type.String()),
  details: Type.Optional(Type.String()),
  severity: Type.Optional(Type.Array(Type.Object({ type: Type.String(), score: Type.String() }))),
  affected: Type.Optional(Type.Array(Affected)),
});
type OsvRecord = Static<typeof OsvRecord>;

const validOsv = Compile(OsvRecord);

/** Facts of one Debian advisory or CVE record; see README.md beside this file for what each field becomes. */
export const debianOsv: Feed = {
  id: 'debian-osv',
  title: 'Debian advisories and CVE status (OSV)',
  publisher: 'Debian Security Tracker, converted by OSV.dev',
  licence: 'Debian public data; CVE descriptions: CVE Program terms of use',
  url: 'https://osv-vulnerabilities.storage.googleapis.com/Debian/all.zip',
  complete: true,
  staleAfterHours: 48,
  parse(file) {
    return requireRecords(file, parseDocuments(jsonDocuments(file)));
  },
};

async function* parseDocuments(
  documents: AsyncIterable<JsonDocument | FeedRejection>,
): AsyncGenerator<FeedRecord | FeedRejection> {
  for await (const document of documents) {
    if (document.outcome === 'rejection') yield document;
    else yield* readRecord(document);
  }
}

function* readRecord({ position, text, value }: JsonDocument): Generator<FeedRecord | FeedRejection> {
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
  const complain = (code: string, message: string): void => {
    complaints.push(rejection(position, code, `${value.id}: ${message}`, text, value.id));
  };
  const facts = /^(?:DSA|DLA|DTSA)-/u.test(value.id)
    ? advisoryFacts(value, complain)
    : vulnerabilityFacts(value, complain);
  if (facts.length > 0) yield { outcome: 'record', id: value.id, raw: text, facts };
  yield* complaints;
}

/** The id of what is not a record as a whole, if it has one. */
function idOf(value: unknown): string | null {
  return typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string'
    ? value.id
    : null;
}

type Complain = (code: string, message: string) => void;

function vulnerabilityFacts(record: OsvRecord, complain: Complain): Fact[] {
  const vulnerability = vulnerabilityOf(record);
  if (vulnerability === null) {
    complain('id_unknown', 'the id is neither that of a Debian advisory nor of a CVE or DEBIAN- record');
    return [];
  }
  const aliases = new Set([record.id, ...(record.aliases ?? []), ...(record.upstream ?? [])]);
  aliases.delete(vulnerability);
  const facts: Fact[] = [
    {
      kind: 'vulnerability',
      id: vulnerability,
      aliases: [...aliases],
      title: record.summary ?? null,
      description: record.details ?? null,
      publishedAt: record.published ?? null,
      withdrawnAt: record.withdrawn ?? null,
    },
  ];
  for (const { type, score } of record.severity ?? []) {
    if (!type.startsWith('CVSS_')) continue;
    const result = cvssFact(vulnerability, 'nvd-via-osv', score);
    if (result.ok) facts.push(result.fact);
    else complain('cvss_vector_invalid', result.message);
  }
  // A withdrawn record no longer says anything about packages.
  if (typeof record.withdrawn === 'string') return facts;
  return [...facts, ...statements(record, [vulnerability], null, complain)];
}

function advisoryFacts(record: OsvRecord, complain: Complain): Fact[] {
  const named = new Set<string>();
  for (const id of [...(record.upstream ?? []), ...(record.related ?? []), ...(record.aliases ?? [])]) {
    const cve = id.replace(/^DEBIAN-/u, '');
    if (isCve(cve)) named.add(cve);
  }
  const facts: Fact[] = [];
  // A first advisory that names no CVE is itself the only name of what it fixes (DSA-5562-1, tor). A later revision
  // (`-2`) without CVEs repairs a regression: it fixes no vulnerability.
  if (
    named.size === 0 &&
    record.id.endsWith('-1') &&
    !/end.of.(?:life|support)/iu.test(record.summary ?? '')
  ) {
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
    url: `https://security-tracker.debian.org/tracker/${record.id}`,
  });
  if (typeof record.withdrawn === 'string') return facts;
  return [...facts, ...statements(record, vulnerabilities, record.id, complain)];
}

/** The CVE that a record is about: its id, in the style since 2025 with `DEBIAN-` before it, else the `upstream` it names. */
function vulnerabilityOf(record: OsvRecord): string | null {
  const own = record.id.replace(/^DEBIAN-/u, '');
  if (isCve(own)) return own;
  if (own === record.id) return null;
  return (record.upstream ?? []).find(isCve) ?? own;
}

function statements(
  record: OsvRecord,
  vulnerabilities: readonly string[],
  advisory: string | null,
  complain: Complain,
): StatementFact[] {
  const facts: StatementFact[] = [];
  for (const affected of record.affected ?? []) {
    const { package: product } = affected;
    // A CVE record may also carry Alpine's entries, and the upstream's git ranges without a package.
    const { ecosystem = '', name } = product ?? {};
    if (!/^Debian(?::|$)/u.test(ecosystem)) continue;
    if (name === undefined) {
      complain('package_missing', `an entry for ${ecosystem} names no package`);
      continue;
    }
    const release = ecosystem.slice('Debian:'.length);
    if (release === '') {
      complain('release_missing', `the entry for ${name} names no release of Debian`);
      continue;
    }
    const range = readRange(affected);
    if (range === null) {
      complain(
        'range_unsupported',
        `the range for ${name} in Debian ${release} is not "from 0, fixed in one version"`,
      );
      // Which versions are affected is not known, so it is said that this is not known.
      for (const vulnerability of vulnerabilities) {
        facts.push({
          kind: 'statement',
          vulnerability,
          ecosystem: 'debian',
          release,
          package: name,
          status: 'undetermined',
          fixedVersion: null,
          fixState: 'none_yet',
          note: 'the affected range in the record cannot be read',
          advisory,
          statedAt: advisory === null ? record.modified : (record.published ?? record.modified),
        });
      }
      continue;
    }
    const stated = affected.ecosystem_specific?.urgency ?? null;
    // The tracker's word for nobody having said anything.
    const urgency = stated === 'not yet assigned' ? null : stated;
    for (const vulnerability of vulnerabilities) {
      facts.push({
        kind: 'statement',
        vulnerability,
        ecosystem: 'debian',
        release,
        package: name,
        // The tracker writes fixed version 0 for "was never affected".
        status: range.fixed === '0' ? 'not_affected' : range.fixed === null ? 'affected' : 'fixed',
        fixedVersion: range.fixed === '0' ? null : range.fixed,
        fixState: range.fixed !== null ? 'available' : fixStateOf(urgency, record.summary),
        note: urgency,
        advisory,
        statedAt: advisory === null ? record.modified : (record.published ?? record.modified),
      });
    }
  }
  return facts;
}

/** Debian's records hold one range from version 0, with at most one fix; null for anything else. */
function readRange(affected: Affected): { fixed: string | null } | null {
  const ranges = (affected.ranges ?? []).filter((range) => range.type === 'ECOSYSTEM');
  const [range] = ranges;
  if (range === undefined || ranges.length !== 1) return null;
  let introduced = false;
  let fixed: string | null = null;
  for (const event of range.events) {
    for (const [kind, version] of Object.entries(event)) {
      if (kind === 'introduced' && version === '0' && !introduced) introduced = true;
      else if (kind === 'fixed' && fixed === null && version !== '') fixed = version;
      else return null;
    }
  }
  return introduced ? { fixed } : null;
}

function fixStateOf(urgency: string | null, summary: string | undefined): StatementFact['fixState'] {
  if (urgency === 'end-of-life' || /end.of.(?:life|support)/iu.test(summary ?? '')) return 'end_of_life';
  return 'none_yet';
}
