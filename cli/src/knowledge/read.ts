import { isAscii } from 'node:buffer';
import type { Decision } from '@fixpoint/core/knowledge/decision.ts';
import { isEcosystem, schemeOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import type { StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import {
  lookUp,
  readyDecision,
  type DecisionIndex,
  type MatchSoftware,
  type ReadyDecision,
} from '@fixpoint/core/match/match.ts';
import {
  versionOrderings,
  type CheckedVersion,
  type VersionOrdering,
} from '@fixpoint/core/version/version.ts';
import {
  knowledgeFormat,
  knowledgeMagic,
  placeKey,
  readDecisionLine,
  readPlaceLine,
  unknownDanger,
  type Danger,
  type KnowledgeHeader,
  type KnowledgePlace,
} from './format.ts';

type PackageKind = StatementFact['packageKind'];

export interface Knowledge extends DecisionIndex {
  readonly header: KnowledgeHeader;
  /**
   * An index for this software alone: of the decisions about it all that can make it vulnerable or undetermined, without
   * those whose fixed version it has reached. What they mean is still for core/match to say.
   */
  concerning(software: MatchSoftware): DecisionIndex;
  /** Of a decision that this knowledge gave out. */
  dangerOf(decision: Decision): Danger;
  /** Whether any feed says anything at all about this package. */
  knows(kind: PackageKind, name: string): boolean;
  /** Every package that anything is said about. */
  readonly names: readonly { readonly kind: PackageKind; readonly name: string }[];
}

export type KnowledgeRead =
  | { readonly ok: true; readonly knowledge: Knowledge }
  | { readonly ok: false; readonly code: 'knowledge_format' | 'knowledge_damaged'; readonly message: string };

/**
 * Opens the bytes of a knowledge file. Refuses one of another format or cut short.
 *
 * @param crc32 refuses an altered one too; left out for a file that this account wrote itself a moment ago, as a whole
 */
export function readKnowledge(bytes: Buffer, crc32: ((bytes: Uint8Array) => number) | null): KnowledgeRead {
  const firstEnd = bytes.indexOf(10);
  const first = /^(\S+) (\d+) (\d{8})$/u.exec(
    bytes.toString('latin1', 0, Math.max(0, Math.min(firstEnd, 100))),
  );
  if (first?.[1] !== knowledgeMagic) {
    return { ok: false, code: 'knowledge_format', message: 'it is not a Fixpoint knowledge file' };
  }
  if (Number(first[2]) !== knowledgeFormat) {
    return {
      ok: false,
      code: 'knowledge_format',
      message: `it has format ${first[2] ?? '?'}; this version of Fixpoint reads ${String(knowledgeFormat)}`,
    };
  }
  const indexStart = firstEnd + 1 + Number(first[3]);
  const header = parseHeader(bytes.toString('utf8', firstEnd + 1, Math.min(indexStart, bytes.length)));
  if (header === null) return damaged('its header cannot be read');
  const { ecosystem, release } = header;
  if (!isEcosystem(ecosystem)) return damaged(`it is about ${ecosystem}, which is no system that is known`);
  const ordering = versionOrderings[schemeOf(ecosystem)];
  const bodyStart = indexStart + header.index_bytes;
  if (bytes.length !== bodyStart + header.body_bytes) {
    const missing = bodyStart + header.body_bytes - bytes.length;
    return damaged(
      missing > 0 ? `its last ${String(missing)} bytes are missing` : 'there is something after its end',
    );
  }
  if (crc32 !== null && crc32(bytes.subarray(indexStart)) !== header.crc32)
    return damaged('its checksum does not match');

  // A character a byte: offsets stay bytes, and cutting lines out of one string costs next to nothing.
  const text = bytes.toString('latin1');
  const utf8 = isAscii(bytes)
    ? (line: string): string => line
    : (line: string): string => Buffer.from(line, 'latin1').toString('utf8');
  const placeLines = new Map<string, string>();
  for (const line of text.slice(indexStart, bodyStart - 1).split('\n')) {
    placeLines.set(line.slice(0, line.indexOf('\t')), line);
  }
  const placeOf = (kind: PackageKind, name: string): KnowledgePlace | null => {
    const line = placeLines.get(placeKey(kind, name));
    return line === undefined ? null : readPlaceLine(line);
  };
  const dangers = new Map<Decision, Danger>();
  const parse = (kind: PackageKind, name: string, from: number, to: number): ReadyDecision[] => {
    const named = { ecosystem, release, package: name, packageKind: kind };
    const ready: ReadyDecision[] = [];
    let before: ReadyDecision | null = null;
    for (let start = from; start < to;) {
      const end = text.indexOf('\n', start);
      const entry = readDecisionLine(utf8(text.slice(start, end)), named);
      // The writer wrote no such line, and what it wrote is whole.
      if (entry === null) throw new Error(`knowledge of ${name} holds a line that is no decision`);
      dangers.set(entry.decision, entry.danger);
      // In their order, many fixes of one upload follow each other: its version is parsed once.
      before = readyAfter(entry.decision, before);
      ready.push(before);
      start = end + 1;
    }
    return ready;
  };
  const all = (kind: PackageKind, name: string): readonly ReadyDecision[] => {
    const place = placeOf(kind, name);
    if (place === null) return noDecisions;
    const start = bodyStart + place.offset;
    return parse(kind, name, start, start + place.orderedBytes + place.otherBytes);
  };
  const newer = (kind: PackageKind, name: string, version: string): readonly ReadyDecision[] => {
    const place = placeOf(kind, name);
    if (place === null) return noDecisions;
    const installed = ordering.parse(version);
    if (!installed.ok) return all(kind, name);
    const start = bodyStart + place.offset;
    const end = start + place.orderedBytes;
    const from = firstNewer(text, start, end, place.newest, installed.version, ordering);
    return parse(kind, name, from, end + place.otherBytes);
  };
  const knowledge: Knowledge = {
    header,
    ecosystem,
    size: header.decisions,
    ofSource: (name) => all('source', name),
    ofBinary: (name) => all('binary', name),
    concerning(software) {
      const target = lookUp(ecosystem, software);
      if (target === null) return noIndex;
      const ofBinary = placeLines.has(placeKey('binary', software.name));
      const ofSource = placeLines.has(placeKey('source', target.source));
      if (!ofBinary && !ofSource) return noIndex;
      // What the distribution did not build is undetermined at every version; and what is said of the installed package
      // counts against what is said of its source, fixed or not.
      if (software.origin !== undefined || (ofBinary && ofSource)) return knowledge;
      const list = ofBinary
        ? newer('binary', software.name, software.version)
        : newer('source', target.source, target.sourceVersion);
      if (list.length === 0) return noIndex;
      const none = (): readonly never[] => noDecisions;
      const some = (): readonly ReadyDecision[] => list;
      return {
        ecosystem,
        size: list.length,
        ofSource: ofBinary ? none : some,
        ofBinary: ofBinary ? some : none,
      };
    },
    dangerOf: (decision) => dangers.get(decision) ?? unknownDanger,
    knows: (kind, name) => placeLines.has(placeKey(kind, name)),
    get names() {
      return [...placeLines.keys()].map((key) => ({
        kind: key.startsWith('s') ? ('source' as const) : ('binary' as const),
        name: key.slice(1),
      }));
    },
  };
  const noIndex: DecisionIndex = {
    ecosystem,
    size: 0,
    ofSource: () => noDecisions,
    ofBinary: () => noDecisions,
  };
  return { ok: true, knowledge };
}

const noDecisions: readonly never[] = [];

/**
 * Where the first line starts whose version is newer than the installed one, in lines ordered by their version; where they
 * end when there is none. By halves: a kernel has thousands of lines.
 */
function firstNewer(
  text: string,
  start: number,
  end: number,
  newest: string | null,
  installed: CheckedVersion,
  ordering: VersionOrdering,
): number {
  let low = start;
  let high = end;
  if (newest !== null && reaches(installed, newest, ordering)) return end;
  while (low < high) {
    const middle = low + ((high - low) >> 1);
    // The line that the middle falls into.
    const line = Math.max(low, text.lastIndexOf('\n', middle - 1) + 1);
    const fixed = ordering.parse(text.slice(line, text.indexOf('\t', line)));
    if (!fixed.ok) throw new Error('the ordered part of the knowledge holds a version that is none');
    if (ordering.compare(installed, fixed.version) === 'less') high = line;
    else low = text.indexOf('\n', middle) + 1;
  }
  return low;
}

/** Most packages are up to date, which one look tells. */
function reaches(installed: CheckedVersion, newest: string, ordering: VersionOrdering): boolean {
  const parsed = ordering.parse(newest);
  if (!parsed.ok) return false;
  const order = ordering.compare(installed, parsed.version);
  return order === 'equal' || order === 'greater';
}

function readyAfter(decision: Decision, before: ReadyDecision | null): ReadyDecision {
  if (
    before === null ||
    before.decision.fixedVersion !== decision.fixedVersion ||
    decision.introducedVersion !== null ||
    decision.branchFixes.length > 0
  )
    return readyDecision(decision);
  return {
    decision,
    fixed: before.fixed,
    unparseable: before.unparseable,
    introduced: null,
    branches: noDecisions,
  };
}

function damaged(message: string): KnowledgeRead {
  return { ok: false, code: 'knowledge_damaged', message };
}

function parseHeader(text: string): KnowledgeHeader | null {
  try {
    const value: unknown = JSON.parse(text);
    return isHeader(value) ? value : null;
  } catch {
    return null;
  }
}

function isHeader(value: unknown): value is KnowledgeHeader {
  if (typeof value !== 'object' || value === null) return false;
  const header = value as Partial<Record<keyof KnowledgeHeader, unknown>>;
  return (
    typeof header.ecosystem === 'string' &&
    typeof header.release === 'string' &&
    Array.isArray(header.feeds) &&
    [header.packages, header.decisions, header.index_bytes, header.body_bytes, header.crc32].every(
      (n) => Number.isSafeInteger(n) && Number(n) >= 0,
    )
  );
}
