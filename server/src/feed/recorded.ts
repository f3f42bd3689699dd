/** How tests read a feed: recorded samples, text made up on the spot, and everything that comes out of it. */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Feed, FeedFile, FeedRecord, FeedRejection } from './feed.ts';

export function recordedFile(url: URL): FeedFile {
  const path = fileURLToPath(url);
  return { name: path.slice(path.lastIndexOf('/') + 1), bytes: createReadStream(path) };
}

export function madeUpFile(content: string | Uint8Array, name = 'made-up'): FeedFile {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  // In small pieces, as a network gives them: no importer may depend on where they end.
  const pieces = Array.from({ length: Math.ceil(bytes.length / 1000) }, (_, i) =>
    bytes.subarray(i * 1000, i * 1000 + 1000),
  );
  return { name, bytes: Readable.from(pieces) };
}

export interface Reading {
  readonly records: FeedRecord[];
  readonly rejections: FeedRejection[];
}

export async function readFeed(feed: Feed, file: FeedFile): Promise<Reading> {
  const records: FeedRecord[] = [];
  const rejections: FeedRejection[] = [];
  for await (const item of feed.parse(file)) {
    if (item.outcome === 'record') records.push(item);
    else rejections.push(item);
  }
  return { records, rejections };
}
