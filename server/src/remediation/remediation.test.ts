import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BurnDown, Remediation } from '@fixpoint/contract/remediation.ts';
import {
  dayMilliseconds as day,
  estimateRemediation,
  type FindingInterval,
} from '@fixpoint/core/finding/remediation-time.ts';
import { inventoryDigests } from '@fixpoint/core/inventory/digest.ts';
import { routes as assets } from '../asset/routes.ts';
import { inventoryOf, installed, testAgent, type TestAgent } from '../asset/test-agent.ts';
import { routes as auth } from '../auth/routes.ts';
import { routes as tags } from '../tag/routes.ts';
import { testApp, testClock, type TestApp } from '../test-app.ts';
import { asReader, visitIntervals } from './reading.ts';
import { routes as remediationRoutes } from './routes.ts';

/** Summer time begins in Berlin on 29 March 2026, during the test. */
const start = Date.parse('2026-03-27T10:00:00.000Z');
let app: TestApp;
let admin: { authorization: string };
const get = async (url: string) => await app.app.inject({ url, headers: admin });
const read = async <T>(url: string): Promise<T> => {
  const response = await get(url);
  if (response.statusCode !== 200) throw new Error(response.body);
  return response.json<T>();
};

const old = installed('zip', '3.0-13');
const fixed = installed('zip', '3.0-13+deb12u1');
const reported = async (agent: TestAgent, hostname: string, packages: (typeof old)[]): Promise<void> => {
  const inventory = inventoryOf([installed('base-files', '12.4+deb12u5'), ...packages]);
  const report = { ...inventory, host: { ...inventory.host, hostname } };
  // Days pass between reports, and a session lasts an hour.
  const response = await app.app.inject({
    method: 'POST',
    url: '/agent/v1/inventory',
    headers: await agent.session(),
    payload: { collected_at: app.clock.now().toISOString(), digests: inventoryDigests(report), ...report },
  });
  if (response.statusCode >= 300) throw new Error(response.body);
};
/** One finding on each: CVE-2018-13410 in zip. */
const days = (many: number): void => app.clock.pass(many * 86_400);

beforeAll(async () => {
  app = await testApp([auth, assets, tags, remediationRoutes], {
    clock: testClock(new Date(start).toISOString()),
    knows: 'carried',
  });
  admin = await app.bearer('administrator');
  const agents = new Map<string, TestAgent>();
  for (const name of ['fixed', 'open', 'removed', 'back', 'retired']) {
    const agent = await testAgent(app);
    agents.set(name, agent);
    await reported(agent, name, [old]);
  }
  const agent = (name: string): TestAgent => {
    const found = agents.get(name);
    if (found === undefined) throw new Error(name);
    return found;
  };
  const created = await app.app.inject({
    method: 'POST',
    url: '/api/v1/tags',
    headers: admin,
    payload: { name: 'two' },
  });
  expect(created.statusCode).toBe(201);
  await app.app.inject({
    method: 'PUT',
    url: '/api/v1/tags/two/assets',
    headers: admin,
    payload: { assets: [agent('fixed').uid, agent('open').uid] },
  });
  days(1);
  await reported(agent('removed'), 'removed', []);
  await reported(agent('back'), 'back', [fixed]);
  days(1);
  await reported(agent('fixed'), 'fixed', [fixed]);
  days(1);
  const retired = await app.app.inject({
    method: 'POST',
    url: `/api/v1/assets/${agent('retired').uid}/retire`,
    headers: admin,
    payload: { reason: 'gone' },
  });
  expect(retired.statusCode).toBeLessThan(300);
  await reported(agent('back'), 'back', [old]);
  days(1);
}, 120_000);
afterAll(async () => await app.close());

const at = (many: number): number => start + many * day;
const spell = (
  from: number,
  to: number | null,
  how: 'fixed' | 'asset_retired' = 'fixed',
): FindingInterval => ({
  openedAt: at(from),
  closed: to === null ? null : { at: at(to), how },
});
const expected = [
  spell(0, 2),
  spell(0, null),
  spell(0, 1),
  spell(0, 1),
  spell(3, null),
  spell(0, 3, 'asset_retired'),
];

