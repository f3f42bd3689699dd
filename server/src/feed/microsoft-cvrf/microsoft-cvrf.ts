import type { CvssFact, Fact, StatementFact, UpdateFact } from '@fixpoint/core/knowledge/facts.ts';
import { plainStatement } from '@fixpoint/core/knowledge/facts.ts';
import { cvssFact } from '../cvss-vector.ts';
import { jsonDocuments } from '../documents.ts';
import { indexedDocuments, type IndexedDocument } from '../downloads.ts';
import type { Feed, FeedDownload, FeedFile, FeedRecord, FeedRejection } from '../feed.ts';
import { notThisFormat, parseJsonFile } from '../input.ts';
import { parseInstant, rejection, requireRecords, schemaComplaint } from '../record.ts';
import {
  exploitedFact,
  fixedBuildOf,
  fixWords,
  guidePage,
  isLinux,
  isVulnerabilityId,
  kbOf,
  productName,
  readIndex,
  saysExploited,
  supersededKbs,
  type VendorFix,
} from './msrc.ts';
import {
  validDocument,
  validIndex,
  validRemediation,
  validVulnerability,
  type DocumentJson,
  type RemediationJson,
  type VulnerabilityJson,
} from './schema.ts';

/** MSRC's Security Update Guide: one CVRF document a month, in JSON. See README.md beside this file. */
export const microsoftCvrf: Feed = {
  id: 'microsoft-cvrf',
  title: 'Microsoft Security Update Guide (CVRF)',
  publisher: 'Microsoft Security Response Center',
  licence: 'Microsoft public API; MSRC terms of use',
  url: 'https://api.msrc.microsoft.com/cvrf/v3.0/',
  accept: 'application/json',
  // A file is one month, and all of it; the other months stay.
  complete: true,
  partOf: (recordId) => recordId.slice(0, recordId.indexOf('/')),
  // Documents are revised on most working days; a week without any means that something is wrong.
  staleAfterHours: 24 * 8,
  ecosystems: ['windows'],
  downloads: indexedDocuments({ index: 'updates', read: monthsOf, batch: 12, concurrency: 2 }),
  parse(file) {
    return requireRecords(file, parseDocuments(file));
  },
};

/** The list of documents, with the time that each was last revised: `/cvrf/v3.0/updates`. */
async function monthsOf(index: FeedDownload): Promise<readonly IndexedDocument[]> {
  return await readIndex(index, (text) => {
    const value = parseJsonFile(index.name, text);
    if (!validIndex.Check(value)) {
      throw notThisFormat(index.name, 'MSRC’s list of updates', schemaComplaint(validIndex.Errors(value)));
    }
    return value.value.flatMap(({ ID, CurrentReleaseDate }) => {
      const modified = parseInstant(CurrentReleaseDate);
      return /^\d{4}-[A-Za-z]{3}$/u.test(ID) && modified !== null ? [{ url: `cvrf/${ID}`, modified }] : [];
    });
  });
}

const remediationType = { willNotFix: 4, vendorFix: 2, knownIssueFormerly: 5, knownIssue: 6 } as const;
const threatType = { exploitStatus: 1, severity: 3 } as const;
const noteTypeDescription = 2;

async function* parseDocuments(file: FeedFile): AsyncGenerator<FeedRecord | FeedRejection> {
  for await (const item of jsonDocuments(file)) {
    if (item.outcome === 'rejection') {
      yield item;
      continue;
    }
    if (!validDocument.Check(item.value)) {
      const complaint = schemaComplaint(validDocument.Errors(item.value));
      yield rejection(item.position, 'document_not_cvrf', complaint, item.text);
      continue;
    }
    yield* readDocument(item.value);
  }
}

/** What one document says of one KB; the same KB stands under most vulnerabilities of a month. */
interface CollectedUpdate {
  readonly byProduct: Map<string, { readonly fix: VendorFix; readonly supersedes: Set<string> }>;
  readonly raw: Set<string>;
}

