import type { Fact, StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import { plainStatement } from '@fixpoint/core/knowledge/facts.ts';
import {
  readCsaf,
  saysNothing,
  type CsafDocument,
  type CsafRemediation,
  type CsafVulnerability,
} from '../csaf/csaf.ts';
import type { CsafProduct } from '../csaf/product-tree.ts';
import { cvssFact } from '../cvss-vector.ts';
import { jsonDocuments } from '../documents.ts';
import { indexedDocuments, type IndexedDocument } from '../downloads.ts';
import type { Feed, FeedDownload, FeedFile, FeedRecord, FeedRejection } from '../feed.ts';
import {
  exploitedFact,
  fixedBuildOf,
  fixWords,
  guidePage,
  isLinux,
  isVulnerabilityId,
  kbOfUrl,
  productName,
  readIndex,
  saysExploited,
  type VendorFix,
} from '../microsoft-cvrf/msrc.ts';
import { parseInstant, rejection, requireRecords } from '../record.ts';

/** MSRC's advisories in CSAF 2.0, one for each vulnerability. See README.md beside this file. */
export const microsoftCsaf: Feed = {
  id: 'microsoft-csaf',
  title: 'Microsoft security advisories (CSAF)',
  publisher: 'Microsoft Security Response Center',
  licence: 'Microsoft public data; MSRC terms of use',
  url: 'https://msrc.microsoft.com/csaf/advisories/',
  // A file is one vulnerability; the others stay.
  complete: false,
  staleAfterHours: 24 * 8,
  ecosystems: ['windows'],
  downloads: indexedDocuments({ index: 'changes.csv', read: changesOf }),
  parse(file) {
    return requireRecords(file, parseDocuments(file));
  },
};

/** CSAF 2.0, section 7.1.13: `"2024/msrc_cve-2024-38077.json","2024-12-10T08:00:00Z"`, with or without the quotes. */
async function changesOf(index: FeedDownload): Promise<readonly IndexedDocument[]> {
  return await readIndex(index, (text) =>
    text.split('\n').flatMap((line) => {
      const match = /^"?(\d{4}\/msrc_(?:cve|adv)[\w-]*\.json)"?,"?([^",]+)"?$/u.exec(line.trim());
      const modified = parseInstant(match?.[2] ?? '');
      return match !== null && modified !== null ? [{ url: match[1] ?? '', modified }] : [];
    }),
  );
}

async function* parseDocuments(file: FeedFile): AsyncGenerator<FeedRecord | FeedRejection> {
  for await (const item of jsonDocuments(file)) {
    if (item.outcome === 'rejection') {
      yield item;
      continue;
    }
    const reading = readCsaf(item.value);
    if (!reading.ok) {
      yield rejection(item.position, reading.code, reading.message, item.text, reading.id);
      continue;
    }
    const { document } = reading;
    const { id } = document.tracking;
    if (!/^msrc_(?:CVE-\d{4}-\d{4,19}|ADV\d{6})$/iu.test(id)) {
      yield rejection(item.position, 'record_not_msrc', `${id} is not an id that MSRC gives`, item.text, id);
      continue;
    }
    for (const { position, code, message } of document.problems) {
      yield rejection(`${id} ${position}`, code, message, message, id);
    }
    if (saysNothing(document)) continue;
    const { facts, problems } = readDocument(document);
    for (const { code, message } of problems) yield rejection(id, code, message, message, id);
    yield { outcome: 'record', id, raw: item.text, facts };
  }
}

interface Problem {
  readonly code: string;
  readonly message: string;
}

function readDocument(document: CsafDocument): { facts: Fact[]; problems: Problem[] } {
  const facts: Fact[] = [];
  const problems: Problem[] = [];
  const severity = document.aggregateSeverity;
  for (const vulnerability of document.vulnerabilities) {
    const id =
      vulnerability.cve ?? vulnerability.ids.find(({ text }) => isVulnerabilityId(text))?.text ?? null;
    if (id === null) {
      const message = `vulnerabilities[${String(vulnerability.index)}] has neither a CVE nor an ADV id`;
      problems.push({ code: 'id_unknown', message });
      continue;
    }
    facts.push({
      kind: 'vulnerability',
      id,
      aliases: [],
      title: vulnerability.title ?? document.title,
      description: vulnerability.notes.find(({ category }) => category === 'description')?.text ?? null,
      publishedAt: document.tracking.publishedAt,
      withdrawnAt: null,
    });
    facts.push(...scored(id, vulnerability, problems));
    const exploited = vulnerability.threats.some(
      ({ category, details }) => category === 'exploit_status' && saysExploited(details),
    );
    if (exploited && document.tracking.changedAt !== null) {
      facts.push(exploitedFact(id, document.tracking.changedAt, guidePage(id)));
    }
    facts.push(...statements(id, vulnerability, document, severity));
  }
  return { facts, problems };
}

/** One vector for a vulnerability: that of the highest base score, where products differ. */
function scored(id: string, vulnerability: CsafVulnerability, problems: Problem[]): Fact[] {
  const vectors = new Set(
    vulnerability.scores.flatMap(({ cvssV3, cvssV2 }) => cvssV3 ?? cvssV2 ?? []).filter((one) => one !== ''),
  );
  const results = [...vectors].map((vector) => cvssFact(id, 'microsoft', vector));
  for (const result of results) {
    if (!result.ok) problems.push({ code: 'cvss_invalid', message: result.message });
  }
  const [highest] = results
    .flatMap((result) => (result.ok ? [result.fact] : []))
    .sort((a, b) => b.baseScore - a.baseScore);
  return highest === undefined ? [] : [highest];
}

