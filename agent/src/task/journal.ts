import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { Type, type Static } from '@fixpoint/contract/schema.ts';
import { TaskEvent } from '@fixpoint/contract/agent.ts';
import { parseJson } from '@fixpoint/contract/parse.ts';
import { codeOf } from '../failure.ts';
import { sha256Hex } from '../identity.ts';
import { syncFolder } from '../state-dir.ts';

/**
 * What the agent did for one task, written before it does it: one file a task and generation, only ever appended to, each
 * line durable before the next thing happens. A line is `CHECKSUM JSON`; one that was torn by a crash is as if unwritten.
 */

export const journalSteps = [
  'accepted',
  'refresh',
  'simulate',
  'download',
  'keep',
  'window',
  'baseline',
  'before',
  'install',
  'repair',
  'mitigate',
  'after',
  'report',
  'restart',
  'permitted',
  'reboot',
  'health',
  'put_back',
  'verify',
  'ended',
] as const;
export type JournalStep = (typeof journalSteps)[number];

export const JournalEntry = Type.Object(
  {
    at: Type.String(),
    step: Type.Unsafe<JournalStep>(Type.Enum([...journalSteps])),
    /** `begin`: about to do it. `done`: did it. */
    phase: Type.Unsafe<'begin' | 'done'>(Type.Enum(['begin', 'done'])),
    /** What the server is told of it; its index is its place among the entries that have one. */
    event: Type.Optional(Type.Omit(TaskEvent, ['index', 'at'])),
    data: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { additionalProperties: false },
);
export type JournalEntry = Static<typeof JournalEntry>;

export interface Journal {
  entries(): readonly JournalEntry[];
  /** Returns when the entry is on disk. */
  append(entry: JournalEntry): void;
  /** Everything to tell the server, in order, indexed from 0. */
  events(): TaskEvent[];
  close(): void;
}

const checksumLength = 16;

function checksum(json: string): string {
  return sha256Hex(json).slice(0, checksumLength);
}

export interface JournalText {
  readonly entries: JournalEntry[];
  /** Bytes of the file up to the end of the last whole line. */
  readonly wholeBytes: number;
  /** What follows is more than one torn line: something other than a crash of ours wrote to the file. */
  readonly corrupt: boolean;
}

/** Reads a journal's text up to the first line that is not whole. */
export function parseJournal(text: string): JournalText {
  const entries: JournalEntry[] = [];
  let start = 0;
  while (start < text.length) {
    const end = text.indexOf('\n', start);
    const entry = end < 0 ? null : parseLine(text.slice(start, end));
    if (entry === null) break;
    entries.push(entry);
    start = end + 1;
  }
  const rest = text.slice(start);
  const corrupt = rest
    .split('\n')
    .slice(1)
    .some((line) => parseLine(line) !== null);
  return { entries, wholeBytes: Buffer.byteLength(text.slice(0, start)), corrupt };
}

function parseLine(line: string): JournalEntry | null {
  const json = line.slice(checksumLength + 1);
  if (line[checksumLength] !== ' ' || line.slice(0, checksumLength) !== checksum(json)) return null;
  const parsed = parseJson(JournalEntry, json);
  return parsed.ok ? parsed.value : null;
}

/** Opens a task's journal, made when there is none; a torn last line is cut off. */
export function openJournal(path: string): Journal {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const { entries, wholeBytes } = parseJournal(readJournalText(path));
  const file = openSync(path, 'a', 0o600);
  let bytes = wholeBytes;
  ftruncateSync(file, bytes);
  fsyncSync(file);
  syncFolder(dirname(path));
  return {
    entries: () => entries,
    append(entry) {
      const json = JSON.stringify(entry);
      const line = Buffer.from(`${checksum(json)} ${json}\n`);
      try {
        writeFileSync(file, line);
        fsyncSync(file);
      } catch (error) {
        // A full disk takes half a line; whatever came after it would never be read.
        ftruncateSync(file, bytes);
        throw error;
      }
      bytes += line.length;
      entries.push(entry);
    },
    events: () =>
      entries
        .flatMap(({ at, event }) => (event === undefined ? [] : [{ at, ...event }]))
        .map((event, index) => ({ index, ...event })),
    close: () => {
      closeSync(file);
    },
  };
}

/** The text of a journal; empty when there is none. */
export function readJournalText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  }
}
