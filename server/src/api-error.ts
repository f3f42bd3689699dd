import type { Duplex } from 'node:stream';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { ApiError, Problem } from '@fixpoint/contract/error.ts';
import type { App } from './app.ts';
import type { Refusal } from './refusal.ts';
import { findUnstorableText } from './validation.ts';

/** A refusal on its way out of a route handler. */
export class RefusedError extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

function body(code: string, message: string, whatToDo: string, problems?: readonly Problem[]): ApiError {
  return {
    error: {
      code,
      message,
      what_to_do: whatToDo,
      ...(problems === undefined ? {} : { problems: [...problems] }),
    },
  };
}

/** Sends an ApiError past any response schema. */
function sendError(reply: FastifyReply, status: number, error: ApiError): FastifyReply {
  if (status === 401) void reply.header('www-authenticate', 'Bearer');
  return reply
    .code(status)
    .type('application/json; charset=utf-8')
    .serializer((value: unknown) => JSON.stringify(value))
    .send(error);
}

const sqlStateOf = (error: unknown): string | null =>
  typeof error === 'object' &&
  error !== null &&
  'code' in error &&
  typeof error.code === 'string' &&
  /^[0-9A-Z]{5}$/.test(error.code)
    ? error.code
    : null;

/** Text that PostgreSQL cannot hold, which came in through an address (bodies are checked when parsed). */
const unstorableTextStates = new Set(['22021', '22P05']);
/**
 * The server is starting, stopping, out of connections, at an import (55P03: a lock was not to be had in time), or two
 * transactions met: the same request may do better soon.
 */
const retryStates = /^(57P0[123]|08[0-9A-Z]{3}|53[0-9A-Z]{3}|55P03|40001|40P01)$/;

/**
 * Answers what never reaches a route, because it is no HTTP that could be read. The connection is closed: where the next
 * request would begin is not known.
 */
export function answerClientError(error: { readonly code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return void socket.destroy();
  const [status, answer] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ([
          '431 Request Header Fields Too Large',
          body('headers_too_large', 'the headers of the request are too large', 'send fewer or shorter ones'),
        ] as const)
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ([
            '408 Request Timeout',
            body('request_timeout', 'the request did not arrive in time', 'send it again'),
          ] as const)
        : ([
            '400 Bad Request',
            body('malformed_http', 'this is not HTTP that could be read', 'speak HTTP/1.1 to this port'),
          ] as const);
  const text = JSON.stringify(answer);
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  );
}

/** Answers a request that the router could not even look up: its address is not one. */
export function answerRouterError(request: FastifyRequest, reply: FastifyReply): void {
  void sendError(
    reply,
    400,
    body(
      'malformed_address',
      `the address is not one: ${request.url.slice(0, 200).toWellFormed()}`,
      'escape bytes of UTF-8 by %XX, and % itself as %25',
    ),
  );
}

/** Makes every error of the application an ApiError, and refuses JSON that cannot be stored. */
export function registerErrors(app: App): void {
  app.setErrorHandler((error: FastifyError, request, reply) => answerError(error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] ?? '';
    return sendError(
      reply,
      404,
      body(
        'not_found',
        `there is no ${request.method} ${path.slice(0, 200)}`,
        'openapi.json in the source lists every route',
      ),
    );
  });
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, text, done) => {
    void parseJson(request, text, (error, value: unknown) => {
      // Only an escape can say what is looked for here, so most bodies are not walked at all.
      const path = error === null && /\\u(0000|[dD][89a-fA-F])/.test(text) ? findUnstorableText(value) : null;
      if (path === null) return done(error, value);
      done(
        new RefusedError({
          ok: false,
          status: 400,
          code: 'malformed_json',
          message: `the text at ${path} holds a NUL character or half of a surrogate pair`,
          whatToDo: 'leave such characters out',
        }),
      );
    });
  });
}

