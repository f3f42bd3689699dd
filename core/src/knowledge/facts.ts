/**
 * The normalised facts that every feed is turned into. A fact always travels with the feed and the record that said it
 * (see {@link FeedRecord} in server/src/feed/feed.ts), so two sources that disagree stay two facts; the rule that decides
 * between them is in `union.ts`.
 */

/** The vendor's own name space of package names and versions. */
export type Ecosystem = 'debian';

/** Feeds in the order of their authority for statements about Debian (see `union.ts`). */
export type FeedId =
  | 'debian-tracker'
  | 'debian-osv'
  | 'debian-changelog'
  | 'cisa-kev'
  | 'epss'
  | 'cvss'
  | 'cvss-table';

/** A vendor's notice: which vulnerabilities it is about. Which product and version is said by statements. */
export interface AdvisoryFact {
  readonly kind: 'advisory';
  /** The vendor's id, such as `DSA-5532-1`. */
  readonly id: string;
  readonly title: string;
  /** ISO 8601 in UTC, or null when the source does not say. */
  readonly publishedAt: string | null;
  readonly withdrawnAt: string | null;
  readonly vulnerabilities: readonly string[];
  readonly url: string | null;
}

/** What is known of a vulnerability itself, apart from where it is. */
export interface VulnerabilityFact {
  readonly kind: 'vulnerability';
  /** The CVE id where there is one, else the source's own id (such as `TEMP-1055121-867EAF`). */
  readonly id: string;
  readonly aliases: readonly string[];
  readonly title: string | null;
  readonly description: string | null;
  readonly publishedAt: string | null;
  readonly withdrawnAt: string | null;
}

/** One source's claim about one vulnerability in one source package of one release. */
export interface StatementFact {
  readonly kind: 'statement';
  readonly vulnerability: string;
  readonly ecosystem: Ecosystem;
  /** The release as the vendor counts it: `12`. */
  readonly release: string;
  /** Source package on Debian. */
  readonly package: string;
  /** `undetermined`: the source lists it and has not looked at it yet. */
  readonly status: 'fixed' | 'affected' | 'not_affected' | 'undetermined';
  /** First fixed source version; set exactly when status is `fixed`. */
  readonly fixedVersion: string | null;
  /** For `affected`: whether a fix is to be expected. The vendor's words are in `note`. */
  readonly fixState: 'available' | 'none_yet' | 'will_not_fix' | 'end_of_life' | 'deferred';
  /** The vendor's urgency or reason, verbatim: `unimportant`, `no-dsa: Minor issue`. */
  readonly note: string | null;
  /** The advisory that carried the fix, when the record says so. */
  readonly advisory: string | null;
  /** When the source made the statement, ISO 8601 UTC, or null. */
  readonly statedAt: string | null;
}

/** A CVSS vector as one source gave it; the base score is computed from the vector, never typed in. */
export interface CvssFact {
  readonly kind: 'cvss';
  readonly vulnerability: string;
  /** Who scored it: `nvd`, `cna:openssl`, `adp:CISA-ADP`, `redhat`. */
  readonly scorer: string;
  readonly version: '2.0' | '3.0' | '3.1' | '4.0';
  readonly vector: string;
  /** 0.0–10.0 */
  readonly baseScore: number;
}

/** One source's dated assertion about how dangerous a vulnerability is in the world. */
export interface ThreatFact {
  readonly kind: 'threat';
  readonly vulnerability: string;
  readonly threat: 'exploited' | 'exploit_probability';
  /** EPSS probability 0–1 for `exploit_probability`, else null. */
  readonly probability: number | null;
  /** EPSS percentile 0–1 for `exploit_probability`, else null. */
  readonly percentile: number | null;
  /** KEV: whether ransomware campaigns are known to use it; null when the source does not say. */
  readonly ransomware: boolean | null;
  /** KEV dateAdded, or EPSS score date: `YYYY-MM-DD`. */
  readonly assertedOn: string;
  /** KEV dueDate, `YYYY-MM-DD`, or null. */
  readonly dueOn: string | null;
  /** KEV vulnerabilityName, or null. */
  readonly title: string | null;
}

export type Fact = AdvisoryFact | VulnerabilityFact | StatementFact | CvssFact | ThreatFact;