function* readDocument(document: DocumentJson): Generator<FeedRecord | FeedRejection> {
  const month = document.DocumentTracking.Identification.ID.Value;
  const products = new Map(
    document.ProductTree.FullProductName.map(({ ProductID, Value }) => [ProductID, productName(Value)]),
  );
  const updates = new Map<string, CollectedUpdate>();
  const withKnownIssues = new Set<string>();
  for (const [index, entry] of document.Vulnerability.entries()) {
    const position = `${month} Vulnerability[${String(index)}]`;
    const raw = JSON.stringify(entry);
    if (!validVulnerability.Check(entry)) {
      const id = idOf(entry);
      const complaint = schemaComplaint(validVulnerability.Errors(entry));
      yield rejection(position, 'record_not_cvrf', complaint, raw, id === null ? null : `${month}/${id}`);
      continue;
    }
    const record = `${month}/${entry.CVE}`;
    if (!isVulnerabilityId(entry.CVE)) {
      yield rejection(position, 'id_unknown', `${entry.CVE} is neither a CVE nor an ADV id`, raw, record);
      continue;
    }
    const remediations: RemediationJson[] = [];
    for (const [number, one] of (entry.Remediations ?? []).entries()) {
      if (validRemediation.Check(one)) remediations.push(one);
      else {
        const complaint = schemaComplaint(validRemediation.Errors(one));
        const where = `${position} Remediations[${String(number)}]`;
        yield rejection(where, 'remediation_unreadable', complaint, JSON.stringify(one), record);
      }
    }
    // Of a product whose fix cannot be read nothing is said, which must not read as "no fix": it is undetermined below.
    const unreadable = remediations.length < (entry.Remediations ?? []).length;
    for (const remediation of remediations) {
      const { Type: type } = remediation;
      const kb = kbOf(remediation.Description?.Value ?? '');
      if (kb === null) continue;
      if (type === remediationType.knownIssue || type === remediationType.knownIssueFormerly) {
        for (const id of remediation.ProductID ?? []) withKnownIssues.add(`${kb}\t${products.get(id) ?? ''}`);
      } else if (type === remediationType.vendorFix) collectUpdate(updates, kb, remediation, products);
    }
    const { facts, problems } = readVulnerability(entry, remediations, products, unreadable, document);
    for (const { code, message } of problems) yield rejection(position, code, message, raw, record);
    yield { outcome: 'record', id: record, raw, facts };
  }
  const publishedAt = parseInstant(document.DocumentTracking.InitialReleaseDate);
  for (const [kb, { byProduct, raw }] of updates) {
    const facts = [...byProduct].map(([product, { fix, supersedes }]): UpdateFact => ({
      kind: 'update',
      id: kb,
      product,
      title: null,
      supersedes: [...supersedes].sort(),
      fixedBuild: fix.fixedBuild,
      restart: fix.restart,
      type: fix.type,
      publishedAt,
      url: fix.url,
      knownIssues: withKnownIssues.has(`${kb}\t${product}`),
    }));
    yield { outcome: 'record', id: `${month}/${kb}`, raw: `[${[...raw].join(',')}]`, facts };
  }
}

function collectUpdate(
  updates: Map<string, CollectedUpdate>,
  kb: string,
  remediation: RemediationJson,
  products: ReadonlyMap<string, string>,
): void {
  const collected = updates.get(kb) ?? { byProduct: new Map(), raw: new Set<string>() };
  updates.set(kb, collected);
  for (const id of remediation.ProductID ?? []) {
    const product = products.get(id);
    if (product === undefined || isLinux(product)) continue;
    const fix = vendorFix(remediation, product);
    const held = collected.byProduct.get(product);
    if (held === undefined) collected.byProduct.set(product, { fix, supersedes: new Set(fix.supersedes) });
    else {
      for (const one of fix.supersedes) held.supersedes.add(one);
      // Some entries of a month leave the build out that others name.
      if (held.fix.fixedBuild === null && fix.fixedBuild !== null) {
        collected.byProduct.set(product, {
          fix: { ...held.fix, fixedBuild: fix.fixedBuild },
          supersedes: held.supersedes,
        });
      }
    }
  }
  if (collected.byProduct.size === 0) updates.delete(kb);
  // The text that is kept as evidence; without the products, which the facts name, the entries of a month are mostly one.
  collected.raw.add(JSON.stringify({ ...remediation, ProductID: undefined }));
}

