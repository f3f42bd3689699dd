import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { staleKnowledgeHeader } from '@fixpoint/contract/feed.ts';
import { enrolmentToken, installed, inventoryOf, testAgent } from '../asset/test-agent.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { alertOfStaleFeeds } from './commands.ts';
import { syncParts } from './parts.ts';

const open: TestApp[] = [];
async function server(config = {}) {
  const made = await testApp(rooms, { config: { repositories: '', ...config } });
  open.push(made);
  const administrator = await made.bearer('administrator');
  const call = async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, payload?: object | Buffer) =>
    await made.app.inject({
      method,
      url,
      headers: {
        ...administrator,
        ...(payload instanceof Buffer ? { 'content-type': 'application/octet-stream' } : {}),
      },
      ...(payload === undefined ? {} : { payload }),
    });
  return { ...made, call };
}
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});
const kev = readFileSync(new URL('../feed/extract/known_exploited_vulnerabilities.json.gz', import.meta.url));

describe('feeds over HTTP', () => {
  test('are listed with age and sync, changed, and asked for', async () => {
    const t = await server();
    const list = await t.call('GET', '/api/v1/feeds');
    expect(list.statusCode).toBe(200);
    expect(list.json().items.find((feed: { id: string }) => feed.id === 'cisa-kev')).toMatchObject({
      stale: true,
      age: { state: 'never', sentence: expect.stringContaining('was never imported') },
      sync: { possible: true, enabled: false, phase: 'idle', next_attempt_at: null },
    });
    const set = await t.call('PUT', '/api/v1/feeds/cisa-kev/setting', {
      enabled: true,
      interval_seconds: 900,
    });
    expect(set.json()).toMatchObject({ sync: { enabled: true, interval_seconds: 900, phase: 'waiting' } });
    const reset = await t.call('PUT', '/api/v1/feeds/cisa-kev/setting', {
      enabled: null,
      interval_seconds: null,
    });
    expect(reset.json()).toMatchObject({ sync: { enabled: false } });
    const asked = await t.call('POST', '/api/v1/feeds/cisa-kev/sync?allow_shrink=true');
    expect([asked.statusCode, asked.json().sync.phase]).toEqual([202, 'waiting']);
    expect((await t.call('POST', '/api/v1/feeds/cvss-table/sync')).json().error.code).toBe(
      'feed_not_downloadable',
    );
    for (const url of ['file:///etc/passwd', 'ftp://x/', 'nonsense', 'https://a b/']) {
      expect((await t.call('PUT', '/api/v1/feeds/cisa-kev/setting', { url })).statusCode, url).toBe(400);
    }
  });

  test('a file that is sent goes into a bundle, which another server takes once it trusts the first', async () => {
    const [from, to] = [await server(), await server()];
    const sent = await from.call(
      'POST',
      '/api/v1/feeds/cisa-kev/import?name=kev.json.gz&published_at=2026-03-01T00:00:00Z',
      kev,
    );
    expect(sent.json()).toMatchObject({ feed: 'cisa-kev', added: 60 });
    const status = (await from.call('GET', '/api/v1/feeds')).json();
    expect(status.items.find((feed: { id: string }) => feed.id === 'cisa-kev')).toMatchObject({
      published_at: '2026-03-01T00:00:00.000Z',
      age: { state: 'current' },
    });
    for (const compress of ['none', 'zstd']) {
      const bundle = await from.call('GET', `/api/v1/feed-bundle?feeds=cisa-kev&compress=${compress}`);
      expect(bundle.statusCode).toBe(200);
      const { own } = (await from.call('GET', '/api/v1/feed-bundle/keys')).json();
      const body = bundle.rawPayload;
      if (compress === 'none') {
        expect((await to.call('POST', '/api/v1/feed-bundle', body)).json().error.code).toBe(
          'bundle_key_unknown',
        );
        const trusted = await to.call('POST', '/api/v1/feed-bundle/keys', { public_key: own, name: 'hq' });
        expect(trusted.statusCode).toBe(201);
      }
      expect((await to.call('POST', '/api/v1/feed-bundle', body)).json()).toMatchObject({
        signed_by: 'hq',
        feeds: [{ feed: 'cisa-kev', outcome: compress === 'none' ? 'imported' : 'unchanged' }],
      });
      const cut = await to.call('POST', '/api/v1/feed-bundle', body.subarray(0, body.length - 2000));
      expect([cut.statusCode, cut.json().error.code]).toEqual([422, 'bundle_cut']);
    }
    expect((await to.call('GET', '/api/v1/feed-bundle?feeds=epss')).json().error.code).toBe(
      'feed_file_not_here',
    );
  });
});

describe('stale knowledge', () => {
  test('is said in the health of the fleet and of an asset, and in the header of lists', async () => {
    const t = await server();
    expect((await t.call('GET', '/api/v1/health')).json()).toMatchObject({ status: 'ok', knowledge: [] });
    expect((await t.call('GET', '/api/v1/findings')).headers[staleKnowledgeHeader]).toBeUndefined();
    expect((await t.call('GET', '/api/v1/health?asset=nobody')).json().error.code).toBe('asset_unknown');
    await enrolmentToken(t);
    const agent = await testAgent(t);
    await agent.report(inventoryOf([installed('bash', '5.2.15-2')]));
    t.clock.pass(60);
    const health = (await t.call('GET', '/api/v1/health')).json();
    expect(health.status).toBe('stale_knowledge');
    expect(health.knowledge[0].sentence).toMatch(/^Nothing is known of debian: .* were never imported\.$/);
    for (const url of ['/api/v1/findings', '/api/v1/assets']) {
      expect((await t.call('GET', url)).headers[staleKnowledgeHeader]).toContain('debian-tracker');
    }
    await t.call('POST', '/api/v1/feeds/cisa-kev/import?published_at=2025-01-01T00:00:00Z', kev);
    const hostname = (await t.call('GET', '/api/v1/assets')).json().items[0].hostname;
    const ofAsset = (await t.call('GET', `/api/v1/health?asset=${hostname}`)).json();
    expect(JSON.stringify(ofAsset.knowledge)).toContain(
      'CISA Known Exploited Vulnerabilities is 425 days old',
    );
  });

  test('is an alert: once for each time a feed goes stale, and for one that was enabled in vain', async () => {
    const t = await server();
    const parts = syncParts(t.context);
    const alerts = async () => (await t.call('GET', '/api/v1/alerts')).json().items;
    await alertOfStaleFeeds(parts);
    expect(await alerts()).toEqual([]);
    await t.call('POST', '/api/v1/feeds/cisa-kev/import?published_at=2026-03-01T00:00:00Z', kev);
    await alertOfStaleFeeds(parts);
    expect(await alerts()).toEqual([]);
    t.clock.pass(10 * 86_400);
    await alertOfStaleFeeds(parts);
    t.clock.pass(86_400);
    await alertOfStaleFeeds(parts);
    expect(await alerts()).toMatchObject([{ kind: 'feed_stale', subject: 'cisa-kev' }]);
    await t.call('PUT', '/api/v1/feeds/epss/setting', { enabled: true });
    await alertOfStaleFeeds(parts);
    expect(await alerts()).toHaveLength(1);
    await t.database.db
      .updateTable('feed_sync')
      .set({ attempted_at: t.clock.now(), failures: 3, outcome: 'failed', what_to_do: 'look' })
      .where('feed', '=', 'epss')
      .execute();
    await alertOfStaleFeeds(parts);
    await alertOfStaleFeeds(parts);
    expect(await alerts()).toHaveLength(2);
  });
});
