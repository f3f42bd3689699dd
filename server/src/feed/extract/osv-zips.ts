/**
 * The OSV snapshots of `../shared/feeds` in the layout that osv.dev publishes, a zip of one JSON file a record: mirrors keep
 * single files or lines. For tests and benchmarks; the product does not use it.
 */
import { crc32, deflateRawSync } from 'node:zlib';
import type { Ecosystem } from '@fixpoint/core/knowledge/ecosystem.ts';
import { jsonDocuments } from '../documents.ts';
import { FeedFormatError, type FeedFile } from '../feed.ts';
import { linesOf, openInput } from '../input.ts';
import { debianOsvFiles, zstdFile } from './shared-feeds.ts';
import { readDerivedNotice, usnRecord } from './ubuntu-usn.ts';

/** Debian's advisories and the CVE records of Debian 12. */
export function debianOsvZip(): Promise<FeedFile> {
  return zipped('Debian/all.zip', documentsOf(debianOsvFiles()));
}

/** All errata of AlmaLinux 8, 9 and 10. */
export function almalinuxOsvZip(): Promise<FeedFile> {
  return zipped('AlmaLinux/all.zip', documentsOf([zstdFile('almalinux-osv/almalinux-osv.tar.zst')]));
}

export function rockyOsvZip(): Promise<FeedFile> {
  return zipped('Rocky Linux/all.zip', documentsOf([zstdFile('rocky-osv/rocky-osv.tar.zst')]));
}

/** A sample: all of RHSA/2025 up to February, and every fourth of RHSA/2024. */
export function redhatOsvZip(): Promise<FeedFile> {
  return zipped('Red Hat/all.zip', documentsOf([zstdFile('redhat-osv/redhat-osv-sample.tar.zst')]));
}

/**
 * The notices that Greenbone's facts give for 20.04, 22.04 and 24.04 as Canonical writes them, and the genuine records of
 * the mixed snapshot, which replace derived ones of the same id.
 */
export async function ubuntuOsvZip(): Promise<FeedFile> {
  const records = new Map<string, string>();
  for await (const line of linesOf(await openInput(zstdFile('ubuntu/ubuntu-usn-fixed.jsonl.zst')))) {
    const { record } = usnRecord(readDerivedNotice(line.text));
    records.set(record.id, JSON.stringify(record));
  }
  for await (const { id, text } of mixedRecords('ubuntu')) records.set(id, text);
  async function* all(): AsyncGenerator<NamedRecord> {
    for (const [id, text] of records) yield { id, text };
  }
  return zipped('Ubuntu/all.zip', all());
}

const mixedIds: Partial<Record<Ecosystem, RegExp>> = {
  debian: /^(?:DSA|DLA|DEBIAN)-/u,
  ubuntu: /^(?:USN|LSN|UBUNTU)-/u,
  almalinux: /^AL[SBE]A-/u,
  rocky: /^(?:RLSA|RXSA)-/u,
  alpine: /^ALPINE-/u,
};

/** One ecosystem's records of the snapshot of 2026-01, in the style of schema 1.7. */
export function mixedOsvZip(ecosystem: Ecosystem): Promise<FeedFile> {
  return zipped(`${ecosystem} 2026-01/all.zip`, mixedRecords(ecosystem));
}

interface NamedRecord {
  readonly id: string;
  readonly text: string;
}

async function* mixedRecords(ecosystem: Ecosystem): AsyncGenerator<NamedRecord> {
  const ids = mixedIds[ecosystem];
  for await (const { id, text } of documentsOf([zstdFile('osv-mixed-2026-01/records.jsonl.zst')])) {
    if (ids?.test(id) === true) yield { id, text };
  }
}

async function* documentsOf(files: readonly FeedFile[]): AsyncGenerator<NamedRecord> {
  for (const file of files) {
    for await (const document of jsonDocuments(file)) {
      if (document.outcome === 'rejection')
        throw new FeedFormatError(document.code, document.message, 'Check the snapshot.');
      const { value, text } = document;
      if (typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string')
        yield { id: value.id, text };
    }
  }
}

const localHeader = 0x04_03_4b_50;
const directoryEntry = 0x02_01_4b_50;
const endOfDirectory = 0x06_05_4b_50;
const deflated = 8;

/** A zip (PKWARE APPNOTE.TXT, without zip64) of the records, in memory, as a file that is read in pieces of 64 KiB. */
async function zipped(name: string, records: AsyncIterable<NamedRecord>): Promise<FeedFile> {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for await (const { id, text } of records) {
    const path = Buffer.from(`${id}.json`);
    const bytes = Buffer.from(text);
    const body = deflateRawSync(bytes, { level: 1 });
    // The fields that the local header and the directory share, from "version needed" to "extra field length".
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(deflated, 4);
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(body.length, 14);
    common.writeUInt32LE(bytes.length, 18);
    common.writeUInt16LE(path.length, 22);
    const entry = Buffer.alloc(6);
    entry.writeUInt32LE(directoryEntry, 0);
    entry.writeUInt16LE(20, 4);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    directory.push(entry, common, tail, path);
    const header = Buffer.alloc(4);
    header.writeUInt32LE(localHeader, 0);
    parts.push(header, common, path, body);
    offset += header.length + common.length + path.length + body.length;
  }
  const count = directory.length / 4;
  if (count >= 0xff_ff) throw new RangeError(`${name}: ${String(count)} records need a zip64`);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(endOfDirectory, 0);
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(
    directory.reduce((size, { length }) => size + length, 0),
    12,
  );
  end.writeUInt32LE(offset, 16);
  const zip = Buffer.concat([...parts, ...directory, end]);
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < zip.length; at += 65_536) yield zip.subarray(at, at + 65_536);
  }
  return { name, bytes: pieces() };
}
