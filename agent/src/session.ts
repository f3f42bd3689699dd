import type { Static, TSchema } from '@fixpoint/contract/schema.ts';
import { ChallengeResponse, SessionResponse } from '@fixpoint/contract/agent.ts';
import { ApiError } from '@fixpoint/contract/error.ts';
import { describeProblems, parseShape } from '@fixpoint/contract/parse.ts';
import { toIso, type Clock } from './clock.ts';
import { AgentFailure } from './failure.ts';
import type { HttpAnswer, HttpClient } from './http-client.ts';
import type { Identity } from './identity.ts';

/** Calls to the server as this asset. The session token lives in memory only, and is renewed before it ends or when refused. */

export type CallResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly status: number; readonly code: string; readonly message: string };

export interface Session {
  /** Throws AgentFailure on an outage: `server_unreachable`, `server_failed`, `answer_invalid`, `credentials_refused`. */
  call<S extends TSchema>(path: string, body: unknown, answer: S): Promise<CallResult<Static<S>>>;
  /** A token that is good for a while yet: what the distribution point takes as password. */
  token(): Promise<string>;
  /** How many calls have been answered, be it by a refusal: whoever compares two counts learns whether the server is there. */
  answers(): number;
}

/**
 * A token is renewed this long before its end, or at half of its life when that is shorter. A package manager that was given
 * one asks with it for as long as a step of a task may take (`preparationSeconds`), file after file.
 */
export const renewBeforeSeconds = 1_200;

export function createSession(
  client: HttpClient,
  identity: Identity,
  assetId: string,
  clock: Clock,
): Session {
  let current: { readonly token: string; readonly renewAt: number } | null = null;
  let opening: Promise<string> | null = null;
  let answers = 0;

  async function open(): Promise<string> {
    const challenge = read(
      await client.post('/agent/v1/challenge', { asset_id: assetId }, null),
      ChallengeResponse,
    );
    if (!challenge.ok) throw refused(challenge);
    const text = challenge.value.challenge;
    const opened = read(
      await client.post(
        '/agent/v1/session',
        {
          asset_id: assetId,
          challenge: text,
          signature: identity.sign(`fixpoint-session-v1\n${assetId}\n${text}`),
        },
        null,
      ),
      SessionResponse,
    );
    if (!opened.ok) throw refused(opened);
    const lifeSeconds = Math.max(0, (Date.parse(opened.value.expires_at) - clock.now()) / 1000);
    // By a clock that only goes forward; a host whose date is wrong renews when it is refused.
    const goodSeconds = Math.max(lifeSeconds / 2, lifeSeconds - renewBeforeSeconds);
    current = { token: opened.value.session, renewAt: clock.elapsedSeconds() + Math.max(goodSeconds, 5) };
    return current.token;
  }

  async function token(): Promise<string> {
    if (current !== null && clock.elapsedSeconds() < current.renewAt) return current.token;
    opening ??= open().finally(() => {
      opening = null;
    });
    return opening;
  }

  return {
    token,
    async call(path, body, answer) {
      const used = await token();
      let result = await client.post(path, body, used);
      if (result.status === 401) {
        // Another call may have renewed it meanwhile.
        if (current?.token === used) current = null;
        result = await client.post(path, body, await token());
      }
      const value = read(result, answer);
      answers++;
      return value;
    },
    answers: () => answers,
  };
}

function refused(answer: {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}): AgentFailure {
  return new AgentFailure(
    'credentials_refused',
    `the server does not accept this host: ${answer.message} (${answer.code})`,
    'If the asset was removed or revoked on purpose, stop the agent; otherwise enrol this host again.',
  );
}

/** Sorts an answer: a value of the shape, a refusal of the server's with its code, or an outage (thrown). */
export function read<S extends TSchema>(answer: HttpAnswer, schema: S): CallResult<Static<S>> {
  if (answer.status >= 500 || answer.status === 429 || answer.status === 408) {
    const error = parseShape(ApiError, answer.body);
    const said = error.ok ? `: ${error.value.error.message} (${error.value.error.code})` : '';
    throw new AgentFailure(
      'server_failed',
      `the server answered ${String(answer.status)}${said}`,
      'See the log of the server; the agent goes on trying.',
    );
  }
  if (answer.status >= 400) {
    const error = parseShape(ApiError, answer.body);
    return {
      ok: false,
      status: answer.status,
      code: error.ok ? error.value.error.code : 'unknown',
      message: error.ok ? error.value.error.message : `the server answered ${String(answer.status)}`,
    };
  }
  const value = parseShape(schema, answer.body);
  if (value.ok && answer.status < 300) return value;
  throw new AgentFailure(
    'answer_invalid',
    `the server's answer (${String(answer.status)}) is not of the protocol${value.ok ? '' : `: ${describeProblems(value.problems)}`}`,
    'Check the --server address, and that server and agent are of compatible versions.',
  );
}

/** The time as the contract wants it. */
export function timestamp(clock: Clock): string {
  return toIso(clock.now());
}
