import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  unlink,
  writeFile,
  type FileHandle,
} from 'node:fs/promises';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';

/** What an unfinished file is a part of, so that the rest can be asked for, after a restart too. */
const PartialNote = Type.Object({
  url: Type.String(),
  bytes: Type.Union([Type.Integer(), Type.Null()]),
  etag: Type.Union([Type.String(), Type.Null()]),
  last_modified: Type.Union([Type.String(), Type.Null()]),
});
export type PartialNote = Static<typeof PartialNote>;
const partialNote = Compile(PartialNote);

export interface OpenedFile {
  readonly handle: FileHandle;
  readonly bytes: number;
  /** To be called once; until then the file is in use. */
  close(): Promise<void>;
}

/**
 * Files by the SHA-256 of what is in them, so that one that is fetched under ten names is kept once. Nothing in here is
 * trusted: a file is hashed again before it is served, unless it is the very file that was hashed before.
 */
export interface FileCache {
  /** Opens a file of the cache; null when it is not there or is not what its name says (it is removed then). */
  open(sha256: string, bytes: number): Promise<OpenedFile | null>;
  /** What is there of a file that did not arrive whole; null when nothing can be made of it. */
  unfinished(name: string): Promise<{ readonly note: PartialNote; readonly bytes: number } | null>;
  /** A file to write into, which is in the cache only once it is adopted. `from`: so many bytes of an earlier one stay. */
  partial(name: string, from: number): Promise<{ handle: FileHandle; path: string }>;
  /** Notes what the file is a part of. Without a note it is cleared away at the next start. */
  notePartial(name: string, note: PartialNote): Promise<void>;
  dropPartial(name: string): Promise<void>;
  /** Takes a complete, written file in under its hash. */
  adopt(name: string, sha256: string): Promise<void>;
  remove(sha256: string): Promise<void>;
  /** Where a file with this hash is, if it is there. Not checked: {@link open} is. */
  path(sha256: string): string;
  /** Hashes of the files that are being served now. */
  inUse(): string[];
  /** Removes files that nobody names any more and that were there before, and what nobody goes on with; answers how many of the first. */
  sweep(isNamed: (sha256: string) => boolean, before: Date): Promise<number>;
  /** Called with the hash that a file should have when it has another. */
  onDamage(listener: (sha256: string) => void): void;
}

/** What is unfinished is worth something for so long. */
const partialDays = 7;

/** Opens the cache in a folder, and clears away what an earlier process did not finish and nobody can go on with. */
export async function openFileCache(folder: string, now: Date): Promise<FileCache> {
  const files = join(folder, 'sha256');
  const partials = join(folder, 'partial');
  await mkdir(files, { recursive: true, mode: 0o700 });
  await mkdir(partials, { recursive: true, mode: 0o700 });
  const old = (at: Date): number => at.getTime() - partialDays * 86_400_000;
  const there = new Set(await readdir(partials));
  // of what was written before the machine went down, the disk may not have all
  const oldest = Math.max(old(now), now.getTime() - uptime() * 1000);
  for (const name of there) {
    const twin = name.endsWith('.json') ? name.slice(0, -'.json'.length) : `${name}.json`;
    const { mtimeMs } = await stat(join(partials, name));
    if (there.has(twin) && mtimeMs >= oldest) continue;
    await rm(join(partials, name), { force: true });
  }

  const pathOf = (sha256: string): string => join(files, sha256.slice(0, 2), sha256);
  const partialOf = (name: string): string => join(partials, name);
  /** Which file (inode, time of last change, size) was found to be right. */
  const verified = new Map<string, string>();
  const used = new Map<string, number>();
  const listeners: ((sha256: string) => void)[] = [];

  function opened(handle: FileHandle, sha256: string, bytes: number): OpenedFile {
    used.set(sha256, (used.get(sha256) ?? 0) + 1);
    return {
      handle,
      bytes,
      async close() {
        const left = (used.get(sha256) ?? 1) - 1;
        if (left === 0) used.delete(sha256);
        else used.set(sha256, left);
        await handle.close();
      },
    };
  }

  async function dropPartial(name: string): Promise<void> {
    await rm(partialOf(name), { force: true });
    await rm(`${partialOf(name)}.json`, { force: true });
  }

  async function remove(sha256: string): Promise<void> {
    verified.delete(sha256);
    await rm(pathOf(sha256), { force: true });
  }

  return {
    async open(sha256, bytes) {
      const path = pathOf(sha256);
      const handle = await open(path, 'r').catch(() => null);
      if (handle === null) return null;
      const { ino, ctimeMs, size } = await handle.stat();
      // the time of last change of an inode cannot be set back by a program, unlike that of its content
      const identity = `${String(ino)} ${String(ctimeMs)} ${String(size)}`;
      if (size === bytes && verified.get(sha256) === identity) return opened(handle, sha256, bytes);
      if (size === bytes && (await hashOf(path)) === sha256) {
        if (verified.size > 50_000) verified.clear();
        verified.set(sha256, identity);
        return opened(handle, sha256, bytes);
      }
      await handle.close();
      await unlink(path).catch(() => undefined);
      for (const listener of listeners) listener(sha256);
      return null;
    },
    async unfinished(name) {
      try {
        const note: unknown = JSON.parse(await readFile(`${partialOf(name)}.json`, 'utf8'));
        if (!partialNote.Check(note)) return null;
        return { note, bytes: (await stat(partialOf(name))).size };
      } catch {
        return null;
      }
    },
    async partial(name, from) {
      const path = partialOf(name);
      if (from > 0) {
        const handle = await open(path, 'r+', 0o600);
        await handle.truncate(from);
        return { handle, path };
      }
      // another file, not the same one emptied: an earlier download may still be read from
      await rm(path, { force: true });
      await rm(`${path}.json`, { force: true });
      return { handle: await open(path, 'wx+', 0o600), path };
    },
    async notePartial(name, note) {
      await writeFile(`${partialOf(name)}.json`, JSON.stringify(note), { mode: 0o600 });
    },
    dropPartial,
    async adopt(name, sha256) {
      const target = pathOf(sha256);
      await mkdir(join(files, sha256.slice(0, 2)), { recursive: true, mode: 0o700 });
      // whether it still is what it says is found out when it is served
      const isThere = (await stat(target).catch(() => null)) !== null && (await hashOf(target)) === sha256;
      if (!isThere) await rename(partialOf(name), target);
      await dropPartial(name);
    },
    remove,
    path: pathOf,
    inUse: () => [...used.keys()],
    async sweep(isNamed, before) {
      let removed = 0;
      for (const folderName of await readdir(files)) {
        for (const sha256 of await readdir(join(files, folderName))) {
          if (isNamed(sha256) || used.has(sha256)) continue;
          const found = await stat(join(files, folderName, sha256)).catch(() => null);
          if (found === null || found.ctimeMs >= before.getTime()) continue;
          await remove(sha256);
          removed += 1;
        }
      }
      for (const name of await readdir(partials)) {
        const found = await stat(join(partials, name)).catch(() => null);
        if (found !== null && found.mtimeMs < old(before)) await rm(join(partials, name), { force: true });
      }
      return removed;
    },
    onDamage(listener) {
      listeners.push(listener);
    },
  };
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}
