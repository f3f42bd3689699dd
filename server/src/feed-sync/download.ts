import { createHash } from 'node:crypto';
import { open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { FeedFetchError, type DownloadLimits } from '../feed/feed.ts';
import {
  httpGet,
  HttpFailure,
  withoutSecrets,
  type HttpAnswer,
  type ProxyEnvironment,
} from '../http-client.ts';
import { checksumsOf, digester, strongest, type Checksum } from './checksum.ts';
import { folderOf, hashInto, type FeedFiles } from './files.ts';

/** What is remembered of a file that was downloaded before. */
export interface Downloaded {
  readonly sha256: string;
  readonly bytes: number;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

export interface DownloadParts {
  readonly files: FeedFiles;
  readonly limits: DownloadLimits;
  readonly now: () => Date;
  readonly signal?: AbortSignal;
  readonly proxy?: ProxyEnvironment;
  /** Called with every piece: how many bytes of the file are here, how many there will be (null: not said). */
  readonly progress?: (bytes: number, total: number | null) => void;
}

export interface DownloadRequest {
  /** May hold credentials. */
  readonly url: string;
  /** What is here already, if it still is. */
  readonly known: Downloaded | null;
  readonly maximumBytes?: number | undefined;
  readonly checksumUrl?: string | undefined;
  readonly accept?: string | undefined;
}

/** How often one call goes on after a cut, as long as each attempt brought something. */
const attempts = 5;
const checksumTextBytes = 64 * 1024;

/**
 * Downloads a file, or finds that what is here is still what the publisher gives out. A part that came stays on disk with
 * what names its version (ETag or Last-Modified); only the rest is asked for then, and if the publisher has changed the
 * file in between, it is fetched from its beginning.
 *
 * @returns what was downloaded; `transferred` tells how many bytes travelled, and `notModified` that none had to
 * @throws FeedFetchError
 */
export async function download(
  request: DownloadRequest,
  parts: DownloadParts,
): Promise<{ file: Downloaded; notModified: boolean; transferred: number }> {
  const timeout = AbortSignal.timeout(parts.limits.totalSeconds * 1000);
  const signal = parts.signal === undefined ? timeout : AbortSignal.any([timeout, parts.signal]);
  const limited: DownloadParts = { ...parts, signal };
  let transferred = 0;
  for (let attempt = 1; ; attempt++) {
    let outcome: Outcome;
    try {
      outcome = await once(request, limited);
    } catch (error) {
      throw described(error, request, parts, timeout);
    }
    transferred += outcome.transferred;
    if (outcome.kind === 'not_modified') return { file: outcome.file, notModified: true, transferred };
    if (outcome.kind === 'whole') return { file: outcome.file, notModified: false, transferred };
    if (outcome.kind === 'cut' && (attempt >= attempts || outcome.transferred === 0)) {
      throw cutShort(request.url, outcome.message);
    }
    if (attempt >= attempts) throw cutShort(request.url, 'the part that is here could not be completed');
  }
}

type Outcome =
  | { readonly kind: 'not_modified' | 'whole'; readonly file: Downloaded; readonly transferred: number }
  | { readonly kind: 'cut'; readonly message: string; readonly transferred: number }
  /** The part that was here is of no use any more; the next attempt begins at the beginning. */
  | { readonly kind: 'again'; readonly transferred: number };

/** What names the version of a part on disk. */
interface Part {
  readonly bytes: number;
  readonly etag: string | null;
  readonly lastModified: string | null;
  readonly checksums: readonly Checksum[];
}

/**
 * What a file of an address is remembered under: the address without its secrets, and its query by the hash alone, since a
 * query can hold a secret, and pages of one address are files of their own.
 */
export function downloadKey(address: string): string {
  const search = URL.canParse(address) ? new URL(address).search : '';
  const shown = withoutSecrets(address);
  return search === '' ? shown : `${shown}#${createHash('sha256').update(search).digest('hex').slice(0, 32)}`;
}

async function once(request: DownloadRequest, parts: DownloadParts): Promise<Outcome> {
  const { files } = parts;
  const path = files.partial(downloadKey(request.url));
  const known =
    request.known !== null && (await files.has(request.known.sha256, request.known.bytes))
      ? request.known
      : null;
  const part = await readPart(path);
  const headers: Record<string, string> = request.accept === undefined ? {} : { accept: request.accept };
  const etag = known?.etag ?? null;
  const since = known?.lastModified ?? null;
  if (etag !== null) headers['if-none-match'] = etag;
  else if (since !== null) headers['if-modified-since'] = since;
  const version = part === null ? null : strongVersion(part);
  if (part !== null && version !== null) {
    headers['range'] = `bytes=${String(part.bytes)}-`;
    headers['if-range'] = version;
  }
  const answer = await httpGet(request.url, {
    headers,
    idleMilliseconds: parts.limits.idleSeconds * 1000,
    ...(parts.signal === undefined ? {} : { signal: parts.signal }),
    ...(parts.proxy === undefined ? {} : { proxy: parts.proxy }),
  });
  try {
    if (answer.status === 304 && known !== null) {
      await dropPart(path);
      return { kind: 'not_modified', file: known, transferred: 0 };
    }
    if (answer.status === 416 && part !== null) {
      await dropPart(path);
      return { kind: 'again', transferred: 0 };
    }
    if (answer.status === 206 && part !== null && version !== null) {
      const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(answer.headers['content-range'] ?? '');
      const now = answer.headers.etag;
      const sameVersion = now === undefined || part.etag === null || now === part.etag;
      if (range === null || Number(range[1]) !== part.bytes || !sameVersion) {
        await dropPart(path);
        return { kind: 'again', transferred: 0 };
      }
      const total = range[3] === '*' ? null : Number(range[3]);
      return await receive(request, parts, answer, path, part, total);
    }
    if (answer.status !== 200) throw refusedBy(answer, parts.now());
    const announced = answer.headers['content-length'];
    const total = announced === undefined ? null : Number(announced);
    const fresh: Part = {
      bytes: 0,
      etag: answer.headers.etag ?? null,
      lastModified: answer.headers['last-modified'] ?? null,
      checksums: checksumsOf(answer.headers, 200),
    };
    return await receive(request, parts, answer, path, fresh, total);
  } finally {
    answer.body.destroy();
  }
}

/** Takes the body in behind what is here. */
async function receive(
  request: DownloadRequest,
  parts: DownloadParts,
  answer: HttpAnswer,
  path: string,
  part: Part,
  total: number | null,
): Promise<Outcome> {
  const maximum = Math.min(request.maximumBytes ?? Number.POSITIVE_INFINITY, parts.limits.maximumBytes);
  if (total !== null && total > maximum) {
    await dropPart(path);
    throw tooLarge(request.url, `${String(total)} bytes`, maximum);
  }
  const encoding = answer.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity' && encoding !== 'gzip' && encoding !== 'x-gzip') {
    throw new FeedFetchError(
      'content_encoding_unsupported',
      `${withoutSecrets(request.url)} is sent as ${encoding.slice(0, 40)}, though it was asked for as it is`,
      'Set an address that gives the file out as its publisher publishes it.',
    );
  }
  await folderOf(path);
  const checksums = strongest([...part.checksums, ...checksumsOf(answer.headers, answer.status)]);
  const sha256 = createHash('sha256');
  const digesters = checksums.map((checksum) => ({ checksum, digester: digester(checksum.algorithm) }));
  const sinks = [sha256, ...digesters.map((one) => one.digester)];
  if (part.bytes > 0) await hashInto(path, sinks);
  const handle = await open(path, part.bytes > 0 ? 'r+' : 'w', 0o600);
  let bytes = part.bytes;
  let cut: string | null = null;
  try {
    // before the bytes: a part without it is of no use
    if (part.bytes === 0) await writeFile(`${path}.json`, JSON.stringify(part), { mode: 0o600 });
    parts.progress?.(bytes, total);
    try {
      for await (const piece of answer.body) {
        // without an encoding, a stream gives bytes
        const chunk: Buffer = piece;
        if (bytes + chunk.length > maximum) throw tooLarge(request.url, 'more came', maximum);
        for (const sink of sinks) sink.update(chunk);
        await handle.write(chunk, 0, chunk.length, bytes);
        bytes += chunk.length;
        parts.progress?.(bytes, total);
      }
      if (!answer.body.complete || (total !== null && bytes !== total)) {
        cut = `${String(bytes)} of ${total === null ? 'unknown' : String(total)} bytes came`;
      }
    } catch (error) {
      if (error instanceof FeedFetchError) {
        await dropPart(path);
        throw error;
      }
      if (parts.signal?.aborted === true || error instanceof HttpFailure) throw error;
      cut = `${String(bytes)} of ${total === null ? 'unknown' : String(total)} bytes came: ${error instanceof Error ? error.message : String(error)}`;
    }
    if (cut === null) await handle.datasync();
  } finally {
    await handle.close();
  }
  const transferred = bytes - part.bytes;
  if (cut !== null) {
    if (total !== null && bytes > total) await dropPart(path);
    return { kind: 'cut', message: cut, transferred };
  }
  for (const { checksum, digester: one } of digesters) {
    if (one.digest() === checksum.value) continue;
    await dropPart(path);
    throw wrongChecksum(request.url, checksum.algorithm);
  }
  const digest = sha256.digest('hex');
  if (request.checksumUrl !== undefined && (await namedChecksum(request.checksumUrl, parts)) !== digest) {
    await dropPart(path);
    throw wrongChecksum(request.url, 'sha256');
  }
  await parts.files.adopt(path, digest);
  await rm(`${path}.json`, { force: true });
  const { etag, lastModified } = part;
  return { kind: 'whole', file: { sha256: digest, bytes, etag, lastModified }, transferred };
}

/** What names exactly these bytes: a strong ETag, else the date (RFC 9110 section 13.1.5). */
function strongVersion(part: Part): string | null {
  if (part.etag !== null) return part.etag.startsWith('W/') ? null : part.etag;
  return part.lastModified;
}

async function readPart(path: string): Promise<Part | null> {
  const found = await stat(path).catch(() => null);
  if (found === null || found.size === 0) return null;
  try {
    const value: Partial<Part> = JSON.parse(await readFile(`${path}.json`, 'utf8'));
    return {
      bytes: found.size,
      etag: value.etag ?? null,
      lastModified: value.lastModified ?? null,
      checksums: value.checksums ?? [],
    };
  } catch {
    // without what names its version it is of no use
    return null;
  }
}

async function dropPart(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(`${path}.json`, { force: true });
}

/** The first word of a text such as `sha256sum` writes. */
async function namedChecksum(url: string, parts: DownloadParts): Promise<string> {
  const answer = await httpGet(url, {
    idleMilliseconds: parts.limits.idleSeconds * 1000,
    ...(parts.signal === undefined ? {} : { signal: parts.signal }),
    ...(parts.proxy === undefined ? {} : { proxy: parts.proxy }),
  });
  try {
    if (answer.status !== 200) throw refusedBy(answer, parts.now());
    let text = '';
    for await (const piece of answer.body) {
      text += String(piece);
      if (text.length > checksumTextBytes) break;
    }
    const found = /\b[0-9a-f]{64}\b/i.exec(text)?.[0];
    if (found !== undefined) return found.toLowerCase();
  } finally {
    answer.body.destroy();
  }
  throw new FeedFetchError(
    'checksum_missing',
    `${withoutSecrets(url)} names no SHA-256`,
    'Look at the address in a browser; try again later.',
  );
}

function refusedBy(answer: HttpAnswer, now: Date): FeedFetchError {
  const { status, url } = answer;
  const answered = `${url} answered ${String(status)}`;
  if (status === 429 || status === 408 || status >= 500) {
    return new FeedFetchError(
      status === 429 ? 'publisher_asks_for_patience' : 'publisher_failed',
      answered,
      'Nothing needs to be done: it is tried again by itself.',
      retryAfter(answer.headers['retry-after'], now),
    );
  }
  if (status === 401 || status === 403) {
    return new FeedFetchError(
      'access_denied',
      answered,
      'Check whether the address needs credentials, or whether a proxy refuses it.',
    );
  }
  if (status === 404 || status === 410) {
    return new FeedFetchError(
      'file_not_found',
      answered,
      'Check the address of the feed; set another one with fixpoint feed enable FEED --url.',
    );
  }
  return new FeedFetchError('answer_unexpected', answered, 'Look at the address in a browser.');
}

/** Seconds, from a number or a date (RFC 9110 section 10.2.3). */
export function retryAfter(text: string | undefined, now: Date): number | null {
  if (text === undefined) return null;
  if (/^\d{1,9}$/.test(text.trim())) return Number(text.trim());
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, Math.ceil((at - now.getTime()) / 1000));
}

