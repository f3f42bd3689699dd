import { afterAll, beforeAll, expect, test } from 'vitest';
import { newVersion, testFleet, type Fleet } from './fleet-double.ts';

/** A package can ask for a reboot although no vulnerable code is left: whether its task waits for that is the job's to say. */

let fleet: Fleet;
beforeAll(async () => {
  fleet = await testFleet();
});
afterAll(async () => {
  await fleet.close();
});

test('a job that reboots by itself goes on to the reboot that a package asks for', async () => {
  const web = await fleet.enrol('wanted');
  const deployment = await fleet.start({ reboot: { mode: 'force', countdown_seconds: 0 } });
  const order = await web.fetchOrder();
  expect(order.health).toEqual({ probes: [] });
  await web.carryOut(order);
  web.host.facts = { reboot_required: true, reboot_required_by: ['openssl'] };
  await web.report(order, [{ index: 4, state: 'reboot_pending' }]);
  await web.sendInventory();
  expect(await fleet.states(deployment)).toMatchObject({
    wanted: expect.stringMatching(/^reboot_pending/u) as unknown,
  });

  // After the reboot the host does not ask any more, and the task is judged.
  delete web.host.facts;
  await web.sendInventory();
  expect(await fleet.states(deployment)).toEqual({ wanted: 'succeeded' });
});

test('a job that leaves reboots to people is done when nothing vulnerable is left', async () => {
  const web = await fleet.enrol('left');
  const deployment = await fleet.start({
    target: { tags: [], assets: ['left'], exclude: [] },
    reboot: { mode: 'suppress' },
  });
  const order = await web.fetchOrder();
  expect(order.packages.map((p) => p.to)).toEqual([newVersion, newVersion]);
  expect(order.health).toBeUndefined();
  await web.carryOut(order);
  web.host.facts = { reboot_required: true, reboot_required_by: ['openssl'] };
  await web.report(order, [{ index: 4, state: 'reboot_pending' }]);
  await web.sendInventory();
  expect(await fleet.states(deployment)).toEqual({ left: 'succeeded' });
});
