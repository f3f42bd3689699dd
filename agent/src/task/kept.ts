import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseJson } from '@fixpoint/contract/parse.ts';
import { Type, type Static } from '@fixpoint/contract/schema.ts';
import { keyOf } from '../execute/keeping.ts';
import { sha256OfFile } from '../file-digest.ts';
import { sha256Hex } from '../identity.ts';
import { readTextIfThere, writeFileAtomically } from '../state-dir.ts';
import { readTasks, type WorkOrder } from './task.ts';

/**
 * What this host keeps of the time before a task, so that it can be put back: `STATE/kept/TASK.GENERATION/`, with `packages/`
 * (one file a package), `files/` (contents by SHA-256) and `manifest`, which is written last: without it nothing was kept.
 * Beside them `installed/`: packages that a task installed and that are still installed. Security archives offer only the newest
 * version, so that the next task finds what it may have to go back to nowhere else.
 */

const closed = { additionalProperties: false } as const;
const name = Type.String({ minLength: 1, maxLength: 256 });
const version = Type.String({ minLength: 1, maxLength: 512 });
const digest = Type.String({ pattern: '^[0-9a-f]{64}$' });
const path = Type.String({ pattern: '^/', maxLength: 4_096 });
const owner = { uid: Type.Integer({ minimum: 0 }), gid: Type.Integer({ minimum: 0 }) };

/** A configuration file as it was. */
export const KeptFile = Type.Union([
  Type.Object({ path, kind: Type.Literal('absent') }, closed),
  Type.Object({ path, kind: Type.Literal('symlink'), target: Type.String(), ...owner }, closed),
  Type.Object(
    {
      path,
      kind: Type.Literal('file'),
      sha256: digest,
      /** Permission bits with setuid, setgid and sticky. */
      mode: Type.Integer({ minimum: 0, maximum: 0o7777 }),
      ...owner,
      accessed_ms: Type.Number(),
      modified_ms: Type.Number(),
    },
    closed,
  ),
]);
export type KeptFile = Static<typeof KeptFile>;

export const KeptPackage = Type.Object(
  {
    name,
    arch: name,
    version,
    /** Null when a snapshot holds it. */
    file: Type.Union([
      Type.Null(),
      Type.Object({ name: Type.String(), bytes: Type.Integer(), sha256: digest }, closed),
    ]),
    /** `index`: by the signed index of a repository; `build`: has the digests of what is installed; `name`: says so itself. */
    checked: Type.Union([Type.Literal('index'), Type.Literal('build'), Type.Literal('name')]),
  },
  closed,
);
export type KeptPackage = Static<typeof KeptPackage>;

/** Paths from the top level of the file system; `subvolume` without a slash at its beginning. */
const KeptBtrfsSnapshot = Type.Object(
  { kind: Type.Literal('btrfs'), path, subvolume: Type.String() },
  closed,
);
export type KeptBtrfsSnapshot = Static<typeof KeptBtrfsSnapshot>;
const KeptLvmSnapshot = Type.Object(
  { kind: Type.Literal('lvm'), group: name, volume: name, origin: name },
  closed,
);
export type KeptLvmSnapshot = Static<typeof KeptLvmSnapshot>;
export const KeptSnapshot = Type.Union([KeptBtrfsSnapshot, KeptLvmSnapshot]);
export type KeptSnapshot = Static<typeof KeptSnapshot>;

export const KeptManifest = Type.Object(
  {
    format: Type.Literal(1),
    task_id: Type.String({ format: 'uuid' }),
    generation: Type.Integer({ minimum: 1 }),
    kept_at: Type.String(),
    method: Type.Union([Type.Literal('packages'), Type.Literal('snapshot')]),
    packages: Type.Array(KeptPackage),
    /** What could not be kept, and why. */
    missing: Type.Array(Type.Object({ name, arch: name, version, message: Type.String() }, closed)),
    files: Type.Array(KeptFile),
    /** What lay beside configuration files before: only what came since is taken away. */
    leftovers: Type.Array(path),
    /** As the package manager names them. */
    automatic: Type.Array(Type.String()),
    held: Type.Array(Type.String()),
    /** What the task was to install newly, and what it was to take away; only what was not (or was) there. */
    added: Type.Array(Type.Object({ name, arch: name, version }, closed)),
    removed: Type.Array(Type.Object({ name, arch: name, version }, closed)),
    snapshot: Type.Optional(KeptSnapshot),
  },
  closed,
);
export type KeptManifest = Static<typeof KeptManifest>;

/** So many tasks can be put back, the newest; each further one would hold disk for less and less likely a wish. */
export const keptTasksMaximum = 3;
/** A snapshot holds whatever is overwritten after it, for as long as it is there. */
export const keptSnapshotsMaximum = 2;
/** Packages of three large updates; the state folder is often on a small root file system. */
export const keptBytesMaximum = 2 * 1024 ** 3;

/** Of `installed/`: the newest files within it. */
export const installedBytesMaximum = 1024 ** 3;

const manifestFile = 'manifest';

function root(stateDir: string): string {
  return join(stateDir, 'kept');
}