function cutShort(url: string, message: string): FeedFetchError {
  return new FeedFetchError(
    'download_cut',
    `${withoutSecrets(url)} broke off: ${message}`,
    'Nothing needs to be done: the next attempt goes on where this one ended.',
  );
}

function tooLarge(url: string, what: string, maximum: number): FeedFetchError {
  return new FeedFetchError(
    'download_too_large',
    `${withoutSecrets(url)} is larger than the ${String(maximum)} bytes that are taken: ${what}`,
    'Check that the address is that of the feed.',
  );
}

function wrongChecksum(url: string, algorithm: string): FeedFetchError {
  return new FeedFetchError(
    'checksum_wrong',
    `${withoutSecrets(url)} does not have the ${algorithm} that its publisher names`,
    'It is downloaded again by itself. If it stays like this, something between here and the publisher alters it.',
  );
}

function described(
  error: unknown,
  request: DownloadRequest,
  parts: DownloadParts,
  timeout: AbortSignal,
): unknown {
  if (error instanceof FeedFetchError) return error;
  if (parts.signal?.aborted === true) return parts.signal.reason;
  if (timeout.aborted) {
    return new FeedFetchError(
      'download_timeout',
      `${withoutSecrets(request.url)} took longer than ${String(parts.limits.totalSeconds)} seconds`,
      'Nothing needs to be done: the next attempt goes on where this one ended.',
    );
  }
  if (!(error instanceof HttpFailure)) return error;
  const advice: Partial<Record<HttpFailure['code'], string>> = {
    unreachable:
      'Check that this server may reach the address (name service, firewall, HTTPS_PROXY); without a network use fixpoint feed bundle.',
    idle_timeout: 'Nothing needs to be done: the next attempt goes on where this one ended.',
    redirect_loop: 'Check the address of the feed in a browser.',
    redirect_refused:
      'Set the address that it redirects to yourself, if you trust it: fixpoint feed enable FEED --url.',
    address_invalid: 'Set an address that begins with https://.',
  };
  return new FeedFetchError(error.code, error.message, advice[error.code] ?? 'Try again.');
}
