import type { Ecosystem } from './ecosystem.ts';

/**
 * The normalised facts that every feed is turned into. A fact always travels with the feed and the record that said it
 * (see {@link FeedRecord} in server/src/feed/feed.ts), so two sources that disagree stay two facts; the rule that decides
 * between them is in `union.ts`.
 */

/** Every feed there is. Which of them speaks first for an ecosystem is said in `authority.ts`. */
export type FeedId =
  | 'debian-tracker'
  | 'debian-osv'
  | 'debian-changelog'
  | 'ubuntu-osv'
  | 'ubuntu-notices'
  | 'almalinux-osv'
  | 'rocky-osv'
  | 'redhat-osv'
  | 'redhat-csaf'
  | 'suse-osv'
  | 'opensuse-osv'
  | 'amazon-alas'
  | 'alpine-secdb'
  | 'alpine-osv'
  | 'wolfi-secdb'
  | 'wolfi-osv'
  | 'microsoft-cvrf'
  | 'microsoft-csaf'
  | 'cisa-kev'
  | 'epss'
  | 'cve-list'
  | 'vulnrichment'
  | 'nvd'
  | 'cvss-table'
  | 'exploit-db'
  | 'metasploit';

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

/** One source's claim about one vulnerability in one package of one release. */
export interface StatementFact {
  readonly kind: 'statement';
  readonly vulnerability: string;
  readonly ecosystem: Ecosystem;
  /** The release as the vendor counts it, in the form that `ecosystem.ts` gives a host: `12`, `22.04`, `9`, `3.18`, ``. */
  readonly release: string;
  /** Name of the package, as `packageKind` says; on Windows the product as MSRC names it. */
  readonly package: string;
  /** Whether `package` names what was built from, or what is installed. RPM errata name binaries, but for Rocky's and SUSE's. */
  readonly packageKind: 'source' | 'binary';
  /**
   * RPM module stream `name:stream`, such as `nodejs:18`; null for what is in no module, and `?` for a modular build whose
   * stream the source does not name. A statement speaks only of packages of the same stream.
   */
  readonly module: string | null;
  /**
   * Support channel that the fix is published in, when not everybody gets it (`channel.ts`): `pro`, `fips`, `eus:9.2`,
   * `product:satellite:6.16`. Null: the release's own repositories.
   */
  readonly channel: string | null;
  /** `undetermined`: the source lists it and has not looked at it yet, or its range cannot be read. */
  readonly status: 'fixed' | 'affected' | 'not_affected' | 'undetermined';
  /** First version that has the flaw; null when every version before the fix has it. */
  readonly introducedVersion: string | null;
  /** First fixed version. When status is `fixed`, this or `updates` is set; else neither. */
  readonly fixedVersion: string | null;
  /** Windows: the updates that bring the fix (`KB5040430`), any of which is enough. Else empty. */
  readonly updates: readonly string[];
  /** For `affected`: whether a fix is to be expected. The vendor's words are in `note`. */
  readonly fixState: 'available' | 'none_yet' | 'will_not_fix' | 'end_of_life' | 'deferred';
  /** The vendor's urgency or reason, verbatim: `unimportant`, `no-dsa: Minor issue`. */
  readonly note: string | null;
  /** The advisory that carried the fix, when the record says so. */
  readonly advisory: string | null;
  /** When the source made the statement, ISO 8601 UTC, or null. */
  readonly statedAt: string | null;
}

/** What a statement says when its source says nothing special: the defaults that most parsers need. */
export const plainStatement = {
  kind: 'statement',
  packageKind: 'source',
  module: null,
  channel: null,
  introducedVersion: null,
  fixedVersion: null,
  updates: [],
  note: null,
  advisory: null,
  statedAt: null,
} as const satisfies Partial<StatementFact>;

/** An update as its vendor publishes it, where that is not the same as a package version: a KB of Microsoft. */
export interface UpdateFact {
  readonly kind: 'update';
  /** `KB5040430` */
  readonly id: string;
  /** The product it is for, as MSRC names it; one update for several products is several facts. */
  readonly product: string;
  readonly title: string | null;
  /** Updates that it replaces directly: `KB5039217`. */
  readonly supersedes: readonly string[];
  /** Build of the product once it is installed: `10.0.17763.6054`; null when the vendor names none. */
  readonly fixedBuild: string | null;
  readonly restart: 'required' | 'maybe' | 'not_required' | null;
  /** The vendor's word: `Security Update`, `Monthly Rollup`, `Security Only`. */
  readonly type: string | null;
  readonly publishedAt: string | null;
  readonly url: string | null;
  /** Whether the vendor lists known issues with it. */
  readonly knownIssues: boolean;
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
  /**
   * `exploited`: attacks are known (KEV). `exploit_probability`: EPSS. `exploit_public`: code that anybody can fetch
   * (Exploit-DB). `exploit_weaponised`: a ready module (Metasploit). `ssvc`: CISA's decision points, in `ssvc`.
   */
  readonly threat: 'exploited' | 'exploit_probability' | 'exploit_public' | 'exploit_weaponised' | 'ssvc';
  /** EPSS probability 0–1 for `exploit_probability`, else null. */
  readonly probability: number | null;
  /** EPSS percentile 0–1 for `exploit_probability`, else null. */
  readonly percentile: number | null;
  /** KEV: whether ransomware campaigns are known to use it; null when the source does not say. */
  readonly ransomware: boolean | null;
  /** Decision points of SSVC as CISA gives them for `ssvc`, else null. */
  readonly ssvc: {
    readonly exploitation: 'none' | 'poc' | 'active';
    readonly automatable: boolean | null;
    readonly technicalImpact: 'partial' | 'total' | null;
  } | null;
  /** KEV dateAdded, EPSS score date, publication of the exploit: `YYYY-MM-DD`. */
  readonly assertedOn: string;
  /** KEV dueDate, `YYYY-MM-DD`, or null. */
  readonly dueOn: string | null;
  /** KEV vulnerabilityName, name of the exploit or module, or null. */
  readonly title: string | null;
  /** Where a person reads more: the exploit's page or the module's path; null when the source gives none. */
  readonly reference: string | null;
}

export type Fact = AdvisoryFact | VulnerabilityFact | StatementFact | UpdateFact | CvssFact | ThreatFact;
