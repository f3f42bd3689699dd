/**
 * Reads the files inside zip and tar archives, the two containers that feeds are published in. Formats: PKWARE
 * APPNOTE.TXT (zip, with zip64 for more than 65,535 files, which Debian's OSV export is near to) and POSIX ustar with pax.
 */
import { crc32, inflateRawSync } from 'node:zlib';
import { FeedFormatError, type FeedRejection } from './feed.ts';
import { feedLimits, notThisFormat, tooLarge, truncated, wholeBytes, type FeedInput } from './input.ts';
import { rejection } from './record.ts';

export interface ArchiveEntry {
  readonly outcome: 'entry';
  readonly name: string;
  readonly bytes: Uint8Array;
}

export function isZip(head: Uint8Array): boolean {
  return head[0] === 0x50 && head[1] === 0x4b && (head[2] === 3 || head[2] === 5);
}

export function isTar(head: Uint8Array): boolean {
  return new TextDecoder('latin1').decode(head.subarray(257, 262)) === 'ustar';
}

const endOfDirectory = 0x06_05_4b_50;
const endOfDirectory64 = 0x06_06_4b_50;
const locatorOfEnd64 = 0x07_06_4b_50;
const directoryEntry = 0x02_01_4b_50;
const localHeader = 0x04_03_4b_50;

/** Entries whose name `wanted` accepts. A damaged entry is a rejection; a zip without its directory is an error. */
export async function* zipEntries(
  input: FeedInput,
  wanted: (name: string) => boolean,
): AsyncGenerator<ArchiveEntry | FeedRejection> {
  const zip = await wholeBytes(input, feedLimits.zipBytes);
  const { offset, count } = findDirectory(input.name, zip);
  let at = offset;
  let packed = 0;
  let unpacked = 0;
  for (let index = 0; index < count; index++) {
    if (at + 46 > zip.length || zip.readUInt32LE(at) !== directoryEntry) {
      throw new FeedFormatError(
        'zip_damaged',
        `${input.name}: the directory of the zip is damaged at entry ${String(index + 1)} of ${String(count)}`,
        'Download the file again.',
      );
    }
    const nameLength = zip.readUInt16LE(at + 28);
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength);
    const header = at;
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
    const compressedSize = zip.readUInt32LE(header + 20);
    const size = zip.readUInt32LE(header + 24);
    // all ones: the size is in an extra field, and above every limit
    if (compressedSize < 0xff_ff_ff_ff) packed += compressedSize;
    if (packed > zip.length) {
      throw new FeedFormatError(
        'zip_damaged',
        `${input.name}: the entries of the zip overlap, as in one that is made to be endless`,
        'Check that this is the publisher’s file; no program packs like that.',
      );
    }
    if (name.endsWith('/') || !wanted(name)) continue;
    if (size <= feedLimits.documentBytes) unpacked += size;
    if (unpacked > feedLimits.unzippedBytes)
      throw tooLarge(input.name, 'the decompressed size in bytes', feedLimits.unzippedBytes);
    yield readZipEntry(zip, header, name);
  }
}

function findDirectory(name: string, zip: Buffer): { offset: number; count: number } {
  // The record is 22 bytes and may be followed by a comment of up to 65,535.
  for (let at = zip.length - 22; at >= Math.max(0, zip.length - 22 - 65_535); at--) {
    if (zip.readUInt32LE(at) !== endOfDirectory) continue;
    let count = zip.readUInt16LE(at + 10);
    let offset = zip.readUInt32LE(at + 16);
    if (at >= 20 && zip.readUInt32LE(at - 20) === locatorOfEnd64) {
      const end64 = Number(zip.readBigUInt64LE(at - 12));
      if (end64 + 56 > zip.length || zip.readUInt32LE(end64) !== endOfDirectory64) break;
      count = Number(zip.readBigUInt64LE(end64 + 32));
      offset = Number(zip.readBigUInt64LE(end64 + 48));
    }
    return { offset, count };
  }
  throw truncated(name, 'the directory at the end of the zip is missing');
}

/** Archives name each record's file by its id: `CVE-2023-5363.json`. */
export function recordOfEntry(name: string): string | null {
  return /([^/]+)\.json$/u.exec(name)?.[1] ?? null;
}

