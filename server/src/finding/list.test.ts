import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inventoryOf, installed, testAgent } from '../asset/test-agent.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';

/** Findings, patches and vulnerabilities over HTTP, from the knowledge that the product carries. */

let app: TestApp;
let viewer: { authorization: string };
const get = async (url: string) => await app.app.inject({ url, headers: viewer });

beforeAll(async () => {
  app = await testApp(rooms, { knows: 'carried' });
  viewer = await app.bearer('viewer');
  const old = await testAgent(app);
  const openssl = installed('libssl3', '3.0.17-1~deb12u2', 'openssl');
  const candidate = {
    ...installed('libssl3', '3.0.22-1~deb12u2', 'openssl'),
    repository: 'bookworm-security/main',
    download_bytes: 2_000_000,
  };
  const inventory = inventoryOf([openssl, installed('zip', '3.0-13')]);
  await old.report({ ...inventory, candidates: [candidate], host: { ...inventory.host, hostname: 'old-1' } });
  const fixed = await testAgent(app);
  const newer = inventoryOf([installed('libssl3', '3.0.22-1~deb12u2', 'openssl')]);
  await fixed.report({ ...newer, host: { ...newer.host, hostname: 'fixed-1' } });
}, 120_000);
afterAll(async () => await app.close());

describe('findings', () => {
  test('come with patch, danger and evidence, the most dangerous first', async () => {
    const page = (await get('/api/v1/findings?asset=old-1&package=openssl')).json();
    const first = page.items.find((one: { vulnerability: string }) => one.vulnerability === 'CVE-2025-15467');
    expect(first).toMatchObject({
      hostname: 'old-1',
      status: 'open',
      installed: ['libssl3 3.0.17-1~deb12u2'],
      patch: { id: 'debian:12/openssl@3.0.22-1~deb12u2', offered: true },
      evidence: { rule: 'older_than_fixed_version', comparison: 'less' },
      exploit: expect.any(String),
      danger_disagreements: expect.any(Array),
    });
    const scored = page.items.filter((one: { cvss: number | null }) => one.cvss !== null);
    expect(scored.length).toBeGreaterThan(0);
    for (const one of scored) expect(one.cvss_scorer).toEqual(expect.any(String));
    const scores = page.items.map((one: { risk_score: number }) => one.risk_score);
    expect(scores).toEqual(scores.toSorted((a: number, b: number) => b - a));
    expect(scores[0]).toBeGreaterThan(scores.at(-1));
  });

  test('a fix that no repository of the asset offers is a patch all the same, and says so', async () => {
    const page = (await get('/api/v1/findings?asset=old-1&package=zip&vulnerability=CVE-2018-13410')).json();
    expect(page.items[0].patch).toMatchObject({
      id: 'debian:12/zip@3.0-13+deb12u1',
      version: '3.0-13+deb12u1',
      offered: false,
      repository: null,
      obstacle: expect.stringContaining('No repository'),
      needs: { reboot: 'no', packages: ['zip amd64'] },
    });
  });

  test('page after page, each once, and the total on every page', async () => {
    const all = (await get('/api/v1/findings?limit=1000')).json();
    const seen: string[] = [];
    let after: string | null = null;
    do {
      const page: { total: number; next: string | null; items: Record<string, string>[] } = (
        await get(`/api/v1/findings?limit=7${after === null ? '' : `&after=${after}`}`)
      ).json();
      expect(page.total).toBe(all.total);
      for (const one of page.items)
        seen.push([one['hostname'], one['vulnerability'], one['package']].join(' '));
      after = page.next;
    } while (after !== null);
    expect(new Set(seen).size).toBe(all.total);
    expect(seen).toHaveLength(all.total);
  });

  test('a query and the filters must all hold', async () => {
    const total = async (query: string) => (await get(`/api/v1/findings?limit=1&${query}`)).json().total;
    const all = await total('');
    expect(await total('asset=old-1')).toBe(await total('query=asset.hostname%20%3D%20old-1'));
    const openssl = await total('package=openssl');
    expect(openssl).toBeLessThan(all);
    expect(await total('package=libssl3')).toBe(openssl);
    const severe = await total('package=openssl&query=cvss%20%3E%3D%207');
    expect(severe).toBeGreaterThan(0);
    expect(severe).toBeLessThan(openssl);
    const [first] = (await get('/api/v1/findings?package=openssl&query=cvss%20%3E%3D%207')).json().items;
    expect(first.cvss).toBeGreaterThanOrEqual(7);
    expect(await total('status=mitigated')).toBe(0);
  });

  test('one is found by an alias of its vulnerability', async () => {
    const byId = (await get('/api/v1/findings?vulnerability=CVE-2025-15467')).json();
    expect(byId.total).toBeGreaterThan(0);
    const { aliases } = (await get('/api/v1/vulnerabilities/CVE-2025-15467')).json();
    for (const alias of aliases)
      expect((await get(`/api/v1/findings?vulnerability=${alias}`)).json().total).toBe(byId.total);
  });

  test.each([
    ['status=fixd', 400, 'unknown_status'],
    ['tag=nobody', 404, 'tag_unknown'],
    ['query=cvss%20%3E%20high', 400, 'value_wrong_type'],
    ['query=exploited&status=fixed', 400, 'fixed_not_by_query'],
    ['after=-3', 400, 'cursor_invalid'],
    ['asset=nobody', 404, 'asset_unknown'],
    ['limit=0', 400, 'validation_failed'],
  ])('%s is refused with what to do', async (query, status, code) => {
    const refused = await get(`/api/v1/findings?${query}`);
    expect(refused.statusCode).toBe(status);
    expect(refused.json().error.code).toBe(code);
    expect(refused.json().error.what_to_do).not.toBe('');
  });
});

