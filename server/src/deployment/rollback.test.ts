import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import type { InstallOrder, RollbackOrder } from '@fixpoint/contract/order.ts';
import { findingsOfAssets } from '../finding/commands.ts';
import { transact } from '../transact.ts';
import type { AgentDouble } from './agent-double.ts';
import { debianPackage } from './agent-double.ts';
import { newVersion, oldVersion, testFleet, vulnerability, type Fleet } from './fleet-double.ts';
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

const any = { rollback: { on: 'any_failure' as const } };
const health = { probes: [{ kind: 'unit_active' as const, unit: 'nginx.service' }] };
const act = (deployment: string, action: string) =>
  fleet.call('POST', `/api/v1/deployments/${deployment}/actions`, { action, reason: 'a test' });
const actOnTask = (task: string, action: string, body: object = { reason: 'a test' }) =>
  fleet.call('POST', `/api/v1/tasks/${task}/actions`, { action, ...body });
const taskOf = async (id: string) => (await fleet.call('GET', `/api/v1/tasks/${id}`)).body;
const alerts = async (kind: string) => {
  const { body } = await fleet.call('GET', '/api/v1/alerts?open=true');
  const items: { kind: string; severity: string; message: string }[] = Object(body.items);
  return items.filter((one) => one.kind === kind);
};
const kept = { kept: { method: 'packages' as const, packages: 2, bytes: 9, missing: [] } };

/** As the real agent: what is kept is told with `staged`, the inventory comes before the last event. */
async function succeed(agent: AgentDouble, order: InstallOrder, missing: string[] = []): Promise<void> {
  await agent.report(order, [
    { index: 0, state: 'downloading' },
    { index: 1, state: 'staged', detail: { kept: { ...kept.kept, missing } } },
    { index: 2, state: 'installing' },
  ]);
  agent.install(order.packages);
  await agent.report(order, [{ index: 3, state: 'installed' }]);
  await agent.sendInventory();
  await agent.report(order, [{ index: 4, state: 'verifying', digests: agent.digests() }]);
}
async function failHealth(agent: AgentDouble, order: InstallOrder): Promise<void> {
  await agent.report(order, [
    { index: 0, state: 'staged', detail: kept },
    { index: 1, state: 'installing' },
  ]);
  agent.install(order.packages);
  await agent.report(order, [
    { index: 2, state: 'installed' },
    { index: 3, state: 'failed', failure: 'health_failed', message: 'nginx.service has failed' },
  ]);
  await agent.sendInventory();
}
async function putBack(agent: AgentDouble, order: RollbackOrder): Promise<void> {
  await agent.report(order, [{ index: 0, state: 'rolling_back' }]);
  agent.putBack(order.packages);
  await agent.sendInventory();
  await agent.report(order, [{ index: 1, state: 'rolling_back', digests: agent.digests() }]);
}

