/**
 * Rows by COPY in PostgreSQL's binary format, which is several times as fast as a query where rows hold arrays of numbers.
 * Format: https://www.postgresql.org/docs/15/sql-copy.html ("Binary Format"); arrays: `array_send` in arrayfuncs.c.
 */
import type { PoolClient } from 'pg';
import { to as copyTo } from 'pg-copy-streams';

/** The fields of one row. Valid until the next row is read. */
export class CopiedRow {
  #bytes: Buffer = Buffer.alloc(0);
  readonly #starts: number[] = [];
  readonly #lengths: number[] = [];

  /** Whether a whole row starts at `at`; where the next one starts. −1: there is not all of it yet, −2: that was the end. */
  read(bytes: Buffer, at: number): number {
    if (bytes.length < at + 2) return -1;
    const fields = bytes.readInt16BE(at);
    if (fields === -1) return -2;
    let next = at + 2;
    for (let i = 0; i < fields; i++) {
      if (bytes.length < next + 4) return -1;
      const length = bytes.readInt32BE(next);
      next += 4;
      this.#starts[i] = next;
      this.#lengths[i] = length;
      if (length > 0) next += length;
      if (bytes.length < next) return -1;
    }
    this.#bytes = bytes;
    return next;
  }

  isNull(field: number): boolean {
    return (this.#lengths[field] ?? -1) < 0;
  }

  text(field: number): string {
    const start = this.#starts[field] ?? 0;
    return this.#bytes.toString('utf8', start, start + Math.max(0, this.#lengths[field] ?? 0));
  }

  int(field: number): number {
    return this.#bytes.readInt32BE(this.#starts[field] ?? 0);
  }

  double(field: number): number {
    return this.#bytes.readDoubleBE(this.#starts[field] ?? 0);
  }

  boolean(field: number): boolean {
    return this.#bytes[this.#starts[field] ?? 0] === 1;
  }

  bytes(field: number): Buffer {
    const start = this.#starts[field] ?? 0;
    return Buffer.from(this.#bytes.subarray(start, start + Math.max(0, this.#lengths[field] ?? 0)));
  }

  /** Of integer[] without nulls. */
  ints(field: number): Int32Array {
    const start = this.#starts[field] ?? 0;
    // dimensions, flags, type of the elements; then of the one dimension its length and its lower bound
    if (this.isNull(field) || this.#bytes.readInt32BE(start) === 0) return new Int32Array(0);
    const length = this.#bytes.readInt32BE(start + 12);
    const result = new Int32Array(length);
    const { buffer, byteOffset, byteLength } = this.#bytes;
    const view = new DataView(buffer, byteOffset, byteLength);
    // Each behind its length.
    for (let i = 0, at = start + 24; i < length; i++, at += 8) result[i] = view.getInt32(at);
    return result;
  }
}

const headerBytes = 19;

/**
 * Calls back for every row that a query answers. The query takes no parameters: whatever is in it must be safe. When calling back
 * throws, the rows behind are read all the same and passed over: a copy that is left half-way keeps its connection busy for good,
 * and whoever uses it next would wait for ever.
 */
export async function eachCopiedRow(
  client: PoolClient,
  query: string,
  visit: (row: CopiedRow) => void | Promise<void>,
): Promise<void> {
  const stream = client.query(copyTo(`copy (${query}) to stdout (format binary)`));
  const row = new CopiedRow();
  let rest: Buffer = Buffer.alloc(0);
  let isHeaderRead = false;
  let failure: { readonly error: unknown } | null = null;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (failure !== null) continue;
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    if (!isHeaderRead) {
      if (bytes.length < headerBytes) {
        rest = bytes;
        continue;
      }
      isHeaderRead = true;
      at = headerBytes + bytes.readInt32BE(headerBytes - 4);
    }
    for (;;) {
      const next = row.read(bytes, at);
      if (next < 0) break;
      try {
        const waiting = visit(row);
        if (waiting !== undefined) await waiting;
      } catch (error) {
        failure = { error };
        break;
      }
      at = next;
    }
    rest = bytes.subarray(at);
  }
  if (failure !== null) throw failure.error;
}