export function keptDir(stateDir: string, taskId: string, generation: number): string {
  return join(root(stateDir), `${taskId}.${String(generation)}`);
}

/** The folder that a task keeps in, or puts back from. */
export function keptDirOf(stateDir: string, order: WorkOrder): string {
  return keptDir(
    stateDir,
    order.task_id,
    order.action === 'roll_back' ? order.undoes_generation : order.generation,
  );
}

/** Where the files of packages lie that earlier tasks installed. */
export function installedDir(stateDir: string): string {
  return join(root(stateDir), 'installed');
}

/** Forgets packages that are not among these, and the oldest beyond the limit. */
export function pruneInstalled(stateDir: string, wanted: ReadonlySet<string>): void {
  const dir = installedDir(stateDir);
  if (!existsSync(dir)) return;
  const files = readdirSync(dir)
    .map((file) => ({ file, stats: statSync(join(dir, file)) }))
    .toSorted((a, b) => b.stats.mtimeMs - a.stats.mtimeMs);
  let bytes = 0;
  for (const { file, stats } of files) {
    if (wanted.has(file)) bytes += stats.size;
    if (!wanted.has(file) || bytes > installedBytesMaximum) rmSync(join(dir, file), { force: true });
  }
}

export function packageFile(dir: string, fileName: string): string {
  return join(dir, 'packages', fileName);
}

/** Makes the keeping count: durable when it returns. */
export function writeManifest(dir: string, manifest: KeptManifest): void {
  const json = JSON.stringify(manifest);
  writeFileAtomically(join(dir, manifestFile), `${sha256Hex(json)} ${json}\n`);
}

/** Null when there is none, or when it is not whole. */
export function readManifest(dir: string): KeptManifest | null {
  const text = readTextIfThere(join(dir, manifestFile));
  if (text === null) return null;
  const json = text.slice(65, -1);
  if (text[64] !== ' ' || text.slice(0, 64) !== sha256Hex(json)) return null;
  const parsed = parseJson(KeptManifest, json);
  return parsed.ok ? parsed.value : null;
}

/** Version of each package before the task, by `name:arch`; null when nothing is kept of it. */
export function keptVersions(
  stateDir: string,
  taskId: string,
  generation: number,
): ReadonlyMap<string, string> | null {
  const manifest = readManifest(keptDir(stateDir, taskId, generation));
  if (manifest?.task_id !== taskId || manifest.generation !== generation) return null;
  return new Map(manifest.packages.map((p) => [keyOf(p), p.version]));
}

export interface KeptFolder {
  readonly dir: string;
  readonly taskId: string;
  readonly modifiedMs: number;
  /** Null while it is being made, or when that was given up. */
  readonly manifest: KeptManifest | null;
}

/** All that this host keeps, the newest first. */
export function listKept(stateDir: string): KeptFolder[] {
  if (!existsSync(root(stateDir))) return [];
  return readdirSync(root(stateDir))
    .flatMap((entry): KeptFolder[] => {
      const [, taskId] = /^([0-9a-f-]{36})\.\d+$/u.exec(entry) ?? [];
      if (taskId === undefined) return [];
      const dir = join(root(stateDir), entry);
      const manifest = readManifest(dir);
      return [{ dir, taskId, modifiedMs: statSync(dir).mtimeMs, manifest }];
    })
    .toSorted((a, b) => (b.manifest?.kept_at ?? '').localeCompare(a.manifest?.kept_at ?? ''));
}

/** Bytes of what a folder holds. */
function bytesOf(dir: string): number {
  return readdirSync(dir, { withFileTypes: true }).reduce((sum, entry) => {
    const below = join(dir, entry.name);
    return sum + (entry.isDirectory() ? bytesOf(below) : statSync(below).size);
  }, 0);
}

/**
 * Forgets what is beyond the limits: never of a task of which any generation has not ended.
 * @param forgetSnapshot called before a folder with a snapshot is taken away
 */
export async function pruneKept(
  stateDir: string,
  forgetSnapshot: (snapshot: KeptSnapshot) => Promise<void>,
): Promise<void> {
  const open = new Set(readTasks(stateDir).flatMap((task) => (task.ended ? [] : [task.task_id])));
  let tasks = 0;
  let bytes = 0;
  let snapshots = 0;
  for (const { dir, taskId, manifest } of listKept(stateDir)) {
    bytes += bytesOf(dir);
    tasks++;
    if (manifest?.snapshot !== undefined) snapshots++;
    if (open.has(taskId)) continue;
    const isWithin =
      tasks <= keptTasksMaximum && bytes <= keptBytesMaximum && snapshots <= keptSnapshotsMaximum;
    if (manifest !== null && isWithin) continue;
    if (manifest?.snapshot !== undefined) await forgetSnapshot(manifest.snapshot);
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Whether the file is there, whole. */
export function isWhole(dir: string, file: { readonly name: string; readonly sha256: string }): boolean {
  const at = packageFile(dir, file.name);
  return existsSync(at) && sha256OfFile(at) === file.sha256;
}
