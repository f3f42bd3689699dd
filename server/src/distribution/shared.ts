import type { FileHandle } from 'node:fs/promises';

/**
 * The bytes of a file while it arrives: written to disk once, and read by any number of readers, each at its own pace. When
 * there is no room on the disk, what comes goes through memory: the slowest reader then holds up the rest.
 */

export interface DownloadReader {
  /** The next piece; null at the end. Rejects when the rest does not come. */
  next(): Promise<Buffer | null>;
  /** To be called once, whatever happened. */
  release(): Promise<void>;
}

export interface Shared {
  written(): number;
  /** To the disk; rejects as the disk does, and then nothing of the piece counts. */
  write(chunk: Buffer): Promise<void>;
  /** Through memory from now on; false when nobody reads. */
  passOn(chunk: Buffer): Promise<boolean>;
  isPassing(): boolean;
  sync(): Promise<void>;
  fail(error: Error): void;
  /** Nothing more comes. */
  end(): Promise<void>;
  /** Null when it has ended, or when what the reader needs is gone already. */
  attach(start: number): DownloadReader | null;
}

const readAtOnce = 256 * 1024;
/** What may wait in memory for the slowest reader. */
const passingBytes = 4 * 1024 * 1024;

/** `handle` null: there is no room from the beginning. `written`: bytes that are in the file already. */
export function createShared(handle: FileHandle | null, beginning: number): Shared {
  let written = beginning;
  let ended = false;
  let failure: Error | null = null;
  /** What is not on disk. */
  let passing: { start: number; readonly chunks: Buffer[] } | null =
    handle === null ? { start: 0, chunks: [] } : null;
  let onDisk = beginning;
  const readers = new Set<{ position: number }>();
  let wasRead = false;
  let waiting: (() => void)[] = [];

  const progress = (): void => {
    const all = waiting;
    waiting = [];
    for (const go of all) go();
  };
  const changed = (): Promise<void> =>
    new Promise((resolve) => {
      waiting.push(resolve);
    });
  const closeIfUnused = async (): Promise<void> => {
    if (ended && readers.size === 0) await handle?.close();
  };

  /** Lets go of what everybody has read. */
  function letGo(): void {
    if (passing === null) return;
    const slowest = Math.min(...[...readers].map((reader) => reader.position));
    for (;;) {
      const [first] = passing.chunks;
      if (first === undefined || passing.start + first.length > slowest) return;
      passing.chunks.shift();
      passing.start += first.length;
    }
  }

  async function read(position: number): Promise<Buffer> {
    if (passing === null || position < onDisk) {
      if (handle === null) throw new Error('nothing is on disk');
      return readAt(handle, position, Math.min(readAtOnce, onDisk - position));
    }
    let at = passing.start;
    for (const chunk of passing.chunks) {
      if (position < at + chunk.length) return chunk.subarray(position - at);
      at += chunk.length;
    }
    throw new Error('what a reader needs was let go of');
  }

  return {
    written: () => written,
    isPassing: () => passing !== null,
    async write(chunk) {
      if (handle === null) throw new Error('nothing is written without a file');
      let done = 0;
      while (done < chunk.length) {
        const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, written + done);
        done += bytesWritten;
      }
      written += chunk.length;
      onDisk = written;
      progress();
    },
    async passOn(chunk) {
      passing ??= { start: written, chunks: [] };
      passing.chunks.push(chunk);
      written += chunk.length;
      progress();
      for (;;) {
        if (readers.size === 0 && wasRead) return false;
        if (readers.size > 0) letGo();
        if (written - passing.start <= passingBytes) return true;
        if (readers.size === 0) return false;
        await changed();
      }
    },
    async sync() {
      await handle?.datasync();
    },
    fail(error) {
      failure = error;
    },
    async end() {
      ended = true;
      progress();
      await closeIfUnused();
    },
    attach(start) {
      if (passing === null ? ended : passing.start > onDisk) return null;
      wasRead = true;
      const reader = { position: start };
      readers.add(reader);
      return {
        async next() {
          for (;;) {
            if (failure !== null) throw failure;
            if (reader.position < written) {
              const chunk = await read(reader.position);
              reader.position += chunk.length;
              // whoever holds up the rest may have been this one
              if (passing !== null) progress();
              return chunk;
            }
            if (ended) return null;
            await changed();
          }
        },
        async release() {
          readers.delete(reader);
          progress();
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
