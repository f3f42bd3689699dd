/**
 * CVE-2024-6387 on a real host with a real sshd: its mitigation is applied, verified, overridden, died over and undone, and the
 * host ends byte by byte as it began. No archive holds the vulnerable version any more, so the host has today's, and says in
 * its package database that it is the one of 2023.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TaskDetail } from '@fixpoint/contract/patch-job.ts';
import type { Static } from '@fixpoint/contract/schema.ts';
import { waitFor } from './clock.ts';
import { auditVerifies, explained, statesOf } from './fault-lab.ts';
import { type Lab, startLab } from './fleet.ts';
import type { Host } from './host.ts';
import { createJob, findings, onlyTask, preview, startJob, watchDeployment } from './patching.ts';
import { missing, say } from './lab-suite.ts';
import { agentBinary, enrolHosts, startProduct, type Product } from './product.ts';
import { runCommand } from './run-command.ts';

const vulnerability = 'CVE-2024-6387';
const id = 'sshd-login-grace-time';
const ownFile = `/etc/ssh/sshd_config.d/00-fixpoint-${id}.conf`;
const stateFolder = '/var/lib/fixpoint-agent';
const deaths = ['mitigate', 'mitigate:running', 'mitigate:done'] as const;
const wholeWay = ['offered', 'installing', 'installed', 'verifying', 'succeeded'];

/** Its last version that was vulnerable; see installSshd. */
const vulnerableVersion = '1:9.2p1-2+deb12u2';

/** A kernel as Debian signs it. A container boots none, so that its database names it is all that it takes. */
const kernelEntry = `Package: linux-image-6.1.0-18-amd64
Status: install ok installed
Maintainer: Debian Kernel Team <debian-kernel@lists.debian.org>
Architecture: amd64
Source: linux-signed-amd64 (6.1.76+1)
Version: 6.1.76-1
Description: Linux 6.1 for 64-bit PCs (signed)

`;

/** Installs sshd while the host is off, through this machine's own network and apt sources. */
async function installSshd(off: Host): Promise<void> {
  const hosts = await off.readFile('/etc/hosts');
  await off.writeFile('/etc/resolv.conf', await readFile('/etc/resolv.conf'));
  await off.writeFile('/etc/hosts', await readFile('/etc/hosts'));
  await off.writeFile('/usr/sbin/policy-rc.d', '#!/bin/sh\nexit 101\n', 0o755);
  const shown = await runCommand(['apt-config', 'shell', 'HTTP', 'Acquire::http::Proxy']);
  const proxy = process.env['http_proxy'] ?? /^HTTP='(.+)'$/m.exec(shown.stdout)?.[1];
  const environment = [
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    ...(proxy === undefined || proxy === 'DIRECT' ? [] : [`http_proxy=${proxy}`]),
  ];
  await off.runOrThrow([...environment, 'apt-get', 'update', '--quiet'], { timeoutSeconds: 300 });
  await off.runOrThrow(
    [...environment, 'apt-get', 'install', '--yes', '--quiet', '--no-install-recommends', 'openssh-server'],
    { timeoutSeconds: 300 },
  );
  await off.runOrThrow(['rm', '/usr/sbin/policy-rc.d', '/etc/resolv.conf']);
  await off.runOrThrow([
    'sed',
    '-i',
    `/^Package: openssh-/,/^$/ s/^Version: .*/Version: ${vulnerableVersion}/`,
    '/var/lib/dpkg/status',
  ]);
  await off.writeFile('/var/lib/dpkg/info/linux-image-6.1.0-18-amd64.list', '/.\n');
  await off.writeFile(
    '/var/lib/dpkg/status',
    `${(await off.readFile('/var/lib/dpkg/status')).trimEnd()}\n\n${kernelEntry}`,
  );
  // A first boot enables everything that is installed, which Debian's own installation does not do with this one.
  await off.runOrThrow(['systemctl', 'mask', 'ssh.socket']);
  await off.writeFile('/etc/hosts', hosts);
  await off.writeFile(
    '/etc/systemd/system/fixpoint-agent.service.d/fast.conf',
    '[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=1\n',
  );
}

