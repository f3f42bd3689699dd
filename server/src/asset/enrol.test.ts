import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listAudit } from '../audit/commands.ts';
import { agentFromBasic } from '../auth/guard.ts';
import { revokeToken } from '../auth/commands.ts';
import { rooms } from '../rooms.ts';
import { createTag } from '../tag/commands.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { enrolment, enrolmentToken, signed, testAgent } from './test-agent.ts';

let test: TestApp;
beforeAll(async () => {
  test = await testApp(rooms);
});
afterAll(async () => await test.close());

const system = { kind: 'system', name: 'test' } as const;
const enrol = (secret: string, payload: object) =>
  test.app.inject({
    method: 'POST',
    url: '/agent/v1/enroll',
    headers: { authorization: `Bearer ${secret}` },
    payload,
  });

async function events(event: string) {
  const list = await listAudit(test.context, { event, limit: 1000 });
  if (!list.ok) throw new Error(list.message);
  return list.value.items;
}

describe('enrolling', () => {
  it('makes an asset, tags it, uses the token up and says so on the trail', async () => {
    await createTag(test.context, system, { name: 'web' });
    const { id, secret } = await enrolmentToken(test, { tags: ['web'] });
    const keys = generateKeyPairSync('ed25519');
    const response = await enrol(secret, enrolment(secret, keys));
    expect(response.statusCode).toBe(201);
    const { asset_id: uid, server_key: serverKey } = response.json();
    expect(serverKey).toEqual({
      key_id: test.context.keys.order.id,
      public_key: test.context.keys.order.publicKey,
    });
    const headers = await test.bearer('viewer');
    const asset = (await test.app.inject({ url: `/api/v1/assets/${uid}`, headers })).json().asset;
    expect(asset).toMatchObject({
      hostname: 'web-1',
      mode: 'manage',
      tags: ['web'],
      contact: 'never',
      inventory_at: null,
      packages: 0,
    });
    expect((await events('asset.enrolled')).at(-1)).toMatchObject({
      subject: uid,
      actor: uid,
      actor_kind: 'agent',
      after: { enrolment_token: id, hostname: 'web-1' },
    });
    expect((await events('tag.assets_added')).at(-1)).toMatchObject({
      subject: 'web',
      after: { assets: [{ id: uid }] },
    });

    // The same host again, because the answer got lost: the same asset, and no other use of the token.
    const again = await enrol(secret, enrolment(secret, keys, { hostname: 'web-one', mode: 'assess' }));
    expect(again.json().asset_id).toBe(uid);
    expect((await test.app.inject({ url: '/api/v1/assets/web-one', headers })).json().asset).toMatchObject({
      id: uid,
      mode: 'assess',
    });
    // Another host: the token is used up.
    const other = await enrol(secret, enrolment(secret, generateKeyPairSync('ed25519')));
    expect(other.statusCode).toBe(401);
    expect(other.json().error.code).toBe('enrolment_token_used_up');
    expect((await events('asset.enrolment_refused')).at(-1)).toMatchObject({
      subject: 'web-1',
      after: { code: 'enrolment_token_used_up', enrolment_token: id },
    });
  });

  it('gives the last use of a token to one host only', async () => {
    const { secret } = await enrolmentToken(test, { uses: 2 });
    const responses = await Promise.all(
      Array.from({ length: 5 }, (_, i) =>
        enrol(secret, enrolment(secret, generateKeyPairSync('ed25519'), { hostname: `race-${i}` })),
      ),
    );
    expect(responses.map((response) => response.statusCode).sort((a, b) => a - b)).toEqual([
      201, 201, 401, 401, 401,
    ]);
  });

  it('is refused with a token that is unknown, expired, revoked, of another server, or none', async () => {
    const keys = generateKeyPairSync('ed25519');
    const code = async (secret: string) => {
      const response = await enrol(secret, enrolment(secret, keys));
      expect(response.statusCode).toBe(401);
      return response.json().error.code;
    };
    const { fingerprint } = test.context.keys.order;
    expect(await code(`fxe_${'a'.repeat(43)}.${fingerprint}`)).toBe('enrolment_token_unknown');
    const good = await enrolmentToken(test);
    expect(await code(`${good.secret.slice(0, -22)}${'A'.repeat(22)}`)).toBe('enrolment_token_other_server');
    expect(await code(good.secret.slice(0, -3))).toBe('enrolment_token_malformed');
    const tool = (await test.bearer('administrator')).authorization.slice('Bearer '.length);
    expect(await code(tool)).toBe('enrolment_token_malformed');
    await revokeToken(test.context, system, good.id, null);
    expect(await code(good.secret)).toBe('enrolment_token_revoked');
    const short = await enrolmentToken(test, { expires_in_minutes: 1 });
    test.clock.pass(61);
    expect(await code(short.secret)).toBe('enrolment_token_expired');
    expect(
      await test.context.db
        .selectFrom('asset')
        .select('id')
        .where('public_key', '=', enrolment(good.secret, keys).public_key)
        .execute(),
    ).toEqual([]);
  });

  it('is refused without proof of the key, and the token stays as it was', async () => {
    const { secret } = await enrolmentToken(test);
    const keys = generateKeyPairSync('ed25519');
    const stolen = enrolment(secret, generateKeyPairSync('ed25519'));
    const response = await enrol(secret, enrolment(secret, keys, { proof: stolen.proof }));
    expect(response.json().error.code).toBe('proof_invalid');
    expect((await enrol(secret, enrolment(secret, keys))).statusCode).toBe(201);
  });

  it('is refused when the request is wrong, before the token is looked at', async () => {
    const { secret } = await enrolmentToken(test);
    const response = await enrol(secret, {
      ...enrolment(secret, generateKeyPairSync('ed25519')),
      mode: 'root',
      public_key: 'x',
    });
    expect(response.statusCode).toBe(400);
    expect(
      response
        .json()
        .error.problems.map((problem: { path: string }) => problem.path)
        .sort(),
    ).toEqual(['/mode', '/public_key']);
    const large = await enrol(secret, {
      ...enrolment(secret, generateKeyPairSync('ed25519')),
      agent_version: 'x'.repeat(20_000),
    });
    expect(large.statusCode).toBe(413);
  });
});

