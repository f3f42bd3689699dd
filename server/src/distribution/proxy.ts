import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join, sep } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { Distribution, Found } from './distribution.ts';
import type { Download } from './download.ts';
import { answerTo, isUnchanged } from './range.ts';
import { findFile, type RepositoryFile } from './repositories.ts';
import { beginAnswer, conditionsOf, refuseRequest, serveFile, writePiece } from './respond.ts';

/** Whether a request is one to a proxy: its target is a whole address (RFC 9112, absolute-form). */
export function isProxyRequest(request: IncomingMessage): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//iu.test(request.url ?? '');
}

/** Who fetches: an asset, or a point near the hosts. */
export interface Client {
  readonly id: string;
  /** Whether the limit for one client counts for it. */
  readonly limited: boolean;
}

export interface ProxyParts {
  readonly log: Logger;
  readonly distribution: () => Promise<Distribution>;
  /** By the value of Proxy-Authorization; null: unknown. */
  readonly authenticate: (credentials: string | undefined) => Promise<Client | null>;
}

/**
 * A distribution point as HTTP proxy of the package managers of enrolled assets. Only GET and HEAD, only configured
 * repositories, only for who shows credentials.
 */
export function proxyHandler(
  parts: ProxyParts,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    handleRequest(parts, request, response).catch((error: unknown) => {
      parts.log.error({ err: error, url: request.url?.slice(0, 500) }, 'the distribution point failed');
      if (response.headersSent) response.destroy();
      else
        refuseRequest(
          response,
          500,
          'internal_error',
          'The distribution point failed',
          'See the log of the distribution point.',
        );
    });
  };
}

async function handleRequest(
  parts: ProxyParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const client = await parts.authenticate(request.headers['proxy-authorization']);
  if (client === null) {
    refuseRequest(
      response,
      407,
      'unauthenticated',
      'Only enrolled assets may fetch through Fixpoint',
      'Send the id of the asset and its session, or a ticket, as Basic credentials in Proxy-Authorization.',
      { 'proxy-authenticate': 'Basic realm="fixpoint"' },
    );
    return;
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    refuseRequest(
      response,
      405,
      'method_not_allowed',
      'Only GET and HEAD are served',
      'Nothing can be uploaded here.',
      {
        allow: 'GET, HEAD',
      },
    );
    return;
  }
  const distribution = await parts.distribution();
  distribution.counted({ requests: 1 });
  const file = findFile(distribution.repositories(), request.url ?? '');
  if (file === null) {
    refuseRequest(
      response,
      403,
      'repository_not_configured',
      'This repository is not one that Fixpoint is configured to serve',
      'An administrator of the server adds it to FIXPOINT_REPOSITORIES.',
    );
    return;
  }
  const throttle = client.limited ? distribution.throttleOf(client.id) : null;
  const exchange: Exchange = {
    distribution,
    file,
    request,
    response,
    pass: async (bytes) => await throttle?.pass(bytes),
  };
  if (file.repository.folder !== null) return await serveLocal(exchange, file.repository.folder);
  await answer(exchange, await distribution.find(file));
}

/** One request for one file. */
interface Exchange {
  readonly distribution: Distribution;
  readonly file: RepositoryFile;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Asked before each piece goes out. */
  readonly pass: (bytes: number) => Promise<void>;
}

async function answer(exchange: Exchange, found: Found): Promise<void> {
  const { distribution, file, request, response } = exchange;
  if (found.kind === 'cached') {
    const opened = await distribution.cache.open(found.file.sha256, found.file.bytes);
    // removed since it was looked up: once more from the beginning
    if (opened === null) return await answer(exchange, await distribution.find(file));
    try {
      const { etag: stored, lastModified, sha256, bytes } = found.file;
      const served = await serveFile(
        request,
        response,
        opened.handle,
        { bytes, etag: stored ?? `"${sha256}"`, lastModified, stale: found.stale },
        exchange.pass,
        distribution.clientPatienceMilliseconds,
      );
      distribution.counted({ servedBytes: served, fromCache: 1 });
    } finally {
      await opened.close();
    }
    return;
  }
  if (found.kind === 'arriving') return await passOn(exchange, found.download);
  if (found.kind === 'not_found') {
    refuseRequest(response, 404, 'not_found', 'Not Found', 'The repository does not have this file.');
    return;
  }
  const gateway = found.failure === 'unreachable' || found.failure === 'timeout' ? 504 : 502;
  refuseRequest(
    response,
    gateway,
    `repository_${found.failure}`,
    `Repository: ${found.message}`,
    'Check the repository and the way to it from the distribution point.',
  );
}

