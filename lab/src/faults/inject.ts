import { sleep, waitFor } from '../clock.ts';
import type { Host } from '../host.ts';
import type { Fault } from './fault.ts';
import type { World } from './world.ts';

/** Does to a host, or to the server, what the fault says, while a deployment is under way. */

/** SIGKILL to the agent alone: what it started lives on. */
async function killAgent(host: Host): Promise<void> {
  await host.run(['systemctl', 'kill', '--signal=KILL', '--kill-who=main', 'fixpoint-agent']);
}

/** SIGKILL to the package manager, or to dpkg under it, as soon as one runs; false when none came in time. */
async function killPackageManager(host: Host, name: string, seconds: number): Promise<boolean> {
  // The wrapper of a detached run must not be meant: it would take the result with it.
  const script = `i=0; while [ $i -lt ${seconds * 20} ]; do
    for p in /proc/[0-9]*; do
      [ "$(cat $p/comm 2>/dev/null)" = "$1" ] || continue
      kill -9 "\${p#/proc/}" 2>/dev/null && exit 0
    done
    sleep 0.05; i=$((i+1)); done; exit 1`;
  const result = await host.run(['sh', '-c', script, 'sh', name], { timeoutSeconds: seconds + 30 });
  return result.exitCode === 0;
}

/** Mounts a file system on a folder that has no room left. */
async function fill(host: Host, folder: string): Promise<void> {
  await host.runOrThrow([
    'sh',
    '-c',
    `mkdir -p ${folder} && mkdir -p /run/keep && cp -a ${folder}/. /run/keep/ &&
     mount -t tmpfs -o size=16k,mode=0755 fixpoint-full ${folder} && cp -a /run/keep/. ${folder}/ 2>/dev/null
     head -c 64k /dev/zero > ${folder}/.full 2>/dev/null; rm -rf /run/keep; true`,
  ]);
}

export async function makeRoom(host: Host, folder: string): Promise<void> {
  await host.run(['umount', folder]);
}

export const fullFolders = {
  disk_full_download: '/var/cache/fixpoint-agent',
  disk_full_install: '/usr/lib/fixpoint-lab',
} as const;

/** Holds dpkg's lock as another apt would, for some seconds (fcntl(2), as apt itself does it). */
async function holdLock(host: Host, seconds: number): Promise<void> {
  const perl = `use Fcntl; open(F, "+>>", "/var/lib/dpkg/lock-frontend") or die;
    my $l = pack("s s l! l! i", F_WRLCK, SEEK_SET, 0, 0, 0); fcntl(F, F_SETLK, $l) or exit 3; sleep ${seconds};`;
  await host.run([
    'systemd-run',
    '--quiet',
    '--unit',
    `hold-lock-${seconds}`,
    '--collect',
    'perl',
    '-e',
    perl,
  ]);
}

/** Lets the agent live at another time. Needs libfaketime on this machine, which is copied in. */
export async function setClock(host: Host, hours: number | null, library: string): Promise<void> {
  const file = '/etc/systemd/system/fixpoint-agent.service.d/clock.conf';
  if (hours === null) await host.runOrThrow(['rm', '-f', file]);
  else {
    await host.copyIn(library, '/usr/local/lib/libfaketime.so', 0o644);
    const offset = `${hours > 0 ? '+' : ''}${hours}h`;
    await host.writeFile(
      file,
      `[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/libfaketime.so FAKETIME=${offset} FAKETIME_DONT_FAKE_MONOTONIC=1\n`,
    );
  }
  await host.runOrThrow(['systemctl', 'daemon-reload']);
  await host.runOrThrow(['systemctl', 'restart', 'fixpoint-agent']);
}

/** Before the deployment starts: what must be in place by then. */
export async function prepareFault(world: World, host: Host, fault: Fault, name: string): Promise<void> {
  const isDeb = (path: string): boolean => path.endsWith('.deb');
  switch (fault.kind) {
    case 'repository_not_found':
      world.spoil(name, (path) => (isDeb(path) ? { kind: 'not_found' } : null));
      break;
    case 'repository_truncated':
      world.spoil(name, (path) => (isDeb(path) ? { kind: 'truncated' } : null));
      break;
    case 'repository_corrupted':
      world.spoil(name, (path) => (isDeb(path) ? { kind: 'corrupted' } : null));
      break;
    case 'window_closes_download':
      world.spoil(name, (path) => (isDeb(path) ? { kind: 'slow', seconds: 20 } : null));
      break;
    case 'disk_full_download':
    case 'disk_full_install':
      await fill(host, fullFolders[fault.kind]);
      break;
    case 'lock_held':
      await holdLock(host, fault.times * 4);
      break;
    default:
      break;
  }
}

/** While the deployment runs. Tells what happened, for the report. */
export async function inject(world: World, host: Host, fault: Fault): Promise<string> {
  switch (fault.kind) {
    case 'kill_agent':
      await sleep(fault.atSeconds);
      for (let i = 0; i < fault.times; i++) {
        await killAgent(host);
        await sleep(0.3 + fault.atSeconds / 4);
      }
      return `agent killed ${fault.times} times`;
    case 'kill_package_manager': {
      // Odd seeds: dpkg itself; even ones: apt above it.
      const name = fault.seed % 2 === 1 ? 'dpkg' : 'apt-get';
      let killed = 0;
      for (let i = 0; i < fault.times; i++) {
        if (await killPackageManager(host, name, 6)) killed += 1;
        await sleep(fault.atSeconds / 10);
      }
      return `${name} killed ${killed} times`;
    }
    case 'kill_server':
      await sleep(fault.atSeconds);
      await world.killServer();
      return 'server killed';
    case 'power_off':
      await sleep(fault.atSeconds);
      await host.powerOff();
      await sleep(fault.times);
      await host.powerOn();
      return 'power off';
    default:
      return fault.kind;
  }
}

/** Waits until the host has gone down for a reboot of its own. */
export async function untilDown(host: Host, bootsBefore: number): Promise<void> {
  await waitFor(
    `${host.name} to reboot`,
    () => Promise.resolve(host.bootCount() > bootsBefore ? true : undefined),
    { timeoutSeconds: 90, everySeconds: 0.05 },
  );
}
