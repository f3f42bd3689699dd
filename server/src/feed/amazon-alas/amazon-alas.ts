import { fetchIfThere } from '../downloads.ts';
import {
  FeedFetchError,
  type Feed,
  type FeedClient,
  type FeedDownload,
  type FeedFile,
  type FeedRecord,
  type FeedRejection,
  type FeedSource,
} from '../feed.ts';
import { rejection, requireRecords } from '../record.ts';
import { factsOfUpdate } from '../updateinfo/facts.ts';
import { isRejection, readUpdateinfo, type Update } from '../updateinfo/updateinfo.ts';

/** Amazon Linux Security Advisories, as its repositories publish them. See README.md beside this file. */
export const amazonAlas: Feed = {
  id: 'amazon-alas',
  title: 'Amazon Linux security advisories',
  publisher: 'Amazon Web Services',
  licence: 'Amazon Linux repository metadata; no licence of its own is named',
  url: 'https://cdn.amazonlinux.com/',
  complete: true,
  staleAfterHours: 48,
  ecosystems: ['amazon'],
  /** `2023/core` of `2023/core/ALAS2023-2024-778`. */
  partOf: (recordId) => recordId.slice(0, recordId.lastIndexOf('/')),
  downloads: repositories(),
  parse(file) {
    return requireRecords(file, parseUpdates(file));
  },
};

async function* parseUpdates(file: FeedFile): AsyncGenerator<FeedRecord | FeedRejection> {
  for await (const item of readUpdateinfo(file)) {
    if (isRejection(item)) {
      yield item;
      continue;
    }
    const place = placeOf(item);
    if (place === null) {
      const message = 'neither the id nor the packages say which Amazon Linux it is for';
      yield rejection(`update ${item.id}`, 'release_unknown', message, item.raw);
      continue;
    }
    const record = `${place.release}/${place.topic}/${item.id}`;
    const { facts, rejections } = factsOfUpdate(item, {
      ecosystem: 'amazon',
      release: place.release,
      channel: place.topic === 'core' ? null : `extra:${place.topic}`,
      url: pageOf(item.id, place.release),
      record,
    });
    yield* rejections;
    yield { outcome: 'record', id: record, raw: item.raw, facts };
  }
}

interface Place {
  /** VERSION_ID of the system. */
  readonly release: string;
  /** `core`, or the repository that a host must enable: `docker`, `kernel-5.10`, `livepatch`. */
  readonly topic: string;
}

/** `ALAS2-2024-2411`, `ALAS2023-2024-702`, `ALAS-2018-939`; of the extras `ALAS2DOCKER-2024-040`, `ALASKERNEL-5.10-2022-002`. */
const idForm = /^ALAS(2|2022|2023)?(|[A-Z][A-Z0-9._-]*?)-[0-9]{4}-[0-9]+$/u;
const releaseOfTag: Readonly<Record<string, string>> = {
  amzn1: '2018.03',
  amzn2: '2',
  amzn2022: '2022',
  amzn2023: '2023',
};

/** The builds say it best: an id without a number was given out by Amazon Linux 1 and 2 alike. */
function placeOf(update: Update): Place | null {
  const form = idForm.exec(update.id);
  const tags = new Set<string>();
  for (const collection of update.collections) {
    for (const { release } of collection.packages) {
      const tag = /(?:^|\.)(amzn[0-9]+)(?:\.|$)/u.exec(release)?.[1];
      if (tag !== undefined) tags.add(tag);
    }
  }
  const [tag] = tags;
  const byTag = tags.size === 1 && tag !== undefined ? releaseOfTag[tag] : undefined;
  const release = byTag ?? form?.[1];
  if (form === null || release === undefined) return null;
  const topic = form[2] ?? '';
  return { release, topic: topic === '' ? 'core' : topic.toLowerCase() };
}

function pageOf(id: string, release: string): string | null {
  if (release === '2') return `https://alas.aws.amazon.com/AL2/${id}.html`;
  if (release === '2023') return `https://alas.aws.amazon.com/AL2023/${id}.html`;
  return null;
}

/**
 * The core repositories of both systems: `mirror.list` names the repository, its `repodata/repomd.xml` the updateinfo. Those
 * for x86_64 list the packages of aarch64 too.
 */
function repositories(): FeedSource {
  const lists = ['2/core/latest/x86_64/mirror.list', 'al2023/core/mirrors/latest/x86_64/mirror.list'];
  return {
    async plan(client, last) {
      const files: FeedDownload[] = [];
      for (const list of lists) files.push(await updateinfoOf(client, list));
      const state = files.map(({ sha256 }) => sha256).join(' ');
      return { files: last.state === state ? [] : files, whole: true, state };
    },
  };
}

async function updateinfoOf(client: FeedClient, list: string): Promise<FeedDownload> {
  const mirrors = await textOfDownload(await client.fetch(new URL(list, client.url).href, { name: list }));
  const mirror = mirrors.split(/\s+/u).find((line) => line.startsWith('https://'));
  if (mirror === undefined) throw unusable(list, 'it names no mirror');
  // Amazon writes $basearch into some of them.
  const base = mirror.replaceAll('$basearch', 'x86_64').replace(/\/*$/u, '/');
  const repomdUrl = new URL('repodata/repomd.xml', base).href;
  const repomd = await fetchIfThere(client, repomdUrl, { name: `${list}/repomd.xml` });
  if (repomd === null) throw unusable(list, `${repomdUrl} is not there`);
  const text = await textOfDownload(repomd);
  const data = /<data\s+type="updateinfo"\s*>([\s\S]*?)<\/data>/u.exec(text)?.[1];
  const href = /<location\s[^>]*?href="(repodata\/[A-Za-z0-9._-]+)"/u.exec(data ?? '')?.[1];
  if (href === undefined) throw unusable(list, `${repomdUrl} names no updateinfo`);
  return await client.fetch(new URL(href, base).href, { name: `${list}/updateinfo.xml` });
}

async function textOfDownload(download: FeedDownload): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of download.open()) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function unusable(list: string, why: string): FeedFetchError {
  return new FeedFetchError(
    'index_unusable',
    `${list} of Amazon Linux cannot be used: ${why}`,
    'It is tried again by itself. If it stays like this, import updateinfo.xml.gz by hand: fixpoint feed import.',
  );
}
