import {
  plainStatement,
  type CvssFact,
  type Fact,
  type StatementFact,
} from '@fixpoint/core/knowledge/facts.ts';
import {
  byProduct,
  readCsaf,
  saysNothing,
  type CsafDocument,
  type CsafRemediation,
  type CsafStatus,
  type CsafVulnerability,
} from '../csaf/csaf.ts';
import { resolveProduct } from '../csaf/product-tree.ts';
import { cvssFact } from '../cvss-vector.ts';
import { jsonDocuments, type JsonDocument } from '../documents.ts';
import type { Feed, FeedFile, FeedRecord, FeedRejection } from '../feed.ts';
import { isCve, rejection, requireRecords } from '../record.ts';
import { isDebug } from '../updateinfo/facts.ts';
import { placePackage } from './components.ts';
import { redhatDownloads } from './downloads.ts';
import { evidenceOf } from './evidence.ts';

/** Red Hat's CSAF advisories and VEX documents. See README.md beside this file for what each field becomes. */
export const redhatCsaf: Feed = {
  id: 'redhat-csaf',
  title: 'Red Hat security data (CSAF and VEX)',
  publisher: 'Red Hat Product Security',
  licence: 'CC-BY-4.0',
  url: 'https://security.access.redhat.com/data/csaf/v2/vex/',
  // A document is a file, and what is gone is listed: see downloads.ts.
  complete: false,
  staleAfterHours: 48,
  ecosystems: ['redhat'],
  downloads: redhatDownloads,
  // Years of documents in one archive.
  downloadLimits: { maximumBytes: 4 * 1024 * 1024 * 1024, totalSeconds: 3 * 3600 },
  parse(file) {
    return requireRecords(file, parseDocuments(file));
  },
};

async function* parseDocuments(file: FeedFile): AsyncGenerator<FeedRecord | FeedRejection> {
  for await (const item of jsonDocuments(file)) {
    if (item.outcome === 'rejection') yield { ...item, record: item.record?.toUpperCase() ?? null };
    else yield* readDocument(item);
  }
}

function* readDocument({ position, text, value }: JsonDocument): Generator<FeedRecord | FeedRejection> {
  if (isDeleted(value)) {
    // What Red Hat says of a CVE that it has taken back: it says nothing of it any more.
    yield { outcome: 'record', id: value.document.tracking.id, raw: text, facts: [] };
    return;
  }
  const reading = readCsaf(value);
  if (!reading.ok) {
    yield rejection(position, reading.code, reading.message, text, reading.id);
    return;
  }
  const { document } = reading;
  const { id } = document.tracking;
  for (const { position: place, code, message } of document.problems) {
    yield rejection(`${position} ${place}`, code, message, text, id);
  }
  const facts: Fact[] = [];
  const isAdvisory = /^RH[SBE]A-/u.test(id);
  if (isAdvisory) facts.push(advisoryOf(document));
  for (const vulnerability of document.vulnerabilities) {
    const { cve } = vulnerability;
    if (cve === null || !isCve(cve)) {
      const message = cve === null ? 'a vulnerability has no CVE id' : `${cve} is not a CVE id`;
      yield rejection(
        `${position} vulnerabilities[${String(vulnerability.index)}]`,
        'id_unknown',
        message,
        text,
        id,
      );
      continue;
    }
    facts.push(vulnerabilityOf(cve, vulnerability));
    const cvss = highestScore(cve, vulnerability);
    facts.push(...cvss.facts);
    for (const message of cvss.refused) yield rejection(position, 'cvss_invalid', message, text, id);
    const found = statementsOf(document, vulnerability, cve, isAdvisory ? id : null);
    facts.push(...found.statements);
    for (const message of found.refused) yield rejection(position, 'statement_unreadable', message, text, id);
  }
  if (saysNothing(document)) return;
  yield { outcome: 'record', id, raw: evidenceOf(text, value), facts };
}

interface Deleted {
  readonly document: { readonly tracking: { readonly id: string } };
}

