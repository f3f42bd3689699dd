import { request as httpRequest } from 'node:http';
import { Type } from 'typebox';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildApp, routesOf, send, type Room } from './app.ts';
import { refuse } from './refusal.ts';
import { rooms } from './rooms.ts';
import { testApp, type TestApp } from './test-app.ts';

const Body = Type.Object(
  {
    name: Type.String({ minLength: 2 }),
    count: Type.Integer(),
    kind: Type.Optional(Type.Unsafe<'a' | 'b'>(Type.Enum(['a', 'b']))),
  },
  { additionalProperties: false },
);

/** Routes that only this test has, to see what the application does to all. */
const trial: Room = (app) => {
  app.post(
    '/trial',
    { config: { permission: 'job.write' }, schema: { body: Body } },
    async (request) => request.body,
  );
  app.get(
    '/trial',
    {
      config: { permission: 'read' },
      schema: {
        querystring: Type.Object(
          { limit: Type.Optional(Type.Integer({ maximum: 10, default: 3 })) },
          { additionalProperties: false },
        ),
      },
    },
    async (request) => ({ limit: request.query.limit, actor: request.actor }),
  );
  app.get('/trial/refused', { config: { permission: 'read' } }, async (_request, reply) =>
    send(reply, refuse(409, 'not_now', 'not now', 'wait')),
  );
  app.get('/trial/broken', { config: { permission: 'read' } }, async () => {
    throw new Error('the secret is hunter2');
  });
  app.get(
    '/trial/other',
    { config: { permission: 'read' }, schema: { response: { 200: Type.Object({ a: Type.Integer() }) } } },
    async () => {
      const wrong: { a: number } = JSON.parse('{"a": "no integer"}');
      return wrong;
    },
  );
};

const careless: Room = (app) => {
  app.get('/careless', async () => 'everything');
};

let test: TestApp;
let reader: { authorization: string };
let operator: { authorization: string };
beforeAll(async () => {
  test = await testApp([...rooms, trial]);
  reader = await test.bearer('viewer');
  operator = await test.bearer('operator');
});
afterAll(async () => await test.close());

describe('access', () => {
  /** Every route that answers a stranger anything but 401, and the least that a stranger has to send. */
  const open = new Set([
    'GET /',
    'HEAD /',
    'GET /health',
    'HEAD /health',
    'POST /api/v1/sign-in',
    'POST /agent/v1/enroll',
    'POST /agent/v1/challenge',
    'POST /agent/v1/session',
  ]);

  it('is refused without credentials on every route but the few that are for everybody', async () => {
    const listed = routesOf(test.app);
    expect(listed.length).toBeGreaterThan(15);
    for (const { method, url } of listed) {
      const route = `${method} ${url}`;
      const response = await test.app.inject({
        method,
        url: url.replaceAll(/:[a-z_]+/gi, '00000000-0000-4000-8000-000000000000').replaceAll('*', 'x'),
        ...(['POST', 'PUT', 'PATCH'].includes(method) ? { payload: {} } : {}),
      });
      if (open.has(route)) expect([200, 400, 401], route).toContain(response.statusCode);
      else expect(response.statusCode, route).toBe(401);
    }
  });

  it('needs a route to say who it is for', async () => {
    await expect(buildApp(test.context, { rooms: [careless] })).rejects.toThrow(
      'does not say who may call it',
    );
  });

  it.each([
    ['nothing', {}, 401, 'unauthenticated'],
    ['an unknown token', { authorization: `Bearer fxt_${'a'.repeat(43)}` }, 401, 'unauthenticated'],
    ['an unknown session', { authorization: 'Bearer abc.def' }, 401, 'unauthenticated'],
    ['another scheme', { authorization: 'Basic YWRtaW46YWRtaW4=' }, 401, 'unauthenticated'],
    [
      'an enrolment token',
      { authorization: `Bearer fxe_${'a'.repeat(43)}.${'b'.repeat(22)}` },
      401,
      'wrong_credentials',
    ],
    ['a broken cookie', { cookie: 'fixpoint_session=%E0%A4%A' }, 401, 'unauthenticated'],
  ])('is refused with %s', async (_what, headers, status, code) => {
    const response = await test.app.inject({ url: '/trial', headers });
    expect(response.statusCode).toBe(status);
    expect(response.json()).toMatchObject({ error: { code, what_to_do: expect.any(String) } });
    expect(response.headers['www-authenticate']).toBe('Bearer');
  });

  it('is refused where the permission is missing, and names it', async () => {
    const response = await test.app.inject({
      method: 'POST',
      url: '/trial',
      headers: reader,
      payload: { name: 'ab', count: 1 },
    });
    expect(response.statusCode).toBe(403);
    expect(response.json().error).toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('job.write'),
    });
  });

  it('is decided before the body is looked at', async () => {
    const response = await test.app.inject({
      method: 'POST',
      url: '/trial',
      headers: { 'content-type': 'application/json' },
      payload: '{',
    });
    expect(response.statusCode).toBe(401);
  });
});

