import { request as requestHttp, Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { request as requestHttps, Agent as HttpsAgent } from 'node:https';

/**
 * The only place of the server that asks other servers for files, but for repositories of packages
 * (distribution/upstream.ts). It uses node:http and not fetch: what is kept must be the bytes as they came, and fetch unpacks
 * what is sent compressed.
 */

/** Proxies as HTTPS_PROXY, HTTP_PROXY and NO_PROXY name them. */
export type ProxyEnvironment = Readonly<Record<string, string>>;

export interface HttpRequest {
  readonly headers?: Readonly<Record<string, string>>;
  /** No byte for so long, at any time, ends the request. */
  readonly idleMilliseconds: number;
  /** Ends it from outside. */
  readonly signal?: AbortSignal;
  readonly proxy?: ProxyEnvironment;
}

export interface HttpAnswer {
  /** Where it came from in the end, without credentials. */
  readonly url: string;
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: IncomingMessage;
}

export type HttpFailureCode =
  | 'unreachable'
  | 'idle_timeout'
  | 'redirect_loop'
  | 'redirect_refused'
  | 'address_invalid'
  | 'aborted';

/** No answer came. */
export class HttpFailure extends Error {
  readonly code: HttpFailureCode;
  constructor(code: HttpFailureCode, message: string) {
    super(message);
    this.name = 'HttpFailure';
    this.code = code;
  }
}

const redirects = new Set([301, 302, 303, 307, 308]);
const redirectLimit = 5;

/**
 * Asks for a file and follows redirects: at most five, never from https to http, never to another scheme. Credentials in the
 * address are sent to that host only, and are in no message.
 *
 * @throws HttpFailure when there is no answer. Whatever the status, an answer is answered.
 */
export async function httpGet(address: string, options: HttpRequest): Promise<HttpAnswer> {
  let target = parseAddress(address);
  const { origin, username, password } = target;
  const credentials =
    username === ''
      ? null
      : `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`;
  for (let hop = 0; hop <= redirectLimit; hop++) {
    const own = target.origin === origin && credentials !== null ? { authorization: credentials } : {};
    const body = await get(target, { ...options.headers, ...own }, options);
    const status = body.statusCode ?? 0;
    if (!redirects.has(status))
      return { url: withoutSecrets(target.href), status, headers: body.headers, body };
    body.destroy();
    const { location } = body.headers;
    if (location === undefined || !URL.canParse(location, target.href)) {
      throw new HttpFailure('redirect_refused', `${target.host} redirects to nowhere`);
    }
    const next = new URL(location, target);
    const scheme = next.protocol;
    if (scheme !== 'https:' && (scheme !== 'http:' || target.protocol === 'https:')) {
      throw new HttpFailure(
        'redirect_refused',
        `${target.host} redirects to ${scheme}//${next.host}, which is less safe than ${target.protocol}//`,
      );
    }
    target = next;
  }
  throw new HttpFailure('redirect_loop', `${target.host} redirects more than ${String(redirectLimit)} times`);
}

/** An address as it may be shown and logged: without user name, password and query. */
export function withoutSecrets(address: string): string {
  if (!URL.canParse(address)) return address;
  const url = new URL(address);
  url.username = '';
  url.password = '';
  url.search = '';
  url.hash = '';
  return url.href;
}

function parseAddress(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new HttpFailure('address_invalid', `${withoutSecrets(address)} is not an address of http or https`);
  }
  return url;
}

function get(
  url: URL,
  headers: Readonly<Record<string, string>>,
  options: HttpRequest,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const secure = url.protocol === 'https:';
    const proxyEnv = { ...options.proxy };
    const agent = secure ? new HttpsAgent({ proxyEnv }) : new HttpAgent({ proxyEnv });
    const { hostname, port, pathname, search } = url;
    const fail = (error: Error): void => {
      if (error instanceof HttpFailure) return reject(error);
      if (options.signal?.aborted === true)
        return reject(new HttpFailure('aborted', 'the request was ended'));
      reject(new HttpFailure('unreachable', `${url.host}: ${error.message}`));
    };
    const asked = (secure ? requestHttps : requestHttp)(
      {
        protocol: url.protocol,
        hostname: hostname.replace(/^\[|\]$/g, ''),
        port,
        path: `${pathname}${search}`,
        headers: {
          'user-agent': 'fixpoint',
          'accept-encoding': 'identity',
          // MSRC answers in XML unless it is asked for JSON.
          accept: 'application/json, */*;q=0.8',
          ...headers,
        },
        timeout: options.idleMilliseconds,
        agent,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      },
      (response) => {
        // whoever reads the body hears of a failure there
        asked.off('error', fail);
        asked.on('error', () => undefined);
        resolve(response);
      },
    );
    asked.on('timeout', () => {
      const seconds = String(options.idleMilliseconds / 1000);
      asked.destroy(new HttpFailure('idle_timeout', `${url.host} sent nothing for ${seconds} seconds`));
    });
    asked.on('error', fail);
    asked.end();
  });
}
