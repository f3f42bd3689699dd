/**
 * What the owner of a host says counts on the host itself: packages that are never touched, hours, and which commands a name
 * stands for. Actions run once, also when the agent dies in one; and a patch after which the host is not well is told to be one.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AssetDetail } from '@fixpoint/contract/asset.ts';
import { PatchJob } from '@fixpoint/contract/patch-job.ts';
import { waitFor } from './clock.ts';
import { explained, good, startFaultLab, statesOf, type FaultLab } from './fault-lab.ts';
import type { Host } from './host.ts';
import { fixedVersion, vulnerableVersion } from './lab-packages.ts';
import { missing, say } from './lab-suite.ts';
import { findings, newestPatch, onlyTask, preview, startJob, watchDeployment } from './patching.ts';
import type { Product } from './product.ts';

const policyPath = '/etc/fixpoint/policy.toml';
const dead = 'fixpoint-lab-dead-service';

describe.skipIf(missing !== undefined)('the policy of a host, actions and health', () => {
  let faultLab: FaultLab;
  let product: Product;

  beforeAll(async () => {
    faultLab = await startFaultLab({ names: ['p1', 'p2'], say });
    product = faultLab.product;
  });
  afterAll(async () => {
    await faultLab?.stop();
  });

  async function job(
    host: Host,
    name: string,
    definition: Readonly<Record<string, unknown>>,
  ): Promise<string> {
    await vulnerable(host, name);
    const made = await product.api.post(
      '/api/v1/jobs',
      {
        name: `${name} on ${host.name}`,
        trigger: 'manual',
        patches: [await newestPatch(product, name)],
        target: { tags: [], assets: [host.name], exclude: [] },
        units: 'restart',
        install_timeout_seconds: 120,
        expire_after_seconds: 3_600,
        concurrency: 10,
        ...definition,
      },
      PatchJob,
    );
    return made.id;
  }

  async function vulnerable(host: Host, name: string): Promise<void> {
    await host.runOrThrow(
      ['apt-get', 'install', '--yes', '--quiet', '--allow-downgrades', `${name}=${vulnerableVersion}`],
      { timeoutSeconds: 120 },
    );
    await waitFor(
      `${host.name} to be seen as vulnerable`,
      async () => {
        const open = await findings(product, `package=${name}&asset=${host.name}`);
        return open.some((one) => one.status === 'open') ? true : undefined;
      },
      { timeoutSeconds: 60, everySeconds: 0.3 },
    );
  }

  async function policy(host: Host, text: string): Promise<void> {
    await host.runOrThrow(['install', '-d', '-m', '755', '/etc/fixpoint']);
    await host.writeFile(policyPath, text, 0o644);
    await host.runOrThrow(['chown', 'root:root', policyPath, '/etc/fixpoint']);
  }
  const policySeen = async (host: Host, wanted: (p: NonNullable<AssetDetail['host']>['policy']) => boolean) =>
    await waitFor(
      `the policy of ${host.name} to be seen`,
      async () => {
        const { host: facts } = await product.api.get(`/api/v1/assets/${host.name}`, AssetDetail);
        return wanted(facts?.policy) ? true : undefined;
      },
      { timeoutSeconds: 30, everySeconds: 0.2 },
    );
  const versionOf = async (host: Host, name: string): Promise<string> =>
    (await host.runOrThrow(['dpkg-query', '-W', '-f', '${Version}', name])).trim();
  const linesOf = async (host: Host, path: string): Promise<string[]> => {
    const { stdout } = await host.run(['cat', path]);
    return stdout.split('\n').filter((line) => line !== '');
  };

  test('a package that the owner forbids is refused by the host, and then not even planned', async () => {
    const host = faultLab.host('p1');
    await explained(product, [host], async () => {
      const forbidden = await job(host, good, {});
      await waitFor(
        'a plan',
        async () => ((await preview(product, forbidden)).tasks.length === 1 ? true : undefined),
        { timeoutSeconds: 30 },
      );
      // The server plans and orders by what it knows, while the owner writes.
      await host.runOrThrow(['systemctl', 'stop', 'fixpoint-agent']);
      const deployment = await startJob(product, forbidden);
      await policy(host, `[patching]\npackages.forbid = ["fixpoint-lab-g*"]\n`);
      await host.runOrThrow(['systemctl', 'start', 'fixpoint-agent']);
      const ended = await watchDeployment(product, deployment, { timeoutSeconds: 60 });
      expect(ended.tasks.map((task) => task.state)).toEqual(['failed']);
      expect((await onlyTask(product, deployment)).task.reason?.message).toContain(
        'The policy of the host forbids to touch fixpoint-lab-good (fixpoint-lab-g*)',
      );
      expect(await versionOf(host, good)).toBe(vulnerableVersion);
      await policySeen(host, (p) => p?.forbidden_packages.includes('fixpoint-lab-g*') === true);
      expect((await preview(product, forbidden)).excluded).toMatchObject([{ reason: 'host_policy' }]);
      // A slip of the pen forbids everything and says where it is.
      await policy(host, `[patching]\nhour = ["sat"]\n`);
      await policySeen(host, (p) => p?.problem?.includes('did you mean hours?') === true);
    });
  });

  test('outside of its hours the host waits; actions run once, also when the agent dies in one', async () => {
    const host = faultLab.host('p1');
    await explained(product, [host], async () => {
      await host.writeFile(
        '/usr/local/bin/drain',
        '#!/bin/sh\necho "begun $1 $(id -un) $FIXPOINT_PHASE" >> /var/tmp/drain.log\nsleep 3\necho "ended $1" >> /var/tmp/drain.log\n',
        0o755,
      );
      const commands = ['drain', 'undrain']
        .map((name) => `[actions.${name}]\ncommand = ["/usr/local/bin/drain", "${name}"]\nuser = "nobody"\n`)
        .join('\n');
      // A day from now on that is over, or far away: never within this test.
      const today = (await host.runOrThrow(['date', '+%u'])).trim();
      const otherDay = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'][(Number(today) + 2) % 7] ?? 'mon';
      await policy(host, `[patching]\nhours = ["${otherDay} 01:00-02:00"]\n${commands}`);
      await policySeen(host, (p) => p?.actions.length === 2);
      const action = (name: string) => ({ name, timeout_seconds: 30, on_failure: 'fail' });
      const drained = await job(host, good, {
        actions: { before: [action('drain')], after: [action('undrain')] },
      });
      const deployment = await startJob(product, drained);
      await waitFor(
        'the host to wait for its hours',
        async () => {
          const { task, events } = await onlyTask(product, deployment);
          const said = events.some((event) => event.message?.includes('by its own clock') === true);
          return task.state === 'waiting_for_window' && said ? true : undefined;
        },
        { timeoutSeconds: 60 },
      );
      expect(await linesOf(host, '/var/tmp/drain.log')).toEqual([]);
      await policy(host, commands);
      await waitFor(
        'the action to run',
        async () => ((await linesOf(host, '/var/tmp/drain.log')).length > 0 ? true : undefined),
        { timeoutSeconds: 30, everySeconds: 0.1 },
      );
      await host.runOrThrow(['systemctl', 'kill', '--signal=KILL', '--kill-who=main', 'fixpoint-agent']);
      const ended = await watchDeployment(product, deployment, { timeoutSeconds: 90 });
      expect(ended.tasks.map((task) => task.state)).toEqual(['succeeded']);
      expect(await versionOf(host, good)).toBe(fixedVersion);
      expect(await linesOf(host, '/var/tmp/drain.log')).toEqual([
        'begun drain nobody before',
        'ended drain',
        'begun undrain nobody after',
        'ended undrain',
      ]);
      const { events } = await onlyTask(product, deployment);
      expect(JSON.stringify(events)).toContain('"name":"undrain"');
    });
  });

  test('a host that goes down in an action does not run it again, undoes what it did, and installs nothing', async () => {
    const host = faultLab.host('p1');
    await explained(product, [host], async () => {
      await host.writeFile(
        '/usr/local/bin/hangs',
        '#!/bin/sh\necho "begun $1" >> /var/tmp/drain.log\nexec sleep 600\n',
        0o755,
      );
      await policy(
        host,
        ['hangs', 'drain']
          .map((name) => `[actions.${name}]\ncommand = ["/usr/local/bin/${name}", "again"]\n`)
          .join('\n'),
      );
      await policySeen(host, (p) => p?.actions.includes('hangs') === true);
      await host.runOrThrow(['rm', '-f', '/var/tmp/drain.log']);
      const action = (name: string) => ({ name, timeout_seconds: 300, on_failure: 'fail' });
      const lost = await job(host, good, {
        actions: { before: [action('hangs')], after: [action('drain')] },
      });
      const deployment = await startJob(product, lost);
      await waitFor(
        'the action to run',
        async () => ((await linesOf(host, '/var/tmp/drain.log')).length > 0 ? true : undefined),
        { timeoutSeconds: 60, everySeconds: 0.1 },
      );
      await host.powerOff();
      await host.powerOn();
      const ended = await watchDeployment(product, deployment, { timeoutSeconds: 60 });
      expect(ended.tasks.map((task) => task.state)).toEqual(['failed']);
      const { task } = await onlyTask(product, deployment);
      expect(task.reason).toMatchObject({ code: 'action_failed' });
      expect(task.reason?.message).toContain('It was interrupted, and nobody can tell how far it came.');
      expect(await versionOf(host, good)).toBe(vulnerableVersion);
      expect(await linesOf(host, '/var/tmp/drain.log')).toEqual([
        'begun again',
        'begun again root after',
        'ended again',
      ]);
    });
  });

  test('a service that dies with its update is found by comparing before and after', async () => {
    const host = faultLab.host('p2');
    await explained(product, [host], async () => {
      await policy(host, `[probes.well]\ncommand = ["/bin/sh", "-c", "echo fine"]\n`);
      await policySeen(host, (p) => p?.probes.includes('well') === true);
      const health = {
        settle_seconds: 3,
        probes: [
          { kind: 'unit_active', unit: `${dead}.service` },
          { kind: 'tcp', host: '127.0.0.1', port: 80, timeout_seconds: 2 },
          { kind: 'http', url: 'http://127.0.0.1/', timeout_seconds: 2 },
          { kind: 'http', url: 'https://localhost:80/', timeout_seconds: 2 },
          { kind: 'tcp', host: faultLab.lab.network.address, port: 22, timeout_seconds: 2 },
          { kind: 'command', name: 'well', timeout_seconds: 2 },
        ],
      };
      const deployment = await startJob(product, await job(host, dead, { health }));
      const ended = await watchDeployment(product, deployment, { timeoutSeconds: 90 });
      expect(ended.tasks.map((task) => task.state)).toEqual(['failed']);
      const detail = await onlyTask(product, deployment);
      expect(statesOf(detail)).toContain('installed');
      expect(detail.task.reason).toMatchObject({ code: 'health_failed' });
      const failed = detail.events.find((event) => event.to === 'failed');
      expect(failed?.detail).toMatchObject({
        health: {
          newly_failed_units: [`${dead}.service`],
          units_gone: [],
          probes: [
            { probe: `unit_active ${dead}.service`, before: 'ok', after: 'failed' },
            { probe: 'tcp 127.0.0.1:80', before: 'ok', after: 'ok' },
            { probe: 'http http://127.0.0.1/', before: 'ok', after: 'ok' },
            { probe: 'http https://localhost:80/', before: 'failed', after: 'failed' },
            { before: 'refused', after: 'refused' },
            { probe: 'command well', before: 'ok', after: 'ok', message: 'fine' },
          ],
        },
      });
      expect(JSON.stringify(failed?.detail)).toContain('TLS failed');

      const well = await startJob(product, await job(host, good, { health }));
      const fine = await watchDeployment(product, well, { timeoutSeconds: 90 });
      expect(fine.tasks.map((task) => task.state)).toEqual(['succeeded']);
      expect(JSON.stringify((await onlyTask(product, well)).events)).toContain('As well as before');
    });
  });
});
