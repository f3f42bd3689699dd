import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { indexedDocuments, type IndexedDocument } from '../downloads.ts';
import { FeedFetchError, type FeedDownload, type FeedSource } from '../feed.ts';
import { parseInstant } from '../record.ts';

/**
 * Red Hat's directory of VEX documents: `archive_latest.txt` names an archive with all of them, `changes.csv` lists each
 * document with the time of its last change. The archive is fetched at first, then what changed since its day.
 */
export const redhatDownloads: FeedSource = {
  async plan(client, last) {
    if (validState.Check(last.state)) return await changes.plan(client, last);
    const name = (await textOf(await client.fetch(new URL('archive_latest.txt', client.url).href))).trim();
    const day = /^csaf_(?:vex|advisories)_([0-9]{4}-[0-9]{2}-[0-9]{2})\.tar\.zst$/u.exec(name)?.[1];
    if (day === undefined) {
      throw new FeedFetchError(
        'index_unusable',
        `archive_latest.txt of Red Hat names no archive: ${name.slice(0, 60)}`,
        'It is tried again by itself. If it stays like this, import the archive by hand: fixpoint feed import.',
      );
    }
    const archive = await client.fetch(new URL(name, client.url).href, { name: 'archive' });
    // In the form of the state of `changes`: everything before this day is imported.
    const state = { modified: `${day}T00:00:00.000Z`, url: '', index: null };
    return { files: [archive], whole: true, more: true, state };
  },
};

const changes = indexedDocuments({ index: 'changes.csv', read: readChanges });

const validState = Compile(Type.Object({ modified: Type.String(), url: Type.String() }));

/** Lines such as `"2024/cve-2024-1234.json","2024-09-13T20:58:30+00:00"`. */
export async function readChanges(index: FeedDownload): Promise<readonly IndexedDocument[]> {
  const documents: IndexedDocument[] = [];
  for (const [number, line] of (await textOf(index)).split(/\r?\n/u).entries()) {
    if (line === '') continue;
    const [, url, time] = /^"?([0-9]{4}\/[a-z0-9_-]+\.json)"?,"?([^"]+)"?$/u.exec(line) ?? [];
    const modified = parseInstant(time ?? '');
    if (url === undefined || modified === null) {
      throw new FeedFetchError(
        'index_unusable',
        `changes.csv of Red Hat cannot be read in line ${String(number + 1)}: ${line.slice(0, 60)}`,
        'It is tried again by itself. If it stays like this, import an archive by hand: fixpoint feed import.',
      );
    }
    documents.push({ url, modified });
  }
  return documents;
}

async function textOf(download: FeedDownload): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of download.open()) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
