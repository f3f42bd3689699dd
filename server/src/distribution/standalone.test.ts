import { createHash, generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { afterEach, describe, expect, test } from 'vitest';
import { CheckInResponse } from '@fixpoint/contract/agent.ts';
import type { AgentDouble } from '../deployment/agent-double.ts';
import { publicKeyOf } from '../auth/keys.ts';
import { getThrough, serving } from './http-double.ts';
import { ask, basic, nearPoint, often, pointIn, ticketOf, until, type Body } from './near-double.ts';
import { cleanUp, distributionPoint, upstreamServer, type Point } from './point-double.ts';
import { nearest } from './points.ts';
import { isTicket, issueTicket } from './ticket.ts';

afterEach(cleanUp);

const content = Buffer.from('a package that crosses the line once. '.repeat(20_000));
const pool = 'pool/main/o/openssl/openssl_3.0.22_amd64.deb';

const toldPoint = async (agent: AgentDouble) =>
  Value.Parse(
    CheckInResponse,
    await agent.post('/agent/v1/check-in', agent.session, {
      agent_version: 'double',
      boot_id: 'boot-1',
      digests: agent.digests(),
      tasks: [],
    }),
  ).distribution_point;

describe('a point near the hosts', () => {
  test('is handed to the hosts in its ranges that have something to load; each file crosses the line once', async () => {
    const upstream = await upstreamServer();
    upstream.answer = serving(content, { etag: '"1"' });
    const server = await distributionPoint(upstream.url, often);
    const { fleet } = server;
    const [one, two] = [await fleet.enrol('a-1'), await fleet.enrol('a-2')];
    const near = await nearPoint(server);
    expect(await toldPoint(one)).toBeUndefined();
    await fleet.start();
    // the server hears of the task a moment after it is there
    await until('a task', async () => (await toldPoint(one)) !== undefined);
    expect(await toldPoint(one)).toEqual({ url: 'http://10.0.0.2:8421', name: 'berlin' });

    const url = `${upstream.url}${pool}`;
    const got = await Promise.all(
      [one, two].map(async (agent) =>
        getThrough(near.running.port, url, basic(agent.uid, await ticketOf(agent))),
      ),
    );
    expect(got.every((each) => each.body.equals(content))).toBe(true);
    expect(upstream.asked).toHaveLength(1);
    await until('the heartbeat', async () => (await pointIn(server, near.id)).status?.files === 1);
    expect(await pointIn(server, near.id)).toMatchObject({
      state: 'working',
      status: { version: 'test', bytes: content.length, served_bytes: 2 * content.length },
    });
    // the line to the server carried it once
    expect((await fleet.call('GET', '/api/v1/distribution')).body.served_bytes).toBe(content.length);
    expect((await getThrough(near.running.port, '/point/v1/health')).body.toString()).toContain('berlin');

    // another host, elsewhere, is not sent there; and a silent point is handed to nobody
    const host = { packages: one.host.packages, candidates: one.host.candidates, residue: [], held: [] };
    const far = await fleet.enrol('far', { ...host, facts: { addresses: ['192.0.2.1'] } });
    await fleet.start();
    expect(await toldPoint(far)).toBeUndefined();
    await near.running.stop();
    fleet.clock.pass(60);
    expect(await toldPoint(one)).toBeUndefined();
  });

  test('knows agents by tickets of the server: no session, no other point, no other asset, not for ever', async () => {
    const upstream = await upstreamServer();
    upstream.answer = serving(content);
    const server = await distributionPoint(upstream.url, often);
    const { fleet } = server;
    const near = await nearPoint(server);
    await ask(server, 'POST', '/api/v1/distribution-points', {
      name: 'hamburg',
      url: 'http://10.0.0.3:8421',
      ranges: ['10.9.0.0/16'],
    });
    const agent = await fleet.enrol('a-1');
    const other = await fleet.enrol('a-2');
    const url = `${upstream.url}${pool}`;
    const status = async (user: string, password: string): Promise<number> =>
      (await getThrough(near.running.port, url, basic(user, password))).status;
    const ticket = await ticketOf(agent);
    expect(await status(agent.uid, ticket)).toBe(200);
    expect(await status(agent.uid, agent.session)).toBe(407);
    expect(await status(other.uid, ticket)).toBe(407);
    expect(await status(agent.uid, await ticketOf(agent, 'hamburg'))).toBe(407);
    expect(await status(agent.uid, `${ticket.slice(0, -4)}AAAA`)).toBe(407);
    expect(await status(agent.uid, ticket.replace(/\.[0-9a-z]+\.([^.]+)$/u, '.zzzzzzzzz.$1'))).toBe(407);
    fleet.clock.pass(3_601);
    expect(await status(agent.uid, ticket)).toBe(407);
    // and a ticket opens nothing at the server
    const atServer = await server.get(url, basic(agent.uid, await fleetTicket(server, agent)));
    expect(atServer.status).toBe(407);
    // only what the server serves
    await agent.openSession();
    const elsewhere = 'http://169.254.169.254/latest/meta-data/';
    const refused = await getThrough(near.running.port, elsewhere, basic(agent.uid, await ticketOf(agent)));
    expect(refused.status).toBe(403);
  });

  test('goes on while the server is away, after a restart too, and ends when it is removed', async () => {
    const upstream = await upstreamServer();
    upstream.answer = serving(content, { etag: '"1"' });
    const server = await distributionPoint(upstream.url, often);
    const near = await nearPoint(server);
    const agent = await server.fleet.enrol('a-1');
    const credentials = basic(agent.uid, await ticketOf(agent));
    const url = `${upstream.url}${pool}`;
    expect((await getThrough(near.running.port, url, credentials)).status).toBe(200);
    await near.running.stop();
    await ask(server, 'DELETE', `/api/v1/distribution-points/${near.id}`);
    await expect(near.start()).rejects.toThrow(/refuses this point/u);
    await server.fleet.app.close();
    const again = await near.start();
    expect((await getThrough(again.port, url, credentials)).body.equals(content)).toBe(true);
  });

  test('is registered by administrators alone, with its secret shown once, and all of it is audited', async () => {
    const upstream = await upstreamServer();
    const server = await distributionPoint(upstream.url, often);
    const near = await nearPoint(server);
    const stored = await server.fleet.database.db.selectFrom('distribution_point').selectAll().execute();
    expect(JSON.stringify(stored)).not.toContain(near.secret.slice(4));
    const denied = await server.fleet.call('POST', '/api/v1/distribution-points', {
      name: 'x',
      url: 'http://x:1',
      ranges: ['10.0.0.0/8'],
    });
    expect([denied.status, Object(denied.body.error).code]).toEqual([403, 'forbidden']);
    const again = { name: 'berlin', url: 'http://x:1', ranges: ['10.0.0.0/8'] };
    expect((await ask(server, 'POST', '/api/v1/distribution-points', again)).status).toBe(409);
    const wrong = { ...again, name: 'y', ranges: ['10.0.0.0/33'] };
    expect((await ask(server, 'POST', '/api/v1/distribution-points', wrong)).status).toBe(422);
    const path = `/api/v1/distribution-points/${near.id}`;
    const changed = await ask(server, 'PATCH', path, { ranges: ['10.1.0.0/16', 'fd00::/8'] });
    expect(changed.body.ranges).toEqual(['10.1.0.0/16', 'fd00::/8']);
    expect((await ask(server, 'DELETE', path)).status).toBe(200);
    expect((await ask(server, 'DELETE', path)).status).toBe(404);
    const events = (await server.fleet.audit()).map((each) => each.event);
    expect(events.filter((event) => event.startsWith('distribution_point'))).toEqual([
      'distribution_point.created',
      'distribution_point.changed',
      'distribution_point.removed',
    ]);
    const heartbeat = await server.fleet.app.inject({
      method: 'POST',
      url: '/point/v1/heartbeat',
      headers: { authorization: `Bearer ${near.secret}` },
      payload: {},
    });
    expect(heartbeat.statusCode).toBe(401);
  });
});

async function fleetTicket(server: Point, agent: AgentDouble): Promise<string> {
  await agent.openSession();
  const { keys, clock } = server.fleet.context;
  return issueTicket(keys.order.privateKey, clock.now(), agent.uid, 'x').ticket;
}

test('what has no name any more is not kept beyond a start: it counts nowhere, and would fill the disk', async () => {
  const upstream = await upstreamServer();
  const server = await distributionPoint(upstream.url, often);
  const near = await nearPoint(server);
  await near.running.stop();
  const sha256 = 'ab'.repeat(32);
  const folder = join(near.folder, 'distribution/sha256/ab');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, sha256), 'an index of yesterday');
  server.fleet.clock.pass((Date.now() - server.fleet.clock.now().getTime()) / 1000 + 7_200);
  await near.start();
  await until('the sweep', () => Promise.resolve(!existsSync(join(folder, sha256))));
});

