import { compareText } from '@fixpoint/core/knowledge/compare-text.ts';
import { closeSync, openSync, readFileSync, readlinkSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Type, type Static } from '@fixpoint/contract/schema.ts';
import type { InstalledPackage, Residue } from '@fixpoint/core/inventory/inventory.ts';
import { parseBootTime, startSeconds } from './collect/host.ts';
import {
  parseCgroupUnit,
  parseExecutableMaps,
  readMappedName,
  versionBefore,
  withoutUsr,
  type LoggedUpgrade,
  type MappedFile,
} from './collect/maps.ts';
import { type PackageFiles } from './collect/package-source.ts';
import { toIso } from './clock.ts';
import { listProcesses, readProcessStat } from './process.ts';
import { readStateFile, writeFileAtomically } from './state-dir.ts';
import type { TouchedPackage } from './file-residue.ts';

/**
 * Processes that still run code which the package manager has replaced. A mapping tells that its file was replaced by
 * `(deleted)`, or by an inode that the name no longer has (compared only on one device: overlay and btrfs show others).
 */

const mapsBytesMaximum = 4 * 1024 * 1024;
const rememberedMaximum = 20_000;

/** Whose a mapped file was when it still had its name: tells a replaced file's version exactly, later. */
const Remembered = Type.Record(
  Type.String(),
  Type.Object({
    name: Type.String(),
    arch: Type.String(),
    version: Type.String(),
    source: Type.String(),
    source_version: Type.String(),
  }),
);
type Remembered = Static<typeof Remembered>;

export interface ProcessResidueCollector {
  /** @param touched packages that tasks changed: their earlier file lists name files that no package owns any more. */
  collect(packages: readonly InstalledPackage[], touched: readonly TouchedPackage[]): Promise<Residue[]>;
}

interface RunningProcess {
  readonly pid: number;
  readonly command: string;
  readonly startTicks: string;
  readonly files: readonly MappedFile[];
}

export function createProcessResidueCollector(
  stateDir: string | null,
  packageFiles: Pick<PackageFiles, 'stamp' | 'ownersOf' | 'upgrades'>,
): ProcessResidueCollector {
  const path = stateDir === null ? null : join(stateDir, 'mapped-files.json');
  let remembered: Remembered | null = null;

  return {
    async collect(packages, touched) {
      const before = packageFiles.stamp();
      const earlier = remembered ?? loadRemembered(path);
      const processes = readProcesses();
      const replaced: { readonly process: RunningProcess; readonly file: MappedFile }[] = [];
      const present = new Map<string, MappedFile>();
      const differing = new Map<string, boolean>();
      for (const process of processes) {
        for (const file of process.files) {
          if (file.deleted || differs(file, differing)) replaced.push({ process, file });
          else present.set(fileKey(file), file);
        }
      }
      const names = [...present.values(), ...replaced.map((r) => r.file)].map((file) => file.path);
      const ownerOf = await packageFiles.ownersOf(names);
      const byName = indexByName(packages);

      const now: Remembered = {};
      for (const [key, file] of present) {
        const p = installedOwner(ownerOf.get(file.path) ?? null, byName);
        if (p !== null) now[key] = remember(p);
      }
      for (const { file } of replaced) {
        const known = earlier[fileKey(file)];
        if (known !== undefined) now[fileKey(file)] = known;
      }
      // While the package manager works, a file may already be new and the database still old.
      if (packageFiles.stamp() === before) remembered = saveRemembered(path, earlier, now);

      if (replaced.length === 0) return [];
      const upgrades = packageFiles.upgrades();
      const bootSeconds = parseBootTime(readFileSync('/proc/stat', 'utf8')) ?? 0;
      const residue = new Map<string, Residue>();
      for (const { process, file } of replaced) {
        const startedAt = startSeconds(bootSeconds, process.startTicks) * 1000;
        const origin =
          earlier[fileKey(file)] ??
          originOf(
            file,
            startedAt,
            installedOwner(ownerOf.get(file.path) ?? null, byName),
            touched,
            upgrades,
          );
        if (origin === null) continue;
        const key = `${origin.name}:${origin.arch} ${String(origin.version)} ${String(process.pid)}`;
        if (residue.has(key)) continue;
        residue.set(key, {
          kind: 'process',
          ...origin,
          path: file.path.slice(0, 4096),
          process: {
            pid: process.pid,
            command: process.command.slice(0, 1024),
            unit: readUnit(process.pid),
            started_at: toIso(startedAt),
          },
          alteration: null,
        });
      }
      return [...residue.values()];
    },
  };
}

type Origin = Pick<Residue, 'name' | 'arch' | 'version' | 'source' | 'source_version'>;

/** Which package and version a replaced file is of, when it was not seen before it was replaced. */
function originOf(
  file: MappedFile,
  startedAt: number,
  owner: InstalledPackage | null,
  touched: readonly TouchedPackage[],
  upgrades: readonly LoggedUpgrade[],
): Origin | null {
  const key = withoutUsr(file.path);
  const change =
    touched.find((t) => t.name === owner?.name && t.arch === owner.arch) ??
    touched.find((t) => owner === null && t.files_before.some((path) => withoutUsr(path) === key));
  const p = owner ?? change;
  if (p === undefined) return null;
  const version = versionBefore(upgrades, p, startedAt) ?? (change === undefined ? null : change.from);
  return {
    name: p.name,
    arch: p.arch,
    version,
    source: p.source,
    source_version: sourceVersionOf(version, owner, change),
  };
}

