import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listAudit } from '../audit/commands.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { archiveReport, showReport, type Caller } from './commands.ts';
import { insertCount, thinOutCounts } from './store.ts';

let test: TestApp;
type Headers = { authorization: string };
let viewer: Headers;
let vera: Headers;
let operator: Headers;
let administrator: Headers;
beforeAll(async () => {
  test = await testApp(rooms);
  viewer = await test.bearer('viewer', 'viktor');
  vera = await test.bearer('operator', 'vera');
  operator = await test.bearer('operator', 'olaf');
  administrator = await test.bearer('administrator', 'ada');
});
afterAll(async () => await test.close());

const call = async (
  headers: Headers,
  method: 'POST' | 'PATCH' | 'DELETE' | 'GET',
  url: string,
  payload?: object,
) => {
  const response = await test.app.inject({
    method,
    url: `/api/v1/${url}`,
    headers,
    ...(payload === undefined ? {} : { payload }),
  });
  return { status: response.statusCode, body: response.json() };
};
const make = async (headers: Headers, parts: object) => {
  const made = await call(headers, 'POST', 'reports', { subject: 'asset', query: 'os = debian', ...parts });
  expect(made.status).toBe(201);
  return made.body;
};
const trail = async (subject: string) => {
  const list = await listAudit(test.context, { subject, limit: 100 });
  return list.ok ? list.value.items : [];
};

describe('a report', () => {
  it('is made of a query, and shown as usual for its subject where nothing is chosen', async () => {
    const made = await make(operator, { name: 'Debian' });
    expect(made).toMatchObject({
      explanation: 'Assets where the operating system is debian.',
      owner: 'olaf',
      owner_kind: 'token',
      shared: false,
      version: 1,
      may_change: true,
      sort: [
        { by: 'risk', descending: true },
        { by: 'hostname', descending: false },
      ],
    });
    expect(made.columns).toContain('hostname');
    expect((await trail(made.id)).map((event) => [event.event, event.after])).toEqual([
      ['report.created', expect.objectContaining({ name: 'Debian', query: 'os = debian', shared: false })],
    ]);
  });

  it('is not made of what cannot be read, and the place is told', async () => {
    const bad = { name: 'x', subject: 'finding', query: 'statsu = open' };
    expect(await call(operator, 'POST', 'reports', bad)).toMatchObject({
      status: 400,
      body: {
        error: { code: 'unknown_field', problems: [{ path: '/query', at: 0, suggestions: ['status'] }] },
      },
    });
    const columns = { name: 'x', subject: 'finding', query: '', columns: ['status', 'hostname'] };
    expect(await call(operator, 'POST', 'reports', columns)).toMatchObject({
      status: 400,
      body: { error: { code: 'column_unknown', problems: [{ path: '/columns/1' }] } },
    });
    const sort = { name: 'x', subject: 'asset', query: '', sort: [{ by: 'risks', descending: true }] };
    expect((await call(operator, 'POST', 'reports', sort)).body.error.message).toContain('risk may be meant');
    expect((await call(operator, 'POST', 'reports', { ...bad, name: ' ' })).status).toBe(400);
  });

  it('is changed at the version that was read, and who came before is told', async () => {
    const { id } = await make(operator, { name: 'mine', shared: true });
    const changed = await call(operator, 'PATCH', `reports/${id}`, { version: 1, query: 'os = ubuntu' });
    expect(changed).toMatchObject({ status: 200, body: { version: 2, query: 'os = ubuntu', name: 'mine' } });
    test.clock.pass(60);
    expect(await call(administrator, 'PATCH', `reports/${id}`, { version: 2, name: 'ours' })).toMatchObject({
      status: 200,
      body: { version: 3, owner: 'olaf', updated_by: 'ada', query_since: changed.body.query_since },
    });
    const late = await call(operator, 'PATCH', `reports/${id}`, { version: 2, name: 'mine again' });
    expect(late).toMatchObject({ status: 409, body: { error: { code: 'report_changed' } } });
    expect(late.body.error.message).toContain('ada');
    expect(late.body.error.message).toContain(test.clock.now().toISOString());
    expect((await call(operator, 'DELETE', `reports/${id}?version=2`)).status).toBe(409);
    expect((await trail(id)).map((event) => event.event)).toEqual([
      'report.created',
      'report.changed',
      'report.changed',
    ]);
  });

  it('keeps one of two changes at once, and refuses the other', async () => {
    const { id } = await make(operator, { name: 'contested' });
    const both = await Promise.all(
      ['a', 'b'].map((name) => call(operator, 'PATCH', `reports/${id}`, { version: 1, name })),
    );
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409]);
  });

  it('is archived, out of the lists and not to be changed; a copy goes on', async () => {
    const { id } = await make(operator, { name: 'old', shared: true });
    expect((await call(operator, 'DELETE', `reports/${id}`)).body.archived_at).not.toBeNull();
    const listed = (await call(viewer, 'GET', 'reports')).body.items;
    expect(listed.map((one: { id: string }) => one.id)).not.toContain(id);
    expect((await call(operator, 'PATCH', `reports/${id}`, { version: 2 })).body.error.code).toBe(
      'report_archived',
    );
    const copy = await call(vera, 'POST', `reports/${id}/copy`, {});
    expect(copy).toMatchObject({ status: 201, body: { name: 'Copy of old', owner: 'vera', shared: false } });
  });

  it('is not archived while something refers to it', async () => {
    const { id } = await make(operator, { name: 'of a job' });
    const caller: Caller = { actor: { kind: 'token', name: 'olaf' }, permissions: ['report.write'] };
    const job = () => Promise.resolve([{ kind: 'job', id: 'j1', name: 'nightly' }]);
    const refused = await archiveReport(test.context, caller, id, undefined, [job]);
    expect(refused).toMatchObject({ ok: false, status: 409, code: 'report_in_use' });
    expect(refused.ok ? '' : refused.message).toContain('job nightly');
    expect((await call(operator, 'GET', `reports/${id}`)).body.archived_at).toBeNull();
  });
});

