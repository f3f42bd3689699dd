import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inventoryOf, installed, testAgent } from '../asset/test-agent.ts';
import { listAudit } from '../audit/commands.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { countReports } from './count.ts';
import { savedQuery } from './definition.ts';
import { evaluateReport } from './evaluate.ts';
import { find, readRows } from './items.ts';
import { findReport } from './store.ts';

/** What reports come to, from the read model of a small fleet with real knowledge. */

let app: TestApp;
let operator: { authorization: string };

const call = async (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, payload?: object) =>
  (
    await app.app.inject({
      method,
      url: `/api/v1/${url}`,
      headers: operator,
      ...(payload === undefined ? {} : { payload }),
    })
  ).json();
const report = async (subject: string, query: string) =>
  (await call('POST', 'reports', { name: `${subject} ${query}`, subject, query })).id;
const evaluated = async (id: string) => {
  const evaluation = await evaluateReport(app.context, id);
  if (!evaluation.ok) throw new Error(evaluation.message);
  return evaluation.value;
};
const add = async (hostname: string, version: string) => {
  const agent = await testAgent(app);
  const inventory = inventoryOf([installed('libssl3', version, 'openssl')]);
  await agent.report({ ...inventory, host: { ...inventory.host, hostname } });
};

beforeAll(async () => {
  app = await testApp(rooms, { knows: 'carried' });
  operator = await app.bearer('administrator', 'ada');
  await add('old-1', '3.0.17-1~deb12u2');
  await add('old-2', '3.0.17-1~deb12u2');
  await add('fixed-1', '3.0.22-1~deb12u2');
}, 120_000);
afterAll(async () => await app.close());

test('a report on findings gives them by vulnerability and package, with their assets and these assets’ risk', async () => {
  const id = await report('finding', 'package = openssl and fix_available');
  const { items, assets, findings, risk, ids } = await evaluated(id);
  const list = await call('GET', 'findings?limit=1000');
  const fixable = list.items.filter((one: { fix_state: string }) => one.fix_state === 'available');
  expect(items).toBe(fixable.length);
  expect(items).toBeGreaterThan(2);
  expect(assets.size).toBe(2);
  expect(ids).toBeNull();
  const fleet = await app.context.posture.fresh();
  expect(findings?.map((one) => one.assets.size)).toEqual(findings?.map(() => 2));
  expect(new Set(findings?.map((one) => one.vulnerability))).toEqual(
    new Set(fixable.map((one: { vulnerability: string }) => one.vulnerability)),
  );
  const sum = [...assets].reduce((total, asset) => total + fleet.risk(asset), 0);
  expect(sum).toBeGreaterThan(0);
  expect(risk).toBeCloseTo(sum, 9);
});

test('what was evaluated stays as it was when the fleet changes, and is another the next time', async () => {
  const id = await report('finding', 'package = openssl and fix_available');
  const before = await evaluated(id);
  const were = { assets: before.assets.size, first: before.findings?.[0]?.assets.size };
  expect(were).toEqual({ assets: 2, first: 2 });
  await add('old-3', '3.0.17-1~deb12u2');
  const after = await evaluated(id);
  expect({ assets: before.assets.size, first: before.findings?.[0]?.assets.size }).toEqual(were);
  expect(after.assets.size).toBe(3);
  expect(after.items).toBeGreaterThan(before.items);
});

test('reports on assets, vulnerabilities and patches', async () => {
  const assets = await evaluated(await report('asset', 'hostname = fixed-*'));
  expect(assets).toMatchObject({ items: 1, findings: null, ids: null, risk: expect.any(Number) });
  expect(assets.assets.size).toBe(1);
  const vulnerabilities = await evaluated(await report('vulnerability', 'id = CVE-2025-15467'));
  expect(vulnerabilities).toMatchObject({ items: 1, ids: ['CVE-2025-15467'], risk: null });
  expect(vulnerabilities.assets.size).toBe(3);
  const patches = await evaluated(await report('patch', 'package = openssl and not superseded'));
  expect(patches.ids).toEqual(['debian:12/openssl@3.0.22-1~deb12u2']);
  expect(patches.assets.size).toBe(3);
});

