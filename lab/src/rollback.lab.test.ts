/**
 * Going back, on booted hosts with the real apt and dpkg: a task changes versions and configuration and breaks a service, and is
 * rolled back by hand, by itself after the health check, with agent and host dying in the middle, and where nothing is kept.
 */
import type { Static } from 'typebox';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PatchJob, TaskDetail, type PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import { waitFor } from './clock.ts';
import {
  auditVerifies,
  explained,
  journalOf,
  startFaultLab,
  statesOf,
  untilInside,
  type FaultLab,
} from './fault-lab.ts';
import type { Host } from './host.ts';
import {
  configuredFolder,
  configuredLog,
  configuredUnit,
  fixedVersion,
  leaveServicesFile,
  slowFile,
  vulnerableVersion,
} from './lab-packages.ts';
import { missing, say } from './lab-suite.ts';
import {
  findings,
  newestPatch,
  onlyTask,
  preview,
  startJob,
  taskDetail,
  watchDeployment,
} from './patching.ts';

const configured = 'fixpoint-lab-configured';
const stateFolder = '/var/lib/fixpoint-agent';
const names = ['hand', 'health', 'killed', 'power', 'nothing'] as const;
type Name = (typeof names)[number];
type Rollback = NonNullable<PatchJobDefinition['rollback']>;

/** What the administrator made of main.conf; other.conf is as the package brought it. */
const ownConfiguration = `version=${vulnerableVersion}\nmode=by hand\n`;
interface Seen {
  readonly version: string;
  /** Name, permissions, owner, size and (of main.conf) time of each configuration file. */
  readonly files: readonly string[];
  readonly main: string;
  readonly service: string;
  readonly automatic: string;
  readonly audit: string;
}
const asBefore: Seen = {
  version: `${vulnerableVersion} ii`,
  files: [
    `main.conf 640 www-data:adm ${String(ownConfiguration.length)} 2026-01-02 03:04:05`,
    'other.conf 644 root:root 15 ',
  ],
  main: ownConfiguration,
  service: 'active',
  automatic: configured,
  audit: '',
};

