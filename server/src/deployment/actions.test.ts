import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { tick } from './commands.ts';
import {
  jobDefinition,
  patch,
  testFleet,
  vulnerability,
  vulnerableHost,
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

describe('silence', () => {
  test('an asset that stops answering is unreachable, and goes on where it was', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    await web.report(order, [{ index: 0, state: 'downloading' }]);
    await web.checkIn();
    await contactsAreWritten();
    fleet.clock.pass(29);
    await tick(fleet.context, longAgo);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'downloading agent_at_work' });
    fleet.clock.pass(300);
    await tick(fleet.context, fleet.clock.now());
    expect(await fleet.states(deployment), 'the server itself was away').toEqual({
      'web-1': 'downloading agent_at_work',
    });
    await tick(fleet.context, longAgo);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'unreachable asset_unreachable' });
    await web.checkIn();
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'downloading agent_at_work' });
    expect(await web.report(order, [{ index: 1, state: 'staged' }])).toEqual({
      accepted_index: 1,
      ended: false,
    });
  });

  test('an event is a sign of life too', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    await web.report(order, [{ index: 0, state: 'downloading' }]);
    fleet.clock.pass(2000);
    await fleet.database.db
      .updateTable('task')
      .set({ expires_at: new Date(fleet.clock.now().getTime() + 9e6) })
      .execute();
    await tick(fleet.context, longAgo);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'unreachable asset_unreachable' });
    await web.report(order, [{ index: 1, state: 'staged' }]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'staged agent_at_work' });
    // Also for the next look of the server, which may come before the next check-in.
    await tick(fleet.context, longAgo);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'staged agent_at_work' });
  });
});

describe('actions', () => {
  const act = (deployment: string, action: string) =>
    fleet.call('POST', `/api/v1/deployments/${deployment}/actions`, { action, reason: 'a test' });

  test('paused: nothing is offered, nothing is sent again; resumed: it goes on', async () => {
    const [one, two] = [await fleet.enrol('a'), await fleet.enrol('b')];
    const deployment = await fleet.start({ concurrency: 1 });
    await one.fetchOrder();
    expect((await act(deployment, 'pause')).body.state).toBe('paused');
    expect((await one.checkIn()).orders).toEqual([]);
    expect((await two.checkIn()).orders).toEqual([]);
    expect(await fleet.states(deployment)).toEqual({
      a: 'offered awaiting_agent',
      b: 'queued deployment_paused',
    });
    expect((await act(deployment, 'pause')).body).toMatchObject({ error: { code: 'action_not_allowed' } });
    expect((await act(deployment, 'resume')).body.state).toBe('running');
    expect((await one.checkIn()).orders).toHaveLength(1);
    expect((await fleet.audit('deployment.paused'))[0]).toMatchObject({ reason: 'a test' });
  });

  test('halted: what has not begun is given up, what installs goes on to its end', async () => {
    const agents = [await fleet.enrol('a'), await fleet.enrol('b'), await fleet.enrol('c')];
    const deployment = await fleet.start({ concurrency: 2 });
    const [a, b] = agents;
    if (a === undefined || b === undefined) throw new Error('three were enrolled');
    const [orderA, orderB] = [await a.fetchOrder(), await b.fetchOrder()];
    await a.report(orderA, [{ index: 0, state: 'installing' }]);
    await b.report(orderB, [{ index: 0, state: 'downloading' }]);
    expect((await act(deployment, 'halt')).body.state).toBe('halted');
    expect(await fleet.states(deployment)).toEqual({
      a: 'installing agent_at_work',
      b: 'cancelled deployment_halted',
      c: 'cancelled deployment_halted',
    });
    expect(
      (await b.checkIn([{ task_id: orderB.task_id, generation: 1, state: 'downloading' }])).cancelled,
    ).toEqual([orderB.task_id]);
    expect((await act(deployment, 'resume')).status).toBe(409);

    a.install(orderA.packages);
    await a.report(orderA, [{ index: 1, state: 'installed' }]);
    await a.sendInventory();
    await a.report(orderA, [{ index: 2, state: 'verifying', digests: a.digests() }]);
    expect((await fleet.states(deployment)).a).toBe('succeeded');

    // b had begun before it heard: what really happens on the host counts
    await b.report(orderB, [
      { index: 1, state: 'staged' },
      { index: 2, state: 'installing' },
    ]);
    expect((await fleet.states(deployment)).b).toBe('installing agent_at_work');
  });
});

