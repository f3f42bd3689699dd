import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { diffPackages, inventoryDigests } from '@fixpoint/core/inventory/digest.ts';
import type { Candidate, Inventory, Residue } from '@fixpoint/core/inventory/inventory.ts';
import { listAudit } from '../audit/commands.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { hostFacts, installed, inventoryOf, testAgent, type TestAgent } from './test-agent.ts';

let test: TestApp;
beforeAll(async () => {
  test = await testApp(rooms);
});
afterAll(async () => await test.close());

const openssl = installed('openssl', '3.0.11-1~deb12u2');
const nginx = installed('nginx', '1.22.1-9');
const bash = installed('bash', '5.2.15-2+b7', 'bash');
const candidate: Candidate = {
  ...installed('openssl', '3.0.15-1~deb12u1'),
  repository: 'bookworm-security/main',
  download_bytes: 1_400_000,
};
const residue: Residue = {
  kind: 'process',
  name: 'openssl',
  arch: 'amd64',
  version: '3.0.11-1~deb12u2',
  source: 'openssl',
  source_version: '3.0.11-1~deb12u2',
  path: '/usr/lib/libssl.so.3',
  process: { pid: 7, command: 'nginx', unit: 'nginx.service', started_at: '2026-03-01T00:00:00.000Z' },
  alteration: null,
};

const detail = async (agent: TestAgent) =>
  (
    await test.app.inject({ url: `/api/v1/assets/${agent.uid}`, headers: await test.bearer('viewer') })
  ).json();
const row = async (agent: TestAgent) =>
  await test.context.db
    .selectFrom('asset')
    .selectAll()
    .where('uid', '=', agent.uid)
    .executeTakeFirstOrThrow();
const changes = async (agent: TestAgent) =>
  await test.context.db
    .selectFrom('change_log')
    .selectAll()
    .where('asset_id', '=', (await row(agent)).id)
    .orderBy('sequence')
    .execute();
const trail = async (agent: TestAgent) => {
  const list = await listAudit(test.context, {
    subject: agent.uid,
    event: 'asset.inventory_changed',
    limit: 100,
  });
  if (!list.ok) throw new Error(list.message);
  return list.value.items;
};
const collected_at = '2026-03-02T10:00:00.000Z';

