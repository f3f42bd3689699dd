import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { permissions, permissionsOfRole } from '@fixpoint/contract/access.ts';
import { listAudit } from '../audit/commands.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { createPerson, firstAdministrator, firstAdministratorEmail } from './person-commands.ts';
import { routes } from './routes.ts';

let test: TestApp;
beforeAll(async () => {
  test = await testApp([routes]);
});
afterAll(async () => await test.close());

const password = 'correct horse battery';
const system = { actor: { kind: 'system', name: 'test' }, permissions } as const;

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

  it('are removed by an administrator, who cannot be the last one', async () => {
    const fresh = await testApp([routes]);
    try {
      const headers = await fresh.bearer('administrator');
      const make = async (email: string, role: string) =>
        await fresh.app.inject({
          method: 'POST',
          url: '/api/v1/people',
          headers,
          payload: { email, name: 'N', role, password },
        });
      const remove = async (id: string) =>
        await fresh.app.inject({ method: 'DELETE', url: `/api/v1/people/${id}`, headers });
      const first = (await make('first@example.org', 'administrator')).json().id;
      const viewer = (await make('viewer@example.org', 'viewer')).json().id;
      const signedIn = await fresh.app.inject({
        method: 'POST',
        url: '/api/v1/sign-in',
        payload: { email: 'viewer@example.org', password },
      });
      const session = { authorization: `Bearer ${signedIn.json().session}` };
      expect((await fresh.app.inject({ url: '/api/v1/me', headers: session })).statusCode).toBe(200);
      expect((await remove(viewer)).json()).toEqual({ id: viewer, email: 'viewer@example.org' });
      expect((await fresh.app.inject({ url: '/api/v1/me', headers: session })).statusCode).toBe(401);
      expect((await remove(viewer)).json().error.code).toBe('person_unknown');
      const last = await remove(first);
      expect([last.statusCode, last.json().error.code]).toEqual([409, 'last_administrator']);
      const second = (await make('second@example.org', 'administrator')).json().id;
      // Both at once: one stays.
      const both = await Promise.all([remove(first), remove(second)]);
      expect(both.map((response) => response.statusCode).toSorted((a, b) => a - b)).toEqual([200, 409]);
    } finally {
      await fresh.close();
    }
  });

  it('are not made, nor removed, by who may do less than they', async () => {
    const fresh = await testApp([routes]);
    try {
      const make = async (headers: { authorization: string }, email: string, role: string) =>
        await fresh.app.inject({
          method: 'POST',
          url: '/api/v1/people',
          headers,
          payload: { email, name: 'N', role, password },
        });
      const reception = await fresh.bearer(['read', 'people.write']);
      const refused = await make(reception, 'mine@example.org', 'administrator');
      expect([refused.statusCode, refused.json().error.code]).toEqual([403, 'permissions_exceeded']);
      expect((await make(reception, 'mine@example.org', 'operator')).statusCode).toBe(403);
      expect((await make(reception, 'guest@example.org', 'viewer')).statusCode).toBe(201);
      const all = await fresh.bearer('administrator');
      await make(all, 'first@example.org', 'administrator');
      const second = (await make(all, 'second@example.org', 'administrator')).json().id;
      const removed = await fresh.app.inject({
        method: 'DELETE',
        url: `/api/v1/people/${second}`,
        headers: reception,
      });
      expect([removed.statusCode, removed.json().error.code]).toEqual([403, 'permissions_exceeded']);
      // Two at once with one address: one is made, the other is refused.
      const twice = await Promise.all([
        make(all, 'twin@example.org', 'viewer'),
        make(all, 'twin@example.org', 'viewer'),
      ]);
      expect(twice.map((response) => response.statusCode).toSorted((a, b) => a - b)).toEqual([201, 409]);
    } finally {
      await fresh.close();
    }
  });

  it('are who the Authorization header says, not who the cookie says', async () => {
    const signedIn = await person('administrator', 'cookie@example.org');
    const cookie = `fixpoint_session=${encodeURIComponent(signedIn.authorization.slice('Bearer '.length))}`;
    expect((await me({ cookie })).statusCode).toBe(200);
    // A browser sends Basic by itself once it has it: a page elsewhere must not act by the cookie that comes with it.
    const response = await test.app.inject({
      method: 'POST',
      url: '/api/v1/people',
      headers: { cookie, authorization: 'Basic YTpi', 'sec-fetch-site': 'cross-site' },
      payload: { email: 'forged@example.org', name: 'F', role: 'administrator', password },
    });
    expect(response.statusCode).toBe(401);
  });

  it('change their own password, which ends their other sessions', async () => {
    const headers = await person('viewer', 'changer@example.org');
    const other = {
      authorization: `Bearer ${(await signIn('changer@example.org', password)).json().session}`,
    };
    const change = async (sent: Record<string, string>, current: string, next: string) =>
      await test.app.inject({
        method: 'POST',
        url: '/api/v1/me/password',
        headers: sent,
        payload: { current_password: current, new_password: next },
      });
    const next = 'staple battery horse';
    expect((await change(headers, 'wrong password', next)).json().error.code).toBe('password_wrong');
    expect((await change(headers, password, 'short')).statusCode).toBe(400);
    expect((await change(await test.bearer('administrator'), password, next)).statusCode).toBe(403);
    expect((await me(other)).statusCode).toBe(200);
    expect((await change(headers, password, next)).json()).toEqual({ changed: true });
    expect((await me(headers)).statusCode).toBe(200);
    expect((await me(other)).statusCode).toBe(401);
    expect((await signIn('changer@example.org', password)).statusCode).toBe(401);
    expect((await signIn('changer@example.org', next)).statusCode).toBe(200);
    expect((await events('person.password_changed')).map((event) => event.subject)).toEqual([
      'changer@example.org',
    ]);
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
