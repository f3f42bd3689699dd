import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { debianPackage } from './agent-double.ts';
import { testFleet, type Fleet } from './fleet-double.ts';
import { tick } from './tick.ts';

let fleet: Fleet;
beforeEach(async () => {
  fleet = await testFleet();
});
afterEach(() => fleet.close());

describe('a verification that cannot be decided', () => {
  const undecided = 'verifying verification_undetermined';

  test('nothing is proved while no data covers the release; it is judged again when there is', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    const facts = await fleet.database.db.deleteFrom('statement').returningAll().execute();
    await fleet.database.db.deleteFrom('software_verdict').execute();
    await web.carryOut(order);
    await web.report(order, [{ index: 4, state: 'verifying', digests: web.digests() }]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': undecided });
    const { body } = await fleet.call('GET', '/api/v1/alerts?open=true');
    expect(body.items).toMatchObject([{ kind: 'verification_undetermined', subject: order.task_id }]);
    await fleet.database.db.insertInto('statement').values(facts).execute();
    await tick(fleet.context, fleet.clock.now());
    expect(await fleet.states(deployment)).toEqual({ 'web-1': undecided });
    fleet.clock.pass(700);
    await tick(fleet.context, fleet.clock.now());
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'succeeded' });
  });

  test('nor by the inventory of a host that its agent cannot read', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    const problems = (list: object[]) =>
      fleet.database.db
        .updateTable('asset')
        .set({ problems: JSON.stringify(list) })
        .execute();
    await problems([{ code: 'dpkg_status_truncated', message: 'it ends inside a package' }]);
    await web.carryOut(order);
    await web.report(order, [{ index: 4, state: 'verifying', digests: web.digests() }]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': undecided });
    await problems([]);
    fleet.clock.pass(700);
    await tick(fleet.context, fleet.clock.now());
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'succeeded' });
  });

  test('a process with code of which nobody knows what it was built from is a restart to do', async () => {
    const web = await fleet.enrol('web-1');
    const deployment = await fleet.start();
    const order = await web.fetchOrder();
    web.host.residue = [
      {
        ...debianPackage('libssl3', '3.0.1-1+local', 'openssl'),
        source_version: null,
        kind: 'process',
        path: '/usr/lib/x86_64-linux-gnu/libssl.so.3',
        process: { pid: 77, command: 'nginx', unit: 'nginx.service', started_at: '2026-03-01T00:00:00Z' },
        alteration: null,
      },
    ];
    await web.carryOut(order);
    await web.report(order, [{ index: 4, state: 'verifying', digests: web.digests() }]);
    expect(await fleet.states(deployment)).toEqual({ 'web-1': 'restart_pending restart_pending' });
  });
});