type Status = 'affected' | 'not_affected' | 'undetermined';

/** What is said of one product, which the tree has as two: a range of versions before the fix, and the fixed version. */
interface Collected {
  status: Status;
  /** From a range such as `<10.0.17763.6054`. */
  fixedBelow: string | null;
  readonly fixes: VendorFix[];
  willNotFix: boolean;
}

function statements(
  id: string,
  vulnerability: CsafVulnerability,
  document: CsafDocument,
  severity: string | null,
): Fact[] {
  const products = new Map<string, Collected>();
  const collect = (productId: string, status: Status): void => {
    const product = document.tree.products.get(productId);
    if (product === undefined) return;
    const name = nameOf(product);
    if (isLinux(name)) return;
    const held = products.get(name) ?? { status, fixedBelow: null, fixes: [], willNotFix: false };
    products.set(name, held);
    if (statuses.indexOf(status) > statuses.indexOf(held.status)) held.status = status;
    if (status === 'affected') held.fixedBelow ??= belowOf(product, name);
  };
  const { status } = vulnerability;
  for (const one of status.known_not_affected) collect(one, 'not_affected');
  for (const one of status.under_investigation) collect(one, 'undetermined');
  for (const one of [...status.known_affected, ...status.first_affected, ...status.last_affected]) {
    collect(one, 'affected');
  }
  for (const remediation of vulnerability.remediations) {
    for (const productId of remediation.products) {
      const product = document.tree.products.get(productId);
      const held = product === undefined ? undefined : products.get(nameOf(product));
      if (product === undefined || held === undefined) continue;
      if (remediation.category === 'vendor_fix') addFix(held.fixes, fixOf(remediation, nameOf(product)));
      else if (remediation.category === 'no_fix_planned') held.willNotFix = true;
    }
  }
  const facts: Fact[] = [];
  for (const [name, held] of products) {
    facts.push(statementOf(id, name, held, document.tracking.changedAt, severity));
    if (held.status !== 'affected') continue;
    for (const fix of held.fixes) {
      if (fix.kb === null) continue;
      facts.push({
        kind: 'update',
        id: fix.kb,
        product: name,
        title: null,
        // CSAF does not say what an update replaces; microsoft-cvrf does.
        supersedes: [],
        fixedBuild: fix.fixedBuild,
        restart: fix.restart,
        type: fix.type,
        publishedAt: document.tracking.publishedAt,
        url: fix.url,
        knownIssues: false,
      });
    }
  }
  return facts;
}

const statuses: readonly Status[] = ['not_affected', 'undetermined', 'affected'];

function statementOf(
  vulnerability: string,
  product: string,
  held: Collected,
  statedAt: string | null,
  severity: string | null,
): StatementFact {
  const base = {
    ...plainStatement,
    vulnerability,
    ecosystem: 'windows',
    release: '',
    package: product,
    statedAt,
    note: severity,
  } as const;
  if (held.status !== 'affected') return { ...base, status: held.status, fixState: 'available' };
  const below: VendorFix | null =
    held.fixedBelow === null
      ? null
      : { kb: null, fixedBuild: held.fixedBelow, supersedes: [], type: null, restart: null, url: null };
  // The range repeats the build of a remediation; it counts where no remediation names one.
  const fixes =
    below === null || held.fixes.some(({ fixedBuild }) => fixedBuild !== null)
      ? held.fixes
      : [...held.fixes, below];
  if (fixes.length === 0) {
    return { ...base, status: 'affected', fixState: held.willNotFix ? 'will_not_fix' : 'none_yet' };
  }
  const { reason, ...words } = fixWords(fixes);
  const note = [severity, reason].filter((part) => part !== null).join('; ');
  return { ...base, ...words, note: note === '' ? null : note };
}

function addFix(fixes: VendorFix[], fix: VendorFix): void {
  const same = fixes.some(
    (one) => one.kb === fix.kb && one.fixedBuild === fix.fixedBuild && one.type === fix.type,
  );
  if (!same) fixes.push(fix);
}

/** The branch `product_name` around a version; the product's own name where there is none. */
function nameOf(product: CsafProduct): string {
  const branch = product.branches.findLast(({ category }) => category === 'product_name');
  return productName(branch?.name ?? product.name);
}

/** `<10.0.17763.6054` → `10.0.17763.6054` */
function belowOf(product: CsafProduct, name: string): string | null {
  const range = product.branches.findLast(({ category }) => category === 'product_version_range');
  const match = /^<\s*(\S+)$/u.exec(range?.name ?? '');
  return match === null ? null : fixedBuildOf(match[1] ?? '', name);
}

/** `details` are `16.0.5508.1000:Security Update:https://support.microsoft.com/help/5002744`. */
function fixOf(remediation: CsafRemediation, product: string): VendorFix {
  const match = /^([^:]*):([^:]*):(https?:\/\/\S+)$/u.exec(remediation.details.trim());
  const [, build = '', type = '', address = ''] = match ?? [];
  const url = remediation.url ?? (address === '' ? null : address);
  return {
    kb: kbOfUrl(url ?? '') ?? kbOfUrl(address),
    fixedBuild: fixedBuildOf(build, product),
    supersedes: [],
    type: type.trim() === '' ? null : type.trim(),
    restart: restarts[remediation.restart?.category ?? ''] ?? null,
    url: url !== null && /^https?:\/\/\S+$/u.test(url) ? url : null,
  };
}

const restarts: Readonly<Record<string, VendorFix['restart']>> = {
  none: 'not_required',
  system: 'required',
  machine: 'required',
};
