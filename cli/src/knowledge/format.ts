import type { BranchFix, Decision } from '@fixpoint/core/knowledge/decision.ts';
import type { Product } from '@fixpoint/core/knowledge/ecosystem.ts';
import type { FeedId, StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import type { ExploitMaturity } from '@fixpoint/core/knowledge/threat.ts';

/**
 * The local knowledge of one product (an ecosystem's release) in one file, made to be read by a process that lives for a
 * twentieth of a second: read in one piece, and only the lines that can concern an installed version are parsed.
 *
 *     fixpoint-knowledge <format> <length of the header line in bytes, 8 digits>\n
 *     <header: KnowledgeHeader as JSON>\n
 *     <index: one line a package, sorted: KnowledgePlace, fields separated by tabs. Its first field is the name of the
 *      package after `s` (a source package) or `b` (an installed one), as the statements name it>
 *     <body: for each package its decisions, one line each, fields separated by tabs>
 *
 * Of a package, the decisions that a version at or above their fixed version settles come first, in the ecosystem's order
 * of these versions, so that the ones with a newer fix than an installed version are all that follow some line. All others
 * follow: no fix, a fixed version that is no version, a module stream that is not named, fixes in branches, and everything
 * where versions are only comparable within a branch (Windows).
 *
 * Text is UTF-8. Tabs and line ends inside values become spaces; an empty field is null, and empty ones at the end are
 * left out. `record` is `=` when it equals the vulnerability. The header tells the length and CRC-32 of index and body, so
 * a cut or altered file is noticed.
 */

/** Name of a product's knowledge file: `debian-12`, `wolfi`. */
export function productName({ ecosystem, release }: Product): string {
  return release === '' ? ecosystem : `${ecosystem}-${release}`;
}

export const knowledgeFormat = 3;
export const knowledgeMagic = 'fixpoint-knowledge';

export interface KnowledgeHeader {
  readonly format: number;
  readonly ecosystem: string;
  readonly release: string;
  readonly packages: number;
  readonly decisions: number;
  readonly index_bytes: number;
  readonly body_bytes: number;
  /** CRC-32 of index and body. */
  readonly crc32: number;
  /** The feeds it was made from. */
  readonly feeds: readonly KnowledgeSource[];
}

export interface KnowledgeSource {
  readonly id: string;
  readonly records: number;
  /** Date of the newest record or of the file, `YYYY-MM-DD`; null when the feed does not say. */
  readonly as_of: string | null;
}

/** How dangerous a vulnerability is, from all feeds together. */
export interface Danger {
  /** 0.0–10.0 */
  readonly cvss: number | null;
  /** EPSS probability 0–1. */
  readonly epss: number | null;
  /** In CISA's catalogue since, `YYYY-MM-DD`. */
  readonly exploitedSince: string | null;
  readonly ransomware: boolean;
  /** What exploits are known; `none` when no feed knows of one. */
  readonly maturity: ExploitMaturity;
  readonly title: string | null;
}

export const unknownDanger: Danger = {
  cvss: null,
  epss: null,
  exploitedSince: null,
  ransomware: false,
  maturity: 'none',
  title: null,
};

const statusLetters = {
  fixed: 'f',
  affected: 'a',
  not_affected: 'n',
  undetermined: 'u',
  branch_only: 'b',
} as const;
const fixStateLetters = {
  available: 'a',
  none_yet: 'n',
  will_not_fix: 'w',
  end_of_life: 'e',
  deferred: 'd',
} as const;
const maturityLetters = { none: '', public: 'p', weaponised: 'w', active: 'x' } as const;
const statusOf = new Map<string, Decision['status']>([
  ['f', 'fixed'],
  ['a', 'affected'],
  ['n', 'not_affected'],
  ['u', 'undetermined'],
  ['b', 'branch_only'],
]);
const maturityOf = new Map<string, ExploitMaturity>([
  ['', 'none'],
  ['p', 'public'],
  ['w', 'weaponised'],
  ['x', 'active'],
]);
const fixStateOf = new Map<string, Decision['fixState']>([
  ['a', 'available'],
  ['n', 'none_yet'],
  ['w', 'will_not_fix'],
  ['e', 'end_of_life'],
  ['d', 'deferred'],
]);

/** Between the values of a list: sentences of `disagreements`, fields of a branch fix. */
const unitSeparator = '\u001F';
/** Between branch fixes. */
const recordSeparator = '\u001E';
/** Up to `feed` and `record`; what follows may be left out. */
const leastFields = 6;
const mostFields = 20;

/** One decision as a line, without the line feed. The fixed version is first: it is what is looked for. */
export function decisionLine(decision: Decision, danger: Danger): string {
  return [
    decision.fixedVersion ?? '',
    decision.vulnerability,
    statusLetters[decision.status],
    fixStateLetters[decision.fixState],
    decision.feed,
    decision.record === decision.vulnerability ? '=' : decision.record,
    decision.advisory ?? '',
    decision.note ?? '',
    danger.cvss === null ? '' : danger.cvss.toFixed(1),
    danger.epss === null ? '' : String(danger.epss),
    danger.exploitedSince ?? '',
    danger.ransomware ? '1' : '',
    maturityLetters[danger.maturity],
    danger.title ?? '',
    decision.disagreements.join(unitSeparator),
    decision.module ?? '',
    decision.introducedVersion ?? '',
    decision.channel ?? '',
    decision.updates.join(unitSeparator),
    decision.branchFixes.map(branchText).join(recordSeparator),
  ]
    .map((field) => field.replaceAll(/[\t\r\n]+/gu, ' '))
    .join('\t')
    .replace(/\t+$/u, '');
}

function branchText({ channel, fixedVersion, advisory, feed, record }: BranchFix): string {
  return [channel, fixedVersion, advisory ?? '', feed, record].join(unitSeparator);
}

function readBranch(text: string): BranchFix | null {
  const [channel = '', fixedVersion = '', advisory, feed = '', record = ''] = text.split(unitSeparator);
  return isFeedId(feed) ? { channel, fixedVersion, advisory: orNull(advisory), feed, record } : null;
}

export interface KnownDecision {
  readonly decision: Decision;
  readonly danger: Danger;
}

/** The other way round; null when the line is not one of {@link decisionLine}'s. */
export function readDecisionLine(
  line: string,
  named: Pick<Decision, 'ecosystem' | 'release' | 'package' | 'packageKind'>,
): KnownDecision | null {
  const fields = line.split('\t');
  if (fields.length < leastFields || fields.length > mostFields) return null;
  const [fixedVersion, vulnerability = '', statusLetter = '', fixLetter = '', feed = '', record = ''] =
    fields;
  const status = statusOf.get(statusLetter);
  const fixState = fixStateOf.get(fixLetter);
  const maturity = maturityOf.get(fields[12] ?? '');
  if (status === undefined || fixState === undefined || maturity === undefined || !isFeedId(feed))
    return null;
  const branchFixes = readBranches(fields[19]);
  if (branchFixes === null) return null;
  return {
    decision: {
      vulnerability,
      ecosystem: named.ecosystem,
      release: named.release,
      package: named.package,
      packageKind: named.packageKind,
      module: orNull(fields[15]),
      status,
      introducedVersion: orNull(fields[16]),
      fixedVersion: orNull(fixedVersion),
      updates: splitList(fields[18], unitSeparator),
      channel: orNull(fields[17]),
      branchFixes,
      fixState,
      note: orNull(fields[7]),
      advisory: orNull(fields[6]),
      feed,
      record: record === '=' ? vulnerability : record,
      disagreements: splitList(fields[14], unitSeparator),
    },
    danger: {
      cvss: orNumber(fields[8]),
      epss: orNumber(fields[9]),
      exploitedSince: orNull(fields[10]),
      ransomware: fields[11] === '1',
      maturity,
      title: orNull(fields[13]),
    },
  };
}

/** Null when one of them is none. */
function readBranches(field: string | undefined): readonly BranchFix[] | null {
  if (field === undefined || field === '') return noValues;
  const branches = field.split(recordSeparator).map(readBranch);
  return branches.includes(null) ? null : branches.flatMap((branch) => branch ?? []);
}

const noValues: readonly never[] = [];

function splitList(field: string | undefined, separator: string): readonly string[] {
  return field === undefined || field === '' ? noValues : field.split(separator);
}

/** Where in the body a package stands. */
export interface KnowledgePlace {
  /** In bytes, from the start of the body. */
  readonly offset: number;
  /** Of the lines in the order of their fixed version, in bytes. */
  readonly orderedBytes: number;
  /** Of the lines that follow them. */
  readonly otherBytes: number;
  /** The highest fixed version; null when there is none. */
  readonly newest: string | null;
}

/** Under what a package stands in the index. */
export function placeKey(kind: StatementFact['packageKind'], name: string): string {
  return `${kind === 'source' ? 's' : 'b'}${name}`;
}

export function placeLine(key: string, place: KnowledgePlace): string {
  const { offset, orderedBytes, otherBytes, newest } = place;
  return `${key}\t${String(offset)}\t${String(orderedBytes)}\t${String(otherBytes)}\t${newest ?? ''}`;
}

/** The other way round. The checksum vouches for the form. */
export function readPlaceLine(line: string): KnowledgePlace {
  const [, offset, orderedBytes, otherBytes, newest] = line.split('\t');
  return {
    offset: Number(offset),
    orderedBytes: Number(orderedBytes),
    otherBytes: Number(otherBytes),
    newest: orNull(newest),
  };
}

const feedIds: Readonly<Record<FeedId, true>> = {
  'debian-tracker': true,
  'debian-osv': true,
  'debian-changelog': true,
  'ubuntu-osv': true,
  'ubuntu-notices': true,
  'almalinux-osv': true,
  'rocky-osv': true,
  'redhat-osv': true,
  'redhat-csaf': true,
  'suse-osv': true,
  'opensuse-osv': true,
  'amazon-alas': true,
  'alpine-secdb': true,
  'alpine-osv': true,
  'wolfi-secdb': true,
  'wolfi-osv': true,
  'microsoft-cvrf': true,
  'microsoft-csaf': true,
  'cisa-kev': true,
  epss: true,
  'cve-list': true,
  vulnrichment: true,
  nvd: true,
  'cvss-table': true,
  'exploit-db': true,
  metasploit: true,
};

function isFeedId(text: string): text is FeedId {
  return Object.hasOwn(feedIds, text);
}

function orNull(field: string | undefined): string | null {
  return field === undefined || field === '' ? null : field;
}

function orNumber(field: string | undefined): number | null {
  return field === undefined || field === '' ? null : Number(field);
}
