import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verify } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { permissionsOfRole } from '@fixpoint/contract/access.ts';
import { enrolmentTokenPattern } from '@fixpoint/contract/agent.ts';
import { listAudit } from '../audit/commands.ts';
import { routes as audit } from '../audit/routes.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { createPerson, firstAdministrator, firstAdministratorEmail } from './commands.ts';
import { loadKeys, publicKeyOf, signOrder } from './keys.ts';
import { writeOperatorToken } from './operator-token.ts';
import { routes } from './routes.ts';

let test: TestApp;
beforeAll(async () => {
  test = await testApp([routes, audit]);
});
afterAll(async () => await test.close());

const password = 'correct horse battery';
const system = { kind: 'system', name: 'test' } as const;

async function person(role: 'administrator' | 'operator' | 'viewer', email: string) {
  const created = await createPerson(test.context, system, { email, name: 'Ada', role, password });
  if (!created.ok) throw new Error(created.message);
  const response = await signIn(email, password);
  return { authorization: `Bearer ${response.json().session}` };
}

const signIn = (email: string, secret: string, headers: Record<string, string> = {}) =>
  test.app.inject({ method: 'POST', url: '/api/v1/sign-in', headers, payload: { email, password: secret } });
const me = (headers: Record<string, string>) => test.app.inject({ url: '/api/v1/me', headers });

async function events(event: string) {
  const list = await listAudit(test.context, { event, limit: 1000 });
  if (!list.ok) throw new Error(list.message);
  return list.value.items;
}

