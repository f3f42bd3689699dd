import type { Ecosystem } from '@fixpoint/core/knowledge/ecosystem.ts';
import type { StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import type { OsvAffected, OsvRecord } from './osv-record.ts';

/** Where an entry's package belongs, in the words of `ecosystem.ts` and `channel.ts`. */
export interface Place {
  readonly release: string;
  readonly channel: string | null;
}

/**
 * `release_missing`: the entry is of this ecosystem and names no release, which is a mistake of the record. `elsewhere`: it
 * is for something that no host reports as its system; the README of the feed says what, and nothing is stated.
 */
export type Placing = Place | 'release_missing' | 'elsewhere';

/** What differs between the publishers of OSV records; the rest is the schema's, and is read in one way. */
export interface OsvDialect {
  readonly ecosystem: Ecosystem;
  /** What stands before the colon in `affected[].package.ecosystem`: `Rocky Linux`. */
  readonly name: string;
  readonly packageKind: StatementFact['packageKind'];
  /** Ids of notices that may be about several vulnerabilities at once. */
  readonly advisoryIds: RegExp;
  /**
   * What stands before the id of a vulnerability in records that are about one: `DEBIAN-` in `DEBIAN-CVE-2023-2975`. Such
   * ids without it are read too. Null when the publisher has only notices.
   */
  readonly vulnerabilityPrefix: string | null;
  /** Ids that say nothing themselves; the vulnerability is the CVE, else the GHSA, that the record names. */
  readonly opaqueIds?: RegExp;
  /** Whose CVSS vectors the records about one vulnerability carry. Those of a notice are of the notice, and not read. */
  readonly scorer: string;
  /** `qualifier` is what stands after the colon, `` when there is nothing. */
  readonly place: (qualifier: string, affected: OsvAffected) => Placing;
  /** Whether a notice that names no CVE is itself the only name of what it fixes. */
  readonly isOwnVulnerability: (record: OsvRecord) => boolean;
  /** Whether the entries of a notice are package versions that bring its fix. */
  readonly statesPackages?: (record: OsvRecord) => boolean;
  /** CVEs of a notice that names none in the fields that are there for it. */
  readonly cvesElsewhere?: (record: OsvRecord) => readonly string[];
  readonly advisoryUrl: (record: OsvRecord) => string | null;
  /** Whether fixed versions tell modules (`.module`) and come more than once for a package (`fix.ts`), as RPM's do. */
  readonly isRpm: boolean;
  /** Whether a flaw may begin at a version; where not, such a range is one that was not understood. */
  readonly readsIntroduced: boolean;
  /** The vendor's urgency for a statement, verbatim, or null. */
  readonly note: (record: OsvRecord, affected: OsvAffected, vulnerability: string) => string | null;
  /** Of an entry without a fix. */
  readonly fixState: (record: OsvRecord, note: string | null) => StatementFact['fixState'];
}

/** The publishers' way to say that the CVE field is empty: ids in the addresses of the references. */
export function cvesOfReferences(record: OsvRecord): readonly string[] {
  return [
    ...new Set((record.references ?? []).flatMap(({ url }) => /CVE-[0-9]{4}-[0-9]{4,19}/u.exec(url) ?? [])),
  ];
}

/**
 * The same, and when the references name none either, the CVEs that the text gives in brackets after each flaw, as the
 * errata of RHEL and its rebuilds do: `kernel: … (CVE-2025-39925)`.
 */
export function cvesOfErratum(record: OsvRecord): readonly string[] {
  const found = cvesOfReferences(record);
  if (found.length > 0) return found;
  const brackets = (record.details ?? '').match(/\((?:CVE-[0-9]{4}-[0-9]{4,19}[,\s]*)+\)/gu) ?? [];
  return [...new Set(brackets.flatMap((text) => text.match(/CVE-[0-9]{4}-[0-9]{4,19}/gu) ?? []))];
}
