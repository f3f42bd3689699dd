import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';

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

/** Writes a piece and waits while the reader is slower than we; false when it has gone. */
export async function writePiece(response: ServerResponse, piece: Buffer): Promise<boolean> {
  if (response.destroyed) return false;
  if (response.write(piece)) return true;
  await new Promise<void>((resolve) => {
    const go = (): void => {
      response.off('drain', go);
      response.off('close', go);
      resolve();
    };
    response.on('drain', go);
    response.on('close', go);
  });
  return !response.destroyed;
}

interface Served {
  readonly bytes: number;
  readonly etag: string;
  readonly lastModified: string | null;
  /** Why what is served may be out of date. */
  readonly stale: string | null;
}

const pieceBytes = 256 * 1024;

/** Serves an open file with what HTTP asks of it: 304, one range, HEAD. Answers the bytes of the body that went out. */
export async function serveFile(
  request: IncomingMessage,
  response: ServerResponse,
  handle: FileHandle,
  file: Served,
): Promise<number> {
  const headers: Record<string, string> = {
    etag: file.etag,
    'accept-ranges': 'bytes',
    'content-type': 'application/octet-stream',
    ...(file.lastModified === null ? {} : { 'last-modified': file.lastModified }),
    ...(file.stale === null ? {} : { warning: '111 fixpoint "Revalidation Failed"' }),
  };
  if (isUnchanged(request, file)) {
    response.writeHead(304, headers).end();
    return 0;
  }
  const range = rangeOf(request, file);
  if (range === 'unsatisfiable') {
    response
      .writeHead(416, { ...headers, 'content-range': `bytes */${String(file.bytes)}`, 'content-length': '0' })
      .end();
    return 0;
  }
  const [start, end] = range ?? [0, file.bytes];
  headers['content-length'] = String(end - start);
  if (range !== null)
    headers['content-range'] = `bytes ${String(start)}-${String(end - 1)}/${String(file.bytes)}`;
  response.writeHead(range === null ? 200 : 206, headers);
  if (request.method === 'HEAD') {
    response.end();
    return 0;
  }
  let position = start;
  while (position < end) {
    const length = Math.min(pieceBytes, end - position);
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, position);
    if (bytesRead === 0) throw new Error('a file ended before its size');
    position += bytesRead;
    if (!(await writePiece(response, buffer.subarray(0, bytesRead)))) return position - start;
  }
  response.end();
  return position - start;
}

function isUnchanged(request: IncomingMessage, file: Served): boolean {
  const match = request.headers['if-none-match'];
  if (match !== undefined) return match.split(',').some((one) => one.trim() === file.etag);
  const since = request.headers['if-modified-since'];
  if (since === undefined || file.lastModified === null) return false;
  const [known, current] = [Date.parse(since), Date.parse(file.lastModified)];
  // not merely "not newer": a repository that goes back in time has changed too
  return !Number.isNaN(known) && known === current;
}

/** The one range asked for as [start, end), null for the whole file. */
function rangeOf(request: IncomingMessage, file: Served): [number, number] | 'unsatisfiable' | null {
  const { range } = request.headers;
  const condition = request.headers['if-range'];
  if (range === undefined) return null;
  if (condition !== undefined && condition !== file.etag) {
    const [known, current] = [Date.parse(String(condition)), Date.parse(file.lastModified ?? '')];
    if (Number.isNaN(known) || known !== current) return null;
  }
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/u.exec(range) ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return null;
  const start = first === '' ? Math.max(0, file.bytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? file.bytes : Math.min(file.bytes, Number(last) + 1);
  return start >= file.bytes || start >= end ? 'unsatisfiable' : [start, end];
}
