import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hostFacts, installed, inventoryOf, testAgent } from '../asset/test-agent.ts';
import { listAudit } from '../audit/commands.ts';
import { feedOf } from '../feed/feeds.ts';
import { importFeed } from '../knowledge/import.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';

let app: TestApp;
let headers: { authorization: string };
beforeAll(async () => {
  app = await testApp(rooms);
  headers = await app.bearer('administrator', 'chief');
  const line = JSON.stringify({
    schema_version: '1.6.0',
    id: 'CVE-2026-0001',
    modified: '2026-01-01T00:00:00Z',
    published: '2026-01-01T00:00:00Z',
    affected: [
      {
        package: { ecosystem: 'Debian:12', name: 'door' },
        ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '2.0-1' }] }],
      },
    ],
  });
  const bytes = (async function* () {
    yield await Promise.resolve(Buffer.from(`${line}\n`));
  })();
  const imported = await importFeed(
    app.context,
    feedOf('debian-osv'),
    { name: 'test.jsonl', bytes },
    { actor: { kind: 'system', name: 'test' }, allowShrink: true },
  );
  if (!imported.ok) throw new Error(imported.message);
  for (const hostname of ['web-1', 'web-2']) {
    const agent = await testAgent(app, { hostname });
    await agent.report(inventoryOf([installed('door', '1.0-1')], { host: { ...hostFacts, hostname } }));
  }
}, 60_000);
afterAll(async () => await app.close());

const call = async (method: 'GET' | 'PUT' | 'POST', url: string, payload?: object) => {
  const answered = await app.app.inject({
    method,
    url: `/api/v1/${url}`,
    headers,
    ...(payload === undefined ? {} : { payload }),
  });
  return { status: answered.statusCode, body: answered.json() };
};
const save = async (rules: object[]) => {
  const { body } = await call('GET', 'sla-rules');
  return await call('PUT', 'sla-rules', { version: body.version, rules });
};

describe('SLA rules', () => {
  test('are none at first, with a suggestion that can be saved as it is', async () => {
    const { body } = await call('GET', 'sla-rules');
    expect(body.rules).toEqual([]);
    expect((await call('GET', 'sla')).body.sentence).toContain('There are no SLA rules');
    const saved = await save(body.suggestion);
    expect(saved).toMatchObject({ status: 200, body: { rules: body.suggestion, suggestion: null } });
    // Who read the list before that is told.
    const late = await call('PUT', 'sla-rules', { version: body.version, rules: [] });
    expect([late.status, late.body.error.code]).toEqual([409, 'sla_rules_changed']);
    const events = await listAudit(app.context, { event: 'sla_rules.changed', limit: 10 });
    expect(events.ok && events.value.items).toMatchObject([{ before: [], after: body.suggestion }]);
  });

  test.each([
    [{ name: 'a', when: {}, days: 0 }, 'sla_rule_invalid', '/rules/1'],
    [{ name: 'a', when: { score_at_least: 90, score_below: 80 }, days: 1 }, 'sla_rule_invalid', '/rules/1'],
    [{ name: 'a', when: { any_tag: ['gone'] }, days: 1 }, 'tag_unknown', '/rules/1/when/any_tag/0'],
    [{ name: 'first', when: {}, days: 1 }, 'sla_rule_invalid', '/rules/1/name'],
  ])('%j is refused with its place', async (rule, code, path) => {
    const { status, body } = await save([{ name: 'first', when: {}, days: 3 }, rule]);
    expect([status, body.error.code, body.error.problems[0].path]).toEqual([400, code, path]);
  });

  test('say how findings stand: in time, soon due, overdue, paused, without a rule', async () => {
    await call('PUT', 'assets/web-1/criticality', { criticality: 5, reason: 'the shop' });
    expect(
      (
        await save([
          { name: 'critical', when: { criticality_at_least: 5 }, days: 10 },
          { name: 'grave', when: { score_at_least: 99 }, days: 1 },
        ])
      ).status,
    ).toBe(200);
    const status = async (query = '') => (await call('GET', `sla${query}`)).body;
    expect(await status()).toMatchObject({
      findings: 2,
      rules: [
        { rule: 'critical', in_time: 1, due_soon: 0, overdue: 0, paused: 0 },
        { rule: 'grave', in_time: 0 },
      ],
      no_rule: 1,
      undetermined: 0,
    });
    expect(await status('?query=asset.hostname%20%3D%20web-2')).toMatchObject({ findings: 1, no_rule: 1 });
    app.clock.pass(4 * 86_400);
    expect((await status()).total).toEqual({ in_time: 1, due_soon: 1, overdue: 0, paused: 0 });
    app.clock.pass(7 * 86_400);
    const late = await status();
    expect(late.total).toEqual({ in_time: 0, due_soon: 0, overdue: 1, paused: 0 });
    expect(late.sentence).toBe('Of 2 findings 0 in time, 1 overdue, 1 under no rule.');
    const accepted = await call('POST', 'acceptances', {
      scope: 'package = door',
      reason: 'not reachable from outside',
      owner: 'chief',
      expires_at: new Date(app.clock.now().getTime() + 86_400_000).toISOString(),
    });
    expect(accepted.status).toBe(201);
    expect((await status()).total).toEqual({ in_time: 0, due_soon: 0, overdue: 0, paused: 1 });
    const wrong = await call('GET', 'sla?query=cvs%20%3E%203');
    expect([wrong.status, wrong.body.error.code]).toEqual([400, 'unknown_field']);
  });
});
