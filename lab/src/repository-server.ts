/** A plain static HTTP server over one folder, for the lab's repository. Listens on the bridge only. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { normalize } from 'node:path';
import { pipeline } from 'node:stream/promises';

export interface RepositoryServer {
  /** Without a slash at its end. */
  readonly url: string;
  /** Paths asked for, in order. */
  readonly requests: readonly string[];
  readonly stop: () => Promise<void>;
}

/** Serves `folder` on `address`, on a free port. */
export async function serveFolder(folder: string, address: string): Promise<RepositoryServer> {
  const requests: string[] = [];
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
      const found = await stat(folder + path);
      if (!found.isFile()) {
        refuse(404);
        return;
      }
      response.writeHead(200, { 'content-length': found.size, 'last-modified': found.mtime.toUTCString() });
      if (request.method === 'HEAD') response.end();
      else await pipeline(createReadStream(folder + path), response);
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
    stop: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
