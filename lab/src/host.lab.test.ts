/** The lab itself, on one real host: what it promises to the end-to-end tests. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from './clock.ts';
import { type Lab, startLab } from './fleet.ts';
import type { Host } from './host.ts';
import { fixedVersion, goodLog, labPackages, slowFile, vulnerableVersion } from './lab-packages.ts';
import { cgroupRoots, mountsBelow } from './lab-run.ts';
import { missing, say } from './lab-suite.ts';
import {
  type LabRepository,
  buildRepository,
  configureRepository,
  updateOnlyLabRepository,
} from './repository.ts';
import { type RepositoryServer, serveFolder } from './repository-server.ts';

/** Whether a TCP connection from this machine, over the bridge, is answered within two seconds. */
async function answers(address: string, port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: 2000 });
    const end = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.on('connect', end(true)).on('timeout', end(false)).on('error', end(false));
  });
}

const install = (name: string, version: string): string[] => [
  'apt-get',
  'install',
  '--yes',
  `${name}=${version}`,
];

/** Command lines of processes of this machine that name `text`. */
function processesNaming(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      } catch {
        return '';
      }
    })
    .filter((line) => line.includes(text));
}

describe.skipIf(missing !== undefined)('a lab host', () => {
  let lab: Lab;
  let host: Host;
  let repository: LabRepository;
  let server: RepositoryServer;

  beforeAll(async () => {
    lab = await startLab({ onProgress: say });
    repository = await buildRepository(`${lab.folder}/repository`);
    server = await serveFolder(repository.folder, lab.network.address);
    host = await lab.bootHost({
      name: 'web-1',
      prepare: async (off) => await configureRepository(off, repository, server.url),
    });
  });
  afterAll(async () => {
    await server?.stop();
    await lab?.stop();
  });

  test('is a booted Debian 12 with its own name, address and machine id', async () => {
    expect(await host.runOrThrow(['systemctl', 'is-system-running'])).toBe('running\n');
    expect(await host.readFile('/etc/os-release')).toContain('VERSION_ID="12"');
    expect(await host.runOrThrow(['hostname'])).toBe('web-1\n');
    expect(await host.runOrThrow(['ip', '-o', '-4', 'address', 'show', 'host0'])).toContain(
      `${host.address}/24`,
    );
    expect(await host.runOrThrow(['ip', 'route', 'show', 'default'])).toBe('');
    const machineId = (await host.readFile('/etc/machine-id')).trim();
    expect(machineId).toMatch(/^[0-9a-f]{32}$/);
    expect(machineId).not.toBe(readFileSync('/etc/machine-id', 'utf8').trim());
    expect(existsSync(`${lab.base.folder}/etc/machine-id`)).toBe(false);
  });

  test('has openssl in its past, with the fix known to apt, and nginx that maps the old libssl', async () => {
    for (const { name, installed } of lab.base.past) {
      expect(await host.runOrThrow(['dpkg-query', '-W', '-f', '${Version}', name])).toBe(installed);
    }
    const openssl = lab.base.past.find(({ name }) => name === 'openssl');
    expect(openssl?.installed).not.toBe(openssl?.candidate);
    expect(await host.runOrThrow(['apt-cache', 'policy', 'openssl'])).toContain(openssl?.candidate);
    expect(await host.runOrThrow(['systemctl', 'is-active', 'nginx'])).toBe('active\n');
    const pid = (await host.runOrThrow(['systemctl', 'show', '-P', 'MainPID', 'nginx'])).trim();
    expect(await host.readFile(`/proc/${pid}/maps`)).toContain('/libssl.so.3');
  });

  test('runs commands with input, a clean environment, exit status and a time limit', async () => {
    const result = await host.run(['sh', '-c', 'cat; env; exit 7'], { input: 'from outside\n' });
    expect(result.exitCode).toBe(7);
    expect(result.stdout).toContain('from outside');
    expect(result.stdout).toContain('HOME=/root');
    expect(result.stdout).not.toContain('VITEST');
    // A length that no other run's test has, for they may run beside this one.
    const sleeping = `sleep 4242.${process.pid}`;
    const endless = await host.run(['sh', '-c', `${sleeping}; true`], { timeoutSeconds: 1 });
    expect(endless.timedOut).toBe(true);
    expect(endless.durationSeconds).toBeLessThan(5);
    // What was killed takes a moment to be gone.
    await waitFor('it to be gone', () => (processesNaming(sleeping).length === 0 ? true : undefined), {
      timeoutSeconds: 2,
    });
  });

  test('takes files, whole or not at all', async () => {
    await host.writeFile('/opt/new folder/a file', 'text\n', 0o600);
    expect(await host.readFile('/opt/new folder/a file')).toBe('text\n');
    expect(await host.runOrThrow(['stat', '-c', '%a %U', '/opt/new folder/a file'])).toBe('600 root\n');
    await host.copyIn('/bin/true', '/usr/local/bin/a-program', 0o755);
    expect((await host.run(['a-program'])).exitCode).toBe(0);
    await expect(host.readFile('/no/such/file')).rejects.toThrow('No such file');
  });

  test('is cut off the network and comes back', async () => {
    expect(await answers(host.address, 80)).toBe(true);
    const asked = ['curl', '--silent', '--max-time', '3', `${server.url}/dists/fixpoint-lab/Release`];
    expect((await host.run(asked)).stdout).toContain('Suite: fixpoint-lab');
    await lab.network.cut(host);
    expect(await answers(host.address, 80)).toBe(false);
    expect((await host.run(asked)).exitCode).not.toBe(0);
    await lab.network.heal(host);
    expect(await answers(host.address, 80)).toBe(true);
    expect((await host.run(asked)).exitCode).toBe(0);
  });

  test('reboots for real, and a cut cable stays cut', async () => {
    const before = await host.bootId();
    await host.writeFile('/var/tmp/kept', 'kept\n');
    await host.writeFile('/run/lost', 'lost\n');
    await lab.network.cut(host);
    await host.reboot();
    expect(await host.bootId()).not.toBe(before);
    expect(host.bootCount()).toBe(2);
    expect(await host.readFile('/var/tmp/kept')).toBe('kept\n');
    expect((await host.run(['test', '-e', '/run/lost'])).exitCode).toBe(1);
    expect(await answers(host.address, 80)).toBe(false);
    await lab.network.heal(host);
    expect(await answers(host.address, 80)).toBe(true);
  });

  test('loses its power and gets it back', async () => {
    const before = await host.bootId();
    await host.runOrThrow([
      'systemd-run',
      '--unit=at-work',
      'sh',
      '-c',
      'trap "echo tidy > /var/tmp/tidy" EXIT TERM; sleep 300',
    ]);
    await host.powerOff();
    expect(host.state()).toBe('off');
    expect(await answers(host.address, 80)).toBe(false);
    expect(await host.readFile('/var/tmp/kept')).toBe('kept\n');
    await host.powerOn();
    expect(host.state()).toBe('running');
    expect(await host.bootId()).not.toBe(before);
    expect((await host.run(['test', '-e', '/var/tmp/tidy'])).exitCode).toBe(1);
    expect(await answers(host.address, 80)).toBe(true);
  });

  test('installs from the lab repository, signature checked, and upgrades', async () => {
    await host.runOrThrow(updateOnlyLabRepository);
    await host.runOrThrow(install('fixpoint-lab-good', vulnerableVersion));
    expect(await host.readFile('/usr/lib/fixpoint-lab/libgood.so')).toContain('(vulnerable)');
    await host.runOrThrow(install('fixpoint-lab-good', fixedVersion));
    expect(await host.readFile('/usr/lib/fixpoint-lab/libgood.so')).toContain('(fixed)');
    expect(await host.readFile(goodLog)).toBe(
      ['unpacked 1.0-1', 'configured 1.0-1', 'unpacked 1.0-2', 'configured 1.0-2', ''].join('\n'),
    );
    expect(await host.runOrThrow(['dpkg', '--verify', 'fixpoint-lab-good'])).toBe('');
    expect(server.requests.some((path) => path.endsWith('fixpoint-lab-good_1.0-2_all.deb'))).toBe(true);
  });

  test('has a package that is as slow as it is told to be, so that a kill can be placed inside', async () => {
    await host.runOrThrow(['dpkg', '--purge', 'fixpoint-lab-good']);
    await host.writeFile(slowFile, 'preinst=1\npostinst=2\n');
    const result = await host.run(install('fixpoint-lab-good', fixedVersion));
    await host.runOrThrow(['rm', slowFile]);
    expect(result.exitCode).toBe(0);
    expect(result.durationSeconds).toBeGreaterThan(3);
  });

  test('is told when the repository is signed by somebody else', async () => {
    const other = await buildRepository(`${lab.folder}/other`, []);
    await host.writeFile('/etc/apt/keyrings/fixpoint-lab.asc', other.publicKey);
    const result = await host.run(updateOnlyLabRepository);
    await host.writeFile('/etc/apt/keyrings/fixpoint-lab.asc', repository.publicKey);
    expect(result.exitCode).toBe(100);
    expect(result.stderr).toContain('NO_PUBKEY');
  });

  const upgrade = async (name: string, timeoutSeconds = 60) =>
    await host.run(install(name, fixedVersion), { timeoutSeconds });
  const textOf = async (name: string) =>
    await host.readFile(labPackages.find((each) => each.name === name)?.file ?? '');

  describe('broken packages go wrong as they should', () => {
    const names = labPackages.map(({ name }) => name).filter((name) => name !== 'fixpoint-lab-good');
    beforeAll(async () => {
      await host.runOrThrow([
        'apt-get',
        'install',
        '--yes',
        ...names.map((name) => `${name}=${vulnerableVersion}`),
      ]);
    });

    test('unfixed: exits 0, and the vulnerable file is back, which dpkg can see', async () => {
      expect((await upgrade('fixpoint-lab-unfixed')).exitCode).toBe(0);
      expect(await textOf('fixpoint-lab-unfixed')).toContain('1.0-1 (vulnerable)');
      expect((await host.run(['dpkg', '--verify', 'fixpoint-lab-unfixed'])).stdout).toContain(
        'libunfixed.so',
      );
    });

    test('diverts: exits 0, and the fixed file is elsewhere', async () => {
      expect((await upgrade('fixpoint-lab-diverts')).exitCode).toBe(0);
      expect(await textOf('fixpoint-lab-diverts')).toContain('1.0-1 (vulnerable)');
      expect(await host.readFile('/usr/lib/fixpoint-lab/libdiverts.so.distrib')).toContain('1.0-2 (fixed)');
    });

    test('dead-service: exits 0, and the unit has failed', async () => {
      const unit = 'fixpoint-lab-dead-service.service';
      expect(await host.runOrThrow(['systemctl', 'is-active', unit])).toBe('active\n');
      expect((await upgrade('fixpoint-lab-dead-service')).exitCode).toBe(0);
      expect(await textOf('fixpoint-lab-dead-service')).toContain('1.0-2 (fixed)');
      expect((await host.run(['systemctl', 'is-active', unit])).stdout).toBe('failed\n');
    });

    test('fails: apt fails and the package is left half configured', async () => {
      expect((await upgrade('fixpoint-lab-fails')).exitCode).toBe(100);
      expect(await host.runOrThrow(['dpkg', '--audit'])).toContain('fixpoint-lab-fails');
      // Back to what it was, so that it is in nobody's way.
      await host.runOrThrow(['dpkg', '--remove', '--force-all', 'fixpoint-lab-fails']);
    });

    test('hangs: never ends by itself', async () => {
      const result = await upgrade('fixpoint-lab-hangs', 8);
      expect(result.timedOut).toBe(true);
      expect(await host.runOrThrow(['dpkg', '--audit'])).toContain('fixpoint-lab-hangs');
    });
  });

  test('two hosts at once are two: the services of one are not those of the other', async () => {
    const [second, third] = await lab.bootHosts([{ name: 'web-2' }, { name: 'web-3' }]);
    if (second === undefined || third === undefined) throw new Error('two hosts were asked for');
    await second.runOrThrow(['systemctl', 'stop', 'nginx']);
    expect(await answers(second.address, 80)).toBe(false);
    expect(await answers(third.address, 80)).toBe(true);
    expect(await second.readFile('/etc/machine-id')).not.toBe(await third.readFile('/etc/machine-id'));
    expect(
      (await second.run(['curl', '--silent', '--max-time', '3', `http://${third.address}`])).exitCode,
    ).toBe(0);
    const folder = second.root;
    await second.stop();
    expect(existsSync(folder)).toBe(false);
    expect(await answers(third.address, 80)).toBe(true);
  });

  test('leaves nothing behind', async () => {
    const { folder, network } = lab;
    await server.stop();
    await lab.stop();
    expect(existsSync(folder)).toBe(false);
    expect(existsSync(`/sys/class/net/${network.bridge}`)).toBe(false);
    expect(mountsBelow(folder)).toEqual([]);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(folder);
    expect(processesNaming(`l${network.number}-web`)).toEqual([]);
    expect(processesNaming('systemd-nspawn').filter((line) => line.includes(folder))).toEqual([]);
    for (const root of cgroupRoots()) {
      const ours = readdirSync(root).filter((name) =>
        name.includes(folder.slice(folder.lastIndexOf('/') + 1)),
      );
      expect(ours).toEqual([]);
    }
  });
});