describe('people', () => {
  it.each(['administrator', 'operator', 'viewer'] as const)(
    'sign in as %s and can do what the role can',
    async (role) => {
      const headers = await person(role, `${role}@example.org`);
      expect((await me(headers)).json()).toEqual({
        kind: 'person',
        name: `${role}@example.org`,
        role,
        permissions: permissionsOfRole[role],
      });
      const people = await test.app.inject({ url: '/api/v1/people', headers });
      expect(people.statusCode).toBe(role === 'administrator' ? 200 : 403);
    },
  );

  it('are refused alike whether the account or the password is wrong, and both are on the trail', async () => {
    await person('viewer', 'grace@example.org');
    const wrong = await signIn('grace@example.org', 'incorrect horse');
    const nobody = await signIn('nobody@example.org', password);
    for (const response of [wrong, nobody]) {
      expect(response.statusCode).toBe(401);
      expect(response.headers['set-cookie']).toBeUndefined();
    }
    expect(wrong.json()).toEqual(nobody.json());
    const refused = await events('person.sign_in_refused');
    expect(refused.map((event) => event.subject)).toEqual(['grace@example.org', 'nobody@example.org']);
    expect(JSON.stringify(refused)).not.toContain('incorrect horse');
  });

  it('keep a session in a cookie that scripts and other sites do not get', async () => {
    const response = await signIn('grace@example.org', password);
    const cookie = String(response.headers['set-cookie']);
    expect(cookie).toMatch(/^fixpoint_session=[^;]+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/);
    const sent = { cookie: cookie.split(';')[0] ?? '' };
    expect((await me(sent)).json()).toMatchObject({ name: 'grace@example.org' });
    const signOut = { method: 'POST', url: '/api/v1/sign-out' } as const;
    // What changes something and relies on the cookie must come from a page of this server.
    for (const headers of [
      sent,
      { ...sent, origin: 'https://evil.example' },
      { ...sent, 'sec-fetch-site': 'cross-site' },
      { ...sent, 'sec-fetch-site': 'same-site', origin: 'http://localhost:80' },
      { ...sent, origin: 'null' },
    ]) {
      const refused = await test.app.inject({ ...signOut, headers });
      expect(refused.statusCode).toBe(403);
      expect(refused.json().error.code).toBe('cross_origin');
    }
    expect((await me(sent)).statusCode).toBe(200);
    const out = await test.app.inject({ ...signOut, headers: { ...sent, 'sec-fetch-site': 'same-origin' } });
    expect(out.json()).toEqual({ signed_out: true });
    expect(String(out.headers['set-cookie'])).toContain('Max-Age=0');
    expect((await me(sent)).statusCode).toBe(401);
  });

  it('cannot be signed in by another site', async () => {
    expect((await signIn('grace@example.org', password, { origin: 'https://evil.example' })).statusCode).toBe(
      403,
    );
    expect((await signIn('grace@example.org', password, { origin: 'http://localhost:80' })).statusCode).toBe(
      200,
    );
  });

  it('end a session for good by signing out', async () => {
    const headers = await person('viewer', 'out@example.org');
    const out = await test.app.inject({ method: 'POST', url: '/api/v1/sign-out', headers });
    expect(out.statusCode).toBe(200);
    expect((await me(headers)).statusCode).toBe(401);
  });

  it('cannot use a session whose signature was changed, or the bare text in the database', async () => {
    const headers = await person('viewer', 'forger@example.org');
    const session = headers.authorization.slice('Bearer '.length);
    const [token = ''] = session.split('.');
    expect((await me({ authorization: `Bearer ${token}` })).statusCode).toBe(401);
    expect((await me({ authorization: `Bearer ${token}.${'A'.repeat(43)}` })).statusCode).toBe(401);
    expect((await me({ authorization: `Bearer ${session}` })).statusCode).toBe(200);
  });

  it('lose what they could do when the account is gone', async () => {
    const headers = await person('viewer', 'gone@example.org');
    await test.context.db.deleteFrom('user').where('email', '=', 'gone@example.org').execute();
    expect((await me(headers)).statusCode).toBe(401);
  });

  it('are stored with a hash of their password that is Argon2id', async () => {
    const rows = await test.context.db.selectFrom('account').select('password').execute();
    for (const row of rows)
      expect(row.password).toMatch(
        /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/,
      );
    expect(new Set(rows.map((row) => row.password)).size).toBe(rows.length);
  });

  it('are made by an administrator, once for an e-mail address', async () => {
    const headers = await person('administrator', 'maker@example.org');
    const payload = { email: 'New@Example.org', name: 'New', role: 'operator', password };
    const created = await test.app.inject({ method: 'POST', url: '/api/v1/people', headers, payload });
    expect(created.statusCode).toBe(201);
    expect(created.json()).toMatchObject({ email: 'new@example.org', role: 'operator' });
    expect((await signIn('new@EXAMPLE.org', password)).statusCode).toBe(200);
    const again = await test.app.inject({ method: 'POST', url: '/api/v1/people', headers, payload });
    expect(again.statusCode).toBe(409);
    expect(again.json().error.code).toBe('person_exists');
    const weak = await test.app.inject({
      method: 'POST',
      url: '/api/v1/people',
      headers,
      payload: { ...payload, email: 'x', password: 'short', role: 'root' },
    });
    expect(
      weak
        .json()
        .error.problems.map((problem: { path: string }) => problem.path)
        .sort(),
    ).toEqual(['/email', '/password', '/role']);
    const story = await events('person.created');
    expect(story.find((event) => event.subject === 'new@example.org')).toMatchObject({
      actor: 'maker@example.org',
      actor_kind: 'person',
      after: { role: 'operator' },
    });
    expect(JSON.stringify(story)).not.toContain(password);
  });

  it('begin with one administrator, made only when there is nobody', async () => {
    expect(await firstAdministrator(test.context)).toBeNull();
    const fresh = await testApp([routes]);
    try {
      const [one, other] = await Promise.all([
        firstAdministrator(fresh.context),
        firstAdministrator(fresh.context),
      ]);
      const made = one ?? other;
      expect([one, other].filter((each) => each !== null)).toHaveLength(1);
      expect(made?.email).toBe(firstAdministratorEmail);
      const response = await fresh.app.inject({
        method: 'POST',
        url: '/api/v1/sign-in',
        payload: made ?? {},
      });
      expect(response.json().person).toMatchObject({ role: 'administrator' });
    } finally {
      await fresh.close();
    }
  });

  it('are slowed down when they try too often', async () => {
    const fresh = await testApp([routes], { config: { signInsPerMinute: 3 } });
    try {
      const statuses: number[] = [];
      for (let i = 0; i < 4; i += 1) {
        const response = await fresh.app.inject({
          method: 'POST',
          url: '/api/v1/sign-in',
          payload: { email: 'a@b.c', password: 'x' },
        });
        statuses.push(response.statusCode);
        if (i === 3) {
          expect(response.json().error.code).toBe('rate_limited');
          expect(Number(response.headers['retry-after'])).toBeGreaterThan(0);
        }
      }
      expect(statuses).toEqual([401, 401, 401, 429]);
      expect((await fresh.app.inject({ url: '/health' })).statusCode).toBe(200);
    } finally {
      await fresh.close();
    }
  });
});

