import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { tick } from './commands.ts';
import {
  jobDefinition,
  newVersion,
  oldVersion,
  testFleet,
  vulnerability,
  type Fleet,
} from './fleet-double.ts';
import { debianPackage } from './agent-double.ts';

let fleet: Fleet;
const opened: Fleet[] = [];
const longAgo = new Date(0);
beforeEach(async () => {
  fleet = await testFleet();
  opened.push(fleet);
});
afterAll(async () => {
  for (const one of opened) await one.close();
});

/** Who was heard is written four times a second. */
const contactsAreWritten = () => new Promise((resolve) => setTimeout(resolve, 400));
const detailOf = async (deployment: string) =>
  (await fleet.call('GET', `/api/v1/deployments/${deployment}`)).body;

describe('the closed loop, with an agent that does as it is told', () => {
  test('planned, offered, installed, verified, closed, and on the trail', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    await contactsAreWritten();
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'queued awaiting_check_in' });

    const order = await web.fetchOrder();
    expect(order).toMatchObject({ generation: 1, sequence: 1, units: 'restart', asset_id: web.uid });
    expect(order.packages.map((p) => [p.name, p.from, p.to])).toEqual([
      ['libssl3', oldVersion, newVersion],
      ['openssl', oldVersion, newVersion],
    ]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'offered awaiting_agent' });

    await web.carryOut(order);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'installed agent_at_work' });
    expect(await web.report(order, [{ index: 4, state: 'verifying', digests: web.digests() }])).toEqual({
      accepted_index: 4,
      ended: true,
    });
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'succeeded' });

    await tick(fleet.context, longAgo);
    expect(await detailOf(deployment)).toMatchObject({
      deployment: { state: 'completed', tasks: { succeeded: 1 } },
    });
    const story = (await fleet.audit()).map((one) => one.event);
    const expected = [
      'asset.enrolled',
      'finding.opened',
      'job.created',
      'deployment.created',
      'deployment.started',
      'task.offered',
      'task.state_changed',
      'finding.closed',
      'task.verified',
      'task.ended',
      'deployment.completed',
    ];
    expect(story.filter((event, i) => expected.includes(event) && story.indexOf(event) === i)).toEqual(
      expected,
    );
    const { body } = await fleet.call('GET', `/api/v1/audit?vulnerability=${vulnerability}`);
    const told: { event: string }[] = Object(body.items);
    const events = told.map((one) => one.event);
    // The whole story, and in its order: the inventory comes before what follows from it.
    expect(events.filter((event, i) => events.indexOf(event) === i)).toEqual([
      'finding.opened',
      'patch.correlated',
      'job.created',
      'deployment.created',
      'deployment.started',
      'task.offered',
      'task.state_changed',
      'finding.closed',
      'task.verified',
      'task.ended',
      'deployment.completed',
    ]);
    expect(story.indexOf('asset.inventory_changed')).toBeLessThan(story.indexOf('finding.opened'));
    expect(story.lastIndexOf('asset.inventory_changed')).toBeLessThan(story.indexOf('finding.closed'));
  });

  test('the task keeps its evidence: before, expected, after', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    await web.carryOut(order);
    await web.report(order, [{ index: 4, state: 'verifying', digests: web.digests() }]);
    const { body } = await fleet.call('GET', `/api/v1/tasks/${order.task_id}`);
    expect(body).toMatchObject({
      deployment_id: deployment,
      task: { state: 'succeeded', fixes: [vulnerability], packages: order.packages },
      evidence: {
        outcome: 'succeeded',
        expected_gone: [vulnerability],
        before: [{ vulnerability, source: 'openssl', status: 'open' }],
        gone: [vulnerability],
        remaining: [],
      },
    });
    const events: { from: string; to: string }[] = Object(body.events);
    expect(events.map((event) => `${event.from} → ${event.to}`)).toEqual([
      'queued → offered',
      'offered → downloading',
      'downloading → staged',
      'staged → installing',
      'installing → installed',
      'installed → verifying',
      'verifying → succeeded',
    ]);
  });

  test('an installer that says success and changes nothing: not_remediated, finding open, alert', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    await web.report(order, [
      { index: 0, state: 'installing' },
      { index: 1, state: 'installed', detail: { exit_code: 0 } },
      { index: 2, state: 'verifying', digests: web.digests() },
    ]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'failed not_remediated' });
    const { body } = await fleet.call('GET', '/api/v1/alerts?open=true');
    expect(body.items).toMatchObject([
      { kind: 'not_remediated', severity: 'critical', subject: order.task_id },
    ]);
  });

  test('the right versions with the vulnerable file left on disk: not_remediated', async () => {
    const web = await fleet.enrol('web-1');
    await fleet.start();
    const order = await web.fetchOrder();
    web.host.residue = [
      {
        ...debianPackage('libssl3', oldVersion, 'openssl'),
        kind: 'file',
        path: '/usr/lib/x86_64-linux-gnu/libssl.so.3',
        process: null,
        alteration: 'digest_differs',
      },
    ];
    await web.carryOut(order);
    await web.report(order, [{ index: 4, state: 'verifying', digests: web.digests() }]);
    const { body } = await fleet.call('GET', `/api/v1/tasks/${order.task_id}`);
    expect(body.task).toMatchObject({ state: 'failed', reason: { code: 'not_remediated' } });
    expect(String(Object(body.task).reason.message)).toContain('libssl.so.3');
  });

  test('fixed on disk is not fixed: restart_pending until the process is gone', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start({ units: 'leave' });
    const order = await web.fetchOrder();
    web.host.residue = [
      {
        ...debianPackage('libssl3', oldVersion, 'openssl'),
        kind: 'process',
        path: '/usr/lib/x86_64-linux-gnu/libssl.so.3',
        process: { pid: 77, command: 'nginx', unit: 'nginx.service', started_at: '2026-03-01T00:00:00Z' },
        alteration: null,
      },
    ];
    await web.carryOut(order);
    await web.report(order, [{ index: 4, state: 'verifying', digests: web.digests() }]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'restart_pending restart_pending' });
    await tick(fleet.context, longAgo);
    expect(await detailOf(deployment)).toMatchObject({ deployment: { state: 'running' } });

    web.host.residue = [];
    await web.sendInventory();
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'succeeded' });
    // what the agent says about it later is no error
    expect(await web.report(order, [{ index: 5, state: 'verifying', digests: web.digests() }])).toEqual({
      accepted_index: 5,
      ended: true,
    });
  });

  test('a verification waits for the inventory that it names', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    web.install(order.packages);
    await web.report(order, [
      { index: 0, state: 'installing' },
      { index: 1, state: 'installed' },
      { index: 2, state: 'verifying', digests: web.digests() },
    ]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'verifying verification_pending' });
    await web.sendInventory();
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'succeeded' });
  });

  test('a process with code of an unknown version is a restart to do, not a success', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    web.host.residue = [
      {
        ...debianPackage('libssl3', oldVersion, 'openssl'),
        version: null,
        source_version: null,
        kind: 'process',
        path: '/usr/lib/libssl.so.3',
        process: { pid: 77, command: 'nginx', unit: 'nginx.service', started_at: '2026-03-01T00:00:00Z' },
        alteration: null,
      },
    ];
    await web.carryOut(order);
    await web.report(order, [{ index: 4, state: 'verifying', digests: web.digests() }]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'restart_pending restart_pending' });
  });
});