function vendorFix(remediation: RemediationJson, product: string): VendorFix {
  const kb = kbOf(remediation.Description?.Value ?? '');
  return {
    kb,
    fixedBuild: fixedBuildOf(remediation.FixedBuild ?? '', product),
    supersedes: supersededKbs(remediation.Supercedence ?? '').filter((one) => one !== kb),
    type: filled(remediation.SubType),
    restart: restarts[remediation.RestartRequired?.Value ?? ''] ?? null,
    url: webAddress(remediation.URL),
  };
}

const restarts: Readonly<Record<string, UpdateFact['restart']>> = {
  Yes: 'required',
  Maybe: 'maybe',
  No: 'not_required',
};

function filled(text: string | null | undefined): string | null {
  const trimmed = text?.trim() ?? '';
  return trimmed === '' ? null : trimmed.toWellFormed();
}

function webAddress(text: string | null | undefined): string | null {
  const address = filled(text);
  return address !== null && /^https?:\/\/\S+$/u.test(address) ? address : null;
}

interface Problem {
  readonly code: string;
  readonly message: string;
}

function readVulnerability(
  entry: VulnerabilityJson,
  remediations: readonly RemediationJson[],
  products: ReadonlyMap<string, string>,
  unreadable: boolean,
  document: DocumentJson,
): { facts: Fact[]; problems: Problem[] } {
  const id = entry.CVE;
  const problems: Problem[] = [];
  const revisions = (entry.RevisionHistory ?? [])
    .flatMap(({ Date: date }) => {
      const instant = date === null || date === undefined ? null : parseInstant(date);
      return instant === null ? [] : [instant];
    })
    .sort();
  const { InitialReleaseDate, CurrentReleaseDate } = document.DocumentTracking;
  const publishedAt = revisions[0] ?? parseInstant(InitialReleaseDate);
  const statedAt = revisions.at(-1) ?? parseInstant(CurrentReleaseDate);
  const description = entry.Notes?.find(({ Type }) => Type === noteTypeDescription)?.Value;
  const facts: Fact[] = [
    {
      kind: 'vulnerability',
      id,
      aliases: [],
      title: filled(entry.Title?.Value),
      description: filled(description),
      publishedAt,
      withdrawnAt: null,
    },
  ];
  const cvss = highestCvss(id, entry, problems);
  if (cvss !== null) facts.push(cvss);
  const exploited = (entry.Threats ?? []).some(
    ({ Type, Description }) => Type === threatType.exploitStatus && saysExploited(Description?.Value ?? ''),
  );
  if (exploited) {
    if (statedAt !== null) facts.push(exploitedFact(id, statedAt, guidePage(id)));
    else
      problems.push({
        code: 'date_invalid',
        message: `${id} says "Exploited:Yes" and has no date that can be read`,
      });
  }
  const severities = severityByProduct(entry, products);
  const unknown = new Set<string>();
  for (const [product, status] of statusByProduct(entry, products, unknown)) {
    const note = severities.get(product) ?? null;
    facts.push({ ...statementOf(id, product, status, remediations, products, unreadable, note), statedAt });
  }
  if (unknown.size > 0) {
    const message = `${String(unknown.size)} products are not in the product tree: ${[...unknown].slice(0, 3).join(', ')}`;
    problems.push({ code: 'product_undefined', message });
  }
  return { facts, problems };
}