function readZipEntry(zip: Buffer, header: number, name: string): ArchiveEntry | FeedRejection {
  const position = `entry ${name}`;
  const record = recordOfEntry(name);
  const flags = zip.readUInt16LE(header + 8);
  const method = zip.readUInt16LE(header + 10);
  const checksum = zip.readUInt32LE(header + 16);
  const compressedSize = zip.readUInt32LE(header + 20);
  const size = zip.readUInt32LE(header + 24);
  const local = zip.readUInt32LE(header + 42);
  if ((flags & 1) !== 0)
    return rejection(position, 'entry_encrypted', 'the entry is encrypted', name, record);
  if (method !== 0 && method !== 8) {
    return rejection(
      position,
      'entry_method_unknown',
      `compression method ${String(method)} is not supported`,
      name,
      record,
    );
  }
  // A zip inside of a zip (the releases of the CVE Program) may be as large as a zip.
  const limit = name.endsWith('.zip') ? feedLimits.zipBytes : feedLimits.documentBytes;
  if (size > limit) {
    return rejection(position, 'entry_too_large', `${String(size)} bytes are above the limit`, name, record);
  }
  if (local + 30 > zip.length || zip.readUInt32LE(local) !== localHeader) {
    return rejection(position, 'entry_damaged', 'the entry is not where the directory says', name, record);
  }
  const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
  const compressed = zip.subarray(start, start + compressedSize);
  try {
    // Not more than it says of itself, which is what counts towards the limit of the whole.
    const most = Math.max(1, size);
    const bytes = method === 0 ? compressed : inflateRawSync(compressed, { maxOutputLength: most });
    if (bytes.length !== size || crc32(bytes) !== checksum) {
      return rejection(position, 'entry_damaged', 'the checksum of the entry is wrong', name, record);
    }
    return { outcome: 'entry', name, bytes };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return rejection(position, 'entry_damaged', `the entry cannot be decompressed: ${detail}`, name, record);
  }
}

const blockBytes = 512;

/** Regular files of a tar whose name `wanted` accepts, in order, holding one file in memory at a time. */
export async function* tarEntries(
  input: FeedInput,
  wanted: (name: string) => boolean,
): AsyncGenerator<ArchiveEntry | FeedRejection> {
  const read = blockReader(input.bytes);
  let longName: string | null = null;
  for (;;) {
    const header = await read(blockBytes, true);
    if (header === null) throw truncated(input.name, 'the tar has no end mark');
    if (header.every((byte) => byte === 0)) {
      // Read on to the end, so that the check sum of a gzip around it is looked at.
      await read(Number.POSITIVE_INFINITY, false);
      return;
    }
    const text = (from: number, length: number): string =>
      header.toString('utf8', from, from + length).replace(/\0.*$/su, '');
    if (text(257, 5) !== 'ustar')
      throw notThisFormat(input.name, 'a tar archive', 'a header of an entry is damaged');
    const size = Number.parseInt(text(124, 12).trim() || '0', 8);
    if (!Number.isSafeInteger(size) || size < 0)
      throw notThisFormat(input.name, 'a tar archive', 'an entry has no size');
    const type = text(156, 1);
    const prefix = text(345, 155);
    const name: string = longName ?? (prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`);
    const padded = Math.ceil(size / blockBytes) * blockBytes;
    const keep = size <= feedLimits.documentBytes;
    const body = await read(padded, keep);
    if (body === null) throw truncated(input.name, `inside ${name}`);
    longName = null;
    if (type === 'x') longName = /^\d+ path=(.*)$/mu.exec(body.toString('utf8', 0, size))?.[1] ?? null;
    else if (type === 'L') longName = body.toString('utf8', 0, size).replace(/\0.*$/su, '');
    else if ((type === '0' || type === '') && wanted(name)) {
      yield keep
        ? { outcome: 'entry', name, bytes: body.subarray(0, size) }
        : rejection(
            `entry ${name}`,
            'entry_too_large',
            `${String(size)} bytes are above the limit`,
            name,
            recordOfEntry(name),
          );
    }
  }
}

/** Reads exactly so many bytes (an empty buffer when they are not to be kept), or null at an early end. */
function blockReader(
  bytes: AsyncIterable<Uint8Array>,
): (size: number, keep: boolean) => Promise<Buffer | null> {
  const iterator = bytes[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  return async (size, keep) => {
    const parts: Uint8Array[] = [];
    let missing = size;
    while (missing > 0) {
      if (rest.length === 0) {
        const next = await iterator.next();
        if (next.done === true) return null;
        rest = next.value;
      }
      const part = rest.subarray(0, missing);
      if (keep) parts.push(part);
      missing -= part.length;
      rest = rest.subarray(part.length);
    }
    return Buffer.concat(parts);
  };
}