describe('a session', () => {
  const ask = async (uid: string) =>
    (await test.app.inject({ method: 'POST', url: '/agent/v1/challenge', payload: { asset_id: uid } })).json()
      .challenge;
  const open = (payload: object) => test.app.inject({ method: 'POST', url: '/agent/v1/session', payload });
  const checkIn = {
    agent_version: '0.1.0',
    boot_id: 'b',
    digests: {
      packages: 'a'.repeat(64),
      candidates: 'a'.repeat(64),
      host: 'a'.repeat(64),
      residue: 'a'.repeat(64),
    },
    tasks: [],
  };

  it('is opened once by each challenge, within a minute, for that asset only', async () => {
    const agent = await testAgent(test);
    const other = await testAgent(test, { hostname: 'web-2' });
    const answerTo = (challenge: string, uid = agent.uid) => ({
      asset_id: uid,
      challenge,
      signature: signed(agent.privateKey, `fixpoint-session-v1\n${uid}\n${challenge}`),
    });
    const challenge = await ask(agent.uid);
    const opened = await open(answerTo(challenge));
    expect(opened.statusCode).toBe(200);
    expect(opened.json().expires_at).toBe(new Date(test.clock.now().getTime() + 3_600_000).toISOString());
    const code = async (payload: object) => (await open(payload)).json().error.code;
    expect(await code(answerTo(challenge))).toBe('challenge_used');
    const late = await ask(agent.uid);
    test.clock.pass(60);
    expect(await code(answerTo(late))).toBe('challenge_expired');
    expect(await code(answerTo(await ask(other.uid)))).toBe('challenge_unknown');
    expect(await code(answerTo('fxc.made.up.too'))).toBe('challenge_unknown');
    // Signed by the wrong key: a challenge of the other asset, answered by this one.
    expect(await code(answerTo(await ask(other.uid), other.uid))).toBe('session_refused');
    const nobody = '00000000-0000-4000-8000-000000000000';
    expect(await code(answerTo(await ask(nobody), nobody))).toBe('session_refused');
  });

  it('ends after an hour, and with the asset', async () => {
    const agent = await testAgent(test);
    const headers = await agent.session();
    const call = () =>
      test.app.inject({ method: 'POST', url: '/agent/v1/check-in', headers, payload: checkIn });
    expect((await call()).statusCode).toBe(200);
    test.clock.pass(3600);
    expect((await call()).json().error.code).toBe('session_expired');
    const fresh = await agent.session();
    const retired = await test.app.inject({
      method: 'POST',
      url: `/api/v1/assets/${agent.uid}/retire`,
      headers: await test.bearer('operator'),
      payload: { reason: 'sold' },
    });
    expect(retired.statusCode).toBe(200);
    const refused = await test.app.inject({
      method: 'POST',
      url: '/agent/v1/check-in',
      headers: fresh,
      payload: checkIn,
    });
    expect(refused.statusCode).toBe(401);
    expect(refused.json().error.code).toBe('asset_retired');
    await expect(agent.session()).rejects.toThrow('asset_retired');
    expect((await events('asset.retired')).at(-1)).toMatchObject({
      subject: agent.uid,
      reason: 'sold',
      actor_kind: 'token',
    });
  });

  it('comes to nothing when any letter of it is changed, and opens no route for people', async () => {
    const agent = await testAgent(test);
    const { authorization } = await agent.session();
    const session = authorization.slice('Bearer '.length);
    for (const i of [4, 10, session.length - 50, session.length - 2]) {
      const changed = `${session.slice(0, i)}${session[i] === 'x' ? 'y' : 'x'}${session.slice(i + 1)}`;
      const response = await test.app.inject({
        method: 'POST',
        url: '/agent/v1/check-in',
        headers: { authorization: `Bearer ${changed}` },
        payload: checkIn,
      });
      expect(response.statusCode).toBe(401);
    }
    const people = await test.app.inject({ url: '/api/v1/assets', headers: { authorization } });
    expect(people.json().error.code).toBe('wrong_credentials');
    const tool = await test.app.inject({
      method: 'POST',
      url: '/agent/v1/check-in',
      headers: await test.bearer('administrator'),
      payload: checkIn,
    });
    expect(tool.statusCode).toBe(401);
  });

  it('works as the password of a proxy, with the asset as user', async () => {
    const agent = await testAgent(test, { mode: 'assess' });
    const session = (await agent.session()).authorization.slice('Bearer '.length);
    const basic = (user: string, secret: string) =>
      `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}`;
    expect(await agentFromBasic(test.context, basic(agent.uid, session))).toMatchObject({
      uid: agent.uid,
      mode: 'assess',
    });
    const other = await testAgent(test);
    expect(await agentFromBasic(test.context, basic(other.uid, session))).toBeNull();
    expect(await agentFromBasic(test.context, basic(agent.uid, `${session}x`))).toBeNull();
    expect(await agentFromBasic(test.context, undefined)).toBeNull();
    expect(await agentFromBasic(test.context, 'Basic !!!')).toBeNull();
    expect(await agentFromBasic(test.context, `Bearer ${session}`)).toBeNull();
  });

  it('is opened again for a retired host that enrols again, as the same asset', async () => {
    const { secret } = await enrolmentToken(test);
    const keys = generateKeyPairSync('ed25519');
    const uid = (await enrol(secret, enrolment(secret, keys))).json().asset_id;
    await test.app.inject({
      method: 'POST',
      url: `/api/v1/assets/${uid}/retire`,
      headers: await test.bearer('operator'),
      payload: { reason: 'repair' },
    });
    const tag = { method: 'POST', url: '/api/v1/tags', payload: { name: 'repaired' } } as const;
    await test.app.inject({ ...tag, headers: await test.bearer('operator') });
    const again = (await enrolmentToken(test, { tags: ['repaired'] })).secret;
    expect((await enrol(again, enrolment(again, keys))).json().asset_id).toBe(uid);
    const token = await test.context.db
      .selectFrom('token')
      .select('uses_left')
      .where('name', '=', 'test hosts')
      .orderBy('created_at', 'desc')
      .executeTakeFirst();
    expect(token?.uses_left).toBe(0);
    const shown = await test.app.inject({
      url: `/api/v1/assets/${uid}`,
      headers: await test.bearer('viewer'),
    });
    expect(shown.json().asset).toMatchObject({ contact: 'never', tags: ['repaired'] });
  });
});
