/**
 * The server dies (SIGKILL) during a deployment and is started again: the deployment goes on, nothing is offered twice,
 * nothing runs twice, and no report that it had accepted is lost.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sleep, waitFor } from './clock.ts';
import {
  auditVerifies,
  enrolBehindProxy,
  explained,
  hostFacts,
  installedOnce,
  installVulnerable,
  jobOver,
  journalOf,
  slow,
  startFaultLab,
  statesOf,
  untilInside,
  wholeWay,
  type FaultLab,
} from './fault-lab.ts';
import { goodLog } from './lab-packages.ts';
import { startJob, taskDetail, trail, watchDeployment } from './patching.ts';
import { missing, say } from './lab-suite.ts';
import type { Tampering, TamperingProxy } from './tampering-proxy.ts';

const names = ['s1', 's2', 's3', 's4'] as const;
const concurrency = 2;
/** Seconds that the installation takes, so that the server is back in the middle of it. */
const installSeconds = 3.5;

describe.skipIf(missing !== undefined)('the server dies', () => {
  let faultLab: FaultLab;
  /** Between s1 and the server: it sees what is asked and answered, so that a kill can be placed exactly. */
  let proxy: TamperingProxy;

  beforeAll(async () => {
    faultLab = await startFaultLab({ names, enrol: names.slice(1), say });
    ({ proxy } = await enrolBehindProxy(faultLab, 's1'));
  });
  afterAll(async () => {
    await proxy?.stop();
    await faultLab?.stop();
  });

  /** Kills the server once, when an answer to s1 is what is asked for; that answer never arrives. */
  function killAtAnswer(wanted: (target: string, request: string, answer: string) => boolean): Promise<void> {
    const { product } = faultLab;
    const killed = Promise.withResolvers<void>();
    let done = false;
    const after: NonNullable<Tampering['after']> = async ({ target, request }, answer) => {
      if (done || !wanted(target, request, answer)) return answer;
      done = true;
      await product.kill();
      killed.resolve();
      return null;
    };
    proxy.tamper({ after });
    return killed.promise;
  }

  const hosts = () => names.map((name) => faultLab.host(name));

  /** When the server is to die, given the name of the moment; resolves when it is dead. */
  const moments: Readonly<Record<string, () => Promise<void>>> = {
    'with an order in its hand: signed and recorded, not delivered': () =>
      killAtAnswer((target, _, answer) => target.endsWith('/check-in') && answer.includes('"payload"')),
    'while a host installs': async () => {
      await Promise.race(hosts().map((host) => untilInside(host, installSeconds)));
      await faultLab.product.kill();
    },
    'right after a host has installed, before it is told': async () => {
      await waitFor(
        'a host to have installed',
        async () => {
          const logs = await Promise.all(hosts().map((host) => host.readFile(goodLog)));
          return logs.some((log) => log.includes('configured')) ? true : undefined;
        },
        { timeoutSeconds: 60, everySeconds: 0.05 },
      );
      await faultLab.product.kill();
    },
    'having recorded that a host has installed, before it says that it has': () =>
      killAtAnswer((target, request) => target.endsWith('/task-events') && request.includes('"installed"')),
    'having judged a host, before it says so': () =>
      killAtAnswer((target, request) => target.endsWith('/task-events') && request.includes('"verifying"')),
  };

  test.each(Object.keys(moments))('%s', async (moment) => {
    const { product } = faultLab;
    proxy.tamper(null);
    await Promise.all(
      hosts().map(async (host) => {
        await installVulnerable(host);
        await slow(host, 'postinst', installSeconds);
      }),
    );
    const job = await jobOver(product, names, { name: `server dies ${moment}`.slice(0, 100), concurrency });
    const before = await auditVerifies(product);

    await explained(product, hosts(), async () => {
      const dead = moments[moment]?.();
      const deployment = await startJob(product, job);
      await Promise.race([
        dead,
        sleep(90).then(() => {
          throw new Error(`the moment did not come: ${moment}`);
        }),
      ]);
      await sleep(1);
      await product.start();
      const ended = await watchDeployment(product, deployment, {
        timeoutSeconds: 120,
        onChange: (hostname, state) => say(`${hostname}: ${state}`),
      });

      expect(ended.deployment.state).toBe('completed');
      expect(ended.tasks).toHaveLength(names.length);
      const atWork: { at: number; change: 1 | -1 }[] = [];
      for (const task of ended.tasks) {
        const host = faultLab.host(task.hostname);
        expect(await hostFacts(host)).toEqual(installedOnce);
        const detail = await taskDetail(product, task.id);
        // Each state once; a server that was away blames nobody for silence.
        expect(statesOf(detail)).toEqual(wholeWay);
        // All that the host wrote down is there, once: what was accepted before the crash, and what came after it.
        const journal = await journalOf(host, task.id);
        expect(detail.events.filter((event) => event.source === 'agent').map((event) => event.to)).toEqual(
          journal.flatMap((entry) => entry.event?.state ?? []),
        );
        expect(journal.filter((entry) => entry.step === 'install' && entry.phase === 'begin')).toHaveLength(
          1,
        );
        const offered = await trail(product, `subject=${task.id}&event=task.offered`);
        expect(offered.map((event) => event.after)).toMatchObject([{ generation: 1, state: 'offered' }]);
        const times = await trail(product, `subject=${task.id}`);
        atWork.push({ at: times.find((event) => event.event === 'task.offered')?.sequence ?? 0, change: 1 });
        atWork.push({ at: times.find((event) => event.event === 'task.ended')?.sequence ?? 0, change: -1 });
      }
      // The limit of the job holds over the restart; the numbers of the trail are the order in which things happened.
      let now = 0;
      let most = 0;
      for (const { change } of atWork.toSorted((a, b) => a.at - b.at)) {
        now += change;
        most = Math.max(most, now);
      }
      expect(most).toBe(concurrency);

      // Whole from its first entry on, and what was its end before the crash is still in it.
      expect(await auditVerifies(product, before)).toMatchObject({ ok: true, first_bad: null });
    });
  });
});
