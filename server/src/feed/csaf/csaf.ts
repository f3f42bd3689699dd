import { parseInstant, schemaComplaint } from '../record.ts';
import { readProductTree, type ProductTree } from './product-tree.ts';
import { validDocument, validVulnerability, type DocumentJson, type VulnerabilityJson } from './schema.ts';

/**
 * A reader of CSAF 2.0 documents: advisories (Red Hat's RHSA, Microsoft's updates) and VEX. It checks the form and resolves
 * what points to something else (products, groups); what a publisher's product ids mean is left to that publisher's feed.
 * Format: https://docs.oasis-open.org/csaf/csaf/v2.0/os/csaf-v2.0-os.html. The sections named below are of that text.
 */

export interface CsafDocument {
  /** Profile: `csaf_security_advisory`, `csaf_vex`, or another (section 4). */
  readonly category: string;
  readonly title: string;
  readonly publisher: { readonly category: string; readonly name: string; readonly namespace: string };
  /** The publisher's own word for the whole, such as `Important`. */
  readonly aggregateSeverity: string | null;
  readonly tracking: CsafTracking;
  readonly notes: readonly CsafNote[];
  readonly references: readonly CsafReference[];
  readonly tree: ProductTree;
  readonly vulnerabilities: readonly CsafVulnerability[];
  /** What of the document is not as the standard wants it and was left out; a feed passes each on as a rejection. */
  readonly problems: readonly CsafProblem[];
}

export interface CsafTracking {
  /** The publisher's id of the document: `RHSA-2024:0026`, `CVE-2024-1234`, `msrc_CVE-2024-38063`. */
  readonly id: string;
  readonly aliases: readonly string[];
  /** `draft`, `interim`, `final`. */
  readonly status: string;
  readonly version: string;
  /** ISO 8601 UTC, or null when the text is no instant. */
  readonly publishedAt: string | null;
  /** ISO 8601 UTC, or null when the text is no instant. */
  readonly changedAt: string | null;
  /** As listed by the publisher: oldest first by convention, not by rule. */
  readonly revisions: readonly {
    readonly at: string | null;
    readonly number: string;
    readonly summary: string;
  }[];
}

export interface CsafNote {
  /** `description`, `details`, `faq`, `general`, `legal_disclaimer`, `other`, `summary`. */
  readonly category: string;
  readonly title: string | null;
  readonly text: string;
}

export interface CsafReference {
  /** `self` or `external`. */
  readonly category: string;
  readonly summary: string | null;
  readonly url: string;
}

/** The lists of product_status (section 3.2.3.9). */
export type CsafStatus =
  | 'first_affected'
  | 'first_fixed'
  | 'fixed'
  | 'known_affected'
  | 'known_not_affected'
  | 'last_affected'
  | 'recommended'
  | 'under_investigation';

export interface CsafVulnerability {
  /** Place in the document, from 0; for messages. */
  readonly index: number;
  readonly cve: string | null;
  readonly ids: readonly { readonly systemName: string; readonly text: string }[];
  readonly title: string | null;
  readonly cwe: { readonly id: string; readonly name: string } | null;
  readonly notes: readonly CsafNote[];
  readonly references: readonly CsafReference[];
  readonly discoveredAt: string | null;
  readonly releasedAt: string | null;
  /** Product ids by status, each of them in the product tree and each once; a status that is not given is empty. */
  readonly status: Readonly<Record<CsafStatus, readonly string[]>>;
  readonly remediations: readonly CsafRemediation[];
  readonly threats: readonly CsafThreat[];
  readonly flags: readonly CsafFlag[];
  readonly scores: readonly CsafScore[];
}

/** What is said of products. `products` holds the members of groups too; empty means that the source names none. */
interface Concerning {
  readonly products: readonly string[];
}

export interface CsafRemediation extends Concerning {
  /** `mitigation`, `no_fix_planned`, `none_available`, `vendor_fix`, `workaround` (section 3.2.3.12.1). */
  readonly category: string;
  readonly details: string;
  readonly url: string | null;
  readonly at: string | null;
  readonly entitlements: readonly string[];
  /** `none`, `service`, `system`, `machine`, … (section 3.2.3.12.7), or null when it is not said. */
  readonly restart: { readonly category: string; readonly details: string | null } | null;
}

