import { appendFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';

/** Which file of the cache stands for which address. In the server this is a table (store.ts); a point alone has a file. */

export interface StoredFile {
  readonly url: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

export interface FileIndex {
  find(url: string): Promise<StoredFile | null>;
  save(file: StoredFile, at: Date): Promise<void>;
  /** Notes that a file was used, and with `fetched` that the repository said it is still the one. */
  touch(url: string, at: Date, fetched: boolean): Promise<void>;
  remove(url: string): Promise<void>;
  /** Each content counts once. */
  totals(): Promise<{ files: number; bytes: number }>;
  /**
   * Forgets what was used longest ago until no more than `maximumBytes` are left, but for the hashes in `keep`; answers the
   * hashes that nobody names any more.
   */
  forgetOldest(maximumBytes: number, keep: readonly string[]): Promise<string[]>;
  /** Files whose address has this in it. */
  containing(text: string): Promise<StoredFile[]>;
  hashes(): Promise<Set<string>>;
}

const Line = Type.Object({
  url: Type.String(),
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  bytes: Type.Integer({ minimum: 0 }),
  etag: Type.Union([Type.String(), Type.Null()]),
  last_modified: Type.Union([Type.String(), Type.Null()]),
  /** Milliseconds since 1970. */
  used: Type.Number(),
  removed: Type.Optional(Type.Literal(true)),
});
const lineShape = Compile(Line);

interface Entry extends StoredFile {
  readonly used: number;
}

/** So many lines more than there are files, and the index is written anew. */
const spareLines = 10_000;

/** The index of a point alone: a file to which every change is appended. A line that a crash cut short is left out. */
export async function openFolderIndex(folder: string): Promise<FileIndex> {
  const path = join(folder, 'index.jsonl');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const entries = new Map<string, Entry>();
  const text = await readFile(path, 'utf8').catch(() => '');
  for (const line of text.split('\n')) {
    const value = parsed(line);
    if (value === null) continue;
    if (value.removed === true) entries.delete(value.url);
    else entries.set(value.url, { ...value, lastModified: value.last_modified });
  }
  let lines = 0;
  /** Changes are written one after another. */
  let writing: Promise<void> = Promise.resolve();

  const lineOf = (entry: Entry, removed = false): string =>
    `${JSON.stringify({
      url: entry.url,
      sha256: entry.sha256,
      bytes: entry.bytes,
      etag: entry.etag,
      last_modified: entry.lastModified,
      used: entry.used,
      ...(removed ? { removed } : {}),
    })}\n`;
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const next = writing.then(work);
    writing = next.catch(() => undefined);
    return next;
  };
  const writeAnew = async (): Promise<void> => {
    await writeFile(`${path}.new`, [...entries.values()].map((entry) => lineOf(entry)).join(''), {
      mode: 0o600,
    });
    await rename(`${path}.new`, path);
    lines = entries.size;
  };
  /** A change is not in the file, and its last line may be cut short. */
  let isBehind = false;
  /** A disk without room keeps nobody from what is kept, and nothing from being removed: the file is put right when there is. */
  const write = (work: () => Promise<void>): Promise<void> =>
    inTurn(async () => {
      try {
        await (isBehind ? writeAnew() : work());
        isBehind = false;
      } catch {
        isBehind = true;
      }
    });
  const append = (line: string): Promise<void> =>
    write(async () => {
      await appendFile(path, line, { mode: 0o600 });
      lines += 1;
      if (lines > entries.size * 2 + spareLines) await writeAnew();
    });
  const removeEntry = async (entry: Entry): Promise<void> => {
    entries.delete(entry.url);
    await append(lineOf(entry, true));
  };
  await write(writeAnew);

  /** Hash → bytes and the last use of any of its names, what was used last first. */
  const contents = (): [string, { bytes: number; used: number }][] => {
    const all = new Map<string, { bytes: number; used: number }>();
    for (const { sha256, bytes, used } of entries.values()) {
      all.set(sha256, { bytes, used: Math.max(used, all.get(sha256)?.used ?? 0) });
    }
    return [...all].toSorted(([, a], [, b]) => b.used - a.used);
  };

  return {
    find: (url) => Promise.resolve(entries.get(url) ?? null),
    async save(file, at) {
      const entry = { ...file, used: at.getTime() };
      entries.set(file.url, entry);
      await append(lineOf(entry));
    },
    async touch(url, at) {
      const entry = entries.get(url);
      if (entry === undefined) return;
      const touched = { ...entry, used: at.getTime() };
      entries.set(url, touched);
      await append(lineOf(touched));
    },
    async remove(url) {
      const entry = entries.get(url);
      if (entry !== undefined) await removeEntry(entry);
    },
    totals() {
      const all = contents();
      return Promise.resolve({
        files: all.length,
        bytes: all.reduce((sum, [, { bytes }]) => sum + bytes, 0),
      });
    },
    async forgetOldest(maximumBytes, keep) {
      const gone = new Set<string>();
      let kept = 0;
      for (const [sha256, { bytes }] of contents()) {
        kept += bytes;
        if (kept > maximumBytes && !keep.includes(sha256)) gone.add(sha256);
      }
      const leaving = [...entries.values()].filter(({ sha256 }) => gone.has(sha256));
      for (const entry of leaving) await removeEntry(entry);
      return [...gone];
    },
    containing: (part) => Promise.resolve([...entries.values()].filter(({ url }) => url.includes(part))),
    hashes: () => Promise.resolve(new Set([...entries.values()].map(({ sha256 }) => sha256))),
  };
}

function parsed(line: string) {
  try {
    const value: unknown = JSON.parse(line);
    return lineShape.Check(value) ? value : null;
  } catch {
    return null;
  }
}
