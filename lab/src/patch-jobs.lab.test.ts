/**
 * Patch jobs in full, on booted hosts: the plan is what apt's own solver says on each of them; reboots happen when and where
 * they may, one at a time where a tag says so, and people on the host can put them off; windows are kept to.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PlanDetail, PlanSummary } from '@fixpoint/contract/plan.ts';
import { Deployment, PatchJob } from '@fixpoint/contract/patch-job.ts';
import { now, sleep, waitFor } from './clock.ts';
import { explained, startFaultLab, statesOf, type FaultLab } from './fault-lab.ts';
import type { Host } from './host.ts';
import { fixedVersion, vulnerableVersion } from './lab-packages.ts';
import { missing, say } from './lab-suite.ts';
import {
  deploymentDetail,
  findings,
  newestPatch,
  onlyTask,
  startJob,
  taskDetail,
  watchDeployment,
} from './patching.ts';
import type { Product } from './product.ts';

const reboots = 'fixpoint-lab-reboots';

async function createJob(product: Product, definition: Readonly<Record<string, unknown>>): Promise<string> {
  const job = await product.api.post(
    '/api/v1/jobs',
    {
      trigger: 'manual',
      target: { tags: [], assets: [], exclude: [] },
      units: 'restart',
      install_timeout_seconds: 120,
      expire_after_seconds: 3_600,
      concurrency: 100,
      ...definition,
    },
    PatchJob,
  );
  return job.id;
}

async function vulnerableTo(
  product: Product,
  hosts: readonly Host[],
  names: readonly string[],
): Promise<void> {
  for (const host of hosts) {
    await host.runOrThrow(['apt-get', 'update', '--quiet', '--error-on=any'], { timeoutSeconds: 60 });
    await host.runOrThrow(
      [
        'apt-get',
        'install',
        '--yes',
        '--quiet',
        '--allow-downgrades',
        ...names.map((name) => `${name}=${vulnerableVersion}`),
      ],
      { timeoutSeconds: 120 },
    );
    await host.runOrThrow(['rm', '-f', '/run/reboot-required', '/run/reboot-required.pkgs']);
  }
  for (const name of names) {
    await waitFor(
      `${name} to be seen as vulnerable`,
      async () => {
        const open = (await findings(product, `package=${name}`)).filter((one) => one.status === 'open');
        return hosts.every((host) => open.some((one) => one.hostname === host.name)) ? true : undefined;
      },
      { timeoutSeconds: 60, everySeconds: 0.5 },
    );
  }
}

const assetsOf = (hosts: readonly Host[]) => ({
  tags: [],
  assets: hosts.map((host) => host.name),
  exclude: [],
});

describe.skipIf(missing !== undefined)('patch jobs in full', () => {
  let faultLab: FaultLab;
  let product: Product;
  let hosts: readonly Host[];

  beforeAll(async () => {
    faultLab = await startFaultLab({ names: ['j1', 'j2'], say });
    product = faultLab.product;
    hosts = ['j1', 'j2'].map((name) => faultLab.host(name));
  });
  afterAll(async () => {
    await faultLab?.stop();
  });
  const told = <T>(body: () => Promise<T>): Promise<T> => explained(product, hosts, body);

  /** A plan that the hosts have been asked about. */
  async function askedPlan(job: string): Promise<PlanDetail> {
    const { id } = await product.api.post(`/api/v1/jobs/${job}/plans`, { wait_seconds: 60 }, PlanSummary);
    return await waitFor(
      'the hosts to answer what they would do',
      async () => {
        const plan = await product.api.get(`/api/v1/plans/${id}`, PlanDetail);
        return plan.state === 'ready' ? plan : undefined;
      },
      { timeoutSeconds: 90, everySeconds: 0.5 },
    );
  }

  test('the plan says what the host’s own solver would really do, and just that is done', async () => {
    await told(async () => {
      const [one] = hosts;
      if (one === undefined) throw new Error('no host');
      const names = ['fixpoint-lab-needs', 'fixpoint-lab-unmet'];
      await vulnerableTo(product, [one], names);
      const needs = await createJob(product, {
        name: 'needs something new',
        patches: [await newestPatch(product, 'fixpoint-lab-needs')],
        target: assetsOf([one]),
        rollback: { on: 'any_failure' },
      });
      const plan = await askedPlan(needs);
      expect(plan.plan.excluded).toEqual([]);
      const [task] = plan.plan.tasks;
      expect(task?.packages.map((p) => [p.name, p.to])).toEqual([['fixpoint-lab-needs', fixedVersion]]);
      expect(task?.added).toMatchObject([{ name: 'fixpoint-lab-needed', version: fixedVersion }]);
      expect(task?.prediction).toMatchObject({ reboot: false, rollback: { possible: true } });
      expect(task?.prediction?.download_bytes).toBeGreaterThan(500);
      expect(task?.prediction?.disk_free_bytes).toBeGreaterThan(0);

      const started = await product.api.post(
        `/api/v1/jobs/${needs}/start`,
        { plan_id: plan.id, ...(plan.digest === null ? {} : { plan_digest: plan.digest }) },
        Deployment,
      );
      const ended = await watchDeployment(product, started.id, { timeoutSeconds: 90 });
      expect(ended.tasks.map((t) => t.state)).toEqual(['succeeded']);
      expect(
        (await one.runOrThrow(['dpkg-query', '-W', '-f', '${Version}', 'fixpoint-lab-needed'])).trim(),
      ).toBe(fixedVersion);
      // It came because another one needs it, and goes when nobody does.
      expect(await one.runOrThrow(['apt-mark', 'showauto', 'fixpoint-lab-needed'])).toContain(
        'fixpoint-lab-needed',
      );

      const unmet = await createJob(product, {
        name: 'needs what there is not',
        patches: [await newestPatch(product, 'fixpoint-lab-unmet')],
        target: assetsOf([one]),
      });
      const left = await askedPlan(unmet);
      expect(left.plan.tasks).toEqual([]);
      expect(left.plan.excluded).toMatchObject([{ reason: 'dependency_conflict' }]);
      expect(left.plan.excluded[0]?.message).toContain('fixpoint-lab-nowhere');
    });
  });

  test('a package is taken away only by a job that allows it', async () => {
    await told(async () => {
      const [one] = hosts;
      if (one === undefined) throw new Error('no host');
      await one.run(['apt-get', 'remove', '--yes', '--quiet', 'fixpoint-lab-needs']);
      await vulnerableTo(product, [one], ['fixpoint-lab-ousts']);
      await one.runOrThrow(['apt-get', 'install', '--yes', '--quiet', 'fixpoint-lab-needed']);
      const definition = {
        name: 'takes one away',
        patches: [await newestPatch(product, 'fixpoint-lab-ousts')],
        target: assetsOf([one]),
      };
      const not = await askedPlan(await createJob(product, definition));
      expect(not.plan.excluded).toMatchObject([{ reason: 'removal_not_allowed' }]);
      const job = await createJob(product, { ...definition, allow_removals: true });
      const plan = await askedPlan(job);
      expect(plan.plan.tasks[0]?.removed).toMatchObject([{ name: 'fixpoint-lab-needed' }]);
      const started = await product.api.post(`/api/v1/jobs/${job}/start`, { plan_id: plan.id }, Deployment);
      const ended = await watchDeployment(product, started.id, { timeoutSeconds: 90 });
      expect(ended.tasks.map((t) => t.state)).toEqual(['succeeded']);
      const gone = await one.run(['dpkg-query', '-W', '-f', '${db:Status-Abbrev}', 'fixpoint-lab-needed']);
      expect(gone.stdout).not.toContain('ii');
    });
  });

  test('two hosts of one tag are never down for a reboot at once, and each is known by its new boot id', async () => {
    await told(async () => {
      await vulnerableTo(product, hosts, [reboots]);
      const before = await Promise.all(hosts.map((host) => host.bootId()));
      const boots = hosts.map((host) => host.bootCount());
      const job = await createJob(product, {
        name: 'reboots one by one',
        patches: [await newestPatch(product, reboots)],
        target: assetsOf(hosts),
        reboot: { mode: 'force', countdown_seconds: 1, limits: [{ tag: 'faults', at_once: 1 }] },
      });
      const deployment = await startJob(product, job);
      let most = 0;
      const looking = { on: true };
      const look = (async () => {
        while (looking.on) {
          const { tasks } = await deploymentDetail(product, deployment);
          most = Math.max(most, tasks.filter((t) => t.state === 'rebooting').length);
          await sleep(0.2);
        }
      })();
      await Promise.all(
        hosts.map(async (host, i) => {
          await waitFor(
            `${host.name} to reboot`,
            () => (host.bootCount() > (boots[i] ?? 0) ? true : undefined),
            {
              timeoutSeconds: 120,
            },
          );
          await host.waitBooted();
        }),
      );
      const ended = await watchDeployment(product, deployment, { timeoutSeconds: 120 });
      looking.on = false;
      await look;
      expect(ended.tasks.map((t) => t.state)).toEqual(['succeeded', 'succeeded']);
      expect(most).toBe(1);
      for (const [i, host] of hosts.entries()) {
        expect(await host.bootId()).not.toBe(before[i]);
        expect(host.bootCount()).toBe((boots[i] ?? 0) + 1);
      }
      for (const task of ended.tasks) {
        const detail = await taskDetail(product, task.id);
        expect(statesOf(detail)).toContain('rebooting');
        const back = detail.events.find((event) => event.message?.includes('is back') === true);
        expect(back?.detail).toMatchObject({ reboot: { deferrals: 0 } });
      }
    });
  });

  test('who is logged in is asked, and may put the reboot off once', async () => {
    await told(async () => {
      const [one] = hosts;
      if (one === undefined) throw new Error('no host');
      await vulnerableTo(product, [one], [reboots]);
      const job = await createJob(product, {
        name: 'asks before it reboots',
        patches: [await newestPatch(product, reboots)],
        target: assetsOf([one]),
        reboot: { mode: 'prompt', countdown_seconds: 20, deferrals_maximum: 1, deferral_minutes: 1 },
      });
      const boots = one.bootCount();
      const deployment = await startJob(product, job);
      const said = async (text: string): Promise<void> => {
        await waitFor(
          text,
          async () => {
            const { events } = await onlyTask(product, deployment);
            return events.some((event) => event.message?.includes(text) === true) ? true : undefined;
          },
          { timeoutSeconds: 150, everySeconds: 0.5 },
        );
      };
      await said('Reboot announced');
      await one.runOrThrow(['fixpoint-agent', 'reboot', 'later']);
      await said('put the reboot off');
      expect(one.bootCount()).toBe(boots);
      await waitFor('the reboot', () => (one.bootCount() > boots ? true : undefined), {
        timeoutSeconds: 180,
      });
      await one.waitBooted();
      const ended = await watchDeployment(product, deployment, { timeoutSeconds: 90 });
      expect(ended.tasks.map((t) => t.state)).toEqual(['succeeded']);
    });
  });

  test('a job waits for its window, downloads ahead of it, and installs in it', async () => {
    await told(async () => {
      const [one] = hosts;
      if (one === undefined) throw new Error('no host');
      await vulnerableTo(product, [one], ['fixpoint-lab-needed']);
      // The next full minute that is at least 15 s away.
      const opensAt = Math.ceil((now().getTime() + 15_000) / 60_000) * 60_000;
      const job = await createJob(product, {
        name: 'waits for its window',
        patches: [await newestPatch(product, 'fixpoint-lab-needed')],
        target: assetsOf([one]),
        windows: [
          {
            zone: 'UTC',
            opens: { kind: 'once', local: new Date(opensAt).toISOString().slice(0, 16) },
            duration_minutes: 10,
          },
        ],
        prestage_minutes: 30,
      });
      const deployment = await startJob(product, job);
      await waitFor(
        'the download ahead of the window',
        async () => {
          const { task } = await onlyTask(product, deployment);
          return task.state === 'waiting_for_window' ? true : undefined;
        },
        { timeoutSeconds: 60, everySeconds: 0.3 },
      );
      expect(now().getTime()).toBeLessThan(opensAt);
      const ended = await watchDeployment(product, deployment, { timeoutSeconds: 120 });
      expect(ended.tasks.map((t) => t.state)).toEqual(['succeeded']);
      const { events } = await onlyTask(product, deployment);
      const installing = events.find((event) => event.to === 'installing');
      const staged = events.find((event) => event.to === 'staged');
      expect(Date.parse(staged?.at ?? '')).toBeLessThan(opensAt);
      expect(Date.parse(installing?.at ?? '')).toBeGreaterThanOrEqual(opensAt);
    });
  });
});
