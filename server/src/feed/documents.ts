/** JSON records one by one, from a zip or tar of `.json` files, from JSON lines, or from a file that is one record. */
import { isTar, isZip, recordOfEntry, tarEntries, zipEntries, type ArchiveEntry } from './archive.ts';
import type { FeedFile, FeedRejection } from './feed.ts';
import {
  feedLimits,
  linesOf,
  notThisFormat,
  openInput,
  parseJsonFile,
  truncated,
  wholeText,
} from './input.ts';
import { rejection } from './record.ts';

export interface JsonDocument {
  readonly outcome: 'document';
  readonly position: string;
  /** As published. */
  readonly text: string;
  readonly value: unknown;
}

export interface JsonArchive {
  /** Which files of an archive are records; left out: all of JSON. */
  readonly wanted?: (name: string) => boolean;
  /** Whether a zip inside of the archive is read too (one level deep). */
  readonly nestedZip?: boolean;
}

/**
 * All JSON records of a file. Text that is not JSON is a rejection when it is one of many, and a FeedFormatError when it
 * is the file. Other files of an archive (a README, a directory) are passed over.
 */
export async function* jsonDocuments(
  file: FeedFile,
  { wanted = isJson, nestedZip = false }: JsonArchive = {},
): AsyncGenerator<JsonDocument | FeedRejection> {
  const input = await openInput(file);
  if (isZip(input.head) || isTar(input.head)) {
    const read = isZip(input.head) ? zipEntries : tarEntries;
    for await (const entry of read(input, (name) => wanted(name) || (nestedZip && isZipName(name)))) {
      if (entry.outcome === 'rejection') yield entry;
      else if (isZipName(entry.name)) yield* jsonDocuments(insideOf(file, entry), { wanted });
      else {
        const text = new TextDecoder().decode(entry.bytes);
        yield document(`entry ${entry.name}`, text, recordOfEntry(entry.name));
      }
    }
    return;
  }
  const start = new TextDecoder().decode(input.head).trimStart();
  if (!start.startsWith('{')) {
    throw notThisFormat(
      file.name,
      'a zip, a tar, JSON lines or a JSON record',
      `it starts with ${JSON.stringify(start.slice(0, 40))}`,
    );
  }
  // A first line that closes what it opens is a record of its own; a record over many lines is the whole file.
  const firstLineEnd = start.search(/[\r\n]/u);
  const firstLine = firstLineEnd < 0 ? start : start.slice(0, firstLineEnd);
  const oneRecord = firstLineEnd >= 0 && !firstLine.trimEnd().endsWith('}');
  if (oneRecord) {
    const text = await wholeText(input, feedLimits.documentBytes);
    yield { outcome: 'document', position: 'the file', text, value: parseJsonFile(file.name, text) };
    return;
  }
  for await (const line of linesOf(input)) {
    if (line.text.trim() === '') continue;
    const item = document(`line ${String(line.number)}`, line.text);
    if (item.outcome === 'rejection' && !line.terminated)
      throw truncated(file.name, `in ${item.position}: ${item.message}`);
    yield item;
  }
}

/** A half of a surrogate pair, which JSON can write and no store can hold, becomes U+FFFD. */
function parseJson(text: string): unknown {
  if (!/\\u[dD][89a-fA-F]/u.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key, value: unknown) =>
    typeof value === 'string' ? value.toWellFormed() : value,
  );
}

function isZipName(name: string): boolean {
  return name.endsWith('.zip');
}

function insideOf(file: FeedFile, entry: ArchiveEntry): FeedFile {
  async function* once(): AsyncGenerator<Uint8Array> {
    yield entry.bytes;
  }
  return { name: `${file.name}, ${entry.name}`, bytes: once() };
}

function isJson(name: string): boolean {
  return name.endsWith('.json');
}

function document(
  position: string,
  text: string,
  record: string | null = null,
): JsonDocument | FeedRejection {
  try {
    return { outcome: 'document', position, text, value: parseJson(text) };
  } catch (error) {
    return rejection(
      position,
      'json_invalid',
      error instanceof Error ? error.message : String(error),
      text,
      record,
    );
  }
}
