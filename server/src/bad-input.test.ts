// Longer than 400 lines because every kind of bad input is thrown at the same server, which takes long to make.
/**
 * Bad input at every route of the API: whatever comes, the answer is a clear ApiError, never a failure of the server,
 * never an internal detail, and nothing in the database has changed.
 *
 * Wrong token and oversized body are below; malformed feed, truncated inventory, absurd versions and unknown release in
 * bad-data.test.ts.
 */
import { connect } from 'node:net';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiError } from '@fixpoint/contract/error.ts';
import { routesOf } from './app.ts';
import {
  addressOf,
  badInputTarget,
  bodies,
  bundleRoute,
  digest,
  expectApiError,
  importRoute,
  named,
  type Headers,
  type Target,
} from './bad-input-double.ts';

/** What is read of the description of the API. */
const Described = Type.Object({
  paths: Type.Record(
    Type.String(),
    Type.Object({
      get: Type.Optional(
        Type.Object({
          parameters: Type.Optional(Type.Array(Type.Object({ in: Type.String(), name: Type.String() }))),
        }),
      ),
    }),
  ),
});

let target: Target;
beforeAll(async () => {
  target = await badInputTarget();
});
afterAll(async () => await target.close());

describe('the list of routes', () => {
  it('has a right body for every route that takes one', () => {
    const taking = routesOf(target.app)
      .filter(({ method }) => !['GET', 'HEAD', 'OPTIONS'].includes(method))
      .map(named);
    const without = [
      importRoute,
      bundleRoute,
      'POST /api/v1/feeds/:id/sync',
      'DELETE /api/v1/feed-bundle/keys/:key',
      'POST /api/v1/sign-out',
      'DELETE /api/v1/people/:id',
      'DELETE /api/v1/tokens/:id',
      'DELETE /api/v1/enrolment-tokens/:id',
      'DELETE /api/v1/tags/:name',
      'DELETE /api/v1/calendars/:name',
      'DELETE /api/v1/criticality-rules/:id',
      'DELETE /api/v1/distribution-points/:id',
      'DELETE /api/v1/reports/:id',
      'POST /api/v1/jobs/:id/preview',
      'POST /api/v1/jobs/:id/archive',
      'POST /api/v1/alerts/:id/acknowledge',
    ];
    expect([...Object.keys(bodies), ...without].sort()).toEqual(taking.sort());
  });
});