describe('a poisoned point', () => {
  test('is told by the host: alert, audit, and the file is dropped at the point and at the server, and looked at again', async () => {
    const upstream = await upstreamServer();
    upstream.answer = serving(content, { etag: '"1"' });
    const server = await distributionPoint(upstream.url, often);
    const { fleet } = server;
    const near = await nearPoint(server);
    const agent = await fleet.enrol('a-1');
    const credentials = basic(agent.uid, await ticketOf(agent));
    const url = `${upstream.url}${pool}`;
    await getThrough(near.running.port, url, credentials);
    await near.running.stop();
    // what somebody with access to its folder can do: another file, under its own right hash
    const forged = Buffer.from(content);
    forged.write('EVIL', 100);
    const sha256 = createHash('sha256').update(forged).digest('hex');
    const folder = join(near.folder, 'distribution');
    mkdirSync(join(folder, 'sha256', sha256.slice(0, 2)), { recursive: true });
    writeFileSync(join(folder, 'sha256', sha256.slice(0, 2), sha256), forged);
    const index = readFileSync(join(folder, 'index.jsonl'), 'utf8');
    writeFileSync(
      join(folder, 'index.jsonl'),
      index.replaceAll(/"sha256":"[0-9a-f]{64}"/gu, `"sha256":"${sha256}"`),
    );
    const running = await near.start();
    expect((await getThrough(running.port, url, credentials)).body.equals(forged)).toBe(true);

    const other = await fleet.enrol('a-2');
    await fleet.start();
    const order = await agent.fetchOrder();
    const distribution = { point: 'berlin', problem: 'hash_mismatch' as const, files: [url] };
    const events = [
      { index: 0, state: 'downloading' as const },
      { index: 1, state: 'downloading' as const, message: 'Hash Sum mismatch', detail: { distribution } },
    ];
    await agent.report(order, events);
    await agent.report(order, events);
    // the same file reaches a thousand hosts of a point: that is one thing to look at
    await other.report(await other.fetchOrder(), events);
    const { items }: { items: Body[] } = Object((await fleet.call('GET', '/api/v1/alerts')).body);
    const alerts = items.filter((alert) => alert.kind === 'distribution_poisoned');
    expect(alerts).toHaveLength(1);
    expect(alerts[0]).toMatchObject({
      severity: 'critical',
      subject: near.id,
      detail: { point: 'berlin', files: [url], asset: agent.uid, hostname: 'a-1' },
    });
    const audit = await fleet.audit('distribution_point.poisoned');
    expect(audit).toHaveLength(2);
    await until(
      'the point to look again',
      async () => (await pointIn(server, near.id)).suspects.length === 0,
    );
    expect((await getThrough(running.port, url, credentials)).body.equals(content)).toBe(true);
    // the server dropped its own too
    expect(upstream.asked).toHaveLength(2);
  });
});