describe('an inventory', () => {
  it('tells by what orders are carried out, and on what that was tried', async () => {
    const agent = await testAgent(test);
    const package_manager = { name: 'dnf', held: 'recorded' } as const;
    await agent.report(inventoryOf([bash], { host: { ...hostFacts, package_manager } }));
    expect((await detail(agent)).executor).toEqual({ manager: 'dnf', held: 'recorded' });
  });

  it('is stored whole, read back as it was, and told on the trail', async () => {
    const agent = await testAgent(test);
    const inventory = inventoryOf([openssl, nginx, bash], { candidates: [candidate], residue: [residue] });
    const response = await agent.report(inventory);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual({ digests: inventoryDigests(inventory) });
    const stored = await detail(agent);
    expect(stored.executor, 'the agent does not say').toBeNull();
    expect(stored.asset).toMatchObject({
      hostname: 'web-1',
      packages: 3,
      inventory_at: test.clock.now().toISOString(),
    });
    expect(stored.packages).toEqual([bash, nginx, openssl]);
    expect(stored).toMatchObject({ candidates: [candidate], residue: [residue], host: hostFacts });
    const [change] = await changes(agent);
    expect(change?.added).toHaveLength(3);
    expect(await trail(agent)).toMatchObject([
      {
        actor: agent.uid,
        actor_kind: 'agent',
        before: null,
        after: { packages: 3, sections: ['packages', 'candidates', 'host', 'residue'] },
      },
    ]);
  });

  it('is changed by a difference; what stays keeps its time', async () => {
    const agent = await testAgent(test);
    const before = inventoryOf([openssl, nginx, bash]);
    await agent.report(before);
    const first = await row(agent);
    test.clock.pass(1000);
    const after = inventoryOf([installed('openssl', '3.0.15-1~deb12u1'), nginx, installed('zsh', '5.9-4')]);
    const response = await agent.post('/agent/v1/inventory', {
      collected_at,
      digests: inventoryDigests(after),
      package_delta: diffPackages(before.packages, after.packages),
    });
    expect(response.statusCode).toBe(200);
    expect((await detail(agent)).packages).toEqual(
      after.packages.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    );
    const second = await row(agent);
    const kept = first.software.filter((id) => second.software.includes(id));
    expect(kept).toHaveLength(1);
    for (const id of kept)
      expect(second.since[second.software.indexOf(id)]).toBe(first.since[first.software.indexOf(id)]);
    for (const id of second.software.filter((each) => !kept.includes(each))) {
      expect(second.since[second.software.indexOf(id)]).toBe((first.since[0] ?? 0) + 1000);
    }
    const log = await changes(agent);
    expect(log).toHaveLength(2);
    expect(log[1]?.added).toHaveLength(2);
    expect(log[1]?.removed).toHaveLength(2);
    expect((await trail(agent))[1]).toMatchObject({
      before: { packages: 3, versions: { 'openssl:amd64': '3.0.11-1~deb12u2', 'bash:amd64': '5.2.15-2+b7' } },
      after: {
        packages: 3,
        versions: { 'openssl:amd64': '3.0.15-1~deb12u1', 'zsh:amd64': '5.9-4' },
        sections: ['packages'],
      },
    });
  });

  it('may be one other section only; software of two hosts is stored once', async () => {
    const agent = await testAgent(test);
    const before = inventoryOf([openssl, nginx]);
    await agent.report(before);
    const host = { ...hostFacts, hostname: 'renamed', reboot_required: true };
    const after = { ...before, host };
    const response = await agent.post('/agent/v1/inventory', {
      collected_at,
      digests: inventoryDigests(after),
      host,
    });
    expect(response.statusCode).toBe(200);
    expect((await detail(agent)).asset.hostname).toBe('renamed');
    expect(await changes(agent)).toHaveLength(1);
    const twin = await testAgent(test);
    await twin.report(before);
    expect((await row(twin)).software).toEqual((await row(agent)).software);
  });

  it('that was said already changes nothing', async () => {
    const agent = await testAgent(test);
    const inventory = inventoryOf([openssl]);
    await agent.report(inventory);
    const first = await row(agent);
    test.clock.pass(5);
    expect((await agent.report(inventory)).statusCode).toBe(200);
    expect(await row(agent)).toEqual(first);
    expect(await trail(agent)).toHaveLength(1);
  });

  describe('is refused, and nothing is changed,', () => {
    async function refused(
      send: (agent: TestAgent, held: Inventory) => ReturnType<TestAgent['post']>,
      status: number,
      code: string,
    ) {
      const agent = await testAgent(test);
      const held = inventoryOf([openssl, nginx]);
      await agent.report(held);
      const before = await row(agent);
      test.clock.pass(5);
      const response = await send(agent, held);
      expect([response.statusCode, response.json<{ error: { code: string } }>().error.code]).toEqual([
        status,
        code,
      ]);
      expect(await row(agent)).toEqual(before);
      expect(await trail(agent)).toHaveLength(1);
    }
    const post = (agent: TestAgent, after: Inventory, sections: object) =>
      agent.post('/agent/v1/inventory', { collected_at, digests: inventoryDigests(after), ...sections });

    it('when it builds on packages that the server does not hold', () =>
      refused(
        (agent) => {
          const after = inventoryOf([bash]);
          return post(agent, after, { package_delta: diffPackages([nginx], after.packages) });
        },
        409,
        'inventory_base_unknown',
      ));
    it('when it leaves out a section that the server holds otherwise', () =>
      refused(
        (agent, held) => post(agent, { ...held, residue: [residue] }, { packages: held.packages }),
        409,
        'inventory_base_unknown',
      ));
    it('when its digest is not that of its packages', () =>
      refused(
        (agent) => post(agent, inventoryOf([openssl, nginx, bash]), { packages: [openssl, bash] }),
        422,
        'inventory_digest_mismatch',
      ));
    it('when its difference gives other packages than it says', () =>
      refused(
        (agent, held) =>
          post(agent, inventoryOf([openssl, nginx, bash]), {
            package_delta: diffPackages(held.packages, [openssl, bash]),
          }),
        422,
        'inventory_digest_mismatch',
      ));
    it('when the digest of another section is wrong', () =>
      refused(
        (agent, held) =>
          post(agent, { ...held, residue: [residue] }, { residue: [{ ...residue, path: '/x' }] }),
        422,
        'inventory_digest_mismatch',
      ));
    it('when it says packages twice over', () =>
      refused(
        (agent, held) => {
          const after = inventoryOf([openssl]);
          return post(agent, after, {
            packages: after.packages,
            package_delta: diffPackages(held.packages, after.packages),
          });
        },
        422,
        'inventory_contradicts',
      ));
    it('when it names a package twice', () =>
      refused(
        (agent) => {
          const after = inventoryOf([openssl, installed('openssl', '1')]);
          return post(agent, after, { packages: after.packages });
        },
        422,
        'inventory_contradicts',
      ));
    it('when it empties the host', () =>
      refused((agent) => post(agent, inventoryOf([]), { packages: [] }), 422, 'inventory_implausible'));
    it('when a difference empties the host', () =>
      refused(
        (agent, held) => post(agent, inventoryOf([]), { package_delta: diffPackages(held.packages, []) }),
        422,
        'inventory_implausible',
      ));
    it('when it is not of the right shape', () =>
      refused(
        (agent, held) => post(agent, held, { packages: [{ ...openssl, version: '' }] }),
        400,
        'validation_failed',
      ));
    it('when it holds a NUL character', () =>
      refused(
        (agent) => {
          const after = inventoryOf([installed('open\0ssl', '1')]);
          return post(agent, after, { packages: after.packages });
        },
        400,
        'malformed_json',
      ));
  });

  it('is refused when the first one leaves something out', async () => {
    const agent = await testAgent(test);
    const inventory = inventoryOf([openssl]);
    const response = await agent.post('/agent/v1/inventory', {
      collected_at,
      digests: inventoryDigests(inventory),
      packages: inventory.packages,
    });
    expect(response.statusCode).toBe(409);
    const delta = await agent.post('/agent/v1/inventory', {
      collected_at,
      digests: inventoryDigests(inventory),
      ...inventory,
      packages: undefined,
      package_delta: diffPackages([], inventory.packages),
    });
    expect(delta.statusCode).toBe(409);
    expect((await row(agent)).digests).toBeNull();
  });

  it('may be large, but not endless or packed', async () => {
    const agent = await testAgent(test);
    const many = inventoryOf(
      Array.from({ length: 12_000 }, (_, i) => installed(`package-${i}`, `1.${i}-${'x'.repeat(60)}`)),
    );
    expect((await agent.report(many)).statusCode).toBe(200);
    expect((await detail(agent)).asset.packages).toBe(12_000);
    const endless = await agent.post('/agent/v1/inventory', { packages: 'x'.repeat(17 * 1024 * 1024) });
    expect(endless.statusCode).toBe(413);
    expect(endless.json<{ error: { code: string } }>().error.code).toBe('body_too_large');
    const packed = await test.app.inject({
      method: 'POST',
      url: '/agent/v1/inventory',
      headers: { ...(await agent.session()), 'content-type': 'application/json', 'content-encoding': 'gzip' },
      payload: gzipSync(JSON.stringify(many)),
    });
    expect(packed.statusCode).toBe(400);
  });

  it('of a system that nothing is known about is stored, and said to be undetermined', async () => {
    const agent = await testAgent(test);
    const inventory = inventoryOf([installed('busybox', '1.36.1-r5')], {
      host: { ...hostFacts, os: 'plan9', os_release: '' },
    });
    expect((await agent.report(inventory)).statusCode).toBe(200);
    const stored = await detail(agent);
    expect(stored.asset).toMatchObject({ os: 'plan9', os_release: '', packages: 1 });
    expect(stored.asset.undetermined).toBeGreaterThan(0);
    expect(stored.undetermined[0].reason).toContain('No vulnerability data');
  });

  it('that lost most of its packages at once is taken, and a person hears of it', async () => {
    const agent = await testAgent(test, { hostname: 'shrinks' });
    const host = { ...hostFacts, hostname: 'shrinks' };
    const packages = Array.from({ length: 120 }, (_, i) => installed(`lib${String(i)}`, '1-1'));
    const alerts = async () =>
      await test.context.db
        .selectFrom('alert')
        .select(['kind', 'message'])
        .where('subject', '=', agent.uid)
        .execute();
    await agent.report(inventoryOf(packages, { host }));
    await agent.report(inventoryOf(packages.slice(0, 80), { host }));
    expect(await alerts()).toEqual([]);
    expect((await agent.report(inventoryOf(packages.slice(0, 20), { host }))).statusCode).toBe(200);
    expect(await alerts()).toEqual([
      { kind: 'inventory_shrank', message: expect.stringContaining('80 packages and now reports 20') },
    ]);
  });

  it('of many hosts at once leaves one unbroken trail', async () => {
    const agents = await Promise.all(
      Array.from({ length: 6 }, (_, i) => testAgent(test, { hostname: `many-${i}` })),
    );
    const responses = await Promise.all(
      agents.map((agent, i) => agent.report(inventoryOf([openssl, nginx, installed('own', `1.${i}`)]))),
    );
    expect(responses.map((response) => response.statusCode)).toEqual(agents.map(() => 200));
    const verified = await test.app.inject({
      url: '/api/v1/audit/verify',
      headers: await test.bearer('operator'),
    });
    expect(verified.json()).toMatchObject({ ok: true, first_bad: null });
  });
});
