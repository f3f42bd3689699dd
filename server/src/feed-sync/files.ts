import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Files of feeds as they were published, by the SHA-256 of what is in them, and those that are on their way. They are kept
 * so that a bundle can be exported and an import repeated without asking the publisher again. Losing them loses nothing but
 * that: everything can be downloaded again.
 */
export interface FeedFiles {
  /** Whether a file of this hash and size is here. Its content is checked when it is read. */
  has(sha256: string, bytes: number): Promise<boolean>;
  /** @throws KeptFileDamaged at the end, when the bytes are not those of the hash; the file is removed then */
  read(sha256: string): AsyncGenerator<Uint8Array>;
  /** Where a file grows that is on its way. It stays there over restarts, under a name that is the key's own. */
  partial(key: string): string;
  /** Takes in a file that is written and flushed. */
  adopt(path: string, sha256: string): Promise<void>;
  /** Writes all bytes and takes them in. */
  keep(key: string, bytes: AsyncIterable<Uint8Array>, maximumBytes: number): Promise<KeptFile>;
  /** Removes what is not among these hashes and was not touched for a while. Answers how many files went. */
  prune(needed: ReadonlySet<string>, untouchedSince: Date): Promise<number>;
}

export interface KeptFile {
  readonly sha256: string;
  readonly bytes: number;
}

export class KeptFileDamaged extends Error {
  readonly sha256: string;
  constructor(sha256: string) {
    super(`the kept file ${sha256} is not what it was`);
    this.sha256 = sha256;
  }
}

export class TooManyBytes extends Error {}

const isHash = /^[0-9a-f]{64}$/;

/** The files in a folder of their own in the data folder; it is made when something is first written. */
export function feedFiles(dataFolder: string): FeedFiles {
  const folder = join(dataFolder, 'feeds');
  const complete = join(folder, 'sha256');
  const partials = join(folder, 'partial');
  let made: Promise<void> | null = null;
  const make = () =>
    (made ??= (async () => {
      await mkdir(complete, { recursive: true, mode: 0o700 });
      await mkdir(partials, { recursive: true, mode: 0o700 });
    })());
  const pathOf = (sha256: string): string => {
    if (!isHash.test(sha256)) throw new Error('this is not a SHA-256 in hexadecimal');
    return join(complete, sha256.slice(0, 2), sha256);
  };
  const partialOf = (key: string): string =>
    join(partials, createHash('sha256').update(key).digest('hex').slice(0, 32));

  async function adopt(path: string, sha256: string): Promise<void> {
    const target = pathOf(sha256);
    await mkdir(join(complete, sha256.slice(0, 2)), { recursive: true, mode: 0o700 });
    await rename(path, target);
  }

  return {
    async has(sha256, bytes) {
      const found = await stat(pathOf(sha256)).catch(() => null);
      return found !== null && found.isFile() && found.size === bytes;
    },
    async *read(sha256) {
      const path = pathOf(sha256);
      const hash = createHash('sha256');
      for await (const piece of createReadStream(path, { highWaterMark: 256 * 1024 })) {
        // without an encoding, a stream gives bytes
        const chunk: Buffer = piece;
        hash.update(chunk);
        yield chunk;
      }
      if (hash.digest('hex') === sha256) return;
      await rm(path, { force: true });
      throw new KeptFileDamaged(sha256);
    },
    partial: partialOf,
    adopt,
    async keep(key, bytes, maximumBytes) {
      await make();
      const path = `${partialOf(key)}.made`;
      const hash = createHash('sha256');
      let size = 0;
      const handle = await open(path, 'w', 0o600);
      try {
        for await (const chunk of bytes) {
          size += chunk.length;
          if (size > maximumBytes) throw new TooManyBytes();
          hash.update(chunk);
          await handle.write(chunk);
        }
        await handle.datasync();
      } catch (error) {
        await handle.close();
        await rm(path, { force: true });
        throw error;
      }
      await handle.close();
      const sha256 = hash.digest('hex');
      await adopt(path, sha256);
      return { sha256, bytes: size };
    },
    async prune(needed, untouchedSince) {
      let removed = 0;
      for (const path of [...(await filesUnder(complete)), ...(await filesUnder(partials))]) {
        const name = path.slice(path.lastIndexOf('/') + 1);
        if (needed.has(name)) continue;
        const found = await stat(path).catch(() => null);
        if (found === null || found.mtimeMs >= untouchedSince.getTime()) continue;
        await rm(path, { force: true });
        removed += 1;
      }
      return removed;
    },
  };
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Makes the folder of a file that is about to be written. */
export async function folderOf(path: string): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
}

/** Continues a hash over a file that is partly there. */
export async function hashInto(
  path: string,
  hashes: readonly { update(data: Uint8Array): unknown }[],
): Promise<void> {
  for await (const piece of createReadStream(path, { highWaterMark: 256 * 1024 })) {
    const chunk: Buffer = piece;
    for (const hash of hashes) hash.update(chunk);
  }
}
