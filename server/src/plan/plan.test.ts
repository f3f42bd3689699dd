import { createHash } from 'node:crypto';
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { Value } from 'typebox/value';
import { Plan } from '@fixpoint/contract/patch-job.ts';
import { PlanDetail } from '@fixpoint/contract/plan.ts';
import { tick } from '../deployment/commands.ts';
import { debianCandidate, debianPackage } from '../deployment/agent-double.ts';
import {
  jobDefinition,
  newVersion,
  oldVersion,
  patch,
  testFleet,
  vulnerability,
  vulnerableHost,
  type Fleet,
} from '../deployment/fleet-double.ts';
import { changeMembers, createTag } from '../tag/commands.ts';
import { settlePlans } from './settle.ts';

let fleet: Fleet;
const opened: Fleet[] = [];
beforeEach(async () => {
  fleet = await testFleet();
  opened.push(fleet);
});
afterAll(async () => {
  for (const one of opened) await one.close();
});

async function newJob(changes: Parameters<typeof jobDefinition>[0] = {}): Promise<string> {
  const job = await fleet.call('POST', '/api/v1/jobs', jobDefinition(changes));
  if (job.status !== 201) throw new Error(JSON.stringify(job.body));
  return String(job.body.id);
}
async function newPlan(job: string, request: object = {}): Promise<string> {
  const made = await fleet.call('POST', `/api/v1/jobs/${job}/plans`, request);
  if (made.status !== 201) throw new Error(JSON.stringify(made.body));
  return String(made.body.id);
}
async function detail(id: string): Promise<PlanDetail> {
  await settlePlans(fleet.context);
  return Value.Parse(PlanDetail, (await fleet.call('GET', `/api/v1/plans/${id}`)).body);
}
const start = async (job: string, body: object) => {
  const { status, body: answer } = await fleet.call('POST', `/api/v1/jobs/${job}/start`, body);
  return {
    status,
    answer,
    code: String(Object(answer.error).code),
    message: String(Object(answer.error).message),
  };
};
const along = { name: 'bash', arch: 'amd64', from: '5.2.15-2+b7', to: '5.2.15-3' };
const asked = [
  { name: 'libssl3', arch: 'amd64', from: oldVersion, to: newVersion },
  { name: 'openssl', arch: 'amd64', from: oldVersion, to: newVersion },
];
const added = [{ name: 'libnew1', arch: 'amd64', version: '1.0' }];

