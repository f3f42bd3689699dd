import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import type { InstallOrder } from '@fixpoint/contract/order.ts';
import { createCalendar } from '../calendar/commands.ts';
import { createDenial } from '../patch-denial/commands.ts';
import { transact } from '../transact.ts';
import { testFleet, vulnerableHost, type Fleet } from './fleet-double.ts';
import { tick } from './tick.ts';

/** The clock of tests begins on Monday, 2 March 2026, at 10:00 UTC. */
let fleet: Fleet;
const opened: Fleet[] = [];
beforeEach(async () => {
  fleet = await testFleet();
  opened.push(fleet);
});
afterAll(async () => {
  for (const one of opened) await one.close();
});

const hour = 3600;
const actor = { kind: 'system', name: 'test' } as const;
const tuesdayNight: NonNullable<PatchJobDefinition['windows']> = [
  {
    zone: 'UTC',
    opens: { kind: 'weekly', days: ['tue'], at: '02:00' },
    duration_minutes: 120,
    minimum_remaining_minutes: 30,
  },
];
/** Who was heard is written four times a second. */
const contactsAreWritten = () => new Promise((resolve) => setTimeout(resolve, 400));
const reasonOf = async (deployment: string): Promise<string> => {
  const { body } = await fleet.call('GET', `/api/v1/deployments/${deployment}/tasks`);
  const items: { state: string; reason: { message: string } | null }[] = Object(body.items);
  return `${items[0]?.state ?? ''}: ${items[0]?.reason?.message ?? ''}`;
};
async function freeze(from: string, until: string, everywhere = true): Promise<void> {
  const made = await transact(fleet.context.db, (trx) =>
    createCalendar(trx, fleet.context, actor, {
      name: `freeze ${from.slice(0, 16).replaceAll(':', '')}`,
      everywhere,
      entries: [{ from, until, title: 'freeze' }],
    }),
  );
  if (!made.ok) throw new Error(made.message);
}
const act = (deployment: string, action: string) =>
  fleet.call('POST', `/api/v1/deployments/${deployment}/actions`, { action, reason: 'a test' });

