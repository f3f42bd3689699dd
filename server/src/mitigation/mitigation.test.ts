import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ReportedMitigation } from '@fixpoint/core/inventory/inventory.ts';
import { mitigationDigest } from '@fixpoint/core/mitigation/mitigation.ts';
import { debianPackage, type AgentDouble } from '../deployment/agent-double.ts';
import { testFleet, vulnerableHost, type Fleet } from '../deployment/fleet-double.ts';
import { debianTracker } from '../feed/debian-tracker/debian-tracker.ts';
import { madeUpFile } from '../feed/recorded.ts';
import { routes as finding } from '../finding/routes.ts';
import { importFeed } from '../knowledge/import.ts';
import { routes as mitigation } from './routes.ts';

const id = 'sshd-login-grace-time';
const patchId = `mitigation:${id}`;
const regresshion = 'CVE-2024-6387';
const terrapin = 'CVE-2023-48795';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await testFleet({}, [finding, mitigation]);
  const open = { releases: { bookworm: { status: 'open' } } };
  const tracker = {
    openssl: {
      'CVE-2026-1111': { releases: { bookworm: { status: 'resolved', fixed_version: '3.0.20-1~deb12u1' } } },
    },
    openssh: { [regresshion]: open, [terrapin]: open },
    dropbear: { [terrapin]: open },
  };
  const imported = await importFeed(fleet.context, debianTracker, madeUpFile(JSON.stringify(tracker)), {
    actor: { kind: 'system', name: 'test' },
  });
  if (!imported.ok) throw new Error(imported.message);
});
afterAll(async () => {
  await fleet.close();
});

const enrol = async (name: string): Promise<AgentDouble> => {
  const host = vulnerableHost();
  host.packages.push(
    debianPackage('openssh-server', '1:9.2p1-2+deb12u1', 'openssh'),
    debianPackage('dropbear-bin', '2022.83-1', 'dropbear'),
  );
  return fleet.enrol(name, host);
};
const findingsOf = async (agent: AgentDouble, status = ''): Promise<Record<string, unknown>[]> => {
  const { body } = await fleet.call('GET', `/api/v1/findings?asset=${agent.uid}${status}`);
  return Object(body.items);
};
const statusOf = async (agent: AgentDouble): Promise<Record<string, unknown>> =>
  Object.fromEntries(
    (await findingsOf(agent)).map((one) => [
      `${String(one.vulnerability)} ${String(one.package)}`,
      one.status,
    ]),
  );
const job = (name: string, more: Record<string, unknown> = {}) => ({
  patches: [patchId],
  target: { tags: [], assets: [name], exclude: [] },
  ...more,
});

