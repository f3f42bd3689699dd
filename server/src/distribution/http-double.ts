/** For tests only: a repository that does what a test wants, a point without a database before it, and a client of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { Server as NetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../clock.ts';
import { makeLogger } from '../log.ts';
import { openDistribution, type Distribution, type DistributionOptions } from './distribution.ts';
import { openFolderIndex } from './file-index.ts';
import { proxyHandler } from './proxy.ts';
import { readRepositories } from './repositories.ts';

const cleanups: (() => Promise<void> | void)[] = [];

/** What is to be done after the test, the last first. */
export function afterTest(cleanup: () => Promise<void> | void): void {
  cleanups.push(cleanup);
}

/** For vitest's afterEach. */
export async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
}

/** A folder that is there until the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'fixpoint-distribution-'));
  afterTest(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A repository of our own that does what a test wants of it. */
export interface Upstream {
  readonly url: string;
  readonly asked: { url: string; headers: IncomingHttpHeaders }[];
  answer: (request: IncomingMessage, response: ServerResponse) => void;
  stop(): Promise<void>;
}

export function portOf(server: NetServer): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('it does not listen on a port');
  return address.port;
}

export async function upstreamServer(): Promise<Upstream> {
  const asked: Upstream['asked'] = [];
  const upstream: Upstream = {
    url: '',
    asked,
    answer: (_, response) => response.writeHead(404).end(),
    stop: () => close(server),
  };
  const server = createServer((request, response) => {
    asked.push({ url: request.url ?? '', headers: request.headers });
    upstream.answer(request, response);
  });
  await listen(server);
  return Object.assign(upstream, { url: `http://127.0.0.1:${String(portOf(server))}/debian/` });
}

async function listen(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterTest(() => close(server));
}

export const close = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.closeAllConnections();
    server.close(() => resolve());
  });

export interface Got {
  readonly status: number;
  readonly reason: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Fetches through a point. Rejects when the answer is cut off. */
export function getThrough(
  port: number,
  url: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest(
      { host: '127.0.0.1', port, method, path: url, agent: false, headers },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            reason: response.statusMessage ?? '',
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        );
      },
    );
    asked.on('error', reject);
    asked.end();
  });
}

export interface BarePoint {
  readonly port: number;
  readonly distribution: Distribution;
  get(url: string, headers?: Record<string, string>, method?: string): Promise<Got>;
}

/** A point that anybody may use, with an index in its folder. Each call in the same folder is a restart. */
export async function barePoint(
  repositories: string,
  folder: string,
  options: Partial<DistributionOptions> = {},
): Promise<BarePoint> {
  const list = readRepositories(repositories);
  if (!list.ok) throw new Error(list.problems.join());
  const log = makeLogger('silent');
  const index = await openFolderIndex(join(folder, 'distribution'));
  const distribution = await openDistribution(
    { index, clock: systemClock, log },
    { dataFolder: folder, repositories: () => list.repositories, ...options },
  );
  const handle = proxyHandler({
    log,
    distribution: () => Promise.resolve(distribution),
    authenticate: (credentials) => Promise.resolve({ id: credentials ?? 'anybody', limited: true }),
  });
  const server = createServer(handle);
  await listen(server);
  afterTest(() => distribution.idle());
  const port = portOf(server);
  return {
    port,
    distribution,
    get: (url, headers, method) => getThrough(port, url, headers, method),
  };
}

/** Answers with this, and with the rest of it where a range asks for that. */
export function serving(body: Buffer, headers: Record<string, string> = {}) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    if (request.headers['if-none-match'] === headers.etag && headers.etag !== undefined) {
      response.writeHead(304).end();
      return;
    }
    const start = Number(/^bytes=(\d+)-$/u.exec(request.headers.range ?? '')?.[1] ?? 0);
    const isCurrent = [headers.etag, headers['last-modified']].includes(
      String(request.headers['if-range'] ?? ''),
    );
    if (start > 0 && isCurrent) {
      const range = `bytes ${String(start)}-${String(body.length - 1)}/${String(body.length)}`;
      response
        .writeHead(206, {
          'content-length': String(body.length - start),
          'content-range': range,
          ...headers,
        })
        .end(body.subarray(start));
      return;
    }
    response.writeHead(200, { 'content-length': String(body.length), ...headers }).end(body);
  };
}