describe('assets are asked, and what they say is what is deployed', () => {
  test('asked at each check-in until answered, ready when all have, deployed exactly', async () => {
    const web = await fleet.enrol('web-1');
    const db = await fleet.enrol('db-1');
    const job = await newJob();
    const plan = await newPlan(job);
    expect(await detail(plan)).toMatchObject({ state: 'simulating', asked: 2, answered: 0, digest: null });
    expect((await start(job, { plan_id: plan })).code).toBe('plan_not_ready');

    const [first] = (await web.checkIn()).questions;
    const [again] = (await web.checkIn()).questions;
    expect(again).toEqual(first);
    expect(first?.packages.map((p) => [p.name, p.from, p.to])).toEqual(
      asked.map((p) => [p.name, p.from, p.to]),
    );
    await web.answerQuestion({ upgraded: [...asked, along], added, restarts: ['nginx.service'] });
    expect((await web.checkIn()).questions).toEqual([]);
    expect(await detail(plan)).toMatchObject({ state: 'simulating', asked: 2, answered: 1 });

    await db.answerQuestion({ obstacles: [{ kind: 'disk_too_small', message: '1 MiB is free' }] });
    const ready = await detail(plan);
    expect(ready).toMatchObject({ state: 'ready', asked: 2, answered: 2, given_up: 0 });
    expect(ready.plan.excluded).toMatchObject([
      { hostname: 'db-1', reason: 'disk_too_small', message: '1 MiB is free' },
    ]);
    expect(ready.plan.tasks).toMatchObject([
      { hostname: 'web-1', added, fixes: [vulnerability], prediction: { restarts: ['nginx.service'] } },
    ]);
    expect(ready.digest).toBe(ready.plan.digest);

    // what it was made of moves on, and the plan stays as it was approved
    const started = await start(job, { plan_id: plan, plan_digest: ready.plan.digest });
    expect(started.status).toBe(201);
    expect(started.answer).toMatchObject({ plan_id: plan, plan_digest: ready.plan.digest });
    const order = await web.fetchOrder();
    expect(order.packages.map((p) => p.name)).toEqual(['bash', 'libssl3', 'openssl']);
    expect(order.added).toEqual(added);
    expect((await detail(plan)).deployment_id).toBe(started.answer.id);
    expect((await start(job, { plan_id: plan })).code).toBe('plan_started');

    await web.carryOut(order);
    await web.report(order, [
      {
        index: 4,
        state: 'verifying',
        digests: web.digests(),
        detail: { restarted_units: [], not_restarted_units: [] },
      },
    ]);
    await tick(fleet.context, new Date(0));
    const { body } = await fleet.call('GET', `/api/v1/deployments/${String(started.answer.id)}`);
    expect(body).toMatchObject({ deployment: { state: 'completed', tasks: { succeeded: 1 } } });
    const accuracy = await fleet.call('GET', `/api/v1/deployments/${String(started.answer.id)}/accuracy`);
    expect(accuracy.body).toMatchObject({
      plan_id: plan,
      totals: { tasks: 1, compared: 1, as_predicted: 0, differences: { restart: 1 } },
      tasks: [{ hostname: 'web-1', differences: [{ kind: 'restart', subject: 'nginx.service' }] }],
    });
    const story = (await fleet.audit()).map((one) => one.event).filter((one) => one.startsWith('plan.'));
    expect(story).toEqual(['plan.created', 'plan.ready']);
  });

  test('who has not answered by the deadline is left out, or kept as the request says', async () => {
    const web = await fleet.enrol('web-1');
    const job = await newJob();
    const strict = await newPlan(job, { wait_seconds: 60 });
    const lenient = await newPlan(job, { wait_seconds: 60, unanswered: 'keep' });
    const { questions } = await web.checkIn();
    expect(questions).toHaveLength(2);
    fleet.clock.pass(61);
    expect(await detail(strict)).toMatchObject({
      state: 'ready',
      given_up: 1,
      plan: { tasks: [], excluded: [{ reason: 'not_simulated' }] },
    });
    const kept = await detail(lenient);
    expect(kept.plan.tasks).toHaveLength(1);
    expect(kept.plan.warnings).toContain('web-1: it has not answered what would really happen');
    expect((await web.checkIn()).questions).toEqual([]);
    const [late] = questions;
    if (late === undefined) throw new Error('there was one');
    const refused = await web.post('/agent/v1/simulations', web.session, web.simulated(late), [409]);
    expect(Object(refused.error).code).toBe('simulation_over');
    expect((await start(job, { plan_id: strict })).code).toBe('nothing_to_do');
  });

  test('nobody answers for another asset, and an answer counts once', async () => {
    const web = await fleet.enrol('web-1');
    const db = await fleet.enrol('db-1');
    const plan = await newPlan(await newJob());
    const [question] = (await web.checkIn()).questions;
    if (question === undefined) throw new Error('one was expected');
    const refused = await db.post('/agent/v1/simulations', db.session, web.simulated(question), [404]);
    expect(Object(refused.error).code).toBe('simulation_unknown');
    const send = async (changes: object) =>
      await web.post('/agent/v1/simulations', web.session, web.simulated(question, changes));
    expect(await send({})).toEqual({ accepted: true });
    expect(await send({ obstacles: [{ kind: 'other', message: 'changed its mind' }] })).toEqual({
      accepted: false,
    });
    await db.answerQuestion();
    expect((await detail(plan)).plan.tasks.map((task) => task.hostname)).toEqual(['db-1', 'web-1']);
  });

  test('a plan that asks nobody is ready at once; a discarded one asks nobody any more', async () => {
    await fleet.enrol('fixed', {
      ...vulnerableHost(),
      packages: [debianPackage('bash', '5.2.15-2+b7')],
    });
    const job = await newJob();
    expect(await detail(await newPlan(job))).toMatchObject({ state: 'ready', asked: 0 });
    fleet.clock.pass(1);
    const web = await fleet.enrol('web-1');
    const plan = await newPlan(job);
    expect((await fleet.call('POST', `/api/v1/plans/${plan}/discard`, { reason: 'no' })).body).toMatchObject({
      state: 'discarded',
      given_up: 1,
    });
    expect((await web.checkIn()).questions).toEqual([]);
    expect((await start(job, { plan_id: plan })).code).toBe('plan_discarded');
    const { body } = await fleet.call('GET', `/api/v1/jobs/${job}/plans`);
    expect(body).toMatchObject({ total: 2, items: [{ id: plan }, { state: 'ready' }] });
  });
});

test('an agent of which the server remembers that it has nothing to do is asked all the same', async () => {
  const web = await fleet.enrol('web-1');
  const { knownAgents, db } = fleet.context;
  knownAgents.start();
  try {
    const { id } = await db.selectFrom('asset').select('id').executeTakeFirstOrThrow();
    await vi.waitFor(async () => {
      await web.checkIn();
      expect(knownAgents.modeOf(id, web.uid)).toBe('manage');
    });
    await newPlan(await newJob());
    await vi.waitFor(async () => {
      expect((await web.checkIn()).questions).toHaveLength(1);
    });
  } finally {
    await knownAgents.stop();
  }
});

