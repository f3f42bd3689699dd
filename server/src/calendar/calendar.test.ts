import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jobDefinition, testFleet, type Fleet } from '../deployment/fleet-double.ts';
import { routes } from './routes.ts';
import { blackoutsFor } from './commands.ts';

const samples = join(import.meta.dirname, '../../../core/src/window/samples');
const google = readFileSync(join(samples, 'google.ics'), 'utf8');

let fleet: Fleet;
beforeAll(async () => {
  // the clock of tests stands at 2 March 2026, 10:00
  fleet = await testFleet({}, [routes]);
}, 60_000);
afterAll(async () => await fleet.close());

const call = async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, payload?: object) => {
  const response = await fleet.app.inject({
    method,
    url: `/api/v1/calendars${url}`,
    headers: fleet.operator,
    ...(payload === undefined ? {} : { payload }),
  });
  return { status: response.statusCode, body: response.json() };
};
const entry = (from: string, until: string, title = 'freeze') => ({ from, until, title });
const march = entry('2026-03-10T00:00:00.000Z', '2026-03-12T00:00:00.000Z');
const shown = async (names: string[], from = '2026-03-01', until = '2026-04-01') =>
  (await blackoutsFor(fleet.context.db, names, Date.parse(from), Date.parse(until))).map((one) =>
    [one.opensAt, one.closesAt].map((t) => new Date(t).toISOString().slice(0, 13)).join(' '),
  );

describe('calendars', () => {
  test('of a file: events that count, what does not, the next ones, and the file again', async () => {
    const { status, body } = await call('POST', '', { name: 'google', everywhere: false, ics: google });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      calendar: {
        name: 'google',
        everywhere: false,
        zone: 'Europe/Berlin',
        events: 3,
        ignored: { transparent: 1, cancelled: 1 },
        next: { from: '2026-10-02T06:00:00.000Z', until: '2026-10-02T10:00:00.000Z', title: 'Payroll' },
        created_by: 'test',
      },
      jobs: [],
    });
    expect(body.next_events).toHaveLength(9);
    expect((await call('GET', '/google')).body).toEqual(body);
    const file = await fleet.app.inject({
      url: '/api/v1/calendars/google/export.ics',
      headers: fleet.operator,
    });
    expect(file.headers['content-type']).toBe('text/calendar; charset=utf-8');
    expect(file.body).toBe(google);
  });

  test('of a list of times, kept as iCalendar', async () => {
    const { status, body } = await call('POST', '', { name: 'list', everywhere: false, entries: [march] });
    expect(status).toBe(201);
    expect(body.next_events).toEqual([march]);
    const file = await fleet.app.inject({
      url: '/api/v1/calendars/list/export.ics',
      headers: fleet.operator,
    });
    expect(file.body).toContain('DTSTART:20260310T000000Z\r\nDTEND:20260312T000000Z\r\nSUMMARY:freeze\r\n');
  });

  test('a list of them, a page at a time', async () => {
    const first = (await call('GET', '?limit=1')).body;
    expect([first.items.length, first.total]).toEqual([1, 2]);
    const second = (await call('GET', `?limit=1&after=${first.next}`)).body;
    expect(second.next).toBeNull();
    expect(new Set([first.items[0].name, second.items[0].name])).toEqual(new Set(['google', 'list']));
  });

  const refused = [
    [{ name: 'list', everywhere: true, entries: [] }, 409, 'calendar_name_taken'],
    [{ name: 'none', everywhere: true }, 422, 'calendar_invalid'],
    [{ name: 'both', everywhere: true, entries: [], ics: google }, 422, 'calendar_invalid'],
    [{ name: 'zone', everywhere: true, entries: [], zone: 'Europe/Berlln' }, 422, 'calendar_invalid'],
    [{ name: 'back', everywhere: true, entries: [entry(march.until, march.from)] }, 422, 'calendar_invalid'],
    [{ name: 'text', everywhere: true, ics: 'hello' }, 422, 'calendar_invalid'],
    [{ name: '../up', everywhere: true, entries: [] }, 400, 'validation_failed'],
  ] as const;
  test('what is wrong is refused', async () => {
    for (const [request, status, code] of refused) {
      const answered = await call('POST', '', request);
      expect([request.name, answered.status, answered.body.error.code]).toEqual([request.name, status, code]);
    }
  });

  test('a file that cannot be read is refused with the line', async () => {
    const broken = google.replace('DTSTART;VALUE=DATE:20261221', 'DTSTART;VALUE=DATE:20261321');
    const { body } = await call('PUT', '/google', { everywhere: false, ics: broken });
    expect(body.error.problems[0]).toMatchObject({
      path: '/ics',
      message: 'line 27: DTSTART is no date or time: "20261321"',
    });
  });

  test('whoever may only read changes nothing', async () => {
    const headers = await fleet.bearer('viewer');
    const payload = { name: 'mine', everywhere: true, entries: [] };
    const response = await fleet.app.inject({ method: 'POST', url: '/api/v1/calendars', headers, payload });
    expect(response.statusCode).toBe(403);
    expect((await fleet.app.inject({ url: '/api/v1/calendars', headers })).statusCode).toBe(200);
  });
});

