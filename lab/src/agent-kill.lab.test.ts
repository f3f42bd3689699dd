/**
 * The agent dies (SIGKILL) at every step of its journal during an installation; then with everything that it started; then
 * with the whole host. Each time the host must end consistent, with nothing run twice, and the task must tell the truth.
 */
import { readFile } from 'node:fs/promises';
import { AssetDetail } from '@fixpoint/contract/asset.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { monotonicSeconds, waitFor } from './clock.ts';
import {
  auditVerifies,
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
import type { Host } from './host.ts';
import { rebootFile } from './lab-packages.ts';
import { onlyTask, startJob, watchDeployment } from './patching.ts';
import { missing, say } from './lab-suite.ts';

type Script = 'preinst' | 'postinst';

interface Fault {
  readonly what: string;
  /** Where the agent kills itself; see agent/src/stop-at.ts. */
  readonly stopAt?: string;
  /** Seconds that a script takes, so that the next agent comes while it is at work. */
  readonly slow?: readonly [Script, number];
  /** The package asks for a reboot, and the job makes it. */
  readonly reboot?: true;
  /** While that script sleeps: everything in the agent's control group is killed, or the host's plug is pulled. */
  readonly inside?: 'kill_all' | 'power_off';
}

const packageManagerSteps = ['refresh', 'simulate', 'download', 'install'] as const;
const ownSteps = ['report', 'restart', 'verify'] as const;

/** Longest first, so that no host is left with a long one at the end. */
const faults: readonly Fault[] = [
  ...(['preinst', 'postinst'] as const).flatMap((script): Fault[] => [
    { what: `power off inside ${script}`, slow: [script, 601], inside: 'power_off' },
    { what: `agent and apt killed inside ${script}`, slow: [script, 601], inside: 'kill_all' },
  ]),
  // A repair is needed only where the package manager itself was killed before.
  ...['repair', 'repair:running', 'repair:done'].map((stopAt): Fault => ({
    what: stopAt,
    stopAt,
    slow: ['postinst', 601],
    inside: 'kill_all',
  })),
  { what: 'install:running, slow preinst', stopAt: 'install:running', slow: ['preinst', 3] },
  { what: 'install:running, slow postinst', stopAt: 'install:running', slow: ['postinst', 3] },
  ...['permitted', 'reboot', 'reboot:running', 'reboot:done'].map((stopAt): Fault => ({
    what: stopAt,
    stopAt,
    reboot: true,
  })),
  ...['before', 'before:running', 'before:done', 'after', 'after:running', 'after:done'].map(stop),
  ...['keep', 'keep:done', 'baseline:done', 'health:done'].map(stop),
  ...packageManagerSteps.flatMap((step) => [step, `${step}:running`, `${step}:done`]).map(stop),
  ...ownSteps.flatMap((step) => [step, `${step}:done`]).map(stop),
  ...['accepted', 'ended'].map(stop),
];

function stop(stopAt: string): Fault {
  return { what: stopAt, stopAt };
}

/** Each phase of the actions leaves one line: nothing may run twice. */
const actionsLog = '/var/log/fixpoint-lab-actions.log';
const policy = `[actions.note]
command = ["/bin/sh", "-c", "echo $FIXPOINT_PHASE >> ${actionsLog}"]
timeout_seconds = 30
`;
const everything = {
  rollback: { on: 'health_failure' },
  health: { probes: [{ kind: 'unit_active', unit: 'systemd-journald.service' }] },
  actions: {
    before: [{ name: 'note', timeout_seconds: 30, on_failure: 'fail' }],
    after: [{ name: 'note', timeout_seconds: 30, on_failure: 'fail' }],
  },
} as const;

const stateFolder = '/var/lib/fixpoint-agent';
const wayWithReboot = [...wholeWay.slice(0, 5), 'reboot_pending', 'rebooting', ...wholeWay.slice(5)];

const names = ['k1', 'k2', 'k3', 'k4', 'k5', 'k6'] as const;

test('every step of the journal is among the places to die at', async () => {
  const source = await readFile(new URL('../../agent/src/task/journal.ts', import.meta.url), 'utf8');
  const list = /journalSteps = \[(.+?)\]/s.exec(source)?.[1] ?? '';
  const steps = [...list.matchAll(/'(\w+)'/g)].map((match) => match[1] ?? '');
  expect(steps.length).toBeGreaterThan(5);
  const places = new Set(faults.map((fault) => fault.stopAt?.split(':')[0]));
  // Configuration is changed, and died over, in mitigation.lab.test.ts; what is put back, in rollback.lab.test.ts. Waiting for a
  // window is only written down.
  const elsewhere = new Set(['mitigate', 'put_back', 'window']);
  expect(steps.filter((step) => !places.has(step) && !elsewhere.has(step))).toEqual([]);
});

describe.skipIf(missing !== undefined)('the agent dies', () => {
  let faultLab: FaultLab;

  beforeAll(async () => {
    faultLab = await startFaultLab({ names, say });
    for (const host of faultLab.lab.hosts()) await host.writeFile('/etc/fixpoint/policy.toml', policy);
    // A plan leaves out a host that is not known to have the action.
    await waitFor(
      'the policies to be seen',
      async () => {
        const seen = await Promise.all(
          names.map((name) => faultLab.product.api.get(`/api/v1/assets/${name}`, AssetDetail)),
        );
        return seen.every(({ host }) => host?.policy?.actions.includes('note') === true) ? true : undefined;
      },
      { timeoutSeconds: 60, everySeconds: 0.2 },
    );
  });
  afterAll(async () => {
    await faultLab?.stop();
  });

  async function arm(host: Host, fault: Fault): Promise<void> {
    const variable = fault.stopAt === undefined ? '' : `Environment=FIXPOINT_AGENT_STOP_AT=${fault.stopAt}\n`;
    await host.writeFile(
      '/etc/systemd/system/fixpoint-agent.service.d/stop-at.conf',
      `[Service]\n${variable}`,
    );
    await host.runOrThrow(['rm', '-f', `${stateFolder}/stopped-once`]);
    await host.runOrThrow(['systemctl', 'daemon-reload']);
    await host.runOrThrow(['systemctl', 'restart', 'fixpoint-agent']);
  }

  const restarts = async (host: Host): Promise<number> =>
    Number(await host.runOrThrow(['systemctl', 'show', '-P', 'NRestarts', 'fixpoint-agent']));

  async function strike(host: Host, fault: Fault): Promise<void> {
    if (fault.inside === undefined || fault.slow === undefined) return;
    const [script, seconds] = fault.slow;
    await untilInside(host, seconds);
    // The repair that follows runs the script again, this time without the delay.
    await slow(host, script, null);
    if (fault.inside === 'power_off') {
      await host.powerOff();
      await host.powerOn();
    } else {
      await host.runOrThrow(['systemctl', 'kill', '--signal=KILL', '--kill-who=all', 'fixpoint-agent']);
    }
  }

  async function suffer(host: Host, fault: Fault): Promise<void> {
    const { product } = faultLab;
    await installVulnerable(host);
    await host.writeFile(actionsLog, '');
    if (fault.reboot === true) await host.writeFile(rebootFile, '');
    else await host.runOrThrow(['rm', '-f', rebootFile]);
    await host.runOrThrow(['rm', '-f', '/run/reboot-required', '/run/reboot-required.pkgs']);
    if (fault.slow !== undefined) await slow(host, ...fault.slow);
    await arm(host, fault);
    const reboots = fault.reboot === true ? { reboot: { mode: 'force', countdown_seconds: 0 } } : {};
    const job = await jobOver(product, [host.name], {
      name: `${host.name}: ${fault.what}`.slice(0, 100),
      more: { ...everything, ...reboots },
    });
    const restartsBefore = await restarts(host);
    const bootsBefore = host.bootCount();
    const deployment = await startJob(product, job);
    await strike(host, fault);
    if (fault.reboot === true) {
      await waitFor('the reboot', () => (host.bootCount() > bootsBefore ? true : undefined), {
        timeoutSeconds: 90,
      });
      await host.waitBooted();
    }
    await watchDeployment(product, deployment, { timeoutSeconds: 120 });
    if (fault.stopAt === 'ended') {
      // The task may be judged before the agent dies: wait for what is to be proved.
      await waitFor(
        'the agent to die after its task',
        async () =>
          (await host.run(['test', '-e', `${stateFolder}/stopped-once`])).exitCode === 0 ? true : undefined,
        { timeoutSeconds: 20 },
      );
    }

    // It happened, and there.
    if (fault.stopAt !== undefined) {
      expect(await host.readFile(`${stateFolder}/stopped-once`)).toBe(`${fault.stopAt}\n`);
    }
    if (fault.reboot === true) expect(host.bootCount()).toBe(bootsBefore + 1);
    else if (fault.inside !== 'power_off') expect(await restarts(host)).toBeGreaterThan(restartsBefore);
    expect(await host.readFile(actionsLog)).toBe('before\nafter\n');
    // The host is whole, at the ordered version, and each script ran once.
    expect(await hostFacts(host)).toEqual(installedOnce);

    // The task tells the truth, and the server has heard all that the host wrote down.
    const detail = await onlyTask(product, deployment);
    expect(detail.task.reason).toBeNull();
    expect(statesOf(detail)).toEqual(fault.reboot === true ? wayWithReboot : wholeWay);
    expect(JSON.stringify(detail.events)).not.toContain('"refused"');
    const journal = await journalOf(host, detail.task.id);
    const told = detail.events.filter((event) => event.source === 'agent').map((event) => event.to);
    expect(told).toEqual(journal.flatMap((entry) => entry.event?.state ?? []));
    const begun = (step: string): number =>
      journal.filter((entry) => entry.step === step && entry.phase === 'begin').length;
    const installed = detail.events.find((event) => event.to === 'installed');
    if (fault.inside === undefined) {
      expect(begun('install')).toBe(1);
      expect(begun('repair')).toBe(0);
    } else {
      expect(begun('repair')).toBe(1);
      expect(installed?.message).toContain('interrupted');
      expect(installed?.detail).toMatchObject({ resumed: true });
    }
  }

  test('at every step, with what it started, with the host: each ends whole, done once, truly told', async () => {
    const { product } = faultLab;
    const waiting = [...faults];
    const failed: string[] = [];
    const started = monotonicSeconds();
    await Promise.all(
      names.map(async (name) => {
        const host = faultLab.host(name);
        for (let fault = waiting.shift(); fault !== undefined; fault = waiting.shift()) {
          const { what } = fault;
          const before = monotonicSeconds();
          try {
            await explained(product, [host], () => suffer(host, fault));
            say(`${name}: ${what}: survived, ${(monotonicSeconds() - before).toFixed(1)} s`);
          } catch (error) {
            failed.push(`${what} on ${name}: ${String(error)}`);
            say(`${name}: ${what}: FAILED ${String(error)}`);
            return;
          }
        }
      }),
    );
    say(`${faults.length} faults in ${(monotonicSeconds() - started).toFixed(0)} s`);
    expect(failed).toEqual([]);
    expect(waiting).toEqual([]);
    expect(await auditVerifies(product)).toMatchObject({ ok: true, first_bad: null });
  });
});