describe('tokens of tools', () => {
  it('can do what they were made for and no more', async () => {
    const administrator = await person('administrator', 'tokens@example.org');
    const created = await test.app.inject({
      method: 'POST',
      url: '/api/v1/tokens',
      headers: administrator,
      payload: { name: 'ci', permissions: ['read', 'audit.read'], expires_in_days: 1 },
    });
    expect(created.statusCode).toBe(201);
    const { secret, token } = created.json();
    expect(secret).toMatch(/^fxt_[A-Za-z0-9_-]{43}$/);
    const headers = { authorization: `Bearer ${secret}` };
    expect((await me(headers)).json()).toEqual({
      kind: 'token',
      name: 'ci',
      role: null,
      permissions: ['read', 'audit.read'],
    });
    expect((await test.app.inject({ url: '/api/v1/audit', headers })).statusCode).toBe(200);
    expect((await test.app.inject({ url: '/api/v1/people', headers })).statusCode).toBe(403);
    const listed = await test.app.inject({ url: '/api/v1/tokens', headers: administrator });
    expect(listed.body).not.toContain(secret);
    const entry = listed.json().items.find((item: { id: string }) => item.id === token.id);
    expect(entry).toMatchObject({
      name: 'ci',
      created_by: 'tokens@example.org',
      last_used_at: test.clock.now().toISOString(),
    });
    const stored = await test.context.db.selectFrom('token').selectAll().execute();
    expect(JSON.stringify(stored)).not.toContain(secret.slice(4));

    const revoked = await test.app.inject({
      method: 'DELETE',
      url: `/api/v1/tokens/${token.id}`,
      headers: administrator,
    });
    expect(revoked.json().revoked_at).toBe(test.clock.now().toISOString());
    const again = await test.app.inject({
      method: 'DELETE',
      url: `/api/v1/tokens/${token.id}`,
      headers: administrator,
    });
    expect(again.statusCode).toBe(200);
    expect((await events('token.revoked')).filter((event) => event.subject === token.id)).toHaveLength(1);
    const refused = await me(headers);
    expect(refused.statusCode).toBe(401);
    expect(refused.json().error.code).toBe('token_revoked');
  });

  it('cannot do more than whoever makes them', async () => {
    const headers = await test.bearer(['token.write', 'read'], 'limited');
    const payload = { name: 'more', permissions: ['read', 'deployment.act'], expires_in_days: 1 };
    const refused = await test.app.inject({ method: 'POST', url: '/api/v1/tokens', headers, payload });
    expect(refused.statusCode).toBe(403);
    expect(refused.json().error).toMatchObject({
      code: 'permissions_exceeded',
      message: expect.stringContaining('deployment.act'),
    });
    const allowed = await test.app.inject({
      method: 'POST',
      url: '/api/v1/tokens',
      headers,
      payload: { ...payload, permissions: ['read'] },
    });
    expect(allowed.statusCode).toBe(201);
  });

  it('expire', async () => {
    const headers = await test.bearer(['read'], 'short');
    test.clock.pass(31 * 86_400);
    const refused = await me(headers);
    expect(refused.statusCode).toBe(401);
    expect(refused.json().error.code).toBe('token_expired');
  });

  it('that there are not cannot be revoked', async () => {
    const headers = await test.bearer('administrator');
    const refused = await test.app.inject({
      method: 'DELETE',
      url: '/api/v1/tokens/00000000-0000-4000-8000-000000000000',
      headers,
    });
    expect(refused.statusCode).toBe(404);
    expect((await test.app.inject({ method: 'DELETE', url: '/api/v1/tokens/x', headers })).statusCode).toBe(
      400,
    );
  });
});

