import { sql } from 'kysely';
import { afterEach, describe, expect, test } from 'vitest';
import type { JobSchedule } from '@fixpoint/contract/window.ts';
import { routes as calendar } from '../calendar/routes.ts';
import { jobDefinition, testFleet, vulnerableHost, type Fleet } from '../deployment/fleet-double.ts';
import { startDueRuns, startScheduledJobs } from './due.ts';
import { routes } from './routes.ts';

const fleets: Fleet[] = [];
/** The clock of tests stands at Monday, 2 March 2026, 10:00 UTC. */
async function fleetOf(): Promise<Fleet> {
  const fleet = await testFleet({}, [routes, calendar]);
  fleets.push(fleet);
  return fleet;
}
afterEach(async () => {
  for (const fleet of fleets.splice(0)) await fleet.close();
});

const hour = 3600;
const daily: JobSchedule = { zone: 'Europe/Berlin', starts: { kind: 'daily', at: '22:00' } };
async function scheduled(fleet: Fleet, schedule: JobSchedule = daily): Promise<string> {
  const { status, body } = await fleet.call(
    'POST',
    '/api/v1/jobs',
    jobDefinition({ trigger: 'schedule', schedule }),
  );
  if (status !== 201) throw new Error(JSON.stringify(body));
  return String(body.id);
}
async function runs(fleet: Fleet, job: string) {
  const { status, body } = await fleet.call('GET', `/api/v1/jobs/${job}/runs`);
  expect(status).toBe(200);
  const past: {
    due_at: string;
    deployment_id: string | null;
    outcome: { code: string; message: string } | null;
  }[] = Object(body.past);
  const next: string[] = Object(body.next);
  return {
    past: past.map(
      (run) =>
        `${run.due_at.slice(0, 16)} ${run.outcome?.code ?? (run.deployment_id === null ? '?' : 'started')}`,
    ),
    messages: past.map((run) => run.outcome?.message ?? ''),
    next: next.map((time) => time.slice(0, 16)),
  };
}

