import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Fact } from '@fixpoint/core/knowledge/facts.ts';
import { ssvcFact } from '../cve-record/ssvc.ts';
import { cvssFact } from '../cvss-vector.ts';
import type { Feed, FeedFile, FeedRecord, FeedRejection } from '../feed.ts';
import { notThisFormat, openInput, textOf } from '../input.ts';
import { parseInstant, rejection, requireRecords, schemaComplaint } from '../record.ts';
import { nvdDownloads } from './downloads.ts';
import { jsonElements } from './json-elements.ts';

/** The parts of NVD's cve_api_json_2.0.schema that are read. CPE configurations are not, on purpose: see README.md. */
const Item = Type.Object({
  cve: Type.Object({
    id: Type.String({ pattern: '^CVE-[0-9]{4}-[0-9]{4,19}$' }),
    sourceIdentifier: Type.Optional(Type.String()),
    vulnStatus: Type.Optional(Type.String()),
    published: Type.String(),
    lastModified: Type.String(),
    descriptions: Type.Array(Type.Object({ lang: Type.String(), value: Type.String() })),
    metrics: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  }),
});
type Cve = Static<typeof Item>['cve'];

const validItem = Compile(Item);
const validScore = Compile(
  Type.Object({ source: Type.String(), cvssData: Type.Object({ vectorString: Type.String() }) }),
);
const validDecision = Compile(Type.Object({ ssvcData: Type.Unknown() }));

const scoreKeys = ['cvssMetricV2', 'cvssMetricV30', 'cvssMetricV31', 'cvssMetricV40'] as const;

/** How NVD names CISA as a source. */
const cisaSource = '134c704f-9b21-4f2e-91b3-4a467353bcc0';

/** NVD's vulnerabilities: who scored what, and which CVEs are rejected. See README.md beside this file. */
export const nvd: Feed = {
  id: 'nvd',
  title: 'NVD (National Vulnerability Database)',
  publisher: 'NIST',
  licence: 'Public domain in the United States (https://nvd.nist.gov/general/legal-disclosures)',
  url: 'https://nvd.nist.gov/feeds/json/cve/2.0/nvdcve-2.0-modified.json.gz',
  // One year, what has changed in eight days, or one page of the API: a record that is not in a file is not gone.
  complete: false,
  staleAfterHours: 48,
  downloads: nvdDownloads,
  parse(file) {
    return requireRecords(file, parseItems(file));
  },
};

async function* parseItems(file: FeedFile): AsyncGenerator<FeedRecord | FeedRejection> {
  const input = await openInput(file);
  let version: string | null = null;
  for await (const piece of jsonElements(file.name, textOf(input.bytes), 'vulnerabilities')) {
    if (piece.kind === 'member') {
      const [, key, value] = /^\s*"(format|version)"\s*:\s*"([^"]*)"\s*$/u.exec(piece.text) ?? [];
      if ((key === 'format' && value !== 'NVD_CVE') || (key === 'version' && value !== '2.0'))
        throw notThisFormat(file.name, 'NVD’s JSON 2.0', `its ${key} is ${String(value)}`);
      if (key === 'version' && value !== undefined) version = value;
      continue;
    }
    if (version === null)
      throw notThisFormat(file.name, 'NVD’s JSON 2.0', 'it has no version before its vulnerabilities');
    yield* readItem(`vulnerabilities[${String(piece.index)}]`, piece.text.trim());
  }
}

function* readItem(position: string, text: string): Generator<FeedRecord | FeedRejection> {
  const value = parsed(text);
  if (!validItem.Check(value)) {
    const id = /"id"\s*:\s*"(CVE-[0-9]{4}-[0-9]{4,19})"/u.exec(text)?.[1] ?? null;
    const complaint = value === undefined ? 'it is not JSON' : schemaComplaint(validItem.Errors(value));
    yield rejection(position, 'record_not_nvd', complaint, text, id);
    return;
  }
  const { cve } = value;
  const rejected = cve.vulnStatus === 'Rejected';
  const facts: Fact[] = [
    {
      kind: 'vulnerability',
      id: cve.id,
      aliases: [],
      title: null,
      description: cve.descriptions.find(({ lang }) => lang === 'en')?.value.toWellFormed() ?? null,
      publishedAt: parseInstant(cve.published),
      // NVD says that a CVE is rejected, not since when: its last change is the nearest.
      withdrawnAt: rejected ? (parseInstant(cve.lastModified) ?? '1970-01-01T00:00:00Z') : null,
    },
  ];
  if (!rejected) yield* readMetrics(cve, position, facts);
  yield { outcome: 'record', id: cve.id, raw: text, facts };
}

function* readMetrics(cve: Cve, position: string, facts: Fact[]): Generator<FeedRejection> {
  const refuse = (code: string, message: string, text: string): FeedRejection =>
    rejection(position, code, `${cve.id} ${message}`, text, cve.id);
  const seen = new Set<string>();
  for (const key of scoreKeys) {
    for (const metric of listOf(cve.metrics?.[key])) {
      if (!validScore.Check(metric)) {
        yield refuse(
          'metric_invalid',
          `${key}: ${schemaComplaint(validScore.Errors(metric))}`,
          shown(metric),
        );
        continue;
      }
      const scorer = scorerOf(metric.source, cve);
      const { vectorString } = metric.cvssData;
      if (seen.has(`${scorer} ${vectorString}`)) continue;
      seen.add(`${scorer} ${vectorString}`);
      const result = cvssFact(cve.id, scorer, vectorString);
      if (result.ok) facts.push(result.fact);
      else yield refuse('cvss_vector_invalid', `${scorer}: ${result.message}`, vectorString);
    }
  }
  for (const decision of listOf(cve.metrics?.['ssvcV203'])) {
    const content = validDecision.Check(decision) ? decision.ssvcData : decision;
    const result = ssvcFact(cve.id, content, parseInstant(cve.lastModified));
    if (result.ok) facts.push(result.fact);
    else yield refuse('ssvc_invalid', result.message, shown(decision));
  }
}

function scorerOf(source: string, cve: Cve): string {
  if (source === 'nvd@nist.gov') return 'nvd';
  if (source === cisaSource) return 'adp:CISA-ADP';
  return source === cve.sourceIdentifier ? `cna:${source}` : source;
}

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  // What is no list is one thing that does not fit.
  return Array.isArray(value) ? value : [value];
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? 'undefined';
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
