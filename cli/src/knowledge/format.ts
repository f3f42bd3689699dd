import type { Decision } from '@fixpoint/core/knowledge/decision.ts';
import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';

/**
 * The local knowledge of one release in one file, made to be read by a process that lives for a twentieth of a second:
 * read in one piece, and only the lines that can concern an installed version are parsed.
 *
 *     fixpoint-knowledge <format> <length of the header line in bytes, 8 digits>\n
 *     <header: KnowledgeHeader as JSON>\n
 *     <index: one line a source package, sorted by name: KnowledgePlace, fields separated by tabs>
 *     <body: for each source package its decisions, one line each, fields separated by tabs>
 *
 * Of a source package, the decisions with a fixed version come first, in dpkg's order of these versions, so that the ones
 * with a newer fix than an installed version are all that follow some line. Text is UTF-8. Tabs and line ends inside values
 * become spaces; an empty field is null. `record` is `=` when it equals the vulnerability. The header tells the length
 * and CRC-32 of index and body, so a cut or altered file is noticed.
 */

export const knowledgeFormat = 2;
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
  readonly title: string | null;
}

export const unknownDanger: Danger = {
  cvss: null,
  epss: null,
  exploitedSince: null,
  ransomware: false,
  title: null,
};

const statusLetters = { fixed: 'f', affected: 'a', not_affected: 'n', undetermined: 'u' } as const;
const fixStateLetters = {
  available: 'a',
  none_yet: 'n',
  will_not_fix: 'w',
  end_of_life: 'e',
  deferred: 'd',
} as const;
const statusOf = new Map<string, Decision['status']>([
  ['f', 'fixed'],
  ['a', 'affected'],
  ['n', 'not_affected'],
  ['u', 'undetermined'],
  ['u', 'undetermined'],
]);
const fixStateOf = new Map<string, Decision['fixState']>([
  ['a', 'available'],
  ['n', 'none_yet'],
  ['w', 'will_not_fix'],
  ['e', 'end_of_life'],
  ['d', 'deferred'],
]);

/** Between the sentences of `disagreements`. */
const unitSeparator = '\u001F';
const fieldCount = 14;

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
    danger.title ?? '',
    decision.disagreements.join(unitSeparator),
  ]
    .map((field) => field.replaceAll(/[\t\r\n]+/gu, ' '))
    .join('\t');
}

export interface KnownDecision {
  readonly decision: Decision;
  readonly danger: Danger;
}

/** The other way round; null when the line is not one of {@link decisionLine}'s. */
export function readDecisionLine(
  line: string,
  product: { readonly ecosystem: Decision['ecosystem']; readonly release: string; readonly package: string },
): KnownDecision | null {
  const fields = line.split('\t');
  if (fields.length !== fieldCount) return null;
  const [fixedVersion, vulnerability = '', statusLetter = '', fixLetter = '', feed = '', record = ''] =
    fields;
  const status = statusOf.get(statusLetter);
  const fixState = fixStateOf.get(fixLetter);
  if (status === undefined || fixState === undefined || !isFeedId(feed)) return null;
  const disagreements = orNull(fields[13]);
  return {
    decision: {
      vulnerability,
      ecosystem: product.ecosystem,
      release: product.release,
      package: product.package,
      status,
      fixedVersion: orNull(fixedVersion),
      fixState,
      note: orNull(fields[7]),
      advisory: orNull(fields[6]),
      feed,
      record: record === '=' ? vulnerability : record,
      disagreements: disagreements === null ? [] : disagreements.split(unitSeparator),
    },
    danger: {
      cvss: orNumber(fields[8]),
      epss: orNumber(fields[9]),
      exploitedSince: orNull(fields[10]),
      ransomware: fields[11] === '1',
      title: orNull(fields[12]),
    },
  };
}

/** Where in the body a source package stands. */
export interface KnowledgePlace {
  /** In bytes, from the start of the body. */
  readonly offset: number;
  /** Of the lines in the order of their fixed version, in bytes. */
  readonly orderedBytes: number;
  /** Of the lines that follow them: no fix, or a fixed version that is no version. */
  readonly otherBytes: number;
  /** The highest fixed version; null when there is none. */
  readonly newest: string | null;
}

export function placeLine(source: string, place: KnowledgePlace): string {
  const { offset, orderedBytes, otherBytes, newest } = place;
  return `${source}\t${String(offset)}\t${String(orderedBytes)}\t${String(otherBytes)}\t${newest ?? ''}`;
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
  'cisa-kev': true,
  epss: true,
  cvss: true,
  'cvss-table': true,
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
