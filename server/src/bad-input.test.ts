/**
 * Bad input at every route of the API: whatever comes, the answer is a clear ApiError, never a failure of the server,
 * never an internal detail, and nothing in the database has changed.
 *
 * The list of the issue, and where else each has its test:
 * - malformed feed: below, and for each format in server/src/feed/FEED/FEED.test.ts
 * - truncated inventory: below, and in server/src/asset/inventory.test.ts; a truncated package database in
 *   core/src/inventory/dpkg-status.test.ts and agent/src/collect
 * - absurd versions: below, and in core/src/version/version.test.ts and core/src/match/match.test.ts
 * - unknown release: below, and in server/src/finding/commands.test.ts
 * - wrong token: below, and in server/src/app.test.ts, auth/tokens.test.ts, asset/enrol.test.ts
 * - oversized body: below, and in server/src/app.test.ts
 */
import { generateKeyPairSync } from 'node:crypto';
import { connect } from 'node:net';
import { sql } from 'kysely';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiError } from '@fixpoint/contract/error.ts';
import { inventoryDigests } from '@fixpoint/core/inventory/digest.ts';
import { routesOf, type KnownRoute } from './app.ts';
import {
  enrolment,
  enrolmentToken,
  hostFacts,
  installed,
  inventoryOf,
  testAgent,
  type TestAgent,
} from './asset/test-agent.ts';
import { rooms } from './rooms.ts';
import { testApp, type TestApp } from './test-app.ts';

type Response = Awaited<ReturnType<TestApp['app']['inject']>>;
type Headers = Record<string, string>;
type Credential = { authorization: string };

const nobody = '00000000-0000-4000-8000-000000000000';
const digest = 'a'.repeat(64);
const digests = { packages: digest, candidates: digest, host: digest, residue: digest };
const inventory = inventoryOf([installed('openssl', '3.0.11-1~deb12u1'), installed('bash', '5.2.15-2')]);
const report = {
  collected_at: '2026-03-02T10:00:00.000Z',
  digests: inventoryDigests(inventory),
  ...inventory,
};

/** A body that is right in shape for each route that takes one. A route that is missing here fails the test. */
const bodies: Readonly<Record<string, () => object>> = {
  'POST /api/v1/sign-in': () => ({ email: 'nobody@example.org', password: 'not the password' }),
  'POST /api/v1/me/password': () => ({
    current_password: 'not the password',
    new_password: 'long enough to be one',
  }),
  'POST /api/v1/people': () => ({
    email: 'new@example.org',
    name: 'New',
    role: 'viewer',
    password: 'long enough to be one',
  }),
  'POST /api/v1/tokens': () => ({ name: 'tool', permissions: ['read'], expires_in_days: 1 }),
  'POST /api/v1/enrolment-tokens': () => ({ name: 'hosts', uses: 1, expires_in_minutes: 5, tags: ['web'] }),
  'POST /agent/v1/enroll': () =>
    enrolment(`fxe_${'a'.repeat(43)}.${'b'.repeat(22)}`, generateKeyPairSync('ed25519')),
  'POST /agent/v1/challenge': () => ({ asset_id: nobody }),
  'POST /agent/v1/session': () => ({ asset_id: nobody, challenge: 'fxc.x', signature: 'A'.repeat(86) }),
  'POST /agent/v1/check-in': () => ({
    agent_version: '0.1.0',
    boot_id: 'b1',
    digests,
    tasks: [{ task_id: nobody, generation: 1, state: 'installing' }],
    problems: [{ code: 'dpkg_status_truncated', message: 'it ends too early' }],
  }),
  'POST /agent/v1/inventory': () => structuredClone(report),
  'POST /agent/v1/task-events': () => ({
    task_id: nobody,
    generation: 1,
    events: [{ index: 0, at: '2026-03-02T10:00:00.000Z', state: 'downloading', detail: { exit_code: 0 } }],
  }),
  'POST /agent/v1/refusals': () => ({
    reason: 'expired',
    message: 'too late',
    task_id: nobody,
    payload_digest: digest,
    at: '2026-03-02T10:00:00.000Z',
  }),
  'POST /api/v1/assets/:id/retire': () => ({ reason: 'gone' }),
  'POST /api/v1/tags': () => ({ name: 'new', description: 'a tag' }),
  'PUT /api/v1/tags/:name/assets': () => ({ assets: ['web-1'] }),
  'DELETE /api/v1/tags/:name/assets': () => ({ assets: ['web-1'] }),
  'POST /api/v1/jobs': () => ({
    name: 'job',
    trigger: 'manual',
    patches: ['debian:12/openssl@3.0.22-1~deb12u2'],
    target: { tags: ['web'], assets: ['web-1'], exclude: ['web-2'] },
    units: 'restart',
    install_timeout_seconds: 600,
    expire_after_seconds: 600,
    concurrency: 1,
  }),
  'POST /api/v1/jobs/:id/start': () => ({ plan_digest: digest, reason: 'now' }),
  'POST /api/v1/deployments/:id/actions': () => ({ action: 'pause', reason: 'wait' }),
};

