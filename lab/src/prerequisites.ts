/** What this machine must have to run the lab, and what to do about what it has not. */
import { access, constants, readFile } from 'node:fs/promises';
import { readAptSources } from './apt-sources.ts';
import { cleanEnvironment, runCommand } from './run-command.ts';

export interface MissingPrerequisite {
  readonly code: string;
  readonly message: string;
  readonly whatToDo: string;
}

/** Command → the Debian package that ships it. */
const commands: ReadonlyMap<string, string> = new Map([
  ['debootstrap', 'debootstrap'],
  ['systemd-nspawn', 'systemd-container'],
  ['ip', 'iproute2'],
  ['gpg', 'gnupg'],
  ['gpgconf', 'gnupg'],
  ['dpkg-deb', 'dpkg'],
  ['apt-cache', 'apt'],
  ['nsenter', 'util-linux'],
  ['unshare', 'util-linux'],
  ['setpriv', 'util-linux'],
  ['flock', 'util-linux'],
  ['mount', 'mount'],
  ['umount', 'mount'],
  ['chroot', 'coreutils'],
]);

async function isOnPath(command: string): Promise<boolean> {
  for (const folder of (cleanEnvironment['PATH'] ?? '').split(':')) {
    try {
      await access(`${folder}/${command}`, constants.X_OK);
      return true;
    } catch {
      // Not in this folder.
    }
  }
  return false;
}

/** Empty when the lab can run here. Changes nothing that stays (it may load the overlay and bridge kernel modules). */
export async function prerequisites(): Promise<MissingPrerequisite[]> {
  const missing: MissingPrerequisite[] = [];
  if (process.platform !== 'linux') {
    return [
      {
        code: 'not_linux',
        message: `the lab boots Linux hosts, and this is ${process.platform}`,
        whatToDo: 'run it on a Linux machine, or in a Linux virtual machine',
      },
    ];
  }
  if (process.getuid?.() !== 0) {
    missing.push({
      code: 'not_root',
      message: 'the lab mounts file systems and makes network devices, which only root may',
      whatToDo: 'run it as root (sudo), on a machine meant for testing',
    });
  }
  for (const [command, debianPackage] of commands) {
    if (await isOnPath(command)) continue;
    missing.push({
      code: 'command_missing',
      message: `the command ${command} is not installed`,
      whatToDo: `apt-get install ${debianPackage}`,
    });
  }
  const sources = await readAptSources();
  if (!sources.some((source) => source.suite === 'bookworm')) {
    missing.push({
      code: 'no_debian_source',
      message:
        'no apt source of this machine names the suite bookworm, so there is nowhere to get Debian 12 from',
      whatToDo:
        'add a Debian bookworm source to /etc/apt/sources.list.d (it is only read, not used for this machine)',
    });
  }
  if (missing.some(({ code }) => code === 'not_root' || code === 'command_missing')) return missing;

  if (!(await readFile('/proc/filesystems', 'utf8')).includes('\toverlay\n')) {
    const loaded = await runCommand(['modprobe', 'overlay']).catch(() => undefined);
    if (loaded?.exitCode !== 0) {
      missing.push({
        code: 'no_overlay',
        message: 'the kernel has no overlay file system',
        whatToDo: 'use a kernel with CONFIG_OVERLAY_FS; in a container, run it with --privileged',
      });
    }
  }
  // Asked of the kernel itself in a network namespace of its own: it leaves nothing, and tells of missing rights too.
  const bridge = await runCommand(['unshare', '--net', 'ip', 'link', 'add', 'probe0', 'type', 'bridge']);
  if (bridge.exitCode !== 0) {
    missing.push({
      code: 'no_bridge',
      message: `the kernel makes no bridge here: ${bridge.stderr.trim()}`,
      whatToDo: 'use a kernel with CONFIG_BRIDGE and CONFIG_VETH; in a container, run it with --privileged',
    });
  }
  return missing;
}

/** One text for a person, or `undefined` when nothing is missing. */
export function describeMissing(missing: readonly MissingPrerequisite[]): string | undefined {
  if (missing.length === 0) return undefined;
  const lines = missing.map(({ message, whatToDo }) => `  - ${message}: ${whatToDo}`);
  return ['THE LAB CANNOT RUN HERE, so its tests are skipped:', ...lines].join('\n');
}