describe('tokens to enrol with', () => {
  it('carry the fingerprint of the server’s key, and are listed without their secret', async () => {
    const headers = await test.bearer(['enrolment.write']);
    const created = await test.app.inject({
      method: 'POST',
      url: '/api/v1/enrolment-tokens',
      headers,
      payload: { name: 'rack 4', uses: 2, expires_in_minutes: 60, tags: [] },
    });
    expect(created.statusCode).toBe(201);
    const { secret, token } = created.json();
    expect(secret).toMatch(new RegExp(enrolmentTokenPattern));
    expect(secret.split('.')[1]).toBe(test.context.keys.order.fingerprint);
    const listed = await test.app.inject({ url: '/api/v1/enrolment-tokens', headers });
    expect(listed.json().items).toEqual([
      expect.objectContaining({ name: 'rack 4', uses_left: 2, kind: 'enrolment' }),
    ]);
    expect(listed.body).not.toContain(secret.slice(4, 47));
    // It opens no route for people.
    expect((await me({ authorization: `Bearer ${secret}` })).json().error.code).toBe('wrong_credentials');
    const revoked = await test.app.inject({
      method: 'DELETE',
      url: `/api/v1/enrolment-tokens/${token.id}`,
      headers,
    });
    expect(revoked.json().revoked_at).not.toBeNull();
    expect((await events('enrolment_token.revoked')).map((event) => event.subject)).toContain(token.id);
  });

  it('do not name tags that there are not', async () => {
    const headers = await test.bearer(['enrolment.write']);
    const refused = await test.app.inject({
      method: 'POST',
      url: '/api/v1/enrolment-tokens',
      headers,
      payload: { name: 'x', uses: 1, expires_in_minutes: 60, tags: ['nowhere'] },
    });
    expect(refused.statusCode).toBe(404);
    expect(refused.json().error).toMatchObject({
      code: 'tag_unknown',
      message: expect.stringContaining('nowhere'),
    });
  });
});

describe('the keys of the server', () => {
  it('stay the same, also when two replicas start at once', async () => {
    const fresh = await testApp([]);
    try {
      await fresh.context.db.deleteFrom('server_key').execute();
      const loaded = await Promise.all([1, 2, 3].map(() => loadKeys(fresh.context.db, fresh.context)));
      expect(new Set(loaded.map((keys) => keys.order.publicKey)).size).toBe(1);
      expect(new Set(loaded.map((keys) => keys.agentSessionSecret.toString('hex'))).size).toBe(1);
      expect(
        await fresh.context.db.selectFrom('server_key').select('purpose').orderBy('purpose').execute(),
      ).toEqual([{ purpose: 'order' }, { purpose: 'session' }]);
    } finally {
      await fresh.close();
    }
  });

  it('sign orders that the public key verifies', () => {
    const { keys } = test.context;
    const signed = signOrder(keys, '{"format":1}');
    expect(signed.key_id).toBe(keys.order.id);
    const signature = Buffer.from(signed.signature, 'base64url');
    const key = publicKeyOf(keys.order.publicKey);
    expect(verify(null, Buffer.from('fixpoint-order-v1\n{"format":1}'), key, signature)).toBe(true);
    expect(verify(null, Buffer.from('fixpoint-order-v1\n{"format":2}'), key, signature)).toBe(false);
  });
});

describe('the token of the data folder’s owner', () => {
  it('is readable by the owner only, made once, and made again when it was revoked', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fixpoint-token-'));
    try {
      const file = await writeOperatorToken(test.context, folder);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      const first = readFileSync(file, 'utf8').trim();
      const headers = { authorization: `Bearer ${first}` };
      expect((await me(headers)).json()).toMatchObject({ permissions: permissionsOfRole.administrator });
      await writeOperatorToken(test.context, folder);
      expect(readFileSync(file, 'utf8').trim()).toBe(first);
      await test.context.db
        .updateTable('token')
        .set({ revoked_at: test.clock.now() })
        .where('name', '=', 'owner-of-data-folder')
        .execute();
      await writeOperatorToken(test.context, folder);
      const second = readFileSync(file, 'utf8').trim();
      expect(second).not.toBe(first);
      expect((await me({ authorization: `Bearer ${second}` })).statusCode).toBe(200);
      // A file of another server, or with nonsense in it, is replaced.
      writeFileSync(file, 'nonsense');
      await writeOperatorToken(test.context, folder);
      expect(readFileSync(file, 'utf8')).toMatch(/^fxt_[A-Za-z0-9_-]{43}\n$/);
      expect(
        (await events('token.created')).filter(
          (event) => event.actor_kind === 'system' && event.actor === 'server',
        ),
      ).toHaveLength(3);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
