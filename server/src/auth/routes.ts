import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import {
  EnrolmentTokenRequest,
  Me,
  Person,
  PersonRequest,
  SignInRequest,
  SignInResponse,
  Token,
  TokenCreated,
  TokenRequest,
} from '@fixpoint/contract/access.ts';
import { send, type Room } from '../app.ts';
import { refuse } from '../refusal.ts';
import {
  changePassword,
  createPerson,
  listPeople,
  removePerson,
  signIn,
  signOut,
} from './person-commands.ts';
import { createEnrolmentToken, createToken, listTokens, revokeToken } from './commands.ts';
import { sessionCookie, type Identity } from './guard.ts';
import { sessionHours } from './people.ts';

const PasswordRequest = Type.Object(
  {
    current_password: Type.String({ minLength: 1, maxLength: 256 }),
    new_password: Type.String({ minLength: 12, maxLength: 256 }),
  },
  { additionalProperties: false },
);
const id = Type.Object({ id: Type.String({ format: 'uuid' }) });
const tags = ['access'];

/** Who is at a route for people and tools. */
function personOrTool({ identity }: FastifyRequest): Exclude<Identity, { kind: 'agent' }> {
  if (identity === null || identity.kind === 'agent') throw new Error('the guard let an agent through');
  return identity;
}

export const routes: Room = (app, context) => {
  const cookie = (value: string, seconds: number) =>
    `${sessionCookie}=${encodeURIComponent(value)}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${seconds}` +
    (context.config.tls === null ? '' : '; Secure');

  app.post(
    '/api/v1/sign-in',
    {
      config: {
        permission: 'public',
        rateLimit: { max: context.config.signInsPerMinute, timeWindow: 60_000 },
      },
      bodyLimit: 16 * 1024,
      schema: { tags, summary: 'Open a session', body: SignInRequest, response: { 200: SignInResponse } },
    },
    async (request, reply) => {
      const signedIn = send(
        reply,
        await signIn(context, {
          ...request.body,
          userAgent: (request.headers['user-agent'] ?? '').slice(0, 256),
          address: request.ip,
        }),
      );
      void reply.header('set-cookie', cookie(signedIn.session, sessionHours * 3600));
      return signedIn;
    },
  );

  app.post(
    '/api/v1/sign-out',
    {
      config: { permission: 'signed_in' },
      schema: {
        tags,
        summary: 'End the session',
        response: { 200: Type.Object({ signed_out: Type.Literal(true) }) },
      },
    },
    async (request, reply) => {
      void reply.header('set-cookie', cookie('', 0));
      const identity = request.identity;
      if (identity?.kind !== 'person') return { signed_out: true as const };
      return send(reply, await signOut(context, identity.session));
    },
  );

  app.get(
    '/api/v1/me',
    { config: { permission: 'signed_in' }, schema: { tags, summary: 'Who one is', response: { 200: Me } } },
    async (request) => {
      const identity = personOrTool(request);
      return {
        kind: identity.kind,
        name: identity.actor.name,
        role: identity.kind === 'person' ? identity.role : null,
        permissions: [...identity.permissions],
      };
    },
  );

  app.get(
    '/api/v1/people',
    {
      config: { permission: 'people.write' },
      schema: {
        tags,
        summary: 'Everybody who can sign in',
        response: { 200: Type.Object({ items: Type.Array(Person) }) },
      },
    },
    async () => await listPeople(context),
  );
  app.post(
    '/api/v1/people',
    {
      config: { permission: 'people.write' },
      schema: { tags, summary: 'Let somebody sign in', body: PersonRequest, response: { 201: Person } },
    },
    async (request, reply) =>
      send(reply, await createPerson(context, personOrTool(request), request.body), 201),
  );

  app.delete(
    '/api/v1/people/:id',
    {
      config: { permission: 'people.write' },
      schema: {
        tags,
        summary: 'Remove somebody, and end their sessions',
        params: Type.Object({ id: Type.String({ maxLength: 64 }) }),
        response: { 200: Type.Object({ id: Type.String(), email: Type.String() }) },
      },
    },
    async (request, reply) =>
      send(reply, await removePerson(context, personOrTool(request), request.params.id)),
  );

  app.post(
    '/api/v1/me/password',
    {
      config: {
        permission: 'signed_in',
        rateLimit: { max: context.config.signInsPerMinute, timeWindow: 60_000 },
      },
      bodyLimit: 16 * 1024,
      schema: {
        tags,
        summary: 'Change one’s own password, and end one’s other sessions',
        body: PasswordRequest,
        response: { 200: Type.Object({ changed: Type.Literal(true) }) },
      },
    },
    async (request, reply) => {
      const identity = request.identity;
      if (identity?.kind !== 'person') {
        return send(
          reply,
          refuse(403, 'forbidden', 'a token has no password', 'sign in as the person whose password it is'),
        );
      }
      const { current_password: current, new_password: next } = request.body;
      return send(reply, await changePassword(context, identity, { current, next }));
    },
  );

  app.get(
    '/api/v1/tokens',
    {
      config: { permission: 'token.write' },
      schema: {
        tags,
        summary: 'All tokens, without their secrets',
        response: { 200: Type.Object({ items: Type.Array(Token) }) },
      },
    },
    async () => await listTokens(context, null),
  );
  app.post(
    '/api/v1/tokens',
    {
      config: { permission: 'token.write' },
      schema: {
        tags,
        summary: 'Make a token for a tool',
        body: TokenRequest,
        response: { 201: TokenCreated },
      },
    },
    async (request, reply) =>
      send(reply, await createToken(context, personOrTool(request), request.body), 201),
  );
  app.delete(
    '/api/v1/tokens/:id',
    {
      config: { permission: 'token.write' },
      schema: { tags, summary: 'Revoke a token', params: id, response: { 200: Token } },
    },
    async (request, reply) => send(reply, await revokeToken(context, request.actor, request.params.id, null)),
  );

  app.get(
    '/api/v1/enrolment-tokens',
    {
      config: { permission: 'enrolment.write' },
      schema: {
        tags,
        summary: 'Enrolment tokens',
        response: { 200: Type.Object({ items: Type.Array(Token) }) },
      },
    },
    async () => await listTokens(context, 'enrolment'),
  );
  app.post(
    '/api/v1/enrolment-tokens',
    {
      config: { permission: 'enrolment.write' },
      schema: {
        tags,
        summary: 'Make a token that hosts enrol with',
        body: EnrolmentTokenRequest,
        response: { 201: TokenCreated },
      },
    },
    async (request, reply) =>
      send(reply, await createEnrolmentToken(context, request.actor, request.body), 201),
  );
  app.delete(
    '/api/v1/enrolment-tokens/:id',
    {
      config: { permission: 'enrolment.write' },
      schema: { tags, summary: 'Revoke an enrolment token', params: id, response: { 200: Token } },
    },
    async (request, reply) =>
      send(reply, await revokeToken(context, request.actor, request.params.id, 'enrolment')),
  );
};
