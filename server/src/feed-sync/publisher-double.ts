/** For tests only: a publisher on loopback that does what publishers and networks do. Real HTTP, no mocks. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}

export interface Publisher {
  readonly url: string;
  /** Everything that was asked, in order. */
  readonly asked: Asked[];
  /** Bytes of bodies that were sent. */
  sent(): number;
  /** Gives out a file with ETag, Last-Modified, ranges and conditions, as a real server does. */
  publish(path: string, content: string | Uint8Array, options?: PublishOptions): void;
  /** Answers a path by hand; null: as published again. */
  behave(path: string, handler: Handler | null): void;
  close(): Promise<void>;
}
export type Handler = (request: IncomingMessage, response: ServerResponse, nth: number) => void;

export interface PublishOptions {
  readonly lastModified?: string;
  readonly etag?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function publisher(): Promise<Publisher> {
  const asked: Asked[] = [];
  const published = new Map<string, { content: Buffer; options: PublishOptions }>();
  const handlers = new Map<string, Handler>();
  const counts = new Map<string, number>();
  let sent = 0;

  const serve = (request: IncomingMessage, response: ServerResponse, path: string): void => {
    const found = published.get(path);
    if (found === undefined) {
      response.writeHead(404).end('no such file');
      return;
    }
    const { content, options } = found;
    const etag =
      options.etag === undefined ? `"${createHash('md5').update(content).digest('hex')}"` : options.etag;
    const headers: Record<string, string> = {
      'accept-ranges': 'bytes',
      'last-modified': options.lastModified ?? 'Sun, 01 Mar 2026 06:00:00 GMT',
      ...(etag === null ? {} : { etag }),
      ...options.headers,
    };
    const condition = request.headers['if-none-match'];
    const since = request.headers['if-modified-since'];
    if (
      condition === undefined ? since === headers['last-modified'] && since !== undefined : condition === etag
    ) {
      response.writeHead(304, headers).end();
      return;
    }
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    const version = request.headers['if-range'];
    const current = version === undefined || version === etag || version === headers['last-modified'];
    if (range !== null && current) {
      const start = Number(range[1]);
      if (start >= content.length) {
        response.writeHead(416, { 'content-range': `bytes */${String(content.length)}` }).end();
        return;
      }
      const rest = content.subarray(start);
      sent += rest.length;
      response
        .writeHead(206, {
          ...headers,
          'content-length': String(rest.length),
          'content-range': `bytes ${String(start)}-${String(content.length - 1)}/${String(content.length)}`,
        })
        .end(rest);
      return;
    }
    sent += content.length;
    response.writeHead(200, { ...headers, 'content-length': String(content.length) }).end(content);
  };

  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '/').split('?')[0] ?? '/');
    asked.push({ method: request.method ?? '', path, headers: request.headers });
    const nth = (counts.get(path) ?? 0) + 1;
    counts.set(path, nth);
    const handler = handlers.get(path);
    if (handler === undefined) serve(request, response, path);
    else handler(request, response, nth);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('it does not listen');
  return {
    url: `http://127.0.0.1:${String(address.port)}`,
    asked,
    sent: () => sent,
    publish(path, content, options = {}) {
      published.set(path, { content: Buffer.from(content), options });
    },
    behave(path, handler) {
      counts.delete(path);
      if (handler === null) handlers.delete(path);
      else handlers.set(path, handler);
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}

/** Announces all of a content, sends the first bytes of it, and cuts the connection. */
export function cutAfter(
  content: Uint8Array,
  bytes: number,
  headers: Readonly<Record<string, string>>,
): Handler {
  return (_request, response) => {
    response.writeHead(200, { ...headers, 'content-length': String(content.length) });
    response.write(content.subarray(0, bytes), () => {
      setTimeout(() => response.destroy(), 20);
    });
  };
}