/** Takes a file as its publisher publishes it, so JSON is not what it expects; it has tests of its own below. */
const importRoute = 'POST /api/v1/feeds/:id/import';

let test: TestApp;
let agent: TestAgent;
let credentials: {
  administrator: Credential;
  viewer: Credential;
  person: Credential;
  agent: Credential;
  enrolment: Credential;
};

beforeAll(async () => {
  test = await testApp(rooms, { config: { repositories: '' } });
  agent = await testAgent(test);
  expect((await agent.report(inventory)).statusCode).toBe(200);
  const administrator = await test.bearer('administrator');
  const send = async (url: string, payload: object) => {
    const response = await test.app.inject({ method: 'POST', url, headers: administrator, payload });
    expect(response.statusCode, response.body).toBe(201);
    return response;
  };
  await send('/api/v1/tags', { name: 'web' });
  const person = {
    email: 'ada@example.org',
    name: 'Ada',
    role: 'administrator',
    password: 'a long password',
  };
  await send('/api/v1/people', person);
  const signedIn = await test.app.inject({
    method: 'POST',
    url: '/api/v1/sign-in',
    payload: { email: person.email, password: person.password },
  });
  credentials = {
    administrator,
    viewer: await test.bearer('viewer'),
    person: { authorization: `Bearer ${signedIn.json().session}` },
    agent: await agent.session(),
    enrolment: { authorization: `Bearer ${(await enrolmentToken(test)).secret}` },
  };
  // so that a first use does not count as a change
  for (const headers of [credentials.administrator, credentials.viewer, credentials.person]) {
    expect((await test.app.inject({ url: '/api/v1/me', headers })).statusCode).toBe(200);
  }
});
afterAll(async () => await test.close());

/** Everything that is stored, in few words: a hash of all rows of each table. */
async function stored(): Promise<Record<string, string>> {
  const { rows: tables } = await sql<{ name: string }>`
    select table_name as name from information_schema.tables
    where table_schema = 'public' and table_type = 'BASE TABLE' order by 1`.execute(test.context.db);
  const hashes: Record<string, string> = {};
  for (const { name } of tables) {
    const { rows } = await sql<{ hash: string }>`
      select md5(coalesce(string_agg(t::text, e'\n' order by t::text), '')) as hash
      from ${sql.table(name)} as t`.execute(test.context.db);
    hashes[name] = rows[0]?.hash ?? '';
  }
  return hashes;
}

async function changesNothing(work: () => Promise<void>): Promise<void> {
  const before = await stored();
  await work();
  expect(await stored()).toEqual(before);
}

/** What would be the server's own and nobody else's. */
const internal =
  /\n\s+at |\.ts:\d|node_modules|postgres|kysely|relation "|syntax error at|stack|typebox|fastify|FST_/i;

function expectApiError(response: Response, what: string): string {
  const where = `${what} → ${String(response.statusCode)} ${response.body.slice(0, 300)}`;
  expect(response.statusCode, where).toBeGreaterThanOrEqual(400);
  expect(response.statusCode, where).toBeLessThan(500);
  expect(Value.Check(ApiError, response.json()), where).toBe(true);
  const { error } = Value.Parse(ApiError, response.json());
  expect(error.code, where).toMatch(/^[a-z][a-z0-9_]+$/);
  expect(error.message, where).not.toBe('');
  expect(error.what_to_do, where).not.toBe('');
  expect(response.body, where).not.toMatch(internal);
  return error.code;
}

