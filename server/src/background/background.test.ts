import { afterEach, expect, test } from 'vitest';
import { testFleet, type Fleet } from '../deployment/fleet-double.ts';
import { startBackground } from './background.ts';
import { alertOfStaleFeeds } from '../feed-sync/commands.ts';
import { syncParts } from '../feed-sync/parts.ts';
import { alertOfBrokenTrail } from './schedules.ts';

const fleets: Fleet[] = [];
async function fleetOf(): Promise<Fleet> {
  const fleet = await testFleet();
  fleets.push(fleet);
  return fleet;
}
afterEach(async () => {
  for (const fleet of fleets.splice(0)) await fleet.close();
});

async function until(what: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await what()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('it did not come to that');
}

test(
  'two replicas carry a deployment on, each end is told once, and both stop',
  { timeout: 60_000 },
  async () => {
    const fleet = await fleetOf();
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    const replicas = [
      await startBackground(fleet.context, { tickMilliseconds: 20 }),
      await startBackground(fleet.context, { tickMilliseconds: 20 }),
    ];
    try {
      await web.carryOut(order);
      await web.report(order, [{ index: 4, state: 'verifying', digests: web.digests() }]);
      await until(async () => (await fleet.audit('deployment.completed')).length > 0);
      expect((await fleet.call('GET', `/api/v1/deployments/${deployment}`)).body).toMatchObject({
        deployment: { state: 'completed' },
      });
    } finally {
      for (const replica of replicas) await replica.stop();
    }
    expect(await fleet.audit('deployment.completed')).toHaveLength(1);
  },
);

test(
  'a server that starts again goes on from the tables alone, and offers nothing twice',
  { timeout: 60_000 },
  async () => {
    const fleet = await fleetOf();
    const agents = [await fleet.enrol('a'), await fleet.enrol('b')];
    const deployment = await fleet.start({ concurrency: 1 });
    const [a, b] = agents;
    if (a === undefined || b === undefined) throw new Error('two were enrolled');
    const first = await startBackground(fleet.context, { tickMilliseconds: 20 });
    const order = await a.fetchOrder();
    await a.report(order, [{ index: 0, state: 'downloading' }]);
    await first.stop();
    // an hour later another process begins: the silence was the server's own
    fleet.clock.pass(1800);
    const second = await startBackground(fleet.context, { tickMilliseconds: 20 });
    try {
      expect((await b.checkIn()).orders).toEqual([]);
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect((await fleet.states(deployment)).a).toBe('downloading agent_at_work');
      await a.report(order, [
        { index: 1, state: 'staged' },
        { index: 2, state: 'failed', failure: 'disk_full' },
      ]);
      // a check-in that meets the tick at the same deployment gets its order at the next one
      await until(async () => (await b.checkIn()).orders.length === 1);
    } finally {
      await second.stop();
    }
    expect(await fleet.audit('task.offered')).toHaveLength(2);
  },
);

test('stale data is said once; a feed that was never used is not missed', async () => {
  const fleet = await fleetOf();
  await fleet.database.db
    .updateTable('feed')
    .set({
      last_success_at: fleet.clock.now(),
      published_at: new Date(fleet.clock.now().getTime() - 90 * 86_400_000),
    })
    .where('id', '=', 'debian-tracker')
    .execute();
  await alertOfStaleFeeds(syncParts(fleet.context));
  await alertOfStaleFeeds(syncParts(fleet.context));
  const { body } = await fleet.call('GET', '/api/v1/alerts');
  expect(body.items).toMatchObject([{ kind: 'feed_stale', subject: 'debian-tracker' }]);
});

test('a trail that somebody changed is found out', async () => {
  const fleet = await fleetOf();
  await fleet.enrol('web-1');
  await alertOfBrokenTrail(fleet.context);
  expect((await fleet.call('GET', '/api/v1/alerts')).body.total).toBe(0);
  await fleet.database.db
    .updateTable('audit_event')
    .set({ reason: 'nothing happened' })
    .where('event', '=', 'asset.enrolled')
    .execute();
  await alertOfBrokenTrail(fleet.context);
  const { body } = await fleet.call('GET', '/api/v1/alerts');
  expect(body.items).toMatchObject([{ kind: 'audit_broken', severity: 'critical' }]);
});
