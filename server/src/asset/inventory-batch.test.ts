import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InventoryReport } from '@fixpoint/contract/inventory.ts';
import { diffPackages, inventoryDigests } from '@fixpoint/core/inventory/digest.ts';
import type { Inventory } from '@fixpoint/core/inventory/inventory.ts';
import { listAudit, verifyAudit } from '../audit/commands.ts';
import { rooms } from '../rooms.ts';
import { openSoftwareMemory } from '../software/known.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { takeInventories } from './inventory-batch.ts';
import { hostFacts, installed, inventoryOf, testAgent, type TestAgent } from './test-agent.ts';

let test: TestApp;
beforeAll(async () => {
  test = await testApp(rooms);
});
afterAll(async () => await test.close());

const openssl = installed('openssl', '3.0.11-1~deb12u2');
const nginx = installed('nginx', '1.22.1-9');
const held = inventoryOf([openssl, nginx]);

const row = async (uid: string) =>
  await test.context.db.selectFrom('asset').selectAll().where('uid', '=', uid).executeTakeFirstOrThrow();
const agents = async (count: number) =>
  await Promise.all(
    Array.from({ length: count }, (_, i) => testAgent(test, { hostname: `many-${String(i)}` })),
  );
/** As it arrives: through JSON. */
function whole(inventory: Inventory): InventoryReport {
  const report: InventoryReport = JSON.parse(
    JSON.stringify({
      collected_at: '2026-03-02T10:00:00.000Z',
      digests: inventoryDigests(inventory),
      ...inventory,
    }),
  );
  return report;
}
const bare = (packages: Inventory['packages'], hostname: string) =>
  inventoryOf(packages, { host: { ...hostFacts, hostname, addresses: [], kernels: [], units: [] } });
async function reportsOf(list: readonly (readonly [TestAgent, Inventory])[]) {
  return await Promise.all(
    list.map(async ([{ uid }, inventory]) => ({
      agent: { assetId: (await row(uid)).id, uid, mode: 'manage' as const },
      report: whole(inventory),
    })),
  );
}

describe('inventories of several hosts at once', () => {
  it('are each stored with what follows, in one transaction, and the trail is whole', async () => {
    const hosts = await agents(5);
    const memory = openSoftwareMemory();
    const inventories = hosts.map((_, i) =>
      bare([openssl, installed('tool', `1.${String(i % 2)}`)], `m${String(i)}`),
    );
    const list = hosts.flatMap((host, i) => {
      const inventory = inventories[i];
      return inventory === undefined ? [] : [[host, inventory] as const];
    });
    const answers = await takeInventories(test.context, memory, await reportsOf(list));
    expect(answers).toEqual(
      inventories.map((one) => ({ ok: true, value: { digests: inventoryDigests(one) } })),
    );
    const rows = await Promise.all(hosts.map((host) => row(host.uid)));
    expect(rows.map((one) => one.hostname)).toEqual(['m0', 'm1', 'm2', 'm3', 'm4']);
    expect(rows[0]?.software).toEqual(rows[2]?.software);
    expect(rows[0]?.software).not.toEqual(rows[1]?.software);
    const logged = await test.context.db
      .selectFrom('change_log')
      .select(['xid', 'added'])
      .where(
        'asset_id',
        'in',
        rows.map((one) => one.id),
      )
      .execute();
    expect(logged).toHaveLength(5);
    expect(new Set(logged.map((one) => one.xid)).size).toBe(1);
    for (const { uid } of hosts) {
      const told = await listAudit(test.context, { subject: uid, event: 'asset.inventory_changed' });
      expect(told.ok && told.value.items).toHaveLength(1);
    }
    expect((await verifyAudit(test.context, null)).ok).toBe(true);
  });

  it('with one that is refused store the others', async () => {
    const hosts = await agents(3);
    const [first, second, third] = hosts;
    if (first === undefined || second === undefined || third === undefined) throw new Error('three');
    const reports = await reportsOf([
      [first, bare([openssl], 'a')],
      [second, bare([], 'b')],
      [third, bare([nginx], 'c')],
    ]);
    const answers = await takeInventories(test.context, openSoftwareMemory(), reports);
    expect(answers.map((one) => (one.ok ? 'stored' : one.code))).toEqual([
      'stored',
      'inventory_implausible',
      'stored',
    ]);
    expect((await row(second.uid)).digests).toBeNull();
    expect((await row(third.uid)).software).toHaveLength(1);
  });

  it('by HTTP, many at once and some twice, end as if each had come alone', async () => {
    const hosts = await agents(12);
    await Promise.all(hosts.map((host) => host.report(held)));
    const after = inventoryOf([installed('openssl', '3.0.15-1~deb12u1'), nginx]);
    const delta = {
      collected_at: '2026-03-02T10:00:00.000Z',
      digests: inventoryDigests(after),
      package_delta: diffPackages(held.packages, after.packages),
    };
    const answers = await Promise.all(
      [...hosts, ...hosts].map((host) => host.post('/agent/v1/inventory', delta)),
    );
    expect(answers.map((one) => one.statusCode)).toEqual(answers.map(() => 200));
    const rows = await Promise.all(hosts.map((host) => row(host.uid)));
    for (const one of rows) {
      expect(one.digests).toEqual(inventoryDigests(after));
      expect(one.software).toEqual(rows[0]?.software);
      const log = await test.context.db
        .selectFrom('change_log')
        .select(['added', 'removed'])
        .where('asset_id', '=', one.id)
        .execute();
      expect(log.map((each) => [each.added.length, each.removed.length])).toEqual([
        [2, 0],
        [1, 1],
      ]);
    }
    expect((await verifyAudit(test.context, null)).ok).toBe(true);
  });
});

describe('software that is remembered', () => {
  it('is none that a transaction added and took back', async () => {
    const memory = openSoftwareMemory();
    const product = { ecosystem: 'debian', release: '12' };
    const one = { line: 'x', package: installed('rolled-back', '1') };
    const failed = test.context.db.transaction().execute(async (trx) => {
      const reading = memory.read();
      await reading.intern(trx, test.context, product, [one]);
      throw new Error('rolled back');
    });
    await expect(failed).rejects.toThrow('rolled back');
    const kept = await test.context.db.transaction().execute(async (trx) => {
      const reading = memory.read();
      const [id] = await reading.intern(trx, test.context, product, [one]);
      return { id, reading };
    });
    kept.reading.keep();
    const { id } = await test.context.db
      .selectFrom('software')
      .select('id')
      .where('name', '=', 'rolled-back')
      .executeTakeFirstOrThrow();
    expect(kept.id).toBe(id);
  });
});