describe('a body', () => {
  const json = { 'content-type': 'application/json' };
  const texts: readonly (readonly [what: string, text: string])[] = [
    ['nothing', ''],
    ['half an object', '{"name": "x"'],
    ['no JSON', 'name=x'],
    ['two values', '{}{}'],
    ['a list', '[]'],
    ['null', 'null'],
    ['text', '"x"'],
    ['a number that is too large', '1e999'],
    ['nothing that is needed', '{}'],
    ['only what is unknown', '{"no_such_field": 1}'],
    ['a prototype', '{"__proto__": {"admin": true}}'],
    ['a constructor', '{"constructor": {"prototype": {"admin": true}}}'],
    ['a NUL character', '{"name": "a\\u0000b"}'],
    ['a NUL character in a key', '{"a\\u0000b": 1}'],
    ['half of a surrogate pair', '{"name": "\\ud800"}'],
    [
      'bytes that are no UTF-8',
      Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]).toString('latin1'),
    ],
    ['a thousand levels', `${'{"a":'.repeat(1000)}1${'}'.repeat(1000)}`],
    [
      'an XML document',
      '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    ],
  ];

  it.each(texts)('of %s is refused at every route', async (what, text) => {
    await target.changesNothing(async () => {
      for (const route of target.routesWithBody()) {
        // A start may come without a digest and a reason.
        if (named(route) === 'POST /api/v1/jobs/:id/start' && text === '{}') continue;
        const response = await target.app.inject({
          method: route.method,
          url: addressOf(route.url),
          headers: { ...target.headersFor(route), ...json },
          payload: Buffer.from(text, 'latin1'),
        });
        expectApiError(response, `${named(route)} with ${what}`);
      }
    });
  });

  it('of another media type is refused at every route', async () => {
    await target.changesNothing(async () => {
      for (const route of target.routesWithBody()) {
        for (const type of [
          'text/xml',
          'application/x-www-form-urlencoded',
          'multipart/form-data',
          'nonsense',
        ]) {
          const response = await target.app.inject({
            method: route.method,
            url: addressOf(route.url),
            headers: { ...target.headersFor(route), 'content-type': type },
            payload: 'a=b',
          });
          expectApiError(response, `${named(route)} as ${type}`);
        }
      }
    });
  });

  it('that is oversized is refused at every route before it is read', async () => {
    await target.changesNothing(async () => {
      for (const route of target.routesWithBody()) {
        const response = await target.app.inject({
          method: route.method,
          url: addressOf(route.url),
          headers: { ...target.headersFor(route), ...json, 'content-length': String(20 * 1024 ** 2) },
          payload: '{}',
        });
        // a point near the hosts has a secret of its own, which is asked for first
        const code = route.url.startsWith('/point/') ? 'wrong_credentials' : 'body_too_large';
        expect(expectApiError(response, named(route)), named(route)).toBe(code);
      }
      const huge = await target.app.inject({
        method: 'POST',
        url: '/api/v1/feeds/epss/import',
        headers: { ...target.credentials.administrator, 'content-length': String(3 * 1024 ** 3) },
        payload: 'x',
      });
      expect(expectApiError(huge, importRoute)).toBe('body_too_large');
    });
  });

  /** Values that no place of any body takes; `null`, true and 0 only where something else stands. */
  const absurd: readonly unknown[] = [
    -1.5,
    1e308,
    Number.MAX_SAFE_INTEGER,
    '\0',
    'a\0b',
    '\ud800',
    'x'.repeat(30_000),
    [[]],
    [null],
    { a: { b: [] } },
    true,
    null,
  ];

  function* places(value: unknown, path: readonly (string | number)[] = []): Generator<(string | number)[]> {
    if (path.length > 0) yield [...path];
    if (typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      yield* places(inner, [...path, Array.isArray(value) ? Number(key) : key]);
    }
  }

  function replaced(value: unknown, path: readonly (string | number)[], by: unknown): unknown {
    const [key, ...rest] = path;
    if (key === undefined) return by;
    if (Array.isArray(value)) {
      const list: readonly unknown[] = value;
      return list.map((inner, i) => (i === key ? replaced(inner, rest, by) : inner));
    }
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [name, name === key ? replaced(inner, rest, by) : inner]),
    );
  }

  /** Where such a value is allowed. */
  const allowed = new Set([
    'POST /agent/v1/refusals /task_id null',
    'POST /agent/v1/inventory /host/reboot_required true',
    // What deleting it would do.
    'POST /api/v1/tags/preview /definition null',
    'POST /api/v1/calendars /everywhere true',
  ]);

  it('with an absurd value in any place is refused, at every route', async () => {
    for (const route of target.routesWithBody()) {
      const body = bodies[named(route)]?.() ?? {};
      await target.changesNothing(async () => {
        for (const path of places(body)) {
          for (const value of absurd) {
            const place = `${named(route)} /${path.join('/')} ${JSON.stringify(value).slice(0, 40)}`;
            if (allowed.has(place)) continue;
            const response = await target.app.inject({
              method: route.method,
              url: addressOf(route.url),
              headers: target.headersFor(route),
              payload: JSON.stringify(replaced(body, path, value)),
            });
            expectApiError(response, place);
          }
        }
      });
    }
  }, 120_000);
});