describe.skipIf(missing !== undefined)('a rollback', () => {
  let faultLab: FaultLab;

  beforeAll(async () => {
    faultLab = await startFaultLab({ names, say });
    await Promise.all(names.map((name) => installConfigured(faultLab.host(name))));
  });
  afterAll(async () => {
    if (faultLab === undefined) return;
    try {
      // All of it is on a trail that verifies.
      expect(await auditVerifies(faultLab.product)).toMatchObject({ ok: true, first_bad: null });
    } finally {
      await faultLab.stop();
    }
  });

  /** The vulnerable version, as an administrator has set it up. */
  async function installConfigured(host: Host): Promise<void> {
    await host.runOrThrow(['apt-get', 'install', '--yes', '--quiet', `${configured}=${vulnerableVersion}`], {
      timeoutSeconds: 120,
    });
    const main = `${configuredFolder}/main.conf`;
    await host.writeFile(main, ownConfiguration);
    await host.runOrThrow(['chown', 'www-data:adm', main]);
    await host.runOrThrow(['chmod', '640', main]);
    await host.runOrThrow(['touch', '-d', '2026-01-02 03:04:05', main]);
    await host.runOrThrow(['apt-mark', 'auto', configured]);
    await host.writeFile(configuredLog, '');
    expect(await look(host)).toEqual(asBefore);
  }

  async function look(host: Host): Promise<Seen> {
    const format = '%f %m %u:%g %s %TY-%Tm-%Td %TH:%TM:%.2TS\\n';
    const listed = await host.runOrThrow(['find', configuredFolder, '-type', 'f', '-printf', format]);
    const files = listed
      .trim()
      .split('\n')
      .toSorted()
      // Of what the package brought, the time is that of its build.
      .map((line) => (line.startsWith('main.conf ') ? line : line.replace(/\S+ \S+$/u, '')));
    return {
      version: (
        await host.runOrThrow(['dpkg-query', '-W', '-f', '${Version} ${db:Status-Abbrev}', configured])
      ).trim(),
      files,
      main: await host.readFile(`${configuredFolder}/main.conf`),
      service: (await host.run(['systemctl', 'is-active', configuredUnit])).stdout.trim(),
      automatic: (await host.runOrThrow(['apt-mark', 'showauto', configured])).trim(),
      audit: (await host.runOrThrow(['dpkg', '--audit'])).trim(),
    };
  }

  async function patch(
    name: Name,
    rollback: Rollback,
    more: Partial<PatchJobDefinition> = {},
  ): Promise<Static<typeof TaskDetail>> {
    const { product } = faultLab;
    await waitFor(
      `${name} to be seen as vulnerable`,
      async () =>
        (await findings(product, `asset=${name}&package=${configured}`)).some((one) => one.status === 'open')
          ? true
          : undefined,
      { timeoutSeconds: 60, everySeconds: 0.5 },
    );
    const definition: PatchJobDefinition = {
      name: `rollback on ${name}`,
      trigger: 'manual',
      patches: [await newestPatch(product, configured)],
      target: { tags: [], assets: [name], exclude: [] },
      units: 'restart',
      rollback,
      install_timeout_seconds: 120,
      expire_after_seconds: 3_600,
      concurrency: 10,
      ...more,
    };
    const job = await product.api.post('/api/v1/jobs', definition, PatchJob);
    await waitFor(
      `a plan for ${name}`,
      async () => ((await preview(product, job.id)).tasks.length === 1 ? true : undefined),
      { timeoutSeconds: 30, everySeconds: 0.5 },
    );
    const deployment = await startJob(product, job.id);
    await watchDeployment(product, deployment, { timeoutSeconds: 120 });
    return await onlyTask(product, deployment);
  }

  async function rollBack(taskId: string): Promise<void> {
    await faultLab.product.api.post(
      `/api/v1/tasks/${taskId}/actions`,
      { action: 'roll_back', reason: 'the service does not run any more' },
      TaskDetail,
    );
  }

  async function ended(taskId: string, ...states: string[]): Promise<Static<typeof TaskDetail>> {
    return await waitFor(
      `the task to be ${states.join(' or ')}`,
      async () => {
        const detail = await taskDetail(faultLab.product, taskId);
        return states.includes(detail.task.state) ? detail : undefined;
      },
      { timeoutSeconds: 120, everySeconds: 0.3 },
    );
  }

  const on = (name: Name, body: (host: Host) => Promise<void>) => async (): Promise<void> => {
    const host = faultLab.host(name);
    await explained(faultLab.product, [host], () => body(host));
  };

  /** What a patch leaves of the service and its configuration. */
  async function expectPatched(host: Host): Promise<void> {
    const patched = await look(host);
    expect(patched.version).toBe(`${fixedVersion} ii`);
    expect(patched.service).toBe('failed');
    expect(patched.files.map((line) => line.split(' ')[0])).toEqual([
      'main.conf',
      'main.conf.dpkg-dist',
      'new.conf',
      'other.conf',
    ]);
  }

  async function scriptsOf(host: Host): Promise<string[]> {
    return (await host.readFile(configuredLog)).trim().split('\n');
  }
  const there = [`unpacked ${fixedVersion}`, `configured ${fixedVersion}`];
  const back = [`unpacked ${vulnerableVersion}`, `configured ${vulnerableVersion}`];

  test.concurrent(
    'by hand: versions, configuration, marks and service are exactly as before',
    on('hand', async (host) => {
      const done = await patch('hand', { on: 'by_hand', method: 'packages', required: true });
      expect(done.task).toMatchObject({ state: 'succeeded', reason: null });
      expect(done.events.find((event) => event.message?.includes('is kept') === true)).toMatchObject({
        to: 'staged',
        detail: { kept: { method: 'packages', packages: 1, missing: [] } },
      });
      await expectPatched(host);
      // Somebody tries to repair it, after the task.
      await host.writeFile(`${configuredFolder}/other.conf`, 'a try\n');

      // And the package will not start its service itself.
      await host.writeFile(leaveServicesFile, '');
      await rollBack(done.task.id);
      const rolled = await ended(done.task.id, 'rolled_back', 'failed');
      expect(rolled.task).toMatchObject({ state: 'rolled_back' });
      const now = await look(host);
      expect(now).toEqual({
        ...asBefore,
        files: [...asBefore.files, 'other.conf.fixpoint-new 644 root:root 6 '],
      });
      expect(await host.readFile(`${configuredFolder}/other.conf.fixpoint-new`)).toBe('a try\n');
      expect(await scriptsOf(host)).toEqual([...there, ...back]);
      expect(statesOf(rolled).slice(-2)).toEqual(['rolling_back', 'rolled_back']);
      // The vulnerability is back with the version, and is not said to be remediated.
      await waitFor(
        'the finding to be open again',
        async () =>
          (await findings(faultLab.product, `asset=hand&package=${configured}`)).some(
            (one) => one.status === 'open',
          )
            ? true
            : undefined,
        { timeoutSeconds: 30, everySeconds: 0.5 },
      );
    }),
  );

  test.concurrent(
    'by itself, after the host was found to be less well than before',
    on('health', async (host) => {
      const failed = await patch(
        'health',
        { on: 'health_failure' },
        { health: { probes: [], failed_units: true, settle_seconds: 1 } },
      );
      const rolled = await ended(failed.task.id, 'rolled_back');
      expect(JSON.stringify(rolled.events)).toContain('health_failed');
      expect(await look(host)).toEqual(asBefore);
      expect(await scriptsOf(host)).toEqual([...there, ...back]);
    }),
  );

  test.concurrent(
    'goes on where the agent died, and no script runs twice',
    on('killed', async (host) => {
      for (const place of ['put_back:running', 'put_back:done', 'with all that it started'] as const) {
        const done = await patch('killed', { on: 'verification_failure', method: 'packages' });
        await expectPatched(host);
        const all = place === 'with all that it started';
        await host.writeFile(slowFile, `postinst=${all ? '603' : '2'}\n`);
        await host.writeFile(
          '/etc/systemd/system/fixpoint-agent.service.d/stop-at.conf',
          `[Service]\n${all ? '' : `Environment=FIXPOINT_AGENT_STOP_AT=${place}\n`}`,
        );
        await host.runOrThrow(['rm', '-f', `${stateFolder}/stopped-once`]);
        await host.runOrThrow(['systemctl', 'daemon-reload']);
        await host.runOrThrow(['systemctl', 'restart', 'fixpoint-agent']);
        await rollBack(done.task.id);
        if (all) {
          await untilInside(host, 603);
          await host.runOrThrow(['rm', '-f', slowFile]);
          await host.runOrThrow(['systemctl', 'kill', '--signal=KILL', '--kill-who=all', 'fixpoint-agent']);
        }
        await ended(done.task.id, 'rolled_back', 'failed');
        if (!all) expect(await host.readFile(`${stateFolder}/stopped-once`)).toBe(`${place}\n`);
        expect([place, await look(host)]).toEqual([place, asBefore]);
        expect([place, ...(await scriptsOf(host))]).toEqual([place, ...there, ...back]);
        const journal = await journalOf(host, done.task.id, 2);
        expect(journal.filter((entry) => entry.step === 'put_back' && entry.phase === 'begin')).toHaveLength(
          all ? 2 : 1,
        );
        await host.runOrThrow(['rm', '-f', slowFile]);
        await host.writeFile(configuredLog, '');
      }
    }),
  );

  test.concurrent(
    'goes on after the host lost power inside a script of the earlier version',
    on('power', async (host) => {
      const done = await patch('power', { on: 'verification_failure', method: 'packages' });
      await host.writeFile(slowFile, 'preinst=602\n');
      await rollBack(done.task.id);
      await untilInside(host, 602);
      await host.runOrThrow(['rm', '-f', slowFile]);
      await host.powerOff();
      await host.powerOn();
      const rolled = await ended(done.task.id, 'rolled_back', 'failed');
      expect(rolled.task).toMatchObject({ state: 'rolled_back' });
      expect(await look(host)).toEqual(asBefore);
      // The script that was cut off had written nothing yet, and had to run again.
      expect(await scriptsOf(host)).toEqual([...there, ...back]);
    }),
  );

  test.concurrent(
    'is not begun with where nothing can be kept, and refused where nothing is',
    on('nothing', async (host) => {
      const done = await patch('nothing', { on: 'verification_failure', method: 'packages' });
      await host.runOrThrow(['rm', '-rf', `${stateFolder}/kept`]);
      await rollBack(done.task.id);
      const refused = await ended(done.task.id, 'failed', 'rolled_back');
      expect(refused.task.state).toBe('failed');
      expect(JSON.stringify(refused.task.reason)).toContain('nothing_kept');
      expect(await scriptsOf(host)).toEqual(there);

      // A version that no repository offers, and that nobody has kept.
      await host.runOrThrow([
        'sed',
        '-i',
        `/^Package: ${configured}$/,/^$/ s/^Version: .*/Version: 0.9-1/`,
        '/var/lib/dpkg/status',
      ]);
      const failed = await patch('nothing', { on: 'any_failure', required: true });
      expect(failed.task).toMatchObject({ state: 'failed', reason: { code: 'nothing_to_roll_back_to' } });
      expect(await scriptsOf(host)).toEqual(there);
    }),
  );
});