describe('a job with a schedule', () => {
  test('starts when it is due, as the system, and then has its next run', async () => {
    const fleet = await fleetOf();
    await fleet.enrol('web-1');
    const job = await scheduled(fleet);
    await startDueRuns(fleet.context);
    expect(await runs(fleet, job)).toMatchObject({ past: [], next: { length: 10, 0: '2026-03-02T21:00' } });
    fleet.clock.pass(11 * hour - 1);
    await startDueRuns(fleet.context);
    expect((await runs(fleet, job)).past).toEqual([]);
    fleet.clock.pass(1);
    await startDueRuns(fleet.context);
    const after = await runs(fleet, job);
    expect(after.past).toEqual(['2026-03-02T21:00 started']);
    expect(after.next[0]).toBe('2026-03-03T21:00');
    const { body } = await fleet.call('GET', `/api/v1/deployments?job=${job}`);
    expect(body.items).toMatchObject([{ state: 'running', created_by: 'schedule' }]);
    expect(await fleet.audit('deployment.started')).toMatchObject([
      { reason: 'the run of 2026-03-02T21:00:00.000Z' },
    ]);
    await startDueRuns(fleet.context);
    expect((await runs(fleet, job)).past).toHaveLength(1);
  });

  test('that finds nothing to do says so, and runs again', async () => {
    const fleet = await fleetOf();
    await fleet.enrol('web-1', vulnerableHost(), 'assess');
    const job = await scheduled(fleet);
    fleet.clock.pass(12 * hour);
    await startDueRuns(fleet.context);
    const after = await runs(fleet, job);
    expect(after).toMatchObject({
      past: ['2026-03-02T21:00 nothing_to_do'],
      next: { 0: '2026-03-03T21:00' },
    });
    expect(await fleet.audit('job.run_skipped')).toMatchObject([
      { subject: job, after: { due_at: '2026-03-02T21:00:00.000Z', outcome: { code: 'nothing_to_do' } } },
    ]);
  });

  test('runs once after all servers were down, and the runs before are missed', async () => {
    const fleet = await fleetOf();
    await fleet.enrol('web-1');
    const job = await scheduled(fleet);
    fleet.clock.pass(3 * 24 * hour + 12 * hour);
    await startDueRuns(fleet.context);
    const after = await runs(fleet, job);
    expect(after.past).toEqual(['2026-03-05T21:00 started', '2026-03-02T21:00 run_missed']);
    expect(after.messages[1]).toContain('and so did 2 after it');
    expect(after.next[0]).toBe('2026-03-06T21:00');
    expect(await fleet.audit('deployment.started')).toHaveLength(1);
  });

  test('a run that is not as old as the time to the next is started late', async () => {
    const fleet = await fleetOf();
    await fleet.enrol('web-1');
    const job = await scheduled(fleet, {
      zone: 'UTC',
      starts: { kind: 'weekly', days: ['tue'], at: '02:00' },
    });
    fleet.clock.pass(7 * 24 * hour);
    await startDueRuns(fleet.context);
    expect((await runs(fleet, job)).past).toEqual(['2026-03-03T02:00 started']);
  });

  test('the last run is started up to a day late', async () => {
    const fleet = await fleetOf();
    await fleet.enrol('web-1');
    const once = { zone: 'UTC', starts: { kind: 'once', local: '2026-03-02T12:00' } } as const;
    const [soon, later] = [
      await scheduled(fleet, once),
      await scheduled(fleet, { ...once, starts: { kind: 'once', local: '2026-03-03T12:00' } }),
    ];
    fleet.clock.pass(27 * hour);
    await startDueRuns(fleet.context);
    expect(await runs(fleet, soon)).toMatchObject({ past: ['2026-03-02T12:00 run_missed'], next: [] });
    expect(await runs(fleet, later)).toMatchObject({ past: ['2026-03-03T12:00 started'], next: [] });
    expect((await fleet.call('GET', '/api/v1/alerts')).body.items).toMatchObject([
      { kind: 'run_not_started', subject: soon, severity: 'warning' },
    ]);
  });

  test('runs no more once it is archived', async () => {
    const fleet = await fleetOf();
    await fleet.enrol('web-1');
    const job = await scheduled(fleet);
    await fleet.call('POST', `/api/v1/jobs/${job}/archive`);
    expect((await runs(fleet, job)).next).toEqual([]);
    fleet.clock.pass(48 * hour);
    await startDueRuns(fleet.context);
    fleet.clock.pass(48 * hour);
    await startDueRuns(fleet.context);
    expect((await runs(fleet, job)).past).toEqual(['2026-03-02T21:00 job_archived']);
    expect(await fleet.audit('deployment.started')).toEqual([]);
  });

  test('an outage leaves the run where it is, and other jobs go on', async () => {
    const fleet = await fleetOf();
    await fleet.enrol('web-1');
    const broken = await scheduled(fleet, { zone: 'UTC', starts: { kind: 'daily', at: '12:00' } });
    const whole = await scheduled(fleet, { zone: 'UTC', starts: { kind: 'daily', at: '13:00' } });
    const failing = { ...fleet.context, posture: { ...fleet.context.posture } };
    let calls = 0;
    failing.posture.run = (work) => {
      calls += 1;
      return calls === 1 ? Promise.reject(new Error('out')) : fleet.context.posture.run(work);
    };
    fleet.clock.pass(4 * hour);
    await startDueRuns(failing);
    expect((await runs(fleet, broken)).past).toEqual([]);
    expect((await runs(fleet, whole)).past).toEqual(['2026-03-02T13:00 started']);
    await startDueRuns(fleet.context);
    expect((await runs(fleet, broken)).past).toEqual(['2026-03-02T12:00 nothing_to_do']);
  });

  test('that cannot be planned any more tells a person', async () => {
    const fleet = await fleetOf();
    await fleet.enrol('web-1');
    const job = await scheduled(fleet);
    // a tag that a job names cannot be deleted by hand
    await sql`update patch_job set definition = jsonb_set(definition, '{target,tags}', '["gone"]')`.execute(
      fleet.context.db,
    );
    fleet.clock.pass(12 * hour);
    await startDueRuns(fleet.context);
    expect(await runs(fleet, job)).toMatchObject({
      past: ['2026-03-02T21:00 tag_unknown'],
      next: { 0: '2026-03-03T21:00' },
    });
    expect((await fleet.call('GET', '/api/v1/alerts')).body.items).toMatchObject([
      { kind: 'run_not_started', subject: job },
    ]);
  });

  test('is refused without a run left', async () => {
    const fleet = await fleetOf();
    const over = { zone: 'UTC', starts: { kind: 'once', local: '2026-03-02T10:00' } } as const;
    const { status, body } = await fleet.call(
      'POST',
      '/api/v1/jobs',
      jobDefinition({ trigger: 'schedule', schedule: over }),
    );
    expect([status, Object(body.error).code]).toEqual([422, 'job_invalid']);
  });
});