describe('an address', () => {
  const parts: readonly string[] = [
    '%00',
    'a%00b',
    '%ED%A0%80',
    '%FF',
    '..%2F..%2Fetc%2Fpasswd',
    '%27%3B%20drop%20table%20asset%3B--',
    '99999999999999999999',
    '-1',
    'x'.repeat(900),
    'x'.repeat(3000),
    '%C3%A9%F0%9F%92%A9',
    '%25',
    '*',
  ];

  it('with an absurd part is refused, at every route that has one', async () => {
    await target.changesNothing(async () => {
      for (const route of routesOf(target.app)) {
        if (!/[:*]/.test(route.url)) continue;
        for (const part of parts) {
          const body = bodies[named(route)]?.();
          const response = await target.app.inject({
            method: route.method,
            url: addressOf(route.url, part),
            headers: target.headersFor(route),
            ...(body === undefined ? {} : { payload: body }),
          });
          const what = `${named(route)} with ${part.slice(0, 40)}`;
          // what answers HEAD has no body
          if (route.method === 'HEAD') expect([400, 404, 414, 422], what).toContain(response.statusCode);
          else expectApiError(response, what);
        }
      }
    });
  });

  it('that is no address is refused', async () => {
    for (const url of ['/api/v1/tags/%', '/api/v1/tags/%zz', '/%c0%ae%c0%ae/', '/api/v1/nothing']) {
      const response = await target.app.inject({ url, headers: target.credentials.administrator });
      expectApiError(response, url);
    }
  });

  it('that is no HTTP at all is answered, not with our inside, and the server lives', async () => {
    await target.app.listen({ host: '127.0.0.1', port: 0 });
    const address = target.app.server.address();
    if (typeof address !== 'object' || address === null) throw new Error('it does not listen');
    const said = async (text: string) =>
      await new Promise<string>((resolve, reject) => {
        const socket = connect(address.port, '127.0.0.1', () => socket.end(text, 'latin1'));
        let answer = '';
        socket.setTimeout(5000, () => socket.destroy(new Error('no answer')));
        socket.on('data', (piece) => (answer += piece.toString('latin1')));
        socket.on('error', reject);
        socket.on('close', () => resolve(answer));
      });
    for (const text of [
      'HELLO\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`,
      'POST /api/v1/sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc',
    ]) {
      const answer = await said(text);
      expect(answer, text.slice(0, 40)).toMatch(/^HTTP\/1\.1 4\d\d /);
      const body = answer.slice(answer.indexOf('\r\n\r\n') + 4);
      expect(Value.Check(ApiError, JSON.parse(body)), body).toBe(true);
    }
    expect((await target.app.inject({ url: '/health' })).statusCode).toBe(200);
  });

  it('with an absurd query is refused or finds nothing, at every list', async () => {
    const values = [
      '',
      '-1',
      '0',
      '1e400',
      'NaN',
      '10001',
      '%00',
      '%FF',
      '%C3%A9',
      '%5C',
      '(((',
      'x'.repeat(5000),
      '%27',
    ];
    // Those that the route describes, and some that none has.
    const described = Value.Parse(Described, JSON.parse(JSON.stringify(target.app.swagger())));
    const asked = (url: string): readonly string[] =>
      (described.paths[url.replaceAll(/:([a-z_]+)/gi, '{$1}')]?.get?.parameters ?? [])
        .filter((parameter) => parameter.in === 'query')
        .map((parameter) => parameter.name);
    expect(asked('/api/v1/audit/verify')).toEqual(['head_sequence', 'head_hash']);
    for (const route of routesOf(target.app)) {
      if (route.method !== 'GET') continue;
      const queries = asked(route.url).flatMap((name) => [
        ...values.map((value) => `${name}=${value}`),
        `${name}=1&${name}=2`,
        `${name}[a]=1`,
      ]);
      for (const name of ['__proto__', 'constructor', 'no_such_name'])
        queries.push(`${name}=`, `${name}=1&${name}=2`, `${name}[a]=1`);
      for (const query of queries) {
        const response = await target.app.inject({
          url: `${addressOf(route.url)}?${query}`,
          headers: target.headersFor(route),
        });
        if (response.statusCode !== 200) expectApiError(response, `${named(route)}?${query.slice(0, 60)}`);
      }
    }
  }, 120_000);

  it('with another method is refused', async () => {
    const listed = new Set(routesOf(target.app).map(named));
    const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
    await target.changesNothing(async () => {
      for (const url of new Set(routesOf(target.app).map((route) => route.url))) {
        for (const method of methods) {
          if (listed.has(`${method} ${url}`)) continue;
          const response = await target.app.inject({
            method,
            url: addressOf(url),
            headers: target.credentials.administrator,
          });
          // another route’s pattern may take this address
          expectApiError(response, `${method} ${url}`);
        }
      }
    });
  });
});

