import { crc32 } from 'node:zlib';
import { parseDpkg } from '@fixpoint/core/version/dpkg.ts';
import type { Decision } from '@fixpoint/core/knowledge/decision.ts';
import type { DecisionIndex } from '@fixpoint/core/match/match.ts';
import {
  knowledgeFormat,
  knowledgeMagic,
  readDecisionLine,
  unknownDanger,
  type Danger,
  type KnowledgeHeader,
  type KnownDecision,
} from './format.ts';

export interface Knowledge extends DecisionIndex {
  readonly header: KnowledgeHeader;
  /** All decisions about a source package, parsed at the first call. */
  of(sourcePackage: string): ReturnType<DecisionIndex['of']>;
  /** Of a decision that {@link of} gave out. */
  dangerOf(decision: Decision): Danger;
  /** Whether any feed says anything at all about this source package. */
  knows(sourcePackage: string): boolean;
  readonly sourcePackages: readonly string[];
}

export type KnowledgeRead =
  | { readonly ok: true; readonly knowledge: Knowledge }
  | { readonly ok: false; readonly code: 'knowledge_format' | 'knowledge_damaged'; readonly message: string };

type Ready = ReturnType<DecisionIndex['of']>[number];

/** Opens the bytes of a knowledge file. Refuses one of another format, cut short, or altered. */
export function readKnowledge(bytes: Buffer): KnowledgeRead {
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
  if (crc32(bytes.subarray(indexStart)) !== header.crc32) return damaged('its checksum does not match');

  const places = new Map<string, readonly [offset: number, length: number]>();
  for (const line of bytes.toString('utf8', indexStart, bodyStart).split('\n')) {
    const [source, offset, length] = line.split('\t');
    if (source !== undefined && offset !== undefined) places.set(source, [Number(offset), Number(length)]);
  }
  const product = { ecosystem: 'debian', release: header.release } as const;
  const parsed = new Map<string, readonly Ready[]>();
  const dangers = new Map<Decision, Danger>();
  const knowledge: Knowledge = {
    header,
    size: header.decisions,
    of(sourcePackage) {
      const known = parsed.get(sourcePackage);
      if (known !== undefined) return known;
      const place = places.get(sourcePackage);
      const ready: Ready[] = [];
      if (place !== undefined) {
        const start = bodyStart + place[0];
        for (const line of bytes.toString('utf8', start, start + place[1]).split('\n')) {
          if (line === '') continue;
          const entry = readDecisionLine(line, { ...product, package: sourcePackage });
          // The checksum holds, so it was written like this: a fault of the writer, not of the file.
          if (entry === null)
            throw new Error(`knowledge of ${sourcePackage} holds a line that is no decision`);
          dangers.set(entry.decision, entry.danger);
          ready.push(readyDecision(entry));
        }
      }
      parsed.set(sourcePackage, ready);
      return ready;
    },
    dangerOf: (decision) => dangers.get(decision) ?? unknownDanger,
    knows: (sourcePackage) => places.has(sourcePackage),
    sourcePackages: [...places.keys()],
  };
  return { ok: true, knowledge };
}

function readyDecision({ decision }: KnownDecision): Ready {
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