export interface CsafThreat extends Concerning {
  /** `exploit_status`, `impact`, `target_set`. */
  readonly category: string;
  readonly details: string;
  readonly at: string | null;
}

export interface CsafFlag extends Concerning {
  /** Why a product is not affected: `component_not_present`, `vulnerable_code_not_present`, … (section 3.2.3.5). */
  readonly label: string;
  readonly at: string | null;
}

export interface CsafScore extends Concerning {
  readonly cvssV2: string | null;
  /** A vector of 3.0 or 3.1, as its prefix says. */
  readonly cvssV3: string | null;
}

export interface CsafProblem {
  /** Where in the document: `product_tree/branches[3]`, `vulnerabilities[0]/product_status/fixed`. */
  readonly position: string;
  readonly code:
    | 'branch_invalid'
    | 'branch_too_deep'
    | 'relationship_invalid'
    | 'product_defined_twice'
    | 'product_undefined'
    | 'group_undefined'
    | 'vulnerability_invalid';
  readonly message: string;
}

export type CsafReading =
  | { readonly ok: true; readonly document: CsafDocument }
  | {
      readonly ok: false;
      readonly code: 'not_csaf' | 'csaf_version_unknown';
      readonly message: string;
      /** The document's id, where that much of it can be read. */
      readonly id: string | null;
    };

/** Reads a parsed JSON text as a CSAF 2.0 document. */
export function readCsaf(value: unknown): CsafReading {
  if (!validDocument.Check(value)) {
    return {
      ok: false,
      code: 'not_csaf',
      message: schemaComplaint(validDocument.Errors(value)),
      id: trackingId(value),
    };
  }
  const { document } = value;
  if (document.csaf_version !== '2.0') {
    const message = `csaf_version ${document.csaf_version} is not read; 2.0 is`;
    return { ok: false, code: 'csaf_version_unknown', message, id: document.tracking.id };
  }
  const problems: CsafProblem[] = [];
  const tree = readProductTree(value.product_tree ?? {}, problems);
  const groups = new Map(
    (value.product_tree?.product_groups ?? []).map((group) => [group.group_id, group.product_ids]),
  );
  const vulnerabilities = (value.vulnerabilities ?? []).flatMap((entry, index) => {
    if (!validVulnerability.Check(entry)) {
      const message = schemaComplaint(validVulnerability.Errors(entry));
      problems.push({
        position: `vulnerabilities[${String(index)}]`,
        code: 'vulnerability_invalid',
        message,
      });
      return [];
    }
    return [readVulnerability(entry, index, tree, groups, problems)];
  });
  return {
    ok: true,
    document: {
      category: document.category,
      title: document.title,
      publisher: document.publisher,
      aggregateSeverity: document.aggregate_severity?.text ?? null,
      tracking: trackingOf(document.tracking),
      notes: notesOf(document.notes),
      references: referencesOf(document.references),
      tree,
      vulnerabilities,
      problems,
    },
  };
}

function trackingId(value: unknown): string | null {
  const member = (of: unknown, key: string): unknown =>
    typeof of === 'object' && of !== null ? Reflect.get(of, key) : undefined;
  const id = member(member(member(value, 'document'), 'tracking'), 'id');
  return typeof id === 'string' ? id : null;
}

const instantOf = (text: string | undefined): string | null =>
  text === undefined ? null : parseInstant(text);

function trackingOf(tracking: DocumentJson['document']['tracking']): CsafTracking {
  return {
    id: tracking.id,
    aliases: tracking.aliases ?? [],
    status: tracking.status,
    version: tracking.version,
    publishedAt: parseInstant(tracking.initial_release_date),
    changedAt: parseInstant(tracking.current_release_date),
    revisions: tracking.revision_history.map(({ date, number, summary }) => ({
      at: parseInstant(date),
      number,
      summary,
    })),
  };
}

function notesOf(notes: VulnerabilityJson['notes']): CsafNote[] {
  return (notes ?? []).map(({ category, title, text }) => ({ category, title: title ?? null, text }));
}

function referencesOf(references: VulnerabilityJson['references']): CsafReference[] {
  return (references ?? []).map(({ category, summary, url }) => ({
    category: category ?? 'external',
    summary: summary ?? null,
    url,
  }));
}

