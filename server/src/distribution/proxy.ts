import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join, sep } from 'node:path';
import type { Duplex } from 'node:stream';
import type { ServerContext } from '../app.ts';
import { agentFromBasic } from '../auth/guard.ts';
import type { Distribution, Found } from './distribution.ts';
import type { Download } from './download.ts';
import { findFile, type RepositoryFile } from './repositories.ts';
import { refuseRequest, serveFile, writePiece } from './respond.ts';

/** Whether a request is one to a proxy: its target is a whole address (RFC 9112, absolute-form). */
export function isProxyRequest(request: IncomingMessage): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//iu.test(request.url ?? '');
}

/**
 * The server as HTTP proxy of the package managers of enrolled assets. Only GET and HEAD, only configured repositories, only
 * for who shows a session of an asset.
 */
export function proxyHandler(
  context: ServerContext,
  distributionPoint: () => Promise<Distribution>,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    handleRequest(context, distributionPoint, request, response).catch((error: unknown) => {
      context.log.error({ err: error, url: request.url?.slice(0, 500) }, 'the distribution point failed');
      if (response.headersSent) response.destroy();
      else
        refuseRequest(
          response,
          500,
          'internal_error',
          'The distribution point failed',
          'See the log of the server.',
        );
    });
  };
}

async function handleRequest(
  context: ServerContext,
  openDistribution: () => Promise<Distribution>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const agent = await agentFromBasic(context, request.headers['proxy-authorization']);
  if (agent === null) {
    refuseRequest(
      response,
      407,
      'unauthenticated',
      'Only enrolled assets may fetch through Fixpoint',
      'Send the id of the asset and its session as Basic credentials in Proxy-Authorization.',
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
  const distribution = await openDistribution();
  distribution.counted({ requests: 1 });
  const file = findFile(distribution.repositories, request.url ?? '');
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
  if (file.repository.folder !== null)
    return serveLocal(distribution, file, file.repository.folder, request, response);
  await answer(distribution, await distribution.find(file), file, request, response);
}

async function answer(
  distribution: Distribution,
  found: Found,
  file: RepositoryFile,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (found.kind === 'cached') {
    const opened = await distribution.cache.open(found.file.sha256, found.file.bytes);
    // removed since it was looked up: once more from the beginning
    if (opened === null) return answer(distribution, await distribution.find(file), file, request, response);
    try {
      const { etag: stored, lastModified, sha256, bytes } = found.file;
      const served = await serveFile(request, response, opened.handle, {
        bytes,
        etag: stored ?? `"${sha256}"`,
        lastModified,
        stale: found.stale,
      });
      distribution.counted({ servedBytes: served, fromCache: 1 });
    } finally {
      await opened.handle.close();
    }
    return;
  }
  if (found.kind === 'arriving') return passOn(distribution, found.download, file, request, response);
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
    'Check the repository and the way to it from the server.',
  );
}

/** Passes on a file while it arrives. Who asks for a part of it gets it when all of it is here. */
async function passOn(
  distribution: Distribution,
  download: Download,
  file: RepositoryFile,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const conditional =
    request.headers.range !== undefined ||
    request.headers['if-modified-since'] !== undefined ||
    request.headers['if-none-match'] !== undefined;
  const reader = conditional || request.method === 'HEAD' ? null : download.attach();
  if (reader === null) {
    const { etag, lastModified } = download;
    const { sha256, bytes } = await download.done.catch(() => ({ sha256: null, bytes: 0 }));
    const found: Found =
      sha256 === null
        ? { kind: 'failed', failure: 'incomplete', message: 'the file did not arrive completely' }
        : { kind: 'cached', file: { url: file.url.href, sha256, bytes, etag, lastModified }, stale: null };
    return answer(distribution, found, file, request, response);
  }
  let sent = 0;
  try {
    let piece = await reader.next().catch((error: unknown) => {
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
    response.writeHead(200, {
      'content-type': 'application/octet-stream',
      'accept-ranges': 'bytes',
      ...(download.bytes === null ? {} : { 'content-length': String(download.bytes) }),
      ...(download.etag === null ? {} : { etag: download.etag }),
      ...(download.lastModified === null ? {} : { 'last-modified': download.lastModified }),
    });
    while (piece !== null) {
      sent += piece.length;
      if (!(await writePiece(response, piece))) return;
      piece = await reader.next();
    }
    response.end();
  } catch {
    // too late for a status: cutting the connection is how the other side learns that something is missing
    response.destroy();
  } finally {
    distribution.counted({ servedBytes: sent });
    await reader.release();
  }
}

/** A repository that is a folder of this machine: served as it is, without the cache. */
async function serveLocal(
  distribution: Distribution,
  file: RepositoryFile,
  folder: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const handle = await openInside(folder, file.path);
  if (handle === null) {
    refuseRequest(response, 404, 'not_found', 'Not Found', 'The repository does not have this file.');
    return;
  }
  try {
    const { size, mtime, mtimeMs } = await handle.stat();
    const served = await serveFile(request, response, handle, {
      bytes: size,
      etag: `"${mtimeMs.toString(36)}-${size.toString(36)}"`,
      lastModified: mtime.toUTCString(),
      stale: null,
    });
    distribution.counted({ servedBytes: served });
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
