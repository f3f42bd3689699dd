/** For tests only: a repository that does what a test wants, and a server with its distribution point and one asset. */
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
import { testFleet, type Fleet } from '../deployment/fleet-double.ts';
import { routes as distributionRoutes } from './routes.ts';

const cleanups: (() => Promise<void> | void)[] = [];

/** What is to be done after the test, the last first. */
export function afterTest(cleanup: () => Promise<void> | void): void {
  cleanups.push(cleanup);
}

/** For vitest's afterEach. */
export async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
}

/** A repository of our own that does what a test wants of it. */
export interface Upstream {
  readonly url: string;
  readonly asked: { url: string; headers: IncomingHttpHeaders }[];
  answer: (request: IncomingMessage, response: ServerResponse) => void;
  stop(): Promise<void>;
}

function portOf(server: NetServer): number {
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
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const port = portOf(server);
  afterTest(() => close(server));
  return Object.assign(upstream, { url: `http://127.0.0.1:${String(port)}/debian/` });
}

const close = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.closeAllConnections();
    server.close(() => resolve());
  });

export interface Point {
  readonly fleet: Fleet;
  readonly port: number;
  readonly folder: string;
  readonly credentials: string;
  /** Waits until nothing is on its way any more and so many files are kept. */
  kept(files: number): Promise<void>;
  get(
    url: string,
    headers?: Record<string, string>,
    method?: string,
  ): Promise<{ status: number; reason: string; headers: IncomingHttpHeaders; body: Buffer }>;
}

export async function distributionPoint(repositories: string): Promise<Point> {
  const folder = mkdtempSync(join(tmpdir(), 'fixpoint-distribution-'));
  const fleet = await testFleet({ dataFolder: folder, repositories }, [distributionRoutes]);
  afterTest(async () => {
    await fleet.close();
    rmSync(folder, { recursive: true, force: true });
  });
  await fleet.app.listen({ host: '127.0.0.1', port: 0 });
  const port = portOf(fleet.app.server);
  const agent = await fleet.enrol('web-1');
  const credentials = `${agent.uid}:${agent.session}`;
  return {
    fleet,
    port,
    folder,
    credentials,
    async kept(files) {
      let before = -1;
      for (let i = 0; i < 200; i++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        const { body } = await fleet.call('GET', '/api/v1/distribution');
        if (Number(body.files) >= files && body.fetched_bytes === before) return;
        before = Number(body.fetched_bytes);
      }
      throw new Error(`${String(files)} files were to be kept`);
    },
    get: (url, headers = {}, method = 'GET') =>
      new Promise((resolve, reject) => {
        const asked = httpRequest(
          {
            host: '127.0.0.1',
            port,
            method,
            path: url,
            agent: false,
            headers: {
              'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}`,
              ...headers,
            },
          },
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
      }),
  };
}
