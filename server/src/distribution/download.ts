import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import type { FileCache } from './cache.ts';
import type { Elapsing } from './bucket.ts';
import { rangeValidator } from './range.ts';
import { createShared, type DownloadReader } from './shared.ts';
import type { UpstreamAnswer } from './upstream.ts';

export type UpstreamFile = Extract<UpstreamAnswer, { kind: 'file' }>;

export interface Downloaded {
  readonly sha256: string;
  readonly bytes: number;
}

/** One file on its way from a repository, for everybody who wants it: written once, read by each at its own pace. */
export interface Download {
  readonly bytes: number | null;
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** Settles when all of it is in the cache; rejects when it is not to be had, or could not be kept. */
  readonly done: Promise<Downloaded>;
  /** Reads from a place on what has arrived and what arrives; null when the cache is to be asked instead. */
  attach(start: number): DownloadReader | null;
}

export class DownloadError extends Error {
  readonly code: 'too_large' | 'incomplete' | 'hash_differs' | 'changed' | 'not_kept';
  constructor(code: DownloadError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

export interface DownloadParts {
  readonly url: string;
  /** Of the unfinished file in the cache. */
  readonly name: string;
  readonly maximumBytes: number;
  /** Hex; null where nothing promises one. */
  readonly sha256: string | null;
  readonly idleMilliseconds: number;
  /** How often in all the rest is asked for, of one that breaks off. */
  readonly attempts: number;
  readonly time: Elapsing;
  /** Asked before each piece is taken. */
  readonly pass: (bytes: number) => Promise<void>;
  /** Asks for the rest. */
  readonly again: (beginning: number) => Promise<UpstreamAnswer>;
  readonly fetched: (bytes: number) => void;
  readonly resumed: () => void;
  /** Called when there is no room: from then on nobody else can share it, and it is not kept. */
  readonly full: () => void;
  /** Called before any reader hears of a failure, so that whoever asks again gets a new download. */
  readonly failed: () => void;
}

const fullCodes = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EIO']);
const isFull = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && fullCodes.has(String(error.code));

/**
 * Begins to write a repository's answer to disk. It counts only when exactly as much came as was announced, when it is not
 * larger than `maximumBytes`, and, where something promises a hash, when it has that hash. One that breaks off is gone on with,
 * a bounded number of times; what has come stays for a later attempt. When the disk is full, those who wait for it get
 * it all the same.
 */
export async function startDownload(
  answer: UpstreamFile,
  cache: FileCache,
  parts: DownloadParts,
): Promise<Download> {
  const { name } = parts;
  const hash = createHash('sha256');
  let handle: FileHandle | null = null;
  let beginning = answer.from;
  try {
    ({ handle } = await cache.partial(name, answer.from));
    if (answer.from > 0) {
      await hashBeginning(handle, answer.from, hash);
      parts.resumed();
    }
    if (rangeValidator(answer) !== null) {
      await cache.notePartial(name, {
        url: parts.url,
        bytes: answer.bytes,
        etag: answer.etag,
        last_modified: answer.lastModified,
      });
    }
  } catch (error) {
    if (!isFull(error) || answer.from > 0) {
      answer.body.destroy();
      await handle?.close();
      throw error;
    }
    await handle?.close();
    handle = null;
    beginning = 0;
    parts.full();
  }
  const shared = createShared(handle, beginning);

  async function take(chunk: Buffer): Promise<void> {
    await parts.pass(chunk.length);
    if (shared.written() + chunk.length > parts.maximumBytes) {
      throw new DownloadError('too_large', `more than ${String(parts.maximumBytes)} bytes came`);
    }
    hash.update(chunk);
    parts.fetched(chunk.length);
    if (!shared.isPassing()) {
      try {
        return await shared.write(chunk);
      } catch (error) {
        if (!isFull(error)) throw error;
        parts.full();
        // what has been written stays readable for those who read it, and gives its room back after them
        await cache.dropPartial(name).catch(() => undefined);
      }
    }
    if (!(await shared.passOn(chunk)))
      throw new DownloadError('not_kept', 'the disk is full, and nobody waits for it any more');
  }

  /** Takes a body to its end, without its first bytes, which are here already; true when it broke off. */
  async function takeBody(body: IncomingMessage, skip: number): Promise<boolean> {
    let left = skip;
    const pieces = body[Symbol.asyncIterator]();
    for (;;) {
      const next = await within(pieces.next(), parts).catch((error: unknown) => {
        body.destroy();
        if (error instanceof DownloadError) throw error;
        return null;
      });
      if (next === null) return true;
      if (next.done === true) return !body.complete;
      // without an encoding, a stream gives bytes
      const chunk: Buffer = next.value;
      const known = Math.min(left, chunk.length);
      left -= known;
      if (known < chunk.length) await take(chunk.subarray(known));
    }
  }

  async function takeAll(): Promise<void> {
    let { body } = answer;
    let skip = 0;
    for (let attempt = 1; ; attempt++) {
      if (answer.bytes !== null && answer.bytes > parts.maximumBytes) {
        throw new DownloadError('too_large', `${String(answer.bytes)} bytes are more than is taken`);
      }
      const brokeOff = await takeBody(body, skip);
      const whole = answer.bytes === null ? !brokeOff : answer.bytes === shared.written();
      if (whole) return;
      const came = `${String(shared.written())} of ${String(answer.bytes)} bytes came`;
      if (!brokeOff || answer.bytes === null || rangeValidator(answer) === null) {
        throw new DownloadError('incomplete', came);
      }
      for (;;) {
        if (attempt >= parts.attempts) throw new DownloadError('incomplete', came);
        await parts.time.sleep(250 * 2 ** (attempt - 1));
        const rest = await parts.again(shared.written());
        if (rest.kind === 'file') {
          // a repository that sends no parts sends all of it again
          skip = shared.written() - rest.from;
          const isSame =
            rest.bytes === answer.bytes && (rest.from > 0 || rangeValidator(rest) === rangeValidator(answer));
          if (!isSame || (rest.from > 0 && skip !== 0)) {
            rest.body.destroy();
            throw new DownloadError('changed', 'the file is another one than when its download began');
          }
          parts.resumed();
          ({ body } = rest);
          break;
        }
        if (rest.kind !== 'failed') throw new DownloadError('incomplete', came);
        attempt += 1;
      }
    }
  }

  let allCame = false;
  async function run(): Promise<Downloaded> {
    try {
      await takeAll();
      allCame = true;
      const sha256 = hash.digest('hex');
      if (parts.sha256 !== null && parts.sha256 !== sha256) {
        throw new DownloadError('hash_differs', `its SHA-256 is ${sha256}, and ${parts.sha256} was promised`);
      }
      const bytes = shared.written();
      if (shared.isPassing()) throw new DownloadError('not_kept', 'the disk is full');
      try {
        await shared.sync();
        await cache.adopt(name, sha256);
      } catch (error) {
        if (isFull(error)) throw new DownloadError('not_kept', 'the disk is full');
        throw error;
      }
      return { sha256, bytes };
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      parts.failed();
      answer.body.destroy();
      const code = failure instanceof DownloadError ? failure.code : null;
      // all of it came, only not into the cache: who reads it reads to its end
      if (code !== 'not_kept' || !allCame) shared.fail(failure);
      // without room it was dropped when that was found: what has the name by now is another's
      if (code !== 'incomplete' && !shared.isPassing()) await cache.dropPartial(name).catch(() => undefined);
      throw failure;
    } finally {
      await shared.end();
    }
  }
  const done = run();
  // whoever reads hears of a failure there; nobody has to wait for `done`
  done.catch(() => undefined);

  return {
    bytes: answer.bytes,
    etag: answer.etag,
    lastModified: answer.lastModified,
    done,
    attach: (start) => shared.attach(start),
  };
}

async function hashBeginning(handle: FileHandle, bytes: number, hash: Hash): Promise<void> {
  const buffer = Buffer.allocUnsafe(1 << 20);
  for (let position = 0; position < bytes;) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, bytes - position), position);
    if (bytesRead === 0) throw new Error('an unfinished file of the cache ended early');
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}

/** Rejects when it takes longer than a repository may be silent. */
async function within<T>(work: Promise<T>, { idleMilliseconds }: DownloadParts): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silent = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no byte for ${String(idleMilliseconds / 1000)} seconds`));
    }, idleMilliseconds);
  });
  try {
    return await Promise.race([work, silent]);
  } finally {
    clearTimeout(timer);
  }
}