describe('what they keep free', () => {
  test('those that are named and those for everything, merged; a change counts at once', async () => {
    expect(await shown([])).toEqual([]);
    expect(await shown(['list', 'unknown'])).toEqual(['2026-03-10T00 2026-03-12T00']);
    const everything = entry('2026-03-11T00:00:00.000Z', '2026-03-13T00:00:00.000Z');
    await call('POST', '', { name: 'all', everywhere: true, entries: [everything] });
    expect(await shown(['list'])).toEqual(['2026-03-10T00 2026-03-13T00']);
    expect(await shown([])).toEqual(['2026-03-11T00 2026-03-13T00']);
    const later = entry('2026-03-20T00:00:00.000Z', '2026-03-21T00:00:00.000Z');
    const replaced = await call('PUT', '/all', { everywhere: true, entries: [later] });
    expect(replaced.status).toBe(200);
    expect(await shown(['list'])).toEqual(['2026-03-10T00 2026-03-12T00', '2026-03-20T00 2026-03-21T00']);
    // beyond what was worked out before
    expect(await shown(['google'], '2026-12-24', '2026-12-25')).toEqual(['2026-12-20T23 2027-01-03T23']);
    expect(await shown(['google'], '2026-03-19', '2026-03-20')).toEqual([]);
    await call('PUT', '/all', { everywhere: false, entries: [later] });
    expect(await shown([])).toEqual([]);
    expect((await call('DELETE', '/all')).status).toBe(200);
    expect((await call('GET', '/all')).body.error.code).toBe('calendar_unknown');
  });
});

describe('jobs', () => {
  test('name only calendars that there are, which then stay', async () => {
    await fleet.enrol('web-1');
    const create = async (calendars: string[]) =>
      await fleet.call('POST', '/api/v1/jobs', jobDefinition({ calendars }));
    const refused = await create(['list', 'nowhere']);
    expect(refused).toMatchObject({
      status: 422,
      body: { error: { code: 'calendar_unknown', problems: [{ path: '/calendars/1' }] } },
    });
    const job = await create(['list']);
    expect(job.status).toBe(201);
    const inUse = await call('DELETE', '/list');
    expect([inUse.status, inUse.body.error.code]).toEqual([409, 'calendar_in_use']);
    expect((await call('GET', '/list')).body.jobs).toEqual([{ id: job.body.id, name: 'openssl' }]);
    const started = await fleet.call('POST', `/api/v1/jobs/${String(job.body.id)}/start`, {});
    expect(started.status).toBe(201);
    await fleet.call('POST', `/api/v1/jobs/${String(job.body.id)}/archive`);
    // its deployment is under way still
    expect((await call('DELETE', '/list')).status).toBe(409);
    await fleet.call('POST', `/api/v1/deployments/${String(started.body.id)}/actions`, {
      action: 'cancel',
      reason: 'not now',
    });
    expect((await call('DELETE', '/list')).status).toBe(200);
    expect(
      (await fleet.audit()).map((one) => one.event).filter((name) => name.startsWith('calendar.')),
    ).toEqual([
      'calendar.created',
      'calendar.created',
      'calendar.created',
      'calendar.changed',
      'calendar.changed',
      'calendar.deleted',
      'calendar.deleted',
    ]);
  });

  test('one that is made while its calendar is deleted: either of them', async () => {
    for (let i = 0; i < 5; i++) {
      await call('POST', '', { name: 'race', everywhere: false, entries: [] });
      const [job, deleted] = await Promise.all([
        fleet.call('POST', '/api/v1/jobs', jobDefinition({ calendars: ['race'] })),
        call('DELETE', '/race'),
      ]);
      expect([
        [201, 409],
        [422, 200],
      ]).toContainEqual([job.status, deleted.status]);
      if (job.status === 201) {
        await fleet.call('POST', `/api/v1/jobs/${String(job.body.id)}/archive`);
        expect((await call('DELETE', '/race')).status).toBe(200);
      }
    }
  });
});