describe.skipIf(missing !== undefined)('a mitigation on a real host', () => {
  let lab: Lab;
  let product: Product;
  let host: Host;

  beforeAll(async () => {
    const binary = await agentBinary(say);
    lab = await startLab({ onProgress: say });
    product = await startProduct({ address: lab.network.address, origins: [] });
    host = await lab.bootHost({ name: 'm1', prepare: installSshd });
    await enrolHosts(product, binary, [host], { tags: ['ssh'], mode: 'manage' });
  });
  afterAll(async () => {
    await product?.stop();
    await lab?.stop();
  });

  const graceTime = async (): Promise<string> =>
    /^logingracetime (\d+)$/m.exec(await host.runOrThrow(['sshd', '-T']))?.[1] ?? 'not told';
  /** Everything of /etc/ssh: names, modes, owners and content. */
  const configuration = async (): Promise<string> =>
    host.runOrThrow([
      'sh',
      '-c',
      "cd /etc/ssh && find . -printf '%p %y %m %u %g\\n' | sort && find . -type f | sort | xargs sha256sum",
    ]);
  const statusNow = async (): Promise<string> => {
    const [finding] = await findings(product, `vulnerability=${vulnerability}`);
    return finding?.status ?? 'none';
  };
  const untilStatus = (status: string): Promise<true> =>
    waitFor(
      `the finding to be ${status}`,
      async () => ((await statusNow()) === status ? (true as const) : undefined),
      { timeoutSeconds: 60, everySeconds: 0.5 },
    );
  const restartAgent = async (stopAt?: string): Promise<void> => {
    const variable = stopAt === undefined ? '' : `Environment=FIXPOINT_AGENT_STOP_AT=${stopAt}\n`;
    await host.writeFile(
      '/etc/systemd/system/fixpoint-agent.service.d/stop-at.conf',
      `[Service]\n${variable}`,
    );
    await host.runOrThrow(['rm', '-f', `${stateFolder}/stopped-once`]);
    await host.runOrThrow(['systemctl', 'daemon-reload']);
    await host.runOrThrow(['systemctl', 'restart', 'fixpoint-agent']);
  };
  async function deploy(undo: boolean, mitigation = id): Promise<Static<typeof TaskDetail>> {
    const job = await createJob(product, {
      name: undo ? 'take the mitigation back' : 'mitigate',
      patches: [`mitigation:${mitigation}`],
      assets: ['m1'],
      ...(undo ? { undo } : {}),
    });
    const plan = await preview(product, job.id);
    expect(plan.excluded).toEqual([]);
    const deployment = await startJob(product, job.id, plan.digest);
    await watchDeployment(product, deployment, { timeoutSeconds: 120 });
    return onlyTask(product, deployment);
  }
  const reloads = async (): Promise<number> =>
    (await host.runOrThrow(['journalctl', '-u', 'ssh', '--no-pager', '-o', 'cat']))
      .split('\n')
      .filter((line) => line.includes('Received SIGHUP')).length;

  test('known, applied, in force, overridden, and undone as if it had never been', async () => {
    await explained(product, [host], async () => {
      await untilStatus('open');
      const [open] = await findings(product, `vulnerability=${vulnerability}`);
      expect(open).toMatchObject({
        package: 'openssh',
        mitigations: [{ id, effect: 'blocks', state: null }],
      });
      const before = await configuration();
      const graceBefore = await graceTime();
      expect(graceBefore).not.toBe('0');
      const reloadsBefore = await reloads();

      const applied = await deploy(false);
      expect(statesOf(applied)).toEqual(wholeWay);
      expect(applied.evidence).toMatchObject({
        mitigations: [{ id, state: 'applied' }],
        before: [{ vulnerability, status: 'open' }],
        bears_on: [{ vulnerability, status: 'mitigated' }],
      });
      expect(await graceTime()).toBe('0');
      expect(await reloads()).toBe(reloadsBefore + 1);
      expect(await host.readFile(ownFile)).toMatch(
        new RegExp(`^# fixpoint mitigation ${id}\\n(?:#.*\\n)*LoginGraceTime 0\\n$`),
      );
      const [mitigated] = await findings(product, `vulnerability=${vulnerability}`);
      // It is no less there, and still has its patch.
      expect(mitigated).toMatchObject({ status: 'mitigated', patch: { id: open?.patch?.id } });
      say(`applied: ${String(Object(applied.evidence).sentence)}`);

      // Somebody's earlier file wins: the host says so, and the finding is open although our file is still there.
      await host.writeFile('/etc/ssh/sshd_config.d/00-a.conf', 'LoginGraceTime 45\n');
      await restartAgent();
      await untilStatus('open');
      const [overridden] = await findings(product, `vulnerability=${vulnerability}`);
      expect(overridden?.mitigations).toMatchObject([{ id, state: 'overridden' }]);
      await host.runOrThrow(['rm', '/etc/ssh/sshd_config.d/00-a.conf']);
      await restartAgent();
      await untilStatus('mitigated');

      const undone = await deploy(true);
      expect(statesOf(undone)).toEqual(wholeWay);
      expect(await statusNow()).toBe('open');
      expect(await configuration()).toBe(before);
      expect(await graceTime()).toBe(graceBefore);
      expect(await reloads()).toBe(reloadsBefore + 2);
    });
  });

  test('the agent dies at each step of applying and of undoing: whole every time, and truly told', async () => {
    const before = await configuration();
    for (const stopAt of deaths) {
      for (const undo of [false, true]) {
        await explained(product, [host], async () => {
          await restartAgent(stopAt);
          const detail = await deploy(undo);
          expect(await host.readFile(`${stateFolder}/stopped-once`)).toBe(`${stopAt}\n`);
          expect(detail.task.reason).toBeNull();
          expect(statesOf(detail)).toEqual(wholeWay);
          expect(JSON.stringify(detail.events)).not.toContain('"refused"');
          expect(await statusNow()).toBe(undo ? 'open' : 'mitigated');
          if (undo) expect(await configuration()).toBe(before);
          else expect(await graceTime()).toBe('0');
          say(`died at ${stopAt} while ${undo ? 'undoing' : 'applying'}: survived`);
        });
      }
    }
    await restartAgent();
    expect(await host.runOrThrow(['ls', `${stateFolder}/mitigations`])).toBe('');
  });

  test('parameters of the kernel that bound each other: set, kept over a reboot, and set back', async () => {
    const keys = [
      'net.ipv4.ipfrag_low_thresh',
      'net.ipv4.ipfrag_high_thresh',
      'net.ipv6.ip6frag_low_thresh',
      'net.ipv6.ip6frag_high_thresh',
    ];
    const values = async (): Promise<string[]> =>
      Promise.all(
        keys.map(async (key) => (await host.readFile(`/proc/sys/${key.replaceAll('.', '/')}`)).trim()),
      );
    await explained(product, [host], async () => {
      const before = await values();
      const wanted = ['196608', '262144', '196608', '262144'];
      expect(before).not.toEqual(wanted);
      expect(statesOf(await deploy(false, 'sysctl-ipfrag-thresholds'))).toEqual(wholeWay);
      expect(await values()).toEqual(wanted);
      // systemd reads our file at boot, and what is in force is seen again.
      await host.reboot();
      expect(await values()).toEqual(wanted);
      expect(statesOf(await deploy(true, 'sysctl-ipfrag-thresholds'))).toEqual(wholeWay);
      expect(await values()).toEqual(before);
      expect(
        (await host.run(['ls', '/etc/sysctl.d/zz-fixpoint-sysctl-ipfrag-thresholds.conf'])).exitCode,
      ).not.toBe(0);
    });
  });

  test('a parameter of the whole kernel is not for a container, and the plan says so', async () => {
    const job = await createJob(product, {
      name: 'not here',
      patches: ['mitigation:sysctl-unprivileged-userns'],
      assets: ['m1'],
    });
    expect((await preview(product, job.id)).excluded).toMatchObject([
      { hostname: 'm1', reason: 'mitigation_not_supported' },
    ]);
  });

  test('a host whose sshd would not start with it is left as it was, and the task says why', async () => {
    await explained(product, [host], async () => {
      await host.writeFile('/etc/ssh/sshd_config.d/50-broken.conf', 'NoSuchKeyword yes\n');
      const before = await configuration();
      const detail = await deploy(false);
      expect(detail.task).toMatchObject({ state: 'failed', reason: { code: 'mitigation_failed' } });
      expect(detail.task.reason?.message).toMatch(/sshd would not start .* has been taken back/);
      expect(await configuration()).toBe(before);
      await host.runOrThrow(['rm', '/etc/ssh/sshd_config.d/50-broken.conf']);
      expect(await auditVerifies(product)).toMatchObject({ ok: true, first_bad: null });
    });
  });

  test('a service that dies of its reload runs again as before, and the task says why', async () => {
    await explained(product, [host], async () => {
      // With the socket's port in systemd's hand, sshd cannot bind it again after a reload, and ends.
      for (const argv of [
        ['unmask', 'ssh.socket'],
        ['stop', 'ssh.service'],
        ['start', 'ssh.socket'],
        ['start', 'ssh.service'],
      ]) {
        await host.runOrThrow(['systemctl', ...argv]);
      }
      const before = await configuration();
      const detail = await deploy(false);
      expect(detail.task).toMatchObject({ state: 'failed', reason: { code: 'mitigation_failed' } });
      expect(detail.task.reason?.message).toMatch(/ssh\.service is failed .* has been taken back/);
      expect(await configuration()).toBe(before);
      expect((await host.runOrThrow(['systemctl', 'is-active', 'ssh.service'])).trim()).toBe('active');
      expect(await auditVerifies(product)).toMatchObject({ ok: true, first_bad: null });
    });
  });
});
