/**
 * Writing and reading of plain tar archives (POSIX ustar) as streams, for bundles. Only regular files with short names are
 * written, and nothing else is read: no links, no devices, no folders, no extended headers.
 */

const block = 512;
/** Eleven octal digits. */
const mostBytes = 8 ** 11 - 1;

/** The header of a regular file. */
export function tarHeader(name: string, bytes: number): Buffer {
  const header = Buffer.alloc(block);
  if (Buffer.byteLength(name) > 100) throw new Error(`${name} is too long for a tar of this kind`);
  if (bytes > mostBytes) throw new Error(`${name} is too large for a tar of this kind`);
  header.write(name, 0, 'utf8');
  header.write('0000644\0', 100, 'latin1');
  header.write('0000000\0', 108, 'latin1');
  header.write('0000000\0', 116, 'latin1');
  header.write(`${bytes.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  header.write(`${'0'.repeat(11)}\0`, 136, 'latin1');
  header.write('0', 156, 'latin1');
  header.write('ustar\0', 257, 'latin1');
  header.write('00', 263, 'latin1');
  header.write(`${checksumOf(header).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** What follows a file of so many bytes, up to the next header. */
export function tarPadding(bytes: number): Buffer {
  return Buffer.alloc((block - (bytes % block)) % block);
}

/** The end of an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * block);
}

function checksumOf(header: Buffer): number {
  let sum = 0;
  // the field itself counts as blanks
  for (const [i, byte] of header.entries()) sum += i >= 148 && i < 156 ? 0x20 : byte;
  return sum;
}

export class TarError extends Error {
  readonly code: 'cut' | 'not_tar' | 'entry_refused';
  constructor(code: TarError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

export interface TarEntry {
  readonly name: string;
  readonly bytes: number;
  /** To be read to its end before the next entry is asked for. */
  readonly body: AsyncGenerator<Uint8Array>;
}

/**
 * The files of an archive, one after the other.
 *
 * @throws TarError `cut` when it ends before its end mark, `not_tar`, or `entry_refused` for what is no regular file
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const iterator = source[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  const some = async (most: number): Promise<Uint8Array> => {
    while (rest.length === 0) {
      const next = await iterator.next();
      if (next.done === true) throw new TarError('cut', 'the archive ends too early');
      rest = next.value;
    }
    const part = rest.subarray(0, most);
    rest = rest.subarray(part.length);
    return part;
  };
  const exactly = async (size: number): Promise<Buffer> => {
    const parts: Uint8Array[] = [];
    for (let missing = size; missing > 0;) {
      const part = await some(missing);
      parts.push(part);
      missing -= part.length;
    }
    return Buffer.concat(parts);
  };
  try {
    for (;;) {
      const header = await exactly(block);
      if (header.every((byte) => byte === 0)) {
        if (!(await exactly(block)).every((byte) => byte === 0)) throw notTar('its end mark is damaged');
        return;
      }
      const { name, bytes } = readHeader(header);
      let left = bytes;
      const body = async function* (): AsyncGenerator<Uint8Array> {
        while (left > 0) {
          const part = await some(left);
          left -= part.length;
          yield part;
        }
      };
      yield { name, bytes, body: body() };
      while (left > 0) left -= (await some(left)).length;
      await exactly(tarPadding(bytes).length);
    }
  } finally {
    await iterator.return?.();
  }
}

const notTar = (why: string): TarError => new TarError('not_tar', `this is not a tar archive: ${why}`);

function readHeader(header: Buffer): { name: string; bytes: number } {
  const text = (from: number, length: number): string =>
    header.toString('utf8', from, from + length).replace(/\0.*$/su, '');
  if (text(257, 5) !== 'ustar') throw notTar('a header of it is damaged');
  if (Number.parseInt(text(148, 8).trim(), 8) !== checksumOf(header)) {
    throw notTar('the checksum of a header is wrong');
  }
  const name = text(0, 100);
  const type = text(156, 1);
  if ((type !== '0' && type !== '') || text(345, 155) !== '') {
    throw new TarError('entry_refused', `${name.slice(0, 60)} is not a plain file`);
  }
  const size = text(124, 12).trim();
  if (!/^[0-7]{1,11}$/.test(size)) throw notTar('an entry has no size');
  return { name, bytes: Number.parseInt(size, 8) };
}