describe('patches', () => {
  test('what closes something and is superseded by nothing, with how much it closes', async () => {
    const page = (await get('/api/v1/patches?package=openssl')).json();
    const newest = page.items.find((one: { id: string }) => one.id === 'debian:12/openssl@3.0.22-1~deb12u2');
    expect(newest).toMatchObject({ superseded_by: null, assets: 1 });
    expect(newest.fixes).toContain('CVE-2025-15467');
    expect(newest.supersedes).toContain('debian:12/openssl@3.0.22-1~deb12u1');
    const open = (await get('/api/v1/findings?asset=old-1&package=openssl&limit=1000')).json();
    const closable = open.items.filter((one: { patch: unknown }) => one.patch !== null);
    expect(newest.findings).toBe(closable.length);
    expect(newest.risk_removed).toBeGreaterThan(0);
    const asked = (
      await get('/api/v1/patches?query=package%20%3D%20openssl%20and%20not%20superseded')
    ).json();
    expect(asked.items).toEqual([newest]);
    expect((await get('/api/v1/patches?asset=old-1&package=openssl')).json().items).toContainEqual(newest);
    const listed = (await get('/api/v1/patches')).json().items.map((one: { id: string }) => one.id);
    expect(listed).toContain('debian:12/openssl@3.0.22-1~deb12u2');
    expect(listed).not.toContain('debian:12/openssl@3.0.22-1~deb12u1');
  });

  test('one by its id; unknown and malformed ids are told apart', async () => {
    expect((await get('/api/v1/patches/debian:12/openssl@3.0.22-1~deb12u2')).json().version).toBe(
      '3.0.22-1~deb12u2',
    );
    expect((await get('/api/v1/patches/debian:12/openssl@99')).json().error.code).toBe('patch_not_found');
    expect((await get('/api/v1/patches/debian/openssl')).json().error.code).toBe('bad_patch_id');
  });
});

describe('a vulnerability', () => {
  test('with every source’s own words and the number of assets', async () => {
    const detail = (await get('/api/v1/vulnerabilities/CVE-2025-15467')).json();
    expect(detail.assets).toBe(1);
    expect(detail.statements.map((one: { feed: string }) => one.feed)).toContain('debian-changelog');
    expect(detail.threats.map((one: { threat: string }) => one.threat)).toContain('exploit_probability');
  });

  test('in the list of those that assets have, or that a query finds', async () => {
    const listed = (await get('/api/v1/vulnerabilities?limit=1000')).json();
    const one = listed.items.find(({ id }: { id: string }) => id === 'CVE-2025-15467');
    expect(one).toMatchObject({ assets: 1, withdrawn: false, exploit: expect.any(String) });
    const scores = listed.items.map(({ score }: { score: number }) => score);
    expect(scores).toEqual(scores.toSorted((a: number, b: number) => b - a));
    const asked = (await get('/api/v1/vulnerabilities?query=id%20%3D%20CVE-2025-15467')).json();
    expect(asked).toEqual({ items: [one], total: 1, next: null });
  });

  test('that no feed speaks of is not found, with what to do', async () => {
    const refused = await get('/api/v1/vulnerabilities/CVE-1900-1');
    expect(refused.statusCode).toBe(404);
    expect(refused.json().error.what_to_do).toContain('feed status');
  });
});
