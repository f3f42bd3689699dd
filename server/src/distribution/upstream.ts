import { request, type IncomingMessage } from 'node:http';
import { request as secureRequest } from 'node:https';
import { rangeValidator, readContentRange } from './range.ts';
import { findFile, type Repository } from './repositories.ts';

/**
 * The only place that asks repositories. It uses node:http and not fetch: what is passed on must be the bytes as they came,
 * and fetch unpacks what is sent compressed.
 */

export type UpstreamFailure =
  | 'unreachable'
  | 'timeout'
  | 'redirect_not_allowed'
  | 'too_many_redirects'
  | 'answered_error';

export type UpstreamAnswer =
  | {
      readonly kind: 'file';
      readonly body: IncomingMessage;
      /** Of the whole file; null when the repository does not say. */
      readonly bytes: number | null;
      readonly etag: string | null;
      readonly lastModified: string | null;
      /** Where the body begins: above 0 when the rest of a file was asked for and is what comes. */
      readonly from: number;
    }
  | { readonly kind: 'not_modified' }
  | { readonly kind: 'not_found' }
  | { readonly kind: 'failed'; readonly failure: UpstreamFailure; readonly message: string };

/** Another distribution point that is asked in the repositories' place. */
export interface UpstreamProxy {
  /** `http://HOST:PORT` or `https://HOST:PORT`. */
  readonly url: URL;
  /** Value of Proxy-Authorization. */
  readonly authorization: string;
}

export interface UpstreamOptions {
  readonly repositories: () => readonly Repository[];
  /** No byte for so long, at any time, ends the request. */
  readonly idleMilliseconds: number;
  readonly proxy: UpstreamProxy | null;
}

/** What is there already: a whole file, or the beginning of one. */
export interface Known {
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** Bytes of the beginning that is there; null: all of it is. */
  readonly beginning: number | null;
}

const redirects = new Set([301, 302, 303, 307, 308]);
const redirectLimit = 4;

/** Asks for a file, or for the rest of one. A redirect is followed only to a configured repository. Never rejects. */
export async function askUpstream(
  url: URL,
  known: Known | null,
  options: UpstreamOptions,
): Promise<UpstreamAnswer> {
  let target = url;
  for (let hop = 0; hop <= redirectLimit; hop++) {
    let response: IncomingMessage;
    try {
      response = await get(target, known, options);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const failure = message.includes('no answer for') ? 'timeout' : 'unreachable';
      return { kind: 'failed', failure, message: `${(options.proxy?.url ?? target).host}: ${message}` };
    }
    const status = response.statusCode ?? 0;
    if (status === 200 || status === 206) {
      const answer = fileOf(response, status, known);
      if (answer !== null) return answer;
      response.destroy();
      return { kind: 'failed', failure: 'answered_error', message: `${target.host} sent another part` };
    }
    response.destroy();
    if (status === 304 && known !== null) return { kind: 'not_modified' };
    if (status === 404 || status === 410) return { kind: 'not_found' };
    // the beginning that is there is longer than the file: from the beginning, then
    if (status === 416 && known?.beginning !== undefined && known.beginning !== null) {
      return await askUpstream(url, null, options);
    }
    if (!redirects.has(status)) {
      return {
        kind: 'failed',
        failure: 'answered_error',
        message: `${target.host} answered ${String(status)}${options.proxy === null ? '' : ` ${response.statusMessage ?? ''}`}`,
      };
    }
    const next = nextTarget(target, response.headers.location, options.repositories());
    if (next === null) {
      const to = response.headers.location ?? 'nowhere';
      return {
        kind: 'failed',
        failure: 'redirect_not_allowed',
        message: `${target.host} redirects to ${to.slice(0, 200)}, which is not one of the configured repositories`,
      };
    }
    target = next;
  }
  return { kind: 'failed', failure: 'too_many_redirects', message: `${url.host} redirects in circles` };
}

/** Null: a part that was not asked for. */
function fileOf(response: IncomingMessage, status: number, known: Known | null): UpstreamAnswer | null {
  const { headers } = response;
  const validators = { etag: headers.etag ?? null, lastModified: headers['last-modified'] ?? null };
  if (status === 206) {
    const range = readContentRange(headers['content-range']);
    if (range === null || range.start !== known?.beginning) return null;
    return { kind: 'file', body: response, bytes: range.bytes, ...validators, from: range.start };
  }
  const length = headers['content-length'];
  return {
    kind: 'file',
    body: response,
    bytes: length === undefined ? null : Number(length),
    ...validators,
    from: 0,
  };
}

function nextTarget(
  from: URL,
  location: string | undefined,
  repositories: readonly Repository[],
): URL | null {
  if (location === undefined || !URL.canParse(location, from.href)) return null;
  const found = findFile(repositories, new URL(location, from).href);
  return found === null || found.repository.folder !== null ? null : found.url;
}

function headersFor(known: Known | null): Record<string, string> {
  const headers: Record<string, string> = {
    'user-agent': 'fixpoint',
    'accept-encoding': 'identity',
    accept: '*/*',
  };
  if (known === null) return headers;
  if (known.beginning !== null) {
    const validator = rangeValidator(known);
    if (validator !== null) {
      headers.range = `bytes=${String(known.beginning)}-`;
      headers['if-range'] = validator;
    }
  } else if (known.etag !== null) headers['if-none-match'] = known.etag;
  else if (known.lastModified !== null) headers['if-modified-since'] = known.lastModified;
  return headers;
}

function get(
  url: URL,
  known: Known | null,
  { idleMilliseconds, proxy }: UpstreamOptions,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = headersFor(known);
    const given = { timeout: idleMilliseconds, agent: false as const };
    const answered = (response: IncomingMessage): void => {
      // from here on whoever reads it looks at the time, since it may be held back on purpose
      asked.setTimeout(0);
      resolve(response);
    };
    const asked =
      proxy === null
        ? request(url, { headers, ...given }, answered)
        : (proxy.url.protocol === 'https:' ? secureRequest : request)(
            {
              hostname: proxy.url.hostname.replace(/^\[|\]$/gu, ''),
              port: proxy.url.port === '' ? (proxy.url.protocol === 'https:' ? 443 : 80) : proxy.url.port,
              path: url.href,
              headers: { ...headers, host: url.host, 'proxy-authorization': proxy.authorization },
              ...given,
            },
            answered,
          );
    asked.on('timeout', () => {
      asked.destroy(new Error(`no answer for ${String(idleMilliseconds / 1000)} seconds`));
    });
    asked.on('error', reject);
    asked.end();
  });
}
