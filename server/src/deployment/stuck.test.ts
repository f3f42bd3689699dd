import { afterAll, beforeAll, expect, test } from 'vitest';
import { noticeStuckTasks, tick } from './commands.ts';
import { testFleet, type Fleet } from './fleet-double.ts';
import { agentAtWork, type AtWork } from './log-double.ts';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await testFleet();
});
afterAll(async () => {
  await fleet.close();
});

/** Time passes, and people and hosts come back after it. */
async function pass(seconds: number, ...hosts: AtWork[]): Promise<void> {
  fleet.clock.pass(seconds);
  for (const { agent } of hosts) await agent.openSession();
}

async function alerts(): Promise<Record<string, unknown>[]> {
  const { body } = await fleet.call('GET', '/api/v1/alerts');
  const items: Record<string, unknown>[] = Object(body.items);
  return items.map((alert) => ({
    kind: alert.kind,
    subject: alert.subject,
    by: alert.acknowledged_by,
    said: alert.message,
  }));
}

const stuckOfTask = async (host: AtWork): Promise<unknown> => {
  const { body } = await fleet.call('GET', `/api/v1/tasks/${host.order.task_id}`);
  return Object(body.task).stuck;
};

test('work that does not go on is named, told of once, and taken back when it goes on', async () => {
  const web = await agentAtWork(fleet, 'web');
  const db = await agentAtWork(fleet, 'db');
  await web.log(0, [
    {
      step: 'install',
      text: 'Waiting for cache lock: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 42 (apt)\n',
    },
  ]);
  expect(await stuckOfTask(web)).toBeUndefined();
  await pass(200, web, db);
  expect(await stuckOfTask(web)).toMatchObject({
    code: 'lock_waited_for',
    message: expect.stringContaining('It is held by process 42 (apt)'),
    what_to_do: expect.stringContaining('unattended-upgrades'),
  });
  expect(await stuckOfTask(db), 'it has twenty minutes').toBeUndefined();
  await noticeStuckTasks(fleet.context);
  await noticeStuckTasks(fleet.context);
  expect(await alerts()).toMatchObject([{ kind: 'task_stuck', subject: web.order.task_id, by: null }]);

  // It goes on.
  await web.log(1, [{ step: 'install', text: 'Setting up openssl\n' }]);
  await noticeStuckTasks(fleet.context);
  expect(await stuckOfTask(web)).toBeUndefined();
  expect(await alerts()).toMatchObject([{ kind: 'task_stuck', by: 'fixpoint (it is over)' }]);
  const { body } = await fleet.call('GET', `/api/v1/tasks/${web.order.task_id}`);
  const said: { message: string }[] = Object(body.events);
  expect(said.map((event) => event.message).slice(-2)).toEqual([
    expect.stringMatching(/^Stuck: .*lock/u),
    'The task goes on.',
  ]);
  const acknowledged = await fleet.audit('alert.acknowledged');
  expect(acknowledged).toMatchObject([{ reason: 'The task goes on; it is downloading.' }]);
});

test('an asset that is silent during a task is alerted to after a quarter of an hour', async () => {
  const mail = await agentAtWork(fleet, 'mail');
  await mail.agent.checkIn();
  await new Promise((resolve) => setTimeout(resolve, 400));
  await pass(120);
  await tick(fleet.context, new Date(0));
  const of = async (id: string) => (await alerts()).filter((alert) => alert['subject'] === id);
  await pass(800);
  await noticeStuckTasks(fleet.context);
  expect(await of(mail.order.task_id)).toEqual([]);
  await pass(200);
  await noticeStuckTasks(fleet.context);
  expect(await of(mail.order.task_id)).toMatchObject([{ kind: 'asset_unreachable', by: null }]);
  await mail.agent.openSession();
  await mail.agent.checkIn();
  await noticeStuckTasks(fleet.context);
  expect(await of(mail.order.task_id)).toMatchObject([
    { kind: 'asset_unreachable', by: 'fixpoint (it is over)' },
  ]);
});

test('a deployment that is paused makes nobody stuck, and its list says who is', async () => {
  const one = await agentAtWork(fleet, 'one');
  await one.agent.report(one.order, [{ index: 1, state: 'staged' }]);
  const deployment = one.order.deployment_id;
  const action = (name: string) =>
    fleet.call('POST', `/api/v1/deployments/${deployment}/actions`, { action: name, reason: 'test' });
  await action('pause');
  await pass(7200, one);
  expect(await stuckOfTask(one)).toBeUndefined();
  await action('resume');
  const { body } = await fleet.call('GET', `/api/v1/deployments/${deployment}/tasks`);
  expect(body.items).toMatchObject([{ hostname: 'one', stuck: { code: 'not_begun' } }]);
});

test('many tasks of a deployment that are stuck for the same are one alert, which counts them', async () => {
  const hosts = [
    await agentAtWork(fleet, 'a1'),
    await agentAtWork(fleet, 'a2'),
    await agentAtWork(fleet, 'a3'),
  ];
  for (const { agent, order } of hosts) await agent.report(order, [{ index: 1, state: 'staged' }]);
  const deployment = hosts[0]?.order.deployment_id ?? '';
  const ids = hosts.map(({ order }) => order.task_id);
  await fleet.context.db
    .updateTable('task')
    .set({ deployment_id: deployment })
    .where('id', 'in', ids)
    .execute();
  await pass(4000, ...hosts);
  const of = async (...subjects: string[]) =>
    (await alerts()).filter((alert) => subjects.includes(String(alert['subject'])));
  await noticeStuckTasks(fleet.context, 2);
  await noticeStuckTasks(fleet.context, 2);
  expect(await of(...ids)).toEqual([]);
  expect(await of(deployment)).toMatchObject([
    { kind: 'task_stuck', by: null, said: expect.stringContaining('3 tasks, of a1, a2, a3') },
  ]);

  // One goes on: the others are few enough to be told of one by one.
  const [first] = hosts;
  if (first === undefined) throw new Error('no host');
  await first.agent.report(first.order, [{ index: 2, state: 'installing' }]);
  await noticeStuckTasks(fleet.context, 2);
  expect(await of(deployment)).toMatchObject([{ by: 'fixpoint (it is over)' }]);
  expect(await of(...ids)).toHaveLength(2);
});
