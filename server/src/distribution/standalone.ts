import { request, createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { request as secureRequest } from 'node:https';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Logger } from 'pino';
import { HeartbeatResponse, type HeartbeatRequest } from '@fixpoint/contract/distribution.ts';
import { publicKeyOf } from '../auth/keys.ts';
import { systemClock } from '../clock.ts';
import type { Clock } from '../context.ts';
import { makeLogger } from '../log.ts';
import { openDistribution, type Distribution, type Rechecked } from './distribution.ts';
import { openFolderIndex } from './file-index.ts';
import { isProxyRequest, proxyHandler, refuseConnect, type Client } from './proxy.ts';
import type { Repository } from './repositories.ts';
import { refuseRequest } from './respond.ts';
import { isTicket, readBasic } from './ticket.ts';
import { createWarming } from './warming.ts';
import { Compile } from 'typebox/compile';

/**
 * A distribution point near the hosts: one process without a database. Its upstream is the server's own point, so that each
 * file comes over the line to the server once; what it may serve, and by what it knows agents, the server tells it.
 */
export interface StandaloneOptions {
  /** Base address of the server. */
  readonly server: URL;
  /** `fxp_…`, as the server gave it once. */
  readonly secret: string;
  readonly host: string;
  readonly port: number;
  readonly dataFolder: string;
  readonly limitBytes: number;
  readonly bytesPerSecond: number | null;
  readonly clientBytesPerSecond: number | null;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface RunningPoint {
  /** Where it listens. */
  readonly port: number;
  readonly name: string;
  stop(): Promise<void>;
}

/** The server does not let this point in: the secret is wrong, or the point was removed. */
export class PointRefused extends Error {}

/** The server, or what stands before it, does not answer as it should. */
export class ServerSilent extends Error {}

const answerShape = Compile(HeartbeatResponse);
const idleMilliseconds = 30_000;
const retryMilliseconds = 5_000;
const ticketsMaximum = 50_000;
const sweepEveryMilliseconds = 3_600_000;
const closePatienceMilliseconds = 3_000;

/**
 * Starts a point. The server must answer once; later starts do with what it said last.
 *
 * @throws PointRefused; Error with code EADDRINUSE and the like when it cannot listen
 */
export async function startPoint(options: StandaloneOptions): Promise<RunningPoint> {
  const { clock, log, dataFolder } = options;
  await mkdir(dataFolder, { recursive: true, mode: 0o700 });
  const rememberedFile = join(dataFolder, 'server.json');
  let told = await readRemembered(rememberedFile);
  let repositories: readonly Repository[] = [];
  let rechecked: HeartbeatRequest['rechecked'] = [];
  let rechecking: Promise<void> | null = null;
  let refused = false;

  const index = await openFolderIndex(join(dataFolder, 'distribution'));
  const point = await openDistribution(
    { index, clock, log },
    {
      dataFolder,
      repositories: () => repositories,
      upstream: {
        url: options.server,
        get authorization() {
          return `Basic ${Buffer.from(`${told?.id ?? ''}:${options.secret}`).toString('base64')}`;
        },
      },
      limitBytes: options.limitBytes,
      bytesPerSecond: options.bytesPerSecond,
      clientBytesPerSecond: options.clientBytesPerSecond,
    },
  );
  const warming = createWarming(point, log);

  function hear(answer: HeartbeatResponse): void {
    told = answer;
    repositories = answer.repositories.map((prefix) => ({ prefix, folder: null }));
    warming.want(answer.wanted, answer.unresolved);
  }

  async function beat(): Promise<number> {
    const reported = rechecked;
    const answer = await postJson(options, {
      status: {
        version: options.version,
        limit_bytes: options.limitBytes,
        ...(await point.status()),
        prestage: warming.status(),
      },
      rechecked: reported,
    });
    rechecked = rechecked.filter((one) => !reported.includes(one));
    hear(answer);
    await writeFile(`${rememberedFile}.new`, JSON.stringify(answer), { mode: 0o600 });
    await rename(`${rememberedFile}.new`, rememberedFile);
    // beside the heartbeats: files may take long to come, and a point that is not heard of is handed to nobody
    rechecking ??= recheck(point, answer.suspects, (url, outcome) => {
      log.warn({ url, outcome }, 'a host took a file for forged; it was dropped and fetched again');
      rechecked = [...rechecked, { url, outcome }].slice(-100);
    }).finally(() => {
      rechecking = null;
    });
    return answer.next_heartbeat_seconds * 1000;
  }

  /** What was replaced, or came without being noted before a crash, has no name any more and is counted nowhere. */
  const makeRoom = (): void => {
    point
      .evict()
      .then(() => point.sweep())
      .catch((error: unknown) => {
        log.warn({ err: error }, 'old files of the distribution cache could not be removed');
      });
  };

  if (told !== null) hear(told);
  let wait = retryMilliseconds;
  try {
    wait = await beat();
  } catch (error) {
    if (error instanceof PointRefused || told === null) throw error;
    log.warn({ err: error }, 'the server does not answer; the point goes on with what it said last');
  }

  const tickets = new Map<string, Client>();
  const authenticate = (header: string | undefined): Promise<Client | null> => {
    const basic = readBasic(header);
    if (basic === null || told === null || refused) return Promise.resolve(null);
    const now = clock.now();
    const expiry = Number.parseInt(basic.password.split('.')[3] ?? '', 36);
    const known = tickets.get(`${basic.user} ${basic.password}`);
    if (known !== undefined && expiry > now.getTime()) return Promise.resolve(known);
    const key = publicKeyOf(told.server_key.public_key);
    if (!isTicket(key, now, basic.password, basic.user, told.id)) return Promise.resolve(null);
    if (tickets.size >= ticketsMaximum) tickets.clear();
    const client = { id: basic.user, limited: true };
    tickets.set(`${basic.user} ${basic.password}`, client);
    return Promise.resolve(client);
  };
  const proxy = proxyHandler({ log, distribution: () => Promise.resolve(point), authenticate });
  const server = createServer((incoming: IncomingMessage, response: ServerResponse) => {
    if (isProxyRequest(incoming)) proxy(incoming, response);
    else answerPlain(told?.name ?? '', incoming, response);
  });
  server.on('connect', refuseConnect);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });

  makeRoom();
  const tidying = setInterval(makeRoom, sweepEveryMilliseconds);
  tidying.unref();
  const stopping = new AbortController();
  const beating = (async () => {
    for (;;) {
      await setTimeout(wait, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      try {
        wait = await beat();
        refused = false;
      } catch (error) {
        // a removed point serves nobody; one whose server is away goes on
        refused = error instanceof PointRefused;
        wait = retryMilliseconds;
        log.warn({ err: error }, refused ? 'the server refuses this point' : 'the server does not answer');
      }
    }
  })();

  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    name: told?.name ?? '',
    async stop() {
      stopping.abort();
      clearInterval(tidying);
      warming.stop();
      await beating;
      await Promise.race([point.idle(), setTimeout(closePatienceMilliseconds, undefined, { ref: false })]);
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

/** A point with this machine's clock, and with its log on standard error. */
export async function runPoint(
  options: Omit<StandaloneOptions, 'clock' | 'log'> & { readonly logLevel: string },
): Promise<RunningPoint> {
  return await startPoint({ ...options, clock: systemClock, log: makeLogger(options.logLevel) });
}

async function recheck(
  point: Distribution,
  urls: readonly string[],
  done: (url: string, outcome: Rechecked) => void,
): Promise<void> {
  for (const url of urls) done(url, await point.recheck(url).catch((): Rechecked => 'unknown'));
}

function answerPlain(name: string, incoming: IncomingMessage, response: ServerResponse): void {
  if (incoming.url === '/point/v1/health') {
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ status: 'ok', name }));
  } else {
    refuseRequest(
      response,
      404,
      'not_found',
      'This is a distribution point of Fixpoint',
      'Use it as the HTTP proxy of a package manager.',
    );
  }
}