function readVulnerability(
  entry: VulnerabilityJson,
  index: number,
  tree: ProductTree,
  groups: ReadonlyMap<string, readonly string[]>,
  problems: CsafProblem[],
): CsafVulnerability {
  const at = `vulnerabilities[${String(index)}]`;

  /** The ids that the tree has, each once; the others become one problem, which names the first three. */
  const defined = (ids: readonly string[], place: string): string[] => {
    const unique = [...new Set(ids)];
    const unknown = unique.filter((id) => !tree.products.has(id));
    if (unknown.length === 0) return unique;
    const more = unknown.length > 3 ? ` and ${String(unknown.length - 3)} more` : '';
    const message = `${unknown.slice(0, 3).join(', ')}${more} not in the product tree`;
    problems.push({ position: `${at}/${place}`, code: 'product_undefined', message });
    return unique.filter((id) => tree.products.has(id));
  };
  const concerned = (
    entryOf: { product_ids?: string[]; group_ids?: string[] },
    place: string,
  ): readonly string[] => {
    const members = (entryOf.group_ids ?? []).flatMap((group) => {
      const ids = groups.get(group);
      if (ids === undefined) {
        const message = `group ${group} is not in the product tree`;
        problems.push({ position: `${at}/${place}`, code: 'group_undefined', message });
      }
      return ids ?? [];
    });
    return defined([...(entryOf.product_ids ?? []), ...members], place);
  };
  const status = (name: CsafStatus): string[] =>
    defined(entry.product_status?.[name] ?? [], `product_status/${name}`);

  return {
    index,
    cve: entry.cve ?? null,
    ids: (entry.ids ?? []).map(({ system_name, text }) => ({ systemName: system_name, text })),
    title: entry.title ?? null,
    cwe: entry.cwe ?? null,
    notes: notesOf(entry.notes),
    references: referencesOf(entry.references),
    discoveredAt: instantOf(entry.discovery_date),
    releasedAt: instantOf(entry.release_date),
    status: {
      first_affected: status('first_affected'),
      first_fixed: status('first_fixed'),
      fixed: status('fixed'),
      known_affected: status('known_affected'),
      known_not_affected: status('known_not_affected'),
      last_affected: status('last_affected'),
      recommended: status('recommended'),
      under_investigation: status('under_investigation'),
    },
    remediations: (entry.remediations ?? []).map((remediation, number) => ({
      category: remediation.category,
      details: remediation.details,
      url: remediation.url ?? null,
      at: instantOf(remediation.date),
      entitlements: remediation.entitlements ?? [],
      restart:
        remediation.restart_required === undefined
          ? null
          : {
              category: remediation.restart_required.category,
              details: remediation.restart_required.details ?? null,
            },
      products: concerned(remediation, `remediations[${String(number)}]`),
    })),
    threats: (entry.threats ?? []).map((threat, number) => ({
      category: threat.category,
      details: threat.details,
      at: instantOf(threat.date),
      products: concerned(threat, `threats[${String(number)}]`),
    })),
    flags: (entry.flags ?? []).map((flag, number) => ({
      label: flag.label,
      at: instantOf(flag.date),
      products: concerned(flag, `flags[${String(number)}]`),
    })),
    scores: (entry.scores ?? []).map((score, number) => ({
      cvssV2: score.cvss_v2?.vectorString ?? null,
      cvssV3: score.cvss_v3?.vectorString ?? null,
      products: defined(score.products, `scores[${String(number)}]`),
    })),
  };
}

/**
 * Whether nothing of what a document says of vulnerabilities could be read. It must not replace what an earlier version said:
 * what has become unreadable has not been withdrawn.
 */
export function saysNothing({ vulnerabilities, problems }: CsafDocument): boolean {
  return vulnerabilities.length === 0 && problems.some(({ code }) => code === 'vulnerability_invalid');
}

/**
 * What is said of each product, first entry first: an index for documents with thousands of products, where looking
 * through every list for each of them would take seconds.
 */
export function byProduct<T extends { readonly products: readonly string[] }>(
  entries: readonly T[],
): ReadonlyMap<string, readonly T[]> {
  const index = new Map<string, T[]>();
  for (const entry of entries) {
    for (const product of entry.products) {
      const list = index.get(product);
      if (list === undefined) index.set(product, [entry]);
      else list.push(entry);
    }
  }
  return index;
}