test('a report that is unknown, archived or unreadable is refused, and never reads as empty', async () => {
  const unknown = await evaluateReport(app.context, '00000000-0000-4000-8000-000000000000');
  expect(unknown).toMatchObject({ ok: false, code: 'report_unknown' });
  const archived = await report('asset', '');
  await call('DELETE', `reports/${archived}`);
  expect(await evaluateReport(app.context, archived)).toMatchObject({ ok: false, code: 'report_archived' });
  const old = await report('asset', '');
  await app.context.db.updateTable('report').set({ query: 'gone = 1' }).where('id', '=', old).execute();
  expect(await evaluateReport(app.context, old)).toMatchObject({ ok: false, code: 'report_not_readable' });
  expect(await call('GET', `reports/${old}`)).toMatchObject({ explanation: null });
});

test('a report is counted when it is made and when its query changes, and once an hour whoever counts', async () => {
  const id = await report('asset', 'hostname = old-*');
  const counts = async () => (await call('GET', `reports/${id}/counts`)).items;
  expect(await counts()).toEqual([
    { at: '2026-03-02T10:00:00.000Z', items: 3, assets: 3, risk: expect.any(Number) },
  ]);
  await call('PATCH', `reports/${id}`, { version: 1, query: 'hostname = old-1' });
  expect(await counts()).toMatchObject([{ at: '2026-03-02T10:00:00.000Z', items: 1 }]);
  app.clock.pass(45 * 60);
  await Promise.all([countReports(app.context), countReports(app.context)]);
  expect(await counts()).toHaveLength(1);
  app.clock.pass(45 * 60);
  await Promise.all([countReports(app.context), countReports(app.context)]);
  await countReports(app.context);
  expect((await counts()).map((one: { at: string }) => one.at)).toEqual([
    '2026-03-02T10:00:00.000Z',
    '2026-03-02T11:00:00.000Z',
  ]);
});

test('items come page by page in the order of the report, with what they are of', async () => {
  const made = await call('POST', 'reports', {
    name: 'ordered',
    subject: 'finding',
    query: 'fix_available',
    sort: [
      { by: 'vulnerability', descending: true },
      { by: 'asset.hostname', descending: false },
    ],
    columns: ['asset.hostname', 'vulnerability', 'first_seen', 'due', 'exploited', 'patch'],
  });
  const all = await call('GET', `reports/${made.id}/items?limit=1000`);
  expect(all.items).toHaveLength(all.total);
  expect(all.columns.map((one: { title: string }) => one.title)).toEqual([
    'Hostname',
    'Vulnerability',
    'First seen',
    'Due',
    'Exploited',
    'Patch',
  ]);
  const seen = all.items.map((one: { values: Record<string, string> }) => [
    one.values['vulnerability'],
    one.values['asset.hostname'],
  ]);
  const sorted = seen.toSorted(([a, x]: string[], [b, y]: string[]) =>
    a === b ? ((x ?? '') < (y ?? '') ? -1 : 1) : (a ?? '') < (b ?? '') ? 1 : -1,
  );
  expect(seen).toEqual(sorted);
  expect(all.items[0]).toMatchObject({
    of: { asset: expect.any(String), vulnerability: seen[0][0], package: 'openssl' },
    values: { patch: 'debian:12/openssl@3.0.18-1~deb12u2', due: null },
  });
  const first = await call('GET', `reports/${made.id}/items?limit=4`);
  const second = await call('GET', `reports/${made.id}/items?limit=1000&after=${first.next}`);
  expect([...first.items, ...second.items]).toEqual(all.items);
  expect(second.next).toBeNull();
  expect(await call('GET', `reports/${made.id}/items?after=x`)).toMatchObject({
    error: { code: 'cursor_invalid' },
  });
});

