/**
 * Data that is wrong in itself, though the request is right. More of it has its tests beside what reads it:
 * - malformed feeds: for each format in server/src/feed/FEED/FEED.test.ts, and server/src/knowledge/import.test.ts
 * - truncated inventories: server/src/asset/inventory.test.ts; a truncated package database in
 *   core/src/inventory/dpkg-status.test.ts
 * - absurd versions: core/src/version/version.test.ts and core/src/match/match.test.ts
 * - unknown releases: server/src/finding/change.test.ts and server/src/deployment/verification.test.ts
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostFacts, installed, inventoryOf, testAgent } from './asset/test-agent.ts';
import { badInputTarget, digests, expectApiError, report, type Target } from './bad-input-double.ts';

let target: Target;
beforeAll(async () => {
  target = await badInputTarget();
});
afterAll(async () => await target.close());

describe('malformed feed', () => {
  it.each([
    ['an empty file', ''],
    ['a page', '<html><body>404</body></html>'],
    ['another format', '{"a": 1}'],
    [
      'half a file',
      '{"title":"x","catalogVersion":"1","dateReleased":"2026-01-01T00:00:00Z","vulnerabilities":[',
    ],
    ['bytes', Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]).toString('latin1')],
  ])('of %s is refused, noted, and what is held stays', async (_what, text) => {
    for (const feed of ['cisa-kev', 'epss', 'debian-osv', 'debian-tracker', 'debian-changelog', 'cve-list']) {
      const before = await target.stored();
      const response = await target.app.inject({
        method: 'POST',
        url: `/api/v1/feeds/${feed}/import?name=broken`,
        headers: { ...target.credentials.administrator, 'content-type': 'application/octet-stream' },
        payload: Buffer.from(text, 'latin1'),
      });
      expectApiError(response, feed);
      expect(response.statusCode).toBe(422);
      // the attempt is on the trail and in the state of the feed; nothing else has changed
      expect({ ...(await target.stored()), feed: '', audit_event: '' }).toEqual({
        ...before,
        feed: '',
        audit_event: '',
      });
    }
  });

  it('without a body, or of a feed that there is not, is refused', async () => {
    await target.changesNothing(async () => {
      for (const url of ['/api/v1/feeds/epss/import', '/api/v1/feeds/nothing/import']) {
        const response = await target.app.inject({
          method: 'POST',
          url,
          headers: target.credentials.administrator,
        });
        expectApiError(response, url);
      }
    });
  });
});

describe('truncated inventory', () => {
  const without = (section: 'packages' | 'host' | 'candidates' | 'residue') =>
    Object.fromEntries(Object.entries(report).filter(([name]) => name !== section));

  it.each([
    ['cut in the middle', JSON.stringify(report).slice(0, -40), 400, 'malformed_json'],
    [
      'without half of its packages',
      JSON.stringify({ ...report, digests: { ...digests }, packages: report.packages.slice(1) }),
      422,
      'inventory_digest_mismatch',
    ],
    ['without packages', JSON.stringify({ ...without('packages'), digests }), 409, 'inventory_base_unknown'],
    ['without its host', JSON.stringify({ ...without('host'), digests }), 409, 'inventory_base_unknown'],
    [
      'without its residue',
      JSON.stringify({ ...without('residue'), digests }),
      409,
      'inventory_base_unknown',
    ],
    ['with no package', JSON.stringify({ ...report, digests, packages: [] }), 422, 'inventory_implausible'],
  ])('%s is refused, and the last good one stays', async (_what, text, status, code) => {
    await target.changesNothing(async () => {
      const response = await target.app.inject({
        method: 'POST',
        url: '/agent/v1/inventory',
        headers: { ...target.credentials.agent, 'content-type': 'application/json' },
        payload: text,
      });
      expect(response.statusCode, response.body).toBe(status);
      expect(expectApiError(response, text.slice(0, 60))).toBe(code);
    });
  });

  it('of a host that has never reported any is refused too: no package is no sign of safety', async () => {
    const fresh = await testAgent(target, { hostname: 'fresh' });
    const response = await fresh.report(inventoryOf([]));
    expect(expectApiError(response, 'no package')).toBe('inventory_implausible');
  });
});

describe('absurd versions', () => {
  const versions = [' ', 'ü', '-', '~', ':', 'a b', '1:', `${'9'.repeat(400)}:1`, '../..', '%s', '-1'];

  it('of packages are stored as they are, and are undetermined, not safe', async () => {
    const records = ['{"id":"CVE-2026-7777","modified":"2026-01-01T00:00:00Z","affected":[']
      .concat('{"package":{"ecosystem":"Debian:12","name":"absurd"},')
      .concat('"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2-1"}]}]}]}');
    const imported = await target.app.inject({
      method: 'POST',
      url: '/api/v1/feeds/debian-osv/import?allow_shrink=true',
      headers: { ...target.credentials.administrator, 'content-type': 'application/octet-stream' },
      payload: records.join(''),
    });
    expect(imported.statusCode, imported.body).toBe(200);
    const host = await testAgent(target, { hostname: 'absurd' });
    for (const version of versions) {
      const one = inventoryOf([installed('absurd', version)], { host: { ...hostFacts, hostname: 'absurd' } });
      const response = await host.report(one);
      expect(response.statusCode, `${version} ${response.body}`).toBe(200);
      const found = await target.app.inject({
        url: '/api/v1/findings?asset=absurd',
        headers: target.credentials.viewer,
      });
      expect(found.json().items, version).toMatchObject([
        { vulnerability: 'CVE-2026-7777', status: 'undetermined', installed: [`absurd ${version}`] },
      ]);
    }
    const none = await host.report(inventoryOf([installed('absurd', '')]));
    expect(expectApiError(none, 'an empty version')).toBe('validation_failed');
  });
});

describe('unknown release', () => {
  it('is taken, and said to be undetermined', async () => {
    const host = await testAgent(target, { hostname: 'strange', os: 'plan9', os_release: '4' });
    const facts = { ...hostFacts, hostname: 'strange', os: 'plan9', os_release: '4' };
    expect((await host.report(inventoryOf([installed('rc', '1')], { host: facts }))).statusCode).toBe(200);
    const shown = await target.app.inject({
      url: '/api/v1/assets/strange',
      headers: target.credentials.viewer,
    });
    expect(shown.json().asset.undetermined).toBeGreaterThan(0);
    expect(shown.json().undetermined[0].reason).toContain('No vulnerability data');
  });
});