/** One vector for a vulnerability: that of the highest base score, where products differ. */
function highestCvss(id: string, entry: VulnerabilityJson, problems: Problem[]): CvssFact | null {
  let highest: CvssFact | null = null;
  for (const vector of new Set((entry.CVSSScoreSets ?? []).map(({ Vector }) => Vector?.trim() ?? ''))) {
    if (vector === '') continue;
    const result = cvssFact(id, 'microsoft', vector);
    if (!result.ok) problems.push({ code: 'cvss_invalid', message: result.message });
    else if (highest === null || result.fact.baseScore > highest.baseScore) highest = result.fact;
  }
  return highest;
}

function severityByProduct(
  entry: VulnerabilityJson,
  products: ReadonlyMap<string, string>,
): Map<string, string> {
  const severities = new Map<string, string>();
  for (const { Type, Description, ProductID } of entry.Threats ?? []) {
    const severity = Type === threatType.severity ? filled(Description?.Value) : null;
    if (severity === null) continue;
    for (const product of ProductID ?? []) severities.set(products.get(product) ?? '', severity);
  }
  return severities;
}

type Status = 'affected' | 'not_affected' | 'undetermined';

/** CVRF 1.1 numbers the states of products 0–6 in the order of its schema; what is not known here is undetermined. */
function statusOf(type: number | undefined): Status {
  // First Affected, Known Affected, Last Affected. Left out: the real documents know only 3.
  if (type === undefined || type === 0 || type === 3 || type === 5) return 'affected';
  return type === 4 ? 'not_affected' : 'undetermined';
}

/** Windows products only; in the order of the record. A product that is said to be affected anywhere is affected. */
function statusByProduct(
  entry: VulnerabilityJson,
  products: ReadonlyMap<string, string>,
  unknown: Set<string>,
): Map<string, Status> {
  const order: readonly Status[] = ['not_affected', 'undetermined', 'affected'];
  const result = new Map<string, Status>();
  for (const { Type, ProductID } of entry.ProductStatuses ?? []) {
    for (const id of ProductID ?? []) {
      const product = products.get(id);
      if (product === undefined) {
        unknown.add(id);
        continue;
      }
      if (isLinux(product)) continue;
      const held = result.get(product);
      const status = statusOf(Type);
      if (held === undefined || order.indexOf(status) > order.indexOf(held)) result.set(product, status);
    }
  }
  return result;
}

function statementOf(
  vulnerability: string,
  product: string,
  status: Status,
  remediations: readonly RemediationJson[],
  products: ReadonlyMap<string, string>,
  unreadable: boolean,
  severity: string | null,
): Omit<StatementFact, 'statedAt'> {
  const base = {
    ...plainStatement,
    vulnerability,
    ecosystem: 'windows',
    release: '',
    package: product,
  } as const;
  if (status !== 'affected') return { ...base, status, fixState: 'available', note: severity };
  const own = remediations.filter(
    ({ ProductID }) => ProductID?.some((id) => products.get(id) === product) === true,
  );
  const fixes = own
    .filter(({ Type }) => Type === remediationType.vendorFix)
    .map((one) => vendorFix(one, product));
  if (fixes.length === 0) {
    if (unreadable) {
      const note = 'a remediation of the record cannot be read';
      return { ...base, status: 'undetermined', fixState: 'none_yet', note };
    }
    const willNotFix = own.some(({ Type }) => Type === remediationType.willNotFix);
    return {
      ...base,
      status: 'affected',
      fixState: willNotFix ? 'will_not_fix' : 'none_yet',
      note: severity,
    };
  }
  const { reason, ...words } = fixWords(fixes);
  const note = [severity, reason].filter((part) => part !== null).join('; ');
  return { ...base, ...words, note: note === '' ? null : note };
}

/** The id of what is not an entry as a whole, if it has one. */
function idOf(entry: unknown): string | null {
  return typeof entry === 'object' && entry !== null && 'CVE' in entry && typeof entry.CVE === 'string'
    ? entry.CVE
    : null;
}
