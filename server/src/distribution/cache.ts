import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/**
 * Files by the SHA-256 of what is in them, so that one that is fetched under ten names is kept once. Nothing in here is
 * trusted: a file is hashed again before it is served, unless it is the very file that was hashed before.
 */
export interface FileCache {
  /** Opens a file of the cache; null when it is not there or is not what its name says (it is removed then). */
  open(sha256: string, bytes: number): Promise<{ handle: FileHandle; bytes: number } | null>;
  /** A new file to write into, which is in the cache only once it is adopted. */
  partial(name: string): Promise<{ handle: FileHandle; path: string }>;
  /** Takes a complete, written file in under its hash. */
  adopt(path: string, sha256: string): Promise<void>;
  remove(sha256: string): Promise<void>;
  /** Called with the hash that a file should have when it has another. */
  onDamage(listener: (sha256: string) => void): void;
}

/** Opens the cache in a folder, and clears away what an earlier process did not finish. */
export async function openFileCache(folder: string): Promise<FileCache> {
  const files = join(folder, 'sha256');
  const partials = join(folder, 'partial');
  await mkdir(files, { recursive: true, mode: 0o700 });
  await mkdir(partials, { recursive: true, mode: 0o700 });
  for (const name of await readdir(partials)) await rm(join(partials, name), { force: true });

  const pathOf = (sha256: string): string => join(files, sha256.slice(0, 2), sha256);
  /** Which file (inode, time of last change, size) was found to be right. */
  const verified = new Map<string, string>();
  const listeners: ((sha256: string) => void)[] = [];

  return {
    async open(sha256, bytes) {
      const path = pathOf(sha256);
      const handle = await open(path, 'r').catch(() => null);
      if (handle === null) return null;
      const { ino, ctimeMs, size } = await handle.stat();
      // the time of last change of an inode cannot be set back by a program, unlike that of its content
      const identity = `${String(ino)} ${String(ctimeMs)} ${String(size)}`;
      if (size === bytes && verified.get(sha256) === identity) return { handle, bytes };
      if (size === bytes && (await hashOf(path)) === sha256) {
        if (verified.size > 50_000) verified.clear();
        verified.set(sha256, identity);
        return { handle, bytes };
      }
      await handle.close();
      await unlink(path).catch(() => undefined);
      for (const listener of listeners) listener(sha256);
      return null;
    },
    async partial(name) {
      const path = join(partials, name);
      return { handle: await open(path, 'wx+', 0o600), path };
    },
    async adopt(path, sha256) {
      const target = pathOf(sha256);
      await mkdir(join(files, sha256.slice(0, 2)), { recursive: true, mode: 0o700 });
      if (await stat(target).catch(() => null)) {
        // whether it still is what it says is found out when it is served
        if ((await hashOf(target)) === sha256) return rm(path, { force: true });
      }
      return rename(path, target);
    },
    async remove(sha256) {
      verified.delete(sha256);
      await rm(pathOf(sha256), { force: true });
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
