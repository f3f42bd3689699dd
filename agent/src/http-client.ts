import * as http from 'node:http';
import * as https from 'node:https';
import { AgentFailure, messageOf } from './failure.ts';

/** The only place of the agent that talks to the network. */

export interface HttpAnswer {
  readonly status: number;
  /** Parsed JSON; undefined when the body was none. */
  readonly body: unknown;
}

export interface HttpClient {
  /** POSTs JSON. Throws AgentFailure `server_unreachable` when no whole answer comes in time. */
  post(path: string, body: unknown, bearer: string | null): Promise<HttpAnswer>;
  close(): void;
}

const answerBytesMaximum = 32 * 1024 * 1024;
const idleSeconds = 30;
const wholeSeconds = 120;

/** A client of one server, by its base URL; connections are kept for the next call. */
export function createHttpClient(serverUrl: string, agentVersion: string): HttpClient {
  const base = new URL(serverUrl);
  const secure = base.protocol === 'https:';
  const options = { keepAlive: true, maxSockets: 4, timeout: idleSeconds * 1000 };
  const pool = secure ? new https.Agent(options) : new http.Agent(options);
  const request = secure ? https.request : http.request;
  const prefix = base.pathname.replace(/\/+$/u, '');

  function once(path: string, text: string, bearer: string | null): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const unreachable = (why: string): AgentFailure =>
        new AgentFailure(
          'server_unreachable',
          `no answer from ${base.origin}: ${why}`,
          'Check that the server runs and that this host can reach it; the agent goes on trying.',
        );
      const outgoing = request(
        {
          agent: pool,
          protocol: base.protocol,
          hostname: base.hostname,
          port: base.port === '' ? (secure ? 443 : 80) : Number(base.port),
          method: 'POST',
          path: `${prefix}${path}`,
          headers: {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(text),
            'user-agent': `fixpoint-agent/${agentVersion}`,
            ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
          },
        },
        (answer) => {
          const chunks: Buffer[] = [];
          let bytes = 0;
          answer.on('data', (chunk: Buffer) => {
            bytes += chunk.length;
            if (bytes > answerBytesMaximum) outgoing.destroy(unreachable('the answer is too large'));
            else chunks.push(chunk);
          });
          answer.on('end', () => {
            clearTimeout(timer);
            resolve({ status: answer.statusCode ?? 0, body: parse(Buffer.concat(chunks).toString('utf8')) });
          });
          answer.on('error', (error) => {
            clearTimeout(timer);
            reject(unreachable(messageOf(error)));
          });
        },
      );
      const timer = setTimeout(() => {
        outgoing.destroy(unreachable(`it took longer than ${String(wholeSeconds)} s`));
      }, wholeSeconds * 1000);
      outgoing.on('timeout', () => {
        outgoing.destroy(unreachable(`silent for ${String(idleSeconds)} s`));
      });
      outgoing.on('error', (error) => {
        clearTimeout(timer);
        reject(error instanceof AgentFailure ? error : unreachable(messageOf(error)));
      });
      outgoing.end(text);
    });
  }

  return {
    post: (path, body, bearer) => once(path, JSON.stringify(body), bearer),
    close: () => {
      pool.destroy();
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether something answers there with 200 in time. Never throws. */
export function answersAt(url: string, seconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const outgoing = http.get(url, { agent: false, timeout: seconds * 1000 }, (answer) => {
      answer.resume();
      end(answer.statusCode === 200);
    });
    // not only until the connection stands: to the answer
    const timer = setTimeout(() => {
      end(false);
    }, seconds * 1000);
    const end = (answered: boolean): void => {
      clearTimeout(timer);
      resolve(answered);
      if (!answered) outgoing.destroy();
    };
    outgoing.on('error', () => {
      end(false);
    });
  });
}

/** Checks a server address that a person typed. */
export function readServerUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.username !== '') {
    throw new AgentFailure(
      'server_url_invalid',
      `${JSON.stringify(text)} is not the address of a server`,
      'Give --server as http://HOST:PORT or https://HOST:PORT.',
    );
  }
  return `${url.origin}${url.pathname.replace(/\/+$/u, '')}`;
}