describe('wrong token', () => {
  it('of any other kind opens no route', async () => {
    const flipped = (text: string) => text.slice(0, -2) + (text.endsWith('AA') ? 'BB' : 'AA');
    const administrator = target.credentials.administrator.authorization;
    const person = target.credentials.person.authorization;
    const session = target.credentials.agent.authorization;
    const everywhere: readonly (readonly [string, Headers])[] = [
      ['nothing', {}],
      ['nonsense', { authorization: 'nonsense' }],
      ['an empty bearer', { authorization: 'Bearer ' }],
      ['Basic', { authorization: 'Basic YWRhQGV4YW1wbGUub3JnOmEgbG9uZyBwYXNzd29yZA==' }],
      ['a tool’s secret, changed', { authorization: flipped(administrator) }],
      ['a person’s session, changed', { authorization: flipped(person) }],
      ['an agent’s session, changed', { authorization: flipped(session) }],
      ['an enrolment token', target.credentials.enrolment],
      ['a tool’s secret as cookie', { cookie: `fixpoint_session=${administrator.slice(8)}x` }],
      ['a very long one', { authorization: `Bearer ${'a'.repeat(10_000)}` }],
      ['a hash as secret', { authorization: `Bearer fxt_${digest}` }],
    ];
    await target.changesNothing(async () => {
      for (const route of routesOf(target.app)) {
        if (route.access === 'public' || route.method === 'HEAD') continue;
        const others: readonly (readonly [string, Headers])[] =
          route.access === 'agent'
            ? [
                ['a tool’s secret', target.credentials.administrator],
                ['a person’s session', target.credentials.person],
              ]
            : [['an agent’s session', target.credentials.agent]];
        for (const [what, headers] of [...everywhere, ...others]) {
          const body = bodies[named(route)]?.();
          const response = await target.app.inject({
            method: route.method,
            url: addressOf(route.url),
            headers,
            ...(body === undefined ? {} : { payload: body }),
          });
          expectApiError(response, `${named(route)} with ${what}`);
          const refused = headers['cookie'] === undefined || route.method === 'GET' ? [401] : [401, 403];
          expect(refused, `${named(route)} with ${what}`).toContain(response.statusCode);
        }
      }
    });
  });

  it('of a viewer changes nothing, at any route', async () => {
    await target.changesNothing(async () => {
      for (const route of routesOf(target.app)) {
        if (['public', 'agent', 'signed_in', 'read'].includes(route.access) || route.method === 'HEAD')
          continue;
        const body = bodies[named(route)]?.();
        const response = await target.app.inject({
          method: route.method,
          url: addressOf(route.url),
          headers: target.credentials.viewer,
          ...(body === undefined ? {} : { payload: body }),
        });
        expect(expectApiError(response, named(route)), named(route)).toBe('forbidden');
      }
      for (const route of routesOf(target.app)) {
        if (route.access !== 'read') continue;
        const reads =
          ['GET', 'HEAD'].includes(route.method) ||
          route.url.endsWith('/preview') ||
          route.url.startsWith('/api/v1/query/');
        expect(reads, `${named(route)} is for readers`).toBe(true);
      }
    });
  });
});
