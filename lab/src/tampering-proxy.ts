/**
 * Somebody in the middle between one host's agent and the server: hands everything on, what apt fetches included, and can
 * hold requests, change answers or swallow them. Listens on the bridge only.
 */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { Value } from 'typebox/value';
import { CheckInResponse } from '@fixpoint/contract/agent.ts';
import { type SignedOrder } from '@fixpoint/contract/order.ts';

export interface Exchange {
  /** As the agent asked for it: a path, or the whole address of what apt fetches. */
  readonly target: string;
  readonly request: string;
}

/** What the one in the middle does. Either may take its time. */
export interface Tampering {
  /** Before the request is handed on; returning is letting it go. */
  readonly before?: (exchange: Exchange) => Promise<void> | void;
  /** The answer's text as the agent gets it; `null`: none, the line is cut. Only for JSON. */
  readonly after?: (exchange: Exchange, answer: string) => Promise<string | null> | string | null;
}

export interface TamperingProxy {
  /** What the agent takes for its server. */
  readonly url: string;
  /** Every order that the server gave, once each, as it gave it. */
  readonly orders: readonly SignedOrder[];
  /** From the next request on; `null`: everything is handed on as it is. */
  readonly tamper: (tampering: Tampering | null) => void;
  readonly stop: () => Promise<void>;
}

async function textOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** Alters the answers to check-ins, and nothing else. */
export function alterCheckIns(
  alter: (answer: CheckInResponse) => CheckInResponse,
): NonNullable<Tampering['after']> {
  return ({ target }, answer) => {
    if (!target.endsWith('/agent/v1/check-in')) return answer;
    const value: unknown = JSON.parse(answer);
    return Value.Check(CheckInResponse, value) ? JSON.stringify(alter(value)) : answer;
  };
}

/** Starts it on a free port of `address`, before the server at `upstream`. */
export async function startTamperingProxy(address: string, upstream: string): Promise<TamperingProxy> {
  const orders: SignedOrder[] = [];
  let tampering: Tampering | null = null;
  const { hostname, port } = new URL(upstream);

  function record(target: string, answer: string): void {
    if (!target.endsWith('/agent/v1/check-in')) return;
    const value: unknown = JSON.parse(answer);
    if (!Value.Check(CheckInResponse, value)) return;
    for (const order of value.orders) {
      if (!orders.some((known) => known.payload === order.payload)) orders.push(order);
    }
  }

  async function handOn(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const doing = tampering;
    const body = await textOf(incoming);
    const exchange: Exchange = { target: incoming.url ?? '/', request: body.toString('utf8') };
    await doing?.before?.(exchange);
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const asked = httpRequest(
        {
          hostname,
          port,
          method: incoming.method,
          path: exchange.target,
          headers: incoming.headers,
          agent: false,
        },
        resolve,
      );
      asked.on('error', reject);
      asked.end(body);
    });
    let content = await textOf(answer);
    const isJson = answer.headers['content-type']?.startsWith('application/json') === true;
    if (isJson && answer.statusCode === 200) record(exchange.target, content.toString('utf8'));
    if (isJson && doing?.after !== undefined) {
      const altered = await doing.after(exchange, content.toString('utf8'));
      if (altered === null) {
        outgoing.destroy();
        return;
      }
      content = Buffer.from(altered);
    }
    const headers = { ...answer.headers };
    delete headers['transfer-encoding'];
    delete headers.connection;
    // The length of a HEAD answer says what GET would give.
    const length = incoming.method === 'HEAD' ? {} : { 'content-length': content.length };
    outgoing.writeHead(answer.statusCode ?? 502, { ...headers, ...length });
    outgoing.end(content);
  }

  const server = createServer((incoming, outgoing) => {
    handOn(incoming, outgoing).catch(() => {
      // The server is down, or one of them has hung up: so does the other.
      outgoing.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, address, resolve);
  });
  const listening = server.address();
  if (listening === null || typeof listening === 'string') throw new Error('the proxy listens on no port');
  return {
    url: `http://${address}:${listening.port}`,
    orders,
    tamper(next) {
      tampering = next;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
