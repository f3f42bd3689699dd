import { createHash } from 'node:crypto';
import { rm, type FileHandle } from 'node:fs/promises';
import type { FileCache } from './cache.ts';
import type { UpstreamAnswer } from './upstream.ts';

type UpstreamFile = Extract<UpstreamAnswer, { kind: 'file' }>;

export interface Downloaded {
  readonly sha256: string;
  readonly bytes: number;
}

/** One file on its way from a repository, for everybody who wants it: written once, read by each at its own pace. */
export interface Download {
  readonly bytes: number | null;
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** Settles when all of it is in the cache; rejects when it is not to be had. */
  readonly done: Promise<Downloaded>;
  /** Reads what has arrived and what arrives; null when all of it has, and the cache is to be asked. */
  attach(): DownloadReader | null;
}

export interface DownloadReader {
  /** The next piece; null at the end. Rejects when the rest does not come. */
  next(): Promise<Buffer | null>;
  /** To be called once, whatever happened. */
  release(): Promise<void>;
}

export class DownloadError extends Error {
  readonly code: 'too_large' | 'incomplete' | 'hash_differs';
  constructor(code: DownloadError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

const readAtOnce = 256 * 1024;

/**
 * Begins to write a repository's answer to disk. It counts only when exactly as much came as was announced, when it is not
 * larger than `maximumBytes`, and, where the name promises a hash, when it has that hash.
 */
export async function startDownload(
  answer: UpstreamFile,
  cache: FileCache,
  options: {
    readonly name: string;
    readonly maximumBytes: number;
    readonly sha256: string | null;
    /** Called before any reader hears of a failure, so that whoever asks again gets a new download. */
    readonly failed: () => void;
  },
): Promise<Download> {
  const { handle, path } = await cache.partial(options.name);
  let written = 0;
  let ended = false;
  let failure: Error | null = null;
  let readers = 0;
  let wake: (() => void)[] = [];
  const progress = (): void => {
    const waiting = wake;
    wake = [];
    for (const one of waiting) one();
  };

  const write = async (): Promise<Downloaded> => {
    if (answer.bytes !== null && answer.bytes > options.maximumBytes) {
      throw new DownloadError('too_large', `${String(answer.bytes)} bytes are more than is taken`);
    }
    const hash = createHash('sha256');
    for await (const piece of answer.body) {
      // without an encoding, a stream gives bytes
      const chunk: Buffer = piece;
      if (written + chunk.length > options.maximumBytes) {
        throw new DownloadError('too_large', `more than ${String(options.maximumBytes)} bytes came`);
      }
      hash.update(chunk);
      await handle.write(chunk, 0, chunk.length, written);
      written += chunk.length;
      progress();
    }
    if (!answer.body.complete || (answer.bytes !== null && answer.bytes !== written)) {
      throw new DownloadError('incomplete', `${String(written)} of ${String(answer.bytes)} bytes came`);
    }
    const sha256 = hash.digest('hex');
    if (options.sha256 !== null && options.sha256 !== sha256) {
      throw new DownloadError('hash_differs', `its SHA-256 is ${sha256}, its name says ${options.sha256}`);
    }
    await handle.datasync();
    await cache.adopt(path, sha256);
    return { sha256, bytes: written };
  };

  const closeIfUnused = async (): Promise<void> => {
    if (ended && readers === 0) await handle.close();
  };
  const run = async (): Promise<Downloaded> => {
    try {
      return await write();
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
      options.failed();
      answer.body.destroy();
      await rm(path, { force: true });
      throw failure;
    } finally {
      ended = true;
      progress();
      await closeIfUnused();
    }
  };
  const done = run();
  // whoever reads hears of a failure there; nobody has to wait for `done`
  done.catch(() => undefined);

  return {
    bytes: answer.bytes,
    etag: answer.etag,
    lastModified: answer.lastModified,
    done,
    attach() {
      if (ended) return null;
      readers += 1;
      let position = 0;
      return {
        async next() {
          for (;;) {
            if (failure !== null) throw failure;
            if (position < written) {
              const chunk = await readAt(handle, position, Math.min(readAtOnce, written - position));
              position += chunk.length;
              return chunk;
            }
            if (ended) return null;
            await new Promise<void>((resolve) => {
              wake.push(resolve);
            });
          }
        },
        async release() {
          readers -= 1;
          await closeIfUnused();
        },
      };
    },
  };
}

async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, position);
  if (bytesRead === 0) throw new Error('a file of the cache ended early');
  return buffer.subarray(0, bytesRead);
}
