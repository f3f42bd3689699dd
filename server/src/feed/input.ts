/**
 * The byte side of every feed: what a publisher's file may be wrapped in (gzip), and what it may turn out to be instead
 * (nothing, an error page, half a download). All limits on sizes are here.
 */
import { pipeline, Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { FeedFormatError, type FeedFile } from './feed.ts';

const mebibyte = 1024 * 1024;

export const feedLimits = {
  /** Of a whole file after decompression; Debian's OSV export was about 0.5 GB in 2025. */
  inputBytes: 4096 * mebibyte,
  /** Of a zip archive before decompression; it is held in memory, since a zip's directory is at its end. */
  zipBytes: 768 * mebibyte,
  /** Of all files inside a zip after decompression; the CVE List is about 4 GB. */
  unzippedBytes: 16 * 1024 * mebibyte,
  /** Of one JSON record, or one file inside an archive; a VEX document of Red Hat's can list some ten thousand builds. */
  documentBytes: 64 * mebibyte,
  /** Of one line, in UTF-16 units. */
  lineLength: 64 * mebibyte,
  /** Of one changelog entry; the longest of linux 6.1 is about 0.3 MB. */
  entryLength: 8 * mebibyte,
} as const;

export interface FeedInput {
  readonly name: string;
  /** The first bytes after decompression, at least 512 where the file has them; they come again in `bytes`. */
  readonly head: Uint8Array;
  readonly bytes: AsyncIterable<Uint8Array>;
}

const downloadAgain = 'Download the file again and compare its size with what the publisher names.';

export function truncated(name: string, detail: string): FeedFormatError {
  return new FeedFormatError('file_truncated', `${name} ends too early: ${detail}`, downloadAgain);
}

export function tooLarge(name: string, what: string, limit: number): FeedFormatError {
  return new FeedFormatError(
    'file_too_large',
    `${name}: ${what} is above the limit of ${String(limit)}`,
    'Check that this is the publisher’s file; a feed does not get near this limit.',
  );
}

export function notThisFormat(name: string, expected: string, found: string): FeedFormatError {
  return new FeedFormatError(
    'not_this_format',
    `${name} is not ${expected}: ${found}`,
    'Check that the file belongs to this feed, and that the address is the one that the publisher documents.',
  );
}

/**
 * Opens a published file, plain, gzip or zstd. Throws {@link FeedFormatError} for an empty file or an HTML page; a
 * compressed file that is cut short or damaged throws it from `bytes`.
 *
 * @param markup whether the feed is XML, so that only HTML is taken for an error page
 */
export async function openInput(file: FeedFile, { markup = false } = {}): Promise<FeedInput> {
  const outer = await peek(file.bytes);
  const compression = compressionOf(outer.head);
  const { head, bytes } =
    compression === null ? outer : await peek(decompressed(file.name, outer.bytes, compression));
  if (head.length === 0) {
    throw new FeedFormatError('file_empty', `${file.name} is empty`, downloadAgain);
  }
  const start = new TextDecoder().decode(head.subarray(0, 256)).trimStart().toLowerCase();
  if (markup ? /^<(?:!doctype html|html)/u.test(start) : start.startsWith('<')) {
    throw new FeedFormatError(
      'web_page_instead_of_feed',
      `${file.name} is an HTML or XML page, not a feed: ${start.slice(0, 60)}`,
      'Open the address in a browser: a proxy or the publisher may be answering with an error page.',
    );
  }
  return { name: file.name, head, bytes: limited(file.name, bytes) };
}

async function peek(
  source: AsyncIterable<Uint8Array>,
): Promise<{ head: Uint8Array; bytes: AsyncIterable<Uint8Array> }> {
  const iterator = source[Symbol.asyncIterator]();
  const taken: Uint8Array[] = [];
  let size = 0;
  while (size < 512) {
    const next = await iterator.next();
    if (next.done === true) break;
    taken.push(next.value);
    size += next.value.length;
  }
  async function* again(): AsyncGenerator<Uint8Array> {
    try {
      yield* taken;
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next())
        yield next.value;
    } finally {
      // Also when the reader stops early, so that the file or connection behind is closed.
      await iterator.return?.();
    }
  }
  const [only] = taken;
  // One piece may be a whole archive in memory, which is not to be there twice.
  return { head: only !== undefined && taken.length === 1 ? only : Buffer.concat(taken), bytes: again() };
}