describe('an export', () => {
  const exported = async (id: string, format: string) =>
    await app.app.inject({ url: `/api/v1/reports/${id}/export?format=${format}`, headers: operator });

  test('is what the items are, as CSV and as JSON, and is on the trail', async () => {
    const made = await call('POST', 'reports', {
      name: 'Überblick: old hosts',
      subject: 'asset',
      query: 'hostname = old-*',
      sort: [{ by: 'hostname', descending: true }],
      columns: ['hostname', 'risk', 'tag', 'reboot_required', 'last_seen'],
    });
    const { items } = await call('GET', `reports/${made.id}/items`);
    const csv = await exported(made.id, 'csv');
    expect(csv.headers['content-type']).toContain('text/csv');
    expect(csv.headers['content-disposition']).toBe(
      'attachment; filename="u-berblick-old-hosts-2026-03-02.csv"',
    );
    const [header, ...lines] = parse(csv.body);
    expect(header).toEqual(['Hostname', 'Risk', 'Tags', 'Needs a reboot', 'Last check-in']);
    expect(lines.map(([hostname]) => hostname)).toEqual(['old-3', 'old-2', 'old-1']);
    expect(lines[0]?.[1]).toBe(String(items[0].values.risk));
    const json = (await exported(made.id, 'json')).json();
    expect(json).toMatchObject({
      report: { id: made.id, name: 'Überblick: old hosts' },
      query: 'hostname = old-*',
      explanation: 'Assets where the hostname is like old-*.',
      as_of: app.clock.now().toISOString(),
      exported_by: 'ada',
      total: 3,
      items_written: 3,
      columns: expect.arrayContaining([expect.objectContaining({ name: 'risk', title: 'Risk' })]),
    });
    expect(json.items).toEqual(items.map((one: { values: object }) => one.values));
    const trail = await listAudit(app.context, { subject: made.id, limit: 100 });
    expect(
      trail.ok && trail.value.items.map((one) => [one.event, one.actor, one.after]).slice(1),
    ).toMatchObject([
      ['report.exported', 'ada', { format: 'csv', rows: 3, name: 'Überblick: old hosts' }],
      ['report.exported', 'ada', { format: 'json', rows: 3 }],
    ]);
  });

  test('as PDF; two at once', async () => {
    const made = await report('finding', 'fix_available');
    const both = await Promise.all([exported(made, 'pdf'), exported(made, 'pdf')]);
    for (const pdf of both) {
      expect(pdf.headers['content-type']).toBe('application/pdf');
      expect(pdf.rawPayload.subarray(0, 8).toString('latin1')).toBe('%PDF-1.7');
      expect(pdf.rawPayload.subarray(-6).toString('latin1')).toContain('%%EOF');
    }
  });

  test('of nothing is a file that says so, and of what cannot be exported is refused', async () => {
    const nothing = await report('asset', 'hostname = nobody');
    expect(parse((await exported(nothing, 'csv')).body)).toHaveLength(1);
    expect((await exported(nothing, 'json')).json()).toMatchObject({ total: 0, items: [], items_written: 0 });
    expect((await exported(nothing, 'pdf')).statusCode).toBe(200);
    expect((await exported(nothing, 'xls')).statusCode).toBe(400);
    await call('DELETE', `reports/${nothing}`);
    expect((await exported(nothing, 'csv')).statusCode).toBe(409);
  });
});

test('what has gone since it was found is left out of what is read then', async () => {
  const id = await report('asset', 'hostname = old-*');
  const row = await findReport(app.context.db, id);
  if (row === null) throw new Error('the report is gone');
  const now = app.clock.now().getTime();
  const query = savedQuery(row);
  if (!query.ok) throw new Error(query.message);
  const wanted = { query: query.value, sort: row.sort, now, page: null };
  const found = await app.context.posture.run((fleet) => find(fleet, wanted));
  if ('tooMany' in found) throw new Error('three are not too many');
  const { items } = await call('GET', `reports/${id}/items`);
  const old3 = items.find((one: { values: { hostname: string } }) => one.values.hostname === 'old-3');
  const retired = await call('POST', `assets/${old3.of.asset}/retire`, { reason: 'a test' });
  expect(retired).toMatchObject({ id: old3.of.asset });
  const rows = await app.context.posture.run((fleet) =>
    readRows(fleet, found.keys, ['hostname'], now, 0, 10),
  );
  expect(rows.map(({ values }) => values[0])).toEqual(expect.arrayContaining(['old-1', 'old-2']));
  expect(rows).toHaveLength(2);
});

test('more than can be sorted is put in the first order, or refused', async () => {
  const limits = { forPage: 1, atMost: 2 };
  const ask = async (
    subject: 'asset' | 'finding',
    by: string,
    page: { offset: number; limit: number } | null,
  ) => {
    const wanted = {
      query: { subject, root: null },
      sort: [
        { by, descending: true },
        { by: 'vulnerability', descending: true },
      ].slice(0, subject === 'asset' ? 1 : 2),
      now: app.clock.now().getTime(),
      page,
    };
    return await app.context.posture.run((fleet) => find(fleet, wanted, limits));
  };
  const page = { offset: 0, limit: 2 };
  expect(await ask('asset', 'risk', page)).toMatchObject({ total: 3, sort: [{ by: 'risk' }] });
  expect(await ask('finding', 'risk', page)).toMatchObject({ sort: [{ by: 'risk', descending: true }] });
  expect(await ask('asset', 'kernel', page)).toEqual({ tooMany: 3 });
  expect(await ask('asset', 'risk', { offset: 99_999, limit: 2 })).toEqual({ tooMany: 3 });
  expect(await ask('asset', 'risk', null)).toEqual({ tooMany: 3 });
});
