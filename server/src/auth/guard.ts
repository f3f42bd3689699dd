import type { FastifyRequest } from 'fastify';
import { permissionsOfRole, type Permission, type Role } from '@fixpoint/contract/access.ts';
import type { AgentMode } from '@fixpoint/contract/agent.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { RefusedError } from '../api-error.ts';
import type { App, RouteAccess, ServerContext } from '../app.ts';
import { agentOfAsset } from '../asset/agent.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { readAgentSession } from './agent-session.ts';
import { sessionPerson } from './people.ts';
import { toolOfSecret } from './tokens.ts';

/** The agent behind a request. */
export interface AgentIdentity {
  readonly assetId: number;
  readonly uid: string;
  readonly mode: AgentMode;
}

export type Identity =
  | {
      readonly kind: 'person';
      readonly actor: Actor;
      readonly permissions: readonly Permission[];
      readonly role: Role;
      readonly name: string;
      /** The session, as the person sent it. */
      readonly session: string;
    }
  | { readonly kind: 'token'; readonly actor: Actor; readonly permissions: readonly Permission[] }
  | { readonly kind: 'agent'; readonly actor: Actor; readonly agent: AgentIdentity };

export const sessionCookie = 'fixpoint_session';

const unauthenticated = (whatToDo: string) =>
  refuse(
    401,
    'unauthenticated',
    'this needs credentials, and none that are known came with the request',
    whatToDo,
  );

/**
 * Lets a request through to its route when whoever sends it may use that route. It runs before the body is read, so a
 * stranger cannot make the server parse anything.
 */
export function registerGuard(app: App, context: ServerContext): void {
  app.decorateRequest('identity', null);
  app.decorateRequest('actor', {
    getter(this: FastifyRequest): Actor {
      if (this.identity === null) throw new Error('a public route has no actor');
      return this.identity.actor;
    },
  });
  app.decorateRequest('agent', {
    getter(this: FastifyRequest): AgentIdentity {
      if (this.identity?.kind !== 'agent') throw new Error('only an agent’s route has an agent');
      return this.identity.agent;
    },
  });
  app.addHook('onRequest', async (request) => {
    const access = request.routeOptions.config.permission;
    // The handler of unknown routes is not a route: it says 404 to everybody.
    if (request.is404) return;
    if (access === undefined) throw new Error('a route without access was registered');
    const refusal = refusedOrigin(request, access);
    if (refusal !== null) throw new RefusedError(refusal);
    if (access === 'public') return;
    const identity =
      access === 'agent' ? await agentOf(context, request) : await personOrTool(context, request);
    if (!identity.ok) throw new RefusedError(identity);
    request.identity = identity.value;
    if (access === 'agent' || access === 'signed_in') return;
    if (identity.value.kind !== 'agent' && !identity.value.permissions.includes(access)) {
      throw new RefusedError(
        refuse(
          403,
          'forbidden',
          `${identity.value.actor.name} may not do this: it needs the permission ${access}`,
          'ask an administrator for a role, or a token, that has it',
        ),
      );
    }
  });
}

const bearerOf = (request: FastifyRequest): string | null =>
  /^Bearer ([\x21-\x7e]{1,2048})$/i.exec(request.headers.authorization ?? '')?.[1] ?? null;

function cookieOf(request: FastifyRequest): string | null {
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const [name, value] = pair.trim().split('=', 2);
    if (name === sessionCookie && value !== undefined && value !== '') return decodeCookie(value);
  }
  return null;
}

function decodeCookie(value: string): string | null {
  try {
    return decodeURIComponent(value);
  } catch {
    return null;
  }
}

/**
 * Cross-site request forgery: a browser sends cookies by itself, so whatever changes something and comes with a cookie,
 * and signing in, which sets one, must come from a page of this server. Browsers say so in Sec-Fetch-Site or Origin. What
 * brings its credentials in Authorization cannot be forged this way.
 */
