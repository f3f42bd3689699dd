import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { fetchIfThere, indexedDocuments, type IndexedDocument } from '../downloads.ts';
import {
  FeedFetchError,
  type FeedClient,
  type FeedDownload,
  type FeedPlan,
  type FeedSource,
} from '../feed.ts';
import { parseInstant } from '../record.ts';

/**
 * Red Hat's directory of VEX documents: `archive_latest.txt` names an archive with all of them, `changes.csv` lists each
 * document with the time of its last change, `deletions.csv` those that are gone. The archive is fetched at first, then what
 * changed since its day, and with the last of it the deletions.
 */
export const redhatDownloads: FeedSource = {
  async plan(client, last) {
    if (!validState.Check(last.state)) return await everything(client);
    const plan = await changes.plan(client, last);
    const before = last.state.deletions ?? null;
    const list =
      plan.more === true ? null : await fetchIfThere(client, new URL('deletions.csv', client.url).href);
    if (list === null || list.sha256 === before) {
      return { ...plan, state: { ...stateOf(plan), deletions: before } };
    }
    const deleted = await stillDeleted(client, list);
    const files = [...plan.files];
    if (deleted.length > 0) files.push(await client.keep('deleted.jsonl', linesOf(deleted)));
    return { ...plan, files, state: { ...stateOf(plan), deletions: list.sha256 } };
  },
};

const changes = indexedDocuments({ index: 'changes.csv', read: readChanges });

const State = Type.Object({
  modified: Type.String(),
  url: Type.String(),
  index: Type.Union([Type.String(), Type.Null()]),
  /** SHA-256 of the list of deletions that was imported last. */
  deletions: Type.Optional(Type.Union([Type.String(), Type.Null()])),
});
const validState = Compile(State);

function stateOf(plan: FeedPlan): object {
  return typeof plan.state === 'object' && plan.state !== null ? plan.state : {};
}

async function everything(client: FeedClient): Promise<FeedPlan> {
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
  const state = { modified: `${day}T00:00:00.000Z`, url: '', index: null, deletions: null };
  return { files: [archive], whole: true, more: true, state };
}

/** Documents that were deleted and have not come back since; both lists keep what they once listed. */
async function stillDeleted(client: FeedClient, list: FeedDownload): Promise<string[]> {
  const index = await client.fetch(new URL('changes.csv', client.url).href, { name: 'index' });
  const changedAt = new Map((await readChanges(index)).map(({ url, modified }) => [url, modified]));
  return (await readChanges(list))
    .filter(({ url, modified }) => (changedAt.get(url) ?? '') <= modified)
    .flatMap(({ url }) => /^[0-9]{4}\/(cve-[0-9]{4}-[0-9]+)\.json$/u.exec(url)?.[1]?.toUpperCase() ?? []);
}

async function* linesOf(ids: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const id of ids) {
    yield Buffer.from(`${JSON.stringify({ document: { tracking: { id, status: 'deleted' } } })}\n`);
  }
}

/** Lines such as `"2024/cve-2024-1234.json","2024-09-13T20:58:30+00:00"`. */
async function readChanges(index: FeedDownload): Promise<readonly IndexedDocument[]> {
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
