import { readFileSync } from 'node:fs';
import { parseCgroupUnit, parseExecutableMaps } from './collect/maps.ts';
import type { PackageFiles } from './collect/package-source.ts';
import { listProcesses } from './process.ts';

/** The services that run code of some packages now, and so would run old code once these are replaced. */

/**
 * Units of processes that map files of the named packages, sorted; processes outside of services are left out.
 * @param names packages as `name`
 */
export async function unitsRunning(
  names: ReadonlySet<string>,
  files: Pick<PackageFiles, 'ownersOf'>,
): Promise<string[]> {
  const pathsOfUnit = new Map<string, Set<string>>();
  for (const pid of listProcesses()) {
    // The first process is in no service; it is told by the name under which it is restarted.
    const unit = pid === 1 ? firstProcess() : read(`/proc/${String(pid)}/cgroup`, parseCgroupUnit);
    if (unit === null) continue;
    const mapped = read(`/proc/${String(pid)}/maps`, parseExecutableMaps) ?? [];
    const paths = pathsOfUnit.get(unit) ?? new Set<string>();
    for (const file of mapped) paths.add(file.path);
    pathsOfUnit.set(unit, paths);
  }
  const owners = await files.ownersOf([...new Set([...pathsOfUnit.values()].flatMap((paths) => [...paths]))]);
  const isOfPackages = (path: string): boolean => {
    const owner = owners.get(path) ?? null;
    return owner !== null && names.has(owner.split(':')[0] ?? owner);
  };
  return [...pathsOfUnit].flatMap(([unit, paths]) => ([...paths].some(isOfPackages) ? [unit] : [])).sort();
}

/** `systemd`, or null where the host was started by something else, which no task restarts. */
function firstProcess(): string | null {
  return read('/proc/1/comm', (text) => (text.trim() === 'systemd' ? 'systemd' : null));
}

/** Null for a process that is gone, or is not to be looked at. */
function read<T>(path: string, parse: (text: string) => T): T | null {
  try {
    return parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}