/** A rebuild of the same source has another version than its source: then the earlier one's source cannot be derived. */
function sourceVersionOf(
  version: string | null,
  owner: InstalledPackage | null,
  change: TouchedPackage | undefined,
): string | null {
  if (version === null) return null;
  if (change?.from === version) return change.from_source_version;
  return owner !== null && owner.version === owner.source_version ? version : null;
}

/** What a residue tells of a package, and nothing else that is known of it. */
function remember({ name, arch, version, source, source_version }: InstalledPackage): Remembered[string] {
  return { name, arch, version, source, source_version };
}

function fileKey(file: MappedFile): string {
  return `${file.path}|${file.device}|${file.inode}`;
}

/** One look at the file for all processes that map it. */
function differs(file: MappedFile, seen: Map<string, boolean>): boolean {
  const key = fileKey(file);
  let answer = seen.get(key);
  if (answer === undefined) {
    answer = inodeDiffers(file);
    seen.set(key, answer);
  }
  return answer;
}

function inodeDiffers(file: MappedFile): boolean {
  try {
    const { dev, ino } = statSync(file.path);
    // Linux' encoding of a device number, as makedev(3) has it.
    const major = ((dev >>> 8) & 0xfff) | Number((BigInt(dev) >> 32n) & 0xfffff000n);
    const minor = (dev & 0xff) | Number((BigInt(dev) >> 12n) & 0xffffff00n);
    const device = `${major.toString(16).padStart(2, '0')}:${minor.toString(16).padStart(2, '0')}`;
    return device === file.device && String(ino) !== file.inode;
  } catch {
    // Gone without `(deleted)`, or behind a mount of that process' own: no statement about a package's file.
    return false;
  }
}

function indexByName(packages: readonly InstalledPackage[]): Map<string, InstalledPackage> {
  const index = new Map<string, InstalledPackage>();
  for (const p of packages) {
    index.set(p.name, p);
    index.set(`${p.name}:${p.arch}`, p);
  }
  return index;
}

function installedOwner(
  owner: string | null,
  index: ReadonlyMap<string, InstalledPackage>,
): InstalledPackage | null {
  return owner === null ? null : (index.get(owner) ?? null);
}

/** Every process that sees the same root as this one: those of containers map files of other hosts, as it were. */
function readProcesses(): RunningProcess[] {
  const root = rootIdentity('self');
  return listProcesses().flatMap((pid) => {
    const stat = readProcessStat(pid);
    if (stat === null || stat.isKernelThread || rootIdentity(String(pid)) !== root) return [];
    const maps = readBounded(`/proc/${String(pid)}/maps`);
    if (maps === null) return [];
    const files = parseExecutableMaps(maps);
    const program = readProgram(pid);
    if (program !== null && !files.some((f) => f.path === program.path)) files.push(program);
    return [{ pid, command: readCommand(pid) ?? stat.command, startTicks: stat.startTicks, files }];
  });
}

function rootIdentity(pid: string): string | null {
  try {
    const { dev, ino } = statSync(`/proc/${pid}/root/`);
    return `${String(dev)}:${String(ino)}`;
  } catch {
    return null;
  }
}

/** Only a replaced program matters here: one that is there is in the maps as well. */
function readProgram(pid: number): MappedFile | null {
  try {
    const file = readMappedName(readlinkSync(`/proc/${String(pid)}/exe`), '', '');
    return file?.deleted === true ? file : null;
  } catch {
    return null;
  }
}

function readCommand(pid: number): string | null {
  const text =
    readBounded(`/proc/${String(pid)}/cmdline`)
      ?.replaceAll('\0', ' ')
      .trim() ?? '';
  // Arguments may hold secrets, so only the program's name leaves the host.
  const program = text.split(' ')[0] ?? '';
  return program === '' ? null : program;
}

function readUnit(pid: number): string | null {
  const text = readBounded(`/proc/${String(pid)}/cgroup`);
  return text === null ? null : (parseCgroupUnit(text)?.slice(0, 512) ?? null);
}

function readBounded(path: string): string | null {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return null;
  }
  try {
    const chunks: Buffer[] = [];
    for (let bytes = 0; bytes < mapsBytesMaximum;) {
      const chunk = Buffer.allocUnsafe(65_536);
      const count = readSync(file, chunk);
      if (count === 0) break;
      chunks.push(chunk.subarray(0, count));
      bytes += count;
    }
    return Buffer.concat(chunks).toString('utf8');
  } catch {
    return null;
  } finally {
    closeSync(file);
  }
}

function loadRemembered(path: string | null): Remembered {
  if (path === null) return {};
  try {
    return readStateFile(path, Remembered) ?? {};
  } catch {
    // Only an aid: what it would have told exactly, the package manager's log tells nearly as well.
    return {};
  }
}

function saveRemembered(path: string | null, earlier: Remembered, now: Remembered): Remembered {
  const entries = Object.entries(now)
    .sort(([a], [b]) => compareText(a, b))
    .slice(0, rememberedMaximum);
  const kept = Object.fromEntries(entries);
  const text = JSON.stringify(kept);
  if (path !== null && text !== JSON.stringify(earlier)) writeFileAtomically(path, text);
  return kept;
}
