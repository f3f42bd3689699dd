/** Pure readers of /proc/PID/maps and /proc/PID/cgroup; see proc(5), cgroups(7). */

export interface MappedFile {
  readonly path: string;
  /** `major:minor` in hex, as the kernel writes it. */
  readonly device: string;
  readonly inode: string;
  /** The name has been removed or given to another file since it was mapped. */
  readonly deleted: boolean;
}

const deletedMark = ' (deleted)';
/** Names that are no files of any package: shared memory, graphics, memfd, and folders anyone may write to. */
const ignored =
  /^(?!\/)|^\/(?:memfd:|dev\/|SYSV|drm|i915|anon_hugepage|\[|tmp\/|var\/tmp\/|run\/|proc\/|sys\/)/u;

/** The files of a process' executable mappings, each once. */
export function parseExecutableMaps(text: string): MappedFile[] {
  const files = new Map<string, MappedFile>();
  for (const line of text.split('\n')) {
    // address perms offset dev inode path
    const match = /^\S+ ..(.). \S+ (\S+) (\d+)\s+(.+)$/u.exec(line);
    if (match === null || match[1] !== 'x') continue;
    const [, , device, inode, name] = match;
    if (device === undefined || inode === undefined || name === undefined || inode === '0') continue;
    const file = readMappedName(name, device, inode);
    if (file !== null) files.set(`${file.path}|${device}|${inode}|${String(file.deleted)}`, file);
  }
  return [...files.values()];
}

/** Reads the name of a mapping, or the target of /proc/PID/exe; null for one that is no package's file. */
export function readMappedName(name: string, device: string, inode: string): MappedFile | null {
  if (ignored.test(name)) return null;
  const deleted = name.endsWith(deletedMark);
  // Newlines in names are written as \012. While dpkg replaces a file, the old one has a name of dpkg's for a moment.
  const path = (deleted ? name.slice(0, -deletedMark.length) : name)
    .replaceAll(String.raw`\012`, '\n')
    .replace(/\.dpkg-(?:tmp|new)$/u, '');
  return { path, device, inode, deleted };
}

/**
 * The service that a process belongs to: the innermost `.service` of its control group. For a unit of a user's own
 * systemd it is `user@UID.service`: that is the one which the host's systemd knows. Null outside services.
 */
export function parseCgroupUnit(text: string): string | null {
  const lines = text.split('\n').filter((line) => line !== '');
  // Version 2 first (`0::`), then the named hierarchy of systemd under version 1.
  const line =
    lines.find((l) => l.startsWith('0::/') && l.length > 4) ??
    lines.find((l) => l.includes(':name=systemd:'));
  const parts = line?.slice(line.indexOf('/')).split('/') ?? [];
  const user = parts.find((part) => /^user@\d+\.service$/u.test(part));
  return user ?? parts.findLast((part) => part.endsWith('.service')) ?? null;
}

/** The same file has one name here, whether the path goes by /lib or by /usr/lib: dpkg's lists use both. */
export function withoutUsr(path: string): string {
  return /^\/usr\/(?:bin|sbin|lib|lib32|lib64|libx32|libo32)\//u.test(path) ? path.slice(4) : path;
}

export interface LoggedUpgrade {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly name: string;
  readonly arch: string;
  readonly from: string;
  readonly to: string;
}

/** The upgrades in /var/log/dpkg.log, whose times are of the host's local time zone. */
export function parseDpkgLog(text: string): LoggedUpgrade[] {
  const upgrades: LoggedUpgrade[] = [];
  for (const line of text.split('\n')) {
    const match = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) upgrade ([^\s:]+):(\S+) (\S+) (\S+)$/u.exec(line);
    if (match === null) continue;
    const [, day, time, name, arch, from, to] = match;
    if (name === undefined || arch === undefined || from === undefined || to === undefined) continue;
    // Without a zone at its end, this form is read as local time (ECMA-262, Date Time String Format).
    const at = Date.parse(`${String(day)}T${String(time)}`);
    if (Number.isFinite(at)) upgrades.push({ at, name, arch, from, to });
  }
  return upgrades;
}

/**
 * The version that a package had when a process started that still maps a file of an earlier version: what the first
 * upgrade since then came from. Null when the log does not reach back.
 */
export function versionBefore(
  upgrades: readonly LoggedUpgrade[],
  p: { readonly name: string; readonly arch: string },
  startedAt: number,
): string | null {
  let first: LoggedUpgrade | null = null;
  for (const upgrade of upgrades) {
    if (upgrade.name !== p.name || upgrade.arch !== p.arch || upgrade.at < startedAt) continue;
    if (first === null || upgrade.at < first.at) first = upgrade;
  }
  return first?.from ?? null;
}
