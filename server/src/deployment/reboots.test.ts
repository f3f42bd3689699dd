import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import type { PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import type { InstallOrder, RebootOrder } from '@fixpoint/contract/order.ts';
import { createTag } from '../tag/commands.ts';
import { AgentDouble, debianPackage } from './agent-double.ts';
import { oldVersion, testFleet, vulnerableHost, type Fleet } from './fleet-double.ts';
import { tick } from './tick.ts';

let fleet: Fleet;
const opened: Fleet[] = [];
beforeEach(async () => {
  fleet = await testFleet();
  opened.push(fleet);
  for (const name of ['etcd', 'front']) {
    const made = await createTag(fleet.context, { kind: 'system', name: 'test' }, { name });
    if (!made.ok) throw new Error(made.message);
  }
});
afterAll(async () => {
  for (const one of opened) await one.close();
});

type Reboot = NonNullable<PatchJobDefinition['reboot']>;
const force: Reboot = { mode: 'force', countdown_seconds: 60 };
const enrol = (name: string, tags: string[] = []) =>
  AgentDouble.enrol(fleet, name, vulnerableHost(), { tags: ['web', ...tags] });
const places = () => fleet.database.db.selectFrom('reboot_place').selectAll().orderBy('asset_id').execute();
const alerts = async () => {
  const { body } = await fleet.call('GET', '/api/v1/alerts?open=true');
  const items: { kind: string; severity: string; message: string }[] = Object(body.items);
  return items.filter((one) => one.kind === 'reboot_not_back');
};
const stateOf = async (deployment: string, name: string) => (await fleet.states(deployment))[name];

/** Up to waiting for a reboot; the old code still runs. */
async function untilPending(agent: AgentDouble, given?: InstallOrder): Promise<InstallOrder> {
  const order = given ?? (await agent.fetchOrder());
  agent.host.residue = [
    {
      ...debianPackage('libssl3', oldVersion, 'openssl'),
      kind: 'process',
      path: '/usr/lib/x86_64-linux-gnu/libssl.so.3',
      process: { pid: 1, command: 'systemd', unit: null, started_at: '2026-03-01T00:00:00Z' },
      alteration: null,
    },
  ];
  await agent.carryOut(order);
  await agent.report(order, [{ index: 4, state: 'reboot_pending' }]);
  return order;
}
const goDown = (agent: AgentDouble, order: RebootOrder) =>
  agent.report(order, [
    {
      index: 5,
      state: 'rebooting',
      detail: { reboot: { boot_id_before: agent.bootId, deferrals: 0 } },
    },
  ]);
async function comeBack(agent: AgentDouble, order: RebootOrder): Promise<void> {
  const before = agent.bootId;
  agent.bootId = `${before}+`;
  agent.host.residue = [];
  await agent.checkIn();
  await agent.sendInventory();
  await agent.report(order, [
    {
      index: 6,
      state: 'rebooting',
      detail: { reboot: { boot_id_before: before, boot_id_after: agent.bootId, deferrals: 0 } },
    },
    { index: 7, state: 'verifying', digests: agent.digests() },
  ]);
}

describe('a permission to reboot', () => {
  test('suppress, or no rule: none is ever given', async () => {
    const [web, other] = [await enrol('a'), await enrol('b')];
    const deployment = await fleet.start({ reboot: { mode: 'suppress' } });
    await untilPending(web);
    await untilPending(other);
    expect(await web.fetchReboot(3)).toBeNull();
    expect(await stateOf(deployment, 'a')).toBe('reboot_pending reboot_pending');
    expect(await places()).toEqual([]);
  });

  test('given once, the same text until the host goes down; the place is free when it is back', async () => {
    const web = await enrol('a');
    const deployment = await fleet.start({
      reboot: {
        mode: 'prompt',
        countdown_seconds: 120,
        message: 'Security updates.',
        deferrals_maximum: 2,
        deferral_minutes: 30,
        when_nobody: 'wait',
      },
    });
    const order = await untilPending(web);
    const permit = await web.fetchReboot();
    expect(permit).toMatchObject({
      action: 'reboot',
      task_id: order.task_id,
      generation: 1,
      mode: 'prompt',
      countdown_seconds: 120,
      message: 'Security updates.',
      deferrals_maximum: 2,
      deferral_minutes: 30,
      when_nobody: 'wait',
    });
    expect(permit?.sequence).toBeGreaterThan(order.sequence);
    expect(permit?.windows).toBeUndefined();
    expect(await web.fetchReboot()).toEqual(permit);
    expect(await stateOf(deployment, 'a')).toBe('reboot_pending reboot_permitted');
    expect(await fleet.audit('task.reboot_permitted')).toHaveLength(1);
    if (permit === null) throw new Error('no permission came');
    await goDown(web, permit);
    expect(await stateOf(deployment, 'a')).toBe('rebooting rebooting');
    expect(await web.fetchReboot(), 'it is on its way down').toBeNull();
    expect(await places()).toHaveLength(1);
    await comeBack(web, permit);
    expect(await stateOf(deployment, 'a')).toBe('succeeded');
    expect(await places()).toEqual([]);
  });

  test('only within the window, with time for the countdown and a minute', async () => {
    const web = await enrol('a');
    const deployment = await fleet.start({
      reboot: force,
      windows: [{ zone: 'UTC', opens: { kind: 'daily', at: '10:00' }, duration_minutes: 30 }],
    });
    await untilPending(web);
    fleet.clock.pass(28 * 60);
    expect(await web.fetchReboot()).toBeNull();
    expect(await stateOf(deployment, 'a')).toBe('reboot_pending reboot_window_closed');
    fleet.clock.pass(23.6 * 3600);
    const permit = await web.fetchReboot();
    expect(permit?.windows?.[0]?.closes_at).toBe('2026-03-03T10:30:00.000Z');
    expect(permit?.expires_at).toBe('2026-03-03T10:30:00.000Z');
  });

  test('not while the deployment is paused, and what was given is held', async () => {
    const web = await enrol('a');
    const deployment = await fleet.start({ reboot: force });
    const act = (action: string) =>
      fleet.call('POST', `/api/v1/deployments/${deployment}/actions`, { action, reason: 'a test' });
    const order = await untilPending(web);
    await act('pause');
    expect(await web.fetchReboot()).toBeNull();
    await act('resume');
    const permit = await web.fetchReboot();
    expect(permit).not.toBeNull();
    await act('pause');
    const { orders, held } = await web.checkIn();
    expect([orders, held]).toEqual([[], [order.task_id]]);
    await act('resume');
    expect(await web.fetchReboot()).toEqual(permit);
  });

  test('put off by people: the place is given back, and asked for again when the host says', async () => {
    const [web, other] = [await enrol('a', ['etcd']), await enrol('b', ['etcd'])];
    await fleet.start({ reboot: { ...force, mode: 'prompt', limits: [{ tag: 'etcd', at_once: 1 }] } });
    const order = await untilPending(web);
    await untilPending(other);
    const permit = await web.fetchReboot();
    expect(await other.fetchReboot()).toBeNull();
    const later = new Date(fleet.clock.now().getTime() + 30 * 60_000).toISOString();
    await web.report(order, [
      // announced: that alone gives nothing back
      {
        index: 5,
        state: 'reboot_pending',
        detail: { waits_until: later, reboot: { boot_id_before: 'boot-1', deferrals: 0 } },
      },
    ]);
    expect(await other.fetchReboot()).toBeNull();
    await web.report(order, [
      {
        index: 6,
        state: 'reboot_pending',
        detail: {
          waits_until: later,
          reboot: { boot_id_before: 'boot-1', deferrals: 1, given_back: true },
        },
      },
    ]);
    expect(await places()).toEqual([]);
    expect(await web.fetchReboot()).toBeNull();
    const second = await other.fetchReboot();
    if (second === null) throw new Error('the place was not free');
    await goDown(other, second);
    await comeBack(other, second);
    fleet.clock.pass(30 * 60);
    const again = await web.fetchReboot();
    expect(again?.sequence).toBeGreaterThan(permit?.sequence ?? 0);
  });

  test('one that did not reach its host in time is void, and another one is given', async () => {
    const web = await enrol('a');
    await fleet.start({ reboot: force });
    await untilPending(web);
    const permit = await web.fetchReboot();
    fleet.clock.pass(3600);
    const again = await web.fetchReboot();
    expect(again?.sequence).toBeGreaterThan(permit?.sequence ?? 0);
    expect(await places()).toHaveLength(1);
  });

  test('refused by the host: the task goes on waiting, the place is free, and the refusal is told', async () => {
    const web = await enrol('a');
    const deployment = await fleet.start({ reboot: force });
    await untilPending(web);
    const [signed] = (await web.checkIn()).orders;
    if (signed === undefined) throw new Error('no permission came');
    const answer = await web.refuse(signed, {
      reason: 'host_policy',
      message: 'the policy forbids reboots',
      task_id: signed.order.task_id,
    });
    expect(answer).toEqual({ task_failed: false });
    expect(await stateOf(deployment, 'a')).toBe('reboot_pending reboot_refused');
    expect(await places()).toEqual([]);
    expect(await web.fetchReboot(2)).toBeNull();
    expect(await stateOf(deployment, 'a')).toBe('reboot_pending reboot_refused');
  });
});

describe('limits and order', () => {
  test('never more of a tag than its limit, over all deployments, however many ask at once', async () => {
    const agents: AgentDouble[] = [];
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) agents.push(await enrol(name, ['etcd']));
    const reboot: Reboot = { ...force, limits: [{ tag: 'etcd', at_once: 2 }] };
    const half = (names: string[]) => ({ target: { tags: [], assets: names, exclude: [] } });
    const deployments = [
      await fleet.start({ ...half(['a', 'b', 'c']), reboot }),
      await fleet.start({ ...half(['d', 'e', 'f']), reboot }),
    ];
    for (const agent of agents) await untilPending(agent);
    const permits = new Map<AgentDouble, RebootOrder>();
    const down = new Set<AgentDouble>();
    for (let round = 0; round < 40 && permits.size < agents.length; round += 1) {
      // two servers on one database could not ask more at once than these do
      await Promise.all(
        [...agents, ...agents].map(async (agent) => {
          if (permits.has(agent)) return;
          const permit = await agent.fetchReboot();
          if (permit === null) return;
          permits.set(agent, permit);
          down.add(agent);
        }),
      );
      expect((await places()).length).toBeLessThanOrEqual(2);
      expect(down.size).toBeLessThanOrEqual(2);
      for (const agent of down) {
        const permit = permits.get(agent);
        if (permit === undefined) continue;
        await goDown(agent, permit);
        await comeBack(agent, permit);
        down.delete(agent);
      }
    }
    expect(permits.size).toBe(agents.length);
    for (const id of deployments) {
      for (const state of Object.values(await fleet.states(id))) expect(state).toBe('succeeded');
    }
    expect(await places()).toEqual([]);
  }, 60_000);

  test('assets of an earlier tag first, those that have not begun included; then the rest', async () => {
    const [first, second, rest] = [await enrol('a', ['etcd']), await enrol('b', ['front']), await enrol('c')];
    const deployment = await fleet.start({ reboot: { ...force, order: ['etcd', 'front'] } });
    await untilPending(rest);
    await untilPending(second);
    expect([await rest.fetchReboot(), await second.fetchReboot()]).toEqual([null, null]);
    expect(await stateOf(deployment, 'b')).toBe('reboot_pending reboot_order');
    await untilPending(first);
    for (const [agent, others] of [
      [first, [second, rest]],
      [second, [rest]],
      [rest, []],
    ] as const) {
      for (const other of others) expect(await other.fetchReboot()).toBeNull();
      const permit = await agent.fetchReboot();
      if (permit === null) throw new Error(`${agent.hostname} was not let go on`);
      await goDown(agent, permit);
      await comeBack(agent, permit);
    }
  });

  test('a tag that was deleted stops reboots, and says so', async () => {
    const web = await enrol('a');
    const deployment = await fleet.start({ reboot: { ...force, limits: [{ tag: 'front', at_once: 1 }] } });
    await untilPending(web);
    await fleet.database.db.deleteFrom('tag').where('name', '=', 'front').execute();
    expect(await web.fetchReboot()).toBeNull();
    expect(await stateOf(deployment, 'a')).toBe('reboot_pending reboot_tag_unknown');
  });
});

