import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  readdirSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { parseJson } from '@fixpoint/contract/parse.ts';
import { Type, type Static } from '@fixpoint/contract/schema.ts';
import { codeOf } from './failure.ts';
import { noCarry, type Carry } from './log-pieces.ts';
import { readTextIfThere } from './state-dir.ts';
import type { Task } from './task/task.ts';

/** The pieces of a task's log as they are kept on this host, and the outputs that they come from. */

const piecesFile = 'log.pieces';
const sentFile = 'log.sent';
const bytesMaximum = 1024 * 1024;
/** Of them, for the line that says that there is more. */
const lastLineBytes = 1_024;
const bytesAtOnce = 256 * 1024;

const Piece = Type.Object(
  {
    at: Type.String(),
    step: Type.String(),
    text: Type.String(),
    /** Of the output of a command: which run, and where in it the piece ends. */
    run: Type.Optional(Type.String()),
    end: Type.Optional(Type.Integer()),
    carry: Type.Optional(Type.Object({ skip: Type.Boolean(), key: Type.Boolean() })),
    /** The last one: more is not taken. */
    full: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);
export type Piece = Static<typeof Piece>;

/** Pieces of one task and generation, as this process has them. */
export interface LogFile {
  readonly task: Task;
  readonly file: number;
  /** Those from `base` on, which the server may not have. */
  pieces: Piece[];
  base: number;
  count: number;
  bytes: number;
  full: boolean;
  sent: number;
  /** Written to disk for sure. */
  synced: boolean;
  readonly runs: Map<string, { end: number; carry: Carry }>;
}

/** Takes a piece, unless there is as much as is kept. */
export function append(own: LogFile, piece: Piece): void {
  if (own.full) return;
  const given: Piece =
    own.bytes + Buffer.byteLength(piece.text) <= bytesMaximum - lastLineBytes
      ? piece
      : {
          at: piece.at,
          step: piece.step,
          text: `[1 MiB of this log is kept. The rest is on the host, in ${join(own.task.dir, 'runs')}]\n`,
          full: true,
        };
  writeSync(own.file, `${JSON.stringify(given)}\n`);
  own.synced = false;
  take(own, given);
  own.pieces.push(given);
}

/** Makes sure that a power cut takes away nothing that the server is told. */
export function sync(own: LogFile): void {
  if (!own.synced) fsyncSync(own.file);
  own.synced = true;
}

/** The server has the pieces before this place. */
export function noteSent(own: LogFile, next: number): void {
  // It is ahead of this host when the host's disk was set back to an earlier state: what it has stays.
  own.sent = Math.min(next, own.count);
  writeFileSync(join(own.task.dir, sentFile), String(own.sent), { mode: 0o600 });
  own.pieces = own.pieces.slice(Math.max(0, own.sent - own.base));
  own.base = Math.max(own.base, own.sent);
}

export function closeLogFile(own: LogFile): void {
  own.pieces = [];
  own.base = own.count;
  closeSync(own.file);
}

/** What the next piece follows on. */
function take(own: LogFile, piece: Piece): void {
  own.count++;
  own.bytes += Buffer.byteLength(piece.text);
  own.full = piece.full === true;
  if (piece.run !== undefined) {
    own.runs.set(piece.run, { end: piece.end ?? 0, carry: piece.carry ?? noCarry });
  }
}

/** Opens the log of a task, made when there is none; a line that a crash has torn is cut off. */
export function openLogFile(task: Task): LogFile {
  const path = join(task.dir, piecesFile);
  const { pieces, wholeBytes } = readPieces(path);
  const file = openSync(path, 'a', 0o600);
  ftruncateSync(file, wholeBytes);
  const sent = Number(readTextIfThere(join(task.dir, sentFile)) ?? '0');
  const own: LogFile = {
    task,
    file,
    pieces,
    base: 0,
    count: 0,
    bytes: 0,
    full: false,
    sent: Number.isInteger(sent) && sent >= 0 ? sent : 0,
    synced: false,
    runs: new Map(),
  };
  for (const piece of pieces) take(own, piece);
  own.sent = Math.min(own.sent, own.count);
  own.pieces = pieces.slice(own.sent);
  own.base = own.sent;
  return own;
}

/** The server has lost what it had: all is at hand again. */
export function reload(own: LogFile): void {
  own.pieces = readPieces(join(own.task.dir, piecesFile)).pieces;
  own.base = 0;
}

function readPieces(path: string): { pieces: Piece[]; wholeBytes: number } {
  const text = readTextIfThere(path) ?? '';
  const pieces: Piece[] = [];
  let start = 0;
  for (;;) {
    const end = text.indexOf('\n', start);
    const parsed = end < 0 ? null : parseJson(Piece, text.slice(start, end));
    if (parsed?.ok !== true) break;
    pieces.push(parsed.value);
    start = end + 1;
  }
  return { pieces, wholeBytes: Buffer.byteLength(text.slice(0, start)) };
}

/** Runs of commands, in the order in which they began. */
export function runsOf(task: Task): string[] {
  const dir = join(task.dir, 'runs');
  let names: string[];
  try {
    names = readdirSync(dir);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
  return names
    .filter((name) => name.endsWith('.output'))
    .map((name) => name.slice(0, -'.output'.length))
    .map((name) => ({
      name,
      at: statSync(join(dir, `${name}.run`), { throwIfNoEntry: false })?.mtimeMs ?? 0,
    }))
    .toSorted((a, b) => a.at - b.at || (a.name < b.name ? -1 : 1))
    .map(({ name }) => name);
}

export function hasExited(task: Task, name: string): boolean {
  return statSync(join(task.dir, 'runs', `${name}.exit`), { throwIfNoEntry: false }) !== undefined;
}

/** `install-2` is of the step `install`. */
export function stepOf(run: string): string {
  return run.replace(/-\d+$/u, '').slice(0, 256) || 'command';
}

/** What a run has written from a place on; null when it has written nothing. `wasCut`: there is less than that. */
export function readOutputFrom(
  task: Task,
  run: string,
  start: number,
): { readonly bytes: Buffer; readonly isEnd: boolean; readonly wasCut: boolean } | null {
  let file: number;
  try {
    file = openSync(join(task.dir, 'runs', `${run}.output`), 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
  try {
    const { size } = fstatSync(file);
    if (size < start) return { bytes: Buffer.alloc(0), isEnd: false, wasCut: true };
    const bytes = Buffer.alloc(Math.min(size - start, bytesAtOnce));
    const count = readSync(file, bytes, 0, bytes.length, start);
    return { bytes: bytes.subarray(0, count), isEnd: start + count >= size, wasCut: false };
  } finally {
    closeSync(file);
  }
}