function refusedOrigin(request: FastifyRequest, access: RouteAccess) {
  if (['GET', 'HEAD', 'OPTIONS'].includes(request.method) || access === 'agent') return null;
  const site = request.headers['sec-fetch-site'];
  const origin = request.headers.origin;
  const byCookie = request.headers.authorization === undefined && cookieOf(request) !== null;
  if (site === undefined && origin === undefined && !byCookie) return null;
  if (request.headers.authorization !== undefined) return null;
  const sameOrigin =
    site === undefined ? origin !== undefined && isOwnOrigin(origin, request.host) : site === 'same-origin';
  return sameOrigin
    ? null
    : refuse(
        403,
        'cross_origin',
        'a change that relies on the cookie must come from a page of this server',
        'send the session as "Authorization: Bearer …" instead',
      );
}

/** The host of an Origin header is this one; a port that goes without saying may be said on one side only. */
function isOwnOrigin(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, host: theirs } = new URL(origin);
  const own = `${protocol}//${host}`;
  return URL.canParse(own) && theirs !== '' && new URL(own).host === theirs;
}

async function personOrTool(context: ServerContext, request: FastifyRequest): Promise<Answer<Identity>> {
  // Whoever sends Authorization means it: refusedOrigin trusts that the cookie is not used then.
  const secret = request.headers.authorization === undefined ? cookieOf(request) : bearerOf(request);
  const howTo =
    'sign in (fixpoint login, POST /api/v1/sign-in) or send a tool token as "Authorization: Bearer …"';
  if (secret === null) return unauthenticated(howTo);
  if (secret.startsWith('fxt_')) return await toolOfSecret(context, secret);
  if (/^fx[a-z][._]/.test(secret)) {
    return refuse(
      401,
      'wrong_credentials',
      'these are an agent’s or an enrolment’s credentials, which open no route for people',
      howTo,
    );
  }
  const person = await sessionPerson(context, secret);
  if (person === null) return unauthenticated(howTo);
  return {
    ok: true,
    value: {
      kind: 'person',
      actor: { kind: 'person', name: person.email },
      permissions: permissionsOfRole[person.role],
      role: person.role,
      name: person.name,
      session: secret,
    },
  };
}

async function agentOf(context: ServerContext, request: FastifyRequest): Promise<Answer<Identity>> {
  const session = bearerOf(request);
  if (session === null)
    return unauthenticated('open a session by POST /agent/v1/challenge and /agent/v1/session');
  return await agentOfSession(context, session);
}

async function agentOfSession(
  context: ServerContext,
  session: string,
): Promise<Answer<Identity & { kind: 'agent' }>> {
  const whatToDo = 'open a session by POST /agent/v1/challenge and /agent/v1/session';
  const read = readAgentSession(context.keys, context, session);
  if (read.state === 'unknown') return unauthenticated(whatToDo);
  if (read.state === 'expired') return refuse(401, 'session_expired', 'the session is over', whatToDo);
  const mode = context.knownAgents.modeOf(read.assetId, read.uid);
  if (mode !== null) return agentIdentity({ assetId: read.assetId, uid: read.uid, mode });
  const agent = await agentOfAsset(context.db, read.assetId);
  if (agent === null || agent.uid !== read.uid) return unauthenticated('enrol this host');
  if (agent.retiredAt !== null) {
    return refuse(
      401,
      'asset_retired',
      'this host is retired from Fixpoint',
      'enrol it again if it should be managed',
    );
  }
  return agentIdentity({ assetId: agent.assetId, uid: agent.uid, mode: agent.mode });
}

function agentIdentity(agent: AgentIdentity): Answer<Identity & { kind: 'agent' }> {
  return answer({ kind: 'agent', actor: { kind: 'agent', name: agent.uid }, agent });
}

/**
 * The agent of HTTP Basic credentials `ASSET_ID:SESSION`, as a proxy gets them in Proxy-Authorization (package managers
 * can send nothing else); null for anything that is not a valid session of that asset.
 */
export async function agentFromBasic(
  context: ServerContext,
  header: string | undefined,
): Promise<AgentIdentity | null> {
  const encoded = /^Basic ([A-Za-z0-9+/_=-]{1,4096})$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return null;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 0) return null;
  const identity = await agentOfSession(context, text.slice(colon + 1));
  return identity.ok && identity.value.agent.uid === text.slice(0, colon) ? identity.value.agent : null;
}
