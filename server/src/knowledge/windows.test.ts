/** From Microsoft's published document to findings and the update to deploy, through the real database. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { inventoryOf, testAgent } from '../asset/test-agent.ts';
import { feedOf } from '../feed/feeds.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { importFeed } from './import.ts';

let app: TestApp;
let viewer: { authorization: string };
const get = async (url: string) => (await app.app.inject({ url, headers: viewer })).json();

const server2019 = (version: string, updates: readonly string[]): InstalledPackage => ({
  name: 'Windows Server 2019',
  version,
  arch: 'x64',
  source: 'Windows Server 2019',
  source_version: version,
  updates,
});

async function host(hostname: string, packages: readonly InstalledPackage[]): Promise<void> {
  const agent = await testAgent(app);
  const inventory = inventoryOf(packages);
  const facts = { ...inventory.host, hostname, os: 'windows', os_release: '10.0.17763', kernels: [] };
  await agent.report({ ...inventory, host: facts });
}

async function take(text: string): Promise<void> {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text);
  }
  const actor = { kind: 'system', name: 'test' } as const;
  const result = await importFeed(
    app.context,
    feedOf('microsoft-cvrf'),
    { name: '2024-Jul.json', bytes: bytes() },
    { actor, allowShrink: true },
  );
  if (!result.ok) throw new Error(result.message);
}

const sample = readFileSync(new URL('../feed/microsoft-cvrf/sample/2024-Jul.json', import.meta.url), 'utf8');

beforeAll(async () => {
  app = await testApp(rooms);
  viewer = await app.bearer('viewer');
  await take(sample);
  await host('old', [server2019('10.0.17763.5936', ['KB5039217'])]);
  await host('patched', [server2019('10.0.17763.6054', ['KB5040430'])]);
  await host('silent', [server2019('10.0.17763', [])]);
  await host('xp', [{ ...server2019('5.1.2600', []), name: 'Windows XP', source: 'Windows XP' }]);
}, 120_000);
afterAll(async () => await app.close());

describe('Windows', () => {
  test('the build decides, and the finding names the update to deploy, its restart and what it contains', async () => {
    const { items } = await get('/api/v1/findings?asset=old&vulnerability=CVE-2024-38077');
    expect(items).toHaveLength(1);
    expect(items[0]).toMatchObject({
      status: 'open',
      package: 'Windows Server 2019',
      fixed_version: '10.0.17763.6054',
      patch: {
        id: 'windows:/KB5040430@10.0.17763.6054',
        offered: false,
        obstacle: expect.stringContaining('Windows Update'),
        needs: { reboot: 'required' },
      },
      evidence: {
        rule: 'build_older_than_fixed_build',
        comparison: 'less',
        update: { contains: 'KB5040430' },
      },
    });
    expect((await get('/api/v1/findings?asset=patched')).items).toEqual([]);
    const why = async (asset: string) =>
      await get(`/api/v1/explanation?asset=${asset}&vulnerability=CVE-2024-38077`);
    expect(await why('old')).toMatchObject({
      verdict: 'open',
      software: [{ patch: { id: 'windows:/KB5040430@10.0.17763.6054' } }],
    });
    expect((await why('patched')).verdict).toBe('fixed');
  });

  test('a patch is an update: what it fixes and closes now', async () => {
    const { items } = await get('/api/v1/patches');
    const kb = items.find((patch: { package: string }) => patch.package === 'KB5040430');
    expect(kb).toMatchObject({ id: 'windows:/KB5040430@10.0.17763.6054', assets: 1 });
    expect(kb.fixes).toContain('CVE-2024-38077');
    expect(kb.supersedes.join()).toContain('KB5039217');
    const one = await get(
      `/api/v1/patches/${encodeURIComponent('windows:')}/${encodeURIComponent('KB5040430@10.0.17763.6054')}`,
    );
    expect(one.fixes).toContain('CVE-2024-38112');
  });

  test('a product that the data does not have, and an update list that is not there, are undetermined', async () => {
    const xp = await get('/api/v1/assets/xp');
    expect(JSON.stringify(xp.undetermined)).toContain('Windows XP');
    const assets = await get('/api/v1/assets');
    expect(assets.total).toBe(4);
  });

  test('what a revised month no longer has is gone, and other months stay', async () => {
    const before = (await get('/api/v1/findings?asset=old&limit=1000')).items.length;
    const document: { Vulnerability: { CVE: string }[] } = JSON.parse(sample);
    document.Vulnerability = document.Vulnerability.filter((one) => one.CVE !== 'CVE-2024-38077');
    await take(JSON.stringify(document));
    expect((await get('/api/v1/findings?asset=old&vulnerability=CVE-2024-38077')).items).toEqual([]);
    expect((await get('/api/v1/findings?asset=old&limit=1000')).items).toHaveLength(before - 1);
    await take(sample);
    expect((await get('/api/v1/findings?asset=old&vulnerability=CVE-2024-38077')).items).toHaveLength(1);
  });

  test('a newer update in a later document becomes the one to deploy', async () => {
    const august = sample
      .replaceAll('2024-Jul', '2024-Aug')
      .replaceAll('July 2024', 'August 2024')
      .replaceAll('5039217', '5040430-')
      .replaceAll('"5040430"', '"5041578"')
      .replaceAll('5040430-', '5040430')
      .replaceAll('10.0.17763.6054', '10.0.17763.6189')
      .replaceAll('CVE-2024-38', 'CVE-2024-98');
    await take(august);
    const { items } = await get('/api/v1/findings?asset=old&vulnerability=CVE-2024-38077');
    expect(items[0].patch.id).toBe('windows:/KB5041578@10.0.17763.6189');
    expect(items[0].evidence.update).toMatchObject({ id: 'KB5041578', contains: 'KB5040430' });
    expect((await get('/api/v1/findings?asset=patched&vulnerability=CVE-2024-38077')).items).toEqual([]);
    expect((await get('/api/v1/findings?asset=patched&vulnerability=CVE-2024-98077')).items).toHaveLength(1);
  });

  test('an update of another product is known too: the finding is open, and is explained as such', async () => {
    await host('foreign', [server2019('10.0.17763', ['KB5040456'])]);
    const asked = 'asset=foreign&vulnerability=CVE-2024-38077';
    expect((await get(`/api/v1/findings?${asked}`)).items).toMatchObject([{ status: 'open' }]);
    expect((await get(`/api/v1/explanation?${asked}`)).verdict).toBe('open');
  });
});