describe('the closed loop of a mitigation', () => {
  test('known where there is no patch, applied, verified, mitigated, undone, open again', async () => {
    const web = await enrol('web-1');
    expect(await statusOf(web)).toMatchObject({ [`${regresshion} openssh`]: 'open' });
    const known = (await findingsOf(web)).find((one) => one.vulnerability === regresshion);
    expect(known).toMatchObject({ patch: null, mitigations: [{ id, effect: 'blocks', state: null }] });

    const deployment = await fleet.start(job('web-1'));
    const order = await web.fetchOrder();
    expect(order.packages).toEqual([]);
    const [ordered] = order.mitigations ?? [];
    expect(ordered).toMatchObject({ action: 'apply', mitigation: { id } });
    if (ordered === undefined) throw new Error('no mitigation was ordered');
    await web.report(order, [
      { index: 0, state: 'installing' },
      { index: 1, state: 'installed' },
    ]);
    const applied: ReportedMitigation = {
      id,
      digest: mitigationDigest(ordered.mitigation),
      state: 'applied',
      detail: 'sshd has LoginGraceTime 0.',
      until_reboot: false,
    };
    web.host.mitigations = [applied];
    await web.sendInventory();
    await web.report(order, [{ index: 2, state: 'verifying', digests: web.digests() }]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'succeeded' });
    const { body } = await fleet.call('GET', `/api/v1/tasks/${order.task_id}`);
    expect(body.evidence).toMatchObject({
      outcome: 'succeeded',
      before: [{ vulnerability: regresshion, status: 'open' }],
      bears_on: [{ vulnerability: regresshion, status: 'mitigated' }],
      mitigations: [{ id, action: 'apply', state: 'applied' }],
    });
    expect(String(Object(body.evidence).sentence)).toMatch(/The software itself is not fixed by that\.$/u);
    // what it only reduces, or what is of another package, stays open
    expect(await statusOf(web)).toMatchObject({
      [`${regresshion} openssh`]: 'mitigated',
      [`${terrapin} openssh`]: 'open',
      [`${terrapin} dropbear`]: 'open',
    });
    const [mitigated] = await findingsOf(web, '&status=mitigated');
    expect(mitigated).toMatchObject({ mitigations: [{ id, state: 'applied' }] });
    expect(String(mitigated?.['status_reason'])).toMatch(/software itself is not fixed/u);
    expect((await fleet.call('GET', `/api/v1/mitigations/${id}`)).body).toMatchObject({ assets: 1 });
    const asset = await fleet.call('GET', `/api/v1/assets/${web.uid}`);
    expect(JSON.stringify(asset.body)).toContain('"mitigated_findings":1');
    expect((await fleet.audit('finding.status_changed')).at(-1)?.after).toMatchObject({
      status: 'mitigated',
    });

    const told = await fleet.call('GET', `/api/v1/explanation?asset=web-1&vulnerability=${regresshion}`);
    expect(JSON.stringify(told.body.facts)).toMatch(
      /mitigation sshd-login-grace-time is in force and blocks it/u,
    );

    // somebody overrides it on the host: the finding is open at once
    web.host.mitigations = [{ ...applied, state: 'overridden', detail: 'sshd has LoginGraceTime 120.' }];
    await web.sendInventory();
    expect(await statusOf(web)).toMatchObject({ [`${regresshion} openssh`]: 'open' });
    // so is it under an edition that is not the reviewed one
    web.host.mitigations = [{ ...applied, digest: '0'.repeat(64) }];
    await web.sendInventory();
    expect(await statusOf(web)).toMatchObject({ [`${regresshion} openssh`]: 'open' });
    web.host.mitigations = [applied];
    await web.sendInventory();
    expect(await statusOf(web)).toMatchObject({ [`${regresshion} openssh`]: 'mitigated' });

    const undoing = await fleet.start(job('web-1', { undo_mitigations: true }));
    const undo = await web.fetchOrder();
    expect(undo.mitigations).toMatchObject([{ action: 'undo', mitigation: { id } }]);
    await web.report(undo, [
      { index: 0, state: 'installing' },
      { index: 1, state: 'installed' },
    ]);
    delete web.host.mitigations;
    await web.sendInventory();
    await web.report(undo, [{ index: 2, state: 'verifying', digests: web.digests() }]);
    expect(await fleet.states(undoing)).toEqual({ 'web-1': 'succeeded' });
    expect(await statusOf(web)).toMatchObject({ [`${regresshion} openssh`]: 'open' });
  });

  test.each<[string, ReportedMitigation['state'] | null, boolean, string]>([
    ['the host does not report it', null, false, 'failed not_remediated'],
    ['something overrides it', 'overridden', false, 'failed not_remediated'],
    ['old code needs a reboot', 'overridden', true, 'reboot_pending reboot_pending'],
    ['nobody can tell', 'unknown', false, 'verifying verification_undetermined'],
  ])('%s: never a success', async (name, state, untilReboot, expected) => {
    const hostname = name.replaceAll(' ', '-');
    const web = await enrol(hostname);
    const deployment = await fleet.start(job(hostname));
    const order = await web.fetchOrder();
    const [ordered] = order.mitigations ?? [];
    if (ordered === undefined) throw new Error('no mitigation was ordered');
    await web.report(order, [
      { index: 0, state: 'installing' },
      { index: 1, state: 'installed' },
    ]);
    if (state !== null) {
      const digest = mitigationDigest(ordered.mitigation);
      web.host.mitigations = [{ id, digest, state, detail: 'It is so.', until_reboot: untilReboot }];
    }
    await web.sendInventory();
    await web.report(order, [{ index: 2, state: 'verifying', digests: web.digests() }]);
    expect(await fleet.states(deployment)).toEqual({ [hostname]: expected });
  });
});

describe('what a job may ask', () => {
  const create = (changes: Record<string, unknown>) =>
    fleet.call('POST', '/api/v1/jobs', {
      name: 'x',
      trigger: 'manual',
      patches: [patchId],
      target: { tags: ['web'], assets: [], exclude: [] },
      units: 'restart',
      install_timeout_seconds: 600,
      expire_after_seconds: 3600,
      concurrency: 10,
      ...changes,
    });
  test.each<[string, Record<string, unknown>, string]>([
    ['a mitigation that nobody knows', { patches: ['mitigation:nothing'] }, 'patch_unknown'],
    ['one that takes effect by a reload, leaving services alone', { units: 'leave' }, 'job_invalid'],
    [
      'packages to be undone',
      { patches: [patchId, 'debian:12/openssl@3.0.22-1~deb12u2'], undo_mitigations: true },
      'job_invalid',
    ],
  ])('not: %s', async (_, changes, code) => {
    const answer = await create(changes);
    expect([answer.status, Object(answer.body.error).code]).toEqual([422, code]);
  });

  test('assets for which it is not are excluded with the reason', async () => {
    await enrol('plan-1');
    const reasons = async (changes: Record<string, unknown>) => {
      const created = await create({ target: { tags: [], assets: ['plan-1'], exclude: [] }, ...changes });
      const { body } = await fleet.call('POST', `/api/v1/jobs/${String(created.body.id)}/preview`, {});
      const excluded: { reason: string }[] = Object(body.excluded);
      return excluded.map((one) => one.reason);
    };
    expect(await reasons({})).toEqual([]);
    expect(await reasons({ undo_mitigations: true })).toEqual(['not_mitigated']);
    expect(await reasons({ patches: ['mitigation:samba-nt-pipes'] })).toEqual(['not_installed']);
    expect(await reasons({ patches: ['mitigation:windows-smb1'] })).toEqual(['other_release']);
    expect(await reasons({ patches: ['mitigation:sshd-login-grace-time-rpm'] })).toEqual(['other_release']);
  });

  test('the catalogue, by vulnerability and by id', async () => {
    const list = await fleet.call('GET', `/api/v1/mitigations?vulnerability=${regresshion}`);
    const items: { id: string }[] = Object(list.body.items);
    expect(items.map((one) => one.id)).toEqual([id, `${id}-rpm`]);
    const first = await fleet.call('GET', '/api/v1/mitigations?limit=5');
    expect(first.body).toMatchObject({ next: expect.any(String) });
    expect((await fleet.call('GET', '/api/v1/mitigations/nothing')).status).toBe(404);
  });
});
