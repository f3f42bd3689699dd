import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { answerTo, type Answering, type Conditions } from './range.ts';

/** A text answer. Package managers show the reason line and nothing else, so it says what matters. */
export function refuseRequest(
  response: ServerResponse,
  status: number,
  code: string,
  reason: string,
  whatToDo: string,
  headers: Record<string, string> = {},
): void {
  const text = `${code}: ${reason}\n${whatToDo}\n`;
  // a reason line holds printable ASCII only
  response.writeHead(status, reason.replaceAll(/[^\x20-\x7e]/gu, '?').slice(0, 200), {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(Buffer.byteLength(text)),
    ...headers,
  });
  response.end(text);
}

/** A client that takes no byte for so long has gone, or holds an open file and a place without any use. */
export const clientPatienceMilliseconds = 120_000;

/** Writes a piece and waits while the reader is slower than we; false when it has gone. One that only holds on is cut off. */
export async function writePiece(
  response: ServerResponse,
  piece: Buffer,
  patienceMilliseconds = clientPatienceMilliseconds,
): Promise<boolean> {
  if (response.destroyed) return false;
  if (response.write(piece)) return true;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => response.destroy(), patienceMilliseconds);
    const go = (): void => {
      clearTimeout(timer);
      response.off('drain', go);
      response.off('close', go);
      resolve();
    };
    response.on('drain', go);
    response.on('close', go);
  });
  return !response.destroyed;
}

export interface Served {
  readonly bytes: number;
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** Why what is served may be out of date. */
  readonly stale: string | null;
}

export function conditionsOf(request: IncomingMessage): Conditions {
  const { headers } = request;
  const ifRange = headers['if-range'];
  return {
    method: request.method ?? 'GET',
    range: headers.range,
    ifRange: ifRange === undefined ? undefined : String(ifRange),
    ifNoneMatch: headers['if-none-match'],
    ifModifiedSince: headers['if-modified-since'],
  };
}

const pieceBytes = 256 * 1024;

/** Writes status and headers; the bytes of the body that are to follow, as [start, end), or null when there is none. */
export function beginAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  file: Served,
): readonly [number, number] | null {
  const answering: Answering = answerTo(conditionsOf(request), file, file.bytes);
  const headers: Record<string, string> = {
    'accept-ranges': 'bytes',
    'content-type': 'application/octet-stream',
    ...(file.etag === null ? {} : { etag: file.etag }),
    ...(file.lastModified === null ? {} : { 'last-modified': file.lastModified }),
    ...(file.stale === null ? {} : { warning: '111 fixpoint "Revalidation Failed"' }),
  };
  if (answering.kind === 'not_modified') {
    response.writeHead(304, headers).end();
    return null;
  }
  if (answering.kind === 'unsatisfiable') {
    response
      .writeHead(416, { ...headers, 'content-range': `bytes */${String(file.bytes)}`, 'content-length': '0' })
      .end();
    return null;
  }
  const [start, end] = answering.kind === 'part' ? [answering.start, answering.end] : [0, file.bytes];
  headers['content-length'] = String(end - start);
  if (answering.kind === 'part') {
    headers['content-range'] = `bytes ${String(start)}-${String(end - 1)}/${String(file.bytes)}`;
  }
  response.writeHead(answering.kind === 'part' ? 206 : 200, headers);
  if (request.method === 'HEAD') {
    response.end();
    return null;
  }
  return [start, end];
}

/** Serves an open file with what HTTP asks of it: 304, one range, HEAD. Answers the bytes of the body that went out. */
export async function serveFile(
  request: IncomingMessage,
  response: ServerResponse,
  handle: FileHandle,
  file: Served,
  pass: (bytes: number) => Promise<void>,
  patienceMilliseconds?: number,
): Promise<number> {
  const wanted = beginAnswer(request, response, file);
  if (wanted === null) return 0;
  const [start, end] = wanted;
  let position = start;
  while (position < end) {
    const length = Math.min(pieceBytes, end - position);
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, position);
    if (bytesRead === 0) throw new Error('a file ended before its size');
    await pass(bytesRead);
    position += bytesRead;
    if (!(await writePiece(response, buffer.subarray(0, bytesRead), patienceMilliseconds)))
      return position - start;
  }
  response.end();
  return position - start;
}