describe('errors', () => {
  it('tell every problem of a request', async () => {
    const response = await test.app.inject({
      method: 'POST',
      url: '/trial',
      headers: operator,
      payload: { name: 'x', kind: 'c', extra: 1 },
    });
    expect(response.statusCode).toBe(400);
    const { error } = response.json();
    expect(error.code).toBe('validation_failed');
    expect(error.problems.map((problem: { path: string }) => problem.path).sort()).toEqual([
      '/count',
      '/extra',
      '/kind',
      '/name',
    ]);
    expect(error.problems.find((problem: { path: string }) => problem.path === '/kind').message).toBe(
      'must be one of: a, b',
    );
  });

  it('do not convert what is in a body, and drop nothing', async () => {
    const wrong = await test.app.inject({
      method: 'POST',
      url: '/trial',
      headers: operator,
      payload: { name: 'ab', count: '1' },
    });
    expect(wrong.statusCode).toBe(400);
    const right = await test.app.inject({
      method: 'POST',
      url: '/trial',
      headers: operator,
      payload: { name: 'ab', count: 1 },
    });
    expect(right.json()).toEqual({ name: 'ab', count: 1 });
  });

  it('stay small when a body is wrong in very many places', async () => {
    const many = Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`k${i}`, 0]));
    const response = await test.app.inject({
      method: 'POST',
      url: '/trial',
      headers: operator,
      payload: many,
    });
    expect(response.statusCode).toBe(400);
    expect(response.body.length).toBeLessThan(20_000);
  });

  it('convert and default what is in the address', async () => {
    expect((await test.app.inject({ url: '/trial?limit=7', headers: reader })).json()).toMatchObject({
      limit: 7,
      actor: { kind: 'token', name: 'test' },
    });
    expect((await test.app.inject({ url: '/trial', headers: reader })).json()).toMatchObject({ limit: 3 });
    const wrong = await test.app.inject({ url: '/trial?limit=11&x=1', headers: reader });
    expect(
      wrong
        .json()
        .error.problems.map((problem: { path: string }) => problem.path)
        .sort(),
    ).toEqual(['querystring/limit', 'querystring/x']);
  });

  it.each([
    ['an unfinished body', '{"name": "a', 400, 'malformed_json'],
    ['an empty body', '', 400, 'malformed_json'],
    ['a poisoned prototype', '{"__proto__": {"a": 1}}', 400, 'malformed_json'],
    ['a NUL character', '{"name": "a\\u0000", "count": 1}', 400, 'malformed_json'],
    ['half a surrogate pair', '{"name": "a\\ud800", "count": 1}', 400, 'malformed_json'],
    ['too much', `{"name": "${'a'.repeat(1024 * 1024)}"}`, 413, 'body_too_large'],
  ])('for %s', async (_what, payload, status, code) => {
    const response = await test.app.inject({
      method: 'POST',
      url: '/trial',
      headers: { ...operator, 'content-type': 'application/json' },
      payload,
    });
    expect(response.statusCode).toBe(status);
    expect(response.json()).toMatchObject({
      error: { code, message: expect.any(String), what_to_do: expect.any(String) },
    });
  });

  it('take an escaped backslash for what it is', async () => {
    const response = await test.app.inject({
      method: 'POST',
      url: '/trial',
      headers: { ...operator, 'content-type': 'application/json' },
      payload: '{"name": "\\\\u0000", "count": 1}',
    });
    expect(response.json()).toEqual({ name: '\\u0000', count: 1 });
  });

  it('for another type of body', async () => {
    const response = await test.app.inject({
      method: 'POST',
      url: '/trial',
      headers: { ...operator, 'content-type': 'text/xml' },
      payload: '<a/>',
    });
    expect(response.statusCode).toBe(415);
    expect(response.json().error.code).toBe('unsupported_media_type');
  });

  it('for an unknown route, a refusal of a command, and a failure of the server', async () => {
    const unknown = await test.app.inject({ url: '/api/v1/nothing?secret=1', headers: reader });
    expect(unknown.statusCode).toBe(404);
    expect(unknown.json().error).toMatchObject({
      code: 'not_found',
      message: 'there is no GET /api/v1/nothing',
    });
    const refused = await test.app.inject({ url: '/trial/refused', headers: reader });
    expect(refused.statusCode).toBe(409);
    expect(refused.json()).toEqual({ error: { code: 'not_now', message: 'not now', what_to_do: 'wait' } });
    const broken = await test.app.inject({ url: '/trial/broken', headers: reader });
    expect(broken.statusCode).toBe(500);
    expect(broken.body).not.toContain('hunter2');
    expect(broken.json().error).toMatchObject({
      code: 'internal_error',
      message: expect.stringContaining(String(broken.headers['x-request-id'])),
    });
  });

  it('when an answer is not what its schema says (in tests only)', async () => {
    expect((await test.app.inject({ url: '/trial/other', headers: reader })).statusCode).toBe(500);
  });

  it('when a body ends before it said, over a real connection', async () => {
    await test.app.listen({ host: '127.0.0.1', port: 0 });
    const address = test.app.server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const status = await new Promise<number>((resolve, reject) => {
      const call = httpRequest(
        {
          host: '127.0.0.1',
          port,
          path: '/trial',
          method: 'POST',
          headers: { ...operator, 'content-type': 'application/json', 'content-length': 10 },
        },
        (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        },
      );
      call.on('error', reject);
      call.end('{"name":1}'.slice(0, 10));
    });
    expect(status).toBe(400);
  });
});

describe('what is open', () => {
  it('says what this is, without scripts or version', async () => {
    const response = await test.app.inject({ url: '/' });
    expect(response.headers['content-type']).toContain('text/html');
    expect(response.headers['content-security-policy']).toContain("default-src 'none'");
    expect(response.body).toContain('fixpoint');
    expect(response.body).not.toContain('<script');
  });

  it('says that it works', async () => {
    const response = await test.app.inject({ url: '/health' });
    expect(response.statusCode).toBe(200);
    expect(response.json().status).toBe('ok');
  });
});
