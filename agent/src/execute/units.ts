import { readdirSync } from 'node:fs';
import { matchesPattern } from '@fixpoint/core/host-policy/pattern.ts';
import { parseCgroupUnit } from '../collect/maps.ts';
import { runCommand } from '../run-command.ts';
import { readTextIfThere } from '../state-dir.ts';

/** Restarting services that still run replaced files. */

/**
 * Units that are not restarted without a person, and why: by the beginning of their names. Which they are is common knowledge of
 * distributions, as it stands in the defaults of needrestart (`$nrconf{override_rc}` in Debian's needrestart 3.6); the table and
 * its reasons are our own. What runs for a short time and ends is in it too: to restart it would be to run it again.
 */
const leftAlone: readonly (readonly [RegExp, string])[] = [
  [
    /^(?:dbus|dbus-broker|messagebus)\.service$/u,
    'everything that talks over D-Bus would lose its connection; reboot instead',
  ],
  [
    /^(?:gdm|kdm|nodm|sddm|wdm|xdm|lightdm|slim|lxdm|greetd|ly|display-manager)[^.]*\.service$/u,
    'graphical sessions of users would be lost',
  ],
  [
    /^(?:networking|network|network-manager|NetworkManager|ModemManager|wpa_supplicant|ifup|iwd|connman|wicked\w*|dhcpcd|bluetooth)(?:[@-][^.]*)?\.service$/u,
    'the host could lose its network, and nobody could reach it to help',
  ],
  [
    /^(?:bird6?|quagga|frr|zebra|bgpd|ospfd|keepalived)(?:@.*)?\.service$/u,
    'routes that others rely on would go away for a while',
  ],
  [
    /^(?:openvpn|tinc|wg-quick|(?:open|free|libre|strong)swan|ipsec)[^.]*\.service$/u,
    'tunnels would be cut, perhaps the one by which this host is reached',
  ],
  [
    /^(?:docker|containerd|podman|crio|cri-o|lxc|lxcfs|lxd|incus|libvirt\w*|libvirt-guests|virt(?:qemu|lxc|xen|network|storage|log|lock)d|xendomains|xenconsoled|xenstored)\.service$/u,
    'machines or containers that it runs could be disturbed',
  ],
  [
    /^(?:zfs-fuse|mythtv-backend)\.service$/u,
    'what uses its files or recordings just now would be broken off',
  ],
  [/^elogind\.service$/u, 'sessions of users would be lost'],
  [/^(?:emergency|rescue)\.service$/u, 'somebody repairs this host in it'],
  [
    /^(?:apt-daily|apt-daily-upgrade|unattended-upgrades|dnf-automatic[^.]*|packagekit|cron-.*)\.service$/u,
    'it does a piece of work and ends by itself; to restart it would break that off or do it again',
  ],
  [/^rc-local\.service$/u, 'it is what is done once at boot, and nobody can tell what twice would do'],
];

/**
 * The reason why a unit is not restarted without a person; null when it may be. Pure.
 * @param sessions how many people are logged in
 * @param never names or patterns by the owner of the host, with or without `.service`
 */
export function reasonNotToRestart(
  unit: string,
  ownUnit: string | null,
  sessions: number,
  never: readonly string[] = [],
): string | null {
  if (unit === ownUnit) return 'it is this agent, which starts anew by itself when all else is done';
  const short = unit.replace(/\.service$/u, '');
  if (never.some((pattern) => matchesPattern(pattern, unit) || matchesPattern(pattern, short)))
    return 'the policy of the host says never to restart it';
  if (/^user@\d+\.service$/u.test(unit))
    return "a user's programs run in it; they end when the user logs out";
  const found = leftAlone.find(([pattern]) => pattern.test(unit));
  if (found !== undefined) return found[1];
  // Harmless while nobody is logged in, which on a server is most of the time.
  if (sessions > 0 && unit === 'systemd-logind.service')
    return 'somebody is logged in, and the session would be lost';
  if (
    sessions > 0 &&
    /^(?:getty|serial-getty|console-getty|container-getty|autovt)(?:@.*)?\.service$/u.test(unit)
  )
    return 'somebody is logged in, perhaps on this terminal';
  return null;
}

/** How many people are logged in, as systemd-logind keeps it; 0 where it does not run. */
export function countSessions(): number {
  try {
    return readdirSync('/run/systemd/sessions').filter((name) => !name.endsWith('.ref')).length;
  } catch {
    return 0;
  }
}

/** The service that this process runs in; null when started by hand. */
export function readOwnUnit(): string | null {
  const text = readTextIfThere('/proc/self/cgroup');
  return text === null ? null : parseCgroupUnit(text);
}

export type RestartResult = { readonly ok: true } | { readonly ok: false; readonly message: string };

/** Restarts a service if it runs, and looks whether it came up again. */
export async function restartUnit(unit: string): Promise<RestartResult> {
  const answer = await runCommand(['systemctl', 'try-restart', '--no-ask-password', '--', unit], {
    timeoutSeconds: 180,
  });
  if (!answer.ok) return { ok: false, message: answer.message.slice(0, 400) };
  const state = await runCommand(['systemctl', 'is-failed', '--quiet', '--', unit], { timeoutSeconds: 20 });
  // `is-failed` exits with 0 when the unit has failed.
  return state.ok ? { ok: false, message: 'it failed right after its restart' } : { ok: true };
}

/** Starts a service that has failed, and looks whether it stays up. */
export async function startFailedUnit(unit: string): Promise<RestartResult> {
  await runCommand(['systemctl', 'reset-failed', '--', unit], { timeoutSeconds: 20 });
  const answer = await runCommand(['systemctl', 'start', '--no-ask-password', '--', unit], {
    timeoutSeconds: 180,
  });
  if (!answer.ok) return { ok: false, message: answer.message.slice(0, 400) };
  const state = await runCommand(['systemctl', 'is-failed', '--quiet', '--', unit], { timeoutSeconds: 20 });
  return state.ok ? { ok: false, message: 'it failed right after its start' } : { ok: true };
}

/** systemd itself goes over to its new program without ending anything. */
export async function reexecSystemd(): Promise<RestartResult> {
  const answer = await runCommand(['systemctl', 'daemon-reexec'], { timeoutSeconds: 120 });
  return answer.ok ? { ok: true } : { ok: false, message: answer.message.slice(0, 400) };
}
