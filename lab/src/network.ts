/** A network of the lab's own: one bridge, no way out. Packages reach hosts only through what listens on the bridge. */
import { readFileSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { waitFor } from './clock.ts';
import { errorCode } from './error-code.ts';
import type { LabRun } from './lab-run.ts';
import { runBlocking, runCommand, runOrThrow } from './run-command.ts';

export interface LabNetwork {
  readonly bridge: string;
  /** The x of 10.77.x.0/24; unique among the runs on this machine. */
  readonly number: number;
  /** The machine's address on the bridge (10.77.x.1): what a server for the hosts listens on. */
  readonly address: string;
  readonly prefixLength: 24;
  /** An address of this network that nobody has been given yet, from 10.77.x.10 up. */
  readonly nextAddress: () => string;
  /** Pulls the host's cable: carrier lost, as its kernel sees it. Lasts over reboots until healed. */
  readonly cut: (host: NetworkedHost) => Promise<void>;
  /** Plugs it in again and waits until packets go both ways: both sides forget a neighbour only after a while. */
  readonly heal: (host: NetworkedHost) => Promise<void>;
  /** Puts a cut that should hold onto the new cable of a host that has just been started. */
  readonly apply: (host: NetworkedHost) => Promise<void>;
  readonly stop: () => void;
}

/** What the network needs to know of a host. */
export interface NetworkedHost {
  readonly name: string;
  readonly address: string;
  /** Process id of its init as seen from this machine, while it runs. */
  readonly initPid: () => number | undefined;
}

/** The machine's end of the host's cable: the device whose index the host's `host0` names as its peer. */
async function cableOf(initPid: number): Promise<string | undefined> {
  const inside = await runCommand([
    'nsenter',
    '-t',
    String(initPid),
    '-n',
    'ip',
    '-o',
    'link',
    'show',
    'host0',
  ]);
  const index = /host0@if(\d+)/.exec(inside.stdout)?.[1];
  if (index === undefined) return undefined;
  return readdirSync('/sys/class/net').find((device) => {
    try {
      return readFileSync(`/sys/class/net/${device}/ifindex`, 'utf8').trim() === index;
    } catch {
      return false;
    }
  });
}

/** Whether a host answers at all: also by refusing, as it does on the discard port, where nothing listens. */
async function isReachable(address: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host: address, port: 9, timeout: 1000 });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.on('connect', () => end(true));
    socket.on('timeout', () => end(false));
    socket.on('error', (error) => end(errorCode(error) === 'ECONNREFUSED'));
  });
}

async function setCable(host: NetworkedHost, state: 'up' | 'down'): Promise<void> {
  const initPid = host.initPid();
  if (initPid === undefined) return;
  const cable = await cableOf(initPid);
  if (cable === undefined) throw new Error(`${host.name} has no network cable`);
  await runOrThrow(['ip', 'link', 'set', 'dev', cable, state]);
}

async function claimNumber(): Promise<{ number: number; bridge: string }> {
  const [addresses, routes] = await Promise.all([
    runOrThrow(['ip', '-o', '-4', 'address', 'show']),
    runOrThrow(['ip', '-4', 'route', 'show', 'table', 'all']),
  ]);
  const used = `${addresses.stdout}\n${routes.stdout}`;
  for (let i = 0; i < 254; i += 1) {
    // Spread by process id, so that runs started together seldom try the same one; the kernel decides in the end.
    const number = 1 + ((process.pid + i) % 254);
    if (used.includes(`10.77.${number}.`)) continue;
    const bridge = `fixpoint-lab${number}`;
    const made = await runCommand(['ip', 'link', 'add', 'name', bridge, 'type', 'bridge']);
    if (made.exitCode === 0) return { number, bridge };
    if (!made.stderr.includes('File exists')) throw new Error(`no bridge can be made: ${made.stderr.trim()}`);
  }
  throw new Error('all of 10.77.1.0/24 to 10.77.254.0/24 are in use');
}

/** Makes the bridge and gives it its address; no NAT, no forwarding, no route out. */
export async function startNetwork(
  run: LabRun,
  options: { onProgress: (line: string) => void },
): Promise<LabNetwork> {
  const { number, bridge } = await claimNumber();
  const stop = run.onStop(`bridge ${bridge}`, () => {
    runBlocking(['ip', 'link', 'delete', bridge]);
  });
  const address = `10.77.${number}.1`;
  await runOrThrow(['ip', 'link', 'set', 'dev', bridge, 'alias', `fixpoint-lab ${run.name}`]);
  await runOrThrow(['ip', 'address', 'add', `${address}/24`, 'dev', bridge]);
  await runOrThrow(['ip', 'link', 'set', 'dev', bridge, 'up']);
  options.onProgress(`network ${bridge}: ${address}/24`);

  const cutHosts = new Set<string>();
  let given = 9;
  return {
    bridge,
    number,
    address,
    prefixLength: 24,
    nextAddress() {
      given += 1;
      if (given > 254) throw new Error(`${bridge} has no address left`);
      return `10.77.${number}.${given}`;
    },
    async cut(host) {
      cutHosts.add(host.name);
      await setCable(host, 'down');
    },
    async heal(host) {
      cutHosts.delete(host.name);
      await setCable(host, 'up');
      if (host.initPid() === undefined) return;
      await waitFor(
        `${host.name} to be reachable again`,
        async () => {
          const pid = String(host.initPid() ?? 0);
          const shown = await runCommand([
            'nsenter',
            '-t',
            pid,
            '-n',
            'ip',
            '-o',
            '-4',
            'address',
            'show',
            'host0',
          ]);
          if (!shown.stdout.includes(`${host.address}/`)) return undefined;
          return (await isReachable(host.address)) ? true : undefined;
        },
        { timeoutSeconds: 30 },
      );
    },
    async apply(host) {
      if (cutHosts.has(host.name)) await setCable(host, 'down');
    },
    stop,
  };
}