async function readRemembered(file: string): Promise<HeartbeatResponse | null> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    return answerShape.Check(value) ? value : null;
  } catch {
    return null;
  }
}

function postJson(options: StandaloneOptions, body: HeartbeatRequest): Promise<HeartbeatResponse> {
  const text = JSON.stringify(body);
  const url = new URL('point/v1/heartbeat', options.server.href.replace(/\/*$/u, '/'));
  return new Promise((resolve, reject) => {
    const asked = (url.protocol === 'https:' ? secureRequest : request)(
      url,
      {
        method: 'POST',
        agent: false,
        timeout: idleMilliseconds,
        headers: {
          authorization: `Bearer ${options.secret}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const said = Buffer.concat(chunks).toString('utf8');
          const status = response.statusCode ?? 0;
          if (status === 401 || status === 404) {
            return reject(new PointRefused(`the server refuses this point: ${said.slice(0, 300)}`));
          }
          try {
            const value: unknown = JSON.parse(said);
            if (status === 200 && answerShape.Check(value)) return resolve(value);
          } catch {
            // told below
          }
          reject(new ServerSilent(`the server answered ${String(status)}: ${said.slice(0, 300)}`));
        });
      },
    );
    asked.on('timeout', () => {
      asked.destroy(new ServerSilent(`no answer for ${String(idleMilliseconds / 1000)} seconds`));
    });
    asked.on('error', reject);
    asked.end(text);
  });
}
