/**
 * One real host: a Debian 12 with its own systemd, processes, network address and disk (a layer over the base root),
 * booted by systemd-nspawn. Its reboots are real, and so is pulling its plug.
 *
 * How it ends, whatever happens to us: nspawn runs in a process namespace of its own whose first process dies with this
 * process (`setpriv --pdeathsig`, `unshare --kill-child`), and the kernel ends everything in it. Its mounts under
 * /run/systemd/nspawn are in a mount namespace of its own and go the same way.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { monotonicSeconds, waitFor } from './clock.ts';
import { type LabRun, cgroupRoots, endCgroup, removeFolder } from './lab-run.ts';
import type { LabNetwork } from './network.ts';
import {
  type BackgroundProcess,
  CommandFailed,
  type CommandOptions,
  type CommandResult,
  runCommand,
  runOrThrow,
  startInBackground,
} from './run-command.ts';

/** `off`: not running · `booting`: running, its systemd still starting units · `running`: it has finished starting. */
export type HostState = 'off' | 'booting' | 'running';

export interface RunOptions {
  /** Default 60. */
  readonly timeoutSeconds?: number;
  readonly input?: string | Uint8Array;
  readonly onLine?: (line: string) => void;
}

export interface Host {
  readonly name: string;
  readonly address: string;
  /** Its disk as seen from this machine. Absolute symbolic links in it lead out: use `readFile` and `writeFile`. */
  readonly root: string;
  readonly state: () => HostState;
  /** Boots since it was made, reboots of its own included. */
  readonly bootCount: () => number;
  /** Seconds its last boot took, from starting it until systemd said `running` or `degraded`. */
  readonly bootSeconds: () => number;
  /** Process id of its init as seen from this machine, while it runs. */
  readonly initPid: () => number | undefined;
  /**
   * Runs a command inside as root, as a person at its console would; whatever the exit status, the result is returned.
   * While the host is off it runs on its disk only (chroot). Throws when it cannot be started.
   */
  readonly run: (argv: readonly string[], options?: RunOptions) => Promise<CommandResult>;
  /** As `run`, but anything other than exit status 0 throws `CommandFailed`. Returns standard output. */
  readonly runOrThrow: (argv: readonly string[], options?: RunOptions) => Promise<string>;
  /** Text of a file, by its path inside. Throws `CommandFailed` when there is none. */
  readonly readFile: (path: string) => Promise<string>;
  /** Writes a file in one step (a reader sees the old one or the new one), making its folder. Default mode 0644. */
  readonly writeFile: (path: string, content: string | Uint8Array, mode?: number) => Promise<void>;
  readonly copyIn: (localPath: string, path: string, mode?: number) => Promise<void>;
  /** The kernel's id of this boot. */
  readonly bootId: () => Promise<string>;
  /** Waits until systemd says `running` or `degraded`, and returns which. Throws with the end of the console. */
  readonly waitBooted: (timeoutSeconds?: number) => Promise<'running' | 'degraded'>;
  /** Asks for a reboot and waits until it is back. */
  readonly reboot: (timeoutSeconds?: number) => Promise<void>;
  /**
   * Pulls the plug: every process dies at once, with no chance to tidy up. What they had written stays, since the disk
   * cache is this machine's: a torn write of the disk itself is not shown here.
   */
  readonly powerOff: () => Promise<void>;
  /** Starts it again and waits until it has booted. */
  readonly powerOn: (timeoutSeconds?: number) => Promise<void>;
  /** The last lines of its console, for messages. */
  readonly console: () => string;
  /** Ends it and deletes its disk. */
  readonly stop: () => Promise<void>;
}

export interface BootHostOptions {
  /** Its host name: lower-case letters, digits and `-`. Unique in the run. */
  readonly name: string;
  /** Default: the next free one of the network. */
  readonly address?: string;
  /** Called before the first boot, while the host is off. */
  readonly prepare?: (host: Host) => Promise<void>;
  /** Default 120. */
  readonly bootTimeoutSeconds?: number;
}

export interface HostSetting {
  readonly run: LabRun;
  readonly network: LabNetwork;
  /** The base root's folder. */
  readonly baseFolder: string;
  readonly onProgress: (line: string) => void;
}

/** What nspawn leaves with when the host asked for a reboot (systemd-nspawn(1), `-b`; EXIT_FORCE_RESTART in its source). */
const REBOOT_EXIT_STATUS = 133;
const CONSOLE_LINES = 60;

/** Must sort before systemd's own 80-container-host0.network. No gateway: there is no way out. */
function networkFile(address: string, prefixLength: number): string {
  return `[Match]
Name=host0

[Network]
Address=${address}/${prefixLength}
LinkLocalAddressing=no
IPv6AcceptRA=no
LLDP=no
`;
}