test('two servers on one database start each run once', { timeout: 60_000 }, async () => {
  const fleet = await fleetOf();
  await fleet.enrol('web-1');
  const jobs = [await scheduled(fleet), await scheduled(fleet), await scheduled(fleet)];
  const servers = [
    startScheduledJobs(fleet.context, { lookMilliseconds: 5 }),
    startScheduledJobs(fleet.context, { lookMilliseconds: 5 }),
  ];
  try {
    for (let day = 0; day < 3; day++) {
      fleet.clock.pass(24 * hour);
      const want = day + 1;
      const taken = async () =>
        (await Promise.all(jobs.map(async (job) => (await runs(fleet, job)).past.length))).every(
          (n) => n === want,
        );
      for (let i = 0; i < 400 && !(await taken()); i++)
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
  } finally {
    for (const server of servers) await server.stop();
  }
  for (const job of jobs) {
    const { past, next } = await runs(fleet, job);
    expect(past.map((run) => run.slice(0, 16))).toEqual([
      '2026-03-04T21:00',
      '2026-03-03T21:00',
      '2026-03-02T21:00',
    ]);
    expect(next[0]).toBe('2026-03-05T21:00');
  }
  // one asset: the first job has it, and the others find nothing to do
  expect(await fleet.audit('deployment.started')).toHaveLength(1);
  expect(await fleet.audit('job.run_skipped')).toHaveLength(8);
});

describe('a preview', () => {
  const preview = async (fleet: Fleet, request: object) =>
    await fleet.call('POST', '/api/v1/schedule/preview', request);
  const night = {
    zone: 'asset',
    opens: { kind: 'daily', at: '22:00' },
    duration_minutes: 120,
  };

  test('of a schedule and of windows, less the calendars', async () => {
    const fleet = await fleetOf();
    const freeze = { from: '2026-03-03T00:00:00.000Z', until: '2026-03-04T21:30:00.000Z', title: 'freeze' };
    const made = await fleet.call('POST', '/api/v1/calendars', {
      name: 'freeze',
      everywhere: true,
      entries: [freeze],
    });
    expect(made.status).toBe(201);
    const { status, body } = await preview(fleet, {
      schedule: { zone: 'UTC', starts: { kind: 'patch_tuesday', offset_days: 4, at: '06:00' } },
      windows: [night],
      asset_zone: 'Europe/Berlin',
      count: 3,
    });
    expect([status, body]).toEqual([
      200,
      {
        runs: ['2026-03-14T06:00:00.000Z', '2026-04-18T06:00:00.000Z', '2026-05-16T06:00:00.000Z'],
        windows: [
          { opens_at: '2026-03-02T21:00:00.000Z', closes_at: '2026-03-02T23:00:00.000Z' },
          { opens_at: '2026-03-04T21:30:00.000Z', closes_at: '2026-03-04T23:00:00.000Z' },
          { opens_at: '2026-03-05T21:00:00.000Z', closes_at: '2026-03-05T23:00:00.000Z' },
        ],
      },
    ]);
  });

  test('of rare ones looks far ahead, and answers ten', async () => {
    const fleet = await fleetOf();
    const monthly = { ...night, opens: { kind: 'monthly', week: 2, day: 'sat', at: '22:00' } };
    const { body } = await preview(fleet, { windows: [monthly] });
    expect(body.windows).toHaveLength(10);
    expect(body.runs).toEqual([]);
  });

  const wrong = [
    [{}, 'schedule_invalid', ''],
    [{ windows: [{ ...night, zone: 'Mars/Base' }] }, 'schedule_invalid', '/windows/0/zone'],
    [{ windows: [night], asset_zone: 'Mars/Base' }, 'schedule_invalid', '/asset_zone'],
    [
      { schedule: { zone: 'UTC', starts: { kind: 'rrule', rule: 'FREQ=NEVER', local: '2026-01-01T00:00' } } },
      'schedule_invalid',
      '/schedule/starts/rule',
    ],
    [{ windows: [night], calendars: ['nowhere'] }, 'calendar_unknown', '/calendars/0'],
  ] as const;
  test('of what is wrong is refused with its place', async () => {
    const fleet = await fleetOf();
    for (const [request, code, path] of wrong) {
      const { status, body } = await preview(fleet, request);
      expect([status, Object(body.error).code, Object(body.error).problems[0].path]).toEqual([
        422,
        code,
        path,
      ]);
    }
  });
});
