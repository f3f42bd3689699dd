import { request, type IncomingMessage } from 'node:http';
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
      /** Null when the repository does not say. */
      readonly bytes: number | null;
      readonly etag: string | null;
      readonly lastModified: string | null;
    }
  | { readonly kind: 'not_modified' }
  | { readonly kind: 'not_found' }
  | { readonly kind: 'failed'; readonly failure: UpstreamFailure; readonly message: string };

export interface UpstreamOptions {
  readonly repositories: readonly Repository[];
  /** No byte for so long, at any time, ends the request. */
  readonly idleMilliseconds: number;
}

const redirects = new Set([301, 302, 303, 307, 308]);
const redirectLimit = 4;

/** Asks for a file. A redirect is followed only to a configured repository. Never rejects. */
export async function askUpstream(
  url: URL,
  known: { readonly etag: string | null; readonly lastModified: string | null } | null,
  options: UpstreamOptions,
): Promise<UpstreamAnswer> {
  let target = url;
  for (let hop = 0; hop <= redirectLimit; hop++) {
    let response: IncomingMessage;
    try {
      response = await get(target, known, options.idleMilliseconds);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const failure = message.includes('no answer for') ? 'timeout' : 'unreachable';
      return { kind: 'failed', failure, message: `${target.host}: ${message}` };
    }
    const status = response.statusCode ?? 0;
    if (status === 200) {
      const length = response.headers['content-length'];
      return {
        kind: 'file',
        body: response,
        bytes: length === undefined ? null : Number(length),
        etag: response.headers.etag ?? null,
        lastModified: response.headers['last-modified'] ?? null,
      };
    }
    response.destroy();
    if (status === 304 && known !== null) return { kind: 'not_modified' };
    if (status === 404 || status === 410) return { kind: 'not_found' };
    if (!redirects.has(status)) {
      return {
        kind: 'failed',
        failure: 'answered_error',
        message: `${target.host} answered ${String(status)}`,
      };
    }
    const next = nextTarget(target, response.headers.location, options.repositories);
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

function nextTarget(
  from: URL,
  location: string | undefined,
  repositories: readonly Repository[],
): URL | null {
  if (location === undefined || !URL.canParse(location, from.href)) return null;
  const found = findFile(repositories, new URL(location, from).href);
  return found === null || found.repository.folder !== null ? null : found.url;
}

function get(
  url: URL,
  known: { readonly etag: string | null; readonly lastModified: string | null } | null,
  idleMilliseconds: number,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = {
      'user-agent': 'fixpoint',
      'accept-encoding': 'identity',
      accept: '*/*',
    };
    if (known?.etag !== undefined && known.etag !== null) headers['if-none-match'] = known.etag;
    else if (known?.lastModified !== undefined && known.lastModified !== null) {
      headers['if-modified-since'] = known.lastModified;
    }
    const asked = request(url, { headers, timeout: idleMilliseconds, agent: false }, resolve);
    asked.on('timeout', () => {
      asked.destroy(new Error(`no answer for ${String(idleMilliseconds / 1000)} seconds`));
    });
    asked.on('error', reject);
    asked.end();
  });
}