/**
 * Arguments: cgroup folders, `--`, the command. Each host gets a cgroup of its own: with --keep-unit nspawn makes its
 * `payload` below the one it is started in, and two hosts in one would stop each other's services.
 */
const startScript = `set -e
while [ "$1" != -- ]; do mkdir -p "$1"; echo 0 > "$1/cgroup.procs"; shift; done
shift
mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=755 fixpoint-lab /run/systemd/nspawn
exec "$@"`;

const startHost = ['sh', '-c', startScript, 'sh'];
const endsWithUs = 'setpriv --pdeathsig KILL --'.split(' ');
const ownNamespaces = 'unshare --mount --propagation slave --pid --fork --kill-child --mount-proc --'.split(
  ' ',
);

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** The host's init: below `pid`, the process that is number 1 in its own process namespace and has become systemd. */
function findInit(pid: number): number | undefined {
  for (const nspawn of childrenOf(pid)) {
    for (const child of childrenOf(nspawn)) {
      try {
        const namespaces = /^NSpid:\s+(.+)$/m.exec(readFileSync(`/proc/${child}/status`, 'utf8'))?.[1];
        const command = readFileSync(`/proc/${child}/comm`, 'utf8').trim();
        if (namespaces?.split(/\s+/).at(-1) === '1' && command === 'systemd') return child;
      } catch {
        // It ended while we looked.
      }
    }
  }
  return undefined;
}