/** `{"document":{"tracking":{"id":"CVE-2023-0118","status":"deleted"}}}`, as deletions are handed on. */
function isDeleted(value: unknown): value is Deleted {
  const member = (of: unknown, key: string): unknown =>
    typeof of === 'object' && of !== null ? Reflect.get(of, key) : undefined;
  const tracking = member(member(value, 'document'), 'tracking');
  return member(tracking, 'status') === 'deleted' && typeof member(tracking, 'id') === 'string';
}

function advisoryOf({ tracking, title, vulnerabilities, references }: CsafDocument): Fact {
  const cves = vulnerabilities.flatMap(({ cve }) => (cve !== null && isCve(cve) ? [cve] : []));
  const errata = references.find(({ url }) => url.startsWith('https://access.redhat.com/errata/'));
  return {
    kind: 'advisory',
    id: tracking.id,
    title,
    publishedAt: tracking.publishedAt,
    withdrawnAt: null,
    vulnerabilities: [...new Set(cves)],
    url: errata?.url ?? `https://access.redhat.com/errata/${tracking.id}`,
  };
}

function vulnerabilityOf(cve: string, { title, notes, releasedAt }: CsafVulnerability): Fact {
  return {
    kind: 'vulnerability',
    id: cve,
    aliases: [],
    title,
    description: notes.find(({ category }) => category === 'description')?.text ?? null,
    publishedAt: releasedAt,
    withdrawnAt: null,
  };
}

/** Red Hat can score a flaw for each product; the highest of them is what it says of the flaw as such. */
function highestScore(cve: string, { scores }: CsafVulnerability): { facts: CvssFact[]; refused: string[] } {
  const highest = new Map<CvssFact['version'], CvssFact>();
  const refused: string[] = [];
  const vectors = new Set(scores.flatMap(({ cvssV2, cvssV3 }) => [cvssV2, cvssV3]));
  for (const vector of vectors) {
    if (vector === null) continue;
    const result = cvssFact(cve, 'redhat', vector);
    if (!result.ok) {
      refused.push(result.message);
      continue;
    }
    const before = highest.get(result.fact.version);
    if (before === undefined || before.baseScore < result.fact.baseScore) {
      highest.set(result.fact.version, result.fact);
    }
  }
  return { facts: [...highest.values()], refused };
}

/** The first that a product is in counts: a fix that is out says more than that there was a flaw. */
const statuses = [
  ['fixed', 'fixed'],
  ['known_affected', 'affected'],
  ['under_investigation', 'undetermined'],
  ['known_not_affected', 'not_affected'],
] as const satisfies readonly (readonly [CsafStatus, StatementFact['status']])[];
/** Lists of the standard that Red Hat does not use, so that nobody can say what it would mean by them. */
const unusedStatuses = ['first_affected', 'first_fixed', 'last_affected', 'recommended'] as const;

