/** The only place of the command line that uses the network. */
import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { ApiError, type Problem } from '@fixpoint/contract/error.ts';
import { version } from './version.ts';
import type { Connection } from './connection.ts';
import { exitCodes } from './exit-codes.ts';
import { Failure, type FailureProblem } from './failure.ts';
import { codeOf } from './output/stream.ts';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Call {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly query?: Query;
  readonly json?: unknown;
  /** A body that is not JSON, streamed. */
  readonly body?: ReadableStream<Uint8Array>;
  readonly timeoutSeconds?: number;
  readonly signal?: AbortSignal;
}

/**
 * Asks the server and checks the answer against its schema.
 *
 * @throws Failure with the server's own code, message and advice when it refuses; `unreachable` when it does not answer
 */
export async function ask<Schema extends TSchema>(
  to: Connection,
  path: string,
  schema: Schema,
  call: Call = {},
): Promise<Static<Schema>> {
  const response = await send(to, path, call);
  const text = await readBody(to, response);
  const value = parse(to, response, text);
  if (Value.Check(schema, value)) return value;
  const [first] = Value.Errors(schema, value);
  throw new Failure(
    exitCodes.unreachable,
    'answer_not_understood',
    `the answer of ${to.server} to ${path} is not of the expected form (${first?.instancePath ?? ''} ${first?.message ?? ''})`,
    `Use the fixpoint command of the same version as the server; this one is ${version}.`,
  );
}

/** The same for an answer without content. */
export async function tell(to: Connection, path: string, call: Call): Promise<void> {
  const response = await send(to, path, call);
  await readBody(to, response);
}

/** The same for an answer that is too long to hold: its bytes as they come. */
export async function stream(
  to: Connection,
  path: string,
  call: Call = {},
): Promise<ReadableStream<Uint8Array>> {
  const response = await send(to, path, call);
  return response.body ?? new ReadableStream();
}

async function send(to: Connection, path: string, call: Call): Promise<Response> {
  const url = new URL(path, to.server);
  for (const [name, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const headers: Record<string, string> = { accept: 'application/json', 'user-agent': `fixpoint/${version}` };
  if (to.credential !== null) headers['authorization'] = `Bearer ${to.credential}`;
  const timeout = AbortSignal.timeout((call.timeoutSeconds ?? 60) * 1000);
  const signal = call.signal === undefined ? timeout : AbortSignal.any([timeout, call.signal]);
  let body: { body?: string | ReadableStream<Uint8Array>; duplex?: 'half' } = {};
  if (call.json !== undefined) {
    headers['content-type'] = 'application/json';
    body = { body: JSON.stringify(call.json) };
  } else if (call.body !== undefined) {
    headers['content-type'] = 'application/octet-stream';
    body = { body: call.body, duplex: 'half' };
  }
  let response: Response;
  try {
    response = await fetch(url, {
      method: call.method ?? 'GET',
      headers,
      signal,
      redirect: 'error',
      ...body,
    });
  } catch (error) {
    if (call.signal?.aborted === true) throw error;
    throw unreachable(to, timeout.aborted ? 'it did not answer in time' : reasonOf(error));
  }
  if (response.ok) return response;
  throw refused(to, response, await readBody(to, response), call);
}

async function readBody(to: Connection, response: Response): Promise<string> {
  try {
    return await response.text();
  } catch (error) {
    throw unreachable(to, `the answer broke off: ${reasonOf(error)}`);
  }
}

function parse(to: Connection, response: Response, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw notFixpoint(to, response);
  }
}

function refused(to: Connection, response: Response, text: string, call: Call): Failure {
  const value = parse(to, response, text);
  if (!Value.Check(ApiError, value)) return notFixpoint(to, response);
  const { code, message, what_to_do: whatToDo, problems } = value.error;
  if (response.status === 401) {
    const advice =
      to.credential === null && to.credentialFrom === 'nowhere'
        ? "Sign in with fixpoint login, or give --token. On the server's own machine, run as the account that started it."
        : `${whatToDo} (The credentials came from ${to.credentialFrom}.)`;
    return new Failure(exitCodes.authentication, code, message, advice);
  }
  const placed = (problems ?? []).map((problem) => withText(problem, call));
  return new Failure(exitCodes.refused, code, message, whatToDo, placed);
}

/** A problem at a place in a text, with that text out of the request, so that it can be shown. */
function withText(problem: Problem, { query, json }: Call): FailureProblem {
  if (problem.at === undefined) return problem;
  const [first, ...rest] = problem.path.split('/');
  let text: unknown = first === 'querystring' ? query : json;
  for (const name of rest) {
    text =
      typeof text === 'object' && text !== null
        ? Object.entries(text).find(([key]) => key === name)?.[1]
        : undefined;
  }
  return typeof text === 'string' ? { ...problem, text } : problem;
}

function notFixpoint(to: Connection, response: Response): Failure {
  return new Failure(
    exitCodes.unreachable,
    'not_fixpoint',
    `what answers at ${to.server} is not a Fixpoint server (HTTP ${String(response.status)})`,
    'Check --server or FIXPOINT_SERVER.',
  );
}

function unreachable(to: Connection, reason: string): Failure {
  return new Failure(
    exitCodes.unreachable,
    'unreachable',
    `the server ${to.server} cannot be reached: ${reason}`,
    'Start it with fixpoint up, or name another one with --server or FIXPOINT_SERVER.',
  );
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'its name cannot be resolved',
  ECONNRESET: 'the connection was cut',
  ETIMEDOUT: 'it did not answer in time',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed; name the authority with NODE_EXTRA_CA_CERTS',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is not of a known authority; name it with NODE_EXTRA_CA_CERTS',
  CERT_HAS_EXPIRED: 'its certificate has expired',
};

function reasonOf(error: unknown): string {
  let last = String(error);
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = codeOf(cause) || (cause instanceof AggregateError ? codeOf(cause.errors[0]) : '');
    if (code !== '') return reasons[code] ?? code;
    last = cause.message;
  }
  return last;
}