/** Passes on a file, or the part of it that is asked for, while it arrives. */
async function passOn(exchange: Exchange, download: Download): Promise<void> {
  const { distribution, file, request, response, pass } = exchange;
  const { bytes, etag, lastModified } = download;
  const known = { etag, lastModified };
  const asksForPart = request.headers.range !== undefined;
  const isNothingNew = isUnchanged(conditionsOf(request), known);
  // what part a range means is known only with the size
  const waits = bytes === null && asksForPart;
  if (!waits && (request.method === 'HEAD' || isNothingNew) && bytes !== null) {
    beginAnswer(request, response, { bytes, ...known, stale: null });
    return;
  }
  const reader = waits || request.method === 'HEAD' || isNothingNew ? null : attached(exchange, download);
  if (reader === null) {
    const done = await download.done.catch(() => null);
    const found: Found =
      done === null
        ? { kind: 'failed', failure: 'incomplete', message: 'the file did not arrive completely' }
        : { kind: 'cached', file: { url: file.url.href, ...done, etag, lastModified }, stale: null };
    return await answer(exchange, found);
  }
  let sent = 0;
  try {
    let piece = await reader.pieces.next().catch((error: unknown) => {
      const message = error instanceof Error ? error.message : String(error);
      refuseRequest(
        response,
        502,
        'repository_incomplete',
        `Repository: ${message}`,
        'Try again in a moment.',
      );
      return undefined;
    });
    if (piece === undefined) return;
    if (bytes === null) {
      response.writeHead(200, {
        'content-type': 'application/octet-stream',
        'accept-ranges': 'bytes',
        ...(etag === null ? {} : { etag }),
        ...(lastModified === null ? {} : { 'last-modified': lastModified }),
      });
    } else if (beginAnswer(request, response, { bytes, ...known, stale: null }) === null) return;
    while (piece !== null && sent < reader.bytes) {
      const part: Buffer = piece.subarray(0, Math.min(piece.length, reader.bytes - sent));
      await pass(part.length);
      sent += part.length;
      if (!(await writePiece(response, part, distribution.clientPatienceMilliseconds))) return;
      piece = sent < reader.bytes ? await reader.pieces.next() : null;
    }
    response.end();
  } catch {
    // too late for a status: cutting the connection is how the other side learns that something is missing
    response.destroy();
  } finally {
    distribution.counted({ servedBytes: sent });
    await reader.pieces.release();
  }
}

/** A reader of what this request asks for, with how many bytes that is; null when the cache is to be asked. */
function attached({ request }: Exchange, download: Download) {
  const { bytes, etag, lastModified } = download;
  if (bytes === null) {
    const pieces = download.attach(0);
    return pieces === null ? null : { pieces, bytes: Number.POSITIVE_INFINITY };
  }
  const asked = answerTo(conditionsOf(request), { etag, lastModified }, bytes);
  const [start, end] = asked.kind === 'part' ? [asked.start, asked.end] : [0, bytes];
  const pieces = download.attach(start);
  return pieces === null ? null : { pieces, bytes: end - start };
}

/** A repository that is a folder of this machine: served as it is, without the cache. */
async function serveLocal(exchange: Exchange, folder: string): Promise<void> {
  const { distribution, file, request, response, pass } = exchange;
  const handle = await openInside(folder, file.path);
  if (handle === null) {
    refuseRequest(response, 404, 'not_found', 'Not Found', 'The repository does not have this file.');
    return;
  }
  try {
    const { size, mtime, mtimeMs } = await handle.stat();
    const etag = `"${mtimeMs.toString(36)}-${size.toString(36)}"`;
    const about = { bytes: size, etag, lastModified: mtime.toUTCString(), stale: null };
    distribution.counted({ servedBytes: await serveFile(request, response, handle, about, pass) });
  } finally {
    await handle.close();
  }
}

/** Opens a plain file below a folder; null when there is none, or when a link leads out of the folder. */
async function openInside(folder: string, path: string) {
  try {
    const root = await realpath(folder);
    const target = await realpath(join(root, path));
    if (!target.startsWith(root.endsWith(sep) ? root : root + sep)) return null;
    const handle = await open(target, constants.O_RDONLY | constants.O_NOFOLLOW);
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
    return null;
  } catch {
    return null;
  }
}

/** CONNECT would make the server a tunnel to anywhere. */
export function refuseConnect(_request: IncomingMessage, socket: Duplex): void {
  const text = 'connect_not_allowed: Fixpoint fetches from repositories; it opens no tunnels.\n';
  socket.on('error', () => undefined);
  socket.end(
    `HTTP/1.1 405 Tunnels are not opened\r\nAllow: GET, HEAD\r\nContent-Type: text/plain\r\nContent-Length: ${String(text.length)}\r\nConnection: close\r\n\r\n${text}`,
  );
}
