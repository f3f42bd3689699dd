/**
 * OSV's bucket (https://google.github.io/osv.dev/data/): for each ecosystem `all.zip` with everything, `ID.json` for each
 * record, and `modified_id.csv` with a line `TIME,ID` for each, newest change first. Everything is fetched at first, weekly,
 * and when much has changed; in between only the records that the list names as changed.
 */
import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { fetchIfThere } from './downloads.ts';
import {
  FeedFetchError,
  type FeedClient,
  type FeedDownload,
  type FeedPlan,
  type FeedSource,
} from './feed.ts';
import { linesOf } from './input.ts';

const State = Type.Object({
  /** When everything was fetched last. */
  full_at: Type.String(),
  /** SHA-256 of that all.zip, and of the list of changes that was worked through last. */
  zip: Type.String(),
  list: Type.String(),
  /** Changes up to this time are imported. */
  newest: Type.String(),
  /** Records in {@link changesName}. */
  changes: Type.Integer(),
});
type State = Static<typeof State>;
const validState = Compile(State);

/** The records that changed since everything was fetched, one JSON record a line. */
const changesName = 'changes-since-all.jsonl';
const weekMilliseconds = 7 * 86_400_000;
/** Beyond so many changed records the zip is the smaller download. */
const mostChanges = 1000;
const mostChangesInAll = 10_000;
/** The zip is made a while after the list; records that changed so long before it are fetched as well. */
const zipLagMilliseconds = 2 * 3_600_000;
const fetchedAtOnce = 8;
const listBytes = 256 * 1024 * 1024;
const recordBytes = 32 * 1024 * 1024;

/** For a feed whose address is that of an ecosystem's `all.zip`. Without a list of changes, it is that one file. */
export const osvDownloads: FeedSource = {
  async plan(client, last) {
    const before = validState.Check(last.state) ? last.state : null;
    const list = await fetchIfThere(client, new URL('modified_id.csv', client.url).href, {
      maximumBytes: listBytes,
    });
    if (list === null) return await everything(client, before, null);
    const fullIsOld =
      before === null || client.now.getTime() - Date.parse(before.full_at) >= weekMilliseconds;
    if (!fullIsOld) {
      if (list.sha256 === before.list) return { files: [], whole: false, state: before };
      const changed = await changesSince(list, before.newest, mostChanges);
      if (changed !== null && before.changes + changed.ids.length <= mostChangesInAll) {
        const held = await client.held(changesName);
        // the changes since the zip are not here any more (another replica's disk): begin anew
        if (held !== null || before.changes === 0) return await some(client, before, list, held, changed);
      }
    }
    return await everything(client, before, list);
  },
};

interface Changes {
  readonly ids: readonly string[];
  readonly newest: string;
}

async function everything(
  client: FeedClient,
  before: State | null,
  list: FeedDownload | null,
): Promise<FeedPlan> {
  const zip = await client.fetch(client.url);
  const zipAt = zip.publishedAt === null ? null : Date.parse(zip.publishedAt) - zipLagMilliseconds;
  const since = zipAt === null ? null : new Date(zipAt).toISOString();
  const late = list === null || since === null ? null : await changesSince(list, since, mostChanges);
  const full_at = client.now.toISOString();
  if (list === null) {
    const state: State = { full_at, zip: zip.sha256, list: '', newest: full_at, changes: 0 };
    return { files: before?.zip === zip.sha256 ? [] : [zip], whole: true, state };
  }
  const records = late === null || late.ids.length === 0 ? [] : await fetchRecords(client, late.ids);
  const files = [zip];
  if (records.length > 0) files.push(await client.keep(changesName, joined(null, records)));
  const newest = late?.newest ?? (await newestOf(list));
  const state: State = { full_at, zip: zip.sha256, list: list.sha256, newest, changes: records.length };
  return { files, whole: true, state };
}