describe('offers', () => {
  test('the same signed text until the agent reports, one task.offered, then nothing', async () => {
    const web = await fleet.enrol('web-1');
    await fleet.start();
    const first = (await web.checkIn()).orders[0];
    const again = (await web.checkIn()).orders[0];
    expect(again?.payload).toBe(first?.payload);
    expect(again?.signature).toBe(first?.signature);
    expect(await fleet.audit('task.offered')).toHaveLength(1);
    if (first === undefined) throw new Error('no order');
    await web.report(first.order, [{ index: 0, state: 'downloading' }]);
    expect((await web.checkIn()).orders).toEqual([]);
  });

  test('never more than the concurrency, however many ask at once', async () => {
    const agents = [];
    for (const name of ['a', 'b', 'c', 'd', 'e']) agents.push(await fleet.enrol(name));
    const deployment = await fleet.start({ concurrency: 2 });
    const answers = await Promise.all([...agents, ...agents].map((agent) => agent.checkIn()));
    const offered = new Set(answers.flatMap((one) => one.orders.map((order) => order.order.task_id)));
    expect(offered.size).toBeLessThanOrEqual(2);
    for (const agent of agents)
      for (const one of (await agent.checkIn()).orders) offered.add(one.order.task_id);
    expect(offered.size).toBe(2);
    // What the others wait for is said by the next decision, which may be the one after those two offers.
    await tick(fleet.context, fleet.clock.now());
    // That an asset was heard is written a moment after its check-in.
    await vi.waitFor(async () => {
      const states = Object.values(await fleet.states(deployment));
      expect(states.filter((state) => state.startsWith('offered'))).toHaveLength(2);
      expect(states.filter((state) => state === 'queued concurrency_reached')).toHaveLength(3);
    });
    expect(await fleet.audit('task.offered')).toHaveLength(2);
  });

  test('an offer expires, the agent is told, a late order is not sent again, a retry has a higher number', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start({ expire_after_seconds: 60 });
    const order = await web.fetchOrder();
    fleet.clock.pass(61);
    expect((await web.checkIn()).orders).toEqual([]);
    await tick(fleet.context, fleet.clock.now());
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'expired offer_expired' });
    expect(
      (await web.checkIn([{ task_id: order.task_id, generation: 1, state: 'downloading' }])).cancelled,
    ).toEqual([order.task_id]);
    expect((await detailOf(deployment)).deployment).toMatchObject({ state: 'completed' });

    const retried = await fleet.call('POST', `/api/v1/deployments/${deployment}/actions`, {
      action: 'retry_failed',
      reason: 'the host was off',
    });
    expect(retried).toMatchObject({ status: 200, body: { state: 'running', tasks: { queued: 1 } } });
    const second = await web.fetchOrder();
    expect(second).toMatchObject({ task_id: order.task_id, generation: 2 });
    expect(second.sequence).toBeGreaterThan(order.sequence);
    expect(await web.reportRefused(order, [{ index: 0, state: 'installing' }])).toBe('generation_superseded');
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'offered awaiting_agent' });
  });

  test('a second deployment leaves an asset alone that has a task', async () => {
    const web = await fleet.enrol('web-1');
    await fleet.start();
    await web.fetchOrder();
    const job = await fleet.call('POST', '/api/v1/jobs', jobDefinition());
    const { status, body } = await fleet.call('POST', `/api/v1/jobs/${String(job.body.id)}/start`, {});
    expect([status, Object(body.error).code]).toEqual([409, 'nothing_to_do']);
    expect(String(Object(body.error).message)).toContain('task_under_way');
  });
});