describe('a host that does not come back', () => {
  test('is named once, critically, and keeps its place until it is back', async () => {
    const [web, other] = [await enrol('a', ['etcd']), await enrol('b', ['etcd'])];
    const reboot: Reboot = {
      ...force,
      limits: [{ tag: 'etcd', at_once: 1 }],
      back_within_seconds: 600,
    };
    const deployment = await fleet.start({ reboot });
    await untilPending(web);
    await untilPending(other);
    const permit = await web.fetchReboot();
    if (permit === null) throw new Error('no permission came');
    await goDown(web, permit);
    fleet.clock.pass(599);
    await tick(fleet.context, fleet.clock.now());
    expect(await alerts()).toEqual([]);
    fleet.clock.pass(2);
    await tick(fleet.context, fleet.clock.now());
    await tick(fleet.context, fleet.clock.now());
    expect(await alerts()).toMatchObject([{ severity: 'critical' }]);
    expect((await alerts())[0]?.message).toMatch(/^a was let reboot at /u);
    expect(await other.fetchReboot(2)).toBeNull();
    expect(await stateOf(deployment, 'b')).toBe('reboot_pending reboot_limit_reached');
    await comeBack(web, permit);
    expect(await stateOf(deployment, 'a')).toBe('succeeded');
    expect(await other.fetchReboot()).not.toBeNull();
  });

  test('that comes back with the old code is not let go down again', async () => {
    const web = await enrol('a', ['etcd']);
    const deployment = await fleet.start({ reboot: { ...force, limits: [{ tag: 'etcd', at_once: 1 }] } });
    await untilPending(web);
    const permit = await web.fetchReboot();
    if (permit === null) throw new Error('no permission came');
    await goDown(web, permit);
    web.host.facts = { reboot_required: true, reboot_required_by: ['libssl3'] };
    web.bootId = 'boot-2';
    await web.checkIn();
    await web.sendInventory();
    await web.report(permit, [
      {
        index: 6,
        state: 'rebooting',
        detail: { reboot: { boot_id_before: 'boot-1', boot_id_after: 'boot-2', deferrals: 0 } },
      },
      { index: 7, state: 'verifying', digests: web.digests() },
    ]);
    // as the server judges when it is the kernel that stays old
    await fleet.database.db.updateTable('task').set({ state: 'reboot_pending', reason: null }).execute();
    for (let i = 0; i < 5; i += 1) {
      expect(await web.fetchReboot()).toBeNull();
      fleet.clock.pass(3600);
    }
    expect(await stateOf(deployment, 'a')).toBe('reboot_pending reboot_not_awaited');
    expect(await places()).toEqual([]);
    expect((await web.checkIn()).seconds).toBe(fleet.context.config.checkInSeconds);
    // somebody sees to it by hand
    web.bootId = 'boot-3';
    web.host.residue = [];
    web.host.facts = {};
    await web.sendInventory();
    expect(await stateOf(deployment, 'a')).toBe('succeeded');
  });

  test('can be retired, which frees its place', async () => {
    const web = await enrol('a', ['etcd']);
    const deployment = await fleet.start({ reboot: force });
    await untilPending(web);
    const permit = await web.fetchReboot();
    if (permit === null) throw new Error('no permission came');
    await goDown(web, permit);
    fleet.clock.pass(3600);
    await tick(fleet.context, new Date(0));
    expect(await stateOf(deployment, 'a')).toBe('unreachable asset_unreachable');
    expect(await places()).toHaveLength(1);
    const admin = await fleet.bearer('administrator');
    const retired = await fleet.app.inject({
      method: 'POST',
      url: `/api/v1/assets/${web.uid}/retire`,
      headers: admin,
      payload: { reason: 'its disk is gone' },
    });
    expect(retired.statusCode).toBe(200);
    await tick(fleet.context, fleet.clock.now());
    expect(await stateOf(deployment, 'a')).toBe('cancelled asset_retired');
    expect(await places()).toEqual([]);
  });
});
