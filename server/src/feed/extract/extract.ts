import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import type { FeedFile } from '../feed.ts';

/** One file of the knowledge that the product carries along; see README.md beside this file for what it covers. */
export interface ExtractFile {
  readonly feed: FeedId;
  readonly path: string;
  /** Day of the newest statement in it, `YYYY-MM-DD`: it is old knowledge, whenever it is imported. */
  readonly asOf: string;
  /** Opens it as its feed reads it; a new stream each time. */
  open(): FeedFile;
}

function carried(feed: FeedId, name: string, asOf: string): ExtractFile {
  const path = resolve(import.meta.dirname, name);
  return { feed, path, asOf, open: () => ({ name: `extract/${name}`, bytes: createReadStream(path) }) };
}

/** In the order to import them. */
export const extractFiles: readonly ExtractFile[] = [
  carried('debian-osv', 'debian-osv.jsonl.gz', '2026-01-29'),
  carried('debian-changelog', 'debian-changelog.txt.gz', '2026-11-19'),
  carried('cisa-kev', 'known_exploited_vulnerabilities.json.gz', '2026-08-21'),
  carried('epss', 'epss_scores-2026-08-16.csv.gz', '2026-08-16'),
  carried('cvss-table', 'cvss-table.tsv.gz', '2025-09-26'),
];
