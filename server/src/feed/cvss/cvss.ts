import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Fact } from '@fixpoint/core/knowledge/facts.ts';
import { cvssFact } from '../cvss-vector.ts';
import { jsonDocuments, type JsonDocument } from '../documents.ts';
import type { Feed, FeedFile, FeedRecord, FeedRejection } from '../feed.ts';
import { parseInstant, rejection, requireRecords, schemaComplaint } from '../record.ts';

const Vector = Type.Optional(Type.Object({ vectorString: Type.String() }));
const Metric = Type.Object({ cvssV2_0: Vector, cvssV3_0: Vector, cvssV3_1: Vector, cvssV4_0: Vector });
const vectorKeys = ['cvssV2_0', 'cvssV3_0', 'cvssV3_1', 'cvssV4_0'] as const;

const Container = Type.Object({
  providerMetadata: Type.Optional(Type.Object({ shortName: Type.Optional(Type.String()) })),
  title: Type.Optional(Type.String()),
  descriptions: Type.Optional(Type.Array(Type.Object({ lang: Type.String(), value: Type.String() }))),
  metrics: Type.Optional(Type.Array(Type.Unknown())),
});
type Container = Static<typeof Container>;

/** The parts of CVE JSON 5.x (https://github.com/CVEProject/cve-schema) that are read. */
const CveRecord = Type.Object({
  dataType: Type.Literal('CVE_RECORD'),
  cveMetadata: Type.Object({
    cveId: Type.String({ pattern: '^CVE-[0-9]{4}-[0-9]{4,19}$' }),
    state: Type.String(),
    datePublished: Type.Optional(Type.String()),
    dateRejected: Type.Optional(Type.String()),
    dateUpdated: Type.Optional(Type.String()),
  }),
  containers: Type.Object({ cna: Container, adp: Type.Optional(Type.Array(Container)) }),
});
type CveRecord = Static<typeof CveRecord>;

const validRecord = Compile(CveRecord);
const validMetric = Compile(Metric);

/** CVE records: who scored what, and whether a CVE was rejected. See README.md beside this file. */
export const cvss: Feed = {
  id: 'cvss',
  title: 'CVE records with CVSS vectors (CVE Program, CISA Vulnrichment)',
  publisher: 'CVE Program',
  licence: 'CVE Program terms of use; CISA Vulnrichment: CC0-1.0',
  url: 'https://github.com/cisagov/vulnrichment/archive/refs/heads/develop.zip',
  // The CVE Program also publishes hourly and daily deltas in the same layout: a record that is not in a file is not gone.
  complete: false,
  staleAfterHours: 24 * 7,
  parse(file) {
    return requireRecords(file, parseRecords(file));
  },
};

async function* parseRecords(file: FeedFile): AsyncGenerator<FeedRecord | FeedRejection> {
  for await (const document of jsonDocuments(file)) {
    if (document.outcome === 'rejection') yield document;
    else yield* readRecord(document);
  }
}

function* readRecord({ position, text, value }: JsonDocument): Generator<FeedRecord | FeedRejection> {
  if (!validRecord.Check(value)) {
    yield rejection(position, 'record_not_cve', schemaComplaint(validRecord.Errors(value)), text);
    return;
  }
  const { cveMetadata, containers } = value;
  const rejected = cveMetadata.state === 'REJECTED';
  const facts: Fact[] = [
    {
      kind: 'vulnerability',
      id: cveMetadata.cveId,
      aliases: [],
      title: containers.cna.title ?? null,
      description:
        containers.cna.descriptions?.find(({ lang }) => lang.toLowerCase().startsWith('en'))?.value ?? null,
      publishedAt: utc(cveMetadata.datePublished),
      withdrawnAt: rejected ? withdrawnAt(cveMetadata) : null,
    },
  ];
  // Vectors of a rejected CVE score something that is not there.
  if (!rejected) {
    const scored = [
      { role: 'cna', container: containers.cna },
      ...(containers.adp ?? []).map((container) => ({ role: 'adp', container })),
    ];
    for (const { role, container } of scored)
      yield* readMetrics(cveMetadata.cveId, role, container, position, facts);
  }
  yield { outcome: 'record', id: cveMetadata.cveId, raw: text, facts };
}

function* readMetrics(
  cve: string,
  role: string,
  container: Container,
  position: string,
  facts: Fact[],
): Generator<FeedRejection> {
  const scorer = `${role}:${container.providerMetadata?.shortName ?? 'unknown'}`;
  const seen = new Set<string>();
  for (const metric of container.metrics ?? []) {
    if (!validMetric.Check(metric)) {
      yield rejection(
        position,
        'metric_invalid',
        `${cve} ${scorer}: ${schemaComplaint(validMetric.Errors(metric))}`,
        JSON.stringify(metric),
      );
      continue;
    }
    for (const key of vectorKeys) {
      const vector = metric[key]?.vectorString;
      // One scorer may repeat a vector, once for each scenario it names.
      if (vector === undefined || seen.has(vector)) continue;
      seen.add(vector);
      const result = cvssFact(cve, scorer, vector);
      if (result.ok) facts.push(result.fact);
      else yield rejection(position, 'cvss_vector_invalid', `${cve} ${scorer}: ${result.message}`, vector);
    }
  }
}

function withdrawnAt(metadata: CveRecord['cveMetadata']): string {
  // A rejected record always says when; should one not, the oldest day keeps it closed rather than lost.
  return (
    utc(metadata.dateRejected ?? metadata.dateUpdated ?? metadata.datePublished) ?? '1970-01-01T00:00:00Z'
  );
}

function utc(time: string | undefined): string | null {
  return time === undefined ? null : parseInstant(time);
}
