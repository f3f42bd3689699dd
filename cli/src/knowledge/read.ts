import { isAscii } from 'node:buffer';
import { compareDpkg, parseDpkg, type DpkgVersion } from '@fixpoint/core/version/dpkg.ts';
import type { Decision } from '@fixpoint/core/knowledge/decision.ts';
import type { DecisionIndex } from '@fixpoint/core/match/match.ts';
import {
  knowledgeFormat,
  knowledgeMagic,
  readDecisionLine,
  readPlaceLine,
  unknownDanger,
  type Danger,
  type KnowledgeHeader,
  type KnowledgePlace,
} from './format.ts';

type Ready = ReturnType<DecisionIndex['of']>[number];

export interface Knowledge extends DecisionIndex {
  readonly header: KnowledgeHeader;
  /**
   * Those decisions about a source package that can make this version of it vulnerable or undetermined: all but the ones
   * whose fixed version it has reached. What they mean is still for core/match to say.
   */
  concerning(sourcePackage: string, version: string): readonly Ready[];
  /** Of a decision that this knowledge gave out. */
  dangerOf(decision: Decision): Danger;
  /** The highest version that any decision about the source package names as a fix. */
  newestFix(sourcePackage: string): string | null;
  /** Whether any feed says anything at all about this source package. */
  knows(sourcePackage: string): boolean;
  readonly sourcePackages: readonly string[];
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
  const placeOf = (sourcePackage: string): KnowledgePlace | null => {
    const line = placeLines.get(sourcePackage);
    return line === undefined ? null : readPlaceLine(line);
  };
  const dangers = new Map<Decision, Danger>();
  const parse = (sourcePackage: string, from: number, to: number): Ready[] => {
    const product = { ecosystem: 'debian', release: header.release, package: sourcePackage } as const;
    const ready: Ready[] = [];
    let before: Ready | null = null;
    for (let start = from; start < to;) {
      const end = text.indexOf('\n', start);
      const entry = readDecisionLine(utf8(text.slice(start, end)), product);
      // The writer wrote no such line, and what it wrote is whole.
      if (entry === null) throw new Error(`knowledge of ${sourcePackage} holds a line that is no decision`);
      dangers.set(entry.decision, entry.danger);
      // In their order, many fixes of one upload follow each other: its version is parsed once.
      before = readyDecision(entry.decision, before);
      ready.push(before);
      start = end + 1;
    }
    return ready;
  };
  const knowledge: Knowledge = {
    header,
    size: header.decisions,
    of(sourcePackage) {
      const place = placeOf(sourcePackage);
      if (place === null) return [];
      const start = bodyStart + place.offset;
      return parse(sourcePackage, start, start + place.orderedBytes + place.otherBytes);
    },
    concerning(sourcePackage, version) {
      const place = placeOf(sourcePackage);
      if (place === null) return [];
      const installed = parseDpkg(version);
      if (!installed.ok) return knowledge.of(sourcePackage);
      const start = bodyStart + place.offset;
      const end = start + place.orderedBytes;
      return parse(
        sourcePackage,
        firstNewer(text, start, end, place.newest, installed.version),
        end + place.otherBytes,
      );
    },
    dangerOf: (decision) => dangers.get(decision) ?? unknownDanger,
    newestFix: (sourcePackage) => placeOf(sourcePackage)?.newest ?? null,
    knows: (sourcePackage) => placeLines.has(sourcePackage),
    sourcePackages: [...placeLines.keys()],
  };
  return { ok: true, knowledge };
}

/**
 * Where the first line starts whose version is newer than the installed one, in lines ordered by their version; where they
 * end when there is none. By halves: a kernel has thousands of lines.
 */
function firstNewer(
  text: string,
  start: number,
  end: number,
  newest: string | null,
  installed: DpkgVersion,
): number {
  let low = start;
  let high = end;
  if (newest !== null && reaches(installed, newest)) return end;
  while (low < high) {
    const middle = low + ((high - low) >> 1);
    // The line that the middle falls into.
    const line = Math.max(low, text.lastIndexOf('\n', middle - 1) + 1);
    const fixed = parseDpkg(text.slice(line, text.indexOf('\t', line)));
    if (!fixed.ok) throw new Error('the ordered part of the knowledge holds a version that is none');
    if (compareDpkg(installed, fixed.version) < 0) high = line;
    else low = text.indexOf('\n', middle) + 1;
  }
  return low;
}

/** Most packages are up to date, which one look tells. */
function reaches(installed: DpkgVersion, newest: string): boolean {
  const parsed = parseDpkg(newest);
  return parsed.ok && compareDpkg(installed, parsed.version) >= 0;
}

function readyDecision(decision: Decision, before: Ready | null): Ready {
  if (before !== null && before.decision.fixedVersion === decision.fixedVersion) {
    return { decision, fixed: before.fixed, unparseable: before.unparseable };
  }
  const parse = decision.fixedVersion === null ? null : parseDpkg(decision.fixedVersion);
  return {
    decision,
    fixed: parse?.ok === true ? parse.version : null,
    unparseable: parse !== null && !parse.ok,
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