describe('after a failure', () => {
  test('of health: ordered at the next check-in, judged by the inventory, the finding open again', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start({ rollback: { on: 'health_failure' }, health });
    const order = await web.fetchOrder();
    await failHealth(web, order);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'rolling_back rolling_back' });
    expect(await alerts('rollback_began')).toHaveLength(1);

    const back = await web.fetchRollback();
    expect(back).toMatchObject({
      action: 'roll_back',
      task_id: order.task_id,
      generation: 2,
      undoes_generation: 1,
      method: 'packages',
      packages: order.packages,
    });
    expect(back.sequence).toBeGreaterThan(order.sequence);
    expect((await web.fetchRollback()).sequence, 'the same text again').toBe(back.sequence);
    await putBack(web, back);
    expect((await web.checkIn()).orders).toEqual([]);
    const shown = await taskOf(order.task_id);
    expect(shown).toMatchObject({
      task: { state: 'rolled_back', reason: { code: 'rolled_back' } },
      evidence: {
        rollback: { outcome: 'rolled_back', restored: 2, not_restored: [], undid_generation: 1 },
      },
    });
    const open = await transact(fleet.context.db, (trx) =>
      findingsOfAssets(trx, [1], { vulnerabilities: [vulnerability] }),
    );
    expect([...open.values()].flat()).toMatchObject([{ vulnerability, status: 'open' }]);
    await tick(fleet.context, fleet.clock.now());
    const detail = await fleet.call('GET', `/api/v1/deployments/${deployment}`);
    expect(detail.body).toMatchObject({ deployment: { state: 'completed', tasks: { rolled_back: 1 } } });
    expect((await fleet.audit('task.rollback_began'))[0]).toMatchObject({
      subject: order.task_id,
      after: { state: 'rolling_back', generation: 2 },
    });
  });

  test('of verification: also when the deployment was halted meanwhile, and outside of its window', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start({
      rollback: { on: 'verification_failure' },
      windows: [{ zone: 'UTC', opens: { kind: 'daily', at: '10:00' }, duration_minutes: 30 }],
    });
    const order = await web.fetchOrder();
    await web.report(order, [
      { index: 0, state: 'staged', detail: kept },
      { index: 1, state: 'installing' },
      { index: 2, state: 'installed' },
    ]);
    web.install(order.packages.slice(0, 1));
    await web.sendInventory();
    await act(deployment, 'halt');
    fleet.clock.pass(3600);
    await web.report(order, [{ index: 3, state: 'verifying', digests: web.digests() }]);
    expect(await alerts('not_remediated')).toHaveLength(1);
    const back = await web.fetchRollback();
    expect((await web.checkIn()).held).toEqual([]);
    await putBack(web, back);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'rolled_back rolled_back' });
  });

  test.each([
    ['verification_failure', 'health_failed', false],
    ['health_failure', 'health_failed', true],
    ['health_failure', 'restart_failed', false],
    ['any_failure', 'restart_failed', true],
    ['any_failure', 'maintainer_script_failed', true],
    ['off', 'health_failed', false],
  ] as const)('with %s, after %s: %s', async (on, failure, isUndone) => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start({ rollback: { on }, health });
    const order = await web.fetchOrder();
    await web.report(order, [
      { index: 0, state: 'installing' },
      { index: 1, state: 'failed', failure },
    ]);
    expect((await fleet.states(deployment))['web-1']?.startsWith('rolling_back')).toBe(isUndone);
  });

  test('before anything was changed there is nothing to put back', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start(any);
    const order = await web.fetchOrder();
    await web.report(order, [{ index: 0, state: 'failed', failure: 'download_failed' }]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'failed download_failed' });
    expect(await actOnTask(order.task_id, 'roll_back')).toMatchObject({
      status: 409,
      body: { error: { code: 'nothing_to_roll_back' } },
    });
  });

  test('what could not be kept cannot be put back: said in an alert, and to whoever asks', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start(any);
    const order = await web.fetchOrder();
    await web.report(order, [
      { index: 0, state: 'staged', detail: { kept: { ...kept.kept, missing: ['libssl3:amd64'] } } },
      { index: 1, state: 'installing' },
      { index: 2, state: 'failed', failure: 'maintainer_script_failed' },
    ]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'failed maintainer_script_failed' });
    const [alert] = await alerts('rollback_not_possible');
    expect(alert).toMatchObject({ severity: 'critical' });
    expect(alert?.message).toContain('libssl3:amd64');
    expect(await actOnTask(order.task_id, 'roll_back')).toMatchObject({
      body: { error: { code: 'kept_incomplete' } },
    });
  });
});

