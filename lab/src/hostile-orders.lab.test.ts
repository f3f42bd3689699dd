/**
 * Somebody between server and host sends orders that the host must not obey. It refuses each for the right reason, installs
 * nothing, says so, and when the tampering stops the work is done.
 */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { CheckInResponse } from '@fixpoint/contract/agent.ts';
import type { SignedOrder } from '@fixpoint/contract/order.ts';
import { Deployment, type DeploymentAction } from '@fixpoint/contract/patch-job.ts';
import { sleep, waitFor } from './clock.ts';
import {
  auditVerifies,
  enrolBehindProxy,
  explained,
  hostFacts,
  installedOnce,
  installVulnerable,
  jobOver,
  startFaultLab,
  statesOf,
  untouched,
  wholeWay,
  type FaultLab,
} from './fault-lab.ts';
import type { Host } from './host.ts';
import { alerts, onlyTask, startJob, trail, watchDeployment } from './patching.ts';
import { missing, say } from './lab-suite.ts';
import { alterCheckIns, type TamperingProxy } from './tampering-proxy.ts';

const names = ['victim', 'late', 'other'] as const;
type Name = (typeof names)[number];

describe.skipIf(missing !== undefined)('an order that is not to be obeyed', () => {
  let faultLab: FaultLab;
  let lateDeployment: string;
  const proxies = new Map<Name, TamperingProxy>();
  const assets = new Map<Name, string>();

  beforeAll(async () => {
    faultLab = await startFaultLab({ names, enrol: [], say });
    for (const name of names) {
      const { proxy, assetId } = await enrolBehindProxy(faultLab, name);
      proxies.set(name, proxy);
      assets.set(name, assetId);
    }
    // The shortest time that an order may be good for is a minute: it passes while the other tests run.
    inEveryAnswer('late', () => null);
    lateDeployment = await start('late', 60);
  });
  beforeEach(async () => {
    for (const name of ['victim', 'other'] as const) {
      proxyOf(name).tamper(null);
      await installVulnerable(faultLab.host(name));
    }
  });
  afterAll(async () => {
    for (const proxy of proxies.values()) await proxy.stop();
    await faultLab?.stop();
  });

  const of = <T>(map: ReadonlyMap<Name, T>, name: Name): T => {
    const found = map.get(name);
    if (found === undefined) throw new Error(`there is no ${name}`);
    return found;
  };
  const proxyOf = (name: Name): TamperingProxy => of(proxies, name);
  const act = async (deployment: string, action: DeploymentAction): Promise<void> => {
    await faultLab.product.api.post(
      `/api/v1/deployments/${deployment}/actions`,
      { action, reason: 'fault test' },
      Deployment,
    );
  };
  const watch = async (deployment: string): Promise<void> => {
    await watchDeployment(faultLab.product, deployment, { timeoutSeconds: 60 });
  };
  const start = async (name: Name, expireAfterSeconds = 3600): Promise<string> => {
    const { product } = faultLab;
    return await startJob(
      product,
      await jobOver(product, [name], { name: `for ${name}`, expireAfterSeconds }),
    );
  };
  const inEveryAnswer = (name: Name, alter: (order: SignedOrder) => SignedOrder | null): void => {
    proxyOf(name).tamper({
      after: alterCheckIns((answer) => ({ ...answer, orders: answer.orders.flatMap((o) => alter(o) ?? []) })),
    });
  };
  const inject = (name: Name, order: SignedOrder): void => {
    proxyOf(name).tamper({
      after: alterCheckIns((answer): CheckInResponse => ({ ...answer, orders: [...answer.orders, order] })),
    });
  };
  const orderAfter = async (name: Name, count: number): Promise<SignedOrder> =>
    await waitFor(`an order for ${name}`, () => proxyOf(name).orders[count], { timeoutSeconds: 30 });

  /** Waits for the alert and finds its audit event; then nothing may have happened on the host. */
  async function refused(name: Name, reason: string, order: SignedOrder): Promise<'warning' | 'critical'> {
    const { product } = faultLab;
    const subject = of(assets, name);
    const digest = createHash('sha256').update(order.payload).digest('hex');
    const alert = await waitFor(
      `${name} to refuse an order as ${reason}`,
      async () =>
        (await alerts(product)).find(
          (one) =>
            one.kind === 'order_refused' &&
            one.subject === subject &&
            one.message.includes(`(${reason})`) &&
            JSON.stringify(one.detail).includes(digest),
        ),
      { timeoutSeconds: 30, everySeconds: 0.3 },
    );
    const events = await trail(product, `subject=${subject}&event=asset.order_refused`);
    const told = events.filter((event) => JSON.stringify(event.after).includes(digest));
    expect(told.map((event) => event.after)).toMatchObject([{ refusal: reason, payload_digest: digest }]);
    // The order is there in every answer: had the host a mind to obey it, it would have begun by now.
    await sleep(2);
    expect(await hostFacts(faultLab.host(name))).toEqual(untouched);
    if (alert.severity === 'info') throw new Error('a refused order is no mere information');
    return alert.severity;
  }

  const watched = async (name: Name, body: (host: Host) => Promise<void>): Promise<void> => {
    const host = faultLab.host(name);
    await explained(faultLab.product, [host], () => body(host));
  };

  test('by another key, then with a flipped bit in the signature: the task fails so, and a retry does it', async () => {
    await watched('victim', async (host) => {
      const { product } = faultLab;
      const count = proxyOf('victim').orders.length;
      inEveryAnswer('victim', (order) => ({ ...order, key_id: 'another-key' }));
      const deployment = await start('victim');
      expect(await refused('victim', 'key_unknown', await orderAfter('victim', count))).toBe('critical');
      await watch(deployment);
      const first = await onlyTask(product, deployment);
      expect(first.task).toMatchObject({ state: 'failed', reason: { code: 'order_refused' } });

      inEveryAnswer('victim', (order) => ({
        ...order,
        signature: `${order.signature.startsWith('A') ? 'B' : 'A'}${order.signature.slice(1)}`,
      }));
      await act(deployment, 'retry_failed');
      const second = await orderAfter('victim', count + 1);
      expect(await refused('victim', 'signature_invalid', second)).toBe('critical');
      await watch(deployment);
      expect((await onlyTask(product, deployment)).task.state).toBe('failed');

      proxyOf('victim').tamper(null);
      await act(deployment, 'retry_failed');
      await watch(deployment);
      expect((await onlyTask(product, deployment)).task.state).toBe('succeeded');
      expect(await hostFacts(host)).toEqual(installedOnce);
    });
  });

  test('with other versions than were signed: our own task is not ended by it, and is done afterwards', async () => {
    await watched('victim', async (host) => {
      const { product } = faultLab;
      const count = proxyOf('victim').orders.length;
      const alter = (order: SignedOrder): SignedOrder => ({
        ...order,
        payload: order.payload.replace('"to":"1.0-2"', '"to":"9.9-9"'),
      });
      inEveryAnswer('victim', alter);
      const deployment = await start('victim');
      const order = await orderAfter('victim', count);
      expect(alter(order).payload).not.toBe(order.payload);
      expect(await refused('victim', 'signature_invalid', alter(order))).toBe('critical');
      expect((await onlyTask(product, deployment)).task.state).toBe('offered');

      proxyOf('victim').tamper(null);
      await watch(deployment);
      expect(statesOf(await onlyTask(product, deployment))).toEqual(wholeWay);
      expect(await hostFacts(host)).toEqual(installedOnce);
    });
  });

  test('that was signed for another host', async () => {
    await watched('victim', async () => {
      const count = proxyOf('other').orders.length;
      const deployment = await start('other');
      const order = await orderAfter('other', count);
      inject('victim', order);
      expect(await refused('victim', 'other_asset', order)).toBe('critical');
      await watch(deployment);
      expect(statesOf(await onlyTask(faultLab.product, deployment))).toEqual(wholeWay);
      expect(await hostFacts(faultLab.host('other'))).toEqual(installedOnce);
    });
  });

  test('of a task that was done before: an older version that came back is not overwritten by a replay', async () => {
    await watched('victim', async (host) => {
      const { product } = faultLab;
      const count = proxyOf('victim').orders.length;
      const deployment = await start('victim');
      await watch(deployment);
      expect(await hostFacts(host)).toEqual(installedOnce);
      const done = await orderAfter('victim', count);

      // What the order starts from is there again, so that only the memory of it keeps the host from obeying.
      await installVulnerable(host);
      inject('victim', done);
      await refused('victim', 'replayed', done);
      const task = await onlyTask(product, deployment);
      expect(statesOf(task)).toEqual(wholeWay);

      // And over a restart of the agent.
      await host.runOrThrow(['systemctl', 'restart', 'fixpoint-agent']);
      await sleep(4);
      expect(await hostFacts(host)).toEqual(untouched);

      proxyOf('victim').tamper(null);
      const again = await start('victim');
      await watch(again);
      expect(await hostFacts(host)).toEqual(installedOnce);
    });
  });

  test('that was held back and comes after a later one', async () => {
    await watched('victim', async (host) => {
      const count = proxyOf('victim').orders.length;
      inEveryAnswer('victim', () => null);
      const first = await start('victim');
      const held = await orderAfter('victim', count);
      await act(first, 'cancel');
      proxyOf('victim').tamper(null);
      const second = await start('victim');
      await watch(second);
      expect(await hostFacts(host)).toEqual(installedOnce);

      await installVulnerable(host);
      inject('victim', held);
      await refused('victim', 'replayed', held);
      expect((await onlyTask(faultLab.product, first)).task.state).toBe('cancelled');
    });
  });

  test('that was held back until it expired: the task is expired, and a retry does it', async () => {
    await watched('late', async (host) => {
      const { product } = faultLab;
      const deployment = lateDeployment;
      const held = await orderAfter('late', 0);
      await watchDeployment(product, deployment, { timeoutSeconds: 90 });
      const expired = await onlyTask(product, deployment);
      expect(expired.task).toMatchObject({ state: 'expired', reason: { code: 'offer_expired' } });

      inject('late', held);
      await refused('late', 'expired', held);
      expect((await onlyTask(product, deployment)).task.state).toBe('expired');

      proxyOf('late').tamper(null);
      await act(deployment, 'retry_failed');
      await watch(deployment);
      expect((await onlyTask(product, deployment)).task.state).toBe('succeeded');
      expect(await hostFacts(host)).toEqual(installedOnce);
    });
  });

  test('and all of it is on a trail that verifies', async () => {
    const { product } = faultLab;
    expect(await auditVerifies(product)).toMatchObject({ ok: true, first_bad: null });
    const refusals = await trail(product, 'event=asset.order_refused');
    const reasons = refusals.map(
      (event) => /"refusal":"(\w+)"/.exec(JSON.stringify(event.after))?.[1] ?? 'none',
    );
    expect(reasons.toSorted((a, b) => a.localeCompare(b))).toEqual([
      'expired',
      'key_unknown',
      'other_asset',
      'replayed',
      'replayed',
      'signature_invalid',
      'signature_invalid',
    ]);
  });
});
