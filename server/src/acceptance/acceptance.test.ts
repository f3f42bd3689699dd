import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hostFacts, installed, inventoryOf, testAgent } from '../asset/test-agent.ts';
import { listAudit } from '../audit/commands.ts';
import { feedOf } from '../feed/feeds.ts';
import { importFeed } from '../knowledge/import.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { tellOfEndingAcceptances } from './expire.ts';

const actor = { kind: 'system', name: 'test' } as const;
let app: TestApp;
let headers: { authorization: string };

const statement = (vulnerability: string, name: string) =>
  JSON.stringify({
    schema_version: '1.6.0',
    id: vulnerability,
    modified: '2026-01-01T00:00:00Z',
    published: '2026-01-01T00:00:00Z',
    affected: [
      {
        package: { ecosystem: 'Debian:12', name },
        ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '2.0-1' }] }],
      },
    ],
  });

beforeAll(async () => {
  app = await testApp(rooms);
  headers = await app.bearer('administrator', 'chief');
  const lines = ['CVE-2026-0001', 'CVE-2026-0002'].map((id) => statement(id, 'door'));
  const bytes = (async function* () {
    yield await Promise.resolve(Buffer.from(`${lines.join('\n')}\n`));
  })();
  const imported = await importFeed(
    app.context,
    feedOf('debian-osv'),
    { name: 'test.jsonl', bytes },
    { actor, allowShrink: true },
  );
  if (!imported.ok) throw new Error(imported.message);
  for (const hostname of ['web-1', 'web-2']) {
    const agent = await testAgent(app, { hostname });
    const reported = await agent.report(
      inventoryOf([installed('door', '1.0-1')], { host: { ...hostFacts, hostname } }),
    );
    expect(reported.statusCode).toBe(200);
  }
}, 60_000);
afterAll(async () => await app.close());

const call = async (method: 'GET' | 'POST', url: string, payload?: object, as = headers) => {
  const answered = await app.app.inject({
    method,
    url: `/api/v1/${url}`,
    headers: as,
    ...(payload === undefined ? {} : { payload }),
  });
  return { status: answered.statusCode, body: answered.json() };
};
const inDays = (days: number) => new Date(app.clock.now().getTime() + days * 86_400_000).toISOString();
const request = (change: object = {}) => ({
  scope: 'vulnerability = CVE-2026-0001 and asset.hostname = web-1',
  reason: 'the service is not reachable from anywhere',
  owner: 'ciso@example.org',
  expires_at: inDays(30),
  ...change,
});
const findings = async () =>
  (await call('GET', 'findings')).body.items.map(
    (one: { hostname: string; vulnerability: string; status: string }) =>
      `${one.hostname} ${one.vulnerability} ${one.status}`,
  );
/** How many open findings the list of assets says each has. */
const openByAsset = async () =>
  (await call('GET', 'assets')).body.items.map(
    (one: { hostname: string; open_findings: number; undetermined: number }) => [
      one.hostname,
      one.open_findings,
      one.undetermined,
    ],
  );
const alerts = async (kind: string) =>
  (await call('GET', 'alerts')).body.items.filter((one: { kind: string }) => one.kind === kind);
const trail = async (subject: string) => {
  const list = await listAudit(app.context, { subject, limit: 100 });
  return list.ok ? list.value.items.map(({ event }) => event) : [];
};