describe('time to remediation', () => {
  test('counts open findings for as long as they are open, and retired assets until they were retired', async () => {
    const { all, by_severity, by_tag, reading, until } = await read<Remediation>('/api/v1/remediation');
    const known = estimateRemediation(expected, at(4));
    expect(until).toBe(new Date(at(4)).toISOString());
    expect(all.counts).toEqual({ remediated: 3, open: 2, closed_otherwise: 1, refused: 0 });
    expect(all.curve.map(({ days: age, share, at_risk }) => [age, share, at_risk])).toEqual(
      known.curve.map(({ days: age, share, atRisk }) => [age, share, atRisk]),
    );
    expect(all.median).toMatchObject({ kind: 'reached', days: 2 });
    expect(all.restricted_mean?.days).toBeCloseTo(known.restrictedMean?.days ?? Number.NaN, 6);
    expect(all.closed_only).toEqual({ mean_days: expect.closeTo(4 / 3, 6), median_days: 1 });
    expect(all.sentence).toContain('which leaves out the 2 that are open');
    expect(by_severity.reduce((sum, { estimate }) => sum + estimate.counts.remediated, 0)).toBe(3);
    expect(by_tag).toBeNull();
    expect(reading).toMatchObject({
      assets: 4,
      retired_assets: 1,
      history_rows: 4,
      not_judged: 0,
      notes: [],
    });
  });

  test('of a tag as it is today, with a note that says so', async () => {
    const { all, reading } = await read<Remediation>('/api/v1/remediation?tag=two');
    expect(all.counts).toMatchObject({ remediated: 1, open: 1, closed_otherwise: 0 });
    expect(reading.notes.join(' ')).toContain('Tags are as they are today');
    const { by_tag } = await read<Remediation>('/api/v1/remediation?by=tag&tags=two');
    expect(by_tag).toMatchObject([
      { tag: 'two', assets: 2, estimate: { counts: { remediated: 1, open: 1 } } },
    ]);
  });

  test('of a query, of findings opened since, and as it was known then', async () => {
    const counts = async (query: string) =>
      (await read<Remediation>(`/api/v1/remediation?${query}`)).all.counts;
    const q = encodeURIComponent;
    expect(await counts(`query=${q('asset.hostname in (fixed, back)')}`)).toMatchObject({
      remediated: 2,
      open: 1,
    });
    expect(await counts(`query=${q('package.name = curl')}`)).toMatchObject({ remediated: 0, open: 0 });
    expect(await counts(`query=${q('vulnerability = CVE-2018-13410')}`)).toMatchObject({
      remediated: 3,
      open: 2,
      closed_otherwise: 0,
    });
    expect(await counts(`since=${new Date(at(2.5)).toISOString()}`)).toMatchObject({
      remediated: 0,
      open: 1,
    });
    expect(await counts(`until=${new Date(at(1.5)).toISOString()}`)).toMatchObject({
      remediated: 2,
      open: 3,
    });
    const bySeverity = (await read<Remediation>('/api/v1/remediation')).by_severity;
    for (const { severity, estimate } of bySeverity)
      expect(await counts(`severity=${severity}`)).toEqual(estimate.counts);
  });

  test('refuses what cannot be asked', async () => {
    for (const [url, status, code] of [
      ['?tag=nobody', 404, 'tag_unknown'],
      ['?query=status%20%3D%20open', 400, 'query_of_open_findings'],
      ['?query=severty%20%3D%20high', 400, 'unknown_field'],
      ['?by=tag', 400, 'tags_expected'],
      ['/burn-down?time_zone=Europe/Atlantis', 400, 'time_zone_unknown'],
      ['/burn-down?from=2026-02-30', 400, 'period_invalid'],
      ['/burn-down?from=2026-03-02&to=2026-03-01', 400, 'period_invalid'],
      ['/burn-down?to=9999-12-31', 400, 'period_invalid'],
      ['/burn-down?from=2020-03-02', 400, 'period_too_long'],
    ] as const) {
      const response = await get(`/api/v1/remediation${url}`);
      expect([url, response.statusCode, response.json().error?.code]).toEqual([url, status, code]);
    }
    const many = await asReader(
      async (until) => await visitIntervals(app.context, {}, { floor: 0, reopened: false, until }, () => {}),
      { seconds: -1, readers: 1 },
    );
    expect(many).toMatchObject({ ok: false, code: 'too_much_history' });
  });
});

describe('burn-down', () => {
  const rows = ({ days: list }: BurnDown) =>
    list.map((one) => [
      one.day,
      one.open,
      one.opened,
      one.reopened,
      one.remediated,
      one.closed_otherwise,
      (Date.parse(one.to) - Date.parse(one.from)) / 3_600_000,
    ]);
  test('says what was open, opened and closed each day, with the days of the time zone', async () => {
    const url = '/api/v1/remediation/burn-down?time_zone=Europe/Berlin&from=2026-03-26';
    const down = await read<BurnDown>(url);
    expect(down).toMatchObject({ time_zone: 'Europe/Berlin', open_before: 0, refused: 0 });
    expect(rows(down)).toEqual([
      ['2026-03-26', 0, 0, 0, 0, 0, 24],
      ['2026-03-27', 5, 5, 0, 0, 0, 24],
      ['2026-03-28', 3, 0, 0, 2, 0, 24],
      ['2026-03-29', 2, 0, 0, 1, 0, 23],
      ['2026-03-30', 2, 0, 1, 0, 1, 24],
      ['2026-03-31', 2, 0, 0, 0, 0, 24],
    ]);
    expect(down.days.map(({ over }) => over)).toEqual([true, true, true, true, true, false]);
  });

  test('knows what was remediated before the period began', async () => {
    const down = await read<BurnDown>('/api/v1/remediation/burn-down?from=2026-03-29&tag=two');
    expect(down.open_before).toBe(2);
    expect(rows(down).map(([name, open]) => [name, open])).toEqual([
      ['2026-03-29', 1],
      ['2026-03-30', 1],
      ['2026-03-31', 1],
    ]);
    const late = await read<BurnDown>('/api/v1/remediation/burn-down?from=2026-03-30&to=2026-03-30');
    expect(rows(late)).toEqual([['2026-03-30', 2, 0, 1, 0, 1, 24]]);
    expect(late.open_before).toBe(2);
  });

  test('shows 30 days unless it is asked for others', async () => {
    const { days: list } = await read<BurnDown>('/api/v1/remediation/burn-down');
    expect([list.length, list[0]?.day, list.at(-1)?.day]).toEqual([30, '2026-03-02', '2026-03-31']);
  });
});
