import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inventoryOf, installed, testAgent } from '../asset/test-agent.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';

/** Explanations over HTTP, from the knowledge that the product carries. */

let app: TestApp;
let viewer: { authorization: string };
const get = async (url: string) => await app.app.inject({ url, headers: viewer });
const ask = async (asset: string, vulnerability: string) =>
  await get(`/api/v1/explanation?asset=${asset}&vulnerability=${vulnerability}`);

beforeAll(async () => {
  app = await testApp(rooms, { knows: 'carried' });
  viewer = await app.bearer('viewer');
  const candidate = {
    ...installed('libssl3', '3.0.22-1~deb12u2', 'openssl'),
    repository: 'bookworm-security/main',
    download_bytes: 2_000_000,
  };
  for (const [hostname, packages, candidates] of [
    ['old-1', [installed('libssl3', '3.0.9-1', 'openssl'), installed('zip', '3.0-13')], [candidate]],
    ['new-1', [installed('libssl3', '3.0.22-1~deb12u2', 'openssl')], []],
    [
      'foreign-1',
      [{ ...installed('libssl3', '3.5.0-1', 'openssl'), origin: 'third_party', vendor: 'Example' }],
      [],
    ],
  ] as const) {
    const agent = await testAgent(app);
    const inventory = inventoryOf(packages);
    await agent.report({ ...inventory, candidates: [...candidates], host: { ...inventory.host, hostname } });
  }
}, 120_000);
afterAll(async () => await app.close());

describe('an explanation', () => {
  test('of an open finding: sources, rule, comparison, patch with where it comes from, and what would change it', async () => {
    const told = (await ask('old-1', 'CVE-2023-5363')).json();
    expect(told).toMatchObject({ verdict: 'open', system: 'Debian 12', vulnerability: 'CVE-2023-5363' });
    expect(told.facts.join('\n')).toMatch(
      /debian-osv \((?:DEBIAN-)?CVE-2023-5363\): fixed in 3\.0\.11-1~deb12u2/,
    );
    expect(told.software).toHaveLength(1);
    expect(told.software[0]).toMatchObject({
      name: 'libssl3',
      counts: 'installed',
      evidence: { rule: 'older_than_fixed_version', comparison: 'less' },
      patch: {
        id: 'debian:12/openssl@3.0.22-1~deb12u2',
        repository: 'bookworm-security/main',
        obstacle: null,
      },
    });
    expect(told.changes.join()).toContain('debian:12/openssl@3.0.22-1~deb12u2 is installed');
    expect(told.software[0].also_fixes).toContain('CVE-2025-15467');
    expect(told.software[0].also_fixes).not.toContain('CVE-2023-5363');
    expect(told.software[0].patch.superseded_by).toBeNull();
  });
  test('of what is not there, and why', async () => {
    expect((await ask('new-1', 'CVE-2023-5363')).json().verdict).toBe('fixed');
    expect((await ask('new-1', 'CVE-2024-6387')).json().verdict).toBe('not_installed');
    expect((await ask('new-1', 'CVE-1999-99999')).json()).toMatchObject({ verdict: 'unknown_vulnerability' });
  });
  test('a build of somebody else is undetermined, with who built it', async () => {
    const told = (await ask('foreign-1', 'CVE-2023-5363')).json();
    expect(told.verdict).toBe('undetermined');
    expect(told.sentence).toContain('Example');
    expect(told.software[0].missing_patch.reason).toBe('not_built_by_distribution');
  });
  test('by another name: an advisory of one vulnerability leads to it, of several names them', async () => {
    const several = await ask('old-1', 'DSA-5764-1');
    const findings = (await get('/api/v1/findings?vulnerability=DSA-5532-1')).json();
    const told = (await ask('old-1', 'DSA-5532-1')).json();
    expect(told.vulnerability ?? told.error?.code).toBe('CVE-2023-5363');
    expect(findings.items.map((f: { vulnerability: string }) => f.vulnerability)).toContain('CVE-2023-5363');
    expect([200, 409]).toContain(several.statusCode);
  });
  test('an asset that is not there is an error with what to do', async () => {
    const reply = await ask('nobody', 'CVE-2023-5363');
    expect(reply.statusCode).toBe(404);
    expect(reply.json().error ?? reply.json()).toHaveProperty('what_to_do');
  });
});
