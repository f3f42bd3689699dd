/** A plain static HTTP server over one folder, for the lab's repository. Listens on the bridge only. */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { normalize } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { sleep } from './clock.ts';

export interface RepositoryServer {
  /** Without a slash at its end. */
  readonly url: string;
  /** Paths asked for, in order. */
  readonly requests: readonly string[];
  /**
   * From now on files are given out wrongly where `how` says so; null: all are as they are. A first part of a path that begins with
   * `/as-` stands for nothing, so that the same folder can be had under names that no cache knows yet: `how` is asked with it.
   */
  readonly spoil: (how: ((path: string) => Spoiled | null) | null) => void;
  readonly stop: () => Promise<void>;
}

/** How a file is given out wrongly; `slow`: whole, but only after some seconds. */
export type Spoiled =
  | { readonly kind: 'not_found' | 'truncated' | 'corrupted' }
  | { readonly kind: 'slow'; readonly seconds: number };

/** Serves `folder` on `address`, on a free port. */
export async function serveFolder(folder: string, address: string): Promise<RepositoryServer> {
  const requests: string[] = [];
  let spoiling: ((path: string) => Spoiled | null) | null = null;
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://lab.invalid').pathname));
    requests.push(path);
    const refuse = (status: number): void => {
      response.writeHead(status, { 'content-type': 'text/plain' }).end(`${status}\n`);
    };
    if ((request.method !== 'GET' && request.method !== 'HEAD') || path.includes('\0')) {
      refuse(405);
      return;
    }
    const send = async (): Promise<void> => {
      const spoiled = spoiling?.(path) ?? null;
      if (spoiled?.kind === 'not_found') {
        refuse(404);
        return;
      }
      if (spoiled?.kind === 'slow') await sleep(spoiled.seconds);
      const file = folder + path.replace(/^\/as-[^/]*/u, '');
      const found = await stat(file);
      if (!found.isFile()) {
        refuse(404);
        return;
      }
      response.writeHead(200, { 'content-length': found.size, 'last-modified': found.mtime.toUTCString() });
      if (request.method === 'HEAD') response.end();
      else if (spoiled?.kind === 'truncated' || spoiled?.kind === 'corrupted') {
        const bytes = await readFile(file);
        if (spoiled.kind === 'truncated') {
          response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
          return;
        }
        for (let i = bytes.length >> 1; i < bytes.length; i += 7) bytes[i] = (bytes[i] ?? 0) ^ 0x55;
        response.end(bytes);
      } else await pipeline(createReadStream(file), response);
    };
    send().catch(() => {
      // Nothing sent yet: there is no such file. Half sent: the reader must see that it is cut short.
      if (response.headersSent) response.destroy();
      else refuse(404);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, address, resolve);
  });
  const listening = server.address();
  if (listening === null || typeof listening === 'string') throw new Error('the server listens on no port');
  return {
    url: `http://${address}:${listening.port}`,
    requests,
    spoil(how) {
      spoiling = how;
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