describe('jobs and plans', () => {
  test('unknown patches, tags, assets and contradictions are refused by name', async () => {
    const refused = async (changes: object) => {
      const { status, body } = await fleet.call('POST', '/api/v1/jobs', { ...jobDefinition(), ...changes });
      return [status, Object(body.error).code];
    };
    await fleet.enrol('web-1');
    expect(await refused({ patches: ['debian:12/openssl@9.9'] })).toEqual([422, 'patch_unknown']);
    expect(await refused({ patches: ['openssl'] })).toEqual([422, 'job_invalid']);
    expect(await refused({ target: { tags: ['nosuch'], assets: [], exclude: [] } })).toEqual([
      404,
      'tag_unknown',
    ]);
    expect(await refused({ target: { tags: [], assets: ['nosuch'], exclude: [] } })).toEqual([
      404,
      'asset_unknown',
    ]);
    expect(await refused({ target: { tags: [], assets: [], exclude: [] } })).toEqual([422, 'job_invalid']);
    expect(await refused({ concurrency: 0 })).toEqual([400, 'validation_failed']);
  });

  test('a preview stores nothing, says who gets what and why others do not, and pins the start', async () => {
    await fleet.enrol('web-1');
    await fleet.enrol('web-2', vulnerableHost(), 'assess');
    await fleet.enrol('web-3', { ...vulnerableHost(), held: ['libssl3'] });
    await fleet.enrol('web-4', { ...vulnerableHost(), candidates: [] });
    await fleet.enrol('web-5', { ...vulnerableHost(), packages: [debianPackage('bash', '5.2.15-2')] });
    const web6 = await fleet.enrol('web-6');
    const job = await fleet.call(
      'POST',
      '/api/v1/jobs',
      jobDefinition({ target: { tags: ['web'], assets: [], exclude: ['web-6'] } }),
    );
    const url = `/api/v1/jobs/${String(job.body.id)}`;
    const { body: plan } = await fleet.call('POST', `${url}/preview`);
    const excluded: { hostname: string; reason: string }[] = Object(plan.excluded);
    expect(Object(plan.tasks)).toMatchObject([
      { hostname: 'web-1', patches: [patch], fixes: [vulnerability] },
    ]);
    expect(excluded.map((one) => [one.hostname, one.reason])).toEqual([
      ['web-2', 'assess_only'],
      ['web-3', 'package_held'],
      ['web-4', 'not_offered'],
      ['web-5', 'not_installed'],
      ['web-6', 'excluded_by_job'],
    ]);
    expect((await fleet.call('GET', '/api/v1/deployments')).body.total).toBe(0);
    expect((await fleet.call('POST', `${url}/preview`)).body.digest).toBe(plan.digest);

    web6.host.packages.push(debianPackage('zlib1g', '1:1.2.13'));
    await fleet.enrol('web-7');
    const stale = await fleet.call('POST', `${url}/start`, { plan_digest: plan.digest });
    expect([stale.status, Object(stale.body.error).code]).toEqual([409, 'plan_changed']);
    const fresh = await fleet.call('POST', `${url}/preview`);
    const started = await fleet.call('POST', `${url}/start`, {
      plan_digest: fresh.body.digest,
      reason: 'reviewed',
    });
    expect(started).toMatchObject({
      status: 201,
      body: { plan_digest: fresh.body.digest, tasks: { queued: 2 } },
    });
    expect((await fleet.call('GET', url)).body.deployments).toBe(1);
  });

  test('an archived job is out of the list and cannot be started', async () => {
    await fleet.enrol('web-1');
    const job = await fleet.call('POST', '/api/v1/jobs', jobDefinition());
    const url = `/api/v1/jobs/${String(job.body.id)}`;
    expect((await fleet.call('POST', `${url}/archive`)).status).toBe(200);
    expect((await fleet.call('GET', '/api/v1/jobs')).body.items).toEqual([]);
    const { status, body } = await fleet.call('POST', `${url}/start`, {});
    expect([status, Object(body.error).code]).toEqual([409, 'job_archived']);
  });

  test('lists go on where the page before ended', async () => {
    await fleet.enrol('web-1');
    for (let i = 0; i < 5; i++)
      await fleet.call('POST', '/api/v1/jobs', jobDefinition({ name: `job ${String(i)}` }));
    const names: string[] = [];
    let url = '/api/v1/jobs?limit=2';
    for (let page = 0; page < 5; page++) {
      const { body } = await fleet.call('GET', url);
      expect(body.total).toBe(5);
      const items: { definition: { name: string } }[] = Object(body.items);
      names.push(...items.map((one) => one.definition.name));
      if (typeof body.next !== 'string') break;
      url = `/api/v1/jobs?limit=2&after=${body.next}`;
    }
    expect(names.sort()).toEqual(['job 0', 'job 1', 'job 2', 'job 3', 'job 4']);
    expect((await fleet.call('GET', '/api/v1/jobs?after=nonsense')).status).toBe(400);
  });
});