describe('who may', () => {
  it('see: the owner, and everybody when it is shared', async () => {
    const mine = await make(vera, { name: 'private of vera' });
    expect((await call(operator, 'GET', `reports/${mine.id}`)).body.error.code).toBe('report_unknown');
    expect((await call(administrator, 'PATCH', `reports/${mine.id}`, { version: 1 })).status).toBe(404);
    const shared = await make(operator, { name: 'everybody’s', shared: true });
    expect((await call(viewer, 'GET', `reports/${shared.id}`)).body).toMatchObject({ may_change: false });
    const own = (await call(vera, 'GET', 'reports?mine=true')).body.items;
    expect(own.every((one: { owner: string }) => one.owner === 'vera')).toBe(true);
    const names = (await call(vera, 'GET', 'reports?limit=2')).body;
    expect(names.items).toHaveLength(2);
    const rest = (await call(vera, 'GET', `reports?after=${names.next}`)).body;
    expect(names.items.length + rest.items.length).toBe(names.total);
  });
  it('not see: a token that bears the name of a person', async () => {
    const { id } = await make(vera, { name: 'hers' });
    const person: Caller = { actor: { kind: 'person', name: 'vera' }, permissions: ['read'] };
    expect(await showReport(test.context, person, id)).toMatchObject({ ok: false, status: 404 });
  });
  it('change: the owner, and administrators what is shared', async () => {
    const { id } = await make(operator, { name: 'olaf’s', shared: true });
    const another = await test.bearer('operator', 'otto');
    for (const headers of [viewer, another])
      expect((await call(headers, 'PATCH', `reports/${id}`, { version: 1, name: 'x' })).status).toBe(403);
    expect((await call(administrator, 'PATCH', `reports/${id}`, { version: 1, shared: false })).status).toBe(
      200,
    );
  });
  it('make: not a viewer', async () => {
    const wanted = { name: 'x', subject: 'asset', query: '' };
    const { id } = await make(operator, { name: 'for all', shared: true });
    expect((await call(viewer, 'POST', 'reports', wanted)).status).toBe(403);
    expect((await call(viewer, 'POST', `reports/${id}/copy`, {})).status).toBe(403);
    expect((await call(viewer, 'DELETE', `reports/${id}`)).status).toBe(403);
  });
});

describe('templates', () => {
  it('can be read, and be saved as they are', async () => {
    const { items } = (await call(viewer, 'GET', 'report-templates')).body;
    expect(items.map((one: { id: string }) => one.id)).toEqual([
      'exploited-now',
      'public-exploit-fix-available',
      'critical-assets-at-risk',
      'overdue',
      'waits-for-reboot',
      'no-fix-will-come',
    ]);
    for (const { id: _, explanation, ...parts } of items) {
      const made = await call(vera, 'POST', 'reports', parts);
      expect(made).toMatchObject({ status: 201, body: { ...parts, explanation } });
    }
  });
});

describe('counts', () => {
  it('are one an hour, and after 90 days the last of each day', async () => {
    const { id, query_since } = await make(operator, { name: 'counted' });
    const since = new Date(query_since);
    const { db } = test.context;
    const add = async (at: string, items: number, taken: 'keep' | 'replace' = 'keep') =>
      await insertCount(db, { report_id: id, at: new Date(at), items, assets: 1, risk: 1.25 }, since, taken);
    await db.deleteFrom('report_count').where('report_id', '=', id).execute();
    expect(await add('2025-06-01T00:00:00Z', 1)).toBe(true);
    expect(await add('2025-06-01T00:00:00Z', 2)).toBe(false);
    await add('2025-06-01T22:00:00Z', 3);
    await add('2025-06-01T23:00:00Z', 4, 'replace');
    await add('2025-06-01T23:00:00Z', 5, 'replace');
    await add('2025-06-02T00:00:00Z', 6);
    await add('2026-03-01T00:00:00Z', 7);
    await add('2026-03-01T01:00:00Z', 8);
    await add('2022-01-01T00:00:00Z', 9);
    await thinOutCounts(db, new Date('2025-12-01T00:00:00Z'), new Date('2023-03-01T00:00:00Z'));
    const counts = await call(operator, 'GET', `reports/${id}/counts?from=2020-01-01T00:00:00Z`);
    expect(counts.body.items.map((one: { items: number }) => one.items)).toEqual([5, 6, 7, 8]);
    expect(counts.body.items[0]).toEqual({
      at: '2025-06-01T23:00:00.000Z',
      items: 5,
      assets: 1,
      risk: 1.3,
    });
    const shown = (await call(operator, 'GET', `reports/${id}`)).body.last_count;
    expect(shown).toMatchObject({ at: '2026-03-01T01:00:00.000Z', items: 8 });
    expect(
      await insertCount(
        db,
        { report_id: id, at: new Date('2026-03-01T02:00:00Z'), items: 1, assets: 1, risk: null },
        new Date(0),
        'keep',
      ),
    ).toBe(false);
    expect((await call(operator, 'GET', `reports/${id}/counts`)).body.items).toHaveLength(2);
    expect(
      (await call(operator, 'GET', `reports/${id}/counts?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z`))
        .status,
    ).toBe(400);
  });
});