type Compression = 'gzip' | 'zstd';

function compressionOf(head: Uint8Array): Compression | null {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  // Magic number of a zstd frame (RFC 8878, 3.1.1).
  return head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd ? 'zstd' : null;
}

async function* decompressed(
  name: string,
  bytes: AsyncIterable<Uint8Array>,
  compression: Compression,
): AsyncGenerator<Uint8Array> {
  const plain = compression === 'gzip' ? createGunzip() : createZstdDecompress();
  // The callback is only there because pipeline asks for one: an error also ends the iteration below.
  pipeline(Readable.from(bytes), plain, () => undefined);
  try {
    for await (const chunk of plain as AsyncIterable<Uint8Array>) yield chunk;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    if (code === 'Z_BUF_ERROR') throw truncated(name, `the ${compression} stream is cut short`);
    if (typeof code === 'string' && /^(?:Z_|ZSTD_)/u.test(code)) {
      const message = `${name} is a damaged ${compression} file (${code})`;
      throw new FeedFormatError(`${compression}_damaged`, message, downloadAgain);
    }
    throw error;
  }
}

async function* limited(name: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of bytes) {
    size += chunk.length;
    if (size > feedLimits.inputBytes)
      throw tooLarge(name, 'the decompressed size in bytes', feedLimits.inputBytes);
    yield chunk;
  }
}

/** Text in pieces of any length. Bytes that are not UTF-8 become U+FFFD, so one bad name does not lose a file. */
export async function* textOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const chunk of bytes) yield decoder.decode(chunk, { stream: true });
  const rest = decoder.decode();
  if (rest !== '') yield rest;
}

export interface Line {
  /** Without its line end (LF or CRLF). */
  readonly text: string;
  /** From 1. */
  readonly number: number;
  /** False only for a last line without a line end: where a download was cut, this is the broken one. */
  readonly terminated: boolean;
}

export async function* linesOf(input: FeedInput): AsyncGenerator<Line> {
  let rest = '';
  let number = 0;
  for await (const piece of textOf(input.bytes)) {
    const text = rest === '' ? piece : rest + piece;
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      yield {
        text: text.slice(start, text[end - 1] === '\r' && end > start ? end - 1 : end),
        number: ++number,
        terminated: true,
      };
      start = end + 1;
    }
    rest = text.slice(start);
    if (rest.length > feedLimits.lineLength)
      throw tooLarge(input.name, 'a line’s length', feedLimits.lineLength);
  }
  if (rest !== '') yield { text: rest, number: ++number, terminated: false };
}

/** The whole text of a small file. */
export async function wholeText(input: FeedInput, limit: number = feedLimits.documentBytes): Promise<string> {
  return new TextDecoder().decode(await wholeBytes(input, limit));
}

/**
 * All bytes in one piece of memory, which grows with them: a large file is there once, not twice, while it is read. A file
 * that comes in one piece (an archive inside of an archive) is not copied at all.
 */
export async function wholeBytes(input: FeedInput, limit: number): Promise<Buffer> {
  const memory = new ArrayBuffer(0, { maxByteLength: limit });
  let first: Uint8Array | null = null;
  let size = 0;
  const append = (chunk: Uint8Array): void => {
    const start = size;
    size += chunk.length;
    if (size > memory.byteLength) memory.resize(Math.min(limit, size + 4 * mebibyte));
    new Uint8Array(memory, start, chunk.length).set(chunk);
  };
  for await (const chunk of input.bytes) {
    if (size + (first?.length ?? 0) + chunk.length > limit)
      throw tooLarge(input.name, 'the size in bytes', limit);
    if (first === null && size === 0) {
      first = chunk;
      continue;
    }
    if (first !== null) append(first);
    first = null;
    append(chunk);
  }
  return first === null
    ? Buffer.from(memory, 0, size)
    : Buffer.from(first.buffer, first.byteOffset, first.length);
}

/** Parses the JSON text of a whole file; an end that comes too early is told apart from text that is not JSON. */
export function parseJsonFile(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    const at = Number(/at position ([0-9]+)/u.exec(detail)?.[1] ?? 0);
    const atEnd = at >= text.trimEnd().length || /end of JSON input|Unterminated string/u.test(detail);
    if (atEnd) throw truncated(name, detail);
    throw notThisFormat(name, 'JSON', detail);
  }
}
