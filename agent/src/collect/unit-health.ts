import { readUptimeSeconds } from '../process.ts';
import { runCommand } from '../run-command.ts';

/** How the services of systemd are, closely enough to tell which of them a change has hurt. */

export interface UnitHealth {
  readonly name: string;
  /** `active`, `inactive`, `failed`, `activating`, … */
  readonly active: string;
  /** `running`, `exited`, `auto-restart`, … */
  readonly sub: string;
  /** How often systemd has started it anew by itself since somebody started it. */
  readonly restarts: number;
  /** It runs since less than a minute. */
  readonly young: boolean;
  /** It is there to run: neither something that does its work and ends, nor one that is started for each need. */
  readonly lasting: boolean;
}

const properties = [
  'Id',
  'LoadState',
  'ActiveState',
  'SubState',
  'NRestarts',
  'Type',
  'UnitFileState',
  'TriggeredBy',
  'ActiveEnterTimestampMonotonic',
] as const;

const youngSeconds = 60;

/** Parses the blocks of `systemctl show`; units that others only mention are left out. */
export function parseUnitHealth(text: string, uptimeSeconds: number): UnitHealth[] {
  const units = new Map<string, UnitHealth>();
  for (const block of text.split(/\n\s*\n/u)) {
    const found = new Map<string, string>();
    for (const line of block.split('\n')) {
      const at = line.indexOf('=');
      if (at > 0) found.set(line.slice(0, at), line.slice(at + 1).trim());
    }
    const name = found.get('Id') ?? '';
    if (name === '' || found.get('LoadState') === 'not-found') continue;
    units.set(name, {
      name,
      active: found.get('ActiveState') ?? '',
      sub: found.get('SubState') ?? '',
      restarts: Number(found.get('NRestarts') ?? '0') || 0,
      young: uptimeSeconds - Number(found.get('ActiveEnterTimestampMonotonic')) / 1e6 < youngSeconds,
      lasting: isLasting(name, found),
    });
  }
  return [...units.values()];
}

function isLasting(name: string, found: ReadonlyMap<string, string>): boolean {
  // They come and go with people who log in.
  if (/^(?:user|user-runtime-dir)@/u.test(name)) return false;
  if (found.get('Type') === 'oneshot') return false;
  const file = found.get('UnitFileState') ?? '';
  // Started by a socket, timer or path when there is something to do; what is also enabled by itself (docker) is there to stay.
  if ((found.get('TriggeredBy') ?? '') !== '' && !file.startsWith('enabled')) return false;
  // Started over D-Bus when somebody asks, and ended when nobody does; such as systemd-hostnamed.
  if (found.get('Type') === 'dbus' && file === 'static') return false;
  return file !== 'transient';
}

/** Null where systemd cannot be asked. */
export async function readUnitHealth(): Promise<readonly UnitHealth[] | null> {
  const answer = await runCommand(
    ['systemctl', 'show', '--no-pager', `--property=${properties.join(',')}`, '--', '*.service'],
    { timeoutSeconds: 30 },
  );
  if (!answer.ok) return null;
  const units = parseUnitHealth(answer.stdout, readUptimeSeconds());
  return units.length === 0 ? null : units.slice(0, 5_000);
}