test('the narrowest range decides, then the first by name', () => {
  const points = [
    { name: 'all', ranges: ['0.0.0.0/0', '::/0'] },
    { name: 'site', ranges: ['10.0.0.0/8', 'fd00::/8'] },
    { name: 'room', ranges: ['10.1.2.0/24'] },
  ];
  const name = (...addresses: string[]) => nearest(points, addresses)?.name;
  expect(name('10.1.2.3')).toBe('room');
  expect(name('10.9.9.9')).toBe('site');
  expect(name('fd00::1')).toBe('site');
  expect(name('192.0.2.1', '10.1.2.9')).toBe('room');
  expect(name('not an address')).toBeUndefined();
  expect(nearest(points, [])).toBeNull();
});

test('a ticket is signed over all of it', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = publicKeyOf(
    publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64url'),
  );
  const now = new Date('2026-03-02T10:00:00Z');
  const { ticket, expiresAt } = issueTicket(privateKey, now, 'asset', 'point');
  expect(isTicket(raw, now, ticket, 'asset', 'point')).toBe(true);
  expect(isTicket(raw, new Date(expiresAt.getTime() - 1), ticket, 'asset', 'point')).toBe(true);
  expect(isTicket(raw, expiresAt, ticket, 'asset', 'point')).toBe(false);
  expect(isTicket(raw, now, ticket, 'asset2', 'point')).toBe(false);
  expect(isTicket(raw, now, ticket.replace('asset', 'asset2'), 'asset2', 'point')).toBe(false);
  expect(isTicket(raw, now, `${ticket}.x`, 'asset', 'point')).toBe(false);
});