async function some(
  client: FeedClient,
  before: State,
  list: FeedDownload,
  held: FeedDownload | null,
  changed: Changes,
): Promise<FeedPlan> {
  const state = { ...before, list: list.sha256 };
  if (changed.ids.length === 0) return { files: [], whole: false, state };
  const records = await fetchRecords(client, changed.ids);
  if (records.length === 0) return { files: [], whole: false, state: { ...state, newest: changed.newest } };
  const file = await client.keep(changesName, joined(held, records));
  return {
    files: [file],
    whole: false,
    state: { ...state, newest: changed.newest, changes: before.changes + records.length },
  };
}

interface ChangedRecord {
  readonly id: string;
  readonly line: string;
}

async function fetchRecords(client: FeedClient, ids: readonly string[]): Promise<ChangedRecord[]> {
  const records: ChangedRecord[] = [];
  for (let at = 0; at < ids.length; at += fetchedAtOnce) {
    const few = await Promise.all(
      ids.slice(at, at + fetchedAtOnce).map(async (id) => await fetchRecord(client, id)),
    );
    for (const record of few) if (record !== null) records.push(record);
  }
  return records;
}

/** One record in one line; null when it is gone, which the next zip will show. */
async function fetchRecord(client: FeedClient, id: string): Promise<ChangedRecord | null> {
  const url = new URL(`${encodeURIComponent(id)}.json`, client.url).href;
  const file = await fetchIfThere(client, url, { once: true, maximumBytes: recordBytes });
  if (file === null) return null;
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.open()) chunks.push(chunk);
  const text = new TextDecoder().decode(Buffer.concat(chunks));
  try {
    const value: unknown = JSON.parse(text);
    return { id, line: JSON.stringify(value) };
  } catch {
    // for the parser of the feed, which refuses it as what it is
    return { id, line: text.replaceAll(/\s+/g, ' ') };
  }
}

/** The lines held, but for those of records that have come anew, and the new ones. */
async function* joined(
  held: FeedDownload | null,
  records: readonly ChangedRecord[],
): AsyncGenerator<Uint8Array> {
  const anew = new Set(records.map((record) => record.id));
  if (held !== null) {
    for await (const { text } of linesOf({ name: held.name, head: new Uint8Array(), bytes: held.open() })) {
      const id = /"id":"([^"]*)"/.exec(text)?.[1];
      if (id === undefined || !anew.has(id)) yield Buffer.from(`${text}\n`);
    }
  }
  for (const record of records) yield Buffer.from(`${record.line}\n`);
}

/** The ids that changed after a time, oldest change first; null when there are more than `most`. */
async function changesSince(list: FeedDownload, since: string, most: number): Promise<Changes | null> {
  const after = Date.parse(since);
  const ids: string[] = [];
  let newest: string | null = null;
  for await (const entry of entriesOf(list)) {
    newest ??= entry.at;
    if (Date.parse(entry.at) <= after) break;
    ids.push(entry.id);
    if (ids.length > most) return null;
  }
  return { ids: ids.toReversed(), newest: newest ?? since };
}

async function newestOf(list: FeedDownload): Promise<string> {
  for await (const entry of entriesOf(list)) return entry.at;
  throw listUnusable(list, 'it is empty');
}

async function* entriesOf(list: FeedDownload): AsyncGenerator<{ at: string; id: string }> {
  for await (const { text, number } of linesOf({
    name: list.name,
    head: new Uint8Array(),
    bytes: list.open(),
  })) {
    if (text === '') continue;
    const [at = '', path = ''] = text.split(',');
    const id = path.slice(path.lastIndexOf('/') + 1);
    // an id becomes part of an address, so it must be one
    if (Number.isNaN(Date.parse(at)) || !/^[A-Za-z0-9][A-Za-z0-9._:-]*$/.test(id)) {
      throw listUnusable(list, `line ${String(number)} is not a time and an id: ${text.slice(0, 60)}`);
    }
    yield { at, id };
  }
}

function listUnusable(list: FeedDownload, why: string): FeedFetchError {
  return new FeedFetchError(
    'index_unusable',
    `${list.url ?? list.name} cannot be read: ${why}`,
    'It is tried again by itself. If it stays like this, import all.zip by hand: fixpoint feed import.',
  );
}