function answerError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof RefusedError) {
    const { status, code, message, whatToDo, problems } = error.refusal;
    return sendError(reply, status, body(code, message, whatToDo, problems));
  }
  if (error.validation !== undefined) {
    const problems = error.validation.flatMap((problem) =>
      problemsOf(problem, error.validationContext ?? 'body'),
    );
    return sendError(
      reply,
      400,
      body(
        'validation_failed',
        problems.length === 1
          ? 'the request is wrong in one place'
          : `the request is wrong in ${problems.length} places`,
        'see problems; openapi.json in the source describes every request',
        problems,
      ),
    );
  }
  const status = error.statusCode ?? 500;
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return sendError(
        reply,
        413,
        body(
          'body_too_large',
          `the body is larger than the ${request.routeOptions.bodyLimit} bytes that this route takes`,
          'send less at once',
        ),
      );
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return sendError(
        reply,
        415,
        body(
          'unsupported_media_type',
          'this route does not take a body of that type',
          'send JSON with Content-Type: application/json',
        ),
      );
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return sendError(
        reply,
        400,
        body(
          'malformed_json',
          'the body is not JSON, or only part of it arrived',
          'send one complete JSON value',
        ),
      );
    default:
  }
  if (error instanceof SyntaxError && status === 400) {
    return sendError(
      reply,
      400,
      body(
        'malformed_json',
        'the body is not JSON that this server takes',
        'send plain JSON, without the keys __proto__ and constructor.prototype',
      ),
    );
  }
  if (status === 429) {
    return sendError(
      reply,
      429,
      body(
        'rate_limited',
        'too many requests from here',
        'wait for the seconds in the header retry-after and try again',
      ),
    );
  }
  if (status >= 400 && status < 500 && (error.code ?? '').startsWith('FST_')) {
    return sendError(
      reply,
      status,
      body(
        'bad_request',
        'the request is not one that this server understands',
        'openapi.json in the source describes every request',
      ),
    );
  }
  const sqlState = sqlStateOf(error);
  if (sqlState !== null && unstorableTextStates.has(sqlState)) {
    return sendError(
      reply,
      400,
      body('unstorable_text', 'the request holds a NUL character', 'leave such characters out'),
    );
  }
  if (sqlState !== null && retryStates.test(sqlState)) {
    request.log.warn({ err: error }, 'a request met a database that could not serve it');
    void reply.header('retry-after', '1');
    return sendError(
      reply,
      503,
      body(
        'unavailable',
        `the server cannot do this right now (request ${request.id})`,
        'try again in a moment',
      ),
    );
  }
  request.log.error({ err: error }, 'a request failed');
  return sendError(
    reply,
    500,
    body(
      'internal_error',
      `the server failed to do this (request ${request.id})`,
      'look for the request in the server’s log; report it if it repeats',
    ),
  );
}

/** One line per wrong place; typebox names additional properties together, a person wants each. */
function problemsOf(
  problem: {
    keyword: string;
    instancePath: string;
    params: Record<string, unknown>;
    message?: string | undefined;
  },
  context: string,
): Problem[] {
  const at = (path: string) => (context === 'body' ? path || '/' : `${context}${path}`);
  const message = problem.message ?? problem.keyword;
  // typebox's second word on an additional property, which has been told already.
  if (problem.keyword === 'boolean') return [];
  const listed = (name: string) => {
    const value = problem.params[name];
    return Array.isArray(value) ? value.map(String) : [];
  };
  if (problem.keyword === 'additionalProperties') {
    const extra = listed('additionalProperties').slice(0, 20);
    return extra.map((name) => ({
      path: at(`${problem.instancePath}/${name.slice(0, 100)}`),
      message: 'is not known here',
    }));
  }
  if (problem.keyword === 'required') {
    return listed('requiredProperties').map((name) => ({
      path: at(`${problem.instancePath}/${name}`),
      message: 'is missing',
    }));
  }
  if (problem.keyword === 'enum') {
    const allowed = listed('allowedValues');
    return [{ path: at(problem.instancePath), message: `must be one of: ${allowed.join(', ')}` }];
  }
  return [{ path: at(problem.instancePath), message }];
}