describe('reports of agents', () => {
  test('a repeat is answered and not applied; a gap is refused; what the table forbids is kept and refused', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    const first = { index: 0, state: 'downloading' } as const;
    expect(await web.report(order, [first])).toEqual({ accepted_index: 0, ended: false });
    expect(await web.report(order, [first, { index: 1, state: 'staged' }])).toEqual({
      accepted_index: 1,
      ended: false,
    });
    expect(await web.reportRefused(order, [{ index: 3, state: 'installing' }])).toBe('event_gap');
    expect(await web.reportRefused(order, [{ index: 2, state: 'verifying' }])).toBe(
      'task_transition_invalid',
    );
    expect(await web.report(order, [{ index: 2, state: 'verifying' }])).toEqual({
      accepted_index: 2,
      ended: false,
    });
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'staged agent_at_work' });
    const { body } = await fleet.call('GET', `/api/v1/tasks/${order.task_id}`);
    expect(body.events).toHaveLength(4);
    expect(Object(body.events)[3]).toMatchObject({
      detail: { refused: 'task_transition_invalid', reported: 'verifying' },
    });
  });

  test('another asset’s task does not exist for an agent', async () => {
    const [web, other] = [await fleet.enrol('web-1'), await fleet.enrol('web-2')];
    await fleet.start();
    const order = await web.fetchOrder();
    expect(await other.reportRefused(order, [{ index: 0, state: 'downloading' }])).toBe('task_unknown');
    expect(await other.refuse(JSON.stringify(order), { task_id: order.task_id })).toEqual({
      task_failed: false,
    });
  });

  test('a failure says why and what to do', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    await web.report(order, [
      { index: 0, state: 'downloading' },
      { index: 1, state: 'failed', failure: 'hash_mismatch', message: 'libssl3: wrong SHA256' },
    ]);
    const { body } = await fleet.call('GET', `/api/v1/tasks/${order.task_id}`);
    expect(Object(body.task).reason).toMatchObject({ code: 'hash_mismatch' });
    expect(String(Object(body.task).reason.message)).toContain('libssl3: wrong SHA256');
    await tick(fleet.context, longAgo);
    expect(await detailOf(deployment)).toMatchObject({
      deployment: { state: 'completed', tasks: { failed: 1 } },
    });
  });

  test('a refused order ends its own task; a forged one in its name does not', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const { orders } = await web.checkIn();
    const [signed] = orders;
    if (signed === undefined) throw new Error('no order');
    const forged = `${signed.payload} `;
    expect(await web.refuse(forged, { task_id: signed.order.task_id })).toEqual({ task_failed: false });
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'offered awaiting_agent' });
    expect(await web.refuse(signed, { task_id: signed.order.task_id, reason: 'versions_differ' })).toEqual({
      task_failed: true,
    });
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'failed order_refused' });
    expect(await web.refuse(signed, { task_id: signed.order.task_id, reason: 'versions_differ' })).toEqual({
      task_failed: false,
    });
    const { body } = await fleet.call('GET', '/api/v1/alerts');
    expect(body.total).toBe(2);
    expect((await fleet.audit('asset.order_refused')).length).toBe(2);
    const told = (await fleet.audit()).map((one) => one.event);
    expect(told.indexOf('asset.order_refused')).toBeLessThan(told.indexOf('alert.raised'));
    const alert = String(Object(body.items)[0].id);
    const seen = await fleet.call('POST', `/api/v1/alerts/${alert}/acknowledge`);
    expect(seen.body).toMatchObject({ acknowledged_by: 'test' });
    expect((await fleet.call('GET', '/api/v1/alerts?open=true')).body.total).toBe(1);
  });
});