describe('an acceptance', () => {
  test('is previewed: what it would cover, and the risk that would be shown no longer', async () => {
    const { status, body } = await call('POST', 'acceptances/preview', { scope: 'package = door' });
    expect(status).toBe(200);
    expect(body).toMatchObject({ findings: 4, assets: 2, exploited: 0, accepted_already: 0 });
    expect(body.risk.now).toBeGreaterThan(0);
    expect(body.risk.shown_after).toBe(0);
    expect(body.first).toHaveLength(4);
    const nothing = await call('POST', 'acceptances/preview', { scope: 'package = gone' });
    expect(nothing.body.warnings.join()).toContain('accepted unseen');
  });

  test.each([
    [{ scope: 'status = open' }, 'acceptance_scope_asks_result'],
    [{ scope: '' }, 'acceptance_scope_empty'],
    [{ scope: 'cvs > 3' }, 'unknown_field'],
    [{ expires_at: '2026-03-01T00:00:00Z' }, 'acceptance_ends_too_early'],
    [{ starts_at: '2026-03-01T00:00:00Z' }, 'acceptance_starts_in_the_past'],
    [{ expires_at: '2028-03-01T00:00:00Z' }, 'acceptance_too_long'],
    [{ reason: 'short' }, 'validation_failed'],
    [{ expires_at: '2026-12-31T23:59:60Z' }, 'validation_failed'],
  ])('is refused with %j', async (change, code) => {
    const { status, body } = await call('POST', 'acceptances', request(change));
    expect([status, body.error.code]).toEqual([400, code]);
    if ('scope' in change && change.scope !== '')
      expect(body.error.problems[0]).toMatchObject({ path: '/scope', at: 0 });
  });

  test('is for those who may accept risk', async () => {
    const operator = await app.bearer('operator', 'op');
    expect((await call('POST', 'acceptances', request(), operator)).status).toBe(403);
    expect((await call('POST', 'acceptances/preview', { scope: 'door' }, operator)).status).toBe(200);
  });

  test('covers its findings until it is revoked, and says by whom and why', async () => {
    const made = await call('POST', 'acceptances', request());
    expect(made).toMatchObject({ status: 201, body: { state: 'in_force', findings: 1, assets: 1 } });
    const { id } = made.body;
    expect(await findings()).toContain('web-1 CVE-2026-0001 accepted');
    expect((await findings()).filter((one: string) => one.endsWith('open'))).toHaveLength(3);
    // The list of assets counts them as the language does: open_findings.
    expect(await openByAsset()).toEqual([
      ['web-1', 1, 0],
      ['web-2', 2, 0],
    ]);
    const page = await call('GET', 'findings?asset=web-1&vulnerability=CVE-2026-0001');
    expect(page.body.items[0].status_reason).toBe(
      'Accepted by ciso@example.org until 2026-04-01: the service is not reachable from anywhere',
    );
    expect((await call('GET', `acceptances/${id}`)).body.first).toMatchObject([
      { hostname: 'web-1', vulnerability: 'CVE-2026-0001', status: 'accepted' },
    ]);
    const refused = await call('POST', `acceptances/${id}/extend`, {
      expires_at: inDays(3),
      reason: 'a shorter one',
    });
    expect(refused.body.error.code).toBe('acceptance_not_longer');
    const revoked = await call('POST', `acceptances/${id}/revoke`, { reason: 'it is reachable after all' });
    expect(revoked.body).toMatchObject({ state: 'revoked', revoked_by: 'chief', findings: null });
    expect((await findings()).every((one: string) => one.endsWith('open'))).toBe(true);
    expect((await call('POST', `acceptances/${id}/revoke`, { reason: 'once more, please' })).status).toBe(
      409,
    );
    expect(await trail(id)).toEqual(['acceptance.created', 'acceptance.revoked']);
    expect((await call('GET', 'acceptances?state=revoked')).body.total).toBe(1);
  });

  test('ends by itself at its moment, warns before and tells after, each once on two servers', async () => {
    const { body } = await call('POST', 'acceptances', request({ expires_at: inDays(9) }));
    const both = async () =>
      await Promise.all([tellOfEndingAcceptances(app.context), tellOfEndingAcceptances(app.context)]);
    await both();
    expect(await alerts('acceptance_expiring')).toHaveLength(0);
    app.clock.pass(3 * 86_400);
    headers = await app.bearer('administrator', 'chief');
    await both();
    await both();
    expect(await alerts('acceptance_expiring')).toMatchObject([
      { severity: 'info', message: expect.stringContaining('1 finding on 1 asset will be open again') },
    ]);
    // Extended, it is warned of again before the new end.
    const extended = await call('POST', `acceptances/${body.id}/extend`, {
      expires_at: inDays(20),
      reason: 'the vendor is late once more',
    });
    expect(extended.body).toMatchObject({ state: 'in_force' });
    app.clock.pass(14 * 86_400);
    await both();
    expect(await alerts('acceptance_expiring')).toHaveLength(2);
    app.clock.pass(6 * 86_400 - 1);
    expect(await findings()).toContain('web-1 CVE-2026-0001 accepted');
    app.clock.pass(1);
    // Before anybody has told of it.
    expect(await findings()).toContain('web-1 CVE-2026-0001 open');
    await both();
    await both();
    expect(await alerts('acceptance_expired')).toMatchObject([
      {
        severity: 'warning',
        message: expect.stringMatching(
          /1 finding is open again, the worst first: CVE-2026-0001 in door on web-1/,
        ),
      },
    ]);
    expect(await trail(body.id)).toEqual([
      'acceptance.created',
      'acceptance.expiring',
      'acceptance.extended',
      'acceptance.expiring',
      'acceptance.expired',
    ]);
    expect((await call('GET', `acceptances/${body.id}`)).body.acceptance.state).toBe('expired');
  });
});