describe('what came of a rollback', () => {
  test('the host says that it could not: failed, critical', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start(any);
    await failHealth(web, await web.fetchOrder());
    const back = await web.fetchRollback();
    await web.report(back, [
      { index: 0, state: 'rolling_back' },
      { index: 1, state: 'failed', failure: 'rollback_failed', message: 'libssl3 cannot be configured' },
    ]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'failed rollback_failed' });
    expect(await alerts('rollback_failed')).toMatchObject([{ severity: 'critical' }]);
    // by hand it may be tried again, in a generation of its own
    expect((await actOnTask(back.task_id, 'roll_back')).status).toBe(200);
    expect(await web.fetchRollback()).toMatchObject({ generation: 3, undoes_generation: 1 });
  });

  test('the host says that it did, and the inventory says otherwise: failed, critical', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start(any);
    await failHealth(web, await web.fetchOrder());
    const back = await web.fetchRollback();
    await web.report(back, [
      { index: 0, state: 'rolling_back' },
      { index: 1, state: 'rolling_back', digests: web.digests() },
    ]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'failed rollback_failed' });
    const [alert] = await alerts('rollback_failed');
    expect(alert?.message).toContain(`at ${newVersion} instead of ${oldVersion}`);
  });

  test('it waits for the inventory that the host names; one from before proves nothing', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start(any);
    await failHealth(web, await web.fetchOrder());
    const back = await web.fetchRollback();
    await web.report(back, [{ index: 0, state: 'rolling_back' }]);
    web.host.packages.push(debianPackage('unrelated', '1'));
    await web.sendInventory();
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'rolling_back rolling_back' });
    web.putBack(back.packages);
    await web.report(back, [{ index: 1, state: 'rolling_back', digests: web.digests() }]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'rolling_back rolling_back' });
    await web.sendInventory();
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'rolled_back rolled_back' });
  });

  test('everything is back on disk, but what was rolled back still runs: judged, and said', async () => {
    const web = await fleet.enrol('web-1');
    await fleet.start(any);
    const order = await web.fetchOrder();
    await failHealth(web, order);
    const back = await web.fetchRollback();
    web.putBack(back.packages);
    await web.sendInventory();
    await web.report(back, [
      { index: 0, state: 'rolling_back' },
      { index: 1, state: 'reboot_pending' },
    ]);
    const waiting = [{ task_id: order.task_id, generation: 2, state: 'reboot_pending' as const }];
    expect(await web.checkIn(waiting), 'nobody is rebooted by a rollback').toMatchObject({ orders: [] });
    fleet.clock.pass(90);
    await web.checkIn(waiting);
    await new Promise((resolve) => setTimeout(resolve, 400));
    await tick(fleet.context, fleet.clock.now());
    const { task } = await taskOf(order.task_id);
    expect(task).toMatchObject({ state: 'rolled_back', reason: { code: 'rolled_back' } });
    expect(Object(task).reason.message).toContain('still runs until the host reboots');
    expect((await web.checkIn(waiting)).cancelled).toEqual([order.task_id]);
  });

  test('an asset that stops answering meanwhile goes on where it was, with why it is rolled back', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start(any);
    await failHealth(web, await web.fetchOrder());
    const back = await web.fetchRollback();
    await web.report(back, [{ index: 0, state: 'rolling_back' }]);
    fleet.clock.pass(3600);
    await tick(fleet.context, new Date(0));
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'unreachable asset_unreachable' });
    web.putBack(back.packages);
    await web.sendInventory();
    await web.report(back, [{ index: 1, state: 'rolling_back', digests: web.digests() }]);
    const { task } = await taskOf(back.task_id);
    expect(task).toMatchObject({ state: 'rolled_back' });
    expect(Object(task).reason.message).toContain('nginx.service has failed');
    expect(await fleet.audit('task.rollback_began')).toHaveLength(1);
  });

  test('the host refuses: failed, critical, and the refusal is told', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start(any);
    await failHealth(web, await web.fetchOrder());
    const [signed] = (await web.checkIn()).orders;
    if (signed === undefined) throw new Error('no order');
    const { task_failed: failed } = await web.refuse(signed, {
      reason: 'nothing_kept',
      task_id: signed.order.task_id,
    });
    expect(failed).toBe(true);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'failed rollback_failed' });
    expect(await alerts('rollback_failed')).toHaveLength(1);
    expect(await alerts('order_refused')).toHaveLength(1);
  });

  test('an agent that reports several events at once keeps what follows the failure apart', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start(any);
    const order = await web.fetchOrder();
    const answer = await web.report(order, [
      { index: 0, state: 'installing' },
      { index: 1, state: 'failed', failure: 'timeout' },
      { index: 2, state: 'installing', message: 'too late' },
    ]);
    expect(answer).toEqual({ accepted_index: 2, ended: false });
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'rolling_back rolling_back' });
    expect(await web.fetchRollback()).toMatchObject({ generation: 2 });
    // holding both generations, it is not told to give up the one that counts
    const tasks = [
      { task_id: order.task_id, generation: 1, state: 'installed' as const },
      { task_id: order.task_id, generation: 2, state: 'rolling_back' as const },
    ];
    expect((await web.checkIn(tasks)).cancelled).toEqual([]);
  });
});

