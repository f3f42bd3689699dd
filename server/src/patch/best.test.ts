import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BestPatches, RiskRemoved } from '@fixpoint/contract/best-patches.ts';
import { routes as assets } from '../asset/routes.ts';
import { inventoryOf, installed, testAgent } from '../asset/test-agent.ts';
import { routes as auth } from '../auth/routes.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { bestNextPatches, bestPatchLimits } from './best.ts';
import { routes as patches } from './routes.ts';

let app: TestApp;
let viewer: { authorization: string };
const get = async (url: string) => await app.app.inject({ url, headers: viewer });
const best = async (query: string): Promise<BestPatches> => {
  const response = await get(`/api/v1/patches/best?${query}`);
  if (response.statusCode !== 200) throw new Error(response.body);
  return response.json();
};
const risk = async (patch: string, query = ''): Promise<RiskRemoved> => {
  const response = await get(`/api/v1/patches/${patch}/risk-removed?${query}`);
  if (response.statusCode !== 200) throw new Error(response.body);
  return response.json();
};

beforeAll(async () => {
  app = await testApp([auth, assets, patches], { knows: 'carried' });
  viewer = await app.bearer('viewer');
  const openssl = installed('libssl3', '3.0.11-1~deb12u2', 'openssl');
  const newerOpenssl = installed('libssl3', '3.0.17-1~deb12u2', 'openssl');
  const zip = installed('zip', '3.0-13');
  const curl = installed('curl', '7.88.1-10+deb12u1');
  const sudo = installed('sudo', '1.9.13p3-1+deb12u1');
  for (const [hostname, packages] of [
    ['a', [openssl, zip, curl]],
    ['b', [newerOpenssl, sudo]],
    ['b2', [newerOpenssl, sudo]],
    ['c', [curl]],
  ] as const) {
    const agent = await testAgent(app);
    const inventory = inventoryOf([...packages]);
    await agent.report({ ...inventory, host: { ...inventory.host, hostname } });
  }
}, 120_000);
afterAll(async () => await app.close());

const ids = (chosen: BestPatches): string[] => chosen.patches.map(({ patch }) => patch);
const sum = (list: readonly number[]): number => list.reduce((total, one) => total + one, 0);

describe('the best next patches of a fleet', () => {
  test('are those that no other set within the budget beats, as every set shows', async () => {
    const all = await best('');
    expect(all.patches).toHaveLength(4);
    expect(all.scope).toEqual({ assets: 4, profiles: 3, candidates: 4, sample: null });
    const [first = '', ...others] = ids(all);
    const sets = [[first, ...others], [first], ...others.map((one) => [one])];
    for (const [index, one] of others.entries())
      for (const other of [first, ...others.slice(index + 1)]) sets.push([one, other]);
    const removed: number[] = [];
    for (const [one = '', ...rest] of sets)
      removed.push((await risk(one, `with=${encodeURIComponent(rest.join(','))}`)).together);
    const most = (size: number): number =>
      Math.max(0, ...sets.flatMap((set, index) => (set.length <= size ? [removed[index] ?? 0] : [])));
    for (const size of [0, 1, 2, 4]) {
      const chosen = await best(`packages=${String(size)}`);
      expect(chosen.patches).toHaveLength(size);
      expect(chosen.cost.packages).toBe(size);
      expect(chosen.removed).toBeCloseTo(most(size), 6);
      expect(chosen).toMatchObject({ method: 'exact', gap_percent: 0, guarantee: 1, solver: 'not_needed' });
      // Step by step it adds up, and nothing is counted twice.
      expect(sum(chosen.patches.map((one) => one.removed))).toBeCloseTo(chosen.removed, 6);
      expect(chosen.before - chosen.after).toBeCloseTo(chosen.removed, 6);
    }
  });

  test('say what each closes, in assets and findings', async () => {
    const chosen = await best('query=hostname%20%3D%20b*');
    expect(chosen.scope).toMatchObject({ assets: 2, profiles: 1, candidates: 2 });
    for (const one of chosen.patches) {
      const list = await get(`/api/v1/patches/${one.patch}`);
      expect(one.assets).toBe(2);
      const alone = await risk(one.patch, 'query=hostname%20%3D%20b*');
      expect([alone.findings, alone.assets]).toEqual([one.findings, one.assets]);
      expect(list.json().package).toBe(one.package);
    }
  });

  test('keep to the budget of minutes, and to fewest patches for a wanted share', async () => {
    const chosen = await best('minutes=5');
    expect(chosen.cost.minutes).toBeLessThanOrEqual(5);
    expect(chosen.patches).toHaveLength(2);
    const half = await best('wanted=50%25');
    expect(half).toMatchObject({ reached: true, wanted: expect.closeTo(half.before / 2, 6) });
    expect(half.patches).toHaveLength(2);
    expect(half.guarantee_sentence).toContain('No smaller set');
    expect(await best('wanted=1&packages=3')).toMatchObject({ wanted: 1, reached: true });
    expect(await best('wanted=100%25&packages=2')).toMatchObject({ reached: false });
  });

  test('what one is worth on top of others', async () => {
    const [one = '', other = ''] = ids(await best('packages=2'));
    const both = await risk(one, `with=${encodeURIComponent(other)}`);
    expect(both.together).toBeCloseTo((await best('packages=2')).removed, 6);
    expect(both.on_top).toBeCloseTo(both.together - (await risk(other)).alone, 6);
    expect((await risk(one, `with=${encodeURIComponent(one)}`)).on_top).toBe(0);
  });

  test('refuse what cannot be asked', async () => {
    for (const [url, status, code] of [
      ['best?tag=nobody', 404, 'tag_unknown'],
      ['best?query=hostnam%20%3D%20a', 400, 'unknown_field'],
      ['best?packages=-1', 400, 'validation_failed'],
      ['best?wanted=half', 400, 'validation_failed'],
      ['debian:12/openssl@1/risk-removed?with=nonsense', 400, 'bad_patch_id'],
    ] as const) {
      const response = await get(`/api/v1/patches/${url}`);
      expect([response.statusCode, response.json().error?.code]).toEqual([status, code]);
    }
  });

  test('say when only a sample was looked at, and when there is too much', async () => {
    const ask = async (limits: Partial<typeof bestPatchLimits>) =>
      await bestNextPatches(app.context, {}, { ...bestPatchLimits, ...limits });
    const sampled = await ask({ assets: 3, profiles: 2 });
    expect(sampled).toMatchObject({
      ok: true,
      value: { scope: { assets: 4, sample: { assets: 2, of: 4, why: 'too_many_assets' } } },
    });
    if (sampled.ok) expect(sampled.value.scope.sample?.sentence).toContain('2 of 4 assets were looked at');
    expect(await ask({ candidates: 3 })).toMatchObject({ ok: false, code: 'too_many_patches' });
    expect(await ask({ seconds: 0.001 })).toMatchObject({ ok: false, code: 'too_much_to_weigh' });
    expect(await ask({ workers: 0 })).toMatchObject({ ok: false, status: 429 });
  });
});
