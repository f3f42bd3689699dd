import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Value } from 'typebox/value';
import { Plan, type PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import { debianCandidate, debianPackage, type HostDouble } from '../deployment/agent-double.ts';
import {
  jobDefinition,
  newVersion,
  patch,
  testFleet,
  vulnerability,
  vulnerableHost,
  type Fleet,
} from '../deployment/fleet-double.ts';
import { debianTracker } from '../feed/debian-tracker/debian-tracker.ts';
import { madeUpFile } from '../feed/recorded.ts';
import { routes as finding } from '../finding/routes.ts';
import { importFeed } from '../knowledge/import.ts';
import { createTag } from '../tag/commands.ts';

let fleet: Fleet;
const opened: Fleet[] = [];
const person = { kind: 'system', name: 'test' } as const;
const freshFleet = async (): Promise<void> => {
  fleet = await testFleet({}, [finding]);
  opened.push(fleet);
};
afterAll(async () => {
  for (const one of opened) await one.close();
});

const at = (address: string, host: HostDouble = vulnerableHost()): HostDouble => ({
  ...host,
  facts: { ...host.facts, addresses: [address] },
});
const target = (changes: Partial<PatchJobDefinition['target']>) => ({
  target: { tags: [], assets: [], exclude: [], ...changes },
});
async function preview(changes: Partial<PatchJobDefinition>): Promise<Plan> {
  const job = await fleet.call('POST', '/api/v1/jobs', jobDefinition(changes));
  if (job.status !== 201) throw new Error(JSON.stringify(job.body));
  const { status, body } = await fleet.call('POST', `/api/v1/jobs/${String(job.body.id)}/preview`, {});
  if (status !== 200) throw new Error(JSON.stringify(body));
  return Value.Parse(Plan, body);
}
const planned = (plan: Plan): string[] => plan.tasks.map((task) => task.hostname);
const leftOut = (plan: Plan): string[] => plan.excluded.map((one) => `${one.hostname} ${one.reason}`);
async function refused(changes: Partial<PatchJobDefinition>) {
  const { status, body } = await fleet.call('POST', '/api/v1/jobs', jobDefinition(changes));
  expect(status).toBeGreaterThanOrEqual(400);
  const error: { code: string; message: string; problems?: { path: string; at?: number }[] } = Object(
    body.error,
  );
  return error;
}

describe('the target', () => {
  beforeAll(async () => {
    await freshFleet();
    await createTag(fleet.context, person, { name: 'small', rule: 'hostname = web-*' });
    await createTag(fleet.context, person, { name: 'first', ranges: ['10.0.0.1'] });
    await fleet.enrol('web-1', at('10.0.0.1'));
    await fleet.enrol('web-2', at('10.0.0.2'));
    await fleet.enrol('db-1', at('2001:db8::7'));
  });

  test.each<[string, Partial<PatchJobDefinition['target']>, string[], string[]]>([
    ['a query', { query: 'hostname = web-*' }, ['web-1', 'web-2'], []],
    ['ranges of both families', { ranges: ['10.0.0.2-10.0.0.9', '2001:db8::/32'] }, ['db-1', 'web-2'], []],
    ['any of these', { ranges: ['10.0.0.1/32'], assets: ['db-1'] }, ['db-1', 'web-1'], []],
    ['all tags alone', { tags_all: ['web', 'small'] }, ['web-1', 'web-2'], []],
    ['any, and all', { tags: ['web'], tags_all: ['first'] }, ['web-1'], []],
    [
      'a named one that is not in all',
      { assets: ['db-1'], tags_all: ['small'] },
      [],
      ['db-1 excluded_by_job'],
    ],
    [
      'without a tag',
      { tags: ['web'], exclude_tags: ['small'] },
      ['db-1'],
      ['web-1 excluded_by_job', 'web-2 excluded_by_job'],
    ],
    [
      'without a query',
      { tags: ['web'], exclude_query: 'hostname : "-1"' },
      ['web-2'],
      ['db-1 excluded_by_job', 'web-1 excluded_by_job'],
    ],
    ['without a name', { tags: ['web'], exclude: ['web-1'] }, ['db-1', 'web-2'], ['web-1 excluded_by_job']],
    // nobody knows in which cloud db-1 is; that the others are not called so is known
    [
      'what cannot be said is left out',
      { tags: ['web'], exclude_query: 'cloud.region = eu-1 and hostname = db-1' },
      ['web-1', 'web-2'],
      ['db-1 excluded_by_job'],
    ],
  ])('%s', async (_, changes, tasks, excluded) => {
    const plan = await preview(target(changes));
    expect(planned(plan)).toEqual(tasks);
    expect(leftOut(plan)).toEqual(excluded);
  });

  test('is evaluated at each plan', async () => {
    const changes = target({ query: 'hostname = web-*' });
    expect(planned(await preview(changes))).toHaveLength(2);
    await fleet.enrol('web-3', at('10.0.0.3'));
    expect(planned(await preview(changes))).toHaveLength(3);
  });
});

describe('refused when it is created, with the place', () => {
  beforeAll(async () => {
    await freshFleet();
    await fleet.enrol('web-1');
  });
  test.each<[string, Partial<PatchJobDefinition>, string, string, number | undefined]>([
    ['a query that cannot be read', target({ query: 'hostnme = x' }), 'unknown_field', '/target/query', 0],
    ['a tag in a query', target({ query: 'hostname = x and tag = wbe' }), 'tag_unknown', '/target/query', 17],
    [
      'an excluding query',
      target({ tags: ['web'], exclude_query: 'os = ' }),
      'value_expected',
      '/target/exclude_query',
      5,
    ],
    [
      'criteria',
      { patches: [], criteria: { query: 'cvss > 90' } },
      'value_out_of_range',
      '/criteria/query',
      7,
    ],
    [
      'criteria over something else',
      { patches: [], criteria: { query: 'hostname = x' } },
      'unknown_field',
      '/criteria/query',
      0,
    ],
    ['a range', target({ ranges: ['10.0.0.9-10.0.0.1'] }), 'job_invalid', '/target/ranges/0', undefined],
    ['nothing to deploy', { patches: [] }, 'job_invalid', '/patches', undefined],
    ['a pattern', { exclude_packages: ['*'] }, 'job_invalid', '/exclude_packages/0', undefined],
    ['pins', { pins: [{ package: 'lib*', version: '1' }] }, 'job_invalid', '/pins/0/package', undefined],
  ])('%s', async (_, changes, code, path, place) => {
    const error = await refused(changes);
    expect(error.code).toBe(code);
    expect(error.problems?.[0]).toMatchObject({ path, ...(place === undefined ? {} : { at: place }) });
  });
  test('tags and assets that there are not', async () => {
    expect((await refused(target({ tags_all: ['wbe'] }))).code).toBe('tag_unknown');
    expect((await refused(target({ tags: ['web'], exclude_tags: ['wbe'] }))).code).toBe('tag_unknown');
    expect((await refused(target({ assets: ['nobody'] }))).code).toBe('asset_unknown');
    expect((await refused({ reboot: { mode: 'force', order: ['wbe'] } })).code).toBe('tag_unknown');
  });
});

describe('criteria', () => {
  beforeEach(freshFleet);
  test('find the patches of a plan anew, also what nobody named', async () => {
    const web = await fleet.enrol('web-1');
    const wanted = { patches: [], criteria: { query: 'package = curl' } };
    expect(leftOut(await preview(wanted))).toEqual(['web-1 already_fixed']);
    const release = { status: 'resolved', fixed_version: '7.88.1-10+deb12u8' };
    const tracker = {
      openssl: {
        [vulnerability]: {
          releases: { bookworm: { status: 'resolved', fixed_version: '3.0.20-1~deb12u1' } },
        },
      },
      curl: { 'CVE-2026-2222': { releases: { bookworm: release } } },
    };
    const imported = await importFeed(fleet.context, debianTracker, madeUpFile(JSON.stringify(tracker)), {
      actor: person,
    });
    expect(imported.ok).toBe(true);
    web.host.packages.push(debianPackage('curl', '7.88.1-10+deb12u5'));
    web.host.candidates.push(debianCandidate('curl', '7.88.1-10+deb12u12'));
    await web.sendInventory();
    const plan = await preview(wanted);
    expect(plan.tasks).toMatchObject([
      { patches: ['debian:12/curl@7.88.1-10+deb12u12'], fixes: ['CVE-2026-2222'] },
    ]);
    const all = await preview({ patches: [], criteria: { query: 'id = *' } });
    expect(all.tasks[0]?.packages.map((p) => p.name)).toEqual(['curl', 'libssl3', 'openssl']);
    const named = await preview({ ...wanted, patches: [patch] });
    expect(named.tasks[0]?.packages.map((p) => p.name)).toEqual(['curl', 'libssl3', 'openssl']);
  });

  test('everything newer takes what no vulnerability is known of', async () => {
    const host = vulnerableHost();
    host.candidates.push({ ...debianCandidate('bash', '5.2.15-3'), source_version: '5.2.15-3' });
    await fleet.enrol('web-1', host);
    const criteria = { query: 'package = nothing', everything_newer: true };
    const plan = await preview({ patches: [], criteria });
    expect(plan.tasks[0]?.packages.map((p) => `${p.name} ${p.to}`)).toEqual([
      'bash 5.2.15-3',
      `libssl3 ${newVersion}`,
      `openssl ${newVersion}`,
    ]);
    expect(plan.tasks[0]?.fixes).toEqual([vulnerability]);
  });
});

describe('the deny-list', () => {
  beforeEach(freshFleet);
  test('nothing plans a denied patch until it is lifted, and all of it is on the trail', async () => {
    await fleet.enrol('web-1');
    const denied = await fleet.call('POST', '/api/v1/patch-denials', {
      pattern: '*/openssl@3.0.22-*',
      reason: 'breaks TLS 1.2',
    });
    expect(denied).toMatchObject({ status: 201, body: { lifted_at: null } });
    expect(
      (await fleet.call('POST', '/api/v1/patch-denials', { pattern: '*/openssl@3.0.22-*', reason: 'again' }))
        .status,
    ).toBe(409);
    expect(
      (await fleet.call('POST', '/api/v1/patch-denials', { pattern: 'openssl', reason: 'no' })).body,
    ).toMatchObject({
      error: { code: 'pattern_invalid' },
    });
    const plan = await preview({});
    expect(plan.excluded).toMatchObject([
      { reason: 'patch_denied', message: `${patch} is denied (*/openssl@3.0.22-*): breaks TLS 1.2` },
    ]);
    const id = String(denied.body.id);
    const lifted = await fleet.call('POST', `/api/v1/patch-denials/${id}/lift`, { reason: 'fixed upstream' });
    expect(lifted.body).toMatchObject({ id, lifted_by: 'test' });
    expect(planned(await preview({}))).toEqual(['web-1']);
    expect((await fleet.call('GET', '/api/v1/patch-denials?open=true')).body).toMatchObject({ total: 0 });
    expect((await fleet.call('GET', '/api/v1/patch-denials')).body).toMatchObject({ total: 1 });
    const trail = (await fleet.audit()).filter((one) => one.event.startsWith('patch_denial.'));
    expect(trail.map((one) => [one.event, one.reason])).toEqual([
      ['patch_denial.created', 'breaks TLS 1.2'],
      ['patch_denial.lifted', 'fixed upstream'],
    ]);
  });
});

test('a kernel with a new name is deployable, and comes with its meta package', async () => {
  await freshFleet();
  const release = { status: 'resolved', fixed_version: '6.1.170-1' };
  const tracker = { linux: { 'CVE-2026-3333': { releases: { bookworm: release } } } };
  await importFeed(fleet.context, debianTracker, madeUpFile(JSON.stringify(tracker)), { actor: person });
  const kernel = (name: string, version: string) => debianPackage(name, version, 'linux-signed-amd64');
  const image = kernel('linux-image-6.1.0-25-amd64', '6.1.106-3');
  await fleet.enrol('web-1', {
    ...vulnerableHost(),
    packages: [image, kernel('linux-image-amd64', '6.1.106-3')],
    candidates: [
      {
        ...kernel('linux-image-amd64', '6.1.174-1'),
        repository: 'bookworm-security/main',
        download_bytes: 1,
        requires: ['linux-image-6.1.0-49-amd64 (= 6.1.174-1)'],
      },
    ],
    facts: {
      machine: 'physical_or_virtual',
      kernels: [{ ...image, release: '6.1.0-25-amd64' }].map(({ arch: _arch, ...rest }) => rest),
    },
  });
  const plan = await preview({ patches: ['debian:12/linux@6.1.170-1'] });
  expect(plan.excluded).toEqual([]);
  expect(plan.tasks).toMatchObject([
    {
      patches: ['debian:12/linux@6.1.174-1'],
      packages: [{ name: 'linux-image-amd64', to: '6.1.174-1' }],
      added: [{ name: 'linux-image-6.1.0-49-amd64', version: '6.1.174-1' }],
      fixes: ['CVE-2026-3333'],
    },
  ]);
  const asked = 'asset=web-1&vulnerability=CVE-2026-3333';
  const explained = await fleet.call('GET', `/api/v1/explanation?${asked}`);
  expect(JSON.stringify(explained.body)).toContain('debian:12/linux@6.1.174-1');
  expect(JSON.stringify(explained.body)).not.toContain('No repository of this asset offers it');
});
