import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyServerOptions,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify';
import type { Permission } from '@fixpoint/contract/access.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { KnownAgents } from './asset/known-agents.ts';
import { routes as landing } from './landing.ts';
import { answerClientError, answerRouterError, registerErrors, RefusedError } from './api-error.ts';
import { serializeChecked, serializeJson, validate } from './validation.ts';
import { registerGuard, type AgentIdentity, type Identity } from './auth/guard.ts';
import type { ServerKeys } from './auth/keys.ts';
import type { Config } from './config.ts';
import type { Context } from './context.ts';
import type { TaskWatch } from './deployment/task-watch.ts';
import type { Posture } from './posture/posture.ts';
import type { Answer } from './refusal.ts';
import { registerTransactionHeaders } from './transaction-header.ts';
import { version } from './version.ts';

/** What the commands of a server are given: the context of every command, with the server's keys, configuration and read model. */
export interface ServerContext extends Context {
  readonly keys: ServerKeys;
  readonly config: Config;
  /** The read model: whatever selects, counts or ranks assets and findings. */
  readonly posture: Posture;
  /** Agents that have nothing new, so that they cost no question to the database. */
  readonly knownAgents: KnownAgents;
  /** Which tasks somebody watches, here or at another server. */
  readonly taskWatch: TaskWatch;
}

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** One room's routes. Each is registered in a scope of its own, so a content type parser of one room is not another's. */
export type Room = (app: App, context: ServerContext) => void | Promise<void>;

/**
 * Who a route is for: people and tools with a permission; `signed_in`: any person or tool; `agent`: an agent's session;
 * `public`: anybody. A route that does not say fails at start-up.
 */
export type RouteAccess = Permission | 'signed_in' | 'agent' | 'public';

declare module 'fastify' {
  interface FastifyContextConfig {
    permission?: RouteAccess;
  }
  interface FastifyRequest {
    /** Null on public routes. */
    identity: Identity | null;
    /** Who acts; throws on a public route, where nobody has said who they are. */
    readonly actor: Actor;
    /** The agent that calls; throws on a route that is not for agents. */
    readonly agent: AgentIdentity;
  }
}

export interface AppOptions {
  readonly rooms: readonly Room[];
  /** Checks every answer against its schema and fails when it differs; for tests. */
  readonly checkResponses?: boolean;
  readonly tls?: { readonly cert: string; readonly key: string };
}

const oneMebibyte = 1024 * 1024;

/** Builds the HTTP application. It neither listens nor starts background work. */
export async function buildApp(context: ServerContext, options: AppOptions): Promise<App> {
  const { config } = context;
  const serverOptions: FastifyServerOptions = {
    loggerInstance: context.log,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => context.random.uuid(),
    // An identifier that a caller chose could be another request's.
    requestIdHeader: false,
    bodyLimit: oneMebibyte,
    requestTimeout: 300_000,
    trustProxy: config.trustedProxies.length > 0 ? [...config.trustedProxies] : false,
    // Identifiers of patches in a path: ecosystem, package and version.
    routerOptions: { maxParamLength: 1024, ignoreTrailingSlash: true },
    // The same JSON parser everywhere refuses __proto__; see validation.ts for what else it refuses.
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    clientErrorHandler: answerClientError,
    frameworkErrors: (_error, request, reply) => answerRouterError(request, reply),
    ...(options.tls === undefined ? {} : { https: { ...options.tls, minVersion: 'TLSv1.2' } }),
  };
  // The type of an HTTPS instance differs in the type of its socket only, which no room looks at.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const app = Fastify(serverOptions) as unknown as App;

  app.setValidatorCompiler(validate);
  app.setSerializerCompiler(options.checkResponses === true ? serializeChecked : serializeJson);
  registerErrors(app);
  registerGuard(app, context);
  registerTransactionHeaders(app, context);

  await app.register(helmet, {
    hsts: options.tls !== undefined,
    contentSecurityPolicy: {
      directives: {
        'default-src': ["'none'"],
        'style-src': ["'unsafe-inline'"],
        'upgrade-insecure-requests': null,
      },
    },
  });
  await app.register(rateLimit, {
    // Per caller: the person, token or asset when it has shown who it is, else its address.
    max: 12_000,
    timeWindow: 60_000,
    cache: 20_000,
    keyGenerator: (request) =>
      request.identity === null
        ? request.ip
        : `${request.identity.actor.kind} ${request.identity.actor.name}`,
  });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Fixpoint',
        version,
        description:
          'Detect, correlate, prioritise, deploy, verify. People and tools use `/api/v1`, agents `/agent/v1`. ' +
          'Every refusal has the body `{ error: { code, message, what_to_do, problems? } }`. ' +
          'A change is answered with the header `fixpoint-transaction`; sent back as `fixpoint-at-least`, it makes a request ' +
          'wait until what it reads has that change in it (503 `not_yet` when that takes too long).',
      },
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            description: 'A session, a tool token or an agent session',
          },
          cookie: { type: 'apiKey', in: 'cookie', name: 'fixpoint_session' },
        },
      },
    },
  });
  const known: KnownRoute[] = [];
  knownRoutes.set(app, known);
  app.addHook('onRoute', (route) => {
    if (route.config?.permission === undefined) {
      throw new Error(
        `${String(route.method)} ${route.url} does not say who may call it (config.permission)`,
      );
    }
    const access = route.config.permission;
    for (const method of methods) {
      if ([route.method].flat().includes(method)) known.push({ method, url: route.url, access });
    }
    route.schema = {
      ...route.schema,
      security:
        access === 'public' ? [] : access === 'agent' ? [{ bearer: [] }] : [{ bearer: [] }, { cookie: [] }],
    };
  });
  app.addHook('onSend', async (request, reply) => {
    void reply.header('x-request-id', request.id);
    // Answers hold the state of a fleet; nothing in between keeps them.
    if (!reply.hasHeader('cache-control')) void reply.header('cache-control', 'no-store');
  });
  app.addHook('onResponse', async (request, reply) => {
    const level =
      reply.statusCode >= 500
        ? 'error'
        : request.method === 'GET' || request.identity?.kind === 'agent'
          ? 'debug'
          : 'info';
    request.log[level](
      {
        method: request.method,
        route: request.routeOptions.url ?? null,
        status: reply.statusCode,
        milliseconds: Math.round(reply.elapsedTime * 10) / 10,
        caller: request.identity === null ? request.ip : request.identity.actor.name,
      },
      'request',
    );
  });
  for (const room of [landing, ...options.rooms]) {
    await app.register(async (scope) => {
      await room(scope, context);
    });
  }
  return app;
}

type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS';
const methods: readonly Method[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

export interface KnownRoute {
  readonly method: Method;
  /** With its parameters: `/api/v1/tokens/:id`. */
  readonly url: string;
  readonly access: RouteAccess;
}
const knownRoutes = new WeakMap<App, KnownRoute[]>();

/** Every route of an application that is built, and whom it is for. */
export function routesOf(app: App): readonly KnownRoute[] {
  return knownRoutes.get(app) ?? [];
}

/**
 * Turns a command's answer into the response: its value with the status, or the refusal as an ApiError. Use as
 * `return send(reply, await command(…))`; a refusal leaves the handler here.
 */
export function send<T>(reply: FastifyReply, answer: Answer<T>, status: 200 | 201 | 202 = 200): T {
  if (!answer.ok) throw new RefusedError(answer);
  void reply.code(status);
  return answer.value;
}