describe('a frozen plan is started only while it fits', () => {
  const readyPlan = async (changes: Parameters<typeof jobDefinition>[0] = {}) => {
    const web = await fleet.enrol('web-1');
    const job = await newJob(changes);
    const plan = await newPlan(job);
    await web.answerQuestion();
    await detail(plan);
    return { web, job, plan };
  };

  test('not when something else is installed meanwhile', async () => {
    const { web, job, plan } = await readyPlan();
    web.host.packages = web.host.packages.map((p) =>
      p.name === 'libssl3' ? debianPackage('libssl3', '3.0.18-1', 'openssl') : p,
    );
    await web.sendInventory();
    const refused = await start(job, { plan_id: plan });
    expect(refused.code).toBe('plan_changed');
    expect(refused.message).toContain(`web-1: libssl3 is at 3.0.18-1, and was at ${oldVersion}`);
  });
  test('not when the patch was denied, or another deployment came before', async () => {
    const { job, plan } = await readyPlan();
    await start(job, {});
    expect((await start(job, { plan_id: plan })).message).toContain('another deployment has a task on it');
    await fleet.call('POST', '/api/v1/patch-denials', { pattern: patch, reason: 'it breaks TLS' });
    expect((await start(job, { plan_id: plan })).message).toContain('it breaks TLS');
  });
  test('not when an asset of it is excluded by now, or has left the target', async () => {
    const person = { kind: 'system', name: 'test' } as const;
    await createTag(fleet.context, person, { name: 'frozen' });
    const { web, job, plan } = await readyPlan({
      target: { tags: ['web'], assets: [], exclude: [], exclude_tags: ['frozen'] },
    });
    const { context } = fleet;
    const move = async (action: 'add' | 'remove', tag: string): Promise<void> => {
      const moved = await changeMembers(context, person, { tag, assets: [web.uid], action });
      if (!moved.ok) throw new Error(moved.message);
    };
    await move('add', 'frozen');
    const excluded = await start(job, { plan_id: plan });
    expect(excluded.code).toBe('plan_changed');
    expect(excluded.message).toContain('web-1: the job excludes the tag frozen');
    await move('remove', 'frozen');
    await move('remove', 'web');
    expect((await start(job, { plan_id: plan })).message).toContain('not in the target of the job any more');
    await move('add', 'web');
    expect((await start(job, { plan_id: plan })).status).toBe(201);
  });
  test('not after a day, not of another job, and not with another digest', async () => {
    const { job, plan } = await readyPlan();
    expect((await start(await newJob(), { plan_id: plan })).code).toBe('plan_of_other_job');
    expect((await start(job, { plan_id: plan, plan_digest: 'x' })).code).toBe('plan_changed');
    fleet.clock.pass(24 * 3600 + 1);
    expect((await start(job, { plan_id: plan })).code).toBe('plan_expired');
  });
  test('what repositories offer meanwhile does not matter: it is the plan that is deployed', async () => {
    const { web, job, plan } = await readyPlan();
    web.host.candidates = [debianCandidate('libssl3', '3.0.99-1', 'openssl')];
    await web.sendInventory();
    expect((await start(job, { plan_id: plan })).status).toBe(201);
    expect((await web.fetchOrder()).packages.map((p) => p.to)).toEqual([newVersion, newVersion]);
  });
  test('exported, it is the text that its digest is of', async () => {
    const { plan } = await readyPlan();
    const file = async (format: string) =>
      await fleet.app.inject({
        url: `/api/v1/plans/${plan}/export?format=${format}`,
        headers: fleet.operator,
      });
    const json = await file('json');
    const { digest, ...content } = Value.Parse(
      Plan,
      (await fleet.call('GET', `/api/v1/plans/${plan}`)).body.plan,
    );
    expect(createHash('sha256').update(json.body).digest('hex')).toBe(digest);
    const exported: unknown = JSON.parse(json.body);
    expect({ ...Object(exported), made_at: content.made_at }).toEqual(content);
    expect(json.headers['content-disposition']).toContain(`plan-${plan}.json`);
    const csv = await file('csv');
    expect(csv.body.split('\r\n').slice(0, 2)).toEqual([
      'Asset,Id,What,Package,Architecture,From,To,Reason,Message',
      `web-1,${content.tasks[0]?.asset_id ?? ''},upgrade,libssl3,amd64,${oldVersion},${newVersion},,openssl`,
    ]);
  });
});
