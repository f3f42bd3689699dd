import { readdirSync } from 'node:fs';
import { parseCgroupUnit } from '../collect/maps.ts';
import { runCommand } from '../run-command.ts';
import { readTextIfThere } from '../state-dir.ts';

/** Restarting services that still run replaced files. */

/**
 * The reason why a unit is not restarted without a person; null when it may be. Pure.
 * @param sessions how many people are logged in
 */
export function reasonNotToRestart(unit: string, ownUnit: string | null, sessions: number): string | null {
  if (unit === ownUnit) return 'it is this agent, which starts anew by itself when all else is done';
  if (/^user@\d+\.service$/u.test(unit))
    return "a user's programs run in it; they end when the user logs out";
  if (/^(?:dbus|dbus-broker)\.service$/u.test(unit))
    return 'everything that talks over D-Bus would lose its connection; reboot instead';
  if (/^(?:gdm\d?|lightdm|sddm|xdm|lxdm|slim|display-manager)\.service$/u.test(unit))
    return 'graphical sessions of users would be lost';
  if (/^(?:docker|containerd|podman|libvirtd|virtqemud)\.service$/u.test(unit))
    return 'machines or containers that it runs could be disturbed';
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

/** systemd itself goes over to its new program without ending anything. */
export async function reexecSystemd(): Promise<RestartResult> {
  const answer = await runCommand(['systemctl', 'daemon-reexec'], { timeoutSeconds: 120 });
  return answer.ok ? { ok: true } : { ok: false, message: answer.message.slice(0, 400) };
}