/** Makes a host over the base root and boots it; returns when systemd says `running` or `degraded`. */
export async function bootHost(setting: HostSetting, options: BootHostOptions): Promise<Host> {
  const { run, network } = setting;
  const { name } = options;
  if (!/^[a-z][a-z0-9-]{0,30}$/.test(name)) throw new Error(`${name} is no host name the lab takes`);
  const address = options.address ?? network.nextAddress();
  const folder = `${run.folder}/${name}`;
  const root = `${folder}/root`;
  const cgroup = `fixpoint-lab-${run.name}-${name}`;
  // Unique on this machine, for nspawn names the cable after it.
  const machine = `l${network.number}-${name}`;

  const nspawnCommand =
    `systemd-nspawn -q -M ${machine} --hostname=${name} --network-bridge=${network.bridge} --register=no --keep-unit ` +
    '--resolv-conf=off --timezone=off --link-journal=no -b';

  let nspawn: BackgroundProcess | undefined;
  let init: number | undefined;
  let booted = false;
  let boots = 0;
  let bootSeconds = 0;
  let poweringOff = false;
  let supervised: Promise<void> = Promise.resolve();
  const consoleLines: string[] = [];

  await mkdir(folder);
  const undo = run.onStop(`host ${name}`, () => {
    poweringOff = true;
    nspawn?.kill('SIGKILL');
    endCgroup(cgroup);
    removeFolder(folder);
  });

  async function start(): Promise<void> {
    const started = await startInBackground(
      [
        ...endsWithUs,
        ...ownNamespaces,
        ...startHost,
        ...cgroupRoots().map((each) => `${each}/${cgroup}`),
        '--',
        ...nspawnCommand.split(' '),
        '-D',
        root,
      ],
      {
        onLine(line) {
          consoleLines.push(line);
          if (consoleLines.length > CONSOLE_LINES) consoleLines.shift();
        },
      },
    );
    nspawn = started;
    booted = false;
    boots += 1;
  }

  /** Starts it again for as long as it asks for a reboot. */
  async function supervise(first: BackgroundProcess): Promise<void> {
    let current = first;
    for (;;) {
      const exit = await current.exited;
      init = undefined;
      booted = false;
      if (exit.exitCode !== REBOOT_EXIT_STATUS || poweringOff) break;
      setting.onProgress(`${name}: reboots`);
      await start();
      if (nspawn === undefined) break;
      current = nspawn;
      // The plug was pulled between the two boots, when there was nothing to kill.
      if (poweringOff) current.kill('SIGKILL');
    }
    nspawn = undefined;
  }

  async function switchOn(timeoutSeconds: number): Promise<void> {
    if (nspawn !== undefined) throw new Error(`${name} is on already`);
    poweringOff = false;
    await start();
    if (nspawn === undefined) return;
    supervised = supervise(nspawn).catch((error: unknown) => {
      nspawn = undefined;
      setting.onProgress(`${name}: did not start again: ${String(error)}`);
    });
    await host.waitBooted(timeoutSeconds);
  }

  function initPid(): number | undefined {
    if (nspawn === undefined || nspawn.hasExited()) return undefined;
    init ??= findInit(nspawn.pid);
    return init;
  }

  async function runInside(argv: readonly string[], given: RunOptions = {}): Promise<CommandResult> {
    const command: CommandOptions = given;
    if (nspawn === undefined) return await runCommand(['chroot', root, ...argv], command);
    const pid = initPid();
    if (pid === undefined) throw new Error(`${name} is starting and takes no commands yet`);
    return await runCommand(['nsenter', '-a', '-t', String(pid), '--', ...argv], command);
  }

  async function runInsideOrThrow(argv: readonly string[], given?: RunOptions): Promise<string> {
    const result = await runInside(argv, given);
    if (result.exitCode !== 0) throw new CommandFailed(result);
    return result.stdout;
  }

  const host: Host = {
    name,
    address,
    root,
    state: () => (nspawn === undefined ? 'off' : booted ? 'running' : 'booting'),
    bootCount: () => boots,
    bootSeconds: () => bootSeconds,
    initPid,
    run: runInside,
    runOrThrow: runInsideOrThrow,
    readFile: async (path) => await runInsideOrThrow(['cat', '--', path]),
    async writeFile(path, content, mode = 0o644) {
      const script =
        'mkdir -p -- "$(dirname -- "$1")" && cat > "$1.new" && chmod "$2" -- "$1.new" && mv -T -- "$1.new" "$1"';
      await runInsideOrThrow(['sh', '-c', script, 'sh', path, mode.toString(8)], { input: content });
    },
    async copyIn(localPath, path, mode) {
      await host.writeFile(path, await readFile(localPath), mode);
    },
    async bootId() {
      return (await host.readFile('/proc/sys/kernel/random/boot_id')).trim();
    },
    async waitBooted(timeoutSeconds = 120) {
      const started = monotonicSeconds();
      const boot = boots;
      try {
        const state = await waitFor(
          `${name} to boot`,
          async () => {
            if (nspawn === undefined) throw new Error(`${name} went off while it booted`);
            const pid = initPid();
            if (pid === undefined) return undefined;
            // Before systemd has set up anything, so that a cut cable stays cut.
            await network.apply(host);
            const asked = await runInside(['systemctl', 'is-system-running'], { timeoutSeconds: 10 });
            const answer = asked.stdout.trim();
            return answer === 'running' || answer === 'degraded' ? answer : undefined;
          },
          { timeoutSeconds, everySeconds: 0.1 },
        );
        if (!booted || boot !== boots) {
          bootSeconds = monotonicSeconds() - started;
          setting.onProgress(`${name}: ${state} at ${address} after ${bootSeconds.toFixed(1)} s`);
        }
        booted = true;
        return state;
      } catch (error) {
        throw new Error(`${String(error)}\nIts console ended with:\n${host.console()}`, { cause: error });
      }
    },
    async reboot(timeoutSeconds = 120) {
      const before = boots;
      // The command may be ended by the very reboot it asks for: whether it happened is what counts.
      const asked = await runInside(['systemctl', 'reboot'], { timeoutSeconds: 30 });
      await waitFor(
        `${name} to go down for its reboot (systemctl: ${asked.exitCode ?? asked.signal} ${asked.stderr.trim()})`,
        () => (boots > before ? true : undefined),
        { timeoutSeconds },
      );
      await host.waitBooted(timeoutSeconds);
    },
    async powerOff() {
      poweringOff = true;
      const pid = initPid();
      if (pid === undefined) nspawn?.kill('SIGKILL');
      else process.kill(pid, 'SIGKILL');
      await supervised;
      setting.onProgress(`${name}: off`);
    },
    async powerOn(timeoutSeconds = 120) {
      await switchOn(timeoutSeconds);
    },
    console: () => consoleLines.join('\n'),
    async stop() {
      if (nspawn !== undefined) await host.powerOff();
      undo();
    },
  };

  try {
    for (const each of ['upper', 'work', 'root']) await mkdir(`${folder}/${each}`);
    const layers = `lowerdir=${setting.baseFolder},upperdir=${folder}/upper,workdir=${folder}/work`;
    await runOrThrow(['mount', '-t', 'overlay', '-o', layers, 'fixpoint-lab', root]);
    await host.writeFile('/etc/hostname', `${name}\n`);
    await host.writeFile('/etc/hosts', `127.0.0.1 localhost\n127.0.1.1 ${name}\n`);
    await host.writeFile('/etc/systemd/network/10-host0.network', networkFile(address, network.prefixLength));
    await options.prepare?.(host);
    await switchOn(options.bootTimeoutSeconds ?? 120);
    return host;
  } catch (error) {
    undo();
    throw error;
  }
}