describe('by hand', () => {
  test('one task that has succeeded, long after', async () => {
    const [web, other] = [await fleet.enrol('web-1'), await fleet.enrol('web-2')];
    const deployment = await fleet.start({ rollback: { on: 'verification_failure' } });
    const order = await web.fetchOrder();
    await succeed(web, order);
    await succeed(other, await other.fetchOrder());
    await tick(fleet.context, fleet.clock.now());
    expect((await act(deployment, 'pause')).status).toBe(409);
    expect(await actOnTask(order.task_id, 'roll_back', {})).toMatchObject({ status: 400 });
    expect(await actOnTask(order.task_id, 'roll_back', { reason: '' })).toMatchObject({ status: 400 });
    expect((await actOnTask(order.task_id, 'undo')).status).toBe(400);
    expect((await actOnTask('00000000-0000-4000-8000-000000000000', 'roll_back')).status).toBe(404);
    expect(await actOnTask(order.task_id, 'roll_back')).toMatchObject({
      status: 200,
      body: { task: { state: 'rolling_back' } },
    });
    expect(await actOnTask(order.task_id, 'roll_back')).toMatchObject({
      body: { error: { code: 'action_not_allowed' } },
    });
    await putBack(web, await web.fetchRollback());
    expect(await fleet.states(deployment)).toEqual({
      'web-1': 'rolled_back rolled_back',
      'web-2': 'succeeded',
    });
    // and once more, forward
    expect((await actOnTask(order.task_id, 'retry')).body).toMatchObject({ task: { state: 'queued' } });
    const again = await web.fetchOrder();
    expect(again).toMatchObject({ action: 'install', generation: 3 });
    await succeed(web, again);
    expect((await fleet.states(deployment))['web-1']).toBe('succeeded');
  });

  test('a whole deployment: nothing more is begun, what was changed goes back, what is at work is left', async () => {
    const agents = [];
    for (const name of ['a', 'b', 'c', 'd']) agents.push(await fleet.enrol(name));
    const [a, b, c] = agents;
    if (a === undefined || b === undefined || c === undefined) throw new Error('four were enrolled');
    const deployment = await fleet.start({ ...any, concurrency: 3 });
    expect(await act(deployment, 'roll_back')).toMatchObject({
      status: 409,
      body: { error: { code: 'nothing_to_roll_back' } },
    });
    await succeed(a, await a.fetchOrder());
    await succeed(b, await b.fetchOrder(), ['libssl3:amd64']);
    await c.report(await c.fetchOrder(), [{ index: 0, state: 'installing' }]);
    const answer = await act(deployment, 'roll_back');
    expect(answer).toMatchObject({ status: 200, body: { state: 'halted' } });
    expect(await fleet.states(deployment)).toEqual({
      a: 'rolling_back rolling_back',
      b: 'succeeded',
      c: 'installing agent_at_work',
      d: 'cancelled deployment_halted',
    });
    await putBack(a, await a.fetchRollback());
    expect((await fleet.states(deployment)).a).toBe('rolled_back rolled_back');
    expect((await fleet.audit('deployment.rolled_back'))[0]).toMatchObject({
      reason: 'a test',
      after: { state: 'halted', tasks: 1, not_possible: [{ hostname: 'b', code: 'kept_incomplete' }] },
    });
  });

  test('not when the job kept nothing, nor when somebody else has changed the packages since', async () => {
    const web = await fleet.enrol('web-1');
    await fleet.start();
    const order = await web.fetchOrder();
    await succeed(web, order);
    expect(await actOnTask(order.task_id, 'roll_back')).toMatchObject({
      body: { error: { code: 'nothing_kept' } },
    });
    const other = await fleet.enrol('web-2');
    await fleet.start(any);
    const second = await other.fetchOrder();
    await succeed(other, second);
    other.install(second.packages.map((one) => ({ ...one, to: '9.9', source_version: '9.9' })));
    await other.sendInventory();
    expect(await actOnTask(second.task_id, 'roll_back')).toMatchObject({
      body: { error: { code: 'changed_since' } },
    });
  });

  test('it counts as work: no order beside it, and no place for another asset', async () => {
    const [web, other] = [await fleet.enrol('web-1'), await fleet.enrol('web-2')];
    await fleet.start({ ...any, concurrency: 1 });
    await failHealth(web, await web.fetchOrder());
    expect((await other.checkIn()).orders).toEqual([]);
    const back = await web.fetchRollback();
    await putBack(web, back);
    expect(await other.fetchOrder()).toMatchObject({ action: 'install' });
  });
});
