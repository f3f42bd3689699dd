/**
 * A host's cable is pulled in the middle of its task: the task is `unreachable`, not failed, the others go on, and it resumes
 * when the host is back.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { monotonicSeconds, waitFor } from './clock.ts';
import {
  auditVerifies,
  enrolBehindProxy,
  explained,
  hostFacts,
  installedOnce,
  installVulnerable,
  jobOver,
  slow,
  startFaultLab,
  statesOf,
  untilInside,
  untouched,
  wholeWay,
  type FaultLab,
} from './fault-lab.ts';
import type { Host } from './host.ts';
import { deploymentDetail, startJob, taskDetail, watchDeployment } from './patching.ts';
import { missing, say } from './lab-suite.ts';
import type { TamperingProxy } from './tampering-proxy.ts';

/** An asset is silent after three missed check-ins, and not before this: server/src/deployment/observe.ts. */
const silentAfterSeconds = 30;
/** From then until the server looks, and until we do. */
const slackSeconds = 10;

describe.skipIf(missing !== undefined)('a host is cut off from the network', () => {
  let faultLab: FaultLab;
  let cutOff: Host;
  /** Before the host that is cut off, so that its downloads can be held until the cable is out. */
  let proxy: TamperingProxy;

  beforeAll(async () => {
    faultLab = await startFaultLab({ names: ['n1', 'n2'], enrol: ['n2'], say });
    ({ proxy } = await enrolBehindProxy(faultLab, 'n1'));
    cutOff = faultLab.host('n1');
  });
  beforeEach(async () => {
    proxy.tamper(null);
    for (const host of faultLab.lab.hosts()) await installVulnerable(host);
  });
  afterAll(async () => {
    await proxy?.stop();
    await faultLab?.stop();
  });

  const stateOn = async (deployment: string, name: string): Promise<string> =>
    (await deploymentDetail(faultLab.product, deployment)).tasks.find((task) => task.hostname === name)
      ?.state ?? 'none';

  /** Pulls the cable and holds what must be while it is out; puts it back when the task is known to be unreachable. */
  async function cutWhileWorking(deployment: string): Promise<void> {
    const { network } = faultLab.lab;
    await network.cut(cutOff);
    const since = monotonicSeconds();
    try {
      await waitFor(
        'the other host to be done',
        async () => ((await stateOn(deployment, 'n2')) === 'succeeded' ? true : undefined),
        { timeoutSeconds: silentAfterSeconds, everySeconds: 0.3 },
      );
      await waitFor(
        'the task to be unreachable',
        async () => {
          const state = await stateOn(deployment, 'n1');
          if (state === 'failed') throw new Error('the task failed, but its host is only silent');
          return state === 'unreachable' ? true : undefined;
        },
        { timeoutSeconds: silentAfterSeconds + slackSeconds, everySeconds: 0.5 },
      );
      // Not before its time: three check-ins can be lost on any network.
      expect(monotonicSeconds() - since).toBeGreaterThan(silentAfterSeconds - 3);
      expect((await deploymentDetail(faultLab.product, deployment)).deployment.state).toBe('running');
    } finally {
      say(`n1: cut off for ${(monotonicSeconds() - since).toFixed(0)} s`);
    }
  }

  async function endsWell(deployment: string, during: string): Promise<void> {
    const { product } = faultLab;
    const ended = await watchDeployment(product, deployment, {
      // The agent comes back when its waiting is over, which grows with each attempt that failed.
      timeoutSeconds: 240,
      onChange: (hostname, state, message) => say(`${hostname}: ${state} ${message}`.trimEnd()),
    });
    expect(ended.deployment.state).toBe('completed');
    const task = ended.tasks.find((one) => one.hostname === 'n1');
    const states = statesOf(await taskDetail(product, task?.id ?? ''));
    const at = wholeWay.findIndex((state) => state === during);
    // Once it is heard, it checks in at once, so it is called unreachable no second time.
    expect(states).toEqual([...wholeWay.slice(0, at + 1), 'unreachable', during, ...wholeWay.slice(at + 1)]);
    for (const host of faultLab.lab.hosts()) expect(await hostFacts(host)).toEqual(installedOnce);
    expect(await auditVerifies(product)).toMatchObject({ ok: true });
  }

  test('while it installs: it installs to the end on its own, and says so when it is back', async () => {
    const { product, lab } = faultLab;
    await slow(cutOff, 'postinst', 5.5);
    const job = await jobOver(product, ['n1', 'n2'], { name: 'cut while installing' });
    await explained(product, lab.hosts(), async () => {
      const deployment = await startJob(product, job);
      await untilInside(cutOff, 5.5);
      await cutWhileWorking(deployment);
      expect(await hostFacts(cutOff)).toEqual(installedOnce);
      await lab.network.heal(cutOff);
      await endsWell(deployment, 'installing');
    });
  });

  test('while it downloads: it takes up the download again when it is back', async () => {
    const { product, lab } = faultLab;
    const asked = Promise.withResolvers<void>();
    const back = Promise.withResolvers<void>();
    proxy.tamper({
      async before({ target }) {
        if (!target.endsWith('.deb')) return;
        asked.resolve();
        await back.promise;
      },
    });
    const job = await jobOver(product, ['n1', 'n2'], { name: 'cut while downloading' });
    await explained(product, lab.hosts(), async () => {
      const deployment = await startJob(product, job);
      await asked.promise;
      await cutWhileWorking(deployment);
      // Long enough for apt to give up, which is not to be the end of the task.
      await waitFor(
        'apt to give up',
        async () => ((await cutOff.run(['pidof', 'apt-get'])).exitCode === 0 ? undefined : true),
        { timeoutSeconds: 150, everySeconds: 1 },
      );
      expect(await hostFacts(cutOff)).toEqual(untouched);
      expect(await stateOn(deployment, 'n1')).toBe('unreachable');
      back.resolve();
      await lab.network.heal(cutOff);
      await endsWell(deployment, 'downloading');
    });
  });
});
