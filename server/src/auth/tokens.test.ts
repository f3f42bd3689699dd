import { verify } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { permissionsOfRole } from '@fixpoint/contract/access.ts';
import { enrolmentTokenPattern } from '@fixpoint/contract/agent.ts';
import { listAudit } from '../audit/commands.ts';
import { routes as audit } from '../audit/routes.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { loadKeys, publicKeyOf, signOrder } from './keys.ts';
import { writeOperatorToken } from './operator-token.ts';
import { routes } from './routes.ts';

let test: TestApp;
beforeAll(async () => {
  test = await testApp([routes, audit]);
});
afterAll(async () => await test.close());

const me = (headers: Record<string, string>) => test.app.inject({ url: '/api/v1/me', headers });

async function events(event: string) {
  const list = await listAudit(test.context, { event, limit: 1000 });
  if (!list.ok) throw new Error(list.message);
  return list.value.items;
}

describe('tokens of tools', () => {
  it('can do what they were made for and no more', async () => {
    const administrator = await test.bearer('administrator', 'maker');
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
      created_by: 'maker',
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
      ).toEqual([{ purpose: 'bundle' }, { purpose: 'order' }, { purpose: 'session' }]);
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