function statementsOf(
  document: CsafDocument,
  vulnerability: CsafVulnerability,
  cve: string,
  advisory: string | null,
): { statements: StatementFact[]; refused: string[] } {
  const refused: string[] = [];
  const remediations = byProduct(vulnerability.remediations);
  const flags = byProduct(vulnerability.flags);
  const impacts = byProduct(vulnerability.threats.filter(({ category }) => category === 'impact'));
  const statedAt = currentVersionOf(document);
  const statements = new Map<string, StatementFact>();
  const clearedBuilds = new Set<StatementFact>();
  const said = new Map<string, StatementFact['status']>();
  for (const list of unusedStatuses) {
    const { length } = vulnerability.status[list];
    if (length > 0) refused.push(`${cve}: ${String(length)} products with status ${list}, which is not read`);
  }
  for (const [list, status] of statuses) {
    for (const product of vulnerability.status[list]) {
      const before = said.get(product);
      if (before !== undefined) {
        refused.push(`${cve}: ${product} is said to be ${before} and ${status}; the first was taken`);
        continue;
      }
      said.set(product, status);
      const resolved = resolveProduct(document.tree, product);
      const placed = resolved === null ? 'product_unknown' : placePackage(resolved);
      if (placed === 'product_unknown') {
        refused.push(`${cve}: ${product} does not lead to a product with a CPE`);
        continue;
      }
      if (placed === 'elsewhere' || isDebug(placed.name)) continue;
      // The source of a build that is listed with its binaries would say the same once more.
      if (placed.kind === 'source' && placed.version !== null) continue;
      const isUnnamed = status === 'fixed' && placed.version === null;
      if (isUnnamed) {
        refused.push(`${cve}: ${product} is fixed, in a version that is not named`);
      }
      const fix = (remediations.get(product) ?? []).find(({ category }) => category === 'vendor_fix');
      const outlook = outlookOf(remediations.get(product) ?? []);
      const impact = impacts.get(product)?.[0]?.details ?? null;
      const reason = status === 'not_affected' ? (flags.get(product)?.[0]?.label ?? null) : null;
      const statement: StatementFact = {
        ...plainStatement,
        vulnerability: cve,
        ecosystem: 'redhat',
        release: placed.release,
        package: placed.name,
        packageKind: placed.kind,
        module: placed.module,
        channel: placed.channel,
        // A fix that nobody can compare with is not known, which must not read as safe.
        status: isUnnamed ? 'undetermined' : status,
        fixedVersion: status === 'fixed' ? placed.version : null,
        fixState: isUnnamed
          ? 'none_yet'
          : status === 'fixed' || status === 'not_affected'
            ? 'available'
            : outlook.fixState,
        note: noteOf([impact, status === 'affected' ? outlook.words : null, reason]),
        advisory: status === 'fixed' && !isUnnamed ? (advisory ?? advisoryIn(fix)) : null,
        statedAt: (status === 'fixed' ? fix?.at : null) ?? statedAt,
      };
      statements.set(keyOf(statement), statement);
      if (status === 'not_affected' && placed.version !== null) clearedBuilds.add(statement);
    }
  }
  return { statements: withoutOtherBuilds([...statements.values()], clearedBuilds), refused };
}

/**
 * An erratum can say of a build that it is not affected, while another build of the same package is fixed or affected: then
 * the package as such is not clear.
 */
function withoutOtherBuilds(
  statements: readonly StatementFact[],
  clearedBuilds: ReadonlySet<StatementFact>,
): StatementFact[] {
  const concerned = new Set(
    statements.filter(({ status }) => status !== 'not_affected').map((statement) => placeKey(statement)),
  );
  return statements.filter(
    (statement) => !(clearedBuilds.has(statement) && concerned.has(placeKey(statement))),
  );
}

/** Architectures and repositories (AppStream, BaseOS, CRB) of a product say the same. */
function keyOf(statement: StatementFact): string {
  return `${placeKey(statement)}\t${statement.status}\t${statement.fixedVersion ?? '-'}`;
}

function placeKey({ package: name, packageKind, module, release, channel }: StatementFact): string {
  return [name, packageKind, module ?? '-', release, channel ?? '-'].join('\t');
}

/** What is to be expected of an affected product, by the words that Red Hat uses. */
function outlookOf(remediations: readonly CsafRemediation[]): {
  fixState: StatementFact['fixState'];
  words: string | null;
} {
  const remediation = remediations.find(
    ({ category }) => category === 'no_fix_planned' || category === 'none_available',
  );
  if (remediation === undefined) return { fixState: 'none_yet', words: null };
  const words = remediation.details.trim();
  if (/^out of support scope/iu.test(words)) return { fixState: 'end_of_life', words };
  if (/\bdeferred\b/iu.test(words)) return { fixState: 'deferred', words };
  return { fixState: remediation.category === 'no_fix_planned' ? 'will_not_fix' : 'none_yet', words };
}

function noteOf(words: readonly (string | null)[]): string | null {
  const said = words.filter((word) => word !== null && word !== '');
  return said.length === 0 ? null : said.join('; ');
}

/** `RHSA-2023:5763` of https://access.redhat.com/errata/RHSA-2023:5763 */
function advisoryIn(fix: CsafRemediation | undefined): string | null {
  return /\/errata\/(RH[SBE]A-[0-9]{4}:[0-9]+)/u.exec(fix?.url ?? '')?.[1] ?? null;
}

/** When the content was last changed: the newest revision but for "Last generated version", which changes nothing. */
function currentVersionOf({ tracking }: CsafDocument): string | null {
  const times = tracking.revisions
    .filter(({ summary }) => !/last generated/iu.test(summary))
    .flatMap(({ at }) => at ?? []);
  return times.sort().at(-1) ?? tracking.changedAt;
}
