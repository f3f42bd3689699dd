import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { debianCandidate } from './agent-double.ts';
import { newVersion, testFleet, type Fleet } from './fleet-double.ts';
import { tick } from './tick.ts';

let fleet: Fleet;
const opened: Fleet[] = [];
beforeEach(async () => {
  fleet = await testFleet();
  opened.push(fleet);
});
afterAll(async () => {
  for (const one of opened) await one.close();
});

const act = (deployment: string, action: string) =>
  fleet.call('POST', `/api/v1/deployments/${deployment}/actions`, { action, reason: 'a test' });
const actOnTask = (task: string, action: string, body: object = { reason: 'a test' }) =>
  fleet.call('POST', `/api/v1/tasks/${task}/actions`, { action, ...body });

describe('cancel and retry of one task', () => {
  test('cancelled before it has begun, with the person and the reason on the trail', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    expect((await actOnTask(order.task_id, 'retry')).body).toMatchObject({
      error: { code: 'action_not_allowed' },
    });
    expect((await actOnTask(order.task_id, 'cancel')).status).toBe(200);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'cancelled task_cancelled' });
    const held = [{ task_id: order.task_id, generation: 1, state: 'downloading' as const }];
    expect((await web.checkIn(held)).cancelled).toEqual([order.task_id]);
    expect((await fleet.audit('task.cancelled'))[0]).toMatchObject({ reason: 'a test' });
  });

  test('what has begun is not cancelled; a failed one is retried when its deployment may go on', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    await web.report(order, [{ index: 0, state: 'installing' }]);
    expect((await actOnTask(order.task_id, 'cancel')).status).toBe(409);
    await web.report(order, [{ index: 1, state: 'failed', failure: 'lock_held' }]);
    await act(deployment, 'pause');
    expect((await actOnTask(order.task_id, 'retry')).status).toBe(409);
    await act(deployment, 'resume');
    await tick(fleet.context, fleet.clock.now());
    expect((await actOnTask(order.task_id, 'retry')).status).toBe(200);
    expect((await fleet.call('GET', `/api/v1/deployments/${deployment}`)).body).toMatchObject({
      deployment: { state: 'running' },
    });
    web.host.candidates = [
      debianCandidate('libssl3', newVersion, 'openssl'),
      debianCandidate('openssl', newVersion, 'openssl'),
    ];
    expect(await web.fetchOrder()).toMatchObject({ generation: 2, action: 'install' });
    expect((await fleet.call('POST', `/api/v1/tasks/${order.task_id}/actions`)).status).toBe(400);
    const denied = await fleet.app.inject({
      method: 'POST',
      url: `/api/v1/tasks/${order.task_id}/actions`,
      headers: await fleet.bearer(['read'], 'reader'),
      payload: { action: 'cancel', reason: 'no' },
    });
    expect(denied.statusCode).toBe(403);
  });
});

describe('rollback of one task', () => {
  test('not where the host takes no orders any more: what came of its task stays as it was', async () => {
    const [web, other] = [await fleet.enrol('web-1'), await fleet.enrol('web-2')];
    const deployment = await fleet.start({ rollback: { on: 'any_failure' } });
    const order = await web.fetchOrder();
    for (const [agent, given] of [
      [web, order],
      [other, await other.fetchOrder()],
    ] as const) {
      await agent.carryOut(given);
      await agent.report(given, [{ index: 4, state: 'verifying', digests: agent.digests() }]);
    }
    const { db } = fleet.database;
    await db
      .updateTable('asset')
      .set({ retired_at: fleet.clock.now() })
      .where('hostname', '=', 'web-1')
      .execute();
    await db.updateTable('asset').set({ mode: 'assess' }).where('hostname', '=', 'web-2').execute();
    expect(await actOnTask(order.task_id, 'roll_back')).toMatchObject({
      body: { error: { code: 'asset_retired' } },
    });
    const refused = await act(deployment, 'roll_back');
    expect(refused).toMatchObject({ status: 409, body: { error: { code: 'nothing_to_roll_back' } } });
    await tick(fleet.context, fleet.clock.now());
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'succeeded', 'web-2': 'succeeded' });
  });
});