const named = ({ method, url }: Pick<KnownRoute, 'method' | 'url'>) => `${method} ${url}`;
const addressOf = (url: string, part = nobody) => url.replaceAll(/:[a-z_]+/gi, part).replaceAll('*', part);

function headersFor({ access, url }: KnownRoute): Headers {
  if (access === 'public') return {};
  if (access === 'agent') return credentials.agent;
  return url === '/api/v1/me/password' ? credentials.person : credentials.administrator;
}

const routesWithBody = () => routesOf(test.app).filter((route) => Object.hasOwn(bodies, named(route)));

describe('the list of routes', () => {
  it('has a right body for every route that takes one', () => {
    const taking = routesOf(test.app)
      .filter(({ method }) => !['GET', 'HEAD', 'OPTIONS'].includes(method))
      .map(named);
    const without = [
      importRoute,
      'POST /api/v1/sign-out',
      'DELETE /api/v1/people/:id',
      'DELETE /api/v1/tokens/:id',
      'DELETE /api/v1/enrolment-tokens/:id',
      'DELETE /api/v1/tags/:name',
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
    await changesNothing(async () => {
      for (const route of routesWithBody()) {
        // A start may come without a digest and a reason.
        if (named(route) === 'POST /api/v1/jobs/:id/start' && text === '{}') continue;
        const response = await test.app.inject({
          method: route.method,
          url: addressOf(route.url),
          headers: { ...headersFor(route), ...json },
          payload: Buffer.from(text, 'latin1'),
        });
        expectApiError(response, `${named(route)} with ${what}`);
      }
    });
  });

  it('of another media type is refused at every route', async () => {
    await changesNothing(async () => {
      for (const route of routesWithBody()) {
        for (const type of [
          'text/xml',
          'application/x-www-form-urlencoded',
          'multipart/form-data',
          'nonsense',
        ]) {
          const response = await test.app.inject({
            method: route.method,
            url: addressOf(route.url),
            headers: { ...headersFor(route), 'content-type': type },
            payload: 'a=b',
          });
          expectApiError(response, `${named(route)} as ${type}`);
        }
      }
    });
  });

  it('that is oversized is refused at every route before it is read', async () => {
    await changesNothing(async () => {
      for (const route of routesWithBody()) {
        const response = await test.app.inject({
          method: route.method,
          url: addressOf(route.url),
          headers: { ...headersFor(route), ...json, 'content-length': String(20 * 1024 ** 2) },
          payload: '{}',
        });
        expect(expectApiError(response, named(route)), named(route)).toBe('body_too_large');
      }
      const huge = await test.app.inject({
        method: 'POST',
        url: '/api/v1/feeds/epss/import',
        headers: { ...credentials.administrator, 'content-length': String(3 * 1024 ** 3) },
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
  ]);

  it('with an absurd value in any place is refused, at every route', async () => {
    for (const route of routesWithBody()) {
      const body = bodies[named(route)]?.() ?? {};
      await changesNothing(async () => {
        for (const path of places(body)) {
          for (const value of absurd) {
            const place = `${named(route)} /${path.join('/')} ${JSON.stringify(value).slice(0, 40)}`;
            if (allowed.has(place)) continue;
            const response = await test.app.inject({
              method: route.method,
              url: addressOf(route.url),
              headers: headersFor(route),
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
    await changesNothing(async () => {
      for (const route of routesOf(test.app)) {
        if (!/[:*]/.test(route.url)) continue;
        for (const part of parts) {
          const body = bodies[named(route)]?.();
          const response = await test.app.inject({
            method: route.method,
            url: addressOf(route.url, part),
            headers: headersFor(route),
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
      const response = await test.app.inject({ url, headers: credentials.administrator });
      expectApiError(response, url);
    }
  });

  it('that is no HTTP at all is answered, not with our inside, and the server lives', async () => {
    await test.app.listen({ host: '127.0.0.1', port: 0 });
    const address = test.app.server.address();
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
    expect((await test.app.inject({ url: '/health' })).statusCode).toBe(200);
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
    const names =
      'limit after tag hostname asset vulnerability package status subject event open job name'.split(' ');
    names.push('allow_shrink', 'head_sequence', 'head_hash', '__proto__', 'constructor', 'no_such_name');
    for (const route of routesOf(test.app)) {
      if (route.method !== 'GET') continue;
      for (const name of names) {
        for (const query of [
          ...values.map((value) => `${name}=${value}`),
          `${name}=1&${name}=2`,
          `${name}[a]=1`,
        ]) {
          const response = await test.app.inject({
            url: `${addressOf(route.url)}?${query}`,
            headers: headersFor(route),
          });
          if (response.statusCode !== 200) expectApiError(response, `${named(route)}?${query.slice(0, 60)}`);
        }
      }
    }
  }, 120_000);

  it('with another method is refused', async () => {
    const listed = new Set(routesOf(test.app).map(named));
    const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
    await changesNothing(async () => {
      for (const url of new Set(routesOf(test.app).map((route) => route.url))) {
        for (const method of methods) {
          if (listed.has(`${method} ${url}`)) continue;
          const response = await test.app.inject({
            method,
            url: addressOf(url),
            headers: credentials.administrator,
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
    const administrator = credentials.administrator.authorization;
    const person = credentials.person.authorization;
    const session = credentials.agent.authorization;
    const everywhere: readonly (readonly [string, Headers])[] = [
      ['nothing', {}],
      ['nonsense', { authorization: 'nonsense' }],
      ['an empty bearer', { authorization: 'Bearer ' }],
      [
        'Basic',
        { authorization: `Basic ${Buffer.from('ada@example.org:a long password').toString('base64')}` },
      ],
      ['a tool’s secret, changed', { authorization: flipped(administrator) }],
      ['a person’s session, changed', { authorization: flipped(person) }],
      ['an agent’s session, changed', { authorization: flipped(session) }],
      ['an enrolment token', credentials.enrolment],
      ['a tool’s secret as cookie', { cookie: `fixpoint_session=${administrator.slice(8)}x` }],
      ['a very long one', { authorization: `Bearer ${'a'.repeat(10_000)}` }],
      ['a hash as secret', { authorization: `Bearer fxt_${digest}` }],
    ];
    await changesNothing(async () => {
      for (const route of routesOf(test.app)) {
        if (route.access === 'public' || route.method === 'HEAD') continue;
        const others: readonly (readonly [string, Headers])[] =
          route.access === 'agent'
            ? [
                ['a tool’s secret', credentials.administrator],
                ['a person’s session', credentials.person],
              ]
            : [['an agent’s session', credentials.agent]];
        for (const [what, headers] of [...everywhere, ...others]) {
          const body = bodies[named(route)]?.();
          const response = await test.app.inject({
            method: route.method,
            url: addressOf(route.url),
            headers,
            ...(body === undefined ? {} : { payload: body }),
          });
          expectApiError(response, `${named(route)} with ${what}`);
          // what a cookie may not do at all is refused before it is looked at
          const refused = headers['cookie'] === undefined || route.method === 'GET' ? [401] : [401, 403];
          expect(refused, `${named(route)} with ${what}`).toContain(response.statusCode);
        }
      }
    });
  });

  it('of a viewer changes nothing, at any route', async () => {
    await changesNothing(async () => {
      for (const route of routesOf(test.app)) {
        if (['public', 'agent', 'signed_in', 'read'].includes(route.access) || route.method === 'HEAD')
          continue;
        const body = bodies[named(route)]?.();
        const response = await test.app.inject({
          method: route.method,
          url: addressOf(route.url),
          headers: credentials.viewer,
          ...(body === undefined ? {} : { payload: body }),
        });
        expect(expectApiError(response, named(route)), named(route)).toBe('forbidden');
      }
      for (const route of routesOf(test.app)) {
        if (route.access !== 'read') continue;
        const reads = ['GET', 'HEAD'].includes(route.method) || route.url === '/api/v1/jobs/:id/preview';
        expect(reads, `${named(route)} is for readers`).toBe(true);
      }
    });
  });
});

describe('malformed feed', () => {
  it.each([
    ['an empty file', ''],
    ['a page', '<html><body>404</body></html>'],
    ['another format', '{"a": 1}'],
    [
      'half a file',
      '{"title":"x","catalogVersion":"1","dateReleased":"2026-01-01T00:00:00Z","vulnerabilities":[',
    ],
    ['bytes', Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]).toString('latin1')],
  ])('of %s is refused, noted, and what is held stays', async (_what, text) => {
    for (const feed of ['cisa-kev', 'epss', 'debian-osv', 'debian-tracker', 'debian-changelog', 'cvss']) {
      const before = await stored();
      const response = await test.app.inject({
        method: 'POST',
        url: `/api/v1/feeds/${feed}/import?name=broken`,
        headers: { ...credentials.administrator, 'content-type': 'application/octet-stream' },
        payload: Buffer.from(text, 'latin1'),
      });
      expectApiError(response, feed);
      expect(response.statusCode).toBe(422);
      // the attempt is on the trail and in the state of the feed; nothing else has changed
      expect({ ...(await stored()), feed: '', audit_event: '' }).toEqual({
        ...before,
        feed: '',
        audit_event: '',
      });
    }
  });

  it('without a body, or of a feed that there is not, is refused', async () => {
    await changesNothing(async () => {
      for (const url of ['/api/v1/feeds/epss/import', '/api/v1/feeds/nothing/import']) {
        const response = await test.app.inject({ method: 'POST', url, headers: credentials.administrator });
        expectApiError(response, url);
      }
    });
  });
});

describe('truncated inventory', () => {
  const without = (section: 'packages' | 'host' | 'candidates' | 'residue') =>
    Object.fromEntries(Object.entries(report).filter(([name]) => name !== section));

  it.each([
    ['cut in the middle', JSON.stringify(report).slice(0, -40), 400, 'malformed_json'],
    [
      'without half of its packages',
      JSON.stringify({ ...report, digests: { ...digests }, packages: report.packages.slice(1) }),
      422,
      'inventory_digest_mismatch',
    ],
    ['without packages', JSON.stringify({ ...without('packages'), digests }), 409, 'inventory_base_unknown'],
    ['without its host', JSON.stringify({ ...without('host'), digests }), 409, 'inventory_base_unknown'],
    [
      'without its residue',
      JSON.stringify({ ...without('residue'), digests }),
      409,
      'inventory_base_unknown',
    ],
    ['with no package', JSON.stringify({ ...report, digests, packages: [] }), 422, 'inventory_implausible'],
  ])('%s is refused, and the last good one stays', async (_what, text, status, code) => {
    await changesNothing(async () => {
      const response = await test.app.inject({
        method: 'POST',
        url: '/agent/v1/inventory',
        headers: { ...credentials.agent, 'content-type': 'application/json' },
        payload: text,
      });
      expect(response.statusCode, response.body).toBe(status);
      expect(expectApiError(response, text.slice(0, 60))).toBe(code);
    });
  });

  it('of a host that has never reported any is refused too: no package is no sign of safety', async () => {
    const fresh = await testAgent(test, { hostname: 'fresh' });
    const response = await fresh.report(inventoryOf([]));
    expect(expectApiError(response, 'no package')).toBe('inventory_implausible');
  });
});

describe('absurd versions', () => {
  it('of packages are stored as they are and are undetermined, not safe', async () => {
    const versions = [
      '',
      ' ',
      '1:2:3',
      'ü',
      '-',
      '~',
      ':',
      'a b',
      '1'.repeat(512),
      '1:1:1',
      '9'.repeat(400) + ':1',
      '../..',
      '%s',
    ];
    const host = await testAgent(test, { hostname: 'absurd' });
    for (const [i, version] of versions.entries()) {
      const one = inventoryOf([installed(`p${String(i)}`, version)], {
        host: { ...hostFacts, hostname: 'absurd' },
      });
      const response = await host.report(one);
      if (version === '') expectApiError(response, 'an empty version');
      else expect(response.statusCode, `${version} ${response.body}`).toBe(200);
    }
  });
});

describe('unknown release', () => {
  it('is taken, and said to be undetermined', async () => {
    const host = await testAgent(test, { hostname: 'strange', os: 'plan9', os_release: '4' });
    const facts = { ...hostFacts, hostname: 'strange', os: 'plan9', os_release: '4' };
    expect((await host.report(inventoryOf([installed('rc', '1')], { host: facts }))).statusCode).toBe(200);
    const shown = await test.app.inject({ url: '/api/v1/assets/strange', headers: credentials.viewer });
    expect(shown.json().asset.undetermined).toBeGreaterThan(0);
    expect(shown.json().undetermined[0].reason).toContain('No vulnerability data');
  });
});