describe('windows at the offer', () => {
  test('closed: it says when it opens, and asks rarely; open: the order carries its concrete times', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start({ windows: tuesdayNight, expire_after_seconds: 60 });
    const early = await web.checkIn();
    expect(early.orders).toEqual([]);
    expect(early.seconds).toBe(fleet.context.config.checkInSeconds);
    expect(await reasonOf(deployment)).toBe(
      'queued: No window of the job is open for this asset. Not before 2026-03-03T02:00:00.000Z.',
    );
    fleet.clock.pass(16 * hour + 60);
    const order = await web.fetchOrder();
    expect(order.windows).toEqual([
      { opens_at: '2026-03-03T02:00:00.000Z', closes_at: '2026-03-03T04:00:00.000Z' },
      { opens_at: '2026-03-10T02:00:00.000Z', closes_at: '2026-03-10T04:00:00.000Z' },
    ]);
    expect(order.minimum_remaining_seconds).toBe(1800);
    expect(order.stage_from).toBeUndefined();
    // beyond the window that it is for, although the job says a minute
    expect(Date.parse(order.expires_at)).toBeGreaterThan(Date.parse('2026-03-03T04:00:00Z'));
  });

  test('with less left than asked for, the next window is waited for', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start({ windows: tuesdayNight });
    fleet.clock.pass(17.5 * hour + 1);
    expect((await web.checkIn()).orders).toEqual([]);
    expect(await reasonOf(deployment)).toContain('Not before 2026-03-10T02:00:00.000Z.');
  });

  test('in the zone of the asset; UTC where it does not say', async () => {
    const kathmandu = vulnerableHost();
    kathmandu.facts = { time_zone: 'Asia/Kathmandu' };
    const nowhere = vulnerableHost();
    nowhere.facts = { time_zone: 'Mars/Olympus' };
    const there = await fleet.enrol('there', kathmandu);
    const elsewhere = await fleet.enrol('elsewhere', nowhere);
    await fleet.start({
      windows: [{ zone: 'asset', opens: { kind: 'daily', at: '18:00' }, duration_minutes: 60 }],
    });
    fleet.clock.pass(2.25 * hour + 60);
    const order = await there.fetchOrder();
    expect(order.windows?.[0]).toEqual({
      opens_at: '2026-03-02T12:15:00.000Z',
      closes_at: '2026-03-02T13:15:00.000Z',
    });
    expect((await elsewhere.checkIn()).orders).toEqual([]);
    fleet.clock.pass(6 * hour);
    expect((await elsewhere.fetchOrder()).windows?.[0]?.closes_at).toBe('2026-03-02T19:00:00.000Z');
  });

  test('ahead of the window, when downloads may begin then', async () => {
    const web = await fleet.enrol('web-1');
    await fleet.start({ windows: tuesdayNight, prestage_minutes: 120 });
    fleet.clock.pass(14 * hour - 1);
    expect((await web.checkIn()).orders).toEqual([]);
    fleet.clock.pass(1);
    const order = await web.fetchOrder();
    expect(order.stage_from).toBe('2026-03-03T00:00:00.000Z');
    expect(order.windows?.[0]?.opens_at).toBe('2026-03-03T02:00:00.000Z');
  });

  test('a blackout: nothing is offered in it, and orders leave it out', async () => {
    await freeze('2026-03-02T09:00:00Z', '2026-03-02T11:00:00Z');
    await freeze('2026-03-02T11:20:00Z', '2026-03-02T11:30:00Z');
    await freeze('2026-03-02T10:30:00Z', '2026-03-02T20:00:00Z', false);
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    expect((await web.checkIn()).orders).toEqual([]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'queued blackout' });
    fleet.clock.pass(hour);
    const order = await web.fetchOrder();
    expect(order.windows?.map((one) => [one.opens_at, one.closes_at])).toEqual([
      ['2026-03-02T11:00:00.000Z', '2026-03-02T11:20:00.000Z'],
      ['2026-03-02T11:30:00.000Z', '2026-03-02T12:00:00.000Z'],
    ]);
  });

  test('a window that went by without the asset: late at the next chance, but never in a blackout', async () => {
    const [late, patient, there] = [
      await fleet.enrol('late'),
      await fleet.enrol('patient'),
      await fleet.enrol('there'),
    ];
    const only = (name: string) => ({ target: { tags: [], assets: [name], exclude: [] } });
    const windows = tuesdayNight;
    await fleet.start({ ...only('late'), windows, missed_window: 'next_chance' });
    const waits = await fleet.start({ ...only('patient'), windows });
    const full = await fleet.start({ ...only('there'), windows, missed_window: 'next_chance' });
    for (const one of [late, patient, there]) await one.checkIn();
    fleet.clock.pass(16.5 * hour);
    await act(full, 'pause');
    await there.checkIn();
    await contactsAreWritten();
    await act(full, 'resume');
    await freeze('2026-03-03T05:00:00Z', '2026-03-03T06:00:00Z');
    fleet.clock.pass(2.75 * hour);
    expect((await late.checkIn()).orders, 'a blackout').toEqual([]);
    await contactsAreWritten();
    fleet.clock.pass(hour);
    const order = await late.fetchOrder();
    expect(order.windows).toBeUndefined();
    expect((await patient.checkIn()).orders).toEqual([]);
    expect(await fleet.states(waits)).toEqual({ patient: 'queued window_closed' });
    expect((await there.checkIn()).orders, 'it was there, and had to wait').toEqual([]);
  });

  test('when no window comes any more the task ends, also of an asset that does not ask', async () => {
    const web = await fleet.enrol('web-1');
    await fleet.enrol('web-2');
    const windows: PatchJobDefinition['windows'] = [
      { zone: 'UTC', opens: { kind: 'once', local: '2026-03-02T11:00' }, duration_minutes: 30 },
    ];
    const deployment = await fleet.start({ windows });
    fleet.clock.pass(2 * hour);
    expect((await web.checkIn()).orders).toEqual([]);
    expect((await fleet.states(deployment))['web-1']).toBe('expired no_window_left');
    await tick(fleet.context, fleet.clock.now());
    expect((await fleet.states(deployment))['web-2']).toBe('expired no_window_left');
    await tick(fleet.context, fleet.clock.now());
    expect((await fleet.call('GET', `/api/v1/deployments/${deployment}`)).body).toMatchObject({
      deployment: { state: 'completed' },
    });
  });

  test('over days of check-ins nothing is ever handed out outside of a window', async () => {
    const zones = ['UTC', 'America/New_York', 'Asia/Kathmandu'];
    const agents = [];
    for (const zone of zones) {
      const host = vulnerableHost();
      host.facts = { time_zone: zone };
      agents.push(await fleet.enrol(zone.replaceAll('/', '-').toLowerCase(), host));
    }
    await freeze('2026-03-03T02:30:00Z', '2026-03-03T03:30:00Z');
    await fleet.start({
      windows: [{ zone: 'asset', opens: { kind: 'daily', at: '03:00' }, duration_minutes: 60 }],
    });
    const handedOut = new Map<string, string>();
    for (let quarter = 0; quarter < 24 * 4 && handedOut.size < agents.length; quarter += 1) {
      fleet.clock.pass(hour / 4);
      for (const agent of agents.filter((one) => !handedOut.has(one.hostname))) {
        if ((await agent.checkIn()).orders.length > 0)
          handedOut.set(agent.hostname, fleet.clock.now().toISOString());
      }
    }
    expect(Object.fromEntries(handedOut)).toEqual({
      'asia-kathmandu': '2026-03-02T21:15:00.000Z',
      utc: '2026-03-03T03:30:00.000Z',
      'america-new_york': '2026-03-03T08:00:00.000Z',
    });
  });
});

describe('an order says all that the job says', () => {
  test('what to keep, to run, to look at, and how fast to load', async () => {
    // without a policy file of its owner, no host runs an action
    const policy = {
      digest: '0'.repeat(64),
      problem: null,
      patching: 'allow',
      forbidden_packages: [],
      hours: [],
      reboot: 'allow',
      reboot_hours: [],
      rollback: 'allow',
      actions: ['drain'],
      probes: [],
      probe_targets: [],
    } as const;
    const web = await fleet.enrol('web-1', { ...vulnerableHost(), facts: { policy } });
    const actions = { before: [{ name: 'drain', timeout_seconds: 60, on_failure: 'fail' as const }] };
    const health = { probes: [{ kind: 'unit_active' as const, unit: 'nginx.service' }] };
    await fleet.start({
      rollback: { on: 'any_failure', required: true },
      bandwidth_bytes_per_second: 100_000,
      actions,
      health,
    });
    expect(await web.fetchOrder()).toMatchObject({
      keep: { method: 'packages', required: true },
      bandwidth_bytes_per_second: 100_000,
      actions,
      health,
    });
  });

  test('nothing that the job does not ask for', async () => {
    const web = await fleet.enrol('web-1');
    await fleet.start({ rollback: { on: 'off' } });
    const order: InstallOrder = await web.fetchOrder();
    expect(Object.keys(order).sort()).toEqual(
      [
        'action',
        'asset_id',
        'deployment_id',
        'expires_at',
        'format',
        'generation',
        'install_timeout_seconds',
        'issued_at',
        'packages',
        'sequence',
        'task_id',
        'units',
      ].sort(),
    );
  });
});

describe('held tasks', () => {
  test('a pause holds what has an order, and a resume lets it go', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    await web.report(order, [
      { index: 0, state: 'downloading' },
      { index: 1, state: 'staged' },
    ]);
    expect((await web.checkIn()).held).toEqual([]);
    await act(deployment, 'pause');
    expect((await web.checkIn()).held).toEqual([order.task_id]);
    await web.report(order, [{ index: 2, state: 'waiting_for_window' }]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'waiting_for_window deployment_paused' });
    await act(deployment, 'resume');
    expect((await web.checkIn()).held).toEqual([]);
  });

  test('a blackout that is made later holds it, while it lasts', async () => {
    const web = await fleet.enrol('web-1');
    await fleet.start();
    const order = await web.fetchOrder();
    await web.report(order, [{ index: 0, state: 'downloading' }]);
    await freeze('2026-03-02T09:00:00Z', '2026-03-02T10:30:00Z');
    expect((await web.checkIn()).held).toEqual([order.task_id]);
    fleet.clock.pass(hour / 2);
    expect((await web.checkIn()).held).toEqual([]);
  });

  test('a patch that is denied is neither offered nor begun', async () => {
    const [web, other] = [await fleet.enrol('web-1'), await fleet.enrol('web-2')];
    const deployment = await fleet.start({ concurrency: 1 });
    const order = await web.fetchOrder();
    const denied = await transact(fleet.context.db, (trx) =>
      createDenial(trx, fleet.context, actor, { pattern: 'debian:12/openssl@*', reason: 'it breaks TLS' }),
    );
    expect(denied.ok).toBe(true);
    expect((await web.checkIn()).held).toEqual([order.task_id]);
    expect((await other.checkIn()).orders).toEqual([]);
    await vi.waitFor(async () =>
      expect((await fleet.states(deployment))['web-2']).toBe('queued patch_denied'),
    );
  });
});
